"""The simplest usual classifier for a folder of clips, for comparison: frozen features of frames and a logistic regression.

EfficientNet-Lite0 with ImageNet's weights computes features of 8 frames, from the middles of 8 equal segments of a clip;
their short side is scaled to 256 pixels, and the centre 224 are cropped. Marey's reader and network are used, but no code
of `marey train FOLDER`.

Shape suffixes: N clips, P frames of a clip, D features of a frame, F features of a clip, K classes.
"""

import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from marey.data.lists.manifest import Manifest
from marey.models.network import LinearClassifier
from marey.recipes.starts import LITE
from marey.video.pixels import Pixels
from marey.video.pixels.transforms import to_clip
from marey.video.reading.reader import open_video
from marey.video.sampling import MMAction2Test
from marey.weights.load import load_model

Floats = NDArray[np.float32]

_PIXELS = Pixels(conversion="planes", short_side=256, mean=(127.0,) * 3, std=(128.0,) * 3)
_RULE = MMAction2Test(segments=8)
_CROP = 224
_C = 0.003
"""The inverse of the strength of the regularisation, in scikit-learn's sense."""


@dataclass(frozen=True)
class FrameFeatures:
    """The features that the network computes of the frames of clips."""

    frames: Floats
    """[N, P, D]."""
    core_seconds: float
    """Processor time per clip, decoding included."""


def frame_features(clips: Manifest, kept: Path) -> FrameFeatures:
    """The features of all clips of a list; a second call reads them from the file `kept`."""
    if not kept.exists():
        begun = time.process_time()
        features = _computed(clips)
        seconds = (time.process_time() - begun) / len(clips)
        np.savez(kept, features=features, core_seconds=seconds, fingerprint=clips.fingerprint)
    with np.load(kept) as found:
        if str(found["fingerprint"]) != clips.fingerprint:
            raise SystemExit(f"{kept} holds the features of another list: choose another --work")
        return FrameFeatures(found["features"], float(found["core_seconds"]))


@torch.inference_mode()
def _computed(clips: Manifest) -> Floats:
    network = load_model(weights=Path(str(files(LITE[0].package))) / LITE[0].file, allow_new_head=True).network.eval()
    assert isinstance(network, LinearClassifier)
    found = []
    for number, clip in enumerate(clips):
        with open_video(clip.path, conversion=_PIXELS.conversion) as video:
            indices = _RULE.sample(len(video), video.timestamps)[0]
            size = _PIXELS.size(video.height, video.width)
            frames = video.read(indices, size=size)
        top, left = ((side - _CROP) // 2 for side in size)
        crop = np.ascontiguousarray(frames[None, :, top : top + _CROP, left : left + _CROP])
        (maps_1DPHW,) = network.trunk(to_clip(torch.from_numpy(crop), *_PIXELS.normalisation))
        found.append(maps_1DPHW.mean(dim=(3, 4))[0].T.numpy())
        if number % 50 == 49:
            print(f"features of {number + 1} of {len(clips)} clips", flush=True)
    return np.stack(found)


def single_frames(features_NPD: Floats) -> Floats:
    """[N, F]: the mean over the frames, which does not depend on their order."""
    return features_NPD.mean(axis=1)


def probe(features_NPD: Floats) -> Floats:
    """[N, F]: the mean over the frames, and the mean absolute difference from one to the next."""
    return np.concatenate([features_NPD.mean(axis=1), np.abs(np.diff(features_NPD, axis=1)).mean(axis=1)], axis=1)


def class_scores(features_NF: Floats, labels: NDArray[np.int64], train: NDArray[np.int64], classes: int) -> Floats:
    """Scores [N, K] of all clips by a logistic regression that is fitted on the rows `train`.

    Features are standardised by the training clips. The loss is that of scikit-learn's `LogisticRegression(C=0.003)`: the
    sum of the cross-entropies plus the squared weights / (2 C), without the bias. Two classes have one row of weights.
    """
    mean, deviation = features_NF[train].mean(axis=0), features_NF[train].std(axis=0)
    standard = torch.from_numpy((features_NF - mean) / np.where(deviation > 0, deviation, 1)).double()
    inputs, targets = standard[train], torch.from_numpy(labels[train])
    rows = 1 if classes == 2 else classes
    weight = torch.zeros(rows, features_NF.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(rows, dtype=torch.float64, requires_grad=True)
    fit = torch.optim.LBFGS([weight, bias], max_iter=1000, tolerance_grad=1e-6, line_search_fn="strong_wolfe")

    def scores(of: torch.Tensor) -> torch.Tensor:
        found = of @ weight.T + bias
        return torch.cat([torch.zeros_like(found), found], dim=1) if rows == 1 else found

    def loss() -> torch.Tensor:
        fit.zero_grad()
        value = F.cross_entropy(scores(inputs), targets, reduction="sum") + (weight**2).sum() / (2 * _C)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    fit.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        return scores(standard).numpy()
