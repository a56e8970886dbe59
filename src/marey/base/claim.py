"""Claims on output paths: a run begins or resumes at a path, and is refused if the path holds another run.

    claim = Claim(OutputPath.folder(out), Command.FEATURES, settings={"batch": 8})
    with claim.held() as resumed:
        ...                                         # all of the work

A note, one JSON file, states which run is at a path. During the work a lock of the operating system excludes other
processes; the lock ends with its process. A refused claim changes nothing.
"""

import contextlib
import errno
import json
import os
import platform
import re
import stat
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Self

import marey
from marey.base.errors import RunError
from marey.base.files import LOCK_TIMEOUT, locked, write_json
from marey.base.jsonable import Json
from marey.base.reporter import notice, warning

_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""Error numbers of file systems without locks."""
_HEADER = ("command", "marey")
"""Keys of a note beside settings and facts; notes of version 0.1.0 lack them."""
_FILES = frozenset(
    {
        ".avi", ".bin", ".ckpt", ".csv", ".gz", ".h5", ".hdf5", ".htm", ".html", ".jpeg", ".jpg", ".json", ".jsonl", ".log",
        ".mat", ".md", ".mkv", ".mov", ".mp4", ".npy", ".npz", ".onnx", ".parquet", ".pdf", ".pkl", ".png", ".pt", ".pth",
        ".pyth", ".safetensors", ".tar", ".tsv", ".txt", ".webm", ".xls", ".xlsx", ".xml", ".yaml", ".yml", ".zip",
    }
)  # fmt: skip
"""Suffixes of files. If a folder is to be written and its name ends so, the user probably expects a file."""
_LONGER = 14
"""Characters that the names of locks, notes and unfinished files add to the name of the output file."""
_LONGEST = 40
"""Most characters of a setting's value that a refusal quotes, around the first difference. If the value is a hash, only the
setting is named."""
_HASH = re.compile(r"[0-9a-f]{32,}")
_MOST = 5
"""Most differing settings that a refusal lists."""
_SHARED_LOCK_TIMEOUT = 2.0
"""Seconds for which a process with one share of the work waits for the command's first process, which may still hold the
entire path: after a training, all of its processes test the network, each a share of the videos.
"""


class Command(Enum):
    """The commands that write runs, each with the files by which its run is recognised. Other commands refuse that folder.

    A new command adds one line here.
    """

    TRAIN = "train", "run.json", ("last.ckpt", "log.csv", "last.safetensors")
    EVALUATE = "evaluate", "evaluate.json", ("scores.npz",), True
    FEATURES = "features", "features.json", (), True
    PREDICT = "predict", ".run.json"
    DEMO = "demo", "motions.json"
    MOTIONS = "data motions", "motions.json"
    FLOW = "data flow", "extraction.json"
    RESIZE = "data resize", "conversion.json"
    FRAMES = "data frames", "conversion.json"

    def __init__(self, words: str, note: str, files: tuple[str, ...] = (), of_a_training: bool = False) -> None:
        self.words = words
        """The command as typed after `marey`."""
        self.note = note
        """Name of its note in an output folder. For an output file, the suffix that follows the file's name."""
        self.files = files
        """Files that identify its run when the note is missing, as after version 0.1.0."""
        self.of_a_training = of_a_training
        """Whether it may also write into the folder of a training, because it computes something from that run."""


@dataclass(frozen=True)
class OutputPath:
    """Output path of a run: a folder that contains the note, or one file with the note beside it."""

    path: Path
    """The path as the user gave it."""
    note_folder: Path
    """The folder that contains the note: the output folder itself, or the folder of the output file."""
    lock: Path
    """The lock file."""
    name: str | None = None
    """Name of the output file, with which the note's name begins; None for an output folder."""
    advice: str = "choose another --out"
    """Advice at the end of a refusal."""

    @classmethod
    def folder(cls, path: str | Path, *, advice: str = "choose another --out") -> Self:
        """The path of an output folder."""
        path = Path(path)
        return cls(path, path, path / ".lock", advice=advice)

    @classmethod
    def file(cls, path: str | Path, *, advice: str = "choose another --out") -> Self:
        """The path of an output file. Symbolic links are resolved, so that one file has one note and one lock."""
        path, real = Path(path), Path(os.path.realpath(path))
        return cls(path, real.parent, real.parent / f".{real.name}.lock", real.name, advice)

    @property
    def is_folder(self) -> bool:
        """Whether a folder is to be written."""
        return self.name is None

    @property
    def is_stream(self) -> bool:
        """Whether the path is a device or a pipe, or a link to an open file of this process such as /dev/stdout.

        Raises:
            RunError: the path cannot be resolved, such as a link to itself.
        """
        try:
            if self.path.is_symlink() and str(self.path.readlink()).startswith("/proc/"):
                return True
            mode = self.path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise self._unwritable(error.strerror or str(error)) from None
        return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))

    def note(self, command: Command) -> Path:
        """The path of the note of a run of `command` here."""
        return self.note_folder / f"{self.name or ''}{command.note}"

    def older_note(self, command: Command) -> Path:
        """The path of the same note in version 0.1.0, which left out the suffix of an output file, so that
        the files `r.a` and `r.b` shared one note.
        """
        return self.note_folder / f"{Path(self.name or '').stem}{command.note}"

    def check(self, *, share: int | None = None) -> None:
        """Check that this path can be written and that no other process works there, without writing anything.

        Meant for an early check, before a network is built and `Claim.held` is called.

        Raises:
            RunError: the path cannot be used, or is that of a new folder with the suffix of a file.
        """
        self.refuse_other_kind()
        self.refuse_file_name()
        self._refuse_forbidden()
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            self._take(held, share, only_existing=True)

    @contextlib.contextmanager
    def held(self, *, share: int | None = None) -> Iterator[None]:
        """Hold the lock of this path, or with `share` only the lock of one share of the work: several processes may write
        to one path, each a share, named by its index from 0.

        Excluded are other processes with the same share, and processes that hold the entire path. On a file system without
        locks, a warning is printed and the work continues.

        Raises:
            RunError: another process holds the lock, or nothing can be written there.
        """
        self.refuse_other_kind()
        self._refuse_forbidden()
        with contextlib.ExitStack() as held:
            try:
                self.note_folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise self._unwritable(error.strerror or str(error)) from None
            try:
                self._take(held, share)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise self._unwritable(error.strerror or str(error)) from None
                warning(f"{self.path}: this file system has no locks: make sure that no other process writes there.")
            yield

    def _take(self, held: contextlib.ExitStack, share: int | None, *, only_existing: bool = False) -> None:
        own = self.lock if share is None else self.lock.with_name(f"{self.lock.name}-{share}")
        timeout = LOCK_TIMEOUT if share is None else _SHARED_LOCK_TIMEOUT
        for path in dict.fromkeys((self.lock, own)):
            if only_existing and not path.exists():
                continue
            try:
                lock = locked(path, wait=False, shared=path != own, remove=not only_existing, timeout=timeout)
                file = held.enter_context(lock)
            except BlockingIOError:
                raise RunError(
                    f"{self.path}: another process is writing there{_holder(path)}: wait for it, or {self.advice}."
                ) from None
            if path == own and not only_existing:
                with contextlib.suppress(OSError):  # only for people who look into the file
                    file.truncate(0)
                    since = time.strftime("%Y-%m-%d %H:%M:%S")  # Windows may lack %F and %T
                    file.write(f"process {os.getpid()} on {platform.node()}, since {since}".encode())
                    file.flush()

    def refuse_other_kind(self) -> None:
        """Refuse a file where a folder is written; a folder, device or pipe where a file is written; and invalid names.

        Raises:
            RunError: the path is one of these.
        """
        try:
            os.lstat(self.path)
            if self.name is not None:  # files beside the output file have longer names
                os.lstat(self.note_folder / f".{self.name}{'-' * _LONGER}")
        except (FileNotFoundError, NotADirectoryError):
            pass  # it does not exist yet
        except OSError as error:
            raise self._unwritable(error.strerror or str(error)) from None
        if self.is_folder:
            if os.path.lexists(self.path) and not self.path.is_dir():
                raise RunError(f"{self.path} is a file, and a folder is to be written: {self.advice}.")
        elif self.path.is_dir():
            raise RunError(f"{self.path} is a folder, and a file is to be written: {self.advice}.")
        elif self.is_stream:
            raise RunError(f"{self.path} is a device or a pipe, and a file is to be written: {self.advice}.")
        if not (nearest := self._nearest()).is_dir():
            raise RunError(f"{self.path}: {nearest} is a file and cannot contain a folder: {self.advice}.")

    def refuse_file_name(self) -> None:
        """Refuse a new folder whose name has the suffix of a file, because the user probably expects a file.

        Raises:
            RunError: it has one.
        """
        if self.is_folder and self.path.suffix.lower() in _FILES and not self.path.is_dir():
            raise RunError(
                f"{self.path}: a folder is to be written, not a file: leave out the ending {self.path.suffix}."
            )

    def refuse_inputs(self, inputs: Iterable[str | Path]) -> None:
        """Refuse a path that is also an input of the command.

        Raises:
            RunError: it is the same file as one of the `inputs`, possibly by another name.
        """
        for path in inputs:
            with contextlib.suppress(OSError, ValueError):
                if self.path.samefile(path):
                    raise RunError(
                        f"{self.path} is read by this command ({path}), and would be overwritten: {self.advice}."
                    )

    def _refuse_forbidden(self) -> None:
        if not self.is_folder and self.path.exists() and not os.access(self.path, os.W_OK):
            raise self._unwritable("no permission")
        if not os.access(nearest := self._nearest(), os.W_OK | os.X_OK):
            raise self._unwritable(f"no permission in {nearest}")
        try:
            tempfile.TemporaryFile(dir=nearest).close()  # os.access returns true everywhere in /proc
        except OSError as error:
            raise self._unwritable(error.strerror or str(error)) from None

    def _nearest(self) -> Path:
        """The folder of the note, or its nearest parent that exists."""
        return next(folder for folder in (self.note_folder, *self.note_folder.parents) if os.path.lexists(folder))

    def _unwritable(self, why: str) -> RunError:
        return RunError(f"{self.path} cannot be written ({why}): {self.advice}.")


@dataclass(frozen=True)
class Claim:
    """A run that is to be written to a path, and the rules for a run that is already there."""

    out: OutputPath
    """The output path."""
    command: Command
    """The command that writes it."""
    settings: Mapping[str, Json]
    """Settings that identify the run, as JSON values. None is the same as a missing setting."""
    facts: Mapping[str, Json] = field(default_factory=dict)
    """Further contents of the note, which are not compared."""
    may_differ: frozenset[str] = frozenset()
    """Settings that may differ when the run is resumed."""
    resume: bool | None = None
    """True: resume; there must be a run. False: begin; there must be none. None: resume if there is a run, else begin."""
    recorded: Callable[[], Mapping[str, Json] | None] | None = None
    """Returns the settings of the run that is there, or None if there is no run. None: they are read from the note."""
    advice: str | None = None
    """Advice when the settings differ; None: to resume with the same settings, or the advice of `out`."""
    share: int | None = None
    """Index of this process's share of the work, if several processes write to one folder; None: all of it."""

    def check(self) -> bool:
        """Whether the path holds a run that this one resumes. Nothing is written.

        Raises:
            RunError: it holds another run, of this or another command; or there is no run although `resume` is True; or
                there is one although `resume` is False.
        """
        self.out.refuse_other_kind()
        if self.resume is False:
            if (product := self._first_of(self.command.files)) is not None:
                raise RunError(
                    f"{self.out.path} holds another run ({product}): resume it with --resume, or {self.out.advice}."
                )
            self._refuse_other_commands()
            return False
        recorded = self._noted() if self.recorded is None else self.recorded()
        if recorded is None:
            if self.resume:
                raise RunError(f"{self.out.path} holds no run to resume: leave out --resume.")
            self._refuse_other_commands()
            return False
        differing = differences(recorded, self.settings, {*self.may_differ, *self.facts, *_HEADER})
        if differing:
            more = [f"and {len(differing) - _MOST} more"] if len(differing) > _MOST else []
            advice = self.advice or f"resume it with the same settings, or {self.out.advice}"
            raise RunError(f"{self.out.path} holds another run ({'; '.join([*differing[:_MOST], *more])}): {advice}.")
        return True

    @contextlib.contextmanager
    def held(self) -> Iterator[bool]:
        """Hold the path within the block; yields whether an earlier run is resumed.

        Raises:
            RunError: as `check`; or another process works there, or nothing can be written. Then nothing has changed.
        """
        self.check()
        with self.out.held(share=self.share):
            resumed = self.check()  # another process may have run in the meantime
            if resumed:
                self._report_other_version()
            else:
                self.write_note()
            yield resumed

    def write_note(self) -> None:
        """Write the note of this run. The path must be held."""
        header = dict(zip(_HEADER, (self.command.words, marey.__version__), strict=True))
        write_json(self._note_path, header | _plain(self.settings) | _plain(self.facts))

    @property
    def _note_path(self) -> Path:
        return self.out.note(self.command)

    def _first_of(self, names: tuple[str, ...]) -> str | None:
        """The first of these files that exists."""
        return next((name for name in names if (self.out.note_folder / name).exists()), None)

    def _refuse_other_commands(self) -> None:
        """Refuse a folder that holds another command's run, unless both belong to one training."""
        of_a_training = (
            self.command.of_a_training and self._first_of((Command.TRAIN.note, *Command.TRAIN.files)) is not None
        )
        for other in Command if self.out.is_folder else ():
            if other.note == self.command.note:
                continue
            if of_a_training and (other is Command.TRAIN or other.of_a_training):
                continue
            if (file := self._first_of((other.note, *other.files))) is not None:
                words = other.words
                with contextlib.suppress(RunError):  # a damaged note still shows a run of that command
                    words = str((read_note(self.out.note(other)) or {}).get("command", words))
                raise RunError(
                    f"{self.out.path} holds a run of `marey {words}` ({file}), which `marey {self.command.words}` must "
                    f"not mix with: {self.out.advice}."
                )

    def _noted(self) -> dict[str, Json] | None:
        try:
            return read_note(self._note_path)
        except RunError as error:
            raise RunError(f"{error} Remove it and the files beside it, or {self.out.advice}.") from None

    def _report_other_version(self) -> None:
        with contextlib.suppress(RunError):
            begun_by, here = (read_note(self._note_path) or {}).get("marey"), marey.__version__
            if begun_by not in (None, here):
                notice(f"{self.out.path} was begun by Marey {begun_by} and is resumed by {here}")


def read_note(path: Path) -> dict[str, Json] | None:
    """The contents of a note; None if it does not exist.

    Raises:
        RunError: it cannot be read.
    """
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error}).") from None
    if not isinstance(note, dict):
        raise RunError(f"{path}: holds no JSON object of settings.")
    return note


def _plain(settings: Mapping[str, Json]) -> dict[str, Json]:
    """The settings as JSON returns them: lists instead of tuples, texts as keys."""
    plain: dict[str, Json] = json.loads(json.dumps(dict(settings)))
    return plain


def differences(
    recorded: Mapping[str, Json], current: Mapping[str, Json], ignored: Collection[str] = frozenset()
) -> list[str]:
    """Descriptions of the settings that differ between two runs; for nested settings, of the innermost."""
    described, recorded, current = [], _plain(recorded), _plain(current)
    for name in dict.fromkeys([*current, *recorded]):
        one, other = recorded.get(name), current.get(name)
        if name in ignored or one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            described += [f"{name}.{inner}" for inner in differences(one, other)]
        else:
            texts = _value_text(one), _value_text(other)
            if any(map(_HASH.fullmatch, texts)):
                described.append(f"{name} differs")
                continue
            same = next((n for n, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), min(map(len, texts)))
            described.append(f"{name}: there {_excerpt(texts[0], same)}, here {_excerpt(texts[1], same)}")
    return described


def _excerpt(text: str, same: int) -> str:
    """The text, or an excerpt of a long one around its first difference from another text, at index `same`."""
    if len(text) <= _LONGEST:
        return text
    begin = max(0, min(same - _LONGEST // 4, len(text) - _LONGEST))
    return f"{'...' * (begin > 0)}{text[begin : begin + _LONGEST]}{'...' * (begin + _LONGEST < len(text))}"


def _value_text(value: Json) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _holder(lock: Path) -> str:
    """The holder of a lock as its file states it: " (process 4711 on node7, since ...)"; "" if unknown."""
    try:
        text = lock.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
    return f" ({text})" if text else ""
