"""Values that can be written as JSON: their type, and their text."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from marey.base.errors import DataError

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
BYTES = "surrogateescape"
"""The `errors` argument for text files: file names that are not UTF-8 are written as their original bytes."""
Parsed = TypeVar("Parsed")
_SURROGATE = re.compile("[\ud800-\udfff]")


def json_text(value: Any, *, indent: int | None = None) -> str:
    """`value` as JSON that is valid UTF-8.

    Bytes of file names that are not UTF-8 are written as JSON escapes (U+DC80 to U+DCFF); `json.loads` restores them.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def rename_key(fields: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    """The same fields in the same order, with the key `new` in place of `old`: a JSON key that is not the name in code."""
    return {new if key == old else key: value for key, value in fields.items()}


def parse_json_file(path: Path, parse: Callable[[dict[str, Any]], Parsed], *, by: str) -> Parsed | None:
    """The content of a JSON file that Marey wrote, as `parse` makes it; None where there is no file.

    Args:
        path: The file.
        parse: Raises KeyError, TypeError or ValueError for JSON of another form.
        by: The command that wrote the file, for the error message.

    Raises:
        DataError: the file has another form.
    """
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not what {by} wrote ({error}): remove it.") from None
