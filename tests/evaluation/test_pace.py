"""The expected time of a test, by a clock that the passes themselves turn on."""

import pytest
import torch

from marey.evaluation import pace


class Passes:
    """A backend and its views: the first pass takes `first` seconds more than the others, which take `each` per view."""

    def __init__(self, first: float, each: float) -> None:
        self.now, self.first, self.each, self.sizes = 0.0, first, each, []

    def run(self, output, views) -> None:
        self.now += self.each * len(views) + (0 if self.sizes else self.first)
        self.sizes.append(len(views))

    def batches(self, size):
        yield torch.zeros(size, 1)


@pytest.mark.parametrize(("first", "each"), [(0, 0.01), (3, 0.01), (3, 2), (0.2, 0.3)])
def test_what_a_first_pass_sets_up_is_not_counted_for_each_view(first, each, monkeypatch) -> None:
    passes = Passes(first, each)
    monkeypatch.setattr(pace.time, "perf_counter", lambda: passes.now)
    assert pace._seconds_a_view(passes, passes, 8) == pytest.approx(each)
    assert passes.sizes == ([1, 1, 8] if each < 0.1 else [1, 1])
