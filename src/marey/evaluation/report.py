"""One page that says how a run went: report.html, self-contained."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from markupsafe import Markup

from marey.base.claim import OutputPath
from marey.base.errors import DataError
from marey.base.files import write_text
from marey.base.jsonable import Json
from marey.base.page import Line, heat_map, line_chart, render
from marey.data.manifest import Manifest
from marey.evaluation.answers import FILM_FRAMES, choose_answers
from marey.evaluation.result import SCORES, EvaluationResult
from marey.tasks.all import every_task
from marey.tasks.metrics import most_confused
from marey.tasks.task import ClassRow

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
class _Judged:
    """What the page shows of a test's scores."""

    subtitle: str = ""
    seen: str = ""
    """How many of the videos the network was trained on."""
    numbers: Sequence[_Number] = ()
    classes: Sequence[ClassRow] = ()
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

    titles = dict(chart for task in every_task() for chart in task.charts)
    charts = [
        ("loss by epoch", [line("train", "train_loss"), line("validation", "val_loss")], False),
        *(
            (f"{title} by epoch", [line("train", f"train_{name}"), line("validation", f"val_{name}")], True)
            for name, title in titles.items()
        ),
    ]
    return [
        _Chart(name, line_chart(name, [one for one in lines if one.x], percent=percent))
        for name, lines, percent in charts
        if any(one.x for one in lines)
    ]


def _judged(result: EvaluationResult) -> _Judged:
    scores = result.scores
    said = scores.task.report(scores.probabilities, scores.labels, scores.class_names)
    numbers = [(metric.title, f"{metric.value:.1%}") for metric in result.task_metrics()]
    judged = _Judged(
        subtitle=f"{' + '.join(part.recipe for part in scores.protocol.parts)} · {said.remark}",
        seen=result.seen_text(),
        numbers=[_Number(*one) for one in (*numbers, *said.numbers, ("videos", f"{result.num_videos}"))],
        classes=said.classes,
        classes_note=said.classes_note,
    )
    if said.confusion is None:
        return judged
    names = scores.class_names
    if len(names) <= _HEAT_CLASSES:
        return replace(judged, heat=heat_map("confusion matrix", said.confusion.tolist(), names))
    pairs = most_confused(said.confusion, _CONFUSED)
    return replace(judged, confused=[_Confused(names[true], names[answer], count) for true, answer, count in pairs])


def _plain(value: Json) -> str:
    """A setting as a reader writes it: a name without quotes, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
