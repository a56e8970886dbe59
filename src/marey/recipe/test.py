"""The test protocol of a recipe: clips, crops, and how the predictions of views are averaged."""

from typing import Literal

from pydantic import PositiveInt

from marey.base.declaration import Declaration
from marey.video.sampling import TestRule

Averaging = Literal["logits", "probabilities", "position_probabilities"]
"""What is averaged over the views of a video, and in which order; see `Test.averaging`."""

Fusion = Literal["probabilities", "logits"]
"""What is added when the predictions of several networks are fused. "logits": logits are added, and one softmax follows
(DeepMind's two streams). Score files store probabilities; their logarithms serve as logits. If a network's views were
averaged as logits, the logarithms are these logits up to a constant per video, which the softmax cancels. If its views
were averaged as probabilities, adding the logarithms amounts to multiplying the networks' probabilities."""


class Test(Declaration):
    """The test protocol: which clips and crops of a video, and how the predictions of these views are averaged."""

    sampling: TestRule
    """The sampling rule: how many clips a video has, and which frames."""
    crops: Literal["centre", "three", "ten"]
    """Crops of each clip: one in the centre, three along the longer side, or TSN's ten (corners and centre, each plain and
    mirrored)."""
    size: PositiveInt
    """Side of the square crops, in pixels."""
    averaging: Averaging
    """How the predictions of the views become one. "logits": the mean of the logits over the views, then softmax
    (MMAction's TSN and regular 3D test). "probabilities": softmax of each view, then the mean (MMAction's fully
    convolutional test, MMAction2). "position_probabilities": softmax at each position of the head, then the mean over
    positions and views (PySlowFast). With several labels per video a sigmoid takes the place of the softmax."""

    @property
    def views(self) -> int:
        """Views of one video: clips times crops."""
        return self.sampling.clips * {"centre": 1, "three": 3, "ten": 10}[self.crops]
