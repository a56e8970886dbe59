"""Contact sheets: what a page and a run folder show of recordings and copies."""

import base64
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from marey.base.errors import DataError
from marey.cli.app import app
from marey.data.lists.read_manifest import read_manifest
from marey.data.recordings.find import find_recordings
from marey.evaluation.report.contact_sheets import SHEETS, ContactSheets
from marey.video.writing.writer import write_video
from tests.support.made_scenes import HEIGHT, WIDTH, mirrored, recording

pytestmark = pytest.mark.usefixtures("module_cache")


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """Two classes of three clips: one scene in both classes, a copy with another class, and clips alone in their
    recording.
    """
    folder: Path = tmp_path_factory.mktemp("sheets") / "clips"
    made = {
        "run/000.mp4": (walk := recording(80, 1)), "run/001.mp4": recording(81, 2), "run/002.mp4": recording(82, 3),
        "walk/003.mp4": recording(80, 4), "walk/004.mp4": mirrored(walk), "walk/005.mp4": recording(83, 5),
        "walk/006.mp4": recording(84, 6),
    }  # fmt: skip
    for name, frames in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(folder / name, frames, 25, crf=24)
    return folder


@pytest.fixture
def sheets(clips) -> ContactSheets:
    manifest = read_manifest(clips)
    found = find_recordings([manifest])
    return ContactSheets.of(found, found.copies([manifest], [""] * len(manifest)))


def test_a_row_is_a_recording_and_the_largest_comes_first(sheets) -> None:
    assert [(row.videos, row.classes, row.sides) for row in sheets.rows] == [(3, "2 walk, 1 run", "")]
    assert [one.id for one in sheets.rows[0].shown] == ["run/000.mp4", "walk/003.mp4", "walk/004.mp4"]
    assert {one.id for one in sheets.alone} == {"run/001.mp4", "run/002.mp4", "walk/005.mp4", "walk/006.mp4"}
    assert (sheets.rows_left, sheets.alone_count, sheets.copies_left) == (0, 4, 0)


def test_a_thumbnail_is_a_small_frame_from_the_middle(sheets) -> None:
    encoded = np.frombuffer(base64.b64decode(sheets.rows[0].shown[0].jpeg), np.uint8)
    frame = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert frame is not None
    assert frame.shape == (72, 96, 3)
    wanted = cv2.resize(recording(80, 1)[12][..., ::-1], (96, 72), interpolation=cv2.INTER_AREA)
    assert HEIGHT / WIDTH == 72 / 96
    assert np.corrcoef(frame.ravel(), wanted.ravel())[0, 1] > 0.9  # the precision of saturated colours after x264
    assert np.corrcoef(frame.ravel(), wanted[..., ::-1].ravel())[0, 1] < 0.5


def test_a_copy_with_another_class_is_shown_and_noted(sheets) -> None:
    assert [[one.id for one in row.shown] for row in sheets.copies] == [["run/000.mp4", "walk/004.mp4"]]
    said = "different classes, of which at most one is right: run/000.mp4 (run) = walk/004.mp4 (walk)"
    assert any(said in note for note in sheets.notes)


def test_contact_sheets_are_read_as_they_were_saved(sheets, tmp_path) -> None:
    assert ContactSheets.load(tmp_path) is None
    sheets.save(tmp_path)
    assert ContactSheets.load(tmp_path) == sheets
    for damaged in ("[", "{}", json.dumps(sheets.as_json() | {"rows": [{"name": "x"}]})):
        (tmp_path / SHEETS).write_text(damaged)
        with pytest.raises(DataError, match="not what marey train wrote"):
            ContactSheets.load(tmp_path)


def test_the_command_writes_a_list_that_is_read_again_and_a_page(clips, tmp_path, monkeypatch) -> None:
    out = tmp_path / "mine.csv"
    done = CliRunner().invoke(app, ["data", "sources", str(clips), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "5 recordings of 7 videos, by frames; the largest has 3; 4 videos alone." in done.stdout
    again = read_manifest(out)
    assert again.groups is not None
    of = dict(zip([Path(name).name for name in again.ids.tolist()], again.groups.tolist(), strict=True))
    assert of["000.mp4"] == of["003.mp4"] == of["004.mp4"] == "run/000.mp4"
    assert len(set(of.values())) == 5
    page = out.with_suffix(".html").read_text(encoding="utf-8")
    assert page.count('<img src="data:image/jpeg;base64,') == 9
    assert "2 walk, 1 run" in page
    # The edited list is used from now on.
    edited = out.read_text().replace("run/000.mp4\n", "mine\n", 1)
    out.write_text(edited)
    done = CliRunner().invoke(app, ["data", "sources", str(out), "--json"])
    found = json.loads(done.stdout)
    assert "by the column `group`" in found["summary"]
    assert any("pairs of videos in different groups" in note or "1 pair of videos" in note for note in found["notes"])


def test_a_list_is_written_beside_the_folder_and_overwrites_no_input(clips) -> None:
    done = CliRunner().invoke(app, ["data", "sources", str(clips)])
    assert done.exit_code == 0, done.output
    assert (clips.parent / "clips-sources.csv").exists()
    assert (clips.parent / "clips-sources.html").exists()
    again = CliRunner().invoke(app, ["data", "sources", str(clips)])
    for name in ("clips-sources.csv", "clips-sources.html"):
        assert f"{name}: replaces the file that was there" in again.stderr
    (clips.parent / "other.html").mkdir()
    for_a_folder = CliRunner().invoke(app, ["data", "sources", str(clips), "--out", str(clips.parent / "other.csv")])
    assert for_a_folder.exit_code == 1
    assert "other.html is a folder, and a file is to be written" in for_a_folder.stderr
    written = str(clips.parent / "clips-sources.csv")
    refused = CliRunner().invoke(app, ["data", "sources", written, "--out", written])
    assert refused.exit_code == 1
    assert written in refused.stderr
