"""Batch norms folded into the convolutions before them, for faster inference."""

import copy
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from marey.models.layers.efficientnet import ConvNorm6
from marey.models.layers.inception import ConvNormReLU
from marey.models.layers.resnet import ConvNorm

M = TypeVar("M", bound=nn.Module)


def fold_batch_norms(network: M) -> M:
    """A copy for inference whose convolutions contain the batch norms that followed them.

    In eval mode its outputs equal those of `network` up to float32 rounding, with fewer operations. It folds the norms
    of ResNets, Inception and EfficientNet-Lite, and of networks of the same layers; other norms remain. `network` is
    not changed.
    """
    inference = copy.deepcopy(network).eval()
    for layer in inference.modules():
        if isinstance(layer, ConvNorm | ConvNorm6 | ConvNormReLU):
            layer.conv = fuse_conv_bn_eval(layer.conv, layer.norm)
            layer.norm = nn.Identity()  # type: ignore[assignment]
    return inference
