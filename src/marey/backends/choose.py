"""Which backends there are, and the one that the user asks for."""

from marey.backends.auto import AutoBackend
from marey.backends.backend import Backend
from marey.backends.compiled import CompiledBackend, Compiler
from marey.backends.compute import Compute
from marey.backends.device import pick_device
from marey.backends.eager import EagerBackend
from marey.backends.openvino import OpenVINO
from marey.backends.precision import pick_precision
from marey.backends.torch_compile import TorchCompile
from marey.base.cache import cache_limit
from marey.base.errors import RunError
from marey.classifier import Classifier

COMPILERS: tuple[Compiler, ...] = (TorchCompile(), OpenVINO())
"""The compilers, one for each backend except "eager" and "auto"."""


def open_backend(classifier: Classifier, compute: Compute, *, views: int) -> Backend:
    """The backend that `compute` asks for, around `classifier`. Nothing is compiled before the first batch.

    Args:
        classifier: Is put in eval mode and moved to the device.
        compute: Device, precision and backend.
        views: About how many views will be computed in total: "auto" compiles only if so many repay it.

    Raises:
        RunError: this machine lacks the device, the device lacks the precision, or the backend does not run there or is
            not installed.
    """
    check_backend(compute)
    if compute.backend == "auto":
        return AutoBackend(classifier, compute, COMPILERS, views=views)
    for compiler in COMPILERS:
        if compiler.name == compute.backend:
            return CompiledBackend(classifier, compute, compiler)
    return EagerBackend(classifier, compute)


def check_backend(compute: Compute) -> None:
    """Refuse, before any work begins, a backend that does not run here.

    Raises:
        RunError: as `open_backend`; or MAREY_CACHE_LIMIT is not a size.
    """
    if compute.backend != "eager":
        cache_limit()  # reads the variable, which is otherwise first read in the middle of the work
    device = pick_device(compute.device)
    precision = pick_precision(compute.precision, device, tell=False)
    for compiler in COMPILERS:
        if compiler.name == compute.backend and (why := compiler.lacks(device, precision)) is not None:
            raise RunError(f"--backend {compiler.name}: {why}.")
