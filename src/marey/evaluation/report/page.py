"""report.html: one self-contained page with the training curves, test results, examples and settings of a run."""

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
from marey.evaluation.report.contact_sheets import ContactSheets
from marey.evaluation.report.doubtful_labels import (
    CONFIDENT,
    DoubtfulLabel,
    confidently_wrong,
    equal_files_with_other_labels,
)
from marey.evaluation.report.examples import FILMSTRIP_FRAMES, choose_examples
from marey.evaluation.report.out_of_fold_page import OutOfFoldPage
from marey.evaluation.report.suspects_page import SuspectsPage
from marey.evaluation.result import SCORES, EvaluationResult, NumberRow
from marey.evaluation.scores import Scores
from marey.tasks.choose import every_task
from marey.tasks.metrics import most_confused
from marey.tasks.task import ClassRow

_HEAT_CLASSES = 40
"""With more classes than this, the page shows no heat map, only the list of the most frequent confusions."""
_CONFUSED = 20
"""The page lists at most this many confusions; of a long table of classes it shows this many rows and folds the others."""
_IDS = 30
"""How many videos of a confusion are named."""
_FOLDED = 40
"""With more classes than this, the table shows the first `_CONFUSED` and folds the others."""
_LISTED, _OPEN = 100, 20
"""The page lists at most `_LISTED` broken files, and as many doubtful labels for each reason; `_OPEN` are not folded."""


@dataclass(frozen=True)
class _Chart:
    name: str
    """The title above the chart."""
    svg: Markup
    """The chart as an SVG element."""


@dataclass(frozen=True)
class _Confusion:
    true: str
    """The name of the class that the videos have."""
    predicted: str
    """The name of the class that was predicted."""
    count: int
    """The number of videos with this confusion."""
    of: int
    """The number of videos of the true class."""
    anchor: str
    """Its id on the page, to which the cell of the matrix links."""
    videos: Sequence[str]
    """The ids of at most 30 of these videos, the most confident prediction first."""


@dataclass(frozen=True)
class _DoubtfulLabels:
    """Videos whose labels are doubtful for one reason."""

    name: str
    """The heading on the page."""
    rule: str
    """A sentence: the reason, and what it may mean."""
    shown: Sequence[DoubtfulLabel]
    """The first of these videos, at most 100."""
    count: int
    """The number of all these videos."""


@dataclass(frozen=True)
class _TestSection:
    """What the page shows of a test's scores."""

    subtitle: str = ""
    """The recipe's name and the task's remark; "" without scores."""
    verdict: str = ""
    """The primary metric as a sentence; "" without scores."""
    interval: str = ""
    """The 90 % interval as a sentence, or why there is none; "" without scores."""
    seen: str = ""
    """How many of the videos the network was trained on, as a sentence; "" if that is not known."""
    numbers: Sequence[NumberRow] = ()
    """The table of metrics; empty without scores."""
    classes: Sequence[ClassRow] = ()
    """The table of classes, the lowest metric first; empty without scores."""
    classes_note: str = ""
    """A sentence above that table on what it shows; "" without scores."""
    heat: Markup | None = None
    """The confusion matrix as an SVG chart; None: no matrix, or more than 40 classes."""
    confusions: Sequence[_Confusion] = ()
    """The most frequent confusions, at most 20; empty: the task has none."""
    doubtful: Sequence[_DoubtfulLabels] = ()
    """Videos whose labels are doubtful, one entry for each reason."""


def write_report(folder: str | Path, data: Manifest | None = None) -> Path:
    """Write report.html of a run from the files in its folder: log.csv, scores.npz, result.json, recipe.yaml, and
    out_of_fold.json of a classifier that `marey train FOLDER` fitted.

    `data` is the list of the tested videos, of which the page shows examples; without it the page has none.

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
    OutputPath.file(path, advice="make its folder writable, or copy that and name the copy").check()
    found = OutOfFold.load(folder) if tested and (folder / OUT_OF_FOLD).exists() else None
    result = found.result if found else EvaluationResult.load(folder) if tested else None
    suspects = None if found is None else SuspectsPage.of(folder, found.result.scores)
    page = render(
        "marey.evaluation.report",
        "report.html",
        title=folder.resolve().name,
        test=_TestSection() if result is None else _test_section(result, data, confident=suspects is None),
        folds=None if found is None else OutOfFoldPage.of(found, folder),
        suspects=suspects,
        sheets=ContactSheets.load(folder) if found else None,
        charts=_charts(log) if log.exists() else [],
        comparisons=result.comparisons if result else (),
        examples=choose_examples(result.scores, data) if result and data is not None else None,
        filmstrip_frames=FILMSTRIP_FRAMES,
        broken=result.broken[:_LISTED] if result else (),
        broken_count=len(result.broken) if result else 0,
        protocol=[(key, _setting_text(value)) for key, value in result.scores.protocol.as_json().items()]
        if result
        else [],
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


def _test_section(result: EvaluationResult, data: Manifest | None, *, confident: bool) -> _TestSection:
    """The section of a test.

    Args:
        result: The result of the test.
        data: The tested videos, for equal files with different labels; None: these are not looked for.
        confident: Whether to list confident wrong predictions; not if the page has suspects, which show more.
    """
    scores = result.scores
    report = scores.task.report(scores.probabilities, scores.labels, scores.class_names, scores.groups)
    more = [NumberRow(title, value) for title, value in report.numbers]
    section = _TestSection(
        subtitle=f"{' + '.join(part.recipe for part in scores.protocol.parts)} · {report.remark}",
        verdict=result.verdict,
        interval=result.interval_sentence(),
        seen=result.seen_text(),
        numbers=[*result.rows(), *more],
        classes=report.classes,
        classes_note=report.classes_note,
        doubtful=_doubtful_labels(result, data, confident=confident),
    )
    if report.confusion is None:
        return section
    names, pairs = scores.class_names, most_confused(report.confusion, _CONFUSED)
    links = {(true, predicted): f"kind-{true}-{predicted}" for true, predicted, _ in pairs}
    few = len(names) <= _HEAT_CLASSES
    heat = heat_map("confusion matrix", report.confusion.tolist(), names, links) if few else None
    return replace(section, heat=heat, confusions=_confusions(scores, pairs, links))


def _confusions(
    scores: Scores, pairs: Sequence[tuple[int, int, int]], anchors: Mapping[tuple[int, int], str]
) -> list[_Confusion]:
    """The confusions `pairs` (true class, predicted class, count), each with its videos, the most confident prediction
    first.
    """
    names, predictions = scores.class_names, scores.probabilities.argmax(axis=1)
    labels = scores.task.classes(scores.labels)
    found = []
    for true, predicted, count in pairs:
        rows = np.flatnonzero((labels == true) & (predictions == predicted))
        rows = rows[np.argsort(-scores.probabilities[rows, predicted], kind="stable")][:_IDS]
        videos = [scores.ids[row] for row in rows.tolist()]
        total = int((labels == true).sum())
        found.append(_Confusion(names[true], names[predicted], count, total, anchors[true, predicted], videos))
    return found


def _doubtful_labels(result: EvaluationResult, data: Manifest | None, *, confident: bool) -> list[_DoubtfulLabels]:
    """The doubtful labels, one entry for each reason, also where no label is doubtful for it."""
    found = []
    if confident:
        wrong = confidently_wrong(result.scores)
        rule = (
            f"Another class has a probability of {percent(CONFIDENT, 0)} or more: the label or the prediction is wrong."
        )
        found.append(_DoubtfulLabels("Suspicious: wrong, and sure of it", rule, wrong[:_LISTED], len(wrong)))
    alike = None if data is None else equal_files_with_other_labels(result.scores, data)
    if alike is not None:
        rule = "Files of the list with equal content and different labels: one of them is wrong."
        found.append(_DoubtfulLabels("Suspicious: equal files, different labels", rule, alike[:_LISTED], len(alike)))
    return found


def _setting_text(value: Json) -> str:
    """A setting as text: a name without quotes, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
