"""The device that a network runs on."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from marey.base.errors import RunError
from marey.base.processes import processes
from marey.base.reporter import notice, warning_once
from marey.base.words import counted

_TRAINED_ON = ("cpu", "cuda", "mps")
"""Kinds of devices on which Lightning Fabric can train."""


def device_text(device: torch.device) -> str:
    """A device in words: "cpu (2 threads)", "cuda:0 (NVIDIA H100 80GB HBM3)"."""
    if device.type == "cpu":
        return f"cpu ({counted(torch.get_num_threads(), 'thread')})"
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def pick_device(name: str) -> torch.device:
    """The device of that name, after a check that this machine can compute on it.

    Args:
        name: "auto", "cpu", or a device of torch, with or without an index: "cuda", "cuda:1", "mps", "xpu". "auto" is CUDA
            if there is a CUDA device that computes, else the CPU. Other accelerators are used only by name, because on some
            of them torch lacks operators of these networks.

    Raises:
        RunError: torch has no such device, this machine has none or not so many, or it cannot compute.
    """
    if name == "auto":
        return _cuda_or_cpu()
    try:
        device = torch.device(name)
    except (RuntimeError, ValueError):
        raise RunError(
            f"--device {name}: expected auto, cpu, or a device that torch names, for example cuda, cuda:1, mps or xpu."
        ) from None
    count = _usable(device.type)
    if not count:
        raise RunError(
            f"--device {name}: this torch ({torch.__version__}) finds no {device.type} device here; use --device cpu, or "
            "see `marey doctor`."
        )
    if device.index is not None and device.index >= count:
        raise RunError(
            f"--device {name}: there is no such index; torch finds {counted(count, f'{device.type} device')} "
            f"here, counted from 0: {', '.join(f'{device.type}:{number}' for number in range(count))}."
        )
    if device.type == "cpu":
        return torch.device("cpu")  # without an index, which Fabric would take as a number of processes
    fault = _fault(_own(device))
    if fault is not None:
        raise RunError(f"--device {name}: {fault}; use --device cpu.")
    return device


def _cuda_or_cpu() -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    fault = _fault(_own(torch.device("cuda")))
    if fault is None:
        return torch.device("cuda")
    warning_once(f"--device auto takes the CPU, not cuda: {fault}")
    return torch.device("cpu")


def pick_own_device(name: str) -> torch.device:
    """As `pick_device`; several processes on a machine with several GPUs get a different GPU each."""
    return _own(pick_device(name))


def _own(device: torch.device) -> torch.device:
    """The GPU of this process if several processes share the machine's GPUs; any other device unchanged."""
    here = processes()
    if device.type != "cuda" or device.index is not None or here.world == 1:
        return device
    return torch.device("cuda", here.local_rank % _usable("cuda"))


def pick_training_device(name: str) -> torch.device:
    """The device of that name, after a check that all processes of this run can train on it.

    Raises:
        RunError: as `pick_device`; or training does not run there.
    """
    world, local = processes().world, processes().local_world
    # Processes that train together need devices of one kind: a process whose GPU fails must not fall back to the CPU.
    device = pick_device("cuda" if name == "auto" and world > 1 and torch.cuda.is_available() else name)
    if device.type not in _TRAINED_ON:
        raise RunError(
            f"--device {name}: training runs on {', '.join(_TRAINED_ON[:-1])} or {_TRAINED_ON[-1]} (Lightning Fabric "
            f"knows no {device.type}); predict, evaluate and features do run on {device.type}."
        )
    if device.type == "mps" and world > 1:
        raise RunError(f"--device {name}: training on mps takes one process, not {world}: start it without torchrun.")
    if device.index is not None and world > 1:
        raise RunError(
            f"--device {name}: each of {counted(world, 'process')} trains on a device of its own: name none by number."
        )
    if device.type == "cuda" and world > 1 and local > _usable("cuda"):
        raise RunError(
            f"--device {name}: {counted(local, 'process')} on this machine, but torch finds {_usable('cuda')} CUDA devices: "
            "start "
            "as many processes as there are devices, or use --device cpu."
        )
    return device


def notice_spare_accelerator(name: str) -> None:
    """Print a notice if `name` is "auto" and this machine has an accelerator that "auto" does not use."""
    if name != "auto":
        return
    found = torch.accelerator.current_accelerator()
    if found is not None and found.type != "cuda" and torch.accelerator.is_available():
        notice(f"--device auto takes CUDA or the CPU; this machine has {found.type} too: --device {found.type} uses it")


def on_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Move a tensor to a device. Only copies to CUDA are asynchronous: MPS may read memory that was reused meanwhile."""
    return tensor.to(device, non_blocking=device.type == "cuda")


@contextmanager
def explain_missing_operators(device: torch.device) -> Iterator[None]:
    """Turn torch's error about an operator that an accelerator lacks into one line with a remedy.

    Raises:
        RunError: code inside the block needs an operator that torch lacks on `device`.
    """
    try:
        yield
    except NotImplementedError as error:
        if device.type in ("cpu", "cuda"):
            raise
        fallback = ", or let the CPU compute what is missing: PYTORCH_ENABLE_MPS_FALLBACK=1 in the environment"
        raise RunError(
            f"--device {device}: torch lacks an operator of this network there ({str(error).splitlines()[0][:120]}): use "
            f"--device cpu{fallback if device.type == 'mps' else ''}."
        ) from None


def _usable(kind: str) -> int:
    """How many devices of a kind this machine can use."""
    if kind == "cpu":
        return 1
    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    found = torch.accelerator.current_accelerator()
    same = found is not None and found.type == kind and torch.accelerator.is_available()
    return torch.accelerator.device_count() if same else 0


def _fault(device: torch.device) -> str | None:
    """Why torch cannot compute on a device that it finds; None if it can.

    Adds two numbers there, which fails if this torch has no kernels for the device, its driver does not work, or another
    process has exclusive use of it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # before torch fails on a GPU that is too old, it prints a long warning
            right = torch.ones(2, device=device).sum().item() == 2
    except (RuntimeError, AssertionError, torch.cuda.DeferredCudaCallError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"torch finds the device and cannot compute on it ({reason})"
    return None if right else "torch adds 1 and 1 to something else there"
