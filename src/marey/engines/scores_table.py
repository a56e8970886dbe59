"""`marey evaluate --parquet`: the scores of a test as a table, a row for each tested video."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

import marey
from marey.base.errors import RunError
from marey.base.jsonable import Json
from marey.base.reporter import SilentReporter, reporting
from marey.classifier import Classifier
from marey.data.files.identity import file_identities
from marey.data.lists.manifest import Manifest
from marey.data.lists.videos import VideoEntry
from marey.engines.finished_rows import write_table
from marey.engines.table_format import PredictionColumns, TableMetadata
from marey.evaluation.protocol import AnyProtocol
from marey.evaluation.result import EvaluationResult
from marey.evaluation.tested_list import read_labelled
from marey.tasks.prediction import Prediction
from marey.workflows.two_streams import Streams

TABLE = "scores.parquet"
"""The name of the table in a result's folder."""
_ROWS = 8192
"""Rows of a row group."""
_LABEL_FIELDS = [
    pa.field("targets", pa.list_(pa.string())),
    pa.field("group", pa.string()),
    pa.field("trained_on", pa.bool_()),
]


def write_scores_table(
    result: EvaluationResult,
    model: Classifier | Streams,
    data: Path,
    folder: Path,
    *,
    root: Path | None,
    classes: Sequence[str] | None,
    split: str | None,
) -> Path:
    """Write the scores of a test beside its scores.npz, and return the path of the table.

    The other arguments are those of the test.

    Raises:
        RunError: the table cannot be written.
    """
    first = model.classifiers[0] if isinstance(model, Streams) else model
    with reporting(SilentReporter()):  # the messages about the list were printed when it was tested
        listed = read_labelled(data, first, root=root, classes=classes, split=split)
    write_scores(result, listed, folder / TABLE)
    return folder / TABLE


def write_scores(result: EvaluationResult, listed: Manifest, path: Path, *, top: int = 5) -> None:
    """Write a table with the columns of predictions, and for each video its labels (`targets`), its `group`, and whether
    the network was `trained_on` its content.

    Args:
        result: The result of the test.
        listed: The list that was tested; videos that were left out (--only) have no row.
        path: The file to write.
        top: Number of likeliest classes that are named.

    Raises:
        RunError: it cannot be written.
    """
    rows = _ScoredRows.of(result, listed, top)
    try:
        write_table(path, rows.schema, rows.tables())
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror or error}).") from None


@dataclass(frozen=True, eq=False)
class _ScoredRows:
    """The rows of the table: videos that were scored, and those that could not be read."""

    result: EvaluationResult
    """The scores and broken files of the test."""
    videos: Sequence[tuple[int, VideoEntry]]
    """Each video with its row in the list."""
    scored: dict[str, int]
    """The row in the scores of each video's id."""
    failed: dict[str, str]
    """The reason for each id of a video that could not be read."""
    contents: NDArray[np.uint64]
    """The identity of each video's content."""
    columns: PredictionColumns
    """The columns that hold the predictions."""
    backends: list[Json]
    """The backends that computed the scores."""

    @classmethod
    def of(cls, result: EvaluationResult, listed: Manifest, top: int) -> "_ScoredRows":
        scored = {name: row for row, name in enumerate(result.scores.ids)}
        failed = {broken.id: broken.reason for broken in result.broken}
        videos = [(row, video) for row, video in enumerate(listed) if video.id in scored or video.id in failed]
        classes = len(result.scores.class_names)
        contents = file_identities([str(video.path) for _, video in videos])
        columns = PredictionColumns(classes, min(top, classes))
        return cls(result, videos, scored, failed, contents, columns, _backends(result.scores.protocol))

    @property
    def schema(self) -> pa.Schema:
        scores = self.result.scores
        settings: dict[str, Json] = {
            "command": "evaluate",
            "protocol": scores.protocol.as_json(),
            "classes": list(scores.class_names),
            "top": self.columns.top,
            "rows": len(self.videos),
        }
        metadata = TableMetadata(settings, 0, len(self.videos), "1/1", {"marey": marey.__version__})
        return pa.schema([*self.columns.schema, *_LABEL_FIELDS]).with_metadata(metadata.key_value())

    def tables(self) -> Iterator[pa.Table]:
        """The rows, a few thousand at a time."""
        scores = self.result.scores
        positives = scores.positives
        for begin in range(0, len(self.videos), _ROWS):
            videos = self.videos[begin : begin + _ROWS]
            predictions = [self._prediction(begin + index, video) for index, (_, video) in enumerate(videos)]
            rows = [self.scored.get(video.id) for _, video in videos]
            labels = (
                [None if row is None else _names_of(scores.class_names, positives[row]) for row in rows],
                [None if row is None or scores.groups is None else str(scores.groups[row]) for row in rows],
                [None if row is None or scores.trained_on is None else bool(scores.trained_on[row]) for row in rows],
            )
            table = self.columns.rows([row for row, _ in videos], predictions)
            for field, values in zip(_LABEL_FIELDS, labels, strict=True):
                table = table.append_column(field, pa.array(values, field.type))
            yield table

    def _prediction(self, index: int, video: VideoEntry) -> Prediction:
        scores, content = self.result.scores, int(self.contents[index])
        if video.id not in self.scored:
            return Prediction(video, np.empty(0, np.float32), (), self.failed[video.id], content=content)
        return Prediction(
            video, scores.probabilities[self.scored[video.id]], scores.class_names, backend={"ran": self.backends},
            content=content,
        )  # fmt: skip


def _backends(protocol: AnyProtocol) -> list[Json]:
    """The names of the backends in a protocol, without duplicates."""
    names: set[str] = set()
    for test in protocol.parts:
        backends = test.backend if isinstance(test.backend, list) else [test.backend]
        names |= {str(backend["ran"]) if isinstance(backend, dict) else "eager" for backend in backends}
    return list[Json](sorted(names))


def _names_of(names: Sequence[str], positive: NDArray[np.bool_]) -> list[str]:
    return [names[index] for index in np.flatnonzero(positive).tolist()]
