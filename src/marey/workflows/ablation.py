"""`marey reproduce --ablation`: one of two findings of MMAction's announcement, as two trainings on the same videos."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from marey.backends.precision import check_machine
from marey.base.errors import RecipeError
from marey.base.reporter import notice
from marey.base.words import counted
from marey.evaluation.result import EvaluationResult
from marey.workflows.reproduce import ReproduceOptions, reproduce

Ablation = Literal["imagenet", "segments"]


@dataclass(frozen=True)
class _AblationPair:
    """A claim of the announcement, and the two trainings of which it states the difference in top-1."""

    claim: str
    """The claim as a sentence without a full stop, in percentage points of top-1."""
    with_it: tuple[str, str | None]
    """The training with what the claim names: the recipe, and the value of --init (None: what the recipe says)."""
    without: tuple[str, str | None]
    """The training without it, in the same form."""


_PAIRS: dict[Ablation, _AblationPair] = {
    "imagenet": _AblationPair(
        "ImageNet pretraining brings about 2 points",
        ("tsn_r50_3seg_k400", "imagenet"),
        ("tsn_r50_3seg_k400", "none"),
    ),
    "segments": _AblationPair(
        "8 segments bring 1.0 points over 3 (71.6 and 70.6)",
        ("tsn_r50_8seg_k400", None),
        ("tsn_r50_3seg_k400", None),
    ),
}


def ablate(which: Ablation, data: Path, *, out: Path, options: ReproduceOptions) -> str:
    """Train and test both networks of a pair, and return the difference of their top-1 in words.

    Raises:
        RecipeError: splits were named, which Kinetics-400 does not have.
        MareyError: as `reproduce`.
    """
    check_machine(options.test, training=True)
    pair = _PAIRS[which]
    if options.splits != (1,):
        raise RecipeError("--ablation: Kinetics-400 has one split; leave out --splits.")
    results = []
    for arm, (name, init) in {"with": pair.with_it, "without": pair.without}.items():
        notice(f"{arm}: {name}{f', --init {init}' if init else ''}")
        arm_options = replace(options, train=True, init=(init or options.init[0], None))
        results.append(reproduce(name, data, out=out / arm, options=arm_options).results[0])
    difference, half = top1_difference(*results)
    return (
        f"{pair.claim}.\nHere: {100 * results[0].top1:.1f} with, {100 * results[1].top1:.1f} without, a difference of "
        f"{100 * difference:+.1f} points (95 % interval {100 * (difference - half):+.1f} to "
        f"{100 * (difference + half):+.1f}, {counted(results[0].num_videos, 'video')}, one seed each)."
    )


def top1_difference(one: EvaluationResult, other: EvaluationResult) -> tuple[float, float]:
    """The difference of two top-1 on the videos that both tested, and half the width of its 95 % interval, 0 to 1.

    The variance is that of the paired differences: videos on which both are right, or both wrong, add nothing to it.
    """
    if one.scores.ids != other.scores.ids:
        common = set(one.scores.keys) & set(other.scores.keys)
        one, other = (EvaluationResult(result.scores.keep(common)) for result in (one, other))
    right = [result.scores.probabilities.argmax(axis=1) == result.scores.labels for result in (one, other)]
    differences = right[0].astype(float) - right[1].astype(float)
    return float(differences.mean()), float(1.96 * differences.std() / np.sqrt(len(differences)))
