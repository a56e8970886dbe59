"""What happens when a file breaks: it is recorded, counted and replaced by the same rule on every run.

The record of a run is broken.jsonl in its folder, in every command: one line {"id", "path", "reason"} for each file.
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
    """A file that could not be read, and why; the reason names the place ("frame 28 of 50: ...")."""

    id: str
    path: str
    reason: str


_SHARE, _FILES = 0.01, 3
"""Broken files that are tolerated where nothing else is asked for: this share of all, or this many if that is more."""
BROKEN = "broken.jsonl"
_OLD = "quarantine.jsonl"
"""What training, testing and flow called it in version 0.1.0."""


def broken_list(folder: Path, *, rank: int = 0) -> Path:
    """The list of broken files in a run's folder: broken.jsonl, of further processes broken-1.jsonl, broken-2.jsonl, ...

    One that version 0.1.0 left under another name is renamed, so that a run of it is resumed with it.
    """
    ending = f"-{rank}.jsonl" if rank else ".jsonl"
    path, old = (folder / name.replace(".jsonl", ending) for name in (BROKEN, _OLD))
    if old.exists() and not path.exists():
        rename(old, path)
    return path


def most_tolerated(total: int, max_share: float | None) -> int:
    """How many of `total` files may be broken: a share of them, 0 to 1; None: 1 %, or three if that is more; never all."""
    return int(min(max(_SHARE * total, _FILES), total - 1) if max_share is None else max_share * total)


class Quarantine:
    """The broken files of one run: each once, as lines of a .jsonl file, with a limit to how many are tolerated.

    Args:
        path: The file to append to, or None to keep the record in memory. Lines of it that are no record, as a killed
            process leaves them, are passed over: those files are tried again.
        total: How many videos the run works on.
        max_share: More broken files than this share of them stop the run, 0 to 1. None: more than 1 % and more than three
            do, and all of them.
        announced: Paths of files of which a warning said already that they are not there.
        ids: The run's videos. What others left in the file (training, where a run is tested in its own folder) stays there
            and is not counted. None: all of it is this run's.
    """

    def __init__(
        self, path: Path | None, *, total: int, max_share: float | None, ids: Collection[str] | None = None,
        announced: Collection[str] = (),
    ) -> None:  # fmt: skip
        self.path, self.total, self.announced = path, total, announced
        self.tolerated = most_tolerated(total, max_share)
        """The most files that may be broken."""
        self._found: dict[str, Broken] = {}
        self._others: list[Broken] = []
        for line in () if path is None else read_lines(path):
            with contextlib.suppress(TypeError):  # no record
                broken = Broken(**line)
                if ids is None or broken.id in ids:
                    self._found[broken.id] = broken
                else:
                    self._others.append(broken)

    def __len__(self) -> int:
        return len(self._found)

    @property
    def files(self) -> tuple[Broken, ...]:
        """All of them, in the order in which they were met."""
        return tuple(self._found.values())

    def forget(self) -> None:
        """Begin anew: what an earlier call of this run found is tried again."""
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
        """Note a broken file.

        Raises:
            RunError: more than are tolerated are broken: something is wrong with the data, not with a file.
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
    """Work on one video file of a list; classes of jobs add what they need."""

    id: str
    """What broken.jsonl calls it."""
    video: Path


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
    """Do `function` for every job, in `workers` processes. It gives the reason where the video cannot be read.

    Those are returned, and listed in broken.jsonl in the folder `out`: anew in each call, which tries all of them again.
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
    """The samples to try in turn in place of sample `index`, if its file is broken.

    They depend on seed, epoch and index alone, so every run puts the same ones in, whoever reads, and no other sample
    changes its place.
    """
    return [int(i) for i in random_for(seed, epoch, index, 1).randint(0, count, size=tries)]
