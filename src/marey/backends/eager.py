"""A network on batches of views in plain PyTorch: the reference of every other backend."""

import torch
from torch import Tensor, nn

from marey.backends.backend import Backend, BackendReport
from marey.backends.compute import Compute
from marey.backends.device import explain_missing_operators, on_device, pick_own_device
from marey.backends.precision import autocast, computing_in, pick_precision
from marey.classifier import Classifier, Output


class OutputFromFrames(nn.Module):
    """Computes one output of a classifier from decoded frames [V, T, H, W, C]: normalisation, then the network.

    Args:
        classifier: In eval mode.
        output: The method of the classifier that is called; `positions` are flattened to [V, K, P].
    """

    def __init__(self, classifier: Classifier, output: Output) -> None:
        super().__init__()
        self.classifier, self.output = classifier, output

    def forward(self, frames_VTHWC: Tensor) -> Tensor:
        clip = self.classifier.preprocess(frames_VTHWC)
        match self.output:
            case "logits":
                return self.classifier(clip)  # type: ignore[no-any-return]
            case "positions":
                return self.classifier.positions(clip).flatten(2)
            case "features":
                return self.classifier.features(clip)
            case "tokens":
                return self.classifier.tokens(clip)


class EagerBackend(Backend):
    """PyTorch, operator by operator.

    Args:
        classifier: Is put in eval mode and moved to the device.
        compute: Its device, as for `marey.backends.device.pick_device` (several processes get a GPU each), and its
            precision: with "bfloat16" the network runs under autocast; "auto" is float32.

    Raises:
        RunError: this machine lacks the device, or the device lacks the precision.
    """

    def __init__(self, classifier: Classifier, compute: Compute = Compute()) -> None:  # noqa: B008 - frozen
        self.device = pick_own_device(compute.device)
        self.precision = pick_precision(compute.precision, self.device)
        self.classifier = classifier.to(self.device).eval()

    @torch.inference_mode()
    def run(self, output: Output, views_VTHWC: Tensor) -> Tensor:
        views = on_device(views_VTHWC, self.device)
        with (
            explain_missing_operators(self.device),
            computing_in(self.precision),
            autocast(self.device, self.precision),
        ):
            result = OutputFromFrames(self.classifier, output)(views)
        return result.float().cpu()  # type: ignore[no-any-return]

    def report(self) -> BackendReport:
        return BackendReport(asked="eager", ran="eager")
