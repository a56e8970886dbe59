"""Which track of a file is read as the video."""

import contextlib
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

_ATTACHED = Disposition.attached_pic | Disposition.timed_thumbnails
_STILL_CODECS = {"mjpeg", "png", "bmp", "tiff", "webp"}


class VideoTrack(NamedTuple):
    """The track that is read as the video, if the file has one."""

    track: VideoStream | None
    """The stream; None if the file has no video."""
    packets_read: bool
    """Whether packets were read to choose it, so that the container is no longer at its beginning."""


def find_video_track(container: InputContainer) -> VideoTrack:
    """Choose the track that is read as the video, by these rules in order.

    1. Attached pictures and timed thumbnails, as FFmpeg marks them, are excluded: album covers of MP3, M4A, FLAC, OGG and
       WMA, attachments of Matroska, chapter images of QuickTime.
    2. A track of one frame is excluded if another one has more: cameras write a preview as an ordinary track. A single
       JPEG or PNG beside sound is a song with its cover. A track of one frame without sound is a video of one frame.
    3. A track of still images (JPEG, PNG, ...) is excluded if another one uses a video codec: previews may have several
       frames.
    4. Of the tracks that are left, the first that the file marks as default is chosen, which players show (MP4
       marks every enabled track), or else the first.

    FFmpeg's "best stream" is not used: it compares sizes and bit rates, so that adding a second camera or a larger copy
    would change which track is read, and it chooses a preview if only that is marked as default.

    If rule 1 leaves several tracks, packets are read until each has two. For a single track none are read, except for one
    of still images beside sound.
    """
    tracks = [track for track in container.streams.video if not track.disposition & _ATTACHED]
    if len(tracks) < 2 and not (tracks and _is_still(tracks[0]) and container.streams.audio):
        return VideoTrack(tracks[0] if tracks else None, packets_read=False)
    packets = _up_to_two_packets(container, tracks)
    most = max(packets.values(), default=0)
    longest = [track for track in tracks if packets[track.index] == most]
    if most < 2 and container.streams.audio:
        longest = [track for track in longest if not _is_still(track)]
    return VideoTrack(min(longest, key=_rank, default=None), packets_read=True)


def why_no_video_track(container: InputContainer) -> str:
    """Why a file has no track that can be read as the video, as the end of a sentence."""
    if not container.streams.video:
        return "holds no video stream"
    sound = "sound and " if container.streams.audio else ""
    return f"holds {sound}a cover picture, but no video"


def _is_still(track: VideoStream) -> bool:
    return bool(track.disposition & Disposition.still_image) or (
        track.codec_context is not None and track.codec_context.name in _STILL_CODECS
    )


def _rank(track: VideoStream) -> tuple[bool, bool, int]:
    return _is_still(track), not track.disposition & Disposition.default, track.index


def _up_to_two_packets(container: InputContainer, tracks: Iterable[VideoStream]) -> Counter[int]:
    """Number of packets of each track by its index: 0, 1, or 2 for more. The container's read position is undefined then."""
    counts: Counter[int] = Counter()
    waiting = {track.index for track in tracks}
    with contextlib.suppress(av.FFmpegError):  # damage is reported when the video is read
        for packet in container.demux(*tracks):
            if packet.size and packet.stream_index in waiting:
                counts[packet.stream_index] += 1
                if counts[packet.stream_index] == 2:
                    waiting.discard(packet.stream_index)
            if not waiting:
                break
    return counts
