"""The backbone of a classifier on frozen features: from the word of --backbone to a probe with trained weights."""

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
from marey.weights.fetching.obtain import (
    Obtained,
    check_named,
    check_obtainable,
    looks_like_address,
    obtain,
    obtain_named,
)
from marey.weights.files.find_checkpoint import checkpoint_in
from marey.weights.imagenet_ig65m import check_imagenet, imagenet_file, installed_text
from marey.weights.load import build_model, load_model, names_checkpoint, open_weights
from marey.weights.pretraining import check_start, start
from marey.weights.probe_backbone import backbone_line, fill_backbone
from marey.workflows.classifier.affordable import AUTO, announce_download, best_affordable

_FOUND_BY_NAME = ("imagenet", "ig65m")
"""Initial weights for a network without published weights (`marey.weights.pretraining`)."""
_OWN_FILE = "own-file"
"""The `pretraining` of a probe on a user's file: to train its recipe again, the file must be named."""


@dataclass(frozen=True, eq=False)
class Backbone:
    """A network with trained weights, as a probe with the pooling `Moments` and a random head."""

    model: Classifier
    """The classifier in eval mode, on the CPU. Its network is a `Probe`; its load report shows what happened to each
    tensor of the file."""
    recipe: Recipe
    """The recipe of the probe."""
    source: str
    """Where the weights came from, in words."""
    named: str
    """The word of --backbone that finds it again: a recipe's name, or a file."""
    sha256: str
    """Hash of the names, types, shapes and values of the backbone's tensors, 64 digits; it does not depend on the file."""


def find_backbone(
    word: str | Path | None,
    *,
    budget: float,
    videos: int,
    compute: Compute = Compute(),  # noqa: B008 - frozen
    trust_first_use: bool = False,
) -> Backbone:
    """The backbone that a word names, with its weights loaded.

        find_backbone(None, ...)                     EfficientNet-Lite0 from ImageNet, which is installed with Marey
        find_backbone("auto", ...)                   the best that this machine can afford
        find_backbone("r3d_r18_16x1_k400_torchvision", ...)   a recipe: its published weights; if it has none and starts
                                                     from ImageNet or IG-65M, those
        find_backbone("old.pth", ...)                a file in any layout that Marey reads, the folder of a run, an address;
                                                     for a probe its backbone, with its fine-tuned weights

    A notice lists what was loaded and left out.

    Args:
        budget: For "auto", what the features of all videos may cost, in the unit of `budget_unit`.
        videos: Number of videos.
        compute: Where the network will run.
        trust_first_use: Download a file even if no hash of it was published.

    Raises:
        RecipeError, WeightsError: the word names nothing; a network for optical flow, or a user's own module; weights that
            cannot be obtained or do not fit.
        RunError: the machine does not have enough memory.
    """
    if word == AUTO:
        chosen = best_affordable(budget, videos, compute)
        if chosen is None:
            return _installed_backbone(compute)
        row, obtained = chosen
        loaded = load_model(row, weights=obtained, allow_new_head=True)
        return _probe_on_loaded(loaded, _published_in_words(row, obtained), row.name, row.name, compute)
    if word is None or str(word) == PROBE.name:
        return _installed_backbone(compute)
    if names_checkpoint(word):
        return _from_file(word, compute, trust_first_use)
    return _from_recipe(_recipe_named(str(word)), compute, trust_first_use)


def check_backbone(word: str | Path | None, *, trust_first_use: bool = False) -> None:
    """Check before any work that `find_backbone` will find weights. Nothing is downloaded.

    Raises:
        RecipeError, WeightsError: as `find_backbone`.
    """
    if word is None or word == AUTO or str(word) == PROBE.name:
        check_imagenet(PROBE)
    elif names_checkpoint(word):
        check_named(word, trust_first_use=trust_first_use)
        if not looks_like_address(word):
            _refuse_network(open_weights(checkpoint_in(Path(word), quiet=True)).config, str(word))
    else:
        recipe = _recipe_named(str(word))
        probe_on(recipe)
        if _starts_from(recipe) is None:
            check_obtainable(recipe, trust_first_use=trust_first_use, command="--backbone")
        else:
            check_start(recipe, None, trust_first_use=trust_first_use)


def with_pooling(backbone: Backbone, class_names: Sequence[str], pooling: Pooling, task: TaskConfig) -> Classifier:
    """A classifier for these classes in eval mode, with a copy of the backbone's weights and a random head for the pooling.

    Its load report and the identities of videos that it was trained on are the backbone's.
    """
    recipe = probe_recipe(backbone.recipe, class_names, pooling, task)
    network = _probe(build_model(recipe, class_names))
    network.backbone.load_state_dict(_probe(backbone.model).backbone.state_dict())
    model = backbone.model
    return Classifier(
        network, recipe, classes=class_names, load_report=model.load_report, trained_on=model.trained_on
    ).eval()


def _recipe_named(word: str) -> Recipe:
    """The recipe of this name.

    Raises:
        RecipeError: there is no such recipe, nor such a file.
    """
    try:
        return get_recipe(word)
    except RecipeError as error:
        raise RecipeError(f"--backbone {word}: no such file, and {error}") from None


def _installed_backbone(compute: Compute) -> Backbone:
    """EfficientNet-Lite0, from the package that Marey depends on."""
    file = imagenet_file(PROBE)
    plain = PROBE.variant(model=PROBE.model.backbone)  # type: ignore[union-attr]
    return _as_probe(load_model(plain, weights=file), PROBE, installed_text(0), PROBE.name, compute)


def _from_recipe(recipe: Recipe, compute: Compute, trust_first_use: bool) -> Backbone:
    """The published weights of a recipe; if it has none, those that its training starts from."""
    probe = probe_on(recipe)
    require_memory(build_model(probe).eval(), compute)  # before anything is downloaded
    word = _starts_from(recipe)
    if word is None:
        announce_download(recipe, recipe.weights)
        obtained = obtain(recipe, trust_first_use=trust_first_use)
        loaded, source = (
            load_model(recipe, weights=obtained, allow_new_head=True),
            _published_in_words(recipe, obtained),
        )
    else:
        loaded, source = start(recipe, word, trust_first_use=trust_first_use), f"{word} weights for {recipe.name}"
        notice(f"{recipe.name}: no trained weights of it are published: its features are computed with {word} weights")
    return _probe_on_loaded(loaded, source, recipe.name, recipe.name, compute)


def _from_file(word: str | Path, compute: Compute, trust_first_use: bool) -> Backbone:
    """The weights in a file of ours or of another toolkit, in the folder of a run, or at an address."""
    opened = open_weights(obtain_named(word, trust_first_use=trust_first_use))
    _refuse_network(opened.config, str(word))
    loaded = load_model(weights=opened, allow_new_head=True)
    return _probe_on_loaded(loaded, f"{opened.path} ({loaded.recipe.name})", _OWN_FILE, str(word), compute)


def _probe_on_loaded(loaded: Classifier, source: str, pretraining: str, named: str, compute: Compute) -> Backbone:
    """A probe on the network of a loaded classifier; for a probe, a new probe on its backbone.

    Args:
        pretraining: The recipe's `pretraining`.
        named: The word of --backbone that finds it again.
    """
    base = loaded.recipe
    if isinstance(base.model, FrameProbeConfig | ClipProbeConfig):
        recipe = base.variant(
            model={"num_classes": 2, "pooling": Moments()}, task=Classify(), train=PROBE.train, pretraining=pretraining,
            notes=f"On the backbone of {base.name}, which stays as it is.",
        )  # fmt: skip
    else:
        recipe = probe_on(base).variant(pretraining=pretraining)
    return _as_probe(loaded, recipe, source, named, compute)


def _as_probe(loaded: Classifier, recipe: Recipe, source: str, named: str, compute: Compute) -> Backbone:
    """The backbone of a probe's recipe, with the weights of a loaded classifier."""
    network = _probe(build_model(recipe))
    report = fill_backbone(network, loaded)
    model = Classifier(network, recipe, load_report=report, trained_on=loaded.trained_on).eval()
    require_memory(model, compute)
    notice(f"backbone: {source}: {backbone_line(report)}")
    return Backbone(model, recipe, source, named, _sha256(network))


def _starts_from(recipe: Recipe) -> str | None:
    """The initial weights of a recipe without published weights; None: it has published weights, or Marey has no start."""
    return recipe.pretraining if not recipe.weights and recipe.pretraining in _FOUND_BY_NAME else None


def _published_in_words(recipe: Recipe, obtained: Obtained) -> str:
    source = obtained.source
    return f"{recipe.name}: {source.file}, published by {source.by}, licence {source.licence}"


def _refuse_network(config: NetworkConfig | None, word: str) -> None:
    """Refuse a file whose network cannot be a backbone.

    Raises:
        RecipeError: a user's own module, or a network that sees optical flow.
    """
    if isinstance(config, UserModuleConfig):
        raise RecipeError(
            f"--backbone {word}: it holds {config.module}, a user's own module, whose feature maps Marey does not know: "
            "name a network of Marey's."
        )
    if config is not None and config.channels == 2:
        raise RecipeError(f"--backbone {word}: its network takes optical flow: name a network for RGB.")


def _probe(model: Classifier) -> Probe:
    assert isinstance(model.network, Probe)
    return model.network


def _sha256(network: Probe) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(network.backbone.state_dict().items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
