"""Folders of runs: their files of weights, and the names of new folders for results."""

import os
import re
import unicodedata
from pathlib import Path

from marey.base.claim import Command
from marey.base.errors import RunError
from marey.base.processes import processes

BEST, LAST, STATE = "best.safetensors", "last.safetensors", "last.ckpt"
"""Files of a run folder: weights of the best epoch, weights of the last step, and the training state to resume from."""
TUNING = "tuning"
"""Subfolder of a run for the fine-tuning of its network. It has a folder per set of tuning settings, which contains one
training without the validation fold and one on all videos.
"""
_LONGEST_NAME = 80
"""Longest folder name in bytes, without its number."""


def next_run(name: str, *, inside: Path | None = None, option: str = "--out") -> Path:
    """The first of runs/<name>-1, runs/<name>-2, ... that does not exist yet; with `inside`, in that run folder.

    Raises:
        RunError: there are several processes, which could choose different folders. `option`, which sets the
            folder, is named in the message.
    """
    if processes().world > 1:
        raise RunError(f"under several processes the folder must be the same for all: name it with {option}.")
    name, number = _plain_name(name), 1
    while os.path.lexists(folder := (inside or Path("runs")) / f"{name}-{number}"):
        number += 1
    return folder


def run_name(data: Path) -> str:
    """The default name of a run: that of the folder or list that it is trained on."""
    data = data.resolve()
    return data.name if data.is_dir() else data.stem


def free_file(name: str) -> Path:
    """For the name a.html, the first of a.html, a-2.html, a-3.html, ... that does not exist yet."""
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
    """The default folder for results.

    For one checkpoint of a run it is inside that run's folder, named by the split or else by the list, such as
    runs/a/evaluate-val-1. Otherwise, and for two models, it is runs/<model>-<command>-<n>.

    Args:
        command: What the results are, as it appears in the folder's name.
        models: Each model as the user gave it: name of a recipe, checkpoint file or run folder.
        data: The list or folder of videos.
        split: The split that is used.
        of: The model's name in a folder below runs/; None: the name of the first model.
        option: The option that sets the folder, for the error message.
    """
    given = [model for model in models if model is not None]
    run = run_of(Path(given[0])) if len(given) == 1 else None
    if run is None:
        return next_run(f"{of or _model_name(given[0])}-{command}", option=option)
    label = split or ("" if data is None else data.resolve().name if data.is_dir() else data.stem)
    return next_run(f"{command}-{label}" if label else command, inside=run, option=option)


def run_of(checkpoint: Path) -> Path | None:
    """The run folder of a checkpoint: `checkpoint` itself or its parent; None if that is no folder of a training."""
    folder = checkpoint if checkpoint.is_dir() else checkpoint.parent if checkpoint.is_file() else None
    if folder is None or not (folder / "recipe.yaml").is_file():
        return None
    known = (Command.TRAIN.note, *Command.TRAIN.files)
    return folder if any((folder / name).is_file() for name in known) else None


def _model_name(word: str) -> str:
    """The name of a model in a folder's name: of its recipe, its folder, its run, or its file without the suffix."""
    path = Path(word.partition("?")[0])
    if path.is_dir():
        return path.resolve().name
    run = run_of(path)
    return path.stem if run is None else run.resolve().name


def _plain_name(name: str) -> str:
    """A name that is valid on every file system, including Windows: no forbidden characters, no dots or blanks at its
    ends, and not too long. A number will follow it, so that it cannot be the name of a Windows device.
    """
    plain = re.sub(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]+', "_", unicodedata.normalize("NFC", name))
    while len(plain.encode()) > _LONGEST_NAME:
        plain = plain[:-1]
    return plain.strip(". ") or "run"
