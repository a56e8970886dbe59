"""One page that says how a run went: report.html, self-contained."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from marey.base.errors import DataError
from marey.base.files import write_text
from marey.base.page import Line, heat_map, line_chart, render
from marey.data.manifest import Manifest
from marey.evaluation.answers import FILM_FRAMES, choose_answers
from marey.evaluation.compare import Comparison
from marey.evaluation.metrics import (
    average_precision,
    calibration_error,
    confusion_matrix,
    macro_f1,
    mean_average_precision,
    mean_class_accuracy,
    most_confused,
    top_k_accuracy,
    wilson_interval,
)
from marey.evaluation.scores import Scores

_HEAT_CLASSES = 40
"""More classes than this make a heat map unreadable: the most confused pairs are listed instead."""
_CONFUSED = 20
"""How many of these pairs are listed."""


def write_report(folder: str | Path, data: Manifest | None = None) -> Path:
    """Write report.html of a run from what lies in its folder: log.csv, scores.npz, result.json, recipe.yaml.

    `data` says where the videos are, to show some that were judged right and wrong; without it the page has none.

    Raises:
        DataError: the folder holds neither a log nor scores.
    """
    folder = Path(folder)
    log, scores = folder / "log.csv", folder / "scores.npz"
    if not log.exists() and not scores.exists():
        raise DataError(
            f"{folder}: neither log.csv nor scores.npz is there; name a folder that train or evaluate left."
        )
    recipe = folder / "recipe.yaml"
    values: dict[str, Any] = {
        "title": folder.resolve().name, "subtitle": "", "numbers": [], "charts": _charts(log) if log.exists() else [],
        "heat": None, "confused": [], "classes": [], "classes_note": "", "broken": [], "protocol": [],
        "answers": None, "film_frames": FILM_FRAMES, "comparisons": [],
        "recipe": recipe.read_text(encoding="utf-8") if recipe.exists() else "",
    }  # fmt: skip
    if scores.exists():
        values |= _tested(Scores.load(scores), data)
        result = folder / "result.json"
        if result.exists():
            found = json.loads(result.read_text(encoding="utf-8"))
            values["broken"] = found["broken"]
            values["comparisons"] = [str(Comparison(**row)) for row in found.get("comparisons", ())]
    path = folder / "report.html"
    write_text(path, render("marey.evaluation", "report.html", **values))
    return path


def _charts(log: Path) -> list[dict[str, Any]]:
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
        {"name": name, "svg": line_chart(name, [one for one in lines if one.x], percent=percent)}
        for name, lines, percent in charts
        if any(one.x for one in lines)
    ]


def _tested(scores: Scores, data: Manifest | None) -> dict[str, Any]:
    return (_judged_by_precision(scores) if scores.several_labels else _judged_by_accuracy(scores)) | {
        "answers": choose_answers(scores, data) if data is not None else None,
        "protocol": [(key, _plain(value)) for key, value in scores.protocol.items()],
    }


def _judged_by_accuracy(scores: Scores) -> dict[str, Any]:
    """Of videos with one label each."""
    confusion = confusion_matrix(scores.probabilities, scores.labels)
    top1 = top_k_accuracy(scores.probabilities, scores.labels, 1)
    low, high = wilson_interval(round(top1 * len(scores.ids)), len(scores.ids))
    numbers = [
        {"name": "top-1", "value": f"{top1:.1%}"},
        {"name": "top-5", "value": f"{top_k_accuracy(scores.probabilities, scores.labels, 5):.1%}"},
        {"name": "mean class", "value": f"{mean_class_accuracy(confusion):.1%}"},
        {"name": "macro F1", "value": f"{macro_f1(confusion):.1%}"},
        {"name": "calibration error", "value": f"{calibration_error(scores.probabilities, scores.labels):.1%}"},
        {"name": "videos", "value": f"{len(scores.ids)}"},
    ]
    names = scores.class_names
    small = len(names) <= _HEAT_CLASSES
    return {
        "subtitle": f"{_tested_by(scores)} · 95 % interval of top-1: {low:.1%} to {high:.1%}",
        "numbers": numbers,
        "heat": heat_map("confusion matrix", confusion.tolist(), names) if small else None,
        "confused": []
        if small
        else [
            {"true": names[true], "answer": names[answer], "count": n}
            for true, answer, n in most_confused(confusion, _CONFUSED)
        ],
        "classes": _class_rows(confusion, names),
        "classes_note": "The thin stripe is the 95 % interval of the share.",
    }


def _judged_by_precision(scores: Scores) -> dict[str, Any]:
    """Of videos with several labels."""
    precisions = average_precision(scores.probabilities, scores.positives)
    counts = scores.positives.sum(axis=0).tolist()
    rows = [
        {
            "name": name, "text": f"{precision:.0%}", "share": round(100 * precision, 1), "count": count,
            "low": 0, "wide": 0,
        }
        for name, precision, count in zip(scores.class_names, precisions.tolist(), counts, strict=True)
        if count
    ]  # fmt: skip
    return {
        "subtitle": f"{_tested_by(scores)} · several labels per video",
        "numbers": [
            {"name": "mAP", "value": f"{mean_average_precision(scores.probabilities, scores.positives):.1%}"},
            {"name": "labels per video", "value": f"{scores.positives.sum(axis=1).mean():.1f}"},
            {"name": "videos", "value": f"{len(scores.ids)}"},
        ],
        "classes": sorted(rows, key=lambda row: row["share"]),
        "classes_note": "Average precision of each class.",
    }


def _plain(value: Any) -> str:
    """A setting as a reader writes it: a name without quotes, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _tested_by(scores: Scores) -> str:
    """The recipe, or those of fused streams."""
    parts = scores.protocol.get("fused", [scores.protocol])
    return " + ".join(str(part.get("recipe", "")) for part in parts)


def _class_rows(confusion: Any, names: tuple[str, ...]) -> list[dict[str, Any]]:
    rows = []
    for name, right, total in zip(names, np.diag(confusion).tolist(), confusion.sum(axis=1).tolist(), strict=True):
        if total:
            low, high = wilson_interval(right, total)
            rows.append({
                "name": name, "text": f"{right / total:.0%}", "share": round(100 * right / total, 1), "count": total,
                "low": round(100 * low, 1), "wide": round(100 * (high - low), 1),
            })  # fmt: skip
    return sorted(rows, key=lambda row: row["share"])
