"""The processes below others, from /proc of Linux."""

import contextlib
from collections.abc import Iterable
from pathlib import Path


def descendants(roots: Iterable[int]) -> list[int]:
    """The ids of these processes and of all processes below them."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError, IndexError):  # the process has ended
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found = list(roots)
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found
