"""Test a network on labelled videos: each decoded once, every view counted, every broken file named."""

import contextlib
import hashlib
import json
import re
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue

from marey.backends.backend import Backend, BackendReport
from marey.backends.choose import check_backend, open_backend
from marey.backends.compute import Compute, ComputeOptions
from marey.backends.device import device_text, pick_device, tell_of_spare
from marey.backends.precision import pick_precision
from marey.base.claim import Claim, Command, OutputPath
from marey.base.errors import DataError, RunError, in_python_words
from marey.base.files import atomic_path
from marey.base.processes import processes
from marey.base.readme import write_readme
from marey.base.reporter import notice, progress, understood, warning_once
from marey.base.versions import versions
from marey.base.words import counted, percent
from marey.classifier import Classifier
from marey.data.files.identity import Identities, was_seen
from marey.data.files.missing import check_present
from marey.data.files.quarantine import BROKEN, Broken, Quarantine, broken_list
from marey.data.lists.class_files import read_classes
from marey.data.lists.class_order import in_class_order
from marey.data.lists.formats import read_manifest
from marey.data.lists.manifest import Manifest, are_places
from marey.data.lists.videos import classes_text
from marey.data.loading.clips import ViewDataset
from marey.data.splits.overlap import only as restricted
from marey.evaluation.compare import compare
from marey.evaluation.long_videos import LongVideos
from marey.evaluation.pace import expected_time
from marey.evaluation.protocol import EvaluationProtocol, Restriction
from marey.evaluation.result import SCORES, EvaluationResult
from marey.evaluation.scores import Scores
from marey.evaluation.tested import facts_of
from marey.evaluation.views import read_ahead, score_video
from marey.recipe import Recipe
from marey.tasks.all import task_of
from marey.weights.load import as_classifier

_SAVE_EVERY = 20.0
"""Seconds between the parts that an interrupted run is resumed from."""


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

    Args:
        model: As `load_model` and `build_model` give it, or a `Classifier` around your own module; or what `load_model`
            takes: a checkpoint, the folder of a run, a recipe or its name.
        data: A manifest, or a list or folder to read one from.
        out: Folder for scores.npz, result.json and broken.jsonl. An interrupted run is resumed there.
        root: Folder that the list's paths are relative to.
        classes: Class names in order, or a file of them, for weights or lists that do not name them.
        split: The one of its splits that is tested; None: all videos.
        only: A list of videos: score those that it names, and say what was left out.
        max_broken: A larger share of broken files stops the run, 0 to 1; None: more than 1 % and more than three files do.
        compute: Device, precision, views in one pass, decoding processes and backend.
        options: Fields of `compute` by name: device="cuda", precision="bfloat16", batch=16, workers=4, backend="auto".

    Under several processes (torchrun) every video is tested by exactly one of them; process 0 writes the result and
    returns all of it; the others return what they tested themselves.

    Raises:
        RunError: `out` holds another run, another process works there, or it cannot be written; too many files are
            broken; this machine does not have the device, or the device not the precision.
        DataError: videos with several labels, and the recipe's task is one; or not one file of the list is there.
    """
    compute = compute.changed(**options)
    check_backend(compute)
    model = as_classifier(model)
    if isinstance(data, Manifest):
        _refuse_for_manifest(root=root, classes=classes)
        data = _matched(data if split is None else data.split(split), model)
    elif isinstance(data, str | Path):
        data = read_labelled(data, model, root=root, classes=classes, split=split)
    else:
        raise DataError(
            f"data: a list with labels or its path is tested, not a {type(data).__name__}: marey.read_manifest reads one."
        )
    task_of(model.recipe.task).require_labels(data, model.recipe.name)
    overlap = restricted(data, only) if only is not None else None
    data = overlap.manifest if overlap else data
    protocol = _protocol(model, data, compute)
    if overlap:
        notice(f"{only}: {overlap}")
        restriction = Restriction(list=str(only), left_out=overlap.left_out, missing=overlap.missing)
        protocol = protocol.model_copy(update={"only": restriction})
    missing = check_present(max_broken, data)
    if processes().world > 1 and out is None:
        raise RunError("evaluate under several processes needs out=FOLDER, where they bring their scores together.")
    with contextlib.nullcontext() if out is None else _claim(Path(out), protocol, data).held():
        run = _Run(Path(out) if out else None, protocol, data, max_broken, missing)
        tell_of_spare(compute.device)
        backend = open_backend(model, compute, views=len(run.rows_to_do()) * model.recipe.test.views)
        views = ViewDataset(data, model.recipe.test.sampling, model.recipe.pixels, model.recipe.flow, identify=True)
        split = f", split {data.split_names[0]}" if len(data.split_names) == 1 else ""
        understood(
            f"{counted(len(data), 'video')}{split}, {classes_text(data.class_names)}: testing {model.recipe.name} on "
            f"{device_text(backend.device)}, {backend.precision}"
            f"{expected_time(backend, views, model.recipe.test, run.rows_to_do(), compute)}"
        )
        run.finish(_scored(backend, model, views, run, compute), backend)
        return run.result(model)


def _refuse_for_manifest(**reading: object) -> None:
    """Refuse what only decides how a list is read.

    Raises:
        DataError: it is given beside a list that was read before.
    """
    if given := [f"{name}=" for name, value in reading.items() if value is not None]:
        raise DataError(f"data is read already: leave out {', '.join(given)} (marey.read_manifest takes them).")


def _claim(out: Path, protocol: EvaluationProtocol, data: Manifest) -> Claim:
    return Claim(
        OutputPath.folder(out), Command.EVALUATE, protocol.as_json(), facts_of(data), may_differ=_MAY_DIFFER,
        share=processes().rank if processes().world > 1 else None,
    )  # fmt: skip


def read_labelled(
    path: str | Path,
    model: Classifier,
    *,
    root: str | Path | None = None,
    classes: str | Path | Sequence[str] | None = None,
    split: str | None = None,
) -> Manifest:
    """Read a list whose labels are the network's classes.

    `classes` are class names, or a file of them: those of a network that names none, or else those by whose places the
    list labels its videos, which are then matched with the network's by name. Labels that are numbers are places among the
    classes.

    Raises:
        DataError: a label is none of the classes, or which class is which cannot be known: the list has names, and the
            network has none.
    """
    count = model.num_classes
    listed, named = (read_classes(classes), str(classes)) if isinstance(classes, str | Path) else (classes, "--classes")
    if listed is not None and model.class_names is None and len(listed) != count:
        raise DataError(f"{named}: {len(listed)} class names, but the network tells {count} apart.")
    manifest = read_manifest(path, root=root, classes=listed or model.class_names, split=split)
    if model.class_names is not None:
        manifest = in_class_order(manifest, model.class_names, of="the checkpoint")
    elif len(manifest.class_names) > count:
        raise DataError(f"{path}: {counted(len(manifest.class_names), 'class')}, but the network tells {count} apart.")
    elif listed is None and not are_places(manifest.class_names):
        raise DataError(
            f"{path}: {len(manifest.class_names)} class names, and the weights do not say which of their "
            f"{counted(count, 'class')} these are: name them in order with --classes FILE (classes= in Python), "
            "or label by number."
        )
    if split is None and len(manifest.split_names) > 1:
        warning_once(
            f"all splits of {path} are tested ({', '.join(manifest.split_names)}); --split NAME takes one of them "
            "(split= in Python)"
        )
    return manifest


def _matched(manifest: Manifest, model: Classifier) -> Manifest:
    """A manifest with its labels as places among the network's classes.

    Raises:
        DataError: a label is none of the classes, or there are more than the network has.
    """
    if model.class_names is not None:
        return in_class_order(manifest, model.class_names, of="the classifier")
    names, count = manifest.class_names, model.num_classes
    if len(names) > count:
        raise DataError(
            f"{manifest.source or 'the manifest'}: {counted(len(names), 'class')}, but the network tells {count} apart."
        )
    if not are_places(names):
        warning_once(
            f"the network does not name its {counted(count, 'class')}: they are taken in the manifest's order, "
            f"{', '.join(names[:4])}"
            f"{', ...' if len(names) > 4 else ''}; classifier.with_classes(NAMES) names them"
        )
    return manifest


def _scored(
    backend: Backend, model: Classifier, views: ViewDataset, run: "_Run", compute: Compute
) -> Iterator[tuple[int, NDArray[np.float32] | Broken, int]]:
    """Each row that is still to be tested by this process, with the video's probabilities [K] or its broken file, and the
    identity of its content.
    """
    test, pixels = model.recipe.test, model.recipe.pixels
    rows, long = run.rows_to_do(), LongVideos(model)
    task = task_of(model.recipe.task)
    with progress("Testing", total=len(rows), unit="videos") as bar:
        right, note = 0, ""
        for done, (row, item) in enumerate(
            zip(rows, read_ahead(views, rows, workers=compute.workers), strict=True), start=1
        ):
            if isinstance(item, Broken):
                yield row, item, 0
            else:
                scores = score_video(
                    backend, item, test, pixels, batch=compute.views, task=task, calibration=model.calibration
                )
                if task.right_answers is not None:
                    target = torch.from_numpy(np.asarray(item.target))
                    right += int(task.right_answers(torch.from_numpy(scores)[None], target[None]))
                    note = f"top-1 {percent(right / done)}"
                long.see(views.videos[row], item)
                yield row, scores, item.identity
            bar.advance(note=note)
    long.tell()


class _Run:
    """The state of one evaluation: what is done, kept in parts so that it can be resumed."""

    def __init__(
        self, out: Path | None, protocol: EvaluationProtocol, data: Manifest, max_broken: float | None,
        missing: Collection[str] = (),
    ) -> None:  # fmt: skip
        self.out, self.protocol, self.data = out, protocol, data
        self.rank, self.world = processes().rank, processes().world
        self.parts = out / "parts" if out else None
        self.done: dict[int, NDArray[np.float32]] = {}
        self.identities: dict[int, int] = {}
        """Of the content of each row's file, where it was looked at: version 0.1.0 did not."""
        self.seen: dict[str, bool] = {}
        """Of each video id of a test that was over: whether the network was trained on its content, as its scores say."""
        self.reports: set[str] = set()
        """Of the backends that computed what is done, as JSON."""
        if out is not None:
            self._take_in(out)
        if self.done:
            count, were = counted(len(self.data), "video"), "is" if len(self.done) == 1 else "are"
            notice(f"going on: {len(self.done):,} of {count} {were} tested already")
        record = None if out is None else broken_list(out, rank=self.rank)
        self.ids = {video.id for video in data.videos}
        self.quarantine = Quarantine(record, total=len(data), max_share=max_broken, ids=self.ids, announced=missing)
        if not self.done:
            self.quarantine.forget()
        self._broken_ids = {b.id for b in self.quarantine.files}
        if out is not None and self.rank:  # where the test was over, the first process has what all had found
            first = Quarantine(out / BROKEN, total=len(data), max_share=1, ids=self.ids)
            self._broken_ids |= {b.id for b in first.files} if self.done else set()

    def rows_to_do(self) -> list[int]:
        """The rows of this process that are not done: every world-th one, so that no video is tested twice."""
        mine = range(self.rank, len(self.data), self.world)
        return [row for row in mine if row not in self.done and self.data[row].id not in self._broken_ids]

    def finish(self, scored: Iterator[tuple[int, NDArray[np.float32] | Broken, int]], backend: Backend) -> None:
        """Take in scores as `backend` computes them; save a part every so often and at the end, also when interrupted."""
        fresh: dict[int, NDArray[np.float32]] = {}
        reports: set[str] = set()
        saved = time.monotonic()
        try:
            for row, probabilities, identity in scored:
                if isinstance(probabilities, Broken):
                    self.quarantine.record(probabilities)
                    continue
                fresh[row], self.identities[row] = probabilities, identity
                reports.add(json.dumps(backend.report().as_json()))
                if time.monotonic() - saved > _SAVE_EVERY:
                    self._save(fresh, reports)
                    fresh, reports, saved = {}, set(), time.monotonic()
        finally:
            self._save(fresh, reports)

    def _save(self, fresh: dict[int, NDArray[np.float32]], reports: set[str]) -> None:
        self.done |= fresh
        self.reports |= reports
        if self.parts is None or not fresh:
            return
        name = f"{self.rank}-{min(fresh)}-{len(fresh)}.npz"
        with atomic_path(self.parts / name) as temporary:
            np.savez(
                temporary, rows=np.array(list(fresh)), probabilities=np.stack(list(fresh.values())),
                backend=np.array(sorted(reports)),
                identities=np.array([self.identities[row] for row in fresh], np.uint64),
            )  # fmt: skip

    def result(self, model: Classifier) -> EvaluationResult:
        """The metrics of all videos; process 0 waits for the others' parts and writes the files."""
        if self.world > 1:
            self._bring_together()
        rows = sorted(self.done)
        if not rows:
            raise DataError(f"{self.data.source or 'the manifest'}: not one video could be tested.")
        names = model.class_names or self.data.class_names
        probabilities = np.stack([self.done[row] for row in rows])
        names = (*names, *(f"class {i}" for i in range(len(names), model.recipe.model.num_classes)))
        labels = task_of(model.recipe.task).labels(self.data)
        counts = {"tested": len(rows), "broken": len(self.quarantine)}
        used = _joined(self.reports)
        protocol = self.protocol.model_copy(update=counts | ({} if used is None else {"backend": used}))
        ids = tuple(self.data[row].id for row in rows)
        scores = Scores(
            ids, labels[rows], probabilities, names, protocol, self._trained_on(rows, model.trained_on),
            _groups(self.data, np.array(rows)),
        )  # fmt: skip
        result = EvaluationResult(scores, self.quarantine.files)
        top1 = result.metrics().get("top1")
        if top1 is not None:  # what is published and measured are top-1
            result = replace(result, comparisons=compare(model.recipe, protocol, top1=top1, videos=len(rows)))
        if self.out is not None and self.rank == 0:
            result.save(self.out)
            self._remove_parts(self.out)
            write_readme(self.out)
        return result

    def _remove_parts(self, out: Path) -> None:
        """Remove what the written scores repeat: the parts, and the further processes' lists of broken files."""
        shutil.rmtree(out / "parts", ignore_errors=True)
        for record in out.glob("broken-*.jsonl"):
            record.unlink(missing_ok=True)

    def _trained_on(self, rows: Sequence[int], known: Identities | None) -> NDArray[np.bool_] | None:
        """As in `Scores`; None where it is not known what the network was trained on."""
        if known is None:
            return None
        found = []
        for row in rows:
            if row in self.identities:
                found.append(was_seen(self.data[row], self.identities[row], known))
            elif (seen := self.seen.get(self.data[row].id)) is not None:
                found.append(seen)
            else:
                return None
        return np.array(found, np.bool_)

    def _bring_together(self) -> None:
        """Process 0 waits until every video is in somebody's parts or broken files; the others are through already."""
        assert self.out is not None
        while self.rank == 0 and not self._all_there(self.out):
            time.sleep(0.3)

    def _take_in(self, out: Path) -> None:
        """Read what all processes have written so far: the parts of a test under way, or the scores of one that was over.

        The parts come first: they are removed only after the scores are written.
        """
        for part in sorted((out / "parts").glob("[0-9]*.npz")):
            with contextlib.suppress(FileNotFoundError), np.load(part) as file:
                rows = file["rows"].tolist()
                self.done |= dict(zip(rows, file["probabilities"], strict=True))
                if "identities" in file:
                    self.identities |= dict(zip(rows, file["identities"].tolist(), strict=True))
                # Version 0.1.0 had eager alone, and did not say so.
                self.reports |= set(file["backend"].tolist()) if "backend" in file else {json.dumps(_EAGER)}
        if len(self.done) < len(self.data) and (out / SCORES).exists():
            self._take_in_scores(out)

    def _take_in_scores(self, out: Path) -> None:
        """The scores of this test where it was over; those of another one are left alone."""
        scores = Scores.load(out / SCORES)
        there = scores.protocol
        if not isinstance(there, EvaluationProtocol) or _shown(there) != _shown(self.protocol):
            return
        place = {name: number for number, name in enumerate(scores.ids)}
        rows = [(row, place[video.id]) for row, video in enumerate(self.data.videos) if video.id in place]
        self.done = {row: scores.probabilities[number] for row, number in rows} | self.done
        if scores.trained_on is not None:
            self.seen = dict(zip(scores.ids, scores.trained_on.tolist(), strict=True))
        used = _EAGER if there.backend is None else there.backend
        self.reports |= {json.dumps(one) for one in (used if isinstance(used, list) else [used])}

    def _all_there(self, out: Path) -> bool:
        """Read what all processes have written so far; whether that is everything."""
        self._take_in(out)
        for record in out.glob("broken-*.jsonl"):
            for broken in Quarantine(record, total=len(self.data), max_share=1, ids=self.ids).files:
                self.quarantine.record(broken)
        return len(self.done) + len(self.quarantine) >= len(self.data)


def _shown(protocol: EvaluationProtocol) -> tuple[JsonValue, ...]:
    """What shows, beside the note of the folder, that scores are those of a test."""
    known = (protocol.weights_sha256, protocol.data_fingerprint, protocol.batch, protocol.precision, protocol.split)
    return (*known, protocol.folds)


_EAGER = BackendReport(asked="eager", ran="eager").as_json()


def _joined(reports: Collection[str]) -> JsonValue:
    """One report of a backend, or the list of several: of those with the same names the one that differs most from eager
    float32, and None where there is none but of eager, as it was asked for.
    """
    found = {}
    for report in sorted(map(json.loads, sorted(reports)), key=lambda report: report.get("relative", 0)):
        found[report["asked"], report["ran"]] = report  # the last one is the worst
    several = [found[names] for names in sorted(found)]
    if several == [_EAGER]:
        return None
    return several[0] if len(several) == 1 else several


def _groups(data: Manifest, rows: NDArray[np.int64]) -> NDArray[np.str_] | None:
    """The group of each video as `Scores` has it: the list's own; of parts without one, the file that they are parts of."""
    parts = data.times is not None or data.frame_ranges is not None
    groups = np.full(len(rows), "") if data.groups is None else data.groups[rows]
    if parts and len(np.unique(data.ids[rows])) < len(rows):
        groups = np.where(groups == "", data.ids[rows], groups)
    return groups if (groups != "").any() else None


_MAY_DIFFER = frozenset({"versions", "device", "weights_file"})
"""What may change between the two halves of an interrupted run."""


def _protocol(model: Classifier, data: Manifest, compute: Compute) -> EvaluationProtocol:
    recipe, device = model.recipe, pick_device(compute.device)
    protocol = EvaluationProtocol(
        recipe=recipe.name,
        test=recipe.test.model_dump(mode="json"),
        pixels=recipe.pixels.model_dump(mode="json"),
        flow=None if recipe.flow is None else recipe.flow.model_dump(mode="json"),
        weights_sha256=weights_hash(model),
        data_fingerprint=data.fingerprint,
        videos=len(data),
        split=_split_of(data),
        batch=compute.views,
        precision=pick_precision(compute.precision, device, tell=False),
        device=device.type,  # without its number: each process under torchrun has another
        versions=versions(),
    )
    # What is the default is left out, as version 0.1.0 did, so that a test begun then is resumed.
    more: dict[str, JsonValue] = {} if recipe.task.kind == protocol.task else {"task": recipe.task.kind}
    if model.origin is not None:
        more["weights_file"] = model.origin.model_dump(mode="json")
    if model.calibration is not None:
        more["calibration"] = model.calibration.model_dump(mode="json")
    return protocol.model_copy(update=more)


def _split_of(data: Manifest) -> str | None:
    """What the videos are called, "val" or "test, split 1": by the split column, and the number in the list's name."""
    if len(data.split_names) != 1:
        return None
    number = re.search(r"split(\d)$", Path(data.source).stem)
    return f"{data.split_names[0]}, split {number[1]}" if number else data.split_names[0]


def weights_hash(model: Classifier) -> str:
    """SHA-256 over names and values of all tensors: the same weights have it whatever file they came from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
