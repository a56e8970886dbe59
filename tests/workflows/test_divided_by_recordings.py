"""Folds and copies of `marey train FOLDER`, by recordings that are found in frames."""

from pathlib import Path

import numpy as np
import pytest

from marey.base.errors import DataError
from marey.data.lists.manifest import Manifest
from marey.data.recordings.find import find_recordings
from marey.data.splits.fold_assignment import group_hashes
from marey.data.splits.folds import Folds, make_folds
from marey.data.splits.read_splits import read_train_val_test
from marey.video.writing.writer import write_video
from marey.workflows import recordings
from marey.workflows.recordings import VideosInFolds, divide_by_recordings
from tests.support.made_scenes import mirrored, recording, scaled

pytestmark = pytest.mark.usefixtures("module_cache")
MADE = {
    "train/run/0.mp4": recording(90, 1), "train/run/1.mp4": recording(90, 2), "train/run/2.mp4": recording(91, 3),
    "train/run/3.mp4": scaled(recording(91, 3), 96, 128), "train/run/4.mp4": recording(92, 4),
    "train/walk/5.mp4": recording(93, 5), "train/walk/6.mp4": recording(94, 6), "train/walk/7.mp4": recording(95, 7),
    "train/walk/8.mp4": mirrored(recording(92, 4)), "val/walk/9.mp4": mirrored(recording(94, 6)),
    "val/run/10.mp4": recording(90, 8), "val/run/11.mp4": recording(96, 9),
}  # fmt: skip
"""Two clips of one recording; a copy in its class, in another class, and in a test; a recording that is tested on."""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("divided")
    for name, frames in MADE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(folder / name, frames, 25, crf=24)
    return folder


def divided_of(data: Path) -> VideosInFolds:
    given = read_train_val_test(data)
    found, sheets = divide_by_recordings(given, make_folds(given.train))
    assert (sheets is None) == (found.recordings is None)
    return found


def test_folds_keep_recordings_together_and_copies_count_once(data) -> None:
    found = divided_of(data)
    assert [Path(name).name for name in found.left_out] == ["3.mp4", "6.mp4"]
    kept = [Path(clip.id).name for clip in found.train]
    assert kept == ["0.mp4", "1.mp4", "2.mp4", "4.mp4", "5.mp4", "7.mp4", "8.mp4"]
    units = dict(zip(kept, found.folds.groups.tolist(), strict=True))
    assert units["0.mp4"] == units["1.mp4"] != units["2.mp4"]
    assert units["4.mp4"] == units["8.mp4"]
    assert len(set(units.values())) == 5
    assert found.rows.tolist() == [0, 1, 2, 4, 5, 7, 8]


def test_notes_describe_what_was_found(data) -> None:
    notes = " ".join(divided_of(data).notes)
    assert "7 recordings of 12 videos, by frames" in notes
    assert "6 videos are copies of each other" in notes
    assert (
        "1 training video is a copy and left out, so that each content counts once in its class: train/run/3.mp4."
        in notes
    )
    assert "1 training video is a copy of a video that is tested on, and left out: train/walk/6.mp4." in notes
    assert "train/run/4.mp4 (run) = train/walk/8.mp4 (walk)" in notes
    # The recording of the copy that is left out is in one split only.
    assert "Training and tests: 1 recording is in both splits, with 3 videos" in notes


def test_the_refusal_of_too_few_clips_mentions_copies(data, tmp_path) -> None:
    for name, source in {"run/0": "run/2", "run/1": "run/3", "walk/2": "walk/5", "walk/3": "walk/7"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.mp4").symlink_to(data / "train" / f"{source}.mp4")
    given = read_train_val_test(tmp_path)
    with pytest.raises(
        DataError, match=r"add videos of other recordings to class run\. This is the result of comparing frames"
    ) as error:
        divide_by_recordings(given, make_folds(given.train))
    assert "1 training video is a copy and left out, so that each content counts once in its class: run/1.mp4." in str(
        error.value
    )


def test_the_list_has_the_recordings_as_its_column_group(data, tmp_path) -> None:
    listed = divided_of(data).listed
    assert listed.groups is not None
    of = {Path(name).name: group for name, group in zip(listed.ids.tolist(), listed.groups.tolist(), strict=True)}
    assert of["0.mp4"] == of["1.mp4"] == of["10.mp4"]
    assert of["4.mp4"] == of["8.mp4"] != of["0.mp4"]
    assert "3.mp4" not in of
    listed.write_csv(tmp_path / "split.csv")
    again = read_train_val_test(tmp_path / "split.csv")
    assert len(again.train) == 7
    # The column is taken as it is.
    assert find_recordings([again.train]).by_evidence.given


def hashes(manifest: Manifest, folds: Folds) -> dict[str, int]:
    """The hash of each clip's group, which decides its fold."""
    of_group = group_hashes(manifest, folds.recordings, folds.groups)
    return dict(zip((clip.id for clip in manifest), of_group[folds.groups].tolist(), strict=True))


def test_the_hash_of_a_group_does_not_depend_on_what_other_videos_there_are(data) -> None:
    """The key of a recording found in frames is its content, not the name of its first file."""
    given = read_train_val_test(data)
    all_clips = divide_by_recordings(given, make_folds(given.train))[0]
    rows = np.array([row for row in range(len(given.train)) if given.train[row].id != "train/run/0.mp4"])
    fewer = given.train[rows]
    folds = make_folds(fewer, together=find_recordings([fewer]).together)
    before, now = hashes(all_clips.train, all_clips.folds), hashes(fewer, folds)
    same_group = ["train/run/4.mp4", "train/walk/5.mp4", "train/walk/7.mp4", "train/walk/8.mp4"]
    assert [before[name] for name in same_group] == [now[name] for name in same_group]


def test_frames_of_very_many_clips_are_not_compared(data, monkeypatch) -> None:
    monkeypatch.setattr(recordings, "MOST_COMPARED", 5)
    found = divided_of(data)
    assert found.recordings is None
    assert found.left_out == ()
    assert len(found.train) == 9
    (note,) = found.notes
    assert note.startswith("12 videos: frames are compared for at most 5")
    assert found.core_seconds == 0
