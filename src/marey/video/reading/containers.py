"""What a file's container states, without decoding: whether it holds a video, and its duration."""

import contextlib

import av

from marey.base.address import Location, address_in
from marey.video.reading.decoding import FetchError
from marey.video.reading.remote import RemoteFile

_MAGIC_BYTES = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"\x00\x00\x01\xba",  # MPEG program stream, VOB
    b"\x00\x00\x01\xb3",  # MPEG-1 and MPEG-2 video
    b"\x00\x00\x00\x01",  # H.264 and H.265 as a bare stream
    b"FLV",
    b"OggS",
    b"GIF8",
    b"0&\xb2u\x8ef\xcf\x11",  # ASF, WMV
    b".RMF",
    b"\x06\x0e+4",  # MXF
    b"\x1f\x07\x00",  # DV
    b"YUV4MPEG2",
    b"DKIF",  # IVF
    b"nut/multimedia",
)
_SYNC_BYTES = ((0, 188), (4, 192))
"""First offset and distance of the sync bytes 0x47 in an MPEG transport stream, and in that of camcorders (M2TS)."""

BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
"""Names of boxes that an MP4 or QuickTime file may begin with, after four bytes of length."""

_PHOTO_BRANDS = (b"avif", b"crx ", b"heic", b"heix", b"mif1")
"""Brands of photographs in the MP4 container."""


def is_video_file(path: str) -> bool:
    """Whether a file contains a video stream, not counting cover pictures; for files whose suffix does not show it.

    The first bytes rule out nearly all other files with one short read; FFmpeg decides about the rest. A file that cannot be
    opened is no video.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - creating a Path per file would take most of the time
            if not _may_be_video(file.read(1024)):
                return False
            file.seek(0)
            with av.open(file, mode="r") as container:
                return any(
                    stream.codec_context is not None and not stream.disposition & av.stream.Disposition.attached_pic
                    for stream in container.streams.video
                )
    except (OSError, ValueError, av.FFmpegError):
        return False


def _may_be_video(head: bytes) -> bool:
    if head.startswith(_MAGIC_BYTES) or (head.startswith(b"RIFF") and head[8:12] in (b"AVI ", b"AVIX")):
        return True
    if head[4:8] in BOXES:
        return head[8:12] not in _PHOTO_BRANDS
    return any(
        len(head) > at + 2 * step and head[at] == head[at + step] == head[at + 2 * step] == 0x47
        for at, step in _SYNC_BYTES
    )


def stated_seconds(path: str | Location) -> float | None:
    """The duration in seconds that the container states, possibly of its sound; None if it states none or cannot be opened.

    Only the header is read, whereas opening the video would read every packet.
    """
    try:
        with contextlib.ExitStack() as opened:
            address = address_in(path)
            file = str(path) if address is None else opened.enter_context(RemoteFile(address, small=0))
            container = opened.enter_context(av.open(file, mode="r"))
            return None if container.duration is None else container.duration / av.time_base
    except (OSError, ValueError, av.FFmpegError, FetchError):
        return None
