"""All networks of papers, by what they see. The config of a new network is added to one of these two unions."""

from typing import TypeAlias

from marey.models.csn.config import CSNConfig
from marey.models.i3d.config import InceptionI3DConfig
from marey.models.non_local.config import C2DConfig, I3DResNetConfig
from marey.models.r2plus1d.config import R2Plus1DConfig
from marey.models.slowfast.config import SlowFastConfig
from marey.models.slowonly.config import SlowOnlyConfig
from marey.models.tsm.config import LiteTSMConfig, TSMConfig
from marey.models.tsn.config import BNInceptionTSNConfig, LiteTSNConfig, TSNConfig

FrameBackbone: TypeAlias = TSNConfig | BNInceptionTSNConfig | LiteTSNConfig
"""Networks that see each frame by itself."""
ClipBackbone: TypeAlias = (
    TSMConfig
    | LiteTSMConfig
    | C2DConfig
    | InceptionI3DConfig
    | I3DResNetConfig
    | SlowOnlyConfig
    | SlowFastConfig
    | R2Plus1DConfig
    | CSNConfig
)
"""Networks that see all frames of a clip together."""
