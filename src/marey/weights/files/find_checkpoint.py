"""Find the checkpoint that a folder or a training state stands for: the best one of a run, or the model of a hub."""

import csv
import os
from itertools import islice
from pathlib import Path

from marey.base.errors import WeightsError
from marey.base.reporter import notice
from marey.base.runs import BEST, LAST, STATE
from marey.base.words import percent
from marey.video.reading.suffixes import VIDEO_SUFFIXES

MODEL, RECIPE = "model.safetensors", "recipe.json"
"""The files of a model on a hub."""
_OF_A_RUN = (STATE, "run.json", "log.csv")
ENDINGS = (".safetensors", ".pth", ".pt", ".pyth", ".ckpt", ".bin", ".pkl", ".tar", ".th", ".index")
"""Endings of the names of checkpoint files."""
_SCORES = {"val_top1": "top-1", "val_map": "mean average precision"}
"""Names of the metrics that choose the best epoch, by their columns in log.csv: val_map if videos have several labels."""
_MOST = 200
"""Most entries of a folder that are listed to describe it."""


def checkpoint_in(path: Path, *, quiet: bool = False) -> Path:
    """The checkpoint that a path of the user stands for; a notice names it, unless `quiet`.

    - The folder of a run: best.safetensors, which training writes whenever the validation score rises; without
      validation last.safetensors.
    - last.ckpt of a run: last.safetensors beside it, which is written together with it.
    - A folder with model.safetensors or recipe.json, a TensorFlow checkpoint, any other file: the path itself.

    Raises:
        WeightsError: a folder without a checkpoint; the message says what it is.
    """
    if not path.is_dir():
        beside = path.with_name(LAST)
        # Lightning calls a checkpoint last.ckpt, too; only a run of Marey has recipe.yaml beside it.
        if path.name != STATE or not (beside.is_file() and path.with_name("recipe.yaml").is_file()):
            return path
        if not quiet:
            notice(f"{path} is the state that --resume uses: {LAST} beside it is used as the checkpoint")
        return beside
    if (path / MODEL).is_file() or (path / RECIPE).is_file():
        return path
    file = next((path / name for name in (BEST, LAST) if (path / name).is_file()), None)
    if file is None and _is_tensorflow(path):
        return path
    if file is None:
        raise WeightsError(f"{path}: no such checkpoint file: {_describe(path)}.")
    if not quiet:
        notice(f"{path}: {file.name}{_epoch(path / 'log.csv', best=file.name == BEST)}")
    return file


def _is_tensorflow(path: Path) -> bool:
    """Whether a folder is a TensorFlow checkpoint. Imports torch."""
    from marey.weights.files.tensorflow import is_tensorflow

    return is_tensorflow(path)


def looks_like_a_file(word: str) -> bool:
    """Whether a word that names no existing file is meant as a file or folder, and not as a recipe's name."""
    return word.lower().endswith(ENDINGS) or os.sep in word or "/" in word


def _epoch(log: Path, *, best: bool) -> str:
    """The epoch of a checkpoint and its validation score from the run's log.csv; empty if the log lacks them."""
    try:
        with log.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        if not rows:
            return ""
        column = next((name for name in _SCORES if any(row.get(name) for row in rows)), None)
        if not best:
            why = "the run had no validation" if column is None else f"the run had validation, but {BEST} is not there"
            return f", epoch {int(rows[-1]['epoch'])} ({why})"
        if column is None:
            return ""
        row = max((row for row in rows if row.get(column)), key=lambda row: float(row[column]))
        return f", epoch {int(row['epoch'])} by validation {_SCORES[column]} {percent(float(row[column]))}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _describe(folder: Path) -> str:
    """What a folder without a checkpoint is, and what to name in its place."""
    with os.scandir(folder) as found:
        entries = sorted(islice(found, _MOST), key=lambda entry: entry.name)
    names = [entry.name for entry in entries]
    files = [name for name in names if name.lower().endswith(ENDINGS) and name != STATE]
    if files:
        return f"a folder with {', '.join(files[:4])}{' and others' if len(files) > 4 else ''}: name the file"
    if STATE in names:
        return f"a run without {LAST}, only the state that --resume uses: marey train ... --resume --out {folder}"
    if any(name in _OF_A_RUN for name in names):
        return f"a run that has saved no checkpoint yet: resume it, marey train ... --resume --out {folder}"
    runs = [name for name in names if (folder / name / LAST).is_file()]
    if runs:
        return f"a folder of runs: name one of them, such as {folder / runs[0]}"
    if "scores.npz" in names or "evaluate.json" in names:
        return "a folder of results that evaluate wrote, without weights"
    inside = (entry.name for folder_ in entries if folder_.is_dir() for entry in islice(os.scandir(folder_), _MOST))
    videos = any(Path(name).suffix.lower() in VIDEO_SUFFIXES for name in (*names, *inside))
    other = (
        "a folder without a file that Marey recognises as a checkpoint: name the file" if names else "an empty folder"
    )
    return "a folder of videos: the model comes first, then the videos" if videos else other
