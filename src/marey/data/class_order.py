"""Labels matched by name where two orders of the same classes meet."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError
from marey.base.nearest import did_you_mean
from marey.data.manifest import Manifest


def are_numbers(names: Sequence[str]) -> bool:
    """Whether a list has numbers in place of class names: places in a list of classes, from 0."""
    return all(name.isdecimal() for name in names)


def permutation(theirs: Sequence[str], ours: Sequence[str]) -> NDArray[np.int64] | None:
    """For each of our classes, which of theirs it is, [K]; None where they are not the same classes, each once."""
    places = {name: place for place, name in enumerate(theirs)}
    if len(places) != len(theirs) or len(theirs) != len(ours) or places.keys() != set(ours):
        return None
    return np.array([places[name] for name in ours], np.int64)


def in_class_order(manifest: Manifest, names: Sequence[str], *, of: str) -> Manifest:
    """The same videos, their labels as places in `names`: matched by name, whatever order the list has its classes in.

    Numbers in place of names stay as they are. `of` is whose classes `names` are, for the message.

    Raises:
        DataError: a label that is none of `names`; says which of them is spelt alike.
    """
    names = tuple(names)
    if manifest.class_names == names:
        return manifest
    if are_numbers(manifest.class_names) and len(manifest.class_names) <= len(names):
        return replace(manifest, class_names=names)
    places = {name: place for place, name in enumerate(names)}
    sets = manifest.labels[:, None] if manifest.label_sets is None else manifest.label_sets
    used = [manifest.class_names[label] for label in np.unique(sets[sets >= 0]).tolist()]
    unknown = [name for name in used if name not in places]
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise DataError(
            f"{manifest.source or 'the list'}: the class {unknown[0]!r}{more} is none of the {len(names)} classes of {of}."
            f"{did_you_mean(unknown[0], names)} Classes are matched by name, letter by letter: write the labels as {of} has "
            "them, or as numbers, the places there from 0."
        )
    moved = np.array([places.get(name, -1) for name in manifest.class_names], np.int64)
    label_sets = None if manifest.label_sets is None else np.where(sets >= 0, moved[sets], -1)
    return replace(manifest, labels=moved[manifest.labels], class_names=names, label_sets=label_sets)
