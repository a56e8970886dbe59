"""The training section of a recipe, `Train`: optimiser, schedule, augmentation of batches, loss and batch norms."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from marey.base.declaration import Declaration
from marey.base.options import Arithmetic
from marey.data.loading.epoch_order import ByClass, EachOnce
from marey.models.layers.config import Initialisation


class SGD(Declaration):
    """Stochastic gradient descent with momentum. As in the toolkits, weight decay applies to biases and norms, too."""

    kind: Literal["sgd"] = "sgd"
    lr: PositiveFloat
    """Base learning rate, for a batch of `Train.base_batch` videos."""
    momentum: float = 0.9
    """Factor of the previous velocity in a step, from 0 (no momentum) to 1."""
    nesterov: bool = False
    """Use Nesterov's momentum (PySlowFast)."""
    weight_decay: float = 1e-4
    """Factor of the weight decay, at least 0: an L2 penalty, added to the gradient."""
    norm_weight_decay: float | None = None
    """Weight decay of the scales and shifts of normalisation layers and of the parameters that the network's `no_decay`
    names (position embeddings, tokens). None: the same as `weight_decay`. PySlowFast has 0. Biases of other layers always
    have `weight_decay`."""


class AdamW(Declaration):
    """Adam with decoupled weight decay."""

    kind: Literal["adamw"] = "adamw"
    lr: PositiveFloat
    """Base learning rate, for a batch of `Train.base_batch` videos."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay rates of the running averages of the gradient and of its square, each from 0 to below 1."""
    weight_decay: float = 0.05
    """Factor of the weight decay, at least 0, multiplied by the learning rate."""
    norm_weight_decay: float | None = 0.0
    """Weight decay of all parameters of at most one dimension (scales and shifts of normalisation layers, biases) and of
    those that the network's `no_decay` names (position embeddings, tokens). 0 is timm's rule; None: the same as
    `weight_decay`."""


class Warmup(Declaration):
    """Linear warm-up of the learning rate. Its length is given in epochs or in steps."""

    epochs: PositiveFloat | None = None
    """Length in epochs; None where `steps` is given."""
    steps: PositiveInt | None = None
    """Length in optimiser steps, which does not depend on the batch size (MMAction v0.2.0); None where `epochs` is
    given."""
    start: NonNegativeFloat = 0.01
    """Learning rate of the first step, as a multiple of the base learning rate."""
    by: Literal["step", "epoch"] = "step"
    """Whether the rate rises at every step, or once an epoch (MMAction2)."""
    ends: Literal["after", "last"] = "after"
    """When the full rate is reached. "after": on the first step (or epoch) after the warm-up (MMAction, PySlowFast).
    "last": on the last step (or epoch) of the warm-up (MMAction2)."""
    towards: Literal["schedule", "end"] = "schedule"
    """What the rate rises to. "schedule": the schedule's rate of each step is multiplied by a factor that rises to 1
    (MMAction, MMAction2). "end": the rate rises in a straight line to the one that the schedule has when the warm-up ends
    (PySlowFast)."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("a warm-up has a length in epochs or in steps: give one of the two")
        return self


class CosineSchedule(Declaration):
    """A cosine: lr * (end + (1 - end) * (1 + cos(pi * progress)) / 2), progress = (epoch - begin) / length.

    Before `begin` progress is 0. With by="step" the epoch has a fraction: it is the step divided by the steps per epoch.

    The curve may be longer than the training. The training of MMAction2's MViT (mvit-small-p244_32xb16-16x4x1-200e:
    LinearLR from 0.01 with end 30, then CosineAnnealingLR with T_max 200, begin 30, end 200 and eta_min 0.01 of the
    rate, both with convert_to_iter_based) stops at 170 / 200 of its curve:

        CosineSchedule(by="step", begin=30, length=200, end=0.01, warmup=Warmup(epochs=30, start=0.01, ends="last"))

    mmengine writes both as recursions from step to step (param_scheduler.py: CosineAnnealingParamScheduler,
    LinearParamScheduler). In closed form, with n steps an epoch and step i: before 30 n the factor is
    0.01 + 0.99 i / (30 n - 1), which is 1 at step 30 n - 1, and from 30 n on
    0.01 + 0.99 (1 + cos(pi (i - 30 n) / (200 n))) / 2, which is 1 again at step 30 n.
    """

    kind: Literal["cosine"] = "cosine"
    by: Literal["step", "epoch"] = "epoch"
    """Whether the rate changes at every step or once an epoch."""
    begin: NonNegativeFloat = 0
    """Epoch at which the curve begins. 0: at the beginning of the warm-up (MMAction, PySlowFast). In MMAction2's
    SlowOnly it begins after the warm-up."""
    length: PositiveFloat | None = None
    """Length of the complete curve in epochs (torch's and MMAction2's T_max), at least up to the last epoch. None: the curve
    ends with the training."""
    end: NonNegativeFloat = 0
    """Learning rate at the end of the curve, as a multiple of the base learning rate."""
    warmup: Warmup | None = None
    """Warm-up at the beginning; None: none."""


class StepSchedule(Declaration):
    """Steps: lr * gamma ** (the number of milestones that the epoch has reached)."""

    kind: Literal["step"] = "step"
    milestones: tuple[PositiveInt, ...]
    """Epochs at which the rate drops, counted from `begin`."""
    gamma: float = 0.1
    """Factor by which the rate is multiplied at each milestone."""
    begin: NonNegativeInt = 0
    """Epoch from which the milestones are counted (as in MMAction2): with 10, the milestones 90 and 130 are epochs 100
    and 140."""
    warmup: Warmup | None = None
    """Warm-up at the beginning; None: none."""


class Mix(Declaration):
    """Mixup or CutMix of each clip with its partner: of the first clip with the last, the second with the last but one, ...

    As in timm and PySlowFast, one lambda is drawn for each batch, from Beta(alpha, alpha). Mixup: lambda * clip +
    (1 - lambda) * partner. CutMix: a box, the same in all frames, is copied from the partner. Its area is 1 - lambda of
    the frame; if the border cuts it off, lambda is computed from the area that is left. Labels are mixed with the same
    weights, lambda and 1 - lambda.
    """

    mixup_alpha: NonNegativeFloat = 0.8
    """Alpha of mixup; 0: no mixup."""
    cutmix_alpha: NonNegativeFloat = 1.0
    """Alpha of CutMix; 0: no CutMix."""
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Probability that a batch is mixed, 0 to 1."""
    switch: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Probability, 0 to 1, that a mixed batch is mixed by CutMix, where both are enabled."""

    @model_validator(mode="after")
    def _one_is_enabled(self) -> Self:
        if self.mixup_alpha == self.cutmix_alpha == 0:
            raise ValueError("mixup_alpha and cutmix_alpha are both 0: leave train.mix out, or set one of them")
        return self


class Erase(Declaration):
    """Random erasing of normalised clips (Zhong et al. 2020): the same boxes in all frames of a clip (timm, PySlowFast)."""

    probability: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Probability that a clip is erased, 0 to 1."""
    area: tuple[PositiveFloat, PositiveFloat] = (0.02, 1 / 3)
    """Least and largest share of the frame, 0 to 1. For each box a share is drawn uniformly and divided by `boxes`."""
    flattest: Annotated[float, Field(gt=0, le=1)] = 0.3
    """Least ratio of height to width of a box; the ratio is drawn log-uniformly from this to its inverse."""
    boxes: PositiveInt = 1
    """Number of boxes in each clip, at least 1."""
    fill: Literal["noise", "colour", "mean"] = "noise"
    """What a box is filled with. "noise": N(0, 1) for each pixel of each frame. "colour": one N(0, 1) for each channel of
    the box. "mean": 0, the mean colour."""


class DepthGroups(Declaration):
    """Layer-wise learning rates: lr * decay ** (largest depth - depth of the parameter).

    The network's `layer_depth` gives the depths: the stem is 0, then come the stages, then the head. In a transformer all
    that comes before the blocks is 0, then come the blocks, then the final norm and the head (BEiT's rule, PySlowFast's and
    MMAction2's; timm counts the final norm with the last block).
    """

    kind: Literal["by_depth"] = "by_depth"
    decay: Annotated[float, Field(gt=0, le=1)]
    """Ratio of the learning rates of neighbouring depths. 1: every layer before the head has the same rate."""
    head: PositiveFloat = 1.0
    """A further factor of the learning rate at the largest depth: of the head, in a transformer also of the final norm."""


class TSNGroups(Declaration):
    """TSN's groups of parameters with different learning rates (tsn-pytorch, TSM, MMAction2's TSM).

    Biases have twice the learning rate of weights and no weight decay. Norms have the learning rate of weights and no weight
    decay, whatever the optimiser's `norm_weight_decay` is.
    """

    kind: Literal["tsn"] = "tsn"
    first: PositiveFloat = 1.0
    """Factor of the learning rate of the first convolution's weight; its bias has twice that factor. tsn-pytorch and
    TSM have 5 on flow."""
    head: PositiveFloat = 1.0
    """Factor of the learning rate of the head's weight; its bias has twice that factor. 5 is `fc_lr5` of TSM and
    MMAction2."""


_HALF_AREA = 0.5**0.5


class Multigrid(Declaration):
    """Smaller clips in larger batches, mostly early in the training, so that epochs cost less (PySlowFast).

    Wu et al., A Multigrid Method for Efficiently Training Video Models, CVPR 2020. Between two milestones of the
    schedule the training runs through all shapes of the long cycle; after the last milestone it fine-tunes at full
    size. The batch size grows as clips shrink, and the learning rate with it. Inside an epoch the batches have the
    sides of the short cycle in turn, then the side of the long cycle's shape. `train.epochs` and the milestones are
    those of the training without multigrid. Formulas: docs/training.md.
    """

    long: Annotated[tuple[tuple[PositiveFloat, PositiveFloat], ...], Field(min_length=1)] = (
        (0.25, _HALF_AREA),
        (0.5, _HALF_AREA),
        (0.5, 1.0),
        (1.0, 1.0),
    )
    """The long cycle: its shapes (frames, side) of clips, as shares of the recipe's frames and side. The last is (1, 1)."""
    short: tuple[PositiveFloat, ...] = (0.5, _HALF_AREA)
    """The short cycle: sides of clips, as shares of the recipe's side. Empty: no short cycle."""
    epoch_factor: PositiveFloat = 1.5
    """Total epochs, as a multiple of `train.epochs`."""

    @model_validator(mode="after")
    def _ends_at_full_size(self) -> Self:
        if self.long[-1] != (1.0, 1.0):
            raise ValueError("the long cycle ends at the full size: its last shape is [1, 1]")
        return self


class EMA(Declaration):
    """An exponential moving average of the weights. Validation and testing use the average, and checkpoints hold it.

    After optimiser step t (from 1): average = d * average + (1 - d) * weights, d = min(decay, (1 + t) / (10 + t)).
    Running means and variances of batch norms are averaged in the same way; counters are copied.
    """

    decay: Annotated[float, Field(gt=0, lt=1)] = 0.9999
    """The factor d of late steps, above 0 and below 1: the largest weight that the previous average has in an
    update."""


class InverseFrequency(Declaration):
    """A class of n videos has the weight n ** -power. The weights are then scaled so that their mean over classes is 1."""

    kind: Literal["inverse_frequency"] = "inverse_frequency"
    power: Annotated[float, Field(gt=0)] = 1.0
    """The exponent. 1 gives every class the same total weight; 0.5 takes the square roots of these weights."""


class EffectiveNumber(Declaration):
    """A class of n videos has the weight (1 - beta) / (1 - beta ** n). The weights are then scaled so that their mean is 1.

    Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019, equation 12.
    """

    kind: Literal["effective_number"] = "effective_number"
    beta: Annotated[float, Field(gt=0, lt=1)] = 0.999
    """Beta, above 0 and below 1. Near 0 all classes have about the same weight; near 1 the weights approach those of
    `InverseFrequency`."""


class CrossEntropy(Declaration):
    """Cross-entropy of the softmax over the classes; with several labels per video, binary cross-entropy of each class."""

    kind: Literal["cross_entropy"] = "cross_entropy"


class FocalLoss(Declaration):
    """Cross-entropy in which examples that the network classifies well count less: -alpha_t (1 - p_t)^gamma log(p_t).

    Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, equations 4 and 5. p_t is the probability of the true
    class; with several labels per video it is p of a present label and 1 - p of an absent one. Class weights multiply
    this loss as they multiply cross-entropy. docs/training.md has the formulas for targets between 0 and 1 (mixup,
    CutMix, label smoothing).
    """

    kind: Literal["focal"] = "focal"
    gamma: NonNegativeFloat = 2.0
    """The larger it is, the smaller is the loss of well classified examples; 0 is cross-entropy."""
    alpha: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Weight of a present label, with several labels per video; an absent one has 1 - alpha. None: both have 1."""


class Train(Declaration):
    """Every setting of training that changes accuracy, with the values of the toolkit that the recipe follows."""

    epochs: PositiveInt
    """Number of passes over the training videos."""
    base_batch: PositiveInt
    """Videos per optimiser step, over all processes. The learning rate is chosen for this number."""
    repeats: PositiveInt = 1
    """Number of clips of each video in a batch, sampled and augmented independently (Hoffer et al. 2020; PySlowFast's
    NUM_SAMPLE). A step then sees `repeats` times `base_batch` clips; an epoch remains one pass over the videos."""
    draw: Annotated[EachOnce | ByClass, Field(discriminator="kind")] = EachOnce()
    """Which videos an epoch has: each video once (`EachOnce`), or as many videos drawn by class (`ByClass`)."""
    optimizer: Annotated[SGD | AdamW, Field(discriminator="kind")]
    """The optimiser, its base learning rate and weight decay."""
    groups: Annotated[DepthGroups | TSNGroups, Field(discriminator="kind")] | None = None
    """Groups of parameters with different learning rates. None: all parameters have the same learning rate."""
    schedule: Annotated[CosineSchedule | StepSchedule, Field(discriminator="kind")]
    """How the learning rate changes during training, with its warm-up."""
    clip_norm: PositiveFloat | None = None
    """Largest norm of the gradient over all parameters together; a longer gradient is scaled down to it. None: no
    clipping."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Probability of dropout before the head, from 0 (none) to below 1."""
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Stochastic depth: the probability that a clip skips the residual branch of the last block. From block to block
    the probability rises linearly, from 0 in the first one (timm's rule). 0: no stochastic depth."""
    loss: Annotated[CrossEntropy | FocalLoss, Field(discriminator="kind")] = CrossEntropy()
    """The loss of one clip, before class weights and label smoothing."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of each label that is spread evenly over all classes."""
    mix: Mix | None = None
    """Whether and how clips are mixed: mixup and CutMix; None: neither."""
    erase: Erase | None = None
    """Whether and how boxes of clips are erased at random; None: none are."""
    class_weights: Annotated[InverseFrequency | EffectiveNumber, Field(discriminator="kind")] | None = None
    """Weights of the classes in the loss: the sum over clips of weight times loss, divided by the number of clips.
    None: all weights are 1."""
    initialisation: Initialisation = Initialisation()
    """How parameters that are not loaded from a file are initialised."""
    frozen_stages: Annotated[int, Field(ge=-1)] = -1
    """Stages that are not trained. -1: none; 0: the stem; n: the stem and the first n stages."""
    frozen_norms: Literal["none", "statistics", "all", "all_but_first"] = "none"
    """What batch norms keep fixed. "none": nothing. "statistics": the running mean and variance, by which they then
    normalise; scale and shift are trained (MMAction's bn_eval, MMAction2's norm_eval). "all": scale and shift, too
    (bn_frozen). "all_but_first": like "all", except that the first batch norm of the network is trained as usual
    (partial_bn of TSN, MMAction, MMAction2)."""
    norm_batch: PositiveInt | None = None
    """Number of clips over which a batch norm computes its mean and variance in training. With it one device imitates
    the eight GPUs of the toolkits, whose batch norms were not synchronised. None: all clips of the micro-batch,
    synchronised over the processes on CUDA."""
    precise_norms: PositiveInt | None = None
    """Before each validation, batch norms compute their exact mean and variance over this number of training batches
    (PySlowFast: 200). None: they keep the running averages."""
    ema: EMA | None = None
    """Exponential moving average of the weights; None: no average."""
    multigrid: Multigrid | None = None
    """Multigrid training, on smaller clips first; None: all clips have the recipe's size."""
    precision: Arithmetic = "float32"
    """Floating-point type of the forward and backward passes; parameters are float32."""
    checkpointing: bool = False
    """Gradient checkpointing: only the inputs of blocks are stored for the backward pass, which computes the blocks again.
    It takes less memory and more time, and gives the same gradients."""
    stop_after: PositiveInt | None = None
    """Early stopping: training ends when the validation score (top-1; mean average precision with several labels per video)
    has not risen for this number of epochs. None: it runs to the last epoch."""

    @model_validator(mode="after")
    def _cosine_reaches_the_last_epoch(self) -> Self:
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
