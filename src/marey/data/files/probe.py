"""What a video file is, found out once: size, frames, rate, or why it cannot be read. Kept between runs."""

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
"""How far a file is tested: that it is there and not empty; that it opens and its first frame decodes; every frame."""

_FORM = 2
"""Of what is kept about a file: results of another one, which counted frames differently, are not taken."""

_JITTER = 0.002
"""Seconds by which a frame may miss the even beat: containers round time stamps to milliseconds."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One file. `bytes` is -1 where there is none; `error` says why it cannot be read; `variable`: the rate changes;
    `left_out`: what of it is not among its frames, in words.
    """

    bytes: int
    frames: int = 0
    fps: float = 0.0
    seconds: float = 0.0
    width: int = 0
    height: int = 0
    variable: bool = False
    error: str = ""
    left_out: str = ""

    @property
    def missing(self) -> bool:
        return self.bytes < 0

    @property
    def readable(self) -> bool:
        return not self.error


def probe(path: str, check: Check) -> Probe:
    """Look at one video file or folder of frames, or at stored flow."""
    size = _bytes(path)
    if size < 0:
        return Probe(size, error="no such file")
    if size == 0:
        return Probe(size, error="is empty")
    if check == "files":
        return Probe(size)
    try:
        return _opened(path, size, check)
    except (DecodeError, OSError) as error:
        return Probe(size, error=error.reason if isinstance(error, DecodeError) else str(error))


def _opened(path: str, size: int, check: Check) -> Probe:
    # A look at what is there alone goes without the decoder.
    from marey.video.open import open_stored
    from marey.video.reading.reader import Video

    # Silent: what is left out is a finding here, and every reader of probes lists it.
    with reporting(SilentReporter()), open_stored(Path(path)) as source:
        if check == "decode":
            for _ in source.pictures() if isinstance(source, Video) else map(source.read, _one_by_one(len(source))):
                pass
        return Probe(
            size, len(source), round(source.fps, 3), round(source.duration_seconds, 3), source.width, source.height,
            variable_rate(source.timestamps), left_out=source.left_out,
        )  # fmt: skip


def _one_by_one(count: int) -> list[list[int]]:
    return [[number] for number in range(count)]


def variable_rate(timestamps: NDArray[np.float64]) -> bool:
    """Whether frames follow each other at uneven distances: some distance is off the median by over 10 % and 2 ms."""
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


class ProbeCache:
    """Probes of earlier runs in a .jsonl file: one line per result, written as it comes, so a killed run goes on.

    A file that changed since (size or time of change) is looked at again.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._known: dict[str, tuple[int, Any]] = {}
        for line in () if path is None else read_lines(path):
            with contextlib.suppress(ValueError, TypeError):  # a line that no run of today wrote
                key, stamp, result = line
                self._known[key] = (stamp, result)

    def probes(self, paths: Sequence[str], *, check: Check, workers: int | None) -> list[Probe]:
        """A probe of each path; those that are known already from an equal or deeper check are not opened again."""
        if check == "files":
            return [probe(path, "files") for path in paths]
        kinds = [f"{kind} {_FORM}" for kind in ("open", "decode") if check in ("open", kind)]
        found = self._each(paths, partial(_probe_row, check), kinds, f"{check} {_FORM}", workers, f"Checking ({check})")
        names = [f.name for f in fields(Probe)]
        return [Probe(**dict(zip(names, row, strict=True))) for row in found]

    def hashes(self, paths: Sequence[str], *, workers: int | None) -> list[str]:
        """The SHA-256 of each path's content."""
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


def _probe_row(check: Check, path: str) -> list[Any]:
    return list(asdict(probe(path, check)).values())


def _stamp(path: str) -> int:
    """A number that changes with a file: its time of change in nanoseconds plus its size; 0 where there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116
        return status.st_mtime_ns + status.st_size
    except OSError:
        return 0


def content_hash(path: str) -> str:
    """SHA-256 of a file's bytes; of a folder of frames, of the names and bytes of its images in order. "" if unreadable."""
    try:
        if not Path(path).is_dir():
            return sha256(path)
        digest = hashlib.sha256()
        for image in sorted(p for p in Path(path).iterdir() if p.is_file()):
            digest.update(f"{image.name}\0{sha256(image)}".encode("utf-8", BYTES))
        return digest.hexdigest()
    except OSError:
        return ""


def probe_cache(root: Path) -> ProbeCache:
    """The probes of the videos below `root`, kept in the cache folder."""
    name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return ProbeCache(cache_folder() / "probes" / f"{name}.jsonl")
