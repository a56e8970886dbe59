"""What lies in a folder: video files and folders of frames."""

import os
from collections.abc import Iterator
from pathlib import Path

from marey.base.absent import why_absent
from marey.base.errors import DataError
from marey.data.videos import VIDEO_SUFFIXES

_IMAGES = (".jpg", ".jpeg", ".png")
_VIDEOS = tuple(VIDEO_SUFFIXES)


def find_videos(folder: str | Path) -> list[str]:
    """Every video file below `folder`, and every folder of images, as paths relative to it with "/", in order.

    A folder that holds images and no video is a video stored as frames. Hidden files and folders do not count; links
    to folders are followed, each folder once.

    Raises:
        DataError: no such folder.
    """
    if not Path(folder).is_dir():
        raise DataError(f"{folder}: {why_absent(folder, 'no such folder')}.")
    return sorted(_below(str(folder), "", set()), key=lambda path: path.split("/"))


def _below(folder: str, prefix: str, linked: set[str]) -> Iterator[str]:
    videos, images, folders = [], False, []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - a Path per file would take most of the time
            if suffix in _VIDEOS:
                videos.append(prefix + name)
            elif suffix in _IMAGES:
                images = True
            elif entry.is_dir() and _new(entry, linked):
                folders.append(name)
    if images and not videos and prefix:
        yield prefix.rstrip("/")
    yield from videos
    for name in folders:
        yield from _below(f"{folder}/{name}", f"{prefix}{name}/", linked)


def _new(entry: "os.DirEntry[str]", linked: set[str]) -> bool:
    """Whether a folder was not met before through a link: links may lead in circles."""
    if not entry.is_symlink():
        return True
    target = os.path.realpath(entry.path)
    known = target in linked
    linked.add(target)
    return not known
