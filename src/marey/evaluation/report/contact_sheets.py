"""Contact sheets: a row of small frames for each recording of a list, the largest first; and the sets of copies."""

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
from marey.base.jsonable import Json, parse_json_file
from marey.base.page import jpeg_uri, render
from marey.base.words import counted
from marey.data.recordings.copies import Copies
from marey.data.recordings.find import Recordings
from marey.data.recordings.signature import Signature

SHEETS = "recordings.json"
"""The file of the contact sheets in the folder of a run."""
_HEIGHT, _QUALITY = 72, 75
"""Height of a small frame in pixels, and its JPEG quality, 1 to 100: about 2.5 kB each."""
_ROWS, _ACROSS = 40, 12
"""Recordings, and videos of each, that are shown at most."""
_ALONE = 60
"""Of the videos that are the only one of their recording, at most this many are shown."""
_TAKES = "nothing moves: perhaps takes of one scene"
"""The name of a set of videos that look like copies but may be takes of one scene, in which nothing moves."""
_CLASSES = 6
"""Classes that a row names at most."""


@dataclass(frozen=True)
class Thumbnail:
    """One video of a contact sheet."""

    id: str
    """The id of the video in its list."""
    label: str
    """The class of the video; several are joined."""
    side: str
    """The split of the video; "" where it has none."""
    jpeg: str
    """A small frame from its middle as a JPEG in base64; "" if the video cannot be read."""

    @property
    def uri(self) -> str:
        """The JPEG as a data URI."""
        return jpeg_uri(base64.b64decode(self.jpeg))


@dataclass(frozen=True)
class SheetRow:
    """One recording, or one set of copies."""

    name: str
    """The name of the recording. For a set of copies "", or a remark if they may be no copies."""
    videos: int
    """The number of videos."""
    classes: str
    """How many videos each class has, in words."""
    sides: str
    """How many videos each split has, in words; "" if all are in one split."""
    shown: tuple[Thumbnail, ...]
    """Thumbnails of at most 12 of the videos, evenly spaced."""

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Self:
        return cls(**{**row, "shown": tuple(Thumbnail(**one) for one in row["shown"])})


@dataclass(frozen=True)
class ContactSheets:
    """The contact sheets of a list."""

    summary: str
    """A sentence on the number of recordings and the sizes of the largest ones."""
    notes: tuple[str, ...]
    """Sentences on what could not be compared, and on the copies among the videos."""
    rows: tuple[SheetRow, ...]
    """The recordings of several videos, the largest first."""
    rows_left: int
    """How many recordings of several videos are not shown."""
    alone: tuple[Thumbnail, ...]
    """The first videos that are the only one of their recording."""
    alone_count: int
    """How many videos are alone in their recording."""
    copies: tuple[SheetRow, ...]
    """The sets of copies: those with different classes first, then those in several splits."""
    copies_left: int
    """How many sets of copies are not shown."""

    @classmethod
    def of(cls, recordings: Recordings, copies: Copies) -> Self:
        """The contact sheets of a list; `copies` has the classes and splits of its videos."""
        sheet, names = _Sheet(recordings, copies), recordings.by_evidence
        members: dict[str, list[int]] = {}
        for row in np.flatnonzero(names.known).tolist():
            members.setdefault(str(names.of_row[row]), []).append(row)
        several = sorted(((name, rows) for name, rows in members.items() if len(rows) > 1), key=_more_videos_first)
        alone = [rows[0] for rows in members.values() if len(rows) == 1]
        contradicting, across = (
            {row for rows in some for row in rows} for some in (copies.contradictions, copies.across)
        )
        sets = sorted(copies.sets, key=lambda rows: (contradicting.isdisjoint(rows), across.isdisjoint(rows)))
        return cls(
            summary=recordings.summary(),
            notes=(*recordings.notes(), *copies.lines(recordings.ids.tolist())),
            rows=tuple(sheet.row(name, rows) for name, rows in several[:_ROWS]),
            rows_left=max(0, len(several) - _ROWS),
            alone=tuple(map(sheet.thumbnail, alone[:_ALONE])),
            alone_count=len(alone),
            copies=tuple(sheet.row("" if rows in copies.certain else _TAKES, rows) for rows in sets[:_ROWS]),
            copies_left=max(0, len(sets) - _ROWS),
        )

    def as_json(self) -> dict[str, Json]:
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """From the JSON of `as_json`.

        Raises:
            KeyError, TypeError, ValueError: it is not such JSON.
        """
        rows = {name: tuple(map(SheetRow.from_json, found[name])) for name in ("rows", "copies")}
        alone = tuple(Thumbnail(**one) for one in found["alone"])
        return cls(**{**found, **rows, "alone": alone, "notes": tuple(found["notes"])})

    def save(self, folder: Path) -> None:
        """Write the contact sheets to the folder of a run, for its report."""
        write_json(folder / SHEETS, self.as_json())

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """The contact sheets of the run in a folder; None if it has none.

        Raises:
            DataError: the file was not written by `save`.
        """
        return parse_json_file(folder / SHEETS, cls.from_json, by="marey train")

    def lines(self) -> list[str]:
        """The summary and the notes, as lines for a terminal."""
        return [self.summary, *self.notes]

    def write_page(self, path: Path, title: str) -> None:
        """Write the contact sheets as a self-contained HTML page.

        Raises:
            RunError: the file cannot be written.
        """
        write_text(path, render("marey.evaluation.report", "recordings.html", title=title, sheets=self))


def _more_videos_first(recording: tuple[str, list[int]]) -> tuple[int, str]:
    return -len(recording[1]), recording[0]


@dataclass(frozen=True)
class _Sheet:
    """Makes the rows and thumbnails of the sheets."""

    recordings: Recordings
    """The recording of each video, and the signatures that the thumbnails come from."""
    copies: Copies
    """The copies among the videos, with the label and split of each video."""

    def row(self, name: str, rows: Sequence[int]) -> SheetRow:
        """The row of one recording or set of copies; of more than 12 videos, 12 evenly spaced ones are shown."""
        indices = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _ACROSS)).round().astype(np.int64))
        sides = [self.copies.splits[row] for row in rows]
        return SheetRow(
            name=name,
            videos=len(rows),
            classes=_counts_in_words(self.copies.labels[row] for row in rows),
            sides=_counts_in_words(sides) if len(set(sides)) > 1 else "",
            shown=tuple(self.thumbnail(rows[index]) for index in indices.tolist()),
        )

    def thumbnail(self, row: int) -> Thumbnail:
        signatures = self.recordings.signatures
        jpeg = base64.b64encode(small_jpeg(signatures[row])).decode() if signatures.keys[row] else ""
        return Thumbnail(str(self.recordings.ids[row]), self.copies.labels[row], self.copies.splits[row], jpeg)


def _counts_in_words(words: Iterable[str]) -> str:
    """How often each word occurs, the most frequent first: "12 walk, 3 run"."""
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
