"""Files that are whole or absent: written beside their place, then renamed."""

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from marey.base.jsonable import BYTES, json_text
from marey.base.reporter import notice, say_what_waits

PATIENCE = 0.25
"""Seconds during which a lock is asked for again before it is refused: a process that looks whether it is free, or a share
that sees whether it is the last, holds it for a moment.
"""
_OTHERS = 2.0
"""Seconds during which Windows is asked again to rename what another program has open: a virus scanner or an indexer reads
every new file for a moment.
"""


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; on success it takes `path`'s place, on failure it is removed.

    The temporary name keeps the suffix of `path`, since writers (FFmpeg, NumPy) choose their format by it.

    Raises:
        FileExistsError: a device or a pipe lies there, such as /dev/null: a superuser could put a file in its place.
        OSError: it cannot be written; the error names `path`, as a full disk does not by itself.
    """
    path = Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise FileExistsError(f"{path} is a device or a pipe")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        with names_in_errors(path, temporary):
            yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes files private
        rename(temporary, path)
    finally:
        _remove_left(temporary)


@contextlib.contextmanager
def atomic_folder(path: str | Path, *, suffix: str = "") -> Iterator[Path]:
    """Yield a folder beside `path` to write into; on success it takes `path`'s place, on failure it is removed.

    A folder that lies at `path` by then stays: another process was faster. The temporary name begins with a dot and ends
    with `suffix`.

    Raises:
        OSError: it cannot be written; the error names `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", suffix=suffix, dir=path.parent))
    try:
        with names_in_errors(path, temporary):
            yield temporary
        temporary.chmod(0o777 & ~_umask())  # mkdtemp makes folders private
        if not path.exists():
            try:
                rename(temporary, path)
            except OSError:  # in between, another process may have been faster
                if not path.is_dir():
                    raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def rename(temporary: Path, path: Path) -> None:
    """Give a file or folder its name, over a file that has it.

    Windows refuses that while any program has one of the two open, and is asked again for two seconds.

    Raises:
        OSError: it is refused; the error names `path`.
    """
    last = time.monotonic() + _OTHERS
    while True:
        try:
            temporary.replace(path)
            return
        except PermissionError as error:
            if sys.platform != "win32":
                raise
            if time.monotonic() > last:
                raise PermissionError(error.errno, "another program has it open", str(path)) from None
            time.sleep(0.05)


def _umask() -> int:
    """The permissions that this process withholds from new files. It can only be read by setting it."""
    umask = os.umask(0)
    os.umask(umask)
    return umask


def _remove_left(temporary: Path) -> None:
    """Remove a temporary file that did not get its name.

    Windows refuses where its writer, which has failed, left it open; the error of the writer is the one to show.
    """
    try:
        temporary.unlink(missing_ok=True)
    except PermissionError:
        if sys.platform != "win32":
            raise


@contextlib.contextmanager
def names_in_errors(path: str | Path, temporary: str | Path = "") -> Iterator[None]:
    """Put `path` into errors of the operating system that name no file, or the `temporary` one (or one in it)."""
    try:
        yield
    except OSError as error:
        inside = bool(temporary) and str(error.filename).startswith(str(temporary))
        if error.errno is None or not (error.filename is None or inside):
            raise
        # A new one: FFmpeg's are read-only. Its class follows from its number.
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextlib.contextmanager
def utf8_name(path: str | Path) -> Iterator[Path]:
    """Yield a name of the file `path` that is UTF-8, as some libraries want it: `path` itself, or a link to it."""
    path = Path(path)
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory(prefix="marey-") as folder:
            name = Path(folder) / "file"
            name.symlink_to(path.absolute())
            yield name
        return
    yield path


def link(path: str | Path, target: str | Path) -> None:
    """Make `target` lead to the file `path`: a symbolic link, or a copy where links cannot be made (Windows)."""
    path, target = Path(path).absolute(), Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and path.samefile(target):
        return  # it leads there, or is the file
    temporary = target.with_name(f".{target.name}-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        temporary.symlink_to(path)
    except (OSError, NotImplementedError):
        with atomic_path(target) as copy:
            shutil.copyfile(path, copy)
        return
    rename(temporary, target)


def name_twice(path: str | Path, same: str | Path) -> bool:
    """Make `path` a second name of the file `same` (a hard link) in one step; False, and nothing changes, where the file
    system has none.

    A name may be given to another file later: files that are written whole take a name, and change no content.
    """
    path, same = Path(path), Path(same)
    temporary = path.with_name(f".{path.stem}-{os.urandom(4).hex()}{path.suffix}")
    try:
        os.link(same, temporary)
        temporary.replace(path)
    except (OSError, NotImplementedError):
        return False
    finally:
        temporary.unlink(missing_ok=True)  # also where both names were one file already, and replacing did nothing
    return True


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all; names of files that are no UTF-8 as the bytes that they are."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors=BYTES)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    write_text(path, json_text(value, indent=2) + "\n")


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file as 64 hex digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def append_line(path: str | Path, value: Any) -> None:
    """Add `value` to a .jsonl file as a line, written in one step; a last line without its end is cut off before.

    Raises:
        OSError: it cannot be written; of a line that a full disk has no room for, nothing is left.
    """
    mend_lines(path)
    line = (json_text(value) + "\n").encode()
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with names_in_errors(path), path.open("ab", buffering=0) as file:
        done = 0
        try:
            while done < len(line):  # a disk that fills up takes a part of it, and refuses the next
                done += file.write(line[done:])
        except OSError:
            mend_lines(path)
            raise


def read_lines(path: str | Path) -> Iterator[Any]:
    """The values of a .jsonl file that `append_line` wrote, none where there is no file.

    Passed over are a last line without its end, which another process may be writing, and lines that are no JSON: what a
    killed process left.
    """
    path = Path(path)
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                with contextlib.suppress(ValueError):
                    yield json.loads(line.decode("utf-8", BYTES))


def mend_lines(path: str | Path) -> None:
    """Cut off a last line that has no end: its writer was killed in the middle of it."""
    path = Path(path)
    if not path.exists():
        return
    with path.open("r+b") as file:
        size = end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            if file.read(1) == b"\n":
                return
        while end:
            start = max(0, end - (1 << 16))
            file.seek(start)
            last = file.read(end - start).rfind(b"\n")
            if last >= 0:
                if start + last + 1 < size:
                    file.truncate(start + last + 1)
                return
            end = start
        file.truncate(0)


def cache_folder() -> Path:
    """Where downloads are kept: $MAREY_CACHE, else the platform's place for what can be fetched again.

    Linux: $XDG_CACHE_HOME/marey or ~/.cache/marey; macOS: ~/Library/Caches/marey; Windows: %LOCALAPPDATA%/marey/Cache.
    """
    if given := os.environ.get("MAREY_CACHE"):
        return Path(given).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "marey"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "marey" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "marey"


@contextlib.contextmanager
def locked(
    path: str | Path,
    *,
    wait: bool = True,
    waiting: str = "",
    shared: bool = False,
    remove: bool = False,
    patience: float = PATIENCE,
) -> Iterator[BinaryIO]:
    """Hold the lock file `path`, so that of several processes one works at a time; yields it, open for writing.

    The lock is the operating system's: it ends with the process that holds it, however that ends, so that no stale one
    can be left, whether or not the file is. What is written there may tell who holds it.

    Args:
        path: The file; its folder is made if needed.
        wait: Wait while another process holds it.
        waiting: Said once, where another process holds it.
        shared: Hold it together with others that ask for it so, and keep out those that do not. Windows has no such locks:
            there it keeps no process out.
        remove: Leave no file behind: the last holder removes it (not on Windows, where open files stay).
        patience: Seconds during which another process must have held it before it is refused, where `wait` is off.

    Raises:
        BlockingIOError: another process holds it, and `wait` is off.
        OSError: the file cannot be opened, or the file system has no locks.
    """
    path = Path(path)
    with _locked(path, wait=wait, waiting=waiting, shared=shared, patience=patience) as file:
        if sys.platform != "win32":
            # Forked children (loader processes) would hold the lock for a while after their parent was killed.
            os.register_at_fork(after_in_child=file.close)
        try:
            yield file
        finally:
            if remove and sys.platform != "win32" and (not shared or _take(file, wait=False, shared=False)):
                with contextlib.suppress(OSError):
                    path.unlink()
            _leave(file, shared=shared)


def _locked(path: Path, *, wait: bool, waiting: str, shared: bool, patience: float) -> BinaryIO:
    """The file, open and locked, which lies at `path` still: its last holder may have removed it in the meantime."""
    last = time.monotonic() + patience
    while True:
        file = _opened(path)
        try:
            if not _take(file, wait=False, shared=shared):
                if not wait:
                    if time.monotonic() > last:
                        raise BlockingIOError(f"{path} is held by another process")
                    file.close()
                    time.sleep(0.005)
                    continue
                if waiting:
                    notice(waiting)
                    say_what_waits()
                    waiting = ""
                while not _take(file, wait=True, shared=shared):
                    pass
            if _lies_at(file, path):
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _lies_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _opened(path: Path) -> BinaryIO:
    tries = 10
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("a+b")
        except FileNotFoundError:
            # Another process removed the folder in between, empty as it was.
            tries -= 1
            if not tries:
                raise
        except PermissionError:
            if not path.exists():
                raise
            return path.open("rb")  # another user's, in a folder that several write to: reading is enough to lock it


if sys.platform == "win32":
    import msvcrt

    _PLACE = 1 << 30
    """Windows keeps others from reading what is locked: a byte far behind the text of the file is."""

    def _take(file: BinaryIO, *, wait: bool, shared: bool) -> bool:
        if shared:
            return True
        file.seek(_PLACE)
        try:
            # Waiting gives up after ten seconds; the caller asks again.
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _leave(file: BinaryIO, *, shared: bool) -> None:
        if not shared:
            file.seek(_PLACE)
            msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _take(file: BinaryIO, *, wait: bool, shared: bool) -> bool:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True

    def _leave(file: BinaryIO, *, shared: bool) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
