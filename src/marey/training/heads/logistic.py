"""Linear heads on pooled features: L2-regularised logistic regression, of a softmax or, for several labels, of sigmoids.

    minimise over W and b:   |W|^2 / 2 + strength * sum_i loss(W x_i + b, target_i)

The strength is the C of scikit-learn; the bias is not regularised. x are the pooled features, standardised on the training
clips, each block divided by the root of its width, so that every block has a mean square length of 1, however wide it is.

It is solved along the directions that the training clips span (`marey.training.heads.directions`): no part of the
solution lies outside them, and few clips have fewer directions than features.

Shapes: N clips, F features, K classes, R directions.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from marey.models.probe.pooled import Pooled
from marey.recipe import MultiLabel, TaskConfig
from marey.training.heads.directions import Directions

Targets = NDArray[np.int64] | NDArray[np.bool_]
"""One class a clip [N], int64; or which clip has which label [N, K], bool."""

GRADIENT_TOLERANCE = 1e-6
"""At the solution the objective, divided by strength * N, has no derivative larger than this in the coordinates in which it
is minimised; there its second derivatives are about those of the loss itself."""
_MOST_ITERATIONS = 1000
_ROWS = 512
"""Clips whose features are float64 at a time, which bounds the memory."""


@dataclass(frozen=True, eq=False)
class Head:
    """A linear classifier on pooled features as they are: their standardisation is part of weight and bias."""

    weight: NDArray[np.float32]
    """[K, F]"""
    bias: NDArray[np.float32]
    """[K]"""
    strength: float

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Logits [N, K] of pooled features [N, F]."""
        weight_FK = self.weight.T.astype(np.float64)
        parts = [features[first : first + _ROWS] @ weight_FK for first in range(0, len(features), _ROWS)]
        return np.concatenate([np.empty((0, len(self.bias))), *parts]) + self.bias


@dataclass(frozen=True, eq=False)
class Solution:
    """A head along directions."""

    weight: Tensor
    """[R, K], float64."""
    bias: Tensor
    """[K], float64."""
    strength: float

    def logits(self, coordinates: Tensor) -> Tensor:
        """Logits [N, K] of clips with these coordinates [N, R]."""
        return coordinates @ self.weight + self.bias


def fit_head(pooled: Pooled, targets: Targets, *, classes: int, strength: float, task: TaskConfig) -> Head:
    """The head that fits the training clips.

    A class without a training clip (with several labels also one that all clips have) has no weight. Its bias makes it as
    likely as half a clip among the training clips, and never the first answer of a softmax.

    Args:
        pooled: Of the training clips.
        targets: Of these clips.
        classes: K.
        strength: Above 0; the larger, the closer the head follows the training clips.
        task: Softmax or sigmoids.
    """
    directions = Directions.of(pooled, np.arange(len(pooled)))
    found = solve(directions, targets, classes=classes, strength=strength, task=task)
    return folded(directions, found)


def folded(directions: Directions, solution: Solution) -> Head:
    """The head on features as they are."""
    weight_FK = directions.weight(solution.weight)
    bias = solution.bias - directions.mean @ weight_FK
    return Head(weight_FK.T.contiguous().float().numpy(), bias.float().numpy(), solution.strength)


def solve(directions: Directions, targets: Targets, *, classes: int, strength: float, task: TaskConfig) -> Solution:
    """As `fit_head`, along directions that are known, so that several strengths share them."""
    found = torch.from_numpy(np.ascontiguousarray(targets))
    if isinstance(task, MultiLabel):
        return _sigmoids(directions, found.double(), strength)
    return _softmax(directions, found, classes, strength)


def _softmax(directions: Directions, targets: Tensor, classes: int, strength: float) -> Solution:
    clips = len(targets)
    present, own = torch.unique(targets, return_inverse=True)
    hot = F.one_hot(own, len(present)).double()

    def loss(logits: Tensor) -> tuple[Tensor, Tensor]:
        logs = logits.log_softmax(dim=1)
        return -(logs * hot).sum() / clips, (logs.exp() - hot) / clips

    found = _minimum(directions, loss, len(present), 0.3 / len(present), strength)
    # A constant on all logits changes nothing; this choice makes the largest logit of a clip positive.
    own_bias = found.bias - found.bias.mean()
    likely = (directions.coordinates @ found.weight + own_bias).logsumexp(dim=1).mean() - math.log(2 * len(targets))
    weight = found.weight.new_zeros(len(found.weight), classes)
    bias = likely.clamp(max=0).repeat(classes)
    weight[:, present], bias[present] = found.weight, own_bias
    return Solution(weight, bias, strength)


def _sigmoids(directions: Directions, targets: Tensor, strength: float) -> Solution:
    clips, classes = targets.shape
    having = targets.sum(dim=0)
    mixed = ((having > 0) & (having < clips)).nonzero()[:, 0]
    bias = ((having + 0.5) / (clips + 1)).logit()
    if not len(mixed):
        return Solution(directions.coordinates.new_zeros(directions.coordinates.shape[1], classes), bias, strength)
    own = targets[:, mixed]

    def loss(logits: Tensor) -> tuple[Tensor, Tensor]:
        value = F.binary_cross_entropy_with_logits(logits, own, reduction="sum") / clips
        return value, (logits.sigmoid() - own) / clips

    found = _minimum(directions, loss, len(mixed), 0.1, strength)
    weight = found.weight.new_zeros(len(found.weight), classes)
    weight[:, mixed], bias[mixed] = found.weight, found.bias
    return Solution(weight, bias, strength)


def _minimum(
    directions: Directions,
    loss: Callable[[Tensor], tuple[Tensor, Tensor]],
    outputs: int,
    curvature: float,
    strength: float,
) -> Solution:
    """Where the mean loss of logits [N, outputs] with the penalty |W|^2 / (2 strength N) is smallest.

    Each direction is measured in a unit in which the objective's second derivative is about `curvature`, that of the loss by
    a logit (about a third of its largest value): in these units few steps are needed whatever the strength. `loss` gives its
    value and its derivative by the logits: written out, that takes half of autograd's time.
    """
    clips, length = directions.coordinates.shape
    penalty = 1 / (strength * clips)
    units = (directions.squares * (curvature / clips) + penalty).rsqrt()[:, None] * math.sqrt(curvature)
    scaled = directions.coordinates * units.T
    shrinking = penalty * units.square()
    weight = torch.zeros(length, outputs, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(outputs, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS(
        [weight, bias],
        max_iter=_MOST_ITERATIONS,
        tolerance_grad=GRADIENT_TOLERANCE,
        tolerance_change=0,
        history_size=10,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        value, slope = loss(torch.addmm(bias, scaled, weight))
        weight.grad, bias.grad = torch.addmm(shrinking * weight, scaled.T, slope), slope.sum(dim=0)
        return value + (shrinking * weight.square()).sum() / 2

    with torch.inference_mode(False), torch.no_grad():
        search.step(objective)  # type: ignore[no-untyped-call]
    return Solution(weight.detach() * units, bias.detach(), strength)
