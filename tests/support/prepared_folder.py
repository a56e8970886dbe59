"""A folder with what the pages name: made clips, lists of them, a trained run and its scores."""

import contextlib
import shutil
from pathlib import Path

import numpy as np

from marey.video.writing.writer import write_video
from tests.support.command import marey

CLASSES = ("jump", "run", "walk")


def prepare(folder: Path) -> Path:
    """Make all of it; about as many seconds as an epoch of training on 18 clips takes."""
    for label in CLASSES:
        for i in range(6):
            write_video(folder / "clips" / label / f"rec{i}_a.mp4", frames(label, i), fps=10, preset="ultrafast")
    for i, name in enumerate(("new.mp4", "kick.mp4", "a.mp4", "b.mp4", "videos/a.mp4", "videos/b.mp4")):
        write_video(folder / name, frames("jump", 100 + i, count=64), fps=10, preset="ultrafast")
    (folder / "names.txt").write_text("\n".join(CLASSES) + "\n", encoding="utf-8")
    with contextlib.chdir(folder):
        write_lists(folder)
        done = marey("train", "clips/", "--init", "none", "--epochs", "1", "--workers", "0", "--out", "runs/clips-1")
        assert done.exit_code == 0, done.output
    trained = folder / "runs" / "clips-1"
    for name in ("rgb", "flow"):
        shutil.copytree(trained, folder / "runs" / name)
        for copy in (f"{name}.npz", f"{name}-val.npz"):
            shutil.copy(trained / "scores.npz", folder / copy)
    for shard in (1, 2):
        words = ("predict", "runs/clips-1", "list.csv", "--workers", "0", "--shard", f"{shard}/2")
        with contextlib.chdir(folder):
            assert marey(*words, "--out", f"part-{shard}.parquet").exit_code == 0
    for copy in ("new.safetensors", "checkpoints/new.safetensors"):
        (folder / copy).parent.mkdir(exist_ok=True)
        shutil.copy(trained / "last.safetensors", folder / copy)
    return folder


def frames(label: str, number: int, count: int = 16) -> np.ndarray:
    """A picture that moves as its class says."""
    random = np.random.default_rng(number)
    picture = random.integers(0, 255, (48, 64, 3), dtype=np.uint8)
    step = {"jump": (2, 0), "run": (0, 2), "walk": (2, 2)}[label]
    return np.stack([np.roll(picture, (step[0] * i, step[1] * i), axis=(0, 1)) for i in range(count)])


def write_lists(folder: Path) -> None:
    for name in ("split.csv", "list.csv"):
        assert marey("data", "split", "clips/", "--out", name).exit_code == 0
    header, *rows = (folder / "split.csv").read_text(encoding="utf-8").splitlines()
    tested = [row.replace(",val", ",test") if i % 2 else row for i, row in enumerate(rows)]
    (folder / "clips.csv").write_text("\n".join([header, *tested]) + "\n", encoding="utf-8")
    (folder / "corrections.csv").write_text(
        "path,label,leave_out\njump/rec0_a.mp4,run,\nrun/rec1_a.mp4,,x\n", encoding="utf-8"
    )
    for name, part in (("train.csv", "train"), ("val.csv", "val"), ("more.csv", "val")):
        text = "\n".join([header, *(row for row in rows if part in row.split(","))])
        (folder / name).write_text(text + "\n", encoding="utf-8")
