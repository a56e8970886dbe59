"""Normalisation layers: which ones there are, and batch norms that remember nothing of a pass."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm
Norm = (
    BatchNorm
    | nn.LayerNorm
    | nn.GroupNorm
    | nn.RMSNorm
    | nn.InstanceNorm1d
    | nn.InstanceNorm2d
    | nn.InstanceNorm3d
)  # fmt: skip
"""Torch's normalisation layers of every kind. Their parameters are a scale and mostly a shift."""


def batch_norms(network: nn.Module) -> list[BatchNorm]:
    """All of them, in the network's order: the first one is the stem's."""
    return [module for module in network.modules() if isinstance(module, BatchNorm)]


@contextmanager
def statistics_kept(network: nn.Module) -> Iterator[None]:
    """Batch norms in training mode normalise by the batch as ever, but remember nothing of it."""
    tracking = [norm for norm in batch_norms(network) if norm.training and norm.track_running_stats]
    for norm in tracking:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in tracking:
            norm.track_running_stats = True
