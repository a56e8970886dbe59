"""The columns of lists that are tables: their names, and how their cells become the rows of a list."""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from marey.base.address import redacted_text
from marey.base.errors import DataError
from marey.base.names import did_you_mean
from marey.base.reporter import notice
from marey.base.words import counted
from marey.data.lists.rows import Rows, is_blank
from marey.data.lists.text_files import header_location, location_prefix, row_location
from marey.data.lists.videos import ALL_FRAMES, FrameSpan, TimeSpan, seconds_text

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "path": (
        "path", "video", "video_path", "video_file", "video_name", "vid_name", "file", "file_path", "file_name", "filepath",
        "filename", "clip", "clip_path", "clip_name", "frame_dir", "relative_path", "videopath",
    ),
    "label": (
        "label", "labels", "class", "class_name", "class_label", "class_id", "category", "action", "target", "label_name",
        "label_id", "label_index", "action_label", "classname",
    ),
    "split": ("split", "subset", "partition", "usage"),
    "start": ("start", "start_time", "start_seconds", "start_sec", "start_s", "time_start", "start_timestamp", "begin"),
    "end": (
        "end", "end_time", "end_seconds", "end_sec", "end_s", "time_end", "end_timestamp", "stop", "stop_time",
        "stop_timestamp",
    ),
    "start_frame": ("start_frame", "frame_start", "offset", "frame_offset"),
    "end_frame": ("end_frame", "frame_end", "stop_frame"),
    "num_frames": ("num_frames", "total_frames", "n_frames", "frames", "frame_count", "number_of_frames"),
    "group": ("group", "source", "recording"),
}  # fmt: skip
"""The names that each column may have; Marey writes the first."""
IDS = ("id", "video_id", "vid", "youtube_id")
"""Columns that name the videos in a table without a column of paths."""
OPTIONAL = ("label", "split", "group")
"""Columns that are needed only where labels are. Elsewhere they may hold anything, and two may have the same meaning."""
COLUMN_OF = {word: name for name, words in COLUMNS.items() for word in words}
"""The column of each name in `COLUMNS`."""
HEADER_HINT = "columns are named path,label[,split,...]"


@dataclass(frozen=True)
class ListTable:
    """A table of a list, column by column."""

    source: str
    """The path of the list, for messages."""
    columns: dict[str, list[str]]
    """The cells of each column, without blanks around them, by its name as `column_word` gives it."""
    lines: list[int]
    """The line of each row in the file, from 1; in Parquet, the number of the row."""


def column_word(cell: str) -> str:
    """A cell of a header in the spelling of `COLUMNS`: in small letters, with "_" for blanks and "-"."""
    return re.sub(r"[\s-]+", "_", cell.strip().strip('"').strip().lower())


def refuse_repeated_columns(source: str, words: Sequence[str]) -> None:
    """Check that no two columns of a table have the same name.

    Raises:
        DataError: two columns have the same name.
    """
    twice = next((word for i, word in enumerate(words) if word and word in words[:i]), None)
    if twice is not None:
        raise DataError(f"{header_location(source)}: the column {twice!r} is there twice: leave one out.")


def read_table(table: ListTable) -> Rows:
    """The rows of a table, by the names of its columns; a notice names the columns that are ignored.

    Raises:
        DataError: with file and line: no column of paths, two columns with the same meaning, a name that is nearly that of a
            column, or a value that is no time or no frame index.
    """
    named = find_columns(table.source, tuple(table.columns))
    rows = table_rows(table, named)
    report_ignored_columns(table.source, tuple(table.columns), named)
    if has_frame_ranges(rows):
        report_frame_counting(table.source)
    return rows


def table_rows(table: ListTable, named: Mapping[str, str]) -> Rows:
    """The rows of a table, by the columns that `find_columns` found in it.

    Raises:
        DataError: with file and line: a value that is no time or no frame index.
    """
    columns = {name: table.columns[word] for name, word in named.items()}
    return Rows(
        source=table.source, paths=columns["path"], lines=table.lines, labels=columns.get("label"),
        splits=columns.get("split"), groups=columns.get("group"), times=_times(table, columns),
        frame_ranges=_frame_ranges(table, columns), frame_counts=_frame_counts(table, columns),
        ambiguous=ambiguous_columns(table.source, tuple(table.columns)),
    )  # fmt: skip


def find_columns(source: str, words: Sequence[str]) -> dict[str, str]:
    """For each column of `COLUMNS` that a header has, its name in the header.

    If two columns hold the labels, splits or groups, the first is taken; `ambiguous_columns` gives an error for them.

    Raises:
        DataError: no column holds the paths, two columns mean the same, or a name is nearly that of a missing column.
    """
    named: dict[str, str] = {}
    for word in words:
        if (name := COLUMN_OF.get(word)) is not None and named.setdefault(name, word) != word and name not in OPTIONAL:
            raise _both(source, name, named[name], word)
    if "path" not in named:
        ids = [word for word in IDS if word in words]
        if len(ids) > 1:
            raise DataError(
                f"{header_location(source)}: which of {', '.join(ids)} names the videos? Call that column path."
            )
        named |= dict.fromkeys(("path",) if ids else (), ids[0] if ids else "")
    for word in _ignored(words, named):
        near = difflib.get_close_matches(word, [name for name in COLUMNS if name not in named], n=1, cutoff=0.75)
        if near:
            raise DataError(
                f"{header_location(source)}: unknown column {word!r}, and no column is named {near[0]}; known are "
                f"{', '.join(COLUMNS)}.{did_you_mean(word, near)}"
            )
    if "path" not in named:
        raise DataError(f"{header_location(source)}: the column 'path' is missing; {HEADER_HINT}.")
    return named


def ambiguous_columns(source: str, words: Sequence[str]) -> DataError | None:
    """The error that two columns hold the labels, the splits or the groups; None if no two do.

    Such a list is refused only for work that needs these: the table that `marey predict` writes has the columns `label` and
    `labels`, and can be used as a list of videos.
    """
    for name in OPTIONAL:
        if len(both := [word for word in words if COLUMN_OF.get(word) == name]) > 1:
            return _both(source, name, *both[:2])
    return None


def _both(source: str, name: str, one: str, other: str) -> DataError:
    return DataError(
        f"{header_location(source)}: the columns {one!r} and {other!r} both name the {name}: leave one out, or rename it."
    )


def _ignored(words: Sequence[str], named: Mapping[str, str]) -> list[str]:
    return [word for word in words if word not in named.values()]


def report_ignored_columns(source: str, words: Sequence[str], named: Mapping[str, str]) -> None:
    """Give notice of the columns of a table that are not read, because no list has such a column."""
    if ignored := _ignored(words, named):
        names = ", ".join(redacted_text(word) or "one without a name" for word in ignored)
        notice(f"{source}: {counted(len(ignored), 'column')} ignored: {names}.")


_SEVERAL = re.compile(r"\[.*\]|\d+(?:[\s,;/]+\d+)+")
"""A cell that looks like several labels, without "|" between them."""


def refuse_ambiguous_labels(rows: Rows) -> None:
    """Check that the labels, splits and groups of a list have one meaning.

    Raises:
        DataError: two columns hold the labels, splits or groups; or, with file and line, a cell holds several labels
            without | between them.
    """
    if rows.ambiguous is not None:
        raise rows.ambiguous
    for text, line in zip(rows.labels or (), rows.lines, strict=rows.labels is not None):
        if _SEVERAL.fullmatch(text):
            raise DataError(
                f"{row_location(rows.source, line)}: the label {text!r}: write several labels of a video with | between, as "
                "in 0|3."
            )


def _times(table: ListTable, columns: Mapping[str, list[str]]) -> list[TimeSpan] | None:
    if "start" not in columns and "end" not in columns:
        return None
    blank = [""] * len(table.lines)
    times, before = [], location_prefix(table.source)
    for texts in zip(columns.get("start", blank), columns.get("end", blank), table.lines, strict=True):
        start, end, where = *texts[:2], f"{before}{texts[2]}"
        times.append(check_times(parse_seconds(start, where), parse_seconds(end, where), where))
    return times


def check_times(start: float, end: float, where: str) -> TimeSpan:
    """A start and an end in seconds, unchanged after the check; NaN where there is none.

    Raises:
        DataError: the start is not before the end, or is negative.
    """
    if start >= end or start < 0 or end <= 0:
        raise DataError(
            f"{where}: start must lie before end, both in seconds from 0, got {seconds_text(start)} and {seconds_text(end)}."
        )
    return start, end


_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d*)?)")


def parse_seconds(text: str, where: str) -> float:
    """A time in seconds from `83.5`, `83.5s`, `1:23.5` (minutes) or `0:01:23.5` (hours); NaN for an empty cell.

    Raises:
        DataError: the text is none of these.
    """
    if not text or text.lower() == "nan":
        return math.nan
    if clock := _CLOCK.fullmatch(text):
        hours, minutes, seconds = int(clock[1] or 0), int(clock[2]), float(clock[3].replace(",", "."))
        if seconds < 60 and (minutes < 60 or not clock[1]):
            return 3600 * hours + 60 * minutes + seconds
    try:
        seconds = float(re.sub(r"\s*s$", "", text))
    except ValueError:
        seconds = math.inf
    if math.isfinite(seconds):
        return seconds
    raise DataError(f"{where}: {text!r} is no time in seconds (83.5, 1:23.5 or 0:01:23.5).")


def _frame_ranges(table: ListTable, columns: Mapping[str, list[str]]) -> list[FrameSpan] | None:
    """The segments of a table by frames: the first frame, from 0, and the first frame after the segment. The second is in
    the column `end_frame`, or the first plus the column `num_frames`.
    """
    if "start_frame" not in columns and "end_frame" not in columns:
        return None
    if "end_frame" in columns and "num_frames" in columns:
        columns = {name: column for name, column in columns.items() if name != "num_frames"}
    blank = [""] * len(table.lines)
    starts, ends, counts = (columns.get(n, blank) for n in ("start_frame", "end_frame", "num_frames"))
    timed = zip(columns.get("start", blank), columns.get("end", blank), strict=True)
    ranges, before = [], location_prefix(table.source)
    for *texts, times, line in zip(starts, ends, counts, timed, table.lines, strict=True):
        where = f"{before}{line}"
        start, end, count = (parse_whole_number(text, where, "frame index") for text in texts)
        if (start, end, count) != (None, None, None) and not all(map(is_blank, times)):
            raise DataError(
                f"{where}: a segment by time (start, end) and by frame (start_frame, end_frame): leave out one pair."
            )
        ranges.append(check_frames(start or 0, (start or 0) + count if count is not None else end, where))
    return ranges


def has_frame_ranges(rows: Rows) -> bool:
    """Whether a table names segments by frames."""
    return any(span != ALL_FRAMES for span in rows.frame_ranges or ())


def report_frame_counting(source: str) -> None:
    """Give notice of how the frames of a table are counted."""
    notice(f"{source}: frames are counted from 0, and a segment ends before its end_frame.")


def _frame_counts(table: ListTable, columns: Mapping[str, list[str]]) -> list[int] | None:
    if "num_frames" not in columns or "start_frame" in columns or "end_frame" in columns:
        return None
    pairs, before = zip(columns["num_frames"], table.lines, strict=True), location_prefix(table.source)
    counts = [parse_whole_number(text, f"{before}{line}", "number of frames") for text, line in pairs]
    return [-1 if count is None else count for count in counts]


def check_frames(start: int, end: int | None, where: str) -> FrameSpan:
    """A range of frames; an end of None, the end of the video, becomes -1.

    Raises:
        DataError: the start is not before the end.
    """
    if end is not None and start >= end:
        raise DataError(f"{where}: start_frame must lie before end_frame, counted from 0, got {start} and {end}.")
    return start, -1 if end is None else end


def parse_whole_number(text: str, where: str, what: str) -> int | None:
    """A whole number from 0 (pandas may write it as 12.0); None for an empty cell.

    Raises:
        DataError: the text is no such number; `what` says what it should be.
    """
    if not text or text.lower() == "nan":
        return None
    if not (found := re.fullmatch(r"(\d+)(?:\.0+)?", text)):
        raise DataError(f"{where}: {text!r} is no {what}, counted from 0.")
    return int(found[1])
