"""Test a network on labelled videos: `marey.evaluate`."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from numpy.typing import NDArray

from marey.backends.backend import Backend
from marey.backends.choose import check_backend, open_backend
from marey.backends.compute import Compute, ComputeOptions
from marey.backends.device import device_text, notice_spare_accelerator
from marey.base.errors import DataError, RunError, in_python_words
from marey.base.processes import processes
from marey.base.reporter import notice, progress, work_summary
from marey.base.words import counted, percent
from marey.classifier import Classifier
from marey.data.files.missing import check_present
from marey.data.files.quarantine import Broken
from marey.data.lists.manifest import Manifest
from marey.data.lists.videos import classes_text
from marey.data.loading.datasets import ViewDataset
from marey.data.splits.common_videos import keep_common as restricted
from marey.evaluation.compare import compare
from marey.evaluation.long_videos import LongVideos
from marey.evaluation.protocol import Restriction, protocol_of
from marey.evaluation.result import EvaluationResult
from marey.evaluation.resumable import ResumableTest, claim_folder
from marey.evaluation.scores import Scores
from marey.evaluation.tested_list import as_labelled
from marey.evaluation.time_estimate import expected_time
from marey.evaluation.views import read_ahead, score_video
from marey.recipe import Recipe
from marey.tasks.choose import task_of
from marey.weights.load import as_classifier


@in_python_words()
def evaluate(
    model: Classifier | Recipe | str | Path,
    data: Manifest | str | Path,
    *,
    out: str | Path | None = None,
    root: str | Path | None = None,
    classes: str | Path | Sequence[str] | None = None,
    split: str | None = None,
    only: str | Path | None = None,
    max_broken: float | None = None,
    compute: Compute = Compute(),  # noqa: B008 - frozen
    **options: Unpack[ComputeOptions],
) -> EvaluationResult:
    """Test `model` by the protocol of its recipe.

    Each video is decoded once for all its views (clips times crops), and the views' scores are averaged.

    Args:
        model: A `Classifier`, from `load_model`, `build_model` or around your own module; or what `load_model` takes: a
            checkpoint, the folder of a run, a recipe or its name.
        data: A manifest, or a list or folder to read one from.
        out: Folder for scores.npz, result.json and broken.jsonl. An interrupted run is resumed there.
        root: Folder that the list's paths are relative to.
        classes: Class names in order, or a file of them, for weights or lists that do not name them.
        split: The split that is tested; None: all videos.
        only: A list of videos: only those that it names are scored, and a notice counts the others.
        max_broken: The largest share of broken files, 0 to 1, with which the run continues. None: it stops at more than
            three broken files that are more than 1 %.
        compute: Device, precision, views per forward pass, decoding processes and backend.
        options: Fields of `compute` by name: device="cuda", precision="bfloat16", batch=16, workers=4, backend="auto".

    Under several processes (torchrun) every video is tested by exactly one of them. Process 0 writes and returns the result
    of all videos; each other process returns that of its own videos.

    Raises:
        RunError: `out` holds another run, another process works there, or it cannot be written; too many files are
            broken; this machine lacks the device, or the device lacks the precision.
        DataError: the list cannot be read or its labels are not the network's classes; videos have several labels, and the
            recipe's task has one; no file of the list exists; or no video could be tested.
    """
    compute = compute.changed(**options)
    check_backend(compute)
    model = as_classifier(model)
    data = as_labelled(data, model, root=root, classes=classes, split=split)
    task_of(model.recipe.task).require_labels(data, model.recipe.name)
    overlap = restricted(data, only) if only is not None else None
    data = overlap.manifest if overlap else data
    protocol = protocol_of(model, data, compute)
    if overlap:
        notice(f"{only}: {overlap}")
        restriction = Restriction(list=str(only), left_out=overlap.left_out, missing=overlap.missing)
        protocol = protocol.model_copy(update={"only": restriction})
    missing = check_present(max_broken, data)
    if processes().world > 1 and out is None:
        raise RunError("evaluate under several processes needs out=FOLDER, where they bring their scores together.")
    with contextlib.nullcontext() if out is None else claim_folder(Path(out), protocol, data).held():
        test = ResumableTest(Path(out) if out else None, protocol, data, max_broken, missing)
        notice_spare_accelerator(compute.device)
        rows = test.rows_to_do()
        backend = open_backend(model, compute, views=len(rows) * model.recipe.test.views)
        views = ViewDataset(data, model.recipe.test.sampling, model.recipe.pixels, model.recipe.flow, identify=True)
        split = f", split {data.split_names[0]}" if len(data.split_names) == 1 else ""
        work_summary(
            f"{counted(len(data), 'video')}{split}, {classes_text(data.class_names)}: testing {model.recipe.name} on "
            f"{device_text(backend.device)}, {backend.precision}"
            f"{expected_time(backend, views, model.recipe.test, rows, compute)}"
        )
        test.collect(_scored(backend, model, views, rows, compute), backend)
        test.wait_for_all()
        result = _evaluation_result(test, model)
        test.write(result)
        return result


def _scored(
    backend: Backend, model: Classifier, views: ViewDataset, rows: Sequence[int], compute: Compute
) -> Iterator[tuple[int, NDArray[np.float32] | Broken, int]]:
    """For each of `rows`: the row, the video's probabilities [K] or its broken file, and the identity of its content."""
    test, pixels = model.recipe.test, model.recipe.pixels
    task, long = task_of(model.recipe.task), LongVideos(model)
    decoded = read_ahead(views, rows, workers=compute.workers)
    with progress("Testing", total=len(rows), unit="videos") as bar:
        right, note = 0, ""
        for done, (row, item) in enumerate(zip(rows, decoded, strict=True), start=1):
            if isinstance(item, Broken):
                yield row, item, 0
            else:
                scores = score_video(
                    backend, item, test, pixels, batch=compute.views, task=task, calibration=model.calibration
                )
                if task.count_correct is not None:
                    target = torch.from_numpy(np.asarray(item.target))
                    right += int(task.count_correct(torch.from_numpy(scores)[None], target[None]))
                    note = f"top-1 {percent(right / done)}"
                long.count(views.videos[row], item)
                yield row, scores, item.identity
            bar.advance(note=note)
    long.notify()


def _evaluation_result(test: ResumableTest, model: Classifier) -> EvaluationResult:
    """The scores and metrics of the videos that are done, compared with the numbers of the model's recipe.

    Raises:
        DataError: no video could be tested.
    """
    data, rows = test.data, sorted(test.done)
    if not rows:
        raise DataError(f"{data.source or 'the manifest'}: not one video could be tested.")
    names = model.class_names or data.class_names
    counts = {"tested": len(rows), "broken": len(test.quarantine)}
    used = test.backend_report()
    protocol = test.protocol.model_copy(update=counts | ({} if used is None else {"backend": used}))
    scores = Scores(
        ids=tuple(data[row].id for row in rows),
        labels=task_of(model.recipe.task).labels(data)[rows],
        probabilities=np.stack([test.done[row] for row in rows]),
        class_names=(*names, *(f"class {i}" for i in range(len(names), model.recipe.model.num_classes))),
        protocol=protocol,
        trained_on=test.trained_on(rows, model.trained_on),
        groups=_groups_of_scores(data, np.array(rows)),
    )
    result = EvaluationResult(scores, test.quarantine.files)
    top1 = result.metrics().get("top1")
    if top1 is None:  # published and measured numbers are top-1
        return result
    return replace(result, comparisons=compare(model.recipe, protocol, top1=top1, videos=len(rows)))


def _groups_of_scores(data: Manifest, rows: NDArray[np.int64]) -> NDArray[np.str_] | None:
    """The group of each video, for `Scores.groups`: the group in the list; for a segment without one, its file."""
    segments = data.times is not None or data.frame_ranges is not None
    groups = np.full(len(rows), "") if data.groups is None else data.groups[rows]
    if segments and len(np.unique(data.ids[rows])) < len(rows):
        groups = np.where(groups == "", data.ids[rows], groups)
    return groups if (groups != "").any() else None
