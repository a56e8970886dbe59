"""The flow of a whole list of videos, computed once and stored: `marey data flow`."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from marey.base.claim import Claim, Command, OutputPath
from marey.base.errors import DataError, DecodeError
from marey.base.readme import write_readme
from marey.base.reporter import notice
from marey.base.words import counted, verb
from marey.data.files.missing import refuse_addresses, require_files
from marey.data.files.quarantine import BROKEN, Broken, VideoJob, run_video_jobs
from marey.data.lists.manifest import Manifest
from marey.video.flow.files import TEMPLATE, UNFINISHED, Storage, check_template, place_of, write_flow
from marey.video.flow.rule import FlowRule, compute_levels
from marey.video.open import open_source

LIST = "flow.csv"


@dataclass(frozen=True)
class Extracted:
    """What `extract_flow` left: the list of the videos that have flow, and those that could not be read."""

    manifest: Manifest
    broken: tuple[Broken, ...]


@dataclass(frozen=True)
class _Job(VideoJob):
    place: Path
    rule: FlowRule
    storage: Storage
    template: str
    device: str
    compiled: bool
    alone: bool
    """In this process, which keeps its threads; workers have one each."""


def extract_flow(
    manifest: Manifest,
    out: str | Path,
    rule: FlowRule,
    *,
    storage: Storage = "jpg",
    template: str = TEMPLATE,
    workers: int | None = None,
    device: str = "cpu",
    compiled: bool = False,
) -> Extracted:
    """Compute and store the flow of every video of a list; its list `flow.csv` has the same labels, splits and parts.

    Each video's flow is written beside its place and then moved there: whatever interrupts the work, what lies there is
    whole, and a second call does only the rest. Files that cannot be read are noted in `broken.jsonl`, left out of
    the list, and tried again by the next call.

    Args:
        out: The folder; run/v0.mp4 becomes out/run/v0 (images) or out/run/v0.flow.mkv.
        storage: JPEG or PNG pairs, or a video with or without loss.
        template: Names of images.
        workers: Processes, each with one thread; None is one per core, 0 works in this one.
        device: For TV-L1 in torch: cpu or cuda.
        compiled: See `marey.video.flow.methods`.

    Raises:
        RunError: `out` holds flow made with other settings, another process works there, or it cannot be written.
        DataError: two videos would have the same place, or not one is there or could be read.
    """
    out = Path(out)
    check_template(template)
    refuse_addresses("marey data flow", manifest)
    require_files(manifest.videos)
    stems = [_stem(name) for name in manifest.ids.tolist()]
    places = _places(manifest, out, stems, storage)
    settings = {"flow": rule.model_dump(mode="json"), "storage": storage, "template": template}
    with Claim(OutputPath.folder(out), Command.FLOW, settings).held() as resumed:
        if resumed:
            _clear({place.parent for place in places.values()})
        todo = {stem: place for stem, place in places.items() if not place.exists()}
        if len(todo) < len(places):
            there = len(places) - len(todo)
            have = verb(there, "has its", "have their")
            notice(f"going on: {there} of {counted(len(places), 'video')} {have} flow already")
        first = {stem: row for row, stem in reversed(list(enumerate(stems)))}
        jobs = [
            _Job(
                str(place.relative_to(out)), manifest[first[stem]].file, place, rule, storage, template, device, compiled,
                alone=workers == 0,
            )
            for stem, place in todo.items()
        ]  # fmt: skip
        broken = run_video_jobs(_extract, jobs, out, total=len(places), workers=workers, title="Flow")
        return Extracted(_listed(manifest, out, stems, places), broken)


def _extract(job: _Job) -> str | None:
    """The work on one video; the reason where it cannot be read."""
    if not job.alone:
        _one_thread()
    try:
        with open_source(job.video) as source:
            if len(source) < 2:
                return f"{job.video}: has a single frame; flow needs two"
            estimator = job.rule.method.build(device=job.device, compiled=job.compiled)
            chunks = compute_levels(source, np.arange(len(source) - 1), job.rule, estimator)
            write_flow(job.place, chunks, source.fps, storage=job.storage, template=job.template)
    except DecodeError as error:
        return str(error)
    return None


def _one_thread() -> None:
    """Processes do not share cores with each other's threads."""
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _stem(name: str) -> str:
    """A video's path without its suffix, below the output folder wherever the video lies."""
    path = PurePosixPath(name)
    parts = [part for part in path.parts if part not in (path.anchor, "..")]
    return PurePosixPath(*parts).with_suffix("").as_posix()


def _places(manifest: Manifest, out: Path, stems: list[str], storage: Storage) -> dict[str, Path]:
    """Where each video's flow will lie, in the list's order; parts of a video share it."""
    names: dict[str, str] = {}
    for name, stem in zip(manifest.ids.tolist(), stems, strict=True):
        if names.setdefault(stem, name) != name:
            raise DataError(
                f"{manifest.source or 'the list'}: the flow of {names[stem]} and of {name} would have the same place, "
                f"{out / stem}: extract them into different folders."
            )
    return {stem: place_of(out, stem, storage) for stem in names}


def _clear(folders: Iterable[Path]) -> None:
    """Remove what a killed run left half written."""
    for folder in folders:
        for path in folder.glob(".*") if folder.is_dir() else ():
            if path.name.endswith(UNFINISHED):
                shutil.rmtree(path)
            elif path.suffix == ".mkv":
                path.unlink()


def _listed(manifest: Manifest, out: Path, stems: list[str], places: dict[str, Path]) -> Manifest:
    rows = np.array([row for row, stem in enumerate(stems) if places[stem].exists()], np.int64)
    if not len(rows):
        raise DataError(f"{manifest.source or 'the list'}: not one video could be read; see {out / BROKEN}.")
    ids = np.array([places[stems[row]].relative_to(out).as_posix() for row in rows])
    listed = replace(manifest[rows], ids=ids, root=out, source=str(out / LIST))
    listed.write_csv(out / LIST)
    write_readme(out)
    return listed
