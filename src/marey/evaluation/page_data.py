"""What the page of a run shows and cannot find out again, kept as JSON in the run's folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from marey.base.errors import DataError

Shown = TypeVar("Shown")


def read_page_data(path: Path, parsed: Callable[[dict[str, Any]], Shown], *, by: str) -> Shown | None:
    """What `parsed` makes of a file; None where there is none.

    Args:
        parsed: Raises KeyError, TypeError or ValueError of JSON that is something else.
        by: What wrote the file, for the error.

    Raises:
        DataError: the file is not as it was written.
    """
    try:
        return parsed(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not what {by} wrote ({error}): remove it.") from None
