"""Which frames a video file shows, and when: one pass over its packets, or over its frames where packets lie.

Frame numbers never come from time stamp arithmetic. Where time stamps can be trusted, frame i is the packet with the
i-th smallest one: constant or variable rate, B-frames, edit lists. Where they cannot (AVI with B-frames, invisible
frames of VP8, program streams, odd files), frames are counted by decoding.

Of a file whose beginning was cut away, the video is what can be decoded: it begins with the first picture that builds on
nothing that is missing, and the frames before it are counted as left out.
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
"""Containers that store a time stamp per frame, and codecs whose every packet shows one frame."""

_WITHHOLDING_DECODERS = {"h264"}
"""Decoders that show nothing before it is complete, so that what they show first need be no key frame: H.264 also recovers
by intra refresh. Others show grey that is patched up (MPEG-4), or wait for a key frame."""


@dataclass(frozen=True)
class FrameIndex:
    """The frames of a file in display order.

    `pts` are the time stamps [N] in units of the stream's time base, ascending. `keys` are the numbers of the frames
    that start a group of pictures, and `key_pts` their time stamps, to seek to. `counted` says that the packets' time
    stamps are no use: frames are found by counting from the start only. `headless` says that the file does not begin with
    a key frame, `left_out` how many frames at its beginning are not part of the video, because they cannot be decoded.
    """

    pts: NDArray[np.int64]
    timestamps: NDArray[np.float64]
    keys: NDArray[np.int64]
    key_pts: NDArray[np.int64]
    counted: bool
    headless: bool
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.timestamps)

    @property
    def lacking(self) -> str:
        """What is left out, in words; "" where nothing is."""
        if self.left_out == 1:
            return "the first frame has no key frame and is left out"
        return f"the first {self.left_out} frames have no key frame and are left out" if self.left_out else ""

    def beginning_at(self, pts: int) -> "FrameIndex":
        """The same index without the frames before a time stamp."""
        first = int(np.searchsorted(self.pts, pts))
        return replace(
            self,
            pts=self.pts[first:],
            timestamps=self.timestamps[first:],
            keys=np.maximum(self.keys - first, 0),
            left_out=self.left_out + first,
        )


def index_packets(container: InputContainer, stream: VideoStream) -> FrameIndex | None:
    """Index a file by a scan of its packets, decoding nothing; None where their time stamps cannot be trusted."""
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
        return None  # what AVI counts up goes wrong in front of the first key frame
    pts = np.sort(np.array(shown, dtype=np.int64))
    if (np.diff(pts) == 0).any():
        return None
    key_pts = np.array(sorted(p for p in keys if p is not None), dtype=np.int64)
    return FrameIndex(
        pts=pts,
        timestamps=np.asarray(pts * float(stream.time_base or 1), np.float64),
        # A discarded key frame before the first shown one counts as the start of frame 0's group.
        keys=np.searchsorted(pts, key_pts),
        key_pts=key_pts,
        counted=False,
        headless=bool(headless),
    )


def count_frames(container: InputContainer, stream: VideoStream) -> FrameIndex:
    """Index a file by decoding all of it.

    Where frames carry no ascending time stamps, times come from the stream's mean rate.
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
    """Decodes a file from its beginning on, and shows nothing before the first picture that builds on nothing missing.

    Of a file that begins with a key frame that is whatever the decoder shows first. Where the key frame was cut away, the
    pictures before the next one are passed over, and so are the packets that the decoder refuses until then.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._stream, self._codec = stream, stream.codec_context
        self.headless = False
        self.begun = False
        """Whether the first picture came."""
        self._sent: list[tuple[int | None, bool]] = []
        """The time stamp of each packet before it, and whether that is a key frame."""
        self._first_pts: int | None = None

    def decode(self, packet: "Packet[Any]") -> list[VideoFrame]:
        """What the decoder shows after one packet, the next in the file.

        Raises:
            av.FFmpegError: the packet is broken, and not for want of what was cut away.
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
        """How many frames before the first picture are not shown."""
        # Sent before the first key frame, or, in an open group, after it and shown before it. AVI knows no time stamps.
        keys = [number for number, (_, is_key) in enumerate(self._sent) if is_key]
        first = self._first_pts
        shown_before = 0 if first is None else sum(pts is not None and pts < first for pts, _ in self._sent)
        return max(shown_before, keys[0] if keys else 0)

    def _stands_alone(self, picture: VideoFrame) -> bool:
        if not self.headless:
            return True
        return not picture.is_corrupt and (picture.key_frame or self._codec.name in _WITHHOLDING_DECODERS)


def _is_headless(stream: VideoStream, first: "Packet[Any]") -> bool:
    """Whether the key frame that should begin a file was cut away, by its first packet.

    Where the container's own index has a key frame there, it is not missing but broken; unless that index calls every frame
    a key frame, as files without such an index do.
    """
    if first.is_keyframe:
        return False
    claims = [entry.is_keyframe for entry in stream.index_entries]
    there = bool(claims) and stream.index_entries[0].timestamp in (first.dts, first.pts)
    return not (there and claims[0]) or all(claims)


def _trusted(container: InputContainer, stream: VideoStream) -> bool:
    codec = stream.codec_context
    formats = set(container.format.name.split(","))
    if "avi" in formats:
        # AVI has no time stamps: they are counted up, and only right where frames are stored as they are shown.
        return codec.name == "mpeg4" and not codec.has_b_frames
    return bool(formats & _TRUSTED_CONTAINERS) and codec.name in _TRUSTED_CODECS
