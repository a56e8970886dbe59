"""What Ctrl-C leaves of a long command, and how to go on."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

from marey.base.claim import Command
from marey.base.errors import StoppedError
from marey.base.reporter import understood_first
from marey.base.runs import LAST, STATE, TUNING
from marey.base.shell import typed_line
from marey.base.words import counted

if TYPE_CHECKING:
    from marey.workflows.answer_files import AnswerFiles

Options = ParamSpec("Options")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with what is kept, in words."""

    def __init__(self, kept: str) -> None:
        super().__init__(kept)
        self.kept = kept


def long_command(function: Callable[Options, None]) -> Callable[Options, None]:
    """A command that first says what it understood (`understood`), and that nothing is kept where Ctrl-C ends it outside of
    the block of `going_on`.
    """

    @functools.wraps(function)
    def run(*words: Options.args, **options: Options.kwargs) -> None:
        try:
            with understood_first():
                function(*words, **options)
        except Interrupted:
            raise
        except KeyboardInterrupt:
            raise Interrupted("nothing is kept; the same command begins anew.") from None

    return run


@contextlib.contextmanager
def going_on(kept: Callable[[], str], *options: str | Path) -> Iterator[None]:
    """Where Ctrl-C ends the block, say what is kept, and the command that goes on: what was typed, with `options` that it
    lacks. `kept` gives "" where nothing is.
    """
    try:
        yield
    except (KeyboardInterrupt, StoppedError) as stop:
        if isinstance(stop, StoppedError) and not stop.interrupted:
            raise
        if found := kept():
            raise Interrupted(f"{found}. To go on:\n  {typed_line(*options)}") from None
        raise


def kept_training(out: Path) -> str:
    """Of `marey train`: the run, from its first step on; the features of clips from the first one on; the classifier on
    them, from when it is written; and the fine-tuning, from its first step on.
    """
    if (out / STATE).exists():
        return f"the run is kept in {out}"
    if next((out / TUNING).glob(f"*/*/{LAST}"), None) is not None:
        return f"the classifier and the fine-tuning so far are kept in {out}"
    if (out / LAST).exists():
        return f"the classifier on frozen features is kept in {out}"
    is_claimed = (out / "split.csv").exists() and (out / Command.TRAIN.note).exists()
    return "the features so far are kept in the cache (marey cache)" if is_claimed else ""


def kept_tests(out: Path) -> str:
    """Of `marey evaluate`, of one network or two: the scores that are written, and before that the videos that were tested,
    in parts whose names end with how many they hold.
    """
    folders = (out, *out.glob("stream*"))
    if any((folder / "scores.npz").exists() for folder in folders):
        return f"the scores so far are kept in {out}"
    # Names that begin with a dot are not whole yet.
    count = sum(int(part.stem.rpartition("-")[2]) for folder in folders for part in folder.glob("parts/[0-9]*.npz"))
    return f"{counted(count, 'tested video')} {'is' if count == 1 else 'are'} kept in {out}" if count else ""


def kept_answers(files: "AnswerFiles | None") -> str:
    """Of `marey predict`: the answers that --out has."""
    count = files.count() if files is not None and files.lines.exists() else 0
    if files is None or not count:
        return ""
    return f"{counted(count, 'answer')} {'is' if count == 1 else 'are'} kept in {files.lines}"


def kept_features(out: Path) -> str:
    """Of `marey features`: the arrays that are there."""
    count = sum(1 for file in out.glob("*.npy") if not file.name.startswith("."))
    what = counted(count, "video")
    return f"the features of {what} are kept in {out}" if count else ""


def kept_steps(out: Path) -> str:
    """Of `marey reproduce`: what its steps have left."""
    return f"the steps that are done are kept in {out}" if next(out.rglob("*.*"), None) is not None else ""


def kept_demo(out: Path) -> str:
    """Of `marey demo`: videos from the first one on, then the run."""
    if (out / STATE).exists():
        return f"the videos and the run are kept in {out}"
    return f"the videos so far are kept in {out}" if next(out.rglob("*.mp4"), None) is not None else ""


def kept_files(out: Path, suffix: str) -> str:
    """Of a command that writes a file or folder for each video: what is there is whole."""
    found = (file.relative_to(out).parts for file in out.rglob(f"*{suffix}"))
    whole = (parts for parts in found if not any(part.startswith(".") for part in parts))
    return f"the videos that are done are kept in {out}" if next(whole, None) is not None else ""
