"""The processes of a run: Lightning Fabric as training uses it, what they agree on, and how they are asked to stop."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self, TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor

from marey.base.errors import RunError
from marey.base.precision import Arithmetic
from marey.base.processes import processes

T = TypeVar("T")
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def start_fabric(device: torch.device, arithmetic: Arithmetic) -> Fabric:
    """Join the processes of this run, each with its device.

    Fabric's own precision stays off: for bfloat16 it would cast the clips, too, before the network sees them.

    Raises:
        RunError: the processes do not all compute in the same arithmetic.
    """
    world, local = processes().world, processes().local_world
    fabric = Fabric(
        accelerator=device.type,
        devices=local if world > 1 or device.index is None else [device.index],
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        precision="32-true",
    )
    with _quiet(logging.getLogger("lightning_fabric")):  # each process would announce itself
        fabric.launch()  # under torchrun it starts no process, and joins those that there are
    refuse_mixed(arithmetic)
    return fabric


def refuse_mixed(arithmetic: Arithmetic) -> None:
    """Compare what the processes of a run compute in. Each chose by its own machine, and machines may differ.

    Raises:
        RunError: they differ; in every process, so that none waits for the others.
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


def any_process(fabric: Fabric, *answers: bool) -> list[bool]:
    """For each of the answers, whether any process gives it: signals and clocks reach processes at different steps."""
    return [count > 0 for count in summed(fabric, torch.tensor(answers, dtype=torch.float32)).tolist()]


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Within the block the logger passes on warnings and errors alone."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


class StopSignals:
    """Within its block SIGINT (Ctrl-C) and SIGTERM set `received` in place of ending the process."""

    def __init__(self) -> None:
        self.received = False
        # Only the main thread may set handlers: in any other one the program's own stay.
        self._main = threading.current_thread() is threading.main_thread()
        self._previous = {number: signal.getsignal(number) for number in _STOP_SIGNALS}

    def __enter__(self) -> Self:
        if self._main:
            for number in _STOP_SIGNALS:
                signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        if self._main:
            for number, handler in self._previous.items():
                signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = True
