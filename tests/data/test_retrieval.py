"""Which pairs of videos are compared in detail when recordings are searched."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from marey.data.lists.videos import VideoList
from marey.data.recordings import retrieval
from marey.data.recordings.retrieval import WHOLE, CandidatePair, find_candidates
from marey.data.recordings.signature_cache import compute_signatures
from marey.video.writing.writer import write_video
from tests.support.made_scenes import HEIGHT, WIDTH, marked, mirrored, panned, recording, scaled

pytestmark = pytest.mark.usefixtures("module_cache")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("candidates")
    made = {
        "scene 1": recording(1, 1),
        "scene 1, later": recording(1, 2),
        "scene 1, copied": scaled(recording(1, 1), 96, 128),
        "scene 1, mirrored": mirrored(recording(1, 1)),
        "scene 2": panned(2),
        "scene 2, marked": marked(panned(2)),
        "black": np.zeros((4, 48, 64, 3), np.uint8),
        "black again": np.zeros((9, 64, 48, 3), np.uint8),
    }
    for name, frames in made.items():
        write_video(folder / f"{name}.mp4", frames, 25)
    return folder


def candidates(folder: Path, *names: str) -> list[CandidatePair]:
    return find_candidates(
        compute_signatures(VideoList.from_paths(folder / f"{name}.mp4" for name in names), workers=0)
    )


def named(folder: Path, names: list[str]) -> set[tuple[str, str, bool, tuple[int, int]]]:
    return {(names[one.first], names[one.second], one.mirrored, one.frames) for one in candidates(folder, *names)}


NAMES = ["scene 1", "scene 1, later", "scene 1, copied", "scene 1, mirrored", "scene 2", "scene 2, marked"]


def test_among_few_videos_all_of_one_scene_are_compared(folder) -> None:
    pairs = {frozenset(one[:2]) for one in named(folder, NAMES)}
    assert pairs >= {frozenset(pair) for names in (NAMES[:4], NAMES[4:]) for pair in combinations(names, 2)}


def test_copies_are_compared_by_complete_frames_and_by_frames_of_the_same_index(folder) -> None:
    found = {(frozenset(one[:2]), *one[2:]) for one in named(folder, NAMES)}
    for first, second, turned in [(0, 2, False), (4, 5, False), (0, 3, True), (2, 3, True)]:
        pair = frozenset((NAMES[first], NAMES[second]))
        assert (pair, turned, WHOLE) in found
        assert {frames for two, also, frames in found if two == pair and also == turned} >= {(0, 0), (1, 1), (2, 2)}


def test_pairs_do_not_depend_on_the_order_of_the_list(folder) -> None:
    found = candidates(folder, *NAMES)
    assert found == sorted(found)
    assert len(set(found)) == len(found)
    for order in ([5, 4, 3, 2, 1, 0], [2, 0, 5, 3, 1, 4]):
        assert named(folder, [NAMES[row] for row in order]) == named(folder, NAMES)


def test_equal_content_is_compared_once(folder) -> None:
    found = candidates(folder, "scene 1", "scene 2", "scene 1", "scene 2")
    assert {frozenset((one.first, one.second)) for one in found} == {frozenset((0, 1))}


@pytest.mark.parametrize("names", [[], ["scene 1"], ["scene 1", "scene 1"], ["black"], ["black", "black again"]])
def test_nothing_is_compared_where_there_is_nothing(folder, names) -> None:
    assert candidates(folder, *names) == []


def test_a_black_video_is_compared_with_none(folder) -> None:
    found = candidates(folder, "scene 1", "black", "scene 2", "black again")
    assert {frozenset((one.first, one.second)) for one in found} == {frozenset((0, 2))}


def test_videos_without_keypoints_are_compared_by_thumbnails(tmp_path) -> None:
    """Soft light that moves to the right, and re-encoded copies of it."""
    across, down = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    light = np.exp(-((across - np.linspace(50, 120, 12)[:, None, None]) ** 2 + (down - 70) ** 2) / 2000)
    frames = (light[..., None] * [200, 180, 160] + 20).astype(np.uint8)
    for name, made in (("a", frames), ("b", scaled(frames, 96, 128)), ("c", mirrored(frames))):
        write_video(tmp_path / f"{name}.mp4", made, 25, crf=10)
    found = candidates(tmp_path, "a", "b", "c")
    pairs = {(*sorted((one.first, one.second)), one.mirrored) for one in found if one.frames == WHOLE}
    assert pairs >= {(0, 1, False), (0, 2, True)}


@pytest.mark.parametrize("at_once", [1, 7, 256])
def test_the_nearest_vector_of_each_of_the_nearest_videos_is_a_candidate(at_once, monkeypatch) -> None:
    monkeypatch.setattr(retrieval, "_AT_ONCE", at_once)
    rng = np.random.default_rng(0)
    queries, vectors = rng.normal(size=(2, 20, 3, 5)).astype(np.float32)
    found = sorted(retrieval._nearest(queries, vectors, 4))
    expected = []
    for video in range(20):
        for frame in range(3):
            likeness = vectors @ queries[video, frame]
            likeness[video] = -np.inf
            nearest = np.argsort(-likeness.max(axis=1))[:4].tolist()
            expected += [(video, frame, o, int(likeness[o].argmax())) for o in nearest if likeness[o].max() > 0]
    assert found == sorted(expected)


def test_the_vocabulary_is_made_of_all_descriptors(folder, monkeypatch) -> None:
    monkeypatch.setattr(retrieval, "_SAMPLE", 100)
    signatures = compute_signatures(VideoList.from_paths(folder / f"{name}.mp4" for name in NAMES), workers=0)
    words = retrieval._vocabulary(signatures, signatures.rows)
    assert words.shape == (16, 128)
    assert np.isfinite(words).all()
    assert (words >= 0).all()
