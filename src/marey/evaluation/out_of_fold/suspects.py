"""Suspects: training videos whose labels are likely wrong, or that are unusual. They are written to suspects.csv, which a
user edits and gives back, and to suspects.json, which the report reads.
"""

import csv
import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from marey.base.files import write_json, write_text
from marey.base.jsonable import parse_json_file, rename_key
from marey.base.page import jpeg_uri
from marey.base.words import counted, verb
from marey.data.recordings.signature import Signature

SUSPECTS, SUSPECTS_PAGE = "suspects.csv", "suspects.json"
"""The files in the folder of a run."""
COLUMNS = ("path", "label", "may_be", "why", "leave_out")
"""The columns of suspects.csv."""
SHOWN = 40
"""The report shows at most this many videos, with frames."""
_HEIGHT, _WIDEST = 90, 200
"""Largest height and width in pixels of a frame in a strip of frames."""
_QUALITY = 70
"""JPEG quality of a strip, 1 to 100; it then has about 12 kB."""


@dataclass(frozen=True)
class SuspectVideo:
    """A video that a person should check."""

    path: str
    """Its path in the list."""
    label: str
    """Its label in the list; several are joined by "|"."""
    may_be: str
    """The label that may be right instead, in the same form; "" where that is not known."""
    why: str
    """All reasons to check it, as a clause."""
    odd: str = ""
    """The reasons in `why` that do not concern its label: what is unusual about the video; "" where nothing is."""
    shares: tuple[float, ...] = ()
    """Out-of-fold probabilities, 0 to 1, of the classes in doubt; empty for a video that is only unusual."""
    one_label: bool = False
    """Whether `shares` are the probabilities of `label` and of `may_be`."""
    strip: str = ""
    """Five frames side by side, as the data URI of a JPEG; "" where there are none."""


@dataclass(frozen=True)
class SuspectList:
    """The suspects of a list, the most suspicious labels first, then the videos that are only unusual."""

    videos: tuple[SuspectVideo, ...]
    """The suspects, in the order of suspects.csv."""
    total: int
    """Number of videos that were checked."""
    disagreeing: int
    """Number of videos for which another label is more probable than their own; `videos` has the most suspicious of them."""
    by: tuple[str, ...]
    """The predictions that the labels were compared with, in words: by which head, fitted without which videos."""

    @property
    def wrong(self) -> int:
        """Number of videos that may be labelled wrong."""
        return sum(bool(video.shares) for video in self.videos)

    @property
    def odd(self) -> int:
        """Number of videos that are only unusual, with no doubt about their label."""
        return len(self.videos) - self.wrong

    @property
    def counts(self) -> str:
        """The numbers of suspects, as a clause without a full stop; "" where there are none."""
        clauses = []
        if self.wrong:
            clauses.append(f"{self.wrong:,} of {counted(self.total, 'video')} may be labelled wrong")
        if self.odd:
            clauses.append(f"{counted(self.odd, 'video')} {verb(self.odd, 'is', 'are')} odd")
        return ", ".join(clauses)

    def save(self, folder: Path) -> None:
        """Write suspects.csv and suspects.json, each atomically."""
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((video.path, video.label, video.may_be, video.why, "") for video in self.videos)
        write_text(folder / SUSPECTS, table.getvalue())
        write_json(folder / SUSPECTS_PAGE, rename_key(asdict(self), "videos", "clips"))

    @classmethod
    def load(cls, folder: Path) -> "SuspectList | None":
        """Read the file that `save` wrote; None where there is none.

        Raises:
            DataError: the file is not as `save` wrote it.
        """
        return parse_json_file(folder / SUSPECTS_PAGE, cls._from_json, by="train")

    @classmethod
    def _from_json(cls, fields: dict[str, Any]) -> "SuspectList":
        videos = tuple(SuspectVideo(**{**video, "shares": tuple(video["shares"])}) for video in fields["clips"])
        return cls(videos, fields["total"], fields["disagreeing"], tuple(fields["by"]))


def strip_of(signature: Signature) -> str:
    """The five frames of a signature, reduced and side by side, as the data URI of a JPEG."""
    height, width = signature.frames.shape[1:3]
    scale = min(_HEIGHT / height, _WIDEST / width, 1.0)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    small = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in signature.frames]
    strip = cv2.cvtColor(np.hstack(small), cv2.COLOR_RGB2BGR)
    return jpeg_uri(cv2.imencode(".jpg", strip, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes())
