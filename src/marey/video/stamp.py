"""What a video file says of its making: when its recording began, and what wrote it."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import av

_CREATED = ("com.apple.quicktime.creationdate", "creation_time")
"""Names of the time in a file, or in its video stream: the first one that is there. Apple's is that of the recording where a
file was exported later.
"""


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
            video = container.streams.video[0].metadata if container.streams.video else {}
            said = {name.lower(): value for name, value in (*video.items(), *container.metadata.items())}
            written = (container.metadata.get("encoder", ""), video.get("encoder", ""), video.get("handler_name", ""))
    except (av.error.FFmpegError, OSError, UnicodeDecodeError):
        return Stamp()
    times = (_seconds(said[name]) for name in _CREATED if name in said)
    created = next((time for time in times if not math.isnan(time)), math.nan)
    return Stamp(created, " / ".join(dict.fromkeys(filter(None, written))))


def _seconds(text: str) -> float:
    """Seconds since 1970 of a time by ISO 8601, of UTC where no zone stands there; NaN of other words, and of the beginning
    of an epoch, which means that nobody set a clock.
    """
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        return math.nan
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return time.timestamp() if time.year > 1970 else math.nan
