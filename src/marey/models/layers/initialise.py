"""How a network starts that takes no weights from elsewhere. The toolkits differ, so the recipe says how."""

from torch import nn

from marey.models.layers.efficientnet import InvertedResidual
from marey.models.layers.non_local import NonLocal
from marey.models.layers.resnet import Residual

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def initialise(network: nn.Module, *, last_gamma_zero: bool, head_std: float) -> None:
    """Convolutions by Kaiming (normal, fan out), norms 1 and 0, linear layers normal with `head_std` and bias 0.

    EfficientNet's depthwise filters are normal with deviation sqrt(2) / k, as in its authors' code.
    Non-local blocks start as the identity, by a zero scale of their norm (Wang et al. 2018, section 4.1).
    `last_gamma_zero` starts each residual branch at zero (Goyal et al. 2017, section 5.1; PySlowFast, MMAction2).
    """
    for module in network.modules():
        if isinstance(module, CONVOLUTIONS):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, NORMS):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            initialise_head(module, head_std)
    for module in network.modules():
        if isinstance(module, NonLocal):
            nn.init.zeros_(module.norm.weight)
        elif isinstance(module, InvertedResidual):
            # EfficientNet counts what one filter leads to, which is one channel, not all of them.
            filters = module.depthwise.conv
            nn.init.normal_(filters.weight, std=(2 / (filters.kernel_size[0] * filters.kernel_size[1])) ** 0.5)
    if last_gamma_zero:
        for module in network.modules():
            if isinstance(module, Residual):
                nn.init.zeros_(module.last.weight)  # type: ignore[arg-type]


def initialise_head(head: nn.Linear, std: float = 0.01) -> None:
    """A fresh classifier: weights normal with deviation `std`, bias 0."""
    nn.init.normal_(head.weight, std=std)
    nn.init.zeros_(head.bias)
