"""Validation between epochs: the centre clip of every validation video, scored once, by one of the processes."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from marey.backends.device import on_device
from marey.base.processes import processes
from marey.data.loader import Batch
from marey.evaluation.metrics import mean_average_precision
from marey.recipe import MultiLabel, Task
from marey.training.distributed import gathered, summed
from marey.training.logs import Validation
from marey.training.losses import plain_loss


class Accuracy:
    """Loss, top-1 and top-5 of videos with one label."""

    def __init__(self, task: Task) -> None:
        self.loss = plain_loss(task)
        self.sums = torch.zeros(4, dtype=torch.float64)

    def add(self, logits: Tensor, targets: Tensor) -> None:
        best = logits.topk(min(5, logits.shape[1]), dim=1).indices == targets[:, None]
        loss = self.loss(logits, targets)
        right = (best[:, 0].sum(), best.any(dim=1).sum())
        # Counts of one batch are exact in float32; MPS has no float64.
        self.sums += torch.stack([loss, *(n.to(loss.dtype) for n in right), loss.new_tensor(len(targets))]).cpu()

    def result(self, fabric: Fabric) -> Validation:
        """The numbers over all processes."""
        loss, top1, top5, count = summed(fabric, self.sums).tolist()
        return Validation(loss / count, top1=top1 / count, top5=top5 / count)


class AveragePrecision:
    """Loss and mean average precision of videos with several labels."""

    def __init__(self, task: Task) -> None:
        self.loss = plain_loss(task)
        self.sums = torch.zeros(2, dtype=torch.float64)
        self.logits: list[Tensor] = []
        self.targets: list[Tensor] = []

    def add(self, logits: Tensor, targets: Tensor) -> None:
        loss = self.loss(logits, targets)
        self.sums += torch.stack([loss, loss.new_tensor(len(targets))]).cpu()
        self.logits.append(logits.cpu())
        self.targets.append(targets.cpu())

    def result(self, fabric: Fabric) -> Validation:
        """The numbers over all processes."""
        loss, count = summed(fabric, self.sums).tolist()
        own = (torch.cat(self.logits).numpy(), torch.cat(self.targets).numpy())
        logits, targets = (np.concatenate(parts) for parts in zip(*gathered(own), strict=True))
        if targets.ndim == 1:
            targets = np.eye(logits.shape[1], dtype=np.float32)[targets]
        return Validation(loss / count, map=mean_average_precision(logits, targets > 0))


def judge_of(task: Task) -> Accuracy | AveragePrecision:
    """The metrics for this task."""
    return AveragePrecision(task) if isinstance(task, MultiLabel) else Accuracy(task)


@torch.inference_mode()
def validate(
    fabric: Fabric, network: nn.Module, batches: Iterable[Batch], task: Task, forward: Callable[[Tensor], Tensor]
) -> Validation:
    """The loss and metrics of `network` over `batches` of all processes. Leaves the network in eval mode.

    Batch norms of all processes use the running statistics of the first one, because those are saved.

    Args:
        forward: From uint8 frames [B, T, H, W, C] of the loader, on the device, to logits [B, K].
    """
    network.eval()
    if processes().world > 1:
        for buffer in network.buffers():
            torch.distributed.broadcast(buffer, 0)
    judge = judge_of(task)
    for batch in batches:
        logits = forward(on_device(batch["clip"], fabric.device)).float()
        judge.add(logits, on_device(batch["target"], fabric.device))
    return judge.result(fabric)
