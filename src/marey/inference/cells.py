"""Cells of videos: the feature maps of a probe's frozen backbone on a small grid, computed once, cached, and then pooled.

Shape suffixes: V views, U distinct views, T frames, H height, W width, C channels; S streams (frames, and for a network of
single frames difference images), P time steps, G rows and columns of the grid, D channels of the feature maps.
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
from marey.base.address import as_listed
from marey.base.array_files import ArrayFiles
from marey.base.errors import DataError, RunError
from marey.base.processes import processor_seconds
from marey.base.reporter import SilentReporter, notice, progress, reporting
from marey.base.words import counted, verb
from marey.classifier import Classifier
from marey.data.files.identity import entry_identity, file_identities, noted_identities
from marey.data.files.quarantine import Broken, Quarantine
from marey.data.lists.videos import Videos
from marey.data.loading.datasets import ViewDataset
from marey.data.loading.view_decoder import DecodedVideo, ViewItem
from marey.data.loading.workers import timed_items
from marey.evaluation.views import Views, read_ahead
from marey.inference.cell_files import cells_folder, probe_of
from marey.models.layers.folding import fold_batch_norms
from marey.models.probe.config import Pooling
from marey.models.probe.network import GRID, FrameProbe, Probe, pool_cells
from marey.models.probe.pooled import PooledFeatures

_FRAMES = 4
"""Frames per forward pass of a network of single frames on a CPU: feature maps then fit into its caches, and freed memory is
reused by the next pass (docs/performance/networks.md)."""
_RETAINED = 31 << 20
"""Bytes, just below 32 MiB: glibc returns larger blocks to the system whenever they are freed."""
_MEASURED = 4
"""Videos that an estimate measures, at most. The first one includes set-up, and is left out if there are others."""
_VIEWS = "places"
"""The key of a file's second array: for each view, the index of its cells."""
_MAX_BYTES = 2e8
"""Bytes of the largest file that an estimate measures: opening a larger one may take too long."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of the readable videos of a list, in the list's order. They are read from the cache on access.

    If a cache file was removed or damaged in the meantime, its cells are computed again, with a notice.
    """

    rows: NDArray[np.int64]
    """[N]: the row of each video in the list."""
    identities: NDArray[np.uint64]
    """The identities of these videos, and for segments those of their files, as a checkpoint records them
    (`marey.data.files.identity.noted_identities`)."""
    broken: tuple[Broken, ...]
    """The videos of the list that cannot be read."""
    computed: int
    """Videos that went through the network in this call; the others were cached, or are copies of another video."""
    core_seconds: float
    """Processor time of this call in seconds, over all cores and decoding processes: decoding, network and files."""
    seconds: float
    """Elapsed time of this call in seconds."""
    backend: BackendReport
    """The backend of this call; cached cells may come from another one."""
    _computation: "_CellComputation"
    """What reads cells from the cache, and computes missing ones again."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> NDArray[np.float16]:
        """[V, S, P, G, G, D], V views in the order of the test protocol: all crops of the first clip, then of the next.

        Raises:
            DataError: the cache file was removed, and the video cannot be read any more.
        """
        return self._computation.of_row(int(self.rows[index]))

    def pooled(self, pooling: Pooling) -> PooledFeatures:
        """The pooled features of all videos, averaged over views. Memory holds the features, and the cells of one video.

        Raises:
            DataError: there are no cells; or as `__getitem__`.
        """
        if not len(self):
            raise DataError(f"no features: none of {counted(len(self.broken), 'video')} could be read.")
        self._computation.restore(self.rows.tolist())
        features: list[NDArray[np.float32]] = []
        widths: tuple[int, ...] = ()
        for index in range(len(self)):
            found = pool_cells(pooling, torch.from_numpy(self[index]).float())
            widths = tuple(block.shape[1] for block in found)
            features.append(torch.cat(found, dim=1).mean(dim=0).numpy())
        return PooledFeatures(np.stack(features), widths)


@dataclass(frozen=True)
class Estimate:
    """What computing the cells of a list will cost."""

    videos: int
    """The number of videos of the list."""
    cached: int
    """Videos whose cells are in the cache now."""
    seconds_a_video: float | None
    """Seconds for each video that is not cached (all its views): core-seconds on a CPU, else elapsed seconds of decoding and
    network. None: not known, because there are no such videos, or those that were tried cannot be read."""
    cores: int
    """Cores that work at the same time; 1 if another device computes."""
    measured: int
    """Videos of `cached` that were computed for this estimate."""
    spent: float
    """Core-seconds that this estimate took."""

    @property
    def missing(self) -> int:
        """Videos whose cells are not in the cache; some may turn out to be broken."""
        return self.videos - self.cached

    @property
    def core_seconds(self) -> float | None:
        """Core-seconds for all missing videos; elapsed seconds if another device than the CPU computes. None: not known."""
        if not self.missing:
            return 0.0
        return None if self.seconds_a_video is None else self.missing * self.seconds_a_video

    @property
    def seconds(self) -> float | None:
        """Elapsed seconds for all missing videos, on a machine that does nothing else; None if that is not known."""
        return None if self.core_seconds is None else self.core_seconds / self.cores


def compute_cells(
    model: Classifier,
    videos: Videos,
    compute: Compute = Compute(),  # noqa: B008 - frozen
    *,
    max_broken: float | None = None,
    quarantine: Quarantine | None = None,
) -> Cells:
    """Compute the cells of all videos by the test protocol of the model's recipe, except for those in the cache.

    Each video is cached when it is done, so that an interrupted call is resumed. Several processes may work on the same
    videos; each computes what is not in the cache when it starts.

    Args:
        model: A classifier around a probe. Only its backbone is used, and it is not changed; pooling and head do not matter.
        videos: A `Manifest` or a `VideoList`.
        compute: Where and how the network runs. Its workers decode. A network of single frames on a CPU computes as many
            videos at the same time as torch has threads.
        max_broken: A larger share of broken videos stops the work, 0 to 1; None: more than 1 % and more than three do.
        quarantine: The record of broken videos of a run, which replaces `max_broken`; None: a new one.

    Raises:
        RecipeError: the model's network is not a probe.
        RunError: too many videos are broken; the machine lacks what `compute` asks for; a feature is not a finite number in
            half precision; or MAREY_CACHE_LIMIT is not a size.
    """
    if quarantine is None:
        quarantine = Quarantine(None, total=len(videos), max_share=max_broken)
    return _CellComputation(model, videos, compute).run(quarantine)


def estimate_cells(model: Classifier, videos: Videos, compute: Compute = Compute()) -> Estimate:  # noqa: B008 - frozen
    """Estimate what `compute_cells` will cost for these videos, by computing up to four of those that are not in the cache;
    their cells are cached, so that the work is not lost.

    Raises:
        RecipeError, RunError: as `compute_cells`.
    """
    return _CellComputation(model, videos, compute).estimate()


class _CellComputation:
    """The cells of one list from one network: which of them are cached, and the computation of the others."""

    def __init__(self, model: Classifier, videos: Videos, compute: Compute) -> None:
        check_backend(compute)
        self.model, self.videos, self.compute = model, videos, compute
        self.probe, _ = probe_of(model)
        self.device = pick_own_device(compute.device)
        arithmetic = pick_precision(compute.precision, self.device)
        recipe = model.recipe
        self.views = ViewDataset(videos, recipe.test.sampling, recipe.pixels, recipe.flow, identify=True)
        self.contents = file_identities([as_listed(videos[row].path) for row in range(len(videos))])
        self.keys = [self._key(row) for row in range(len(videos))]
        self.files = ArrayFiles(cells_folder(model, arithmetic), "features")
        self.cached = self.files.hold(dict.fromkeys(key for key in self.keys if key))

    def _key(self, row: int) -> int:
        """The key of a row's cells in the cache, from the content of its video; 0 if the file cannot be read."""
        content = int(self.contents[row])
        return entry_identity(self.videos[row], content) if content else 0

    @cached_property
    def missing(self) -> list[int]:
        """The rows to compute; of videos with equal content only the first."""
        first: dict[int, int] = {}
        for row, key in enumerate(self.keys):
            if key not in self.cached:
                first.setdefault(key or -1 - row, row)
        return list(first.values())

    def run(self, broken: Quarantine) -> Cells:
        """Compute the missing cells."""
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
        noted = [identity for row in rows for identity in noted_identities(self.videos[row], int(self.contents[row]))]
        return Cells(
            rows=np.array(rows, np.int64),
            identities=np.array(noted, np.uint64),
            broken=tuple(failed[row] for row in sorted(failed)),
            computed=len(self.missing) - sum(row in failed for row in self.missing),
            core_seconds=processor_seconds() - begun,
            seconds=time.perf_counter() - start,
            backend=self._backend.report() if self.missing else BackendReport(self.compute.backend, "eager"),
            _computation=self,
        )

    def estimate(self) -> Estimate:
        """Estimate the cost by measuring some of the missing videos."""
        start, seconds = processor_seconds(), list(self._measured())
        later = seconds[1:] or seconds
        return Estimate(
            videos=len(self.videos),
            cached=len(self.videos) - len(self.missing) + len(seconds),
            seconds_a_video=sum(later) / len(later) if later else None,
            cores=torch.get_num_threads() if self.device.type == "cpu" else 1,
            measured=len(seconds),
            spent=processor_seconds() - start,
        )

    def _measured(self) -> Iterator[float]:
        """Compute and cache some of the missing videos, spread over the list; yields the seconds of each."""
        small = [
            row for row in self.missing
            if self.contents[row] and isinstance(path := self.videos[row].path, Path) and path.stat().st_size <= _MAX_BYTES
        ]  # fmt: skip
        some = small[:: max(1, len(small) // _MEASURED)][:_MEASURED]
        clock = time.process_time if self.device.type == "cpu" else time.perf_counter
        with reporting(SilentReporter()), _threads(1 if self._one_video_per_core else None):
            items = timed_items(self.views, some, workers=self.compute.workers, clock=time.process_time)
            for row, (item, decoding) in zip(some, items, strict=False):
                begun = clock()
                if not isinstance(self._cache(row, item), Broken):
                    yield decoding + clock() - begun

    def restore(self, rows: Sequence[int]) -> None:
        """Compute again the cells whose cache files were removed since they were computed or found."""
        removed = list({self.keys[row]: row for row in rows if self.keys[row] not in self.files}.values())
        if removed:
            videos = counted(len(removed), "video")
            notice(
                f"the features of {videos} {verb(len(removed), 'was', 'were')} removed meanwhile, and are computed again"
            )
            for failure in self._compute(removed, Quarantine(None, total=len(removed), max_share=1)).values():
                raise DataError(f"{failure.reason}; it was readable before.")

    def of_row(self, row: int) -> NDArray[np.float16]:
        """The cells of a row from the cache; they are computed again if the file was removed or is damaged."""
        if (arrays := self.files.read(self.keys[row])) is not None:
            cells: NDArray[np.float16] = arrays["cells"][arrays[_VIEWS]]
            return cells
        item = self.views[row]
        if isinstance(item, Broken):
            raise DataError(f"{item.reason}; it was readable before.")
        half, index = self._cells(item)
        self.files.write(self.keys[row], {"cells": half, _VIEWS: index})
        return half[index]

    def _compute(self, rows: Sequence[int], broken: Quarantine) -> dict[int, Broken]:
        """Compute and cache the cells of these rows; returns the rows that cannot be read."""
        failed: dict[int, Broken] = {}
        items = zip(rows, read_ahead(self.views, rows, workers=self.compute.workers), strict=True)
        threads = torch.get_num_threads() if self._one_video_per_core else 1
        with progress("Features", total=len(rows), unit="videos") as bar:
            for row, done in zip(rows, _in_threads(lambda pair: self._cache(*pair), items, threads), strict=True):
                if isinstance(done, Broken):
                    failed[row] = done
                    broken.record(done)
                bar.advance(note=f"{len(failed)} broken" if failed else None)
        if rows:
            self.files.tidy()
        return failed

    def _cache(self, row: int, item: ViewItem) -> Broken | None:
        """Compute and cache the cells of a decoded video; returns a broken one."""
        if isinstance(item, Broken):
            return item
        self.contents[row] = item.identity
        self.keys[row] = self._key(row)
        half, index = self._cells(item)
        self.files.write(self.keys[row], {"cells": half, _VIEWS: index})
        return None

    def _cells(self, video: DecodedVideo) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
        """The cells of the distinct views [U, S, P, G, G, D], and for each view of the protocol its index among them."""
        views = Views.of(video, self.model.recipe.test, self.model.recipe.pixels)
        cells = torch.cat([self._of_views(batch) for batch in views.batches(self.compute.views)]).numpy()
        with np.errstate(over="ignore"):
            half = cells.astype(np.float16)
        if not np.isfinite(half).all():
            raise RunError(
                f"{video.id}: the backbone of {self.model.recipe.name} gives a feature that is not a number, or is "
                "above 65504, the largest number in half precision, in which features are cached: use other weights."
            )
        return half, views.index

    def _of_views(self, views_VTHWC: Tensor) -> Tensor:
        """Cells [V, S, P, G, G, D]. For a network of single frames a clip is pairs of frames, each pair computed for itself,
        so that the clip can be split along time.
        """
        chunks = torch.tensor_split(views_VTHWC, self._passes(views_VTHWC.shape[1]), dim=1)
        shape = len(views_VTHWC), self.probe.streams, -1, GRID, GRID, self.probe.channels
        return torch.cat([self._backend.features(chunk).reshape(shape) for chunk in chunks], dim=2)

    def _passes(self, frames: int) -> int:
        """The number of forward passes, of equal size, for a clip of so many frames."""
        return frames // _FRAMES if self._one_video_per_core and frames % _FRAMES == 0 else 1

    @cached_property
    def _one_video_per_core(self) -> bool:
        """Whether each core of a CPU computes a video of its own: for networks of single frames, whose passes are small.
        Threads that share one pass would wait for each other after each of its many short operations.
        """
        eager = self.compute.backend == "eager" and self.device.type == "cpu"
        return eager and isinstance(self.probe, FrameProbe)

    @cached_property
    def _backend(self) -> Backend:
        _retain_memory()
        network = _CellsNetwork(fold_batch_norms(self.probe))
        views = len(self.missing) * self.model.recipe.test.views
        return open_backend(Classifier(network, self.model.recipe), self.compute, views=views)


class _CellsNetwork(nn.Module):
    """A probe whose features are its cells, flattened, so that backends can run it.

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
    """Yield `function(item)` in order, computed by so many threads, in each of which torch uses one core. A single thread is
    the calling one, and torch uses all cores.
    """
    if threads == 1:
        yield from map(function, items)
        return
    with _threads(None), ThreadPoolExecutor(threads, initializer=_start_thread) as pool:
        try:
            waiting: deque[Future[Result]] = deque()
            while True:
                # Two items per thread, so that no thread waits while the next item is read.
                waiting.extend(pool.submit(function, item) for item in islice(items, 2 * threads - len(waiting)))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _start_thread() -> None:
    torch.set_num_threads(1)
    _retain_memory()


def _retain_memory() -> None:
    """Make glibc retain the memory of feature maps between passes, by freeing one block of almost 32 MiB. glibc returns
    freed blocks to the system that are larger than the largest one freed before, up to 32 MiB, and the system then
    clears all pages again, which takes a quarter of the time of a clip. With other allocators this has no effect.
    """
    torch.empty(_RETAINED, dtype=torch.uint8)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Within the block torch computes on `count` threads (None: unchanged). After it the earlier number is restored, even if
    other threads have changed it.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
