"""The index of a video file: which frames the file shows, and when. To make it takes a pass over the packets, or a full
decode.

Frame indices are never computed from times. If the time stamps of a file can be trusted, frame i is the packet with the i-th
smallest time stamp; this holds for constant and variable rates, B-frames and edit lists. If they cannot be trusted (AVI with
B-frames, invisible frames of VP8, program streams, irregular files), frames are counted by decoding.

If the beginning of a file was cut away, its video begins with the first picture that can be decoded without missing
references, and the frames before it count as left out.
"""

from dataclasses import dataclass, replace
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

_TRUSTED_CONTAINERS = {"mov", "matroska"}
_TRUSTED_CODECS = {"h264", "hevc", "av1", "libdav1d", "vp9", "mpeg4", "mjpeg", "png", "ffv1", "prores"}
"""Containers that store a time stamp per frame, and codecs in which every packet shows one frame."""

_WITHHOLDING_DECODERS = {"h264"}
"""Decoders that output nothing until they can show a complete picture. That need not be a key frame: in H.264 an intra
refresh can complete it. Other decoders output grey pictures with concealed errors (MPEG-4), or wait for a key frame."""


@dataclass(frozen=True)
class FrameIndex:
    """The frames of a file in display order."""

    pts: NDArray[np.int64]
    """Time stamps [N], ascending, in units of the stream's time base."""
    timestamps: NDArray[np.float64]
    """Times at which the frames are shown, in seconds [N]."""
    keys: NDArray[np.int64]
    """Indices of the key frames, which start a group of pictures."""
    key_pts: NDArray[np.int64]
    """Time stamps of the key frames, to seek to."""
    counted: bool
    """Whether time stamps cannot be trusted, so that frames are found only by counting from the start."""
    headless: bool
    """Whether the file does not begin with a key frame."""
    left_out: int = 0
    """Number of frames at the beginning of the file that are not in the index, because they cannot be decoded."""

    def __len__(self) -> int:
        return len(self.timestamps)

    @property
    def lacking(self) -> str:
        """Description of the frames that are left out; "" if there are none."""
        if self.left_out == 1:
            return "the first frame has no key frame and is left out"
        return f"the first {self.left_out} frames have no key frame and are left out" if self.left_out else ""

    def beginning_at(self, pts: int) -> "FrameIndex":
        """The index without the frames before a time stamp."""
        first = int(np.searchsorted(self.pts, pts))
        return replace(
            self,
            pts=self.pts[first:],
            timestamps=self.timestamps[first:],
            keys=np.maximum(self.keys - first, 0),
            left_out=self.left_out + first,
        )


def index_packets(container: InputContainer, stream: VideoStream) -> FrameIndex | None:
    """Index a file by a scan of its packets, without decoding; None if their time stamps cannot be trusted."""
    if not _trusted(container, stream):
        return None
    shown, keys, headless = [], [], None
    for packet in container.demux(stream):
        if packet.size == 0:  # the flush packet at the end
            continue
        headless = _is_headless(stream, packet) if headless is None else headless
        if packet.is_keyframe:
            keys.append(packet.pts)
        if not packet.is_discard:
            shown.append(packet.pts)
    if not shown or None in shown or (headless and "avi" in container.format.name):
        return None  # AVI's counted time stamps are wrong before the first key frame
    pts = np.sort(np.array(shown, dtype=np.int64))
    if (np.diff(pts) == 0).any():
        return None
    key_pts = np.array(sorted(p for p in keys if p is not None), dtype=np.int64)
    return FrameIndex(
        pts=pts,
        timestamps=np.asarray(pts * float(stream.time_base or 1), np.float64),
        # A discarded key frame before the first shown frame is the key frame of frame 0.
        keys=np.searchsorted(pts, key_pts),
        key_pts=key_pts,
        counted=False,
        headless=bool(headless),
    )


def index_by_decoding(container: InputContainer, stream: VideoStream) -> FrameIndex:
    """Index a file by decoding all of it.

    If the frames have no ascending time stamps, times are computed from the stream's mean rate.
    """
    beginning = Beginning(stream)
    shown = [picture.pts for packet in container.demux(stream) for picture in beginning.decode(packet)]
    empty = np.empty(0, dtype=np.int64)
    pts = np.array([p if p is not None else -1 for p in shown], dtype=np.int64)
    if None in shown or (np.diff(pts) <= 0).any():
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        timestamps = np.asarray(np.arange(len(shown)) / rate, np.float64)
    else:
        timestamps = np.asarray(pts * float(stream.time_base or 1), np.float64)
    return FrameIndex(
        pts=pts, timestamps=timestamps, keys=empty, key_pts=empty, counted=True, headless=beginning.headless,
        left_out=beginning.left_out,
    )  # fmt: skip


class Beginning:
    """Decodes a file from its beginning, from the first picture on that needs no missing references.

    If the file begins with a key frame, that is the first picture of the decoder. If the key frame was cut away, pictures
    before the next one are skipped, and so are packets that the decoder rejects until then.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._stream, self._codec = stream, stream.codec_context
        self.headless = False
        self.begun = False
        """Whether the first picture has been returned."""
        self._sent: list[tuple[int | None, bool]] = []
        """Time stamp of each packet up to the first picture, and whether the packet is a key frame."""
        self._first_pts: int | None = None

    def decode(self, packet: "Packet[Any]") -> list[VideoFrame]:
        """The pictures that the decoder outputs after one packet, the next in the file.

        Raises:
            av.FFmpegError: the packet is broken, and not because of data that was cut away.
        """
        if self.begun:
            return list(self._codec.decode(packet))
        if packet.size:
            self.headless = self.headless or (not self._sent and _is_headless(self._stream, packet))
            if not packet.is_discard:
                self._sent.append((packet.pts, packet.is_keyframe))
        try:
            pictures = list(self._codec.decode(packet))
        except av.FFmpegError:
            if not self.headless:
                raise
            return []
        for number, picture in enumerate(pictures):
            if self._stands_alone(picture):
                self.begun, self._first_pts = True, picture.pts
                return pictures[number:]
        return []

    @property
    def left_out(self) -> int:
        """Number of frames before the first picture, which are not shown."""
        # These frames precede the first key frame in the file; or, in an open GOP, they follow it there and are displayed
        # before it. Display order is known by time stamps, which AVI lacks: there packets before the key frame are counted.
        keys = [number for number, (_, is_key) in enumerate(self._sent) if is_key]
        first = self._first_pts
        shown_before = 0 if first is None else sum(pts is not None and pts < first for pts, _ in self._sent)
        return max(shown_before, keys[0] if keys else 0)

    def _stands_alone(self, picture: VideoFrame) -> bool:
        if not self.headless:
            return True
        return not picture.is_corrupt and (picture.key_frame or self._codec.name in _WITHHOLDING_DECODERS)


def _is_headless(stream: VideoStream, first: "Packet[Any]") -> bool:
    """Whether the key frame at the beginning of a file was cut away, judged by its first packet.

    If the container's index lists a key frame at this packet, the key frame is broken, not cut away. An index without a
    table of key frames shows nothing: it lists every frame as a key frame.
    """
    if first.is_keyframe:
        return False
    listed = [entry.is_keyframe for entry in stream.index_entries]
    at_first = bool(listed) and stream.index_entries[0].timestamp in (first.dts, first.pts)
    return not (at_first and listed[0]) or all(listed)


def _trusted(container: InputContainer, stream: VideoStream) -> bool:
    codec = stream.codec_context
    formats = set(container.format.name.split(","))
    if "avi" in formats:
        # AVI has no time stamps. FFmpeg counts them, which is correct only if frames are stored in display order.
        return codec.name == "mpeg4" and not codec.has_b_frames
    return bool(formats & _TRUSTED_CONTAINERS) and codec.name in _TRUSTED_CODECS
