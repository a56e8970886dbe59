"""A network on batches of views, as plain PyTorch runs it."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from marey.backends.device import pick_device
from marey.models.network import Network

Precision = Literal["float32", "bfloat16"]


class EagerBackend:
    """Takes uint8 views, gives float32 logits on the CPU.

    Args:
        network: Put in eval mode and on the device.
        device: "auto", "cpu", "cuda" or "cuda:1".
        precision: "bfloat16" runs the network under autocast; the logits come back as float32.
    """

    def __init__(self, network: Network, *, device: str = "auto", precision: Precision = "float32") -> None:
        self.device = pick_device(device)
        self.precision: Precision = precision
        self.network = network.to(self.device).eval()

    def __call__(self, views_VTHWC: Tensor) -> Tensor:
        """Logits [V, K] of uint8 views [V, T, H, W, C]."""
        return self._run(self.network, views_VTHWC)

    def positions(self, views_VTHWC: Tensor) -> Tensor:
        """Logits [V, K, P] at each position of the head, whose mean the logits are."""
        return self._run(self.network.positions, views_VTHWC).flatten(2)

    def features(self, views_VTHWC: Tensor) -> Tensor:
        """Pooled features [V, D], before dropout."""
        return self._run(self.network.features, views_VTHWC)

    @torch.inference_mode()
    def _run(self, network: Callable[[Tensor], Tensor], views_VTHWC: Tensor) -> Tensor:
        views = views_VTHWC.to(self.device, non_blocking=True)
        reduced = self.precision == "bfloat16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=reduced):
            logits = network(self.network.preprocess(views))
        return logits.float().cpu()
