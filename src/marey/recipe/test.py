"""The test protocol of a recipe: clips, crops, and how the predictions of views are averaged."""

from typing import Literal

from pydantic import PositiveInt

from marey.base.declaration import Declaration
from marey.video.sampling import TestRule

Averaging = Literal["logits", "probabilities", "position_probabilities"]
"""What is averaged over the views of a video, and in which order; see `Test.averaging`."""

Fusion = Literal["probabilities", "logits"]
"""What is added up when several networks are fused. "logits": then one softmax follows (DeepMind's two streams). Score files
store probabilities. If views were averaged as logits, their logarithms are these logits up to a constant per video, which
the softmax cancels. If they were averaged as probabilities, adding the logarithms multiplies them."""


class Test(Declaration):
    """The test protocol: which clips and crops of a video, and how the predictions of these views are averaged."""

    sampling: TestRule
    """Which frames the clips of a video have."""
    crops: Literal["centre", "three", "ten"]
    """Crops of each clip: one in the centre, three along the longer side, or TSN's ten (corners and centre, each plain and
    mirrored)."""
    size: PositiveInt
    """Side of the square crops, in pixels."""
    averaging: Averaging
    """"logits": the mean of the logits over the views, then softmax (MMAction's TSN and regular 3D test). "probabilities":
    softmax of each view, then the mean (MMAction's fully convolutional test, MMAction2). "position_probabilities": softmax
    at each position of the head, then the mean over positions and views (PySlowFast). With several labels per video a
    sigmoid takes the place of the softmax."""

    @property
    def views(self) -> int:
        """Views of one video: clips times crops."""
        return self.sampling.clips * {"centre": 1, "three": 3, "ten": 10}[self.crops]
