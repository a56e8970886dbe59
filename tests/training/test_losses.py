"""Losses against their formulas in NumPy, and weights of classes against what Cui et al. state."""

import numpy as np
import pytest
import torch

from marey.base.errors import DataError
from marey.data.manifest import make_manifest
from marey.recipe import EffectiveNumber, InverseFrequency
from marey.recipes import get_recipe
from marey.training.losses import class_weights, one_label, right_answers, several_labels, training_loss

LOGITS = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
CLASSES = torch.tensor([0, 1, 2, 3, 1, 1])
HOT = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0], [0, 1, 1, 0], [1, 1, 1, 1]]).float()
WEIGHTS = torch.tensor([0.5, 1.0, 0.25, 2.25], dtype=torch.float64)


def manifest(counts: dict[str, int], classes=None):
    rows = [(f"{label}{i}.mp4", label) for label, count in counts.items() for i in range(count)]
    return make_manifest(rows, root=__import__("pathlib").Path(), source="list.csv", classes=classes)


def test_softmax() -> None:
    logits = LOGITS.numpy()
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    own = -logs[np.arange(6), CLASSES]
    assert float(one_label(LOGITS, CLASSES)) == pytest.approx(own.sum())
    weighted = (WEIGHTS.numpy()[CLASSES] * own).sum()
    assert float(one_label(LOGITS, CLASSES, WEIGHTS)) == pytest.approx(weighted)
    smooth = 0.9 * own.sum() - 0.1 * logs.mean(axis=1).sum()
    assert float(one_label(LOGITS, CLASSES, smoothing=0.1)) == pytest.approx(smooth)


def test_binary_cross_entropy_is_the_mean_over_classes() -> None:
    p = 1 / (1 + np.exp(-LOGITS.numpy()))
    losses = -(HOT.numpy() * np.log(p) + (1 - HOT.numpy()) * np.log(1 - p))
    assert float(several_labels(LOGITS, HOT)) == pytest.approx(losses.mean(axis=1).sum())
    weighted = (losses * WEIGHTS.numpy()).mean(axis=1).sum()
    assert float(several_labels(LOGITS, HOT, WEIGHTS)) == pytest.approx(weighted)
    one_each = several_labels(LOGITS, torch.eye(4)[CLASSES])
    assert float(several_labels(LOGITS, CLASSES)) == pytest.approx(float(one_each))


def test_right_answers() -> None:
    best = LOGITS.argmax(dim=1)
    assert int(right_answers(LOGITS, best)) == 6
    assert float(right_answers(LOGITS, HOT)) == float(HOT[torch.arange(6), best].sum())


def test_weights_of_classes() -> None:
    train = manifest({"a": 10, "b": 1, "c": 100})
    inverse = class_weights(InverseFrequency(), train)
    np.testing.assert_allclose(inverse / inverse[1], [0.1, 1, 0.01])
    root = class_weights(InverseFrequency(power=0.5), train)
    np.testing.assert_allclose(root / root[1], [10**-0.5, 1, 0.1])
    effective = class_weights(EffectiveNumber(beta=0.9), train)
    np.testing.assert_allclose(effective / effective[1], [0.1 / (1 - 0.9**10), 1, 0.1 / (1 - 0.9**100)])
    for weights in (inverse, root, effective):
        assert weights.sum() == pytest.approx(3)


def test_effective_numbers_lie_between_no_weights_and_inverse_frequency() -> None:
    """Section 3.2: beta towards 0 is no weighting, towards 1 inverse frequency."""
    train = manifest({"a": 10, "b": 3})
    np.testing.assert_allclose(class_weights(EffectiveNumber(beta=1e-9), train), [1, 1])
    inverse = class_weights(InverseFrequency(), train)
    np.testing.assert_allclose(class_weights(EffectiveNumber(beta=1 - 1e-9), train), inverse, rtol=1e-6)


def test_a_class_without_videos() -> None:
    train = manifest({"a": 2, "b": 2}, classes=("a", "b", "c"))
    with pytest.raises(DataError, match=r"list.csv: class c has no video"):
        class_weights(InverseFrequency(), train)


def test_the_recipes_loss() -> None:
    train = manifest({"a": 3, "b": 1})
    recipe = get_recipe("slowonly_r18_8x2_motions").variant(train={"class_weights": {"kind": "inverse_frequency"}})
    logits, target = torch.zeros(2, 2), torch.tensor([0, 1])
    expected = np.log(2) * (0.5 + 1.5)
    assert float(training_loss(recipe, train)(logits, target)) == pytest.approx(expected)
    several = recipe.variant(task={"kind": "multilabel"})
    assert float(training_loss(several, train)(logits, target)) == pytest.approx(np.log(2) * 2)
