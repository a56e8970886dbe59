"""Which classes mirroring swaps, read from their names: "left to right" becomes "right to left"."""

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
    """For each class that mirroring turns into another one, the index of the class of a mirrored clip.

    Two classes are swapped where exchanging the directions in the name of one gives the name of the other. Directions
    are left and right (also leftward, left-handed, ...), and clockwise and counter-clockwise or anticlockwise. Case,
    hyphens, underscores and camel case do not matter.
    """
    words = [_words_of_name(name) for name in class_names]
    indices = {name: index for index, name in enumerate(words)}
    # A name that mirroring leaves unchanged is skipped: a class whose name differs from it in punctuation alone is no swap.
    swapped = ((index, indices.get(_mirrored(name))) for index, name in enumerate(words) if _mirrored(name) != name)
    return {index: other for index, other in swapped if other is not None}


def one_sided(class_names: Sequence[str]) -> tuple[str, ...]:
    """Classes whose names have a direction, while no class has the opposite one: their mirrored clips may be of no class."""
    swaps = mirror_swaps(class_names)
    directed = (index for index, name in enumerate(class_names) if any(word in _SWAPS for word in _words_of_name(name)))
    return tuple(class_names[index] for index in directed if index not in swaps)


def safe_flip(class_names: Sequence[str]) -> tuple[float, Literal["refuse", "swap"]]:
    """Settings `flip` and `flip_classes` of a training crop with which no mirrored clip gets a wrong label.

    If a class has a direction and no opposite class, no clip is mirrored; else half of the clips are, and labels are swapped
    where needed.
    """
    if one_sided(class_names):
        return 0.0, "refuse"
    return 0.5, "swap" if mirror_swaps(class_names) else "refuse"


def swaps_of(crop: TrainCrop, class_names: Sequence[str]) -> dict[int, int]:
    """The classes that a training crop swaps by mirroring; empty where it never mirrors.

    Raises:
        RecipeError: the crop mirrors, mirroring swaps classes, and the recipe does not allow that.
    """
    swaps = mirror_swaps(class_names) if crop.flip > 0 else {}
    if swaps and crop.flip_classes == "refuse":
        one, other = next(iter(swaps.items()))
        more = f" (and {counted(len(swaps) - 2, 'class')} more)" if len(swaps) > 2 else ""
        raise RecipeError(
            f"mirroring turns class {class_names[one]!r} into {class_names[other]!r}{more}: train without mirrored clips "
            "(--set augment.flip=0), or swap their labels too (--set augment.flip_classes=swap)."
        )
    return swaps


def mirrored_target(target: Target, swaps: Mapping[int, int]) -> Target:
    """The target of a mirrored clip, from the target of the clip: the index of a class, or the values of all classes [K]."""
    if isinstance(target, np.ndarray):
        return np.asarray(target[[swaps.get(index, index) for index in range(len(target))]])
    return swaps.get(target, target)


def _words_of_name(name: str) -> tuple[str, ...]:
    """The words of a class name in lower case: "TurnLeft" has two, "counter-clockwise" one."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    spaced = re.sub(
        r"\b(?:counter|anti)[\s_-]*clockwise|(?<=_)(?:counter|anti)[\s_-]*clockwise", "counterclockwise", spaced
    )
    spaced = re.sub(r"\b(left|right)[\s_-](hand|handed|side)\b", r"\1\2", spaced)
    return tuple(re.findall(r"[^\W_]+", spaced))


def _mirrored(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_SWAPS.get(word, word) for word in words)
