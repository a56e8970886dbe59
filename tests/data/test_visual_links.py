"""Links between the videos of a list by what their frames show."""

from pathlib import Path

import numpy as np
import pytest

from marey.base.errors import RunError
from marey.base.reporter import reporting
from marey.data.lists.videos import VideoList
from marey.data.recordings import visual_links
from marey.data.recordings.retrieval import WHOLE, CandidatePair, find_candidates
from marey.data.recordings.signature_cache import compute_signatures
from marey.data.recordings.visual_links import Link, Relation, find_links
from marey.video.writing.writer import write_video
from tests.support.collecting import Collecting
from tests.support.made_scenes import COUNT, marked, mirrored, panned, recording, scaled

pytestmark = pytest.mark.usefixtures("module_cache")
COPIES = {
    "walk": lambda frames: frames,
    "walk, encoded": lambda frames: frames,
    "walk, scaled": lambda frames: scaled(frames, 96, 128),
    "walk, cropped": lambda frames: frames[:, 10:-14, 8:-12],
    "walk, mirrored": mirrored,
    "walk, marked": marked,
}
"""Copies of a recording by a fixed camera."""
SEGMENTS = [f"turn, segment {number}" for number in range(3)]
"""Segments of a recording by a camera that turns; each begins with the frame after the last one of the segment before."""
SCENE = ["scene, first", "scene, second", "scene, third"]
"""Different things before one background."""
OTHERS = ["other 1", "other 2", "black"]
NAMES = [*COPIES, *SEGMENTS, *SCENE, *OTHERS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("links")
    walk, turn = recording(21, 1), recording(22, 2, count=3 * COUNT, step=1)
    made = {name: change(walk) for name, change in COPIES.items()}
    made |= {name: turn[COUNT * number : COUNT * (number + 1)] for number, name in enumerate(SEGMENTS)}
    made |= {name: recording(23, 10 + number) for number, name in enumerate(SCENE)}
    made |= {"other 1": recording(24, 20), "other 2": panned(25), "black": np.zeros((5, 48, 64, 3), np.uint8)}
    for name, frames in made.items():
        codec, crf = ("mpeg4", 18) if name == "walk, encoded" else ("libx264", 28 if "," in name else 18)
        write_video(folder / f"{name}.mp4", frames, 25, codec=codec, crf=crf)
    return folder


def linked(folder: Path, names: list[str], workers: int = 0) -> list[Link]:
    paths = [folder / f"{name}.mp4" for name in names]
    return find_links(compute_signatures(VideoList.from_paths(paths), workers=workers), workers=workers)


def named(found: list[Link], names: list[str]) -> dict[frozenset[str], tuple[Relation, bool]]:
    pairs = {frozenset((names[one.first], names[one.second])): (one.relation, one.mirrored) for one in found}
    assert len(pairs) == len(found)
    return pairs


@pytest.fixture(scope="module")
def found(folder, module_cache) -> dict[frozenset[str], tuple[Relation, bool]]:
    return named(linked(folder, NAMES), NAMES)


def between(found, names: list[str]) -> dict[frozenset[str], tuple[Relation, bool]]:
    return {pair: link for pair, link in found.items() if pair <= set(names)}


def test_copies_are_distinguished_from_all_others(found) -> None:
    names = list(COPIES)
    pairs = [frozenset((one, other)) for one in names for other in names if one < other]
    assert between(found, names) == {pair: (Relation.COPY, "walk, mirrored" in pair) for pair in pairs}
    assert {pair for pair, (relation, _) in found.items() if relation is Relation.COPY} == set(pairs)


def test_segments_of_one_recording_follow_each_other(found) -> None:
    expected = {frozenset(SEGMENTS[:2]): (Relation.NEXT, False), frozenset(SEGMENTS[1:]): (Relation.NEXT, False)}
    distant = frozenset((SEGMENTS[0], SEGMENTS[2]))
    assert {pair: link for pair, link in between(found, SEGMENTS).items() if pair != distant} == expected
    assert found.get(distant, (Relation.SCENE, False)) in [(Relation.SCENE, False), (Relation.ALIKE, False)]


def test_frames_with_small_things_in_one_scene_are_nearly_equal(found) -> None:
    assert list(between(found, SCENE).values()) == [(Relation.ALIKE, False)] * 3


def test_different_scenes_are_not_linked(found) -> None:
    groups = [{*COPIES}, {*SEGMENTS}, {*SCENE}]
    assert [pair for pair in found if not any(pair <= group for group in groups)] == []


def test_links_are_sorted_and_their_first_row_is_less(folder) -> None:
    rows = linked(folder, NAMES)
    assert rows == sorted(rows)
    assert all(one.first < one.second for one in rows)


@pytest.mark.parametrize("order", [np.arange(len(NAMES))[::-1], np.random.default_rng(0).permutation(len(NAMES))])
def test_links_do_not_depend_on_the_order_of_the_list(order, folder, found) -> None:
    names = [NAMES[row] for row in order]
    assert named(linked(folder, names), names) == found


def test_equal_content_and_broken_files_keep_their_rows(folder, tmp_path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video" * 1000)
    names = ["other 1", "walk", "walk", "walk, scaled", "other 1"]
    paths = [tmp_path / "broken.mp4", *(folder / f"{name}.mp4" for name in names)]
    signatures = compute_signatures(VideoList.from_paths(paths), workers=0)
    assert find_links(signatures, workers=0) == [Link(2, 4, Relation.COPY, mirrored=False)]
    assert signatures.keys[2] == signatures.keys[3]
    assert signatures.keys[1] == signatures.keys[5]


@pytest.mark.parametrize("names", [[], ["walk"], ["walk", "walk"], ["black", "black"]])
def test_a_list_of_one_content_has_no_links(folder, names) -> None:
    assert linked(folder, names) == []


def test_segments_of_one_file_are_linked(folder, tmp_path) -> None:
    """By seconds and by frames; two segments of nearly the same frames are copies."""
    write_video(tmp_path / "turn.mp4", recording(22, 2, count=2 * COUNT, step=1), 25)
    videos = VideoList(
        np.array(["turn.mp4"] * 3, np.str_),
        tmp_path,
        times=np.array([[np.nan, COUNT / 25], [np.nan, np.nan], [np.nan, np.nan]]),
        frame_ranges=np.array([[0, -1], [COUNT, -1], [0, COUNT]]),
    )
    assert find_links(compute_signatures(videos, workers=0), workers=0) == [
        Link(0, 1, Relation.NEXT, mirrored=False),
        Link(0, 2, Relation.COPY, mirrored=False),
        Link(1, 2, Relation.NEXT, mirrored=False),
    ]


def test_a_scene_that_the_middle_frames_share_makes_a_link(folder) -> None:
    """Also where only the complete videos were candidates, as copies of each other."""
    paths = [folder / f"{name}.mp4" for name in (*SCENE[:2], "other 1")]
    signatures = compute_signatures(VideoList.from_paths(paths), workers=0)
    relations = []
    for second in (1, 2):
        candidates = [CandidatePair(0, second, False, WHOLE)]
        relations.append(visual_links._relation(signatures[0], signatures[second], candidates, mirrored=False))
    assert relations == [Relation.ALIKE, None]


def test_single_frames_and_short_clips_of_a_recording_are_linked(tmp_path) -> None:
    """A single frame of a clip shows the same scene, and one moment of it."""
    clip = recording(31, 1)
    for name, frames in (("one", clip[:1]), ("two", clip[:2]), ("clip", clip), ("other", recording(32, 1)[:1])):
        write_video(tmp_path / f"{name}.mp4", frames, 25)
    pairs = named(linked(tmp_path, names := ["one", "two", "clip", "other"]), names)
    assert set(pairs) == {frozenset(pair) for pair in (("one", "two"), ("one", "clip"), ("two", "clip"))}


@pytest.mark.parametrize("sizes", [(64, 640), (640, 64)])
def test_long_and_narrow_frames(sizes, tmp_path) -> None:
    frames = recording(33, 1, size=sizes)
    for name, made in (("a", frames), ("b", scaled(frames, sizes[0] // 2, sizes[1] // 2)), ("c", mirrored(frames))):
        write_video(tmp_path / f"{name}.mp4", made, 25)
    assert linked(tmp_path, ["a", "b", "c"]) == [
        Link(0, 1, Relation.COPY, mirrored=False),
        Link(0, 2, Relation.COPY, mirrored=True),
        Link(1, 2, Relation.COPY, mirrored=True),
    ]


def test_several_processes_find_the_same_where_nothing_can_be_cached(folder, monkeypatch, tmp_path) -> None:
    """They read the signatures from this process's temporary folder."""
    monkeypatch.setenv("MAREY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MAREY_CACHE_LIMIT", "0")
    names = ["walk", "walk, mirrored", "walk, marked", *SCENE[:2], "other 1"]
    with reporting(said := Collecting()):
        rows = linked(folder, names, workers=2)
    assert named(rows, names) == named(linked(folder, names), names)
    assert len(said.notices) == 1
    assert len(rows) == 4
    assert list((tmp_path / "cache").rglob("*.npz")) == []


def test_a_signature_that_is_removed_meanwhile_is_an_error(folder, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("MAREY_CACHE", str(tmp_path / "cache"))

    def removing(signatures):
        found = find_candidates(signatures)
        signatures.path(1).unlink()
        return found

    monkeypatch.setattr(visual_links, "find_candidates", removing)
    with pytest.raises(RunError, match="was removed or damaged while it was needed; run the command again"):
        linked(folder, ["walk", "walk, scaled"])
