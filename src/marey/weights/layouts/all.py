"""All layouts that Marey reads."""

from types import ModuleType

from marey.weights.layouts import (
    deepmind,
    deepmind_tensorflow,
    efficientnet_lite,
    mmaction,
    mmaction2,
    mmaction2_separated,
    mmaction_inception,
    mmaction_separated,
    pyslowfast,
    pyslowfast_caffe2,
    pytorchvideo,
    pytorchvideo_separated,
    timm,
    torchvision,
    videoresnet,
    vmz_caffe2,
)

LAYOUTS: tuple[ModuleType, ...] = (
    mmaction,
    mmaction_inception,
    mmaction_separated,
    mmaction2,
    mmaction2_separated,
    pyslowfast,
    pyslowfast_caffe2,
    pytorchvideo,
    pytorchvideo_separated,
    videoresnet,
    vmz_caffe2,
    deepmind,
    deepmind_tensorflow,
    torchvision,
    timm,
    efficientnet_lite,
)
"""One module per toolkit and family of networks. Each says its NAME, which a source declares (several modules share that of
a toolkit which names its tensors in one way), whose TOOLKIT it is, by which tensors (SIGNS) a file is known,
which NETWORKS it has names for, `pairs(network)` of (their tensor, our tensor), and `variant_of(tensors)`, the network
that shapes tell; some say which tensors are UNUSED, which of ours are ABSENT there, `changes(network)` where a tensor
lies otherwise, and `plain(tensors)` where names hold sizes."""
