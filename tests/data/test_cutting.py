"""Long videos in folders of classes: divided into segments that cover them, and not divided elsewhere."""

from pathlib import Path

import numpy as np
import pytest

from marey.data import cutting
from marey.data.cutting import cut_long_videos, not_cut_note
from marey.data.lists.class_folders import list_folder
from marey.data.lists.manifest import Manifest
from marey.data.lists.read_manifest import read_manifest
from marey.data.splits.folds import make_folds
from marey.video.reading.containers import stated_seconds
from marey.video.writing.writer import write_video


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MAREY_CACHE", str(tmp_path / "cache"))


def made_videos(folder: Path, seconds: dict[str, int]) -> Manifest:
    """Videos of the given seconds, at 2 frames a second."""
    for number, (name, length) in enumerate(seconds.items()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(folder / name, np.full((2 * length, 32, 32, 3), 8 * number, np.uint8), fps=2)
    return list_folder(folder)


def test_long_videos_are_cut_into_equal_segments_and_short_ones_are_not(tmp_path) -> None:
    made = made_videos(tmp_path / "films", {"fall/a.mp4": 45, "fall/b.mp4": 5, "walk/a.mp4": 20, "walk/b.mp4": 21})
    cut, note = cut_long_videos(made)
    assert [entry.id for entry in cut] == [
        *("fall/a.mp4@0-11.25", "fall/a.mp4@11.25-22.5", "fall/a.mp4@22.5-33.75", "fall/a.mp4@33.75-"),
        *("fall/b.mp4", "walk/a.mp4", "walk/b.mp4@0-10.5", "walk/b.mp4@10.5-"),
    ]
    assert cut.labels.tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
    assert cut.class_names == made.class_names
    assert (
        "2 videos are longer than 20 s, 66 s in all, and are cut into 6 segments of about 10 s: fall/a.mp4, walk"
        in note
    )


def test_segments_of_one_file_stay_together_in_folds(tmp_path) -> None:
    made = made_videos(tmp_path / "films", {f"{label}/{i}.mp4": 30 for label in ("fall", "walk") for i in range(3)})
    cut, _ = cut_long_videos(made)
    folds = make_folds(cut)
    assert len(cut) == 18
    assert len({*zip(cut.ids.tolist(), folds.of_row.tolist(), strict=True)}) == 6
    assert len(np.unique(folds.groups)) == 6


def test_short_videos_and_lists_are_left_as_they_are(tmp_path) -> None:
    made = made_videos(tmp_path / "films", {"fall/a.mp4": 3, "walk/a.mp4": 30})
    short = made[:1]
    assert cut_long_videos(short)[0] is short
    (tmp_path / "list.csv").write_text("path,label\nfilms/fall/a.mp4,fall\nfilms/walk/a.mp4,walk\n")
    listed = read_manifest(tmp_path / "list.csv")
    assert cut_long_videos(listed)[0] is listed


def test_broken_files_and_folders_of_frames_are_left_as_they_are(tmp_path) -> None:
    made_videos(tmp_path / "films", {"fall/a.mp4": 30, "walk/a.mp4": 3})
    (tmp_path / "films/walk/broken.mp4").write_bytes(b"no video" * 1000)
    (tmp_path / "films/walk/frames").mkdir()
    for number in range(30):
        (tmp_path / f"films/walk/frames/{number:06}.jpg").write_bytes(b"no picture")
    cut, _ = cut_long_videos(list_folder(tmp_path / "films"))
    assert sorted(entry.id for entry in cut) == [
        *("fall/a.mp4@0-10", "fall/a.mp4@10-20", "fall/a.mp4@20-"),
        *("walk/a.mp4", "walk/broken.mp4", "walk/frames"),
    ]


def test_of_many_files_the_largest_are_checked_until_none_is_long(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(cutting, "_CHECKED", 2)
    folder = tmp_path / "films"
    for number in range(8):
        path = folder / ("fall" if number % 2 else "walk") / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"." * (100 - number))
    asked: list[str] = []

    def stated(path: str) -> float:
        asked.append(Path(path).name)
        return 5.0

    monkeypatch.setattr(cutting, "stated_seconds", stated)
    cut, note = cut_long_videos(made := list_folder(folder))
    assert cut is made
    assert sorted(asked) == ["0.mp4", "1.mp4"]
    assert "no video is longer than 20 s (only the 2 largest of 8 files were checked)" in note


def test_long_videos_that_are_only_tested_on_are_counted_with_a_warning(tmp_path) -> None:
    val = made_videos(tmp_path / "val", {"fall/a.mp4": 45, "fall/b.mp4": 5, "walk/a.mp4": 30})
    test = made_videos(tmp_path / "test", {"fall/c.mp4": 25, "walk/c.mp4": 3})
    short = made_videos(tmp_path / "short", {"fall/d.mp4": 5, "walk/d.mp4": 3})
    assert not_cut_note({"val": val, "test": test}) == (
        "val and test: 3 videos are longer than 20 s, and only videos that are trained on are cut: each gets a single "
        "prediction, so that the accuracy there may be too low (fall/a.mp4, walk/a.mp4, "
        "fall/c.mp4). A list with start and end names the segments."
    )
    assert not_cut_note({"val": short, "test": test}).startswith("test: 1 video is longer than 20 s, and only")
    assert not_cut_note({"val": short}) == not_cut_note({}) == ""
    (tmp_path / "list.csv").write_text("path,label\nval/fall/a.mp4,fall\n")
    assert not_cut_note({"val": read_manifest(tmp_path / "list.csv")}) == "", "a list can name its segments"


def test_the_length_that_a_header_states(tmp_path) -> None:
    write_video(tmp_path / "a.mp4", np.zeros((20, 32, 32, 3), np.uint8), fps=4)
    (tmp_path / "b.mp4").write_bytes(b"no video")
    assert stated_seconds(str(tmp_path / "a.mp4")) == pytest.approx(5, abs=0.3)
    assert stated_seconds(str(tmp_path / "b.mp4")) is None
    assert stated_seconds(str(tmp_path / "c.mp4")) is None
