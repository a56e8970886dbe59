"""What Lightning's Trainer drives: one optimiser step per batch of the loader, by the recipe."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn

from marey.backends.device import on_device
from marey.base.errors import RunError
from marey.base.random import step_seed
from marey.models.layers.convolutions import SafeConvolutions
from marey.models.layers.freeze import hold_frozen
from marey.models.layers.norms import statistics_kept
from marey.recipe import Recipe
from marey.training.losses import Loss, right_answers
from marey.training.mixing import MixedBatch
from marey.training.multigrid import phases_of
from marey.training.optimizers import build_optimizer, set_lr
from marey.training.schedules import Calendar, learning_rate
from marey.video.transforms import to_clip


class TrainModule(LightningModule):
    """One loader batch is this process's share of one optimiser step.

    It is passed in parts of at most `part` clips (one more where an epoch's last batch leaves no other way), each
    weighted by its share of the global batch, so that the gradient is the mean over the global batch whatever the
    parts, the processes and the epoch's tail. Optimisation is manual for that reason: Lightning brings precision,
    devices and processes.

    Part p of P takes every P-th clip from p on, as process r of R takes every R-th one of the global batch. So R
    processes of P parts each pass the very groups of clips that R * P processes would. With `norm_batch` a part stands
    for a device of the toolkits: batch norms see the part alone, and remember the first one only, since of the devices'
    running statistics the first one's is saved.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        *,
        loss: Loss,
        calendar: Calendar,
        part: int,
        seed: int,
        after_step: Callable[[Any], None],
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model, self.recipe, self.loss = model, recipe, loss
        self.calendar, self.part, self.seed = calendar, part, seed
        self.phases = phases_of(recipe)
        self.after_step = after_step
        self.step = 0
        """Optimiser steps done since the run's beginning; a resumed run goes on counting."""
        self.sums = torch.zeros(3, dtype=torch.float64)
        """Of this epoch and process: loss times clips, right answers, clips."""
        self.stopped = False
        """Set once the run has been saved for the last time; Lightning may still bring a batch fetched ahead."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return build_optimizer(self.model, self.recipe.train)

    def on_train_start(self) -> None:
        hold_frozen(self.model, self.recipe.train.frozen_norms)

    def transfer_batch_to_device(self, batch: dict[str, Any], device: torch.device, index: int) -> dict[str, Any]:
        """Clips travel as uint8: a quarter of float32."""
        moved = {name: on_device(batch[name], device) for name in ("clip", "target")}
        return batch | moved

    @property
    def lr(self) -> float:
        """The learning rate of the step to come."""
        return learning_rate(self.recipe.train, self.calendar, self.step, self.phases)

    def forward(self, clip_BTHWC: Tensor) -> Tensor:
        """Logits [B, K] of clips as the loader brings them."""
        return self.answer(self.model, clip_BTHWC)

    def answer(self, model: nn.Module, clip_BTHWC: Tensor) -> Tensor:
        """The same of another network with the same input: the average of the weights."""
        return model(self._normalised(clip_BTHWC))  # type: ignore[no-any-return]

    def _normalised(self, clip_BTHWC: Tensor) -> Tensor:
        pixels = self.recipe.pixels
        return to_clip(clip_BTHWC, *pixels.normalisation, order=pixels.order)

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        if self.stopped:
            return
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        lr = self.lr
        set_lr(optimizer.optimizer, lr)
        optimizer.zero_grad()
        # Around the backward pass too: with activation checkpoints it runs forward passes.
        with SafeConvolutions() if self.device.type == "cpu" else nullcontext():
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

    def parts(self, size: int) -> int:
        """In how many parts a process passes its share of a global batch of `size` clips: the same in all processes."""
        train, world = self.recipe.train, self.trainer.world_size
        share = -(-size // world)
        parts = -(-share // self.part)
        if train.norm_batch is not None:  # the last batch of an epoch, which is smaller, still is for all devices
            parts = max(parts, train.base_batch * train.repeats // (world * train.norm_batch))
        return max(1, min(parts, size // world))

    def _backward(self, clips: Tensor, targets: Tensor, size: int) -> Tensor:
        """Gradients of the global batch's mean loss, part by part; this process's mean loss."""
        world, parts = self.trainer.world_size, self.parts(size)
        total = torch.zeros((), device=clips.device)
        batch = MixedBatch(
            clips, targets, self._normalised, self.recipe.train,
            key=(self.seed, self.step), rank=self.global_rank, world=world,
        )  # fmt: skip
        for number in range(parts):
            # Dropout draws from the step, not from what went before: a resumed run draws the same.
            torch.manual_seed(step_seed(self.seed, self.step, number, self.global_rank))
            places = range(len(clips))[number::parts]
            kept = number > 0 and self.recipe.train.norm_batch is not None
            with self._no_sync(number < parts - 1), statistics_kept(self.model) if kept else nullcontext():
                logits = self.model(batch.clips(places))
                target = batch.shares(places, logits)
                loss = self.loss(logits, target)
                # DDP averages over processes: `world` undoes it.
                self.manual_backward(loss * (world / size))
            total += loss.detach()
            self.sums[1] += right_answers(logits.detach(), target).cpu()
        self.sums[0] += total.cpu()
        self.sums[2] += len(clips)
        return total / len(clips)

    def summed(self, sums: Tensor) -> Tensor:
        """The sum over all processes, on the CPU."""
        if self.trainer.world_size == 1:
            return sums
        total = sums.clone().to(self.device)
        torch.distributed.all_reduce(total)
        return total.cpu()

    def _no_sync(self, wait: bool) -> Any:
        """Put off the exchange of gradients to the last part."""
        strategy = self.trainer.strategy
        return strategy.block_backward_sync() if wait and isinstance(strategy, DDPStrategy) else nullcontext()
