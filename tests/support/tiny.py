"""The smallest recipe that trains on two classes, and clips for it."""

from pathlib import Path

from marey.recipes import get_recipe
from marey.video.writing.writer import write_video
from tests.support.made_videos import coded_frame

RECIPE = get_recipe("slowonly_r18_8x2_motions").variant(
    name="tiny",
    model={"width": 4, "num_classes": 2},
    clip={"frames": 2, "stride": 2},
    augment={"short_side": 40, "size": 32},
    pixels={"short_side": 40},
    test={"size": 32, "sampling": {"frames": 2}},
    train={"epochs": 3, "base_batch": 4, "dropout": 0.3},
)


def write_clips(folder: Path, per_class: int) -> Path:
    """Different clips of 8 frames in folders of the classes jump and run."""
    for label in ("jump", "run"):
        for i in range(per_class):
            frames = [coded_frame(n + 7 * i + (label == "run")) for n in range(8)]
            write_video(folder / label / f"v{i}.mp4", frames, fps=10, preset="ultrafast")
    return folder
