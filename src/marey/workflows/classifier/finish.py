"""The end of a run of a classifier on frozen features: checkpoint, tests, report, in an order that a stop cannot spoil."""

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
from marey.evaluation.report.page import write_report
from marey.evaluation.result import RESULT, SCORES, EvaluationResult
from marey.evaluation.run import weights_hash
from marey.evaluation.scores import Scores
from marey.evaluation.tested import read_tested_list
from marey.weights.checkpoint import read_checkpoint
from marey.workflows.classifier.fitted import write_classifier
from marey.workflows.classifier.tuning_data import TuningData
from marey.workflows.classifier.tuning_start import HEADS, can_be_tuned
from marey.workflows.testing import test_model

_REPORT = "report.html"
_OF_A_TEST = (Command.EVALUATE.note, SCORES, RESULT, "broken*.jsonl", "parts", README, ".lock")
"""What a test that was stopped leaves in its folder."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run is to be."""

    model: Classifier
    found: OutOfFold
    changed: bool
    """Whether one of them is another one than the run's folder has, if that is finished."""


def is_finished(run: Path) -> bool:
    """Whether a run came to its end: its report is the last file that is written, but for README.txt."""
    return (run / _REPORT).exists()


def finish(run: Path, outcome: Outcome, data: TuningData, *, max_broken: float | None, compute: Compute) -> None:
    """Write the classifier and its record, test it on the videos for validation and testing, write the report.

    The report is the last file, and goes before the first one is written: a run without it is not finished, and the same
    command completes it. Results of tests of other weights are set aside before the weights are written, so that no folder
    has results of other weights than the run's. A run that is finished stays as it is.
    """
    test = _Test.of(outcome.model, compute)
    if not outcome.changed and is_finished(run) and all(test.is_whole(run / name) for name in data.tested):
        if not (run / README).exists():
            write_readme(run)
        notice(f"{run} is finished; nothing was changed")
        return
    (run / _REPORT).unlink(missing_ok=True)
    for name, part in data.tested.items():
        test.set_aside_others(run / name, part)
    write_classifier(outcome.model, outcome.found, run)
    for name, part in data.tested.items():
        if not test.is_scored(run / name):
            test_model(outcome.model, part, out=run / name, max_broken=max_broken, compute=compute)
        elif not (run / name / _REPORT).exists():
            _report(run / name, part)
    _report(run, data.shown(outcome.found.result.scores.ids))


def tested_lines(run: Path, data: TuningData) -> list[str]:
    """What the finished run reached on the videos for validation and testing, a line for each of them."""
    return [f"On {name}: {EvaluationResult.load(run / name).standing.verdict}" for name in data.tested]


def clips_shown(folder: Path) -> Manifest | None:
    """The videos of which the report on a folder has pictures, by the names that its scores have: those that a classifier on
    frozen features was fitted on, where they lie now; of other tests as `read_tested_list` finds them. None where they are
    not found, which a notice says.
    """
    if not can_be_tuned(folder) or not (folder / SCORES).exists():
        return read_tested_list(folder)
    classes = read_checkpoint(folder / TUNING / HEADS).class_names
    assert classes is not None
    data = TuningData.read(folder, classes, max_broken=1)  # without pictures of those that are not there
    return data.shown(Scores.load(folder / SCORES).ids)


def _report(folder: Path, data: Manifest) -> None:
    notice(f"report: {write_report(folder, data)}")
    write_readme(folder)


@dataclass(frozen=True)
class _Test:
    """A test of a classifier, by what it notes of itself."""

    model: Mapping[str, Json]
    """Weights and calibration."""
    computing: Mapping[str, Json]
    """In what it computes, which may not change in the middle of a test."""

    @classmethod
    def of(cls, model: Classifier, compute: Compute) -> "_Test":
        calibration = None if model.calibration is None else model.calibration.model_dump(mode="json")
        precision = pick_precision(compute.precision, pick_device(compute.device), tell=False)
        return cls(
            {"weights_sha256": weights_hash(model), "calibration": json.loads(json.dumps(calibration))},
            {"precision": precision, "batch": compute.views},
        )

    def is_scored(self, folder: Path) -> bool:
        """Whether a folder has the results of this classifier."""
        return _has(_note(folder), self.model) and _has_results(folder)

    def is_whole(self, folder: Path) -> bool:
        """Whether it has them, and the report on them."""
        return self.is_scored(folder) and (folder / _REPORT).exists()

    def set_aside_others(self, folder: Path, part: Manifest) -> None:
        """Keep the results of another classifier under another name; of tests that were stopped only this one goes on, and
        another one is removed.

        Raises:
            RunError: another process works there.
        """
        note = _note(folder)
        this = {**self.model, **self.computing, "data_fingerprint": part.fingerprint}
        if not note or self.is_scored(folder) or _has(note, this):
            return
        OutputPath.folder(folder).check()
        of_others = not _has(note, self.model)
        if of_others and _has_results(folder):
            kept = next_run(f"{folder.name}-before-tuning", inside=folder.parent)
            folder.rename(kept)
            notice(f"{folder}: results of the network as it was before are kept in {kept}")
            return
        _remove_test(folder)
        which = (
            "of the network as it was before" if of_others else "of other videos, or in another --precision or --batch"
        )
        notice(f"{folder}: a test {which}, which was not finished, is removed")


def _has_results(folder: Path) -> bool:
    return (folder / SCORES).exists() and (folder / RESULT).exists()


def _has(note: Mapping[str, Json], settings: Mapping[str, Json]) -> bool:
    """Whether a test noted these settings."""
    return all(note.get(name) == value for name, value in settings.items())


def _note(folder: Path) -> Mapping[str, Json]:
    """The note of a test; empty where there is none."""
    return read_note(folder / Command.EVALUATE.note) or {}


def _remove_test(folder: Path) -> None:
    """Remove what a test that was stopped left; the folder too, if nothing else lies in it."""
    for pattern in _OF_A_TEST:
        for path in folder.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with contextlib.suppress(OSError):  # other files lie there
        folder.rmdir()
