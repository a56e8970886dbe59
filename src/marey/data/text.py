"""The text of lists, in the encodings that they come in."""

from pathlib import Path

from marey.base.errors import DataError
from marey.base.jsonable import BYTES


def read_text(path: Path) -> str:
    """The text of a list of videos, without a byte order mark; names that are no UTF-8 stand for the bytes that they are.

    Raises:
        DataError: no text, or it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors=BYTES)
    except OSError as error:
        raise DataError(f"{path}: cannot be read as a list of videos ({error}).") from None
    if "\0" in text:
        raise DataError(f"{path}: cannot be read as a list of videos (it is no text in UTF-8).")
    return text
