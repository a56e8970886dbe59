"""A temperature and thresholds that make a classifier's probabilities agree with how often it is right."""

from typing import Annotated

from pydantic import Field, PositiveFloat, SerializerFunctionWrapHandler, model_serializer

from marey.base.declaration import Declaration
from marey.base.notebook import keep_beginning
from marey.base.words import counted, percent


class Calibration(Declaration):
    """The temperature and thresholds of a classifier's probabilities, and the videos that they were fitted on."""

    temperature: PositiveFloat = 1.0
    """The number that logarithms of probabilities (log-odds with several labels per video) are divided by (Guo et al.,
    On Calibration of Modern Neural Networks, ICML 2017, section 4.2). Above 1, probabilities become less certain. 1: no
    change."""
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """With one label per video: the probability, 0 to 1, that the most probable class must reach; below it none of the
    classes is predicted. None: no threshold."""
    turned_away: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The share of rightly predicted videos, 0 to 1, for which `threshold` was chosen: at most this share of them lies
    below the threshold, on average over new videos like those that it was fitted on. None: it was chosen in another way."""
    thresholds: tuple[Annotated[float, Field(ge=0, le=1)], ...] | None = None
    """With several labels per video: for each class [K], the least probability, 0 to 1, at which it is predicted. None:
    classes are only ranked by probability."""
    fitted_on: str
    """A description of the videos that temperature and thresholds were fitted on."""

    @model_serializer(mode="wrap")
    def _without_later_fields(self, dump: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out a field that is None if earlier versions lack it, so that runs of those versions can be resumed."""
        later = ("turned_away", "thresholds")
        return {name: value for name, value in dump(self).items() if value is not None or name not in later}

    @property
    def meaning(self) -> str:
        """What the thresholds do to a prediction, as a clause for a sentence; "" without thresholds."""
        if self.thresholds is not None:
            return "a class is predicted if its probability reaches the threshold of this class"
        if self.threshold is None:
            return ""
        cost = (
            "" if self.turned_away is None
            else f" (of videos that are answered rightly at most {percent(self.turned_away, 0)} are lost by that)"
        )  # fmt: skip
        return f"below {percent(self.threshold)} the answer is none of the classes{cost}"

    def __repr__(self) -> str:
        threshold = "" if self.threshold is None else f", threshold {self.threshold:g}"
        if self.thresholds is not None:
            threshold += f", {counted(len(self.thresholds), 'threshold')}, one for each class"
        fitted = keep_beginning(self.fitted_on, 60)
        return f"Calibration(temperature {self.temperature:g}{threshold}, fitted on {fitted})"

    __str__ = __repr__
