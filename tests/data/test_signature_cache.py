"""Signatures of the videos of a list, and how they are cached."""

import gc
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from marey.base.errors import RunError
from marey.base.reporter import reporting
from marey.data.files.identity import video_identity
from marey.data.lists.videos import VideoEntry, VideoList
from marey.data.recordings.creation import creation_metadata
from marey.data.recordings.signature import signature_of
from marey.data.recordings.signature_cache import Signatures, compute_signatures, read_signature
from marey.video.flow.files import VIDEO_SUFFIX
from marey.video.open import open_source
from marey.video.writing.writer import write_video
from tests.support.collecting import Collecting
from tests.support.made_scenes import COUNT, HEIGHT, WIDTH, panned, recording, same

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two recordings, one of them with two names, and files that are no video."""
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / "a.mp4", recording(1, 1), 25)
    write_video(folder / "b.mp4", panned(2), 25)
    (folder / "c.mp4").write_bytes((folder / "a.mp4").read_bytes())
    (folder / "text.mp4").write_bytes(b"no video" * 1000)
    (folder / "empty.mp4").touch()
    return folder


def signatures(folder: Path, *names: str) -> Signatures:
    return compute_signatures(VideoList(np.array(names, np.str_), folder), workers=0)


def files(cache: Path) -> list[Path]:
    return sorted((cache / "signatures").rglob("*.npz"))


# -- which videos


def test_the_signature_of_each_content_is_computed_once(folder, cache) -> None:
    found = signatures(folder, "a.mp4", "b.mp4", "c.mp4", "a.mp4")
    assert len(found) == 4
    assert found.keys[0] == found.keys[2] == found.keys[3] != found.keys[1]
    assert found.equal_rows() == [(0, 2), (0, 3)]
    assert (found.computed, found.rows, found.broken) == (2, [0, 1], {})
    assert len(files(cache)) == 2
    assert same(found[0], found[2])
    assert not same(found[0], found[1])


def test_a_list_of_no_videos_and_of_one(folder) -> None:
    assert len(signatures(folder)) == signatures(folder).computed == 0
    assert signatures(folder, "a.mp4").rows == [0]


def test_segments_have_their_own_signatures(folder) -> None:
    videos = VideoList(
        np.array(["a.mp4"] * 4, np.str_),
        folder,
        times=np.array([[np.nan, np.nan], [0.2, 0.6], [np.nan, np.nan], [0.6, np.nan]]),
        frame_ranges=np.array([[0, -1], [0, -1], [5, 15], [0, -1]]),
    )
    found = compute_signatures(videos, workers=0)
    assert found.rows == [0, 1, 2, 3]
    assert [found[row].count for row in range(4)] == [COUNT, 10, 10, COUNT - 15]
    with open_source(folder / "a.mp4") as source:
        assert same(found[2], signature_of(source, 5, 10, creation_metadata(folder / "a.mp4")))
    assert same(found[1], found[2])


def test_a_broken_segment_or_file_does_not_affect_the_others(folder) -> None:
    videos = VideoList(
        np.array(["text.mp4", "a.mp4", "empty.mp4", "none.mp4", "a.mp4", "b.mp4", "text.mp4"], np.str_),
        folder,
        frame_ranges=np.array([[0, -1]] * 4 + [[500, 600]] + [[0, -1]] * 2),
    )
    found = compute_signatures(videos, workers=0)
    assert (found.rows, found.computed) == ([1, 5], 2)
    assert found.readable.tolist() == [False, True, False, False, False, True, False]
    assert [bool(key) for key in found.keys] == found.readable.tolist()
    assert found.equal_rows() == []
    assert sorted(found.broken) == [0, 2, 3, 4, 6]
    assert found.broken[0] == found.broken[6]
    assert found.broken[0].startswith("not a video that FFmpeg can read")
    assert "the file is empty" in found.broken[2]
    assert found.broken[3] == "does not exist, or may not be read"
    assert found.broken[4] == f"has no frame 500 (counted from 0): it has {COUNT}"
    with pytest.raises(KeyError):
        found[0]


def test_flow_has_no_signature(folder, tmp_path) -> None:
    (tmp_path / "flow").mkdir()
    for axis in "xy":
        for number in range(3):
            cv2.imwrite(str(tmp_path / "flow" / f"flow_{axis}_{number:05d}.jpg"), np.full((48, 64), 128, np.uint8))
    write_video(tmp_path / f"a{VIDEO_SUFFIX}", recording(1, 1)[:4], 25)
    found = compute_signatures(
        VideoList.from_paths([tmp_path / "flow", folder / "a.mp4", tmp_path / f"a{VIDEO_SUFFIX}"]), workers=0
    )
    assert found.rows == [1]
    assert "is a folder of optical flow" in found.broken[0]
    assert "is a video of optical flow" in found.broken[2]


@pytest.mark.parametrize("grey", [False, True])
def test_folders_of_images(grey, tmp_path) -> None:
    frames = recording(3, 1)
    for number, frame in enumerate(frames):
        image = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY if grey else cv2.COLOR_RGB2BGR)
        assert cv2.imwrite(str(tmp_path / f"img_{number:05d}.png"), image)
    found = compute_signatures(VideoList.from_paths(tmp_path), workers=0)[0]
    assert (found.count, found.size) == (COUNT, (HEIGHT, WIDTH))
    assert (np.ptp(found.frames.astype(int), axis=3).max() == 0) == grey
    (tmp_path / f"img_{COUNT // 2:05d}.png").write_bytes(b"no picture")
    found = compute_signatures(VideoList.from_paths(tmp_path), workers=0)
    assert f"frame {COUNT // 2}" in found.broken[0]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_short_videos(count, tmp_path) -> None:
    write_video(tmp_path / "short.mp4", recording(4, 1)[:count], 25)
    found = compute_signatures(VideoList.from_paths(tmp_path / "short.mp4"), workers=0)[0]
    assert found.count == count
    assert found.seconds == pytest.approx(0 if count == 1 else count / 25)


# -- the cache


def test_cached_signatures_are_not_computed_again(folder, monkeypatch) -> None:
    first = signatures(folder, "a.mp4", "b.mp4")
    monkeypatch.setattr("marey.data.recordings.signature_cache.open_source", None)
    again = signatures(folder, "b.mp4", "c.mp4")
    assert again.computed == 0
    assert same(again[0], first[1])
    assert same(again[1], first[0])


def test_signatures_computed_before_an_interruption_are_cached(folder, monkeypatch) -> None:
    def interrupted(source, *segment):
        if source.name.endswith("b.mp4"):
            raise KeyboardInterrupt
        return signature_of(source, *segment)

    with monkeypatch.context() as patch:
        patch.setattr("marey.data.recordings.signature_cache.signature_of", interrupted)
        with pytest.raises(KeyboardInterrupt):
            signatures(folder, "a.mp4", "b.mp4")
    assert signatures(folder, "a.mp4", "b.mp4").computed == 1


@pytest.mark.parametrize("room", [0, 1])
def test_signatures_that_exceed_the_cache_are_in_a_temporary_folder(room, folder, cache, monkeypatch, tmp_path) -> None:
    before = signatures(folder, "a.mp4", "b.mp4")
    sizes = [before.path(row).stat().st_size for row in (0, 1)]
    for row in (0, 1):
        before.path(row).unlink()
    monkeypatch.setenv("MAREY_CACHE_LIMIT", str(room * (sizes[0] + sizes[1] / 2) / 1e9))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with reporting(said := Collecting()):
        found = signatures(folder, "a.mp4", "b.mp4")
    assert len(said.notices) == 1
    assert " GB are less than the signatures of these videos take: the rest is stored in marey-" in said.notices[0]
    assert found[0].count == found[1].count == COUNT
    assert read_signature(found.path(1)).count == COUNT
    assert len(files(cache)) == room
    del found
    gc.collect()
    assert list(tmp_path.glob("marey-*")) == []


def test_a_cache_that_cannot_be_written_is_reported_once(folder, cache, monkeypatch, tmp_path) -> None:
    cache.touch()  # a file where the folder should be
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with reporting(said := Collecting()):
        found = signatures(folder, "a.mp4", "b.mp4")
    assert len(said.notices) == 1
    assert "signatures: the cache cannot be written (" in said.notices[0]
    assert found[0].count == found[1].count == COUNT


def test_an_invalid_cache_limit_is_refused(folder, monkeypatch) -> None:
    monkeypatch.setenv("MAREY_CACHE_LIMIT", "much")
    with pytest.raises(RunError, match="MAREY_CACHE_LIMIT=much: expected a limit in gigabytes"):
        signatures(folder, "a.mp4")


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def changed_within(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def of_something_else(file: Path) -> None:
    np.savez(file, jpeg=np.zeros(5))


@pytest.mark.parametrize("damage", [cut_off, changed_within, of_something_else, Path.unlink])
def test_a_damaged_signature_is_computed_again(damage, folder, cache) -> None:
    """The damage may show at once, or only when the file is read."""
    first = signatures(folder, "a.mp4", "b.mp4")
    before = first[0]
    damage(first.path(0))
    with reporting(said := Collecting()):
        again = signatures(folder, "a.mp4", "b.mp4")
        assert same(again[0], before)
    damaged = [f"{first.path(0)}: is damaged, and is computed again"]
    assert said.notices == ([] if damage is Path.unlink else damaged)
    assert again.computed == (damage in (cut_off, Path.unlink))
    assert same(read_signature(first.path(0)), before)


@pytest.mark.parametrize("damage", [changed_within, of_something_else, Path.unlink])
def test_a_signature_that_is_lost_meanwhile_is_computed_again(damage, folder) -> None:
    found = signatures(folder, "a.mp4", "b.mp4")
    before = found[1]
    damage(found.path(1))
    with pytest.raises(RunError, match="was removed or damaged while it was needed; run the command again"):
        read_signature(found.path(1))
    assert same(found[1], before)
    assert same(read_signature(found.path(1)), before)


def test_a_video_that_is_lost_with_its_signature_is_an_error(folder, tmp_path) -> None:
    (tmp_path / "a.mp4").write_bytes((folder / "a.mp4").read_bytes())
    found = signatures(tmp_path, "a.mp4")
    found.path(0).unlink()
    (tmp_path / "a.mp4").unlink()
    with pytest.raises(RunError, match=r"a\.mp4: could be read before, and can no longer be read \(no such file"):
        found[0]


def test_signatures_of_another_version_are_not_read(folder, cache, monkeypatch) -> None:
    signatures(folder, "a.mp4")
    monkeypatch.setattr("marey.data.recordings.signature_cache._FORM", "another")
    assert signatures(folder, "a.mp4").computed == 1
    assert len(files(cache)) == 2


def test_keys_are_the_identities_of_the_entries(folder) -> None:
    assert signatures(folder, "a.mp4").keys == (video_identity(VideoEntry("a.mp4", folder / "a.mp4")),)
