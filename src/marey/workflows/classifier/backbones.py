"""The backbone of a classifier on frozen features: from what the user names to a probe with real weights."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from marey.backends.compute import Compute
from marey.backends.memory import require_memory
from marey.base.errors import RecipeError
from marey.base.reporter import notice
from marey.classifier import Classifier
from marey.models.probe.config import ClipProbeConfig, FrameProbeConfig, Moments, Pooling
from marey.models.probe.network import Probe
from marey.models.user_module.config import UserModuleConfig
from marey.recipe import Classify, NetworkConfig, Recipe, TaskConfig
from marey.recipes import get_recipe
from marey.recipes.probe import PROBE, probe_on, probe_recipe
from marey.weights.fetching.obtain import Obtained, check_named, check_obtainable, is_address, obtain, obtain_named
from marey.weights.files.runs import checkpoint_in
from marey.weights.load import build_model, config_in, is_file_of_ours, load_model
from marey.weights.pretraining import check_start, start
from marey.weights.probes import backbone_line, fill_backbone
from marey.weights.starts import check_imagenet, imagenet_file, installed_text
from marey.workflows.classifier.affordable import AUTO, affordable, announce

_FOUND_BY_NAME = ("imagenet", "ig65m")
"""What a network without published weights of its own may start from, as `marey.weights.pretraining` finds it."""
_OWN_FILE = "own-file"
"""What a probe on a user's file starts from: training its recipe anew asks for the file."""


@dataclass(frozen=True, eq=False)
class Backbone:
    """A network with trained weights, as a probe that pools moments and whose head is random."""

    model: Classifier
    """In eval mode, on the CPU. Its network is a `Probe`, its load report says what became of the file's tensors."""
    recipe: Recipe
    """A probe's."""
    source: str
    """Where the weights came from, in words."""
    named: str
    """The word that finds the same one again: a recipe's name, or a file."""
    sha256: str
    """Of the names, types, shapes and values of the backbone's tensors, 64 digits: the same weights have the same one,
    whichever file held them."""


def find_backbone(
    word: str | Path | None,
    *,
    budget: float,
    clips: int,
    compute: Compute = Compute(),  # noqa: B008 - frozen
    trust_first_use: bool = False,
) -> Backbone:
    """The backbone that a word means, with its weights loaded.

        find_backbone(None, ...)                     EfficientNet-Lite0 from ImageNet, which is installed with Marey
        find_backbone("auto", ...)                   the best that this machine can afford
        find_backbone("r3d_r18_16x1_k400_torchvision", ...)   a recipe: its published weights; where it has none and starts
                                                     from ImageNet or IG-65M, these
        find_backbone("old.pth", ...)                a file in any layout that Marey reads, the folder of a run, an address;
                                                     of a probe its backbone, as it was tuned

    A notice says what was loaded and left out.

    Args:
        budget: What the features of all clips may cost, for "auto", in the unit of `marey.workflows.classifier.budget`.
        clips: How many clips there are.
        compute: Where the network will run.
        trust_first_use: Fetch a file of which no hash was published, too.

    Raises:
        RecipeError, WeightsError: no such word; a network that sees flow, or a user's own module; weights that cannot be
            had or do not fit.
        RunError: the machine has not enough memory for it.
    """
    if word == AUTO:
        chosen = affordable(budget, clips, compute)
        if chosen is None:
            return _installed(compute)
        row, found = chosen
        return _backbone(
            load_model(row, weights=found, allow_new_head=True), _published(row, found), row.name, row.name, compute
        )
    if word is None or str(word) == PROBE.name:
        return _installed(compute)
    if is_file_of_ours(word):
        return _of_file(word, compute, trust_first_use)
    return _of_recipe(_recipe_named(str(word)), compute, trust_first_use)


def check_backbone(word: str | Path | None, *, trust_first_use: bool = False) -> None:
    """See before any work that `find_backbone` will find weights; nothing is fetched.

    Raises:
        RecipeError, WeightsError: as `find_backbone`.
    """
    if word is None or word == AUTO or str(word) == PROBE.name:
        check_imagenet(PROBE)
    elif is_file_of_ours(word):
        check_named(word, trust_first_use=trust_first_use)
        if not is_address(word):
            _refuse(config_in(checkpoint_in(Path(word), quiet=True)), str(word))
    else:
        recipe = _recipe_named(str(word))
        probe_on(recipe)
        if _starts_from(recipe) is None:
            check_obtainable(recipe, trust_first_use=trust_first_use, command="--backbone")
        else:
            check_start(recipe, None, trust_first_use=trust_first_use)


def with_pooling(backbone: Backbone, class_names: Sequence[str], pooling: Pooling, task: TaskConfig) -> Classifier:
    """A classifier of these classes, with a copy of the backbone's weights and a random head as wide as the pooling.

    In eval mode; the load report and the videos trained on are the backbone's.
    """
    recipe = probe_recipe(backbone.recipe, class_names, pooling, task)
    network = _probe(build_model(recipe, class_names))
    network.backbone.load_state_dict(_probe(backbone.model).backbone.state_dict())
    model = backbone.model
    return Classifier(
        network, recipe, classes=class_names, load_report=model.load_report, trained_on=model.trained_on
    ).eval()


def _recipe_named(word: str) -> Recipe:
    """The recipe of that name, which is no file.

    Raises:
        RecipeError: there is none.
    """
    try:
        return get_recipe(word)
    except RecipeError as error:
        raise RecipeError(f"--backbone {word}: no such file, and {error}") from None


def _installed(compute: Compute) -> Backbone:
    """EfficientNet-Lite0 of the package that Marey requires."""
    file = imagenet_file(PROBE)
    plain = PROBE.variant(model=PROBE.model.backbone)  # type: ignore[union-attr]
    return _probed(load_model(plain, weights=file), PROBE, installed_text(0), PROBE.name, compute)


def _of_recipe(recipe: Recipe, compute: Compute, trust_first_use: bool) -> Backbone:
    """By the published weights of a recipe, or those that its training starts from where it has none."""
    probe = probe_on(recipe)
    require_memory(build_model(probe).eval(), compute)  # before anything is fetched
    word = _starts_from(recipe)
    if word is None:
        announce(recipe, recipe.weights)
        found = obtain(recipe, trust_first_use=trust_first_use)
        loaded, source = load_model(recipe, weights=found, allow_new_head=True), _published(recipe, found)
    else:
        loaded, source = start(recipe, word, trust_first_use=trust_first_use), f"{word} weights for {recipe.name}"
        notice(f"{recipe.name}: no trained weights of it are published: its features are those of {word} weights")
    return _backbone(loaded, source, recipe.name, recipe.name, compute)


def _of_file(word: str | Path, compute: Compute, trust_first_use: bool) -> Backbone:
    """By a file of ours or of another toolkit, the folder of a run, or what lies at an address."""
    found = obtain_named(word, trust_first_use=trust_first_use)
    path = found.path if isinstance(found, Obtained) else found
    _refuse(config_in(path), str(word))
    loaded = load_model(weights=found, allow_new_head=True)
    return _backbone(loaded, f"{path} ({loaded.recipe.name})", _OWN_FILE, str(word), compute)


def _backbone(loaded: Classifier, source: str, start_word: str, named: str, compute: Compute) -> Backbone:
    """A probe on the network of a classifier that was loaded; `start_word` is what its recipe says it starts from, `named`
    what finds it again.
    """
    base = loaded.recipe
    if isinstance(base.model, FrameProbeConfig | ClipProbeConfig):
        recipe = base.variant(
            model={"num_classes": 2, "pooling": Moments()}, task=Classify(), train=PROBE.train, pretraining=start_word,
            notes=f"On the backbone of {base.name}, which stays as it is.",
        )  # fmt: skip
    else:
        recipe = probe_on(base).variant(pretraining=start_word)
    return _probed(loaded, recipe, source, named, compute)


def _probed(loaded: Classifier, recipe: Recipe, source: str, named: str, compute: Compute) -> Backbone:
    network = _probe(build_model(recipe))
    report = fill_backbone(network, loaded)
    model = Classifier(network, recipe, load_report=report, trained_on=loaded.trained_on).eval()
    require_memory(model, compute)
    notice(f"backbone: {source}: {backbone_line(report)}")
    return Backbone(model, recipe, source, named, _sha256(network))


def _starts_from(recipe: Recipe) -> str | None:
    """What a recipe without any published file starts from, where Marey finds that; None: its own weights are taken."""
    return recipe.pretraining if not recipe.weights and recipe.pretraining in _FOUND_BY_NAME else None


def _published(recipe: Recipe, found: Obtained) -> str:
    return f"{recipe.name}: {found.source.file}, published by {found.source.by}, licence {found.source.licence}"


def _refuse(config: NetworkConfig | None, word: str) -> None:
    """Refuse a file whose network can be no backbone.

    Raises:
        RecipeError: a user's own module, or a network that sees optical flow.
    """
    if isinstance(config, UserModuleConfig):
        raise RecipeError(
            f"--backbone {word}: it holds {config.module}, a module of a user's own, whose maps Marey does not know: name a "
            "network of Marey's."
        )
    if config is not None and config.channels == 2:
        raise RecipeError(f"--backbone {word}: its network sees optical flow: name a network of RGB as the backbone.")


def _probe(model: Classifier) -> Probe:
    assert isinstance(model.network, Probe)
    return model.network


def _sha256(network: Probe) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(network.backbone.state_dict().items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
