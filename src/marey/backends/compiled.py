"""A backend around a compiler: checked against eager float32 on its first batch; eager goes on where it fails."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from marey.backends.backend import Backend, BackendReport, Compiler, FromFrames
from marey.backends.compute import Compute
from marey.backends.device import on_device
from marey.backends.eager import EagerBackend
from marey.backends.precision import computing_in
from marey.base.precision import Arithmetic
from marey.base.reporter import notice, warning
from marey.classifier import Classifier, Output

TOLERANCE: dict[Arithmetic, float] = {"float32": 1e-3, "tf32": 0.05, "bfloat16": 0.3}
"""The largest difference from eager float32, in standard deviations of eager's values over the first batch.

float32: sums in another order differ by 1e-6 to 1e-4, more with depth; a wrong epsilon or one ReLU too many by more than
1e-2. bfloat16 keeps 8 bits of a number: three networks of random weights differ by 0.011, by eager as by OpenVINO, and
trained or deeper ones may by ten times as much. tf32 keeps 11 bits of a factor. In these two the check tells a wrong network
from a right one, and no more.
"""


class CompiledBackend(Backend):
    """What a compiler made of a network.

    Each output is compiled when it is asked for, and checked on its first batch, and on its first batch of a single view,
    for which compilers may make another function. A function that fails, then or later, or differs by more than
    `TOLERANCE`, is left with a warning; eager computes that batch and all others.

    Args:
        classifier: Put in eval mode and on the device.
        compute: Device and precision, as `EagerBackend` takes them.
        compiler: Of these it must have both (`Compiler.lacks`).
    """

    def __init__(self, classifier: Classifier, compute: Compute, compiler: Compiler) -> None:
        self._eager = EagerBackend(classifier, compute)
        self.device, self.precision = self._eager.device, self._eager.precision
        exact = self.precision == "float32"
        self._reference = self._eager if exact else EagerBackend(classifier, compute.changed(precision="float32"))
        self._compiler = compiler
        self._functions: dict[Output, Callable[[Tensor], Tensor]] = {}
        self._checked: set[tuple[Output, bool]] = set()
        tolerance = TOLERANCE[self.precision]
        self._report = BackendReport(compiler.name, compiler.name, tolerance=tolerance)

    @property
    def fell_back(self) -> bool:
        """Whether eager computes in the compiler's place."""
        return self._report.ran == "eager"

    def report(self) -> BackendReport:
        return self._report

    def run(self, output: Output, views_VTHWC: Tensor) -> Tensor:
        if self.fell_back:
            return self._eager.run(output, views_VTHWC)
        form = output, len(views_VTHWC) == 1
        # Before the compiler sees the network: what the network itself does not do is no failure of the compiler.
        expected = None if form in self._checked else self._reference.run(output, views_VTHWC)
        try:
            result = self._computed(output, views_VTHWC)
        except Exception as error:  # compilers raise whatever they like
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
            self._leave(f"{self._compiler.name} failed ({type(error).__name__}: {reason})")
            return self._eager.run(output, views_VTHWC)
        if expected is not None:
            self._check(output, result, expected)
            self._checked.add(form)
        return self._eager.run(output, views_VTHWC) if self.fell_back else result

    @torch.no_grad()  # not inference mode, whose tensors compilers refuse to trace
    def _computed(self, output: Output, views_VTHWC: Tensor) -> Tensor:
        views = on_device(views_VTHWC, self.device)
        with computing_in(self.precision):
            if output not in self._functions:
                module = FromFrames(self._eager.classifier, output)
                self._functions[output] = self._compiler.compile(module, views, self.device, self.precision)
            return self._functions[output](views).float().cpu()

    def _check(self, output: Output, result: Tensor, expected: Tensor) -> None:
        if result.shape != expected.shape:
            self._leave(f"{output} of shape {list(result.shape)}, eager's have {list(expected.shape)}")
            return
        difference = float((result - expected).abs().max())
        relative = difference / max(float(expected.std(correction=0)), 1e-12)
        before, tolerance = self._report.relative, TOLERANCE[self.precision]
        if math.isfinite(difference) and (before is None or relative > before):  # JSON has no other numbers
            self._report = replace(self._report, difference=difference, relative=relative)
        measured = f"{output} differ from eager float32 by up to {difference:.2g}, {relative:.2g} of their deviation"
        if not relative <= tolerance:  # so that NaN is beyond it too
            self._leave(f"{measured}, where {tolerance:g} is allowed in {self.precision}")
        elif before is None:
            notice(f"backend {self._compiler.name}: {measured} ({tolerance:g} is allowed)")

    def _leave(self, why: str) -> None:
        self._functions.clear()
        self._report = replace(self._report, ran="eager", why=why)
        warning(f"backend {self._compiler.name}: {why}; eager goes on")
