"""README.txt of an output folder: what each file in it is, which of them to give away, and which commands go on from it."""

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
"""The first line, by which a file of ours differs from one that the user wrote."""
_OUT_OF_FOLD = "out_of_fold.json"
"""A file of runs that fit a head to features."""
_FEWEST = 4
"""A folder with fewer files explains itself."""
_FILES = (
    (BEST, "network after the epoch with the highest validation score, with its recipe and class names"),
    (LAST, "the network at the end of the training so far, with its recipe and class names"),
    ("report.html", "how the run went, on one page for a browser; it needs no other file"),
    ("result.json", "numbers of the test, for programs"),
    ("scores.npz", "probabilities of every class for each tested video, for marey fuse and for your own numbers"),
    (_OUT_OF_FOLD, "verdict, learning curve, calibration and cost, for programs; scores.npz and result.json beside it "
     "are of answers out of fold: of each video by a head that was not fitted on it"),
    ("single_frames.npz", "as scores.npz, of a head on single frames, which sees no motion"),
    ("suspects.csv", "clips that may be labelled wrong, and odd ones: edit label or leave_out, then marey train DATA "
     "--labels suspects.csv"),
    ("suspects.json", "the same with frames of them, from which report.html is written again"),
    ("recipe.yaml", "all settings of the training"),
    ("split.csv", "the list of videos, with what each is for: train, val or test"),
    ("split.csv.classes.json", "class names of split.csv in order"),
    ("labels.csv", "what --labels corrected in the list, a row per video; split.csv has it already"),
    ("log.csv", "loss, accuracy and speed, a row per epoch"),
    ("log.jsonl", "loss and learning rate, a line per step"),
    ("index.csv", "each video of the last call, and the .npy file with its features"),
    ("*.npy", "features of one video each, float32; index.csv says of which"),
    ("answers.html", "answers on one page for a browser"),
    ("answers.csv", "answers as a table, a row per video"),
    ("answers.json", "answers as one JSON array"),
    ("answers.jsonl", "answers as they came, a line per video; a second call goes on from it"),
    ("flow.csv", "the list of the videos, with their optical flow in place of the files"),
    ("motions.csv", "the list of the videos, with class and side of each"),
    ("broken.jsonl", "files that could not be read, with the reason of each"),
    ("broken-*.jsonl", "the same of a further process"),
    (STATE, "state that --resume goes on from; nothing else reads it, so it may be removed from a run that is over"),
    ("conversion.json", "note of marey data resize or frames: its settings, which a later call compares"),
    *((command.note, f"note of marey {command.words}: its settings, which a later call compares")
      for command in Command if command not in (Command.PREDICT, Command.RESIZE, Command.FRAMES)),
    ("answers.jsonl.run.json", "note of marey predict: its settings, which a later call compares"),
    ("start.json", "where the initial weights came from (version 0.1.0; later ones note it in run.json)"),
)  # fmt: skip
"""Every file that a command writes into an output folder, by its name there."""
_LISTS = (
    ("*.csv.classes.json", "class names of a list in order"),
    ("*.csv", "a list of the videos that lie here"),
)
"""In folders of videos alone: elsewhere such a file may be anything."""
_OF_VIDEOS = (Command.FLOW, Command.RESIZE)
_FOLDERS = (
    ("tuning", "fine-tuning of the network: what it starts from, and how it was judged"),
    ("parts", "scores of a test under way; they are removed when scores.npz is written"),
    ("lists", "lists of the videos to train and to test on, and what was found of their files"),
    ("*_split[123]", "the training and the test of this official split"),
    ("tensorboard", "the numbers of log.csv for TensorBoard"),
    ("tested-at-step-*", "a test of this run before it went on to more epochs"),
)
_NOTED = (
    ("again", "train again, with videos that were added: what is known of the others is kept"),
    ("tune", "fine-tune the whole network from here, best on a machine with a GPU"),
)
"""Commands that the note of a training may have, by their names in it."""
_KINDS = {
    Command.TRAIN: "a training",
    Command.EVALUATE: "a test",
    Command.FEATURES: "features of videos",
    Command.MOTIONS: "videos that were made for the demo, with their list",
    Command.FLOW: "optical flow of videos",
    Command.RESIZE: "resized videos or their frames",
}
"""What a folder inside is, by the note in it."""


def write_readme(folder: str | Path, *, always: bool = False) -> None:
    """Write README.txt of a folder of four files or more (with `always`, of any), by what lies in it now.

    A README.txt that the user wrote stays; a line says so. Nothing is written where nothing has changed.
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
        warning_once(
            f"{path} is not of Marey and stays as it is: what the files are, docs/how-to/output-folders.md says"
        )
        return
    text = "\n\n".join(filter(None, (_FIRST, _what(here), _contents(here), _to_give(here), _commands(here)))) + "\n"
    if text != before:
        try:
            write_text(path, text)
        except OSError as error:  # the run itself does not depend on it
            warning(f"{path}: cannot be written ({error.strerror})")


def readme_around(folder: Path) -> None:
    """Write README.txt of the training in whose folder this one lies, if it does."""
    if _note_of_training(folder.absolute().parent):
        write_readme(folder.parent)


def _note_of_training(folder: Path) -> Mapping[str, Json]:
    """The note of the training in a folder; empty where there is none, and where run.json is another program's."""
    try:
        note = read_note(folder / Command.TRAIN.note) or {}
    except RunError:
        return {}
    recipe = note.get("recipe")
    return note if isinstance(recipe, dict) and isinstance(recipe.get("train"), dict) else {}


def sweep(folder: Path) -> None:
    """Remove what a killed process left half written beside the files of a run, which this process holds."""
    stems = "|".join(re.escape(Path(name).stem) for name, _ in ((README, ""), *_FILES) if "*" not in name)
    left = re.compile(rf"\.({stems})-[a-z0-9_]{{8}}\.\w+")
    for entry in list(os.scandir(folder)):
        if left.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
            Path(entry.path).unlink(missing_ok=True)


@dataclass(frozen=True)
class _Folder:
    """What lies in a folder: the names of its files and of its folders, without hidden ones and README.txt."""

    path: Path
    files: Mapping[str, None]
    """Names as keys, in order: there may be a million."""
    folders: tuple[str, ...]
    note: Mapping[str, Json]
    """Of the training in it; empty where there is none, or none that can be read."""

    @classmethod
    def read(cls, path: Path) -> "_Folder":
        with os.scandir(path) as found:
            entries = sorted((entry.name, entry.is_dir()) for entry in found if not entry.name.startswith("."))
        files = {name: None for name, is_folder in entries if not is_folder and name != README}
        folders = tuple(name for name, is_folder in entries if is_folder)
        return cls(path, files, folders, _note_of_training(path))

    def has(self, *names: str) -> bool:
        return all(name in self.files for name in names)

    @property
    def network(self) -> str | None:
        """The file of weights to work with."""
        return next((name for name in (BEST, LAST) if name in self.files), None)

    @property
    def typed(self) -> Path:
        """The folder as it was named where the run was started; if it was moved since, its whole path."""
        begun, out = self.note.get("working_folder"), self.note.get("out")
        if not self.note:
            return self.path
        if isinstance(begun, str) and isinstance(out, str) and _same(Path(begun, out), self.path):
            return Path(out)
        return self.path.absolute()


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _what(here: _Folder) -> str:
    """What the folder is, in a line."""
    kinds = [_KINDS[command] for command in _KINDS if here.has(command.note)]
    if not here.note:
        return f"It holds {' and '.join(kinds)}." if kinds else ""
    recipe = here.note.get("recipe")
    assert isinstance(recipe, dict)
    others = "".join(f" It holds {kind}, too." for kind in kinds if kind != _KINDS[Command.TRAIN])
    if here.has(_OUT_OF_FOLD) and not here.has("log.csv"):
        made = f"It holds {recipe['title']} ({recipe['name']})"
        return textwrap.fill(f"{made}; {_OUT_OF_FOLD} has what to expect of it on new videos.{others}", 100)
    planned, done = recipe["train"]["epochs"], _epochs(here.path / "log.csv")
    epochs = f"{done} of {counted(planned, 'epoch')} done"
    text = f"It holds a training of {recipe['title']} ({recipe['name']}), with {epochs}.{others}"
    return textwrap.fill(text, 100)


def _epochs(log: Path) -> int:
    """The rows of log.csv below its header."""
    try:
        return max(0, log.read_bytes().count(b"\n") - 1)
    except OSError:
        return 0


def _contents(here: _Folder) -> str:
    """Each file and folder, and what it is."""
    rows: list[tuple[str, str]] = []
    unknown = dict(here.files)
    of_videos = any(here.has(command.note) for command in _OF_VIDEOS)
    for pattern, what in (*_FILES, *(_LISTS if of_videos else ())):
        if "*" not in pattern:
            found = [pattern] if pattern in unknown else []
        else:
            found = [name for name in unknown if fnmatchcase(name, pattern)]
        for name in found:
            del unknown[name]
        if found:
            rows.append((found[0] if len(found) == 1 else f"{pattern} ({len(found):,})", what + _more(here, found[0])))
    plain: list[str] = []
    for name in here.folders:
        said = None if of_videos else _folder_text(here.path, name)  # of videos there may be a million
        if said is None:
            plain.append(f"{name}/")
        else:
            rows.append((f"{name}/", said))
    other = [*plain, *unknown]
    if other:
        more = f" and {len(other) - 4:,} more" if len(other) > 4 else ""
        what = "what was made of the videos" if of_videos else "no file or folder that this page knows"
        rows.append((", ".join(other[:4]) + more, what))
    return "What is here:\n" + _table(rows)


def _folder_text(parent: Path, name: str) -> str | None:
    """What a folder inside is, by its name or by the note in it; None where neither shows it."""
    meant = next((text for pattern, text in _FOLDERS if fnmatchcase(name, pattern)), None)
    return meant or next((kind for note, kind in _KINDS.items() if (parent / name / note.note).exists()), None)


def _more(here: _Folder, name: str) -> str:
    """What is to be added of the last network: that it is the best one, too."""
    same = name == LAST and here.has(BEST) and _same(here.path / BEST, here.path / LAST)
    return f"; here it is the same as {BEST}, one file under two names" if same else ""


def _to_give(here: _Folder) -> str:
    """Which files to give to whom."""
    rows = []
    if here.network:
        rows.append(("to get answers for other videos", f"{here.network} alone"))
    if here.has("report.html"):
        rows.append(("to read how it went", "report.html alone"))
    if here.has("scores.npz"):
        rows.append(("to check the numbers", "scores.npz and result.json"))
    if here.has("recipe.yaml"):
        if here.has(_OUT_OF_FOLD):
            rows.append(("to train the same again", "split.csv, and the clips that it names"))
        else:
            rows.append(("to train the same again", "recipe.yaml" + " and split.csv" * here.has("split.csv")))
    if here.has(STATE):
        rows.append(("to go on with this training", "the whole folder"))
    if here.has("index.csv"):
        rows.append(("to use the features", "index.csv and the .npy files"))
    if here.has("answers.html"):
        rows.append(("to read the answers", "answers.html, or answers.csv for a spreadsheet"))
    return "What to give to somebody:\n" + _table(rows) if rows else ""


def _commands(here: _Folder) -> str:
    """Commands that can be copied."""
    folder = str(here.typed)
    rows: list[tuple[str, str]] = []
    if here.network:
        rows.append(("answer for a video", marey_line("predict", folder, _text(here.note, "example", "VIDEO"))))
        data = _text(here.note, "held_out", "LIST")
        split, root = _text(here.note, "held_out_split", ""), _text(here.note, "held_out_root", "")
        if here.has("split.csv") and not here.has(_OUT_OF_FOLD):  # there all videos of it were trained on
            data, split, root = str(here.typed / "split.csv"), split or "val", ""
        words = ("--data", data, *(("--split", split) if split else ()), *(("--root", root) if root else ()))
        rows.append(("test it, into a folder inside", marey_line("evaluate", folder, *words)))
    for name, title in _NOTED:
        if line := _text(here.note, name, ""):
            rows.append((title, line))
    if (go_on := here.note.get("go_on")) and here.has(STATE):
        rows.append(("go on with the training; a higher --epochs goes on beyond its end", str(go_on)))
    elif here.has(STATE):
        rows.append(("go on with the training", "in Python: the same call with resume=True"))
    if here.has("scores.npz"):
        rows.append(("write the report anew", marey_line("report", folder)))
    if here.has("index.csv"):
        file = next((name for name in here.files if name.endswith(".npy")), "FILE.npy")
        rows.append(("read the features of one video in Python", f"numpy.load({str(here.typed / file)!r})"))
    if not rows:
        return ""
    begun = here.note.get("working_folder") if here.note else str(Path.cwd())
    where = f" (in {begun})" if isinstance(begun, str) and not here.typed.is_absolute() else ""
    return f"Commands{where}:\n" + "\n".join(f"  {title}:\n      {line}" for title, line in rows)


def _text(note: Mapping[str, Json], name: str, otherwise: str) -> str:
    found = note.get(name)
    return found if isinstance(found, str) else otherwise


def _table(rows: Iterable[tuple[str, str]]) -> str:
    rows = list(rows)
    width = max((len(name) for name, _ in rows if len(name) <= 32), default=0)
    return "\n".join(f"  {name:{width}}  {what}" for name, what in rows)
