"""The rows of a list of any format, as text: labels are not yet class indices."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from marey.base.errors import DataError
from marey.base.words import counted
from marey.data.lists.text_files import not_utf8, row_location, row_word, utf8_advice
from marey.data.lists.videos import FrameSpan, TimeSpan, first_of

CHECKED_UNDECODABLE = 1000
"""How many of the paths with bytes that are not UTF-8 are looked up at most. A file must exist for one of them."""


class NeedsAllRowsError(Exception):
    """A list cannot be read in pieces: how one of its rows is read depends on all of them."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of a list, column by column; None for a column that the list does not have."""

    source: str
    """The path of the list, for messages."""
    paths: list[str]
    """The path of each row's video, as written in the list."""
    lines: list[int]
    """The line of each row in the file, from 1; the number of its record in a file without lines."""
    labels: list[str] | None = None
    """Class names, or class indices as text; several labels of a video are separated by "|"."""
    splits: list[str] | None = None
    """The name of each row's split."""
    groups: list[str] | None = None
    """The name of each row's group."""
    times: list[TimeSpan] | None = None
    """The segment of each row in seconds: (start, end), NaN for the beginning or the end of the video."""
    frame_ranges: list[FrameSpan] | None = None
    """The segment of each row in frames, from 0: (first, first after it); `ALL_FRAMES` where it has none."""
    frame_counts: list[int] | None = None
    """The number of images of each folder of frames, as the list states it; -1 where it states none."""
    class_names: Sequence[str] | None = None
    """The class names in order, where the list or a file beside it gives them."""
    ambiguous: DataError | None = None
    """The error to raise if labels, splits or groups are needed and two columns hold them; here are the cells of the first
    of these columns. None: no two columns do."""

    def refuse_blank(self) -> None:
        """Check that each row has a path, and a label where the list has labels.

        Raises:
            DataError: some rows have none; the message has their number and the first lines.
        """
        for column, name in ((self.paths, "path"), (self.labels, "label")):
            if blank := self.blank(column):
                raise missing_text_error(self.source, name, blank, len(blank))

    def blank(self, column: Sequence[str] | None) -> list[int]:
        """The lines on which a column is blank."""
        empty = {text for text in set(column or ()) if is_blank(text)}
        return [line for line, text in zip(self.lines, column or (), strict=True) if text in empty] if empty else []

    def refuse_other_encodings(self, root: Path) -> None:
        """Check that only paths hold bytes that are not UTF-8, and that files with such names exist.

        Raises:
            DataError: other words hold such bytes, or no file has such a name: the list has another encoding.
        """
        self.refuse_undecodable_words()
        refuse_undecodable_paths(self.source, self.undecodable_paths(), root)

    def refuse_undecodable_words(self) -> None:
        """Check that no label, split or group holds bytes that are not UTF-8.

        Raises:
            DataError: one does: the list has another encoding.
        """
        for names, kind in ((self.labels, "class"), (self.splits, "split"), (self.groups, "group")):
            for word in dict.fromkeys(names or ()):
                if not_utf8(word):
                    line = self.lines[(names or []).index(word)]
                    raise DataError(
                        f"{self.source}: the {kind} name {word!r} is not UTF-8 text (line {line}): "
                        f"{utf8_advice(self.source, word)}"
                    )

    def undecodable_paths(self) -> list[tuple[int, str]]:
        """The paths with bytes that are not UTF-8, each with its line."""
        if "".join(self.paths).isascii():
            return []
        return [(line, path) for path, line in zip(self.paths, self.lines, strict=True) if not_utf8(path)]


def missing_text_error(source: str, name: str, lines: Sequence[int], count: int) -> DataError:
    """The error that `count` rows of a list have no path or no label; `lines` are the first of their lines."""
    where = row_location(source, lines[0])
    one = f"{where}: this row has no {name}"
    several = f"{where}: {counted(count, 'row')} have no {name} ({row_word(source)}s {first_of(lines, 3)})"
    return DataError(f"{one if count == 1 else several}: fill it in, or leave the row out.")


def refuse_undecodable_paths(source: str, paths: Sequence[tuple[int, str]], root: Path) -> None:
    """Check that a file exists for one of the first paths with bytes that are not UTF-8; each comes with its line.

    Raises:
        DataError: there are such paths, and no file exists for them.
    """
    if paths and not any(os.path.lexists(os.path.join(root, path)) for _, path in paths[:CHECKED_UNDECODABLE]):  # noqa: PTH118
        line, path = paths[0]
        raise DataError(
            f"{source}:{line}: no file has the name {path!r}, and the list is not UTF-8 text; "
            f"{utf8_advice(source, ' '.join(path for _, path in paths[:100]))}"
        )


def is_blank(text: str) -> bool:
    """Whether a cell is empty; pandas writes "nan" for a missing value."""
    return not text or text.lower() in ("nan", "<na>")
