"""The visual signature of a video: five frames and their keypoints."""

import numpy as np
import pytest

from marey.data.recordings.signature import KEYPOINT_FRAMES, NUM_FRAMES, Keypoints, Signature, signature_of
from tests.support.made_scenes import COUNT, HEIGHT, WIDTH, Held, mirrored, panned, recording, same, signature, texture


@pytest.fixture(scope="module")
def scene() -> Signature:
    return signature(recording(1, 1))


# -- frames


@pytest.mark.parametrize(
    ("first", "count", "read"),
    [
        (0, 1, [0, 0, 0, 0, 0]),
        (3, 1, [3, 3, 3, 3, 3]),
        (0, 2, [0, 0, 0, 1, 1]),
        (4, 3, [4, 4, 5, 6, 6]),
        (0, 5, [0, 1, 2, 3, 4]),
        (2, 21, [2, 7, 12, 17, 22]),
    ],
)
def test_the_first_and_last_frame_and_three_between_are_read(first, count, read) -> None:
    source = Held(panned(1))
    found = signature_of(source, first, count)
    assert source.asked == read
    assert (found.count, found.size) == (count, (HEIGHT, WIDTH))
    assert len(found.encoded) == len(found.frames) == NUM_FRAMES


def test_seconds_count_the_last_frame_too() -> None:
    source = Held(panned(1), fps=10)
    assert signature_of(source, 0, COUNT).seconds == pytest.approx(COUNT / 10)
    assert signature_of(source, 4, 5).seconds == pytest.approx(0.5)
    assert signature_of(source, 4, 1).seconds == 0


@pytest.mark.parametrize(
    ("size", "small"),
    [
        ((120, 160), (160, 213)),
        ((1080, 1920), (160, 284)),
        ((161, 97), (266, 160)),
        ((64, 640), (160, 480)),
        ((640, 64), (480, 160)),
        ((160, 480), (160, 480)),
        ((1, 1), (160, 160)),
    ],
)
def test_the_shorter_side_has_160_pixels_and_the_longer_one_at_most_480(size, small) -> None:
    found = signature(np.zeros((1, *size, 3), np.uint8))
    assert found.frames.shape == (NUM_FRAMES, *small, 3)
    assert found.grey.shape == found.smooth.shape == (NUM_FRAMES, *small)
    assert found.size == size


def test_frames_are_stored_nearly_unchanged(scene) -> None:
    original = Held(recording(1, 1)).read([0, COUNT - 1], size=scene.frames.shape[1:3])
    assert np.abs(scene.frames[[0, -1]].astype(float) - original).mean() < 3


def test_a_signature_is_the_same_each_time(scene) -> None:
    assert same(scene, signature(recording(1, 1)))
    assert not same(scene, signature(recording(1, 2)))


# -- keypoints


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_uniform_frame_has_no_keypoints(level) -> None:
    found = signature(np.full((3, 60, 80, 3), level, np.uint8))
    for keypoints in found.keypoints:
        assert keypoints.points.shape == (0, 2)
        assert keypoints.descriptors.shape == keypoints.rooted.shape == (0, 128)
        assert keypoints.mirrored(80).points.shape == (0, 2)


def test_keypoints_lie_within_their_frames(scene) -> None:
    height, width = scene.frames.shape[1:3]
    for keypoints in scene.keypoints:
        assert len(keypoints.points) == len(keypoints.descriptors) > 50
        assert (keypoints.points >= -0.5).all()
        assert (keypoints.points <= [width, height]).all()


def test_keypoints_of_a_turning_camera_differ_from_frame_to_frame() -> None:
    first, middle, last = signature(panned(3)).keypoints
    assert not np.array_equal(first.points, middle.points)
    assert not np.array_equal(middle.points, last.points)


def test_rooted_descriptors_have_length_1(scene) -> None:
    rooted = scene.keypoints[0].rooted
    assert np.linalg.norm(rooted, axis=1) == pytest.approx(np.ones(len(rooted)), abs=1e-5)
    zeros = Keypoints(np.zeros((2, 2), np.float32), np.zeros((2, 128), np.uint8))
    assert not zeros.rooted.any()


def test_mirrored_twice_is_the_same(scene) -> None:
    once = scene.keypoints[0].mirrored(213)
    twice = once.mirrored(213)
    assert not np.array_equal(once.descriptors, scene.keypoints[0].descriptors)
    assert np.array_equal(twice.descriptors, scene.keypoints[0].descriptors)
    assert twice.points == pytest.approx(scene.keypoints[0].points, abs=1e-3)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("width", [WIDTH, WIDTH + 5])
def test_mirrored_keypoints_are_those_of_the_mirrored_frame(seed, width) -> None:
    """SIFT finds about 95 % of the keypoints again, within a tenth of a pixel."""
    frames = texture(seed, HEIGHT, width)[None]
    original, flipped = signature(frames), signature(mirrored(frames))
    found = flipped.keypoints[0]
    ours = original.keypoints[0].mirrored(original.frames.shape[2])
    offsets = found.points[None] - ours.points[:, None]
    likeness = np.where(np.abs(offsets).max(axis=2) < 1.5, ours.rooted @ found.rooted.T, -1)
    equal = likeness.max(axis=1) > 0.97
    assert equal.mean() > 0.75
    of_equal = offsets[np.flatnonzero(equal), likeness.argmax(axis=1)[equal]]
    assert np.abs(np.median(of_equal, axis=0)).max() < 0.05
    not_mirrored = np.where(likeness > -1, original.keypoints[0].rooted @ found.rooted.T, -1)
    assert (not_mirrored.max(axis=1) > 0.97).mean() < 0.05


# -- as arrays


@pytest.mark.parametrize("frames", [recording(1, 1), panned(2), np.zeros((2, 30, 40, 3), np.uint8)])
def test_arrays_hold_all_of_a_signature(frames, tmp_path) -> None:
    made = signature(frames)
    np.savez(tmp_path / "arrays.npz", **made.as_arrays())
    with np.load(tmp_path / "arrays.npz", allow_pickle=False) as arrays:
        read = Signature.from_arrays(arrays)
    assert same(made, read)
    assert (read.count, read.seconds, read.size) == (made.count, made.seconds, made.size)
    assert np.array_equal(read.frames, made.frames)
    for ours, theirs in zip(made.keypoints, read.keypoints, strict=True):
        assert ours.points.dtype == theirs.points.dtype == np.float32
        assert np.array_equal(ours.rooted, theirs.rooted)


def test_keypoints_belong_to_the_frames_as_they_are_stored(scene) -> None:
    """They do not belong to the frames before these were encoded."""
    read = Signature.from_arrays(scene.as_arrays())
    again = signature_of(Held(read.frames), 0, NUM_FRAMES)
    assert [len(keypoints.points) for keypoints in again.keypoints] == pytest.approx(
        [len(scene.keypoints[index].points) for index in range(len(KEYPOINT_FRAMES))], rel=0.1
    )


@pytest.mark.parametrize("lost", ["jpeg", "ends", "points", "descriptors", "counts", "video", "encoder"])
def test_other_arrays_are_refused(scene, lost) -> None:
    arrays = scene.as_arrays()
    with pytest.raises(KeyError):
        Signature.from_arrays({name: array for name, array in arrays.items() if name != lost})


def test_bytes_that_are_no_image_are_refused(scene) -> None:
    arrays = scene.as_arrays() | {"jpeg": np.zeros(100, np.uint8), "ends": np.arange(20, 101, 20)}
    with pytest.raises(ValueError, match="no JPEG"):
        _ = Signature.from_arrays(arrays).frames
