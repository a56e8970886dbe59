"""Decoding on its way through a video file, and what it cannot show."""

from collections.abc import Callable, Iterator
from typing import Any

from av.packet import Packet
from av.video.frame import VideoFrame

from marey.base.errors import DecodeError


class FetchError(DecodeError):
    """A server does not give a file, or the part of it that is needed: no frame can be decoded until it does."""


class FrameError(DecodeError):
    """A wanted frame is not shown, or not as it was encoded. Up to the frame `near` the decoder was right."""

    def __init__(self, path: str, reason: str, near: int = 0) -> None:
        super().__init__(path, reason)
        self.near = near


class LeftOutError(FrameError):
    """The decoder shows later frames, and not this one, without an error."""


class Decoding:
    """Decoding on its way through a file, from a key frame on.

    Args:
        packets: What is still to be sent to the decoder.
        number: The frame with which decoding starts.
        decode: What the decoder shows after a packet.
    """

    def __init__(
        self, packets: "Iterator[Packet[Any]]", number: int, decode: "Callable[[Packet[Any]], list[VideoFrame]]"
    ) -> None:
        self.packets, self.start, self.decode = packets, number, decode
        self.ready: list[VideoFrame] = []
        """Pictures that the decoder gave and that were not taken yet."""
        self.next = number
        """The smallest number that decoding has not passed."""
        self.skipped: set[int] = set()
        """Frames that were passed over undecoded."""
        self.begun = False
        """Whether a picture came."""
        self.done = False
        """Whether nothing comes any more."""
        self.spoilt: int | None = None
        """The first picture since the last key frame that was patched up."""

    def look_at(self, picture: VideoFrame) -> None:
        """Note whether this picture, which `next` has just passed, was patched up, or starts afresh."""
        if picture.is_corrupt:
            self.spoilt = self.next - 1 if self.spoilt is None or picture.key_frame else self.spoilt
        elif picture.key_frame:
            self.spoilt = None
