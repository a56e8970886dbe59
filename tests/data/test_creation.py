"""Creation time and encoder of a file, and times in its name."""

import math
from datetime import UTC, datetime
from pathlib import Path

import av
import numpy as np
import pytest

from marey.data.recordings.creation import CreationMetadata, creation_metadata, time_in_name
from marey.video.writing.writer import write_video

MORNING = datetime(2024, 5, 4, 10, 15, 30, tzinfo=UTC).timestamp()


def written(path: Path, **metadata: str) -> Path:
    with av.open(str(path), "w") as file:
        file.metadata.update(metadata)
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for packet in [*stream.encode(av.VideoFrame(32, 32, "yuv420p")), *stream.encode(None)]:
            file.mux(packet)
    return path


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("2024-05-04T10:15:30Z", MORNING),
        ("2024-05-04T12:15:30+02:00", MORNING),
        ("1970-01-01T00:00:00Z", math.nan),  # the clock was never set
        ("yesterday", math.nan),
    ],
)
def test_the_creation_time_is_in_seconds_whatever_its_time_zone(tmp_path, time, seconds) -> None:
    found = creation_metadata(written(tmp_path / "a.mkv", creation_time=time))
    assert found.created == pytest.approx(seconds, nan_ok=True)
    assert "Lavf" in found.encoder


def test_files_without_metadata_have_empty_creation_metadata(tmp_path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"nothing")
    for path in (tmp_path, tmp_path / "bad.mp4", tmp_path / "none.mp4"):
        assert (math.isnan(creation_metadata(path).created), creation_metadata(path).encoder) == (True, "")
    write_video(tmp_path / "plain.mp4", [np.zeros((32, 32, 3), np.uint8)], 25)
    assert math.isnan(creation_metadata(tmp_path / "plain.mp4").created)
    assert math.isnan(CreationMetadata().created)


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("VID_20240504_101530.mp4", MORNING),
        ("2024-05-04 10.15.30.mov", MORNING),
        ("cam2-2024_05_04T10h15m30", MORNING),
        ("20240504101530", MORNING),
        ("PXL_20240504_1015", MORNING - 30),
        ("2024-05-04", math.nan),
        ("20241399_101530", math.nan),
        ("v_Archery_g07_c03.avi", math.nan),
        ("120240504101530", math.nan),
    ],
)
def test_a_date_and_a_time_in_a_name(name, seconds) -> None:
    assert time_in_name(name) == pytest.approx(seconds, nan_ok=True)
