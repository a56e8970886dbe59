"""Suspects of a training, and the files that it writes about them, for one label per clip and for several."""

from functools import cache
from pathlib import Path

import numpy as np

from marey.data.lists.manifest import Manifest
from marey.data.splits.folds import NEVER, Folds, make_folds
from marey.evaluation.out_of_fold.suspects import SUSPECTS, SuspectList, SuspectVideo
from marey.models.probe.config import FrameMean, Moments
from marey.models.probe.pooled import PooledFeatures
from marey.recipe import Classify, MultiLabel
from marey.training.heads.selection import HeadCandidate, HeadChoice, choose_head
from marey.workflows.classifier.list_suspects import list_suspects, suspects_line

CLIPS = 48
NAMES = ("jump", "run", "sit")
TRUE = np.arange(CLIPS) % 3
LABELS = np.where(np.arange(CLIPS) == 6, 1, TRUE)
"""That of 6 is wrong."""


def _manifest(labels: np.ndarray, sets: np.ndarray | None = None) -> Manifest:
    """Clips of sixteen recordings, of which no file is there."""
    ids = np.array([f"{row:02}.mp4" for row in range(CLIPS)])
    groups = np.array([f"g{row // 3}" for row in range(CLIPS)])
    return Manifest(ids, labels, NAMES, Path("nowhere"), groups=groups, label_sets=sets)


def _pooled() -> PooledFeatures:
    values = np.random.default_rng(0).normal(size=(CLIPS, 12))
    values[:, :3] += 4 * np.eye(3)[TRUE]
    return PooledFeatures(values.astype(np.float32), (6, 6))


def _choice(manifest: Manifest, targets: np.ndarray, task: Classify | MultiLabel) -> tuple[HeadChoice, Folds]:
    folds = make_folds(manifest, 4)
    heads = [
        HeadCandidate("moments", Moments(), _pooled()),
        HeadCandidate("single frames", FrameMean(), _pooled(), chosen_if_better=False),
    ]
    return choose_head(heads, targets, folds.of_row, classes=3, task=task), folds


@cache
def _found() -> SuspectList:
    """Of clips of which the label of 6 is wrong."""
    return _found_of(LABELS)


def _found_of(labels: np.ndarray) -> SuspectList:
    manifest = _manifest(labels)
    choice, folds = _choice(manifest, labels, Classify())
    return list_suspects(manifest, choice, folds, labels, Classify(), compared=None, rows=np.arange(CLIPS))


def test_a_wrong_label_is_first_and_its_row_has_the_reason() -> None:
    found = _found()
    first = found.videos[0]
    assert (first.path, first.label, first.may_be) == ("06.mp4", "run", "jump")
    assert first.why.startswith("predicted 'jump' ") and ", its label " in first.why
    assert first.one_label and first.shares[0] < first.shares[1] and first.strip == ""
    assert found.total == CLIPS and found.disagreeing >= 1


def test_suspects_are_judged_without_recording_or_clip_and_never_by_single_frames() -> None:
    by = _found().by
    assert by and set(by) <= {"moments, without its recording", "moments, without the video itself"}


def test_an_odd_clip_follows_the_suspects(monkeypatch) -> None:
    pooled = _pooled()
    pooled.features[9] *= 40
    monkeypatch.setattr(f"{__name__}._pooled", lambda: pooled)
    found = _found_of(LABELS)
    (odd,) = [clip for clip in found.videos if clip.odd]
    assert odd.path == "09.mp4" and odd.label == "jump"
    assert odd.why.endswith("times as far from them as is usual")
    assert found.odd == (0 if odd.shares else 1)


def test_with_several_labels_the_row_states_all_likely_labels() -> None:
    targets = np.eye(3, dtype=np.bool_)[TRUE]
    targets[6] = [True, True, False]  # "run" is too much
    sets = np.array([[0, 1] if row == 6 else [TRUE[row], -1] for row in range(CLIPS)])
    manifest = _manifest(TRUE, sets)
    choice, folds = _choice(manifest, targets, MultiLabel())
    rows = np.arange(CLIPS)
    found = list_suspects(manifest, choice, folds, targets, MultiLabel(), compared=None, rows=rows)
    first = found.videos[0]
    assert (first.path, first.label, first.may_be) == ("06.mp4", "jump|run", "jump")
    assert "'run' (" in first.why and "seems too much" in first.why and not first.one_label


def test_clips_that_no_fold_holds_out_are_judged_without_themselves() -> None:
    manifest = _manifest(LABELS)
    choice, folds = _choice(manifest, LABELS, Classify())
    folds.of_row[6] = NEVER
    found = list_suspects(manifest, choice, folds, LABELS, Classify(), compared=None, rows=np.arange(CLIPS))
    assert "06.mp4" in [clip.path for clip in found.videos]


def test_the_line_has_number_file_and_next_command(tmp_path) -> None:
    assert suspects_line(tmp_path, ["clips"], None) is None
    SuspectList((), 48, 0, ()).save(tmp_path)
    assert suspects_line(tmp_path, ["clips"], None) is None
    SuspectList((SuspectVideo("a.mp4", "run", "jump", "", shares=(0.1, 0.8)),), 48, 1, ("moments",)).save(tmp_path)
    line = suspects_line(tmp_path, ["clips"], None)
    assert line is not None
    assert line.startswith(f"1 of 48 videos may be labelled wrong: {tmp_path / SUSPECTS}. Look at ")
    assert line.endswith(f"train clips --labels {tmp_path / SUSPECTS}")
    corrected = suspects_line(tmp_path, ["clips"], Path("mine.csv"))
    assert corrected is not None
    assert "copy the rows that you edited into mine.csv, then: " in corrected
    assert corrected.endswith("train clips --labels mine.csv")
