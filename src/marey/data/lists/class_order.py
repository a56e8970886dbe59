"""Labels matched by name where two orders of the same classes meet."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from marey.data.lists.manifest import Manifest, are_places


def permutation(theirs: Sequence[str], ours: Sequence[str]) -> NDArray[np.int64] | None:
    """For each of our classes, which of theirs it is, [K]; None where they are not the same classes, each once."""
    places = {name: place for place, name in enumerate(theirs)}
    if len(places) != len(theirs) or len(theirs) != len(ours) or places.keys() != set(ours):
        return None
    return np.array([places[name] for name in ours], np.int64)


def in_class_order(manifest: Manifest, names: Sequence[str], *, of: str) -> Manifest:
    """The same videos, their labels as indices of `names`: matched by name, whatever order the list has its classes in.

    Places in a list of classes that is not given (`are_places`) are places in `names`, unless these are such numbers.
    Folders that are called 1, 2 and 10 are names.
    `of` is whose classes `names` are, for the message.

    Raises:
        DataError: a label that is none of `names`; says which of them is spelt alike.
    """
    names = tuple(names)
    if manifest.class_names == names:
        return manifest
    if are_places(manifest.class_names) and not are_places(names) and len(manifest.class_names) <= len(names):
        return replace(manifest, class_names=names)
    return manifest.with_classes(names, of=of)
