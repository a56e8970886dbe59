"""The backend "auto": the fastest one for a network, a shape of views and this machine, if the work repays measuring."""

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

from marey.backends.backend import Backend, BackendReport
from marey.backends.compiled import CompiledBackend, Compiler
from marey.backends.compute import Compute
from marey.backends.eager import EagerBackend, OutputFromFrames
from marey.base.cache import backends_folder, mark_used, prune
from marey.base.files import write_json
from marey.base.reporter import notice
from marey.classifier import Classifier, Output

_ASSUMED = 0.7
"""Assumed seconds per view of a compiled network whose speed was not measured yet, as a fraction of the best measured so
far; docs/performance/backends.md reports 0.2 to 0.8."""
_FASTER = 0.95
"""A compiler is chosen if its network takes at most this fraction of the best seconds per view so far: repeated
measurements differ by some per cent."""
_WORTH_A_NOTICE = 10.0
"""With fewer seconds of work left, the choice of eager is not announced: compiling takes 5 s or more, so no other backend
could be faster."""


class AutoBackend(Backend):
    """Chooses a backend on its first batch, by measuring that batch.

    Eager computes the batch and is timed. A compiler is tried if compiling, and computing the rest at its speed, takes less
    time than computing the rest at the best speed so far. Its speed comes from an earlier measurement on an equal machine;
    without one it is assumed, and then measured. The cache keeps the measurements and the compilers that failed, which are
    not tried again. Work that is too short for this takes no longer than under eager. On other devices than the CPU, where
    no compiler was measured, eager is chosen.

    Args:
        classifier: Is put in eval mode and moved to the device.
        compute: Device and precision.
        compilers: The compilers to choose from, besides eager; those that lack the device or precision are left out.
        views: About how many views will be computed in total.
        clock: Returns the time in seconds.
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
        self._chosen: Backend | None = None
        self._why = ""

    def report(self) -> BackendReport:
        report = self._eager.report() if self._chosen is None else self._chosen.report()
        return replace(report, asked="auto", why=report.why or self._why)

    def for_estimates(self) -> Backend | None:
        """Eager before the first batch: an estimate must not choose the backend, since its passes differ from batches."""
        return self._eager if self._chosen is None else self._chosen.for_estimates()

    def run(self, output: Output, views_VTHWC: Tensor) -> Tensor:
        if self._chosen is not None:
            return self._chosen.run(output, views_VTHWC)
        if self.device.type != "cpu":
            self._use(self._eager, f"the others were not measured on {self.device.type}")
        elif not self._compilers:
            self._use(self._eager, f"no other backend here computes in {self.precision}")
        else:
            return self._choose(output, views_VTHWC)
        return self._eager.run(output, views_VTHWC)

    def _use(self, backend: Backend, why: str, *, left: float = math.inf) -> None:
        """Use this backend from now on, with a notice unless it is eager and only few seconds of work are `left`."""
        self._chosen, self._why = backend, why
        if backend is not self._eager or left >= _WORTH_A_NOTICE:
            notice(f"backend auto takes {backend.report().ran}: {why}")

    def _choose(self, output: Output, views_VTHWC: Tensor) -> Tensor:
        """Choose a backend; returns its output for the first batch."""
        count = len(views_VTHWC)
        left = max(self._views - count, 0)

        def timed(backend: Backend) -> tuple[Tensor, float]:
            start = self._clock()
            computed = backend.run(output, views_VTHWC)
            return computed, (self._clock() - start) / count

        file = backends_folder("measured") / f"{self._key(output, views_VTHWC)}.json"
        measured = _read_speeds(file)
        speeds = {name: seconds for name, seconds in measured.items() if seconds is not None}
        failed = [name for name, seconds in measured.items() if seconds is None]
        result, first = timed(self._eager)
        speeds.setdefault("eager", first)
        warm = "eager" in measured  # else its time is that of a first pass, which is slower than later ones
        chosen: Backend = self._eager
        best = speeds["eager"]

        def total(compiler: Compiler) -> float:
            """Seconds to finish the work with it: compiling, passes that check and measure it, and the rest of the work."""
            passes, speed = (2, speeds[compiler.name]) if compiler.name in speeds else (4, _ASSUMED * best)
            module = OutputFromFrames(self._eager.classifier, output)
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
            elif speeds[compiler.name] <= _FASTER * best:
                chosen, result, best = backend, computed, speeds[compiler.name]
        found = speeds | dict.fromkeys(failed)
        if len(found) > 1 and found != measured:
            _write_speeds(file, found)
        self._decide(chosen, found, measured, best=best, left=left)
        return result

    def _decide(
        self,
        chosen: Backend,
        found: dict[str, float | None],
        cached: dict[str, float | None],
        *,
        best: float,
        left: int,
    ) -> None:
        """Use the chosen backend, with a notice that gives the reason.

        Args:
            chosen: The backend.
            found: Seconds per view by backend; None for a backend that failed.
            cached: The part of `found` that was in the cache before.
            best: Seconds per view of the chosen backend.
            left: Views that are still to be computed.
        """
        seconds = left * best
        if len(found) == 1:
            # No exact number for short work, so that short runs of the same work write the same result.
            so_many = f"about {seconds:.0f}" if seconds >= _WORTH_A_NOTICE else f"less than {_WORTH_A_NOTICE:.0f}"
            self._use(chosen, f"{so_many} s of work are left, too little to repay compiling", left=seconds)
            return
        each = ", ".join(f"{name} {'failed' if s is None else f'{s:.3g}'}" for name, s in found.items())
        how = "measured before" if found == cached else "measured"
        fastest = min(speed for speed in found.values() if speed is not None)
        short = " and the work left is short" if chosen is self._eager and best > fastest else ""
        self._use(chosen, f"seconds per view, {how} on this machine: {each}{short}", left=seconds)

    def _key(self, output: Output, views_VTHWC: Tensor) -> str:
        """A hash of all that a measurement depends on; it does not depend on the values of the weights. Batches of a single
        view, for which compilers may make a separate function, are measured separately; all larger batches share one
        measurement.
        """
        model = self._eager.classifier
        tensors = {name: list(tensor.shape) for name, tensor in model.network.state_dict().items()}
        content = [
            model.recipe.model.model_dump(mode="json"), tensors, output, len(views_VTHWC) == 1,
            list(views_VTHWC.shape[1:]), str(views_VTHWC.dtype), self.precision, torch.get_num_threads(), _machine(),
            torch.__version__, {compiler.name: compiler.version for compiler in self._compilers},
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _machine() -> list[str | int | None]:
    """What identifies machines of equal speed. Host names do not: in containers they change from run to run."""
    names = Path("/proc/cpuinfo")
    lines = names.read_text(errors="replace").splitlines() if names.exists() else []
    name = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
    return [name, platform.machine(), torch.backends.cpu.get_cpu_capability(), os.cpu_count()]


def _read_speeds(file: Path) -> dict[str, float | None]:
    """Seconds per view by backend, None for one that failed; empty if nothing was measured yet or the file is damaged."""
    try:
        content = json.loads(file.read_bytes())
        seconds = {str(name): None if value is None else float(value) for name, value in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    mark_used(file)
    valid = seconds.get("eager") is not None and all(value is None or value > 0 for value in seconds.values())
    return seconds if valid else {}


def _write_speeds(file: Path, speeds: Mapping[str, float | None]) -> None:
    try:
        write_json(file, speeds)
        prune(file.parent)
    except OSError as error:
        notice(f"{file}: the measurements cannot be stored ({error.strerror}); the next run measures again")
