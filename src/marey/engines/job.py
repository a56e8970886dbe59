"""One shard of the work on a list: its rows, what is done of them, and what its table says of itself."""

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
from marey.engines.row_groups import Index, RowGroups
from marey.engines.shard import Shard
from marey.engines.table import Row, TableNote
from marey.engines.work import Work


@dataclass(frozen=True)
class Job(Generic[Row]):
    """One shard of the work on a list, and where its table goes."""

    work: Work[Row]
    videos: ListedPieces
    out: Path
    shard: Shard = Shard()  # noqa: RUF009 - frozen
    device: str | None = None
    """Where its rows are computed, if that is not where the `work` computes."""

    @property
    def rows(self) -> range:
        """Of the list."""
        return self.shard.rows(self.videos.rows)

    @property
    def note(self) -> TableNote:
        """What the table says of itself."""
        own: dict[str, Json] = {
            "command": self.work.command.words,
            "list": self.videos.fingerprint,
            "rows": self.videos.rows,
        }
        return TableNote(
            dict(self.work.settings) | own,
            self.rows.start,
            self.rows.stop,
            str(self.shard),
            {"marey": marey.__version__, "device": self.device or self.work.device},
        )

    @property
    def schema(self) -> pa.Schema:
        """Columns and metadata."""
        return self.work.table.schema.with_metadata(self.note.metadata())

    @contextlib.contextmanager
    def held(self) -> Iterator[RowGroups]:
        """Hold the table while the work lasts; yields its finished rows.

        Raises:
            RunError: it has other rows or was made by other settings, or another process works there, or it cannot be
                written.
        """
        groups, out = RowGroups(self.out), OutputPath.file(self.out)
        groups.refuse_others()
        self._check_files(groups)
        with out.held():
            groups.sweep()
            self._check_files(groups)  # another process may have begun and ended in the meantime
            yield groups

    def _check_files(self, groups: RowGroups) -> None:
        """See that all rows that are there are rows of this job.

        Raises:
            RunError: some are not.
        """
        own = self.note
        for path in groups.files:
            noted = groups.note_of(path)
            there, here = noted.settings.get("command"), own.settings["command"]
            if there != here:
                raise RunError(
                    f"{path} holds rows of `marey {there}`, and this is `marey {here}`: choose another --out."
                )
            differing = differences(noted.compared(), own.compared())
            if differing:
                others = "; ".join(differing)
                raise RunError(
                    f"{path} holds other rows ({others}): go on with the same settings, or choose another --out."
                )

    def rows_to_do(self, groups: RowGroups, *, retry_failed: bool) -> NDArray[np.int64]:
        """The rows that are not there yet; those that failed too, where they are to be tried again."""
        index = Index.of(groups.files)
        there = index.rows[~index.failed] if retry_failed else index.rows
        missing = np.ones(len(self.rows), np.bool_)
        missing[there - self.rows.start] = False
        todo = np.flatnonzero(missing) + self.rows.start
        again = int(np.isin(index.rows[index.failed], todo).sum())
        if again:
            notice(f"{counted(again, 'video')} that failed before: tried again")
        if left := len(self.rows) - len(todo):
            notice(f"going on: {left:,} of {counted(len(self.rows), 'video')} {verb(left, 'is', 'are')} there already")
        return todo

    def entries(self, todo: NDArray[np.int64]) -> Iterator[tuple[int, VideoEntry]]:
        """The videos of these rows, ascending, read from the list in pieces.

        Their paths are absolute: processes of Ray work in other folders, and a reason has the same words wherever its row
        was made.
        """
        begin = 0
        for piece in self.videos.pieces():
            end = begin + len(piece)
            own = todo[np.searchsorted(todo, begin) : np.searchsorted(todo, end)]
            yield from ((row, _with_absolute_path(piece[row - begin])) for row in own.tolist())
            begin = end

    def require_files(self) -> None:
        """Check before work that not every file of the list is missing; of this shard all may be.

        Raises:
            DataError: none of those that were looked for is there.
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
