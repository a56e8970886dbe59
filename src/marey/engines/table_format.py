"""The format of the tables that `predict`, `features` and `evaluate` write: columns and metadata.

`docs/reference/tables.md` lists every column of schema version 1 with its type and meaning. The key "marey" of a file's
key-value metadata holds a JSON object with what all rows have in common (`TableMetadata`).
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
"""Version of the schema. It is raised when a column changes its name, type or meaning, not when a column is added."""
DONE, FAILED = "done", "failed"
_KEY = b"marey"


class RowResult(Protocol):
    """What every result of one video has, whatever its kind."""

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
    """The video that the features are of."""
    values: NDArray[np.float32] | None
    """The features [D], or [clips, D]; None: the video cannot be read."""
    error: str | None = None
    """Why the video cannot be read; None: it was read."""
    content: int = 0
    """The identity of the file's content, as in a `Prediction`; 0: not known."""
    seconds: float | None = None
    """Seconds of decoding and computing, as in a `Prediction`; None: not measured."""


Row = TypeVar("Row", bound=RowResult)


class TableColumns(ABC, Generic[Row]):
    """The columns of one kind of table: first those of the list, then `own_fields`, then time and status."""

    @property
    def schema(self) -> pa.Schema:
        return pa.schema(_LISTED + self.own_fields() + _STATUS)

    @property
    @abstractmethod
    def row_bytes(self) -> int:
        """Approximate bytes of a row in memory, by its largest column."""

    @abstractmethod
    def own_fields(self) -> list[pa.Field]:
        """The fields of the columns that only this kind has."""

    @abstractmethod
    def own_columns(self, results: Sequence[Row]) -> list[pa.Array]:
        """A column for each of `own_fields`. For a video that could not be read the values are null; in lists of a fixed
        size they are NaN, because pyarrow before version 23 cannot read a table in which such a list is null.
        """

    def rows(self, numbers: Sequence[int], results: Sequence[Row]) -> pa.Table:
        """The rows of the table for these results; `numbers` are the rows of their videos in the list."""
        videos = [result.video for result in results]
        listed: list[Sequence[object]] = [
            numbers,
            [_utf8_text(video.id) for video in videos],
            [_utf8_text(absolute(video.path)) for video in videos],
            [video.start for video in videos],
            [video.end for video in videos],
            [video.start_frame for video in videos],
            [video.end_frame for video in videos],
            [f"{result.content:016x}" if result.content else None for result in results],
        ]
        status: list[Sequence[object]] = [
            [result.seconds for result in results],
            [DONE if result.error is None else FAILED for result in results],
            [None if result.error is None else _utf8_text(result.error) for result in results],
        ]
        columns = [pa.array(values, field.type) for values, field in zip(listed, _LISTED, strict=True)]
        columns += self.own_columns(results)
        columns += [pa.array(values, field.type) for values, field in zip(status, _STATUS, strict=True)]
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
_STATUS = [
    pa.field("seconds", pa.float64()),
    pa.field("status", pa.string(), nullable=False),
    pa.field("reason", pa.string()),
]


@dataclass(frozen=True)
class PredictionColumns(TableColumns[Prediction]):
    """The columns of predictions: the likeliest classes, and the probability of each class."""

    classes: int
    """Number of classes, K."""
    top: int
    """Number of likeliest classes that are named, 1 to K."""

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


def _ran(prediction: Prediction) -> str:
    """The backend that computed a prediction: "eager", or for two networks "eager, openvino"."""
    if prediction.backend is None:
        return "eager"
    ran = prediction.backend["ran"]
    return ", ".join(map(str, ran)) if isinstance(ran, list) else str(ran)


@dataclass(frozen=True)
class FeatureColumns(TableColumns[VideoFeatures]):
    """The column of features, a list of fixed size; with features per clip, a list of such lists."""

    width: int
    """Number of features, D."""
    clips: int | None
    """Number of clips of a video, each with its features; None: one vector per video."""
    half: bool
    """Whether features are stored in half precision (float16), else in float32."""

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
class TableMetadata:
    """The metadata of a table: its rows of the list, and the settings by which they were computed."""

    settings: Mapping[str, Json]
    """Command, checkpoint, backend, precision, protocol: they must be equal in tables that are merged."""
    first: int
    """The first row of the list that this table is for, from 0."""
    end: int
    """The row after the last one of this table."""
    shard: str
    """The shard as text, such as "1/8"."""
    facts: Mapping[str, Json]
    """Facts that need not be equal: the version of Marey, the device."""

    def as_json(self) -> dict[str, Json]:
        return {
            "schema": VERSION,
            "settings": dict(self.settings),
            "first": self.first,
            "end": self.end,
            "shard": self.shard,
            "facts": dict(self.facts),
        }

    def key_value(self) -> dict[bytes, bytes]:
        """The key-value metadata of a Parquet schema, for `schema.with_metadata`."""
        return {_KEY: json.dumps(self.as_json(), ensure_ascii=False).encode("utf-8", BYTES)}

    @classmethod
    def of(cls, path: Path) -> "TableMetadata":
        """The metadata of a file.

        Raises:
            RunError: it cannot be read, is no table of Marey's, or has a later schema.
        """
        with open_parquet(path) as file:
            value = (file.schema_arrow.metadata or {}).get(_KEY)
        try:
            read = json.loads((value or b"null").decode("utf-8", BYTES))
            if read["schema"] > VERSION:
                raise RunError(
                    f"{path}: a table of version {read['schema']}, and this Marey knows up to {VERSION}: update Marey."
                )
            return cls(read["settings"], read["first"], read["end"], read["shard"], read["facts"])
        except (ValueError, KeyError, TypeError):
            raise RunError(f"{path}: no table that Marey wrote (its metadata lacks the key marey).") from None

    def compared(self) -> dict[str, Json]:
        """What must be equal in all files of one job."""
        return {**self.settings, "shard": self.shard, "first": self.first, "end": self.end}

    def of_all(self) -> "TableMetadata":
        """The metadata of a table with the same settings and all rows of the list."""
        rows = self.settings["rows"]
        assert isinstance(rows, int)
        return replace(self, first=0, end=rows, shard="1/1")


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file, in a `with` block that closes it.

    Raises:
        RunError: it does not exist, cannot be read, or is incomplete.
    """
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError:
        raise RunError(f"{path}: no such file.") from None
    except (OSError, pa.ArrowException) as error:
        why = str(error).splitlines()[0]
        raise RunError(
            f"{path}: cannot be read as Parquet ({why}): it is another kind of file, or incomplete."
        ) from None


def _utf8_text(text: str) -> str:
    """A text as valid UTF-8: other bytes of a file name are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
