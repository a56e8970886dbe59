"""Golden pairs: known inputs, and what the code of another toolkit gives for them. tools/record.py is the command line.

It needs Python 3.8 or newer and numpy. `record_network`, `record_sampling` and `record_pixels` write a pair;
tests/support/recorded.py reads it. docs/how-to/record-a-golden-pair.md says what the files hold.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

if __package__:
    from tools import golden_draws as draws
else:  # beside a script, in the environment of another toolkit
    import golden_draws as draws

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import TypeAlias

    from torch import nn

    Arrays: TypeAlias = "np.ndarray | Sequence[np.ndarray] | Mapping[str, np.ndarray]"

CALIBRATION_SEED = 7
LAYOUTS = {4: ("BCHW",), 5: ("BCTHW", "BTCHW"), 6: ("BVCTHW",)}
"""The orders of axes that a clip may have, by their number; the first one is the default. V counts views."""
STATISTICS = ("running_mean", "running_var")
"""How the names of a batch norm's statistics end."""
ARCHIVES = ("", "inputs", "bnstats", "const")
"""What follows a pair's name in the names of its .npz files: nothing for outputs."""


class RecordingError(ValueError):
    """What was asked for cannot be recorded; the message says why, and what to do."""


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
        """The outputs for a clip or the given arrays: an array or tensor of logits before softmax, or several by name."""


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
        raise RecordingError(f"the function gave {type(module).__name__}: expected a torch module or a `Network`")
    return module


def as_array(values: object) -> np.ndarray:
    """An array of an array, a number, a list of numbers or a torch tensor."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(values, torch.Tensor):
        return values.detach().cpu().numpy()
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise RecordingError(f"an output is {type(values).__name__}: expected an array, or several in a dictionary")
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
    tables = {key: tensors[key] for key in network.constants() if key in tensors}
    info = {
        "name": out.name, "weight_seed": draws.WEIGHT_SEED, "draw": "anchor-v1", "toolkit": toolkit, **(notes or {}),
        "layout_in": _layout(layout, [shape for shape, _ in runs.values()]), "ckpt_root": root,
        **_of_tensors(tensors, tables, std or {}, scale),
    }  # fmt: skip
    constants = {_table_name(table): table for table in tables.values()}  # equal tables are stored once
    statistics = {}
    if calibrate is not None:
        network.load(draws.weights(info, {}, constants))
        network.calibrate(draws.noise(calibrate, CALIBRATION_SEED))
        measured = {key: value for key, value in network.tensors().items() if key.endswith(STATISTICS)}
        statistics = {key: _finite(value.astype(np.float16), key) for key, value in measured.items()}
    drawn_weights = draws.weights(info, statistics, constants)
    network.load(drawn_weights)
    info.update(weights_sha=draws.weights_hash(drawn_weights), runs={})
    outputs, given = {}, {run: _by_name(arrays) for run, arrays in (inputs or {}).items()}
    for run in {**runs, **given}:
        description, clips = _input_of(out, run, runs.get(run), given.get(run, {}))
        arrays, named = _arguments(given.get(run, {}))
        outputs[run] = _outputs(network(*clips, *arrays, **named), run)
        info["runs"][run] = {**description, "outs": {name: _size(values) for name, values in outputs[run].items()}}
    stored_inputs = {run: arrays for run, arrays in given.items() if run not in runs}
    _write(out, info, _joined(outputs), _joined(stored_inputs), statistics, constants)


def _of_tensors(
    tensors: Mapping[str, np.ndarray],
    tables: Collection[str],
    std: Mapping[str, float],
    scale: Sequence[tuple[str, float]],
) -> dict[str, object]:
    """The part of a description that says what the tensors are, and how they are drawn if not by the first rule alone."""
    learnt = [key for key in tensors if not key.endswith(STATISTICS) and key not in tables]
    second_rule = {
        "std": {key: value for word, value in std.items() for key in learnt if re.search(word, key)},
        "scale": [list(pair) for pair in scale],
        "const": {key: _table_name(tensors[key]) for key in tables},
    }
    second_rule = {name: value for name, value in second_rule.items() if value}
    return {
        **({"draw": "anchor-v2", **second_rule} if second_rule else {}),
        "n_params": sum(tensors[key].size for key in learnt if tensors[key].dtype.kind == "f"),
        "n_keys": len(tensors),
        "bn_layers": sum(key.endswith("running_var") for key in tensors),
        "keys": {key: [list(value.shape), str(value.dtype)] for key, value in tensors.items()},
    }


def _table_name(table: np.ndarray) -> str:
    return f"{table.dtype}_{draws.sha(table)[:12]}"


def _input_of(
    out: Path, run: str, drawn_clip: tuple[Sequence[int], int] | None, given: Mapping[str, np.ndarray]
) -> tuple[dict[str, object], list[np.ndarray]]:
    """What the description says of a run's input, and the drawn clip if it has one."""
    if drawn_clip is None:
        described = {name: _described(values) for name, values in given.items()}
        return {"source_file": f"{out.name}.inputs.npz", "inputs": described}, []
    shape, seed = drawn_clip
    clip = draws.noise(shape, seed)
    description = {"shape": list(shape), "seed": seed, "input_sha": draws.sha(clip)[:16]}
    for name, values in given.items():
        if values.dtype != np.int64:
            raise RecordingError(f"run {run}, array {name}: expected int64 beside a drawn clip, not {values.dtype}")
        description.setdefault("also", {})[name] = values.tolist()
    return description, [clip]


def _outputs(result: object, run: str) -> dict[str, np.ndarray]:
    """The outputs of a network by name, float32; one alone is its logits."""
    outputs = result if isinstance(result, dict) else {"logits": result}
    return {name: _finite(as_array(values).astype(np.float32), f"{run}/{name}") for name, values in outputs.items()}


def _size(values: np.ndarray) -> dict[str, object]:
    return {"shape": list(values.shape), "std": float(values.std()), "absmax": float(np.abs(values).max())}


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
    sources = inputs or {source: draws.synthetic_frames(source) for source in ("land", "odd", "portrait")}
    items, outputs, arrays_of = {}, {}, {source: _by_name(arrays) for source, arrays in sources.items()}
    for source, arrays in arrays_of.items():
        outputs[source] = {}
        for name, rule in rules.items():
            _seed(seed)
            positional, named = _arguments(arrays)
            outputs[source][name] = values = as_array(rule(*positional, **named))
            items[f"{source}/{name}"] = {
                "source": source, **_described(values), "mean": float(values.mean()), "std": float(values.std()),
                "probe": draws.probe_values(values).tolist(),
            }  # fmt: skip
    info = {
        "name": out.name, "toolkit": toolkit, **(notes or {}), "probe": draws.PROBE, "seed": seed, "items": items,
        "source_file": f"{out.name}.inputs.npz" if inputs else draws.FORMULA,
    }  # fmt: skip
    _write(out, info, *([_joined(outputs), _joined(arrays_of)] if inputs else []))


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
    if not isinstance(arrays, Mapping):
        arrays = [arrays] if isinstance(arrays, np.ndarray) else arrays
        arrays = {f"arr_{index}": values for index, values in enumerate(arrays)}
    return {name: np.ascontiguousarray(values) for name, values in arrays.items()}


def _arguments(arrays: Mapping[str, np.ndarray]) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """Copies of the arrays that are passed in order, and of those that are passed by name."""
    copies = {name: values.copy() for name, values in arrays.items()}
    in_order = len(copies) == 1 or all(re.match(r"arr_\d+$", name) for name in copies)
    return (list(copies.values()), {}) if in_order else ([], copies)


def _described(values: np.ndarray) -> dict[str, object]:
    return {"shape": list(values.shape), "dtype": str(values.dtype), "sha256": draws.sha(values)}


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


def _joined(by_run: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {f"{run}/{name}": values for run, arrays in by_run.items() for name, values in arrays.items()}


def _write(out: Path, info: Mapping[str, object], *archives: Mapping[str, np.ndarray]) -> None:
    """Write a pair's files, the archives in the order of `ARCHIVES`; what else an earlier recording left is removed."""
    out.parent.mkdir(parents=True, exist_ok=True)
    Path(f"{out}.json").write_text(json.dumps(info, separators=(",", ":")), encoding="utf-8")
    for ending, arrays in zip_longest(ARCHIVES, archives):
        path = Path(f"{out}.{ending}.npz" if ending else f"{out}.npz")
        if arrays:
            np.savez_compressed(path, **arrays)
        elif path.exists():
            path.unlink()
