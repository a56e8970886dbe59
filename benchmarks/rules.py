"""What each rule of the older toolkits changes on a real clip: frames, pixels, and the score of one network.

python benchmarks/rules.py VIDEO

Scores are logits of a SlowOnly R50 with random weights of fixed seed, in units of their deviation over the classes;
1e-5 is what two right implementations differ by.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from marey.models.slowonly.config import SlowOnlyConfig
from marey.recipe import CosineSchedule, Warmup
from marey.training.schedules import lr_factor
from marey.video.augment import MMActionRandomResizedCrop, MultiScaleCrop, PySlowFastCrop, RandomResizedCrop
from marey.video.pixels import FloatPixels, Pixels
from marey.video.reader import open_video
from marey.video.sampling import (
    MMAction2FPSTest,
    MMAction2Test,
    MMActionTest,
    PySlowFastTest,
    PyTorchVideoTest,
)
from marey.video.transforms import crop, resize, to_clip

SHORT, CROP, FRAMES, STRIDE = 256, 224, 8, 8


def table(title: str, head: list[str], rows: list[list[str]]) -> None:
    print(f"\n{title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def frames_of_rules(path: str) -> None:
    with open_video(path) as video:
        count, times = len(video), video.timestamps
    fields = {"clips": 10, "frames": FRAMES, "stride": STRIDE}
    seconds = FRAMES * STRIDE / 30
    rules = {
        "MMAction": MMActionTest(**fields),
        "MMAction2": MMAction2Test(**fields),
        "MMAction2, target_fps 30": MMAction2FPSTest(**fields),
        "PySlowFast": PySlowFastTest(**fields),
        "PyTorchVideo": PyTorchVideoTest(clips=10, frames=FRAMES, seconds=seconds),
    }
    indices = {name: rule.sample(count, times) for name, rule in rules.items()}
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


@dataclass
class Way:
    """One way from a file to a normalised clip [1, C, T, H, W]."""

    name: str
    clip: Callable[[], torch.Tensor]


def pixel_ways(path: str) -> list[Way]:
    with open_video(path) as video:
        indices = MMAction2Test(frames=FRAMES, stride=STRIDE).sample(len(video), video.timestamps)[0]
        raw = video.read(indices)
        float_rule, rule = FloatPixels(short_side=SHORT), Pixels(short_side=SHORT)
        size = rule.size(video.height, video.width)
    with open_video(path, conversion="planes") as video:
        planes = video.read(indices, size=size)
    exact = resize(raw, size)
    box = rule.views(*size, CROP, "centre")[0].box
    mean, std = rule.normalisation

    def clip(frames: np.ndarray, where=box, mean=mean, std=std) -> torch.Tensor:
        return to_clip(torch.from_numpy(np.ascontiguousarray(crop(frames, where)))[None], mean, std)

    def by(interpolation: int) -> np.ndarray:
        return np.stack([cv2.resize(f, size[::-1], interpolation=interpolation) for f in raw])

    def antialiased() -> np.ndarray:
        image = torch.from_numpy(raw).permute(0, 3, 1, 2).float()
        small = F.interpolate(image, size=size, mode="bilinear", antialias=True)
        return small.permute(0, 2, 3, 1).numpy()

    return [
        Way("RGB, uint8 bilinear, centre crop (MMAction2)", lambda: clip(exact)),
        Way("in float (PySlowFast's arithmetic)", lambda: clip(float_rule.resize(raw, size))),
        Way("planes: converted after the resize", lambda: clip(planes)),
        Way("antialias", lambda: clip(antialiased())),
        Way("area", lambda: clip(by(cv2.INTER_AREA))),
        Way("bicubic", lambda: clip(by(cv2.INTER_CUBIC))),
        Way("crop one column to the right", lambda: clip(exact, box._replace(left=box.left + 1))),
        Way("every frame one later", lambda: clip(_shifted(path, indices, size))),
        Way("PySlowFast's mean and deviation", lambda: clip(exact, mean=float_rule.mean, std=float_rule.std)),
        Way("red and blue swapped", lambda: clip(exact[..., ::-1])),
    ]


def _shifted(path: str, indices: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    with open_video(path) as video:
        return resize(video.read(indices + 1), size)


def pixels(path: str) -> None:
    torch.manual_seed(0)
    network = SlowOnlyConfig(depth=50, num_classes=400).build().eval()
    deviation = torch.tensor((58.395, 57.12, 57.375)).view(1, 3, 1, 1, 1)
    rows, reference, clip_0 = [], None, None
    for way in pixel_ways(path):
        clip = way.clip()
        with torch.inference_mode():
            logits = network(clip)
        if reference is None:
            reference, clip_0 = logits, clip
        grey = float(((clip - clip_0).abs() * deviation).mean())
        score = float((logits - reference).abs().max() / reference.std())
        rows.append([way.name, f"{grey:.2f}", f"{score:.1e}"])
    table("Pixels of one clip", ["way", "mean difference, grey levels", "score"], rows)


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
    path = sys.argv[1]
    frames_of_rules(path)
    pixels(path)
    crops()
    schedules()


if __name__ == "__main__":
    main()
