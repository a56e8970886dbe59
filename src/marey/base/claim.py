"""One claim on the path where a run writes: refused if another run lies there, resumed if it is this one.

    claim = Claim(OutputPath.folder(out), Command.FEATURES, settings={"batch": 8})
    with claim.held() as resumed:
        ...                                         # all of the work

A note, one JSON file, says which run lies at a path. While the work lasts a lock keeps every other process out; it is
the operating system's and ends with the process. A refused claim leaves everything as it was.
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
from marey.base.files import PATIENCE, locked, write_json
from marey.base.jsonable import Json
from marey.base.reporter import notice, warning

_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""What a file system without locks answers."""
_HEADER = ("command", "marey")
"""What a note says beside settings and facts; notes of version 0.1.0 have none of it."""
_FILES = frozenset(
    {
        ".avi", ".bin", ".ckpt", ".csv", ".gz", ".h5", ".hdf5", ".htm", ".html", ".jpeg", ".jpg", ".json", ".jsonl", ".log",
        ".mat", ".md", ".mkv", ".mov", ".mp4", ".npy", ".npz", ".onnx", ".parquet", ".pdf", ".pkl", ".png", ".pt", ".pth",
        ".pyth", ".safetensors", ".tar", ".tsv", ".txt", ".webm", ".xls", ".xlsx", ".xml", ".yaml", ".yml", ".zip",
    }
)  # fmt: skip
"""Endings of files: a folder of such a name was meant to be one."""
_LONGER = 14
"""Characters that the names of locks, notes and unfinished files have more than that of the file beside which they lie."""
_LONGEST = 40
"""Characters of a setting that a refusal quotes: of a longer one those where it differs. Of hashes it gives the name."""
_HASH = re.compile(r"[0-9a-f]{32,}")
_MOST = 5
"""Differing settings that a refusal lists."""
_PATIENCE_OF_SHARES = 2.0
"""Seconds for which a share waits until the same command's first process has ended its work on the whole, such as a training
that is tested by all of its processes.
"""


class Command(Enum):
    """The commands that write runs, each with the files by which its run is known: another command refuses its folder.

    A new command is one more line here.
    """

    TRAIN = "train", "run.json", ("last.ckpt", "log.csv", "last.safetensors")
    EVALUATE = "evaluate", "evaluate.json", ("scores.npz",), True
    FEATURES = "features", "features.json", (), True
    PREDICT = "predict", ".run.json"
    MOTIONS = "demo", "motions.json"
    FLOW = "data flow", "extraction.json"
    RESIZE = "data resize", "conversion.json"
    FRAMES = "data frames", "conversion.json"

    def __init__(self, words: str, note: str, products: tuple[str, ...] = (), of_a_training: bool = False) -> None:
        self.words = words
        """As a user types it, after `marey`."""
        self.note = note
        """The name of its note in a folder. Of a command that writes one file, what follows the file's name."""
        self.products = products
        """Files that show its run where the note is missing, as version 0.1.0 may have left it."""
        self.of_a_training = of_a_training
        """Whether it may begin in the folder of a training as well: what is computed from a run may lie inside it."""


@dataclass(frozen=True)
class OutputPath:
    """Where a run writes: a folder that holds its note, or one file with its note beside it."""

    path: Path
    """As the user named it."""
    note_folder: Path
    """The folder in which the note lies: the output folder itself, or the one of the output file."""
    lock: Path
    """The file that is locked while a process works there."""
    name: str | None = None
    """The output file's name, with which its note's begins; None: an output folder, where it has no such part."""
    way_out: str = "choose another --out"
    """What a refusal advises."""

    @classmethod
    def folder(cls, path: str | Path, *, way_out: str = "choose another --out") -> Self:
        """An output folder."""
        path = Path(path)
        return cls(path, path, path / ".lock", way_out=way_out)

    @classmethod
    def file(cls, path: str | Path, *, way_out: str = "choose another --out") -> Self:
        """An output file, which is the same one by whatever links it is named."""
        path, real = Path(path), Path(os.path.realpath(path))
        return cls(path, real.parent, real.parent / f".{real.name}.lock", real.name, way_out)

    @property
    def is_folder(self) -> bool:
        """Whether a folder is to be written."""
        return self.name is None

    @property
    def is_stream(self) -> bool:
        """Whether a device or a pipe lies there, or a link to an open file of this process such as /dev/stdout.

        Raises:
            RunError: the path leads nowhere, such as a link to itself.
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
        """The file that tells of a run of `command` here."""
        return self.note_folder / f"{self.name or ''}{command.note}"

    def older_note(self, command: Command) -> Path:
        """The name that version 0.1.0 gave the same file: of an output file without its suffix, so that `r.a` and `r.b`
        shared one note.
        """
        return self.note_folder / f"{Path(self.name or '').stem}{command.note}"

    def check(self, *, share: int | None = None) -> None:
        """See that this path can be written and that no other process works there, without writing anything.

        To be asked before the network is built that `Claim.held` is asked with.

        Raises:
            RunError: it cannot be used, or is a folder that is not there yet whose name ends as a file's.
        """
        self.refuse_other_kind()
        self.refuse_file_name()
        self._refuse_forbidden()
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            self._take(held, share, only_existing=True)

    @contextlib.contextmanager
    def held(self, *, share: int | None = None) -> Iterator[None]:
        """Hold the lock of this path, or of one share of it: `share` of work that several processes do there together.

        A share excludes the same share and a process that works on the whole. Without file system locks, a warning says so
        and the work goes on.

        Raises:
            RunError: another process holds it, or nothing can be written there.
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
                warning(f"{self.path}: this file system has no locks: see that no other process writes there.")
            yield

    def _take(self, held: contextlib.ExitStack, share: int | None, *, only_existing: bool = False) -> None:
        own = self.lock if share is None else self.lock.with_name(f"{self.lock.name}-{share}")
        patience = PATIENCE if share is None else _PATIENCE_OF_SHARES
        for path in dict.fromkeys((self.lock, own)):
            if only_existing and not path.exists():
                continue
            try:
                lock = locked(path, wait=False, shared=path != own, remove=not only_existing, patience=patience)
                file = held.enter_context(lock)
            except BlockingIOError:
                raise RunError(
                    f"{self.path}: another process is writing there{_holder(path)}: wait for it, or {self.way_out}."
                ) from None
            if path == own and not only_existing:
                with contextlib.suppress(OSError):  # only for people to read
                    file.truncate(0)
                    since = time.strftime("%Y-%m-%d %H:%M:%S")  # Windows need not know %F and %T
                    file.write(f"process {os.getpid()} on {platform.node()}, since {since}".encode())
                    file.flush()

    def refuse_other_kind(self) -> None:
        """Refuse a file for a folder, and a folder, a device or a pipe for a file; and a name that this file system cannot
        have.

        Raises:
            RunError: it is one.
        """
        try:
            os.lstat(self.path)
            if self.name is not None:  # what is written beside a file has a longer name
                os.lstat(self.note_folder / f".{self.name}{'-' * _LONGER}")
        except (FileNotFoundError, NotADirectoryError):
            pass  # not there yet
        except OSError as error:
            raise self._unwritable(error.strerror or str(error)) from None
        if self.is_folder:
            if os.path.lexists(self.path) and not self.path.is_dir():
                raise RunError(f"{self.path} is a file, and a folder is to be written: {self.way_out}.")
        elif self.path.is_dir():
            raise RunError(f"{self.path} is a folder, and a file is to be written: {self.way_out}.")
        elif self.is_stream:
            raise RunError(f"{self.path} is a device or a pipe, and a file is to be written: {self.way_out}.")
        if not (nearest := self._nearest()).is_dir():
            raise RunError(f"{self.path}: {nearest} is a file, and no folder can lie in it: {self.way_out}.")

    def refuse_file_name(self) -> None:
        """Refuse, for a folder that is not there yet, a name that ends as a file's: a command's user expects a file then.

        Raises:
            RunError: it ends so.
        """
        if self.is_folder and self.path.suffix.lower() in _FILES and not self.path.is_dir():
            raise RunError(
                f"{self.path}: a folder is to be written, not a file: leave out the ending {self.path.suffix}."
            )

    def refuse_inputs(self, inputs: Iterable[str | Path]) -> None:
        """Refuse a path that the command reads from.

        Raises:
            RunError: it is one of the `inputs`, by whatever name.
        """
        for path in inputs:
            with contextlib.suppress(OSError, ValueError):
                if self.path.samefile(path):
                    raise RunError(
                        f"{self.path} is read by this command ({path}), and would be written over: {self.way_out}."
                    )

    def _refuse_forbidden(self) -> None:
        if not self.is_folder and self.path.exists() and not os.access(self.path, os.W_OK):
            raise self._unwritable("no permission")
        if not os.access(nearest := self._nearest(), os.W_OK | os.X_OK):
            raise self._unwritable(f"no permission in {nearest}")
        try:
            tempfile.TemporaryFile(dir=nearest).close()  # where the system answers everybody "yes", as in /proc
        except OSError as error:
            raise self._unwritable(error.strerror or str(error)) from None

    def _nearest(self) -> Path:
        """The folder of the note, or the first above it that is there."""
        return next(folder for folder in (self.note_folder, *self.note_folder.parents) if os.path.lexists(folder))

    def _unwritable(self, why: str) -> RunError:
        return RunError(f"{self.path} cannot be written ({why}): {self.way_out}.")


@dataclass(frozen=True)
class Claim:
    """Which run is to lie at a path, and what becomes of one that lies there already."""

    out: OutputPath
    command: Command
    settings: Mapping[str, Json]
    """What tells this run from another; values that JSON knows. None is the same as none noted."""
    facts: Mapping[str, Json] = field(default_factory=dict)
    """What is noted as well and never compared."""
    may_differ: frozenset[str] = frozenset()
    """Settings that are noted and may change when the run is resumed."""
    resume: bool | None = None
    """True: there must be a run to resume. False: there must be none. None: resume what is there, else begin."""
    recorded: Callable[[], Mapping[str, Json] | None] | None = None
    """How to find the settings of the run that lies there (None: there is none), where not in the note."""
    way_out: str | None = None
    """What the refusal of a run with other settings advises; None: the same settings, or what `out` advises."""
    share: int | None = None
    """The share of the work that this process does, where several write to one folder; each claims its own."""

    def check(self) -> bool:
        """Whether a run lies there that this one resumes. Nothing is written.

        Raises:
            RunError: it is another run, of this command or another; or with `resume` True there is none, with False there
                is one.
        """
        self.out.refuse_other_kind()
        if self.resume is False:
            if (found := self._found(self.command.products)) is not None:
                raise RunError(
                    f"{self.out.path} holds another run ({found}): resume it with --resume, or {self.out.way_out}."
                )
            self._refuse_other_commands()
            return False
        there = self._noted() if self.recorded is None else self.recorded()
        if there is None:
            if self.resume:
                raise RunError(f"{self.out.path} holds no run to go on with: leave out --resume.")
            self._refuse_other_commands()
            return False
        differing = differences(there, self.settings, {*self.may_differ, *self.facts, *_HEADER})
        if differing:
            more = [f"and {len(differing) - _MOST} more"] if len(differing) > _MOST else []
            way_out = self.way_out or f"resume it with the same settings, or {self.out.way_out}"
            raise RunError(f"{self.out.path} holds another run ({'; '.join([*differing[:_MOST], *more])}): {way_out}.")
        return True

    @contextlib.contextmanager
    def held(self) -> Iterator[bool]:
        """Hold the path while the work lasts; yields whether an earlier run is resumed.

        Raises:
            RunError: as `check`; or another process works there, or nothing can be written. All is as it was then.
        """
        self.check()
        with self.out.held(share=self.share):
            resumed = self.check()  # another process may have begun and ended in the meantime
            if resumed:
                self._tell_of_other_version()
            else:
                self.write_note()
            yield resumed

    def write_note(self) -> None:
        """Write the note that says which run lies here, of a path that is held."""
        header = dict(zip(_HEADER, (self.command.words, marey.__version__), strict=True))
        write_json(self._path, header | _plain(self.settings) | _plain(self.facts))

    @property
    def _path(self) -> Path:
        return self.out.note(self.command)

    def _found(self, names: tuple[str, ...]) -> str | None:
        """The first of these files that is there."""
        return next((name for name in names if (self.out.note_folder / name).exists()), None)

    def _refuse_other_commands(self) -> None:
        """Refuse to begin in a folder that holds another command's run, unless both belong to one training."""
        of_a_training = (
            self.command.of_a_training and self._found((Command.TRAIN.note, *Command.TRAIN.products)) is not None
        )
        for other in Command if self.out.is_folder else ():
            if other.note == self.command.note:
                continue
            if of_a_training and (other is Command.TRAIN or other.of_a_training):
                continue
            if (found := self._found((other.note, *other.products))) is not None:
                words = other.words
                with contextlib.suppress(RunError):  # a damaged note is another command's as well
                    words = str((read_note(self.out.note(other)) or {}).get("command", words))
                raise RunError(
                    f"{self.out.path} holds a run of `marey {words}` ({found}), which `marey {self.command.words}` must "
                    f"not mix with: {self.out.way_out}."
                )

    def _noted(self) -> dict[str, Json] | None:
        try:
            return read_note(self._path)
        except RunError as error:
            raise RunError(f"{error} Remove it and what lies beside it, or {self.out.way_out}.") from None

    def _tell_of_other_version(self) -> None:
        with contextlib.suppress(RunError):
            begun, here = (read_note(self._path) or {}).get("marey"), marey.__version__
            if begun not in (None, here):
                notice(f"{self.out.path} was begun by Marey {begun} and is resumed by {here}")


def read_note(path: Path) -> dict[str, Json] | None:
    """What a note says; None where there is none.

    Raises:
        RunError: it cannot be read.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error}).") from None
    if not isinstance(found, dict):
        raise RunError(f"{path}: holds no JSON object of settings.")
    return found


def _plain(settings: Mapping[str, Json]) -> dict[str, Json]:
    """As JSON gives them back: lists for tuples, text for the names of fields."""
    plain: dict[str, Json] = json.loads(json.dumps(dict(settings)))
    return plain


def differences(
    there: Mapping[str, Json], here: Mapping[str, Json], ignored: Collection[str] = frozenset()
) -> list[str]:
    """Each setting of two runs that differs, in words; of settings inside others the innermost."""
    found, there, here = [], _plain(there), _plain(here)
    for name in dict.fromkeys([*here, *there]):
        one, other = there.get(name), here.get(name)
        if name in ignored or one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            found += [f"{name}.{inner}" for inner in differences(one, other)]
        else:
            texts = _text(one), _text(other)
            if any(map(_HASH.fullmatch, texts)):
                found.append(f"{name} differs")
                continue
            same = next((n for n, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), min(map(len, texts)))
            found.append(f"{name}: there {_part(texts[0], same)}, here {_part(texts[1], same)}")
    return found


def _part(text: str, same: int) -> str:
    """A text, or the part of a long one around its first `same` letters' end."""
    if len(text) <= _LONGEST:
        return text
    begin = max(0, min(same - _LONGEST // 4, len(text) - _LONGEST))
    return f"{'...' * (begin > 0)}{text[begin : begin + _LONGEST]}{'...' * (begin + _LONGEST < len(text))}"


def _text(value: Json) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _holder(lock: Path) -> str:
    """Who holds a lock, as its file says it: " (process 4711 on node7, since ...)"; "" if it does not."""
    try:
        text = lock.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
    return f" ({text})" if text else ""
