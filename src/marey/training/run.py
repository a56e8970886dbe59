"""One training run: its data, its folder, and what happens after each step and epoch."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from marey.base.errors import RecipeError, RunError
from marey.base.processes import rank, world_size
from marey.base.progress import progress, say
from marey.data.catalogue.mirror import swaps_of
from marey.data.clips import ClipDataset
from marey.data.loader import ClipLoader
from marey.data.manifest import Manifest
from marey.data.quarantine import Quarantine, broken_list
from marey.models.layers.freeze import hold_frozen
from marey.models.network import Network
from marey.recipe import Recipe
from marey.training.ema import AveragedWeights
from marey.training.engine import Stop, drive
from marey.training.folder import RunFolder
from marey.training.logs import RunLog, write_tensorboard
from marey.training.losses import training_loss
from marey.training.module import TrainModule
from marey.training.multigrid import phase_at, phases_of, views_of
from marey.training.norms import measure_norms
from marey.training.schedules import Calendar
from marey.training.state import Progress
from marey.training.validation import judge_of, validate
from marey.video.pixels import CentreView

_STARVED = 0.3
"""Above this share of time spent waiting for batches, the user is told."""


@dataclass(frozen=True)
class FitResult:
    """Where a run left its files. `best` is the epoch with the highest validation score (absent without validation):
    top-1, or mean average precision with several labels per video.
    """

    out: Path
    last: Path
    best: Path | None
    epochs: int
    steps: int
    best_score: float | None
    finished: bool
    """False where the run was asked to stop; it goes on with `resume=True`."""


class Run:
    """One training run. `claimed` holds its folder, `train` does the work."""

    def __init__(
        self, recipe: Recipe, train: Manifest, val: Manifest | None, out: Path,
        *, seed: int, workers: int | None, max_broken: float, tensorboard: bool,
    ) -> None:  # fmt: skip
        self.recipe, self.train_list, self.val_list = recipe, train, val
        self.seed, self.workers, self.max_broken = seed, workers, max_broken
        self.rank, self.world = rank(), world_size()
        identity = {
            "recipe": recipe.model_dump_json(),
            "data": train.fingerprint,
            "validation": val.fingerprint if val is not None else "",
            "seed": seed,
        }
        self.folder = RunFolder(out, recipe, train.class_names, identity, writes=self.first)
        self.tensorboard = tensorboard
        self.phases = phases_of(recipe)
        self.shapes = list(dict.fromkeys(shape for phase in self.phases for shape in phase.shapes))
        self.epochs = self.phases[-1].until if self.phases else recipe.train.epochs
        self.clips = ClipDataset(
            train, recipe.clip, recipe.augment, seed=seed, pixels=recipe.pixels,
            shapes=views_of(recipe, self.shapes),
            appearance=recipe.appearance, swaps=swaps_of(recipe.augment, train.class_names), flow=recipe.flow,
        )  # fmt: skip
        self.at = Progress()
        self.stop = Stop()

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def claimed(self, resume: bool) -> AbstractContextManager[None]:
        """Hold the folder while the run works there.

        Raises:
            RunError: another run lives there and `resume` was not asked for.
        """
        return self.folder.claimed(resume, {"videos": len(self.train_list), "processes": self.world})

    # -- the run

    def train(
        self, network: nn.Module, *, batch: int | None, device: torch.device, resume: bool, checkpoint_minutes: float
    ) -> FitResult:
        train, count = self.recipe.train, len(self.train_list)
        self.loader = self._loader(self.clips, epochs=self.epochs)
        lengths = [self.loader.epoch_batches(epoch) for epoch in range(self.epochs)]
        self.module = TrainModule(
            network, self.recipe, loss=training_loss(self.recipe, self.train_list),
            calendar=Calendar(lengths), part=self._part(batch), seed=self.seed, after_step=self._after_step,
        )  # fmt: skip
        self.network, self.seconds_between = network, checkpoint_minutes * 60
        self.average = AveragedWeights(network, train.ema) if train.ema is not None else None
        self.broken = Quarantine(
            broken_list(self.folder.path) if self.first else None, total=count, max_share=self.max_broken
        )
        self.saved_optimizer: dict[str, Any] | None = None
        if resume:
            self._go_on()
        self.log = RunLog(self.folder.path, resume_step=self.at.step if resume else None) if self.first else None
        self._announce(device)
        steps_left = len(self.loader)
        if steps_left:
            self._epoch_begins()
            self.saved = time.monotonic()
            with progress("Training", total=steps_left if self.first else 0, unit="steps") as self.bar:
                drive(self.module, self.loader, self.stop, device=device, begins=self._begins)
        return self._result()

    @property
    def kept(self) -> nn.Module:
        """What is validated, saved and tested: the average of the weights where there is one."""
        return self.network if self.average is None else self.average.network

    def _loader(self, dataset: ClipDataset, *, epochs: int) -> ClipLoader:
        """Training batches as the recipe draws them; or a list as it stands, once."""
        train = self.recipe.train
        training = dataset is self.clips
        return ClipLoader(
            dataset, global_batch=train.base_batch, epochs=epochs, seed=self.seed, workers=self.workers,
            rank=self.rank, world=self.world, draw=train.draw if training else None,
            repeats=train.repeats if training else 1, cycle=self._cycle if training and self.phases else None,
        )  # fmt: skip

    def _cycle(self, epoch: int) -> tuple[tuple[int, int], ...]:
        """The batches of an epoch of multigrid training in turn: videos, and the place of their shape."""
        base = self.recipe.train.base_batch
        return tuple((base * s.batch, self.shapes.index(s)) for s in phase_at(self.phases, epoch).shapes)

    def _part(self, batch: int | None) -> int:
        """How many clips this process passes at once.

        Raises:
            RecipeError: batch norms are to see more clips than this process has, or may pass.
        """
        train = self.recipe.train
        share = -(-train.base_batch * train.repeats // self.world)
        if train.norm_batch is None:
            return batch or share
        if share % train.norm_batch or (train.base_batch * train.repeats) % self.world:
            raise RecipeError(
                f"train.norm_batch={train.norm_batch} does not divide the {share} clips that each of {self.world} "
                "processes has of a step: change it, train.base_batch or the number of processes, or let batch norms see "
                "whatever a pass holds (--set train.norm_batch=null)."
            )
        if batch is not None and batch < train.norm_batch:
            raise RecipeError(
                f"--batch {batch}: batch norms are to see train.norm_batch={train.norm_batch} clips at once: pass as many, "
                "or --set train.norm_batch=null."
            )
        return train.norm_batch

    def _go_on(self) -> None:
        self.at, saved = self.folder.load_state()
        self.network.load_state_dict(saved["model"])
        if self.average is not None:
            self.average.network.load_state_dict(saved["average"])
        self.saved_optimizer = saved["optimizer"]
        self.module.step, self.module.sums = self.at.step, saved["sums"]
        self.loader.load_state_dict({"epoch": self.at.epoch, "batch": self.at.batch})
        if self.first:
            say(f"going on at epoch {self.at.epoch + 1}, step {self.at.step}")

    def _announce(self, device: torch.device) -> None:
        if not self.first:
            return
        train = self.recipe.train
        parameters = sum(p.numel() for p in self.network.parameters())
        say(
            f"training {self.recipe.name}: {parameters / 1e6:.2f} M parameters, {len(self.train_list)} videos, "
            f"{self._plan()} on {device}, {train.precision}"
        )
        if self.world > 1 and device.type == "cpu" and train.norm_batch is None:
            say("batch norms see each process's own clips: synchronised batch norm needs CUDA")

    def _plan(self) -> str:
        """How long training is, in words."""
        clips, lengths = self.recipe.train.base_batch * self.recipe.train.repeats, self.module.calendar.lengths
        if not self.phases:
            return f"{self.epochs} epochs of {lengths[0]} steps of {clips} clips"
        sizes = sorted(
            {f"{s.frames}x{s.side}" for s in self.shapes}, key=lambda text: [int(n) for n in text.split("x")]
        )
        most = clips * max(shape.batch for shape in self.shapes)
        return f"{self.epochs} epochs, {sum(lengths)} steps of {clips} to {most} clips of {', '.join(sizes)}"

    def _begins(self) -> None:
        """The device is known and the optimiser exists: give both what they lack."""
        if self.average is not None:
            self.average.network.to(self.module.device)
        if self.saved_optimizer is not None:
            self.module.trainer.optimizers[0].load_state_dict(self.saved_optimizer)
            self.saved_optimizer = None

    # -- after steps and epochs

    def _after_step(self, batch: dict[str, Any]) -> None:
        place = batch["place"]
        self.at.step = self.module.step
        self.at.epoch, self.at.batch = (place.epoch + 1, 0) if place.last else (place.epoch, place.number + 1)
        if self.average is not None:
            self.average.update(self.network, self.at.step)
        for found in batch["broken"]:
            self.broken.record(found)
        if self.log is not None:
            self.log.step(step=self.module.step, epoch=place.epoch, loss=batch["loss"], lr=batch["lr"])
            self.bar.advance(note=f"epoch {place.epoch + 1}/{self.epochs} loss {batch['loss']:.3f}")
        if place.last:
            self._after_epoch(place.epoch)
        elif self.stop.asked or time.monotonic() - self.saved > self.seconds_between:
            self.save()
        self.module.stopped = self.stop.asked

    def _epoch_begins(self) -> None:
        self.epoch_start, self.waited_before = time.monotonic(), self.loader.waited
        self.clips_before = float(self.module.sums[2])

    def _after_epoch(self, epoch: int) -> None:
        row = self._trained(epoch)
        if self.recipe.train.precise_norms is not None:
            self._measure_norms(epoch)
        if self.val_list is not None:
            row |= self._validate(self.val_list)
            self._note_best(row[judge_of(self.recipe.task).score], epoch)
        self.module.train()
        hold_frozen(self.network, self.recipe.train.frozen_norms)
        self.save()
        if self.log is not None:
            self.log.epoch(**row)
            self._tell(row)
        self._epoch_begins()
        self._stop_early(epoch)

    def _trained(self, epoch: int) -> dict[str, Any]:
        """What is to be said of the epoch's training; its sums begin anew."""
        seconds = time.monotonic() - self.epoch_start
        clips = float(self.module.sums[2]) - self.clips_before
        waited = (self.loader.waited - self.waited_before) / max(seconds, 1e-9)
        sums = self.module.summed(self.module.sums)
        self.module.sums = torch.zeros_like(self.module.sums)
        right = {} if self.recipe.task.kind == "multilabel" else {"train_top1": float(sums[1] / sums[2])}
        return {
            "epoch": epoch + 1, "step": self.at.step, "lr": self.module.lr, "seconds": round(seconds, 2),
            "train_loss": float(sums[0] / sums[2]), **right,
            "clips_per_second": round(clips * self.world / seconds, 1), "waited_share": round(waited, 3),
            "broken": len(self.broken),
        }  # fmt: skip

    def _measure_norms(self, epoch: int) -> None:
        """True statistics over the first batches of the epoch that has just ended."""
        loader = self._loader(self.clips, epochs=epoch + 1)
        loader.load_state_dict({"epoch": epoch, "batch": 0})
        precision = self.module.trainer.precision_plugin

        def passes() -> Iterator[Tensor]:
            for batch in islice(loader, self.recipe.train.precise_norms):
                clips = self.module.transfer_batch_to_device(batch, self.module.device, 0)["clip"]
                parts = self.module.parts(batch["size"])
                yield from (clips[number::parts] for number in range(parts))

        def run(clips: Tensor) -> None:
            with precision.val_step_context():
                self.module.answer(self.kept, clips)

        frozen = self.recipe.train.frozen_norms
        measure_norms(self.kept, passes(), run, frozen=frozen, summed=self.module.summed)

    def _validate(self, val: Manifest) -> dict[str, float]:
        pixels = self.recipe.pixels
        centre = CentreView(pixels, self.recipe.augment.size)
        clips = ClipDataset(
            val, self.recipe.clip.validation(), centre, seed=self.seed, pixels=pixels, flow=self.recipe.flow
        )

        def batches() -> Iterator[dict[str, Any]]:
            for batch in self._loader(clips, epochs=1):
                for found in batch["broken"]:
                    self.broken.record(found)
                yield batch

        return validate(self.module, self.kept, batches())

    def _note_best(self, score: float, epoch: int) -> None:
        if score > self.at.best_score:
            self.at.best_score, self.at.best_epoch = score, epoch
            self._write_weights("best.safetensors")

    def _stop_early(self, epoch: int) -> None:
        patience = self.recipe.train.stop_after
        if patience is None or self.at.best_epoch < 0 or epoch - self.at.best_epoch < patience:
            return
        if self.first:
            say(f"stopped: the validation score has not risen for {patience} epochs")
        self.stop.asked = True
        self.at.epoch, self.at.batch = self.epochs, 0
        self.save()

    def _tell(self, row: dict[str, Any]) -> None:
        named = {"train_top1": "train top-1", "val_top1": "val top-1", "val_map": "val mAP"}
        shares = "".join(f"  {name} {row[key]:.1%}" for key, name in named.items() if key in row)
        say(
            f"epoch {row['epoch']}/{self.epochs}  loss {row['train_loss']:.3f}{shares}  "
            f"{row['clips_per_second']:.0f} clips/s"
        )
        if row["waited_share"] > _STARVED and row["epoch"] in (2, 5):
            say(
                f"waiting for videos took {row['waited_share']:.0%} of the time: more --workers, or videos of a shorter "
                "side, would help"
            )
        if self.tensorboard:
            write_tensorboard(self.folder.path, row)

    # -- files

    def save(self) -> None:
        """Write all that the run goes on from."""
        self.saved = time.monotonic()
        parts = {
            "model": self.network.state_dict(),
            "optimizer": self.module.trainer.optimizers[0].state_dict(),
            "sums": self.module.sums,
        }
        if self.average is not None:
            parts["average"] = self.average.network.state_dict()
        self.folder.save_state(self.at, parts)
        self._write_weights("last.safetensors")

    def _write_weights(self, name: str) -> None:
        facts: dict[str, Any] = {"epoch": self.at.epoch, "step": self.at.step}
        if not isinstance(self.network, Network):
            facts["module"] = f"{type(self.network).__module__}.{type(self.network).__qualname__}"
        self.folder.write_weights(name, self.kept, facts)

    def _result(self) -> FitResult:
        if torch.distributed.is_initialized():
            torch.distributed.barrier()  # nobody reads the files before the first process has written them
        finished = self.at.epoch >= self.epochs
        out = self.folder.path
        if not finished:
            raise RunError(f"stopped after step {self.at.step}; go on with --resume --out {out}")
        judged = self.at.best_epoch >= 0
        return FitResult(
            out=out, last=out / "last.safetensors", best=out / "best.safetensors" if judged else None,
            epochs=self.at.epoch, steps=self.at.step, best_score=self.at.best_score if judged else None,
            finished=finished,
        )  # fmt: skip
