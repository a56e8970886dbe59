"""Lightning's Trainer, driven: devices, processes, precision, and how a run is asked to stop."""

import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import nn

from marey.backends.device import operators_of
from marey.backends.precision import computing_in
from marey.base.errors import RunError
from marey.base.precision import Arithmetic
from marey.base.processes import world_size
from marey.data.loader import ClipLoader
from marey.training.module import TrainModule

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether the run was asked to end: by Ctrl-C, by SIGTERM or by itself."""

    def __init__(self) -> None:
        self.asked = False

    def listen(self) -> None:
        """From here on both signals end the run after the step in flight, with everything saved."""
        if threading.current_thread() is threading.main_thread():
            for number in _STOP_SIGNALS:
                signal.signal(number, self._ask)

    def _ask(self, number: int, frame: object) -> None:
        self.asked = True


def drive(
    module: TrainModule, loader: ClipLoader, stop: Stop, *, device: torch.device, begins: Callable[[], None]
) -> None:
    """Train until the loader ends or the run is asked to stop; `begins` is called once the optimiser exists.

    Raises:
        RunError: the processes of this run do not all compute in the same arithmetic.
    """
    arithmetic = module.recipe.train.precision

    def ready() -> None:
        refuse_mixed(arithmetic)
        begins()

    with _quiet_lightning(), _signals_restored(), operators_of(device), computing_in(arithmetic):
        trainer = _trainer(module, device)
        module.on_fit_start = ready  # type: ignore[method-assign]
        trainer.fit(module, train_dataloaders=_Stream(loader, stop))


def refuse_mixed(arithmetic: Arithmetic) -> None:
    """Compare what the processes of a run compute in. Each chose by its own machine, and machines may differ.

    Raises:
        RunError: they differ; in every process, so that none waits for the others.
    """
    world = world_size()
    if world == 1:
        return
    chosen: list[Arithmetic] = [arithmetic] * world
    torch.distributed.all_gather_object(chosen, arithmetic)
    if len(set(chosen)) == 1:
        return
    ranks = {name: ", ".join(str(n) for n, other in enumerate(chosen) if other == name) for name in sorted(set(chosen))}
    raise RunError(
        f"the processes would train in different arithmetic: {'; '.join(f'{k} on rank {v}' for k, v in ranks.items())}. "
        "Not all of these machines have what the recipe asks for; use --precision float32."
    )


def _trainer(module: TrainModule, device: torch.device) -> Trainer:
    world, train = world_size(), module.recipe.train
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    devices: int | list[int] = local if world > 1 or device.index is None else [device.index]
    if device.type == "cuda" and world > 1 and train.norm_batch is None:
        module.model = nn.SyncBatchNorm.convert_sync_batchnorm(module.model)  # type: ignore[no-untyped-call]
    return Trainer(
        accelerator=device.type,
        devices=devices,
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        precision="bf16-mixed" if train.precision == "bfloat16" else "32-true",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


class _Stream:
    """The loader's batches until the run stops. To Lightning the whole run is one epoch: places, validation and
    resuming are ours, since its own way of resuming in mid-epoch feeds other batches.
    """

    def __init__(self, loader: ClipLoader, stop: Stop) -> None:
        self._loader, self._stop = loader, stop

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self._stop.listen()  # now, since Lightning has just set handlers of its own
        for batch in self._loader:
            if self._stop.asked:
                return
            yield batch


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Lightning's banners and hints are not the user's: the run says what matters itself."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _signals_restored() -> Iterator[None]:
    """Leave the handlers of SIGINT and SIGTERM as they were."""
    old = {number: signal.getsignal(number) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in old.items():
                signal.signal(number, handler)
