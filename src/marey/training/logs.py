"""The logs of a run: log.csv has a row per epoch, log.jsonl a line per step."""

import csv
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marey.base.errors import RunError
from marey.base.files import atomic_path
from marey.tasks.task import Validation

_LOSSES = ("epoch", "step", "lr", "train_loss", "train_top1", "val_loss", "val_top1", "val_top5", "val_map")
_SPEED = ("seconds", "clips_per_second", "waited_share", "broken")
"""`_LOSSES` and `_SPEED` are the columns of version 0.1.0. Every log.csv has them, empty ones too; the columns of other
metrics are between the two."""


@dataclass(frozen=True)
class EpochRecord:
    """The numbers of one epoch. Accuracies and shares are 0 to 1."""

    epoch: int
    """The number of the epoch, counted from 1."""
    step: int
    """Optimiser steps since the beginning of the run."""
    lr: float
    """The learning rate of the next step."""
    seconds: float
    """Duration of the epoch's training, without validation, in seconds."""
    train_loss: float
    """Mean loss over the clips of the epoch."""
    train_top1: float | None
    """Share of right predictions on the training clips, 0 to 1; None if the task counts none."""
    clips_per_second: float
    """Clips trained per second, over all processes."""
    waited_share: float
    """The share of the time that this process waited for batches, 0 to 1."""
    broken: int
    """Number of broken files since the beginning of the run."""
    validation: Validation | None = None
    """The loss and metrics of the validation; None without validation."""

    def values(self) -> dict[str, float]:
        """The numbers that are not None, by the names of the columns."""
        found = {"epoch": self.epoch, "step": self.step, "lr": self.lr, "train_loss": self.train_loss}
        if self.train_top1 is not None:
            found["train_top1"] = self.train_top1
        if self.validation is not None:
            found["val_loss"] = self.validation.loss
            found |= {f"val_{metric.name}": metric.value for metric in self.validation.metrics}
        return found | {
            "seconds": self.seconds, "clips_per_second": self.clips_per_second,
            "waited_share": self.waited_share, "broken": self.broken,
        }  # fmt: skip


def require_tensorboard() -> None:
    """Check that the extra `tensorboard` of Marey is installed.

    Raises:
        RunError: it is not installed.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError:
        raise RunError("--logger tensorboard needs the extra: pip install 'marey[tensorboard]'.") from None


def write_tensorboard(out: Path, record: EpochRecord) -> None:
    """Add an epoch's numbers to the folder tensorboard/."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(out / "tensorboard")) as writer:
        for name, value in record.values().items():
            if name not in ("epoch", "step"):
                writer.add_scalar(name, value, record.step)


class RunLog:
    """Writes log.csv and log.jsonl. A resumed run first removes the entries after `resume_step`."""

    def __init__(self, out: Path, *, resume_step: int | None) -> None:
        self.rows_path, self.lines_path = out / "log.csv", out / "log.jsonl"
        self.rows: list[dict[str, Any]] = []
        if resume_step is None:
            self.lines_path.unlink(missing_ok=True)
            self.rows_path.unlink(missing_ok=True)
        else:
            self._forget_after(resume_step)

    def step(self, *, step: int, epoch: int, loss: float, lr: float) -> None:
        """Add a line to log.jsonl, with the time in seconds since 1970."""
        values = {"step": step, "epoch": epoch, "loss": loss, "lr": lr, "time": round(time.time(), 3)}
        with self.lines_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")

    def epoch(self, record: EpochRecord) -> None:
        """Add a row to log.csv."""
        self.rows.append(record.values())
        self._write_rows()

    def _write_rows(self) -> None:
        others = dict.fromkeys(name for row in self.rows for name in row if name not in _LOSSES + _SPEED)
        with (
            atomic_path(self.rows_path) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, [*_LOSSES, *others, *_SPEED], lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)

    def _forget_after(self, step: int) -> None:
        if self.rows_path.exists():
            with self.rows_path.open(newline="", encoding="utf-8") as file:
                self.rows = [dict(row) for row in csv.DictReader(file) if int(row["step"]) <= step]
            self._write_rows()
        if self.lines_path.exists():
            lines = []
            for line in self.lines_path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    if json.loads(line).get("step", 0) <= step:
                        lines.append(line)
                except json.JSONDecodeError:  # a line that was cut off when the process was killed
                    continue
            with atomic_path(self.lines_path) as temporary:
                temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def finished_epochs(out: Path) -> int:
    """The number of epochs in the log of the run in this folder; 0 if there is no log."""
    try:
        with (out / "log.csv").open(newline="", encoding="utf-8") as file:
            return sum(1 for _ in csv.DictReader(file))
    except FileNotFoundError:
        return 0
