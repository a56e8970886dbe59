"""Clips of a training whose labels are likely wrong, and odd ones: the files suspects.csv, which is to be edited and given
back, and suspects.json, which the report is made from.
"""

import csv
import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from marey.base.files import write_json, write_text
from marey.base.page import jpeg_uri
from marey.base.words import counted, verb
from marey.data.recordings.signature import Signature
from marey.evaluation.page_data import read_page_data

SUSPECTS, SUSPECTS_PAGE = "suspects.csv", "suspects.json"
"""In the folder of a run."""
COLUMNS = ("path", "label", "may_be", "why", "leave_out")
SHOWN = 40
"""Clips of which the report has frames, at most."""
_HEIGHT, _WIDEST = 90, 200
"""Pixels of a frame in a strip of frames."""
_QUALITY = 70
"""Of a strip's JPEG: about 12 kB."""


@dataclass(frozen=True)
class SuspectClip:
    """A clip to look at."""

    path: str
    """As its list names it."""
    label: str
    """As its list has it; several with "|" between."""
    may_be: str
    """What may be right in its place, in the same form; "" where that is not known."""
    why: str
    """All that speaks for a look at it."""
    odd: str = ""
    """What of that is no matter of its label: why it is odd."""
    shares: tuple[float, ...] = ()
    """Out-of-fold probabilities, 0 to 1, of the classes that are in doubt; none of a clip that is odd alone."""
    one_label: bool = False
    """Whether `shares` are those of `label` and of `may_be`."""
    strip: str = ""
    """Five frames side by side, as the address of a JPEG; "" where there are none."""


@dataclass(frozen=True)
class SuspectList:
    """What was found in a list of clips, the most suspicious first, then the odd ones."""

    clips: tuple[SuspectClip, ...]
    total: int
    """Clips that were looked at."""
    disagreeing: int
    """Clips whose label another one is likelier than; `clips` has the first of them."""
    by: tuple[str, ...]
    """The answers by which the labels were judged, in words."""

    @property
    def wrong(self) -> int:
        """Clips that may be labelled wrong."""
        return sum(bool(clip.shares) for clip in self.clips)

    @property
    def odd(self) -> int:
        """Clips that are odd alone."""
        return len(self.clips) - self.wrong

    @property
    def counts(self) -> str:
        """How many there are, as a clause without a full stop; "" where there are none."""
        parts = []
        if self.wrong:
            parts.append(f"{self.wrong:,} of {counted(self.total, 'clip')} may be labelled wrong")
        if self.odd:
            parts.append(f"{counted(self.odd, 'clip')} {verb(self.odd, 'is', 'are')} odd")
        return ", ".join(parts)

    def save(self, folder: Path) -> None:
        """Write suspects.csv and suspects.json, each whole or not at all."""
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((clip.path, clip.label, clip.may_be, clip.why, "") for clip in self.clips)
        write_text(folder / SUSPECTS, table.getvalue())
        write_json(folder / SUSPECTS_PAGE, asdict(self))

    @classmethod
    def load(cls, folder: Path) -> "SuspectList | None":
        """Read what `save` wrote; None where there is nothing.

        Raises:
            DataError: the file is not as `save` wrote it.
        """
        return read_page_data(folder / SUSPECTS_PAGE, cls._from_json, by="train")

    @classmethod
    def _from_json(cls, found: dict[str, Any]) -> "SuspectList":
        clips = tuple(SuspectClip(**{**clip, "shares": tuple(clip["shares"])}) for clip in found["clips"])
        return cls(clips, found["total"], found["disagreeing"], tuple(found["by"]))


def strip_of(signature: Signature) -> str:
    """The five frames of a signature side by side, small, as the address of a JPEG."""
    height, width = signature.frames.shape[1:3]
    scale = min(_HEIGHT / height, _WIDEST / width, 1.0)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    small = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in signature.frames]
    strip = cv2.cvtColor(np.hstack(small), cv2.COLOR_RGB2BGR)
    return jpeg_uri(cv2.imencode(".jpg", strip, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes())
