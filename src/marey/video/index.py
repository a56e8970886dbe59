"""Which frames a video file shows, and when: one pass over its packets, or over its frames where packets lie.

Frame numbers never come from time stamp arithmetic. Where time stamps can be trusted, frame i is the packet with the
i-th smallest one: constant or variable rate, B-frames, edit lists. Where they cannot (AVI with B-frames, invisible
frames of VP8, program streams, odd files), frames are counted by decoding.
"""

from dataclasses import dataclass

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

_TRUSTED_CONTAINERS = {"mov", "matroska"}
_TRUSTED_CODECS = {"h264", "hevc", "av1", "libdav1d", "vp9", "mpeg4", "mjpeg", "png", "ffv1", "prores"}
"""Containers that store a time stamp per frame, and codecs whose every packet shows one frame."""


@dataclass(frozen=True)
class FrameIndex:
    """The frames of a file in display order.

    `pts` are the time stamps [N] in units of the stream's time base, ascending. `keys` are the numbers of the frames
    that start a group of pictures, and `key_pts` their time stamps, to seek to. `counted` says that the packets' time
    stamps are no use: frames are found by counting from the start only.
    """

    pts: NDArray[np.int64]
    timestamps: NDArray[np.float64]
    keys: NDArray[np.int64]
    key_pts: NDArray[np.int64]
    counted: bool

    def __len__(self) -> int:
        return len(self.timestamps)


def index_packets(container: InputContainer, stream: VideoStream) -> FrameIndex | None:
    """Index a file by a scan of its packets, decoding nothing; None where their time stamps cannot be trusted."""
    if not _trusted(container, stream):
        return None
    shown, keys = [], []
    for packet in container.demux(stream):
        if packet.size == 0:  # the flush packet at the end
            continue
        if packet.is_keyframe:
            keys.append(packet.pts)
        if not packet.is_discard:
            shown.append(packet.pts)
    if not shown or None in shown:
        return None
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
    )


def count_frames(container: InputContainer, stream: VideoStream) -> FrameIndex:
    """Index a file by decoding all of it.

    Where frames carry no ascending time stamps, times come from the stream's mean rate.
    """
    shown = [frame.pts for frame in container.decode(stream)]
    empty = np.empty(0, dtype=np.int64)
    pts = np.array([p if p is not None else -1 for p in shown], dtype=np.int64)
    if None in shown or (np.diff(pts) <= 0).any():
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        timestamps = np.asarray(np.arange(len(shown)) / rate, np.float64)
    else:
        timestamps = np.asarray(pts * float(stream.time_base or 1), np.float64)
    return FrameIndex(pts=pts, timestamps=timestamps, keys=empty, key_pts=empty, counted=True)


def _trusted(container: InputContainer, stream: VideoStream) -> bool:
    codec = stream.codec_context
    formats = set(container.format.name.split(","))
    if "avi" in formats:
        # AVI has no time stamps: they are counted up, and only right where frames are stored as they are shown.
        return codec.name == "mpeg4" and not codec.has_b_frames
    return bool(formats & _TRUSTED_CONTAINERS) and codec.name in _TRUSTED_CODECS
