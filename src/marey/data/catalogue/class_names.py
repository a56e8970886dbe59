"""Class names of public data sets and of the generated data set `motions`, and the reader of this folder's packed files."""

import gzip
import json
from functools import cache
from importlib.resources import files
from typing import Any

REVERSED_PAIRS = (
    ("left", "right"),
    ("up", "down"),
    ("clockwise", "counter-clockwise"),
    ("nearer", "farther"),
    ("opening", "closing"),
    ("accelerating", "braking"),
)
"""Pairs of classes of `motions`: a video of one class, played backwards, is a video of the other."""

FLIP_PAIRS = (("left", "right"), ("clockwise", "counter-clockwise"))
"""Classes of `motions` that a mirror image swaps: recipes for this data set must not flip."""

CLASS_NAMES = tuple(sorted(name for pair in REVERSED_PAIRS for name in pair))
"""The classes of the generated data set `motions` (`marey.data.motions`)."""


def class_names_of(dataset: str) -> tuple[str, ...] | None:
    """The class names of a data set by its name in recipes ("kinetics400"), in the order of the outputs of published
    weights; None for a data set that is not public.

    Known are motions, and, from the label maps of the toolkits, kinetics400, kinetics600, kinetics700, ucf101, hmdb51,
    sthv2, jester, diving48 and gym99.
    """
    if dataset == "motions":
        return CLASS_NAMES
    names = _all_names().get(dataset)
    return tuple(names) if names else None


@cache
def _all_names() -> dict[str, list[str]]:
    names: dict[str, list[str]] = unpack("class_names")
    return names


def unpack(name: str) -> Any:
    """The content of the file `name`.json.gz in this folder, which holds lists that are too long for code."""
    packed = files("marey.data.catalogue").joinpath(f"{name}.json.gz").read_bytes()
    return json.loads(gzip.decompress(packed))
