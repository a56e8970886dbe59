"""Whether two small frames show the same, and where."""

import numpy as np
import pytest

from marey.data.recordings.matching import Alignment, agreement, align, align_whole_frames, is_copy, same_moment
from marey.data.recordings.signature import Keypoints, Signature
from tests.support.made_scenes import (
    COUNT,
    HEIGHT,
    WIDTH,
    marked,
    mirrored,
    panned,
    recording,
    scaled,
    signature,
    texture,
)


def of_complete_frames(first: Signature, second: Signature, *, mirrored: bool = False) -> Alignment:
    return align_whole_frames(first.smooth.shape[1:], second.smooth.shape[1:], mirrored=mirrored)


def aligned(first: Signature, second: Signature, *, mirrored: bool = False) -> Alignment | None:
    """The alignment of their middle frames by keypoints."""
    keypoints = first.keypoints[1]
    keypoints = keypoints.mirrored(first.frames.shape[2]) if mirrored else keypoints
    return align(keypoints, second.keypoints[1], mirrored=mirrored)


def copies(first: Signature, second: Signature, *, mirrored: bool = False) -> list[bool]:
    """Whether they are copies, in both orders, each aligned by complete frames and by keypoints."""
    found = []
    for one, other in ((first, second), (second, first)):
        alignment = aligned(one, other, mirrored=mirrored)
        assert alignment is not None
        found += [
            is_copy(one, other, of_complete_frames(one, other, mirrored=mirrored)),
            is_copy(one, other, alignment),
        ]
    return found


@pytest.fixture(scope="module")
def scene() -> Signature:
    return signature(recording(1, 1))


# -- how one frame is mapped onto another


def test_a_frame_is_mapped_onto_itself(scene) -> None:
    alignment = aligned(scene, scene)
    assert alignment is not None
    assert alignment.matrix == pytest.approx(np.eye(2, 3), abs=1e-6)
    assert alignment.keypoints == len(scene.keypoints[1].points)
    assert not alignment.mirrored


@pytest.mark.parametrize(("top", "left", "height", "width"), [(12, 20, 120, 160), (0, 0, 108, 144), (30, 30, 96, 150)])
def test_a_crop_is_found_where_it_was_cut(top, left, height, width) -> None:
    frames = recording(1, 1)
    first = signature(frames)
    crop = signature(frames[:, top : top + height, left : left + width])
    alignment = aligned(first, crop)
    assert alignment is not None
    scale_first, scale_crop = 160 / HEIGHT, 160 / min(height, width)
    scale = scale_crop / scale_first
    assert alignment.matrix[:, :2] == pytest.approx(np.eye(2) * scale, abs=0.03)
    corner = alignment.matrix @ [(left + 0.5) * scale_first - 0.5, (top + 0.5) * scale_first - 0.5, 1]
    assert corner == pytest.approx([0, 0], abs=2.5)


def test_a_mirrored_frame_is_aligned_only_as_a_mirror_image() -> None:
    frames = recording(2, 1)
    first, flipped = signature(frames), signature(mirrored(frames))
    alignment = aligned(first, flipped, mirrored=True)
    assert alignment is not None
    assert alignment.mirrored
    assert alignment.matrix == pytest.approx(np.eye(2, 3), abs=0.2)
    assert np.abs(alignment.matrix[:, :2] - np.eye(2)).max() < 0.01
    assert aligned(first, flipped) is None


def test_different_scenes_cannot_be_aligned(scene) -> None:
    assert [aligned(scene, signature(texture(seed, HEIGHT, WIDTH)[None])) for seed in range(10, 14)] == [None] * 4


def test_fewer_than_eight_keypoints_give_no_alignment(scene) -> None:
    black, all_of_them = signature(np.zeros((1, 60, 80, 3), np.uint8)), scene.keypoints[0]
    few = Keypoints(all_of_them.points[:7], all_of_them.descriptors[:7])
    for keypoints in (black.keypoints[0], few):
        assert align(keypoints, all_of_them, mirrored=False) is None
        assert align(all_of_them, keypoints, mirrored=False) is None


@pytest.mark.parametrize(
    ("across", "down", "plausible"),
    [
        (1, 1, True),
        (3.5, 3.5, True),
        (0.3, 0.3, True),
        (1, 1.8, True),
        (4.5, 4.5, False),
        (0.2, 0.2, False),
        (1, 2.5, False),
        (-1, 1, False),
    ],
)
def test_an_alignment_does_not_stretch_or_scale_far_or_mirror(scene, across, down, plausible) -> None:
    keypoints = scene.keypoints[0]
    moved = Keypoints((keypoints.points * [across, down] + [5, 7]).astype(np.float32), keypoints.descriptors)
    alignment = align(keypoints, moved, mirrored=False)
    assert (alignment is not None) == plausible
    if alignment is not None:
        assert alignment.matrix == pytest.approx(np.array([[across, 0, 5], [0, down, 7]]), abs=0.05)


@pytest.mark.parametrize("first", [(160, 213), (160, 480), (284, 160)])
@pytest.mark.parametrize("second", [(160, 213), (160, 284), (480, 160)])
def test_aligning_complete_frames_maps_corners_to_corners(first, second) -> None:
    """The outer corners of the corner pixels, whose centres are whole numbers."""
    matrix = align_whole_frames(first, second, mirrored=False).matrix
    for down in (0, 1):
        for across in (0, 1):
            ours = [across * first[1] - 0.5, down * first[0] - 0.5, 1]
            assert matrix @ ours == pytest.approx([across * second[1] - 0.5, down * second[0] - 0.5], abs=1e-9)


# -- where they agree


def test_a_frame_agrees_with_itself_everywhere(scene) -> None:
    found = agreement(scene, scene, (0, 0), of_complete_frames(scene, scene))
    assert found.likeness.shape == (160 // 8 * (213 // 8),)
    assert found.share == 1
    assert np.nanmin(found.likeness) == pytest.approx(1, abs=1e-3)
    assert found.same_scene


@pytest.mark.parametrize("sides", [((160, 213), (160, 284)), ((160, 284), (160, 213)), ((160, 170), (160, 480))])
def test_a_complete_frame_covers_every_block(sides) -> None:
    rng = np.random.default_rng(4)
    spots = (rng.integers(0, 256, (40, size[1] // 4 + 1, 3), np.uint8).repeat(4, 0).repeat(4, 1) for size in sides)
    first, second = (signature(frame[None, :, : size[1]]) for frame, size in zip(spots, sides, strict=True))
    assert not np.isnan(agreement(first, second, (0, 0), of_complete_frames(first, second)).likeness).any()


def test_blocks_outside_the_first_frame_have_no_likeness(scene) -> None:
    shifted = Alignment(np.array([[1.0, 0, 16], [0, 1, -8]]), mirrored=False, keypoints=0)
    blocks = agreement(scene, scene, (0, 0), shifted).likeness.reshape(160 // 8, 213 // 8)
    assert np.isnan(blocks[:, :2]).all()
    assert np.isnan(blocks[-1]).all()
    assert not np.isnan(blocks[:-1, 2:]).all(axis=0).any()


def test_uniform_frames_have_nothing_to_compare() -> None:
    black, grey = (signature(np.full((1, 60, 80, 3), level, np.uint8)) for level in (0, 128))
    found = agreement(black, grey, (0, 0), of_complete_frames(black, grey))
    assert np.isnan(found.likeness).all()
    assert (found.share, found.area, found.same_scene) == (0, 0, False)
    assert not is_copy(black, grey, of_complete_frames(black, grey))
    assert not same_moment(black, grey, (0, 0), of_complete_frames(black, grey))


def test_half_of_a_frame_is_a_scene_and_a_logo_is_none() -> None:
    one, other = texture(5, HEIGHT, WIDTH), texture(6, HEIGHT, WIDTH)
    half, corner = other.copy(), other.copy()
    half[:, : WIDTH // 2] = one[:, : WIDTH // 2]
    corner[:36, :40] = one[:36, :40]
    first = signature(one[None])
    found = {}
    for name, frame in (("half", half), ("corner", corner), ("other", other)):
        second = signature(frame[None])
        found[name] = agreement(first, second, (0, 0), of_complete_frames(first, second))
        back = agreement(second, first, (0, 0), of_complete_frames(second, first))
        assert back.share == pytest.approx(found[name].share, abs=0.01)
    assert found["half"].share == pytest.approx(0.5, abs=0.2)
    assert [name for name, each in found.items() if each.same_scene] == ["half"]


def test_brightness_and_contrast_change_nothing(scene) -> None:
    dark = signature((recording(1, 1) * 0.5 + 20).astype(np.uint8))
    found = agreement(scene, dark, (2, 2), of_complete_frames(scene, dark))
    assert found.share > 0.95


# -- copies


MADE = {
    "the same": lambda frames: frames,
    "scaled": lambda frames: scaled(frames, 96, 128),
    "stretched": lambda frames: scaled(frames, 144, 240),
    "marked": marked,
    "darker": lambda frames: (frames * 0.6 + 10).astype(np.uint8),
}


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("frames", [recording(7, 3), panned(7)], ids=["fixed", "turning"])
def test_copies_are_recognised(frames, made) -> None:
    assert copies(signature(frames), signature(MADE[made](frames))) == [True] * 4


@pytest.mark.parametrize("frames", [recording(7, 3), panned(7)], ids=["fixed", "turning"])
def test_mirrored_copies_are_recognised(frames) -> None:
    flipped = signature(mirrored(scaled(frames, 120, 160)))
    assert copies(signature(frames), flipped, mirrored=True) == [True] * 4
    assert not is_copy(signature(frames), flipped, of_complete_frames(signature(frames), flipped))


def test_crops_are_copies_aligned_by_keypoints() -> None:
    frames = recording(8, 4)
    first, crop = signature(frames), signature(frames[:, 8:-8, 10:-14])
    for one, other in ((first, crop), (crop, first)):
        alignment = aligned(one, other)
        assert alignment is not None
        assert is_copy(one, other, alignment)


@pytest.mark.parametrize("others", [2, 3, 4])
def test_other_things_in_the_same_scene_are_no_copy(scene, others) -> None:
    other = signature(recording(1, others))
    assert agreement(scene, other, (2, 2), of_complete_frames(scene, other)).same_scene
    assert copies(scene, other) == [False] * 4


def test_videos_with_nothing_but_a_bar_in_common_are_no_copies() -> None:
    """At the top of one and at the bottom of the other: aligned by the bar, they overlap only in it."""
    bar = texture(70, HEIGHT // 3, WIDTH)
    above, below = recording(1, 1), recording(2, 2)
    above[:, : len(bar)], below[:, -len(bar) :] = bar, bar
    first, second = signature(above), signature(below)
    for one, other in ((first, second), (second, first)):
        alignment = aligned(one, other)
        assert alignment is not None
        assert abs(alignment.matrix[1, 2]) > 100
        assert not is_copy(one, other, alignment)


def test_another_segment_of_a_recording_is_no_copy() -> None:
    frames = recording(9, 5, count=2 * COUNT)
    assert copies(signature(frames[:COUNT]), signature(frames[COUNT:])) == [False] * 4


def test_a_recording_backwards_is_no_copy() -> None:
    frames = recording(9, 5)
    first, back = signature(frames), signature(frames[::-1])
    assert not is_copy(first, back, of_complete_frames(first, back))


def test_still_images_are_copies_where_nearly_all_blocks_agree() -> None:
    picture = texture(3, HEIGHT, WIDTH)
    still, darker = signature(picture[None]), signature((picture[None] * 0.7).astype(np.uint8))
    assert copies(still, darker) == [True] * 4
    picture[:, : WIDTH // 3] = texture(4, HEIGHT, WIDTH // 3)
    assert copies(still, signature(picture[None])) == [False] * 4


# -- moments


def test_the_last_frame_of_a_segment_and_the_first_of_the_next_show_one_moment() -> None:
    frames = recording(11, 6, count=3 * COUNT)
    before, after = signature(frames[:COUNT]), signature(frames[COUNT : 2 * COUNT])
    alignment = of_complete_frames(before, after)
    assert same_moment(before, after, (4, 0), alignment)
    assert same_moment(after, before, (0, 4), of_complete_frames(after, before))
    assert not same_moment(before, after, (0, 0), alignment)
    assert not same_moment(before, after, (4, 4), alignment)
    later = signature(frames[2 * COUNT :])
    assert not same_moment(before, later, (4, 0), of_complete_frames(before, later))


def test_frames_show_no_moment_where_nothing_moves() -> None:
    still = signature(np.repeat(texture(3, HEIGHT, WIDTH)[None], 5, axis=0))
    assert not same_moment(still, still, (0, 0), of_complete_frames(still, still))
