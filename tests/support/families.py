"""Small networks of every family, with the number of frames of their clips."""

import torch
from torch import nn

from marey.classifier import Classifier
from marey.models.csn.config import CSNConfig
from marey.models.i3d.config import InceptionI3DConfig
from marey.models.layers.config import NonLocalConfig
from marey.models.non_local.config import I3DResNetConfig
from marey.models.r2plus1d.config import R2Plus1DConfig
from marey.models.slowfast.config import SlowFastConfig
from marey.models.slowonly.config import SlowOnlyConfig
from marey.models.tsm.config import TSMConfig
from marey.models.tsn.config import BNInceptionTSNConfig, LiteTSNConfig, TSNConfig
from tests.support.tiny import RECIPE

FAMILIES = {
    "slowonly": SlowOnlyConfig(depth=18, width=4, num_classes=5),
    # Its fast pathway has an eighth of the width: torch 2.13 cannot compile one of a single channel for a free batch.
    "slowfast": SlowFastConfig(depth=18, width=16, num_classes=5, slow_frames="spread", lateral_norm=True),
    "i3d": InceptionI3DConfig(width=8, num_classes=5),
    "i3d_non_local": I3DResNetConfig(
        depth=18, width=4, num_classes=5,
        non_local=NonLocalConfig(pairwise="embedded_gaussian", places=((0,), (), (1,), ()), scaled=True),
    ),
    "r2plus1d": R2Plus1DConfig(depth=18, width=4, num_classes=5),
    "csn": CSNConfig(depth=50, width=4, num_classes=5),
    "tsm": TSMConfig(depth=18, width=8, num_classes=5, segments=4),
    "tsn": TSNConfig(depth=18, width=4, num_classes=5),
    "tsn_bninception": BNInceptionTSNConfig(width=8, num_classes=5),
    "tsn_lite": LiteTSNConfig(width=8, num_classes=5),
}  # fmt: skip


def family(name: str) -> tuple[Classifier, int]:
    """A classifier whose norms have statistics as after training, and the number of frames of its clips."""
    torch.manual_seed(0)
    config = FAMILIES[name]
    model = Classifier(config.build(), RECIPE.variant(name=name, model=config))
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.8, 1.2)
    return model, 2 * max(2, *(t for t, _, _ in model.network.strides))
