"""Limits in numbers and in words; memory that is watched where no system refuses it."""

import math
import subprocess
import sys

import pytest

from marey.base import limited_process
from marey.base.errors import RunError
from marey.base.limited import each_limited
from marey.base.limited_process import Failure
from marey.base.limits import Amount, Limits, peak_memory, watched_memory


@pytest.mark.parametrize(
    ("limits", "amount", "seconds"),
    [
        (Limits(), Amount(), 60),
        (Limits(), Amount(4.2), 60),
        (Limits(), Amount(600), 6000),
        (Limits(seconds=1, times_duration=2), Amount(3), 6),
        (Limits(), Amount(4.2, fields=25), 560),
        (Limits(seconds_a_field=2), Amount(fields=64), 188),
        (Limits(seconds=None), Amount(3, fields=1), math.inf),
    ],
)
def test_the_larger_of_two_times_is_allowed_and_time_for_flow_on_top(limits, amount, seconds) -> None:
    assert limits.allowed(amount) == seconds


@pytest.mark.parametrize(
    ("limits", "amount", "words"),
    [
        (Limits(), Amount(4.2), "60 s (10 times its duration of 4.2 s is less)"),
        (Limits(), Amount(4000), "40000 s (10 times its duration of 4000 s)"),
        (Limits(seconds=0.5), Amount(), "0.5 s (its file states no duration)"),
        (Limits(), Amount(1, 25), "560 s (10 times its duration of 1 s is less; 20 s for each of 25 fields of flow)"),
        (Limits(), Amount(None, 1), "80 s (its file states no duration; 20 s for each of 1 field of flow)"),
    ],
)
def test_reasons_name_the_limit_of_time_and_the_way_out(limits, amount, words) -> None:
    way_out = "--decode-seconds, in Python Limits(seconds=...), gives more"
    assert limits.too_long(amount) == f"took longer than {words} and was stopped: {way_out}"


def test_reasons_name_the_limit_of_memory_and_the_way_out() -> None:
    way_out = "--decode-memory, in Python Limits(memory=...), gives more"
    assert Limits().too_large() == f"needs more than the 4 GB of memory that it is given: {way_out}"
    assert Limits(memory=None).too_large() == "needs more memory than there is"


@pytest.mark.parametrize(
    "values", [{"seconds": 0}, {"times_duration": -1}, {"seconds_a_field": 0}, {"memory": 0}, {"seconds": math.nan}]
)
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

    def amount(self, item: int) -> Amount:
        return Amount()


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
    why = Failure(Limits(memory=300_000_000).too_large())
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
    code = "import marey.data.loading.limited, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    code = "import marey.base.limited_process, sys; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
