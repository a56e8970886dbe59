"""A classifier: a network together with all that its answers depend on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveFloat, SerializerFunctionWrapHandler, model_serializer
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from marey.base.declaration import Declaration
from marey.base.errors import RecipeError
from marey.base.jsonable import Json
from marey.base.notebook import beginning, ending, table
from marey.base.words import counted, percent
from marey.data.files.identity import Identities
from marey.data.lists.videos import first_of, short_path
from marey.models.network import GivesFeatures, GivesPositions, GivesTokens, Network
from marey.models.user_module.config import UserModuleConfig
from marey.recipe import Classify, Recipe, TaskConfig, Test
from marey.recipe.source import Trust
from marey.recipes.user_module import user_module_recipe
from marey.video.pixels import FloatPixels, Pixels
from marey.video.pixels.transforms import to_clip
from marey.video.sampling import TrainRule

Output = Literal["logits", "positions", "features", "tokens"]
"""What a network gives for a clip: the methods of `Classifier` of these names."""


class Origin(Declaration):
    """A published file that weights were loaded from."""

    address: str
    sha256: str
    """Of the whole file, 64 digits."""
    trust: Trust
    """How far its content was known."""


@dataclass(frozen=True, repr=False)
class LoadReport:
    """What became of every tensor of a file."""

    source: str
    layout: str
    renamed: tuple[tuple[str, str], ...]
    """(their name, our name)."""
    dropped: tuple[str, ...] = ()
    """Tensors of the file that were left out on purpose: the old head, an optimiser's state, and what its toolkit stores
    and never uses."""
    notes: tuple[str, ...] = ()
    """What was decided that the file does not say."""
    said: tuple[str, ...] = ()
    """Those of the notes that loading has printed already."""
    new_head: bool = False
    """Whether the classifier starts fresh, because that of the file has other classes, or the file has none."""
    names_assumed: bool = False
    """Whether the class names are those of the recipe's data set, which has as many, and the file itself names none."""
    origin: Origin | None = None
    """Of a file that was fetched or registered; None for any other file."""

    def as_json(self) -> dict[str, Json]:
        """Everything, the renamed tensors as a count."""
        found: dict[str, Json] = {
            "source": self.source,
            "layout": self.layout,
            "loaded": len(self.renamed),
            "dropped": list(self.dropped),
            "notes": list(self.notes),
        }
        return found if self.origin is None else found | {"origin": self.origin.model_dump(mode="json")}

    def unsaid(self) -> "LoadReport":
        """The same without the notes that were printed already."""
        return replace(self, notes=tuple(note for note in self.notes if note not in self.said))

    def __repr__(self) -> str:
        parts = [f"{self.layout} layout", f"{counted(len(self.renamed), 'tensor')} loaded"]
        parts += [f"{len(self.dropped):,} left out"] if self.dropped else []
        parts += ["new head"] if self.new_head else []
        parts += [counted(len(self.notes), "note")] if self.notes else []
        return f"LoadReport({short_path(self.source)!r}: {', '.join(parts)})"

    def __str__(self) -> str:
        parts = [f"{self.source}: {self.layout} layout, {counted(len(self.renamed), 'tensor')} loaded"]
        if self.dropped:
            more = f" and {len(self.dropped) - 3} more" if len(self.dropped) > 3 else ""
            parts.append(f"left out {', '.join(self.dropped[:3])}{more}")
        return "; ".join([*parts, *self.notes])


class Calibration(Declaration):
    """How a classifier's probabilities were fitted to the share of right answers, and on which videos."""

    temperature: PositiveFloat = 1.0
    """Logarithms of probabilities are divided by it (Guo et al., On Calibration of Modern Neural Networks, ICML 2017,
    section 4.2); above 1 makes answers less certain."""
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """The least probability, 0 to 1, with which a class is the answer; below it none of the classes is. None: no bound."""
    turned_away: Annotated[float, Field(gt=0, lt=1)] | None = None
    """What `threshold` was chosen for: of the videos whose class is answered rightly, at most this share lies below it, on
    average over new videos like those it was fitted on. None: it was chosen otherwise."""
    thresholds: tuple[Annotated[float, Field(ge=0, le=1)], ...] | None = None
    """Of several labels a video: the least probability of each class [K] with which it is among the answers. None: the
    answers are not chosen, only ranked."""
    fitted_on: str
    """Which videos it was fitted on, in words for a person."""

    @model_serializer(mode="wrap")
    def _without_what_earlier_files_lack(self, dump: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Fields that came later are left out where they are None, so that unfinished tests and answers go on."""
        later = ("turned_away", "thresholds")
        return {name: value for name, value in dump(self).items() if value is not None or name not in later}

    @property
    def meaning(self) -> str:
        """What the thresholds say of an answer, as a clause; "" without any."""
        if self.thresholds is not None:
            return "a class is among the labels of a video from a threshold of its own on"
        if self.threshold is None:
            return ""
        cost = (
            "" if self.turned_away is None
            else f" (of videos that are answered rightly at most {percent(self.turned_away, 0)} are lost by that)"
        )  # fmt: skip
        return f"below {percent(self.threshold)} the answer is none of the classes{cost}"

    def __repr__(self) -> str:
        threshold = "" if self.threshold is None else f", threshold {self.threshold:g}"
        if self.thresholds is not None:
            threshold += f", {counted(len(self.thresholds), 'threshold')}, one for each class"
        fitted = beginning(self.fitted_on, 60)
        return f"Calibration(temperature {self.temperature:g}{threshold}, fitted on {fitted})"

    __str__ = __repr__


class Preprocess(nn.Module):
    """From frames [B, T, H, W, C] as decoded to normalised clips [B, C, T, H, W]; part of every export.

    Mean and deviation, in grey levels 0..255, are the recipe's and are not in the state dict.
    """

    def __init__(self, pixels: Pixels | FloatPixels) -> None:
        super().__init__()
        self.order = pixels.order
        self.mean, self.std = pixels.normalisation

    def forward(self, frames_BTHWC: Tensor) -> Tensor:
        return to_clip(frames_BTHWC, self.mean, self.std, order=self.order)


class Classifier(nn.Module):
    """A network with the recipe by which its clips are made, tested and trained on, and its class names.

        marey.load_model("slowonly_r50_8x8_k400")                        one of Marey's networks, with its weights
        marey.Classifier(module, classes=names, clip=rule, pixels=rule)  your own module from clips to logits

    Called on a clip, float [B, C, T, H, W], normalised, it gives logits [B, K], before softmax, as its network does.

    The network is kept, not copied: `marey.fit` trains it in place.

    Args:
        network: From clips to logits [B, K]: a `marey.models.network.Network` or any module.
        recipe: All settings. For a module that is not Marey's its network config is replaced by one that names the module,
            and its published numbers are dropped. None: a recipe is made from the arguments below.
        classes: Class names in the order of the logits; None where they are not known.
        clip: How frames are drawn for training, one of the rules of `marey.video.sampling`; its validation rule is that
            of testing.
        pixels: How frames are resized and normalised: `marey.video.pixels.Pixels` or `FloatPixels`. Two means: optical flow.
        size: Side of the crops in pixels; None: 7/8 of the resized frame's shorter side, 224 of 256.
        test: The protocol of testing; None: one clip, the crop in the centre.
        task: One label per video, or several.
        load_report: What happened to each tensor of the file from which the weights were loaded.
        calibration: A calibration that was fitted to this network's answers.
        trained_on: Identities of the content of the videos that it was trained on by Marey; None where none are known.

    Raises:
        RecipeError: class names that are not as many as the recipe's classes, or (without a recipe) one of them twice;
            neither a recipe nor `classes`, `clip` and `pixels`, or both; a module that is not ready (`refuse_unfinished`).
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
        names = _class_names(classes, name)
        parts = {"clip": clip, "pixels": pixels, "size": size, "test": test, "task": task}
        given = [f"{part}=" for part, value in parts.items() if value is not None]
        if recipe is not None and given:
            raise RecipeError(f"Classifier of {name}: the recipe decides it already: leave out {', '.join(given)}.")
        if recipe is None:
            if names is None or clip is None or pixels is None:
                raise RecipeError(
                    f"Classifier of {name}: pass a recipe, or classes=, clip= (a rule of marey.video.sampling) and pixels= "
                    "(marey.video.pixels.Pixels or FloatPixels)."
                )
            # Published label maps may have a name twice; a user's own list has it by mistake.
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
        bounds = None if calibration is None else calibration.thresholds
        if bounds is not None and len(bounds) != config.num_classes:
            raise RecipeError(
                f"Classifier of {name}: its calibration has {counted(len(bounds), 'threshold')}, and the recipe "
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
        """The published file that the weights came from; None where they came from elsewhere."""
        return None if self.load_report is None else self.load_report.origin

    def positions(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits at each position of the head, [B, K, T', H', W']; one position for modules that have no such method."""
        if isinstance(self.network, GivesPositions):
            return self.network.positions(clip_BCTHW)
        return self.logits(clip_BCTHW)[:, :, None, None, None]

    def features(self, clip_BCTHW: Tensor) -> Tensor:
        """Pooled features [B, D], before the classifier.

        A module without a method `features` (a submodule of that name is none) gives what goes into its last linear
        layer of K outputs, the mean over everything between the batch and the channels.

        Raises:
            RecipeError: the module has neither.
        """
        if isinstance(self.network, GivesFeatures) and not isinstance(self.network.features, nn.Module):
            return self.network.features(clip_BCTHW)
        return _before_head(self.network, clip_BCTHW, self.recipe.model.num_classes)

    def tokens(self, clip_BCTHW: Tensor) -> Tensor:
        """Tokens [B, N, D] before the head.

        Raises:
            RecipeError: the network has none.
        """
        if isinstance(self.network, GivesTokens):
            return self.network.tokens(clip_BCTHW)
        raise RecipeError(f"{type(self.network).__name__} gives no tokens: it has no method tokens(clip).")

    def with_recipe(self, recipe: Recipe) -> "Classifier":
        """The same network, its weights shared, by another recipe.

        Raises:
            RecipeError: that recipe has another network.
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
        """Whether the class names are known, and not only assumed to be those of a public data set."""
        return self.class_names is not None and not (self.load_report is not None and self.load_report.names_assumed)

    def with_classes(self, classes: Sequence[str]) -> "Classifier":
        """The same network, its weights shared, with names for its classes, in the order of the logits.

        Raises:
            RecipeError: not as many names as classes; or it has other names already.
        """
        names = tuple(classes)
        if len(names) != self.num_classes:
            raise RecipeError(
                f"{len(names)} class names, but the network tells {self.num_classes} apart: name each class (--classes, "
                "classes=)."
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
        """K."""
        return self.recipe.model.num_classes

    @property
    def device(self) -> torch.device:
        """The device of the parameters; of a module without any that of its buffers, else the CPU."""
        tensors = chain(self.network.parameters(), self.network.buffers())
        return next((tensor.device for tensor in tensors), torch.device("cpu"))

    def __repr__(self) -> str:
        facts = self._facts()
        numbers = (
            f"{facts['network']}, {facts['parameters']} parameters, {counted(self.num_classes, 'class', 'classes')}"
        )
        return f"Classifier({beginning(self.recipe.name, 40)}: {numbers}, weights: {ending(facts['weights'], 36)})"

    def _repr_html_(self) -> str:
        """What the classifier is, a line for each fact, as a notebook shows it."""
        return table(f"Classifier {self.recipe.name}", ["", ""], list(self._facts().items()))

    def _facts(self) -> dict[str, str]:
        """What distinguishes it from others, in words."""
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
    """Refuse what only a classifier can be used for.

    Raises:
        RecipeError: it is something else; says how to make one of it.
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
    """Refuse an output that is not logits of as many classes as the recipe has.

    Raises:
        RecipeError: it is no tensor [B, K].
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
    """Refuse a module whose state cannot be used or saved.

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
                f"{type(module).__name__}: {name} in its state is a {type(value).__name__}, and a checkpoint keeps tensors: "
                "make it a tensor, or leave it out of the state (get_extra_state)."
            )


def _check_network(network: object, name: str) -> None:
    if not isinstance(network, nn.Module):
        raise RecipeError(f"Classifier of {name}: the network is a torch.nn.Module from clips to logits.")
    if isinstance(network, Classifier):
        raise RecipeError("Classifier of a Classifier: pass its network, classifier.network, or use with_recipe.")
    if not isinstance(network, Network):
        refuse_unfinished(network)


def _class_names(classes: Sequence[str] | None, name: str) -> tuple[str, ...] | None:
    if classes is None:
        return None
    names = tuple(classes)
    if isinstance(classes, str) or not names or not all(isinstance(one, str) for one in names):
        raise RecipeError(f'Classifier of {name}: classes are names, one for each logit: ["jump", "run"].')
    return names


def _import_name(network: object) -> str:
    """Where the module's class is defined: package.file.Class."""
    return f"{type(network).__module__}.{type(network).__qualname__}"


def user_module_config(module: nn.Module, recipe: Recipe, *, num_classes: int | None = None) -> UserModuleConfig:
    """What names a user's own module in a recipe; `num_classes` is K, by default as in the recipe's own network."""
    replaced = recipe.model
    return UserModuleConfig(
        module=_import_name(module), num_classes=num_classes or replaced.num_classes, channels=replaced.channels
    )


def _before_head(module: nn.Module, clip_BCTHW: Tensor, num_classes: int) -> Tensor:
    """What goes into the last linear layer of `num_classes` outputs that runs for a clip, [B, D]."""
    seen: list[Tensor] = []
    heads = [m for m in module.modules() if isinstance(m, nn.Linear) and m.out_features == num_classes]
    hooks = [head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])) for head in heads]
    try:
        module(clip_BCTHW)
    finally:
        for hook in hooks:
            hook.remove()
    if not seen:
        raise RecipeError(
            f"{type(module).__name__} gives no features: it has no method features(clip), and no linear layer of "
            f"{num_classes} outputs, whose input they would be: give it such a method."
        )
    return seen[-1].reshape(clip_BCTHW.shape[0], -1, seen[-1].shape[-1]).mean(dim=1)  # tracing takes len() as constant
