"""The interface of a compiler, and a backend around it: checked against eager float32, and replaced by eager if it fails."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from marey.backends.backend import Backend, BackendReport
from marey.backends.compute import BackendName, Compute
from marey.backends.device import on_device
from marey.backends.eager import EagerBackend, OutputFromFrames
from marey.backends.precision import computing_in
from marey.base.options import Arithmetic
from marey.base.reporter import notice, warning
from marey.classifier import Classifier, Output

TOLERANCE: dict[Arithmetic, float] = {"float32": 1e-3, "tf32": 0.05, "bfloat16": 0.3}
"""The largest difference from eager float32 that is allowed, in standard deviations of eager's values over the first batch.

float32: another order of summation differs by 1e-6 to 1e-4, more in deeper networks; a wrong epsilon or one ReLU too many
differs by more than 1e-2. bfloat16 has 8 significant bits: three networks with random weights differ by 0.011 under eager
and OpenVINO alike, and trained or deeper ones may differ ten times as much. tf32 has 11 significant bits in products. For
these two the check only finds networks that are wrong.
"""


class Compiler(Protocol):
    """Makes a faster function of a network. `CompiledBackend` checks the function and falls back to eager.

    A new backend is a class with this interface in its own file, and one line in `marey.backends.choose.COMPILERS`.
    """

    name: BackendName
    """The name of the backend, as the option `--backend` has it."""

    @property
    def version(self) -> str:
        """The version of the compiling software, "" if it is not installed; measurements of "auto" hold for one version."""

    def lacks(self, device: torch.device, precision: Arithmetic) -> str | None:
        """Why it cannot run there, as the end of a sentence that also names the remedy; None if it can."""

    def seconds(self, module: OutputFromFrames, views_VTHWC: Tensor, precision: Arithmetic) -> float:
        """About how many seconds `compile` would take now, which "auto" compares with the work that is left."""

    def compile(
        self, module: OutputFromFrames, views_VTHWC: Tensor, device: torch.device, precision: Arithmetic
    ) -> Callable[[Tensor], Tensor]:
        """A function that computes what `module` computes.

        Args:
            module: On `device`, in eval mode.
            views_VTHWC: The first batch, on `device`. The function must accept any V.
            device: Where the function computes.
            precision: The arithmetic of the function, which is called without gradients and inside
                `computing_in(precision)`.

        Raises:
            Exception: any error, also when the function is called: eager then computes instead, and a warning says why.
        """


class CompiledBackend(Backend):
    """Runs the functions that a compiler makes of a network.

    An output is compiled when it is first asked for. Its first batch, and its first batch of a single view (for which
    compilers may make a separate function), are compared with eager float32. After an error, or a difference above
    `TOLERANCE`, a warning is printed and eager computes this batch and all others.

    Args:
        classifier: Is put in eval mode and moved to the device.
        compute: Device and precision, as for `EagerBackend`.
        compiler: Must support both (`Compiler.lacks`).
    """

    def __init__(self, classifier: Classifier, compute: Compute, compiler: Compiler) -> None:
        self._eager = EagerBackend(classifier, compute)
        self.device, self.precision = self._eager.device, self._eager.precision
        exact = self.precision == "float32"
        self._reference = self._eager if exact else EagerBackend(classifier, compute.changed(precision="float32"))
        self._compiler = compiler
        self._functions: dict[Output, Callable[[Tensor], Tensor]] = {}
        self._checked: set[tuple[Output, bool]] = set()
        """(output, whether the batch was a single view) of the functions that were compared."""
        tolerance = TOLERANCE[self.precision]
        self._report = BackendReport(compiler.name, compiler.name, tolerance=tolerance)

    @property
    def fell_back(self) -> bool:
        """Whether eager has replaced the compiler."""
        return self._report.ran == "eager"

    def report(self) -> BackendReport:
        return self._report

    def run(self, output: Output, views_VTHWC: Tensor) -> Tensor:
        if self.fell_back:
            return self._eager.run(output, views_VTHWC)
        form = output, len(views_VTHWC) == 1
        # Computed before compiling: an error of the network itself is not a failure of the compiler.
        expected = None if form in self._checked else self._reference.run(output, views_VTHWC)
        try:
            result = self._computed(output, views_VTHWC)
        except Exception as error:  # compilers raise errors of any class
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
            self._fall_back(f"{self._compiler.name} failed ({type(error).__name__}: {reason})")
            return self._eager.run(output, views_VTHWC)
        if expected is not None:
            self._check(output, result, expected)
            self._checked.add(form)
        return self._eager.run(output, views_VTHWC) if self.fell_back else result

    @torch.no_grad()  # compilers cannot trace the tensors of inference mode
    def _computed(self, output: Output, views_VTHWC: Tensor) -> Tensor:
        views = on_device(views_VTHWC, self.device)
        with computing_in(self.precision):
            if output not in self._functions:
                module = OutputFromFrames(self._eager.classifier, output)
                self._functions[output] = self._compiler.compile(module, views, self.device, self.precision)
            return self._functions[output](views).float().cpu()

    def _check(self, output: Output, result: Tensor, expected: Tensor) -> None:
        if result.shape != expected.shape:
            self._fall_back(f"{output} of shape {list(result.shape)}, eager's have {list(expected.shape)}")
            return
        difference = float((result - expected).abs().max())
        relative = difference / max(float(expected.std(correction=0)), 1e-12)
        before, tolerance = self._report.relative, TOLERANCE[self.precision]
        if math.isfinite(difference) and (before is None or relative > before):  # JSON has no NaN or infinity
            self._report = replace(self._report, difference=difference, relative=relative)
        measured = f"{output} differ from eager float32 by up to {difference:.2g}, {relative:.2g} standard deviations"
        if not relative <= tolerance:  # also true for NaN
            self._fall_back(f"{measured}, where {tolerance:g} is allowed in {self.precision}")
        elif before is None:
            notice(f"backend {self._compiler.name}: {measured} ({tolerance:g} is allowed)")

    def _fall_back(self, why: str) -> None:
        self._functions.clear()
        self._report = replace(self._report, ran="eager", why=why)
        warning(f"backend {self._compiler.name}: {why}; eager computes instead")
