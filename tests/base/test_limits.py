"""Limits as numbers and in messages; memory that is watched where the system has no limit."""

import math
import subprocess
import sys

import pytest

from marey.base.errors import RunError
from marey.base.limited import worker
from marey.base.limited.limits import Limits, WorkAmount
from marey.base.limited.memory import peak_memory, watched_memory
from marey.base.limited.pool import each_limited
from marey.base.limited.worker import ItemFailure


@pytest.mark.parametrize(
    ("limits", "amount", "seconds"),
    [
        (Limits(), WorkAmount(), 60),
        (Limits(), WorkAmount(4.2), 60),
        (Limits(), WorkAmount(600), 6000),
        (Limits(seconds=1, times_duration=2), WorkAmount(3), 6),
        (Limits(), WorkAmount(4.2, flow_fields=25), 560),
        (Limits(seconds_a_field=2), WorkAmount(flow_fields=64), 188),
        (Limits(seconds=None), WorkAmount(3, flow_fields=1), math.inf),
    ],
)
def test_the_larger_of_two_times_is_allowed_and_time_for_flow_on_top(limits, amount, seconds) -> None:
    assert limits.allowed(amount) == seconds


@pytest.mark.parametrize(
    ("limits", "amount", "words"),
    [
        (Limits(), WorkAmount(4.2), "60 s (10 times its duration of 4.2 s is less)"),
        (Limits(), WorkAmount(4000), "40000 s (10 times its duration of 4000 s)"),
        (Limits(seconds=0.5), WorkAmount(), "0.5 s (its file states no duration)"),
        (
            Limits(),
            WorkAmount(1, 25),
            "560 s (10 times its duration of 1 s is less; 20 s for each of 25 fields of flow)",
        ),
        (Limits(), WorkAmount(None, 1), "80 s (its file states no duration; 20 s for each of 1 field of flow)"),
    ],
)
def test_reasons_name_the_time_limit_and_the_option(limits, amount, words) -> None:
    advice = "--decode-seconds, in Python Limits(seconds=...), allows more"
    assert limits.too_long(amount) == f"took longer than {words} and was stopped: {advice}"


def test_reasons_name_the_memory_limit_and_the_option() -> None:
    advice = "--decode-memory, in Python Limits(memory=...), allows more"
    assert Limits().too_large() == f"needs more than the 4 GB of memory that are allowed: {advice}"
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
    """Allocates memory, which is watched as on systems without a limit."""

    def begin(self) -> None:
        worker.limit_memory = watched_memory

    def __call__(self, item: int) -> int:
        return len(b"x" * item)

    def amount(self, item: int) -> WorkAmount:
        return WorkAmount()


class Growing(Watched):
    def __call__(self, item: int) -> int:
        kept = [b"x" * item]
        while item > 1000:
            kept.append(b"x" * item)
        return sum(map(len, kept))


@pytest.mark.skipif(sys.platform not in ("linux", "darwin", "win32"), reason="known on these alone")
def test_watched_memory_ends_the_process_and_fails_the_item() -> None:
    found = each_limited(Growing(), [1, 1_000_000, 2], workers=1, limits=Limits(seconds=250, memory=300_000_000))
    results = [(one.item, one.result) for one in found]
    why = ItemFailure(Limits(memory=300_000_000).too_large())
    assert results == [(1, 1), (1_000_000, why), (2, 2)]


def test_peak_memory_is_this_process_s_own() -> None:
    """A new process has a small peak, whatever its parent has; and the peak grows by what is allocated."""
    code = (
        "from marey.base.limited.memory import peak_memory, watched_memory\n"
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


def test_workers_load_neither_torch_nor_numpy_early() -> None:
    code = "import marey.data.loading.limited_decoding, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    code = "import marey.base.limited.worker, sys; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
