"""Whether 3D convolutions with a temporal kernel of 1 are faster as 2D convolutions, and which memory layout is fast.

python benchmarks/convolutions.py
"""

import time
from collections.abc import Callable

import torch
from torch import nn

SHAPES = [(16, 16, 8, 16), (16, 32, 8, 8), (2, 64, 8, 56), (2, 128, 8, 28), (2, 256, 8, 14)]


def best(run: Callable[[], object], rounds: int = 7) -> float:
    """The shortest of some rounds, in milliseconds."""
    run()
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return min(times) * 1e3


@torch.inference_mode()
def main() -> None:
    print("batch, channels, frames, side | kernel | conv3d, conv3d channels-last, conv2d, conv2d channels-last (ms)")
    for batch, channels, frames, side in SHAPES:
        for k in (1, 3):
            deep = nn.Conv3d(channels, channels, (1, k, k), padding=(0, k // 2, k // 2), bias=False)
            flat = nn.Conv2d(channels, channels, k, padding=k // 2, bias=False)
            clip = torch.randn(batch, channels, frames, side, side)
            pictures = torch.randn(batch * frames, channels, side, side)
            times = [best(lambda m=deep, x=clip: m(x))]
            last = clip.contiguous(memory_format=torch.channels_last_3d)
            deep = deep.to(memory_format=torch.channels_last_3d)
            times.append(best(lambda m=deep, x=last: m(x)))
            times.append(best(lambda m=flat, x=pictures: m(x)))
            last = pictures.contiguous(memory_format=torch.channels_last)
            flat = flat.to(memory_format=torch.channels_last)
            times.append(best(lambda m=flat, x=last: m(x)))
            print(f"{batch, channels, frames, side} | {k} | " + ", ".join(f"{t:.2f}" for t in times))


if __name__ == "__main__":
    main()
