"""The non-local block. Shape suffixes: B batch, C channels, I inner channels, P positions, Q pooled positions."""

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from marey.models.layers.config import Initialisation, NonLocalConfig
from marey.models.layers.convolutions import Conv3d
from marey.models.layers.resnet import ResNetTrunk


class NonLocal(nn.Module):
    """x + norm(out(y)): y at a position is the mean of g over all positions, weighted by similarity.

    Wang et al., Non-local Neural Networks, CVPR 2018 (equations 1 and 6). Keys and values are pooled 2x2 in space (the
    paper's subsampling), which leaves a quarter of the pairs of positions.
    """

    def __init__(self, channels: int, config: NonLocalConfig) -> None:
        super().__init__()
        inner = channels // 2
        self.config = config
        self.inner = inner
        if config.pairwise != "gaussian":
            self.theta = Conv3d(channels, inner, 1)
            self.phi = Conv3d(channels, inner, 1)
        self.g = Conv3d(channels, inner, 1)
        self.out = Conv3d(inner, channels, 1, bias=config.out_bias)
        self.norm = nn.BatchNorm3d(channels)
        self.pool = nn.MaxPool3d((1, 2, 2))

    def set_initial_values(self, how: Initialisation) -> None:
        """The scale of the norm is 0, so that the block is the identity at first (section 4.1)."""
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        if self.config.pool_first:
            pooled = self.pool(x)
            keys, values = self._phi(pooled), self.g(pooled)
        else:
            keys, values = self.pool(self._phi(x)), self.pool(self.g(x))
        queries = x if self.config.pairwise == "gaussian" else self.theta(x)
        y_BPI = self._weighted_mean(_by_position(queries), _by_position(keys), _by_position(values))
        y = y_BPI.transpose(1, 2).reshape(x.shape[0], self.inner, *x.shape[2:])
        return x + self.norm(self.out(y))  # type: ignore[no-any-return]

    def _phi(self, x: Tensor) -> Tensor:
        return x if self.config.pairwise == "gaussian" else self.phi(x)

    def _weighted_mean(self, queries_BPC: Tensor, keys_BQC: Tensor, values_BQI: Tensor) -> Tensor:
        if self.config.pairwise == "dot_product":
            # (q k^T) v / Q computed as q (k^T v / Q): inner x inner instead of P x Q numbers.
            return queries_BPC @ (keys_BQC.transpose(1, 2) @ values_BQI / keys_BQC.shape[1])
        scale = self.inner**-0.5 if self.config.scaled else 1.0
        return scaled_dot_product_attention(queries_BPC, keys_BQC, values_BQI, scale=scale)


def _by_position(x: Tensor) -> Tensor:
    """[B, C, T, H, W] to [B, T * H * W, C]."""
    return x.flatten(2).transpose(1, 2)


def insert_non_local(resnet: ResNetTrunk, config: NonLocalConfig | None) -> None:
    """Add a non-local block after each residual block that the config names; None: no blocks."""
    if config is None:
        return
    for stage, indices in enumerate(config.places):
        for index in indices:
            resnet.residual(stage, index).after = NonLocal(resnet.stage_channels[stage], config)
