"""Broken files: every run records and counts them, and training replaces them by the same rule on every run.

The record of a run is the file broken.jsonl in its folder, with one line {"id", "path", "reason"} for each broken file.
"""

import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from marey.base.errors import RunError
from marey.base.files import append_line, atomic_path, read_lines, rename
from marey.base.jobs import each_job
from marey.base.random import random_for
from marey.base.reporter import warning
from marey.base.words import counted, verb


@dataclass(frozen=True)
class Broken:
    """A video that cannot be read."""

    id: str
    """The id of the video in its list."""
    path: str
    """The path of its file."""
    reason: str
    """Why it cannot be read, with the position in the file where that is known ("frame 28 of 50: ...")."""


_SHARE, _FILES = 0.01, 3
"""Broken files that are tolerated by default: this share of all files, or this many if that is more."""
BROKEN = "broken.jsonl"
"""The name of the list of broken files."""
_OLD = "quarantine.jsonl"
"""Its name in version 0.1.0, in training, testing and flow."""


def broken_list(folder: Path, *, rank: int = 0) -> Path:
    """The list of broken files in a run's folder: broken.jsonl for process 0, broken-1.jsonl for process 1, and so on.

    A list that version 0.1.0 wrote is renamed, so that a run of that version resumes with it.
    """
    ending = f"-{rank}.jsonl" if rank else ".jsonl"
    path, old = (folder / name.replace(".jsonl", ending) for name in (BROKEN, _OLD))
    if old.exists() and not path.exists():
        rename(old, path)
    return path


def most_tolerated(total: int, max_share: float | None) -> int:
    """How many of `total` files may be broken, by the share `max_share`, 0 to 1.

    None: 1 % of the files, or three if that is more, but never all of them.
    """
    return int(min(max(_SHARE * total, _FILES), total - 1) if max_share is None else max_share * total)


class Quarantine:
    """The broken files of one run, each once, as lines of a .jsonl file; it limits how many are tolerated.

    Args:
        path: The file to append to; None: the record is held in memory. Damaged lines, which a killed process may leave, are
            skipped, and their files are tried again.
        total: The number of videos of the run.
        max_share: The share of broken files, 0 to 1, above which the run stops. None: it stops at more than 1 % and more
            than three, or if all are broken.
        announced: Paths of missing files that a warning named before; they give no second warning.
        ids: The ids of the run's videos. Records of other videos in the file (those of training, if a test runs in the
            folder of a training) stay there and are not counted. None: all records are of this run.
    """

    def __init__(
        self, path: Path | None, *, total: int, max_share: float | None, ids: Collection[str] | None = None,
        announced: Collection[str] = (),
    ) -> None:  # fmt: skip
        self.path, self.total, self.announced = path, total, announced
        self.tolerated = most_tolerated(total, max_share)
        """The most files that may be broken before the run stops."""
        self._found: dict[str, Broken] = {}
        self._others: list[Broken] = []
        """Records in the file that are not of this run."""
        for line in () if path is None else read_lines(path):
            with contextlib.suppress(TypeError):  # a damaged line
                broken = Broken(**line)
                if ids is None or broken.id in ids:
                    self._found[broken.id] = broken
                else:
                    self._others.append(broken)

    def __len__(self) -> int:
        return len(self._found)

    @property
    def files(self) -> tuple[Broken, ...]:
        """The broken files, in the order in which they were found."""
        return tuple(self._found.values())

    def forget(self) -> None:
        """Remove the records of this run, so that its broken files are tried again."""
        if self.path is None or not self._found:
            return
        self._found = {}
        if not self._others:
            self.path.unlink()
            return
        with atomic_path(self.path) as temporary:
            for broken in self._others:
                append_line(temporary, asdict(broken))

    def record(self, broken: Broken) -> None:
        """Add a broken file.

        Raises:
            RunError: more files are broken than are tolerated, which is a fault of the data and not of single files.
        """
        if broken.id in self._found:
            return
        self._found[broken.id] = broken
        if self.path is not None:
            append_line(self.path, asdict(broken))
        listed = f" (all are listed in {self.path})" if self.path is not None and len(self) == 1 else ""
        if broken.path not in self.announced:
            warning(f"broken file {len(self)}, set aside: {broken.reason}{listed}")
        if len(self) > self.tolerated:
            raise RunError(
                f"{len(self)} of {counted(self.total, 'video')} {verb(len(self), 'is', 'are')} broken; {self.tolerated} "
                f"{verb(self.tolerated, 'is', 'are')} tolerated (--max-broken); the last: {broken.reason}"
            )


@dataclass(frozen=True)
class VideoJob:
    """Work on one video file of a list; subclasses add what they need."""

    id: str
    """The id of the video in broken.jsonl."""
    video: Path
    """Path of the video file, or of the folder of its frames."""


Job = TypeVar("Job", bound=VideoJob)


def run_video_jobs(
    function: Callable[[Job], str | None],
    jobs: Sequence[Job],
    out: Path,
    *,
    total: int,
    workers: int | None,
    title: str,
) -> tuple[Broken, ...]:
    """Call `function` for every job, in `workers` processes. `function` returns the reason if the video cannot be read, else
    None.

    The broken videos are returned, and listed in broken.jsonl in the folder `out`. That list is written anew by each call,
    which tries all of `jobs`.
    """
    record = broken_list(out)
    record.unlink(missing_ok=True)
    quarantine = Quarantine(record, total=total, max_share=1)
    reasons = each_job(function, jobs, workers=workers, title=title, unit="videos", chunk=1)
    for job, reason in zip(jobs, reasons, strict=True):
        if reason is not None:
            quarantine.record(Broken(job.id, str(job.video), reason))
    return quarantine.files


def replacements(seed: int, epoch: int, index: int, count: int, tries: int = 16) -> list[int]:
    """The indices of the samples to try, in this order, in place of sample `index` if its file is broken.

    They depend on `seed`, `epoch`, `index` and `count` alone: every run and every worker takes the same ones, and the other
    samples of the epoch stay the same.
    """
    return [int(i) for i in random_for(seed, epoch, index, 1).randint(0, count, size=tries)]
