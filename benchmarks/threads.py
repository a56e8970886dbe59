"""Compare threads that sleep while they wait with threads that spin: an epoch of the demo's training, alone and while other
processes compute.

    python benchmarks/threads.py [--rounds 3] [--busy 2]

OpenMP reads OMP_WAIT_POLICY once, when torch is loaded, so each measurement is a process of its own. Policies take turns.
"""

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from marey.data.motions import write_motions

_POLICIES = ("(unset)", "PASSIVE")


def train(videos: Path) -> None:
    """Train one epoch and print how many seconds it took."""
    import marey
    from marey.recipes.motions import MOTIONS_SLOWONLY

    recipe = MOTIONS_SLOWONLY.variant(train={"epochs": 1})
    manifest, _ = write_motions(videos, train=600, test=12, size=72, frames=20)
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        marey.fit(recipe, train=manifest, out=out)
        print(time.perf_counter() - start)


def seconds(videos: Path, policy: str) -> float:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if policy != "(unset)":
        environment["OMP_WAIT_POLICY"] = policy
    command = [sys.executable, __file__, "--train", str(videos)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def spin() -> None:
    while True:
        pass


@contextmanager
def beside(count: int) -> Iterator[None]:
    """Run `count` processes that compute without end while the block runs."""
    others = [multiprocessing.Process(target=spin, daemon=True) for _ in range(count)]
    for other in others:
        other.start()
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.join()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--busy", type=int, default=2, help="processes of other work in the second measurement")
    parser.add_argument("--train", type=Path)
    options = parser.parse_args()
    if options.train is not None:
        train(options.train)
        return
    with tempfile.TemporaryDirectory() as folder:
        videos = Path(folder) / "videos"
        write_motions(videos, train=600, test=12, size=72, frames=20)
        for busy in (0, options.busy):
            times: dict[str, list[float]] = {policy: [] for policy in _POLICIES}
            with beside(busy):
                for _ in range(options.rounds):
                    for policy in _POLICIES:
                        times[policy].append(seconds(videos, policy))
            for policy, found in times.items():
                shown = ", ".join(f"{value:.1f}" for value in found)
                print(f"{busy} busy, {policy}: median {statistics.median(found):.1f} s ({shown})", flush=True)


if __name__ == "__main__":
    main()
