"""A network on batches of views, as plain PyTorch runs it: the reference of every other backend."""

import torch
from torch import Tensor

from marey.backends.backend import Backend, BackendReport, FromFrames
from marey.backends.compute import Compute
from marey.backends.device import on_device, operators_of, pick_own_device
from marey.backends.precision import autocast, computing_in, pick_precision
from marey.classifier import Classifier, Output


class EagerBackend(Backend):
    """PyTorch, operator by operator.

    Args:
        classifier: Put in eval mode and on the device.
        compute: Its device, as `marey.backends.device.pick_device` takes it (of several processes each has a GPU of its
            own), and its precision: "bfloat16" runs the network under autocast, the output comes back as float32; "auto"
            is float32.

    Raises:
        RunError: this machine does not have the device, or the device not the precision.
    """

    def __init__(self, classifier: Classifier, compute: Compute = Compute()) -> None:  # noqa: B008 - frozen
        self.device = pick_own_device(compute.device)
        self.precision = pick_precision(compute.precision, self.device)
        self.classifier = classifier.to(self.device).eval()

    @torch.inference_mode()
    def run(self, output: Output, views_VTHWC: Tensor) -> Tensor:
        views = on_device(views_VTHWC, self.device)
        with operators_of(self.device), computing_in(self.precision), autocast(self.device, self.precision):
            result = FromFrames(self.classifier, output)(views)
        return result.float().cpu()  # type: ignore[no-any-return]

    def report(self) -> BackendReport:
        return BackendReport(asked="eager", ran="eager")
