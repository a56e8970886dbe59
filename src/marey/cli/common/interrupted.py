"""What Ctrl-C leaves of a long command, and the command line that resumes it."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

from marey.base.claim import Command
from marey.base.errors import StoppedError
from marey.base.reporter import work_summary_first
from marey.base.runs import LAST, STATE, TUNING
from marey.base.shell import typed_command
from marey.base.words import counted

if TYPE_CHECKING:
    from marey.workflows.prediction_files import PredictionFiles

Options = ParamSpec("Options")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C; `kept` says what was saved, as a clause."""

    def __init__(self, kept: str) -> None:
        super().__init__(kept)
        self.kept = kept


def long_command(function: Callable[Options, None]) -> Callable[Options, None]:
    """Decorate a command whose first line of output is its `work_summary`. Where Ctrl-C ends it outside a block of
    `interruptible`, the message is that nothing was saved.
    """

    @functools.wraps(function)
    def run(*words: Options.args, **options: Options.kwargs) -> None:
        try:
            with work_summary_first():
                function(*words, **options)
        except Interrupted:
            raise
        except KeyboardInterrupt:
            raise Interrupted("nothing was saved; the same command starts again from the beginning.") from None

    return run


@contextlib.contextmanager
def interruptible(kept: Callable[[], str], *options: str | Path) -> Iterator[None]:
    """A block that Ctrl-C or a stop signal may end: the message then names what was saved and the command that resumes.

    Args:
        kept: Returns what was saved, as a clause; "" for nothing.
        options: What the resuming command line needs besides what was typed.
    """
    try:
        yield
    except (KeyboardInterrupt, StoppedError) as stop:
        if isinstance(stop, StoppedError) and not stop.interrupted:
            raise
        if clause := kept():
            raise Interrupted(f"{clause}. To resume:\n  {typed_command(*options)}") from None
        raise


def kept_training(out: Path) -> str:
    """For `marey train`: the training state; or, on frozen features, the fine-tuning, the classifier or cached features."""
    if (out / STATE).exists():
        return f"the run is kept in {out}"
    if next((out / TUNING).glob(f"*/*/{LAST}"), None) is not None:
        return f"the classifier and the fine-tuning so far are kept in {out}"
    if (out / LAST).exists():
        return f"the classifier on frozen features is kept in {out}"
    is_claimed = (out / "split.csv").exists() and (out / Command.TRAIN.note).exists()
    return "the features so far are kept in the cache (marey cache)" if is_claimed else ""


def kept_tests(out: Path) -> str:
    """For `marey evaluate`, of one network or two: the scores; before they are written, the number of tested videos.

    The number is read from the names of the files in the folder `parts`, which end with how many videos they hold.
    """
    folders = (out, *out.glob("stream*"))
    if any((folder / "scores.npz").exists() for folder in folders):
        return f"the scores so far are kept in {out}"
    # A name that begins with a dot is a file that is still being written.
    files = [file for folder in folders for file in folder.glob("parts/[0-9]*.npz")]
    count = sum(int(file.stem.rpartition("-")[2]) for file in files)
    return f"{counted(count, 'tested video')} {'is' if count == 1 else 'are'} kept in {out}" if count else ""


def kept_predictions(files: "PredictionFiles | None") -> str:
    """For `marey predict`: the number of predictions in the files of --out."""
    count = files.count() if files is not None and files.lines.exists() else 0
    if files is None or not count:
        return ""
    return f"{counted(count, 'prediction')} {'is' if count == 1 else 'are'} kept in {files.lines}"


def kept_features(out: Path) -> str:
    """For `marey features`: the number of videos with a file of features."""
    count = sum(1 for file in out.glob("*.npy") if not file.name.startswith("."))
    return f"the features of {counted(count, 'video')} are kept in {out}" if count else ""


def kept_steps(out: Path) -> str:
    """For `marey reproduce`: the steps that are done, if any file was written."""
    return f"the steps that are done are kept in {out}" if next(out.rglob("*.*"), None) is not None else ""


def kept_demo(out: Path) -> str:
    """For `marey demo`: the training run, or the videos that were written before it."""
    if (out / STATE).exists():
        return f"the videos and the run are kept in {out}"
    return f"the videos so far are kept in {out}" if next(out.rglob("*.mp4"), None) is not None else ""


def kept_files(out: Path, suffix: str) -> str:
    """For a command that writes a file or folder for each video: whether one of them is complete."""
    found = (file.relative_to(out).parts for file in out.rglob(f"*{suffix}"))
    complete = (parts for parts in found if not any(name.startswith(".") for name in parts))
    return f"the videos that are done are kept in {out}" if next(complete, None) is not None else ""
