"""Record a golden pair: known inputs, and what the code of another toolkit gives for them.

It runs in the environment of that toolkit, which needs Python 3.8 or newer and numpy, and no Marey:

    python tools/record.py network torchvision.models.video:r3d_18 --run small=1x3x16x112x112 --toolkit "torchvision 0.28.0"
        --calibrate 4x3x8x64x64 --out tests/golden/networks/torchvision/r3d_18

`package.module:name` is a function, which may be in a module of the current folder. docs/how-to/record-a-golden-pair.md says
what it takes and gives; tests/support/recorded.py reads the files.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import importlib
import json
import random
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from torch import nn

WEIGHT_SEED = 20200315
CALIBRATION_SEED = 7
CLIP_SEED = 1234
LAYOUTS = {4: ("BCHW",), 5: ("BCTHW", "BTCHW"), 6: ("BVCTHW",)}
"""The orders of axes that a clip may have, by their number; the first one is the default. V counts views."""
STATISTICS = ("running_mean", "running_var")
"""How the names of a batch norm's statistics end."""


# What any machine can make again from a pair: weights, clips, frames --------------------------------------------------


def drawn(key: str, shape: tuple[int, ...], std: float | None = None) -> np.ndarray:
    """The float32 value of a weight, drawn from a hash of its name; exactly representable in float16.

    Args:
        key: Its name in the toolkit's checkpoint.
        shape: Its shape.
        std: The standard deviation, in place of one that follows from name and shape.
    """
    digest = hashlib.sha256(f"{WEIGHT_SEED}:{key}".encode()).digest()
    generator = np.random.RandomState(int.from_bytes(digest[:4], "little"))
    small = 0.1 if "nonlocal" in key or "non_local" in key else 1.0
    if std is not None:
        values = std * generator.standard_normal(size=shape)
    elif key.endswith("running_var"):
        values = generator.uniform(0.5, 1.5, size=shape)
    elif len(shape) >= 2:
        gain = 2.0 if len(shape) >= 4 else 1.0
        values = generator.standard_normal(size=shape) * np.sqrt(gain / max(int(np.prod(shape[1:])), 1)) * small
    elif key.endswith("weight"):
        values = generator.uniform(0.5, 1.5, size=shape) * small
    else:
        values = 0.1 * generator.standard_normal(size=shape)
    return np.asarray(values, np.float32).astype(np.float16).astype(np.float32)


def weights(
    info: Mapping[str, object], statistics: Mapping[str, np.ndarray], constants: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """All tensors of a recorded network by their names in the toolkit's checkpoint.

    Args:
        info: The pair's description, its .json.gz.
        statistics: Running means and variances by name; those that are not there are drawn.
        constants: Tables that the network computes instead of learning them, by name.
    """
    # In some files of the first rule, anchor-v1, `std` is the deviation of pixels, not of weights.
    more = info if info.get("draw") == "anchor-v2" else {}
    deviations, named = more.get("std", {}), more.get("const", {})
    tensors = {}
    for key, (shape, dtype) in info["keys"].items():
        if key in named:
            value = constants[named[key]].astype(dtype)
        elif key in statistics:
            value = statistics[key].astype(np.float32)
        elif not dtype.startswith("float"):
            value = np.full(shape, 1, np.int64)  # a norm's counter of batches
        elif "tf_scope" in info and key.endswith("bn.weight"):
            value = np.ones(shape, np.float32)  # DeepMind's norms have no scale
        else:
            factors = [factor for pattern, factor in more.get("scale", ()) if re.search(pattern, key)]
            value = drawn(key, tuple(shape), deviations.get(key)) * np.float32(factors[0] if factors else 1)
        tensors[key] = value.reshape(shape)
    return tensors


def noise(shape: Sequence[int], seed: int) -> np.ndarray:
    """A clip of standard normal values, float32."""
    return np.random.RandomState(seed).standard_normal(tuple(shape)).astype(np.float32)


def synthetic_frames(source: str) -> np.ndarray:
    """Frames computed by a formula of integers, uint8 [8, H, W, 3]: 256 x 340 ("land"), 193 x 317 ("odd") or 340 x 256
    ("portrait").
    """
    t, y, x, c = np.ogrid[0:8, 0:256, 0:340, 0:3]
    land = (128 + (x - 170) * (y - 128) * (c + 1) // 64 + 9 * t + (7 * x + 13 * y + 29 * c) % 31) % 256
    land = land.astype(np.uint8)
    return {"land": land, "odd": land[:, 31:224, 11:328], "portrait": land.transpose(0, 2, 1, 3)}[source]


def some_values(values: np.ndarray) -> np.ndarray:
    """64 of the values, at positions that depend on their number alone."""
    return values.ravel()[np.random.RandomState(20261122).randint(0, values.size, 64)]


def sha(values: np.ndarray) -> str:
    """The SHA-256 of the values in C order."""
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def weights_hash(tensors: Mapping[str, np.ndarray]) -> str:
    """A hash of all float32 tensors, 16 hex digits. If it equals the recorded one, the weights were reproduced exactly."""
    digest = hashlib.sha256()
    for key in sorted(tensors):
        if tensors[key].dtype == np.float32:
            digest.update(key.encode())
            digest.update(np.ascontiguousarray(tensors[key]).tobytes())
    return digest.hexdigest()[:16]


# The other toolkit's network ---------------------------------------------------------------------------------------------


class Network(Protocol):
    """A network to record. `TorchNetwork` makes one of a torch module; for another framework, write such a class."""

    def tensors(self) -> Mapping[str, np.ndarray]:
        """All tensors by their names in the toolkit's checkpoint."""

    def constants(self) -> Collection[str]:
        """The names of the tensors that the network computes instead of learning them."""

    def load(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Replace all tensors of the network by these."""

    def calibrate(self, clip: np.ndarray) -> None:
        """Set the running statistics of all batch norms to those of one pass over the clip."""

    def __call__(self, clip: np.ndarray) -> object:
        """The outputs: an array or tensor of logits before softmax, or several by name."""


class TorchNetwork:
    """A torch module.

    Args:
        module: It is put in eval mode.
        call: Runs the module on a clip, if it is not called as `module(clip)`; returns what `Network.__call__` returns.
    """

    def __init__(self, module: nn.Module, call: Callable[..., object] | None = None) -> None:
        self.module = module.eval()
        self._call = call or module

    def tensors(self) -> dict[str, np.ndarray]:
        return {name: as_array(value) for name, value in self.module.state_dict().items()}

    def constants(self) -> list[str]:
        buffers = [name for name, _ in self.module.named_buffers()]
        return [name for name in buffers if not name.endswith((*STATISTICS, "num_batches_tracked"))]

    def load(self, tensors: Mapping[str, np.ndarray]) -> None:
        import torch

        self.module.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in tensors.items()})

    def calibrate(self, clip: np.ndarray) -> None:
        from torch.nn.modules.batchnorm import _BatchNorm

        for norm in self.module.modules():
            if isinstance(norm, _BatchNorm):  # all else, dropout among it, stays in eval mode
                norm.reset_running_stats()
                norm.momentum = None
                norm.train()
        self(clip)
        self.module.eval()

    def __call__(self, clip: np.ndarray) -> object:
        import torch

        with torch.no_grad():
            return self._call(torch.from_numpy(clip))


def as_network(built: object) -> Network:
    """A `Network` from the result of a function that builds one: a torch module, a pair of a module and its `call`, or a
    `Network`.
    """
    module, call = built if isinstance(built, tuple) else (built, None)
    torch = sys.modules.get("torch")
    return TorchNetwork(module, call) if torch is not None and isinstance(module, torch.nn.Module) else module


def as_array(values: object) -> np.ndarray:
    """The values of an array, a list or a torch tensor as an array."""
    torch = sys.modules.get("torch")
    tensor = torch is not None and isinstance(values, torch.Tensor)
    return values.detach().cpu().numpy() if tensor else np.asarray(values)


# Recording ---------------------------------------------------------------------------------------------------------------


def record_network(
    out: Path,
    build: Callable[[], object],
    *,
    toolkit: str,
    runs: Mapping[str, tuple[Sequence[int], int]],
    layout: str | None = None,
    root: str | None = None,
    calibrate: Sequence[int] | None = None,
    std: Mapping[str, float] | None = None,
    scale: Sequence[tuple[str, float]] = (),
    notes: Mapping[str, str] | None = None,
) -> None:
    """Draw a network's weights, run it, and write OUT.json.gz, OUT.npz and, where it has them, OUT.bnstats.npz and
    OUT.const.npz.

    Args:
        out: The path of the files without their endings.
        build: Returns the network: a torch module, a pair (module, function that runs it on a clip), or a `Network`.
        toolkit: The toolkit's name and version or commit.
        runs: Shape and seed of the clip of each run, by the run's name.
        layout: The order of the axes of clips, one of `LAYOUTS`; None: the first of those with so many axes.
        root: The name of the dictionary of tensors in the toolkit's checkpoint file; None: there is none.
        calibrate: The shape of the clip whose statistics batch norms take; None: the statistics are drawn.
        std: The standard deviation of weights by a regular expression of their names: 0.5 for position embeddings and
            tokens, which are else drawn so small that logits without them would be almost equal.
        scale: A regular expression of names, and a power of two that multiplies these weights; the first that fits counts.
        notes: Further fields of the description, such as the toolkit's configuration file.

    Raises:
        ValueError: an output or a statistic is not finite, or no layout has so many axes.
    """
    network = as_network(build())
    tensors = network.tensors()
    norms = [key for key in tensors if key.endswith(STATISTICS)]
    constants = {key: tensors[key] for key in network.constants() if key in tensors}
    learnt = [key for key in tensors if key not in norms and key not in constants]
    deviations = {key: value for word, value in (std or {}).items() for key in learnt if re.search(word, key)}
    more = {"std": deviations, "scale": [list(one) for one in scale], "const": {key: key for key in constants}}
    more = {name: value for name, value in more.items() if value}
    info = {
        "name": out.name, "weight_seed": WEIGHT_SEED, "draw": "anchor-v2" if more else "anchor-v1", "toolkit": toolkit,
        **(notes or {}), "layout_in": _layout(layout, [shape for shape, _ in runs.values()]), "ckpt_root": root, **more,
        "n_params": sum(tensors[key].size for key in learnt if tensors[key].dtype.kind == "f"), "n_keys": len(tensors),
        "bn_layers": sum(key.endswith("running_var") for key in norms),
        "keys": {key: [list(value.shape), str(value.dtype)] for key, value in tensors.items()},
    }  # fmt: skip
    statistics = {}
    if calibrate is not None:
        network.load(weights(info, {}, constants))
        network.calibrate(noise(calibrate, CALIBRATION_SEED))
        measured = network.tensors()
        statistics = {key: _finite(measured[key].astype(np.float16), key) for key in norms}
    made = weights(info, statistics, constants)
    network.load(made)
    arrays = {}
    info.update(weights_sha=weights_hash(made), runs={})
    for run, (shape, seed) in runs.items():
        clip = noise(shape, seed)
        outputs = _named(network(clip))
        arrays.update({f"{run}/{name}": _finite(values, f"{run}/{name}") for name, values in outputs.items()})
        info["runs"][run] = {
            "shape": list(shape), "seed": seed, "input_sha": sha(clip)[:16],
            "outs": {name: _described(values) for name, values in outputs.items()},
        }  # fmt: skip
    _write_json(out, info)
    np.savez_compressed(f"{out}.npz", **arrays)
    if statistics:
        np.savez_compressed(f"{out}.bnstats.npz", in_order=np.concatenate(list(statistics.values())))
    if constants:
        np.savez_compressed(f"{out}.const.npz", **constants)


def record_sampling(
    out: Path,
    rules: Mapping[str, Callable[[int], object]],
    *,
    toolkit: str,
    frames: Sequence[int],
    seed: int = 0,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write which frames each rule takes of videos of many lengths, to OUT.json.gz.

    Args:
        out: The path of the file without its ending.
        rules: Functions that return indices for a number of frames of a video, by the rule's name.
        toolkit: Its name and version or commit.
        frames: The lengths of the videos in frames.
        seed: Of Python's, numpy's and torch's generators, set before each call.
        notes: Further fields of the description, such as the rules' settings.
    """
    cases = []
    for count in frames:
        case = {"frames": count}
        for name, rule in rules.items():
            _seed(seed)
            case[name] = as_array(rule(count)).tolist()
        cases.append(case)
    _write_json(out, {"name": out.name, "toolkit": toolkit, **(notes or {}), "seed": seed, "cases": cases})


def record_pixels(
    out: Path,
    rules: Mapping[str, Callable[[np.ndarray], object]],
    *,
    toolkit: str,
    seed: int = 0,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write what each rule makes of frames that a formula gives, to OUT.json.gz: shape, type, hash and 64 of the values.

    Args:
        out: The path of the file without its ending.
        rules: Functions that turn frames, uint8 RGB [8, H, W, 3], into the network's input, by the rule's name.
        toolkit: Its name and version or commit.
        seed: As for `record_sampling`.
        notes: As for `record_sampling`.
    """
    items = {}
    for source in ("land", "odd", "portrait"):
        for name, rule in rules.items():
            _seed(seed)
            values = as_array(rule(np.ascontiguousarray(synthetic_frames(source))))
            items[f"{source}/{name}"] = {
                "source": source, "shape": list(values.shape), "dtype": str(values.dtype), "sha256": sha(values),
                "mean": float(values.mean()), "std": float(values.std()), "probe": some_values(values).tolist(),
            }  # fmt: skip
    _write_json(out, {"name": out.name, "toolkit": toolkit, **(notes or {}), "seed": seed, "items": items})


def _layout(asked: str | None, shapes: Sequence[Sequence[int]]) -> str:
    """The order of axes that was asked for, or the first that all shapes fit."""
    known = LAYOUTS.get(len(shapes[0]), ())
    if asked not in (None, *known) or not known or {len(shape) for shape in shapes} != {len(known[0])}:
        raise ValueError(f"clips of shape {list(shapes[0])}, layout {asked}: expected one of {LAYOUTS} for all runs")
    return asked or known[0]


def _named(given: object) -> dict[str, np.ndarray]:
    """The outputs of a network by name, float32; one alone is its logits."""
    outputs = given if isinstance(given, dict) else {"logits": given}
    return {name: as_array(values).astype(np.float32) for name, values in outputs.items()}


def _described(values: np.ndarray) -> dict[str, object]:
    return {"shape": list(values.shape), "std": float(values.std()), "absmax": float(np.abs(values).max())}


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    if not np.isfinite(values).all():
        raise ValueError(f"{name} is not finite: calibrate the norms, or scale weights down")
    return values


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


def _write_json(out: Path, info: Mapping[str, object]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    Path(f"{out}.json.gz").write_bytes(gzip.compress(json.dumps(info).encode(), mtime=0))


# The command line --------------------------------------------------------------------------------------------------------


def found(name: str) -> Callable[..., object]:
    """The function that `package.module:name` names; modules of the current folder are found, too."""
    module, _, attribute = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    return getattr(importlib.import_module(module), attribute)


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.rpartition("=")
    if not sign:
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=VALUE")
    return name, value


def _shape(text: str) -> list[int]:
    return [int(side) for side in text.split("x")]


def _run(text: str) -> tuple[str, tuple[list[int], int]]:
    name, value = _pair(text)
    shape, _, seed = value.partition("@")
    return name, (_shape(shape), int(seed or CLIP_SEED))


def main(words: Sequence[str] | None = None) -> None:
    """Record what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    network = kinds.add_parser("network", help="logits of a network with drawn weights")
    network.add_argument("build", help="package.module:name of a function that builds it")
    network.add_argument("--run", type=_run, action="append", required=True, help="NAME=1x3x8x112x112, or with @SEED")
    network.add_argument("--layout", choices=sorted(one for some in LAYOUTS.values() for one in some))
    network.add_argument("--root", help="name of the dictionary of tensors in the toolkit's checkpoint file")
    network.add_argument("--calibrate", type=_shape, help="shape of the clip whose statistics batch norms take")
    network.add_argument("--std", type=_pair, action="append", default=[], help="REGEX=0.5: deviation of weights")
    network.add_argument("--scale", type=_pair, action="append", default=[], help="REGEX=0.125: factor of weights")
    sampling = kinds.add_parser("sampling", help="indices of frames for videos of many lengths")
    sampling.add_argument("--frames", required=True, help="lengths of the videos: 1,8,63,300")
    pixels = kinds.add_parser("pixels", help="what becomes of frames before the network")
    for kind in (sampling, pixels):
        kind.add_argument("rules", type=_pair, nargs="+", help="NAME=package.module:name of a function")
        kind.add_argument("--seed", type=int, default=0)
    for kind in (network, sampling, pixels):
        kind.add_argument("--toolkit", required=True, help="name, and version or commit")
        kind.add_argument("--out", type=Path, required=True, help="path of the files without their endings")
        kind.add_argument("--note", type=_pair, action="append", default=[], help="FIELD=TEXT of the description")
    asked = parser.parse_args(words)
    notes = dict(asked.note)
    if asked.kind == "network":
        record_network(
            asked.out, found(asked.build), toolkit=asked.toolkit, runs=dict(asked.run), layout=asked.layout, root=asked.root,
            calibrate=asked.calibrate, std={word: float(value) for word, value in asked.std},
            scale=[(word, float(value)) for word, value in asked.scale], notes=notes,
        )  # fmt: skip
        return
    rules = {name: found(rule) for name, rule in asked.rules}
    if asked.kind == "sampling":
        frames = [int(count) for count in asked.frames.split(",")]
        record_sampling(asked.out, rules, toolkit=asked.toolkit, frames=frames, seed=asked.seed, notes=notes)
    else:
        record_pixels(asked.out, rules, toolkit=asked.toolkit, seed=asked.seed, notes=notes)


if __name__ == "__main__":
    main()
