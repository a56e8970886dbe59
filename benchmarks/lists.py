"""Measure how a long list is read in pieces: CPU time and memory of both passes, each list in a process of its own.

python benchmarks/lists.py [VIDEOS]

Makes lists of VIDEOS videos (default 1,000,000) in a temporary folder: as a CSV, as lines, as Parquet, as a CSV of files
that exist, and as a CSV of their names without suffix. Memory is counted from after the imports that reading lists needs.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow
import pyarrow.parquet

from marey.data.lists.pieces import read_in_pieces
from marey.data.lists.read_videos import read_videos

FORMS = {
    "l.csv": "CSV",
    "l.txt": "lines",
    "l.parquet": "Parquet",
    "there/l.csv": "CSV, the files there",
    "there/ids.csv": "CSV without suffixes, the files there",
}
IN_A_FOLDER = 1000


def make(folder: Path, videos: int) -> None:
    names = [f"day_{n // IN_A_FOLDER:05d}/camera_{n % 100:03d}_clip_{n:07d}_some_name.mp4" for n in range(videos)]
    there = folder / "there"
    for begin in range(0, videos, IN_A_FOLDER):
        (there / names[begin]).parent.mkdir(parents=True)
    for name in names:
        (there / name).touch()
    text = "\n".join(names)
    (folder / "l.csv").write_text(f"path\n{text}\n")
    (folder / "l.txt").write_text(f"{text}\n")
    (there / "l.csv").write_text(f"path\n{text}\n")
    (there / "ids.csv").write_text(f"path\n{text.replace('.mp4', '')}\n")
    pyarrow.parquet.write_table(pyarrow.table({"path": names}), folder / "l.parquet")


def megabytes() -> float:
    """The peak memory of this process so far, on Linux. (`getrusage` would begin with the memory of its parent.)"""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def step(path: Path) -> None:
    """Measure both passes over a list. The memory of both is the peak of either."""
    before, begun = megabytes(), time.process_time()
    listed = read_in_pieces(path)
    first, memory = time.process_time() - begun, megabytes() - before
    begun = time.process_time()
    assert sum(map(len, listed.pieces())) == listed.rows
    print(f"{first:.1f} {time.process_time() - begun:.1f} {memory:.0f} {megabytes() - before:.0f}")


def whole(path: Path) -> None:
    """Measure reading the list in one piece."""
    before, begun = megabytes(), time.process_time()
    read_videos(path)
    print(f"{time.process_time() - begun:.1f} {megabytes() - before:.0f}")


def run(what: str, path: Path) -> list[str]:
    words = [sys.executable, __file__, what, str(path)]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()


def main() -> None:
    if sys.argv[1:2] == ["--step"]:
        step(Path(sys.argv[2]))
        return
    if sys.argv[1:2] == ["--whole"]:
        whole(Path(sys.argv[2]))
        return
    print("| list | first pass | second pass | memory of the first | of both |")
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), int((sys.argv[1:] or ["1000000"])[0]))
        for name, form in FORMS.items():
            first, second, memory, both = run("--step", Path(folder, name))
            print(f"| {form} | {first} s | {second} s | {memory} MB | {both} MB |", flush=True)
        seconds, memory = run("--whole", Path(folder, "l.csv"))
        print(f"| CSV, by `read_videos` as a whole | {seconds} s | | {memory} MB | |")


if __name__ == "__main__":
    main()
