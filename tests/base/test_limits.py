"""Limits in numbers and in words; memory that is watched where no system refuses it."""

import math
import subprocess
import sys

import pytest

from marey.base import limited_process
from marey.base.errors import RunError
from marey.base.limited import each_limited
from marey.base.limited_process import Failure
from marey.base.limits import Limits, peak_memory, watched_memory


@pytest.mark.parametrize(
    ("limits", "duration", "seconds"),
    [
        (Limits(), None, 60),
        (Limits(), 4.2, 60),
        (Limits(), 600, 6000),
        (Limits(seconds=1, times_duration=2), 3, 6),
        (Limits(seconds=None), 3, math.inf),
    ],
)
def test_the_larger_of_two_times_is_allowed(limits, duration, seconds) -> None:
    assert limits.allowed(duration) == seconds


def test_reasons_name_the_limit() -> None:
    assert Limits().too_long(4.2) == "took longer than 60 s (10 times its duration of 4.2 s is less) and was stopped"
    assert Limits().too_long(4000) == "took longer than 40000 s (10 times its duration of 4000 s) and was stopped"
    assert Limits(seconds=0.5).too_long(None) == "took longer than 0.5 s (its file states no duration) and was stopped"
    assert Limits().too_large() == "needs more than the 4 GB of memory that it is given"
    assert Limits(memory=None).too_large() == "needs more memory than there is"


@pytest.mark.parametrize("values", [{"seconds": 0}, {"times_duration": -1}, {"memory": 0}, {"seconds": math.nan}])
def test_limits_are_above_zero(values) -> None:
    (name, value), = values.items()  # fmt: skip
    with pytest.raises(RunError) as caught:
        Limits(**values)
    assert str(caught.value) == f"Limits({name}={value}): expected more than 0, or None for no limit."


class Watched:
    """Bytes that grow; memory is watched as on systems that refuse none."""

    def begin(self) -> None:
        limited_process.limit_memory = watched_memory

    def __call__(self, item: int) -> int:
        return len(b"x" * item)

    def duration(self, item: int) -> None:
        return None


class Growing(Watched):
    def __call__(self, item: int) -> int:
        kept = [b"x" * item]
        while item > 1000:
            kept.append(b"x" * item)
        return sum(map(len, kept))


@pytest.mark.skipif(sys.platform not in ("linux", "darwin", "win32"), reason="known on these alone")
def test_memory_that_is_watched_ends_the_process_and_costs_the_item() -> None:
    found = each_limited(Growing(), [1, 1_000_000, 2], workers=1, limits=Limits(seconds=250, memory=300_000_000))
    results = [(one.item, one.result) for one in found]
    why = Failure("needs more than the 0.3 GB of memory that it is given")
    assert results == [(1, 1), (1_000_000, why), (2, 2)]


def test_peak_memory_is_this_process_s_own() -> None:
    """Of one that starts small, whatever started it; and it grows by what is asked for."""
    code = (
        "from marey.base.limits import peak_memory, watched_memory\n"
        "before, over = peak_memory(), watched_memory(50_000_000)\nassert not over()\nkept = b'x' * 100_000_000\n"
        "assert over()\nprint(before, peak_memory() - before)"
    )
    large = bytearray(300_000_000)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    del large
    before, more = map(int, done.stdout.split())
    assert 1_000_000 < before < 200_000_000
    assert 90_000_000 < more < 200_000_000
    assert peak_memory() > before


def test_a_process_that_decodes_loads_no_torch() -> None:
    code = "import marey.data.limited, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    code = "import marey.base.limited_process, sys; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
