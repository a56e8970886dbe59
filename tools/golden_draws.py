"""What any machine can make again from a golden pair: weights, clips and frames, from hashes, seeds and formulas.

tools/golden_pairs.py records by them, tests/support/recorded.py reads by them. Python 3.8 or newer and numpy are enough.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WEIGHT_SEED = 20200315
FORMULA = (
    "synthetic, integer arithmetic only: v[t,y,x,c] = (128 + floor((x-170)*(y-128)*(c+1)/64) + 9*t"
    " + ((7*x+13*y+29*c) mod 31)) mod 256, t<8, y<256, x<340, c<3, as uint8 (call it land)"
)
PROBE = "64 flat C-order indices = numpy RandomState(20261122).randint(0, size, 64); values listed in that order"


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
