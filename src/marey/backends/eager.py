"""A network on batches of views, as plain PyTorch runs it."""

from collections.abc import Callable

import torch
from torch import Tensor

from marey.backends.compute import Compute
from marey.backends.device import on_device, operators_of, pick_own_device
from marey.backends.precision import autocast, computing_in, pick_precision
from marey.classifier import Classifier


class EagerBackend:
    """Takes uint8 views, gives float32 logits on the CPU.

    Args:
        network: Put in eval mode and on the device.
        device: As `marey.backends.device.pick_device` takes it. Of several processes each has a GPU of its own.
        precision: "bfloat16" runs the network under autocast; the logits come back as float32. "auto" is float32.

    Raises:
        RunError: this machine does not have the device, or the device not the precision.
    """

    def __init__(self, classifier: Classifier, compute: Compute = Compute()) -> None:  # noqa: B008 - frozen
        self.device = pick_own_device(compute.device)
        self.precision = pick_precision(compute.precision, self.device)
        self.network = classifier.to(self.device).eval()

    def logits(self, views_VTHWC: Tensor) -> Tensor:
        """Logits [V, K] of uint8 views [V, T, H, W, C]."""
        return self._run(self.network, views_VTHWC)

    def positions(self, views_VTHWC: Tensor) -> Tensor:
        """Logits [V, K, P] at each position of the head, whose mean the logits are."""
        return self._run(self.network.positions, views_VTHWC).flatten(2)

    def features(self, views_VTHWC: Tensor) -> Tensor:
        """Pooled features [V, D], before dropout."""
        return self._run(self.network.features, views_VTHWC)

    def tokens(self, views_VTHWC: Tensor) -> Tensor:
        """Tokens [V, N, D] before the head."""
        return self._run(self.network.tokens, views_VTHWC)

    @torch.inference_mode()
    def _run(self, network: Callable[[Tensor], Tensor], views_VTHWC: Tensor) -> Tensor:
        views = on_device(views_VTHWC, self.device)
        with operators_of(self.device), computing_in(self.precision), autocast(self.device, self.precision):
            logits = network(self.network.preprocess(views))
        return logits.float().cpu()
