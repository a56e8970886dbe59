"""Normalisation layers: their types, and batch norms that do not update their running statistics."""

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
"""Every kind of normalisation layer in torch. Their parameters are a scale and, in most, a shift."""


def batch_norms(network: nn.Module) -> list[BatchNorm]:
    """All batch norms of a network, in the order of its modules: the first one is the stem's."""
    return [module for module in network.modules() if isinstance(module, BatchNorm)]


@contextmanager
def statistics_kept(network: nn.Module) -> Iterator[None]:
    """Within the block batch norms in training mode normalise by the batch, but keep their running statistics."""
    tracking = [norm for norm in batch_norms(network) if norm.training and norm.track_running_stats]
    for norm in tracking:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in tracking:
            norm.track_running_stats = True
