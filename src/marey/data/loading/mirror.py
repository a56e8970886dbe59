"""Which classes a mirror swaps, read from their names: "left to right" becomes "right to left"."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from marey.base.errors import RecipeError
from marey.base.words import counted
from marey.data.lists.videos import Target
from marey.video.pixels.crops import TrainCrop

_SUFFIXES = ("", "ward", "wards", "hand", "handed", "side", "most")
_SWAPS = {"clockwise": "counterclockwise", "counterclockwise": "clockwise"}
_SWAPS |= {f"left{end}": f"right{end}" for end in _SUFFIXES} | {f"right{end}": f"left{end}" for end in _SUFFIXES}


def mirror_swaps(class_names: Sequence[str]) -> dict[int, int]:
    """The class that the mirror image of a clip belongs to, for every class that a mirror turns into another one.

    Two classes swap where the one's name becomes the other's when all words of sides are exchanged: left and right (also
    leftward, left-handed, ...), clockwise and counter-clockwise or anticlockwise. Case, hyphens, underscores and
    camel case do not matter.
    """
    words = [_words(name) for name in class_names]
    places = {name: place for place, name in enumerate(words)}
    # A name that a mirror leaves as it is may occur twice, if the two differ in a sign that is no word.
    swapped = ((place, places.get(_mirrored(name))) for place, name in enumerate(words) if _mirrored(name) != name)
    return {place: other for place, other in swapped if other is not None}


def one_sided(class_names: Sequence[str]) -> tuple[str, ...]:
    """Classes whose names have a word of a side, without a class for the other side: their mirror image may be no class."""
    swaps = mirror_swaps(class_names)
    sided = (place for place, name in enumerate(class_names) if any(word in _SWAPS for word in _words(name)))
    return tuple(class_names[place] for place in sided if place not in swaps)


def safe_flip(class_names: Sequence[str]) -> tuple[float, Literal["refuse", "swap"]]:
    """The `flip` and `flip_classes` of a training crop with which no mirrored clip gets a wrong class.

    No mirroring where a one-sided class has no partner; else every second clip, with the labels of sides exchanged.
    """
    if one_sided(class_names):
        return 0.0, "refuse"
    return 0.5, "swap" if mirror_swaps(class_names) else "refuse"


def swaps_of(crop: TrainCrop, class_names: Sequence[str]) -> dict[int, int]:
    """What a training crop's mirror does to classes: empty where it never mirrors.

    Raises:
        RecipeError: the crop mirrors, a mirror would swap classes, and the recipe does not say that it may.
    """
    swaps = mirror_swaps(class_names) if crop.flip > 0 else {}
    if swaps and crop.flip_classes == "refuse":
        one, other = next(iter(swaps.items()))
        more = f" (and {counted(len(swaps) - 2, 'class')} more)" if len(swaps) > 2 else ""
        raise RecipeError(
            f"a mirror turns class {class_names[one]!r} into {class_names[other]!r}{more}: train without mirrored clips "
            "(--set augment.flip=0), or swap their labels too (--set augment.flip_classes=swap)."
        )
    return swaps


def mirrored_target(target: Target, swaps: Mapping[int, int]) -> Target:
    """The target of a mirrored clip, from `target` before: a class, or the values of all classes [K]."""
    if isinstance(target, np.ndarray):
        return np.asarray(target[[swaps.get(place, place) for place in range(len(target))]])
    return swaps.get(target, target)


def _words(name: str) -> tuple[str, ...]:
    """The words of a class name in lower case: "TurnLeft" is two of them, "counter-clockwise" one."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    spaced = re.sub(
        r"\b(?:counter|anti)[\s_-]*clockwise|(?<=_)(?:counter|anti)[\s_-]*clockwise", "counterclockwise", spaced
    )
    spaced = re.sub(r"\b(left|right)[\s_-](hand|handed|side)\b", r"\1\2", spaced)
    return tuple(re.findall(r"[^\W_]+", spaced))


def _mirrored(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_SWAPS.get(word, word) for word in words)
