"""Losses against their formulas in NumPy: cross-entropies, focal losses (Lin et al.), class weights (Cui et al.)."""

import numpy as np
import pytest
import torch

from marey.base.errors import DataError, RecipeError
from marey.data.lists.manifest import make_manifest
from marey.recipe import EffectiveNumber, FocalLoss, InverseFrequency, Recipe
from marey.recipes import get_recipe
from marey.tasks.choose import task_of
from marey.tasks.classify import count_correct, cross_entropy, focal_loss
from marey.tasks.losses import class_weights
from marey.tasks.multilabel import binary_cross_entropy, binary_focal_loss

LOGITS = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
CLASSES = torch.tensor([0, 1, 2, 3, 1, 1])
HOT = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0], [0, 1, 1, 0], [1, 1, 1, 1]]).float()
WEIGHTS = torch.tensor([0.5, 1.0, 0.25, 2.25], dtype=torch.float64)


def manifest(counts: dict[str, int], classes=None):
    rows = [(f"{label}{i}.mp4", label) for label, count in counts.items() for i in range(count)]
    return make_manifest(rows, root=__import__("pathlib").Path(), source="list.csv", classes=classes)


def test_cross_entropy_is_that_of_the_definition() -> None:
    logits = LOGITS.numpy()
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    own = -logs[np.arange(6), CLASSES]
    assert float(cross_entropy(LOGITS, CLASSES)) == pytest.approx(own.sum())
    weighted = (WEIGHTS.numpy()[CLASSES] * own).sum()
    assert float(cross_entropy(LOGITS, CLASSES, WEIGHTS)) == pytest.approx(weighted)
    smooth = 0.9 * own.sum() - 0.1 * logs.mean(axis=1).sum()
    assert float(cross_entropy(LOGITS, CLASSES, smoothing=0.1)) == pytest.approx(smooth)


def test_binary_cross_entropy_is_the_mean_over_classes() -> None:
    p = 1 / (1 + np.exp(-LOGITS.numpy()))
    losses = -(HOT.numpy() * np.log(p) + (1 - HOT.numpy()) * np.log(1 - p))
    assert float(binary_cross_entropy(LOGITS, HOT)) == pytest.approx(losses.mean(axis=1).sum())
    weighted = (losses * WEIGHTS.numpy()).mean(axis=1).sum()
    assert float(binary_cross_entropy(LOGITS, HOT, WEIGHTS)) == pytest.approx(weighted)
    one_each = binary_cross_entropy(LOGITS, torch.eye(4)[CLASSES])
    assert float(binary_cross_entropy(LOGITS, CLASSES)) == pytest.approx(float(one_each))


def test_counts_of_right_predictions() -> None:
    best = LOGITS.argmax(dim=1)
    assert int(count_correct(LOGITS, best)) == 6
    assert float(count_correct(LOGITS, HOT)) == float(HOT[torch.arange(6), best].sum())


def test_class_weights() -> None:
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


def test_a_recipe_declares_its_loss_and_class_weights() -> None:
    train = manifest({"a": 3, "b": 1})
    recipe = get_recipe("slowonly_r18_8x2_motions").variant(train={"class_weights": {"kind": "inverse_frequency"}})
    logits, target = torch.zeros(2, 2), torch.tensor([0, 1])
    expected = np.log(2) * (0.5 + 1.5)
    assert float(task_of(recipe.task).training_loss(recipe.train, train)(logits, target)) == pytest.approx(expected)
    several = recipe.variant(task={"kind": "multilabel"})
    found = task_of(several.task).training_loss(several.train, train)(logits, target)
    assert float(found) == pytest.approx(np.log(2) * 2)


# -- focal loss: -alpha_t (1 - p_t)^gamma log(p_t)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_focal_loss_of_one_label(gamma) -> None:
    logits = LOGITS.numpy()
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    own = p[np.arange(6), CLASSES]
    expected = -(WEIGHTS.numpy()[CLASSES] * (1 - own) ** gamma * np.log(own)).sum()
    assert float(focal_loss(LOGITS, CLASSES, WEIGHTS, gamma=gamma)) == pytest.approx(expected, rel=1e-12)
    shares = np.array(
        [[0.7, 0, 0.3, 0], [0, 1, 0, 0], [0, 0.5, 0.5, 0], [0.1, 0.2, 0.3, 0.4], [1, 0, 0, 0], [0, 0, 0, 1]]
    )
    smooth = 0.9 * shares + 0.1 / 4
    expected = -(WEIGHTS.numpy() * smooth * (1 - p) ** gamma * np.log(p)).sum()
    found = focal_loss(LOGITS, torch.from_numpy(shares), WEIGHTS, 0.1, gamma=gamma)
    assert float(found) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("alpha", [None, 0.25])
@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_focal_loss_of_several_labels(gamma, alpha) -> None:
    p, present = 1 / (1 + np.exp(-LOGITS.numpy())), HOT.numpy() > 0
    right = np.where(present, p, 1 - p)
    weight = np.ones_like(p) if alpha is None else np.where(present, alpha, 1 - alpha)
    losses = -WEIGHTS.numpy() * weight * (1 - right) ** gamma * np.log(right)
    found = binary_focal_loss(LOGITS, HOT, WEIGHTS, gamma=gamma, alpha=alpha)
    assert float(found) == pytest.approx(losses.mean(axis=1).sum(), rel=1e-12)
    one_each = binary_focal_loss(LOGITS, torch.eye(4)[CLASSES], gamma=gamma, alpha=alpha)
    assert float(binary_focal_loss(LOGITS, CLASSES, gamma=gamma, alpha=alpha)) == pytest.approx(float(one_each))


def test_mixed_clips_share_the_focal_loss_of_several_labels() -> None:
    """Linear in the targets: the loss of a mixed clip is the same mix of the losses of both labels."""
    ends = [float(binary_focal_loss(LOGITS, hot, gamma=2, alpha=0.3)) for hot in (HOT, 1 - HOT)]
    mixed = float(binary_focal_loss(LOGITS, 0.7 * HOT + 0.3 * (1 - HOT), gamma=2, alpha=0.3))
    assert mixed == pytest.approx(0.7 * ends[0] + 0.3 * ends[1])


def test_focal_loss_with_gamma_0_is_cross_entropy() -> None:
    close = {"rtol": 1e-14, "atol": 0}
    shares = torch.softmax(LOGITS.flip(0), dim=1)
    for target in (CLASSES, shares):
        for weights in (None, WEIGHTS):
            for smoothing in (0.0, 0.1):
                plain = cross_entropy(LOGITS, target, weights, smoothing)
                torch.testing.assert_close(focal_loss(LOGITS, target, weights, smoothing, gamma=0), plain, **close)
    for target in (CLASSES, HOT, shares):
        for weights in (None, WEIGHTS):
            plain = binary_cross_entropy(LOGITS, target, weights)
            torch.testing.assert_close(binary_focal_loss(LOGITS, target, weights, gamma=0), plain, **close)


@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("size", [30.0, 200.0, 1e4, 1e30])
def test_focal_gradients_are_finite_at_extreme_logits(gamma, size) -> None:
    logits = torch.tensor([[size, -size, 0.0], [-size, size, size], [size, size, size]], requires_grad=True)
    target, hot = torch.tensor([1, 1, 0]), torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    for loss in (focal_loss(logits, target, gamma=gamma), binary_focal_loss(logits, hot, gamma=gamma)):
        assert torch.isfinite(loss)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_gradients_in_float32_are_those_of_the_formula_in_float64(gamma) -> None:
    logits = 8 * torch.randn(50, 4, generator=torch.Generator().manual_seed(1))
    target = torch.arange(50) % 4
    hot = torch.nn.functional.one_hot(target, 4)

    def formula(logits: torch.Tensor) -> torch.Tensor:
        own = logits.softmax(dim=1)[torch.arange(50), target]
        rest = (logits.exp() * (1 - hot)).sum(dim=1) / logits.exp().sum(dim=1)  # 1 - p without cancellation
        return -(rest**gamma * own.log()).sum()

    def binary(logits: torch.Tensor) -> torch.Tensor:
        right = torch.where(hot > 0, logits, -logits).sigmoid()
        wrong = torch.where(hot > 0, -logits, logits).sigmoid()
        return -(wrong**gamma * right.log()).mean(dim=1).sum()

    for ours, expected in (
        (lambda x: focal_loss(x, target, gamma=gamma), formula),
        (lambda x: binary_focal_loss(x, target, gamma=gamma), binary),
    ):
        single, double = logits.clone().requires_grad_(), logits.double().requires_grad_()
        (found,) = torch.autograd.grad(ours(single), single)
        (exact,) = torch.autograd.grad(expected(double), double)
        torch.testing.assert_close(found.double(), exact, rtol=1e-3, atol=1e-6)


def test_focal_loss_from_the_command_line() -> None:
    train = manifest({"a": 3, "b": 1})
    recipe = get_recipe("slowonly_r18_8x2_motions").variant(train={"label_smoothing": 0.1})
    assert recipe.train.loss.kind == "cross_entropy"
    focal = recipe.with_settings(["train.loss.kind=focal", "train.loss.gamma=3"])
    assert focal.train.loss == FocalLoss(gamma=3)
    assert focal.with_settings(["train.loss.gamma=1"]).train.loss == FocalLoss(gamma=1)
    logits, target = LOGITS[:, :2], torch.tensor([0, 1, 0, 1, 1, 1])
    found = task_of(focal.task).training_loss(focal.train, train)(logits, target)
    assert float(found) == float(focal_loss(logits, target, smoothing=0.1, gamma=3))
    several = focal.with_settings(["train.label_smoothing=0", "task.kind=multilabel", "train.loss.alpha=0.25"])
    found = task_of(several.task).training_loss(several.train, train)(logits, target)
    assert float(found) == float(binary_focal_loss(logits, target, gamma=3, alpha=0.25))
    with pytest.raises(RecipeError, match=r"alpha weighs present against absent labels.*use train\.class_weights"):
        focal.with_settings(["train.loss.alpha=0.25"])


def test_a_recipe_of_an_earlier_version_has_cross_entropy() -> None:
    recipe = get_recipe("slowonly_r18_8x2_motions")
    older = recipe.model_dump(mode="json")
    del older["train"]["loss"]
    assert Recipe.model_validate(older) == recipe
