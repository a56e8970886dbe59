"""The training loop: trains on batches, validates after each epoch, and writes the files of the run."""

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from marey.backends.device import explain_missing_operators, on_device
from marey.backends.precision import autocast, computing_in
from marey.base.errors import RunError
from marey.base.processes import processes
from marey.base.reporter import SilentReporter, notice, progress, reporting, warning, warning_once
from marey.base.runs import BEST, LAST
from marey.base.words import counted, percent
from marey.classifier import Classifier
from marey.data.files.identity import Identities
from marey.data.files.quarantine import Broken, Quarantine, broken_list
from marey.data.lists.manifest import Manifest
from marey.data.loading.loader import Batch
from marey.models.freeze import hold_frozen
from marey.recipe import CosineSchedule
from marey.tasks.choose import task_of
from marey.tasks.task import Loss, Validation, ValidationMetrics
from marey.training.batches import RunBatches
from marey.training.distributed import StopSignals, any_process, gathered, summed
from marey.training.ema import AveragedWeights
from marey.training.folder import RunFolder
from marey.training.logs import EpochRecord, RunLog, write_tensorboard
from marey.training.norms import measure_norms
from marey.training.optimizers import build_optimizer, set_lr
from marey.training.sharding import load_network, load_optimizer, unsharded
from marey.training.state import Progress
from marey.training.step import BatchLoss, GradientStep

_STARVED = 0.3
"""Share of an epoch's time, 0 to 1, spent waiting for batches, above which epochs 2 and 5 print a warning."""


@dataclass(frozen=True)
class _EpochStart:
    """Clocks and counters at the beginning of an epoch, or where a run was resumed inside it."""

    time: float
    """The time of the clock `time.monotonic()`, in seconds."""
    waited: float
    """Seconds that the loader has waited for batches so far."""
    clips: float
    """Clips of the epoch that are already counted in `TrainingLoop.sums`."""


class TrainingLoop:
    """One training run, from its beginning or resumed.

    Args:
        fabric: The processes of the run, each with its device.
        classifier: The classifier whose network is trained. It is initialised, and what the recipe freezes is frozen.
        batches: The batches of training and validation, and the recipe that the run follows.
        loss: Computes, from logits and targets of a micro-batch, the sum of the loss over its clips.
        folder: The run's folder, where all files are written.
        micro_batch: Clips per micro-batch of one process.
        max_broken: Broken files that are tolerated, as a share of the videos for training and validation together, 0 to
            1; None: 1 % of them, or three files if that is more.
        checkpoint_minutes: Within an epoch, the state is written after this number of minutes.
        missing: Paths of files that a warning has already named as missing.
        tensorboard: Whether to write the numbers of each epoch for TensorBoard, too.
    """

    def __init__(
        self, fabric: Fabric, classifier: Classifier, batches: RunBatches, loss: Loss, folder: RunFolder,
        *, micro_batch: int, max_broken: float | None, checkpoint_minutes: float, tensorboard: bool,
        missing: Collection[str] = (),
    ) -> None:  # fmt: skip
        recipe, train = batches.recipe, batches.recipe.train
        self.fabric, self.batches, self.recipe, self.folder = fabric, batches, recipe, folder
        self.checkpoint_seconds, self.tensorboard = checkpoint_minutes * 60, tensorboard
        network, self.normalise = classifier.network, classifier.preprocess
        if fabric.device.type == "cuda" and processes().world > 1 and train.norm_batch is None:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        self.network, self.task = network, task_of(recipe.task)
        self.trained = self.task.trained(network)
        self.model = fabric.setup_module(self.trained)
        # Sharded strategies replace parameters in `setup_module`, so what refers to parameters is built after it.
        self.optimizer = build_optimizer(network, train)
        self.average = AveragedWeights(network, train.ema) if train.ema is not None else None
        self.step = GradientStep(
            fabric, self.model, train, loss, self.normalise,
            count_correct=self.task.count_correct, micro_batch=micro_batch, seed=batches.seed,
        )  # fmt: skip
        total = len(batches.train) + (0 if batches.val is None else len(batches.val))
        self.broken = Quarantine(
            broken_list(folder.path) if self.first else None, total=total, max_share=max_broken, announced=missing
        )
        self.at = Progress()
        self.classifier = classifier
        self.trained_on: Identities | None = classifier.trained_on or Identities()
        """The identities of the videos trained on so far; None: the run was resumed from the state of a version without
        them."""
        self.new_identities: set[int] = set()
        """Identities of the videos that this process trained on since `_join_identities` was last called."""
        self.sums = torch.zeros(3, dtype=torch.float64)
        """Sums [3] over this epoch so far: loss times clips, right predictions, clips. They are those of this process;
        after a resume inside the epoch, the first process also has what all processes summed up before."""
        self.epoch_start = self._epoch_start()
        self.saved = time.monotonic()
        self.interrupted = False
        """Whether Ctrl-C stopped the run."""

    @property
    def first(self) -> bool:
        """Whether this is the first process, which alone writes files and prints."""
        return processes().first

    # -- the loop

    def run(self, *, resume: bool) -> Progress:
        """Train until the last epoch ends, early stopping (`train.stop_after`) ends the run, or a signal asks to stop.

        Args:
            resume: Whether to continue from the state in the folder, last.ckpt.

        Returns:
            How far training has come: epoch, batch, step and best score.

        Raises:
            RunError: the loss is not finite, too many files are broken, or the folder holds no state of this run.
        """
        train, device = self.recipe.train, self.fabric.device
        if resume:
            self._restore()
        log = RunLog(self.folder.path, resume_step=self.at.step if resume else None) if self.first else None
        self._announce()
        self._set_training()
        with (
            StopSignals() as stop, explain_missing_operators(device), computing_in(train.precision),
            progress("Training", total=len(self.batches.loader), unit="steps") as bar,
        ):  # fmt: skip
            for batch in self.batches.loader:
                rate = self.batches.learning_rate(self.at.step)
                set_lr(self.optimizer, rate)
                self.optimizer.zero_grad()
                loss = self.step.forward_backward(batch, self.at.step)
                self._refuse_infinite(loss, rate)
                if train.clip_norm is not None:
                    self.fabric.clip_gradients(
                        self.model, self.optimizer, max_norm=train.clip_norm, error_if_nonfinite=False
                    )
                self.optimizer.step()
                self._count(batch, loss)
                if self.average is not None:
                    self.average.update(self.at.step)
                if log is not None:
                    epoch, value = batch["index"].epoch, loss.mean.item()
                    log.step(step=self.at.step, epoch=epoch, loss=value, lr=rate)
                    bar.advance(note=f"epoch {epoch + 1}/{self.batches.epochs} loss {value:.3f}")
                due = time.monotonic() - self.saved > self.checkpoint_seconds
                asked, due, broken = any_process(self.fabric, stop.received, due, bool(batch["broken"]))
                if broken:
                    self._record(batch["broken"])
                if batch["index"].last:
                    self._end_epoch(batch["index"].epoch, log)
                elif asked or due:
                    self._save()
                if asked or self.at.epoch >= self.batches.epochs:
                    self.interrupted = stop.interrupted
                    break
        return self.at

    def _set_training(self) -> None:
        self.network.train()
        hold_frozen(self.network, self.recipe.train.frozen_norms)

    def _refuse_infinite(self, loss: BatchLoss, rate: float) -> None:
        if not torch.isfinite(loss.mean):
            raise RunError(
                f"the loss is {loss.mean.item()} at step {self.at.step}: try a smaller learning rate "
                f"(--set train.optimizer.lr={rate / 10:.1g}), clipping (--set train.clip_norm=5) or --precision float32."
            )

    def _count(self, batch: Batch, loss: BatchLoss) -> None:
        """Count a finished step, and add its loss to the sums of the epoch."""
        self.at.step += 1
        self.at.epoch, self.at.batch = batch["index"].next
        self.sums += loss.sums
        self.new_identities.update(batch.get("identity", ()))

    def _record(self, broken: Sequence[Broken]) -> None:
        """Record the broken files that any process found. Every process counts them; the first one lists them and warns."""
        with nullcontext() if self.first else reporting(SilentReporter()):
            for found in chain.from_iterable(gathered(broken)):
                self.broken.record(found)

    # -- after each epoch

    def _end_epoch(self, epoch: int, log: RunLog | None) -> None:
        """Measure batch norms, validate, log and save."""
        record = self._training_record(epoch)
        with nullcontext() if self.average is None else self.average.in_network():
            if self.recipe.train.precise_norms is not None:
                self._measure_norms(epoch, self.recipe.train.precise_norms)
            validation = None if self.batches.val is None else self._validate(self.batches.val)
        if validation is not None and validation.score > self.at.best_score:
            self.at.best_score, self.at.best_epoch = validation.score, epoch
            self._write_weights(BEST)
        patience = self.recipe.train.stop_after
        stopped = patience is not None and 0 <= self.at.best_epoch <= epoch - patience
        if stopped:
            self.at.epoch, self.at.batch = self.batches.epochs, 0
        record = replace(record, validation=validation, broken=len(self.broken))
        if log is not None:
            # The row is written before the state. A run that is killed in between resumes from the older state; it removes
            # the row and writes it again.
            log.epoch(record)
        self._save()
        if log is not None:
            self._tell(record)
            if stopped and patience is not None:
                notice(f"stopped: the validation score has not risen for {counted(patience, 'epoch')}")
        self._set_training()
        self.epoch_start = self._epoch_start()

    def _epoch_start(self) -> _EpochStart:
        return _EpochStart(time.monotonic(), self.batches.loader.waited, float(self.sums[2]))

    def _training_record(self, epoch: int) -> EpochRecord:
        """The record of an epoch's training; resets the sums for the next epoch."""
        start, sums = self.epoch_start, summed(self.fabric, self.sums)
        seconds = max(time.monotonic() - start.time, 1e-9)
        clips = (float(self.sums[2]) - start.clips) * processes().world
        self.sums = torch.zeros_like(self.sums)
        return EpochRecord(
            epoch=epoch + 1, step=self.at.step, lr=self.batches.learning_rate(self.at.step),
            seconds=round(seconds, 2), train_loss=float(sums[0] / sums[2]),
            train_top1=None if self.task.count_correct is None else float(sums[1] / sums[2]),
            clips_per_second=round(clips / seconds, 1),
            waited_share=round((self.batches.loader.waited - start.waited) / seconds, 3), broken=len(self.broken),
        )  # fmt: skip

    def _validate(self, val: Manifest) -> Validation:
        broken: list[Broken] = []
        batches = _noting(self.batches.validation(val), broken)
        found = validate(self.fabric, self.network, batches, self.task.validation_metrics(), self._outputs)
        self._record(broken)
        return found

    def _measure_norms(self, epoch: int, count: int) -> None:
        """Set batch norms to precise statistics, over the first `count` global batches of the epoch that has just ended."""

        def passes() -> Iterator[Tensor]:
            for batch in self.batches.first(epoch, count):
                clips = on_device(batch["clip"], self.fabric.device)
                number = self.step.count(batch["size"])
                yield from (clips[first::number] for first in range(number))

        measure_norms(
            self.network, passes(), self._outputs,
            frozen=self.recipe.train.frozen_norms, summed=lambda sums: summed(self.fabric, sums),
        )  # fmt: skip

    def _outputs(self, frames_BTHWC: Tensor) -> Tensor:
        """From uint8 frames of the loader, on the device, to the input of the task's loss, usually logits [B, K]."""
        with autocast(self.fabric.device, self.recipe.train.precision):
            outputs: Tensor = self.trained(self.normalise(frames_BTHWC))
        return outputs

    # -- files

    def _save(self) -> None:
        """Write the training state and the last weights. Every process has to call it, for each may hold other shards."""
        self.saved = time.monotonic()
        trained_on = self._join_identities()
        state: dict[str, Any] = {
            "trained_on": None if trained_on is None else trained_on.text,
            "model": unsharded(self.network.state_dict(), keep=self.first),
            "optimizer": unsharded(self.optimizer.state_dict(), keep=self.first),
            "sums": summed(self.fabric, self.sums),
        }
        if self.average is not None:
            state["average"] = unsharded(self.average.state_dict(), keep=self.first)
        self.folder.save_state(self.at, state)
        self._write_weights(LAST)

    def _write_weights(self, name: str) -> None:
        """Write the weights for testing: the averaged weights if the recipe has `ema`."""
        facts = {"epoch": self.at.epoch, "step": self.at.step}
        weights = self.network if self.average is None else self.average
        self.folder.write_weights(
            name, unsharded(weights.state_dict(), keep=self.first), facts, self._join_identities()
        )

    def _join_identities(self) -> Identities | None:
        """Add the new identities of all processes to `trained_on`, and return it. Every process has to call this."""
        new = set[int]().union(*gathered(self.new_identities))
        self.new_identities = set()
        self.trained_on = None if self.trained_on is None else self.trained_on | new
        self.classifier.trained_on = self.trained_on
        return self.trained_on

    def _restore(self) -> None:
        """Load everything from the state in the folder."""
        self.at, saved = self.folder.load_state()
        load_network(self.network, saved["model"])
        load_optimizer(self.optimizer, saved["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(saved["average"])
        noted = saved.get("trained_on")
        self.trained_on = None if noted is None else Identities.from_text(noted)
        if self.first:  # the file holds the sum over all processes
            self.sums = saved["sums"]
        planned = int(json.loads(saved["run"]["recipe"])["train"]["epochs"])
        if planned != self.recipe.train.epochs:
            # After early stopping, the state counts all planned epochs as done: take the epoch from the step.
            self.at.epoch, self.at.batch, _ = self.batches.calendar.locate(self.at.step)
            self._tell_of_epochs(planned)
        self.batches.loader.load_state_dict({"epoch": self.at.epoch, "batch": self.at.batch})
        self.epoch_start = self._epoch_start()
        done, epochs = counted(self.at.step, "step"), self.batches.epochs
        if self.at.epoch < epochs:
            notice(f"resumed in epoch {self.at.epoch + 1} of {epochs}, after {done}")
        else:
            notice(f"trained to its end already, {counted(epochs, 'epoch')}; with more epochs it is resumed")

    # -- messages

    def _tell_of_epochs(self, planned: int) -> None:
        schedule, epochs = self.recipe.train.schedule, self.recipe.train.epochs
        follows = isinstance(schedule, CosineSchedule) and schedule.length is None
        rates = (
            f"; the learning rate follows the schedule of {counted(epochs, 'epoch')} from step {self.at.step} on"
            if follows
            else ""
        )
        notice(f"continues to {counted(epochs, 'epoch')} in place of {planned}{rates}")

    def _announce(self) -> None:
        recipe, device, world = self.recipe, self.fabric.device, processes().world
        parameters = sum(p.numel() for p in self.network.parameters())
        beside = f", {counted(world, 'process')}" if world > 1 else ""
        notice(
            f"training {recipe.name}: {parameters / 1e6:.2f} M parameters, {counted(len(self.batches.train), 'video')}, "
            f"{self.batches.describe()} on {device}, {recipe.train.precision}{beside}"
        )
        if world > 1 and device.type == "cpu" and recipe.train.norm_batch is None:
            warning_once("batch norms see each process's own clips: synchronised batch norm needs CUDA")

    def _tell(self, record: EpochRecord) -> None:
        trained = "" if record.train_top1 is None else f"  train top-1 {percent(record.train_top1)}"
        metrics = () if record.validation is None else record.validation.metrics
        validated = "".join(f"  val {one.title} {percent(one.value)}" for one in metrics if one.shown == "line")
        notice(
            f"epoch {record.epoch}/{self.batches.epochs}  loss {record.train_loss:.3f}{trained}{validated}  "
            f"{record.clips_per_second:.0f} clips/s"
        )
        if record.waited_share > _STARVED and record.epoch in (2, 5):
            warning(
                f"waiting for videos took {percent(record.waited_share, 0)} of the time: more --workers, or videos of a "
                "shorter side, would help"
            )
        if self.tensorboard:
            write_tensorboard(self.folder.path, record)


@torch.inference_mode()
def validate(
    fabric: Fabric,
    network: nn.Module,
    batches: Iterable[Batch],
    metrics: ValidationMetrics,
    forward: Callable[[Tensor], Tensor],
) -> Validation:
    """The loss and metrics of `network` on the centre clip of every validation video. Leaves the network in eval mode.

    All processes get the running statistics of the first process, which are the saved ones.

    Args:
        fabric: The processes of the run.
        network: The network.
        batches: This process's batches of centre clips.
        metrics: Accumulates the metrics of the recipe's task; must be new.
        forward: From uint8 frames [B, T, H, W, C] of the loader, on the device, to the input of the task's loss,
            usually logits [B, K].
    """
    network.eval()
    if processes().world > 1:
        for buffer in network.buffers():
            torch.distributed.broadcast(buffer, 0)
    for batch in batches:
        outputs = forward(on_device(batch["clip"], fabric.device)).float()
        metrics.add(outputs, on_device(batch["target"], fabric.device))
    rows = [np.concatenate(arrays) for arrays in zip(*gathered(metrics.rows()), strict=True)]
    return metrics.result(summed(fabric, metrics.sums), rows)


def _noting(batches: Iterable[Batch], broken: list[Broken]) -> Iterator[Batch]:
    """Yield the batches, and add the broken files that were found in them to `broken`."""
    for batch in batches:
        broken += batch["broken"]
        yield batch
