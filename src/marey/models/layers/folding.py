"""Batch norms of a network that does not learn, folded into the convolutions before them: fewer passes over its maps."""

import copy
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from marey.models.layers.efficientnet import ConvNorm6
from marey.models.layers.inception import ConvNormReLU
from marey.models.layers.resnet import ConvNorm

M = TypeVar("M", bound=nn.Module)


def folded(network: M) -> M:
    """A copy that gives the same in eval mode, but for float32 rounding, with fewer operations: in every layer of a
    convolution and a batch norm (of EfficientNet-Lite, ResNets and the networks made of their layers, Inception) the norm's
    running statistics, scale and shift become part of the convolution.

    The copy is in eval mode, and for inference alone. Other norms stay as they are.

    Args:
        network: Is not changed.
    """
    inference = copy.deepcopy(network).eval()
    for layer in inference.modules():
        if isinstance(layer, ConvNorm | ConvNorm6 | ConvNormReLU):
            layer.conv = fuse_conv_bn_eval(layer.conv, layer.norm)
            layer.norm = nn.Identity()  # type: ignore[assignment]
    return inference
