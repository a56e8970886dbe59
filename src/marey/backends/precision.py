"""The arithmetic that a network runs in (float32, TF32, bfloat16), and torch's settings for it."""

import functools
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from marey.backends.compute import Compute
from marey.backends.device import pick_device, pick_training_device
from marey.base.errors import RunError
from marey.base.options import Arithmetic, Precision
from marey.base.reporter import warning_once

_SLOWER = 1.5
"""A CPU on which bfloat16 takes more than this many times as long as float32 has no bfloat16 units: measured are 0.2 to
0.6 with them, 9 to 400 without."""


def pick_precision(
    precision: Precision, device: torch.device, *, declared: Arithmetic = "float32", tell: bool = True
) -> Arithmetic:
    """The arithmetic of a network on `device`.

    Args:
        precision: What the user asks for. "auto" is `declared`, or float32 if `declared` is slow or not available.
        device: The device.
        declared: The recipe's precision in training.
        tell: Whether to warn if a precision is replaced, or if bfloat16 is slow on this CPU. Only the first process warns,
            once per message.

    Raises:
        RunError: the device does not have the precision.
    """
    wanted: Arithmetic = declared if precision == "auto" else precision
    why = None if wanted == "float32" else _lacking(wanted, device)
    if why is None:
        return wanted
    if precision == "auto":
        if tell:
            warning_once(f"the recipe's {wanted} is replaced by float32: {why}")
        return "float32"
    if wanted == "bfloat16" and device.type == "cpu":
        if tell:
            warning_once(f"--precision bfloat16: {why}; --precision float32 is faster")
        return wanted
    raise RunError(f"--precision {wanted}: {why}; use --precision float32.")


def check_machine(compute: Compute, *, training: bool = False) -> None:
    """Refuse, before any work begins, a device or precision that this machine lacks.

    Raises:
        RunError: as `pick_device` (or `pick_training_device`) and `pick_precision`.
    """
    device = pick_training_device(compute.device) if training else pick_device(compute.device)
    pick_precision(compute.precision, device, tell=False)


def resumed_precision(begun: Arithmetic, device: torch.device, *, declared: Arithmetic) -> Arithmetic:
    """The arithmetic of a resumed run: `begun`, in which it has computed so far. Warns if it is not the recipe's or is slow.

    Raises:
        RunError: the device lacks it.
    """
    why = None if begun == "float32" else _lacking(begun, device)
    if why is not None and not (begun == "bfloat16" and device.type == "cpu"):
        raise RunError(
            f"the run began in {begun}: {why}; resume it on another device, or start again in another --out."
        )
    if why is not None:
        warning_once(f"the run began in {begun} and continues in it: {why}")
    elif begun != declared:
        warning_once(f"the run began in {begun} and continues in it, not in the recipe's {declared}")
    return begun


def _lacking(wanted: Literal["tf32", "bfloat16"], device: torch.device) -> str | None:
    """Why the device does not support this arithmetic; None if it does."""
    if wanted == "tf32":
        return None if _has_tf32(device) else f"{device} has no TF32 (NVIDIA GPUs have it from Ampere on)"
    if device.type == "cpu":
        cost = bfloat16_cost()
        return None if cost <= _SLOWER else (
            f"bfloat16 takes {cost:.3g} times as long as float32 (measured on this CPU with a small 3D convolution)"
        )  # fmt: skip
    return None if _has_bfloat16(device) else f"torch does not compute in bfloat16 on {device}"


def _has_tf32(device: torch.device) -> bool:
    if device.type != "cuda":
        return False
    with torch.cuda.device(device):
        return torch.cuda.is_tf32_supported()


def _has_bfloat16(device: torch.device) -> bool:
    """Whether a convolution runs in bfloat16 there under autocast."""
    if not torch.amp.is_autocast_available(device.type):
        return False
    one = torch.ones(1, 1, 1, 1, 1, device=device)
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # MPS on an old macOS warns, and computes in float32
            with torch.autocast(device.type, dtype=torch.bfloat16):
                return F.conv3d(one, one).dtype == torch.bfloat16
    except (RuntimeError, TypeError):
        return False


@functools.cache
def bfloat16_cost() -> float:
    """The time of a convolution in bfloat16 divided by that in float32 on this CPU; below 1 bfloat16 is faster.

    Measured in less than a second, because torch's report about the CPU ignores oneDNN's limits (ONEDNN_MAX_CPU_ISA). On one
    thread, because several threads on a busy machine wait for each other longer than they compute.
    """
    clip, weight = torch.ones(1, 32, 4, 14, 14), torch.ones(32, 32, 3, 3, 3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with computing_in("float32"):
            full, half = (_fastest(clip.to(kind), weight.to(kind)) for kind in (torch.float32, torch.bfloat16))
    finally:
        torch.set_num_threads(threads)
    return half / full


def _fastest(clip: Tensor, weight: Tensor) -> float:
    """Seconds of the fastest of at most 8 convolutions; none is started after a fifth of a second."""
    times: list[float] = []
    first = time.perf_counter()
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        while len(times) < 8 and time.perf_counter() - first < 0.2:
            start = time.perf_counter()
            F.conv3d(clip, weight, padding=1)
            times.append(time.perf_counter() - start)
    return min(times)


def autocast(device: torch.device, arithmetic: Arithmetic) -> AbstractContextManager[object]:
    """Torch's autocast to bfloat16 if that is the arithmetic; otherwise autocast is off, even if the caller has enabled
    it.
    """
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=arithmetic == "bfloat16")


# -- torch's switches --------------------------------------------------------------------------------------------------


@contextmanager
def computing_in(arithmetic: Arithmetic) -> Iterator[None]:
    """Inside the block, convolutions and matrix products of float32 tensors compute in true float32, or in TF32 for "tf32".

    By default torch lets cuDNN's convolutions use TF32, and programs may have allowed more, for example bfloat16 inside
    oneDNN. The block overrides this, and restores torch's settings at its end. (bfloat16 is enabled by autocast, elsewhere;
    operators that autocast leaves in float32 compute in float32.)

    The settings are global to the process. Several threads may be in such blocks at once: TF32 is enabled only while all of
    them ask for it, so that float32 is always true float32.
    """
    _SWITCHES.enter(arithmetic)
    try:
        yield
    finally:
        _SWITCHES.leave(arithmetic)


class _Switches:
    """Torch's global settings of float32 arithmetic, shared by the blocks of all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: list[Arithmetic] = []
        """The arithmetic of each block that is open."""
        self._restore: Callable[[], None] = _nothing

    def enter(self, arithmetic: Arithmetic) -> None:
        with self._lock, _without_advice():
            if not self._wanted:
                self._restore = _saved_settings()
            self._wanted.append(arithmetic)
            self._set()

    def leave(self, arithmetic: Arithmetic) -> None:
        with self._lock, _without_advice():
            self._wanted.remove(arithmetic)
            if self._wanted:
                self._set()
            else:
                self._restore()

    def _set(self) -> None:
        _allow_tf32(all(arithmetic == "tf32" for arithmetic in self._wanted))


def _nothing() -> None:
    pass


class _Operation(Protocol):
    """Settings of one kind of operation, for example torch.backends.cudnn.conv."""

    fp32_precision: str
    """"ieee", "tf32" or "bf16"; setting "none" makes it follow the setting of the entire torch backend."""


def _operations() -> tuple[_Operation, ...]:
    """The three kinds on CUDA, then the three of oneDNN on the CPU."""
    cuda, cudnn, mkldnn = torch.backends.cuda, torch.backends.cudnn, torch.backends.mkldnn
    found = (cuda.matmul, cudnn.conv, cudnn.rnn, mkldnn.matmul, mkldnn.conv, mkldnn.rnn)  # type: ignore[attr-defined]
    return cast("tuple[_Operation, ...]", found)


def _saved_settings() -> Callable[[], None]:
    """Save torch's settings; returns a function that restores them.

    Torch 2.9 and later have two sets of settings, an older and a newer one, and refuse to read the older one if the two
    contradict each other. Both are saved and set, so that they agree.
    """
    operations = _operations()
    precisions = [operation.fp32_precision for operation in operations]
    for operation in operations:
        operation.fp32_precision = "ieee"
    matmul = torch.get_float32_matmul_precision()  # readable now that the newer settings are "ieee"
    try:
        convolutions = torch.backends.cudnn.allow_tf32
    except RuntimeError:  # it contradicts "ieee"
        convolutions = True

    def restore() -> None:
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = convolutions
        for operation, precision in zip(operations, precisions, strict=True):
            operation.fp32_precision = "none"
            if operation.fp32_precision != precision:  # else it followed the torch backend, and follows it again
                operation.fp32_precision = precision

    return restore


def _allow_tf32(allowed: bool) -> None:
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed
    for operation in _operations()[:3]:
        operation.fp32_precision = "tf32" if allowed else "ieee"
    for operation in _operations()[3:]:
        operation.fp32_precision = "ieee"


@contextmanager
def _without_advice() -> Iterator[None]:
    """Silence torch 2.9's warnings about its older settings, which still have to agree with the newer ones."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*new API settings", category=UserWarning)
        yield


_SWITCHES = _Switches()
