"""Answers for one video or a million: what `marey predict` does."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from marey.backends.device import pick_device, tell_of_spare
from marey.backends.precision import pick_precision
from marey.base.claim import Claim, Place, read_note
from marey.base.errors import RunError
from marey.base.files import mend_lines
from marey.base.precision import Arithmetic, Precision
from marey.base.processes import world_size
from marey.base.progress import progress, say
from marey.data.manifest import Manifest, Sample
from marey.evaluation.evaluate import weights_hash
from marey.inference.predict import predict_many
from marey.inference.resume import identity_of
from marey.models.network import Network
from marey.workflows.two_streams import Streams, predict_streams

Key = tuple[str, float | None, float | None]
"""A path, and the part of it in seconds."""


@dataclass(frozen=True)
class Answer:
    """The likeliest classes of one video, or of the part of it from `start` to `end` seconds; or why there are none."""

    path: str
    top: tuple[tuple[str, float], ...]
    error: str | None = None
    start: float | None = None
    end: float | None = None

    @property
    def key(self) -> Key:
        return self.path, self.start, self.end

    def as_json(self) -> dict[str, Any]:
        times = {name: time for name, time in (("start", self.start), ("end", self.end)) if time is not None}
        if self.error is not None:
            return {"path": self.path, **times, "error": self.error}
        return {"path": self.path, **times, "top": [{"label": label, "probability": p} for label, p in self.top]}

    def as_text(self) -> str:
        if self.error is not None:
            return self.error
        part = "" if self.start is None and self.end is None else f" {self.start or 0:g} s to {_second(self.end)}"
        lines = [f"  {probability:6.1%}  {label}" for label, probability in self.top]
        return "\n".join([f"{self.path}{part}", *lines])


def _second(time: float | None) -> str:
    return "the end" if time is None else f"{time:g} s"


def answer(
    model: Network | Streams,
    videos: Manifest,
    *,
    top: int = 5,
    out: Path | None = None,
    batch: int = 8,
    workers: int | None = None,
    device: str = "auto",
    precision: Precision = "auto",
) -> Iterator[Answer]:
    """Answer for each video in turn, as soon as it is ready; a broken file gives an answer with `error`.

    With `out`, each answer is a line of that .jsonl file as well, and videos that it already answers are skipped:
    a long list can be interrupted and gone on with. NAME.run.json beside it says what answered.

    Raises:
        RunError: `out` was begun with another network or protocol, or another process is writing it; this machine does not
            have the device, or the device not the precision.
    """
    chosen = pick_device(device)
    arithmetic = pick_precision(precision, chosen, tell=False)
    tell_of_spare(device)
    say(f"answering on {chosen}, {arithmetic}")
    with contextlib.ExitStack() as held:
        if out is not None:
            held.enter_context(_claim(out, model, top=top, precision=arithmetic).held())
            mend_lines(out)
        done = {given.key for given in read_answers(out)} if out else set()
        rows = [row for row, sample in enumerate(videos) if _key(sample) not in done]
        if len(rows) < len(videos):
            say(f"going on: {len(videos) - len(rows)} of {len(videos)} videos are answered already")
        todo = videos[np.array(rows, np.int64)]
        failed = 0
        with progress("Predicting", total=len(todo), unit="videos") as bar:
            how: dict[str, Any] = {"batch": batch, "workers": workers, "device": device, "precision": precision}
            found = (
                predict_streams(model, todo, **how) if isinstance(model, Streams) else predict_many(model, todo, **how)
            )
            for sample, item in zip(todo, found, strict=True):
                given = Answer(
                    str(sample.path), () if item.error else tuple(item.top(top)), item.error, sample.start, sample.end
                )
                if out:
                    _append(out, given)
                failed += given.error is not None
                bar.advance(note=f"{failed} broken" if failed else None)
                yield given


def read_answers(out: Path) -> Iterator[Answer]:
    """What earlier calls wrote to a .jsonl file.

    Raises:
        RunError: a line is none that they wrote.
    """
    if not out.exists():
        return
    with out.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                value = json.loads(line)
                top = tuple((t["label"], t["probability"]) for t in value.get("top", ()))
                yield Answer(value["path"], top, value.get("error"), value.get("start"), value.get("end"))
            except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
                raise RunError(f"{out}:{number}: no answer of `marey predict`: remove the line.") from None


def answers_to(videos: Manifest, out: Path) -> list[Answer]:
    """The answers in a file to the videos of a list, in the list's order."""
    given = {answer.key: answer for answer in read_answers(out)}
    return [given[_key(sample)] for sample in videos if _key(sample) in given]


def _key(sample: Sample) -> Key:
    return str(sample.path), sample.start, sample.end


def _claim(out: Path, model: Network | Streams, *, top: int, precision: Arithmetic) -> Claim:
    """The claim of these answers on the file `out`.

    Raises:
        RunError: there are several processes, or `out` holds something else than answers.
    """
    if world_size() > 1:
        raise RunError("marey predict answers in one process: give each its own part of the list and its own --out.")
    place, note = Place.file(out), out.resolve().with_suffix(".run.json").name
    place.check()
    if not (place.home / note).exists():
        for _ in read_answers(out):
            """A file that no note tells of is not touched unless it holds answers."""
    first, others = (model.networks[0], model.networks[1:]) if isinstance(model, Streams) else (model, ())
    fused = [weights_hash(network) for network in others]
    settings = identity_of(first, top=top, precision=precision, fused=fused)

    def recorded() -> dict[str, Any] | None:
        return read_note(place.home / note) if out.exists() else None

    return Claim(place, "predict", note, settings, recorded=recorded)


def _append(out: Path, given: Answer) -> None:
    # One write for each line: a kill leaves whole lines and at most one without its end.
    with out.open("ab", buffering=0) as file:
        file.write((json.dumps(given.as_json(), ensure_ascii=False) + "\n").encode())
