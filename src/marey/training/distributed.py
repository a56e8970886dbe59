"""The processes of a run: Lightning Fabric as training uses it, what they agree on, and how they are asked to stop."""

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
from torch import Tensor

from marey.base.errors import RunError
from marey.base.precision import Arithmetic
from marey.base.processes import processes
from marey.base.reporter import notice

T = TypeVar("T")
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SAME_SIGNAL = 2.0
"""Seconds within which a second signal is taken for the first one, sent twice."""


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
    """Within its block SIGINT (Ctrl-C) and SIGTERM set `received` in place of ending the process.

    A second SIGINT ends it at once, with what the run has saved so far. One that follows within a moment counts as the
    first one: a terminal and torchrun both send it.
    """

    def __init__(self) -> None:
        self._received: float | None = None
        # Only the main thread may set handlers: in any other one the program's own stay.
        self._main = threading.current_thread() is threading.main_thread()
        self._previous = {number: signal.getsignal(number) for number in _STOP_SIGNALS}

    @property
    def received(self) -> bool:
        """Whether one of the signals has come."""
        return self._received is not None

    def __enter__(self) -> Self:
        if self._main:
            for number in _STOP_SIGNALS:
                signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        if self._main:
            for number, handler in self._previous.items():
                # A handler that C code has set is unknown to Python, which cannot put it back.
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._received is None:
            self._received = now
            notice("stopping after this step, with all of it saved; Ctrl-C once more stops at once")
        elif number == signal.SIGINT and now - self._received > _SAME_SIGNAL:
            raise KeyboardInterrupt
