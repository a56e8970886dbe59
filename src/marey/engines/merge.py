"""`marey merge`: the tables of all shards merged into one, after checks that rows are complete and settings equal."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from marey.base.claim import OutputPath, differences
from marey.base.errors import RunError
from marey.base.words import counted
from marey.engines.finished_rows import FinishedRows, RowIndex, in_order, opened_schema, read_columns
from marey.engines.sigterm import as_ctrl_c, sigterm_restored
from marey.engines.summary import TableSummary
from marey.engines.table_format import TableMetadata

_SHOWN = 5
"""Ranges of rows that a message names at most."""


def merge_tables(tables: Sequence[Path], out: Path) -> TableSummary:
    """Write the rows of the tables of all shards of a list into one table, in the order of the list.

    Raises:
        RunError: a table does not exist or is unfinished; it differs from the first in checkpoint, backend, precision,
            protocol, list or schema; rows are missing or in two tables; or `out` cannot be written or exists already.
    """
    output = FinishedRows(out)
    _check_out(tables, output)
    metadata = [_metadata_of(path) for path in tables]
    for path, own in zip(tables[1:], metadata[1:], strict=True):
        if differing := differences(metadata[0].settings, own.settings):
            raise RunError(
                f"{path} and {tables[0]} have different settings, and cannot be merged: {'; '.join(differing)} "
                f"(there: {tables[0]}, here: {path})."
            )
    schemas = [opened_schema(path) for path in tables]
    for path, schema in zip(tables, schemas, strict=True):
        if not schema.equals(schemas[0]):
            raise RunError(f"{path}: has other columns than {tables[0]}, and cannot be merged with it.")
    _check_backends(tables, schemas[0])
    merged = metadata[0].of_all()
    _check_rows(tables, metadata, merged)
    with OutputPath.file(out).held(), sigterm_restored(as_ctrl_c):
        output.remove_unfinished()
        try:
            output.publish(schemas[0].with_metadata(merged.key_value()), in_order(tables, schemas[0]))
        finally:
            output.remove()
    return TableSummary.of(out, computed=0, seconds=0)


def _check_out(tables: Sequence[Path], output: FinishedRows) -> None:
    """Check that the merged table can be written.

    Raises:
        RunError: it cannot, is one of the tables, or exists already, finished or not.
    """
    out, path = output.out, OutputPath.file(output.out)
    path.refuse_inputs(tables)
    path.check()
    output.refuse_others()
    if out.exists():
        raise RunError(f"{out} exists already: remove it, or choose another --out.")
    if output.files:
        raise RunError(
            f"{output.folder} holds rows of a table that is not finished: finish it, or choose another --out."
        )


def _metadata_of(path: Path) -> TableMetadata:
    """The metadata of a finished table.

    Raises:
        RunError: it is no table, or is not finished.
    """
    table = FinishedRows(path)
    if table.files not in ([], [path]):
        raise RunError(f"{path} is not finished ({table.folder} holds rows of it): start its command again first.")
    return TableMetadata.of(path)


def _check_backends(tables: Sequence[Path], schema: pa.Schema) -> None:
    """Check that the same backend computed all tables; with --backend auto each shard chose one.

    Raises:
        RunError: several did.
    """
    if "backend" not in schema.names:
        return
    backends = [
        {name for rows in read_columns(path, ["backend"]) for name in pc.unique(rows["backend"]).to_pylist() if name}
        for path in tables
    ]
    for path, names in zip(tables, backends, strict=True):
        if names and backends[0] and names != backends[0]:
            here, there = (" and ".join(sorted(several)) for several in (names, backends[0]))
            raise RunError(
                f"{path} was computed by {here}, and {tables[0]} by {there}: name one --backend for all shards."
            )


def _check_rows(tables: Sequence[Path], metadata: Sequence[TableMetadata], merged: TableMetadata) -> None:
    """Check that every row of the list is in exactly one table.

    Raises:
        RunError: rows are missing, or in two tables.
    """
    index = RowIndex.of(tables)
    if len(index.repeated):
        raise RunError(
            f"{counted(len(index.repeated), 'row')} would be there twice ({_ranges(index.repeated)}): name each shard once."
        )
    missing = np.setdiff1d(np.arange(merged.end), index.rows, assume_unique=True)
    if len(missing):
        shards = ", ".join(own.shard for own in metadata)
        raise RunError(
            f"{len(missing):,} of {counted(merged.end, 'row')} are missing ({_ranges(missing)}); the tables are of the "
            f"shards {shards}: name all of them, and finish those that were not."
        )


def _ranges(rows: NDArray[np.int64]) -> str:
    """Rows, ascending, as "0-9, 20, 31-40, ..."."""
    breaks = np.flatnonzero(np.diff(rows) > 1) + 1
    ranges = [(int(run[0]), int(run[-1])) for run in np.split(rows, breaks[:_SHOWN])[:_SHOWN]]
    if len(breaks) < _SHOWN and ranges:
        ranges[-1] = (ranges[-1][0], int(rows[-1]))
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in ranges]
    return ", ".join([*texts, *(["..."] if len(breaks) >= _SHOWN else [])])
