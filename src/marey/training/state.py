"""All that a run goes on from: one file, written whole at the end of epochs, now and then, and when asked to stop."""

import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from marey.base.errors import RunError
from marey.base.files import atomic_path


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
        # Mapped: the weights stay on the disk.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError):
        return None
    return dict(content["run"])


def load_state(path: Path, run: dict[str, Any]) -> tuple[Progress, dict[str, Any]]:
    """Read what `save_state` wrote, for the same run.

    Raises:
        RunError: there is nothing to go on from, the file is cut short, or it belongs to another run.
    """
    if not path.exists():
        raise RunError(f"{path.parent} holds no run to go on with (no {path.name}): leave out --resume.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise RunError(f"{path}: cannot be read; is it cut short? ({str(error).splitlines()[0]})") from None
    differing = [name for name in run if content["run"].get(name) != run[name]]
    if differing:
        raise RunError(
            f"{path.parent} holds another run ({', '.join(differing)} differ): resume with the same settings, "
            "or choose another --out."
        )
    return Progress(**content["progress"]), content
