"""The accuracy before and after corrections, and the sentence on it."""

import json

import numpy as np
import pytest

from marey.evaluation.out_of_fold.corrections_effect import BeforeAfter, CorrectionsMade
from marey.recipe import Classify, MultiLabel
from marey.tasks.choose import task_of

CLIPS = 60


def probabilities(right: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [N, 2] whose most likely class is correct for the share `right`, and the labels [N]."""
    labels = np.arange(CLIPS) % 2
    wrong = np.random.default_rng(seed).permutation(CLIPS) >= right * CLIPS
    return np.eye(2, dtype=np.float32)[np.where(wrong, 1 - labels, labels)], labels


@pytest.mark.parametrize(
    ("before", "after", "seed", "clause"),
    [
        (
            0.5,
            0.9,
            0,
            "50.0 % right with the labels as they were, 90.0 % with the corrected ones (+40.0 points, 90 %",
        ),
        (0.5, 0.9, 0, "the corrections help videos that they do not name."),
        (0.9, 0.5, 0, "the corrections make it worse for videos that they do not name, so look at them once more."),
        (0.75, 0.8, 1, "): this may be chance."),
        (0.8, 0.8, 0, "(+0.0 points): as many are right as before."),
    ],
)
def test_the_sentence_has_both_numbers_and_what_their_difference_means(before, after, seed, clause) -> None:
    (one, labels), (other, _) = probabilities(before, 0), probabilities(after, seed)
    found = BeforeAfter.of(task_of(Classify()), one, other, labels, None)
    assert found.sentence.startswith(f"On the {CLIPS} videos without corrections: ")
    assert clause in found.sentence


def test_few_recordings_do_not_show_what_is_chance() -> None:
    (one, labels), (other, _) = probabilities(0.5, 0), probabilities(0.9, 0)
    groups = np.array([f"g{row % 3}" for row in range(CLIPS)])
    found = BeforeAfter.of(task_of(Classify()), one, other, labels, groups)
    assert found.difference is None
    assert found.sentence.endswith("(+40.0 points): too few recordings show how much of that is chance.")


def test_with_several_labels_it_is_the_mean_average_precision() -> None:
    (one, labels), (other, _) = probabilities(0.5, 0), probabilities(0.9, 0)
    found = BeforeAfter.of(task_of(MultiLabel()), one, other, np.eye(2, dtype=np.int64)[labels], None)
    assert ": mAP " in found.sentence and " right " not in found.sentence


def test_the_effect_of_corrections_is_read_back_from_json() -> None:
    (one, labels), (other, _) = probabilities(0.5, 0), probabilities(0.9, 0)
    compared = BeforeAfter.of(task_of(Classify()), one, other, labels, None)
    for made in (CorrectionsMade(3, 1, 2, compared), CorrectionsMade(0, 4, 0, None, "Only groups.")):
        assert CorrectionsMade.from_json(json.loads(json.dumps(made.as_json()))) == made
    assert next(iter(compared.as_json())) == "clips", "the key of earlier runs"
    assert CorrectionsMade(0, 4, 0, None, "Only groups.").sentence == "Only groups."
