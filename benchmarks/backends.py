"""Seconds of a pass on a CPU: each backend, and MMAction2's own network in eager mode, with equal weights, clip and threads.

    python benchmarks/backends.py --peer PYTHON [--network NAME ...] [--backend NAME ...] [--rounds 5] [--threads 2]

PYTHON belongs to an environment with MMAction2 1.2 (docs/performance/backends.md says how it is made); without --peer the
backends are compared with Marey's eager. Each side is a process of its own. They take turns, one pass each, so that other
work on the machine slows all of them; the median of the rounds is printed. MMAction2's time is that of its network alone, on
a clip that is already normalised; Marey's includes normalisation. Logits are compared with MMAction2's beforehand.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

PEER = Path(__file__).parent / "peers" / "mmaction2.py"
BACKENDS = ("eager", "compile", "openvino")
SAME = 1e-3
"""Logits of the same network must differ by less, in units of their standard deviation; docs/parity.md has usual values."""


@dataclass(frozen=True)
class Row:
    """One network, with its names in Marey and in MMAction2."""

    recipe: str
    config: str
    """The file among MMAction2's configurations for recognition, without `_kinetics400-rgb.py`."""
    frames: int


ROWS = {
    "SlowOnly-R50 8x8": Row("slowonly_r50_8x8_k400_mmaction2", "slowonly/slowonly_r50_8xb16-8x8x1-256e", 8),
    "I3D-R50 32x2": Row("i3d_r50_32x2_k400_mmaction2", "i3d/i3d_imagenet-pretrained-r50_8xb8-32x2x1-100e", 32),
    "SlowFast-R50 4x16": Row("slowfast_r50_4x16_k400_mmaction2", "slowfast/slowfast_r50_8xb8-4x16x1-256e", 32),
    "R(2+1)D-34 8x8": Row("r2plus1d_r34_8x8_k400_mmaction2", "r2plus1d/r2plus1d_r34_8xb8-8x8x1-180e", 8),
    "ir-CSN-152 32x2": Row("ircsn_r152_32x2_k400_mmaction2", "csn/ircsn_r152_32x2x1-180e", 32),
}


# The process of one backend, or of MMAction2 ---------------------------------------------------------------------------


def side(backend: str, recipe: str, frames: str, weights: str | None, threads: str) -> None:
    """Describe one backend in a line of JSON, then print the seconds of a pass for each line on the standard input."""
    import torch

    from marey import load_model
    from marey.backends.choose import open_backend
    from marey.backends.compute import Compute
    from marey.recipes import get_recipe
    from marey.weights.load import build_model

    torch.set_num_threads(int(threads))
    torch.manual_seed(0)
    views_VTHWC = torch.from_numpy(np.load(frames))
    classifier = load_model(recipe, weights=weights) if weights else build_model(get_recipe(recipe))
    compute = Compute(device="cpu", precision="float32", batch=len(views_VTHWC), backend=backend)
    start = time.perf_counter()
    opened = open_backend(classifier, compute, views=1_000_000)
    logits = opened.logits(views_VTHWC)
    first = time.perf_counter() - start
    opened.logits(views_VTHWC)
    described = {
        "version": f"torch {torch.__version__}, {_version('openvino')}",
        "parameters": sum(parameter.numel() for parameter in classifier.parameters()),
        "logits": logits.tolist(),
        "first": first,
        "report": opened.report().as_json(),
    }
    print(json.dumps(described), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        opened.logits(views_VTHWC)
        print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"


class Side:
    """A running process of one side of the comparison: a backend, or MMAction2.

    Args:
        words: Its command line.
        cache: The folder where Marey's process caches converted networks.

    Raises:
        SystemExit: it ended before it described itself; what it wrote to the standard error is shown.
    """

    def __init__(self, words: list[str], *, cache: Path, threads: int) -> None:
        # As in the marey command (docs/performance/threads.md), and the same for MMAction2.
        openmp = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
        environment = os.environ | openmp | {"MAREY_CACHE": str(cache)}
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - read when the process fails
        self._process = subprocess.Popen(
            words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        self.described = self._answer()

    def seconds(self) -> float:
        """The seconds of one pass."""
        assert self._process.stdin is not None
        self._process.stdin.write("again\n")
        self._process.stdin.flush()
        return float(self._answer()["seconds"])

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith('{"'):  # MMAction2's engine writes its log there, too
                found: dict[str, Any] = json.loads(line)
                return found
        self._errors.seek(0)
        raise SystemExit(f"a process ended early:\n{self._errors.read()[-2000:]}")


# The measurement ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """The measurement of one side for one network."""

    network: str
    side: str
    seconds: list[float]
    apart: float
    """The largest difference of a logit to that of the first side, in units of the logits' standard deviation."""
    described: dict[str, Any]
    cold: float | None
    """Seconds of the first pass with an empty cache; None if no second process then read the converted network from it."""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def table(self, base: float) -> str:
        """A row of the table; `base` is the median of the side that the others are compared with."""
        report = self.described.get("report", {"ran": self.side})
        side = self.side if report["ran"] == self.side else f"{self.side} ({report['ran']} ran)"
        spread = f"{min(self.seconds) * 1000:.0f} to {max(self.seconds) * 1000:.0f}"
        first = f"{self.described['first']:.1f}" if "first" in self.described else ""
        first = first if self.cold is None else f"{self.cold:.1f}; {first} from the cache"
        numbers = f"{self.median * 1000:.0f} ({spread}) | {base / self.median:.2f} | {self.apart:.0e}"
        return f"| {self.network} | {side} | {numbers} | {first} |"


def measure(name: str, options: argparse.Namespace, folder: Path) -> list[Line]:
    """Measure all sides for one network; the first result is that of the side that the others are compared with."""
    row, threads = ROWS[name], options.threads
    frames, weights = folder / f"{row.recipe}.npy", folder / f"{row.recipe}.pth"
    shape = (options.clips, row.frames, options.size, options.size, 3)
    np.save(frames, np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))

    def started(*words: str | Path) -> Side:
        return Side([*map(str, words), str(threads)], cache=folder / "cache", threads=threads)

    sides: dict[str, Side] = {}
    cold: dict[str, float] = {}
    if options.peer:
        sides["MMAction2"] = started(options.peer, PEER, f"{row.config}_kinetics400-rgb.py", frames, weights)
    for backend in options.backend:
        words = [sys.executable, __file__, "--side", backend, row.recipe, frames, weights if options.peer else ""]
        if backend == "openvino":  # the process that is measured finds the converted network in the cache
            first = started(*words)
            cold[backend] = first.described["first"]
            first.close()
        sides[backend] = started(*words)
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(options.rounds):
        for side, process in sides.items():
            seconds[side].append(process.seconds())
    base = next(iter(sides.values())).described
    lines = []
    for side, process in sides.items():
        process.close()
        apart = float(np.abs(np.subtract(process.described["logits"], base["logits"])).max() / np.std(base["logits"]))
        if process.described["parameters"] != base["parameters"] or not apart < SAME:
            raise SystemExit(
                f"{name}: {side} is another network: {process.described['parameters']} parameters, {apart:.1e}"
            )
        lines.append(Line(name, side, seconds[side], apart, process.described, cold.get(side)))
    return lines


def cpu() -> str:
    """The processor's name, its cores and its widest vector instructions."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return f"{platform.processor()}, {os.cpu_count()} cores"
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    names = {key.strip(): value.strip() for key, value in fields.items()}
    flags = names.get("flags", "").split()
    vectors = next((flag for flag in ("avx512f", "avx2") if flag in flags), "neither AVX2 nor AVX-512")
    return f"{names.get('model name', platform.processor())} ({vectors}), {os.cpu_count()} cores"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="the python of an environment with MMAction2 1.2")
    parser.add_argument("--network", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--backend", nargs="+", choices=BACKENDS, default=list(BACKENDS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--clips", type=int, default=1, help="clips in a pass")
    parser.add_argument("--size", type=int, default=224, help="rows and columns of a clip")
    parser.add_argument("--side", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        side(*options.side)
        return
    if not options.peer and options.backend[0] != "eager":
        parser.error("without --peer the backends are compared with the first of them: name --backend eager first")
    found: list[Line] = []
    rows, best = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.network:
            lines = measure(name, options, Path(folder))
            base = lines[0].median
            best.append(max(base / line.median for line in lines if line.side != "MMAction2"))
            rows += [line.table(base) for line in lines]
            print("\n".join(rows[-len(lines) :]), file=sys.stderr, flush=True)
            found += lines
    shape = f"{options.clips} x 3 x T x {options.size} x {options.size}"
    print(f"{cpu()}, {options.threads} threads, {date.today()}; clips {shape}")
    print("; ".join(dict.fromkeys(line.described["version"] for line in found)))
    times = f"ms, median (range) of {options.rounds} | times {found[0].side}"
    print(f"\n| network | run by | {times} | difference | first pass, s |")
    print("\n".join(["|---|---|---|---|---|---|", *rows]))
    ratios = ", ".join(f"{ratio:.2f}" for ratio in best)
    print(f"\nbest backend: {ratios}; geometric mean {statistics.geometric_mean(best):.2f}, least {min(best):.2f}")


if __name__ == "__main__":
    main()
