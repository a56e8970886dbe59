"""Which classes the answers of a test do not tell apart, at the number of clips that there are.

Of two classes the clips that are one of them are asked which of both has the higher probability. Where answers do not depend
on the class, the share of answers "the first" is the same among the clips of the first and those of the second. The two
classes are told apart if the former is above the latter by more than chance makes it: a one-sided test at `CHANCE`, with
Student's t of the difference of both shares, whose variance is that of sums over recordings (Liang and Zeger, Longitudinal
Data Analysis Using Generalized Linear Models, Biometrika 1986, with the factor G / (G - 1)), since the clips of a recording
are alike; where recordings are not known, over clips. One degree of freedom less than there are of these.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from marey.base.words import counted
from marey.evaluation.scores import Scores
from marey.tasks.intervals import FEWEST_GROUPS, group_numbers, student_t

CHANCE = 0.05
"""How often two classes that are answered by chance would pass the test."""
_MOST = 100
"""Of more classes pairs are not looked at: there are too many to read, and some seem alike by chance."""


@dataclass(frozen=True)
class Alike:
    """Classes of which no two are told apart."""

    classes: tuple[str, ...]
    right: int
    """Clips for which, of two such classes, the true one has the higher probability; summed over the pairs."""
    by_chance: float
    """As many of them would be right if the same answers did not depend on the class."""
    clips: int
    """Pairs of a clip and two classes, one of which is the clip's."""
    units: int
    """Recordings (or clips, where these are not known) of the classes."""
    of_recordings: bool

    @property
    def sentence(self) -> str:
        """The numbers in words."""
        names = f"{', '.join(self.classes[:-1])} and {self.classes[-1]}"
        of_pairs = " (in pairs of these classes)" if len(self.classes) > 2 else ""
        over = counted(self.units, "recording" if self.of_recordings else "clip")
        return (
            f"{names} are not told apart at this size: {self.right} of {self.clips} right where either is the true one"
            f"{of_pairs}, {self.by_chance:.0f} by chance (a test over {over}, one-sided, level {100 * CHANCE:.0f} %)."
        )


def not_told_apart(scores: Scores) -> list[Alike]:
    """Classes that the answers do not tell apart; those of which no two are told apart are one entry, all others are in
    pairs. Classes of fewer than `FEWEST_GROUPS` recordings (or clips) are left out: so few show nothing.
    """
    positives = scores.positives
    if positives.shape[1] > _MOST:
        return []
    known = scores.groups is not None and bool((scores.groups != "").any())
    numbers = group_numbers(scores.groups) if known and scores.groups is not None else np.arange(len(positives))
    several = [k for k in range(positives.shape[1]) if len(np.unique(numbers[positives[:, k]])) >= FEWEST_GROUPS]
    pairs = {}
    for one, other in combinations(several, 2):
        pair = _Pair.of(scores.probabilities[:, [one, other]], positives[:, [one, other]], numbers)
        if pair is not None and not pair.apart:
            pairs[one, other] = pair
    found = []
    for group in _groups(list(pairs)):
        own = [pairs[pair] for pair in combinations(group, 2)]
        units = len(np.unique(numbers[positives[:, list(group)].any(axis=1)]))
        names = tuple(scores.class_names[k] for k in group)
        right, clips = sum(pair.right for pair in own), sum(pair.clips for pair in own)
        found.append(Alike(names, right, sum(pair.by_chance for pair in own), clips, units, known))
    return found


@dataclass(frozen=True)
class _Pair:
    """How the clips that are of one of two classes are answered."""

    right: int
    by_chance: float
    clips: int
    apart: bool

    @classmethod
    def of(cls, answers: NDArray[np.float32], positives: NDArray[np.bool_], units: NDArray[np.int64]) -> "_Pair | None":
        """Of the probabilities [N, 2] of two classes, and which clip has them [N, 2]; None where no clip has one alone."""
        rows = positives[:, 0] != positives[:, 1]
        first, said = positives[rows, 0], answers[rows, 0] > answers[rows, 1]
        if first.all() or not first.any():
            return None
        _, unit = np.unique(units[rows], return_inverse=True)
        count = int(unit.max()) + 1
        shares = said[first].mean(), said[~first].mean()
        parts = np.where(first, (said - shares[0]) / first.sum(), -(said - shares[1]) / (~first).sum())
        variance = float(np.square(np.bincount(unit, parts)).sum()) * count / max(count - 1, 1)
        reach = student_t(1 - CHANCE, count - 1) * variance**0.5 if count > 1 else 1.0
        saying = said.sum()
        chance = (first.sum() * saying + (~first).sum() * (len(first) - saying)) / len(first)
        return cls(int((said == first).sum()), float(chance), len(first), bool(shares[0] - shares[1] > reach))


def _groups(pairs: list[tuple[int, int]]) -> list[tuple[int, ...]]:
    """The sets of classes of which each two are a pair, where no further class is a pair with one of them; else pairs."""
    joined: list[set[int]] = []
    for pair in pairs:
        with_it = [group for group in joined if group & set(pair)]
        joined = [group for group in joined if group not in with_it] + [set(pair).union(*with_it)]
    found: list[tuple[int, ...]] = []
    for group in joined:
        own = [pair for pair in pairs if set(pair) <= group]
        complete = len(own) == len(group) * (len(group) - 1) // 2
        found += [tuple(sorted(group))] if complete else own
    return found
