"""How fast raw frames are read from a folder, against a plain loop over cv2.imread: CPU time, interleaved rounds.

python benchmarks/frames.py FOLDER_OF_IMAGES [ROUNDS]
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from marey.video.reading.image_folders import FrameFolder
from marey.video.sampling import MMAction2Test, MMActionTest

TASKS = {"one clip 32x2": MMAction2Test(frames=32, stride=2), "three segments": MMActionTest(segments=3)}


def plain(folder: str, indices: np.ndarray) -> np.ndarray:
    """Read frames as MMAction does for a list with numbers of frames: one after another, without listing the folder."""
    frames = [cv2.cvtColor(cv2.imread(f"{folder}/img_{i + 1:05d}.jpg"), cv2.COLOR_BGR2RGB) for i in indices.tolist()]
    return np.stack(frames)


def ours(folder: str, indices: np.ndarray) -> np.ndarray:
    with FrameFolder(folder) as frames:
        assert len(frames) and frames.height
        return frames.read(indices)


def main() -> None:
    folder, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 30
    cv2.setNumThreads(1)
    ways: dict[str, Callable[[str, np.ndarray], np.ndarray]] = {"plain": plain, "marey": ours}
    count = len(list(Path(folder).iterdir()))
    for task, rule in TASKS.items():
        indices = rule.sample(count).ravel()
        np.testing.assert_array_equal(plain(folder, indices), ours(folder, indices))
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(rounds):
            for name in (list(ways), list(ways)[::-1])[turn % 2]:
                begun = time.process_time()
                ways[name](folder, indices)
                spent[name].append(time.process_time() - begun)
        middle = {name: float(np.median(times)) for name, times in spent.items()}
        print(f"{task}: plain {middle['plain'] * 1e3:.1f} ms, marey {middle['plain'] / middle['marey']:.2f}x")


if __name__ == "__main__":
    main()
