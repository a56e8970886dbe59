"""What the report's page shows of out-of-fold answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from marey.base.errors import DataError
from marey.base.page import Dot, Line, dot_chart, line_chart
from marey.base.words import counted, lasting, percent
from marey.evaluation.needs import ClassNeed, classes_in_need
from marey.evaluation.out_of_fold import FINAL, HeadNumber, OutOfFold
from marey.evaluation.reliability import calibration_bins
from marey.evaluation.result import SCORES, EvaluationResult, NumberRow

SIDES = ("val", "test")
"""The folders of the results on the other sides of the list, inside that of the run."""
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
    notes: Sequence[str]
    needs: Sequence[ClassNeed]
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
            notes=found.notes,
            needs=needs[:_NEEDS],
            needs_left=max(0, len(needs) - _NEEDS),
            curve=_curve(found),
            curve_sentence=found.curve_sentence,
            reliability=_reliability(found),
            calibration_sentence=found.calibration_sentence,
            head=found.head,
            heads=sorted(found.heads, key=lambda head: -head.share),
            heads_title=found.result.standing.metric.title,
            cost=_cost(found),
            tuning=found.tuning_sentence,
            sides=tuple(_sides(folder)),
        )


def _numbers(found: OutOfFold) -> Iterator[NumberRow]:
    """The numbers beside the verdict, the most important first."""
    result, standing = found.result, found.result.standing
    title = standing.metric.title
    yield NumberRow(
        f"{title} out of fold", percent(standing.metric.value), standing.short_interval or standing.interval_text
    )
    for metric in result.task_metrics()[1:]:
        if metric.shown == "summary":
            yield NumberRow(metric.title, percent(metric.value), metric.note)
    if (baseline := standing.baseline) is not None:
        yield NumberRow("guessing", percent(baseline.value), f"{title} of {baseline.text}")
    if (single := found.said.single_frames_share) is not None:
        yield NumberRow("single frames", percent(single), found.said.motion)
    before, after = found.calibration_errors
    note = "of probabilities, on average"
    if found.calibration is not None:
        note = f"{percent(before)} before the temperature of {found.calibration.temperature:.2f}"
    yield NumberRow("calibration error", percent(after), note)
    if found.calibration is not None and found.calibration.threshold is not None:
        rate, _ = found.below_threshold
        none = f"{percent(rate)} of these clips are below it"
        if (lost := found.calibration.turned_away) is not None:
            none += f", and at most {percent(lost, 0)} of right answers"
        yield NumberRow("threshold for none of these", percent(found.calibration.threshold), none)
    if (f1 := found.f1_at_thresholds) is not None:
        yield NumberRow("F1 at the thresholds", percent(f1), "mean of the classes, each with a threshold of its own")
    left_out = f"{counted(len(result.broken), 'broken file')} left out" if result.broken else "none was broken"
    yield NumberRow("clips", f"{result.num_videos:,}", left_out)


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
    answers = found.result.scores.probabilities
    series = {"answers": answers}
    if found.calibration is not None:
        series = {"calibrated": answers, "before": found.uncalibrated}
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
        yield Side(name, result.verdict, result.interval_sentence(), link)
