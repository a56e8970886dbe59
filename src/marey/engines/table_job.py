"""The job of filling one table, or one shard of it: its rows, which of them are finished, and the table's metadata."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

import marey
from marey.base.claim import OutputPath, differences
from marey.base.errors import DataError, RunError
from marey.base.jsonable import Json
from marey.base.reporter import notice
from marey.base.words import counted, verb
from marey.data.files.missing import require_files
from marey.data.lists.pieces import ListedPieces
from marey.data.lists.videos import VideoEntry
from marey.engines.finished_rows import FinishedRows, RowIndex
from marey.engines.row_makers import RowMaker
from marey.engines.shard import Shard
from marey.engines.table_format import Row, TableMetadata


@dataclass(frozen=True)
class TableJob(Generic[Row]):
    """The rows of one shard of a list, how they are computed, and the table."""

    maker: RowMaker[Row]
    """What computes the rows, and decides their columns."""
    videos: ListedPieces
    """The list of videos, of which `shard` names the rows."""
    out: Path
    """The path of the table, a Parquet file."""
    shard: Shard = Shard()  # noqa: RUF009 - frozen
    """The shard of the list that the table holds; by default the entire list."""
    device: str | None = None
    """Where the rows are computed; None: on the device of `maker`."""

    @property
    def rows(self) -> range:
        """The rows of the list that are in this shard."""
        return self.shard.rows(self.videos.rows)

    @property
    def metadata(self) -> TableMetadata:
        """The metadata of the table."""
        own: dict[str, Json] = {
            "command": self.maker.command.words,
            "list": self.videos.fingerprint,
            "rows": self.videos.rows,
        }
        return TableMetadata(
            dict(self.maker.settings) | own,
            self.rows.start,
            self.rows.stop,
            str(self.shard),
            {"marey": marey.__version__, "device": self.device or self.maker.device},
        )

    @property
    def schema(self) -> pa.Schema:
        """The columns and metadata of the table."""
        return self.maker.columns.schema.with_metadata(self.metadata.key_value())

    @contextlib.contextmanager
    def held(self) -> Iterator[FinishedRows]:
        """Keep other processes from writing this table within the block; yields its finished rows.

        Raises:
            RunError: the table has other rows or settings, another process works there, or it cannot be written.
        """
        finished, out = FinishedRows(self.out), OutputPath.file(self.out)
        finished.refuse_others()
        self._check_files(finished)
        with out.held():
            finished.remove_unfinished()
            self._check_files(finished)  # again: another process may have written rows in between
            yield finished

    def _check_files(self, finished: FinishedRows) -> None:
        """Check that all finished rows are of this job.

        Raises:
            RunError: some are not.
        """
        own = self.metadata
        for path in finished.files:
            found = finished.metadata_of(path)
            there, here = found.settings.get("command"), own.settings["command"]
            if there != here:
                raise RunError(
                    f"{path} holds rows of `marey {there}`, and this is `marey {here}`: choose another --out."
                )
            differing = differences(found.compared(), own.compared())
            if differing:
                raise RunError(
                    f"{path} holds other rows ({'; '.join(differing)}): resume with the same settings, or choose another "
                    "--out."
                )

    def rows_to_do(self, finished: FinishedRows, *, retry_failed: bool) -> NDArray[np.int64]:
        """The rows that are not finished, ascending; with `retry_failed` also those that failed."""
        index = RowIndex.of(finished.files)
        there = index.rows[~index.failed] if retry_failed else index.rows
        missing = np.ones(len(self.rows), np.bool_)
        missing[there - self.rows.start] = False
        todo = np.flatnonzero(missing) + self.rows.start
        again = int(np.isin(index.rows[index.failed], todo).sum())
        if again:
            notice(f"{counted(again, 'video')} that failed before: trying again")
        if left := len(self.rows) - len(todo):
            notice(f"resuming: {left:,} of {counted(len(self.rows), 'video')} {verb(left, 'is', 'are')} there already")
        return todo

    def entries(self, todo: NDArray[np.int64]) -> Iterator[tuple[int, VideoEntry]]:
        """The rows and videos of `todo` (ascending), read from the list in pieces.

        Paths are absolute: processes of Ray work in other folders, and the reason of a failure must not depend on where it
        occurred.
        """
        begin = 0
        for piece in self.videos.pieces():
            end = begin + len(piece)
            own = todo[np.searchsorted(todo, begin) : np.searchsorted(todo, end)]
            yield from ((row, _with_absolute_path(piece[row - begin])) for row in own.tolist())
            begin = end

    def require_files(self) -> None:
        """Check before any work that at least one file of the list exists; all files of this shard may be missing.

        Raises:
            DataError: none of the files that were checked exists.
        """
        missing: DataError | None = None
        for piece in self.videos.pieces():
            try:
                require_files(piece)
                return
            except DataError as error:
                missing = missing or error
        if missing is not None:
            raise missing


def _with_absolute_path(video: VideoEntry) -> VideoEntry:
    return replace(video, path=video.path.absolute()) if isinstance(video.path, Path) else video
