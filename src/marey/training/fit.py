"""Train a network by its recipe: `marey.fit`."""

import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import Trainer
from torch import Tensor, nn

from marey.backends.device import pick_device
from marey.base.errors import RecipeError, RunError
from marey.base.files import write_json, write_text
from marey.base.processes import rank, world_size
from marey.base.progress import progress, say
from marey.data.clips import ClipDataset
from marey.data.formats import read_manifest
from marey.data.loader import ClipLoader, batches_of
from marey.data.manifest import Manifest
from marey.data.quarantine import Quarantine
from marey.models.layers.freeze import freeze, hold_frozen
from marey.models.layers.initialise import initialise
from marey.models.network import Network
from marey.recipe import Recipe
from marey.training.logs import RunLog
from marey.training.module import TrainModule
from marey.training.state import Progress, load_state, save_state
from marey.video.pixels import CentreView
from marey.weights.checkpoint import save_checkpoint
from marey.weights.load import build_network, load_model

STATE = "last.ckpt"
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STARVED = 0.3
"""Above this share of time spent waiting for batches, the user is told."""


@dataclass(frozen=True)
class FitResult:
    """Where a run left its files. `best` is the epoch with the highest validation top-1 (absent without validation)."""

    out: Path
    last: Path
    best: Path | None
    epochs: int
    steps: int
    best_top1: float | None
    finished: bool
    """False where the run was asked to stop; it goes on with `resume=True`."""


def fit(
    recipe: Recipe,
    *,
    train: Manifest | str | Path,
    val: Manifest | str | Path | None = None,
    out: str | Path,
    model: nn.Module | None = None,
    init: str | Path | None = None,
    seed: int = 0,
    batch: int | None = None,
    workers: int = 2,
    device: str = "auto",
    precision: str | None = None,
    resume: bool = False,
    root: str | Path | None = None,
    tensorboard: bool = False,
    checkpoint_minutes: float = 10.0,
    max_broken: float = 0.01,
) -> FitResult:
    """Train `recipe.model` (or a module of yours) on `train`, watch `val`, leave everything in `out`.

    Args:
        recipe: All that decides accuracy. Its base batch is reached by accumulation, whatever `batch` and processes.
        train, val: Manifests, or lists to read them from.
        out: The run's folder: recipe.yaml, log.csv, log.jsonl, last.safetensors, best.safetensors, last.ckpt.
        model: Your own module from a clip [B, C, T, H, W] to logits [B, K]; `recipe.model` is then not used.
        init: A checkpoint to start from (ours or an older toolkit's; another class count gets a new head), or "none".
        batch: Clips in one pass of this process.
        precision: "float32" or "bfloat16"; else the recipe's.
        resume: Go on with the run in `out`, bit for bit as if it had never stopped.
        checkpoint_minutes: How much work a crash may cost.
        max_broken: A larger share of broken files stops the run.

    Several processes: `torchrun --nproc-per-node N -m marey train ...`; only the first writes and prints.

    Raises:
        RunError: `out` holds another run, the loss is not finite, or too many files are broken.
        RecipeError: the recipe starts from weights that were not given.
    """
    train = train if isinstance(train, Manifest) else read_manifest(train, root=root)
    if val is not None and not isinstance(val, Manifest):
        val = read_manifest(val, root=root, classes=train.class_names)
    if precision is not None:
        recipe = recipe.variant(train={"precision": precision})
    run = _Run(
        recipe,
        train,
        val,
        Path(out),
        seed=seed,
        workers=workers,
        max_broken=max_broken,
        tensorboard=tensorboard,
    )
    run.claim(resume)
    torch.manual_seed(seed)
    network = model if model is not None else _start(recipe, train, init, resume)
    return run.train(network, batch=batch, device=device, resume=resume, checkpoint_minutes=checkpoint_minutes)


def _start(recipe: Recipe, train: Manifest, init: str | Path | None, resume: bool) -> Network:
    """The network as training finds it: initialised as the recipe says, or with weights from `init`."""
    if recipe.model.num_classes != len(train.class_names):
        raise RecipeError(
            f"{recipe.name} has {recipe.model.num_classes} classes, the training list {len(train.class_names)}: "
            f"--set model.num_classes={len(train.class_names)}."
        )
    if init is None and recipe.pretraining is not None and not resume:
        raise RecipeError(
            f"{recipe.name} starts from {recipe.pretraining} weights: name a checkpoint with --init FILE, "
            "or train from scratch with --init none."
        )
    how = recipe.train.initialisation
    if init is None or str(init) == "none":
        network = build_network(recipe, train.class_names)
        initialise(network, last_gamma_zero=how.last_gamma_zero, head_std=how.head_std)
    else:
        network = load_model(recipe, weights=init, allow_new_head=True)
        network.class_names = train.class_names
        say(str(network.load_report))
    freeze(network, stages=recipe.train.frozen_stages, norms=recipe.train.frozen_norms)
    return network


class _Run:
    """One training run: its data, its folder, and what happens after each step and epoch."""

    def __init__(
        self, recipe: Recipe, train: Manifest, val: Manifest | None, out: Path,
        *, seed: int, workers: int, max_broken: float, tensorboard: bool,
    ) -> None:  # fmt: skip
        self.recipe, self.train_list, self.val_list, self.out = recipe, train, val, out
        self.seed, self.workers, self.max_broken = seed, workers, max_broken
        self.rank, self.world = rank(), world_size()
        self.identity = {
            "recipe": recipe.model_dump_json(),
            "data": train.fingerprint,
            "validation": val.fingerprint if val is not None else "",
            "seed": seed,
        }
        self.tensorboard = tensorboard
        self.at = Progress()
        self.stopping = False

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def claim(self, resume: bool) -> None:
        """Take the folder.

        Raises:
            RunError: another run lives there and `resume` was not asked for.
        """
        taken = [name for name in (STATE, "log.csv", "scores.npz") if (self.out / name).exists()]
        if taken and not resume:
            raise RunError(f"{self.out} holds another run ({taken[0]}): go on with --resume, or choose another --out.")
        if self.first:
            self.out.mkdir(parents=True, exist_ok=True)
            write_text(self.out / "recipe.yaml", self.recipe.to_yaml())
            write_json(
                self.out / "run.json",
                self.identity | {"videos": len(self.train_list), "processes": self.world},
            )

    # -- the run

    def train(
        self, network: nn.Module, *, batch: int | None, device: str, resume: bool, checkpoint_minutes: float
    ) -> FitResult:
        train, count = self.recipe.train, len(self.train_list)
        clips = ClipDataset(
            self.train_list, self.recipe.clip, self.recipe.augment, seed=self.seed,
            pixels=self.recipe.pixels, flow=self.recipe.flow,
        )  # fmt: skip
        self.loader = self._loader(clips, epochs=train.epochs, shuffle=True)
        share = -(-train.base_batch // self.world)
        self.module = TrainModule(
            network, self.recipe, epoch_steps=batches_of(count, train.base_batch, self.world),
            part=min(batch or share, share), seed=self.seed, after_step=self._after_step,
        )  # fmt: skip
        self.network, self.parts_between = network, checkpoint_minutes * 60
        self.broken = Quarantine(
            self.out / "quarantine.jsonl" if self.first else None, total=count, max_share=self.max_broken
        )
        self.saved_state: dict[str, Any] | None = None
        if resume:
            self._go_on()
        self.log = RunLog(self.out, resume_step=self.at.step if resume else None) if self.first else None
        self._announce(device)
        self._drive(device)
        return self._result()

    def _loader(self, dataset: ClipDataset, *, epochs: int, shuffle: bool) -> ClipLoader:
        return ClipLoader(
            dataset, global_batch=self.recipe.train.base_batch, epochs=epochs, seed=self.seed, workers=self.workers,
            rank=self.rank, world=self.world, shuffle=shuffle,
        )  # fmt: skip

    def _go_on(self) -> None:
        self.at, self.saved_state = load_state(self.out / STATE, self.identity)
        self.network.load_state_dict(self.saved_state["model"])
        self.module.step, self.module.sums = self.at.step, self.saved_state["sums"]
        self.loader.load_state_dict({"epoch": self.at.epoch, "batch": self.at.batch})
        if self.first:
            say(f"going on at epoch {self.at.epoch + 1}, step {self.at.step}")

    def _announce(self, device: str) -> None:
        if not self.first:
            return
        train = self.recipe.train
        parameters = sum(p.numel() for p in self.network.parameters())
        say(
            f"training {self.recipe.name}: {parameters / 1e6:.2f} M parameters, {len(self.train_list)} videos, "
            f"{train.epochs} epochs of {self.module.epoch_steps} steps of {train.base_batch} clips on "
            f"{pick_device(device)}, {train.precision}"
        )
        if self.world > 1 and pick_device(device).type == "cpu":
            say("batch norms see each process's own clips: synchronised batch norm needs CUDA")

    def _drive(self, device: str) -> None:
        """Hand the module to Lightning's Trainer: devices, processes, precision."""
        self.steps_left = len(self.loader)
        if not self.steps_left:
            return
        self._epoch_begins(time.monotonic())
        self.saved = time.monotonic()
        with (
            _quiet_lightning(),
            _signals_restored(),
            progress("Training", total=self.steps_left if self.first else 0, unit="steps") as self.bar,
        ):
            trainer = self._trainer(device)
            self.module.on_fit_start = self._begins  # type: ignore[method-assign]
            trainer.fit(self.module, train_dataloaders=_Stream(self))

    def _trainer(self, device: str) -> Trainer:
        chosen = pick_device(device)
        local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        devices: int | list[int] = local if self.world > 1 or chosen.index is None else [chosen.index]
        if chosen.type == "cuda" and self.world > 1:
            self.module.model = nn.SyncBatchNorm.convert_sync_batchnorm(self.module.model)  # type: ignore[no-untyped-call]
        return Trainer(
            accelerator="gpu" if chosen.type == "cuda" else "cpu",
            devices=devices,
            num_nodes=self.world // local,
            strategy="ddp" if self.world > 1 else "auto",
            precision="bf16-mixed" if self.recipe.train.precision == "bfloat16" else "32-true",
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )

    def _begins(self) -> None:
        """The optimiser exists now: give it its state back."""
        if self.saved_state is not None:
            self.module.trainer.optimizers[0].load_state_dict(self.saved_state["optimizer"])
            self.saved_state = None

    def take_signals(self) -> None:
        """From here on Ctrl-C and SIGTERM end the run after the step in flight, with everything saved."""
        if threading.current_thread() is threading.main_thread():
            for number in _STOP_SIGNALS:
                signal.signal(number, self._ask_to_stop)

    def _ask_to_stop(self, number: int, frame: object) -> None:
        self.stopping = True

    # -- after steps and epochs

    def _after_step(self, batch: dict[str, Any]) -> None:
        place = batch["place"]
        self.at.step = self.module.step
        self.at.epoch, self.at.batch = (place.epoch + 1, 0) if place.last else (place.epoch, place.number + 1)
        for found in batch["broken"]:
            self.broken.record(found)
        if self.log is not None:
            self.log.step(step=self.module.step, epoch=place.epoch, loss=batch["loss"], lr=batch["lr"])
            self.bar.advance(note=f"epoch {place.epoch + 1}/{self.recipe.train.epochs} loss {batch['loss']:.3f}")
        if place.last:
            self._after_epoch(place.epoch)
        elif self.stopping or time.monotonic() - self.saved > self.parts_between:
            self.save()
        self.module.stopped = self.stopping

    def _epoch_begins(self, now: float) -> None:
        self.epoch_start, self.waited_before, self.clips_before = (
            now,
            self.loader.waited,
            float(self.module.sums[2]),
        )

    def _after_epoch(self, epoch: int) -> None:
        seconds = time.monotonic() - self.epoch_start
        clips = float(self.module.sums[2]) - self.clips_before
        waited = (self.loader.waited - self.waited_before) / max(seconds, 1e-9)
        sums = self._summed(self.module.sums)
        self.module.sums = torch.zeros_like(self.module.sums)
        row: dict[str, Any] = {
            "epoch": epoch + 1, "step": self.at.step, "lr": self.module.lr, "seconds": round(seconds, 2),
            "train_loss": float(sums[0] / sums[2]), "train_top1": float(sums[1] / sums[2]),
            "clips_per_second": round(clips * self.world / seconds, 1), "waited_share": round(waited, 3),
            "broken": len(self.broken),
        }  # fmt: skip
        if self.val_list is not None:
            row |= self._validate()
            self._note_best(row["val_top1"], epoch)
        self.save()
        if self.log is not None:
            self.log.epoch(**row)
            self._tell(row)
        self._epoch_begins(time.monotonic())
        patience = self.recipe.train.stop_after
        if patience is not None and self.at.best_epoch >= 0 and epoch - self.at.best_epoch >= patience:
            if self.first:
                say(f"stopped: validation top-1 has not risen for {patience} epochs")
            self.stopping = True
            self.at.epoch, self.at.batch = self.recipe.train.epochs, 0
            self.save()

    def _tell(self, row: dict[str, Any]) -> None:
        val = f"  val top-1 {row['val_top1']:.1%}" if "val_top1" in row else ""
        say(
            f"epoch {row['epoch']}/{self.recipe.train.epochs}  loss {row['train_loss']:.3f}  "
            f"train top-1 {row['train_top1']:.1%}{val}  {row['clips_per_second']:.0f} clips/s"
        )
        if row["waited_share"] > _STARVED and row["epoch"] in (2, 5):
            say(
                f"waiting for videos took {row['waited_share']:.0%} of the time: more --workers, or videos of a shorter "
                "side, would help"
            )
        if self.tensorboard:
            _write_tensorboard(self.out, row)

    def _note_best(self, top1: float, epoch: int) -> None:
        if top1 > self.at.best_top1:
            self.at.best_top1, self.at.best_epoch = top1, epoch
            if self.first:
                self._write_weights("best.safetensors")

    @torch.inference_mode()
    def _validate(self) -> dict[str, float]:
        """Loss and accuracy of the centre clip of every validation video; each video exactly once over all processes."""
        assert self.val_list is not None
        pixels = self.recipe.pixels
        centre = CentreView(pixels, self.recipe.augment.size)
        clips = ClipDataset(
            self.val_list, self.recipe.clip.validation(), centre, seed=self.seed, pixels=pixels, flow=self.recipe.flow
        )
        self.module.eval()
        sums = torch.zeros(4, dtype=torch.float64)
        for batch in self._loader(clips, epochs=1, shuffle=False):
            for found in batch["broken"]:
                self.broken.record(found)
            moved = self.module.transfer_batch_to_device(batch, self.module.device, 0)
            with self.module.trainer.precision_plugin.val_step_context():
                logits = self.module(moved["clip"]).float()
            sums += _judged(logits, moved["target"]).cpu()
        self.module.train()
        hold_frozen(self.module.model)
        loss, top1, top5, count = self._summed(sums).tolist()
        return {"val_loss": loss / count, "val_top1": top1 / count, "val_top5": top5 / count}

    def _summed(self, sums: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.world == 1:
            return sums
        total = sums.clone().to(self.module.device)
        torch.distributed.all_reduce(total)
        return total.cpu()

    # -- files

    def save(self) -> None:
        """Write all that the run goes on from."""
        self.saved = time.monotonic()
        if not self.first:
            return
        parts = {
            "model": self.network.state_dict(),
            "optimizer": self.module.trainer.optimizers[0].state_dict(),
            "sums": self.module.sums,
        }
        save_state(self.out / STATE, self.at, self.identity, parts)
        self._write_weights("last.safetensors")

    def _write_weights(self, name: str) -> None:
        provenance = {
            "run": self.identity["data"],
            "epoch": self.at.epoch,
            "step": self.at.step,
            "seed": self.seed,
        }
        if not isinstance(self.network, Network):
            provenance["module"] = f"{type(self.network).__module__}.{type(self.network).__qualname__}"
        save_checkpoint(self.out / name, self.network, self.recipe, self.train_list.class_names, provenance)

    def _result(self) -> FitResult:
        if torch.distributed.is_initialized():
            torch.distributed.barrier()  # nobody reads the files before the first process has written them
        finished = self.at.epoch >= self.recipe.train.epochs
        if not finished:
            raise RunError(f"stopped after step {self.at.step}; go on with --resume --out {self.out}")
        best = self.out / "best.safetensors"
        return FitResult(
            out=self.out, last=self.out / "last.safetensors", best=best if self.at.best_epoch >= 0 else None,
            epochs=self.at.epoch, steps=self.at.step,
            best_top1=self.at.best_top1 if self.at.best_epoch >= 0 else None, finished=finished,
        )  # fmt: skip


class _Stream:
    """The loader's batches until the run stops. To Lightning the whole run is one epoch: places, validation and
    resuming are ours, since its own way of resuming in mid-epoch feeds other batches.
    """

    def __init__(self, run: _Run) -> None:
        self._run = run

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self._run.take_signals()  # now, since Lightning has just set handlers of its own
        for batch in self._run.loader:
            if self._run.stopping:
                return
            yield batch


def _judged(logits: Tensor, targets: Tensor) -> Tensor:
    """Sums over a batch: loss, right in the first, right in the first five, count."""
    best = logits.topk(min(5, logits.shape[1]), dim=1).indices == targets[:, None]
    loss = F.cross_entropy(logits, targets, reduction="sum")
    return torch.stack([loss, best[:, 0].sum(), best.any(dim=1).sum(), loss.new_tensor(len(targets))]).double()


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Lightning's banners and hints are not the user's: the run says what matters itself."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _signals_restored() -> Iterator[None]:
    """Leave the handlers of SIGINT and SIGTERM as they were."""
    old = {number: signal.getsignal(number) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in old.items():
                signal.signal(number, handler)


def _write_tensorboard(out: Path, row: dict[str, Any]) -> None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise RunError("--tensorboard needs the extra: pip install 'marey[tensorboard]'.") from None
    with SummaryWriter(str(out / "tensorboard")) as writer:
        for name, value in row.items():
            if name not in ("epoch", "step"):
                writer.add_scalar(name, value, row["step"])
