"""What the older toolkits' own code gave, recorded once: indices, draws, pixels, logits. Weights are drawn from a hash
of each key, so that only outputs and batch norm statistics are stored. tools/record.py records more.
"""

import gzip
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tools.golden_draws import draw_weight, noise, sha, synthetic_frames, weights
from tools.golden_pairs import LAYOUTS

__all__ = ["draw_weight", "load", "runs", "sha", "state_dict", "synthetic_frames", "write_caffe2", "write_checkpoint"]

HERE = Path(__file__).parents[1] / "golden"


def load(name: str) -> Any:
    """A recorded JSON file by its name without suffix."""
    return json.loads(gzip.decompress((HERE / f"{name}.json.gz").read_bytes()))


def state_dict(name: str) -> dict[str, torch.Tensor]:
    """The recorded network's tensors in its toolkit's own layout."""
    info = load(f"networks/{name}")
    constants = HERE / "networks" / f"{name}.const.npz"
    tables = dict(np.load(constants)) if constants.exists() else {}
    tensors = weights(info, _statistics(name, info["keys"]), tables)
    return {key: torch.from_numpy(value) for key, value in tensors.items()}


def _statistics(name: str, keys: dict[str, tuple[list[int], str]]) -> dict[str, np.ndarray]:
    """Running means and variances by their keys: one array each, or all in one, which is smaller for many norms. Where none
    are stored, they are drawn as weights are.
    """
    path = HERE / "networks" / f"{name}.bnstats.npz"
    if not path.exists():
        return {}
    file = np.load(path)
    if "in_order" not in file:
        return dict(file)
    named = {key: shape[0] for key, (shape, _) in keys.items() if key.endswith(("running_mean", "running_var"))}
    parts = np.split(file["in_order"], np.cumsum(list(named.values())[:-1]))
    return dict(zip(named, parts, strict=True))


def write_checkpoint(name: str, path: Path) -> Path:
    """The recorded network's checkpoint as its toolkit saves it."""
    root, tensors = load(f"networks/{name}")["ckpt_root"], state_dict(name)
    torch.save({root: tensors, "meta": {}} if root else tensors, path)
    return path


def write_caffe2(name: str, path: Path) -> Path:
    """PySlowFast's checkpoint as it was released: a pickle of blobs."""
    tensors, names = state_dict(name), load(f"networks/{name}.c2names")
    path.write_bytes(pickle.dumps({"blobs": {blob: tensors[key].numpy() for blob, key in names.items()}}, protocol=2))
    return path


def write_tensorflow(name: str, folder: Path) -> Path:
    """DeepMind's checkpoint as a folder: the real index over our values, whose checksums it therefore does not have."""
    tensors, entries = state_dict(name), load(f"networks/{name}.tf").values()
    data = bytearray(max(entry["offset"] + entry["size"] for entry in entries))
    for entry in entries:
        if "key" in entry:
            value = tensors[entry["key"]]
            value = value.permute(2, 3, 4, 1, 0) if value.ndim == 5 else value
            data[entry["offset"] : entry["offset"] + entry["size"]] = value.contiguous().numpy().tobytes()
    folder.mkdir()
    (folder / "model.ckpt.data-00000-of-00001").write_bytes(data)
    (folder / "model.ckpt.index").write_bytes((HERE / "networks" / f"{name}.index").read_bytes())
    return folder


def runs(name: str) -> Iterator[tuple[torch.Tensor, dict[str, np.ndarray]]]:
    """(clips [B, C, T, H, W], recorded outputs) of each run that takes a clip alone; views and segments as our networks
    take them.
    """
    info = load(f"networks/{name}")
    outputs = np.load(HERE / "networks" / f"{name}.npz")
    for run, how in info["runs"].items():
        if "seed" in how:
            clips = torch.from_numpy(noise(how["shape"], how["seed"]))
        else:
            (clips,) = (torch.from_numpy(values) for values in inputs(name, run).values())
        match info.get("layout_in", _layout(name, clips.ndim)):
            case "BVCTHW":
                clips = clips.flatten(0, 1)
            case "BCHW":
                clips = clips.unsqueeze(2)  # pictures
            case "BTCHW":
                clips = clips.transpose(1, 2)
        yield clips, {out: outputs[f"{run}/{out}"] for out in how["outs"]}


def inputs(name: str, run: str) -> dict[str, np.ndarray]:
    """The arrays of a run that was recorded with given inputs, by their names."""
    arrays = np.load(HERE / "networks" / f"{name}.inputs.npz")
    return {key.partition("/")[2]: arrays[key] for key in arrays if key.startswith(f"{run}/")}


def _layout(name: str, axes: int) -> str:
    """The order of the axes of the first pairs, which do not say it."""
    return "BTCHW" if axes == 5 and name.startswith("mmaction") else LAYOUTS[axes][0]
