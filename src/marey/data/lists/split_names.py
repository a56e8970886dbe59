"""The words by which lists and folders name the parts of a data set: one name for training, validation and test each."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TRAIN, VAL, TEST = "train", "val", "test"

_WORDS = {
    TRAIN: ("train", "training", "trn", "trainset"),
    VAL: ("val", "valid", "validate", "validation", "dev", "development", "valset"),
    TEST: ("test", "testing", "tst", "testset"),
}
"""Without regard to capitals. Kinetics' lists have "validate", those of ActivityNet and HACS "training" and "validation"."""

_NAMES = {word: name for name, words in _WORDS.items() for word in words}


def split_name(word: str) -> str:
    """The common name of a split, "train", "val" or "test", whatever word a list has for it; another word as it is."""
    return _NAMES.get(word.strip().lower(), word.strip())


def is_split_name(word: str) -> bool:
    """Whether a word means training, validation or test."""
    return word.strip().lower() in _NAMES


def split_column(words: Sequence[str]) -> NDArray[np.str_]:
    """A list's column of splits by their common names."""
    known = {word: split_name(word) for word in set(words)}
    return np.array([known[word] for word in words])


def classes_by_split(
    names: Sequence[str], labels: NDArray[np.int64], splits: NDArray[np.str_] | None, shown: int = 5
) -> str:
    """The classes that not every split has, with their videos in those that do: "jump (val: 3), run (train: 4)"."""
    parts = [] if splits is None else sorted(set(splits.tolist()))
    counts = {part: np.bincount(labels[splits == part], minlength=len(names)).tolist() for part in parts}
    found = []
    for label, name in enumerate(names):
        there = [f"{part}: {counts[part][label]:,}" for part in parts if counts[part][label]]
        if 0 < len(there) < len(parts):
            found.append(f"{name} ({', '.join(there)})")
    return ", ".join(found[:shown]) + (f", and {len(found) - shown:,} more" if len(found) > shown else "")
