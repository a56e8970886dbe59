"""`convert`: all videos of a list written again, resized or as folders of frames, in parallel; a killed run resumes."""

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


class VideoConversion(Protocol):
    """How one video is converted. Implementations are frozen dataclasses. Their fields are recorded in the output folder,
    and a later call with other values is refused.
    """

    command: ClassVar[Command]
    """The command that does this conversion."""

    def target(self, name: str, sample: Sample) -> str:
        """The path that the video `name` is converted to, below the output folder. Segments of a file may share one."""
        ...

    def write(self, source: Path, target: Path, sample: Sample) -> None:
        """Convert one video, atomically.

        Raises:
            DecodeError, DataError: the source cannot be read to its end.
            OSError: the target cannot be written; the source is not at fault, and all work stops.
        """
        ...

    @property
    def keeps_times(self) -> bool:
        """Whether the seconds and frames of a segment of the source name the same segment of the converted video."""
        ...


@dataclass(frozen=True)
class Resize:
    """Conversion to smaller H.264 files (see `marey.video.writing.transcode`)."""

    command: ClassVar[Command] = Command.RESIZE
    """The command that this conversion belongs to."""
    short_side: int
    """Pixels of the shorter side; smaller videos keep their size."""
    crf: int = 20
    """Quality of x264, 0 (lossless) to 51."""
    gop: int = 32
    """The most frames from one key frame to the next."""
    preset: str = "medium"
    """Preset of x264, from "ultrafast" to "veryslow": a slower one makes smaller files of the same quality."""
    keeps_times: bool = True
    """True, because the whole file is converted: a segment has the same seconds and frames in it."""

    def target(self, name: str, sample: Sample) -> str:
        return f"{os.path.splitext(name)[0]}.mp4"  # noqa: PTH122 - names stay text with "/"

    def write(self, source: Path, target: Path, sample: Sample) -> None:
        from marey.video.writing.transcode import transcode

        transcode(source, target, short_side=self.short_side, crf=self.crf, gop=self.gop, preset=self.preset)


@dataclass(frozen=True)
class Extract:
    """Conversion of each entry, a video or a segment of it, to a folder of images (see `marey.video.writing.images`)."""

    command: ClassVar[Command] = Command.FRAMES
    """The command that this conversion belongs to."""
    size: Size | None = None
    """Height and width of the images in pixels; None: `short_side` decides."""
    short_side: int | None = None
    """Pixels of the shorter side. If both this and `size` are None, images have the size of the video."""
    quality: int = 95
    """JPEG quality, 1 to 100."""
    template: str = "img_{:05d}.jpg"
    """Names of the images; the number begins at 1."""
    keeps_times: bool = False
    """False, because the images of a segment begin with its first frame."""

    def target(self, name: str, sample: Sample) -> str:
        segment = (
            ""
            if sample.start is None and sample.end is None
            else f"_{seconds_text(sample.start or 0)}_{sample.end or 'end'}"
        )
        if sample.start_frame is not None or sample.end_frame is not None:
            segment += f"_f{sample.start_frame or 0}_{'end' if sample.end_frame is None else sample.end_frame}"
        return f"{os.path.splitext(name)[0]}{segment}"  # noqa: PTH122

    def write(self, source: Path, target: Path, sample: Sample) -> None:
        from marey.video.writing.images import extract_frames

        seconds = (sample.start or 0.0, np.inf if sample.end is None else sample.end)
        extract_frames(
            source, target, size=self.size, short_side=self.short_side, quality=self.quality,
            template=self.template, seconds=None if sample.start is None and sample.end is None else seconds,
            frames=None if sample.start_frame is None else (sample.start_frame, sample.end_frame),
        )  # fmt: skip


@dataclass(frozen=True)
class ConvertedList:
    """The result of `convert`."""

    manifest: Manifest
    """The converted videos."""
    written: int
    """The number of videos that this call wrote."""
    there: int
    """The number of videos that earlier calls wrote."""
    broken: tuple[Broken, ...]
    """The videos that cannot be read."""

    def write_list(self, path: Path) -> None:
        """Write the list to `path`, in the folder of the converted videos, and README.txt if that has four files or more."""
        self.manifest.write_csv(path)
        write_readme(path.parent)


@dataclass(frozen=True)
class _ConversionJob(VideoJob):
    how: VideoConversion
    """The conversion with its settings."""
    sample: Sample
    """The list's entry: a video, or a segment of it."""
    target: Path
    """Path of the file or folder that is written."""


def convert(manifest: Manifest, out: Path, how: VideoConversion, *, workers: int | None) -> ConvertedList:
    """Convert every video of `manifest` into `out`, at the same relative path. Videos that are there already stay.

    Broken files are left out of the new list and listed with their reason in broken.jsonl; a later call tries them again.

    Raises:
        RunError: `out` was made with other settings or is the folder of the videos; another process works there, or it
            cannot be written.
        DataError: two videos would become one file; no video exists or can be read; or one is on a server.
    """
    refuse_addresses("marey data resize and frames", manifest)
    require_files(manifest.videos)
    targets = _target_names(manifest, how)
    jobs = {
        t: _ConversionJob(sample.id, sample.file, how, sample, out / t)
        for t, sample in zip(targets, manifest, strict=True)
    }
    if any(os.path.abspath(job.video) == os.path.abspath(job.target) for job in jobs.values()):  # noqa: PTH100
        raise RunError(f"{out} holds the videos themselves: choose another --out.")
    settings = {"kind": type(how).__name__, **asdict(how)}  # type: ignore[call-overload]
    with Claim(OutputPath.folder(out), how.command, settings).held() as resumed:
        if resumed:
            _remove_unfinished(out)
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
    return ConvertedList(new, len(todo) - len(failed), len(jobs) - len(todo), broken)


def _run(job: _ConversionJob) -> str | None:
    try:
        job.how.write(job.video, job.target, job.sample)
    except (DecodeError, DataError) as error:
        return str(error)
    return None


def _target_names(manifest: Manifest, how: VideoConversion) -> list[str]:
    names = _inside(manifest)
    targets = [how.target(name, sample) for name, sample in zip(names, manifest, strict=True)]
    owner: dict[str, str] = {}
    for name, target in zip(names, targets, strict=True):
        if owner.setdefault(target, name) != name:
            raise DataError(f"{manifest.source}: {owner[target]} and {name} would both become {target}; rename one.")
    return targets


def _inside(manifest: Manifest) -> list[str]:
    """The path of each video relative to the list's folder; if a video is outside it, of all videos relative to the folder
    that they share.
    """
    names: list[str] = manifest.ids.tolist()
    if not any(os.path.isabs(name) or name.startswith("..") for name in names):  # noqa: PTH117
        return names
    absolute = [os.path.abspath(manifest.root / name) for name in names]  # noqa: PTH100
    shared = os.path.commonpath([os.path.dirname(path) for path in absolute])  # noqa: PTH120
    return [os.path.relpath(path, shared).replace(os.sep, "/") for path in absolute]


def _remove_unfinished(out: Path) -> None:
    """Remove the unfinished files of a killed run: hidden files and folders with a random ending."""
    for folder, folders, files in os.walk(out):
        for name in [*folders, *files]:
            if re.fullmatch(r"\..+-[a-z0-9_]{8}(\.\w+)?", name):
                path = Path(folder) / name
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        folders[:] = [name for name in folders if not name.startswith(".")]
