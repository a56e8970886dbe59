"""Tables of shards merged to one, after it is certain that nothing is missing, nothing twice, and all were made alike."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from marey.base.claim import OutputPath, differences
from marey.base.errors import RunError
from marey.base.words import counted
from marey.engines.fill import stopped_by_sigterm
from marey.engines.row_groups import Index, RowGroups, in_order, opened_schema, read_columns
from marey.engines.summary import TableSummary
from marey.engines.table import TableNote

_SHOWN = 5
"""Ranges of rows that a message names."""


def merge(tables: Sequence[Path], out: Path) -> TableSummary:
    """Write the rows of all tables, which are those of all shards of one list, in the order of the list.

    Raises:
        RunError: a table is not there or not whole; it differs from the first in checkpoint, backend, precision, protocol,
            list or schema; rows are missing or in two tables; or `out` cannot be written or is there already.
    """
    groups = RowGroups(out)
    _check_out(tables, groups)
    notes = [_note_of(path) for path in tables]
    for path, note in zip(tables[1:], notes[1:], strict=True):
        if differing := differences(notes[0].settings, note.settings):
            raise RunError(
                f"{path} and {tables[0]} were not made alike, and cannot be merged: {'; '.join(differing)} "
                f"(there: {tables[0]}, here: {path})."
            )
    schemas = [opened_schema(path) for path in tables]
    for path, schema in zip(tables, schemas, strict=True):
        if not schema.equals(schemas[0]):
            raise RunError(f"{path}: has other columns than {tables[0]}, and cannot be merged with it.")
    _check_backends(tables, schemas[0])
    whole = notes[0].of_all()
    _check_rows(tables, notes, whole)
    with OutputPath.file(out).held(), stopped_by_sigterm():
        groups.sweep()
        try:
            groups.publish(schemas[0].with_metadata(whole.metadata()), in_order(tables, schemas[0]))
        finally:
            groups.remove()
    return TableSummary.of(out, computed=0, seconds=0)


def _check_out(tables: Sequence[Path], groups: RowGroups) -> None:
    out, where = groups.out, OutputPath.file(groups.out)
    where.refuse_inputs(tables)
    where.check()
    groups.refuse_others()
    if out.exists():
        raise RunError(f"{out} is there already: remove it, or choose another --out.")
    if groups.files:
        raise RunError(
            f"{groups.folder} holds rows of a table that is not finished: finish it, or choose another --out."
        )


def _note_of(path: Path) -> TableNote:
    """What a table says of itself.

    Raises:
        RunError: it is no table, or is not finished.
    """
    groups = RowGroups(path)
    if groups.files not in ([], [path]):
        raise RunError(f"{path} is not finished ({groups.folder} holds rows of it): start its command again first.")
    return TableNote.of(path)


def _check_backends(tables: Sequence[Path], schema: pa.Schema) -> None:
    """That one backend computed all tables, where each was left to choose one.

    Raises:
        RunError: several did.
    """
    if "backend" not in schema.names:
        return
    ran = [
        {one for rows in read_columns(path, ["backend"]) for one in pc.unique(rows["backend"]).to_pylist() if one}
        for path in tables
    ]
    for path, names in zip(tables, ran, strict=True):
        if names and ran[0] and names != ran[0]:
            here, there = (" and ".join(sorted(one)) for one in (names, ran[0]))
            raise RunError(
                f"{path} was computed by {here}, and {tables[0]} by {there}: name one --backend for all shards."
            )


def _check_rows(tables: Sequence[Path], notes: Sequence[TableNote], whole: TableNote) -> None:
    """That every row of the list is in exactly one table."""
    index = Index.of(tables)
    if len(index.repeated):
        raise RunError(
            f"{counted(len(index.repeated), 'row')} would be there twice ({_ranges(index.repeated)}): name each shard once."
        )
    missing = np.setdiff1d(np.arange(whole.end), index.rows, assume_unique=True)
    if len(missing):
        shards = ", ".join(note.shard for note in notes)
        raise RunError(
            f"{len(missing):,} of {counted(whole.end, 'row')} are missing ({_ranges(missing)}); the tables are of the "
            f"shards {shards}: name all of them, and finish those that were not."
        )


def _ranges(rows: NDArray[np.int64]) -> str:
    """Rows, ascending, as "0-9, 20, 31-40, ..."."""
    breaks = np.flatnonzero(np.diff(rows) > 1) + 1
    found = [(int(one[0]), int(one[-1])) for one in np.split(rows, breaks[:_SHOWN])[:_SHOWN]]
    if len(breaks) < _SHOWN and found:
        found[-1] = (found[-1][0], int(rows[-1]))
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in found]
    return ", ".join([*texts, *(["..."] if len(breaks) >= _SHOWN else [])])
