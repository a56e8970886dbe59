"""How fast clips are read, against a plain PyAV loop: ratios of CPU time from interleaved rounds in one process.

python benchmarks/decode.py VIDEO [ROUNDS]
"""

import sys
import time
from collections.abc import Callable

import av
import numpy as np

from marey.video.pixels.transforms import short_side_size
from marey.video.reading.reader import open_video
from marey.video.sampling import MMAction2Test, MMActionTest

TASKS = {
    "one clip 32x2": MMAction2Test(frames=32, stride=2),
    "ten clips 32x2": MMAction2Test(clips=10, frames=32, stride=2),
    "three segments": MMActionTest(segments=3),
    "25 segments": MMActionTest(segments=25),
}
SHORT = 256


def plain(path: str, indices: np.ndarray) -> np.ndarray:
    """What most loaders do: decode from the start to the last wanted frame, convert each wanted one by swscale."""
    wanted, frames = set(indices.tolist()), {}
    with av.open(path) as container:
        container.streams.video[0].thread_type = "NONE"
        for number, picture in enumerate(container.decode(video=0)):
            if number in wanted:
                height, width = short_side_size(picture.height, picture.width, SHORT)
                frames[number] = picture.to_ndarray(width=width, height=height, format="rgb24")
            if number >= indices.max():
                break
    return np.stack([frames[i] for i in indices.tolist()])


def ours(conversion: str) -> Callable[[str, np.ndarray], np.ndarray]:
    def read(path: str, indices: np.ndarray) -> np.ndarray:
        with open_video(path, conversion=conversion) as video:
            return video.read(indices, size=short_side_size(video.height, video.width, SHORT))

    return read


def main() -> None:
    path, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 15
    ways = {"plain PyAV": plain, "marey rgb": ours("rgb"), "marey planes": ours("planes")}
    with open_video(path) as video:
        count = len(video)
    for task, rule in TASKS.items():
        indices = np.unique(rule.sample(count))
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(rounds):
            names = list(ways)
            for name in names[turn % 3 :] + names[: turn % 3]:
                begun = time.process_time()
                ways[name](path, indices)
                spent[name].append(time.process_time() - begun)
        base = float(np.median(spent["plain PyAV"]))
        ratios = "  ".join(f"{name} {base / float(np.median(times)):.2f}x" for name, times in spent.items())
        print(f"{task:16} {len(indices):4} frames  {base * 1e3:7.1f} ms  {ratios}")


if __name__ == "__main__":
    main()
