"""Which backends there are, and the one that was asked for."""

from marey.backends.auto import AutoBackend
from marey.backends.backend import Backend, Compiler
from marey.backends.compile import TorchCompile
from marey.backends.compiled import CompiledBackend
from marey.backends.compute import Compute
from marey.backends.device import pick_device
from marey.backends.eager import EagerBackend
from marey.backends.openvino import OpenVINO
from marey.backends.precision import pick_precision
from marey.base.errors import RunError
from marey.base.kept import cache_limit
from marey.classifier import Classifier

COMPILERS: tuple[Compiler, ...] = (TorchCompile(), OpenVINO())
"""Every backend but eager, which is the reference of all."""


def open_backend(classifier: Classifier, compute: Compute, *, views: int) -> Backend:
    """What runs `classifier` as `compute` asks. Nothing is compiled before the first batch.

    Args:
        classifier: Put in eval mode and on the device.
        compute: Device, precision and backend.
        views: About how many views will be computed in all: "auto" compiles only where so many repay it.

    Raises:
        RunError: this machine does not have the device, the device not the precision, or the backend does not run there
            or is not installed.
    """
    check_backend(compute)
    if compute.backend == "auto":
        return AutoBackend(classifier, compute, COMPILERS, views=views)
    for compiler in COMPILERS:
        if compiler.name == compute.backend:
            return CompiledBackend(classifier, compute, compiler)
    return EagerBackend(classifier, compute)


def check_backend(compute: Compute) -> None:
    """Refuse a backend that this machine, device or precision does not have before any work begins.

    Raises:
        RunError: as `open_backend`; or MAREY_CACHE_LIMIT is no size.
    """
    if compute.backend != "eager":
        cache_limit()  # read when something is kept, which is in the middle of the work
    device = pick_device(compute.device)
    precision = pick_precision(compute.precision, device, tell=False)
    for compiler in COMPILERS:
        if compiler.name == compute.backend and (why := compiler.lacks(device, precision)) is not None:
            raise RunError(f"--backend {compiler.name}: {why}.")
