"""Workers hand errors over as they are, and end with the program."""

import subprocess
import sys

import pytest
from made_videos import coded_frame

from marey.base.errors import DataError
from marey.data.clips import ClipDataset
from marey.data.formats import list_folder
from marey.data.loader import ClipLoader
from marey.video.augment import RandomCrop
from marey.video.sampling import MMAction2Train
from marey.video.writer import write_video


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for label in ("jump", "run"):
        (folder / label).mkdir()
        for i in range(3):
            write_video(folder / label / f"v_{i}.mp4", [coded_frame(n) for n in range(6)], fps=10, preset="ultrafast")
    return folder


class Refusing(ClipDataset):
    def __getitem__(self, key):
        raise DataError("x.csv: this is what is wrong.")


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_arrives_as_it_was_raised(videos, workers) -> None:
    refusing = Refusing(list_folder(videos), MMAction2Train(frames=2), RandomCrop(short_side=48, size=40))
    with pytest.raises(DataError) as caught:
        next(iter(ClipLoader(refusing, global_batch=2, epochs=1, workers=workers)))
    assert str(caught.value) == "x.csv: this is what is wrong."


PROGRAM = """
import sys
from marey.data.clips import ClipDataset
from marey.data.formats import list_folder
from marey.data.loader import ClipLoader
from marey.video.augment import RandomCrop
from marey.video.sampling import MMAction2Train

clips = ClipDataset(list_folder(sys.argv[1]), MMAction2Train(frames=2), RandomCrop(short_side=48, size=40))
held = iter(ClipLoader(clips, global_batch=2, epochs=50, workers=2))
next(held)
sys.stdout.write("one batch")
"""


def test_a_program_ends_though_batches_are_left(videos) -> None:
    """Workers that ignore SIGTERM would keep Python waiting for them for ever."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(videos)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "one batch"), done.stderr
