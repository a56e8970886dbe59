"""Search PyTorch's CPU convolutions for wrong gradients and corrupted heaps: `python tools/convolution_faults.py`.

The geometries (kernel, stride, padding, groups) are those of every convolution of every recipe, found by building the
networks. Each is run with many channel counts, those of narrow variants (`model.width`) and 1 to 17 included, forward
and backward, with randomly drawn batch, size, memory format, type and number of threads. Cases run in child processes under
glibc's heap checker; the gradients are compared with float64. A child that dies, or that does not end, is replaced by
one that begins after the case where it stopped, and that case is run once more by itself.

    python tools/convolution_faults.py                       # this CPU's own instructions
    python tools/convolution_faults.py --avx2                # as on a CPU without AVX-512 and bfloat16
    python tools/convolution_faults.py --avx2 --safe         # through `safe_arguments`: nothing may be found
    python tools/convolution_faults.py --only pointwise --draws 40

Found with torch 2.13.0 (oneDNN 3.12.0) in November 2026, on an x86-64 CPU with AVX-512 and bfloat16 arithmetic:

- float32 and bfloat16, 2D, kernel (1, 1), any stride but 1 ((2, 2), (3, 3), (1, 2) and (2, 1) were tried), no padding,
  one group, channels-last input, every side a multiple of its stride: the gradient of weight and bias. With AVX2: 1 to 7
  input channels, from 8x8 on. With AVX-512: 1 to 15, at 56x56 and 64x64 but not at 32x32. One thread ends in a corrupted
  heap, several in wrong gradients (off by a fifth to nine tenths of their norm), a crash or no end. No fault: 8 channels
  and more (16 with AVX-512), multiples of that or not, groups, contiguous input, odd sides, 1D, 3D, and the gradient of the
  input alone.
- bfloat16 with AVX-512 and a kernel longer than its input: wrong values and infinities in the gradient of the weight,
  seen with kernels of 3 over 2 frames and of 5 over 2 to 4.
- Nothing else, and nothing with `--safe`.
"""

import argparse
import faulthandler
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from marey.models.layers.convolutions import safe_arguments
from marey.recipes import RECIPES

CHECKER = Path("/lib/x86_64-linux-gnu/libc_malloc_debug.so.0")
CHANNELS = (*range(1, 18), 20, 24, 31, 32, 33, 48, 64)
WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24)
TOLERANCE = {"float32": 1e-4, "bfloat16": 2e-2}
"""Largest accepted difference of an output or gradient from that in float64, relative to its norm."""
PER_CHILD, SECONDS = 300, 20
"""Cases of a child process, and the seconds after which a case counts as never ending."""


@dataclass(frozen=True)
class Geometry:
    """A convolution without its numbers of channels."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    depthwise: bool

    @property
    def strided_pointwise(self) -> bool:
        """Whether its kernel is 1x1 and its stride is not, as in the first fault that the module's docstring lists."""
        return all(k == 1 for k in self.kernel) and any(s > 1 for s in self.stride)


@dataclass(frozen=True)
class Case:
    """One convolution on one input."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    groups: int
    channels: tuple[int, int]
    batch: int
    size: tuple[int, ...]
    channels_last: tuple[bool, bool]
    """Whether the input and the weight are channels-last."""
    bias: bool
    dtype: str
    threads: int


def convolutions() -> dict[Geometry, set[tuple[int, int]]]:
    """The geometries of all recipes, each with the (in, out) channels that occur at full and reduced widths."""
    found: dict[Geometry, set[tuple[int, int]]] = {}
    seen = set()
    for recipe in RECIPES:
        model = recipe.model
        widths = [None, *WIDTHS] if hasattr(model, "width") else [None]
        for width in widths:
            config = model if width is None else model.model_copy(update={"width": width})
            if (key := config.model_dump_json(exclude={"num_classes"})) in seen:
                continue
            seen.add(key)
            try:
                with torch.device("meta"):
                    network = config.build()
            except (ValueError, RuntimeError, ZeroDivisionError):
                continue  # too narrow for this network
            for module in network.modules():
                if isinstance(module, nn.Conv2d | nn.Conv3d):
                    add(found, module)
    return found


def add(found: dict[Geometry, set[tuple[int, int]]], module: nn.Conv2d | nn.Conv3d) -> None:
    assert module.dilation == (1,) * len(module.kernel_size)
    assert isinstance(module.padding, tuple)
    assert module.groups in (1, module.in_channels)
    depthwise = module.groups > 1
    geometry = Geometry(module.kernel_size, module.stride, module.padding, depthwise)
    if module.in_channels and module.out_channels:  # in the narrowest variants, divisions of the width leave 0 channels
        found.setdefault(geometry, set()).add((module.in_channels, module.out_channels))


def cases(draws: int, seed: int, only: str) -> Iterator[Case]:
    """Draws of each geometry with each number of channels."""
    rng = random.Random(seed)
    for geometry, pairs in sorted(convolutions().items(), key=str):
        if only == "pointwise" and not geometry.strided_pointwise:
            continue
        narrow = {(n, n if geometry.depthwise else rng.choice((1, 3, n, 8, 2 * n, 4 * n))) for n in CHANNELS}
        for pair in sorted(pairs | narrow):
            wide = max(pair) > 64
            for _ in range(1 if wide else draws):
                yield draw(rng, geometry, pair)


def draw(rng: random.Random, geometry: Geometry, channels: tuple[int, int]) -> Case:
    """A case of this geometry; large inputs for narrow ones only."""
    sides: tuple[int, ...] = (1, 2, 3, 4, 6, 7, 8)
    if max(channels) <= 64:
        # A faulty stride shows on large maps that it divides.
        sides = (7, 8, 16, 32, 56, 64) if geometry.strided_pointwise else (*range(1, 10), 12, 15, 16, 32)
    axes = len(geometry.kernel)
    side = rng.choice(sides)
    other = side if rng.random() < 0.7 else rng.choice(sides)
    size = (side, other) if axes == 2 else (rng.choice((1, 2, 3, 4, 5, 8)), min(side, 16), min(other, 16))
    return Case(
        geometry.kernel,
        geometry.stride,
        geometry.padding,
        channels[0] if geometry.depthwise else 1,
        channels,
        batch=rng.choice((1, 2, 4)),
        size=tuple(max(n, k - 2 * p) for n, k, p in zip(size, geometry.kernel, geometry.padding, strict=True)),
        channels_last=rng.choice(((True, True), (True, True), (True, False), (False, True), (False, False))),
        bias=rng.random() < 0.3,
        dtype=rng.choice(("float32", "float32", "bfloat16")),
        threads=rng.choice((1, 1, 2, 4)),
    )


def errors(case: Case, safe: bool) -> dict[str, float]:
    """The difference of the output and of each gradient from those in float64, relative to their norms."""
    torch.set_num_threads(case.threads)
    dtype = getattr(torch, case.dtype)
    convolve = F.conv2d if len(case.kernel) == 2 else F.conv3d
    last = torch.channels_last if len(case.kernel) == 2 else torch.channels_last_3d
    formats = [last if chosen else torch.contiguous_format for chosen in case.channels_last]
    shapes = (
        (case.batch, case.channels[0], *case.size),
        (case.channels[1], case.channels[0] // case.groups, *case.kernel),
    )
    tensors = [
        torch.randn(shape).to(dtype).contiguous(memory_format=chosen)
        for shape, chosen in zip(shapes, formats, strict=True)
    ]
    if case.bias:
        tensors.append(torch.randn(case.channels[1]).to(dtype))
    exact = [value.double().contiguous().requires_grad_() for value in tensors]
    tensors = [value.requires_grad_() for value in tensors]
    rest = (case.stride, case.padding, 1, case.groups)
    bias, exact_bias = (tensors[2], exact[2]) if case.bias else (None, None)
    expected = convolve(exact[0], exact[1], exact_bias, *rest)
    given = (tensors[0], tensors[1], bias, *rest)
    got = convolve(*(safe_arguments(*given) if safe else given))
    gradient = torch.randn(got.shape).to(dtype).contiguous(memory_format=formats[0])
    got.backward(gradient)
    expected.backward(gradient.double())
    found = {"output": distance(got, expected)}
    names = ("input", "weight", "bias")
    for name, value, wanted in zip(names, tensors, exact, strict=False):
        assert value.grad is not None and wanted.grad is not None
        found[name] = distance(value.grad, wanted.grad)
    return found


def distance(got: Tensor, expected: Tensor) -> float:
    return float((got.double() - expected).norm() / expected.norm().clamp_min(1e-12))


def work(safe: bool) -> None:
    """The child's work: read cases from standard input; print a line when a case begins, and one if it is wrong."""
    for number, line in enumerate(sys.stdin):
        case = Case(**{name: _tuples(value) for name, value in json.loads(line).items()})
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        print("begins", number, flush=True)
        for _ in range(2):
            wrong = {n: e for n, e in errors(case, safe).items() if not e <= TOLERANCE[case.dtype]}
            if wrong:
                print("wrong", number, json.dumps(wrong), flush=True)
                break


def _tuples(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def run(batch: list[Case], arguments: argparse.Namespace) -> tuple[dict[int, str], int | None, str]:
    """Run cases in a child; return the errors by the case's index, the index of the case where the child died or hung, if
    it did, and how.
    """
    # Threads that wait without spinning: there may be more of them than cores.
    environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
    if CHECKER.exists():
        environment |= {"LD_PRELOAD": CHECKER.name, "MALLOC_CHECK_": "3"}
    if arguments.avx2:
        environment |= {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    command = [sys.executable, __file__, "--child", *(["--safe"] if arguments.safe else [])]
    lines = "".join(json.dumps(asdict(case)) + "\n" for case in batch)
    done = subprocess.run(command, input=lines, env=environment, capture_output=True, text=True, check=False)
    ended = ""
    if done.returncode != 0:
        ended = "no end" if "Timeout" in done.stderr else f"exit {done.returncode} {done.stderr[-60:].strip()}"
    said = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    begun = [int(words[1]) for words in said if words[0] == "begins"]
    wrong = {int(words[1]): words[2] for words in said if words[0] == "wrong"}
    return wrong, (begun[-1] if begun else 0) if ended else None, ended


def search(arguments: argparse.Namespace) -> int:
    """Print what is found, then a summary; return the number of findings."""
    rest = list(cases(arguments.draws, arguments.seed, arguments.only))
    random.Random(arguments.seed).shuffle(rest)  # so that a search that is cut short has tried some cases of each kind
    print(f"{len(rest)} cases, torch {torch.__version__}, {'AVX2' if arguments.avx2 else 'own instructions'}")
    findings: list[tuple[Case, str]] = []
    while rest:
        batch = rest[:PER_CHILD]
        wrong, stopped, ended = run(batch, arguments)
        findings += [(batch[number], f"wrong {what}") for number, what in wrong.items()]
        if stopped is not None:
            alone = run([batch[stopped]] * 10, arguments)[2]
            findings.append((batch[stopped], f"{ended}; alone: {alone or 'nothing'}"))
        for case, what in findings[len(findings) - len(wrong) - (stopped is not None) :]:
            print(what, case, flush=True)
        rest = rest[len(batch) if stopped is None else stopped + 1 :]
        print(f"{len(rest)} left, {len(findings)} found", file=sys.stderr, flush=True)
    summary = Counter((c.kernel, c.stride, c.groups > 1, c.dtype, what.split()[0]) for c, what in findings)
    for key, count in sorted(summary.items(), key=str):
        print(count, *key)
    return len(findings)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--avx2", action="store_true", help="as on a CPU without AVX-512 and bfloat16")
    parser.add_argument("--safe", action="store_true", help="through Marey's guard")
    parser.add_argument("--only", choices=("all", "pointwise"), default="all")
    parser.add_argument("--draws", type=int, default=8, help="cases of each geometry and number of channels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        work(arguments.safe)
        return 0
    return 1 if search(arguments) else 0


if __name__ == "__main__":
    sys.exit(main())
