"""The summary of a filled table: how many videos are done, how many failed and why, and the rate."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from marey.base.jsonable import Json
from marey.base.words import counted, lasting
from marey.engines.finished_rows import read_columns
from marey.engines.table_format import FAILED

_KINDS = 8
"""Kinds of reasons that the text shows at most."""
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True)
class TableSummary:
    """The rows of a finished table, and how many this call computed."""

    out: Path
    """The path of the table, a Parquet file."""
    rows: int
    """The number of rows of the table, one for each video."""
    failed: int
    """The number of videos that could not be read."""
    reasons: tuple[tuple[str, int], ...]
    """Kinds of reasons for which videos failed, with their number, the most frequent first."""
    computed: int
    """The number of rows that this call computed; the others existed already."""
    seconds: float
    """Elapsed time of this call in seconds."""

    @classmethod
    def of(cls, out: Path, *, computed: int, seconds: float) -> "TableSummary":
        """The summary of a finished table.

        Raises:
            RunError: it cannot be read.
        """
        rows, reasons = 0, Counter[str]()
        for table in read_columns(out, ["path", "status", "reason"]):
            rows += len(table)
            reasons.update(_kinds(table.filter(pc.equal(table["status"], FAILED)).to_pydict()))
        return cls(out, rows, reasons.total(), tuple(reasons.most_common()), computed, seconds)

    @property
    def all_failed(self) -> bool:
        """Whether there are rows, and all of them failed."""
        return self.failed == self.rows > 0

    def as_text(self) -> str:
        """A line of counts, and one for each frequent reason."""
        rate = f" ({self.computed / self.seconds:.3g} videos/s)" if self.computed and self.seconds else ""
        took = f", {self.computed:,} of them now in {self._took}{rate}" if self.computed else ""
        lines = [
            f"{self.out}: {counted(self.rows, 'video')}: {self.rows - self.failed:,} done, {self.failed:,} failed{took}"
        ]
        lines += [f"  {count:,} failed: {reason}" for reason, count in self.reasons[:_KINDS]]
        if len(self.reasons) > _KINDS:
            others = sum(count for _, count in self.reasons[_KINDS:])
            lines.append(f"  {others:,} failed for other reasons: the column reason has them")
        return "\n".join(lines)

    @property
    def _took(self) -> str:
        return f"{self.seconds:.1f} s" if self.seconds < 10 else lasting(self.seconds)

    def as_json(self) -> dict[str, Json]:
        """The counts, and all kinds of reasons."""
        return {
            "out": str(self.out),
            "rows": self.rows,
            "done": self.rows - self.failed,
            "failed": self.failed,
            "reasons": dict(self.reasons),
            "computed": self.computed,
            "seconds": round(self.seconds, 3),
        }


def _kinds(failed: dict[str, list[str | None]]) -> Iterator[str]:
    """The reasons without paths and numbers, which differ from file to file."""
    for path, reason in zip(failed["path"], failed["reason"], strict=True):
        plain = (reason or "").removeprefix(f"{path}: ")
        yield _NUMBER.sub("N", plain)
