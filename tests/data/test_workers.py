"""Worker processes: they pass errors and messages on unchanged, and end with the program."""

import multiprocessing
import subprocess
import sys

import pytest
from torch.utils.data import DataLoader, Dataset

from marey.base.errors import DataError
from marey.base.reporter import notice, progress, reporting, warning, warning_once
from marey.data.lists.class_folders import list_folder
from marey.data.loading.datasets import ClipDataset
from marey.data.loading.loader import ClipLoader
from marey.data.loading.workers import AheadLoader
from marey.video.pixels.crops import RandomCrop
from marey.video.sampling import MMAction2Train
from tests.support.collecting import Collecting
from tests.support.made_videos import encode, without_head

VIDEOS_PER_CLASS = 3
FRAMES_PER_VIDEO = 6


class Refusing(ClipDataset):
    def __getitem__(self, key):
        raise DataError("x.csv: this is what is wrong.")


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_arrives_as_it_was_raised(videos, workers) -> None:
    refusing = Refusing(list_folder(videos), MMAction2Train(frames=2), RandomCrop(short_side=48, size=40))
    with pytest.raises(DataError) as caught:
        next(iter(ClipLoader(refusing, global_batch=2, epochs=1, workers=workers)))
    assert str(caught.value) == "x.csv: this is what is wrong."


@pytest.mark.parametrize("workers", [0, 2])
def test_a_warning_of_a_damaged_file_is_reported_once_in_all_epochs(workers, tmp_path) -> None:
    for label in ("jump", "run"):
        (tmp_path / label).mkdir()
        whole = encode(tmp_path / label / "whole.mkv", 40, options={"bf": "3"})
        without_head(whole, tmp_path / label / "cut.mkv", 3)
    clips = ClipDataset(list_folder(tmp_path), MMAction2Train(frames=8), RandomCrop(short_side=48, size=40))
    with reporting(mine := Collecting()):
        for _ in range(2):
            list(ClipLoader(clips, global_batch=2, epochs=3, workers=workers))
    lacking = "the first 9 frames have no key frame and are left out"
    assert sorted(mine.warnings) == [f"{tmp_path / label / 'cut.mkv'}: {lacking}" for label in ("jump", "run")]


class Talking(Dataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, key: int) -> int:
        notice(f"at {key}")
        warning(f"broken {key // 2}")
        warning_once("no compiler on this machine")
        with progress("Within", total=1) as bar:
            bar.advance()
        return key


@pytest.fixture(params=multiprocessing.get_all_start_methods())
def method(request):
    """Sets the start method of processes for one test."""
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method(request.param, force=True)
    yield request.param
    multiprocessing.set_start_method(before, force=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_messages_of_workers_are_reported_by_the_main_process(method, workers, capfd) -> None:
    """Workers print nothing; this process reports each message once, when its batch arrives."""
    with reporting(kept := Collecting()):
        for _ in range(2):  # two loaders, as in two epochs of validation
            loader = AheadLoader(Talking(), workers=workers, batch_size=None)
            assert list(loader) == [0, 1, 2, 3]
    assert kept.notices == ["at 0", "at 1", "at 2", "at 3"] * 2
    assert kept.warnings == ["broken 0", "no compiler on this machine", "broken 1", "broken 0", "broken 1"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_are_the_same_with_messages(workers) -> None:
    with reporting(kept := Collecting()):
        batches = list(AheadLoader(Talking(), workers=workers, batch_size=2))
    assert [batch.tolist() for batch in batches] == [[0, 1], [2, 3]]
    assert kept.warnings.count("no compiler on this machine") == 1


def test_more_workers_than_cores_are_no_warning() -> None:
    """Warnings are errors here. Torch makes the same check at the start of each iteration, on any number of cores."""
    loader = AheadLoader(list(range(8)), workers=1000, sampler=[0])
    loader.check_worker_number_rationality()
    with pytest.warns(UserWarning, match="worker"):
        DataLoader(list(range(8)), num_workers=1000)


PROGRAM = """
import multiprocessing
import sys
from marey.data.loading.datasets import ClipDataset
from marey.data.lists.class_folders import list_folder
from marey.data.loading.loader import ClipLoader
from marey.video.pixels.crops import RandomCrop
from marey.video.sampling import MMAction2Train

multiprocessing.set_start_method(sys.argv[2])
clips = ClipDataset(list_folder(sys.argv[1]), MMAction2Train(frames=2), RandomCrop(short_side=48, size=40))
held = iter(ClipLoader(clips, global_batch=2, epochs=50, workers=2))
next(held)
sys.stdout.write("one batch")
"""


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_program_ends_although_batches_are_left(method, videos) -> None:
    """Workers that ignore SIGTERM would keep Python waiting for them forever."""
    command = [sys.executable, "-c", PROGRAM, str(videos), method]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "one batch"), done.stderr


KILLED = """
import multiprocessing, os, signal, sys
import numpy as np
from marey.data.loading.workers import AheadLoader
from marey.data.loading.workers import same_item

class Large:
    def __len__(self):
        return 100
    def __getitem__(self, key):
        return np.zeros(1_000_000, np.uint8)

multiprocessing.set_start_method("fork")
loader = iter(AheadLoader(Large(), workers=2, sampler=range(100), batch_size=None, collate_fn=same_item))
next(loader)
sys.stdout.write(" ".join(str(process.pid) for process in multiprocessing.active_children()))
sys.stdout.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="its data set is of the program itself"
)
def test_workers_end_with_a_process_that_is_killed() -> None:
    """Their decoded batches are larger than a pipe, and are never read. Our pipe closes when the last worker ends."""
    killed = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True, timeout=60, check=False)
    assert len(killed.stdout.split()) == 2, killed.stderr
