"""Contact sheets: the recordings of a list, a row of small pictures for each, the largest first; and copies."""

import base64
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from marey.base.files import write_json, write_text
from marey.base.jsonable import Json
from marey.base.page import jpeg_uri, render
from marey.base.words import counted
from marey.data.recordings.copies import Copies
from marey.data.recordings.evidence import Recordings
from marey.data.recordings.signature import Signature
from marey.evaluation.page_data import read_page_data

SHEETS = "recordings.json"
"""The sheets in the folder of a run."""
_HEIGHT, _QUALITY = 72, 75
"""Pixels of a picture, and its quality as JPEG: about 2.5 kB each."""
_ROWS, _ACROSS = 40, 12
"""Recordings that are shown at most, and videos of each."""
_ALONE = 60
"""Videos that are alone in their recording which are shown at most."""
_TAKES = "nothing moves: perhaps takes of one scene"
"""In place of a name, of videos that look like copies."""
_CLASSES = 6
"""Classes that a row names."""


@dataclass(frozen=True)
class Picture:
    """One video of a sheet."""

    id: str
    label: str
    side: str
    """Its split; "" where there is none."""
    jpeg: str
    """A small frame of its middle, as base64; "" where it cannot be read."""

    @property
    def uri(self) -> str:
        return jpeg_uri(base64.b64decode(self.jpeg))


@dataclass(frozen=True)
class Row:
    """One recording, or one set of copies."""

    name: str
    videos: int
    classes: str
    """How many videos of which class, in words."""
    sides: str
    """The same of splits; "" where all are of one."""
    shown: tuple[Picture, ...]

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Self:
        return cls(**{**row, "shown": tuple(Picture(**one) for one in row["shown"])})


@dataclass(frozen=True)
class ContactSheets:
    """What the page shows."""

    summary: str
    notes: tuple[str, ...]
    rows: tuple[Row, ...]
    """The recordings of several videos, the largest first."""
    rows_left: int
    """Such recordings that are not shown."""
    alone: tuple[Picture, ...]
    """The first videos that no other one is of the same recording with."""
    alone_count: int
    copies: tuple[Row, ...]
    """Those with different classes first, then those in several splits."""
    copies_left: int

    @classmethod
    def of(cls, recordings: Recordings, copies: Copies) -> Self:
        """Of a list's videos, whose classes and splits `copies` has."""
        sheet, sources = _Sheet(recordings, copies), recordings.sources
        members: dict[str, list[int]] = {}
        for row in np.flatnonzero(sources.known).tolist():
            members.setdefault(str(sources.of_row[row]), []).append(row)
        several = sorted(((name, rows) for name, rows in members.items() if len(rows) > 1), key=_size)
        alone = [rows[0] for rows in members.values() if len(rows) == 1]
        torn, across = ({row for rows in some for row in rows} for some in (copies.contradictions, copies.across))
        sets = sorted(copies.sets, key=lambda rows: (torn.isdisjoint(rows), across.isdisjoint(rows)))
        return cls(
            summary=recordings.summary(),
            notes=(*recordings.notes(), *copies.lines(recordings.ids.tolist())),
            rows=tuple(sheet.row(name, rows) for name, rows in several[:_ROWS]),
            rows_left=max(0, len(several) - _ROWS),
            alone=tuple(map(sheet.picture, alone[:_ALONE])),
            alone_count=len(alone),
            copies=tuple(sheet.row("" if rows in copies.certain else _TAKES, rows) for rows in sets[:_ROWS]),
            copies_left=max(0, len(sets) - _ROWS),
        )

    def as_json(self) -> dict[str, Json]:
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """Of what `as_json` gave.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        rows = {name: tuple(map(Row.from_json, found[name])) for name in ("rows", "copies")}
        alone = tuple(Picture(**one) for one in found["alone"])
        return cls(**{**found, **rows, "alone": alone, "notes": tuple(found["notes"])})

    def save(self, folder: Path) -> None:
        """Write them into the folder of a run, whose report shows them."""
        write_json(folder / SHEETS, self.as_json())

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Those of the run in a folder; None where there are none.

        Raises:
            DataError: the file is not as `save` wrote it.
        """
        return read_page_data(folder / SHEETS, cls.from_json, by="marey train")

    def lines(self) -> list[str]:
        """What was found, for a terminal."""
        return [self.summary, *self.notes]

    def write_page(self, path: Path, title: str) -> None:
        """Write them as a page that needs nothing beside itself.

        Raises:
            RunError: nothing can be written there.
        """
        write_text(path, render("marey.evaluation.report", "recordings.html", title=title, sheets=self))


def _size(recording: tuple[str, list[int]]) -> tuple[int, str]:
    return -len(recording[1]), recording[0]


@dataclass(frozen=True)
class _Sheet:
    recordings: Recordings
    copies: Copies

    def row(self, name: str, rows: Sequence[int]) -> Row:
        """One recording; of many videos those that are spread evenly over them."""
        places = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _ACROSS)).round().astype(np.int64))
        sides = [self.copies.sides[row] for row in rows]
        return Row(
            name=name,
            videos=len(rows),
            classes=_counts(self.copies.labels[row] for row in rows),
            sides=_counts(sides) if len(set(sides)) > 1 else "",
            shown=tuple(self.picture(rows[place]) for place in places.tolist()),
        )

    def picture(self, row: int) -> Picture:
        signatures = self.recordings.signatures
        jpeg = base64.b64encode(small_jpeg(signatures[row])).decode() if signatures.keys[row] else ""
        return Picture(str(self.recordings.ids[row]), self.copies.labels[row], self.copies.sides[row], jpeg)


def _counts(words: Iterable[str]) -> str:
    """How often each word is there, the most frequent first: "12 walk, 3 run"."""
    counts = Counter(words).most_common()
    named = ", ".join(f"{count:,} {word or 'none'}" for word, count in counts[:_CLASSES])
    return named + (f" and {counted(len(counts) - _CLASSES, 'other')}" if len(counts) > _CLASSES else "")


def small_jpeg(signature: Signature) -> bytes:
    """The middle frame of a video as a small JPEG."""
    frame = signature.frames[2]
    height, width = frame.shape[:2]
    size = (max(1, round(width * _HEIGHT / height)), _HEIGHT)
    small: NDArray[Any] = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), size, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return encoded.tobytes()
