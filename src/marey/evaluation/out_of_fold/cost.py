"""The cost of fitting a classifier to a user's videos, and how fine-tuning compared with the head."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from marey.base.jsonable import Json, rename_key
from marey.base.words import counted, lasting, percent

_OF_HEADS = "All other numbers out of fold are those of the head. "


@dataclass(frozen=True)
class Cost:
    """The cost of the out-of-fold predictions."""

    computed: int
    """Number of videos that went through the network in this run."""
    kept: int
    """Number of videos whose features were cached by an earlier run."""
    core_seconds: float
    """Processor time in core-seconds, for decoding, network, and heads."""
    seconds: float
    """Elapsed time in seconds."""
    comparing_frames: float = 0.0
    """The part of `core_seconds` for comparing the frames of the videos; 0 if they were not compared."""

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Cost":
        """From its fields as JSON."""
        return cls(**rename_key(fields, "pictures", "comparing_frames"))

    def as_json(self) -> dict[str, Json]:
        """Its fields as JSON; `comparing_frames` has the key "pictures"."""
        return rename_key(asdict(self), "comparing_frames", "pictures")

    @property
    def sentence(self) -> str:
        """The cost in words."""
        kept = f", features of {self.kept:,} were cached by an earlier run" if self.kept else ""
        spent = counted(round(self.core_seconds), "core-second")
        share = (
            f" ({percent(self.comparing_frames / self.core_seconds, 0)} to compare frames)"
            if self.comparing_frames >= 0.5
            else ""
        )
        return (
            f"Features, folds and heads: {counted(self.computed, 'video')} went through the network{kept}; "
            f"{spent}{share}, {lasting(self.seconds)} on the clock."
        )


@dataclass(frozen=True)
class FineTuning:
    """How fine-tuning the complete network compared with the head on frozen features, on the same videos of one fold."""

    heads: float
    """Share of these videos that the head on frozen features predicts correctly, 0 to 1."""
    tuned: float
    """Share of these videos that the fine-tuned network predicts correctly, 0 to 1."""
    error: float | None
    """Standard error of the difference of the two shares, 0 to 1; None if all videos are of one recording."""
    videos: int
    """Number of videos in the fold."""
    kept: bool
    """Whether the fine-tuned network became the run's classifier; else the head is."""
    core_seconds: float
    """Processor time of fine-tuning in core-seconds."""
    folder: str = ""
    """The name of the folder of this fine-tuning, inside the folder of all fine-tunings of the run; "" if unknown."""
    tries: int = 1
    """Number of fine-tunings with different settings that were finished, including this one."""

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "FineTuning":
        """From its fields as JSON."""
        return cls(**rename_key(fields, "clips", "videos"))

    def as_json(self) -> dict[str, Json]:
        """Its fields as JSON; `videos` has the key "clips"."""
        return rename_key(asdict(self), "videos", "clips")

    @property
    def sentence(self) -> str:
        """Both numbers, and which classifier was kept."""
        which = "the fine-tuned network" if self.kept else "the head"
        error = "unknown" if self.error is None else f"{100 * self.error:.1f} points"
        beside = (
            "the same videos" if self.error == 0 == self.difference else f"standard error of the difference: {error}"
        )
        return (
            f"Of {counted(self.videos, 'video')} of one fold the head on frozen features predicts {percent(self.heads)} "
            f"correctly, the fine-tuned network {percent(self.tuned)} ({beside}); {which} was kept. {self._tries_sentence}"
            f"{_OF_HEADS if self.kept else ''}Fine-tuning took {counted(round(self.core_seconds), 'core-second')}."
        )

    @property
    def difference(self) -> float:
        """`tuned` minus `heads`, -1 to 1."""
        return self.tuned - self.heads

    @property
    def _tries_sentence(self) -> str:
        """A sentence that warns of the choice among several fine-tunings, with a space at its end; "" if this is the
        only one.
        """
        if self.tries < 2:
            return ""
        tried = f"{self.tries:,} fine-tunings that were tried on this fold"
        if not self.kept:
            return f"None of the {tried} was kept; these numbers are those of {self.folder}. "
        return (
            f"It is the best that could be kept of {tried}: chosen by these videos, it looks better on them than it "
            "will on new ones. "
        )
