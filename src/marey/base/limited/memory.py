"""Limits on the memory of this process, and the memory that it has used."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def limit_memory(most: int) -> Callable[[], bool]:
    """Limit this process to `most` bytes more than it has now; returns a function that returns whether it exceeded them.

    On Linux the system enforces the limit: an allocation beyond it fails (MemoryError). Other systems do not, so the
    returned function has to be called regularly. It measures the memory in use, which is never more than was allocated.
    """
    if sys.platform == "linux":
        import resource

        # RLIMIT_DATA counts only private memory, and so, unlike RLIMIT_AS, neither libraries nor mapped files. It includes
        # memory that was allocated and not yet touched, such as the stacks of threads.
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        wanted = _kilobytes("VmData") * 1024 + most
        resource.setrlimit(
            resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )
    return watched_memory(most)


def watched_memory(most: int) -> Callable[[], bool]:
    """A function that returns whether this process has used over `most` bytes more than at its peak until now."""
    before = peak_memory()
    return lambda: peak_memory() - before > most


@contextmanager
def memory_limit_lifted() -> Iterator[bool]:
    """Lift the system's memory limit within the block; yields whether there was one.

    Useful to find out whether an error was a lack of memory: FFmpeg reports a frame as broken if it cannot allocate it.
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
    """The peak memory of this process in bytes: committed memory on Windows, resident memory elsewhere."""
    if sys.platform == "win32":
        return _peak_on_windows()
    if sys.platform == "linux":  # getrusage returns the parent's peak if that was more
        return _kilobytes("VmHWM") * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _kilobytes(name: str) -> int:
    """A size of this process in kB, by its name in /proc/self/status: "VmHWM:     9216 kB"."""
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
        own = wintypes.HANDLE(-1)  # the pseudo handle of GetCurrentProcess
        if not ctypes.windll.kernel32.K32GetProcessMemoryInfo(own, ctypes.byref(counters), counters.cb):
            raise ctypes.WinError()
        return int(counters.PeakPagefileUsage)
