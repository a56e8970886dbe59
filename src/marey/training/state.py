"""All that a run goes on from: one file, written whole at the end of epochs, now and then, and when asked to stop."""

import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from marey.base.errors import RunError
from marey.base.files import atomic_path
from marey.recipe import Recipe


@dataclass
class Progress:
    """How far a run has come. The next batch is number `batch` of `epoch`."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    best_score: float = -1.0
    """Validation top-1, or mean average precision with several labels per video."""
    best_epoch: int = -1


def save_state(path: Path, progress: Progress, run: dict[str, Any], parts: dict[str, Any]) -> None:
    """Write the progress, what identifies the run, and the parts (state dicts and tensors)."""
    with atomic_path(path) as temporary:
        torch.save({"progress": asdict(progress), "run": run, **parts}, temporary)


def recorded_run(path: Path) -> dict[str, Any] | None:
    """What identifies the run whose state lies at `path`; None where there is none that can be read."""
    try:
        return dict(_read(path, mapped=True)["run"])
    except RunError:
        return None


def refuse_other_state(path: Path, run: dict[str, Any]) -> None:
    """Make sure that the state at `path` is there and is this run's, without reading its weights.

    Raises:
        RunError: as `load_state`.
    """
    _refuse_differing(path, _read(path, mapped=True)["run"], run)


def load_state(path: Path, run: dict[str, Any]) -> tuple[Progress, dict[str, Any]]:
    """Read what `save_state` wrote, for the same run.

    Raises:
        RunError: there is nothing to go on from, the file is cut short, or it belongs to another run.
    """
    content = _read(path, mapped=False)
    _refuse_differing(path, content["run"], run)
    return Progress(**content["progress"]), content


def _read(path: Path, *, mapped: bool) -> dict[str, Any]:
    """What the file holds; if `mapped`, its tensors stay on the disk.

    Raises:
        RunError: there is no file, or it cannot be read.
    """
    if not path.exists():
        raise RunError(f"{path.parent} holds no run to go on with (no {path.name}): leave out --resume.")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise RunError(f"{path}: cannot be read; is it cut short? ({str(error).splitlines()[0]})") from None
    return content


def _refuse_differing(path: Path, found: dict[str, Any], run: dict[str, Any]) -> None:
    differing = [name for name in run if found.get(name) != run[name] and not _same_recipe(found.get(name), run[name])]
    if differing:
        raise RunError(
            f"{path.parent} holds another run ({', '.join(differing)} differ): resume with the same settings, "
            "or choose another --out."
        )


def _same_recipe(found: object, own: object) -> bool:
    """Whether two texts are one recipe: an older version wrote it without the fields that have come since, all of which
    have defaults.
    """
    if not isinstance(found, str) or not isinstance(own, str):
        return False
    try:
        return Recipe.model_validate_json(found) == Recipe.model_validate_json(own)
    except ValidationError:  # no recipe at all, or one with fields that this version does not know
        return False
