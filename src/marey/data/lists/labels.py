"""The labels of a list as class indices, made from their text; and how two orders of the same classes correspond."""

import re
from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError
from marey.base.names import did_you_mean
from marey.base.reporter import notice
from marey.base.words import counted
from marey.data.lists.text_files import not_utf8
from marey.data.lists.videos import first_of


def class_permutation(theirs: Sequence[str], ours: Sequence[str]) -> NDArray[np.int64] | None:
    """For each class of `ours` its index in `theirs`, [K]; None if these are not the same classes, each once."""
    index = {name: i for i, name in enumerate(theirs)}
    if len(index) != len(theirs) or len(theirs) != len(ours) or index.keys() != set(ours):
        return None
    return np.array([index[name] for name in ours], np.int64)


def label_indices(
    texts: Sequence[str], classes: Sequence[str] | None, source: str, where: Callable[[int], str]
) -> tuple[list[str], NDArray[np.int64]]:
    """The class names, and for each row the indices of its labels [N, most labels of a row], filled up with -1.

    Args:
        texts: The label of each row; several labels are separated by "|".
        classes: The class names in order. None: the labels that occur; if all are numbers, those from 0 to the largest.
        source: The list, for messages.
        where: Gives the location of a row, for messages.

    Raises:
        DataError: a label is neither a class name nor an index, or a class name is not UTF-8.
    """
    known = set(classes or ())
    words = {
        text: [text] if text in known else [word.strip() for word in text.split("|")] for text in dict.fromkeys(texts)
    }
    if (
        classes is None
        and (odd := _odd_number(dict.fromkeys(word for row in words.values() for word in row))) is not None
    ):
        row = next(row for row, text in enumerate(texts) if odd in words[text])
        raise DataError(f"{where(row)}: the label {odd} is no class index: {_INDEX_HINT}.")
    names = (
        list(classes)
        if classes is not None
        else _in_alphabetic_order({w for row in words.values() for w in row}, source)
    )
    for name in names:
        if not_utf8(name):
            raise DataError(
                f"{source}: the class name {name!r} is not UTF-8 text: write the list, or name the folder, in UTF-8."
            )
    index = {name: i for i, name in enumerate(names)}
    not_its_index = next((name for name, i in index.items() if name.isdecimal() and int(name) != i), None)
    twice = {name for i, name in enumerate(names) if index[name] != i}
    for text, several in words.items():
        for word in several:
            if not word:
                raise DataError(
                    f"{where(texts.index(text))}: the label '' is none of the classes: a row needs a label."
                )
            if word in twice:
                raise DataError(
                    f"{where(texts.index(text))}: the label {word!r} is the name of two classes: label by number."
                )
            if word not in index and word.isdecimal() and int(word) < len(names):
                if not_its_index is not None:
                    raise DataError(
                        f"{where(texts.index(text))}: the label {word!r} is none of the {counted(len(names), 'class')} "
                        f"({first_of(names, 4)}), and no index, since {not_its_index!r} is a name: give names throughout."
                    )
                index[word] = int(word)
            if word not in index:
                raise DataError(
                    f"{where(texts.index(text))}: the label {word!r} is none of the {counted(len(names), 'class')} "
                    f"({first_of(names, 4)}).{did_you_mean(word, names)}"
                )
    most = max(map(len, words.values()))
    indices = {text: [index[w] for w in row] + [-1] * (most - len(row)) for text, row in words.items()}
    return names, np.array([indices[text] for text in texts], np.int64)


_MOST_CLASSES = 100_000
_INDEX_HINT = (
    f"indices are whole numbers from 0 below {_MOST_CLASSES:,} (leave rows without a label out; write 3.0 as 3); if it is a "
    "name, spell it out"
)


def _odd_number(labels: Collection[str]) -> str | None:
    """Of labels that are all numbers, the first that is no class index: negative, with a decimal point, or too large."""
    odd = [label for label in labels if not label.isdecimal()]
    if all(re.fullmatch(r"-\d+|\d+\.0*", label) for label in odd):
        return next((label for label in labels if label in odd or int(label) >= _MOST_CLASSES), None)
    return None


def _in_alphabetic_order(labels: set[str], source: str) -> list[str]:
    """The distinct labels in alphabetic order.

    If all labels are numbers, they are indices of classes whose names are not known. The names are then all numbers from 0
    to the largest label, also those that no row has, so that class 7 is the same class in a list that skips 6.
    """
    if not all(label.isdecimal() for label in labels):
        return sorted(labels)
    indices = set(map(int, labels))
    largest = max(indices)
    empty = [index for index in range(largest) if index not in indices]
    if empty:
        some = "class" if len(empty) == 1 else "classes"
        have = "has" if len(empty) == 1 else "have"
        notice(f"{source}: labels are numbers up to {largest}; {some} {_ranges(empty)} {have} no video.")
    return [str(index) for index in range(largest + 1)]


def are_indices(names: Sequence[str]) -> bool:
    """Whether the class names are 0, 1, 2, ...: indices of classes whose names are not known."""
    return all(name == str(index) for index, name in enumerate(names))


def _ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers as ranges, "0, 3-9"; only the first 12 ranges of many."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    words = [str(first) if first == last else f"{first}-{last}" for first, last in ranges]
    return ", ".join(words[:12]) + (f", ... ({len(numbers)} in all)" if len(words) > 12 else "")
