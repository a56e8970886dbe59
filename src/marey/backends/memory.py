"""Whether a device has enough memory to run a network: an estimate, before any video is decoded."""

import re
import sys
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor, nn

from marey.backends.compute import Compute
from marey.backends.device import device_text, pick_device
from marey.base.errors import RunError
from marey.base.words import counted
from marey.classifier import Classifier

_SIDE = 32
"""Height and width in pixels of the small clip that is measured; the memory of a view grows with its area."""
_COPIES = 3.5
"""Peak memory as a multiple of the input and output of the largest layer: these two, the other branch of a residual block,
and copies in other memory layouts. Measured on a CPU: 1.5 (I3D, EfficientNet-Lite) to 3.5 (SlowFast, R(2+1)D)."""
_MEMINFO = Path("/proc/meminfo")
_LIMITS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)
"""Files with a container's memory limit and its use, in bytes: version 2 and version 1 of Linux's control groups."""


def require_memory(model: Classifier, compute: Compute) -> None:
    """Check that the device can hold a classifier and the tensors of one forward pass.

    If the system does not report how much memory is free, nothing is checked.

    Raises:
        RunError: more is needed than is free; the error names a smaller batch if one fits.
    """
    device = pick_device(compute.device)
    free = free_memory(device)
    if free is None:
        return
    weights, view = needed_memory(model)
    needed = weights + compute.views * view
    if needed <= free:
        return
    fitting = (free - weights) // view
    instead = f"--batch {fitting}, or a smaller network" if fitting >= 1 else "take a smaller network"
    raise RunError(
        f"{model.recipe.name}: it needs about {_gigabytes(needed)} of memory ({_gigabytes(weights)} of weights, the rest "
        f"for {counted(compute.views, 'view')} at a time), and {device_text(device)} has {_gigabytes(free)} free: {instead}."
    )


@torch.inference_mode()
def needed_memory(model: Classifier) -> tuple[int, int]:
    """Bytes of a classifier's weights, and an estimate of the bytes that one view of its test takes in a forward pass.

    A clip of 32 x 32 pixels is passed through it on the CPU; the memory of its largest layer is scaled to the test's size.
    """
    recipe, network = model.recipe, model.network
    clip = torch.zeros(1, recipe.model.channels, recipe.test.sampling.clip_frames, _SIDE, _SIDE)
    largest = [_tensor_bytes(clip)]

    def measure(_: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        tensors = [value for value in (*inputs, output) if isinstance(value, Tensor)]
        largest.append(sum(map(_tensor_bytes, tensors)))

    hooks = [one.register_forward_hook(measure) for one in network.modules() if next(one.children(), None) is None]
    try:
        network(clip)
    finally:
        for hook in hooks:
            hook.remove()
    weights = sum(_tensor_bytes(tensor) for tensor in chain(network.parameters(), network.buffers()))
    area = (recipe.test.size / _SIDE) ** 2
    return weights, int(area * (_tensor_bytes(clip) + _COPIES * max(largest)))


def free_memory(device: torch.device) -> int | None:
    """Bytes that this process can still allocate on a device; None if the system does not report them.

    For the CPU on Linux it is the kernel's MemAvailable, or less if a control group allows less; on other systems it is not
    known.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu" or sys.platform != "linux":
        return None
    known = [value for value in (_available(), *(_left(*files) for files in _LIMITS)) if value is not None]
    return min(known, default=None)


def _available() -> int | None:
    """The kernel's MemAvailable in bytes; None if it cannot be read."""
    try:
        found = re.search(r"^MemAvailable:\s*(\d+) kB$", _MEMINFO.read_text(), re.MULTILINE)
    except OSError:
        return None
    return None if found is None else int(found[1]) * 1024


def _left(limit: Path, used: Path) -> int | None:
    """Bytes that a control group still allows; None if there is no such group, or it has no limit ("max")."""
    try:
        most, now = limit.read_text().strip(), used.read_text().strip()
    except OSError:
        return None
    return max(int(most) - int(now), 0) if most.isdigit() and now.isdigit() else None


def _tensor_bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"
