"""One page that says how a run went: report.html, self-contained."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from marey.base.claim import OutputPath
from marey.base.errors import DataError
from marey.base.files import write_text
from marey.base.jsonable import Json
from marey.base.page import Line, heat_map, line_chart, render
from marey.data.manifest import Manifest
from marey.evaluation.answers import FILM_FRAMES, choose_answers
from marey.evaluation.metrics import average_precision, most_confused, wilson_interval
from marey.evaluation.result import SCORES, EvaluationResult

_HEAT_CLASSES = 40
"""More classes than this make a heat map unreadable: the most confused pairs are listed instead."""
_CONFUSED = 20
"""How many of these pairs are listed."""


@dataclass(frozen=True)
class _Number:
    name: str
    value: str


@dataclass(frozen=True)
class _Chart:
    name: str
    svg: Markup


@dataclass(frozen=True)
class _Confused:
    true: str
    answer: str
    count: int


@dataclass(frozen=True)
class _ClassRow:
    """A class and its number; shares in percent."""

    name: str
    text: str
    share: float
    count: int
    """Videos of the class."""
    low: float = 0
    wide: float = 0
    """Where the 95 % interval begins and how wide it is."""


@dataclass(frozen=True)
class _Judged:
    """What the page says of a test's scores."""

    subtitle: str = ""
    numbers: Sequence[_Number] = ()
    classes: Sequence[_ClassRow] = ()
    classes_note: str = ""
    heat: Markup | None = None
    confused: Sequence[_Confused] = ()


def write_report(folder: str | Path, data: Manifest | None = None) -> Path:
    """Write report.html of a run from what lies in its folder: log.csv, scores.npz, result.json, recipe.yaml.

    `data` says where the videos are, to show some that were judged right and wrong; without it the page has none.

    Raises:
        DataError: the folder holds neither a log nor scores.
        RunError: nothing can be written there.
    """
    folder = Path(folder)
    log, recipe = folder / "log.csv", folder / "recipe.yaml"
    tested = (folder / SCORES).exists()
    if not log.exists() and not tested:
        raise DataError(f"{folder}: neither log.csv nor {SCORES} is there; name a folder that train or evaluate left.")
    path = folder / "report.html"
    OutputPath.file(path, way_out="make its folder writable, or copy that and name the copy").check()
    result = EvaluationResult.load(folder) if tested else None
    page = render(
        "marey.evaluation",
        "report.html",
        title=folder.resolve().name,
        judged=_Judged() if result is None else _judged(result),
        charts=_charts(log) if log.exists() else [],
        comparisons=result.comparisons if result else (),
        answers=choose_answers(result.scores, data) if result and data is not None else None,
        film_frames=FILM_FRAMES,
        broken=result.broken if result else (),
        protocol=[(key, _plain(value)) for key, value in result.scores.protocol.as_json().items()] if result else [],
        recipe=recipe.read_text(encoding="utf-8") if recipe.exists() else "",
    )
    write_text(path, page)
    return path


def _charts(log: Path) -> list[_Chart]:
    with log.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    def line(name: str, column: str) -> Line:
        points = [(float(row["epoch"]), float(row[column])) for row in rows if row.get(column)]
        return Line(name, [x for x, _ in points], [y for _, y in points])

    charts = [
        ("loss by epoch", [line("train", "train_loss"), line("validation", "val_loss")], False),
        ("top-1 by epoch", [line("train", "train_top1"), line("validation", "val_top1")], True),
        ("mAP by epoch", [line("validation", "val_map")], True),
    ]
    return [
        _Chart(name, line_chart(name, [one for one in lines if one.x], percent=percent))
        for name, lines, percent in charts
        if any(one.x for one in lines)
    ]


def _judged(result: EvaluationResult) -> _Judged:
    return _judged_by_precision(result) if result.scores.several_labels else _judged_by_accuracy(result)


def _judged_by_accuracy(result: EvaluationResult) -> _Judged:
    """Of videos with one label each."""
    confusion, names = result.confusion, result.scores.class_names
    low, high = wilson_interval(round(result.top1 * result.num_videos), result.num_videos)
    small = len(names) <= _HEAT_CLASSES
    confused = [] if small else most_confused(confusion, _CONFUSED)
    return _Judged(
        subtitle=f"{_tested_by(result)} · 95 % interval of top-1: {low:.1%} to {high:.1%}",
        numbers=[
            _Number("top-1", f"{result.top1:.1%}"),
            _Number("top-5", f"{result.top5:.1%}"),
            _Number("mean class", f"{result.mean_class:.1%}"),
            _Number("macro F1", f"{result.macro_f1:.1%}"),
            _Number("calibration error", f"{result.calibration_error:.1%}"),
            _Number("videos", f"{result.num_videos}"),
        ],
        classes=_class_rows(confusion, names),
        classes_note="The thin stripe is the 95 % interval of the share.",
        heat=heat_map("confusion matrix", confusion.tolist(), names) if small else None,
        confused=[_Confused(names[true], names[answer], count) for true, answer, count in confused],
    )


def _judged_by_precision(result: EvaluationResult) -> _Judged:
    """Of videos with several labels."""
    scores = result.scores
    precisions = average_precision(scores.probabilities, scores.positives).tolist()
    counts = scores.positives.sum(axis=0).tolist()
    rows = [
        _ClassRow(name, f"{precision:.0%}", round(100 * precision, 1), count)
        for name, precision, count in zip(scores.class_names, precisions, counts, strict=True)
        if count
    ]
    return _Judged(
        subtitle=f"{_tested_by(result)} · several labels per video",
        numbers=[
            _Number("mAP", f"{result.mean_ap:.1%}"),
            _Number("labels per video", f"{scores.positives.sum(axis=1).mean():.1f}"),
            _Number("videos", f"{result.num_videos}"),
        ],
        classes=sorted(rows, key=lambda row: row.share),
        classes_note="Average precision of each class.",
    )


def _plain(value: Json) -> str:
    """A setting as a reader writes it: a name without quotes, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _tested_by(result: EvaluationResult) -> str:
    """The recipe, or those of fused streams."""
    return " + ".join(part.recipe for part in result.scores.protocol.parts)


def _class_rows(confusion: NDArray[np.int64], names: tuple[str, ...]) -> list[_ClassRow]:
    rows = []
    for name, right, total in zip(names, np.diag(confusion).tolist(), confusion.sum(axis=1).tolist(), strict=True):
        if total:
            low, high = wilson_interval(right, total)
            share = round(100 * right / total, 1)
            width = round(100 * (high - low), 1)
            rows.append(_ClassRow(name, f"{right / total:.0%}", share, total, round(100 * low, 1), width))
    return sorted(rows, key=lambda row: row.share)
