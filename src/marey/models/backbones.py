"""Configs of all networks from papers, by input: single frames or clips. Add a new config to one of the unions."""

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
"""Networks that compute each frame by itself."""
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
"""Networks that compute all frames of a clip together."""
