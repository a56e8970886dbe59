"""The default recipe of `marey train FOLDER`: a linear classifier on the frozen features of a pretrained network.

Its `train` section is used afterwards, if the complete network is fine-tuned from the fitted classifier.
"""

from collections.abc import Sequence

from marey.base.errors import RecipeError
from marey.data.loading.mirrored_classes import safe_flip
from marey.models.probe.config import ClipProbeConfig, FrameProbeConfig, Pooling
from marey.models.tsn.config import BNInceptionTSNConfig, LiteTSNConfig, TSNConfig
from marey.models.user_module.config import UserModuleConfig
from marey.recipe import AdamW, Classify, CosineSchedule, DepthGroups, Recipe, TaskConfig, Test, Train, Warmup
from marey.video.pixels import Pixels
from marey.video.pixels.crops import RandomResizedCrop
from marey.video.sampling import FramePairs, FramePairsTrain

_MOST_CLIPS = 3
"""Largest number of clips per video, if the backbone sees clips of several frames."""
_AREA = (0.4, 1.0)
"""Least and largest share of the frame that a crop has in fine-tuning. The least one is large, because the head was
fitted on centre crops."""

PROBE = Recipe(
    name="probe_lite0_8seg_folder_imagenet",
    title="a linear classifier on EfficientNet-Lite0, 8 frames and their difference images",
    paper="https://arxiv.org/abs/1905.11946",
    notes="Starts from ImageNet, whose features stay as they are; sees the whole clip however long it is.",
    dataset="folder",
    pretraining="imagenet",
    model=FrameProbeConfig(num_classes=2, backbone=LiteTSNConfig(num_classes=1000)),
    clip=FramePairsTrain(segments=8),
    test=Test(sampling=FramePairs(segments=8), crops="centre", size=224, averaging="logits"),
    pixels=Pixels(conversion="planes", short_side=256, mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0)),
    augment=RandomResizedCrop(short_side=256, size=224, flip=0.5, area=_AREA),
    train=Train(
        epochs=3,
        base_batch=8,
        optimizer=AdamW(lr=5e-5, weight_decay=0.05),
        groups=DepthGroups(decay=0.7, head=0.1),
        schedule=CosineSchedule(by="step", warmup=Warmup(epochs=1)),
        clip_norm=5,
        dropout=0.0,
        frozen_norms="all",
    ),
)


def probe_on(backbone: Recipe) -> Recipe:
    """A probe on the network of the recipe `backbone`, with that recipe's pixels and sampling.

    If the network sees single frames, the probe samples as `PROBE` does: pairs of frames.

    Raises:
        RecipeError: the network is a user's own module or a probe, or sees optical flow.
    """
    model = backbone.model
    if backbone.modality == "flow":
        raise RecipeError(f"{backbone.name} sees optical flow: name a network of RGB as the backbone.")
    named = {
        "name": f"probe_{backbone.name}",
        "title": f"a linear classifier on {backbone.title}",
        "paper": backbone.paper,
        "notes": f"On the features of {backbone.name}, which stay as they are.",
        "pretraining": None,
    }
    if isinstance(model, TSNConfig | BNInceptionTSNConfig | LiteTSNConfig):
        pixels = backbone.pixels
        return PROBE.variant(
            **named,
            modality=backbone.modality,
            model=FrameProbeConfig(num_classes=2, backbone=model),
            pixels=pixels,
            test={"size": backbone.test.size},
            augment={"short_side": pixels.short_side, "size": backbone.test.size},
        )
    if isinstance(model, FrameProbeConfig | ClipProbeConfig | UserModuleConfig):
        raise RecipeError(
            f"{backbone.name}: {model.network} is no backbone of a classifier on frozen features: name a network of Marey's."
        )
    rule = backbone.test.sampling
    sampling = rule if rule.clips <= _MOST_CLIPS else rule.model_copy(update={"clips": _MOST_CLIPS})
    return backbone.variant(
        **named,
        dataset="folder",
        task=Classify(),
        model=ClipProbeConfig(num_classes=2, backbone=model),
        test=Test(sampling=sampling, crops="centre", size=backbone.test.size, averaging="logits"),
        augment=RandomResizedCrop(short_side=backbone.pixels.short_side, size=backbone.test.size, flip=0.5, area=_AREA),
        train=PROBE.train,
    )


def probe_recipe(base: Recipe, class_names: Sequence[str], pooling: Pooling, task: TaskConfig) -> Recipe:
    """The probe `base` with these classes, this task and this pooling of the backbone's features."""
    flip, flip_classes = safe_flip(class_names)
    return base.variant(
        task=task,
        model={"num_classes": len(class_names), "pooling": pooling},
        augment={"flip": flip, "flip_classes": flip_classes},
    )


PROBE_PARAMETERS = {
    "probe_lite0_8seg_folder_imagenet": 3_381_250,
}
"""The number of parameters of each network; a test counts them."""
