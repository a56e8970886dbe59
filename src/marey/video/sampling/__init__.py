"""Which frames of a video form its clips: each published rule is a class that computes frame indices.

Every toolkit samples differently, and a published result is reproduced only by the rule with which its weights were
trained and tested. A rule distributes K = clips x segments offsets over the video and takes `frames` frames, `stride`
apart, from each. Its result has one row per clip, which is what the network sees at once:

    dense test    clips=10, frames=32, stride=2    -> [10, 32]
    TSN test      segments=25                      -> [1, 25]
    flow stacks   segments=3, frames=5             -> [1, 15]

- `rule`: the base class `SamplingRule`, which defines the fields of all rules.
- `mmaction`, `mmaction2`, `pyslowfast`, `pytorchvideo`: the rules of each toolkit.
- `pairs`: Marey's own rule, for difference images.

It exports the rules for training, `MMActionTrain`, `MMAction2Train`, `MMAction2FPSTrain`, `PySlowFastTrain`,
`PyTorchVideoTrain`, `FramePairsTrain`, and their union `TrainRule`; those for validation and testing, `MMActionVal`,
`MMActionTest`, `MMAction2Test`, `MMAction2TwiceTest`, `MMAction2DenseTest`, `MMAction2FPSTest`, `PySlowFastTest`,
`PyTorchVideoTest`, `FramePairs`, and their union `TestRule`; and `SamplingRule`.

May import: base.
"""

from typing import Annotated

from pydantic import Field

from marey.video.sampling.mmaction import MMActionTest as MMActionTest
from marey.video.sampling.mmaction import MMActionTrain as MMActionTrain
from marey.video.sampling.mmaction import MMActionVal as MMActionVal
from marey.video.sampling.mmaction2 import MMAction2DenseTest as MMAction2DenseTest
from marey.video.sampling.mmaction2 import MMAction2FPSTest as MMAction2FPSTest
from marey.video.sampling.mmaction2 import MMAction2FPSTrain as MMAction2FPSTrain
from marey.video.sampling.mmaction2 import MMAction2Test as MMAction2Test
from marey.video.sampling.mmaction2 import MMAction2Train as MMAction2Train
from marey.video.sampling.mmaction2 import MMAction2TwiceTest as MMAction2TwiceTest
from marey.video.sampling.pairs import FramePairs as FramePairs
from marey.video.sampling.pairs import FramePairsTrain as FramePairsTrain
from marey.video.sampling.pyslowfast import PySlowFastTest as PySlowFastTest
from marey.video.sampling.pyslowfast import PySlowFastTrain as PySlowFastTrain
from marey.video.sampling.pytorchvideo import PyTorchVideoTest as PyTorchVideoTest
from marey.video.sampling.pytorchvideo import PyTorchVideoTrain as PyTorchVideoTrain
from marey.video.sampling.rule import SamplingRule as SamplingRule

TrainRule = Annotated[
    MMActionTrain | MMAction2Train | MMAction2FPSTrain | PySlowFastTrain | PyTorchVideoTrain | FramePairsTrain,
    Field(discriminator="rule"),
]
"""Rules for training, which draw at random."""

TestRule = Annotated[
    MMActionTest
    | MMActionVal
    | MMAction2Test
    | MMAction2TwiceTest
    | MMAction2DenseTest
    | MMAction2FPSTest
    | PySlowFastTest
    | PyTorchVideoTest
    | FramePairs,
    Field(discriminator="rule"),
]
"""Rules for validation and testing, which are deterministic."""
