"""Normalisation layers by type, and batch norms that temporarily do not update their running statistics."""

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
"""Every kind of normalisation layer in torch. Each has a scale, and most have a shift."""


def batch_norms(network: nn.Module) -> list[BatchNorm]:
    """All batch norms of a network, in the order of its modules: the first one is in the stem."""
    return [module for module in network.modules() if isinstance(module, BatchNorm)]


@contextmanager
def statistics_kept(network: nn.Module) -> Iterator[None]:
    """Context in which batch norms in training mode normalise by the batch, but do not update their running statistics."""
    tracking = [norm for norm in batch_norms(network) if norm.training and norm.track_running_stats]
    for norm in tracking:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in tracking:
            norm.track_running_stats = True
