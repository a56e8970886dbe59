"""The index of an MP4 or QuickTime file without its media data equals that of a full scan."""

from pathlib import Path

import av
import numpy as np
import pytest

pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")
pytest.importorskip("botocore")

import fsspec

from marey.base.address import Address
from marey.video.reading import header, remote
from marey.video.reading.index import FrameIndex, index_packets
from marey.video.reading.reader import Video, open_video
from marey.video.reading.remote import RemoteFile
from marey.video.reading.tracks import find_video_track
from tests.support.made_videos import MAKERS, encode, without_head

KINDS = {
    "h264_open.mp4": ("libx264", {"x264-params": "open-gop=1:keyint=12:min-keyint=12:bframes=3:b-adapt=0:scenecut=0"}),
    "h264_refresh.mp4": ("libx264", {"x264-params": "intra-refresh=1:keyint=12:bframes=0:scenecut=0"}),
    "h264_all_keys.mp4": ("libx264", {"x264-params": "keyint=1"}),
    "hevc_open.mp4": ("libx265", {"x265-params": "log-level=none:keyint=12:min-keyint=12:open-gop=1:bframes=3"}),
    "vp9.mp4": ("libvpx-vp9", {"cpu-used": "8", "deadline": "realtime"}),
    "h264.mov": ("libx264", {"bf": "3"}),
    "front.mp4": ("libx264", {"bf": "3"}),
}
TAKEN = {"cfr.mp4", "vfr.mp4", "opengop.mp4", "hevc.mp4", "cut.mp4", *KINDS} - {"h264_all_keys.mp4"}
"""Files that are indexed without their media data."""


@pytest.fixture(autouse=True)
def read_by_small_blocks(monkeypatch) -> None:
    monkeypatch.setattr(remote, "SMALL", 0)
    monkeypatch.setattr(remote, "BLOCK", 1000)


@pytest.fixture(scope="module")
def containers(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("containers")
    made = [make(folder) for make in MAKERS]
    made += [encode(folder / name, 40, codec=codec, options=options) for name, (codec, options) in KINDS.items()]
    with (
        av.open(str(folder / "whole.mp4")) as old,
        av.open(str(folder / "front.mp4"), "w", options={"movflags": "+faststart"}) as new,
    ):
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    return made


def at_address(path: Path) -> Address:
    with fsspec.filesystem("memory").open(f"memory:///{path.name}", "wb") as file:
        file.write(path.read_bytes())
    return Address(f"memory:///{path.name}")


def both(path: Path) -> tuple[FrameIndex | None, FrameIndex | None]:
    """The index without media data, and that of a full scan."""
    with RemoteFile(at_address(path)) as file, av.open(file, mode="r") as container:
        track = find_video_track(container).track
        found = header._index_without_media(file, container, track)
        number = track.index
    with av.open(str(path)) as container:
        return found, index_packets(container, container.streams[number])


def equal(one: FrameIndex, other: FrameIndex) -> bool:
    columns = ("pts", "timestamps", "keys", "key_pts")
    same = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in columns)
    return same and (one.counted, one.headless, one.left_out) == (other.counted, other.headless, other.left_out)


def test_the_index_from_the_header_equals_a_full_scan(containers) -> None:
    taken = set()
    for path in containers:
        found, scanned = both(path)
        if found is not None:
            taken.add(path.name)
            assert equal(found, scanned), path.name
    assert taken == TAKEN


def test_the_index_from_the_header_equals_a_full_scan_of_real_files(shared) -> None:
    taken = 0
    for path in sorted((shared / "videos" / "decoder").iterdir()):
        with av.open(str(path)) as container:
            if find_video_track(container).track is None or find_video_track(container).track.codec_context is None:
                continue
        found, scanned = both(path)
        taken += found is not None
        assert found is None or equal(found, scanned), path.name
    assert taken > 30


def test_frames_read_by_the_header_are_those_of_the_file(containers) -> None:
    for path in containers:
        with open_video(path) as local, open_video(str(at_address(path))) as far:
            assert np.array_equal(far.timestamps, local.timestamps), path.name
            for wanted in ([len(local) - 1, 0, len(local) // 2], range(len(local))):
                assert np.array_equal(far.read(wanted), local.read(wanted)), path.name


def test_a_file_cut_short_is_read_as_far_as_it_goes(containers, tmp_path) -> None:
    whole = next(path for path in containers if path.name == "front.mp4")
    short = tmp_path / "short.mp4"
    short.write_bytes(whole.read_bytes()[:-3000])
    found, scanned = both(short)
    assert equal(found, scanned)
    assert len(found) < len(both(whole)[0])


def test_a_file_whose_beginning_was_cut_away_is_scanned_in_full(containers, tmp_path) -> None:
    whole = next(path for path in containers if path.name == "cfr.mp4")
    cut = without_head(whole, tmp_path / "cut.mp4", 5)
    assert both(cut)[0] is None
    with open_video(cut) as local, open_video(str(at_address(cut))) as far:
        assert len(far) == len(local)
        assert np.array_equal(far.read(range(len(far))), local.read(range(len(local))))


def test_fragments_are_scanned_in_full(containers, tmp_path) -> None:
    path = tmp_path / "fragments.mp4"
    source = next(path for path in containers if path.name == "cfr.mp4")
    with av.open(str(source)) as old, av.open(str(path), "w", options={"movflags": "frag_keyframe+empty_moov"}) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    assert both(path)[0] is None
    with open_video(path) as local, Video(str(at_address(path))) as far:
        assert np.array_equal(far.read(range(len(far))), local.read(range(len(local))))


@pytest.mark.parametrize(
    "content",
    [b"", b"\0\0\0\x08moov", b"\0\0\0\x04moov", b"\0\0\0\x01mdat" + bytes(8), b"x" * 200, b"\0\0\0\x08free" * 200],
)
def test_irregular_boxes_have_no_spans(content) -> None:
    with fsspec.filesystem("memory").open("memory:///odd", "wb") as file:
        file.write(content)
    with RemoteFile(Address("memory:///odd")) as file:
        assert header.media_spans(file) == ([] if content == b"\0\0\0\x08moov" else None)
