"""What a recipe asks about a video: one label or several. `marey.tasks` holds what follows from it."""

from typing import Annotated, Literal

from pydantic import Field

from marey.base.declaration import Declaration
from marey.data.loading.draw import ByClass
from marey.recipe.train import FocalLoss, Train


class Classify(Declaration):
    """One label per video: a softmax over the classes."""

    kind: Literal["classify"] = "classify"

    def problem_with(self, train: Train) -> str | None:
        """Why this task cannot be trained so, and the way out; None where it can."""
        if isinstance(train.loss, FocalLoss) and train.loss.alpha is not None:
            return "alpha weighs present against absent labels, and a video has one label here: use train.class_weights"
        return None


class MultiLabel(Declaration):
    """Any number of labels per video: a sigmoid for each class. The loss is the mean over classes and clips."""

    kind: Literal["multilabel"] = "multilabel"

    def problem_with(self, train: Train) -> str | None:
        """As of `Classify`."""
        if train.label_smoothing:
            return "label smoothing is for one label per video: set train.label_smoothing to 0"
        if isinstance(train.draw, ByClass):
            return "drawing by class is for one label per video: set train.draw.kind to each_once"
        return None


TaskConfig = Annotated[Classify | MultiLabel, Field(discriminator="kind")]
"""What is asked about a video. What each of them means is in `marey.tasks`."""
