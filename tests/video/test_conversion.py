"""Colours of "planes" against those of swscale ("rgb"), for every matrix and range."""

import numpy as np
import pytest

from marey.video.reading.conversion import rgb_matrix
from marey.video.reading.reader import open_video

# Mean difference in grey levels of 255. Chroma is upsampled by another filter, so edges differ; a wrong matrix or
# range shows as 4 and more (test_a_wrong_matrix_is_seen).
COLOUR = 2.0

FILES = (
    "bt601_limited_range.mp4",
    "bt601_full_range.mp4",
    "bt709_full_range.mp4",
    "nasa_13013.mp4",
    "av1_video.mkv",
)
FILES += (
    "testsrc2_odd_height_and_width_vp9.mp4",
    "testsrc2_odd_height_and_width_444.mp4",
    "decord_video_0.mov",
)


@pytest.mark.parametrize("name", FILES)
def test_planes_show_the_same_colours(shared, name) -> None:
    path = shared / "videos" / "decoder" / name
    with open_video(path) as exact, open_video(path, conversion="planes") as fast:
        middle, size = [len(exact) // 2], (exact.height // 2, exact.width // 2)
        a, b = exact.read(middle, size=size).astype(int), fast.read(middle, size=size).astype(int)
    assert abs(a - b).mean() < COLOUR


def test_a_wrong_matrix_is_seen(shared, monkeypatch) -> None:
    monkeypatch.setattr("marey.video.reading.conversion._FULL_RANGE", -1)
    path = shared / "videos" / "decoder" / "bt601_limited_range.mp4"
    with open_video(path) as exact, open_video(path, conversion="planes") as fast:
        fast._converter._matrices[(6, False)] = rgb_matrix(0.299, 0.114, full=True)
        a, b = exact.read([5], size=(60, 80)).astype(int), fast.read([5], size=(60, 80)).astype(int)
    assert abs(a - b).mean() > COLOUR


@pytest.mark.parametrize(("red", "blue"), [(0.299, 0.114), (0.2126, 0.0722), (0.2627, 0.0593)])
def test_grey_stays_grey_and_white_white(red, blue) -> None:
    limited, full = rgb_matrix(red, blue, full=False), rgb_matrix(red, blue, full=True)
    assert np.allclose(limited @ [16, 128, 128, 1], 0, atol=1e-3)
    assert np.allclose(limited @ [235, 128, 128, 1], 255, atol=1e-3)
    assert np.allclose(full @ [77, 128, 128, 1], 77, atol=1e-3)


@pytest.mark.parametrize(
    "name", ["h264_10bits.mp4", "bt2020_10bit.mp4", "testsrc2_444_12bit_hevc.mp4", "transparent.gif"]
)
def test_other_formats_are_converted_as_rgb(shared, name) -> None:
    path = shared / "videos" / "decoder" / name
    with open_video(path) as exact, open_video(path, conversion="planes") as fast:
        np.testing.assert_array_equal(exact.read([0], size=(30, 40)), fast.read([0], size=(30, 40)))
