"""Lists that are CSV tables, in the dialects that people and programs write.

Python's csv module splits the lines. These rules, in this order, decide whether a text is a table and how it is split:

1. Lines that begin with # are comments; blank lines, rows of blank cells and Excel's `sep=;` do not count.
2. The first line is a header if a separator (comma, semicolon, tab, "|") splits it into cells of which one is a name of
   `marey.data.lists.columns.COLUMNS`, and none has a video's suffix. Of several separators, the one with most such names is
   taken. Capitals, quotes and blanks around a name do not matter.
3. Without a header, a text is a table of path and label if a separator splits every line into two cells and the first
   line's first cell is a path: it has a video's suffix, or such a file exists. With semicolons and tabs, the first
   cell may be anything.
4. Everything else is no table.

Each row must have as many cells as the header. Columns with unknown names are ignored, with a notice. A list is refused if
such a name is nearly that of a missing column, or if two columns have the same meaning.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from marey.base.errors import DataError
from marey.data.lists.columns import COLUMN_OF, HEADER_HINT, IDS, ListTable, column_word, refuse_repeated_columns
from marey.data.lists.files_in import FilesIn, has_video_suffix
from marey.data.lists.text_files import NumberedLine, SkippedLines

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class Dialect:
    """How the lines of a list are split into the cells of a table."""

    separator: str
    """The character between two cells, one of `SEPARATORS`."""
    header: tuple[str, ...]
    """The names of the columns: the cells of the header, or `path` and `label` for a table without header."""
    is_headed: bool
    """Whether the first line is a header."""

    @property
    def words(self) -> tuple[str, ...]:
        """The names of the columns, in the spelling of `COLUMNS`."""
        return tuple(map(column_word, self.header))

    def tables(
        self, source: str, lines: Iterable[NumberedLine], size: int, skipped: SkippedLines
    ) -> Iterator[ListTable]:
        """The rows of a list, in tables of `size` rows; the last table has the remaining ones.

        Args:
            source: The list, for messages.
            lines: All lines of the list, with the header if it has one.
            size: Rows of a table.
            skipped: Counts the blank rows.

        Raises:
            DataError: with file and line: too many or too few cells, or a quote that is not closed.
        """
        below = islice(lines, 1, None) if self.is_headed else lines
        rows = _complete_rows(source, _split(source, below, self.separator), self.header, skipped)
        while some := list(islice(rows, size)):
            columns = map(list, zip(*(cells for _, cells in some), strict=True))
            yield ListTable(source, dict(zip(self.words, columns, strict=True)), [line for line, _ in some])


def find_table(source: str, lines: Sequence[NumberedLine], existing: FilesIn) -> ListTable | None:
    """The table that the lines of a list (`numbered_lines`) form, by the rules of this module; None where they form none.

    Raises:
        DataError: with file and line: too many or too few cells, a quote that is not closed, a column twice.
    """
    if (dialect := find_dialect(source, lambda: lines, existing)) is None:
        return None
    skipped = SkippedLines()
    table = next(dialect.tables(source, lines, len(lines), skipped), None)
    skipped.report(source)
    return table or ListTable(source, {word: [] for word in dialect.words}, [])


def find_dialect(source: str, lines: Callable[[], Iterable[NumberedLine]], existing: FilesIn) -> Dialect | None:
    """The dialect of the table that the lines of a list form, by the rules of this module; None where they form none.

    Args:
        source: The list, for messages.
        lines: Returns the lines from the first on. Where there is no header, it is called again for each possible separator.
        existing: The files below the folder of the list's paths.

    Raises:
        DataError: with file and line: the same number of cells in all lines but no header, a quote that is not closed, or a
            column twice.
    """
    first_line = next(iter(lines()), None)
    if first_line is None:
        return None
    separator, header = max(
        ((one, _cells(first_line, one)) for one in SEPARATORS), key=lambda pair: sum(map(_is_known_column, pair[1]))
    )
    is_path = any(map(has_video_suffix, header)) or (len(header) == 1 and header[0] in existing)
    if any(map(_is_known_column, header)) and not is_path:
        dialect = Dialect(separator, tuple(header), is_headed=True)
        refuse_repeated_columns(source, dialect.words)
        return dialect
    for separator, name in SEPARATORS.items():
        first = _cells(first_line, separator)
        if len(first) < 2 or not (separator in ";\t" or has_video_suffix(first[0]) or first[0] in existing):
            continue
        counts = {len(cells) for _, cells in _split(source, lines(), separator)}
        if counts == {2}:
            return Dialect(separator, ("path", "label"), is_headed=False)
        if separator != "\t" and len(counts) == 1:
            raise DataError(
                f"{source}:{first_line[0]}: {len(first)} values with {name} between, and no header that names them: "
                f"{HEADER_HINT}."
            )
    return None


def _is_known_column(cell: str) -> bool:
    return column_word(cell) in COLUMN_OF or column_word(cell) in IDS


def _cells(line: NumberedLine, separator: str) -> list[str]:
    """The cells of the first line; one cell with the entire line if it is not valid CSV."""
    try:
        return next(csv.reader([line[1]], delimiter=separator, skipinitialspace=True, strict=True))
    except csv.Error:
        return [line[1]]


def _split(source: str, lines: Iterable[NumberedLine], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with the number of its first line; quoted cells may span several lines."""
    of_row: list[int] = []

    def texts() -> Iterator[str]:
        for number, line in lines:
            of_row.append(number)
            yield f"{line}\n"

    reader = csv.reader(texts(), delimiter=separator, skipinitialspace=True, strict=True)
    try:
        for cells in reader:
            yield of_row[0], [cell.strip() for cell in cells]
            of_row.clear()
    except csv.Error as error:
        raise DataError(
            f"{source}:{of_row[0]}: the quotes of this row are not closed as CSV requires ({error})."
        ) from None


def _complete_rows(
    source: str, rows: Iterable[tuple[int, list[str]]], header: Sequence[str], skipped: SkippedLines
) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with as many cells as the header."""
    for line, cells in rows:
        if not any(cells):
            skipped.blank += 1
            continue
        if len(cells) != len(header):
            raise DataError(
                f"{source}:{line}: expected {len(header)} values ({', '.join(map(str.strip, header))}), got {len(cells)}: "
                "a value that holds the separator needs quotes around it."
            )
        yield line, cells
