"""Answers for one video or a million: what `marey predict` does."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from marey.backends.compute import Compute
from marey.backends.device import device_text, pick_device, tell_of_spare
from marey.backends.precision import pick_precision
from marey.base.claim import Claim, Command, OutputPath, read_note
from marey.base.errors import RunError
from marey.base.files import append_line, atomic_path, mend_lines
from marey.base.jsonable import BYTES, Json
from marey.base.precision import Arithmetic
from marey.base.processes import processes
from marey.base.reporter import notice, progress, understood
from marey.base.words import counted
from marey.classifier import Classifier
from marey.data.files.missing import require_files
from marey.data.lists.videos import VideoEntry, VideoList, classes_text
from marey.data.loading.clips import ViewDataset
from marey.data.loading.limited import Limits
from marey.evaluation.pace import expected_time
from marey.evaluation.run import weights_hash
from marey.inference.predict import Answerer, answered
from marey.inference.resume import identity_of
from marey.tasks.prediction import Prediction
from marey.workflows.two_streams import Streams, predict_streams

Key = tuple[str, float | None, float | None, int | None, int | None]
"""A path, and the part of it in seconds or frames."""


def answer(
    model: Classifier | Streams,
    videos: VideoList,
    *,
    top: int = 5,
    out: Path | None = None,
    compute: Compute = Compute(),  # noqa: B008 - frozen
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> Iterator[Prediction]:
    """The `top` likeliest classes of each video in turn, as soon as it is ready, or `error` for a broken file.

    With `out`, each answer is a line of that .jsonl file as well, and videos that it already answers are skipped: a long
    list can be interrupted and resumed. Those that could not be read are tried again. The file beside it whose name has
    ".run.json" added holds the settings that answers depend on.

    Raises:
        DataError: not one file of a list is there.
        RunError: `out` was begun with another network or protocol, or another process is writing it; this machine does not
            have the device, or the device not the precision.
    """
    chosen = pick_device(compute.device)
    arithmetic = pick_precision(compute.precision, chosen, tell=False)
    tell_of_spare(compute.device)
    with contextlib.ExitStack() as held:
        if out is not None:
            held.enter_context(_claim(out, model, top=top, precision=arithmetic).held())
            mend_lines(out)
        known = {_key(given.video): given.error is None for given in read_answers(out)} if out else {}
        keys = [_key(video) for video in videos] if known else []
        again = {key for key in keys if known.get(key) is False}
        if out and again:
            _take_out(out, again)
            notice(f"{counted(len(again), 'video')} that could not be read before: tried again")
        rows = [row for row, key in enumerate(keys) if not known.get(key, False)] if known else range(len(videos))
        if len(rows) < len(videos):
            notice(f"going on: {len(videos) - len(rows)} of {counted(len(videos), 'video')} answered already")
        require_files(videos[np.array([row for row in rows if not again or keys[row] not in again], np.int64)])
        # Checked here, of the new ones alone: those that are tried again may all be missing still.
        todo = replace(videos[np.array(rows, np.int64)], source="")
        where = f"on {device_text(chosen)}, {arithmetic}"
        if isinstance(model, Streams):
            found = _streams(model, todo, compute, limits, where)
        else:
            found = _one(model, todo, compute, limits, where)
        failed = 0
        with progress("Predicting", total=len(todo), unit="videos") as bar:
            for given in (item.likeliest(top) for item in found):
                if out:
                    append_line(out, given.as_json(top))
                failed += given.error is not None
                bar.advance(note=f"{failed} broken" if failed else None)
                yield given


def _streams(model: Streams, videos: VideoList, compute: Compute, limits: Limits, where: str) -> Iterator[Prediction]:
    """Answers of two streams, after the line that says so."""
    names = " and ".join(one.recipe.name for one in model.classifiers)
    understood(f"{counted(len(videos), 'video')}: answering with {names} {where}")
    return predict_streams(model, videos, compute, limits)


def _one(model: Classifier, videos: VideoList, compute: Compute, limits: Limits, where: str) -> Iterator[Prediction]:
    """Answers of one network, after the line that says so."""
    recipe, classes = model.recipe, f", {classes_text(model.class_names)}" if model.class_names else ""
    line = f"{counted(len(videos), 'video')}: answering with {recipe.name}{classes}, {where}"
    if not len(videos):
        understood(line)
        return iter(())
    answerer = Answerer.open(model, compute, videos=len(videos))
    views = ViewDataset(videos, recipe.test.sampling, recipe.pixels, recipe.flow)
    understood(line + expected_time(answerer.backend, views, recipe.test, range(len(videos)), compute))
    if model.calibration is not None and model.calibration.meaning:
        notice(model.calibration.meaning)
    return answered(answerer, videos, workers=compute.workers, limits=limits)


def answers_path(out: Path) -> OutputPath:
    """Where answers go, to be asked before a network is built (`OutputPath.check`)."""
    path = OutputPath.file(out)
    if path.is_stream:
        return replace(path, way_out="leave out --out and redirect standard output")
    return path


def read_answers(out: Path) -> Iterator[Prediction]:
    """What earlier calls wrote to a .jsonl file.

    Raises:
        RunError: a line is none that they wrote.
    """
    if not out.exists():
        return
    with out.open(encoding="utf-8", errors=BYTES) as file:
        for number, line in enumerate(file, start=1):
            try:
                yield Prediction.from_json(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError):
                raise RunError(f"{out}:{number}: no answer of `marey predict`: remove the line.") from None


def _take_out(out: Path, keys: set[Key]) -> None:
    """Leave out of a .jsonl file the lines of these videos."""
    with atomic_path(out) as temporary, temporary.open("wb") as new, out.open("rb") as file:
        for line in file:
            if _key(Prediction.from_json(json.loads(line.decode("utf-8", BYTES))).video) not in keys:
                new.write(line)


def answers_to(videos: VideoList, out: Path) -> list[Prediction]:
    """The predictions in a file for the videos of a list, in the list's order."""
    given = {_key(prediction.video): prediction for prediction in read_answers(out)}
    return [given[_key(video)] for video in videos if _key(video) in given]


def _key(video: VideoEntry) -> Key:
    return str(video.path), video.start, video.end, video.start_frame, video.end_frame


def _claim(out: Path, model: Classifier | Streams, *, top: int, precision: Arithmetic) -> Claim:
    """The claim of these answers on the file `out`.

    Raises:
        RunError: there are several processes, or `out` holds something else than answers.
    """
    if processes().world > 1:
        raise RunError("marey predict answers in one process: give each its own part of the list and its own --out.")
    path = answers_path(out)
    path.check()
    note = _note(path)
    if not note.exists():
        for _ in read_answers(out):
            """Without a note, a file is only written to if it holds answers."""
    first, others = (model.classifiers[0], model.classifiers[1:]) if isinstance(model, Streams) else (model, ())
    fused = [weights_hash(other) for other in others]
    settings = identity_of(first, top=top, precision=precision, fused=fused)
    calibrated = [one.calibration for one in (first, *others)]
    if any(calibrated):  # files begun before there were calibrations have no such entry
        settings["calibration"] = [None if one is None else one.model_dump(mode="json") for one in calibrated]

    def recorded() -> dict[str, Json] | None:
        return read_note(note) if out.exists() else None

    return Claim(path, Command.PREDICT, settings, recorded=recorded)


def _note(path: OutputPath) -> Path:
    """The note of the answers in a file; for those that version 0.1.0 began, the one that it wrote.

    Raises:
        RunError: version 0.1.0 wrote one note for several files, and which of them it describes cannot be known.
    """
    note, older = path.note(Command.PREDICT), path.older_note(Command.PREDICT)
    if note.exists() or not older.exists():
        return note
    for other in sorted(path.note_folder.iterdir()):
        beside = OutputPath.file(other)
        if other.name == path.name or other.suffix == ".json" or beside.older_note(Command.PREDICT) != older:
            continue
        own = beside.note(Command.PREDICT)
        if (own == older or not own.exists()) and _holds_answers(other):
            raise RunError(
                f"{older} may describe {path.path} or {other.name}: rename it to NAME{Command.PREDICT.note}, with the "
                "full name of the file that it belongs to, or choose another --out."
            )
    return older


def _holds_answers(path: Path) -> bool:
    try:
        return next(read_answers(path), None) is not None
    except (OSError, RunError):
        return False
