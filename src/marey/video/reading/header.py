"""Indexes an MP4 or QuickTime file on a server without fetching its media data.

FFmpeg reads the data of every packet that it demuxes. In these containers the time stamps, key frames and discarded packets
come from the index in the box `moov` and not from that data. So the data is read as zeros here, and the result equals a full
scan, as tests verify. All other files are scanned in full.
"""

import io
from typing import Final

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from marey.video.reading.index import FrameIndex, index_packets
from marey.video.reading.remote import RemoteFile

_BY_INDEX: Final = {"h264", "hevc", "av1", "libdav1d", "vp9"}
"""Codecs for which a test verifies that both scans are equal."""
_HEAD = 8
"""Bytes of a box's size and name; twice as many for a size of 64 bits."""
_MOST_BOXES = 100
"""Most boxes of a file; one with more is scanned in full."""

Span = tuple[int, int]
"""Begin and end of a byte range of a file; the end is excluded."""


def index_by_header(file: RemoteFile, container: InputContainer, stream: VideoStream) -> FrameIndex | None:
    """The index of `index_packets`, without the data of packets; None if that data is needed.

    In that case the entire file is fetched, unless it is too large. The read position of the container changes.

    A full scan recognises key frames by their data. Here they are those that the container lists, which may be fewer. The
    first packet is read to verify that it is a key frame. If all frames are listed as key frames, as in files without a
    table of key frames, the result is None. After a seek, the reader checks that it arrived at a key frame.
    """
    index = _index_without_media(file, container, stream)
    if index is None:
        file.fetch_all()
    return index


def _index_without_media(file: RemoteFile, container: InputContainer, stream: VideoStream) -> FrameIndex | None:
    if "mov" not in container.format.name.split(",") or stream.codec_context.name not in _BY_INDEX:
        return None
    first = next((packet for packet in container.demux(stream) if packet.size), None)
    if first is None or not first.is_keyframe:
        return None
    position = file.tell()  # the container continues to read here, without a seek
    try:
        spans = media_spans(file)
        index = None if spans is None else _scanned(BlankMedia(file, spans), stream.index)
    finally:
        file.seek(position)
    if index is None or index.headless or len(index) == len(index.keys) > 1:
        return None
    return index


def _scanned(blank: "BlankMedia", number: int) -> FrameIndex | None:
    # FFmpeg's parser would look for key frames in the data.
    with av.open(blank, mode="r", options={"fflags": "+noparse"}) as scanned:
        blank.is_blank = True
        track = scanned.streams[number]
        return index_packets(scanned, track) if isinstance(track, VideoStream) else None


def media_spans(file: RemoteFile) -> list[Span] | None:
    """The byte ranges of media data in an MP4 or QuickTime file; None for a fragmented file or irregular boxes."""
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
    """A file whose media data is read as zeros once `is_blank` is set. Other bytes are those of the file."""

    def __init__(self, file: RemoteFile, spans: list[Span]) -> None:
        self._file, self._spans = file, spans
        self.name = file.name
        self.is_blank = False
        file.seek(0)

    def readable(self) -> bool:
        """Always true."""
        return True

    def seekable(self) -> bool:
        """Always true."""
        return True

    def tell(self) -> int:
        """The offset of the next byte that is read."""
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Set the offset of the next byte."""
        return self._file.seek(offset, whence)

    def readinto(self, buffer: "memoryview | bytearray", /) -> int:  # type: ignore[override]
        """Fill a buffer with the next bytes, up to a border of media data; returns their number."""
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
