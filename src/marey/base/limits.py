"""Limits of time and of memory for work in a process of its own, and how such a process keeps to the second.

Time is the clock's, not the processor's: what hangs, in a lock or on a lost disk, takes none of the processor's.
"""

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from marey.base.errors import RunError
from marey.base.words import counted


@dataclass(frozen=True)
class Amount:
    """How much work a video is."""

    duration: float | None = None
    """Seconds that the video lasts, as its header says; None where that is not known."""
    fields: int = 0
    """Fields of optical flow that have to be computed for it, at most."""


@dataclass(frozen=True)
class Limits:
    """What decoding one video may take; a process that takes more is ended, and that video is left out with the reason.

    A video is given `seconds`, or `times_duration` times its duration if that is more. Where optical flow has to be computed
    of it, because a network sees flow and none is stored, it is given `seconds_a_field` more for each field that its clips
    show. Processes of their own keep to the limits; what is decoded in the calling process, as one video alone or with
    workers=0, has none.

        marey.predict("runs/a", "clips/", limits=marey.Limits(seconds=300, memory=8_000_000_000))

    Raises:
        RunError: a value is not above 0.
    """

    seconds: float | None = 60.0
    """The least time, in seconds by the clock, that a video is given; None: any time."""
    times_duration: float = 10.0
    """How many times its duration a video is given, where that is more. The duration is what the file states for all of it,
    as a part may have to be decoded from far before."""
    seconds_a_field: float = 20.0
    """Seconds for each field of optical flow. TV-L1 takes a core one to two seconds for pictures of 340x256, and more
    for larger ones in proportion to their pixels."""
    memory: int | None = 4_000_000_000
    """Bytes that the work may take in its process, beside the 0.2 GB or so that Python and the libraries take there; None:
    what the machine has."""

    def __post_init__(self) -> None:
        for name in ("seconds", "times_duration", "seconds_a_field", "memory"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise RunError(f"Limits({name}={value}): expected more than 0, or None for no limit.")

    def allowed(self, amount: Amount) -> float:
        """Seconds for a video that is so much work; Amount() is one of which nothing is known (yet)."""
        if self.seconds is None:
            return math.inf
        return max(self.seconds, self.times_duration * (amount.duration or 0.0)) + self.seconds_a_field * amount.fields

    def too_long(self, amount: Amount) -> str:
        """Why work that took longer was ended, and what gives more time, as the end of a sentence."""
        why = "its file states no duration"
        if amount.duration is not None:
            times = self.times_duration * amount.duration
            less = " is less" if times < self.allowed(Amount(amount.duration)) else ""
            why = f"{self.times_duration:g} times its duration of {_short(amount.duration)} s{less}"
        if amount.fields:
            why += f"; {self.seconds_a_field:g} s for each of {counted(amount.fields, 'field')} of flow"
        return (
            f"took longer than {_short(self.allowed(amount))} s ({why}) and was stopped: --decode-seconds, in Python "
            "Limits(seconds=...), gives more"
        )

    def too_large(self) -> str:
        """Why work that took too much memory was ended, and what gives more, as the end of a sentence."""
        if self.memory is None:
            return "needs more memory than there is"
        return (
            f"needs more than the {self.memory / 1e9:g} GB of memory that it is given: --decode-memory, in Python "
            "Limits(memory=...), gives more"
        )


def _short(seconds: float) -> str:
    return f"{seconds:.1f}".removesuffix(".0")


def limit_memory(most: int) -> Callable[[], bool]:
    """Keep this process from taking `most` bytes of memory more than it has, and give a function that says whether it did.

    On Linux the system refuses more: asking for memory fails (MemoryError). Elsewhere nothing does, so the function is to be
    asked every now and then. It looks at the memory that is in use, of which there is never more than was asked for.
    """
    if sys.platform == "linux":
        import resource

        # Of the system's limits this one counts what a process has for itself alone: neither libraries nor files that are
        # mapped (RLIMIT_AS does), but what it asked for and has not touched, such as the stacks of threads.
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        wanted = _kilobytes("VmData") * 1024 + most
        resource.setrlimit(
            resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )
    return watched_memory(most)


def watched_memory(most: int) -> Callable[[], bool]:
    """A function that says whether this process has used over `most` bytes more memory than at its peak until now."""
    before = peak_memory()
    return lambda: peak_memory() - before > most


@contextmanager
def memory_not_refused() -> Iterator[bool]:
    """Within the block the system refuses this process no memory, if it did; whether it did.

    For what fails with other words than that: FFmpeg calls a picture broken that it found no room for.
    """
    if sys.platform != "linux":
        yield False
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (before[1], before[1]))
    try:
        yield before[0] != before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def peak_memory() -> int:
    """The most memory, in bytes, that this process has had: on Windows what was set aside for it, elsewhere what it used."""
    if sys.platform == "win32":
        return _peak_on_windows()
    if sys.platform == "linux":  # getrusage gives the peak of the process that started this one, if that was more
        return _kilobytes("VmHWM") * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _kilobytes(name: str) -> int:
    """A size of this process, as Linux names it: "VmHWM:     9216 kB"."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    class _Counters(ctypes.Structure):
        """PROCESS_MEMORY_COUNTERS of psapi.h."""

        _fields_ = (
            ("cb", wintypes.DWORD),
            ("PageFaultCount", wintypes.DWORD),
            ("PeakWorkingSetSize", ctypes.c_size_t),
            ("WorkingSetSize", ctypes.c_size_t),
            ("QuotaPeakPagedPoolUsage", ctypes.c_size_t),
            ("QuotaPagedPoolUsage", ctypes.c_size_t),
            ("QuotaPeakNonPagedPoolUsage", ctypes.c_size_t),
            ("QuotaNonPagedPoolUsage", ctypes.c_size_t),
            ("PagefileUsage", ctypes.c_size_t),
            ("PeakPagefileUsage", ctypes.c_size_t),
        )

    def _peak_on_windows() -> int:
        counters = _Counters(cb=ctypes.sizeof(_Counters))
        own = wintypes.HANDLE(-1)  # what GetCurrentProcess gives
        if not ctypes.windll.kernel32.K32GetProcessMemoryInfo(own, ctypes.byref(counters), counters.cb):
            raise ctypes.WinError()
        return int(counters.PeakPagefileUsage)
