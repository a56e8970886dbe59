"""What each rule of the older toolkits changes on a real clip: frames, pixels, and the score of one network.

python benchmarks/rules.py VIDEO...

Scores are logits of MMAction2's SlowOnly R50 8x8 with the weights that the tests' golden logits were recorded with, in
units of their standard deviation over the classes, as mean (largest) over the videos. Two correct implementations differ
by 1e-5.
"""

import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from marey.models.network import Network
from marey.recipe import CosineSchedule, Warmup
from marey.recipes import get_recipe
from marey.training.schedules import lr_factor
from marey.video.pixels import FloatPixels, Pixels
from marey.video.pixels.colour import ColourJitter, Lighting, MMAction2ColourJitter, RandAugment
from marey.video.pixels.crops import MMActionRandomResizedCrop, MultiScaleCrop, PySlowFastCrop, RandomResizedCrop
from marey.video.pixels.transforms import crop, resize, to_clip
from marey.video.reading.reader import open_video
from marey.video.sampling import (
    MMAction2FPSTest,
    MMAction2Test,
    MMActionTest,
    PySlowFastTest,
    PyTorchVideoTest,
    SamplingRule,
)
from marey.video.source import Box
from marey.weights.load import load_model
from tests.support.recorded import write_checkpoint

SHORT, CROP, FRAMES, STRIDE = 256, 224, 8, 8


def table(title: str, head: list[str], rows: list[list[str]]) -> None:
    print(f"\n{title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def frames_of_rules(path: str) -> None:
    with open_video(path) as video:
        count, times = len(video), video.timestamps
    indices = {name: rule.sample(count, times) for name, rule in sampling_rules().items()}
    reference = set(indices["MMAction"].ravel().tolist())
    rows = [
        [
            name,
            " ".join(map(str, taken[0])),
            " ".join(map(str, taken[-1])),
            f"{len(reference & set(taken.ravel().tolist())) / len(set(taken.ravel().tolist())):.0%}",
        ]
        for name, taken in indices.items()
    ]
    table(f"Ten test clips {FRAMES}x{STRIDE} of {count} frames", ["rule", "first clip", "last clip", "shared"], rows)


def recorded_network(name: str, recipe: str) -> Network:
    """A network with the tests' recorded weights, with which its logits vary as much as those of a trained network."""
    with tempfile.TemporaryDirectory() as folder:
        return load_model(get_recipe(recipe), weights=write_checkpoint(name, Path(folder) / "weights.pth"))


@torch.inference_mode()
def logits_of(network: Network, clips: Iterable[torch.Tensor]) -> torch.Tensor:
    """[views, K]."""
    return torch.cat([network(clip) for clip in clips])


def score(logits: torch.Tensor, reference: torch.Tensor) -> float:
    """The largest difference of a logit, in deviations of the logits over the classes."""
    return float((logits - reference).abs().max() / reference.std())


def mean_and_most(values: Sequence[float]) -> str:
    return f"{np.mean(values):.1e} ({max(values):.1e})"


def sampling_rules() -> dict[str, SamplingRule]:
    fields = {"clips": 10, "frames": FRAMES, "stride": STRIDE}
    return {
        "MMAction": MMActionTest(**fields),
        "MMAction2": MMAction2Test(**fields),
        "MMAction2, target_fps 30": MMAction2FPSTest(**fields),
        "PySlowFast": PySlowFastTest(**fields),
        "PyTorchVideo": PyTorchVideoTest(clips=10, frames=FRAMES, seconds=FRAMES * STRIDE / 30),
    }


def sampling(paths: Sequence[str], network: Network) -> None:
    """The mean logits of ten clips by each rule, against MMAction's."""
    pixels, apart = Pixels(short_side=SHORT), {name: [] for name in sampling_rules()}
    for path in paths:
        means = {}
        for name, rule in sampling_rules().items():
            with open_video(path) as video:
                indices = rule.sample(len(video), video.timestamps)
                size = pixels.size(video.height, video.width)
                unique, places = np.unique(indices, return_inverse=True)
                frames = crop(video.read(unique, size=size), pixels.views(*size, CROP, "centre")[0].box)
            clips = (clip_of(frames[row], *pixels.normalisation) for row in places.reshape(indices.shape))
            means[name] = logits_of(network, clips).mean(dim=0)
            apart[name].append(score(means[name], means["MMAction"]))
    table(
        "Score of ten clips, centre crop",
        ["rule", "score"],
        [[name, mean_and_most(values)] for name, values in apart.items()],
    )


def clip_of(frames: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    return to_clip(torch.from_numpy(np.ascontiguousarray(frames))[None], mean, std)


def pixel_ways(path: str) -> dict[str, torch.Tensor]:
    """Normalised clips [1, C, T, H, W] of the same frames, by the way of computing them; the first is the reference."""
    with open_video(path) as video:
        indices = MMAction2Test(frames=FRAMES, stride=STRIDE).sample(len(video), video.timestamps)[0]
        raw, later = video.read(indices), video.read(np.minimum(indices + 1, len(video) - 1))
        float_rule, rule = FloatPixels(short_side=SHORT), Pixels(short_side=SHORT)
        size = rule.size(video.height, video.width)
    with open_video(path, conversion="planes") as video:
        planes = video.read(indices, size=size)
    exact = resize(raw, size)
    box, other = (kind.views(*size, CROP, "centre")[0].box for kind in (rule, float_rule))
    mean, std = rule.normalisation

    def clip(
        frames: np.ndarray, where: Box = box, mean: Sequence[float] = mean, std: Sequence[float] = std
    ) -> torch.Tensor:
        return clip_of(crop(frames, where), mean, std)

    def by(interpolation: int) -> np.ndarray:
        return np.stack([cv2.resize(f, size[::-1], interpolation=interpolation) for f in raw])

    image = torch.from_numpy(raw).permute(0, 3, 1, 2).float()
    antialiased = F.interpolate(image, size=size, mode="bilinear", antialias=True).permute(0, 2, 3, 1).numpy()
    return {
        "RGB, uint8 bilinear, centre crop (MMAction2)": clip(exact),
        "in float (PySlowFast's arithmetic)": clip(float_rule.resize(raw, size)),
        "`planes`, Marey's fast path: converted after the resize": clip(planes),
        "antialias": clip(antialiased),
        "area": clip(by(cv2.INTER_AREA)),
        "bicubic": clip(by(cv2.INTER_CUBIC)),
        "centre crop by ceil (PySlowFast)": clip(exact, other),
        "crop one column to the right": clip(exact, box._replace(left=box.left + 1)),
        "every frame one later": clip(resize(later, size)),
        "mirrored": clip(exact[:, :, ::-1], box),
        "PySlowFast's mean and deviation for ImageNet's": clip(exact, mean=float_rule.mean, std=float_rule.std),
        "red and blue swapped": clip(exact[..., ::-1]),
    }


def pixels(paths: Sequence[str], network: Network) -> None:
    deviation = torch.tensor(Pixels().std).view(1, 3, 1, 1, 1)
    greys: dict[str, list[float]] = {}
    scores: dict[str, list[float]] = {}
    for path in paths:
        ways = pixel_ways(path)
        clips, logits = list(ways.values()), logits_of(network, ways.values())
        for name, clip, row in zip(ways, clips, logits, strict=True):
            greys.setdefault(name, []).append(float(((clip - clips[0]).abs() * deviation).mean()))
            scores.setdefault(name, []).append(score(row, logits[0]))
    rows = [[name, f"{np.mean(greys[name]):.2f}", mean_and_most(scores[name])] for name in greys]
    table("Pixels of one clip", ["way", "mean difference, grey levels", "score"], rows)


def views(paths: Sequence[str]) -> None:
    """Compare how views are averaged: three clips times three crops of 256 pixels, at which the head of PySlowFast's Slow
    R50 8x8 has four positions.
    """
    network = recorded_network("pyslowfast/SLOW_8x8_R50", "slowonly_r50_8x8_k400_pyslowfast")
    apart: dict[str, list[float]] = {}
    for path in paths:
        probabilities = {}
        for name, rule in (("MMAction2", Pixels(short_side=SHORT)), ("PySlowFast", FloatPixels(short_side=SHORT))):
            with open_video(path) as video:
                indices = MMAction2Test(clips=3, frames=FRAMES, stride=STRIDE).sample(len(video))
                size = rule.size(video.height, video.width)
                resized = Pixels().resize(video.read(indices.ravel()), size)
            boxes = [view.box for view in rule.views(*size, SHORT, "three")]
            cut = [crop(clip, box) for clip in np.split(resized, 3) for box in boxes]
            with torch.inference_mode():
                normalised = (clip_of(clip, *FloatPixels().normalisation) for clip in cut)
                maps = torch.cat([network.positions(clip) for clip in normalised]).flatten(2)
            logits = maps.mean(dim=2)
            probabilities[f"{name}'s crops, mean of logits"] = logits.mean(dim=0).softmax(dim=0)
            probabilities[f"{name}'s crops, mean of probabilities of views"] = logits.softmax(dim=1).mean(dim=0)
            probabilities[f"{name}'s crops, mean of probabilities of positions"] = maps.softmax(dim=1).mean(dim=(0, 2))
        reference = probabilities["PySlowFast's crops, mean of probabilities of positions"]
        for name, values in probabilities.items():
            apart.setdefault(name, []).append(float((values - reference).abs().max() / reference.max()))
    rows = [[name, mean_and_most(values)] for name, values in apart.items()]
    table("Nine views", ["way", "largest difference of a probability, over the largest probability"], rows)


def slow_frames(paths: Sequence[str]) -> None:
    network = recorded_network("mmaction2/slowfast_r50_8x8", "slowfast_r50_8x8_k400_mmaction2")
    spread = (
        get_recipe("slowfast_r50_8x8_k400_mmaction2").model.model_copy(update={"slow_frames": "spread"}).build().eval()
    )
    spread.load_state_dict(network.state_dict())
    apart, rule = [], Pixels(short_side=SHORT)
    for path in paths:
        with open_video(path) as video:
            size = rule.size(video.height, video.width)
            frames = video.read(MMAction2Test(frames=32, stride=2).sample(len(video))[0], size=size)
        clip = clip_of(crop(frames, rule.views(*size, CROP, "centre")[0].box), *rule.normalisation)
        apart.append(score(logits_of(spread, [clip]), logits_of(network, [clip])))
    table("Slow frames", ["SlowFast 8x8", "score"], [["spread for stride", mean_and_most(apart)]])


def looks(path: str) -> None:
    """Measure how much the steps of `appearance` change 8 frames of 224x224, and how long they take."""
    with open_video(path) as video:
        frames = video.read(range(8), size=(224, 224))
    steps = {
        "`ColourJitter` 0.4 (PySlowFast)": ColourJitter(),
        "`MMAction2ColourJitter` 0.5, hue 0.1": MMAction2ColourJitter(),
        "`Lighting` 0.1": Lighting(),
        "`RandAugment` m7 n4 (PySlowFast, VideoMAE)": RandAugment(),
        "RandAugment m7 n4, probability 1 (the paper)": RandAugment(probability=1, deviation=0),
    }
    rows = []
    for name, step in steps.items():
        begun, apart = time.perf_counter(), []
        for seed in range(60):
            changed = step.change(frames, np.random.RandomState(seed))
            apart.append(float(abs(changed.astype(np.float32) - frames).mean()))
        low, middle, high = np.percentile(apart, [5, 50, 95])
        seconds = (time.perf_counter() - begun) / 60
        rows.append([name, f"{low:.0f} {middle:.0f} {high:.0f}", f"{seconds * 1000:.0f} ms"])
    table("Looks", ["step", "mean difference, grey levels: 5 %, median, 95 %", "time per clip"], rows)


def crops(height: int = 256, width: int = 340, draws: int = 4000) -> None:
    ways = {
        "multi-scale, 5 offsets (TSN)": MultiScaleCrop(size=224),
        "random resized, MMAction": MMActionRandomResizedCrop(size=224),
        "random resized, MMAction2": RandomResizedCrop(size=224),
        "jitter 256 to 320, PySlowFast": PySlowFastCrop(size=224),
        "the same, inverse": PySlowFastCrop(size=224, inverse=True),
    }
    rows = []
    for name, declared in ways.items():
        random = np.random.RandomState(0)
        areas, ratios = [], []
        for _ in range(draws):
            plan = declared.plan(height, width, random)
            full = plan.size if plan.window else (height, width)
            box = plan.window or plan.crop
            areas.append(box.height * box.width / (full[0] * full[1]))
            ratios.append(box.width / box.height)
        low, middle, high = np.percentile(areas, [5, 50, 95])
        rows.append(
            [
                name,
                f"{low:.2f} {middle:.2f} {high:.2f}",
                f"{np.percentile(ratios, 5):.2f} to {np.percentile(ratios, 95):.2f}",
            ]
        )
    table(
        f"Training crops of {width}x{height}",
        ["rule", "share of the picture: 5 %, median, 95 %", "width / height"],
        rows,
    )


def schedules() -> None:
    ways = {
        "MMAction: warm-up by step": CosineSchedule(warmup=Warmup(epochs=34)),
        "MMAction2: by epoch": CosineSchedule(warmup=Warmup(epochs=34, by="epoch")),
    }
    at = [0, 0.5, 10, 33.5, 34, 128, 255.5]
    rows = [
        [name, *(f"{lr_factor(s, int(epoch * 100), epoch_steps=100, epochs=256):.4f}" for epoch in at)]
        for name, s in ways.items()
    ]
    table("Learning rate over the base, at epoch", ["schedule", *map(str, at)], rows)


def main() -> None:
    paths = sys.argv[1:]
    network = recorded_network("mmaction2/slowonly_r50_8x8", "slowonly_r50_8x8_k400_mmaction2")
    frames_of_rules(paths[0])
    sampling(paths, network)
    pixels(paths, network)
    views(paths)
    slow_frames(paths)
    looks(paths[0])
    crops()
    schedules()


if __name__ == "__main__":
    main()
