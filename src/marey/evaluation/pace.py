"""How long testing will take, by a measurement on one of the videos."""

import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from torch import Tensor

from marey.backends.backend import Backend
from marey.backends.compute import Compute
from marey.base.processes import decoding_workers, usable_cores
from marey.base.reporter import SilentReporter, first_line_awaited, reporting
from marey.base.words import about
from marey.data.files.quarantine import Broken
from marey.data.loading.clips import ViewDataset
from marey.data.loading.workers import timed
from marey.evaluation.views import Views
from marey.recipe import Test

_START = 2.0
"""Seconds that no measurement covers: processes that start, files that are written."""
_PASS = 0.5
"""Seconds that the longest pass should take."""
_TRIED = 3
"""Videos that are tried where the first one cannot be read."""
_MOST_BYTES = 2e8
"""Of a file: opening a larger one may take longer than a measurement should."""


def expected_time(backend: Backend, views: ViewDataset, test: Test, rows: Sequence[int], compute: Compute) -> str:
    """How long the videos in `rows` will take, as the end of a line: "; about 3 minutes". "" where it cannot be known.

    One of them is decoded, and one pass of one or two of its views taken. Nothing of it is kept. "" also where no command
    waits for its first line: callers in Python see the progress.
    """
    if not first_line_awaited():
        return ""
    found = seconds_of(backend, views, test, rows, compute)
    return "" if found is None else f"; {about(found)}"


def seconds_of(backend: Backend, views: ViewDataset, test: Test, rows: Sequence[int], compute: Compute) -> float | None:
    """Seconds that the videos in `rows` will take; None where it cannot be known: they are optical flow, which may have to
    be computed, none of the first can be read, all lie on servers, or
    another backend than eager runs, which prepares for each size of a pass.
    """
    if not rows or views.flow is not None or backend.report().ran != "eager":
        return None
    small = (
        row for row in rows
        if isinstance(path := views.videos[row].path, Path) and path.exists() and path.stat().st_size <= _MOST_BYTES
    )  # fmt: skip
    with reporting(SilentReporter()):
        for item, decoding in timed(views, list(islice(small, _TRIED)), workers=compute.workers):
            if isinstance(item, Broken):
                continue
            cuts = Views.of(item, test, views.pixels)
            network = len(cuts.cuts) * _seconds_a_view(backend, cuts, compute.views)
            return _START + len(rows) * each(decoding, network, compute, device=str(backend.device))
    return None


def each(decoding: float, network: float, compute: Compute, *, device: str) -> float:
    """Seconds for a video that takes `decoding` on one core and `network` on the device: on a CPU one after the other, since
    both use its cores, else at the same time.
    """
    share = decoding / max(1, min(usable_cores(), decoding_workers(compute.workers)))
    return share + network if device.startswith("cpu") else max(share, network)


def _seconds_a_view(backend: Backend, cuts: Views, most: int) -> float:
    """Of the network: by a second pass of one view, since the first pays for what is set up once, which may be a hundred
    times as much; and where that is short by a pass of up to a whole batch.
    """
    one = next(cuts.batches(1))
    _seconds(backend, one)
    second = _seconds(backend, one)
    if (count := min(most, int(_PASS / second))) < 2:
        return second
    pass_of = next(cuts.batches(count))
    return min(second, _seconds(backend, pass_of) / len(pass_of))


def _seconds(backend: Backend, views_VTHWC: Tensor) -> float:
    start = time.perf_counter()
    backend.run("logits", views_VTHWC)  # gives its results on the CPU, so that it waits for the device
    return time.perf_counter() - start
