"""What the report's page shows of out-of-fold answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from markupsafe import Markup

from marey.base.errors import DataError
from marey.base.page import Dot, Line, dot_chart, line_chart
from marey.base.words import capitalised, counted, lasting, percent
from marey.evaluation.out_of_fold.needs import ClassNeed, classes_in_need, what_is_needed
from marey.evaluation.out_of_fold.reliability import calibration_bins
from marey.evaluation.out_of_fold.result import FINAL, HeadNumber, OutOfFold
from marey.evaluation.result import SCORES, EvaluationResult, NumberRow

SIDES = ("val", "test")
"""The folders of the results on the other sides of the list, inside that of the run."""
_BELOW = "predict names no class below it"
_NEEDS = 20
"""Classes that need more clips which the page names."""


@dataclass(frozen=True)
class Side:
    """The result on a side of the list of which no clip was used for the classifier."""

    name: str
    verdict: str
    interval: str
    link: str
    """To its own page; "" where there is none."""


@dataclass(frozen=True)
class OutOfFoldPage:
    """The parts of the page that other results have not."""

    caution: str
    verdict: str
    interval: str
    final: str
    numbers: Sequence[NumberRow]
    corrections: str
    notes: Sequence[str]
    needs: Sequence[ClassNeed]
    """The worst answered first."""
    needed: str
    """What is to be added to them, as `what_is_needed` says it."""
    needs_left: int
    """Classes that need more clips and are not named."""
    curve: Markup | None
    curve_sentence: str
    reliability: Markup
    calibration_sentence: str
    head: str
    heads: Sequence[HeadNumber]
    heads_title: str
    """Of their numbers."""
    yardstick: str
    """The name of the head that is there to compare with alone; "" without one."""
    cost: Sequence[tuple[str, str]]
    tuning: str
    sides: Sequence[Side]

    @classmethod
    def of(cls, found: OutOfFold, folder: Path) -> "OutOfFoldPage":
        """Of the run in a folder, where the results on its other sides are, too."""
        needs = classes_in_need(found.result.scores)
        return cls(
            caution=found.said.caution,
            verdict=found.said.sentence,
            interval=found.said.interval_sentence,
            final=FINAL,
            numbers=tuple(_numbers(found)),
            corrections=found.corrections_sentence,
            notes=found.notes,
            needs=needs[:_NEEDS],
            needed=what_is_needed(found.result.scores),
            needs_left=max(0, len(needs) - _NEEDS),
            curve=_curve(found),
            curve_sentence=found.curve_sentence,
            reliability=_reliability(found),
            calibration_sentence=found.calibration_sentence,
            head=found.head,
            heads=sorted(found.heads, key=lambda head: -head.share),
            heads_title=found.result.standing.metric.title,
            yardstick=next((head.name for head in found.heads if head.yardstick), ""),
            cost=_cost(found),
            tuning=found.tuning_sentence,
            sides=tuple(_sides(folder)),
        )


def _numbers(found: OutOfFold) -> Iterator[NumberRow]:
    """The numbers beside the verdict, the most important first."""
    result, standing = found.result, found.result.standing
    title = standing.metric.title
    own = "share of clips that are named rightly" if standing.metric.name == "top1" else standing.metric.note
    if found.left_out:
        own += f", {len(result.scores.class_names):,} of them; of {len(found.left_out):,} nothing can be said"
    yield NumberRow(f"{title} out of fold", percent(standing.metric.value), own)
    for metric in result.task_metrics()[1:]:
        if metric.shown == "summary":
            yield NumberRow(metric.title, percent(metric.value), metric.note)
    if (baseline := standing.baseline) is not None:
        yield NumberRow("guessing", percent(baseline.value), f"{title} of {baseline.text}")
    if (single := found.said.single_frames_share) is not None:
        note = found.said.motion or f"{title} of a head that sees each frame by itself"
        yield NumberRow("single frames", percent(single), note)
    before, after = found.calibration_errors
    note = "how far probabilities lie from shares of right answers"
    if found.tempered:
        note += f"; {percent(before)} before the temperature"
    yield NumberRow("calibration error", percent(after), note)
    if found.calibration is not None and found.calibration.final.threshold is not None:
        yield NumberRow("threshold for none of these", percent(found.calibration.final.threshold), _stopped(found))
    if (f1 := found.f1_at_thresholds) is not None:
        yield NumberRow("F1 at the thresholds", percent(f1), "mean of the classes, each with a threshold of its own")
    left_out = f"{counted(len(result.broken), 'broken file')} left out" if result.broken else "none was broken"
    yield NumberRow("clips", f"{result.num_videos:,}", left_out)


def _stopped(found: OutOfFold) -> str:
    """What the threshold stops, for the place below its number."""
    stopped = found.stopped
    if stopped is None:
        return f"{_BELOW}; too few clips show what it stops"
    if stopped.weak:
        return f"{_BELOW}; it stops hardly anything, see below"
    wrong = "" if stopped.wrong is None else f" and {percent(stopped.wrong, 0)} of wrong ones"
    return f"{_BELOW}; it stops {percent(stopped.right, 0)} of right answers{wrong}"


def _curve(found: OutOfFold) -> Markup | None:
    points = found.curve
    if not points:
        return None
    line = Line(
        found.result.standing.metric.title,
        [point.clips for point in points],
        [point.share for point in points],
        [point.low for point in points],
        [point.high for point in points],
    )
    return line_chart("learning curve", [line], percent=True)


def _reliability(found: OutOfFold) -> Markup:
    """Shares of right answers by probability, before and after the temperature."""
    series = {"answers": found.cross_calibrated}
    if found.tempered:
        series = {"calibrated": found.cross_calibrated, "before": found.uncalibrated}
    dots = {
        name: [Dot(one.confidence, one.right, one.count) for one in calibration_bins(*found.confidences(part))]
        for name, part in series.items()
    }
    return dot_chart("share of right answers by probability", "probability of the answer", dots)


def _cost(found: OutOfFold) -> list[tuple[str, str]]:
    cost = found.cost
    return [
        ("clips through the network now", f"{cost.computed:,}"),
        ("clips whose features were kept", f"{cost.kept:,}"),
        ("core-seconds (time of each core that worked)", f"{cost.core_seconds:,.0f}"),
        ("of them to compare pictures", f"{cost.pictures:,.0f}"),
        ("time on the clock", lasting(cost.seconds)),
    ]


def _sides(folder: Path) -> Iterator[Side]:
    """The results in folders inside."""
    for name in SIDES:
        if not (folder / name / SCORES).exists():
            continue
        try:
            result = EvaluationResult.load(folder / name)
        except DataError as error:
            yield Side(name, f"Its scores cannot be read: {error}", "", "")
            continue
        link = f"{name}/report.html" if (folder / name / "report.html").exists() else ""
        standing = replace(result.standing_of_new, group="recording")
        interval = standing.interval_text
        yield Side(name, standing.verdict, f"{capitalised(interval)}.", link)
