"""One page that says how a run went: report.html, self-contained."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from markupsafe import Markup

from marey.base.claim import OutputPath
from marey.base.errors import DataError
from marey.base.files import write_text
from marey.base.jsonable import Json
from marey.base.page import Line, heat_map, line_chart, render
from marey.base.words import percent
from marey.data.lists.manifest import Manifest
from marey.evaluation.out_of_fold.result import OUT_OF_FOLD, OutOfFold
from marey.evaluation.report.answers import FILM_FRAMES, choose_answers
from marey.evaluation.report.contact_sheets import ContactSheets
from marey.evaluation.report.out_of_fold_page import OutOfFoldPage
from marey.evaluation.report.suspects_page import SuspectsPage
from marey.evaluation.report.suspicious import SURE, Suspicious, equal_but_labelled_otherwise, sure_and_wrong
from marey.evaluation.result import SCORES, EvaluationResult, NumberRow
from marey.evaluation.scores import Scores
from marey.tasks.all import every_task
from marey.tasks.metrics import most_confused
from marey.tasks.task import ClassRow

_HEAT_CLASSES = 40
"""More classes than this make a heat map unreadable: the most confused pairs are listed alone."""
_CONFUSED = 20
"""How many of these pairs are listed."""
_IDS = 30
"""How many videos of a pair are named."""
_FOLDED = 40
"""Of more classes than this, the table shows the first `_CONFUSED` and folds the others."""
_LISTED, _OPEN = 100, 20
"""Broken files and suspicious videos that the page lists at most, of each; and those that are not folded."""


@dataclass(frozen=True)
class _Chart:
    name: str
    svg: Markup


@dataclass(frozen=True)
class _Confused:
    true: str
    answer: str
    count: int
    of: int
    """Videos of the true class."""
    place: str
    """Its id on the page, by which the cell of the matrix leads to it."""
    videos: Sequence[str]
    """The first of them, by their ids."""


@dataclass(frozen=True)
class _Suspects:
    """Videos of one kind of suspicion."""

    name: str
    rule: str
    """What was looked for, and what it may mean, as a sentence."""
    shown: Sequence[Suspicious]
    count: int


@dataclass(frozen=True)
class _Judged:
    """What the page shows of a test's scores."""

    subtitle: str = ""
    verdict: str = ""
    interval: str = ""
    seen: str = ""
    """How many of the videos the network was trained on."""
    numbers: Sequence[NumberRow] = ()
    classes: Sequence[ClassRow] = ()
    classes_note: str = ""
    heat: Markup | None = None
    confused: Sequence[_Confused] = ()
    suspects: Sequence[_Suspects] = ()


def write_report(folder: str | Path, data: Manifest | None = None) -> Path:
    """Write report.html of a run from what lies in its folder: log.csv, scores.npz, result.json, recipe.yaml, and
    out_of_fold.json of a classifier of one's own clips.

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
    found = OutOfFold.load(folder) if tested and (folder / OUT_OF_FOLD).exists() else None
    result = found.result if found else EvaluationResult.load(folder) if tested else None
    suspects = None if found is None else SuspectsPage.of(folder, found.result.scores)
    page = render(
        "marey.evaluation.report",
        "report.html",
        title=folder.resolve().name,
        judged=_Judged() if result is None else _judged(result, data, sure=suspects is None),
        folds=None if found is None else OutOfFoldPage.of(found, folder),
        suspects=suspects,
        sheets=ContactSheets.load(folder) if found else None,
        charts=_charts(log) if log.exists() else [],
        comparisons=result.comparisons if result else (),
        answers=choose_answers(result.scores, data) if result and data is not None else None,
        film_frames=FILM_FRAMES,
        broken=result.broken[:_LISTED] if result else (),
        broken_count=len(result.broken) if result else 0,
        protocol=[(key, _plain(value)) for key, value in result.scores.protocol.as_json().items()] if result else [],
        recipe=recipe.read_text(encoding="utf-8") if recipe.exists() else "",
        files_shown=_OPEN,
        classes_shown=_CONFUSED,
        classes_folded=_FOLDED,
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


def _judged(result: EvaluationResult, data: Manifest | None, *, sure: bool) -> _Judged:
    """`sure`: whether to name answers that are wrong and sure of it; not where the page has suspects, which say more."""
    scores = result.scores
    said = scores.task.report(scores.probabilities, scores.labels, scores.class_names, scores.groups)
    more = [NumberRow(title, value) for title, value in said.numbers]
    judged = _Judged(
        subtitle=f"{' + '.join(part.recipe for part in scores.protocol.parts)} · {said.remark}",
        verdict=result.verdict,
        interval=result.interval_sentence(),
        seen=result.seen_text(),
        numbers=[*result.rows(), *more],
        classes=said.classes,
        classes_note=said.classes_note,
        suspects=_suspects(result, data, sure=sure),
    )
    if said.confusion is None:
        return judged
    names, pairs = scores.class_names, most_confused(said.confusion, _CONFUSED)
    links = {(true, answer): f"kind-{true}-{answer}" for true, answer, _ in pairs}
    few = len(names) <= _HEAT_CLASSES
    heat = heat_map("confusion matrix", said.confusion.tolist(), names, links) if few else None
    return replace(judged, heat=heat, confused=_confused(scores, pairs, links))


def _confused(
    scores: Scores, pairs: Sequence[tuple[int, int, int]], places: Mapping[tuple[int, int], str]
) -> list[_Confused]:
    """The kinds (true class, answer, how many) of wrong answers, with their videos, the surest of the wrong answer first."""
    names, answers = scores.class_names, scores.probabilities.argmax(axis=1)
    labels = scores.task.classes(scores.labels)
    found = []
    for true, answer, count in pairs:
        rows = np.flatnonzero((labels == true) & (answers == answer))
        rows = rows[np.argsort(-scores.probabilities[rows, answer], kind="stable")][:_IDS]
        videos = [scores.ids[row] for row in rows.tolist()]
        total = int((labels == true).sum())
        found.append(_Confused(names[true], names[answer], count, total, places[true, answer], videos))
    return found


def _suspects(result: EvaluationResult, data: Manifest | None, *, sure: bool) -> list[_Suspects]:
    """Those of each kind of suspicion that was looked for."""
    found = []
    if sure:
        wrong = sure_and_wrong(result.scores)
        rule = (
            f"Another class has a probability of {percent(SURE, 0)} or more: the label may be wrong, or the network is."
        )
        found.append(_Suspects("Suspicious: wrong, and sure of it", rule, wrong[:_LISTED], len(wrong)))
    alike = None if data is None else equal_but_labelled_otherwise(result.scores, data)
    if alike is not None:
        rule = "Files of the list with equal content and different labels: one of them is wrong."
        found.append(_Suspects("Suspicious: equal files, different labels", rule, alike[:_LISTED], len(alike)))
    return found


def _plain(value: Json) -> str:
    """A setting as a reader writes it: a name without quotes, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
