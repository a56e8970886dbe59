"""The files of `marey predict --out`: predictions line by line as they come, and other formats, written at the end."""

import csv
import os
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self

from marey.base.address import Location
from marey.base.claim import Command, OutputPath
from marey.base.errors import RunError
from marey.base.files import atomic_path, write_text
from marey.base.jsonable import BYTES, json_text
from marey.base.page import render
from marey.base.readme import write_readme
from marey.base.reporter import progress
from marey.base.words import counted
from marey.data.lists.videos import seconds_text
from marey.evaluation.report.examples import Filmstrip, filmstrip_of
from marey.tasks.prediction import Prediction
from marey.workflows.predict_list import predictions_path, read_predictions

MOST_SHOWN = 500
"""Videos on a page of predictions; the page states how many more there are."""
_FRAMES = 4
"""Frames of each video on a page."""
_FORMS = (".json", ".csv", ".html")
_LINES = "answers.jsonl"
"""In a folder, the file to which each prediction is appended."""


@dataclass(frozen=True)
class PredictionFiles:
    """The files of predictions, as the suffix of --out chooses them."""

    out: Path
    """The path as the user named it."""
    lines: Path
    """The .jsonl file to which each prediction is appended at once, and from which a later call resumes."""
    other_formats: tuple[Path, ...] = ()
    """The files in other formats, each written completely at the end."""

    @classmethod
    def named(cls, out: str) -> Self:
        """From the name of a file to write, or of a folder for all formats: a folder that exists, or a name without a suffix
        or with "/" at its end.

        Lines for another format than .jsonl go into a hidden file beside it: `.a.csv.jsonl` for a.csv. A file that version
        0.1.0 began holds lines, whatever its suffix.

        Raises:
            RunError: the suffix is of no format.
        """
        path = Path(out)
        suffix = path.suffix.lower()
        names_folder = out.endswith(("/", os.sep)) or not (suffix or path.name in _FORMS)
        if path.is_dir() or (names_folder and not _was_begun(path)):
            return cls(path, path / _LINES, tuple(path / f"answers{form}" for form in _FORMS))
        if suffix == ".jsonl" or _was_begun(path):
            return cls(path, path)
        if suffix not in _FORMS:
            raise RunError(
                f"--out {out}: predictions are written as {', '.join(['.jsonl', *_FORMS])}, as all of these in a folder (a "
                "name without a suffix or with / at its end), or as a table, .parquet."
            )
        return cls(path, path.with_name(f".{path.name}.jsonl"), (path,))

    def check(self, videos: Sequence[str | Path] = (), *, inputs: Iterable[str | Path] = ()) -> None:
        """Check before any work that all files can be written, and that only earlier predictions are overwritten.

        Args:
            videos: The files, folders or lists that are read.
            inputs: Other files that are read.

        Raises:
            RunError: a file cannot be written, is an input, or holds something else; or their folder is one of the `videos`.
        """
        if (output := predictions_path(self.out)).is_stream:
            output.check()
        read = [*videos, *inputs]
        if self.lines.parent == self.out:
            OutputPath.folder(self.out).refuse_other_kind()
            OutputPath.folder(self.out).refuse_file_name()
            OutputPath.folder(self.out).refuse_inputs(videos)
        for file in (self.lines, *self.other_formats):
            predictions_path(file).refuse_inputs(read)
        predictions_path(self.lines).check()
        begun = _was_begun(self.lines)
        for form in self.other_formats:
            predictions_path(form).check()
            if form.exists() and not (begun and _is_form(form)):
                raise RunError(
                    f"{form} exists already, and no earlier call wrote it: remove it, or choose another --out."
                )

    def count(self) -> int:
        """The number of predictions so far, including those of earlier calls."""
        with self.lines.open("rb") as file:
            return sum(1 for _ in file)

    def write(self, top: int, network: str) -> None:
        """Write all predictions so far in every format, with the `top` likeliest classes; `network` is named on the page."""
        for form in self.other_formats:
            match form.suffix.lower():
                case ".json":
                    _write_json(form, self.lines, top)
                case ".csv":
                    _write_csv(form, self.lines, top)
                case _:
                    _write_page(form, self.lines, top, network)
        if self.lines.parent == self.out:
            write_readme(self.out)


def _was_begun(lines: Path) -> bool:
    """Whether an earlier call wrote to this file of lines."""
    output = OutputPath.file(lines)
    return lines.is_file() and (output.note(Command.PREDICT).exists() or output.older_note(Command.PREDICT).exists())


def _is_form(path: Path) -> bool:
    """Whether a file begins like those that `PredictionFiles.write` writes."""
    with path.open(encoding="utf-8", errors=BYTES) as file:
        beginning = file.read(1000)
    return beginning.startswith(("path,start,end,", '[\n  {\n    "path":', "[]")) or _GENERATOR in beginning


_GENERATOR = '<meta name="generator" content="marey predict">'


def _write_json(path: Path, lines: Path, top: int) -> None:
    """Write the array that `--json` prints, one prediction at a time, so that memory does not limit it."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        separator = "["
        for prediction in read_predictions(lines):
            file.write(f"{separator}\n{textwrap.indent(json_text(prediction.as_json(top), indent=2), '  ')}")
            separator = ","
        file.write("[]\n" if separator == "[" else "\n]\n")


def _write_csv(path: Path, lines: Path, top: int) -> None:
    """Write a row for each video; label_1 is the likeliest class. The columns start_frame and end_frame, and labels, exist
    only if a video has a segment in frames, or labels above their thresholds.
    """
    count, in_frames, labelled = 1, False, False
    for prediction in read_predictions(lines):
        count = max(count, len(prediction.class_names))
        labelled |= prediction.labels is not None
        in_frames |= prediction.video.start_frame is not None or prediction.video.end_frame is not None
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8", errors=BYTES) as file:
        writer = csv.writer(file, lineterminator="\n")
        ranked = (f"{word}_{rank}" for rank in range(1, count + 1) for word in ("label", "probability"))
        frames = ["start_frame", "end_frame"] if in_frames else []
        labels = ["labels"] if labelled else []
        writer.writerow(["path", "start", "end", *frames, *ranked, *labels, "below_threshold", "error"])
        for prediction in read_predictions(lines):
            cells = [cell for pair in prediction.top(top) for cell in pair]
            segment: list[str | int | None] = [*map(seconds_text, (prediction.start, prediction.end))]
            segment += [prediction.video.start_frame, prediction.video.end_frame] if in_frames else []
            blank = [""] * (2 * count - len(cells))
            chosen = ["|".join(prediction.labels or ())] if labelled else []
            last = [prediction.below_threshold, prediction.error]
            writer.writerow([prediction.path, *segment, *cells, *blank, *chosen, *last])


@dataclass(frozen=True)
class _Shown:
    """What the page shows of a video."""

    path: Location
    """The path or address of the video."""
    segment: str
    """The segment in seconds or frames; "" for an entire file."""
    top: list[tuple[str, float]]
    """The most probable classes with their probabilities, 0 to 1; empty if the video cannot be read."""
    remark: str
    """A clause on which classes reach their thresholds; "" without thresholds."""
    error: str | None
    """Why the video cannot be read; None: it was read."""
    film: Filmstrip | None
    """Frames of the video in one image; None: the video cannot be read."""


def _write_page(path: Path, lines: Path, top: int, network: str) -> None:
    """Write one self-contained page with a few frames of the first videos, and a bar for each of their likeliest classes."""
    count = sum(1 for _ in read_predictions(lines))
    failed = sum(prediction.error is not None for prediction in read_predictions(lines))
    with progress("Page", total=min(count, MOST_SHOWN), unit="videos") as bar:
        shown = []
        for prediction in islice(read_predictions(lines), MOST_SHOWN):
            shown.append(_shown_prediction(prediction, top))
            bar.advance()
    subtitle = [counted(count, "video"), *([f"{failed:,} could not be read"] if failed else []), network]
    page = render(
        "marey.workflows",
        "predictions.html",
        title=path.resolve().stem,
        subtitle=" · ".join(subtitle),
        videos=shown,
        frames=_FRAMES,
        left_out=count - len(shown),
        all_in=lines.name,
    )
    write_text(path, page)


def _shown_prediction(prediction: Prediction, top: int) -> _Shown:
    path, segment = prediction.path, prediction.part_text
    if prediction.error is not None:
        return _Shown(path, segment, [], "", prediction.error.removeprefix(f"{path}: "), None)
    remark = f"{prediction.remark}; the likeliest:" if prediction.remark else ""
    return _Shown(path, segment, prediction.top(top), remark, None, filmstrip_of(prediction.video, _FRAMES))
