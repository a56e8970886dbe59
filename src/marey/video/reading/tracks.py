"""Which track of a file is its film."""

import contextlib
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

_PICTURE = Disposition.attached_pic | Disposition.timed_thumbnails
_STILL_CODECS = {"mjpeg", "png", "bmp", "tiff", "webp"}


class Film(NamedTuple):
    """The track that is read as the video."""

    track: VideoStream | None
    """None where there is no film."""
    packets_read: bool
    """Whether the choice took a look at packets, so that the container is no longer at its beginning."""


def film_track(container: InputContainer) -> Film:
    """The track that is read as the video, by these rules in turn.

    1. Attached pictures and timed thumbnails, as FFmpeg marks them, are never it: album covers of MP3, M4A, FLAC, OGG and
       WMA, attachments of Matroska, chapter pictures of QuickTime.
    2. A track of one frame is not it where another one has more: cameras write a preview as an ordinary track. A single
       JPEG or PNG beside sound is a song with its cover. Alone, a track of one frame is a film of one frame.
    3. A track of still pictures (JPEG, PNG, ...) is not it where another one is coded as video: previews may have several
       frames.
    4. Of several films the first that the file marks as default, which players show; MP4 marks every enabled track. Where
       none is marked, the first.

    FFmpeg's own "best stream" is not asked: it weighs sizes and bit rates, so that a second camera or a larger copy would
    take the place of the track that was read before, and takes a preview for the film where only that is marked as default.

    Counting reads packets until every track in question has two, so that a file of one track costs nothing.
    """
    tracks = [track for track in container.streams.video if not track.disposition & _PICTURE]
    if len(tracks) < 2 and not (tracks and _is_still(tracks[0]) and container.streams.audio):
        return Film(tracks[0] if tracks else None, packets_read=False)
    packets = _up_to_two_packets(container, tracks)
    most = max(packets.values(), default=0)
    longest = [track for track in tracks if packets[track.index] == most]
    if most < 2 and container.streams.audio:
        longest = [track for track in longest if not _is_still(track)]
    return Film(min(longest, key=_rank, default=None), packets_read=True)


def no_film(container: InputContainer) -> str:
    """Why a file without a film is no video."""
    if not container.streams.video:
        return "holds no video stream"
    sound = "sound and " if container.streams.audio else ""
    return f"holds {sound}a cover picture, but no film"


def _is_still(track: VideoStream) -> bool:
    return bool(track.disposition & Disposition.still_image) or (
        track.codec_context is not None and track.codec_context.name in _STILL_CODECS
    )


def _rank(track: VideoStream) -> tuple[bool, bool, int]:
    return _is_still(track), not track.disposition & Disposition.default, track.index


def _up_to_two_packets(container: InputContainer, tracks: Iterable[VideoStream]) -> Counter[int]:
    """How many packets each track has, by its index: 0, 1, or 2 for more. Leaves the container anywhere."""
    found: Counter[int] = Counter()
    waiting = {track.index for track in tracks}
    with contextlib.suppress(av.FFmpegError):  # what is damaged shows when it is read
        for packet in container.demux(*tracks):
            if packet.size and packet.stream_index in waiting:
                found[packet.stream_index] += 1
                if found[packet.stream_index] == 2:
                    waiting.discard(packet.stream_index)
            if not waiting:
                break
    return found
