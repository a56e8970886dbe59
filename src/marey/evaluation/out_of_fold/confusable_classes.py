"""Confusable classes: those for which the predictions do not show, with the videos there are, that they differ.

For two classes, the videos of either are predicted as whichever of the two has the higher probability. If predictions do not
depend on the class, the share of videos predicted as the first class is the same among the videos of the first and of the
second. The classes are distinguished if the former share exceeds the latter by more than chance explains: a one-sided
test at `CHANCE`, with Student's t of the difference of both shares. The variance of the difference is that of sums over
recordings (Liang and Zeger, Longitudinal Data Analysis Using Generalized Linear Models, Biometrika 1986, with the
factor G / (G - 1)), since the videos of a recording are alike; where no recording is known, that of sums over videos.
Student's t has one degree of freedom less than there are recordings (or videos).
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from marey.base.words import counted
from marey.evaluation.scores import Scores
from marey.tasks.intervals import FEWEST_GROUPS, group_numbers, student_t

CHANCE = 0.05
"""The level of the test: how often two classes that are predicted at random seem distinguished, 0 to 1."""
_MOST = 100
"""With more classes no pair is tested: there would be too many to read, and some would seem alike by chance."""


@dataclass(frozen=True)
class ConfusableClasses:
    """A set of classes no two of which are distinguished."""

    classes: tuple[str, ...]
    """The names of the classes."""
    right: int
    """Number of videos for which the true class of a pair has the higher probability, summed over all pairs of the set."""
    by_chance: float
    """The expected value of `right` for predictions that name each class as often, but independently of the true class."""
    videos: int
    """Number of videos that have exactly one class of a pair, summed over all pairs of the set."""
    groups: int
    """Number of recordings of these classes, or of videos where recordings are not known."""
    of_recordings: bool
    """Whether `groups` counts recordings."""

    @property
    def sentence(self) -> str:
        """The numbers in words."""
        names = f"{', '.join(self.classes[:-1])} and {self.classes[-1]}"
        of_pairs = " (in pairs of these classes)" if len(self.classes) > 2 else ""
        over = counted(self.groups, "recording" if self.of_recordings else "video")
        return (
            f"{names} are not distinguished with this many videos: {self.right} of {self.videos} right where either is the "
            f"true one{of_pairs}, {self.by_chance:.0f} by chance "
            f"(a test over {over}, one-sided, level {100 * CHANCE:.0f} %)."
        )


def find_confusable_classes(scores: Scores) -> list[ConfusableClasses]:
    """The classes that are not distinguished: pairs, which `_joined_pairs` joins to larger sets where it can. Classes of
    fewer than `FEWEST_GROUPS` recordings (or videos) are left out, since so few show nothing.
    """
    positives = scores.positives
    if positives.shape[1] > _MOST:
        return []
    known = scores.groups is not None and bool((scores.groups != "").any())
    numbers = group_numbers(scores.groups) if known and scores.groups is not None else np.arange(len(positives))
    several = [k for k in range(positives.shape[1]) if len(np.unique(numbers[positives[:, k]])) >= FEWEST_GROUPS]
    pairs = {}
    for one, other in combinations(several, 2):
        test = _PairTest.of(scores.probabilities[:, [one, other]], positives[:, [one, other]], numbers)
        if test is not None and not test.distinguished:
            pairs[one, other] = test
    found = []
    for classes in _joined_pairs(list(pairs)):
        tests = [pairs[pair] for pair in combinations(classes, 2)]
        groups = len(np.unique(numbers[positives[:, list(classes)].any(axis=1)]))
        names = tuple(scores.class_names[k] for k in classes)
        right, videos = sum(test.right for test in tests), sum(test.videos for test in tests)
        found.append(ConfusableClasses(names, right, sum(test.by_chance for test in tests), videos, groups, known))
    return found


@dataclass(frozen=True)
class _PairTest:
    """The test of two classes on the videos that are of exactly one of them."""

    right: int
    """Number of videos for which the true class has the higher probability."""
    by_chance: float
    """The expected value of `right` for predictions that are independent of the true class."""
    videos: int
    """Number of videos that are of exactly one of the two classes."""
    distinguished: bool
    """Whether the predictions distinguish the two classes, at the level `CHANCE`."""

    @classmethod
    def of(
        cls, probabilities: NDArray[np.float32], positives: NDArray[np.bool_], groups: NDArray[np.int64]
    ) -> "_PairTest | None":
        """Test two classes; None where no video is of the first class alone, or none of the second.

        Args:
            probabilities: [N, 2]: of both classes.
            positives: [N, 2]: which videos are of which class.
            groups: [N]: a number for each recording.
        """
        rows = positives[:, 0] != positives[:, 1]
        first, as_first = positives[rows, 0], probabilities[rows, 0] > probabilities[rows, 1]
        if first.all() or not first.any():
            return None
        _, of_group = np.unique(groups[rows], return_inverse=True)
        count = int(of_group.max()) + 1
        shares = as_first[first].mean(), as_first[~first].mean()
        residuals = np.where(first, (as_first - shares[0]) / first.sum(), -(as_first - shares[1]) / (~first).sum())
        variance = float(np.square(np.bincount(of_group, residuals)).sum()) * count / max(count - 1, 1)
        reach = student_t(1 - CHANCE, count - 1) * variance**0.5 if count > 1 else 1.0
        chance = (first.sum() * as_first.sum() + (~first).sum() * (len(first) - as_first.sum())) / len(first)
        distinguished = bool(shares[0] - shares[1] > reach)
        return cls(int((as_first == first).sum()), float(chance), len(first), distinguished)


def _joined_pairs(pairs: list[tuple[int, int]]) -> list[tuple[int, ...]]:
    """Join pairs that share classes to a set, if every two classes of the set are a pair; otherwise keep the pairs.

    The pairs (a, b), (b, c) and (a, c) become the set (a, b, c); (a, b) and (b, c) alone stay two pairs.
    """
    connected: list[set[int]] = []
    for pair in pairs:
        with_it = [classes for classes in connected if classes & set(pair)]
        connected = [classes for classes in connected if classes not in with_it] + [set(pair).union(*with_it)]
    found: list[tuple[int, ...]] = []
    for classes in connected:
        own = [pair for pair in pairs if set(pair) <= classes]
        complete = len(own) == len(classes) * (len(classes) - 1) // 2
        found += [tuple(sorted(classes))] if complete else own
    return found
