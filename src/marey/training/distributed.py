"""The processes of a run: setting up Lightning Fabric, collective operations, and signals that ask to stop."""

import atexit
import gc
import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self, TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import Tensor

from marey.base.errors import RunError
from marey.base.options import Arithmetic
from marey.base.processes import STOP_SIGNALS, processes, started_by_torchrun
from marey.base.reporter import notice

T = TypeVar("T")
_SAME_SIGNAL = 2.0
"""Seconds after the first signal in which, under torchrun, a SIGINT is ignored as a repetition."""


def start_fabric(device: torch.device, arithmetic: Arithmetic) -> Fabric:
    """Join the processes of this run, each with its device.

    Fabric's own precision is switched off, because with bfloat16 it would also cast the clips before the network sees
    them. Its search for a cluster is switched off, too: the processes of a run are known from torchrun's environment
    variables (`processes`). In a job with several SLURM tasks, Fabric's search would refuse a training in one process,
    or find other processes than Marey does.

    Raises:
        RunError: the processes do not all use the same precision.
    """
    world, local = processes().world, processes().local_world
    fabric = Fabric(
        accelerator=device.type,
        devices=local if world > 1 or device.index is None else [device.index],
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        precision="32-true",
        plugins=[TorchElasticEnvironment() if world > 1 else LightningEnvironment()],
    )
    with _quiet(logging.getLogger("lightning_fabric")):  # each process would announce itself
        fabric.launch()  # under torchrun it starts no process, and joins the existing ones
    if world > 1:
        atexit.register(_leave_group)
    refuse_mixed(arithmetic)
    return fabric


def _leave_group() -> None:
    """Leave the process group, and end Gloo's threads.

    A thread of Gloo that releases a tensor while Python shuts down aborts the process ("terminate called without an
    active exception"). The threads end when the group object is deleted. A network that Fabric wrapped refers to this
    object and may be part of a reference cycle, so the garbage collector is run.
    """
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
        gc.collect()


def refuse_mixed(arithmetic: Arithmetic) -> None:
    """Check that all processes use the same precision. Each process chose it for its machine, and machines may differ.

    Raises:
        RunError: precisions differ. Every process raises it, so that none waits for the others.
    """
    chosen = gathered(arithmetic)
    if len(set(chosen)) == 1:
        return
    ranks = {name: ", ".join(str(n) for n, other in enumerate(chosen) if other == name) for name in sorted(set(chosen))}
    raise RunError(
        f"the processes would train in different arithmetic: {'; '.join(f'{k} on rank {v}' for k, v in ranks.items())}. "
        "Not all of these machines have what the recipe asks for; use --precision float32."
    )


def gathered(value: T) -> list[T]:
    """The value of each process, in the order of their ranks."""
    values = [value] * processes().world
    if len(values) > 1:
        torch.distributed.all_gather_object(values, value)
    return values


def summed(fabric: Fabric, values: Tensor) -> Tensor:
    """The sum of `values` over all processes, on the CPU."""
    if processes().world == 1:
        return values
    total = values.clone().to(fabric.device)
    torch.distributed.all_reduce(total)
    return total.cpu()


def any_process(fabric: Fabric, *flags: bool) -> list[bool]:
    """For each flag, whether it is True in any process. Without this, processes would stop or save at different steps."""
    return [count > 0 for count in summed(fabric, torch.tensor(flags, dtype=torch.float32)).tolist()]


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Within the block the logger emits only warnings and errors."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


class StopSignals:
    """Within its block SIGINT (Ctrl-C), SIGTERM and, on Windows, Ctrl-Break set `received` instead of ending the process.

    A second SIGINT raises KeyboardInterrupt at once, and the run keeps only what it saved before. Under torchrun, a SIGINT
    within 2 seconds of the first signal is ignored, because the terminal and torchrun both send one for one Ctrl-C.
    """

    def __init__(self) -> None:
        self._received: float | None = None
        self.interrupted = False
        """Whether the first signal was SIGINT."""
        # Python allows handlers to be set in the main thread only; a run in another thread leaves the program's handlers.
        self._main = threading.current_thread() is threading.main_thread()
        self._previous = {number: signal.getsignal(number) for number in STOP_SIGNALS}

    @property
    def received(self) -> bool:
        """Whether one of the signals has arrived."""
        return self._received is not None

    def __enter__(self) -> Self:
        if self._main:
            for number in STOP_SIGNALS:
                signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        if self._main:
            for number, handler in self._previous.items():
                # None: a handler that C code has set, which Python cannot restore.
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._received is None:
            self._received, self.interrupted = now, number == signal.SIGINT
            notice("stopping after this step, with all of it saved; Ctrl-C once more stops at once")
        elif number == signal.SIGINT and now - self._received > (_SAME_SIGNAL if started_by_torchrun() else 0):
            raise KeyboardInterrupt
