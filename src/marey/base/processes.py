"""The processes of a run (torchrun), the cores that each may use, and the signals that stop them."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from marey.base.errors import RunError

MOST_DECODING = 8
"""Most decoding processes that are started by default. Each holds batches in memory, and imports torch at its start unless
processes are forked. If training has to wait for videos, a notice advises more."""


@dataclass(frozen=True)
class Processes:
    """Rank of this process and number of processes, from torchrun's environment variables."""

    rank: int = 0
    """Rank of this process, 0 to `world` - 1."""
    world: int = 1
    """Number of processes."""
    local_rank: int = 0
    """Rank of this process among those on the same machine."""
    local_world: int = 1
    """Number of processes on this machine."""

    @property
    def first(self) -> bool:
        """Whether this process has rank 0: it writes shared files and prints for all."""
        return self.rank == 0


UNGUARDED = (
    "each process that is started here runs the main script again, and would make this call again: put it under "
    '`if __name__ == "__main__":`, or pass workers=0.'
)
"""Message for scripts whose calls begin again in every process that they start (spawn: Windows, macOS; forkserver)."""


def reruns_main_script(method: str | None) -> bool:
    """Whether processes started by `method` run the main script again, and with it all calls that are not under
    `if __name__ == "__main__":`.

    `fork` does not, and neither does any method if the main script is no file: a notebook, or standard input.
    """
    main = vars(sys.modules["__main__"])
    return method != "fork" and (main.get("__spec__") is not None or os.path.isfile(main.get("__file__") or ""))  # noqa: PTH113


def is_bootstrapping(error: RuntimeError) -> bool:
    """Whether Python refused to start a process because this process is a child that still runs the main script."""
    return "bootstrapping phase" in str(error)


def processes() -> Processes:
    """The processes by torchrun's environment variables; without them this is the only process.

    Raises:
        RunError: a variable is not a number.
    """
    return Processes(
        _variable("RANK", 0), _variable("WORLD_SIZE", 1), _variable("LOCAL_RANK", 0), _variable("LOCAL_WORLD_SIZE", 1)
    )


def started_by_torchrun() -> bool:
    """Whether torchrun started this process, possibly as the only one."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def _variable(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    if text and not text.isdecimal():
        raise RunError(
            f"{name}={text} in the environment: expected a number, as torchrun sets it; unset it to run alone."
        )
    return int(text or default)


def processor_seconds() -> float:
    """Processor seconds of this process so far, including its ended child processes (except on Windows)."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def usable_cores() -> int:
    """Number of cores that this process may use: by affinity and container quota on Linux, elsewhere all."""
    if sys.platform != "linux":
        return os.cpu_count() or 1
    return min(len(os.sched_getaffinity(0)), _quota(Path("/sys/fs/cgroup/cpu.max")))


def _quota(file: Path) -> int:
    """Number of cores that a container's quota allows, rounded down, at least 1; without one, `sys.maxsize`.

    The file is that of control groups, version 2. It holds quota and period in microseconds, "250000 100000", or
    "max 100000" for no quota.
    """
    try:
        share, period = file.read_text().split()
    except (OSError, ValueError):
        return sys.maxsize
    return sys.maxsize if share == "max" else max(1, int(share) // int(period))


def decoding_workers(asked: int | None) -> int:
    """Number of processes that decode ahead: `asked`; if that is None, one per core, but at most `MOST_DECODING`.

    Processes that torchrun started on the same machine share its cores.
    """
    if asked is not None:
        return asked
    share = usable_cores() // processes().local_world
    return max(1, min(share, MOST_DECODING))


if sys.platform == "win32":
    STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK)
else:
    STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""The signals that make a run save its state and stop. On Windows other programs cannot send SIGTERM; they can
send Ctrl-Break (SIGBREAK)."""
HELD_BACK = {signal.SIGINT, signal.SIGTERM}
"""The signals that `signals_held_back` blocks. A worker process unblocks them when its own handlers are set."""


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Block signals within the block: they are delivered after it, here and in workers that start in it.

    Without that, a signal to all processes would end a worker that has not set its handlers yet, and with it the run.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
