"""Linear heads on pooled features: L2-regularised logistic regression with a softmax or, for several labels, sigmoids.

    minimise over W and b:   |W|^2 / 2 + strength * sum_i loss(W x_i + b, target_i)

The strength is the C of scikit-learn; the bias is not regularised. x_i are the pooled features of video i, standardised
on the training videos. Each kind of features of the pooling (`PooledFeatures.widths`) is divided by the square root of
the number of its features, so that the mean squared length of every kind is 1.

The problem is solved along the directions that the training videos span (`marey.training.heads.directions`): the
solution lies in their span, and few videos have fewer directions than features.

Shapes: N videos, F features, K classes, R directions.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from marey.models.probe.pooled import PooledFeatures
from marey.recipe import MultiLabel, TaskConfig
from marey.training.heads.directions import Directions

Targets = NDArray[np.int64] | NDArray[np.bool_]
"""One class per video [N], int64; or which video has which label [N, K], bool."""

GRADIENT_TOLERANCE = 1e-6
"""Largest derivative that the objective, divided by strength * N, may have at the solution, in the scaled coordinates
of `_minimum`. In these its second derivatives are about those of the loss."""
_MOST_ITERATIONS = 1000
"""Largest number of L-BFGS iterations."""
_ROWS = 512
"""Number of videos whose features are converted to float64 at a time, which bounds memory."""


@dataclass(frozen=True, eq=False)
class Head:
    """A linear classifier on pooled features that are not standardised: weight and bias contain the standardisation."""

    weight: NDArray[np.float32]
    """The weights [K, F]."""
    bias: NDArray[np.float32]
    """The biases [K]."""
    strength: float
    """The strength of regularisation with which the head was fitted."""

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Logits [N, K] of pooled features [N, F]."""
        weight_FK = self.weight.T.astype(np.float64)
        blocks = [features[first : first + _ROWS] @ weight_FK for first in range(0, len(features), _ROWS)]
        return np.concatenate([np.empty((0, len(self.bias))), *blocks]) + self.bias


@dataclass(frozen=True, eq=False)
class Solution:
    """A head whose weights are given along directions."""

    weight: Tensor
    """The weights [R, K] along the directions, float64."""
    bias: Tensor
    """The biases [K], float64."""
    strength: float
    """The strength of regularisation, as in `Head`."""

    def logits(self, coordinates: Tensor) -> Tensor:
        """Logits [N, K] of videos with these coordinates [N, R]."""
        return coordinates @ self.weight + self.bias


def fit_head(pooled: PooledFeatures, targets: Targets, *, classes: int, strength: float, task: TaskConfig) -> Head:
    """Fit a head to training videos.

    A class without a training video has weights of 0 and a bias that gives it about the share that half a video has of
    the training videos; a softmax never predicts it. With several labels, a class that all videos have has weights of 0,
    too, and a bias as if half a video lacked it.

    Args:
        pooled: The features of the training videos.
        targets: The targets of the training videos.
        classes: The number of classes, K.
        strength: Above 0; the larger, the weaker is the penalty, and the closer the head follows the training videos.
        task: Softmax or sigmoids.
    """
    directions = Directions.of(pooled, np.arange(len(pooled)))
    return _with_standardisation(directions, solve(directions, targets, classes=classes, strength=strength, task=task))


def _with_standardisation(directions: Directions, solution: Solution) -> Head:
    """The same head for features that are not standardised."""
    weight_FK = directions.weight(solution.weight)
    bias = solution.bias - directions.mean @ weight_FK
    return Head(weight_FK.T.contiguous().float().numpy(), bias.float().numpy(), solution.strength)


def solve(directions: Directions, targets: Targets, *, classes: int, strength: float, task: TaskConfig) -> Solution:
    """Fit a head as `fit_head` does, along given directions, which fits of several strengths can share."""
    known = torch.from_numpy(np.ascontiguousarray(targets))
    if isinstance(task, MultiLabel):
        return _fit_sigmoids(directions, known.double(), strength)
    return _fit_softmax(directions, known, classes, strength)


def _fit_softmax(directions: Directions, targets: Tensor, classes: int, strength: float) -> Solution:
    videos = len(targets)
    present, own = torch.unique(targets, return_inverse=True)
    hot = F.one_hot(own, len(present)).double()

    def loss(logits: Tensor) -> tuple[Tensor, Tensor]:
        logs = logits.log_softmax(dim=1)
        return -(logs * hot).sum() / videos, (logs.exp() - hot) / videos

    fitted = _minimum(directions, loss, len(present), 0.3 / len(present), strength)
    # A constant added to all logits changes nothing. With mean 0 over classes, the largest logit of a video is positive.
    own_bias = fitted.bias - fitted.bias.mean()
    likely = (directions.coordinates @ fitted.weight + own_bias).logsumexp(dim=1).mean() - math.log(2 * len(targets))
    weight = fitted.weight.new_zeros(len(fitted.weight), classes)
    bias = likely.clamp(max=0).repeat(classes)
    weight[:, present], bias[present] = fitted.weight, own_bias
    return Solution(weight, bias, strength)


def _fit_sigmoids(directions: Directions, targets: Tensor, strength: float) -> Solution:
    videos, classes = targets.shape
    having = targets.sum(dim=0)
    mixed = ((having > 0) & (having < videos)).nonzero()[:, 0]
    bias = ((having + 0.5) / (videos + 1)).logit()
    if not len(mixed):
        return Solution(directions.coordinates.new_zeros(directions.coordinates.shape[1], classes), bias, strength)
    own = targets[:, mixed]

    def loss(logits: Tensor) -> tuple[Tensor, Tensor]:
        value = F.binary_cross_entropy_with_logits(logits, own, reduction="sum") / videos
        return value, (logits.sigmoid() - own) / videos

    fitted = _minimum(directions, loss, len(mixed), 0.1, strength)
    weight = fitted.weight.new_zeros(len(fitted.weight), classes)
    weight[:, mixed], bias[mixed] = fitted.weight, fitted.bias
    return Solution(weight, bias, strength)


def _minimum(
    directions: Directions,
    loss: Callable[[Tensor], tuple[Tensor, Tensor]],
    outputs: int,
    curvature: float,
    strength: float,
) -> Solution:
    """Minimise the mean loss plus the penalty |W|^2 / (2 strength N) over weights along directions, by L-BFGS.

    Each direction is scaled so that the objective's second derivative along it is about `curvature`. In these units few
    steps are needed, whatever the strength.

    Args:
        directions: The directions, with the coordinates of N videos.
        loss: From logits [N, outputs] to the mean loss and its derivative by the logits. The derivative is written by
            hand, which takes half of autograd's time.
        outputs: The number of logits.
        curvature: A typical second derivative of a video's loss by a logit, about a third of the largest one.
        strength: Above 0.
    """
    videos, length = directions.coordinates.shape
    penalty = 1 / (strength * videos)
    units = (directions.squares * (curvature / videos) + penalty).rsqrt()[:, None] * math.sqrt(curvature)
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
