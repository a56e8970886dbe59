"""The inputs that a video can be opened from: a path, an address, bytes, or an open binary file."""

import io
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

from marey.base.absent import why_absent
from marey.base.address import Address, is_address, location_of
from marey.base.errors import DataError, DecodeError
from marey.video.reading.containers import BOXES
from marey.video.reading.decoding import FetchError
from marey.video.reading.remote import RemoteFile


def file_or_path(source: Any, name: str) -> str | Path | BinaryIO | RemoteFile:
    """The source as a path or an open file: bytes and addresses become files.

    Raises:
        DataError: it is neither a path nor an address, bytes or a seekable binary file.
        FetchError: a server does not send the file.
    """
    if isinstance(source, str) and not is_address(source):
        return source
    if isinstance(source, str | Path | Address):
        location = location_of(source)
        return _remote(location) if isinstance(location, Address) else location
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source)
    if not (hasattr(source, "read") and hasattr(source, "seek")) or isinstance(source, io.TextIOBase):
        raise DataError(f"{name}: open_video takes a path, an address, bytes or a file opened in binary mode.")
    file: BinaryIO = source
    if not file.seekable():
        raise DataError(f"{name}: this file is not seekable; pass its content as bytes: open_video(file.read()).")
    return file


def _remote(address: Address) -> RemoteFile:
    """The file at an address: fetched entirely, unless it may be MP4 or QuickTime, which can be read by their index."""
    file = RemoteFile(address)
    try:
        if (file.read(8) or b"")[4:] not in BOXES:
            file.fetch_all()
    except FetchError:
        file.close()
        raise
    return file


def check_is_file(path: str | Path) -> None:
    """Check that a path is that of a regular file.

    Raises:
        DecodeError: it is not, or permission is missing.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - avoids creating a Path
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise DecodeError(path, why_absent(path)) from None
    except OSError as error:
        raise DecodeError(path, f"cannot be read ({error.strerror})") from None
    if stat.S_ISDIR(mode):
        raise DecodeError(path, "is a folder, not a video file")
    if not stat.S_ISREG(mode):
        raise DecodeError(path, "is a device or a pipe, and only files and folders are read")


def is_empty(source: str | Path | BinaryIO | RemoteFile) -> bool:
    """Whether a file, given by path or address, has no bytes."""
    if isinstance(source, RemoteFile):
        return source.size == 0
    return isinstance(source, str | Path) and not Path(source).stat().st_size
