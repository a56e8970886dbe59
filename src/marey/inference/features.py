"""The features of videos as arrays, one file per video, for long lists whose computation may be interrupted."""

import csv
import hashlib
import operator
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from numpy.typing import NDArray

from marey.backends.backend import Backend, BackendReport
from marey.backends.choose import check_backend, open_backend
from marey.backends.compute import Compute, ComputeOptions
from marey.backends.device import device_text, notice_spare_accelerator, pick_own_device
from marey.backends.precision import pick_precision
from marey.base.address import Location
from marey.base.claim import Claim, Command, OutputPath
from marey.base.errors import DataError, in_python_words
from marey.base.files import atomic_path
from marey.base.jsonable import BYTES, Json
from marey.base.notebook import keep_end
from marey.base.options import Arithmetic
from marey.base.processes import processes
from marey.base.readme import write_parent_readme, write_readme
from marey.base.reporter import notice, progress, work_summary, work_summary_pending
from marey.base.runs import next_run, results_folder
from marey.base.words import about, counted, verb
from marey.classifier import Classifier, require_classifier
from marey.data.files.missing import require_files
from marey.data.files.quarantine import Broken, Quarantine, broken_list
from marey.data.lists.read_videos import VideosLike, as_videos
from marey.data.lists.videos import VideoList, seconds_text
from marey.data.loading.datasets import ViewDataset
from marey.data.loading.view_decoder import DecodedVideo
from marey.evaluation.protocol import model_settings
from marey.evaluation.time_estimate import expected_time
from marey.evaluation.views import Views, read_ahead
from marey.inference.cell_files import probe_of
from marey.inference.cells import compute_cells, estimate_cells
from marey.models.probe.network import Probe, pool_cells
from marey.recipe import Recipe
from marey.weights.load import as_classifier

INDEX = "index.csv"
_COLUMNS = ("video", "start", "end", "file", "error")
_FRAME_COLUMNS = ("start_frame", "end_frame")
"""Further columns at the end, if the list names segments by frames."""


@dataclass(frozen=True, eq=False, repr=False)
class Features:
    """The features of a list of videos in a folder; index i is the i-th readable video.

    Arrays are read from their files on access: `features[i]`, or all of them by `read()`. Later calls that add other lists
    to the folder do not change this object. Of several processes only the first waits until all files exist.
    """

    out: Path
    """The folder that holds the features, one .npy file for each video."""
    listed: VideoList
    """All videos of the list."""
    computed: int
    """Files that this call wrote in this process; the others existed already."""
    broken: tuple[Broken, ...]
    """Videos that could not be read, each once."""
    backend: BackendReport
    """The backend that computed these files, and its difference from eager float32."""

    @property
    def videos(self) -> int:
        """The number of entries of the list."""
        return len(self.listed)

    @cached_property
    def readable(self) -> VideoList:
        """The videos that have features, in the list's order."""
        failed = {broken.id for broken in self.broken}
        rows = [row for row, video in enumerate(self.listed) if video.id not in failed]
        return self.listed[np.array(rows, np.int64)]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the videos that have features."""
        return tuple(video.id for video in self.readable)

    @property
    def paths(self) -> tuple[Location, ...]:
        """The paths of the videos that have features."""
        return tuple(video.path for video in self.readable)

    def __len__(self) -> int:
        return len(self.readable)

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        """The features of one video: [D], or [clips, D] if they were computed with `per_clip`.

        Raises:
            DataError: the file was removed.
            TypeError: `index` is not an integer.
        """
        try:
            index = operator.index(index)
        except TypeError:
            raise TypeError(
                f"features[{index!r}]: one video at a time: give a whole number, or `read()` all."
            ) from None
        video = self.readable[index]
        path = self.out / file_name(video.id)
        try:
            array: NDArray[np.float32] = np.load(path, allow_pickle=False)
        except FileNotFoundError:
            raise DataError(
                f"{path}: no such file; `marey.features` computes the features of {video.id} again."
            ) from None
        return array

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        return (self[index] for index in range(len(self)))

    def read(self) -> NDArray[np.float32]:
        """All features, [N, D] or [N, clips, D], in the order of `ids`.

        Raises:
            DataError: there are none.
        """
        if not len(self):
            raise DataError(
                f"{self.out}: no features to read: none of {counted(self.videos, 'video')} could be decoded."
            )
        return np.stack(list(self))

    def as_json(self) -> dict[str, Json]:
        """The folder, the counts and the broken files."""
        found: dict[str, Json] = {
            "out": str(self.out), "videos": self.videos, "computed": self.computed,
            "broken": [vars(broken) for broken in self.broken],
        }  # fmt: skip
        named = self.computed and self.backend.asked != "eager"
        return found | {"backend": self.backend.as_json()} if named else found

    def summary(self) -> str:
        """One line of text: the folder, how many videos, and which file names them."""
        broken = f", {len(self.broken)} broken (named in {INDEX})" if self.broken else ""
        videos = counted(len(self), "video")
        return f"{self.out}: features of {videos}, {self.computed} written now{broken}; {INDEX} names the files"

    def __repr__(self) -> str:
        broken = f", {len(self.broken)} broken" if self.broken else ""
        return f"Features({keep_end(str(self.out), 90)!r}: {counted(len(self), 'video')}{broken})"


@in_python_words()
def features(
    model: Classifier | Recipe | str | Path,
    videos: VideosLike,
    *,
    out: str | Path | None = None,
    per_clip: bool = False,
    root: str | Path | None = None,
    compute: Compute = Compute(),  # noqa: B008 - frozen
    **options: Unpack[ComputeOptions],
) -> Features:
    """Compute the pooled features of each video, over the views of `model.recipe.test`, as float32 .npy files in `out`.

    For a probe (a classifier of `marey train FOLDER`) the features of its backbone are cached in half precision, and reused
    by later calls and trainings.

    An interrupted call is resumed: arrays that exist are not computed again, and each file is written atomically. A
    call with another list adds to the folder; videos are recognised by their ids, which are the paths in their lists.
    Under several processes (torchrun) each video is computed by exactly one of them.

    Args:
        model: As `load_model` gives it, or a `Classifier` around your own module; or what `load_model` takes: a checkpoint,
            the folder of a run, a recipe or its name.
        videos: As `marey.predict` takes them: the path of a video, of a folder of videos or of a list; several of them; or a
            list of videos, with labels or without.
        out: The folder of the files: NAME-HASH.npy for each video, broken.jsonl, and at the end index.csv (video,
            start, end, file, error) for the videos of this call. None: `features-<list>-1` inside the run that `model`
            names, else the first of `runs/<name>-features-1`, -2, ... that does not exist.
        per_clip: Whether to write [clips, D], each the mean over the crops of a clip; else [D], the mean over all views.
        root: Folder that the list's paths are relative to.
        compute: Where and how the network runs, as `marey.evaluate` takes it.
        **options: Fields of `compute` by name: device="cuda", batch=16, workers=4.

    Raises:
        RunError: `out` belongs to another model or protocol, or another process is writing there; this machine lacks the
            device, or the device lacks the precision.
        DataError: `videos` is a path that does not exist or holds no video; or no file of a list exists.
    """
    listed = as_videos(videos, root=root)
    require_files(listed)
    out = _results_folder(model, videos) if out is None else Path(out)
    folder = _FeatureFolder(out, listed, processes().rank, processes().world)
    compute = compute.changed(**options)
    check_backend(compute)
    model = as_classifier(model)
    device = pick_own_device(compute.device)
    precision = pick_precision(compute.precision, device, tell=False)
    identity = model_settings(model, per_clip=per_clip, precision=precision)
    share = folder.rank if folder.world > 1 else None
    notice_spare_accelerator(compute.device)
    facts = {} if model.origin is None else {"weights_file": model.origin.model_dump(mode="json")}
    with Claim(OutputPath.folder(out), Command.FEATURES, identity, facts=facts, share=share).held() as resumed:
        if resumed and share is None:
            folder.remove_unfinished()
        return folder.run(model, compute, per_clip=per_clip)


def _results_folder(model: Classifier | Recipe | str | Path, videos: object) -> Path:
    """The default folder: in the run that `model` names, else below runs/."""
    if isinstance(model, str | Path):
        data = Path(videos) if isinstance(videos, str | Path) else None
        return results_folder("features", str(model), data=data, option="out=")
    if isinstance(model, Recipe):
        return next_run(f"{model.name}-features", option="out=")
    require_classifier(model)
    return next_run(f"{model.recipe.name}-features", option="out=")


def file_name(video: str) -> str:
    """The name of the file of a video's features: readable, valid on every system, and unique."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(video).stem).strip("._")[:60] or "video"
    return f"{readable}-{hashlib.sha256(video.encode('utf-8', BYTES)).hexdigest()[:32]}.npy"


class _FeatureFolder:
    """One folder of features, and the computation of those that are missing: a video is done when its file exists."""

    def __init__(self, out: Path, videos: VideoList, rank: int, world: int) -> None:
        self.out, self.videos, self.rank, self.world = out, videos, rank, world
        self.ids = [sample.id for sample in videos]
        self.names = [file_name(video) for video in self.ids]

    def run(self, model: Classifier, compute: Compute, *, per_clip: bool) -> Features:
        """Compute what is missing; the first process then waits for the others and writes the index."""
        rows, broken = self._rows_to_do()
        compute_rows = self._pool_cells if isinstance(model.network, Probe) else self._run_network
        computed, report = compute_rows(model, compute, rows, broken, per_clip=per_clip)
        if self.rank:
            return Features(self.out, self.videos, computed, broken.files, report)
        found = self._wait_for_all()
        self._write_index(found)
        write_readme(self.out)
        write_parent_readme(self.out)
        return Features(self.out, self.videos, computed, tuple(found.values()), report)

    def _run_network(
        self, model: Classifier, compute: Compute, rows: list[int], broken: Quarantine, *, per_clip: bool
    ) -> tuple[int, BackendReport]:
        """The number of files written, and the report of the backend."""
        test = model.recipe.test
        backend = open_backend(model, compute, views=len(rows) * test.views)
        views = ViewDataset(self.videos, test.sampling, model.recipe.pixels, model.recipe.flow)
        expected = expected_time(backend, views, test, rows, compute)
        self._announce(model, backend.device, backend.precision, expected)
        computed = 0
        with progress("Features", total=len(rows), unit="videos") as bar:
            for row, item in zip(rows, read_ahead(views, rows, workers=compute.workers), strict=True):
                if isinstance(item, Broken):
                    broken.record(item)
                else:
                    found = features_of(item, backend, model.recipe, batch=compute.views, per_clip=per_clip)
                    self._save(self.names[row], found)
                    computed += 1
                bar.advance(note=f"{len(broken)} broken" if len(broken) else None)
        return computed, backend.report()

    def _pool_cells(
        self, model: Classifier, compute: Compute, rows: list[int], broken: Quarantine, *, per_clip: bool
    ) -> tuple[int, BackendReport]:
        """As `_run_network`, for a probe: its cells are cached for later runs, or come from earlier ones."""
        network, _ = probe_of(model)
        videos = self.videos[np.array(rows, np.int64)]
        device = pick_own_device(compute.device)
        expected = ""
        if work_summary_pending():
            estimate = estimate_cells(model, videos, compute)
            seconds = "" if estimate.seconds is None else f", {about(estimate.seconds)}"
            expected = f"; {estimate.cached:,} cached{seconds}"
        self._announce(model, device, pick_precision(compute.precision, device, tell=False), expected)
        cells = compute_cells(model, videos, compute, quarantine=broken)
        for index, row in enumerate(cells.rows.tolist()):
            features_VD = torch.cat(pool_cells(network.pooling, torch.from_numpy(cells[index]).float()), dim=1).numpy()
            clips = model.recipe.test.sampling.clips if per_clip else None
            self._save(self.names[rows[row]], _averaged(features_VD, clips=clips))
        return len(cells), cells.backend

    def _announce(self, model: Classifier, device: torch.device, precision: Arithmetic, expected: str) -> None:
        videos = counted(len(self.videos), "video")
        work_summary(f"{videos}: features of {model.recipe.name} on {device_text(device)}, {precision}{expected}")

    def remove_unfinished(self) -> None:
        """Remove the temporary files of a process that was killed."""
        for temporary in self.out.glob(".*.npy"):
            temporary.unlink()

    def _rows_to_do(self) -> tuple[list[int], Quarantine]:
        record = broken_list(self.out, rank=self.rank)
        broken = Quarantine(record, total=len(self.videos), max_share=1, ids=set(self.ids))
        done, failed = self._existing(), {b.id for b in broken.files}
        first = {name: row for row, name in reversed(list(enumerate(self.names)))}  # a video may be listed twice
        mine = sorted(first.values())[self.rank :: self.world]
        rows = [row for row in mine if self.names[row] not in done and self.ids[row] not in failed]
        if len(rows) < len(mine):
            finished = len(mine) - len(rows)
            notice(f"resumed: {finished} of {counted(len(mine), 'video')} {verb(finished, 'is', 'are')} done already")
        return rows, broken

    def _existing(self) -> set[str]:
        return {path.name for path in self.out.iterdir() if path.suffix == ".npy"}

    def _save(self, name: str, values: NDArray[np.float32]) -> None:
        with atomic_path(self.out / name) as temporary:
            np.save(temporary, values)

    def _wait_for_all(self) -> dict[str, Broken]:
        """Wait until every video has a file or is in a process's record of broken files; returns the broken ones by id."""
        while True:
            existing = self._existing()
            found = {b.id: b for b in self._broken()}
            if all(name in existing or video in found for name, video in zip(self.names, self.ids, strict=True)):
                return {video: found[video] for video in self.ids if video in found}
            time.sleep(0.3)

    def _broken(self) -> Iterator[Broken]:
        for record in self.out.glob("broken*.jsonl"):
            yield from Quarantine(record, total=len(self.videos), max_share=1, ids=set(self.ids)).files

    def _write_index(self, broken: dict[str, Broken]) -> None:
        with (
            atomic_path(self.out / INDEX) as temporary,
            temporary.open("w", newline="", encoding="utf-8", errors=BYTES) as file,
        ):
            writer = csv.writer(file, lineterminator="\n")
            framed = self.videos.frame_ranges is not None
            writer.writerow([*_COLUMNS, *(_FRAME_COLUMNS if framed else ())])
            for sample, name in zip(self.videos, self.names, strict=True):
                times = map(seconds_text, (sample.start, sample.end))
                frames = (sample.start_frame, sample.end_frame) if framed else ()
                failed = broken.get(sample.id)
                writer.writerow([sample.path, *times, "" if failed else name, failed.reason if failed else "", *frames])


def features_of(
    video: DecodedVideo, backend: Backend, recipe: Recipe, *, batch: int, per_clip: bool
) -> NDArray[np.float32]:
    """The pooled features of one video: [D], the mean over all views; with `per_clip` [clips, D], each the mean over
    crops.
    """
    views = Views.of(video, recipe.test, recipe.pixels)
    features_VD = torch.cat([backend.features(distinct) for distinct in views.batches(batch)]).numpy()[views.index]
    return _averaged(features_VD, clips=len(video.clips) if per_clip else None)


def _averaged(features_VD: NDArray[np.float32], *, clips: int | None) -> NDArray[np.float32]:
    """The mean [D], or [clips, D]; the views are all crops of the first clip, then of the next one."""
    shape = (len(features_VD), -1) if clips is None else (clips, len(features_VD) // clips, -1)
    averaged: NDArray[np.float32] = features_VD.reshape(shape).mean(axis=len(shape) - 2)
    return averaged
