"""A whole data set written anew: files of another size, or raw frames. Parallel; a run that was killed goes on."""

import os
import re
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np

from marey.base.claim import Claim, Command, OutputPath
from marey.base.errors import DataError, DecodeError, RunError
from marey.base.readme import write_readme
from marey.data.files.missing import refuse_addresses, require_files
from marey.data.files.quarantine import Broken, VideoJob, run_video_jobs
from marey.data.lists.manifest import Manifest, Sample
from marey.data.lists.videos import seconds_text
from marey.video.source import Size


class Conversion(Protocol):
    """How one video is written anew. A frozen dataclass: its fields are what a folder was made with."""

    command: ClassVar[Command]
    """The command that writes so."""

    def target(self, name: str, sample: Sample) -> str:
        """Where the video `name` goes, relative to the output folder; one place for samples that share a file."""
        ...

    def write(self, source: Path, target: Path, sample: Sample) -> None:
        """Write it, whole or not at all.

        Raises:
            DecodeError, DataError: the source cannot be read to its end.
            OSError: the target cannot be written; nothing is wrong with the source, and all work stops.
        """
        ...

    @property
    def keeps_times(self) -> bool:
        """Whether the parts of the list, by seconds or frames, still hold."""
        ...


@dataclass(frozen=True)
class Resize:
    """H.264 video files with a shorter side of `short_side` pixels (see `marey.video.writing.transcode`)."""

    command: ClassVar[Command] = Command.RESIZE
    short_side: int
    crf: int = 20
    gop: int = 32
    preset: str = "medium"
    keeps_times: bool = True

    def target(self, name: str, sample: Sample) -> str:
        return f"{os.path.splitext(name)[0]}.mp4"  # noqa: PTH122 - names stay text with "/"

    def write(self, source: Path, target: Path, sample: Sample) -> None:
        from marey.video.writing.transcode import transcode

        transcode(source, target, short_side=self.short_side, crf=self.crf, gop=self.gop, preset=self.preset)


@dataclass(frozen=True)
class Extract:
    """Folders of images (see `marey.video.writing.images`); of the part that the list gives, where it gives one."""

    command: ClassVar[Command] = Command.FRAMES
    size: Size | None = None
    short_side: int | None = None
    quality: int = 95
    template: str = "img_{:05d}.jpg"
    keeps_times: bool = False

    def target(self, name: str, sample: Sample) -> str:
        part = (
            ""
            if sample.start is None and sample.end is None
            else f"_{seconds_text(sample.start or 0)}_{sample.end or 'end'}"
        )
        if sample.start_frame is not None or sample.end_frame is not None:
            part += f"_f{sample.start_frame or 0}_{'end' if sample.end_frame is None else sample.end_frame}"
        return f"{os.path.splitext(name)[0]}{part}"  # noqa: PTH122

    def write(self, source: Path, target: Path, sample: Sample) -> None:
        from marey.video.writing.images import extract_frames

        seconds = (sample.start or 0.0, np.inf if sample.end is None else sample.end)
        extract_frames(
            source, target, size=self.size, short_side=self.short_side, quality=self.quality,
            template=self.template, seconds=None if sample.start is None and sample.end is None else seconds,
            frames=None if sample.start_frame is None else (sample.start_frame, sample.end_frame),
        )  # fmt: skip


@dataclass(frozen=True)
class Converted:
    """What came of it. `there` were written by an earlier run; `manifest` lists all that are whole now."""

    manifest: Manifest
    written: int
    there: int
    broken: tuple[Broken, ...]

    def write_list(self, path: Path) -> None:
        """Write the list into the folder of the videos, and README.txt where files come together there."""
        self.manifest.write_csv(path)
        write_readme(path.parent)


@dataclass(frozen=True)
class _Job(VideoJob):
    how: Conversion
    sample: Sample
    target: Path


def convert(manifest: Manifest, out: Path, how: Conversion, *, workers: int | None) -> Converted:
    """Write every video of `manifest` to `out` at its own relative path. What is there already is not written again.

    Broken files are left out of the new list and named with their reason in broken.jsonl; a later run tries them again.

    Raises:
        RunError: `out` was made with other settings, or is where the videos are; another process works there, or it cannot
            be written.
        DataError: two videos would become one file, or not one is there or could be read.
    """
    refuse_addresses("marey data resize and frames", manifest)
    require_files(manifest.videos)
    targets = _targets(manifest, how)
    jobs = {t: _Job(sample.id, sample.file, how, sample, out / t) for t, sample in zip(targets, manifest, strict=True)}
    if any(os.path.abspath(job.video) == os.path.abspath(job.target) for job in jobs.values()):  # noqa: PTH100
        raise RunError(f"{out} holds the videos themselves: choose another --out.")
    settings = {"kind": type(how).__name__, **asdict(how)}  # type: ignore[call-overload]
    with Claim(OutputPath.folder(out), how.command, settings).held() as resumed:
        if resumed:
            _sweep(out)
        todo = [job for job in jobs.values() if not job.target.exists()]
        broken = run_video_jobs(_run, todo, out, total=len(todo), workers=workers, title="Writing")
    failed = {job.target for job in todo if not job.target.exists()}
    kept = np.array([out / target not in failed for target in targets])
    if not kept.any():
        raise DataError(f"{manifest.source}: not one video could be read; the first: {broken[0].reason}")
    new = replace(
        manifest[np.flatnonzero(kept)],
        ids=np.array(targets)[kept],
        root=out,
        times=manifest.times[kept] if manifest.times is not None and how.keeps_times else None,
        frame_ranges=manifest.frame_ranges[kept] if manifest.frame_ranges is not None and how.keeps_times else None,
    )
    return Converted(new, len(todo) - len(failed), len(jobs) - len(todo), broken)


def _run(job: _Job) -> str | None:
    try:
        job.how.write(job.video, job.target, job.sample)
    except (DecodeError, DataError) as error:
        return str(error)
    return None


def _targets(manifest: Manifest, how: Conversion) -> list[str]:
    names = _inside(manifest)
    targets = [how.target(name, sample) for name, sample in zip(names, manifest, strict=True)]
    owner: dict[str, str] = {}
    for name, target in zip(names, targets, strict=True):
        if owner.setdefault(target, name) != name:
            raise DataError(f"{manifest.source}: {owner[target]} and {name} would both become {target}; rename one.")
    return targets


def _inside(manifest: Manifest) -> list[str]:
    """The videos' paths relative to the folder that holds them all: the list's own, unless a path leads out of it."""
    names: list[str] = manifest.ids.tolist()
    if not any(os.path.isabs(name) or name.startswith("..") for name in names):  # noqa: PTH117
        return names
    whole = [os.path.abspath(manifest.root / name) for name in names]  # noqa: PTH100
    shared = os.path.commonpath([os.path.dirname(path) for path in whole])  # noqa: PTH120
    return [os.path.relpath(path, shared).replace(os.sep, "/") for path in whole]


def _sweep(out: Path) -> None:
    """Remove what a killed run left half written: hidden files and folders with a random ending."""
    for folder, folders, files in os.walk(out):
        for name in [*folders, *files]:
            if re.fullmatch(r"\..+-[a-z0-9_]{8}(\.\w+)?", name):
                path = Path(folder) / name
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        folders[:] = [name for name in folders if not name.startswith(".")]
