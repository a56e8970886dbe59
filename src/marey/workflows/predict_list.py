"""`marey predict`: predictions for one video or a million, into a file of lines that an interrupted call resumes."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from marey.backends.compute import Compute
from marey.backends.device import device_text, notice_spare_accelerator, pick_device
from marey.backends.precision import pick_precision
from marey.base.claim import Claim, Command, OutputPath, read_note
from marey.base.errors import RunError
from marey.base.files import append_line, atomic_path, mend_lines
from marey.base.jsonable import BYTES, Json
from marey.base.options import Arithmetic
from marey.base.processes import processes
from marey.base.reporter import notice, progress, work_summary
from marey.base.words import counted
from marey.classifier import Classifier
from marey.data.files.missing import require_files
from marey.data.lists.videos import VideoEntry, VideoList, classes_text
from marey.data.loading.datasets import ViewDataset
from marey.data.loading.limited_decoding import Limits
from marey.evaluation.protocol import model_settings, weights_hash
from marey.evaluation.time_estimate import expected_time
from marey.inference.predict import Predictor, predict_each
from marey.tasks.prediction import Prediction
from marey.workflows.two_streams import Streams, predict_streams

Key = tuple[str, float | None, float | None, int | None, int | None]
"""A path, and the start and end of its segment in seconds and in frames."""


def predict_list(
    model: Classifier | Streams,
    videos: VideoList,
    *,
    top: int = 5,
    out: Path | None = None,
    compute: Compute = Compute(),  # noqa: B008 - frozen
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> Iterator[Prediction]:
    """The prediction for each video, with its `top` likeliest classes, in the order of the list; for a video that cannot be
    read, its `error`.

    Args:
        out: A .jsonl file to which each prediction is appended. Videos that it has already are skipped, but for those that
            could not be read, which are tried again: an interrupted call can be resumed. A file with ".run.json" added to
            its name holds the settings that predictions depend on. None: nothing is written.
        limits: Limits of decoding a video.

    Raises:
        DataError: not one file of a list exists.
        RunError: `out` was begun with another network or protocol, or another process is writing it; this machine does not
            have the device, or the device does not have the precision.
    """
    chosen = pick_device(compute.device)
    arithmetic = pick_precision(compute.precision, chosen, tell=False)
    notice_spare_accelerator(compute.device)
    with contextlib.ExitStack() as held:
        if out is not None:
            held.enter_context(_claim(out, model, top=top, precision=arithmetic).held())
            mend_lines(out)
        known = {_key(earlier.video): earlier.error is None for earlier in read_predictions(out)} if out else {}
        keys = [_key(video) for video in videos] if known else []
        again = {key for key in keys if known.get(key) is False}
        if out and again:
            _remove_lines(out, again)
            notice(f"{counted(len(again), 'video')} that could not be read before: trying again")
        rows = [row for row, key in enumerate(keys) if not known.get(key, False)] if known else range(len(videos))
        if len(rows) < len(videos):
            notice(f"resuming: {len(videos) - len(rows)} of {counted(len(videos), 'video')} done already")
        require_files(videos[np.array([row for row in rows if not again or keys[row] not in again], np.int64)])
        # Only new videos are checked: those that are tried again may all still be missing.
        todo = replace(videos[np.array(rows, np.int64)], source="")
        where = f"on {device_text(chosen)}, {arithmetic}"
        if isinstance(model, Streams):
            predictions = _of_streams(model, todo, compute, limits, where)
        else:
            predictions = _of_network(model, todo, compute, limits, where)
        failed = 0
        with progress("Predicting", total=len(todo), unit="videos") as bar:
            for prediction in (one.likeliest(top) for one in predictions):
                if out:
                    append_line(out, prediction.as_json(top))
                failed += prediction.error is not None
                bar.advance(note=f"{failed} broken" if failed else None)
                yield prediction


def _of_streams(
    model: Streams, videos: VideoList, compute: Compute, limits: Limits, where: str
) -> Iterator[Prediction]:
    """Print the first line, then predict by two streams."""
    names = " and ".join(one.recipe.name for one in model.classifiers)
    work_summary(f"{counted(len(videos), 'video')}: predicting with {names} {where}")
    return predict_streams(model, videos, compute, limits)


def _of_network(
    model: Classifier, videos: VideoList, compute: Compute, limits: Limits, where: str
) -> Iterator[Prediction]:
    """Print the first line, then predict by one network."""
    recipe, classes = model.recipe, f", {classes_text(model.class_names)}" if model.class_names else ""
    line = f"{counted(len(videos), 'video')}: predicting with {recipe.name}{classes}, {where}"
    if not len(videos):
        work_summary(line)
        return iter(())
    predictor = Predictor.open(model, compute, videos=len(videos))
    views = ViewDataset(videos, recipe.test.sampling, recipe.pixels, recipe.flow)
    work_summary(line + expected_time(predictor.backend, views, recipe.test, range(len(videos)), compute))
    if model.calibration is not None and model.calibration.meaning:
        notice(model.calibration.meaning)
    return predict_each(predictor, videos, workers=compute.workers, limits=limits)


def predictions_path(out: Path) -> OutputPath:
    """The path of a file of predictions, to be checked before a network is built (`OutputPath.check`)."""
    path = OutputPath.file(out)
    if path.is_stream:
        return replace(path, advice="leave out --out and redirect standard output")
    return path


def read_predictions(out: Path) -> Iterator[Prediction]:
    """The predictions that earlier calls wrote to a .jsonl file; none if it does not exist.

    Raises:
        RunError: a line is no prediction.
    """
    if not out.exists():
        return
    with out.open(encoding="utf-8", errors=BYTES) as file:
        for number, line in enumerate(file, start=1):
            try:
                yield Prediction.from_json(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError):
                raise RunError(f"{out}:{number}: no prediction of `marey predict`: remove the line.") from None


def _remove_lines(out: Path, keys: set[Key]) -> None:
    """Remove the lines of these videos from a .jsonl file."""
    with atomic_path(out) as temporary, temporary.open("wb") as new, out.open("rb") as file:
        for line in file:
            if _key(Prediction.from_json(json.loads(line.decode("utf-8", BYTES))).video) not in keys:
                new.write(line)


def predictions_of(videos: VideoList, out: Path) -> list[Prediction]:
    """The predictions in a file for the videos of a list, in the list's order."""
    by_video = {_key(prediction.video): prediction for prediction in read_predictions(out)}
    return [by_video[_key(video)] for video in videos if _key(video) in by_video]


def _key(video: VideoEntry) -> Key:
    return str(video.path), video.start, video.end, video.start_frame, video.end_frame


def _claim(out: Path, model: Classifier | Streams, *, top: int, precision: Arithmetic) -> Claim:
    """The claim of these predictions on the file `out`.

    Raises:
        RunError: there are several processes, or `out` holds something else than predictions.
    """
    if processes().world > 1:
        raise RunError("marey predict runs in one process: give each its own share of the list and its own --out.")
    path = predictions_path(out)
    path.check()
    note = _note_path(path)
    if not note.exists():
        for _ in read_predictions(out):
            """A file without a note is only appended to if all its lines are predictions."""
    first, others = (model.classifiers[0], model.classifiers[1:]) if isinstance(model, Streams) else (model, ())
    fused = [weights_hash(other) for other in others]
    settings = model_settings(first, top=top, precision=precision, fused=fused)
    calibrated = [one.calibration for one in (first, *others)]
    if any(calibrated):  # files begun before there were calibrations have no such entry
        settings["calibration"] = [None if one is None else one.model_dump(mode="json") for one in calibrated]

    def recorded() -> dict[str, Json] | None:
        return read_note(note) if out.exists() else None

    return Claim(path, Command.PREDICT, settings, recorded=recorded)


def _note_path(path: OutputPath) -> Path:
    """The note (NAME.run.json, the settings) beside a file of predictions. For a file that version 0.1.0 began,
    the note under the name that version 0.1.0 gave it.

    Raises:
        RunError: version 0.1.0 wrote one note for several files, and which of them it describes cannot be known.
    """
    note, older = path.note(Command.PREDICT), path.older_note(Command.PREDICT)
    if note.exists() or not older.exists():
        return note
    for other in sorted(path.note_folder.iterdir()):
        output = OutputPath.file(other)
        if other.name == path.name or other.suffix == ".json" or output.older_note(Command.PREDICT) != older:
            continue
        own = output.note(Command.PREDICT)
        if (own == older or not own.exists()) and _holds_predictions(other):
            raise RunError(
                f"{older} may describe {path.path} or {other.name}: rename it to NAME{Command.PREDICT.note}, with the "
                "full name of the file that it belongs to, or choose another --out."
            )
    return older


def _holds_predictions(path: Path) -> bool:
    try:
        return next(read_predictions(path), None) is not None
    except (OSError, RunError):
        return False
