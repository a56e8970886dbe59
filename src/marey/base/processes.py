"""Several processes at the same work, as torchrun starts them; the cores that each may use."""

import os
import sys
from pathlib import Path

MOST_DECODING = 8
"""The most decoding processes that are started by default. Each keeps batches ready in memory, and starts by importing
torch where processes are not forked. Where training waits for videos, a line advises to ask for more."""


def rank() -> int:
    """The number of this process, from 0; the first one writes and prints."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def usable_cores() -> int:
    """Cores that this process may use: by its affinity and its container's quota on Linux, elsewhere all there are."""
    if sys.platform != "linux":
        return os.cpu_count() or 1
    return min(len(os.sched_getaffinity(0)), _quota(Path("/sys/fs/cgroup/cpu.max")))


def _quota(file: Path) -> int:
    """Whole cores that a container's share of processor time makes, at least 1 (control groups, version 2).

    The file says "max 100000" or, of each 100000 microseconds, "250000 100000".
    """
    try:
        share, period = file.read_text().split()
    except (OSError, ValueError):
        return sys.maxsize
    return sys.maxsize if share == "max" else max(1, int(share) // int(period))


def decoding_workers(asked: int | None) -> int:
    """Processes that decode ahead: as many as `asked`; None: one per core, at most `MOST_DECODING`.

    Processes that torchrun started on the same machine share its cores.
    """
    if asked is not None:
        return asked
    mine = usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(mine, MOST_DECODING))
