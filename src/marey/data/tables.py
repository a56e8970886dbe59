"""Lists that are tables: CSV in the dialects that people and programs write, and records with named values.

Python's own csv module splits the lines. How a table is known and split is decided by these rules, in this order:

1. Lines that begin with # are comments; blank lines, rows of blank cells and Excel's `sep=;` do not count.
2. The first line is a header where a separator (comma, semicolon, tab, bar) splits it into cells of which one is a word of
   `COLUMNS`, and none has a video's suffix; of several separators, the one with most such words. Capitals, quotes and blanks
   around do not matter.
3. Without a header, a text is a table of path and label where a separator splits every line into two cells and the first
   line's first cell is a path: it has a video's suffix, or lies there. (By semicolon and tab, whatever it is.)
4. Everything else is no table.

Each row must have as many cells as the header. Columns of other words are left out, and named; one that is nearly a word of
the table below, where that one is missing, is refused, and so are two columns for the same thing.
"""

import csv
import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from marey.base.errors import DataError
from marey.base.nearest import did_you_mean
from marey.base.reporter import notice
from marey.base.words import counted
from marey.data.rows import WHOLE, FilesIn, FrameSpan, Rows, Span, has_video_suffix
from marey.data.text import text_lines
from marey.data.videos import seconds_text

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
"""What each column may be called. The first word is the one that Marey writes."""

IDS = ("id", "video_id", "vid", "youtube_id")
"""Columns that name the video where no other one does."""

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
COLUMN_OF = {word: name for name, words in COLUMNS.items() for word in words}
"""The column that each word names."""
_HEADER = "the first line must name path,label[,split,...]"


@dataclass(frozen=True)
class Table:
    """A table with a header, column by column."""

    source: str
    columns: dict[str, list[str]]
    """By the words of the header, in small letters with "_" for blanks; cells without blanks around."""
    lines: list[int]
    """For each row, its line in the file."""


def find_table(source: str, lines: Sequence[tuple[int, str]], there: FilesIn) -> Table | None:
    """The table that the lines of a list (`numbered_lines`) are, by the rules of this module; None where they are none.

    Raises:
        DataError: with file and line: cells too many or too few, quotes that do not end, a column twice.
    """
    if not lines:
        return None
    separator, header = max(
        ((one, _cells(source, lines[0], one)) for one in SEPARATORS), key=lambda found: sum(map(_known, found[1]))
    )
    is_path = any(map(has_video_suffix, header)) or (len(header) == 1 and header[0] in there)
    if any(map(_known, header)) and not is_path:
        rows = _read(source, lines[1:], separator, header)
        return _table(source, [column_word(cell) for cell in header], rows)
    for separator, name in SEPARATORS.items():
        first = _cells(source, lines[0], separator)
        if len(first) < 2 or not (separator in ";\t" or has_video_suffix(first[0]) or first[0] in there):
            continue
        rows = list(_split(source, lines, separator))
        if all(len(cells) == 2 for _, cells in rows):
            return _table(source, ["path", "label"], rows)
        if separator != "\t" and len({len(cells) for _, cells in rows}) == 1:
            raise DataError(
                f"{source}:{lines[0][0]}: {len(first)} values with {name} between, and no header that says which is what: "
                f"{_HEADER}."
            )
    return None


def numbered_lines(source: str, text: str, there: FilesIn) -> list[tuple[int, str]]:
    """The lines of a list with their numbers, without blank ones and comments (# in front, unless such a file is there)."""
    lines = [(n, line) for n, line in enumerate(text_lines(text), start=1) if line and not line.isspace()]
    lines = lines[1:] if lines and re.fullmatch(r"sep=.", lines[0][1].strip()) else lines
    comments = {n for n, line in lines if line.startswith("#") and not _names_file(line, there)}
    if comments:
        notice(f"{source}: {counted(len(comments), 'line')} with # in front passed over.")
    return [(n, line) for n, line in lines if n not in comments] if comments else lines


def _names_file(line: str, there: FilesIn) -> bool:
    """Whether a file's name is what a line with # in front begins with."""
    return any(line[: found.start()] in there for found in re.finditer(r"[,;\t| ]|$", line))


def column_word(cell: str) -> str:
    """A cell of a header as `COLUMNS` has its words: in small letters, with "_" for blanks and "-"."""
    return re.sub(r"[\s-]+", "_", cell.strip().strip('"').strip().lower())


def _known(cell: str) -> bool:
    return column_word(cell) in COLUMN_OF or column_word(cell) in IDS


def _cells(source: str, line: tuple[int, str], separator: str) -> list[str]:
    """The cells of the first line; of one that no CSV can have, the line itself."""
    try:
        return next(csv.reader([line[1]], delimiter=separator, skipinitialspace=True, strict=True))
    except csv.Error:
        return [line[1]]


def _split(source: str, lines: Sequence[tuple[int, str]], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with the number of its line; quoted cells may go over several lines."""
    reader = csv.reader((f"{line}\n" for _, line in lines), delimiter=separator, skipinitialspace=True, strict=True)
    begun = 0
    try:
        for cells in reader:
            yield lines[begun][0], [cell.strip() for cell in cells]
            begun = reader.line_num
    except csv.Error as error:
        raise DataError(
            f"{source}:{lines[begun][0]}: the quotes of this row do not end as those of a CSV do ({error})."
        ) from None


def _read(
    source: str, lines: Sequence[tuple[int, str]], separator: str, header: Sequence[str]
) -> list[tuple[int, list[str]]]:
    rows = list(_split(source, lines, separator))
    blank = sum(not any(cells) for _, cells in rows)
    if blank:
        notice(f"{source}: {counted(blank, 'row')} of blank cells passed over.")
        rows = [(line, cells) for line, cells in rows if any(cells)]
    for line, cells in rows:
        if len(cells) != len(header):
            raise DataError(
                f"{source}:{line}: expected {len(header)} values ({', '.join(map(str.strip, header))}), got {len(cells)}: "
                "a value that holds the separator needs quotes around it."
            )
    return rows


def _table(source: str, words: Sequence[str], rows: Sequence[tuple[int, list[str]]]) -> Table:
    twice = next((word for i, word in enumerate(words) if word and word in words[:i]), None)
    if twice is not None:
        raise DataError(f"{source}:1: the column {twice!r} is there twice: leave one out.")
    cells = zip(*(cells for _, cells in rows), strict=True) if rows else ([] for _ in words)
    return Table(source, dict(zip(words, map(list, cells), strict=True)), [line for line, _ in rows])


def table_rows(table: Table) -> Rows:
    """The rows of a table by what its columns are.

    Raises:
        DataError: with file and line: no column of paths, two for the same thing, a word that is nearly a column's, or a
            value that is no time or no number of a frame.
    """
    return rows_of(table, _columns(table))


def rows_of(table: Table, named: Mapping[str, str]) -> Rows:
    """The rows of a table of which `named` says which word of the header names which column of `COLUMNS`.

    Raises:
        DataError: with file and line: no column of paths, or a value that is no time or no number of a frame.
    """
    columns = {name: table.columns[word] for name, word in named.items()}
    if "path" not in columns:
        raise DataError(f"{table.source}:1: the column 'path' is missing; {_HEADER}.")
    return Rows(
        source=table.source, paths=columns["path"], lines=table.lines, labels=_labels(table, columns),
        splits=columns.get("split"), groups=columns.get("group"), times=_times(table, columns),
        frame_ranges=_frame_ranges(table, columns), frame_counts=_frame_counts(table, columns),
    )  # fmt: skip


def _columns(table: Table) -> dict[str, str]:
    """Which word of the header names which column; the others are left out and said."""
    named: dict[str, str] = {}
    for word in table.columns:
        if (name := COLUMN_OF.get(word)) is None:
            continue
        if name in named:
            raise DataError(
                f"{table.source}:1: the columns {named[name]!r} and {word!r} both name the {name}: leave one out."
            )
        named[name] = word
    if "path" not in named:
        ids = [word for word in IDS if word in table.columns]
        if len(ids) > 1:
            raise DataError(f"{table.source}:1: which of {', '.join(ids)} names the videos? Call that column path.")
        named |= dict.fromkeys(("path",) if ids else (), ids[0] if ids else "")
    other = [word for word in table.columns if word not in named.values()]
    for word in other:
        near = difflib.get_close_matches(word, [name for name in COLUMNS if name not in named], n=1, cutoff=0.75)
        if near:
            raise DataError(
                f"{table.source}:1: unknown column {word!r}, and none is named {near[0]}; known are {', '.join(COLUMNS)}."
                f"{did_you_mean(word, near)}"
            )
    if other:
        words = ", ".join(word or "one without a name" for word in other)
        notice(f"{table.source}: {counted(len(other), 'column')} of no account: {words}.")
    return named


_SEVERAL = re.compile(r"\[.*\]|\d+(?:[\s,;/]+\d+)+")


def _labels(table: Table, columns: Mapping[str, list[str]]) -> list[str] | None:
    labels = columns.get("label")
    for text, line in zip(labels or (), table.lines, strict=labels is not None):
        if _SEVERAL.fullmatch(text):
            raise DataError(
                f"{table.source}:{line}: the label {text!r}: several labels of a video have | between, as in 0|3."
            )
    return labels


def _times(table: Table, columns: Mapping[str, list[str]]) -> list[Span] | None:
    if "start" not in columns and "end" not in columns:
        return None
    blank = [""] * len(table.lines)
    times = []
    for texts in zip(columns.get("start", blank), columns.get("end", blank), table.lines, strict=True):
        start, end, where = *texts[:2], f"{table.source}:{texts[2]}"
        times.append(checked_times(seconds_of(start, where), seconds_of(end, where), where))
    return times


def checked_times(start: float, end: float, where: str) -> Span:
    """Start and end in seconds, NaN where there is none.

    Raises:
        DataError: the start is not before the end, or is negative.
    """
    if start >= end or start < 0 or end <= 0:
        raise DataError(
            f"{where}: start must lie before end, both in seconds from 0, got {seconds_text(start)} and {seconds_text(end)}."
        )
    return start, end


_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d*)?)")


def seconds_of(text: str, where: str) -> float:
    """A time in seconds from `83.5`, `83.5s`, `1:23.5` (minutes) or `0:01:23.5` (hours); NaN for nothing.

    Raises:
        DataError: it is none of these.
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


def _frame_ranges(table: Table, columns: Mapping[str, list[str]]) -> list[FrameSpan] | None:
    """Parts by frame numbers: from 0, up to the frame before the end; a number of frames may give the end."""
    if "start_frame" not in columns and "end_frame" not in columns:
        return None
    if "start" in columns or "end" in columns:
        raise DataError(
            f"{table.source}:1: parts by time (start, end) and by frame (start_frame, end_frame): leave out one pair."
        )
    if "end_frame" in columns and "num_frames" in columns:
        columns = {name: column for name, column in columns.items() if name != "num_frames"}
    blank = [""] * len(table.lines)
    starts, ends, counts = (columns.get(n, blank) for n in ("start_frame", "end_frame", "num_frames"))
    ranges = []
    for texts in zip(starts, ends, counts, table.lines, strict=True):
        where = f"{table.source}:{texts[3]}"
        start, end, count = (whole_number(text, where, "number of a frame") for text in texts[:3])
        ranges.append(checked_frames(start or 0, (start or 0) + count if count is not None else end, where))
    if any(span != WHOLE for span in ranges):
        notice(f"{table.source}: frames are counted from 0, and a part ends before its end_frame.")
    return ranges


def _frame_counts(table: Table, columns: Mapping[str, list[str]]) -> list[int] | None:
    if "num_frames" not in columns or "start_frame" in columns or "end_frame" in columns:
        return None
    pairs = zip(columns["num_frames"], table.lines, strict=True)
    counts = [whole_number(text, f"{table.source}:{line}", "number of frames") for text, line in pairs]
    return [-1 if count is None else count for count in counts]


def checked_frames(start: int, end: int | None, where: str) -> FrameSpan:
    """A range of frames, -1 for one that goes to the end of the video.

    Raises:
        DataError: its start is not before its end.
    """
    if end is not None and start >= end:
        raise DataError(f"{where}: start_frame must lie before end_frame, counted from 0, got {start} and {end}.")
    return start, -1 if end is None else end


def whole_number(text: str, where: str, what: str) -> int | None:
    """A whole number from 0 (pandas may write it as 12.0); None for nothing.

    Raises:
        DataError: it is none.
    """
    if not text or text.lower() == "nan":
        return None
    if not (found := re.fullmatch(r"(\d+)(?:\.0+)?", text)):
        raise DataError(f"{where}: {text!r} is no {what}, counted from 0.")
    return int(found[1])
