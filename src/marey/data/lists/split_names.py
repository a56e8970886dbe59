"""The words that lists and folders use for splits, and the common name of each: train, val and test."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TRAIN, VAL, TEST = "train", "val", "test"

_WORDS = {
    TRAIN: ("train", "training", "trn", "trainset"),
    VAL: ("val", "valid", "validate", "validation", "dev", "development", "valset"),
    TEST: ("test", "testing", "tst", "testset"),
}
"""The words for each split, in small letters; capitals do not matter. Kinetics' lists have "validate", those of ActivityNet
and HACS "training" and "validation"."""

_NAMES = {word: name for name, words in _WORDS.items() for word in words}


def split_name(word: str) -> str:
    """The common name, "train", "val" or "test", of the split that a word means; any other word as it is."""
    return _NAMES.get(word.strip().lower(), word.strip())


def is_split_name(word: str) -> bool:
    """Whether a word means training, validation or test."""
    return word.strip().lower() in _NAMES


def split_column(words: Sequence[str]) -> NDArray[np.str_]:
    """A column of splits with their common names."""
    known = {word: split_name(word) for word in set(words)}
    return np.array([known[word] for word in words])


def classes_by_split(
    names: Sequence[str], labels: NDArray[np.int64], splits: NDArray[np.str_] | None, shown: int = 5
) -> str:
    """The classes that some split lacks, with their numbers of videos in the others: "jump (val: 3), run (train: 4)"."""
    known = [] if splits is None else sorted(set(splits.tolist()))
    counts = {split: np.bincount(labels[splits == split], minlength=len(names)).tolist() for split in known}
    classes = []
    for label, name in enumerate(names):
        videos = [f"{split}: {counts[split][label]:,}" for split in known if counts[split][label]]
        if 0 < len(videos) < len(known):
            classes.append(f"{name} ({', '.join(videos)})")
    return ", ".join(classes[:shown]) + (f", and {len(classes) - shown:,} more" if len(classes) > shown else "")
