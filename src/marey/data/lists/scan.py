"""What lies in a folder: video files and folders of frames, and what is neither."""

import contextlib
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from marey.base.absent import nothing_at
from marey.base.claim import Command
from marey.base.errors import DataError
from marey.base.reporter import progress, warning_once
from marey.base.words import counted, verb
from marey.data.lists.videos import first_of
from marey.video.reading.content import is_film
from marey.video.reading.frames import FLOW_NOTE
from marey.video.reading.series import is_series
from marey.video.reading.suffixes import IMAGE_SUFFIXES, OTHER_SUFFIXES, VIDEO_SUFFIXES

_SYSTEM = ("@eaDir", "__MACOSX", "$RECYCLE.BIN", "System Volume Information", "lost+found")
"""Folders that systems keep for themselves; no user put a video there."""
_NOTES = frozenset(command.note for command in (Command.MOTIONS, Command.FLOW, Command.RESIZE, Command.FRAMES))
"""What Marey notes in a folder of videos that it wrote."""
_BESIDE_NOTES = (".csv", ".csv.classes.json", "broken.jsonl", *_NOTES)
"""How the names of the files end that Marey writes beside such a note: the list of the videos, and the note."""


@dataclass(frozen=True)
class Scan:
    """What lies below a folder, as paths relative to it with "/" between their parts.

    `videos` are video files and folders of frames, in order; `folders` all folders; `others` the files that are neither
    videos nor frames nor lists and notes that Marey wrote there; `repeated` the links to folders that were met before.
    `is_frames`: the folder itself holds images, and no video lies in it or below.
    """

    folder: str
    videos: list[str]
    folders: list[str]
    others: list[str]
    repeated: list[str]
    is_frames: bool

    def tell_of_others(self) -> None:
        """One line that counts the files that were not taken for videos, by suffix; one for links to folders met before."""
        if self.repeated:
            some = first_of(self.repeated, 3)
            what = "link leads to a folder" if len(self.repeated) == 1 else "links lead to folders"
            warning_once(f"{self.folder}: {len(self.repeated)} {what} met before, left out: {some}.")
        if self.others:
            kinds = Counter(os.path.splitext(name)[1].lower() or "no suffix" for name in self.others)  # noqa: PTH122
            most = sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0]))
            rest = sum(count for _, count in most[6:])
            listed = ", ".join([f"{kind}: {count:,}" for kind, count in most[:6]] + [f"others: {rest:,}"] * bool(rest))
            was = "was" if len(self.others) == 1 else "were"
            warning_once(f"{self.folder}: {counted(len(self.others), 'file')} {was} not taken for videos ({listed}).")

    @property
    def tables(self) -> str:
        """The sentence that names the Parquet tables in a folder without videos, with a blank before it; "" without any."""
        found = sorted(name for name in self.others if name.lower().endswith(".parquet"))
        if not found:
            return ""
        what = verb(len(found), "a list: name it as that", "lists: name each of them, or write one")
        return f" {counted(len(found), 'Parquet table')} in it {verb(len(found), 'is', 'are')} {what} ({found[0]})."


def scan_folder(folder: str | Path) -> Scan:
    """Every video file below `folder`, and every folder of images, which is a video stored as frames.

    A file is a video by its suffix, or, where its suffix is unknown, by its content. Images beside videos, and
    images above folders of videos that are no numbered series, are no frames; nor is a single image without a number
    (cover.jpg), where there are videos or folders of several images. Hidden files and folders do not count; links
    to folders are followed, each folder once.

    Raises:
        DataError: no such folder, or one that cannot be listed.
    """
    if not Path(folder).is_dir():
        raise DataError(
            nothing_at(folder, "a file, and a folder is expected" if Path(folder).exists() else "no such folder")
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
    """The files below a folder by what their names say, each folder's relative path with "/" behind it."""

    folder: str
    folders: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)
    images: dict[str, list[str]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    linked: set[str] = field(default_factory=set)
    repeated: list[str] = field(default_factory=list)

    def enter(self, prefix: str) -> None:
        """List the folder at `prefix` and those below it."""
        below: list[str] = []
        images: list[str] = []
        try:
            entries = os.scandir(f"{self.folder}/{prefix}")
        except OSError as error:
            raise DataError(f"{self.folder}/{prefix}: cannot be listed ({error.strerror}).") from None
        with entries:
            # In order, so that of two links to one folder every machine takes the same.
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
        """Whether a folder was not met before through a link, and is not the link's own or one above: links may lead in
        circles.
        """
        if not entry.is_symlink():
            return True
        target = os.path.realpath(entry.path)
        inside = os.path.realpath(os.path.dirname(entry.path))  # noqa: PTH120
        known = target in self.linked or f"{inside}/".startswith(f"{target.rstrip('/')}/")
        self.linked.add(target)
        return not known

    def try_unknown(self) -> None:
        """Sort the files of unknown suffixes into videos and others, by content."""
        many = len(self.unknown) > 1000
        bar = (
            progress("Looking into files of unknown suffixes", total=len(self.unknown), unit="files") if many else None
        )
        with bar or contextlib.nullcontext(), ThreadPoolExecutor(8) as pool:
            paths = (f"{self.folder}/{name}" for name in self.unknown)
            for name, film in zip(self.unknown, pool.map(is_film, paths), strict=True):
                (self.videos if film else self.others).append(name)
                if bar is not None:
                    bar.advance()

    def frames(self) -> tuple[list[str], bool]:
        """All videos, the folders of frames among them; and whether the folder itself is one."""
        inside = {path.rpartition("/")[0] for path in self.videos}
        holders = {""} if self.videos else set()
        """Folders with a video in them or below."""
        for path in self.videos:
            _add_above(path, holders)
        found: list[str] = []
        is_frames = False
        several = bool(self.videos) or any(len(images) > 1 for images in self.images.values())
        # Those farthest down first: posters above folders of frames are no video.
        for prefix in sorted(self.images, key=lambda path: -path.count("/")):
            folder, images = prefix.rstrip("/"), self.images[prefix]
            names = [path[len(prefix) :] for path in images]
            cover = several and len(names) == 1 and not any(letter.isdigit() for letter in names[0].rpartition(".")[0])
            if cover or folder in inside or (folder in holders and not (prefix and is_series(names))):
                self.others += images
            elif not prefix:
                is_frames = True
            else:
                found.append(folder)
                holders.add("")
                _add_above(folder, holders)
        return self.videos + found, is_frames


def _without_own(others: Sequence[str]) -> list[str]:
    """The files without Marey's own: its notes, and the lists beside them."""
    noted = {path.rpartition("/")[0] for path in others if path.rpartition("/")[2] in _NOTES}
    return [path for path in others if not (path.endswith(_BESIDE_NOTES) and path.rpartition("/")[0] in noted)]


def _add_above(path: str, folders: set[str]) -> None:
    """Add the folders above a path, up to the first one that is there already."""
    while (path := path.rpartition("/")[0]) and path not in folders:
        folders.add(path)
