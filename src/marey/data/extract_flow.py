"""`extract_flow`: the optical flow of all videos of a list, computed once and stored (`marey data flow`)."""

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
from marey.video.flow.files import TEMPLATE, UNFINISHED, Storage, check_template, flow_path, write_flow
from marey.video.flow.rule import FlowRule, compute_levels
from marey.video.open import open_source

LIST = "flow.csv"
"""The name of the list of stored flow."""


@dataclass(frozen=True)
class ExtractedFlow:
    """The result of `extract_flow`."""

    manifest: Manifest
    """The list of the stored flow, with the labels of the videos."""
    broken: tuple[Broken, ...]
    """The videos that cannot be read."""


@dataclass(frozen=True)
class _FlowJob(VideoJob):
    target: Path
    """Path of the file or folder that is written."""
    rule: FlowRule
    """How the flow is computed."""
    storage: Storage
    """How the flow is stored."""
    template: str
    """Names of the images, as in `extract_flow`."""
    device: str
    """Name of the device that computes, as torch has it."""
    compiled: bool
    """Whether the inner iteration is fused by `torch.compile`."""
    in_main_process: bool
    """Whether the job runs in the main process, which keeps its threads; workers have one thread each."""


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
) -> ExtractedFlow:
    """Compute and store the flow of every video of a list, and write `flow.csv`, a list of it with the same labels, splits
    and segments.

    The flow of each video is written atomically: after an interruption, a second call computes only what is missing. Files
    that cannot be read are listed in `broken.jsonl`, left out of `flow.csv`, and tried again by the next call.

    Args:
        manifest: The list.
        out: The output folder; run/v0.mp4 becomes out/run/v0 (images) or out/run/v0.flow.mkv.
        rule: The method and the encoding of flow as 8-bit levels.
        storage: JPEG or PNG pairs, or a video with or without loss.
        template: Names of the images.
        workers: Processes, each with one thread; None: one per core, 0: this process.
        device: The device for TV-L1 in torch: cpu or cuda.
        compiled: Whether TV-L1 in torch is compiled (see `marey.video.flow.methods`).

    Raises:
        RunError: `out` holds flow made with other settings, another process works there, or it cannot be written.
        DataError: the flow of two videos would have the same path; no video exists or can be read; or one is on a server.
    """
    out = Path(out)
    check_template(template)
    refuse_addresses("marey data flow", manifest)
    require_files(manifest.videos)
    stems = [_stem_below_output(name) for name in manifest.ids.tolist()]
    targets = _flow_paths(manifest, out, stems, storage)
    settings = {"flow": rule.model_dump(mode="json"), "storage": storage, "template": template}
    with Claim(OutputPath.folder(out), Command.FLOW, settings).held() as resumed:
        if resumed:
            _remove_unfinished({target.parent for target in targets.values()})
        todo = {stem: target for stem, target in targets.items() if not target.exists()}
        if len(todo) < len(targets):
            done = len(targets) - len(todo)
            have = verb(done, "has its", "have their")
            notice(f"resumed: {done} of {counted(len(targets), 'video')} {have} flow already")
        first = {stem: row for row, stem in reversed(list(enumerate(stems)))}
        jobs = [
            _FlowJob(
                str(target.relative_to(out)), manifest[first[stem]].file, target, rule, storage, template, device, compiled,
                in_main_process=workers == 0,
            )
            for stem, target in todo.items()
        ]  # fmt: skip
        broken = run_video_jobs(_extract, jobs, out, total=len(targets), workers=workers, title="Flow")
        return ExtractedFlow(_write_list(manifest, out, stems, targets), broken)


def _extract(job: _FlowJob) -> str | None:
    """Compute and store the flow of one video; returns the reason if it cannot be read."""
    if not job.in_main_process:
        _one_thread()
    try:
        with open_source(job.video) as source:
            if len(source) < 2:
                return f"{job.video}: has a single frame; flow needs two"
            estimator = job.rule.method.build(device=job.device, compiled=job.compiled)
            chunks = compute_levels(source, np.arange(len(source) - 1), job.rule, estimator)
            write_flow(job.target, chunks, source.fps, storage=job.storage, template=job.template)
    except DecodeError as error:
        return str(error)
    return None


def _one_thread() -> None:
    """Restrict this process to one thread, since there is a process for each core."""
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _stem_below_output(name: str) -> str:
    """The path of a video without suffix, made relative so that it can be joined to the output folder."""
    path = PurePosixPath(name)
    parts = [part for part in path.parts if part not in (path.anchor, "..")]
    return PurePosixPath(*parts).with_suffix("").as_posix()


def _flow_paths(manifest: Manifest, out: Path, stems: list[str], storage: Storage) -> dict[str, Path]:
    """The path of the flow for each stem, in the order of the list; segments of a file share the flow."""
    names: dict[str, str] = {}
    for name, stem in zip(manifest.ids.tolist(), stems, strict=True):
        if names.setdefault(stem, name) != name:
            raise DataError(
                f"{manifest.source or 'the list'}: the flow of {names[stem]} and of {name} would have the same path, "
                f"{out / stem}: extract them into different folders."
            )
    return {stem: flow_path(out, stem, storage) for stem in names}


def _remove_unfinished(folders: Iterable[Path]) -> None:
    """Remove the unfinished files of a killed run."""
    for folder in folders:
        for path in folder.glob(".*") if folder.is_dir() else ():
            if path.name.endswith(UNFINISHED):
                shutil.rmtree(path)
            elif path.suffix == ".mkv":
                path.unlink()


def _write_list(manifest: Manifest, out: Path, stems: list[str], targets: dict[str, Path]) -> Manifest:
    """Write the list of the stored flow, and README.txt; returns the list."""
    rows = np.array([row for row, stem in enumerate(stems) if targets[stem].exists()], np.int64)
    if not len(rows):
        raise DataError(f"{manifest.source or 'the list'}: not one video could be read; see {out / BROKEN}.")
    ids = np.array([targets[stems[row]].relative_to(out).as_posix() for row in rows])
    listed = replace(manifest[rows], ids=ids, root=out, source=str(out / LIST))
    listed.write_csv(out / LIST)
    write_readme(out)
    return listed
