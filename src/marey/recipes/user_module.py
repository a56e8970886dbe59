"""The default recipe of a user's own `nn.Module`: sampling, test protocol and training."""

from collections.abc import Sequence

from marey.data.loading.mirrored_classes import safe_flip
from marey.models.user_module.config import UserModuleConfig
from marey.recipe import AdamW, Classify, CosineSchedule, Recipe, TaskConfig, Test, Train, Warmup
from marey.video.pixels import FloatPixels, Pixels
from marey.video.pixels.crops import RandomResizedCrop
from marey.video.sampling import TrainRule


def user_module_recipe(
    module: str,
    classes: Sequence[str],
    *,
    clip: TrainRule,
    pixels: Pixels | FloatPixels,
    size: int | None = None,
    test: Test | None = None,
    task: TaskConfig = Classify(),  # noqa: B008 - frozen
) -> Recipe:
    """A recipe for the module `module` (package.file.Class) on the user's own classes.

    Args:
        module: Import path of the module's class, package.file.Class.
        classes: The class names, in the order of the logits.
        clip: The sampling rule in training.
        pixels: How frames are resized and normalised; with two means the input is optical flow.
        size: Side of the square crops that the module sees, in pixels; None: 7/8 of the resized frame's
            shorter side, for example 224 of 256.
        test: The test protocol; None: one clip by the validation rule of `clip`, one crop in the centre.
        task: One label per video, or several.
    """
    size = size or pixels.short_side * 7 // 8
    in_flow = len(pixels.mean) == 2
    flip, flip_classes = safe_flip(classes)
    return Recipe(
        name=module.rpartition(".")[2],
        title=f"{module}, a module of the user's own",
        paper="",
        task=task,
        modality="flow" if in_flow else "rgb",
        dataset="folder",
        model=UserModuleConfig(module=module, num_classes=len(classes), channels=2 if in_flow else 3),
        clip=clip,
        test=test or Test(sampling=clip.validation(), crops="centre", size=size, averaging="probabilities"),
        pixels=pixels,
        augment=RandomResizedCrop(short_side=pixels.short_side, size=size, flip=flip, flip_classes=flip_classes),
        train=Train(
            epochs=20,
            base_batch=16,
            optimizer=AdamW(lr=3e-4),
            schedule=CosineSchedule(by="step", warmup=Warmup(epochs=2)),
            clip_norm=5,
        ),
    )
