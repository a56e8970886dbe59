"""The frames of an MP4 or QuickTime file by its index alone, so that of a file on a server no pictures are fetched for it.

FFmpeg reads the data of every packet that it shows. The time stamps, key frames and discarded packets of these containers
come from the index in the box `moov`, not from that data: here it is read as zeros, and the result is that of a full scan;
tests hold the two against one another. Everything that this does not hold for is scanned in full.
"""

import io
from typing import Final

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from marey.video.reading.index import FrameIndex, index_packets
from marey.video.reading.remote import RemoteFile

_BY_INDEX: Final = {"h264", "hevc", "av1", "libdav1d", "vp9"}
"""Codecs admitted by a test that holds the two scans against one another."""
_HEAD = 8
"""Bytes of a box's size and name; of one with a size of 64 bits twice as many."""
_MOST_BOXES = 100

Span = tuple[int, int]
"""The first byte of a part of a file, and the first one after it."""


def index_by_header(file: RemoteFile, container: InputContainer, stream: VideoStream) -> FrameIndex | None:
    """What `index_packets` gives, without the data of the packets. None where it takes these: then all of the file is
    fetched, but where it is too large. The container moves on.

    A full scan knows key frames by their data: those here are what the container calls so, which may be fewer. The first
    packet's data is looked at, and where the container calls all frames key frames, as files without a table of them do,
    there is no index. After a seek the reader looks whether a key frame is there.
    """
    index = _index_without_media(file, container, stream)
    if index is None:
        file.fetch_whole()
    return index


def _index_without_media(file: RemoteFile, container: InputContainer, stream: VideoStream) -> FrameIndex | None:
    if "mov" not in container.format.name.split(",") or stream.codec_context.name not in _BY_INDEX:
        return None
    first = next((packet for packet in container.demux(stream) if packet.size), None)
    if first is None or not first.is_keyframe:
        return None
    place = file.tell()  # where the container, which does not ask, will read on
    try:
        spans = media_spans(file)
        index = None if spans is None else _scanned(BlankMedia(file, spans), stream.index)
    finally:
        file.seek(place)
    if index is None or index.headless or len(index) == len(index.keys) > 1:
        return None
    return index


def _scanned(blank: "BlankMedia", number: int) -> FrameIndex | None:
    # A parser would look for key frames in the data.
    with av.open(blank, mode="r", options={"fflags": "+noparse"}) as scanned:
        blank.is_blank = True
        track = scanned.streams[number]
        return index_packets(scanned, track) if isinstance(track, VideoStream) else None


def media_spans(file: RemoteFile) -> list[Span] | None:
    """Where the data of packets lies in an MP4 or QuickTime file; None of one in fragments, and where its boxes are odd."""
    spans: list[Span] = []
    begin, has_index = 0, False
    for _ in range(_MOST_BOXES):
        if begin == file.size:
            return spans if has_index else None
        file.seek(begin)
        head = file.read(2 * _HEAD) or b""
        size, name, inside = int.from_bytes(head[:4], "big"), head[4:_HEAD], begin + _HEAD
        if size == 1:
            size, inside = int.from_bytes(head[_HEAD:], "big"), begin + 2 * _HEAD
        end = min(begin + size, file.size) if size else file.size
        if end < inside or name == b"moof":
            return None
        if name == b"mdat":
            spans.append((inside, end))
        has_index = has_index or name == b"moov"
        begin = end
    return None


class BlankMedia(io.RawIOBase):
    """A file whose media data is read as zeros, once `is_blank` is set; the rest is that of the file."""

    def __init__(self, file: RemoteFile, spans: list[Span]) -> None:
        self._file, self._spans = file, spans
        self.name = file.name
        self.is_blank = False
        file.seek(0)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The place of the next byte that is read."""
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place."""
        return self._file.seek(offset, whence)

    def readinto(self, buffer: "memoryview | bytearray", /) -> int:  # type: ignore[override]
        """Fill a buffer with the next bytes; how many there were. No more than up to where media data begins or ends."""
        view, begin = memoryview(buffer).cast("B"), self._file.tell()
        if not self.is_blank:
            return self._file.readinto(view)
        borders = [border for span in self._spans for border in span if border > begin]
        count = min(len(view), min(borders, default=self._file.size) - begin)
        if any(first <= begin < last for first, last in self._spans):
            view[:count] = bytes(count)
            self._file.seek(begin + count)
            return count
        return self._file.readinto(view[:count]) if count > 0 else 0
