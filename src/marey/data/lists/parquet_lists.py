"""Lists of videos that are Parquet tables, as pandas, Polars and DuckDB write them, with the columns of
`marey.data.lists.columns`.

A column may hold:

- texts, also as categories, and bytes that are UTF-8 (older programs do not mark texts as such);
- whole numbers; decimals; floating-point numbers, where 3.0 is read as 3: pandas makes floats of a column of whole numbers
  with missing values;
- true and false, read as "True" and "False";
- lists of these in a column of labels, for several labels of a video;
- missing values, read as empty cells.

Dates, times of day, durations and records are refused: times of a list are seconds within a file. Columns with unknown
names are not read, and may hold anything.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError
from marey.base.notebook import keep_beginning
from marey.base.parquet import pyarrow, pyarrow_parquet
from marey.data.lists.columns import COLUMN_OF, ListTable, column_word, refuse_repeated_columns
from marey.data.lists.text_files import row_location

_AT_ONCE = 65_536
"""Rows that are read at a time when the entire table is read."""
_READ_AHEAD = 1 << 20
"""Bytes of a column that are read at a time: otherwise memory would hold a row group completely."""
_FIRST, _ENCRYPTED = b"PAR1", b"PARE"
"""The first and the last bytes of a Parquet file, plain and encrypted."""
_FLAT = (
    "null", "boolean", "integer", "floating", "decimal", "string", "large_string", "string_view", "binary", "large_binary",
    "binary_view",
)  # fmt: skip
_LISTS = ("list", "large_list", "fixed_size_list", "list_view", "large_list_view")
"""`_FLAT`: the types of values that a column may hold. `_LISTS`: the types of lists of them, for labels. Each is the name of
a function of `pyarrow.types` without its `is_`."""

Cell: TypeAlias = "str | int | float | bytes | Decimal | Sequence[Cell] | None"


class _ArrowArray(Protocol):
    """A piece of a column, as pyarrow has it."""

    def to_pylist(self) -> list[Cell]: ...

    def to_numpy(self, *, zero_copy_only: bool) -> NDArray[np.floating]: ...


@dataclass(frozen=True)
class ParquetList:
    """A Parquet table whose columns are known; its rows are read on demand."""

    path: Path
    """Path of the Parquet file."""
    names: tuple[str, ...]
    """The names of the columns, as they are written."""

    @classmethod
    def opened(cls, path: Path) -> Self:
        """Read the names of the columns of a table.

        Raises:
            DataError: the file is not Parquet, cut off, encrypted or damaged; or the table has no rows or two columns of
                one name.
            MareyError: pyarrow is not installed.
        """
        _refuse_others(path)
        parquet = pyarrow_parquet(f"{path}: reading Parquet")
        with _errors_of_pyarrow(path), path.open("rb") as opened, parquet.ParquetFile(opened) as file:
            names, rows = tuple(map(str, file.schema_arrow.names)), int(file.metadata.num_rows)
        if not rows:
            raise DataError(f"{path}: names no videos: the table has no rows.")
        listed = cls(path, names)
        refuse_repeated_columns(listed.source, listed.words)
        return listed

    @property
    def source(self) -> str:
        """The list, for messages."""
        return str(self.path)

    @property
    def words(self) -> tuple[str, ...]:
        """The names of all columns in the spelling of `COLUMNS`."""
        return tuple(map(column_word, self.names))

    def table(self, words: Sequence[str]) -> ListTable:
        """All rows of the columns `words`, which are names in the spelling of `COLUMNS`.

        Raises:
            DataError: as `tables`.
        """
        columns: dict[str, list[str]] = {word: [] for word in words}
        lines: list[int] = []
        for piece in self.tables(words, _AT_ONCE):
            lines += piece.lines
            for word, cells in piece.columns.items():
                columns[word] += cells
        return ListTable(self.source, columns, lines)

    def tables(self, words: Sequence[str], size: int) -> Iterator[ListTable]:
        """The columns `words`, in tables of at most `size` rows, in order; `lines` are the numbers of the rows, from 1.

        Raises:
            DataError: a column holds values of a type that is not read, or the file is damaged.
        """
        names = {word: self.names[self.words.index(word)] for word in words}
        types = pyarrow(f"{self.path}: reading Parquet").types
        parquet = pyarrow_parquet(f"{self.path}: reading Parquet")
        first = 1
        with (
            _errors_of_pyarrow(self.path),
            self.path.open("rb") as opened,
            parquet.ParquetFile(opened, buffer_size=_READ_AHEAD) as file,
        ):
            kinds = {word: file.schema_arrow.field(name).type for word, name in names.items()}
            for word, kind in kinds.items():
                if not _is_read(types, kind, of_labels=COLUMN_OF.get(word) == "label"):
                    raise self._type_error(word, str(kind))
            for batch in file.iter_batches(size, columns=list(names.values()), use_threads=False):
                columns = {
                    word: self._texts(word, batch.column(name), first, has_point=types.is_floating(kinds[word]))
                    for word, name in names.items()
                }
                yield ListTable(self.source, columns, list(range(first, first + batch.num_rows)))
                first += batch.num_rows

    def _type_error(self, word: str, kind: str) -> DataError:
        times = ", and times are seconds within the file" if COLUMN_OF.get(word) in ("start", "end") else ""
        return DataError(
            f"{self.source}: the column {word!r} holds {keep_beginning(kind, 60)}{times}: it must hold texts or numbers."
        )

    def _texts(self, word: str, array: _ArrowArray, first: int, *, has_point: bool) -> list[str]:
        """The cells of a piece of a column that begins with row `first`, as texts; `has_point`: they are floating-point."""
        try:
            # With numpy, which writes a 32-bit number with its own digits: 0.1, not 0.10000000149011612.
            values = list(array.to_numpy(zero_copy_only=False)) if has_point else array.to_pylist()
            texts = [value.strip() if isinstance(value, str) else _text(value) for value in values]
        except UnicodeDecodeError:
            raise DataError(
                f"{self.source}: the column {word!r} holds bytes that are not UTF-8 text (row {first} or a later one): "
                "write it as text."
            ) from None
        bad_row = next((row for row, text in enumerate(texts, start=first) if "\0" in text), None)
        if bad_row is not None:
            raise DataError(
                f"{row_location(self.source, bad_row)}: the column {word!r} holds a zero byte: no name has one."
            )
        return texts


def _text(value: Cell) -> str:
    match value:
        case None:
            text = ""
        case float() | np.floating():
            text = "" if np.isnan(value) else str(int(value)) if value.is_integer() else str(value)
        case bytes():
            text = value.decode()
        case Decimal():
            text = format(value.normalize(), "f")
        case list():
            text = "|".join(map(_text, value))
        case _:
            text = str(value)
    return text.strip()


def _is_read(types: ModuleType, kind: object, *, of_labels: bool) -> bool:
    """Whether a column of type `kind` is read; a column `of_labels` may hold lists, too."""
    if types.is_dictionary(kind) or (of_labels and any(getattr(types, f"is_{name}")(kind) for name in _LISTS)):
        return _is_read(types, kind.value_type, of_labels=False)  # type: ignore[attr-defined]  # of pyarrow's type
    return any(getattr(types, f"is_{name}")(kind) for name in _FLAT)


def _refuse_others(path: Path) -> None:
    """Check by its first and last bytes that a file is complete Parquet.

    Raises:
        DataError: it is not Parquet, not complete, or encrypted, or cannot be read.
    """
    before = f"{path}: cannot be read as a list of videos"
    try:
        with path.open("rb") as file:
            head = file.read(len(_FIRST))
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - len(_FIRST)))
            tail = file.read()
    except OSError as error:
        raise DataError(f"{before} ({error}).") from None
    if not head:
        raise DataError(f"{before}: the file is empty.")
    if _ENCRYPTED in (head, tail):
        raise DataError(f"{before}: it is encrypted Parquet, for which Marey has no key: write it without encryption.")
    if head != _FIRST:
        raise DataError(
            f"{before}: it is named .parquet but is no Parquet table: give it the suffix of its format (.csv, .txt, .jsonl)."
        )
    if tail != _FIRST:
        raise DataError(f"{before}: the end of the Parquet table is missing: copy or write it again, completely.")


@contextmanager
def _errors_of_pyarrow(path: Path) -> Iterator[None]:
    arrow = pyarrow(f"{path}: reading Parquet")
    try:
        yield
    except (arrow.ArrowException, OSError) as error:
        why = next((line.strip(" .") for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise DataError(
            f"{path}: cannot be read as a list of videos: the Parquet table is damaged, or of a kind that pyarrow does not "
            f"read ({why}): write it again."
        ) from None
