"""The lists of a run find their videos below another folder, whatever paths the data had, and are the same lists there."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from marey.base.errors import DataError
from marey.data.lists.manifest import Manifest, make_manifest
from marey.workflows.classifier.finetuning.saved_lists import DATA_FOLDERS, RunVideos, save_lists

CLASSES = ("jump", "run")


@pytest.fixture
def data(tmp_path) -> Path:
    """A folder with clips/ and more/, of files that are no videos: none is read."""
    for name in ("clips/a b.mp4", "clips/sub/b.mp4", "more/c.mp4"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(b"")
    return tmp_path / "data"


def listed(root: Path, *names: str) -> Manifest:
    rows = [(name, CLASSES[place % 2]) for place, name in enumerate(names)]
    times = [(0.5 * place, float("nan")) for place in range(len(names))]
    return make_manifest(rows, root=root, source="list.csv", classes=CLASSES, times=times)


def paths(manifest: Manifest) -> list[Path]:
    return [video.path.resolve() for video in manifest.videos]


def moved(data: Path, to: Path) -> Path:
    shutil.move(data, to)
    return to


def test_lists_are_read_as_they_were_written(data, tmp_path) -> None:
    clips, val = listed(data / "clips", "a b.mp4", "sub/b.mp4"), listed(data / "more", "c.mp4")
    save_lists({"clips": clips, "val": val}, tmp_path / "run")
    found = RunVideos.read(tmp_path / "run", CLASSES)
    assert found.train.ids.tolist() == ["a b.mp4", "sub/b.mp4"]
    assert (found.train.fingerprint, found.tested["val"].fingerprint) == (clips.fingerprint, val.fingerprint)
    assert paths(found.train) == paths(clips)


@pytest.mark.parametrize("form", ["relative", "absolute", "upwards"])
def test_videos_are_found_below_another_folder(form, data, tmp_path) -> None:
    names = {
        "relative": ("clips", "a b.mp4", "sub/b.mp4"),
        "absolute": (".", str(data / "clips/a b.mp4"), str(data / "clips/sub/b.mp4")),
        "upwards": ("clips/sub", "../a b.mp4", "b.mp4"),
    }
    folder, *rows = names[form]
    parts = {"clips": listed(data / folder, *rows), "test": listed(data / "more", "c.mp4")}
    save_lists(parts, tmp_path / "run")
    before = RunVideos.read(tmp_path / "run", CLASSES)
    there = moved(data, tmp_path / "elsewhere")
    with pytest.raises(
        DataError, match=rf"2 of the 2 videos that it was fitted on are not there.*, first {data}/clips/a b"
    ):
        RunVideos.read(tmp_path / "run", CLASSES)
    found = RunVideos.read(tmp_path / "run", CLASSES, root=there)
    assert paths(found.train) == [there / "clips/a b.mp4", there / "clips/sub/b.mp4"]
    assert paths(found.tested["test"]) == [there / "more/c.mp4"]
    assert found.train.fingerprint == before.train.fingerprint


def test_videos_are_found_beside_a_run_that_was_moved_with_them(data, tmp_path) -> None:
    save_lists({"clips": listed(data / "clips", "a b.mp4")}, data / "runs/a")
    there = moved(data, tmp_path / "elsewhere")
    found = RunVideos.read(there / "runs/a", CLASSES)
    assert paths(found.train) == [there / "clips/a b.mp4"]


def test_a_few_missing_videos_are_tolerated_as_everywhere(data, tmp_path) -> None:
    save_lists({"clips": listed(data / "clips", "a b.mp4", "sub/b.mp4")}, tmp_path / "run")
    (data / "clips/a b.mp4").unlink()
    assert len(RunVideos.read(tmp_path / "run", CLASSES).train) == 2
    with pytest.raises(
        DataError, match=r"1 of the 2 videos that it was fitted on is not there, more than the 0 that are"
    ):
        RunVideos.read(tmp_path / "run", CLASSES, max_broken=0.0)


def test_missing_videos_are_counted_for_each_list(data, tmp_path) -> None:
    """Of a list of one video for testing none may be missing, however many there are to train on."""
    clips = listed(data / "clips", *["a b.mp4", "sub/b.mp4"] * 4)
    save_lists({"clips": clips, "val": listed(data / "more", "c.mp4")}, tmp_path / "run")
    (data / "more/c.mp4").unlink()
    with pytest.raises(DataError, match=rf"1 of the 1 video that it is tested on \(val\) is not.* first {data}/more/c"):
        RunVideos.read(tmp_path / "run", CLASSES)


def test_clips_are_shown_by_the_names_that_scores_have(data, tmp_path) -> None:
    names = [str(data / "clips/a b.mp4"), str(data / "clips/sub/b.mp4")]
    clips = listed(Path(), *names)
    save_lists({"clips": clips}, tmp_path / "run")
    found = RunVideos.read(tmp_path / "run", CLASSES)
    ids = [video.id for video in clips.videos]
    assert [video.id for video in found.with_ids_of(ids).videos] == ids
    assert np.array_equal(found.with_ids_of([video.id for video in found.train.videos]).ids, found.train.ids)


def test_a_run_without_the_paths_of_its_videos_is_refused(data, tmp_path) -> None:
    save_lists({"clips": listed(data / "clips", "a b.mp4")}, tmp_path / "run")
    place = tmp_path / "run/tuning" / DATA_FOLDERS
    for text in ("no", json.dumps({"root": "."})):
        place.write_text(text)
        with pytest.raises(DataError, match=DATA_FOLDERS):
            RunVideos.read(tmp_path / "run", CLASSES)
