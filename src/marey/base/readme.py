"""README.txt of an output folder: what each file in it is, which files to give to others, and the next commands."""

import os
import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from marey.base.claim import Command, read_note
from marey.base.errors import RunError
from marey.base.files import write_text
from marey.base.jsonable import Json
from marey.base.reporter import warning, warning_once
from marey.base.runs import BEST, LAST, STATE
from marey.base.shell import marey_line
from marey.base.words import counted

README = "README.txt"
_FIRST = "Marey wrote this folder, and writes this file anew whenever files are added."
"""First line of the file, by which Marey recognises it. It must not change: without it, the file is the user's."""
_OUT_OF_FOLD = "out_of_fold.json"
"""A file that exists only in runs that fit a head on features."""
_FEWEST = 4
"""Least number of files for which a README.txt is written."""
_FILES = (
    (BEST, "network after the epoch with the highest validation score, with its recipe and class names"),
    (LAST, "the network at the end of the training so far, with its recipe and class names"),
    ("report.html", "how the run went, on one page for a browser; it needs no other file"),
    ("result.json", "results of the test, for programs"),
    ("scores.npz", "probabilities of every class for each tested video, for marey fuse and for your own numbers"),
    (_OUT_OF_FOLD, "verdict, learning curve, calibration and cost, for programs; scores.npz and result.json beside it "
     "hold out-of-fold predictions: of each video, by a head that was not fitted on it"),
    ("single_frames.npz", "as scores.npz, for a head that sees single frames and no motion"),
    ("suspects.csv", "videos whose label may be wrong, and unusual ones: edit label or leave_out, then marey train DATA "
     "--labels suspects.csv"),
    ("suspects.json", "the same with frames of each; report.html is written from it"),
    ("recordings.json", "frames of the videos of each recording; report.html is written from it"),
    ("recipe.yaml", "all settings of the training"),
    ("split.csv", "the list of videos with the split of each: train, val or test"),
    ("split.csv.classes.json", "class names of split.csv in order"),
    ("labels.csv", "corrections by --labels, a row per video; split.csv contains them already"),
    ("log.csv", "loss, accuracy and speed, a row per epoch"),
    ("log.jsonl", "loss and learning rate, a line per step"),
    ("index.csv", "the videos of the last call, each with the .npy file of its features"),
    ("*.npy", "features of one video each, float32; index.csv names the video"),
    ("answers.html", "predictions on one page for a browser"),
    ("answers.csv", "predictions as a table, a row per video"),
    ("answers.json", "predictions as one JSON array"),
    ("answers.jsonl", "predictions in the order of completion, a line per video; a second call resumes from it"),
    ("flow.csv", "the list of the videos, with paths of their optical flow instead of the files"),
    ("motions.csv", "the list of the videos, with class and split of each"),
    ("broken.jsonl", "files that could not be read, with the reasons"),
    ("broken-*.jsonl", "the same, from further processes"),
    (STATE, "training state for --resume; nothing else reads it, so it may be removed when the run is finished"),
    ("conversion.json", "note of marey data resize or frames: its settings, which a later call compares"),
    *((command.note, f"note of marey {command.words}: its settings, which a later call compares")
      for command in Command if command not in (Command.PREDICT, Command.RESIZE, Command.FRAMES)),
    ("answers.jsonl.run.json", "note of marey predict: its settings, which a later call compares"),
    ("start.json", "where the initial weights came from (version 0.1.0; later ones note it in run.json)"),
)  # fmt: skip
"""Name and description of every file that a command writes into an output folder."""
_LISTS = (
    ("*.csv.classes.json", "class names of a list in order"),
    ("*.csv", "a list of the videos in this folder"),
)
"""Further files, only in folders of videos: elsewhere a .csv file may be anything."""
_OF_VIDEOS = (Command.FLOW, Command.RESIZE)
_FOLDERS = (
    ("tuning", "fine-tuning of the network: what it starts from, and how it was evaluated"),
    ("parts", "scores of an unfinished test; removed when scores.npz is written"),
    ("lists", "lists of the videos for training and testing, and facts about their files"),
    ("*_split[123]", "the training and the test of this official split"),
    ("tensorboard", "the numbers of log.csv for TensorBoard"),
    ("tested-at-step-*", "a test of this run before it was trained for more epochs"),
)
_NOTED = (
    ("again", "train again after adding videos; results for the others are reused"),
    ("tune", "fine-tune the entire network from here, best on a machine with a GPU"),
)
"""Keys of commands in the note of a training, with descriptions."""
_KINDS = {
    Command.TRAIN: "a training",
    Command.EVALUATE: "a test",
    Command.FEATURES: "features of videos",
    Command.MOTIONS: "generated videos of motions, with their list",
    Command.FLOW: "optical flow of videos",
    Command.RESIZE: "resized videos or their frames",
}
"""What a folder or subfolder holds, by the command whose note is in it."""


def write_readme(folder: str | Path, *, always: bool = False) -> None:
    """Write README.txt for the current contents of a folder with at least four files, or of any folder with `always`.

    A README.txt that the user wrote stays, with a warning. An unchanged file is not written.
    """
    folder = Path(folder)
    path = folder / README
    here = _Folder.read(folder)
    if not always and len(here.files) < _FEWEST:
        return
    try:
        before = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        before = None
    if before is not None and not before.startswith(_FIRST):
        warning_once(f"{path} is not of Marey and stays as it is; docs/how-to/output-folders.md describes the files")
        return
    text = (
        "\n\n".join(filter(None, (_FIRST, _what(here), _contents_text(here), _to_give(here), _commands(here)))) + "\n"
    )
    if text != before:
        try:
            write_text(path, text)
        except OSError as error:  # the run itself does not depend on it
            warning(f"{path}: cannot be written ({error.strerror})")


def write_parent_readme(folder: Path) -> None:
    """Write README.txt of the parent folder, if that holds a training."""
    if _note_of_training(folder.absolute().parent):
        write_readme(folder.parent)


def _note_of_training(folder: Path) -> Mapping[str, Json]:
    """The note of the training in a folder; empty if there is none, or run.json belongs to another program."""
    try:
        note = read_note(folder / Command.TRAIN.note) or {}
    except RunError:
        return {}
    recipe = note.get("recipe")
    return note if isinstance(recipe, dict) and isinstance(recipe.get("train"), dict) else {}


def remove_unfinished(folder: Path) -> None:
    """Remove unfinished files of a killed process from a run folder, which this process must hold."""
    stems = "|".join(re.escape(Path(name).stem) for name, _ in ((README, ""), *_FILES) if "*" not in name)
    unfinished = re.compile(rf"\.({stems})-[a-z0-9_]{{8}}\.\w+")
    for entry in list(os.scandir(folder)):
        if unfinished.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
            Path(entry.path).unlink(missing_ok=True)


@dataclass(frozen=True)
class _Folder:
    """Contents of a folder: the names of its files and subfolders, without hidden ones and README.txt."""

    path: Path
    """Path of the folder itself."""
    files: Mapping[str, None]
    """File names in order, as keys for fast look-up: there may be a million."""
    folders: tuple[str, ...]
    """Names of its subfolders, in order."""
    note: Mapping[str, Json]
    """Note of the training in it; empty if there is none, or it cannot be read."""

    @classmethod
    def read(cls, path: Path) -> "_Folder":
        with os.scandir(path) as listing:
            entries = sorted((entry.name, entry.is_dir()) for entry in listing if not entry.name.startswith("."))
        files = {name: None for name, is_folder in entries if not is_folder and name != README}
        folders = tuple(name for name, is_folder in entries if is_folder)
        return cls(path, files, folders, _note_of_training(path))

    def has(self, *names: str) -> bool:
        return all(name in self.files for name in names)

    @property
    def network(self) -> str | None:
        """The file of weights that commands use."""
        return next((name for name in (BEST, LAST) if name in self.files), None)

    @property
    def typed(self) -> Path:
        """The folder as the user gave it at the start of the run; if it was moved since, its absolute path."""
        started_in, out = self.note.get("working_folder"), self.note.get("out")
        if not self.note:
            return self.path
        if isinstance(started_in, str) and isinstance(out, str) and _same_file(Path(started_in, out), self.path):
            return Path(out)
        return self.path.absolute()


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _what(here: _Folder) -> str:
    """What the folder is, in one line."""
    kinds = [_KINDS[command] for command in _KINDS if here.has(command.note)]
    if not here.note:
        return f"It holds {' and '.join(kinds)}." if kinds else ""
    recipe = here.note.get("recipe")
    assert isinstance(recipe, dict)
    further = "".join(f" It also holds {kind}." for kind in kinds if kind != _KINDS[Command.TRAIN])
    if here.has(_OUT_OF_FOLD) and not here.has("log.csv"):
        made = f"It holds {recipe['title']} ({recipe['name']})"
        return textwrap.fill(f"{made}; {_OUT_OF_FOLD} estimates its accuracy on new videos.{further}", 100)
    planned, done = recipe["train"]["epochs"], _epochs(here.path / "log.csv")
    epochs = f"{done} of {counted(planned, 'epoch')} done"
    text = f"It holds a training of {recipe['title']} ({recipe['name']}), with {epochs}.{further}"
    return textwrap.fill(text, 100)


def _epochs(log: Path) -> int:
    """Number of rows of log.csv below its header."""
    try:
        return max(0, log.read_bytes().count(b"\n") - 1)
    except OSError:
        return 0


def _contents_text(here: _Folder) -> str:
    """List of files and folders with descriptions."""
    rows: list[tuple[str, str]] = []
    unknown = dict(here.files)
    of_videos = any(here.has(command.note) for command in _OF_VIDEOS)
    for pattern, what in (*_FILES, *(_LISTS if of_videos else ())):
        if "*" not in pattern:
            matching = [pattern] if pattern in unknown else []
        else:
            matching = [name for name in unknown if fnmatchcase(name, pattern)]
        for name in matching:
            del unknown[name]
        if matching:
            first, count = matching[0], len(matching)
            rows.append((first if count == 1 else f"{pattern} ({count:,})", what + _hard_link(here, first)))
    plain: list[str] = []
    for name in here.folders:
        text = None if of_videos else _folder_text(here.path, name)  # there may be a million folders of videos
        if text is None:
            plain.append(f"{name}/")
        else:
            rows.append((f"{name}/", text))
    other = [*plain, *unknown]
    if other:
        more = f" and {len(other) - 4:,} more" if len(other) > 4 else ""
        what = "results for the videos" if of_videos else "not known to this page"
        rows.append((", ".join(other[:4]) + more, what))
    return "What is here:\n" + _text_table(rows)


def _folder_text(parent: Path, name: str) -> str | None:
    """What a subfolder is, by its name or by the note in it; None if unknown."""
    text = next((what for pattern, what in _FOLDERS if fnmatchcase(name, pattern)), None)
    return text or next((kind for note, kind in _KINDS.items() if (parent / name / note.note).exists()), None)


def _hard_link(here: _Folder, name: str) -> str:
    """An addition to the description of last.safetensors if it and best.safetensors are the same file, else ""."""
    same = name == LAST and here.has(BEST) and _same_file(here.path / BEST, here.path / LAST)
    return f"; here it is the same file as {BEST}, under a second name" if same else ""


def _to_give(here: _Folder) -> str:
    """Which files to give to others, by purpose."""
    rows = []
    if here.network:
        rows.append(("to classify other videos", f"only {here.network}"))
    if here.has("report.html"):
        rows.append(("to read the results", "only report.html"))
    if here.has("scores.npz"):
        rows.append(("to check the numbers", "scores.npz and result.json"))
    if here.has("recipe.yaml"):
        if here.has(_OUT_OF_FOLD):
            rows.append(("to train the same again", "split.csv and the videos that it names"))
        else:
            rows.append(("to train the same again", "recipe.yaml" + " and split.csv" * here.has("split.csv")))
    if here.has(STATE):
        rows.append(("to resume this training", "the entire folder"))
    if here.has("index.csv"):
        rows.append(("to use the features", "index.csv and the .npy files"))
    if here.has("answers.html"):
        rows.append(("to read the predictions", "answers.html, or answers.csv for a spreadsheet"))
    return "What to give to others:\n" + _text_table(rows) if rows else ""


def _commands(here: _Folder) -> str:
    """Commands that can be copied into a shell."""
    folder = str(here.typed)
    rows: list[tuple[str, str]] = []
    if here.network:
        rows.append(("classify a video", marey_line("predict", folder, _noted_text(here.note, "example", "VIDEO"))))
        data = _noted_text(here.note, "held_out", "LIST")
        split, root = _noted_text(here.note, "held_out_split", ""), _noted_text(here.note, "held_out_root", "")
        if here.has("split.csv") and not here.has(_OUT_OF_FOLD):  # otherwise all of its videos were used for training
            data, split, root = str(here.typed / "split.csv"), split or "val", ""
        words = ("--data", data, *(("--split", split) if split else ()), *(("--root", root) if root else ()))
        rows.append(("test it, with results in a subfolder", marey_line("evaluate", folder, *words)))
    for name, title in _NOTED:
        if line := _noted_text(here.note, name, ""):
            rows.append((title, line))
    if (resuming := here.note.get("go_on")) and here.has(STATE):
        rows.append(("resume the training; a higher --epochs continues beyond its end", str(resuming)))
    elif here.has(STATE):
        rows.append(("resume the training", "in Python: the same call with resume=True"))
    if here.has("scores.npz"):
        rows.append(("write the report again", marey_line("report", folder)))
    if here.has("index.csv"):
        file = next((name for name in here.files if name.endswith(".npy")), "FILE.npy")
        rows.append(("read the features of one video in Python", f"numpy.load({str(here.typed / file)!r})"))
    if not rows:
        return ""
    working_folder = here.note.get("working_folder") if here.note else str(Path.cwd())
    where = f" (in {working_folder})" if isinstance(working_folder, str) and not here.typed.is_absolute() else ""
    return f"Commands{where}:\n" + "\n".join(f"  {title}:\n      {line}" for title, line in rows)


def _noted_text(note: Mapping[str, Json], name: str, default: str) -> str:
    value = note.get(name)
    return value if isinstance(value, str) else default


def _text_table(rows: Iterable[tuple[str, str]]) -> str:
    rows = list(rows)
    width = max((len(name) for name, _ in rows if len(name) <= 32), default=0)
    return "\n".join(f"  {name:{width}}  {what}" for name, what in rows)
