"""How the work on lists grows with their length: CPU time and peak memory, each step in a process of its own.

python benchmarks/data.py [ENTRIES ...]

Makes a tree like Kinetics-400's (class folders, real names, files of one byte) and DeepMind's list of it in a folder that
is removed again.
"""

import csv
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from marey.data.catalogue.kinetics import KINETICS400
from marey.data.lists.class_folders import list_folder
from marey.data.lists.read_manifest import read_manifest
from marey.data.prepare import prepare
from marey.data.splits.hold_out import split_manifest

STEPS = ("list", "read", "split", "prepare")


def make(folder: Path, entries: int) -> None:
    names = KINETICS400.class_names
    for name in names:
        (folder / "train" / name).mkdir(parents=True)
    with (folder / "train.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["label", "youtube_id", "time_start", "time_end", "split", "is_cc"])
        for number in range(entries):
            label, video = names[number % len(names)], f"{number:011d}"
            writer.writerow([label, video, number % 300, number % 300 + 10, "train", 0])
            path = folder / "train" / label / f"{video}_{number % 300:06d}_{number % 300 + 10:06d}.mp4"
            path.write_bytes(b"x")
    manifest = list_folder(folder / "train")
    manifest.write_csv(folder / "made.csv")


def step(name: str, folder: Path) -> None:
    """Do what the command of that name does, including writing."""
    begun = time.process_time()
    if name == "list":
        list_folder(folder / "train").write_csv(folder / "listed.csv")
    elif name == "read":
        read_manifest(folder / "made.csv")
    elif name == "split":
        split_manifest(read_manifest(folder / "made.csv")).write_csv(folder / "split.csv")
    else:
        result = prepare(KINETICS400, folder, lists=[folder / "train.csv"], out=folder / "out", check="files")
        assert result.counts[0].usable == result.counts[0].listed
    seconds = time.process_time() - begun
    print(f"{seconds:.2f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}")


def main() -> None:
    if sys.argv[1:2] == ["--step"]:
        step(sys.argv[2], Path(sys.argv[3]))
        return
    print("| entries | " + " | ".join(STEPS) + " |")
    for entries in map(int, sys.argv[1:] or ("60000", "120000", "240000")):
        cells = []
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), entries)
            for name in STEPS:
                words = [sys.executable, __file__, "--step", name, folder]
                done = subprocess.run(words, check=True, capture_output=True, text=True)
                seconds, megabytes = done.stdout.split()
                cells.append(f"{seconds} s, {megabytes} MB")
        print(f"| {entries} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
