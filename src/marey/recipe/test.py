"""The test protocol of a recipe: clips, crops, and how the scores of views are averaged."""

from typing import Literal

from pydantic import PositiveInt

from marey.base.declaration import Declaration
from marey.video.sampling import TestRule

Averaging = Literal["logits", "probabilities", "position_probabilities"]
"""What is averaged over the views of a video, and in which order; see `Test.averaging`."""

Fusion = Literal["probabilities", "logits"]
"""What is added up when the scores of several networks are fused. "logits": then one softmax (DeepMind's two streams). Of
a score file that averages logits, the logarithms of its probabilities are these logits up to a constant per video, which
the softmax cancels; of one that averages probabilities, adding logarithms multiplies them."""


class Test(Declaration):
    """The protocol of a number: which clips, which crops of them, and what is averaged in which order."""

    sampling: TestRule
    crops: Literal["centre", "three", "ten"]
    size: PositiveInt
    """Side of the square crops, in pixels."""
    averaging: Averaging
    """The mean over views of logits, then softmax (MMAction's TSN and regular 3D test); or softmax of each view,
    then the mean (fully convolutional test, MMAction2); or softmax at each position of the head, then the mean over
    positions and views (PySlowFast). With several labels per video a sigmoid takes the place of the softmax."""

    @property
    def views(self) -> int:
        """Views of one video: clips times crops."""
        return self.sampling.clips * {"centre": 1, "three": 3, "ten": 10}[self.crops]
