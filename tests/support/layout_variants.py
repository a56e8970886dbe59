"""Networks of other sizes than the published ones, in the layouts of the older toolkits."""

import torch

from marey.models.layers.config import NonLocalConfig
from marey.models.non_local.config import C2DConfig, I3DResNetConfig
from marey.models.slowfast.config import SlowFastConfig
from marey.models.slowonly.config import SlowOnlyConfig
from marey.models.tsm.config import TSMConfig
from marey.weights.layouts import mmaction, mmaction2, pyslowfast, pytorchvideo

VARIANTS = [
    (mmaction.LAYOUT, I3DResNetConfig(depth=101, width=8, num_classes=7, channels=2)),
    (mmaction.LAYOUT, SlowFastConfig(width=16, num_classes=3)),
    (mmaction.LAYOUT, SlowFastConfig(depth=101, width=8, num_classes=3, alpha=4, lateral_kernel=7)),
    (mmaction2.LAYOUT, I3DResNetConfig(width=8, inflated="everywhere", stem_stride=1, pool_stride=1)),
    (
        mmaction2.LAYOUT,
        I3DResNetConfig(width=8, non_local=NonLocalConfig(pairwise="gaussian", places=((1,), (), (2,), ()))),
    ),
    (mmaction2.LAYOUT, TSMConfig(depth=101, width=8, num_classes=5)),
    (mmaction2.LAYOUT, TSMConfig(depth=18, width=8, num_classes=5, style="block")),
    (mmaction2.LAYOUT, SlowFastConfig(depth=101, fast_depth=50, width=8, num_classes=9)),
    (
        mmaction2.LAYOUT,
        SlowOnlyConfig(width=8, non_local=NonLocalConfig(pairwise="embedded_gaussian", scaled=True)),
    ),
    (pyslowfast.LAYOUT, C2DConfig(depth=101, width=8, num_classes=11, second_pool=1, pool_window=7)),
    (
        pyslowfast.LAYOUT,
        I3DResNetConfig(
            width=8,
            stem_stride=1,
            pool_stride=1,
            pool_window=7,
            non_local=NonLocalConfig(pairwise="embedded_gaussian", pool_first=True, scaled=True, out_bias=True),
        ),
    ),
    (
        pyslowfast.LAYOUT,
        SlowFastConfig(
            depth=101,
            width=8,
            alpha=4,
            slow_frames="spread",
            lateral_norm=True,
            pool_window=7,
            slow_inflated=6,
            fast_inflated=6,
            non_local=NonLocalConfig(
                pairwise="dot_product", places=((), (), (6, 13, 20), ()), pool_first=True, out_bias=True
            ),
        ),
    ),
    (pytorchvideo.LAYOUT, I3DResNetConfig(width=8, stem_stride=1, pool_stride=1, pool_window=7)),
    (pytorchvideo.LAYOUT, SlowOnlyConfig(depth=101, width=8, num_classes=3, pool_window=7)),
    (
        pytorchvideo.LAYOUT,
        SlowFastConfig(width=16, slow_frames="spread", lateral_norm=True, pool_window=7),
    ),
]
"""Layouts and configurations of networks."""


def given(layout, network) -> dict[str, torch.Tensor]:
    """A network's tensors in another toolkit's layout."""
    state, changes = network.state_dict(), layout.changes(network)
    return {
        theirs: (changes[ours].give(state[ours]) if ours in changes else state[ours]).clone()
        for theirs, ours in layout.pairs(network)
    }
