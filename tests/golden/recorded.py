"""What the older toolkits' own code gave, recorded once: indices, draws, pixels, logits. Weights are drawn from a hash
of each key, so that only outputs and batch norm statistics are stored."""

import gzip
import hashlib
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).parent
_SEED = 20200315


def load(name: str) -> Any:
    """A recorded JSON file by its name without suffix."""
    return json.loads(gzip.decompress((HERE / f"{name}.json.gz").read_bytes()))


def drawn(key: str, shape: tuple[int, ...]) -> np.ndarray:
    digest = hashlib.sha256(f"{_SEED}:{key}".encode()).digest()
    random = np.random.RandomState(int.from_bytes(digest[:4], "little"))
    small = 0.1 if "nonlocal" in key or "non_local" in key else 1.0
    if len(shape) >= 2:
        gain = 2.0 if len(shape) >= 4 else 1.0
        values = random.standard_normal(size=shape) * np.sqrt(gain / max(int(np.prod(shape[1:])), 1)) * small
    elif key.endswith(("weight", "running_var")):
        values = random.uniform(0.5, 1.5, size=shape) * small
    else:
        values = 0.1 * random.standard_normal(size=shape)
    return np.asarray(values, np.float32).astype(np.float16).astype(np.float32)


def state_dict(name: str) -> dict[str, torch.Tensor]:
    """The recorded network's tensors in its toolkit's own layout."""
    info = load(f"networks/{name}")
    statistics = _statistics(name, info["keys"])
    tensors = {}
    for key, (shape, dtype) in info["keys"].items():
        if key in statistics:
            value = statistics[key].astype(np.float32).reshape(shape)
        elif "tf_scope" in info and key.endswith("bn.weight"):
            value = np.ones(shape, np.float32)  # DeepMind's norms have no scale
        elif dtype.startswith("float"):
            value = drawn(key, tuple(shape)).reshape(shape)
        else:
            value = np.full(shape, 1, np.int64)
        tensors[key] = torch.from_numpy(value)
    return tensors


def _statistics(name: str, keys: dict[str, tuple[list[int], str]]) -> dict[str, np.ndarray]:
    """Running means and variances by their keys: one array each, or all in one, which is smaller for many norms."""
    file = np.load(HERE / "networks" / f"{name}.bnstats.npz")
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
    """(clips [B, C, T, H, W], recorded outputs) of each run; views and segments as our networks take them."""
    info = load(f"networks/{name}")
    outputs = np.load(HERE / "networks" / f"{name}.npz")
    for run, how in info["runs"].items():
        values = np.random.RandomState(how["seed"]).standard_normal(how["shape"]).astype(np.float32)
        clips = torch.from_numpy(values)
        if clips.ndim == 6:
            clips = clips.flatten(0, 1)
        elif clips.ndim == 4:
            clips = clips.unsqueeze(2)  # pictures
        elif name.startswith("mmaction"):
            clips = clips.transpose(1, 2)
        yield clips, {out: outputs[f"{run}/{out}"] for out in how["outs"]}


def synthetic_frames(source: str) -> np.ndarray:
    """The integer formula that the pixel cases were run on, uint8 [8, H, W, 3]."""
    t, y, x, c = np.ogrid[0:8, 0:256, 0:340, 0:3]
    land = (128 + (x - 170) * (y - 128) * (c + 1) // 64 + 9 * t + (7 * x + 13 * y + 29 * c) % 31) % 256
    land = land.astype(np.uint8)
    return {"land": land, "odd": land[:, 31:224, 11:328], "portrait": land.transpose(0, 2, 1, 3)}[source]


def sha(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
