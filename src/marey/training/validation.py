"""Validation between epochs: the centre clip of every validation video, scored once, by one of the processes."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from marey.backends.device import on_device
from marey.base.processes import processes
from marey.data.loading.loader import Batch
from marey.tasks.task import Judge, Validation
from marey.training.distributed import gathered, summed


@torch.inference_mode()
def validate(
    fabric: Fabric, network: nn.Module, batches: Iterable[Batch], judge: Judge, forward: Callable[[Tensor], Tensor]
) -> Validation:
    """The loss and metrics of `network` over `batches` of all processes. Leaves the network in eval mode.

    Batch norms of all processes use the running statistics of the first one, because those are saved.

    Args:
        judge: A new one, of the recipe's task.
        forward: From uint8 frames [B, T, H, W, C] of the loader, on the device, to what the task judges, logits [B, K] or
            other outputs.
    """
    network.eval()
    if processes().world > 1:
        for buffer in network.buffers():
            torch.distributed.broadcast(buffer, 0)
    for batch in batches:
        outputs = forward(on_device(batch["clip"], fabric.device)).float()
        judge.add(outputs, on_device(batch["target"], fabric.device))
    rows = [np.concatenate(parts) for parts in zip(*gathered(judge.rows()), strict=True)]
    return judge.result(summed(fabric, judge.sums), rows)
