"""The task of a recipe: one label per video, or several. `marey.tasks` implements the tasks."""

from typing import Annotated, Literal

from pydantic import Field

from marey.base.declaration import Declaration
from marey.data.loading.epoch_order import ByClass
from marey.recipe.train import FocalLoss, Train


class Classify(Declaration):
    """One label per video: softmax over the classes."""

    kind: Literal["classify"] = "classify"

    def problem_with(self, train: Train) -> str | None:
        """Why these training settings do not fit the task, and what to set instead; None if they fit."""
        if isinstance(train.loss, FocalLoss) and train.loss.alpha is not None:
            return "alpha weighs present against absent labels, and a video has one label here: use train.class_weights"
        return None


class MultiLabel(Declaration):
    """Any number of labels per video: one sigmoid for each class. The loss is the mean over classes and clips."""

    kind: Literal["multilabel"] = "multilabel"

    def problem_with(self, train: Train) -> str | None:
        """See `Classify.problem_with`."""
        if train.label_smoothing:
            return "label smoothing is for one label per video: set train.label_smoothing to 0"
        if isinstance(train.draw, ByClass):
            return "drawing by class is for one label per video: set train.draw.kind to each_once"
        return None


TaskConfig = Annotated[Classify | MultiLabel, Field(discriminator="kind")]
"""Any task; `kind` says which."""
