"""The top-1 of a test next to published and earlier measured ones: the difference, and whether they are comparable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from marey.base.declaration import Declaration
from marey.base.words import counted
from marey.evaluation.protocol import EvaluationProtocol
from marey.recipe import Measured, Published, Recipe
from marey.tasks.metrics import wilson_interval


@dataclass(frozen=True)
class Comparison:
    """The top-1 of a test next to another top-1 of the same recipe."""

    against: str
    """What the other number is, in words, for example "published (...)"."""
    theirs: float
    """The other top-1, in percent."""
    ours: float
    """The top-1 of this test, in percent."""
    low: float
    """Lower end of the 95 % interval of `ours`, in percent."""
    high: float
    """Upper end of this interval, in percent."""
    reasons: tuple[str, ...] = ()
    """Why the two numbers are not comparable; empty if they are."""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Comparison":
        """From its fields in the JSON of a result."""
        return cls(**{**value, "reasons": tuple(value["reasons"])})

    @property
    def comparable(self) -> bool:
        return not self.reasons

    def __str__(self) -> str:
        head = f"{self.against}: {self.theirs:.1f} %; here {self.ours:.1f} % ({self.low:.1f} % to {self.high:.1f} %)"
        if self.comparable:
            inside = "within" if self.low <= self.theirs <= self.high else "outside"
            return f"{head}: {self.ours - self.theirs:+.1f} points, {inside} the 95 % interval"
        return f"{head}: not comparable, because {'; '.join(self.reasons)}"


def compare(recipe: Recipe, protocol: EvaluationProtocol, *, top1: float, videos: int) -> tuple[Comparison, ...]:
    """Compare the top-1 of a test with the published top-1 of its recipe, and with the one that was measured with Marey.

    Args:
        recipe: The tested recipe, which `protocol` names. One that the user has changed has no numbers to compare with.
        protocol: The protocol of the test.
        top1: The top-1 of the test, 0 to 1.
        videos: The number of tested videos.
    """
    found = []
    if recipe.published is not None:
        reasons = _protocol_differs(recipe, protocol) + _published_differs(recipe.published, protocol, videos)
        found.append(_comparison(recipe.published, top1, videos, reasons))
    if recipe.measured is not None:
        reasons = _protocol_differs(recipe, protocol) + _measured_differs(recipe.measured, protocol)
        found.append(_comparison(recipe.measured, top1, videos, reasons))
    return tuple(found)


def compare_fused(
    published: Published,
    recipes: Sequence[Recipe],
    protocols: Sequence[EvaluationProtocol],
    *,
    top1: float,
    videos: int,
) -> Comparison:
    """Compare the top-1 of fused streams, each tested by its own recipe, with a published one."""
    reasons = [
        f"{recipe.name}: {reason}"
        for recipe, protocol in zip(recipes, protocols, strict=True)
        for reason in _protocol_differs(recipe, protocol)
    ]
    reasons += _published_differs(published, protocols[0], videos)
    return _comparison(published, top1, videos, reasons)


def _comparison(number: Published | Measured, top1: float, videos: int, reasons: Sequence[str]) -> Comparison:
    low, high = (100 * end for end in wilson_interval(round(top1 * videos), videos))
    name = f"published ({number.source})" if isinstance(number, Published) else f"measured by Marey ({number.date})"
    return Comparison(name, number.top1, 100 * top1, low, high, tuple(reasons))


def _protocol_differs(recipe: Recipe, protocol: EvaluationProtocol) -> list[str]:
    """Why the protocol does not permit a comparison: rules for tests, pixels or flow that are not the recipe's, another
    precision than float32, out-of-fold predictions, or fewer videos by `--only`.
    """
    rules: list[tuple[str, Declaration, JsonValue]] = [
        ("test", recipe.test, protocol.test),
        ("pixels", recipe.pixels, protocol.pixels),
    ]
    if recipe.flow is not None:
        rules.append(("flow", recipe.flow, protocol.flow))
    reasons = [
        f"the {name} rule is not the recipe's" for name, rule, used in rules if rule.model_dump(mode="json") != used
    ]
    if protocol.precision != "float32":
        reasons.append(f"the network ran in {protocol.precision}")
    if protocol.out_of_fold:
        reasons.append("the predictions are out of fold, by several heads")
    if protocol.only is not None:
        reasons.append(f"only the videos of {protocol.only.list} were scored")
    return reasons


def _published_differs(published: Published, protocol: EvaluationProtocol, videos: int) -> list[str]:
    reasons = []
    if published.kind == "quoted":
        reasons.append("the published number is quoted from elsewhere and was measured by another protocol")
    if protocol.split is None:
        reasons.append(f"the list does not say which split it is (published: {published.split})")
    elif _plain_split(protocol.split) != _plain_split(published.split):
        reasons.append(f"the split is {protocol.split}, the published one {published.split}")
    if published.videos is None:
        reasons.append("it is not published how many videos were tested")
    elif published.videos != videos:
        reasons.append(
            f"{counted(videos, 'video')} {'was' if videos == 1 else 'were'} tested, not {published.videos:,} as published"
        )
    return reasons


def _measured_differs(measured: Measured, protocol: EvaluationProtocol) -> list[str]:
    same = measured.fingerprint == protocol.data_fingerprint
    return [] if same else ["the list of videos is another one (fingerprints differ)"]


def _plain_split(split: str) -> str:
    """A split's name in a form that can be compared: "validation" becomes "val", "test, split 1" becomes "test1"."""
    words = split.lower().replace("validation", "val").replace("split", "")
    return "".join(letter for letter in words if letter.isalnum())
