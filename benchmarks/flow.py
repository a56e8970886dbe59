"""Measure each method of optical flow: speed on one core, distance to OpenCV's TV-L1, error on known motion, file sizes.

python benchmarks/flow.py VIDEO... [--rounds N]

Times are CPU times of one thread from interleaved rounds in one process: pairs of 340x256, spread over the videos.
"""

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from marey.video.flow import DIS, TVL1, Farneback, OpenCVTVL1
from marey.video.flow.files import FlowVideo, flow_path, write_flow
from marey.video.flow.rule import from_levels, to_grey, to_levels
from marey.video.reading.image_folders import FlowFolder
from marey.video.reading.reader import open_video
from tests.support.flow_pairs import MOTIONS, end_point_error, moved_pair

SIZE = (256, 340)
AT = (0.2, 0.4, 0.6, 0.8)
"""Positions of the pairs of frames in each video, as shares of its length."""
GPU_RULE = TVL1(median=False, outer_iterations=1, inner_iterations=300)
"""The numbers of iterations of OpenCV's CUDA class, which dense_flow used."""
METHODS = {
    "TV-L1, OpenCV": OpenCVTVL1().build(),
    "TV-L1, torch, fused": TVL1().build(compiled=True),
    "TV-L1, torch": TVL1().build(),
    "TV-L1, CUDA class's rounds": GPU_RULE.build(compiled=True),
    "DIS medium": DIS().build(),
    "DIS fast": DIS(preset="fast").build(),
    "Farneback": Farneback().build(),
}


def pairs_of(path: str) -> tuple[np.ndarray, np.ndarray]:
    with open_video(path) as video:
        first = [round(share * (len(video) - 2)) for share in AT]
        grey = to_grey(video.read([*first, *(number + 1 for number in first)], size=SIZE))
    return grey[: len(AT)], grey[len(AT) :]


def speed(first: np.ndarray, second: np.ndarray, rounds: int) -> dict[str, np.ndarray]:
    """Print times and ratios; return the fields of each method."""
    spent: dict[str, list[float]] = {name: [] for name in METHODS}
    fields = {name: estimate(first, second) for name, estimate in METHODS.items()}  # warm
    for turn in range(rounds):
        names = list(METHODS)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            begun = time.process_time()
            METHODS[name](first, second)
            spent[name].append((time.process_time() - begun) / len(first))
    base = float(np.median(spent["TV-L1, OpenCV"]))
    exact = fields["TV-L1, OpenCV"]
    for name, times in spent.items():
        away = [end_point_error(a, b) for a, b in zip(fields[name], exact, strict=True)]
        print(
            f"{name:28} {np.median(times) * 1e3:8.1f} ms/pair  {base / float(np.median(times)):7.1f}x  "
            f"from OpenCV's TV-L1: mean {np.mean(away):.4f}, worst pair {max(away):.4f} px"
        )
    return fields


def sensitivity(first: np.ndarray, second: np.ndarray, exact: np.ndarray) -> None:
    """Print how much OpenCV's own TV-L1 changes when invisible noise is added to its frames."""
    random = np.random.RandomState(0)
    flow = cv2.optflow.DualTVL1OpticalFlow_create()
    for noise in (1e-5, 1e-3):
        away = []
        for a, b, field in zip(first, second, exact, strict=True):
            shaken = (np.float32((p + random.normal(0, noise, p.shape)) / 255) for p in (a, b))
            away.append(end_point_error(flow.calc(*shaken, None), field))
        print(f"OpenCV's TV-L1 with noise of {noise:g} grey levels: mean {np.mean(away):.4f}, worst {max(away):.4f} px")


def profile(first: np.ndarray, second: np.ndarray) -> None:
    """Print in which steps the fused TV-L1 spends its time."""
    from marey.video.flow import tvl1

    solve = METHODS["TV-L1, torch, fused"]._solve  # type: ignore[attr-defined]
    spent: dict[str, list[float]] = {}

    def timed(name, function):
        def run(*arguments):
            begun = time.process_time()
            result = function(*arguments)
            spent.setdefault(name, []).append(time.process_time() - begun)
            return result

        return run

    plain = solve._iterate, tvl1.median_5x5, tvl1.linearise, tvl1.resize
    solve._iterate = timed("iterations", solve._iterate)
    tvl1.median_5x5, tvl1.linearise = timed("medians", tvl1.median_5x5), timed("warps", tvl1.linearise)
    tvl1.resize = timed("resizes", tvl1.resize)
    begun = time.process_time()
    METHODS["TV-L1, torch, fused"](first, second)
    whole = time.process_time() - begun
    solve._iterate, tvl1.median_5x5, tvl1.linearise, tvl1.resize = plain
    for name, times in spent.items():
        print(f"  {name:12} {sum(times) / whole:5.0%}  {len(times) / len(first):6.0f} calls a pair")


def accuracy() -> None:
    print("mean end-point error, pixels:", *MOTIONS, sep="\n  ")
    for name, estimate in METHODS.items():
        errors = []
        for matrix in MOTIONS.values():
            first, second, truth = moved_pair(matrix)
            errors.append(end_point_error(estimate(first[None], second[None])[0], truth))
        print(f"{name:28}", *(f"{error:7.3f}" for error in errors))


def storage(path: str) -> None:
    """Print bytes per field and error of each way to store flow, for DIS's fields of the first 64 frames."""
    with open_video(path) as video:
        grey = to_grey(video.read(range(min(65, len(video))), size=SIZE))
    flow = METHODS["DIS medium"](grey[:-1], grey[1:])
    levels = to_levels(flow)
    print(f"{Path(path).name}: 8 bits alone: {abs(from_levels(levels) - flow.clip(-20, 20)).mean():.4f} px")
    for kind in ("jpg", "png", "video", "lossless"):
        with tempfile.TemporaryDirectory() as folder:
            place = flow_path(Path(folder), "v", kind)
            write_flow(place, [levels], 30, storage=kind)
            files = [p for p in (place.iterdir() if place.is_dir() else [place]) if p.suffix != ".json"]
            size = sum(p.stat().st_size for p in files) / len(levels) / 1e3
            with FlowFolder(place) if place.is_dir() else FlowVideo(place) as stored:
                back = stored.read(range(len(stored)))
        error = abs(back.astype(int) - levels).mean() * 40 / 255
        print(f"  {kind:9} {len(files):4} files  {size:6.2f} kB a field  error {error:.4f} px")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("videos", nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    words = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    taken = [pairs_of(path) for path in words.videos]
    first, second = (np.concatenate(side) for side in zip(*taken, strict=True))
    fields = speed(first, second, words.rounds)
    profile(first, second)
    sensitivity(first, second, fields["TV-L1, OpenCV"])
    accuracy()
    for path in words.videos:
        storage(path)


if __name__ == "__main__":
    main()
