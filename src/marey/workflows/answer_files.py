"""What `marey predict --out` leaves: answers line by line as they come, and other forms of them, written at the end."""

import csv
import os
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self

from marey.base.address import Place
from marey.base.claim import Command, OutputPath
from marey.base.errors import RunError
from marey.base.files import atomic_path, write_text
from marey.base.jsonable import BYTES, json_text
from marey.base.page import render
from marey.base.readme import write_readme
from marey.base.reporter import progress
from marey.base.words import counted
from marey.data.lists.videos import seconds_text
from marey.evaluation.report.answers import Film, film_of
from marey.tasks.prediction import Prediction
from marey.workflows.answer import answers_path, read_answers

MOST_SHOWN = 500
"""Videos on a page; it says how many more there are."""
_FRAMES = 4
"""Frames of each video on a page."""
_FORMS = (".json", ".csv", ".html")
_LINES = "answers.jsonl"
"""In a folder, the file that is written answer by answer."""


@dataclass(frozen=True)
class AnswerFiles:
    """Where answers go, as the suffix of --out says: each at once as a line of `lines`, and at the end into every one of
    `forms`, written whole. A later call goes on from `lines`.
    """

    out: Path
    """As the user named it."""
    lines: Path
    forms: tuple[Path, ...] = ()

    @classmethod
    def named(cls, out: str) -> Self:
        """By the name of a file to write, or of a folder for every form: one that is there, or a name without a suffix or
        with "/" at its end.

        Lines for another form than .jsonl lie hidden beside it: `.a.csv.jsonl` for a.csv. A file of any name that version
        0.1.0 began, which wrote lines alone, is one of lines still.

        Raises:
            RunError: a suffix of none of the forms.
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
                f"--out {out}: answers are written as {', '.join(['.jsonl', *_FORMS])}, as all of these in a folder (a name "
                "without a suffix or with / at its end), or as a table, .parquet."
            )
        return cls(path, path.with_name(f".{path.name}.jsonl"), (path,))

    def check(self, videos: Sequence[str | Path] = (), *, inputs: Iterable[str | Path] = ()) -> None:
        """See before any work that all of them can be written, and that no file is written over that was none of them.

        Raises:
            RunError: one cannot be written, or is another file, such as one of the `videos` (files, folders or lists) or of
                the other `inputs`; or their folder is one of the `videos`.
        """
        if (whole := answers_path(self.out)).is_stream:
            whole.check()
        read = [*videos, *inputs]
        if self.lines.parent == self.out:
            OutputPath.folder(self.out).refuse_other_kind()
            OutputPath.folder(self.out).refuse_file_name()
            OutputPath.folder(self.out).refuse_inputs(videos)
        for file in (self.lines, *self.forms):
            answers_path(file).refuse_inputs(read)
        answers_path(self.lines).check()
        begun = _was_begun(self.lines)
        for form in self.forms:
            answers_path(form).check()
            if form.exists() and not (begun and _is_form(form)):
                raise RunError(
                    f"{form} is there already, and not of an earlier call: remove it, or choose another --out."
                )

    def count(self) -> int:
        """The answers so far, those to earlier calls' videos among them."""
        with self.lines.open("rb") as file:
            return sum(1 for _ in file)

    def write(self, top: int, network: str) -> None:
        """Write every form of all answers so far, with the `top` likeliest classes; `network` is what gave them."""
        for form in self.forms:
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
    place = OutputPath.file(lines)
    return lines.is_file() and (place.note(Command.PREDICT).exists() or place.older_note(Command.PREDICT).exists())


def _is_form(path: Path) -> bool:
    """Whether a file begins as `AnswerFiles.write` begins one of its suffix."""
    with path.open(encoding="utf-8", errors=BYTES) as file:
        beginning = file.read(1000)
    return beginning.startswith(("path,start,end,", '[\n  {\n    "path":', "[]")) or _GENERATOR in beginning


_GENERATOR = '<meta name="generator" content="marey predict">'


def _write_json(path: Path, lines: Path, top: int) -> None:
    """The array that `--json` prints, which need not fit into memory."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        separator = "["
        for answer in read_answers(lines):
            file.write(f"{separator}\n{textwrap.indent(json_text(answer.as_json(top), indent=2), '  ')}")
            separator = ","
        file.write("[]\n" if separator == "[" else "\n]\n")


def _write_csv(path: Path, lines: Path, top: int) -> None:
    """A row for each video; label_1 is the likeliest class. Parts in frames and labels that reach thresholds of their own
    have columns where there are any.
    """
    count, in_frames, labelled = 1, False, False
    for answer in read_answers(lines):
        count = max(count, len(answer.class_names))
        labelled |= answer.labels is not None
        in_frames |= answer.video.start_frame is not None or answer.video.end_frame is not None
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8", errors=BYTES) as file:
        writer = csv.writer(file, lineterminator="\n")
        ranked = (f"{word}_{rank}" for rank in range(1, count + 1) for word in ("label", "probability"))
        frames = ["start_frame", "end_frame"] if in_frames else []
        labels = ["labels"] if labelled else []
        writer.writerow(["path", "start", "end", *frames, *ranked, *labels, "below_threshold", "error"])
        for answer in read_answers(lines):
            cells = [cell for pair in answer.top(top) for cell in pair]
            part: list[str | int | None] = [*map(seconds_text, (answer.start, answer.end))]
            part += [answer.video.start_frame, answer.video.end_frame] if in_frames else []
            blank = [""] * (2 * count - len(cells))
            chosen = ["|".join(answer.labels or ())] if labelled else []
            writer.writerow([answer.path, *part, *cells, *blank, *chosen, answer.below_threshold, answer.error])


@dataclass(frozen=True)
class _Shown:
    """A video on the page."""

    path: Place
    part: str
    top: list[tuple[str, float]]
    remark: str
    error: str | None
    film: Film | None


def _write_page(path: Path, lines: Path, top: int, network: str) -> None:
    """A page with a few frames and a bar for each likely class of the first videos, which needs no other file."""
    count = sum(1 for _ in read_answers(lines))
    failed = sum(answer.error is not None for answer in read_answers(lines))
    with progress("Page", total=min(count, MOST_SHOWN), unit="videos") as bar:
        shown = []
        for answer in islice(read_answers(lines), MOST_SHOWN):
            shown.append(_shown(answer, top))
            bar.advance()
    said = [counted(count, "video"), *([f"{failed:,} could not be read"] if failed else []), network]
    page = render(
        "marey.workflows",
        "answers.html",
        title=path.resolve().stem,
        subtitle=" · ".join(said),
        videos=shown,
        frames=_FRAMES,
        left_out=count - len(shown),
        all_in=lines.name,
    )
    write_text(path, page)


def _shown(answer: Prediction, top: int) -> _Shown:
    if answer.error is not None:
        return _Shown(answer.path, answer.part_text, [], "", answer.error.removeprefix(f"{answer.path}: "), None)
    remark = f"{answer.remark}; the likeliest:" if answer.remark else ""
    return _Shown(answer.path, answer.part_text, answer.top(top), remark, None, film_of(answer.video, _FRAMES))
