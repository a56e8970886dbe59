"""Finish the run of a classifier on frozen features: checkpoint, tests, report, in an order that survives interruption."""

import contextlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from marey.backends.compute import Compute
from marey.backends.device import pick_device
from marey.backends.precision import pick_precision
from marey.base.claim import Command, OutputPath, read_note
from marey.base.jsonable import Json
from marey.base.readme import README, write_readme
from marey.base.reporter import notice
from marey.base.runs import TUNING, next_run
from marey.classifier import Classifier
from marey.data.lists.manifest import Manifest
from marey.evaluation.out_of_fold.result import OutOfFold
from marey.evaluation.protocol import weights_hash
from marey.evaluation.report.page import write_report
from marey.evaluation.result import RESULT, SCORES, EvaluationResult
from marey.evaluation.scores import Scores
from marey.evaluation.tested_list import read_tested_list
from marey.weights.checkpoint import read_checkpoint
from marey.workflows.classifier.finetuning.saved_lists import RunVideos
from marey.workflows.classifier.finetuning.saved_start import HEADS, can_be_tuned
from marey.workflows.classifier.fit_on_cells import write_classifier
from marey.workflows.evaluate_model import evaluate_and_report

_REPORT = "report.html"
_FILES_OF_TEST = (Command.EVALUATE.note, SCORES, RESULT, "broken*.jsonl", "parts", README, ".lock")
"""Files and folders that an interrupted test may leave in its folder."""


@dataclass(frozen=True, eq=False)
class FinalClassifier:
    """The classifier and the out-of-fold result that a run is to have."""

    model: Classifier
    """The classifier that the run is to have."""
    out_of_fold: OutOfFold
    """The out-of-fold result that the run is to have."""
    changed: bool
    """Whether one of them differs from what the run's folder has, if the run is finished."""


def is_finished(run: Path) -> bool:
    """Whether a run is finished: its report is the last file that is written, except README.txt."""
    return (run / _REPORT).exists()


def finish_run(
    run: Path, final: FinalClassifier, videos: RunVideos, *, max_broken: float | None, compute: Compute
) -> None:
    """Write the classifier and its out-of-fold result, test it on the videos for validation and testing, write the report.

    The report is removed before the first file is written, and written last: a run without it is unfinished, and the same
    command completes it. Test results of other weights are renamed before the weights are written, so that no folder holds
    results of other weights than the run's. A finished run without changes stays as it is.
    """
    test = _FinalTest.of(final.model, compute)
    if not final.changed and is_finished(run) and all(test.is_complete(run / name) for name in videos.tested):
        if not (run / README).exists():
            write_readme(run)
        notice(f"{run} is finished; nothing was changed")
        return
    (run / _REPORT).unlink(missing_ok=True)
    for name, tested in videos.tested.items():
        test.set_aside_others(run / name, tested)
    write_classifier(final.model, final.out_of_fold, run)
    for name, tested in videos.tested.items():
        if not test.has_results(run / name):
            evaluate_and_report(final.model, tested, out=run / name, max_broken=max_broken, compute=compute)
        elif not (run / name / _REPORT).exists():
            _write_report(run / name, tested)
    _write_report(run, videos.with_ids_of(final.out_of_fold.result.scores.ids))


def tested_lines(run: Path, videos: RunVideos) -> list[str]:
    """The verdict of a finished run on the videos for validation and for testing, a line for each."""
    return [f"On {name}: {EvaluationResult.load(run / name).standing.verdict}" for name in videos.tested]


def videos_shown(folder: Path) -> Manifest | None:
    """The videos whose frames the report on a folder shows, by the ids of its scores; None, with a notice, if they are not
    found. For a classifier on frozen features they are the videos that it was fitted on; else as `read_tested_list`.
    """
    if not can_be_tuned(folder) or not (folder / SCORES).exists():
        return read_tested_list(folder)
    classes = read_checkpoint(folder / TUNING / HEADS).class_names
    assert classes is not None
    videos = RunVideos.read(folder, classes, max_broken=1)  # missing videos are shown without frames
    return videos.with_ids_of(Scores.load(folder / SCORES).ids)


def _write_report(folder: Path, data: Manifest) -> None:
    notice(f"report: {write_report(folder, data)}")
    write_readme(folder)


@dataclass(frozen=True)
class _FinalTest:
    """A test of a classifier, identified by the settings in the note of its folder (one JSON file)."""

    model: Mapping[str, Json]
    """The weights and the calibration, as JSON."""
    computing: Mapping[str, Json]
    """Precision and batch size, which may not change while a test is resumed."""

    @classmethod
    def of(cls, model: Classifier, compute: Compute) -> "_FinalTest":
        calibration = None if model.calibration is None else model.calibration.model_dump(mode="json")
        precision = pick_precision(compute.precision, pick_device(compute.device), tell=False)
        return cls(
            {"weights_sha256": weights_hash(model), "calibration": json.loads(json.dumps(calibration))},
            {"precision": precision, "batch": compute.views},
        )

    def has_results(self, folder: Path) -> bool:
        """Whether a folder has the results of this classifier."""
        return _has_settings(_test_note(folder), self.model) and _has_results(folder)

    def is_complete(self, folder: Path) -> bool:
        """Whether a folder has the results of this classifier, and the report on them."""
        return self.has_results(folder) and (folder / _REPORT).exists()

    def set_aside_others(self, folder: Path, tested: Manifest) -> None:
        """Rename the results of another classifier; remove an interrupted test unless this one can resume it.

        Raises:
            RunError: another process works there.
        """
        note = _test_note(folder)
        this = {**self.model, **self.computing, "data_fingerprint": tested.fingerprint}
        if not note or self.has_results(folder) or _has_settings(note, this):
            return
        OutputPath.folder(folder).check()
        of_other_weights = not _has_settings(note, self.model)
        if of_other_weights and _has_results(folder):
            kept = next_run(f"{folder.name}-before-tuning", inside=folder.parent)
            folder.rename(kept)
            notice(f"{folder}: results of the earlier network are kept in {kept}")
            return
        _remove_test(folder)
        which = (
            "of the earlier network" if of_other_weights else "of other videos, or in another --precision or --batch"
        )
        notice(f"{folder}: a test {which}, which was not finished, is removed")


def _has_results(folder: Path) -> bool:
    return (folder / SCORES).exists() and (folder / RESULT).exists()


def _has_settings(note: Mapping[str, Json], settings: Mapping[str, Json]) -> bool:
    """Whether a test's note holds these settings."""
    return all(note.get(name) == value for name, value in settings.items())


def _test_note(folder: Path) -> Mapping[str, Json]:
    """The note of a test; empty if there is none."""
    return read_note(folder / Command.EVALUATE.note) or {}


def _remove_test(folder: Path) -> None:
    """Remove the files of an interrupted test, and the folder if it is then empty."""
    for pattern in _FILES_OF_TEST:
        for path in folder.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with contextlib.suppress(OSError):  # the folder has other files
        folder.rmdir()
