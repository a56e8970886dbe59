"""What Lightning's Trainer drives: one optimiser step per batch of the loader, by the recipe."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn

from marey.base.errors import RunError
from marey.base.random import step_seed
from marey.models.layers.freeze import hold_frozen
from marey.recipe import Recipe
from marey.training.bfloat16 import PaddedConvolutions
from marey.training.mixing import MixedBatch
from marey.training.optimizers import build_optimizer
from marey.training.schedules import lr_factor
from marey.video.transforms import to_clip


class TrainModule(LightningModule):
    """One loader batch is this process's share of one optimiser step.

    It is passed in parts of at most `part` clips, each weighted by its share of the global batch, so that the gradient
    is the mean over the global batch whatever the parts, the processes and the epoch's tail. Optimisation is manual for
    that reason: Lightning brings precision, devices and processes.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        *,
        epoch_steps: int,
        part: int,
        seed: int,
        after_step: Callable[[Any], None],
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model, self.recipe = model, recipe
        self.epoch_steps, self.part, self.seed = epoch_steps, part, seed
        self.after_step = after_step
        self.step = 0
        """Optimiser steps done since the run's beginning; a resumed run goes on counting."""
        self.sums = torch.zeros(3, dtype=torch.float64)
        """Of this epoch and process: loss times clips, right answers, clips."""
        self.stopped = False
        """Set once the run has been saved for the last time; Lightning may still bring a batch fetched ahead."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return build_optimizer(self.model, self.recipe.train.optimizer)

    def on_train_start(self) -> None:
        hold_frozen(self.model)

    def transfer_batch_to_device(self, batch: dict[str, Any], device: torch.device, index: int) -> dict[str, Any]:
        """Clips travel as uint8: a quarter of float32."""
        moved = {name: batch[name].to(device, non_blocking=True) for name in ("clip", "target")}
        return batch | moved

    @property
    def lr(self) -> float:
        """The learning rate of the step to come."""
        train = self.recipe.train
        factor = lr_factor(train.schedule, self.step, epoch_steps=self.epoch_steps, epochs=train.epochs)
        return train.optimizer.lr * factor

    def forward(self, clip_BTHWC: Tensor) -> Tensor:
        """Logits [B, K] of clips as the loader brings them."""
        return self._logits(self._normalised(clip_BTHWC))

    def _normalised(self, clip_BTHWC: Tensor) -> Tensor:
        pixels = self.recipe.pixels
        return to_clip(clip_BTHWC, *pixels.normalisation, order=pixels.order)

    def _logits(self, clip_BCTHW: Tensor) -> Tensor:
        reduced = clip_BCTHW.device.type == "cpu" and self.recipe.train.precision == "bfloat16"
        with PaddedConvolutions() if reduced else nullcontext():
            return self.model(clip_BCTHW)  # type: ignore[no-any-return]

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        if self.stopped:
            return
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        lr = self.lr
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.zero_grad()
        loss = self._backward(batch["clip"], batch["target"], batch["size"])
        if not torch.isfinite(loss):
            raise RunError(
                f"the loss is {loss.item()} at step {self.step}: try a smaller learning rate "
                f"(--set train.optimizer.lr={lr / 10:.1g}), clipping (--set train.clip_norm=5) or --precision float32."
            )
        if self.recipe.train.clip_norm is not None:
            self.clip_gradients(optimizer.optimizer, self.recipe.train.clip_norm, gradient_clip_algorithm="norm")
        optimizer.step()
        self.step += 1
        self.after_step(batch | {"loss": float(loss), "lr": lr})

    def _backward(self, clips: Tensor, targets: Tensor, size: int) -> Tensor:
        """Gradients of the global batch's mean loss, part by part; this process's mean loss."""
        world = self.trainer.world_size
        parts = range(0, len(clips), self.part)
        total = torch.zeros((), device=clips.device)
        batch = MixedBatch(
            clips, targets, self._normalised, self.recipe.train,
            key=(self.seed, self.step), rank=self.global_rank, world=world,
        )  # fmt: skip
        for number, begin in enumerate(parts):
            # Dropout draws from the step, not from what went before: a resumed run draws the same.
            torch.manual_seed(step_seed(self.seed, self.step, number, self.global_rank))
            end = min(begin + self.part, len(clips))
            with self._no_sync(number < len(parts) - 1):
                logits = self._logits(batch.clips(begin, end))
                loss = F.cross_entropy(
                    _at_least_float32(logits),
                    batch.shares(begin, end, logits),
                    label_smoothing=self.recipe.train.label_smoothing,
                    reduction="sum",
                )
                # DDP averages over processes: `world` undoes it.
                self.manual_backward(loss * (world / size))
            total += loss.detach()
            self.sums[1] += (logits.detach().argmax(dim=1) == targets[begin:end]).sum().cpu()
        self.sums[0] += total.cpu()
        self.sums[2] += len(clips)
        return total / len(clips)

    def _no_sync(self, wait: bool) -> Any:
        """Put off the exchange of gradients to the last part."""
        strategy = self.trainer.strategy
        return strategy.block_backward_sync() if wait and isinstance(strategy, DDPStrategy) else nullcontext()


def _at_least_float32(logits: Tensor) -> Tensor:
    """A loss is no place for bfloat16; float64 stays."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
