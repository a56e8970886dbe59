"""TSN: Wang et al., Temporal Segment Networks: Towards Good Practices for Deep Action Recognition, ECCV 2016."""

from typing import TYPE_CHECKING, Literal

from pydantic import PositiveFloat, PositiveInt

from marey.base.declaration import Declaration

if TYPE_CHECKING:
    from marey.models.network import Network


class SegmentsConfig(Declaration):
    """The fields of TSN with any 2D network."""

    network: str
    """The kind of network, which each subclass fixes."""
    num_classes: PositiveInt = 400
    """Number of classes, the outputs of the head."""
    channels: Literal[2, 3] = 3
    """Channels of each frame: 3 for RGB, 2 for flow (x, y)."""
    stack: PositiveInt = 1
    """Consecutive frames of a segment that become channels of one input: 5 for flow (x0, y0, x1, y1, ...), 1 for RGB."""

    def build(self) -> "Network":
        """The network, with random weights."""
        from marey.models.tsn.network import TSN

        return TSN(self)


class ResNetSegmentsConfig(SegmentsConfig):
    """A 2D ResNet on each segment."""

    depth: Literal[18, 34, 50, 101] = 50
    """Layers of the ResNet (He et al. 2016, table 1)."""
    width: PositiveInt = 64
    """Channels of the stem; every stage scales with it. All published weights have 64."""


class LiteSegmentsConfig(SegmentsConfig):
    """EfficientNet-Lite (Tan and Le 2019) on each segment. The defaults are those of the Lite0 weights that Marey has."""

    size: Literal[0, 1, 2] = 0
    """Which EfficientNet-Lite: Lite0, Lite1 or Lite2."""
    width: PositiveInt = 32
    """Channels of the stem; every stage scales with it. All published weights have 32."""
    padding: Literal["same", "symmetric"] = "same"
    """How maps are padded. "same": TensorFlow's padding (the weights that Marey and its extra `lite` install, timm's
    tf_efficientnet_lite). "symmetric": timm's efficientnet_lite0."""
    norm_eps: PositiveFloat = 1e-3
    """Epsilon of the batch norms, added to the variance: 1e-3 with "same" padding, 1e-5 for timm's efficientnet_lite0."""


class TSNConfig(ResNetSegmentsConfig):
    """A 2D ResNet on single frames of several segments, whose features are averaged."""

    network: Literal["tsn"] = "tsn"


class LiteTSNConfig(LiteSegmentsConfig):
    """EfficientNet-Lite on single frames of several segments, whose features are averaged."""

    network: Literal["tsn_lite"] = "tsn_lite"


class BNInceptionTSNConfig(SegmentsConfig):
    """BN-Inception on single frames or stacks of flow, as in the paper (section 5.1): for MMAction's results on UCF101."""

    network: Literal["tsn_bninception"] = "tsn_bninception"
    width: PositiveInt = 64
    """Channels of the stem; every block scales with it. All published weights have 64."""
