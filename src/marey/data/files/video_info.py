"""`VideoInfo`: size, frames and rate of a video file, or why it cannot be read; cached between runs."""

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DecodeError
from marey.base.files import append_line, cache_folder, read_lines, sha256
from marey.base.jobs import each_job
from marey.base.jsonable import BYTES
from marey.base.reporter import SilentReporter, reporting

Check = Literal["files", "open", "decode"]
"""How a file is checked. "files": it exists and is not empty. "open": it opens and its first frame decodes. "decode": every
frame decodes."""

_FORM = 2
"""Version of the cached results; results of other versions, which counted frames differently, are not used."""

_JITTER = 0.002
"""Seconds by which the distance of two frames may differ at a constant rate: containers round times to milliseconds."""


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What is known of one video file or folder of frames. Where it was not opened, only `bytes` and `error` are set."""

    bytes: int
    """Size of the file, or of all files in the folder; -1 if it does not exist."""
    frames: int = 0
    """Number of frames."""
    fps: float = 0.0
    """Average frames per second."""
    seconds: float = 0.0
    """Length in seconds."""
    width: int = 0
    """Width of a frame in pixels."""
    height: int = 0
    """Height of a frame in pixels."""
    variable: bool = False
    """Whether the frame rate is variable."""
    error: str = ""
    """Why the file cannot be read; "": it can."""
    left_out: str = ""
    """What the file holds that cannot be read, in words, such as frames before the first key frame; "": nothing."""

    @property
    def missing(self) -> bool:
        """Whether the file does not exist."""
        return self.bytes < 0

    @property
    def readable(self) -> bool:
        """Whether the check found no error."""
        return not self.error


def inspect_video(path: str, check: Check) -> VideoInfo:
    """Check one video file, folder of frames or folder of stored flow."""
    size = _bytes(path)
    if size < 0:
        return VideoInfo(size, error="no such file")
    if size == 0:
        return VideoInfo(size, error="is empty")
    if check == "files":
        return VideoInfo(size)
    try:
        return _info_by_opening(path, size, check)
    except (DecodeError, OSError) as error:
        return VideoInfo(size, error=error.reason if isinstance(error, DecodeError) else str(error))


def _info_by_opening(path: str, size: int, check: Check) -> VideoInfo:
    # Imported here, since a check of "files" needs no decoder.
    from marey.video.open import open_stored
    from marey.video.reading.reader import Video

    # Silent: callers list `left_out` themselves.
    with reporting(SilentReporter()), open_stored(Path(path)) as source:
        if check == "decode":
            for _ in source.pictures() if isinstance(source, Video) else map(source.read, _single_indices(len(source))):
                pass
        return VideoInfo(
            size, len(source), round(source.fps, 3), round(source.duration_seconds, 3), source.width, source.height,
            has_variable_rate(source.timestamps), left_out=source.left_out,
        )  # fmt: skip


def _single_indices(count: int) -> list[list[int]]:
    return [[number] for number in range(count)]


def has_variable_rate(timestamps: NDArray[np.float64]) -> bool:
    """Whether the frame rate is variable: some distance of two frames differs from the median by over 10 % and 2 ms."""
    steps = np.diff(timestamps)
    if steps.size < 2:
        return False
    middle = float(np.median(steps))
    return bool(np.abs(steps - middle).max() > max(0.1 * middle, _JITTER))


def _bytes(path: str) -> int:
    # By strings: a Path for each of a million files takes longer than asking for their sizes.
    try:
        status = os.stat(path)  # noqa: PTH116
        if stat.S_ISDIR(status.st_mode):
            return sum(p.stat().st_size for p in Path(path).iterdir() if p.is_file())
        return status.st_size
    except OSError:
        return -1


class VideoInfoCache:
    """Results of earlier runs in a .jsonl file, so that an interrupted run resumes: each result is written when it is made.

    A file whose size or modification time changed is checked again.

    Args:
        path: The .jsonl file; None: results are not cached.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._known: dict[str, tuple[int, Any]] = {}
        for line in () if path is None else read_lines(path):
            with contextlib.suppress(ValueError, TypeError):  # a damaged line, or one of another version
                key, stamp, result = line
                self._known[key] = (stamp, result)

    def inspect(self, paths: Sequence[str], *, check: Check, workers: int | None) -> list[VideoInfo]:
        """The information on each path. Unchanged files that this or a more thorough check has seen are not opened again."""
        if check == "files":
            return [inspect_video(path, "files") for path in paths]
        kinds = [f"{kind} {_FORM}" for kind in ("open", "decode") if check in ("open", kind)]
        rows = self._each(paths, partial(_info_row, check), kinds, f"{check} {_FORM}", workers, f"Checking ({check})")
        names = [f.name for f in fields(VideoInfo)]
        return [VideoInfo(**dict(zip(names, row, strict=True))) for row in rows]

    def hashes(self, paths: Sequence[str], *, workers: int | None) -> list[str]:
        """The SHA-256 of the content of each path (`content_hash`)."""
        return self._each(paths, content_hash, ("sha256",), "sha256", workers, "Comparing")

    def _each(
        self,
        paths: Sequence[str],
        function: Callable[[str], Any],
        kinds: Sequence[str],
        kind: str,
        workers: int | None,
        title: str,
    ) -> list[Any]:
        """The value of `function` for each path. It is cached as of `kind`; a cached value of any of `kinds` is used."""
        stamps = [_stamp(path) for path in paths]
        results: dict[str, Any] = {}
        todo: dict[str, int] = {}
        for path, stamp in zip(paths, stamps, strict=True):
            known = next((k for each in kinds if (k := self._known.get(f"{each}:{path}")) and k[0] == stamp), None)
            if known is not None:
                results[path] = known[1]
            else:
                todo[path] = stamp
        if todo:
            each = each_job(function, list(todo), workers=workers, title=title, unit="files")
            for (path, stamp), result in zip(todo.items(), each, strict=True):
                results[path] = result
                self._known[f"{kind}:{path}"] = (stamp, result)
                if self.path is not None:
                    append_line(self.path, [f"{kind}:{path}", stamp, result])
        return [results[path] for path in paths]


def _info_row(check: Check, path: str) -> list[Any]:
    return list(asdict(inspect_video(path, check)).values())


def _stamp(path: str) -> int:
    """A number that changes with a file: its modification time in nanoseconds plus its size; 0 if it does not exist."""
    try:
        status = os.stat(path)  # noqa: PTH116
        return status.st_mtime_ns + status.st_size
    except OSError:
        return 0


def content_hash(path: str) -> str:
    """The SHA-256 of a file's bytes, or of the names and bytes of all images of a folder; "" if it cannot be read."""
    try:
        if not Path(path).is_dir():
            return sha256(path)
        digest = hashlib.sha256()
        for image in sorted(p for p in Path(path).iterdir() if p.is_file()):
            digest.update(f"{image.name}\0{sha256(image)}".encode("utf-8", BYTES))
        return digest.hexdigest()
    except OSError:
        return ""


def video_info_cache(root: Path) -> VideoInfoCache:
    """The cached information on the videos below `root`, in the cache folder."""
    name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return VideoInfoCache(cache_folder() / "probes" / f"{name}.jsonl")
