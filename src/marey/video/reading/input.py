"""What a video may be opened from: a path, an address, bytes, or a file in memory or on disk."""

import io
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

from marey.base.absent import why_absent
from marey.base.address import Address, is_address, place_of
from marey.base.errors import DataError, DecodeError
from marey.video.reading.content import BOXES
from marey.video.reading.decoding import FetchError
from marey.video.reading.remote import RemoteFile


def file_or_path(source: Any, name: str) -> str | Path | BinaryIO | RemoteFile:
    """The source; bytes, and what lies at an address, as a file.

    Raises:
        DataError: neither a path nor an address nor bytes nor a file that can be sought.
        FetchError: a server does not give it.
    """
    if isinstance(source, str) and not is_address(source):
        return source
    if isinstance(source, str | Path | Address):
        place = place_of(source)
        return _remote(place) if isinstance(place, Address) else place
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source)
    if not (hasattr(source, "read") and hasattr(source, "seek")) or isinstance(source, io.TextIOBase):
        raise DataError(f"{name}: open_video takes a path, an address, bytes or a file opened in binary mode.")
    file: BinaryIO = source
    if not file.seekable():
        raise DataError(f"{name}: this file cannot be sought; pass its content as bytes: open_video(file.read()).")
    return file


def _remote(address: Address) -> RemoteFile:
    """The file at an address; all of it, unless it may be an MP4 or QuickTime file, whose index may serve."""
    file = RemoteFile(address)
    try:
        if (file.read(8) or b"")[4:] not in BOXES:
            file.fetch_whole()
    except FetchError:
        file.close()
        raise
    return file


def check_is_file(path: str | Path) -> None:
    """Refuse what is no file, or cannot be looked at.

    Raises:
        DecodeError: why.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - a Path would be made for it
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise DecodeError(path, why_absent(path)) from None
    except OSError as error:
        raise DecodeError(path, f"cannot be read ({error.strerror})") from None
    if stat.S_ISDIR(mode):
        raise DecodeError(path, "is a folder, not a video file")
    if not stat.S_ISREG(mode):
        raise DecodeError(path, "is a device or a pipe, and only files and folders are read")


def is_empty(source: str | Path | BinaryIO | RemoteFile) -> bool:
    """Whether a file by path or address has no bytes."""
    if isinstance(source, RemoteFile):
        return source.size == 0
    return isinstance(source, str | Path) and not Path(source).stat().st_size
