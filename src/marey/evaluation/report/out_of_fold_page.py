"""The part of the report about out-of-fold predictions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from markupsafe import Markup

from marey.base.errors import DataError
from marey.base.page import Dot, Line, dot_chart, line_chart
from marey.base.words import capitalised, counted, lasting, percent
from marey.evaluation.out_of_fold.classes_in_need import ClassNeed, classes_in_need, needed_videos
from marey.evaluation.out_of_fold.reliability import calibration_bins
from marey.evaluation.out_of_fold.result import FINAL, HeadScore, OutOfFold
from marey.evaluation.result import SCORES, EvaluationResult, NumberRow

SIDES = ("val", "test")
"""Names of the other splits of the list, and of the folders inside the run folder that hold the results on them."""
_BELOW = "predict names no class below it"
_NEEDS = 20
"""Classes that need more videos, which the page names at most."""


@dataclass(frozen=True)
class SplitResult:
    """The result on a split that was not used to fit the classifier."""

    name: str
    """The name of the split, "val" or "test"."""
    verdict: str
    """The primary metric as a sentence, or why the scores cannot be read."""
    interval: str
    """The 90 % interval as a sentence, or why there is none; "" if the scores cannot be read."""
    link: str
    """Link to its report; "" if there is none."""


@dataclass(frozen=True)
class OutOfFoldPage:
    """What the page shows of out-of-fold predictions, in addition to what it shows of every test. A text is "" where
    there is nothing to say.
    """

    caution: str
    """A warning that the accuracy may be too good; "" where most recordings are known."""
    verdict: str
    """A sentence on what to expect on new videos, compared with guessing and single frames."""
    interval: str
    """A sentence on which videos the 90 % interval is for, or why there is none."""
    final: str
    """Sentences on which videos the classifier was fitted on, and which heads the numbers come from."""
    numbers: Sequence[NumberRow]
    """The table of metrics, the most important first."""
    corrections: str
    """A sentence on the effect of the corrections of labels; "" where nothing was corrected."""
    notes: Sequence[str]
    """Sentences on what was assumed, and on what is doubtful."""
    needs: Sequence[ClassNeed]
    """The classes that need more videos, the lowest share of right predictions first."""
    needed: str
    """What should be added to these classes (`needed_videos`)."""
    needs_left: int
    """How many further classes need more videos."""
    curve: Markup | None
    """The learning curve as an SVG chart; None: it was not measured."""
    curve_sentence: str
    """A sentence on whether more videos would help; "" where the curve does not show it."""
    reliability: Markup
    """An SVG chart of the shares of right predictions by probability."""
    calibration_sentence: str
    """Sentences on the temperature and the threshold, and their effect; "" without a calibration."""
    head: str
    """The chosen head in words."""
    heads: Sequence[HeadScore]
    """All heads that were compared, the highest metric first."""
    heads_title: str
    """The name of the metric by which heads are compared."""
    yardstick: str
    """The name of the head that is only there for comparison and never chosen; "" if there is none."""
    cost: Sequence[tuple[str, str]]
    """Rows (name, value) of the table of costs, in videos, core-seconds and time."""
    tuning: str
    """Sentences on how fine-tuning compared, or why it was not tried; "" for none."""
    sides: Sequence[SplitResult]
    """The results on the other splits that the run was tested on."""

    @classmethod
    def of(cls, found: OutOfFold, folder: Path) -> "OutOfFoldPage":
        """What the page shows of the run in a folder; the results on the other splits are read from there."""
        needs = classes_in_need(found.result.scores)
        return cls(
            caution=found.verdict_details.caution,
            verdict=found.verdict_details.sentence,
            interval=found.verdict_details.interval_sentence,
            final=FINAL,
            numbers=tuple(_numbers(found)),
            corrections=found.corrections_sentence,
            notes=found.notes,
            needs=needs[:_NEEDS],
            needed=needed_videos(found.result.scores),
            needs_left=max(0, len(needs) - _NEEDS),
            curve=_curve(found),
            curve_sentence=found.curve_sentence,
            reliability=_reliability(found),
            calibration_sentence=found.calibration_sentence,
            head=found.head,
            heads=sorted(found.heads, key=lambda head: -head.share),
            heads_title=found.result.standing.metric.title,
            yardstick=next((head.name for head in found.heads if head.yardstick), ""),
            cost=_cost_rows(found),
            tuning=found.tuning_sentence,
            sides=tuple(_sides(folder)),
        )


def _numbers(found: OutOfFold) -> Iterator[NumberRow]:
    """The numbers that follow the verdict, the most important first."""
    result, standing = found.result, found.result.standing
    title = standing.metric.title
    own = "share of videos that are named rightly" if standing.metric.name == "top1" else standing.metric.note
    if found.left_out:
        classes = counted(len(result.scores.class_names), "class")
        own += f", over {classes}; of {len(found.left_out):,} more nothing can be said"
    yield NumberRow(f"{title} out of fold", percent(standing.metric.value), own)
    for metric in result.task_metrics()[1:]:
        if metric.shown == "summary":
            yield NumberRow(metric.title, percent(metric.value), metric.note)
    if (baseline := standing.baseline) is not None:
        yield NumberRow("guessing", percent(baseline.value), f"{title} of {baseline.text}")
    if (single := found.verdict_details.single_frames_share) is not None:
        note = found.verdict_details.motion or f"{title} of a head that sees each frame by itself"
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
    yield NumberRow("videos", f"{result.num_videos:,}", left_out)


def _stopped(found: OutOfFold) -> str:
    """The note below the threshold: the shares of right and wrong predictions that lie below it."""
    stopped = found.threshold_effect
    if stopped is None:
        return f"{_BELOW}; too few videos show what it stops"
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
        [point.videos for point in points],
        [point.share for point in points],
        [point.low for point in points],
        [point.high for point in points],
    )
    return line_chart("learning curve", [line], percent=True)


def _reliability(found: OutOfFold) -> Markup:
    """A chart of shares of right predictions by probability, before and after the temperature."""
    series = {"answers": found.cross_calibrated}
    if found.tempered:
        series = {"calibrated": found.cross_calibrated, "before": found.uncalibrated}
    dots = {
        name: [Dot(one.confidence, one.right, one.count) for one in calibration_bins(*found.confidences(predictions))]
        for name, predictions in series.items()
    }
    return dot_chart("share of right answers by probability", "probability of the answer", dots)


def _cost_rows(found: OutOfFold) -> list[tuple[str, str]]:
    """The rows of the table of costs: (name, value)."""
    cost = found.cost
    return [
        ("videos through the network now", f"{cost.computed:,}"),
        ("videos whose features were cached by an earlier run", f"{cost.kept:,}"),
        ("core-seconds (time of each core that worked)", f"{cost.core_seconds:,.0f}"),
        ("of these, core-seconds to compare frames", f"{cost.comparing_frames:,.0f}"),
        ("time on the clock", lasting(cost.seconds)),
    ]


def _sides(folder: Path) -> Iterator[SplitResult]:
    """The results on the other splits."""
    for name in SIDES:
        if not (folder / name / SCORES).exists():
            continue
        try:
            result = EvaluationResult.load(folder / name)
        except DataError as error:
            yield SplitResult(name, f"Its scores cannot be read: {error}", "", "")
            continue
        link = f"{name}/report.html" if (folder / name / "report.html").exists() else ""
        standing = replace(result.standing_of_new, group="recording")
        interval = standing.interval_text
        yield SplitResult(name, standing.verdict, f"{capitalised(interval)}.", link)
