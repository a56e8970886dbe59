"""What a video may be opened from: a path, bytes, or a file in memory or on disk."""

import io
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

from marey.base.absent import why_absent
from marey.base.errors import DataError, DecodeError


def file_or_path(source: Any, name: str) -> str | Path | BinaryIO:
    """The source, bytes as a file.

    Raises:
        DataError: neither a path nor bytes nor a file that can be sought.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source)
    if isinstance(source, str | Path):
        return source
    if not (hasattr(source, "read") and hasattr(source, "seek")) or isinstance(source, io.TextIOBase):
        raise DataError(f"{name}: open_video takes a path, bytes or a file opened in binary mode.")
    file: BinaryIO = source
    if not file.seekable():
        raise DataError(f"{name}: this file cannot be sought; pass its content as bytes: open_video(file.read()).")
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
