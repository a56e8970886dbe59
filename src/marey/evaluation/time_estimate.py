"""How long a test or prediction will take, estimated by measuring one of the videos."""

import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from torch import Tensor

from marey.backends.backend import Backend
from marey.backends.compute import Compute
from marey.base.processes import decoding_workers, usable_cores
from marey.base.reporter import SilentReporter, reporting, work_summary_pending
from marey.base.words import about
from marey.data.files.quarantine import Broken
from marey.data.loading.datasets import ViewDataset
from marey.data.loading.workers import timed_items
from marey.evaluation.views import Views
from marey.recipe import Test

_START = 2.0
"""Seconds added to each estimate for what is not measured: starting processes, writing files."""
_PASS = 0.5
"""Seconds that the measured forward pass of several views should take, at most."""
_TRIED = 3
"""Videos that are tried, at most, until one can be read."""
_MAX_BYTES = 2e8
"""Bytes of the largest file that is measured: opening a larger one may take too long."""


def expected_time(backend: Backend, views: ViewDataset, test: Test, rows: Sequence[int], compute: Compute) -> str:
    """How long the videos in `rows` will take, as the end of a line: "; about 3 minutes"; "" if it cannot be estimated.

    One video is decoded, and a few of its views go through the network; the results are discarded. The text is also "" if
    no command is waiting to print its summary of the work, which shows the text.
    """
    if not work_summary_pending():
        return ""
    found = estimated_seconds(backend, views, test, rows, compute)
    return "" if found is None else f"; {about(found)}"


def estimated_seconds(
    backend: Backend, views: ViewDataset, test: Test, rows: Sequence[int], compute: Compute
) -> float | None:
    """Seconds that the videos in `rows` will take. None if that cannot be estimated: the network sees optical flow, which
    may have to be computed; no file is on this machine and at most 200 MB large; the first three such files cannot be read;
    or another backend than eager runs, which may have to compile. A backend "auto" that has not chosen yet is estimated as
    eager, so that the time may be shorter.
    """
    measured = backend.for_estimates()
    if not rows or views.flow is not None or measured is None:
        return None
    small = (
        row for row in rows
        if isinstance(path := views.videos[row].path, Path) and path.exists() and path.stat().st_size <= _MAX_BYTES
    )  # fmt: skip
    with reporting(SilentReporter()):
        for item, decoding in timed_items(views, list(islice(small, _TRIED)), workers=compute.workers):
            if isinstance(item, Broken):
                continue
            cropped = Views.of(item, test, views.pixels)
            network = len(cropped.distinct) * _seconds_per_view(measured, cropped, compute.views)
            return _START + len(rows) * seconds_per_video(decoding, network, compute, device=str(backend.device))
    return None


def seconds_per_video(decoding: float, network: float, compute: Compute, *, device: str) -> float:
    """Seconds per video. On a CPU, whose cores do both, the sum of decoding and network; else the larger of the two.

    Args:
        decoding: Seconds that one core takes to decode a video; shared among the decoding processes.
        network: Seconds that the network takes for the views of a video.
        compute: Has the number of decoding processes.
        device: The device of the network.
    """
    share = decoding / max(1, min(usable_cores(), decoding_workers(compute.workers)))
    return share + network if device.startswith("cpu") else max(share, network)


def _seconds_per_view(backend: Backend, views: Views, batch: int) -> float:
    """Seconds of the network per view.

    They are those of the second forward pass of one view, because setup may make the first a hundred times as slow. If
    it is short, a pass of up to `batch` views follows, and the smaller time per view counts.
    """
    one = next(views.batches(1))
    _pass_seconds(backend, one)
    second = _pass_seconds(backend, one)
    if (count := min(batch, int(_PASS / second))) < 2:
        return second
    several = next(views.batches(count))
    return min(second, _pass_seconds(backend, several) / len(several))


def _pass_seconds(backend: Backend, views_VTHWC: Tensor) -> float:
    start = time.perf_counter()
    backend.run("logits", views_VTHWC)  # waits for the device, because it returns results on the CPU
    return time.perf_counter() - start
