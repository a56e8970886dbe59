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
