"""Precise batch norm: running statistics measured over many batches."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from marey.models.freeze import FrozenNorms, hold_frozen
from marey.models.layers.norms import BatchNorm, batch_norms, statistics_kept


class _InputSums:
    """Sums over the input values of a batch norm, for each channel: their count, the values, their squares; in float64."""

    def __init__(self, norm: BatchNorm) -> None:
        self.norm = norm
        self.sums = torch.zeros(3, norm.num_features, dtype=torch.float64)

    def observe(self, norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].detach()
        count = x.numel() // x.shape[1]
        others = [axis for axis in range(x.ndim) if axis != 1]
        var, mean = torch.var_mean(x.to(torch.promote_types(x.dtype, torch.float32)), others, correction=0)
        mean, var = mean.cpu().double(), var.cpu().double()  # MPS has no float64
        self.sums += count * torch.stack([torch.ones_like(mean), mean, var + mean.square()])

    def set_statistics(self, sums: Tensor) -> None:
        """Set the running statistics from these sums [3, C]; a norm that saw no values keeps its statistics."""
        if not sums[0].any():
            return
        mean = sums[1] / sums[0]
        var = (sums[2] / sums[0] - mean.square()).clamp_min(0)
        for buffer, value in ((self.norm.running_mean, mean), (self.norm.running_var, var)):
            if buffer is not None:
                buffer.copy_(value)


@torch.no_grad()
def measure_norms(
    network: nn.Module,
    passes: Iterable[Tensor],
    run: Callable[[Tensor], object],
    *,
    frozen: FrozenNorms = "none",
    summed: Callable[[Tensor], Tensor] = lambda sums: sums,
) -> None:
    """Set the running statistics of batch norms to those of many batches under the current weights (precise batch norm).

    Mean and variance are those of all inputs of a norm over all batches. Meanwhile each norm normalises by the
    statistics of its current batch. These are the population moments of Wu and Johnson, Rethinking "Batch" in
    BatchNorm, 2021, section 3, which fvcore's `update_bn_stats` computes and PySlowFast uses. (Older fvcore: the mean
    over batches of the unbiased variance.) Frozen norms do not change. Leaves the network in eval mode.

    Args:
        network: The network, whose weights are not changed.
        passes: Micro-batches of clips, in the form that `run` takes.
        run: Runs the forward pass of `network` on one micro-batch.
        frozen: Which norms keep their statistics.
        summed: Sums a tensor over all processes; the default is for one process.
    """
    network.train()
    hold_frozen(network, frozen)
    measured = [_InputSums(norm) for norm in batch_norms(network) if norm.training]
    network.eval()  # without dropout and stochastic depth
    for moments in measured:
        moments.norm.train()
    hooks = [moments.norm.register_forward_pre_hook(moments.observe) for moments in measured]
    try:
        with statistics_kept(network):
            for clips in passes:
                run(clips)
    finally:
        for hook in hooks:
            hook.remove()
        network.eval()
    for moments in measured:
        moments.set_statistics(summed(moments.sums))
