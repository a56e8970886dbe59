"""Several processes at the same work, as torchrun starts them; the cores that each may use."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from marey.base.errors import RunError

MOST_DECODING = 8
"""The most decoding processes that are started by default. Each keeps batches ready in memory, and starts by importing
torch where processes are not forked. Where training waits for videos, a line advises to ask for more."""


@dataclass(frozen=True)
class Processes:
    """Which process this is among those that do the same work, as torchrun numbers them in the environment."""

    rank: int = 0
    """The number of this process, from 0 to `world` - 1."""
    world: int = 1
    """How many processes there are."""
    local_rank: int = 0
    """The number of this process among those on the same machine."""
    local_world: int = 1
    """How many processes there are on this machine."""

    @property
    def first(self) -> bool:
        """Whether this process writes the files that all have in common, and speaks for all."""
        return self.rank == 0


UNGUARDED = (
    "processes are started here by running the script anew, and the call that starts them is not kept from that: put it "
    'under `if __name__ == "__main__":`, or pass workers=0.'
)
"""What to do where a script's own calls begin again in every process that it starts (spawn: Windows, macOS; forkserver)."""


def runs_script_anew(method: str | None) -> bool:
    """Whether a process that is started by this method runs the main script, so that its unguarded calls begin again.

    Not by fork, and not where there is no file of it: in a notebook, or from standard input.
    """
    main = vars(sys.modules["__main__"])
    return method != "fork" and (main.get("__spec__") is not None or os.path.isfile(main.get("__file__") or ""))  # noqa: PTH113


def is_bootstrapping(error: RuntimeError) -> bool:
    """Whether Python refused to start a process because this one is just running the main script anew."""
    return "bootstrapping phase" in str(error)


def processes() -> Processes:
    """Read from the environment what torchrun says; without it this is the only process.

    Raises:
        RunError: a variable is no number.
    """
    return Processes(
        _variable("RANK", 0), _variable("WORLD_SIZE", 1), _variable("LOCAL_RANK", 0), _variable("LOCAL_WORLD_SIZE", 1)
    )


def by_torchrun() -> bool:
    """Whether torchrun started this process, be it the only one."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def _variable(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    if text and not text.isdecimal():
        raise RunError(
            f"{name}={text} in the environment: expected a number, as torchrun sets it; unset it to run alone."
        )
    return int(text or default)


def processor_seconds() -> float:
    """Processor time so far of this process and of those that it started and that ended. (Windows does not count these.)"""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


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
    mine = usable_cores() // processes().local_world
    return max(1, min(mine, MOST_DECODING))


if sys.platform == "win32":
    STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK)
else:
    STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""The signals that ask a run to save itself and stop. On Windows SIGTERM only comes from this process itself; what other
programs can send is Ctrl-Break.
"""
HELD_BACK = {signal.SIGINT, signal.SIGTERM}
"""The signals of `signals_held_back`, which a worker process is to release when it has handlers of its own."""


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Signals that arrive within the block are delivered after it, here and in workers that start in it.

    Else a signal to all processes would end a worker that has no handlers of its own yet, and with it the run.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
