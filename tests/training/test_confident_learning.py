"""Which labels are likely wrong: by which predictions, by how much, with one label a video and with several."""

import numpy as np
import pytest

from marey.base.reporter import CollectingReporter, reporting
from marey.models.probe.pooled import PooledFeatures
from marey.recipe import Classify, MultiLabel
from marey.training.heads import confident_learning
from marey.training.heads.confident_learning import MOST, OutOfFoldLogits, find_suspects, video_fold_logits
from marey.training.heads.directions import Directions

CLASSIFY, MULTILABEL = Classify(), MultiLabel()
CLIPS = 120
TRUE = np.arange(CLIPS) % 4


def _directions(signal: float = 3.0) -> Directions:
    """Features that show the true class by `signal`, in noise of standard deviation 1."""
    values = np.random.default_rng(0).normal(size=(CLIPS, 12))
    values[:, :4] += signal * np.eye(4)[TRUE]
    return Directions.of(PooledFeatures(values.astype(np.float32), (6, 6)), np.arange(CLIPS))


def _swapped() -> tuple[np.ndarray, np.ndarray]:
    """Labels one in ten of which is changed, and the rows of these."""
    random = np.random.default_rng(1)
    rows = np.sort(random.permutation(CLIPS)[: CLIPS // 10])
    labels = TRUE.copy()
    labels[rows] = (labels[rows] + random.integers(1, 4, len(rows))) % 4
    return labels, rows


def _predictions(logits: np.ndarray, name: str = "head", known: np.ndarray | None = None) -> OutOfFoldLogits:
    return OutOfFoldLogits(name, logits.astype(np.float64), np.ones(logits.shape, np.bool_) if known is None else known)


def _of_clip_folds(
    targets: np.ndarray, copies: np.ndarray | None = None, task: Classify | MultiLabel = CLASSIFY
) -> OutOfFoldLogits:
    own = np.arange(CLIPS) if copies is None else copies
    found = video_fold_logits("head", _directions(), targets, own, classes=4, task=task)
    assert found is not None
    return found


def test_swapped_labels_are_among_the_first_and_their_true_class_is_named():
    labels, rows = _swapped()
    found = find_suspects([_of_clip_folds(labels)], labels, CLASSIFY)
    assert len(found.rows) <= MOST * CLIPS
    first = {suspect.row: suspect for suspect in found.rows}
    hit = [row for row in rows.tolist() if row in first]
    assert len(hit) >= 0.8 * len(rows)
    for row in hit:
        own, other = first[row].doubts
        assert (own.label, own.has) == (labels[row], True)
        assert not other.has
        assert first[row].wanted([labels[row]]) == (other.label,)
    assert sum(first[row].doubts[1].label == TRUE[row] for row in hit) >= 0.8 * len(hit)
    margins = [suspect.margin for suspect in found.rows]
    assert margins == sorted(margins)
    assert margins[-1] < 0


def test_a_clip_that_is_left_out_with_its_copies_does_not_predict_itself():
    labels = TRUE.copy()
    copies = np.arange(CLIPS)
    copies[:2] = 0  # clips 0 and 1 show the same
    labels[:2] = 2
    directions = _directions()
    directions.coordinates[1] = directions.coordinates[0]
    separate = video_fold_logits("head", directions, labels, np.arange(CLIPS), classes=4, task=CLASSIFY)
    together = video_fold_logits("head", directions, labels, copies, classes=4, task=CLASSIFY)
    assert separate is not None
    assert together is not None
    assert together.logits[0, 2] < separate.logits[0, 2]
    np.testing.assert_allclose(together.logits[0], together.logits[1])


def test_predictions_that_fit_the_labels_badly_are_not_used():
    labels, _ = _swapped()
    good, noise = _of_clip_folds(labels), np.random.default_rng(2).normal(size=(CLIPS, 4))
    found = find_suspects([_predictions(noise, "noise"), good], labels, CLASSIFY)
    assert found.by == (good.name,)
    assert found.rows == find_suspects([good], labels, CLASSIFY).rows


def test_equally_good_predictions_are_averaged_at_any_scale():
    labels, _ = _swapped()
    good = _of_clip_folds(labels)
    found = find_suspects([good, _predictions(5 * good.logits, "more confident")], labels, CLASSIFY)
    assert found.by == (good.name, "more confident")
    assert [s.row for s in found.rows] == [s.row for s in find_suspects([good], labels, CLASSIFY).rows]


def test_a_class_that_is_never_predicted_confidently_has_a_lower_threshold():
    # All clips of class 1 are predicted as 0 by a little, which is usual for them. Clip 0 of class 0 is predicted alike.
    logits = np.array([[1.0, 0.0]] * 20 + [[0.2, 0.0]] * 20)
    labels = np.repeat([0, 1], 20)
    logits[0] = [0.2, 0.0]
    found = find_suspects([_predictions(logits)], labels, CLASSIFY)
    assert [suspect.row for suspect in found.rows] == [0]


def test_the_only_clip_of_a_class_is_no_suspect():
    labels = TRUE.copy()
    labels[labels == 3] = 0
    labels[7] = 3  # the only one
    predictions = _of_clip_folds(labels)
    assert not predictions.known[7].any()
    found = find_suspects([predictions], labels, CLASSIFY)
    assert found.judged == CLIPS - 1
    assert 7 not in [suspect.row for suspect in found.rows]


def test_clips_are_judged_by_the_predictions_that_are_known():
    labels, rows = _swapped()
    good = _of_clip_folds(labels)
    known = np.ones((CLIPS, 4), np.bool_)
    known[rows[0]] = False
    found = find_suspects([_predictions(good.logits, "partly", known), good], labels, CLASSIFY)
    assert found.judged == CLIPS
    assert rows[0] in [suspect.row for suspect in found.rows]


def test_the_same_clips_give_the_same_suspects():
    labels, _ = _swapped()
    assert find_suspects([_of_clip_folds(labels)], labels, CLASSIFY) == find_suspects(
        [_of_clip_folds(labels)], labels, CLASSIFY
    )


def test_a_very_large_list_is_judged_by_recordings_only_with_a_notice(monkeypatch):
    monkeypatch.setattr(confident_learning, "MOST_WORK", 100)
    reporter = CollectingReporter()
    with reporting(reporter):
        logits = video_fold_logits("head", _directions(), TRUE, np.arange(CLIPS), classes=4, task=CLASSIFY)
    assert logits is None
    assert ["120 videos of 4 classes" in message for _, message in reporter.take()] == [True]


def test_missing_labels_and_surplus_labels_are_distinguished():
    targets = np.eye(4, dtype=np.bool_)[TRUE]
    targets[:, 3] |= TRUE == 0  # clips of class 0 have label 3, too
    wrong = targets.copy()
    wrong[0, 0] = False  # misses 0
    wrong[1, 2] = True  # has a surplus 2
    found = find_suspects([_of_clip_folds(wrong, task=MULTILABEL)], wrong, MULTILABEL)
    first = {suspect.row: suspect for suspect in found.rows}
    assert {0, 1} <= set(first)
    (missing,) = [doubt for doubt in first[0].doubts if doubt.label == 0]
    (surplus,) = [doubt for doubt in first[1].doubts if doubt.label == 2]
    assert not missing.has
    assert surplus.has
    assert missing.probability > surplus.probability
    assert first[0].wanted([3]) == (0, 3)
    assert first[1].wanted([1, 2]) == (1,)
    assert len(found.rows) <= MOST * CLIPS


def test_a_label_that_all_others_have_is_not_judged():
    targets = np.eye(4, dtype=np.bool_)[TRUE]
    targets[:, 2] = True
    predictions = _of_clip_folds(targets, task=MULTILABEL)
    assert not predictions.known[:, 2].any()
    found = find_suspects([predictions], targets, MULTILABEL)
    assert all(doubt.label != 2 for suspect in found.rows for doubt in suspect.doubts)


@pytest.mark.parametrize("clips", [1, 6])
def test_a_few_clips_have_no_suspects(clips):
    found = find_suspects([_predictions(np.zeros((clips, 2)))], np.zeros(clips, np.int64), CLASSIFY)
    assert found.rows == ()
