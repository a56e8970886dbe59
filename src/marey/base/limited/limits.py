"""Limits of time and memory for decoding one video.

Time is wall-clock time, not processor time: a process that hangs in a lock or on a lost disk uses no processor time.
"""

import math
from dataclasses import dataclass

from marey.base.errors import RunError
from marey.base.words import counted


@dataclass(frozen=True)
class WorkAmount:
    """How much work one video is."""

    duration: float | None = None
    """Duration in seconds that the file's header states; None if unknown."""
    flow_fields: int = 0
    """Number of optical flow fields that have to be computed for it, at most."""


@dataclass(frozen=True)
class Limits:
    """Limits of time and memory for decoding one video. A process that exceeds one is ended, and the video is left out with
    the reason.

    The time limit is `seconds` or `times_duration` times the video's duration, whichever is more. If optical flow has to be
    computed, because the network sees flow and none is stored, `seconds_a_field` is added for each field of its clips. The
    limits apply in worker processes only: there are none in the calling process, for a single video or with workers=0.

        marey.predict("runs/a", "clips/", limits=marey.Limits(seconds=300, memory=8_000_000_000))

    Raises:
        RunError: a value is not above 0.
    """

    seconds: float | None = 60.0
    """Least time limit in seconds, above 0. None: no time limit."""
    times_duration: float = 10.0
    """Time limit as a multiple of the duration, above 0; it applies if it is more than `seconds`. The duration is that of
    the entire file, because decoding a segment may have to begin long before it."""
    seconds_a_field: float = 20.0
    """Additional seconds for each field of optical flow, above 0. TV-L1 takes one to two seconds on one core for frames of
    340x256, and more for larger ones in proportion to their pixels."""
    memory: int | None = 4_000_000_000
    """Memory limit in bytes, above 0, in addition to the 0.2 GB or so that Python and the libraries take. None: no limit."""

    def __post_init__(self) -> None:
        for name in ("seconds", "times_duration", "seconds_a_field", "memory"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise RunError(f"Limits({name}={value}): expected more than 0, or None for no limit.")

    def allowed(self, amount: WorkAmount) -> float:
        """The time limit in seconds for this amount of work. `WorkAmount()`: nothing is known of the video yet."""
        if self.seconds is None:
            return math.inf
        return (
            max(self.seconds, self.times_duration * (amount.duration or 0.0))
            + self.seconds_a_field * amount.flow_fields
        )

    def too_long(self, amount: WorkAmount) -> str:
        """Why work that took too long was stopped, and which option allows more time: the end of a sentence."""
        why = "its file states no duration"
        if amount.duration is not None:
            times = self.times_duration * amount.duration
            less = " is less" if times < self.allowed(WorkAmount(amount.duration)) else ""
            why = f"{self.times_duration:g} times its duration of {_seconds_text(amount.duration)} s{less}"
        if amount.flow_fields:
            why += f"; {self.seconds_a_field:g} s for each of {counted(amount.flow_fields, 'field')} of flow"
        return (
            f"took longer than {_seconds_text(self.allowed(amount))} s ({why}) and was stopped: --decode-seconds, in Python "
            "Limits(seconds=...), allows more"
        )

    def too_large(self) -> str:
        """Why work that took too much memory was stopped, and which option allows more: the end of a sentence."""
        if self.memory is None:
            return "needs more memory than there is"
        return (
            f"needs more than the {self.memory / 1e9:g} GB of memory that are allowed: --decode-memory, in Python "
            "Limits(memory=...), allows more"
        )


def _seconds_text(seconds: float) -> str:
    return f"{seconds:.1f}".removesuffix(".0")
