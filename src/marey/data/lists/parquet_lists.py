"""Lists of videos that are Parquet tables, as pandas, Polars and DuckDB write them, with the columns of
`marey.data.lists.tables`.

What a column may hold, and how it is read:

- texts, also as categories, and texts of bytes (older programs mark no text) that are UTF-8;
- whole numbers; decimals; numbers with a point, of which whole ones are read as such: pandas makes them of a column of whole
  numbers in which some are missing;
- true and false, as "True" and "False";
- lists of these, in a column of labels: several labels of a video;
- nothing: an empty cell.

Dates, times of day, durations and records are refused: times of a list are seconds within a file. Columns that no list has
are not read.
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
from marey.base.notebook import beginning
from marey.base.parquet import pyarrow, pyarrow_parquet
from marey.data.lists.tables import COLUMN_OF, Table, column_word, refuse_twice
from marey.data.lists.text import place

_AT_ONCE = 65_536
"""Rows that are read at a time where a table is read as a whole."""
_READ_AHEAD = 1 << 20
"""Bytes of a column that are read at a time: else each group of rows would be held as a whole."""
_FIRST, _ENCRYPTED = b"PAR1", b"PARE"
"""With what a Parquet file begins and ends."""
_FLAT = (
    "null", "boolean", "integer", "floating", "decimal", "string", "large_string", "string_view", "binary", "large_binary",
    "binary_view",
)  # fmt: skip
_LISTS = ("list", "large_list", "fixed_size_list", "list_view", "large_list_view")
"""What a column may hold, by the questions `is_...` of `pyarrow.types`."""

Cell: TypeAlias = "str | int | float | bytes | Decimal | Sequence[Cell] | None"


class _Array(Protocol):
    """A part of a column, as pyarrow has it."""

    def to_pylist(self) -> list[Cell]: ...

    def to_numpy(self, *, zero_copy_only: bool) -> NDArray[np.floating]: ...


@dataclass(frozen=True)
class ParquetList:
    """A Parquet table of which the columns are known."""

    path: Path
    names: tuple[str, ...]
    """Of the columns, as they are."""

    @classmethod
    def opened(cls, path: Path) -> Self:
        """Look at the columns of a table.

        Raises:
            DataError: it is no Parquet, cut off, encrypted or damaged, has no rows, or two columns of one name.
            MareyError: pyarrow is not installed.
        """
        _refuse_others(path)
        parquet = pyarrow_parquet(f"{path}: reading Parquet")
        with _errors_of_pyarrow(path), path.open("rb") as opened, parquet.ParquetFile(opened) as file:
            names, rows = tuple(map(str, file.schema_arrow.names)), int(file.metadata.num_rows)
        if not rows:
            raise DataError(f"{path}: names no videos: the table has no rows.")
        listed = cls(path, names)
        refuse_twice(listed.source, listed.words)
        return listed

    @property
    def source(self) -> str:
        """The list, for messages."""
        return str(self.path)

    @property
    def words(self) -> tuple[str, ...]:
        """The names of all columns as `Table` has them."""
        return tuple(map(column_word, self.names))

    def table(self, words: Sequence[str]) -> Table:
        """Some columns as a whole.

        Raises:
            DataError: as `tables`.
        """
        columns: dict[str, list[str]] = {word: [] for word in words}
        lines: list[int] = []
        for part in self.tables(words, _AT_ONCE):
            lines += part.lines
            for word, cells in part.columns.items():
                columns[word] += cells
        return Table(self.source, columns, lines)

    def tables(self, words: Sequence[str], size: int) -> Iterator[Table]:
        """Some columns in tables of at most `size` rows, in order; of each row its number from 1.

        Raises:
            DataError: a column holds what no list has there, or the file is damaged.
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
                    raise self._odd_column(word, str(kind))
            for batch in file.iter_batches(size, columns=list(names.values()), use_threads=False):
                columns = {
                    word: self._texts(word, batch.column(name), first, has_point=types.is_floating(kinds[word]))
                    for word, name in names.items()
                }
                yield Table(self.source, columns, list(range(first, first + batch.num_rows)))
                first += batch.num_rows

    def _odd_column(self, word: str, kind: str) -> DataError:
        times = ", and times are seconds within the file" if COLUMN_OF.get(word) in ("start", "end") else ""
        return DataError(
            f"{self.source}: the column {word!r} holds {beginning(kind, 60)}{times}: lists hold texts or numbers there; "
            "write the column anew as such."
        )

    def _texts(self, word: str, array: _Array, first: int, *, has_point: bool) -> list[str]:
        """The cells of a part of a column that begins with row `first`."""
        try:
            # By numpy, which writes a number of 32 bits with its own digits: 0.1, and not 0.10000000149011612.
            values = list(array.to_numpy(zero_copy_only=False)) if has_point else array.to_pylist()
            texts = [value.strip() if isinstance(value, str) else _text(value) for value in values]
        except UnicodeDecodeError:
            raise DataError(
                f"{self.source}: the column {word!r} holds bytes that are no text in UTF-8 (row {first} or a later one): "
                "write it anew as text."
            ) from None
        odd = next((row for row, text in enumerate(texts, start=first) if "\0" in text), None)
        if odd is not None:
            raise DataError(f"{place(self.source, odd)}: the column {word!r} holds a zero byte: no name has one.")
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
    """Whether a column of such a type is read; one `of_labels` may hold lists, too."""
    if types.is_dictionary(kind) or (of_labels and any(getattr(types, f"is_{name}")(kind) for name in _LISTS)):
        return _is_read(types, kind.value_type, of_labels=False)  # type: ignore[attr-defined]  # of pyarrow's type
    return any(getattr(types, f"is_{name}")(kind) for name in _FLAT)


def _refuse_others(path: Path) -> None:
    """Check by its first and last bytes that a file is Parquet as a whole.

    Raises:
        DataError: it is not, cannot be read, or is encrypted.
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
            f"{before}: it is named as a Parquet table and is none: name a list by what it is (.csv, .txt, .jsonl)."
        )
    if tail != _FIRST:
        raise DataError(f"{before}: the end of the Parquet table is missing: copy or write it anew, as a whole.")


@contextmanager
def _errors_of_pyarrow(path: Path) -> Iterator[None]:
    arrow = pyarrow(f"{path}: reading Parquet")
    try:
        yield
    except (arrow.ArrowException, OSError) as error:
        why = next((line.strip(" .") for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise DataError(
            f"{path}: cannot be read as a list of videos: the Parquet table is damaged, or of a kind that pyarrow does not "
            f"read ({why}): write it anew."
        ) from None
