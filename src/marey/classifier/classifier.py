"""`Classifier`: a network with all that its predictions depend on."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from marey.base.errors import RecipeError
from marey.base.notebook import html_table, keep_beginning, keep_end
from marey.base.words import counted
from marey.classifier.calibration import Calibration
from marey.classifier.load_report import LoadReport, Origin
from marey.data.files.identity import Identities
from marey.data.lists.videos import first_of
from marey.models.interfaces import GivesFeatures, GivesPositions, GivesTokens
from marey.models.network import Network
from marey.models.user_module.config import UserModuleConfig
from marey.recipe import Classify, Recipe, TaskConfig, Test
from marey.recipes.user_module import user_module_recipe
from marey.video.pixels import FloatPixels, Pixels
from marey.video.pixels.transforms import to_clip
from marey.video.sampling import TrainRule

Output = Literal["logits", "positions", "features", "tokens"]
"""The kinds of output that a network has for a clip. `Classifier` has a method of each name."""


class Preprocess(nn.Module):
    """From decoded frames [B, T, H, W, C] to normalised clips [B, C, T, H, W]; included in every export.

    Mean and standard deviation, in grey levels 0..255, come from the recipe and are not in the state dict.
    """

    def __init__(self, pixels: Pixels | FloatPixels) -> None:
        super().__init__()
        self.order = pixels.order
        self.mean, self.std = pixels.normalisation

    def forward(self, frames_BTHWC: Tensor) -> Tensor:
        return to_clip(frames_BTHWC, self.mean, self.std, order=self.order)


class Classifier(nn.Module):
    """A network with its class names, and with a recipe: how its clips are sampled, and how it is tested and trained.

        marey.load_model("slowonly_r50_8x8_k400")                        one of Marey's networks, with its weights
        marey.Classifier(module, classes=names, clip=rule, pixels=rule)  your own module from clips to logits

    Called on a normalised clip, float [B, C, T, H, W], it returns the logits [B, K] of its network, before softmax.

    The network is not copied: `marey.fit` trains it in place.

    Args:
        network: From clips to logits [B, K]: a `marey.models.network.Network` or any module.
        recipe: All settings. If `network` is not one of Marey's, the classifier's copy of the recipe names the module's
            class in place of a network config, and has no published results. None: a recipe is made from `classes`,
            `clip`, `pixels`, `size`, `test` and `task`.
        classes: Class names in the order of the logits; None if they are not known.
        clip: The sampling rule of training, one of `marey.video.sampling`. The default of `test` uses its
            validation rule.
        pixels: How frames are resized and normalised: `marey.video.pixels.Pixels` or `FloatPixels`. With two means the input
            is optical flow.
        size: Height and width of the crops in pixels; None: 7/8 of the resized frame's shorter side, for example 224 of 256.
        test: The test protocol; None: one clip by the validation rule of `clip`, one crop in the centre.
        task: One label per video, or several.
        load_report: What happened to each tensor of the file from which the weights were loaded.
        calibration: The calibration of this network's probabilities; None: they are not calibrated.
        trained_on: The identities of the videos that Marey trained the network on; None if they are not known.

    Raises:
        RecipeError: the number of class names, or of the calibration's thresholds, is not the recipe's number of classes;
            without a recipe, `classes`, `clip` or `pixels` is missing, or a class name occurs twice; with a recipe, one of
            `clip`, `pixels`, `size`, `test` and `task` is given; or the module is not ready (`refuse_unfinished`).
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe | None = None,
        *,
        classes: Sequence[str] | None = None,
        clip: TrainRule | None = None,
        pixels: Pixels | FloatPixels | None = None,
        size: int | None = None,
        test: Test | None = None,
        task: TaskConfig | None = None,
        load_report: LoadReport | None = None,
        calibration: Calibration | None = None,
        trained_on: Identities | None = None,
    ) -> None:
        super().__init__()
        name = _import_name(network)
        _check_network(network, name)
        names = _given_class_names(classes, name)
        settings = {"clip": clip, "pixels": pixels, "size": size, "test": test, "task": task}
        given = [f"{setting}=" for setting, value in settings.items() if value is not None]
        if recipe is not None and given:
            raise RecipeError(f"Classifier of {name}: the recipe decides it already: leave out {', '.join(given)}.")
        if recipe is None:
            if names is None or clip is None or pixels is None:
                raise RecipeError(
                    f"Classifier of {name}: pass a recipe, or classes=, clip= (a rule of marey.video.sampling) and pixels= "
                    "(marey.video.pixels.Pixels or FloatPixels)."
                )
            # Some published label maps have a name twice; in a user's own list it is a mistake.
            if len(set(names)) < len(names):
                twice = next(one for one in names if names.count(one) > 1)
                raise RecipeError(f"Classifier of {name}: the class {twice} is named twice.")
            recipe = user_module_recipe(
                name, names, clip=clip, pixels=pixels, size=size, test=test, task=task or Classify()
            )
        config = recipe.model
        if isinstance(network, Network) and isinstance(config, UserModuleConfig):
            raise RecipeError(
                f"Classifier of {name}: it is a network of Marey's: pass its recipe, Classifier(network, recipe)."
            )
        if not isinstance(network, Network) and not (isinstance(config, UserModuleConfig) and config.module == name):
            recipe = recipe.variant(model=user_module_config(network, recipe))
        if names is not None and len(names) != config.num_classes:
            raise RecipeError(
                f"Classifier of {name}: {len(names)} class names, but the recipe {recipe.name} has "
                f"{counted(config.num_classes, 'class')}."
            )
        thresholds = None if calibration is None else calibration.thresholds
        if thresholds is not None and len(thresholds) != config.num_classes:
            raise RecipeError(
                f"Classifier of {name}: its calibration has {counted(len(thresholds), 'threshold')}, and the recipe "
                f"{recipe.name} {counted(config.num_classes, 'class')}: one threshold for each class."
            )
        self.network, self.recipe, self.class_names = network, recipe, names
        self.load_report, self.calibration, self.trained_on = load_report, calibration, trained_on
        self.preprocess = Preprocess(recipe.pixels)

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits [B, K], before softmax."""
        logits: Tensor = self.network(clip_BCTHW)
        require_logits(logits, self.num_classes, self.network)
        return logits

    def logits(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits [B, K], before softmax."""
        return self(clip_BCTHW)  # type: ignore[no-any-return]

    @property
    def origin(self) -> Origin | None:
        """The published file that the weights were loaded from; None if they were loaded from another file, or none."""
        return None if self.load_report is None else self.load_report.origin

    def positions(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits at each position of the head, [B, K, T', H', W']; one position if the module has no such method."""
        if isinstance(self.network, GivesPositions):
            return self.network.positions(clip_BCTHW)
        return self.logits(clip_BCTHW)[:, :, None, None, None]

    def features(self, clip_BCTHW: Tensor) -> Tensor:
        """Pooled features [B, D], before the head.

        If the module has no method `features` (a submodule of that name does not count), they are the input of its last
        linear layer with K outputs, averaged over all axes between batch and channels.

        Raises:
            RecipeError: the module has no method `features` and no linear layer with K outputs.
        """
        if isinstance(self.network, GivesFeatures) and not isinstance(self.network.features, nn.Module):
            return self.network.features(clip_BCTHW)
        return _before_head(self.network, clip_BCTHW, self.recipe.model.num_classes)

    def tokens(self, clip_BCTHW: Tensor) -> Tensor:
        """Tokens [B, N, D] of a transformer, before its head.

        Raises:
            RecipeError: the network has no method `tokens`.
        """
        if isinstance(self.network, GivesTokens):
            return self.network.tokens(clip_BCTHW)
        raise RecipeError(f"{type(self.network).__name__} gives no tokens: it has no method tokens(clip).")

    def with_recipe(self, recipe: Recipe) -> "Classifier":
        """A classifier of the same network, whose weights are shared, with another recipe.

        Raises:
            RecipeError: the recipe declares another network.
        """
        if recipe.model != self.recipe.model:
            raise RecipeError(
                f"{recipe.name}: the network is built, and its settings (model. ...) cannot change: leave them as they are."
            )
        other = Classifier(
            self.network, recipe, classes=self.class_names, load_report=self.load_report, calibration=self.calibration,
            trained_on=self.trained_on,
        )  # fmt: skip
        return other.train(self.training)

    @property
    def names_classes(self) -> bool:
        """Whether the class names are known, and not assumed to be those of a public data set."""
        return self.class_names is not None and not (self.load_report is not None and self.load_report.names_assumed)

    def with_classes(self, classes: Sequence[str]) -> "Classifier":
        """A classifier of the same network, whose weights are shared, with class names in the order of the logits.

        Raises:
            RecipeError: the number of names is not the number of classes, or the classifier has other names already.
        """
        names = tuple(classes)
        if len(names) != self.num_classes:
            raise RecipeError(
                f"{len(names)} class names, but the network has {counted(self.num_classes, 'class')}: name each class "
                "(--classes, classes=)."
            )
        if self.names_classes and names != self.class_names:
            which = "in another order" if set(names) == set(self.class_names or ()) else "by other names"
            raise RecipeError(
                f"{self.recipe.name}: the checkpoint names its {counted(len(names), 'class')} itself, {which}: leave out "
                "the file of "
                "class names (--classes, classes=)."
            )
        report = None if self.load_report is None else replace(self.load_report, names_assumed=False)
        other = Classifier(
            self.network, self.recipe, classes=names, load_report=report, calibration=self.calibration,
            trained_on=self.trained_on,
        )  # fmt: skip
        return other.train(self.training)

    @property
    def num_classes(self) -> int:
        """K, the number of classes."""
        return self.recipe.model.num_classes

    @property
    def device(self) -> torch.device:
        """The device of the parameters, or else of the buffers, or else the CPU."""
        tensors = chain(self.network.parameters(), self.network.buffers())
        return next((tensor.device for tensor in tensors), torch.device("cpu"))

    def __repr__(self) -> str:
        facts = self._facts()
        numbers = (
            f"{facts['network']}, {facts['parameters']} parameters, {counted(self.num_classes, 'class', 'classes')}"
        )
        return (
            f"Classifier({keep_beginning(self.recipe.name, 40)}: {numbers}, weights: {keep_end(facts['weights'], 36)})"
        )

    def _repr_html_(self) -> str:
        """A table of facts for notebooks: network, parameters, classes, weights and device."""
        return html_table(f"Classifier {self.recipe.name}", ["", ""], list(self._facts().items()))

    def _facts(self) -> dict[str, str]:
        """Facts about the classifier, as text, for its representations."""
        config, names = self.recipe.model, self.class_names
        classes = counted(self.num_classes, "class", "classes")
        parameters = sum(parameter.numel() for parameter in self.network.parameters())
        origin = "not loaded from a file" if self.load_report is None else self.load_report.source
        return {
            "network": type(self.network).__name__ if isinstance(config, UserModuleConfig) else config.network,
            "parameters": f"{parameters / 1e6:.1f} M" if parameters >= 1e5 else f"{parameters:,}",
            "classes": classes if names is None else f"{classes} ({first_of(names, 3)})",
            "weights": origin,
            "device": str(self.device),
        }


def require_classifier(model: object) -> None:
    """Refuse anything that is not a classifier.

    Raises:
        RecipeError: it is something else. The message says how to make or load a classifier.
    """
    if isinstance(model, Classifier):
        return
    if isinstance(model, nn.Module):
        raise RecipeError(
            f"expected a marey.Classifier, got the bare module {_import_name(model)}: wrap it, marey.Classifier(module, "
            "classes=..., clip=..., pixels=...)."
        )
    raise RecipeError(f"expected a marey.Classifier, got {model!r}: marey.load_model gives one.")


def require_logits(output: object, num_classes: int, network: nn.Module) -> None:
    """Refuse a network's output that is not one tensor of logits for the recipe's classes.

    Raises:
        RecipeError: it is not a tensor [B, K].
    """
    if isinstance(output, Tensor) and output.ndim == 2 and output.shape[1] == num_classes:
        return
    found = f"a tensor {list(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
    raise RecipeError(
        f"{type(network).__name__} gives {found}, and the recipe has {counted(num_classes, 'class')}: a classifier's "
        "network gives "
        f"one tensor of logits [B, {num_classes}]."
    )


def refuse_unfinished(module: nn.Module) -> None:
    """Refuse a module that cannot be trained or saved yet.

    Raises:
        RecipeError: a parameter has no shape yet, or an entry of the state dict is not a tensor.
    """
    for name, parameter in module.named_parameters():
        if is_lazy(parameter):
            raise RecipeError(
                f"{type(module).__name__}: parameter {name} has no shape yet: pass a clip through the module first."
            )
    for name, value in module.state_dict().items():
        if not isinstance(value, Tensor):
            raise RecipeError(
                f"{type(module).__name__}: {name} in its state is a {type(value).__name__}, a checkpoint holds tensors: "
                "make it a tensor, or leave it out of the state (get_extra_state)."
            )


def _check_network(network: object, name: str) -> None:
    if not isinstance(network, nn.Module):
        raise RecipeError(f"Classifier of {name}: the network is a torch.nn.Module from clips to logits.")
    if isinstance(network, Classifier):
        raise RecipeError("Classifier of a Classifier: pass its network, classifier.network, or use with_recipe.")
    if not isinstance(network, Network):
        refuse_unfinished(network)


def _given_class_names(classes: Sequence[str] | None, name: str) -> tuple[str, ...] | None:
    if classes is None:
        return None
    names = tuple(classes)
    if isinstance(classes, str) or not names or not all(isinstance(one, str) for one in names):
        raise RecipeError(f'Classifier of {name}: classes are names, one for each logit: ["jump", "run"].')
    return names


def _import_name(network: object) -> str:
    """The import path of the module's class: package.file.Class."""
    return f"{type(network).__module__}.{type(network).__qualname__}"


def user_module_config(module: nn.Module, recipe: Recipe, *, num_classes: int | None = None) -> UserModuleConfig:
    """The network config that names a user's own module in a recipe; `num_classes` is by default that of `recipe`."""
    replaced = recipe.model
    return UserModuleConfig(
        module=_import_name(module), num_classes=num_classes or replaced.num_classes, channels=replaced.channels
    )


def _before_head(module: nn.Module, clip_BCTHW: Tensor, num_classes: int) -> Tensor:
    """The input [B, D] of the linear layer with `num_classes` outputs that runs last in the forward pass."""
    inputs_of_heads: list[Tensor] = []
    heads = [m for m in module.modules() if isinstance(m, nn.Linear) and m.out_features == num_classes]
    hooks = [head.register_forward_pre_hook(lambda _, inputs: inputs_of_heads.append(inputs[0])) for head in heads]
    try:
        module(clip_BCTHW)
    finally:
        for hook in hooks:
            hook.remove()
    if not inputs_of_heads:
        raise RecipeError(
            f"{type(module).__name__} gives no features: it has no method features(clip), and no linear layer of "
            f"{num_classes} outputs, whose input they would be: give it such a method."
        )
    last = inputs_of_heads[-1]
    return last.reshape(clip_BCTHW.shape[0], -1, last.shape[-1]).mean(dim=1)  # len() would be a constant after tracing
