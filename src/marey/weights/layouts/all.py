"""All layouts that Marey reads."""

from marey.weights.layouts import (
    deepmind,
    deepmind_tensorflow,
    efficientnet_lite,
    mmaction,
    mmaction2,
    mmaction2_factorised,
    mmaction_factorised,
    mmaction_inception,
    pyslowfast,
    pyslowfast_caffe2,
    pytorchvideo,
    pytorchvideo_factorised,
    timm,
    torchvision,
    videoresnet,
    vmz_caffe2,
)
from marey.weights.layouts.layout import Layout

LAYOUTS: tuple[Layout, ...] = (
    mmaction.LAYOUT,
    mmaction_inception.LAYOUT,
    mmaction_factorised.LAYOUT,
    mmaction2.LAYOUT,
    mmaction2_factorised.LAYOUT,
    pyslowfast.LAYOUT,
    pyslowfast_caffe2.LAYOUT,
    pytorchvideo.LAYOUT,
    pytorchvideo_factorised.LAYOUT,
    videoresnet.LAYOUT,
    vmz_caffe2.LAYOUT,
    deepmind.LAYOUT,
    deepmind_tensorflow.LAYOUT,
    torchvision.LAYOUT,
    timm.LAYOUT,
    efficientnet_lite.LAYOUT,
)
"""If several layouts recognise a file, they are tried in this order."""
