"""The result of a test as a table: a row for each tested video, with its labels beside the answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

import marey
from marey.base.errors import RunError
from marey.base.jsonable import Json
from marey.data.files.identity import contents_of
from marey.data.lists.manifest import Manifest
from marey.data.lists.videos import VideoEntry
from marey.engines.row_groups import write_table
from marey.engines.table import AnswerTable, TableNote
from marey.evaluation.protocol import AnyProtocol
from marey.evaluation.result import EvaluationResult
from marey.tasks.prediction import Prediction

TABLE = "scores.parquet"
"""The file in a result's folder."""
_ROWS = 8192
_MORE = [
    pa.field("targets", pa.list_(pa.string())),
    pa.field("group", pa.string()),
    pa.field("trained_on", pa.bool_()),
]


def write_scores(result: EvaluationResult, listed: Manifest, path: Path, *, top: int = 5) -> None:
    """Write the table of a test: the columns of predictions, and the labels of each video (`targets`), its `group`, and
    whether the network was `trained_on` its content.

    Args:
        result: What came of the test.
        listed: The list that was tested; videos of it that were left out (--only) have no row.
        path: The file to write.
        top: How many of the likeliest classes are named.

    Raises:
        RunError: it cannot be written.
    """
    rows = _Rows.of(result, listed, top)
    try:
        write_table(path, rows.schema, rows.tables())
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror or error}).") from None


@dataclass(frozen=True, eq=False)
class _Rows:
    result: EvaluationResult
    videos: Sequence[tuple[int, VideoEntry]]
    """Those with a row, and the row of each in the list."""
    scored: dict[str, int]
    """From the id of a video to its row of the scores."""
    failed: dict[str, str]
    """From the id of a video that could not be read to the reason."""
    contents: NDArray[np.uint64]
    table: AnswerTable
    ran: list[Json]
    """The backends that computed the scores."""

    @classmethod
    def of(cls, result: EvaluationResult, listed: Manifest, top: int) -> "_Rows":
        scored = {name: row for row, name in enumerate(result.scores.ids)}
        failed = {broken.id: broken.reason for broken in result.broken}
        videos = [(row, video) for row, video in enumerate(listed) if video.id in scored or video.id in failed]
        classes = len(result.scores.class_names)
        contents = contents_of([str(video.path) for _, video in videos])
        table = AnswerTable(classes, min(top, classes))
        return cls(result, videos, scored, failed, contents, table, _ran(result.scores.protocol))

    @property
    def schema(self) -> pa.Schema:
        scores = self.result.scores
        settings: dict[str, Json] = {
            "command": "evaluate",
            "protocol": scores.protocol.as_json(),
            "classes": list(scores.class_names),
            "top": self.table.top,
            "rows": len(self.videos),
        }
        note = TableNote(settings, 0, len(self.videos), "1/1", {"marey": marey.__version__})
        return pa.schema([*self.table.schema, *_MORE]).with_metadata(note.metadata())

    def tables(self) -> Iterator[pa.Table]:
        scores = self.result.scores
        positives = scores.positives
        for begin in range(0, len(self.videos), _ROWS):
            several = self.videos[begin : begin + _ROWS]
            answers = [self._answer(begin + place, video) for place, (_, video) in enumerate(several)]
            rows = [self.scored.get(video.id) for _, video in several]
            more = (
                [None if row is None else _named(scores.class_names, positives[row]) for row in rows],
                [None if row is None or scores.groups is None else str(scores.groups[row]) for row in rows],
                [None if row is None or scores.trained_on is None else bool(scores.trained_on[row]) for row in rows],
            )
            table = self.table.rows([row for row, _ in several], answers)
            for field, values in zip(_MORE, more, strict=True):
                table = table.append_column(field, pa.array(values, field.type))
            yield table

    def _answer(self, place: int, video: VideoEntry) -> Prediction:
        scores, content = self.result.scores, int(self.contents[place])
        if video.id not in self.scored:
            return Prediction(video, np.empty(0, np.float32), (), self.failed[video.id], content=content)
        return Prediction(
            video, scores.probabilities[self.scored[video.id]], scores.class_names, backend={"ran": self.ran},
            content=content,
        )  # fmt: skip


def _ran(protocol: AnyProtocol) -> list[Json]:
    """The backends that a protocol names, each once."""
    found: set[str] = set()
    for test in protocol.parts:
        several = test.backend if isinstance(test.backend, list) else [test.backend]
        found |= {str(one["ran"]) if isinstance(one, dict) else "eager" for one in several}
    return list[Json](sorted(found))


def _named(names: Sequence[str], positive: NDArray[np.bool_]) -> list[str]:
    return [names[index] for index in np.flatnonzero(positive).tolist()]
