"""Where results go that were given no folder."""

import os
import re
import unicodedata
from pathlib import Path

from marey.base.claim import Command
from marey.base.errors import RunError
from marey.base.processes import processes

BEST, LAST, STATE = "best.safetensors", "last.safetensors", "last.ckpt"
"""The files of a run that hold weights: of the best epoch, of the last step, and all that training resumes from."""
TUNING = "tuning"
"""The folder of a run in which its network is fine-tuned: a folder for each tuning's settings, and in that one for the
training without the fold that judges, and one for that on all clips.
"""
_LONGEST_NAME = 80
"""Bytes of a folder's name before its number."""


def next_run(name: str, *, inside: Path | None = None, option: str = "--out") -> Path:
    """The first of runs/<name>-1, runs/<name>-2, ... that is not there yet; or of <name>-1, ... `inside` a run's folder.

    Raises:
        RunError: there are several processes, which could choose different ones; `option` names the folder.
    """
    if processes().world > 1:
        raise RunError(f"under several processes the folder must be the same for all: name it with {option}.")
    name, number = _plain_name(name), 1
    while os.path.lexists(folder := (inside or Path("runs")) / f"{name}-{number}"):
        number += 1
    return folder


def run_name(data: Path) -> str:
    """What a run is named after that was given no folder: the folder or list that it is trained on."""
    data = data.resolve()
    return data.name if data.is_dir() else data.stem


def free_file(name: str) -> Path:
    """The first of a.html, a-2.html, a-3.html, ... that is not there yet: one to propose."""
    path, number = Path(name), 1
    while os.path.lexists(path):
        number += 1
        path = Path(name).with_stem(f"{Path(name).stem}-{number}")
    return path


def results_folder(
    command: str,
    *models: str | None,
    data: Path | None = None,
    split: str | None = None,
    of: str | None = None,
    option: str = "--out",
) -> Path:
    """Where results go unless --out says it: into the run whose checkpoint was given, as runs/a/evaluate-val-1, with the
    split in their name, else the name of the list; without such a run, or with two models, runs/<model>-<command>-<n>.

    Args:
        command: The part of the name that says what the results are.
        models: Of each model what a user gave: a recipe's name, a checkpoint file or the folder of a run.
        of: The model's part of the name of a folder below runs/; None: as the first model is called.
    """
    given = [model for model in models if model is not None]
    run = run_of(Path(given[0])) if len(given) == 1 else None
    if run is None:
        return next_run(f"{of or _model_name(given[0])}-{command}", option=option)
    label = split or ("" if data is None else data.resolve().name if data.is_dir() else data.stem)
    return next_run(f"{command}-{label}" if label else command, inside=run, option=option)


def run_of(checkpoint: Path) -> Path | None:
    """The folder of the training that a word names as a checkpoint: the folder itself, or that of a file in it."""
    folder = checkpoint if checkpoint.is_dir() else checkpoint.parent if checkpoint.is_file() else None
    if folder is None or not (folder / "recipe.yaml").is_file():
        return None
    known = (Command.TRAIN.note, *Command.TRAIN.products)
    return folder if any((folder / name).is_file() for name in known) else None


def _model_name(word: str) -> str:
    """What a model is called in the name of a folder: a recipe's name, the name of a file without its ending, of a folder,
    or of a run for a checkpoint that lies in it.
    """
    path = Path(word.partition("?")[0])
    if path.is_dir():
        return path.resolve().name
    run = run_of(path)
    return path.stem if run is None else run.resolve().name


def _plain_name(name: str) -> str:
    """A name as every file system takes it, Windows' among them: without characters that it forbids, without dots or blanks
    at its ends, and not too long. A number follows, so that no name is one of Windows' devices.
    """
    plain = re.sub(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]+', "_", unicodedata.normalize("NFC", name))
    while len(plain.encode()) > _LONGEST_NAME:
        plain = plain[:-1]
    return plain.strip(". ") or "run"
