"""The tables that `predict`, `features` and `evaluate` write: their columns, and what a file says of itself.

Schema, version 1: `docs/reference/tables.md` names every column with its type and meaning. A file's key-value metadata has
the key "marey": a JSON object of what all rows have in common (`TableNote`).
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from marey.base.address import absolute
from marey.base.errors import RunError
from marey.base.jsonable import BYTES, Json
from marey.data.lists.videos import VideoEntry
from marey.tasks.prediction import Prediction

VERSION = 1
"""Of the schema: it grows where a column changes its name, type or meaning; columns may be added without."""
DONE, FAILED = "done", "failed"
_KEY = b"marey"


class Outcome(Protocol):
    """What came of one video: every kind of row has these."""

    @property
    def video(self) -> VideoEntry: ...
    @property
    def content(self) -> int: ...
    @property
    def seconds(self) -> float | None: ...
    @property
    def error(self) -> str | None: ...


@dataclass(frozen=True, eq=False)
class VideoFeatures:
    """The features of one video, or why there are none."""

    video: VideoEntry
    values: NDArray[np.float32] | None
    """[D], or [clips, D]; None where the video cannot be read."""
    error: str | None = None
    content: int = 0
    """As of a `Prediction`."""
    seconds: float | None = None
    """As of a `Prediction`."""


Row = TypeVar("Row", bound=Outcome)


class Table(ABC, Generic[Row]):
    """The columns of a kind of table. Every kind has those of the list and of the work; `own_fields` come between."""

    @property
    def schema(self) -> pa.Schema:
        return pa.schema(_LISTED + self.own_fields() + _WORK)

    @property
    @abstractmethod
    def row_bytes(self) -> int:
        """About, of the largest column in memory."""

    @abstractmethod
    def own_fields(self) -> list[pa.Field]:
        """The columns of results."""

    @abstractmethod
    def own_columns(self, results: Sequence[Row]) -> list[pa.Array]:
        """A column for each of `own_fields`. Where a video could not be read they are null, and lists of a fixed size are
        full of NaN: before version 23 pyarrow cannot read a table in which such a list is null.
        """

    def rows(self, numbers: Sequence[int], results: Sequence[Row]) -> pa.Table:
        """The rows of these videos; `numbers` are their indices in the list."""
        videos = [result.video for result in results]
        listed: list[Sequence[object]] = [
            numbers,
            [_text(video.id) for video in videos],
            [_text(absolute(video.path)) for video in videos],
            [video.start for video in videos],
            [video.end for video in videos],
            [video.start_frame for video in videos],
            [video.end_frame for video in videos],
            [f"{result.content:016x}" if result.content else None for result in results],
        ]
        work: list[Sequence[object]] = [
            [result.seconds for result in results],
            [DONE if result.error is None else FAILED for result in results],
            [None if result.error is None else _text(result.error) for result in results],
        ]
        columns = [pa.array(values, field.type) for values, field in zip(listed, _LISTED, strict=True)]
        columns += self.own_columns(results)
        columns += [pa.array(values, field.type) for values, field in zip(work, _WORK, strict=True)]
        return pa.Table.from_arrays(columns, schema=self.schema)


_LISTED = [
    pa.field("row", pa.int64(), nullable=False),
    pa.field("id", pa.string(), nullable=False),
    pa.field("path", pa.string(), nullable=False),
    pa.field("start", pa.float64()),
    pa.field("end", pa.float64()),
    pa.field("start_frame", pa.int64()),
    pa.field("end_frame", pa.int64()),
    pa.field("content", pa.string()),
]
_WORK = [
    pa.field("seconds", pa.float64()),
    pa.field("status", pa.string(), nullable=False),
    pa.field("reason", pa.string()),
]


@dataclass(frozen=True)
class AnswerTable(Table[Prediction]):
    """Answers: the likeliest classes and the probability of each class."""

    classes: int
    """K."""
    top: int
    """How many of the likeliest classes are named."""

    @property
    def row_bytes(self) -> int:
        return 4 * self.classes

    def own_fields(self) -> list[pa.Field]:
        return [
            pa.field("label", pa.string()),
            pa.field("probability", pa.float32()),
            pa.field("top_labels", pa.list_(pa.string())),
            pa.field("top_probabilities", pa.list_(pa.float32())),
            pa.field("probabilities", pa.list_(pa.float32(), self.classes), nullable=False),
            pa.field("labels", pa.list_(pa.string())),
            pa.field("below_threshold", pa.float32()),
            pa.field("backend", pa.string()),
        ]

    def own_columns(self, results: Sequence[Prediction]) -> list[pa.Array]:
        tops = [None if one.error is not None else one.top(self.top) for one in results]
        absent = np.full(self.classes, np.nan, np.float32)
        values = [
            [top[0][0] if top else None for top in tops],
            [top[0][1] if top else None for top in tops],
            [None if top is None else [label for label, _ in top] for top in tops],
            [None if top is None else [probability for _, probability in top] for top in tops],
            [absent if one.error is not None else one.probabilities for one in results],
            [None if one.labels is None else list(one.labels) for one in results],
            [one.below_threshold for one in results],
            [None if one.error is not None else _ran(one) for one in results],
        ]
        return [pa.array(column, field.type) for column, field in zip(values, self.own_fields(), strict=True)]


def _ran(answer: Prediction) -> str:
    """What computed an answer: "eager", or of two networks "eager, openvino"."""
    if answer.backend is None:
        return "eager"
    ran = answer.backend["ran"]
    return ", ".join(map(str, ran)) if isinstance(ran, list) else str(ran)


@dataclass(frozen=True)
class FeatureTable(Table[VideoFeatures]):
    """Features, as a list of fixed size; of each clip of a video where they were asked for so."""

    width: int
    """D."""
    clips: int | None
    """Clips of a video, where each has features of its own; None: one feature for the whole video."""
    half: bool
    """In half precision (float16), else float32."""

    @property
    def row_bytes(self) -> int:
        return 4 * self.width * (self.clips or 1)

    def own_fields(self) -> list[pa.Field]:
        values = pa.list_(pa.float16() if self.half else pa.float32(), self.width)
        return [pa.field("features", values if self.clips is None else pa.list_(values, self.clips), nullable=False)]

    def own_columns(self, results: Sequence[VideoFeatures]) -> list[pa.Array]:
        (field,) = self.own_fields()
        shape = (self.width,) if self.clips is None else (self.clips, self.width)
        values = np.full((len(results), *shape), np.nan, np.float16 if self.half else np.float32)
        for row, result in enumerate(results):
            if result.values is not None:
                values[row] = result.values
        column = pa.array(values.ravel())
        for size in reversed(shape):
            column = pa.FixedSizeListArray.from_arrays(column, size)
        return [column.cast(field.type)]


@dataclass(frozen=True)
class TableNote:
    """What a table says of itself: which rows of which list, and by which settings they were made."""

    settings: Mapping[str, Json]
    """Command, checkpoint, backend, precision, protocol: what tables must have in common to be merged."""
    first: int
    """Of the list's rows, the first that this table is for."""
    end: int
    """The first row after them."""
    shard: str
    """As "1/8"."""
    facts: Mapping[str, Json]
    """What is noted and not compared: the version of Marey, the device."""

    def as_json(self) -> dict[str, Json]:
        return {
            "schema": VERSION,
            "settings": dict(self.settings),
            "first": self.first,
            "end": self.end,
            "shard": self.shard,
            "facts": dict(self.facts),
        }

    def metadata(self) -> dict[bytes, bytes]:
        """For a schema: `schema.with_metadata(note.metadata())`."""
        return {_KEY: json.dumps(self.as_json(), ensure_ascii=False).encode("utf-8", BYTES)}

    @classmethod
    def of(cls, path: Path) -> "TableNote":
        """Of a file.

        Raises:
            RunError: it cannot be read, is no table of Marey's, or of a later schema.
        """
        with opened(path) as file:
            noted = (file.schema_arrow.metadata or {}).get(_KEY)
        try:
            found = json.loads((noted or b"null").decode("utf-8", BYTES))
            if found["schema"] > VERSION:
                raise RunError(
                    f"{path}: a table of version {found['schema']}, and this Marey knows up to {VERSION}: update Marey."
                )
            return cls(found["settings"], found["first"], found["end"], found["shard"], found["facts"])
        except (ValueError, KeyError, TypeError):
            raise RunError(f"{path}: no table that Marey wrote (its metadata lacks the key marey).") from None

    def compared(self) -> dict[str, Json]:
        """What tables of one job have in common."""
        return {**self.settings, "shard": self.shard, "first": self.first, "end": self.end}

    def of_all(self) -> "TableNote":
        """The same of a table with all rows of the list."""
        rows = self.settings["rows"]
        assert isinstance(rows, int)
        return replace(self, first=0, end=rows, shard="1/1")


def opened(path: Path) -> pq.ParquetFile:
    """A Parquet file, to be closed by its `with` block.

    Raises:
        RunError: it is not there, cannot be read, or is not whole.
    """
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError:
        raise RunError(f"{path}: no such file.") from None
    except (OSError, pa.ArrowException) as error:
        why = str(error).splitlines()[0]
        raise RunError(
            f"{path}: cannot be read as Parquet ({why}): it is another kind of file, or not whole."
        ) from None


def _text(text: str) -> str:
    """A text that Parquet can hold: bytes of a name that are no UTF-8 are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
