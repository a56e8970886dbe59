"""Classes that the predictions do not distinguish."""

import numpy as np

from marey.evaluation.out_of_fold.confusable_classes import find_confusable_classes
from marey.evaluation.protocol import EvaluationProtocol
from marey.evaluation.scores import Scores

NAMES = ("kickflip", "ollie", "grind")


def _scores(confused: tuple[int, ...], clips: int = 90, groups: np.ndarray | None = None) -> Scores:
    """Clips of three classes, the confused ones of which are predicted by chance among themselves."""
    random = np.random.default_rng(0)
    labels = np.arange(clips) % 3
    logits = 4.0 * np.eye(3)[labels] + 0.1 * random.normal(size=(clips, 3))
    for row in np.flatnonzero(np.isin(labels, confused)).tolist():
        logits[row, list(confused)] = 3 + np.roll(np.arange(len(confused)), row // 3)
    shares = np.exp(logits)
    shares = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    ids = tuple(f"{row}.mp4" for row in range(clips))
    return Scores(ids, labels, shares, NAMES, EvaluationProtocol(recipe="tiny", folds=5), None, groups)


def test_two_classes_that_are_predicted_by_chance_are_named_with_their_numbers():
    (found,) = find_confusable_classes(_scores((0, 1)))
    assert found.classes == ("kickflip", "ollie")
    assert found.videos == 60
    assert found.right == found.by_chance == 30
    assert found.sentence == (
        "kickflip and ollie are not distinguished with this many videos: 30 of 60 right where either is the true one, "
        "30 by chance (a test over 60 videos, one-sided, level 5 %)."
    )


def test_classes_that_are_predicted_correctly_are_distinguished():
    assert find_confusable_classes(_scores(())) == []


def test_three_classes_no_two_of_which_are_distinguished_are_one_entry():
    (found,) = find_confusable_classes(_scores((0, 1, 2)))
    assert found.classes == NAMES
    assert found.videos == 180
    assert "kickflip, ollie and grind are not distinguished" in found.sentence


def test_clips_of_few_recordings_distinguish_classes_less_than_independent_ones():
    clips = 90
    labels = np.arange(clips) % 3
    logits = np.zeros((clips, 3))
    recordings = np.arange(clips) // 15
    logits[np.arange(clips), labels] = np.where(
        recordings < 4, 1.0, -1.0
    )  # all clips of a recording right, or all wrong
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    ids = tuple(f"{row}.mp4" for row in range(clips))
    protocol = EvaluationProtocol(recipe="tiny", folds=5)
    single = Scores(ids, labels, shares.astype(np.float32), NAMES, protocol)
    groups = np.array([f"g{number}" for number in recordings])
    grouped = Scores(ids, labels, shares.astype(np.float32), NAMES, protocol, None, groups)
    assert find_confusable_classes(single) == []
    (found,) = find_confusable_classes(grouped)
    assert found.groups == 6
    assert "a test over 6 recordings" in found.sentence


def test_with_few_recordings_no_classes_are_named():
    groups = np.array([f"g{row % 4}" for row in range(90)])
    assert find_confusable_classes(_scores((0, 1), groups=groups)) == []
