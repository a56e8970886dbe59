"""How a recipe trains: optimiser, schedule, loss, batch norms, and what is done to clips and labels of a batch."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from marey.base.declaration import Declaration
from marey.base.precision import Arithmetic
from marey.data.loading.draw import ByClass, EachOnce
from marey.models.initialisation import Initialisation


class SGD(Declaration):
    """Stochastic gradient descent with momentum, weight decay on every parameter as the toolkits had it."""

    kind: Literal["sgd"] = "sgd"
    lr: PositiveFloat
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-4
    norm_weight_decay: float | None = None
    """Decay of the scale and shift of normalisation layers of every kind, and of what the network names (`no_decay`:
    position embeddings, tokens); None is the same as `weight_decay` (PySlowFast: 0). Biases decay as everything else."""


class AdamW(Declaration):
    """Adam with decoupled weight decay."""

    kind: Literal["adamw"] = "adamw"
    lr: PositiveFloat
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.05
    norm_weight_decay: float | None = 0.0
    """Decay of the scale and shift of normalisation layers of every kind, of biases, of all other parameters of at most
    one dimension, and of what the network names (`no_decay`: position embeddings, tokens); None is the same as
    `weight_decay`. (timm's rule, where it is 0.)"""


class Warmup(Declaration):
    """Linear warm-up, from `start` times the base learning rate, over `epochs` or `steps`: one of them."""

    epochs: PositiveFloat | None = None
    steps: PositiveInt | None = None
    """MMAction v0.2.0 counted iterations, whatever the batch; later versions epochs."""
    start: NonNegativeFloat = 0.01
    by: Literal["step", "epoch"] = "step"
    """Moved on every step, or once an epoch (MMAction2)."""
    ends: Literal["after", "last"] = "after"
    """The line reaches its end on the first step or epoch after the warm-up (MMAction, PySlowFast), or already on the
    last one of it (MMAction2's engine)."""
    towards: Literal["schedule", "end"] = "schedule"
    """"schedule": a factor that rises to 1 times the schedule's value at each step (MMAction, MMAction2). "end": a line
    to the schedule's value at the end of the warm-up (PySlowFast)."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("a warm-up lasts so many epochs or so many steps: give one of them")
        return self


class CosineSchedule(Declaration):
    """lr * (end + (1 - end) * (1 + cos(pi * progress)) / 2), progress = (epoch - begin) / length.

    Before `begin` progress is 0. With by="step" the epoch is a fraction: steps / steps of an epoch.

    MMAction2's MViT (mvit-small-p244_32xb16-16x4x1-200e: LinearLR from 0.01 with end 30, then CosineAnnealingLR with T_max
    200, begin 30, end 200 and eta_min 0.01 of the rate, both with convert_to_iter_based) stops at 170 / 200 of the curve:

        CosineSchedule(by="step", begin=30, length=200, end=0.01, warmup=Warmup(epochs=30, start=0.01, ends="last"))

    mmengine writes both as recursions from step to step (param_scheduler.py: CosineAnnealingParamScheduler,
    LinearParamScheduler). In closed form, with n steps an epoch and step i: before 30 n the factor is
    0.01 + 0.99 i / (30 n - 1), which is 1 at step 30 n - 1, and from 30 n on
    0.01 + 0.99 (1 + cos(pi (i - 30 n) / (200 n))) / 2, which is 1 once more at step 30 n.
    """

    kind: Literal["cosine"] = "cosine"
    by: Literal["step", "epoch"] = "epoch"
    begin: NonNegativeFloat = 0
    """MMAction, PySlowFast: 0, the warm-up is part of the curve. MMAction2's SlowOnly: after the warm-up."""
    length: PositiveFloat | None = None
    """Epochs that the whole curve takes, at least those from `begin` to the last one (torch's and MMAction2's T_max);
    None: just these."""
    end: NonNegativeFloat = 0
    """The value at the end of the curve, as a share of the base learning rate."""
    warmup: Warmup | None = None


class StepSchedule(Declaration):
    """lr * gamma ** (how many milestones lie at or before the epoch, counted from epoch `begin`)."""

    kind: Literal["step"] = "step"
    milestones: tuple[PositiveInt, ...]
    gamma: float = 0.1
    begin: NonNegativeInt = 0
    """MMAction2's engine counts milestones from the scheduler's `begin`: 90 and 130 after a warm-up of 10 epochs drop
    at epochs 100 and 140."""
    warmup: Warmup | None = None


class Mix(Declaration):
    """Mixup and cutmix of a batch with itself read backwards, one draw for the whole batch (timm, PySlowFast).

    Mixup: lambda * clip + (1 - lambda) * partner, lambda from Beta(alpha, alpha). Cutmix: a box of the share 1 - lambda
    is the partner's, in all frames alike; what of it lies inside the picture counts. Labels are mixed in the same shares.
    """

    mixup_alpha: NonNegativeFloat = 0.8
    """0: no mixup."""
    cutmix_alpha: NonNegativeFloat = 1.0
    """0: no cutmix."""
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Of a batch to be mixed at all."""
    switch: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Of cutmix, where both are on."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.mixup_alpha == self.cutmix_alpha == 0:
            raise ValueError("mixup_alpha and cutmix_alpha are both 0: leave train.mix out, or set one of them")
        return self


class Erase(Declaration):
    """Random erasing (Zhong et al. 2020) of normalised clips: boxes through all frames of a clip (timm, PySlowFast)."""

    probability: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Of a clip to be erased from."""
    area: tuple[PositiveFloat, PositiveFloat] = (0.02, 1 / 3)
    """Share of the picture, uniform between these, all boxes together."""
    flattest: Annotated[float, Field(gt=0, le=1)] = 0.3
    """Height over width is log-uniform from this to its inverse."""
    boxes: PositiveInt = 1
    fill: Literal["noise", "colour", "mean"] = "noise"
    """"noise": N(0, 1) for each pixel of each frame. "colour": N(0, 1) once for each channel of a box. "mean": 0, which
    is the mean colour."""


class DepthGroups(Declaration):
    """Layer-wise learning rates: lr * decay ** (depth of the head - depth of the parameter).

    Depths are what `layer_depth` of the network says: 0 is the stem, then the stages, then the head; of a transformer 0 is
    all that comes before the blocks, then the blocks, then the final norm and the head (BEiT's rule, PySlowFast's and
    MMAction2's; timm counts the final norm with the last block).
    """

    kind: Literal["by_depth"] = "by_depth"
    decay: Annotated[float, Field(gt=0, le=1)]
    """1 is the same rate everywhere, and only `head` counts."""
    head: PositiveFloat = 1.0
    """What the head's rate is multiplied by."""


class TSNGroups(Declaration):
    """TSN's groups (tsn-pytorch, TSM, MMAction2's TSM): biases learn twice as fast as weights and do not decay; norms
    neither decay nor learn faster, whatever the optimiser's own decay of norms.
    """

    kind: Literal["tsn"] = "tsn"
    first: PositiveFloat = 1.0
    """What the rate of the first convolution is multiplied by; its bias twice that. tsn-pytorch and TSM: 5 on flow."""
    head: PositiveFloat = 1.0
    """The same of the classifier. TSM's and MMAction2's `fc_lr5`: 5 (and 10 for its bias)."""


_HALF = 0.5**0.5


class Multigrid(Declaration):
    """Smaller clips in larger batches, more of them early on, so that epochs cost less (Wu et al., A Multigrid Method for
    Efficiently Training Video Models, CVPR 2020; PySlowFast).

    Each interval between the schedule's milestones passes through all shapes of the long cycle; the last interval, at
    full size, is for fine-tuning. A batch grows as its clips shrink, and the learning rate of a shape with it. Inside an
    epoch, batches alternate through the short cycle: two smaller sides, then the shape's own. `train.epochs` and the
    milestones are those of the training that this replaces. Formulas: docs/training.md.
    """

    long: Annotated[tuple[tuple[PositiveFloat, PositiveFloat], ...], Field(min_length=1)] = (
        (0.25, _HALF),
        (0.5, _HALF),
        (0.5, 1.0),
        (1.0, 1.0),
    )
    """(frames, side), as shares of the recipe's; the last one is the full size."""
    short: tuple[PositiveFloat, ...] = (0.5, _HALF)
    """Sides, as shares of the recipe's; none: no short cycle."""
    epoch_factor: PositiveFloat = 1.5
    """How many epochs there are for each of the training that this replaces."""

    @model_validator(mode="after")
    def _ends_at_full_size(self) -> Self:
        if self.long[-1] != (1.0, 1.0):
            raise ValueError("the long cycle ends at the full size: its last shape is [1, 1]")
        return self


class EMA(Declaration):
    """An exponential moving average of the weights, which is what is validated, saved and tested.

    After optimiser step t (from 1): average = d * average + (1 - d) * weights, d = min(decay, (1 + t) / (10 + t)).
    Running means and variances of batch norms are averaged likewise, counters copied.
    """

    decay: Annotated[float, Field(gt=0, lt=1)] = 0.9999


class InverseFrequency(Declaration):
    """A class of n videos weighs n ** -power, times what makes the mean over classes 1."""

    kind: Literal["inverse_frequency"] = "inverse_frequency"
    power: Annotated[float, Field(gt=0)] = 1.0


class EffectiveNumber(Declaration):
    """A class of n videos weighs (1 - beta) / (1 - beta ** n), times what makes the mean over classes 1.

    Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019, equation 12.
    """

    kind: Literal["effective_number"] = "effective_number"
    beta: Annotated[float, Field(gt=0, lt=1)] = 0.999


class CrossEntropy(Declaration):
    """The task's cross-entropy: of the softmax over the classes, or with several labels the binary one of each class."""

    kind: Literal["cross_entropy"] = "cross_entropy"


class FocalLoss(Declaration):
    """Cross-entropy that weighs what the network is sure and right about down: -alpha_t (1 - p_t)^gamma log(p_t).

    Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, equations 4 and 5. p_t is the probability of the true
    class, or with several labels the probability of each label's being as it is, present or absent. Class weights
    multiply it as they do cross-entropy. Targets between 0 and 1 (mixup, cutmix, label smoothing) share it out:
    docs/training.md has the formulas.
    """

    kind: Literal["focal"] = "focal"
    gamma: NonNegativeFloat = 2.0
    """0 is cross-entropy."""
    alpha: Annotated[float, Field(gt=0, lt=1)] | None = None
    """With several labels: a present label weighs alpha, an absent one 1 - alpha. None: both weigh 1."""


class Train(Declaration):
    """All that decides accuracy in training, as the recipe's toolkit had it."""

    epochs: PositiveInt
    base_batch: PositiveInt
    """Videos per optimiser step over all processes, for which the learning rate is meant."""
    repeats: PositiveInt = 1
    """Clips that are drawn of each video of a batch, each cut and changed anew (Hoffer et al. 2020; PySlowFast's
    NUM_SAMPLE). A step then sees `repeats` times `base_batch` clips; an epoch stays one pass over the videos."""
    draw: Annotated[EachOnce | ByClass, Field(discriminator="kind")] = EachOnce()
    """Which videos make an epoch."""
    optimizer: Annotated[SGD | AdamW, Field(discriminator="kind")]
    groups: Annotated[DepthGroups | TSNGroups, Field(discriminator="kind")] | None = None
    """Parameters that learn at rates of their own; None: all at the same one."""
    schedule: Annotated[CosineSchedule | StepSchedule, Field(discriminator="kind")]
    clip_norm: PositiveFloat | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Stochastic depth: with this probability the last residual block loses its branch for a clip, the first one never,
    those between linearly (timm's rule)."""
    loss: Annotated[CrossEntropy | FocalLoss, Field(discriminator="kind")] = CrossEntropy()
    """Before weights of classes and smoothing."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    mix: Mix | None = None
    erase: Erase | None = None
    class_weights: Annotated[InverseFrequency | EffectiveNumber, Field(discriminator="kind")] | None = None
    """Weights of the classes in the loss: the sum of weight times loss over the clips, divided by their number."""
    initialisation: Initialisation = Initialisation()
    frozen_stages: Annotated[int, Field(ge=-1)] = -1
    """-1: none; 0: the stem; n: the stem and the first n stages."""
    frozen_norms: Literal["none", "statistics", "all", "all_but_first"] = "none"
    """"statistics": batch norms use and keep their running statistics, scale and shift learn (MMAction's bn_eval,
    MMAction2's norm_eval). "all": scale and shift stay, too (bn_frozen). "all_but_first": so for all but the first of
    the network, which learns as usual (partial_bn of TSN, MMAction and MMAction2)."""
    norm_batch: PositiveInt | None = None
    """Clips that one batch norm sees in training: one device then imitates the toolkits' eight, each with its own
    share and no exchange between them. None: all clips of a pass, over all processes where the device can (CUDA)."""
    precise_norms: PositiveInt | None = None
    """Before each validation, batch norms take the true mean and variance over this many training batches
    (PySlowFast: 200). None: the running averages."""
    ema: EMA | None = None
    multigrid: Multigrid | None = None
    precision: Arithmetic = "float32"
    checkpointing: bool = False
    """Blocks keep their inputs alone for the backward pass and are computed again there: less memory, more time, the same
    gradients."""
    stop_after: PositiveInt | None = None
    """Stop when the validation score (top-1, or mean average precision with several labels) has not risen for so many
    epochs; None trains to the end."""

    @model_validator(mode="after")
    def _curve_lasts_to_the_end(self) -> Self:
        schedule = self.schedule
        if (
            isinstance(schedule, CosineSchedule)
            and schedule.length is not None
            and schedule.begin + schedule.length < self.epochs
        ):
            raise ValueError(
                f"the cosine of schedule.length={schedule.length:g} epochs from epoch {schedule.begin:g} ends before epoch "
                f"{self.epochs}: make it as long as the training, or leave schedule.length out"
            )
        return self

    @model_validator(mode="after")
    def _multigrid_follows_steps(self) -> Self:
        if self.multigrid is None:
            return self
        if not isinstance(self.schedule, StepSchedule) or not self.schedule.milestones or self.schedule.begin:
            raise ValueError("multigrid needs train.schedule.kind=step with milestones, counted from epoch 0")
        if self.schedule.milestones[-1] >= self.epochs:
            raise ValueError("multigrid needs epochs after the last milestone, at full size")
        return self
