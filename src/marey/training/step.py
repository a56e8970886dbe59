"""The gradient of one global batch, accumulated over micro-batches."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor

from marey.backends.device import on_device
from marey.backends.precision import autocast
from marey.base.errors import RecipeError
from marey.base.processes import processes
from marey.base.random import torch_seed
from marey.base.words import counted
from marey.data.loading.loader import Batch
from marey.models.layers.convolutions import SafeConvolutions
from marey.models.layers.norms import statistics_kept
from marey.recipe import Train
from marey.tasks.task import CountCorrect, Loss
from marey.training.mixing import MixedBatch


def micro_batch_size(train: Train, asked: int | None, world: int) -> int:
    """Clips per micro-batch in each of `world` processes; `asked` is the number that the user gives, or None.

    Raises:
        RecipeError: with `train.norm_batch`, the clips of a batch cannot be divided evenly over processes and over
            micro-batches of `norm_batch` clips, or `asked` is smaller than `norm_batch`.
    """
    share = -(-train.base_batch * train.repeats // world)
    if train.norm_batch is None:
        return asked or share
    if share % train.norm_batch or (train.base_batch * train.repeats) % world:
        raise RecipeError(
            f"train.norm_batch={train.norm_batch} does not divide the {counted(share, 'clip')} per step of each of {world} "
            "processes: change it, train.base_batch or the number of processes, or let batch norms see all clips of a "
            "micro-batch (--set train.norm_batch=null)."
        )
    if asked is not None and asked < train.norm_batch:
        raise RecipeError(
            f"--batch {asked} is less than train.norm_batch={counted(train.norm_batch, 'clip')}, which batch norms see at "
            f"once: use --batch {train.norm_batch}, or --set train.norm_batch=null."
        )
    return train.norm_batch


@dataclass(frozen=True)
class BatchLoss:
    """The loss of one process's share of a global batch."""

    mean: Tensor
    """The mean loss over the clips of the share, a scalar on the device."""
    sums: Tensor
    """Sums over the share, float64 [3] on the CPU: the loss of each clip, right predictions (0 if the task counts
    none), clips."""


class GradientStep:
    """Forward and backward passes of one global batch.

    Each process splits its share of the batch into micro-batches of at most `micro_batch` clips (one more if the clips do
    not divide evenly over the processes) and accumulates their gradients. The loss of a micro-batch is weighted by its share
    of the global batch, so that the gradient is the mean over the global batch, whatever the micro-batch size, the number of
    processes and the size of the last batch.

    Process r of R has the clips r, r + R, r + 2 R, ... of the global batch. Its micro-batch p of P has every P-th of
    these clips, starting with the one at index p. The micro-batches of R processes with P micro-batches each are
    therefore those of R * P processes with one micro-batch each.

    With `norm_batch` a micro-batch imitates one device of the toolkits: batch norms normalise over the micro-batch alone,
    and only the first micro-batch updates the running statistics, because the toolkits save those of their first device.

    Args:
        fabric: The processes of the run.
        model: What `fabric.setup_module` returned for the network.
        train: The section `train` of the recipe.
        loss: Computes, from logits and targets of a micro-batch, the sum of the loss over its clips.
        normalise: From uint8 frames [B, T, H, W, C] to normalised clips [B, C, T, H, W].
        count_correct: From outputs and targets of a micro-batch to the number of right predictions; None: not counted.
        micro_batch: Clips per micro-batch, from `micro_batch_size`.
        seed: The seed of the run, on which dropout, mixing and erasing depend.
    """

    def __init__(
        self, fabric: Fabric, model: _FabricModule, train: Train, loss: Loss, normalise: Callable[[Tensor], Tensor],
        *, count_correct: CountCorrect | None, micro_batch: int, seed: int,
    ) -> None:  # fmt: skip
        self.fabric, self.model, self.train, self.loss = fabric, model, train, loss
        self.normalise, self.count_correct = normalise, count_correct
        self.micro_batch, self.seed = micro_batch, seed

    def count(self, size: int) -> int:
        """The number of micro-batches, the same in all processes, for a global batch of `size` clips."""
        train, world = self.train, processes().world
        share = -(-size // world)
        count = -(-share // self.micro_batch)
        if train.norm_batch is not None:  # a smaller last batch is still divided over all imitated devices
            count = max(count, train.base_batch * train.repeats // (world * train.norm_batch))
        return max(1, min(count, size // world))

    def forward_backward(self, batch: Batch, step: int) -> BatchLoss:
        """Add the gradient of the mean loss over the global batch to the parameters' gradients; `step` is from 0."""
        device = self.fabric.device
        # Marey's own networks use safe convolutions already; this covers users' modules.
        with SafeConvolutions() if device.type == "cpu" else nullcontext(), autocast(device, self.train.precision):
            return self._micro_batches(batch, step)

    def _micro_batches(self, batch: Batch, step: int) -> BatchLoss:
        rank, world, size = processes().rank, processes().world, batch["size"]
        clips, targets = (on_device(tensor, self.fabric.device) for tensor in (batch["clip"], batch["target"]))
        mixed = MixedBatch(clips, targets, self.normalise, self.train, key=(self.seed, step), rank=rank, world=world)
        total, right = torch.zeros((), device=clips.device), torch.zeros((), dtype=torch.float64)
        count = self.count(size)
        for index in range(count):
            # The seed depends on the step, not on earlier draws, so that dropout is the same in a resumed run.
            torch.manual_seed(torch_seed(self.seed, step, index, rank))
            indices = range(len(clips))[index::count]
            keep_statistics = index > 0 and self.train.norm_batch is not None
            # Gradients are exchanged once, after the last micro-batch.
            with (
                self.fabric.no_backward_sync(self.model, enabled=index < count - 1),
                statistics_kept(self.model) if keep_statistics else nullcontext(),
            ):
                logits = self.model(mixed.clips(indices))
                target = mixed.shares(indices, logits)
                loss = self.loss(logits, target)
                # Processes average their gradients; the factor `world` turns the mean into the sum.
                self.fabric.backward(loss * (world / size))
            total += loss.detach()
            if self.count_correct is not None:
                right += self.count_correct(logits.detach(), target).cpu()
        sums = torch.stack([total.cpu().double(), right, torch.tensor(len(clips), dtype=torch.float64)])
        return BatchLoss(total / len(clips), sums)
