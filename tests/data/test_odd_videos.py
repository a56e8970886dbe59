"""Odd videos: those that differ from nearly all others of a list."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from marey.data.audit import audit
from marey.data.files.video_info import VideoInfoCache
from marey.data.lists.read_manifest import read_manifest
from marey.data.lists.videos import VideoList
from marey.data.recordings.odd_videos import VideoTraits, find_odd_videos, odd_among
from marey.data.recordings.signature_cache import compute_signatures
from marey.video.writing.writer import write_video

USUAL = VideoTraits(black=False, one_colour=False, frozen=False, seconds=2.0, height=240, width=320)


def _traits(count: int = 30, **odd: object) -> dict[int, VideoTraits]:
    """A list whose lengths differ by up to a fifth, with an odd video in its middle."""
    traits = {row: replace(USUAL, seconds=2.0 + 0.4 * row / count) for row in range(count)}
    traits[count // 2] = replace(USUAL, **odd)  # type: ignore[arg-type]
    return traits


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ({"black": True}, "black from beginning to end"),
        ({"one_colour": True}, "a single colour from beginning to end"),
        ({"frozen": True}, "nothing moves in it, for 2.0 s"),
        ({"width": 135, "height": 240}, "135x240 pixels, while 29 of 30 videos have the shape of 320x240"),
        ({"seconds": 40.0}, "40.0 s long, while half of the videos are shorter than 2.2 s"),
        ({"seconds": 0.1}, "0.1 s long, while half of the videos are longer than 2.2 s"),
    ],
)
def test_an_odd_video_has_its_reason(odd, reason):
    assert odd_among(_traits(**odd)) == {15: [reason]}


def test_a_list_without_odd_videos_and_a_short_list_have_none():
    assert odd_among(_traits()) == {}
    assert odd_among(_traits(9, black=True)) == {}
    assert odd_among({}) == {}


def test_a_black_video_is_not_also_frozen():
    assert odd_among(_traits(black=True, frozen=True)) == {15: ["black from beginning to end"]}


@pytest.mark.parametrize("many", [{"frozen": True}, {"black": True}, {"width": 180, "height": 320}])
def test_what_many_videos_of_the_list_have_is_not_odd(many):
    traits = {row: replace(USUAL, **(many if row % 3 == 0 else {})) for row in range(30)}
    assert odd_among(traits) == {}


def test_a_list_of_very_different_lengths_has_no_odd_video():
    traits = {row: replace(USUAL, seconds=0.5 * 1.25**row) for row in range(30)}
    assert odd_among(traits) == {}


def test_other_sizes_of_the_same_shape_are_not_odd():
    assert odd_among(_traits(width=162, height=120)) == {}


@pytest.fixture
def folder(tmp_path, cache) -> Path:
    """Twelve videos [48, 64] of noise; 3 is black, 5 grey, 7 a still image, 8 a copy of 3."""
    random = np.random.RandomState(0)
    for row in range(12):
        still = random.randint(0, 255, (48, 64, 3))
        frames = [random.randint(0, 255, (6, 8, 3)).repeat(8, 0).repeat(8, 1) for _ in range(15)]
        if row in (3, 8):
            frames = [np.zeros((48, 64, 3))] * 15
        if row == 5:
            frames = [np.full((48, 64, 3), 130)] * 15
        if row == 7:
            frames = [still.reshape(48, 64, 3)] * 15
        write_video(
            tmp_path / f"{row:02}.mp4", [frame.astype(np.uint8) for frame in frames], fps=10, preset="ultrafast"
        )
    return tmp_path


FOUND = {
    3: "black from beginning to end",
    5: "a single colour from beginning to end",
    7: "nothing moves in it, for 1.5 s",
    8: "black from beginning to end",
}


def test_odd_videos_are_found_by_their_signatures(folder):
    signatures = compute_signatures(VideoList.from_paths(sorted(folder.glob("*.mp4"))), workers=0)
    assert {odd.row: odd.reason for odd in find_odd_videos(signatures)} == FOUND


def test_an_audit_names_odd_videos(folder):
    lines = [f"{row:02}.mp4,{'run' if row % 2 else 'jump'}" for row in range(12)]
    (folder / "list.csv").write_text("\n".join(["path,label", *lines, ""]))
    found = audit([read_manifest(folder / "list.csv")], cache=VideoInfoCache(None))
    assert found.odd_pictures == {f"{row:02}.mp4": reason for row, reason in FOUND.items()}
    assert audit([read_manifest(folder / "list.csv")], cache=VideoInfoCache(None), pictures=False).odd_pictures == {}
