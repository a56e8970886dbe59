"""Where results go that were given no folder."""

from pathlib import Path

from marey.base.errors import RunError
from marey.base.processes import processes


def next_run(name: str, *, option: str = "--out") -> Path:
    """The first of runs/<name>-1, runs/<name>-2, ... that is not there yet.

    Raises:
        RunError: there are several processes, which would not agree on one; `option` names the folder.
    """
    if processes().world > 1:
        raise RunError(f"under several processes the folder must be the same for all: name it with {option}.")
    number = 1
    while (folder := Path("runs") / f"{name}-{number}").exists():
        number += 1
    return folder
