"""The paths of a list's rows, resolved to the files on the disk, or to addresses on a server."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marey.base.address import Address, as_listed, at_server, is_address
from marey.base.errors import DataError
from marey.base.reporter import notice, warning
from marey.base.words import counted
from marey.data.lists.files_in import FilesIn, has_video_suffix
from marey.data.lists.rows import Rows, is_blank
from marey.data.lists.text_files import row_location, row_word
from marey.data.lists.videos import ALL_FRAMES
from marey.video.reading.image_folders import count_frames

_MOST_FOLDERS = 10_000
"""After this many folders in which every path led to a file as written, the paths of further folders are not looked up.
Also: the images of about this many folders of frames are counted at first, evenly spaced over the list."""


def resolve_paths(rows: Rows, existing: FilesIn) -> Rows:
    """The rows with each path that leads to no file replaced by that of the file that is meant.

    A path without suffix becomes that of the one video file with this name. Backslashes become slashes if that leads to a
    file. Paths for which no file is found stay as they are. A notice gives the number of changes. If every path leads to a
    file as written in 10,000 folders, the paths of further folders are not looked up.

    Raises:
        DataError: two files have a name that the list gives without suffix.
    """
    resolver = PathResolver(existing)
    resolved = resolver.resolve(rows)
    resolver.report(rows.source)
    return resolved


class PathResolver:
    """Does what `resolve_paths` does, for one piece of a list after the other, and again for any piece."""

    def __init__(self, existing: FilesIn) -> None:
        self._existing = existing
        self._folders: set[str] = set()
        self._all_as_written = True
        """Whether every path so far leads to a file as it is written."""
        self._trusts_paths = False
        """Whether every path in `_MOST_FOLDERS` folders led to a file as written; further paths are then not looked up."""
        self._slashes = self._suffixes = 0
        self._kinds: list[tuple[bool, str]] = []
        """The kinds of changes so far: whether slashes replace backslashes, and the suffix that is added."""
        self._changes: list[NDArray[np.uint16] | None] = []
        """For each piece the change of each path: 0 for none, else its index in `_kinds` plus 1; None: no path changes."""

    def report(self, source: str) -> None:
        """Give notice of what was changed in the rows so far."""
        if self._slashes:
            notice(
                f"{source}: {counted(self._slashes, 'path')} with backslashes read with slashes, as the files exist."
            )
        if self._suffixes:
            notice(
                f"{source}: {counted(self._suffixes, 'name')} without a suffix completed by the existing video files."
            )

    def resolve(self, rows: Rows) -> Rows:
        """The next piece of the list, resolved.

        Raises:
            DataError: two files have a name that the list gives without suffix.
        """
        changes = np.zeros(len(rows.paths), np.uint16)
        for row, path in enumerate(rows.paths):
            if self._is_trusted(path):
                break
            if not is_address(path) and path not in self._existing:
                self._all_as_written = False
                if (kind := self._change_of(rows, row, path)) is not None:
                    if kind not in self._kinds:
                        self._kinds.append(kind)
                    changes[row] = self._kinds.index(kind) + 1
        self._changes.append(changes if changes.any() else None)
        return self.resolve_again(rows, len(self._changes) - 1)

    def resolve_again(self, rows: Rows, piece: int) -> Rows:
        """A piece as it was resolved before, whichever files exist now; pieces count from 0.

        Raises:
            DataError: the piece has another number of rows.
        """
        if piece >= len(self._changes):
            raise changed_error(rows.source)
        changes = self._changes[piece]
        if changes is None:
            return rows
        if len(changes) != len(rows.paths):
            raise changed_error(rows.source)
        paths = list(rows.paths)
        for row in np.flatnonzero(changes).tolist():
            slashed, suffix = self._kinds[int(changes[row]) - 1]
            paths[row] = (paths[row].replace("\\", "/") if slashed else paths[row]) + suffix
        return replace(rows, paths=paths)

    def _is_trusted(self, path: str) -> bool:
        if self._all_as_written and not self._trusts_paths:
            folder = path.rpartition("/")[0]
            if folder not in self._folders:
                self._trusts_paths = len(self._folders) == _MOST_FOLDERS
                self._folders.add(folder)
        return self._trusts_paths

    def _change_of(self, rows: Rows, row: int, path: str) -> tuple[bool, str] | None:
        """The change that makes a path lead to a file; None where no change does."""
        slashed = path.replace("\\", "/")
        if slashed != path and slashed in self._existing:
            self._slashes += 1
            return True, ""
        files = [] if has_video_suffix(path) else self._existing.completed(slashed)
        if len(files) > 1:
            raise DataError(
                f"{row_location(rows.source, rows.lines[row])}: {path} may be {files[0]} or {files[1]}: write the suffix "
                "into the list."
            )
        if not files:
            return None
        self._suffixes += 1
        self._slashes += slashed != path
        return slashed != path, files[0].removeprefix(slashed)


def changed_error(source: str) -> DataError:
    """The error that a list has changed since it was first read."""
    return DataError(
        f"{source}: changed while it was in use: its videos are not those of the first reading. Start again, and do not "
        "change it until the end."
    )


def join_folder(folder: Path, paths: Sequence[str]) -> list[str]:
    """Each path as `str(folder / path)` writes it; addresses stay as they are.

    Strings are joined where that is the same: making a `Path` of each of a million would take most of the time.
    """
    before = str(folder / "x").removesuffix("x")
    if os.sep == "/" and not _needs_path("\0".join(["", *paths, ""])):
        return [before + path for path in paths]
    return [as_listed(path) if is_address(path) else _joined_path(folder, before, path) for path in paths]


def _joined_path(folder: Path, before: str, path: str) -> str:
    return str(folder / path) if os.sep != "/" or _needs_path(f"\0{path}\0") else before + path


def _needs_path(paths: str) -> bool:
    """Whether `str(folder / path)` may differ from the joined strings for some path: an absolute or an empty one, or one
    with "." or "//" in it. A zero byte is before and after each path in `paths`.
    """
    return any(sign in paths for sign in ("//", "/.", "\0/", "\0.", "/\0", ".\0", "\0\0"))


def with_addresses(rows: Rows, server: Address) -> Rows:
    """The rows with relative paths replaced by addresses below `server`; the server is not asked."""
    return replace(rows, paths=[name if is_blank(name) else at_server(server, name) for name in rows.paths])


def with_frame_ranges(rows: Rows, root: Path) -> Rows:
    """The rows, with a range of frames for each folder of frames that has more images than the list states.

    If the list states as many images as a folder has, all of them are used, as in a list without numbers. The images of up
    to 10,000 folders are counted. Of more folders, about 10,000 are counted, evenly spaced; if one of them has another
    number than the list states, all are.
    """
    if rows.frame_counts is None:
        return rows
    stated = rows.frame_counts
    with_count = [
        row for row, count in enumerate(stated)
        if count >= 0 and not has_video_suffix(rows.paths[row]) and not is_address(rows.paths[row])
    ]  # fmt: skip
    sample = with_count[:: max(1, len(with_count) // _MOST_FOLDERS)]
    actual = _image_counts(rows, sample, root)
    if len(sample) < len(with_count) and any(stated[row] not in counts for row, counts in actual.items()):
        actual = _image_counts(rows, with_count, root)
    shortened = {row for row, counts in actual.items() if stated[row] not in counts and stated[row] < max(counts)}
    incomplete = [row for row, counts in actual.items() if stated[row] > max(counts)]
    if incomplete:
        first = incomplete[0]
        warning(
            f"{rows.source}: {counted(len(incomplete), 'folder')} with fewer images than the list states; the first, "
            f"{rows.paths[first]} ({row_word(rows.source)} {rows.lines[first]}), has {max(actual[first])} of "
            f"{stated[first]}."
        )
    if not shortened:
        return rows
    notice(
        f"{rows.source}: of {counted(len(shortened), 'folder')} with more images than the list states, the first ones are "
        "used."
    )
    old = rows.frame_ranges or [ALL_FRAMES] * len(rows.paths)
    ranges = [(0, stated[row]) if row in shortened else old[row] for row in range(len(rows.paths))]
    return replace(rows, frame_ranges=ranges)


def _image_counts(rows: Rows, which: Sequence[int], root: Path) -> dict[int, tuple[int, ...]]:
    """For each of some rows whose folder has images, the numbers of its frames and of its flow fields."""
    found = {row: count_frames(os.path.join(root, rows.paths[row])) for row in which}  # noqa: PTH118
    return {row: tuple(n for n in counts if n) for row, counts in found.items() if any(counts)}
