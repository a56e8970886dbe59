"""The fastest backend for a network, a shape of views and this machine, as far as the work ahead repays finding it."""

import hashlib
import json
import math
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from marey.backends.backend import Backend, BackendReport, Compiler, FromFrames
from marey.backends.compiled import CompiledBackend
from marey.backends.compute import Compute
from marey.backends.eager import EagerBackend
from marey.base.files import write_json
from marey.base.kept import kept_folder, mark_used, prune
from marey.base.reporter import notice
from marey.classifier import Classifier, Output

_HOPED_FOR = 0.7
"""The part of the best time so far that a compiler is taken to need before it is measured; docs/performance/backends.md
has 0.2 to 0.8."""
_CLEARLY = 0.95
"""A compiler is taken where it needs at most this part of the best time so far: measurements repeat within some per cent."""

_WORTH_SAYING = 10.0
"""Seconds of work left from which on a notice names eager as the choice: for less, no compiler was worth weighing, as a
network takes 5 s or more to compile."""


class AutoBackend(Backend):
    """Decides on its first batch, with that batch.

    Eager computes it and is timed. A compiler is tried where compiling and the rest of the work at its speed take less
    time than the rest at the best speed so far. Its speed is what was measured before on such a machine, else a guess, and
    then it is measured; measurements are kept in the cache, and which compilers failed: those are not tried again. Work that
    is too short for that costs no more than under eager.
    On other devices than the CPU eager is taken: no compiler was measured there.

    Args:
        classifier: Put in eval mode and on the device.
        compute: Device and precision.
        compilers: Among which to choose, besides eager; those that lack the device or precision are passed over.
        views: About how many views will be computed in all.
        clock: Tells the time in seconds.
    """

    def __init__(
        self,
        classifier: Classifier,
        compute: Compute,
        compilers: Sequence[Compiler],
        *,
        views: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._eager = EagerBackend(classifier, compute)
        self.device, self.precision = self._eager.device, self._eager.precision
        self._compute, self._views, self._clock = compute, views, clock
        self._compilers = [c for c in compilers if c.lacks(self.device, self.precision) is None]
        self._taken: Backend | None = None
        self._why = ""

    def report(self) -> BackendReport:
        report = self._eager.report() if self._taken is None else self._taken.report()
        return replace(report, asked="auto", why=report.why or self._why)

    def run(self, output: Output, views_VTHWC: Tensor) -> Tensor:
        if self._taken is not None:
            return self._taken.run(output, views_VTHWC)
        if self.device.type != "cpu":
            self._take(self._eager, f"the others were not measured on {self.device.type}")
        elif not self._compilers:
            self._take(self._eager, f"no other backend here computes in {self.precision}")
        else:
            return self._choose(output, views_VTHWC)
        return self._eager.run(output, views_VTHWC)

    def _take(self, backend: Backend, why: str, *, left: float = math.inf) -> None:
        """Say what was taken, unless it is eager for the few seconds of work that are `left`."""
        self._taken, self._why = backend, why
        if backend is not self._eager or left >= _WORTH_SAYING:
            notice(f"backend auto takes {backend.report().ran}: {why}")

    def _choose(self, output: Output, views_VTHWC: Tensor) -> Tensor:
        """Take a backend; the output of the first batch is the one that it gives."""
        count = len(views_VTHWC)
        left = max(self._views - count, 0)

        def timed(backend: Backend) -> tuple[Tensor, float]:
            begun = self._clock()
            computed = backend.run(output, views_VTHWC)
            return computed, (self._clock() - begun) / count

        file = kept_folder("measured") / f"{self._key(output, views_VTHWC)}.json"
        kept = _read(file)
        speeds = {name: seconds for name, seconds in kept.items() if seconds is not None}
        failed = [name for name, seconds in kept.items() if seconds is None]
        result, first = timed(self._eager)
        speeds.setdefault("eager", first)
        warm = "eager" in kept  # else its one time is that of a first pass, which is slower than the next
        taken: Backend = self._eager
        best = speeds["eager"]

        def total(compiler: Compiler) -> float:
            """Seconds until all work is done with it: compiling, passes to check and measure it, the rest of the work."""
            passes, speed = (2, speeds[compiler.name]) if compiler.name in speeds else (4, _HOPED_FOR * best)
            module = FromFrames(self._eager.classifier, output)
            return compiler.seconds(module, views_VTHWC, self.precision) + passes * count * best + left * speed

        untried = [compiler for compiler in self._compilers if compiler.name not in failed]
        while untried:
            seconds, index = min((total(compiler), index) for index, compiler in enumerate(untried))
            if seconds >= left * best:
                break
            if not warm:
                warm, best = True, min(best, timed(self._eager)[1])
                speeds["eager"] = best
                continue
            compiler = untried.pop(index)
            backend = CompiledBackend(self._eager.classifier, self._compute, compiler)
            computed = backend.run(output, views_VTHWC)
            if not backend.fell_back and compiler.name not in speeds:
                speeds[compiler.name] = min(timed(backend)[1] for _ in range(2))
            if backend.fell_back:
                speeds.pop(compiler.name, None)
                failed.append(compiler.name)
            elif speeds[compiler.name] <= _CLEARLY * best:
                taken, result, best = backend, computed, speeds[compiler.name]
        found = speeds | dict.fromkeys(failed)
        if len(found) > 1 and found != kept:
            _write(file, found)
        self._decide(taken, found, kept, best=best, left=left)
        return result

    def _decide(
        self,
        taken: Backend,
        found: dict[str, float | None],
        kept: dict[str, float | None],
        *,
        best: float,
        left: int,
    ) -> None:
        """Take a backend, and say why: by the seconds per view that were `found`, of which some were `kept` before.

        Args:
            best: Seconds per view of the backend that is taken.
            left: Views that are still to be computed.
        """
        seconds = left * best
        if len(found) == 1:
            # Without a number where it is small, so that short runs of the same work write the same result.
            so_many = f"about {seconds:.0f}" if seconds >= _WORTH_SAYING else f"less than {_WORTH_SAYING:.0f}"
            self._take(taken, f"{so_many} s of work are left, too little to repay compiling", left=seconds)
            return
        each = ", ".join(f"{name} {'failed' if s is None else f'{s:.3g}'}" for name, s in found.items())
        how = "measured before" if found == kept else "measured"
        fastest = min(speed for speed in found.values() if speed is not None)
        short = " and the work left is short" if taken is self._eager and best > fastest else ""
        self._take(taken, f"seconds per view, {how} on this machine: {each}{short}", left=seconds)

    def _key(self, output: Output, views_VTHWC: Tensor) -> str:
        """What a measurement depends on, but not the values of the weights. A single view, for which compilers may make
        another function, is measured by itself; all other numbers share one measurement: they vary with the videos.
        """
        model = self._eager.classifier
        tensors = {name: list(tensor.shape) for name, tensor in model.network.state_dict().items()}
        parts = [
            model.recipe.model.model_dump(mode="json"), tensors, output, len(views_VTHWC) == 1,
            list(views_VTHWC.shape[1:]), str(views_VTHWC.dtype), self.precision, torch.get_num_threads(), _machine(),
            torch.__version__, {compiler.name: compiler.version for compiler in self._compilers},
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _machine() -> list[str | int | None]:
    """What machines of equal speed have in common; in containers their names change from run to run."""
    names = Path("/proc/cpuinfo")
    lines = names.read_text(errors="replace").splitlines() if names.exists() else []
    name = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
    return [name, platform.machine(), torch.backends.cpu.get_cpu_capability(), os.cpu_count()]


def _read(file: Path) -> dict[str, float | None]:
    """Seconds per view by backend, None for one that failed; empty where nothing was measured yet, or what was kept is
    damaged.
    """
    try:
        kept = json.loads(file.read_bytes())
        seconds = {str(name): None if value is None else float(value) for name, value in kept.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    mark_used(file)
    whole = seconds.get("eager") is not None and all(value is None or value > 0 for value in seconds.values())
    return seconds if whole else {}


def _write(file: Path, speeds: Mapping[str, float | None]) -> None:
    try:
        write_json(file, speeds)
        prune(file.parent)
    except OSError as error:
        notice(f"{file}: what was measured cannot be kept ({error.strerror}); it is measured again next time")
