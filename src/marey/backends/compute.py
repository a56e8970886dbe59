"""Where and how a network computes: settings that do not decide accuracy. Imports no torch."""

from dataclasses import dataclass, replace
from typing import Literal, TypedDict, Unpack, get_args

from marey.base.errors import RunError
from marey.base.names import did_you_mean
from marey.base.options import Precision

BackendName = Literal["auto", "eager", "compile", "openvino"]
"""The software that runs the network; "auto" measures which of the others is fastest."""


class ComputeOptions(TypedDict, total=False):
    """The fields of `Compute`, as keyword arguments of public functions."""

    device: str
    """The device as `Compute.device` describes it, for example "cuda:1"."""
    precision: Precision
    """The arithmetic as `Compute.precision` describes it, for example "bfloat16"."""
    batch: int | None
    """The number of views in a forward pass, or of clips in training; None: see `Compute.batch`."""
    workers: int | None
    """The number of decoding processes; None: one per core, at most eight."""
    backend: BackendName
    """The backend for testing, prediction and features, for example "openvino"."""


@dataclass(frozen=True)
class Compute:
    """Where and how a network computes, in testing, prediction and training."""

    device: str = "auto"
    """The device: "auto" (CUDA if there is a CUDA device, else the CPU), "cpu", or a device of torch: "cuda", "cuda:1",
    "mps", "xpu"."""
    precision: Precision = "auto"
    """The arithmetic: "float32", "tf32" or "bfloat16"; "auto" is the recipe's in training and float32 elsewhere."""
    batch: int | None = None
    """Views in one forward pass, or clips per micro-batch and process in training. None: 8 views; in training the
    recipe's `norm_batch`, or the process's share of a batch."""
    workers: int | None = None
    """Decoding processes; 0 decodes in the calling process, None is one per core, at most eight. Their number does not
    change the results."""
    backend: BackendName = "eager"
    """The backend for testing, prediction and features, eager by default; training and its validation are always
    eager."""

    def __post_init__(self) -> None:
        if self.backend not in get_args(BackendName):
            raise RunError(f"backend {self.backend!r}: expected one of {', '.join(get_args(BackendName))}.")
        if self.precision not in get_args(Precision):
            raise RunError(f"precision {self.precision!r}: expected one of {', '.join(get_args(Precision))}.")
        if self.batch is not None and self.batch < 1:
            raise RunError(f"batch {self.batch}: a forward pass takes at least one view or clip; None is the default.")
        if self.workers is not None and self.workers < 0:
            raise RunError(f"workers {self.workers}: 0 decodes in the calling process, None takes one per core.")

    @property
    def views(self) -> int:
        """Views in one forward pass."""
        return 8 if self.batch is None else self.batch

    def changed(self, **options: Unpack[ComputeOptions]) -> "Compute":
        """The same settings with some fields changed.

        Raises:
            TypeError: there is no such field.
        """
        for name in options:
            if name not in ComputeOptions.__annotations__:
                known = list(ComputeOptions.__annotations__)
                raise TypeError(f"there is no argument {name!r}.{did_you_mean(name, known) or f' Expected {known}.'}")
        return replace(self, **options)
