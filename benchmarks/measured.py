"""Measure a command: processor time of all its processes, elapsed time, and the most memory that they had together."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

_PAUSE = 0.2
"""Seconds between two measurements of the memory."""


@dataclass(frozen=True)
class Spent:
    """Time and memory of a command with all its processes."""

    core_seconds: float
    seconds: float
    peak_megabytes: float

    @property
    def text(self) -> str:
        return f"{self.core_seconds:.0f}; {self.seconds / 60:.1f} min; {self.peak_megabytes:.0f} MB"


def measured(words: list[str], environment: dict[str, str]) -> Spent:
    """Run a command and measure it, on Linux only.

    Memory is the proportional set size: what processes share counts once.

    Raises:
        SystemExit: the command failed; what it wrote is shown.
    """
    begun, peak = time.perf_counter(), 0.0
    with subprocess.Popen(
        words, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        ended = 0
        while not ended:
            time.sleep(_PAUSE)
            peak = max(peak, _megabytes(process.pid))
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.stderr is not None
        said = process.stderr.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{said}")
    return Spent(used.ru_utime + used.ru_stime, time.perf_counter() - begun, peak)


def _megabytes(root: int) -> float:
    """Memory that a process and all its descendants have now."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        text = _read(folder / "stat")
        if text:
            parents[int(folder.name)] = int(text.rpartition(")")[2].split()[1])
    family = {root}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    kilobytes = 0
    for process in family:
        for line in _read(Path(f"/proc/{process}/smaps_rollup")).splitlines():
            if line.startswith("Pss:"):
                kilobytes += int(line.split()[1])
    return kilobytes / 1024


def _read(path: Path) -> str:
    """A file of /proc; empty where the process has ended meanwhile."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
