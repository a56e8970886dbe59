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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from marey.base.address import shown_in
from marey.base.errors import DataError
from marey.base.nearest import did_you_mean
from marey.base.reporter import notice
from marey.base.words import counted
from marey.data.lists.numbered_lines import Line, PassedOver
from marey.data.lists.rows import WHOLE, FilesIn, FrameSpan, Rows, Span, has_video_suffix, is_blank
from marey.data.lists.text import before_line, header_place, place
from marey.data.lists.videos import seconds_text

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
UNNEEDED = ("label", "split", "group")
"""Columns without which a list names videos all the same."""
COLUMN_OF = {word: name for name, words in COLUMNS.items() for word in words}
"""The column that each word names."""
_HEADER = "columns are named path,label[,split,...]"


@dataclass(frozen=True)
class Table:
    """A table with a header, column by column."""

    source: str
    columns: dict[str, list[str]]
    """By the words of the header, in small letters with "_" for blanks; cells without blanks around."""
    lines: list[int]
    """For each row, its line in the file."""


@dataclass(frozen=True)
class Dialect:
    """How the lines of a list are split into the rows of a table."""

    separator: str
    header: tuple[str, ...]
    """The cells of the first line as they are; the columns of a table without one."""
    is_headed: bool
    """Whether the first line is the header, and no row."""

    @property
    def words(self) -> tuple[str, ...]:
        """The names of the columns, as `Table` has them."""
        return tuple(map(column_word, self.header))

    def tables(self, source: str, lines: Iterable[Line], size: int, passed: PassedOver) -> Iterator[Table]:
        """The rows of the lines of a list, header included, in tables of `size` rows, the last with those that are left.

        Raises:
            DataError: with file and line: cells too many or too few, or quotes that do not end.
        """
        below = islice(lines, 1, None) if self.is_headed else lines
        rows = _checked(source, _split(source, below, self.separator), self.header, passed)
        while some := list(islice(rows, size)):
            columns = map(list, zip(*(cells for _, cells in some), strict=True))
            yield Table(source, dict(zip(self.words, columns, strict=True)), [line for line, _ in some])


def find_table(source: str, lines: Sequence[Line], there: FilesIn) -> Table | None:
    """The table that the lines of a list (`numbered_lines`) are, by the rules of this module; None where they are none.

    Raises:
        DataError: with file and line: cells too many or too few, quotes that do not end, a column twice.
    """
    if (dialect := find_dialect(source, lambda: lines, there)) is None:
        return None
    passed = PassedOver()
    table = next(dialect.tables(source, lines, len(lines), passed), None)
    passed.tell(source)
    return table or Table(source, {word: [] for word in dialect.words}, [])


def find_dialect(source: str, lines: Callable[[], Iterable[Line]], there: FilesIn) -> Dialect | None:
    """How the lines of a list are those of a table, by the rules of this module; None where they are none.

    Args:
        source: The list.
        lines: Gives them from the first on. It is called once where the first tells, and else once more for each separator
            that may be meant: then every line counts.
        there: What lies in the folder of the list's paths.

    Raises:
        DataError: with file and line: as many cells everywhere and no header, quotes that do not end, a column twice.
    """
    first_line = next(iter(lines()), None)
    if first_line is None:
        return None
    separator, header = max(
        ((one, _cells(first_line, one)) for one in SEPARATORS), key=lambda found: sum(map(_known, found[1]))
    )
    is_path = any(map(has_video_suffix, header)) or (len(header) == 1 and header[0] in there)
    if any(map(_known, header)) and not is_path:
        dialect = Dialect(separator, tuple(header), is_headed=True)
        refuse_twice(source, dialect.words)
        return dialect
    for separator, name in SEPARATORS.items():
        first = _cells(first_line, separator)
        if len(first) < 2 or not (separator in ";\t" or has_video_suffix(first[0]) or first[0] in there):
            continue
        counts = {len(cells) for _, cells in _split(source, lines(), separator)}
        if counts == {2}:
            return Dialect(separator, ("path", "label"), is_headed=False)
        if separator != "\t" and len(counts) == 1:
            raise DataError(
                f"{source}:{first_line[0]}: {len(first)} values with {name} between, and no header that says which is what: "
                f"{_HEADER}."
            )
    return None


def column_word(cell: str) -> str:
    """A cell of a header as `COLUMNS` has its words: in small letters, with "_" for blanks and "-"."""
    return re.sub(r"[\s-]+", "_", cell.strip().strip('"').strip().lower())


def _known(cell: str) -> bool:
    return column_word(cell) in COLUMN_OF or column_word(cell) in IDS


def _cells(line: Line, separator: str) -> list[str]:
    """The cells of the first line; of one that no CSV can have, the line itself."""
    try:
        return next(csv.reader([line[1]], delimiter=separator, skipinitialspace=True, strict=True))
    except csv.Error:
        return [line[1]]


def _split(source: str, lines: Iterable[Line], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with the number of its first line; quoted cells may go over several lines."""
    taken: list[int] = []

    def texts() -> Iterator[str]:
        for number, line in lines:
            taken.append(number)
            yield f"{line}\n"

    reader = csv.reader(texts(), delimiter=separator, skipinitialspace=True, strict=True)
    try:
        for cells in reader:
            yield taken[0], [cell.strip() for cell in cells]
            taken.clear()
    except csv.Error as error:
        raise DataError(
            f"{source}:{taken[0]}: the quotes of this row do not end as those of a CSV do ({error})."
        ) from None


def _checked(
    source: str, rows: Iterable[tuple[int, list[str]]], header: Sequence[str], passed: PassedOver
) -> Iterator[tuple[int, list[str]]]:
    """The rows that say something, each with as many cells as the header."""
    for line, cells in rows:
        if not any(cells):
            passed.blank += 1
            continue
        if len(cells) != len(header):
            raise DataError(
                f"{source}:{line}: expected {len(header)} values ({', '.join(map(str.strip, header))}), got {len(cells)}: "
                "a value that holds the separator needs quotes around it."
            )
        yield line, cells


def refuse_twice(source: str, words: Sequence[str]) -> None:
    """Check that no two columns of a table have the same name.

    Raises:
        DataError: two have.
    """
    twice = next((word for i, word in enumerate(words) if word and word in words[:i]), None)
    if twice is not None:
        raise DataError(f"{header_place(source)}: the column {twice!r} is there twice: leave one out.")


def table_rows(table: Table) -> Rows:
    """The rows of a table by what its columns are.

    Raises:
        DataError: with file and line: no column of paths, two for the same thing, a word that is nearly a column's, or a
            value that is no time or no number of a frame.
    """
    named = columns_of(table.source, tuple(table.columns))
    rows = rows_of(table, named)
    tell_of_columns(table.source, tuple(table.columns), named)
    if has_frames(rows):
        tell_of_frames(table.source)
    return rows


def rows_of(table: Table, named: Mapping[str, str]) -> Rows:
    """The rows of a table of which `named` says which word of the header names which column of `COLUMNS`.

    Raises:
        DataError: with file and line: a value that is no time or no number of a frame.
    """
    columns = {name: table.columns[word] for name, word in named.items()}
    return Rows(
        source=table.source, paths=columns["path"], lines=table.lines, labels=columns.get("label"),
        splits=columns.get("split"), groups=columns.get("group"), times=_times(table, columns),
        frame_ranges=_frame_ranges(table, columns), frame_counts=_frame_counts(table, columns),
        unclear=unclear_columns(table.source, tuple(table.columns)),
    )  # fmt: skip


def columns_of(source: str, words: Sequence[str]) -> dict[str, str]:
    """Which word of a header names which column of `COLUMNS`.

    Raises:
        DataError: no word names the paths, two name the same column, or one is nearly the name of a column. Of two that
            name the labels, the splits or the groups the first is taken, and `unclear_columns` has the error.
    """
    named: dict[str, str] = {}
    for word in words:
        if (name := COLUMN_OF.get(word)) is not None and named.setdefault(name, word) != word and name not in UNNEEDED:
            raise _both(source, name, named[name], word)
    if "path" not in named:
        ids = [word for word in IDS if word in words]
        if len(ids) > 1:
            raise DataError(
                f"{header_place(source)}: which of {', '.join(ids)} names the videos? Call that column path."
            )
        named |= dict.fromkeys(("path",) if ids else (), ids[0] if ids else "")
    for word in _others(words, named):
        near = difflib.get_close_matches(word, [name for name in COLUMNS if name not in named], n=1, cutoff=0.75)
        if near:
            raise DataError(
                f"{header_place(source)}: unknown column {word!r}, and none is named {near[0]}; known are "
                f"{', '.join(COLUMNS)}.{did_you_mean(word, near)}"
            )
    if "path" not in named:
        raise DataError(f"{header_place(source)}: the column 'path' is missing; {_HEADER}.")
    return named


def unclear_columns(source: str, words: Sequence[str]) -> DataError | None:
    """The error that two words of a header name the labels, the splits or the groups; None where none do. It is for those
    who need these: the answers of `marey predict` have a column `label` and one `labels`, and are a list of videos.
    """
    for name in UNNEEDED:
        if len(both := [word for word in words if COLUMN_OF.get(word) == name]) > 1:
            return _both(source, name, *both[:2])
    return None


def _both(source: str, name: str, one: str, other: str) -> DataError:
    return DataError(
        f"{header_place(source)}: the columns {one!r} and {other!r} both name the {name}: leave one out, or rename it."
    )


def _others(words: Sequence[str], named: Mapping[str, str]) -> list[str]:
    return [word for word in words if word not in named.values()]


def tell_of_columns(source: str, words: Sequence[str], named: Mapping[str, str]) -> None:
    """Say which columns of a table name nothing that lists have."""
    if others := _others(words, named):
        names = ", ".join(shown_in(word) or "one without a name" for word in others)
        notice(f"{source}: {counted(len(others), 'column')} of no account: {names}.")


_SEVERAL = re.compile(r"\[.*\]|\d+(?:[\s,;/]+\d+)+")


def refuse_unclear_labels(rows: Rows) -> None:
    """Check that it is known what the labels, splits and groups of a list are.

    Raises:
        DataError: two columns name the same; or, with file and line, a label is several with other signs than | between.
    """
    if rows.unclear is not None:
        raise rows.unclear
    for text, line in zip(rows.labels or (), rows.lines, strict=rows.labels is not None):
        if _SEVERAL.fullmatch(text):
            raise DataError(
                f"{place(rows.source, line)}: the label {text!r}: several labels of a video have | between, as in 0|3."
            )


def _times(table: Table, columns: Mapping[str, list[str]]) -> list[Span] | None:
    if "start" not in columns and "end" not in columns:
        return None
    blank = [""] * len(table.lines)
    times, before = [], before_line(table.source)
    for texts in zip(columns.get("start", blank), columns.get("end", blank), table.lines, strict=True):
        start, end, where = *texts[:2], f"{before}{texts[2]}"
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
    if "end_frame" in columns and "num_frames" in columns:
        columns = {name: column for name, column in columns.items() if name != "num_frames"}
    blank = [""] * len(table.lines)
    starts, ends, counts = (columns.get(n, blank) for n in ("start_frame", "end_frame", "num_frames"))
    timed = zip(columns.get("start", blank), columns.get("end", blank), strict=True)
    ranges, before = [], before_line(table.source)
    for *texts, times, line in zip(starts, ends, counts, timed, table.lines, strict=True):
        where = f"{before}{line}"
        start, end, count = (whole_number(text, where, "number of a frame") for text in texts)
        if (start, end, count) != (None, None, None) and not all(map(is_blank, times)):
            raise DataError(
                f"{where}: a part by time (start, end) and by frame (start_frame, end_frame): leave out one pair."
            )
        ranges.append(checked_frames(start or 0, (start or 0) + count if count is not None else end, where))
    return ranges


def has_frames(rows: Rows) -> bool:
    """Whether a table names parts by frames."""
    return any(span != WHOLE for span in rows.frame_ranges or ())


def tell_of_frames(source: str) -> None:
    """Say how the frames of a table are counted."""
    notice(f"{source}: frames are counted from 0, and a part ends before its end_frame.")


def _frame_counts(table: Table, columns: Mapping[str, list[str]]) -> list[int] | None:
    if "num_frames" not in columns or "start_frame" in columns or "end_frame" in columns:
        return None
    pairs, before = zip(columns["num_frames"], table.lines, strict=True), before_line(table.source)
    counts = [whole_number(text, f"{before}{line}", "number of frames") for text, line in pairs]
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
