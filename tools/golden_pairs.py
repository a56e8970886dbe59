"""Golden pairs: known inputs, and what the code of another toolkit gives for them. tools/record.py is the command line.

It needs Python 3.8 or newer and numpy. `record_network`, `record_sampling` and `record_pixels` write a pair;
tests/support/recorded.py reads it. docs/how-to/record-a-golden-pair.md says what the files hold.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Union

    from torch import nn

    Arrays = Union[np.ndarray, Sequence[np.ndarray], Mapping[str, np.ndarray]]

WEIGHT_SEED = 20200315
CALIBRATION_SEED = 7
LAYOUTS = {4: ("BCHW",), 5: ("BCTHW", "BTCHW"), 6: ("BVCTHW",)}
"""The orders of axes that a clip may have, by their number; the first one is the default. V counts views."""
STATISTICS = ("running_mean", "running_var")
"""How the names of a batch norm's statistics end."""
FORMULA = (
    "synthetic, integer arithmetic only: v[t,y,x,c] = (128 + floor((x-170)*(y-128)*(c+1)/64) + 9*t"
    " + ((7*x+13*y+29*c) mod 31)) mod 256, t<8, y<256, x<340, c<3, as uint8 (call it land)"
)
PROBE = "64 flat C-order indices = numpy RandomState(20261122).randint(0, size, 64); values listed in that order"


class RecordingError(ValueError):
    """What was asked for cannot be recorded; the message says why, and what to do."""


# What any machine can make again from a pair: weights, clips, frames --------------------------------------------------


def draw_weight(key: str, shape: tuple[int, ...], std: float | None = None) -> np.ndarray:
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
        info: The pair's description, its .json.
        statistics: Running means and variances by name; those that are not there are drawn.
        constants: Tables that the network computes instead of learning them, by name.
    """
    # In some files of the first rule, anchor-v1, `std` is the deviation of pixels, not of weights.
    second_rule = info if info.get("draw") == "anchor-v2" else {}
    deviations, named = second_rule.get("std", {}), second_rule.get("const", {})
    tensors = {}
    for key, (shape, dtype) in info["keys"].items():
        if key in named:
            value = constants[named[key]].astype(dtype)
        elif key in statistics:
            value = statistics[key].astype(np.float32)
        elif not dtype.startswith("float"):
            value = np.full(shape, 1 if statistics else 0, np.int64)  # a norm's counter of batches
        elif "tf_scope" in info and key.endswith("bn.weight"):
            value = np.ones(shape, np.float32)  # DeepMind's norms have no scale
        else:
            factors = [factor for pattern, factor in second_rule.get("scale", ()) if re.search(pattern, key)]
            value = draw_weight(key, tuple(shape), deviations.get(key)) * np.float32(factors[0] if factors else 1)
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


def probe_values(values: np.ndarray) -> np.ndarray:
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

    def __call__(self, *arrays: np.ndarray, **named: np.ndarray) -> object:
        """The outputs for a clip, or for the arrays given: an array or tensor of logits before softmax, or several by name."""


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

    def __call__(self, *arrays: np.ndarray, **named: np.ndarray) -> object:
        import torch

        tensors = {name: torch.from_numpy(values) for name, values in named.items()}
        with torch.no_grad():
            return self._call(*map(torch.from_numpy, arrays), **tensors)


def as_network(built: object) -> Network:
    """A `Network` from the result of a function that builds one: a torch module, a pair of a module and its `call`, or a
    `Network`.
    """
    module, call = built if isinstance(built, tuple) else (built, None)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(module, torch.nn.Module):
        return TorchNetwork(module, call)
    if not callable(module) or not hasattr(module, "tensors"):
        raise RecordingError(
            f"the function gave {type(module).__name__}: expected a torch module, or a Network of this file"
        )
    return module


def as_array(values: object) -> np.ndarray:
    """An array of an array, a number, a list of numbers or a torch tensor."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(values, torch.Tensor):
        return values.detach().cpu().numpy()
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise RecordingError(
            f"an output is {type(values).__name__}: give arrays or tensors of numbers, several as a dictionary"
        )
    return array


# Recording ---------------------------------------------------------------------------------------------------------------


def record_network(
    out: Path,
    build: Callable[[], object],
    *,
    toolkit: str,
    runs: Mapping[str, tuple[Sequence[int], int]],
    inputs: Mapping[str, Arrays] | None = None,
    layout: str | None = None,
    root: str | None = None,
    calibrate: Sequence[int] | None = None,
    std: Mapping[str, float] | None = None,
    scale: Sequence[tuple[str, float]] = (),
    notes: Mapping[str, str] | None = None,
) -> None:
    """Draw a network's weights, run it, and write OUT.json, OUT.npz and, where it has them, OUT.bnstats.npz, OUT.const.npz
    and OUT.inputs.npz.

    Args:
        out: The path of the files without their endings.
        build: Returns the network: a torch module, a pair (module, function that runs it on a clip), or a `Network`.
        toolkit: The toolkit's name and version or commit.
        runs: Shape and seed of the clip of each run, by the run's name.
        inputs: Arrays of further runs, by the run's name. For the name of a run with a drawn clip: integers that the network
            takes with the clip. Arrays without names are passed in order, several with names by their names.
        layout: The order of the axes of clips, one of `LAYOUTS`; None: the first of those with so many axes.
        root: The name of the dictionary of tensors in the toolkit's checkpoint file; None: there is none.
        calibrate: The shape of the clip whose statistics batch norms take; None: the statistics are drawn.
        std: The standard deviation of weights by a regular expression of their names: 0.5 for position embeddings and
            tokens, which are else drawn so small that logits without them would be almost equal.
        scale: A regular expression of names, and a power of two that multiplies these weights; the first that fits counts.
        notes: Further fields of the description, such as the toolkit's configuration file.

    Raises:
        RecordingError: an output or a statistic is not finite, an output is no array, or no layout has so many axes.
    """
    network = as_network(build())
    tensors = network.tensors()
    norms = [key for key in tensors if key.endswith(STATISTICS)]
    tables = {key: tensors[key] for key in network.constants() if key in tensors}
    learnt = [key for key in tensors if key not in norms and key not in tables]
    deviations = {key: value for word, value in (std or {}).items() for key in learnt if re.search(word, key)}
    table_names = {key: sha(table)[:12] for key, table in tables.items()}  # equal tables are stored once
    constants = {name: tables[key] for key, name in table_names.items()}
    second_rule = {"std": deviations, "scale": [list(pair) for pair in scale], "const": table_names}
    second_rule = {name: value for name, value in second_rule.items() if value}
    info = {
        "name": out.name, "weight_seed": WEIGHT_SEED, "draw": "anchor-v2" if second_rule else "anchor-v1", "toolkit": toolkit,
        **(notes or {}), "layout_in": _layout(layout, [shape for shape, _ in runs.values()]), "ckpt_root": root, **second_rule,
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
    drawn_weights = weights(info, statistics, constants)
    network.load(drawn_weights)
    info.update(weights_sha=weights_hash(drawn_weights), runs={})
    given = {run: _by_name(arrays) for run, arrays in (inputs or {}).items()}
    outputs = {}
    for run in {**runs, **given}:
        arrays, named = _arguments(given.get(run, {}))
        if run in runs:
            shape, seed = runs[run]
            arrays.insert(0, noise(shape, seed))
            info["runs"][run] = {"shape": list(shape), "seed": seed, "input_sha": sha(arrays[0])[:16]}
            if run in given:
                info["runs"][run]["also"] = {name: _integers(values, run) for name, values in given.pop(run).items()}
        else:
            described = {name: _described(values) for name, values in given[run].items()}
            info["runs"][run] = {"source_file": f"{out.name}.inputs.npz", "inputs": described}
        result = network(*arrays, **named)
        result = result if isinstance(result, dict) else {"logits": result}
        of_run = {
            name: _finite(as_array(values).astype(np.float32), f"{run}/{name}") for name, values in result.items()
        }
        info["runs"][run]["outs"] = {
            name: {"shape": list(values.shape), "std": float(values.std()), "absmax": float(np.abs(values).max())}
            for name, values in of_run.items()
        }
        outputs[run] = of_run
    _write(out, info, outputs, given, statistics, constants)


def record_sampling(
    out: Path,
    rules: Mapping[str, Callable[[int], object]],
    *,
    toolkit: str,
    frames: Sequence[int],
    seed: int = 0,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write which frames each rule takes of videos of many lengths, to OUT.json.

    Args:
        out: The path of the file without its ending.
        rules: From the number of frames of a video to indices, by the rule's name.
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
    _write(out, {"name": out.name, "toolkit": toolkit, **(notes or {}), "seed": seed, "cases": cases})


def record_pixels(
    out: Path,
    rules: Mapping[str, Callable[..., object]],
    *,
    toolkit: str,
    inputs: Mapping[str, Arrays] | None = None,
    seed: int = 0,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write what each rule makes of frames, to OUT.json: shape, type, hash and 64 of the values. For given inputs also write
    the outputs to OUT.npz and the inputs to OUT.inputs.npz.

    Args:
        out: The path of the files without their endings.
        rules: From frames, uint8 RGB [8, H, W, 3], to what the network takes, by the rule's name; for given inputs from
            their arrays to one array.
        toolkit: Its name and version or commit.
        inputs: Arrays by the name of the source, as for `record_network`; None: frames of three sizes from a formula.
        seed: As for `record_sampling`.
        notes: As for `record_sampling`.
    """
    sources = {source: _by_name(synthetic_frames(source)) for source in ("land", "odd", "portrait")}
    given = {source: _by_name(arrays) for source, arrays in (inputs or {}).items()}
    items, outputs = {}, {source: {} for source in given}
    for source, arrays in (given or sources).items():
        for name, rule in rules.items():
            _seed(seed)
            positional, named = _arguments(arrays)
            values = as_array(rule(*positional, **named))
            items[f"{source}/{name}"] = {
                "source": source, **_described(values), "mean": float(values.mean()), "std": float(values.std()),
                "probe": probe_values(values).tolist(),
            }  # fmt: skip
            if given:
                outputs[source][name] = values
    info = {
        "name": out.name,
        "toolkit": toolkit,
        **(notes or {}),
        "source_file": f"{out.name}.inputs.npz" if given else FORMULA,
    }
    _write(out, {**info, "probe": PROBE, "seed": seed, "items": items}, outputs, given)


def _layout(layout: str | None, shapes: Sequence[Sequence[int]]) -> str | None:
    """The layout given, or the first that the shapes of all drawn clips fit; None if no clip is drawn."""
    if not shapes:
        return layout
    known = LAYOUTS.get(len(shapes[0]), ())
    if layout not in (None, *known) or not known or {len(shape) for shape in shapes} != {len(known[0])}:
        raise RecordingError(
            f"clips of shape {list(shapes[0])}, layout {layout}: expected one of {LAYOUTS} for all runs"
        )
    return layout or known[0]


def _by_name(arrays: Arrays) -> dict[str, np.ndarray]:
    """Arrays by their names; those without names get numpy's, arr_0, arr_1."""
    if not isinstance(arrays, dict):
        arrays = [arrays] if isinstance(arrays, np.ndarray) else arrays
        arrays = {f"arr_{place}": values for place, values in enumerate(arrays)}
    return {name: np.ascontiguousarray(values) for name, values in arrays.items()}


def _arguments(arrays: Mapping[str, np.ndarray]) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """Copies of the arrays that are passed in order, and of those that are passed by name."""
    copies = {name: values.copy() for name, values in arrays.items()}
    in_order = len(copies) == 1 or all(re.match(r"arr_\d+$", name) for name in copies)
    return (list(copies.values()), {}) if in_order else ([], copies)


def _integers(values: np.ndarray, run: str) -> list[object]:
    if values.dtype != np.int64:
        raise RecordingError(
            f"run {run} has a drawn clip and {values.dtype} arrays: beside a drawn clip give int64 only"
        )
    return values.tolist()


def _described(values: np.ndarray) -> dict[str, object]:
    return {"shape": list(values.shape), "dtype": str(values.dtype), "sha256": sha(values)}


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    if not np.isfinite(values).all():
        raise RecordingError(f"{name} is not finite: calibrate the norms, or scale weights down")
    return values


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


def _write(
    out: Path,
    info: Mapping[str, object],
    outputs: Mapping[str, Mapping[str, np.ndarray]] = {},
    inputs: Mapping[str, Mapping[str, np.ndarray]] = {},
    statistics: Mapping[str, np.ndarray] = {},
    constants: Mapping[str, np.ndarray] = {},
) -> None:
    """Write the files of a pair, and remove those of an earlier recording that this one lacks."""
    out.parent.mkdir(parents=True, exist_ok=True)
    Path(f"{out}.json").write_text(json.dumps(info, separators=(",", ":")), encoding="utf-8")
    by_run = [
        {f"{run}/{name}": a for run, arrays in of.items() for name, a in arrays.items()} for of in (outputs, inputs)
    ]
    for ending, arrays in zip(("npz", "inputs.npz", "bnstats.npz", "const.npz"), (*by_run, statistics, constants)):
        path = Path(f"{out}.{ending}")
        if arrays:
            np.savez_compressed(path, **arrays)
        elif path.exists():
            path.unlink()
