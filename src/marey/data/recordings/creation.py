"""Creation metadata of a video file: when its recording began, and which program wrote it."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import av

_CREATED = ("com.apple.quicktime.creationdate", "creation_time")
"""Metadata keys of the creation time, in a file or its video stream; the first one with a valid time is used.
Apple's key holds the time of recording even where the file was exported later."""
_DATE_AND_TIME = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_.]?([01]\d)[-_.]?([0-3]\d)[-_. T]*([0-2]\d)[-_.:h]?([0-5]\d)(?:[-_.:m]?([0-5]\d))?(?!\d)"
)


@dataclass(frozen=True, slots=True)
class CreationMetadata:
    """Creation time and encoder of a file; most re-encoded files have neither."""

    created: float = math.nan
    """Seconds since 1970; NaN where the file has no time. It is the time of recording, or that of the last conversion."""
    encoder: str = ""
    """The programs that wrote the file and its video stream, as the metadata name them; "" where they name none."""


def creation_metadata(path: Path) -> CreationMetadata:
    """The creation metadata of a video file; empty for a folder of images and for a file that cannot be opened."""
    try:
        with av.open(str(path)) as container:
            of_file, of_stream = _with_lower_keys(container.metadata), {}
            if container.streams.video:
                of_stream = _with_lower_keys(container.streams.video[0].metadata)
    except (av.error.FFmpegError, OSError, UnicodeDecodeError):
        return CreationMetadata()
    metadata = of_stream | of_file
    encoders = (of_file.get("encoder"), of_stream.get("encoder"), of_stream.get("handler_name"))
    times = (_unix_seconds(metadata[key]) for key in _CREATED if key in metadata)
    created = next((time for time in times if not math.isnan(time)), math.nan)
    return CreationMetadata(created, " / ".join(dict.fromkeys(filter(None, encoders))))


def time_in_name(name: str) -> float:
    """Seconds since 1970 of a date and a time of day in a file name, as cameras write them (VID_20240504_101530,
    2024-05-04 10.15.30), read as UTC; NaN for names without them.
    """
    match = _DATE_AND_TIME.search(name)
    if match is None:
        return math.nan
    year, month, day, hour, minute, second = (int(digits or 0) for digits in match.groups())
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:  # a month 13
        return math.nan


def _with_lower_keys(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata with keys in lower case: Matroska writes them in capitals."""
    return {name.lower(): value for name, value in metadata.items()}


def _unix_seconds(text: str) -> float:
    """Seconds since 1970 of a time in ISO 8601, UTC where it names no zone. NaN for other text, and for years up to
    1970: the camera's clock was then never set.
    """
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        return math.nan
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return time.timestamp() if time.year > 1970 else math.nan
