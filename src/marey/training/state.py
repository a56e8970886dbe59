"""The training state, from which a run resumes: one file, written after each epoch, at intervals, and before a stop."""

import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from marey.base.errors import RunError
from marey.base.files import atomic_path, utf8_name
from marey.base.jsonable import Json
from marey.base.runs import LAST
from marey.weights.files.other_formats import no_checkpoint


@dataclass
class Progress:
    """How far a run has come: what its next batch is, and its best epoch so far."""

    epoch: int = 0
    """Epoch of the next batch, counted from 0."""
    batch: int = 0
    """Index of the next batch in this epoch."""
    step: int = 0
    """Number of optimiser steps so far."""
    best_score: float = -1.0
    """`Validation.score` of the best epoch; -1 before the first validation."""
    best_epoch: int = -1
    """The best epoch, counted from 0; -1 before the first validation."""


def save_state(path: Path, progress: Progress, run: Mapping[str, Json], state: Mapping[str, Any]) -> None:
    """Write `progress`, what identifies the run (`run`), and state dicts and tensors by name (`state`).

    Raises:
        RunError: it cannot be written.
    """
    with atomic_path(path) as temporary:
        try:
            torch.save({"progress": asdict(progress), "run": dict(run), **state}, temporary)
        except RuntimeError as error:  # torch's error when the disk is full
            raise RunError(f"{path}: cannot be written; is the disk full? ({str(error).splitlines()[0]})") from None


def read_run(path: Path) -> dict[str, Any]:
    """What identifies the run whose state is at `path`; its tensors are not loaded.

    Raises:
        RunError: as `load_state`.
    """
    return dict(_read_state(path, mapped=True)["run"])


def read_progress(path: Path) -> Progress:
    """The progress of the run whose state is at `path`; its tensors are not loaded.

    Raises:
        RunError: as `load_state`.
    """
    return Progress(**_read_state(path, mapped=True)["progress"])


def recorded_run(path: Path) -> dict[str, Any] | None:
    """What identifies the run whose state is at `path`; None if there is no readable state."""
    try:
        return read_run(path)
    except RunError:
        return None


def load_state(path: Path) -> tuple[Progress, dict[str, Any]]:
    """Read what `save_state` wrote.

    Raises:
        RunError: there is no file, or it cannot be read.
    """
    content = _read_state(path, mapped=False)
    return Progress(**content["progress"]), content


def _read_state(path: Path, *, mapped: bool) -> dict[str, Any]:
    """The content of the file; if `mapped`, its tensors stay on the disk.

    Raises:
        RunError: there is no file, or it cannot be read.
    """
    if not path.exists():
        if (path.parent / "log.jsonl").exists() and not (path.parent / LAST).exists():
            raise RunError(
                f"{path.parent} holds a run that was stopped before its first state was written, and cannot be resumed: "
                "remove the folder, or choose another --out, and leave out --resume."
            )
        raise RunError(f"{path.parent} holds no run to resume (no {path.name}): leave out --resume.")
    if what := no_checkpoint(path):
        raise RunError(f"{path}: {what}: fetch the file itself, or start again in another --out.")
    try:
        with utf8_name(path) as name:
            content: dict[str, Any] = torch.load(name, map_location="cpu", weights_only=True, mmap=mapped)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise RunError(f"{path}: cannot be read; is it cut short? ({str(error).splitlines()[0]})") from None
    return content
