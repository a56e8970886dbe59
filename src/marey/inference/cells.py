"""Cells of videos: what the frozen backbone of a probe makes of them, computed once, kept, and pooled in any way.

Shape suffixes: V views, T frames, H height, W width, C channels; S, P, G, D, F as in `marey.models.probe.network`.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from marey.backends.backend import Backend, BackendReport
from marey.backends.choose import check_backend, open_backend
from marey.backends.compute import Compute
from marey.backends.device import pick_own_device
from marey.backends.precision import pick_precision
from marey.base.address import written
from marey.base.array_files import ArrayFiles
from marey.base.errors import DataError, RunError
from marey.base.processes import processor_seconds
from marey.base.reporter import SilentReporter, notice, progress, reporting
from marey.base.words import counted, verb
from marey.classifier import Classifier
from marey.data.files.identity import contents_of, identity_in, noted_of
from marey.data.files.quarantine import Broken, Quarantine
from marey.data.lists.videos import Videos
from marey.data.loading.clips import ViewDataset
from marey.data.loading.views import DecodedVideo, ViewItem
from marey.data.loading.workers import timed
from marey.evaluation.views import Views, read_ahead
from marey.inference.cell_files import cells_folder, probe_of
from marey.models.layers.folding import folded
from marey.models.probe.config import Pooling
from marey.models.probe.network import GRID, FrameProbe, Probe, blocks
from marey.models.probe.pooled import Pooled

_FRAMES = 4
"""Frames of a clip in one pass of a network of single frames on a CPU, so that maps stay in its caches and memory that is
freed serves the next pass: docs/performance/networks.md."""
_HELD = 31 << 20
"""Bytes, just below the 32 MiB from where on glibc gives every block that is freed back to the system."""
_MEASURED = 4
"""Videos by which an estimate is made, of which the first pays for what is set up once."""
_MOST_BYTES = 2e8
"""Of a file by which an estimate is made: a larger one may take longer to open than a measurement should."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of the videos of a list that could be read, in the list's order: read from their files when they are asked for.

    A file that was removed or damaged in the meantime is computed again, and a line says so.
    """

    rows: NDArray[np.int64]
    """[N], of the list asked for."""
    identities: NDArray[np.uint64]
    """What a checkpoint notes of all of them (`marey.data.files.identity.noted_of`), flat."""
    broken: tuple[Broken, ...]
    computed: int
    """Videos that went through the network in this call; the others were kept, or have the same content as another one."""
    core_seconds: float
    """Processor time of this call, over all cores and decoding processes: decoding, network and files."""
    seconds: float
    backend: BackendReport
    """What computed them; of those that were kept another one may have."""
    _work: "_Work"

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> NDArray[np.float16]:
        """[V, S, P, G, G, D], V views in the order of the test protocol: all crops of the first clip, then of the next.

        Raises:
            DataError: the file of the cells is gone, and the video cannot be read any more.
        """
        return self._work.of_row(int(self.rows[index]))

    def pooled(self, pooling: Pooling) -> Pooled:
        """The mean over views of the features of a pooling, file by file: memory holds them, and the cells of one video.

        Raises:
            DataError: there are no cells; or as for one video.
        """
        if not len(self):
            raise DataError(f"no features: none of {counted(len(self.broken), 'video')} could be read.")
        self._work.restore(self.rows.tolist())
        features: list[NDArray[np.float32]] = []
        widths: tuple[int, ...] = ()
        for index in range(len(self)):
            found = blocks(pooling, torch.from_numpy(self[index]).float())
            widths = tuple(block.shape[1] for block in found)
            features.append(torch.cat(found, dim=1).mean(dim=0).numpy())
        return Pooled(np.stack(features), widths)


@dataclass(frozen=True)
class Estimate:
    """What the cells of a list will cost."""

    videos: int
    kept: int
    """Whose cells are in the cache now."""
    seconds_a_clip: float | None
    """Of each of the others: of one core on a CPU, else of decoding and network one after the other. None: not known,
    because there are no others or those that were tried cannot be read."""
    cores: int
    """How many work at the same time; 1 where another device computes."""
    measured: int
    """Videos of `kept` that were computed for this estimate."""
    spent: float
    """Core-seconds of this estimate."""

    @property
    def missing(self) -> int:
        """Videos that have to go through the network, or may turn out to be broken."""
        return self.videos - self.kept

    @property
    def core_seconds(self) -> float | None:
        """Of all that are missing; None where that is not known."""
        if not self.missing:
            return 0.0
        return None if self.seconds_a_clip is None else self.missing * self.seconds_a_clip

    @property
    def seconds(self) -> float | None:
        """From beginning to end, on a machine that does nothing else; None where that is not known."""
        return None if self.core_seconds is None else self.core_seconds / self.cores


def compute_cells(
    model: Classifier,
    videos: Videos,
    compute: Compute = Compute(),  # noqa: B008 - frozen
    *,
    max_broken: float | None = None,
    quarantine: Quarantine | None = None,
) -> Cells:
    """The cells of all videos by the test protocol of the model's recipe; those in the cache are not computed again.

    A call that was interrupted goes on where it was: each video is kept when it is done. Several processes may work on the
    same videos; each computes what is not there when it begins.

    Args:
        model: Around a probe. Only its backbone is used, and left as it is: the pooling and the head may be any.
        videos: A `Manifest` or a `VideoList`.
        compute: Where and how the network runs. Its workers decode; on a CPU as many videos as torch has threads are in the
            network at the same time where it sees single frames.
        max_broken: More broken videos than this share stop the work, 0 to 1; None: more than 1 % and more than three do.
        quarantine: Where broken videos are noted and counted, in place of `max_broken`: the record of a run.

    Raises:
        RecipeError: the model's network is no probe.
        RunError: too many videos are broken; the machine lacks what `compute` asks for; a feature is no finite number of
            half precision; or MAREY_CACHE_LIMIT is no size.
    """
    if quarantine is None:
        quarantine = Quarantine(None, total=len(videos), max_share=max_broken)
    return _Work(model, videos, compute).run(quarantine)


def estimate_cells(model: Classifier, videos: Videos, compute: Compute = Compute()) -> Estimate:  # noqa: B008 - frozen
    """What `compute_cells` will cost for these videos, by computing up to four of those that are not in the cache; they are
    kept there, so that little is lost.

    Raises:
        RecipeError, RunError: as `compute_cells`.
    """
    return _Work(model, videos, compute).estimate()


class _Work:
    """The cells of one list by one network: which are there, and the computation of the others."""

    def __init__(self, model: Classifier, videos: Videos, compute: Compute) -> None:
        check_backend(compute)
        self.model, self.videos, self.compute = model, videos, compute
        self.probe, _ = probe_of(model)
        self.device = pick_own_device(compute.device)
        arithmetic = pick_precision(compute.precision, self.device)
        recipe = model.recipe
        self.views = ViewDataset(videos, recipe.test.sampling, recipe.pixels, recipe.flow, identify=True)
        self.whole = contents_of([written(videos[row].path) for row in range(len(videos))])
        self.keys = [self._key(row) for row in range(len(videos))]
        self.files = ArrayFiles(cells_folder(model, arithmetic), "features")
        self.kept = self.files.hold(dict.fromkeys(key for key in self.keys if key))

    def _key(self, row: int) -> int:
        """By which the cells of a row are known; 0 where its file cannot be read."""
        whole = int(self.whole[row])
        return identity_in(self.videos[row], whole) if whole else 0

    @cached_property
    def missing(self) -> list[int]:
        """Rows to compute: of equal content the first."""
        first: dict[int, int] = {}
        for row, key in enumerate(self.keys):
            if key not in self.kept:
                first.setdefault(key or -1 - row, row)
        return list(first.values())

    def run(self, broken: Quarantine) -> Cells:
        """Compute what is missing."""
        begun, start = processor_seconds(), time.perf_counter()
        failed = self._compute(self.missing, broken)
        reasons = {self.keys[row]: failure.reason for row, failure in failed.items() if self.keys[row]}
        rows = []
        for row, key in enumerate(self.keys):
            if row not in failed and key in reasons:
                failed[row] = Broken(self.videos[row].id, str(self.videos[row].path), reasons[key])
                broken.record(failed[row])
            if row not in failed:
                rows.append(row)
        noted = [identity for row in rows for identity in noted_of(self.videos[row], int(self.whole[row]))]
        return Cells(
            rows=np.array(rows, np.int64),
            identities=np.array(noted, np.uint64),
            broken=tuple(failed[row] for row in sorted(failed)),
            computed=len(self.missing) - sum(row in failed for row in self.missing),
            core_seconds=processor_seconds() - begun,
            seconds=time.perf_counter() - start,
            backend=self._backend.report() if self.missing else BackendReport(self.compute.backend, "eager"),
            _work=self,
        )

    def estimate(self) -> Estimate:
        """Measure on some of the missing videos, spread over the list."""
        begun, seconds = processor_seconds(), list(self._measured())
        later = seconds[1:] or seconds
        return Estimate(
            videos=len(self.videos),
            kept=len(self.videos) - len(self.missing) + len(seconds),
            seconds_a_clip=sum(later) / len(later) if later else None,
            cores=torch.get_num_threads() if self.device.type == "cpu" else 1,
            measured=len(seconds),
            spent=processor_seconds() - begun,
        )

    def _measured(self) -> Iterator[float]:
        """What each of some of the missing videos takes, which are spread over the list, and kept."""
        small = [
            row for row in self.missing
            if self.whole[row] and isinstance(path := self.videos[row].path, Path) and path.stat().st_size <= _MOST_BYTES
        ]  # fmt: skip
        some = small[:: max(1, len(small) // _MEASURED)][:_MEASURED]
        clock = time.process_time if self.device.type == "cpu" else time.perf_counter
        with reporting(SilentReporter()), _threads(1 if self._side_by_side else None):
            items = timed(self.views, some, workers=self.compute.workers, clock=time.process_time)
            for row, (item, decoding) in zip(some, items, strict=False):
                begun = clock()
                if not isinstance(self._keep(row, item), Broken):
                    yield decoding + clock() - begun

    def restore(self, rows: Sequence[int]) -> None:
        """Compute again what was removed since it was computed or found."""
        gone = list({self.keys[row]: row for row in rows if self.keys[row] not in self.files}.values())
        if gone:
            removed = counted(len(gone), "video")
            notice(
                f"the features of {removed} {verb(len(gone), 'was', 'were')} removed meanwhile, and are computed again"
            )
            for failure in self._compute(gone, Quarantine(None, total=len(gone), max_share=1)).values():
                raise DataError(f"{failure.reason}; it was readable before.")

    def of_row(self, row: int) -> NDArray[np.float16]:
        """Cells from the file, which is made anew where it is gone or damaged."""
        if (kept := self.files.read(self.keys[row])) is not None:
            cells: NDArray[np.float16] = kept["cells"][kept["places"]]
            return cells
        item = self.views[row]
        if isinstance(item, Broken):
            raise DataError(f"{item.reason}; it was readable before.")
        half, places = self._cells(item)
        self.files.write(self.keys[row], {"cells": half, "places": places})
        return half[places]

    def _compute(self, rows: Sequence[int], broken: Quarantine) -> dict[int, Broken]:
        """Compute and keep; gives those that cannot be read."""
        failed: dict[int, Broken] = {}
        items = zip(rows, read_ahead(self.views, rows, workers=self.compute.workers), strict=True)
        threads = torch.get_num_threads() if self._side_by_side else 1
        with progress("Features", total=len(rows), unit="videos") as bar:
            for row, done in zip(rows, _in_threads(lambda pair: self._keep(*pair), items, threads), strict=True):
                if isinstance(done, Broken):
                    failed[row] = done
                    broken.record(done)
                bar.advance(note=f"{len(failed)} broken" if failed else None)
        if rows:
            self.files.tidy()
        return failed

    def _keep(self, row: int, item: ViewItem) -> Broken | None:
        if isinstance(item, Broken):
            return item
        self.whole[row] = item.identity
        self.keys[row] = self._key(row)
        half, places = self._cells(item)
        self.files.write(self.keys[row], {"cells": half, "places": places})
        return None

    def _cells(self, video: DecodedVideo) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
        """Of the views that differ [U, S, P, G, G, D], and for each view of the protocol its place there."""
        cuts = Views.of(video, self.model.recipe.test, self.model.recipe.pixels)
        cells = torch.cat([self._of_views(views) for views in cuts.batches(self.compute.views)]).numpy()
        with np.errstate(over="ignore"):
            half = cells.astype(np.float16)
        if not np.isfinite(half).all():
            raise RunError(
                f"{video.id}: the backbone of {self.model.recipe.name} gives a feature that is no number, or beyond "
                "65504, the largest of half precision, in which features are kept: take other weights."
            )
        return half, cuts.places

    def _of_views(self, views_VTHWC: Tensor) -> Tensor:
        """[V, S, P, G, G, D]. A pair of frames is seen by itself, so that a part of them gives a part of the places."""
        parts = torch.tensor_split(views_VTHWC, self._passes(views_VTHWC.shape[1]), dim=1)
        shape = len(views_VTHWC), self.probe.streams, -1, GRID, GRID, self.probe.channels
        return torch.cat([self._backend.features(part).reshape(shape) for part in parts], dim=2)

    def _passes(self, frames: int) -> int:
        """How many passes see a clip of so many frames, all alike."""
        return frames // _FRAMES if self._side_by_side and frames % _FRAMES == 0 else 1

    @cached_property
    def _side_by_side(self) -> bool:
        """Whether each core of a CPU works on a video of its own: networks of single frames, whose passes are small. Threads
        that share one pass would wait for each other after each of its many short operations.
        """
        eager = self.compute.backend == "eager" and self.device.type == "cpu"
        return eager and isinstance(self.probe, FrameProbe)

    @cached_property
    def _backend(self) -> Backend:
        _hold_memory()
        network = _CellsNetwork(folded(self.probe))
        views = len(self.missing) * self.model.recipe.test.views
        return open_backend(Classifier(network, self.model.recipe), self.compute, views=views)


class _CellsNetwork(nn.Module):
    """A probe whose features are its cells, flat: what backends run.

    Args:
        probe: Is moved to the backend's device.
    """

    def __init__(self, probe: Probe) -> None:
        super().__init__()
        self.probe = probe

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        logits: Tensor = self.probe(clip_BCTHW)
        return logits

    def features(self, clip_BCTHW: Tensor) -> Tensor:
        """[B, S * P * G * G * D]"""
        return self.probe.cells(clip_BCTHW).flatten(1)


def _in_threads(function: Callable[[Item], Result], items: Iterator[Item], threads: int) -> Iterator[Result]:
    """`function` of each item in order, in so many threads, each of which leaves torch one core. One thread is this one, and
    leaves torch all of its own.
    """
    if threads == 1:
        yield from map(function, items)
        return
    with _threads(None), ThreadPoolExecutor(threads, initializer=_begin_thread) as pool:
        try:
            waiting: deque[Future[Result]] = deque()
            while True:
                # One more each than are at work, so that none waits while the next item is read.
                waiting.extend(pool.submit(function, item) for item in islice(items, 2 * threads - len(waiting)))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _begin_thread() -> None:
    torch.set_num_threads(1)
    _hold_memory()


def _hold_memory() -> None:
    """Let glibc keep the memory of maps between passes. It gives back what is freed in blocks larger than the largest that
    was freed before, up to 32 MiB, and the system then clears every page anew: a quarter of the time of a clip. Elsewhere
    this changes nothing.
    """
    torch.empty(_HELD, dtype=torch.uint8)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Within the block torch computes on `count` threads, None: as before; after it on as many as before, whatever other
    threads have set meanwhile.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
