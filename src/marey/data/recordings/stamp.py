"""What a video file says of its making: when its recording began, and what wrote it."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import av

_CREATED = ("com.apple.quicktime.creationdate", "creation_time")
"""Names of the time in a file, or in its video stream: the first one that is there. Apple's is that of the recording where a
file was exported later.
"""
_DATE_AND_TIME = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_.]?([01]\d)[-_.]?([0-3]\d)[-_. T]*([0-2]\d)[-_.:h]?([0-5]\d)(?:[-_.:m]?([0-5]\d))?(?!\d)"
)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a file says; most say nothing, since they were encoded anew."""

    created: float = math.nan
    """Seconds since 1970; NaN where the file has no such time. It is that of the recording, or of the last conversion."""
    encoder: str = ""
    """What wrote the file and its video stream, in their words."""


def stamp_of(path: Path) -> Stamp:
    """The stamp of a video file; an empty one of a folder of images, or of a file that cannot be opened."""
    try:
        with av.open(str(path)) as container:
            whole, video = _lower(container.metadata), {}
            if container.streams.video:
                video = _lower(container.streams.video[0].metadata)
    except (av.error.FFmpegError, OSError, UnicodeDecodeError):
        return Stamp()
    said, written = video | whole, (whole.get("encoder"), video.get("encoder"), video.get("handler_name"))
    times = (_seconds(said[name]) for name in _CREATED if name in said)
    created = next((time for time in times if not math.isnan(time)), math.nan)
    return Stamp(created, " / ".join(dict.fromkeys(filter(None, written))))


def time_in_name(name: str) -> float:
    """Seconds since 1970 of a date and a time of day in a file's name, as cameras write them (VID_20240504_101530,
    2024-05-04 10.15.30), taken as UTC; NaN of names without them.
    """
    found = _DATE_AND_TIME.search(name)
    if found is None:
        return math.nan
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:  # a month 13
        return math.nan


def _lower(metadata: Mapping[str, str]) -> dict[str, str]:
    """Names in small letters: Matroska has them in capitals."""
    return {name.lower(): value for name, value in metadata.items()}


def _seconds(text: str) -> float:
    """Seconds since 1970 of a time by ISO 8601, of UTC where it names no zone; NaN of other words, and of the beginning
    of an epoch, which means that the clock was never set.
    """
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        return math.nan
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return time.timestamp() if time.year > 1970 else math.nan
