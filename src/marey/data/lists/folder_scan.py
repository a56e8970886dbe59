"""`scan_folder`: all video files and folders of frames below a folder, and the files that are neither."""

import contextlib
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from marey.base.absent import absent_message
from marey.base.claim import Command
from marey.base.errors import DataError
from marey.base.reporter import progress, warning_once
from marey.base.words import counted, verb
from marey.data.lists.videos import first_of
from marey.video.reading.containers import is_video_file
from marey.video.reading.image_folders import FLOW_NOTE
from marey.video.reading.image_series import is_series
from marey.video.reading.suffixes import IMAGE_SUFFIXES, OTHER_SUFFIXES, VIDEO_SUFFIXES

_SYSTEM = ("@eaDir", "__MACOSX", "$RECYCLE.BIN", "System Volume Information", "lost+found")
"""Folders that operating systems make for their own use; users put no videos there."""
_NOTES = frozenset(command.note for command in (Command.MOTIONS, Command.FLOW, Command.RESIZE, Command.FRAMES))
"""The names of the notes by which Marey recognises its own folders of videos (`marey.base.claim`)."""
_BESIDE_NOTES = (".csv", ".csv.classes.json", "broken.jsonl", *_NOTES)
"""The ends of the names of all files that Marey writes beside the videos of such a folder: lists and notes."""


@dataclass(frozen=True)
class Scan:
    """The files and folders below a folder, as paths relative to it with "/" as separator."""

    folder: str
    """The folder that was scanned."""
    videos: list[str]
    """Video files and folders of frames, in order."""
    folders: list[str]
    """All folders, in order."""
    others: list[str]
    """Files that are neither videos nor frames, without the lists and notes that Marey wrote there."""
    repeated: list[str]
    """Links that were not followed: an earlier link led to the same folder, or the link is inside the folder."""
    is_frames: bool
    """Whether the scanned folder is itself a video stored as frames: it holds images, and no video is in it or below."""

    def report_others(self) -> None:
        """Warn of the files that are no videos, counted by suffix, and of the links in `repeated`."""
        if self.repeated:
            some = first_of(self.repeated, 3)
            what = "link leads to a folder" if len(self.repeated) == 1 else "links lead to folders"
            warning_once(f"{self.folder}: {len(self.repeated)} {what} met before, left out: {some}.")
        if self.others:
            kinds = Counter(os.path.splitext(name)[1].lower() or "no suffix" for name in self.others)  # noqa: PTH122
            most = sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0]))
            rest = sum(count for _, count in most[6:])
            listed = ", ".join([f"{kind}: {count:,}" for kind, count in most[:6]] + [f"others: {rest:,}"] * bool(rest))
            are = verb(len(self.others), "is no video", "are no videos")
            warning_once(f"{self.folder}: {counted(len(self.others), 'file')} {are}, left out ({listed}).")

    @property
    def parquet_hint(self) -> str:
        """For messages about a folder without videos: a blank and a sentence on the Parquet tables in it; "" without any."""
        tables = sorted(name for name in self.others if name.lower().endswith(".parquet"))
        if not tables:
            return ""
        one, several = (
            "its path to read it as a list",
            "the path of each to read it as a list, or join them in one file",
        )
        return (
            f" It holds {counted(len(tables), 'Parquet table')}: give {verb(len(tables), one, several)} ({tables[0]})."
        )


def scan_folder(folder: str | Path) -> Scan:
    """Every video file below `folder`, and every folder of images; such a folder is a video stored as frames.

    A file is a video by its suffix, or by its content if the suffix is unknown. Hidden files and folders are skipped. Links
    to folders are followed; of several links to one folder only the first is. The images of a folder are no frames

    - if a video file is in the same folder;
    - if videos are in folders below it, except that a numbered series counts as frames in every folder but `folder` itself;
    - if there is a single image without a number (cover.jpg), and other videos exist.

    Raises:
        DataError: the folder does not exist, or a folder cannot be listed.
    """
    if not Path(folder).is_dir():
        raise DataError(
            absent_message(folder, "a file, and a folder is expected" if Path(folder).exists() else "no such folder")
        )
    walk = _Walk(str(folder))
    walk.enter("")
    walk.try_unknown()
    videos, is_frames = walk.frames()
    return Scan(
        str(folder),
        sorted(videos, key=lambda path: path.split("/")),
        sorted(walk.folders),
        sorted(_without_own(walk.others)),
        sorted(walk.repeated),
        is_frames,
    )


def find_videos(folder: str | Path) -> list[str]:
    """The videos that `scan_folder` finds."""
    return scan_folder(folder).videos


@dataclass
class _Walk:
    """The files below a folder, sorted by suffix; all paths are relative to it."""

    folder: str
    """Path of the folder that is scanned."""
    folders: list[str] = field(default_factory=list)
    """All folders found so far."""
    videos: list[str] = field(default_factory=list)
    """Files with the suffix of a video."""
    images: dict[str, list[str]] = field(default_factory=dict)
    """For each folder with images, by its path with "/" at the end, their paths."""
    unknown: list[str] = field(default_factory=list)
    """Files with a suffix of neither videos nor images nor other known files."""
    others: list[str] = field(default_factory=list)
    """Files that are neither videos nor images."""
    link_targets: set[str] = field(default_factory=set)
    """The folders that links led to, by their real paths."""
    repeated: list[str] = field(default_factory=list)
    """Links that were not followed, as in `Scan`."""

    def enter(self, prefix: str) -> None:
        """List the folder at `prefix` and those below it."""
        below: list[str] = []
        images: list[str] = []
        try:
            entries = os.scandir(f"{self.folder}/{prefix}")
        except OSError as error:
            raise DataError(f"{self.folder}/{prefix}: cannot be listed ({error.strerror}).") from None
        with entries:
            # Sorted, so that every machine follows the same one of two links to a folder.
            for entry in sorted(entries, key=lambda entry: entry.name):
                name = entry.name
                if name.startswith("."):
                    continue
                if entry.is_dir():
                    if name not in _SYSTEM:
                        (below if self._is_new(entry) else self.repeated).append(f"{prefix}{name}/")
                    continue
                suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - a Path per file would take most of the time
                if suffix in VIDEO_SUFFIXES:
                    self.videos.append(prefix + name)
                elif suffix in IMAGE_SUFFIXES:
                    images.append(prefix + name)
                elif suffix in OTHER_SUFFIXES or not entry.is_file():
                    if name != FLOW_NOTE:
                        self.others.append(prefix + name)
                else:
                    self.unknown.append(prefix + name)
        if images:
            self.images[prefix] = images
        for path in below:
            self.folders.append(path.rstrip("/"))
            self.enter(path)

    def _is_new(self, entry: "os.DirEntry[str]") -> bool:
        """Whether a folder is to be scanned: it is no link, or it is the first link to its target, and not inside of that,
        which would be an endless loop.
        """
        if not entry.is_symlink():
            return True
        target = os.path.realpath(entry.path)
        inside = os.path.realpath(os.path.dirname(entry.path))  # noqa: PTH120
        known = target in self.link_targets or f"{inside}/".startswith(f"{target.rstrip('/')}/")
        self.link_targets.add(target)
        return not known

    def try_unknown(self) -> None:
        """Sort the files with unknown suffixes into videos and others by their content."""
        many = len(self.unknown) > 1000
        bar = (
            progress("Looking into files of unknown suffixes", total=len(self.unknown), unit="files") if many else None
        )
        with bar or contextlib.nullcontext(), ThreadPoolExecutor(8) as pool:
            paths = (f"{self.folder}/{name}" for name in self.unknown)
            for name, is_video in zip(self.unknown, pool.map(is_video_file, paths), strict=True):
                (self.videos if is_video else self.others).append(name)
                if bar is not None:
                    bar.advance()

    def frames(self) -> tuple[list[str], bool]:
        """All videos, with the folders of frames; and whether the scanned folder is itself a folder of frames."""
        with_files = {path.rpartition("/")[0] for path in self.videos}
        with_videos = {""} if self.videos else set()
        """Folders with a video in them or below."""
        for path in self.videos:
            _add_above(path, with_videos)
        frame_folders: list[str] = []
        is_frames = False
        several = bool(self.videos) or any(len(images) > 1 for images in self.images.values())
        # The deepest folders first: posters in a folder above folders of frames are no frames.
        for prefix in sorted(self.images, key=lambda path: -path.count("/")):
            folder, images = prefix.rstrip("/"), self.images[prefix]
            names = [path[len(prefix) :] for path in images]
            cover = several and len(names) == 1 and not any(letter.isdigit() for letter in names[0].rpartition(".")[0])
            if cover or folder in with_files or (folder in with_videos and not (prefix and is_series(names))):
                self.others += images
            elif not prefix:
                is_frames = True
            else:
                frame_folders.append(folder)
                with_videos.add("")
                _add_above(folder, with_videos)
        return self.videos + frame_folders, is_frames


def _without_own(others: Sequence[str]) -> list[str]:
    """The files that Marey did not write: all but its notes and the lists beside them."""
    noted = {path.rpartition("/")[0] for path in others if path.rpartition("/")[2] in _NOTES}
    return [path for path in others if not (path.endswith(_BESIDE_NOTES) and path.rpartition("/")[0] in noted)]


def _add_above(path: str, folders: set[str]) -> None:
    """Add the folders above a path, up to the first one that `folders` has already."""
    while (path := path.rpartition("/")[0]) and path not in folders:
        folders.add(path)
