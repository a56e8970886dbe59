"""The estimated time of a test, with a clock that the forward passes advance."""

import pytest
import torch

from marey.evaluation import time_estimate


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
def test_the_set_up_in_a_first_pass_is_not_counted_for_each_view(first, each, monkeypatch) -> None:
    passes = Passes(first, each)
    monkeypatch.setattr(time_estimate.time, "perf_counter", lambda: passes.now)
    assert time_estimate._seconds_per_view(passes, passes, 8) == pytest.approx(each)
    assert passes.sizes == ([1, 1, 8] if each < 0.1 else [1, 1])
