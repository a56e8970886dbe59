"""What can be written as JSON, as a type and as text."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
BYTES = "surrogateescape"
"""The `errors` of a text file's encoding: names of files that are no UTF-8 are written as the bytes that they are."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def json_text(value: Any, *, indent: int | None = None) -> str:
    """`value` as JSON that is valid UTF-8: bytes of a file's name that are none are escaped as JSON escapes a character
    (U+DC80 to U+DCFF), and `json.loads` gives them back.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
