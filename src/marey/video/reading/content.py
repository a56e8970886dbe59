"""Whether a file is a video by what lies in it: for files whose suffix does not say so."""

import av

_FIRST_BYTES = (
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
_PACKETS = ((0, 188), (4, 192))
"""Where 0x47 is found in an MPEG transport stream, and in that of camcorders (M2TS): its first place, and how far apart."""

BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
"""What an MP4 or QuickTime file may begin with, after four bytes of length."""

_PICTURES = (b"avif", b"crx ", b"heic", b"heix", b"mif1")
"""Brands of photographs in the same container."""


def is_film(path: str) -> bool:
    """Whether a file is a container of a video stream that is no cover picture, by its first bytes, then by FFmpeg.

    The first bytes rule out nearly all other files at the cost of one short read. A file that cannot be opened is none.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a Path per file would take most of the time
            if not _may_be_film(file.read(1024)):
                return False
            file.seek(0)
            with av.open(file, mode="r") as container:
                return any(
                    stream.codec_context is not None and not stream.disposition & av.stream.Disposition.attached_pic
                    for stream in container.streams.video
                )
    except (OSError, ValueError, av.FFmpegError):
        return False


def _may_be_film(head: bytes) -> bool:
    if head.startswith(_FIRST_BYTES) or (head.startswith(b"RIFF") and head[8:12] in (b"AVI ", b"AVIX")):
        return True
    if head[4:8] in BOXES:
        return head[8:12] not in _PICTURES
    return any(
        len(head) > at + 2 * step and head[at] == head[at + step] == head[at + 2 * step] == 0x47
        for at, step in _PACKETS
    )
