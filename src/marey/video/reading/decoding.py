"""State of a decoder on its way through a video file, and the errors of frames that it cannot show."""

from collections.abc import Callable, Iterator
from typing import Any

from av.packet import Packet
from av.video.frame import VideoFrame

from marey.base.errors import DecodeError


class FetchError(DecodeError):
    """A server does not send a file, or the needed bytes of it. No frame can be decoded until it does."""


class FrameError(DecodeError):
    """The decoder does not output a requested frame, or not as it was encoded. Frames before `near` were decoded
    correctly.
    """

    def __init__(self, path: str, reason: str, near: int = 0) -> None:
        super().__init__(path, reason)
        self.near = near


class LeftOutError(FrameError):
    """The decoder shows later frames but omits this one, without an error."""


class DecodingState:
    """State of a decoder that started at a key frame. A picture is a frame as the decoder returns it (`av.VideoFrame`).

    Args:
        packets: The packets that are still to be sent to the decoder.
        number: Index of the frame at which decoding starts.
        decode: Sends one packet to the decoder and returns the pictures that it outputs.
    """

    def __init__(
        self, packets: "Iterator[Packet[Any]]", number: int, decode: "Callable[[Packet[Any]], list[VideoFrame]]"
    ) -> None:
        self.packets, self.start, self.decode = packets, number, decode
        self.ready: list[VideoFrame] = []
        """Pictures that the decoder has output and that have not been used yet."""
        self.next = number
        """The lowest frame index that decoding has not passed."""
        self.skipped: set[int] = set()
        """Indices of frames that were skipped without decoding."""
        self.begun = False
        """Whether a picture has been used."""
        self.done = False
        """Whether no further pictures will come."""
        self.corrupt_from: int | None = None
        """Index of the first frame since the last key frame that the decoder concealed errors in; None if there is none."""

    def update_corruption(self, picture: VideoFrame) -> None:
        """Update `corrupt_from` for a picture that `next` has just passed: it may be corrupt, or an intact key frame."""
        if picture.is_corrupt:
            self.corrupt_from = self.next - 1 if self.corrupt_from is None or picture.key_frame else self.corrupt_from
        elif picture.key_frame:
            self.corrupt_from = None


def ffmpeg_reason(error: Exception) -> str:
    """FFmpeg's error message without its number and the path, which a DecodeError names already."""
    return str(getattr(error, "strerror", None) or error).split(": '")[0]
