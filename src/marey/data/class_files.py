"""Files that name the classes of a data set."""

import re
from pathlib import Path

from marey.base.errors import DataError


def read_classes(path: str | Path) -> list[str]:
    """Class names from a file with one on a line, in order: `name`, or `number name` (UCF101's classInd.txt).

    Raises:
        DataError: no such file, or nothing in it.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file of class names.")
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not lines:
        raise DataError(f"{path}: names no classes.")
    if all(re.match(r"\d+[ ,\t]+\S", line) for line in lines):
        numbered = sorted((int(number), name) for number, name in (re.split(r"[ ,\t]+", s, maxsplit=1) for s in lines))
        return [name for _, name in numbered]
    return lines
