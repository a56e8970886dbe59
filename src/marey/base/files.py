"""Atomic files and folders, links, .jsonl files, locks, and the cache folder.

An atomic write goes to a temporary name beside the path and is renamed when it is complete.
"""

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
from marey.base.reporter import notice, release_waiting_messages

LOCK_TIMEOUT = 0.25
"""Seconds for which a lock is requested again before it is refused. Other processes hold it for a moment when they check
whether it is free, or whether they are its last shared holder.
"""
_RENAME_TIMEOUT = 2.0
"""Seconds for which a rename is tried again on Windows, which refuses it while another program has the file open. Virus
scanners and indexers open every new file for a moment.
"""


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write to; on success it is renamed to `path`, on failure removed.

    The temporary name keeps the suffix of `path`, since writers (FFmpeg, NumPy) choose their format by it.

    Raises:
        FileExistsError: `path` is a device or a pipe, such as /dev/null, which a superuser could replace by a file.
        OSError: it cannot be written; the error names `path`, also for a full disk.
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
        _remove_unfinished(temporary)


@contextlib.contextmanager
def atomic_folder(path: str | Path, *, suffix: str = "") -> Iterator[Path]:
    """Yield a temporary folder beside `path` to write into; on success it is renamed to `path`, on failure removed.

    If another process has created `path` in the meantime, its folder stays. The temporary name begins with a dot and ends
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
            except OSError:  # another process may have created it just now
                if not path.is_dir():
                    raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def rename(temporary: Path, path: Path) -> None:
    """Rename a file or folder, replacing a file of that name.

    Windows refuses it while a program has one of the two open; it is tried again for two seconds.

    Raises:
        OSError: it is refused; the error names `path`.
    """
    last = time.monotonic() + _RENAME_TIMEOUT
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
    """The umask of this process, which can be read only by setting it."""
    umask = os.umask(0)
    os.umask(umask)
    return umask


def _remove_unfinished(temporary: Path) -> None:
    """Remove a temporary file that was not renamed.

    Windows refuses it if the writer failed and left the file open. The writer's error is then the one to show.
    """
    try:
        temporary.unlink(missing_ok=True)
    except PermissionError:
        if sys.platform != "win32":
            raise


@contextlib.contextmanager
def names_in_errors(path: str | Path, temporary: str | Path = "") -> Iterator[None]:
    """Put `path` into errors of the operating system that name no file, or name `temporary` or a file in it."""
    try:
        yield
    except OSError as error:
        inside = bool(temporary) and str(error.filename).startswith(str(temporary))
        if error.errno is None or not (error.filename is None or inside):
            raise
        # A new exception, since FFmpeg's are read-only. Python derives its class from the number.
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextlib.contextmanager
def utf8_name(path: str | Path) -> Iterator[Path]:
    """Yield a UTF-8 name of the file `path`, which some libraries require: `path` itself, or a link to it."""
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
    """Make `target` a symbolic link to the file `path`, or a copy where links cannot be made (Windows)."""
    path, target = Path(path).absolute(), Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and path.samefile(target):
        return  # it is this link, or the file itself
    temporary = target.with_name(f".{target.name}-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        temporary.symlink_to(path)
    except (OSError, NotImplementedError):
        with atomic_path(target) as copy:
            shutil.copyfile(path, copy)
        return
    rename(temporary, target)


def hard_link(path: str | Path, same: str | Path) -> bool:
    """Atomically make `path` a hard link to the file `same`; returns False, changing nothing, on file systems without hard
    links.

    Later atomic writes to either name replace that name only, and leave the other file as it is.
    """
    path, same = Path(path), Path(same)
    temporary = path.with_name(f".{path.stem}-{os.urandom(4).hex()}{path.suffix}")
    try:
        os.link(same, temporary)
        temporary.replace(path)
    except (OSError, NotImplementedError):
        return False
    finally:
        temporary.unlink(missing_ok=True)  # it is left if both names were the same file already
    return True


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, atomically. File names in it that are not UTF-8 are written as their original bytes."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors=BYTES)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_text(path, json_text(value, indent=2) + "\n")


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file as 64 hex digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def append_line(path: str | Path, value: Any) -> None:
    """Append `value` to a .jsonl file as one line, after removing an incomplete last line.

    Raises:
        OSError: it cannot be written. On a full disk, no incomplete line is left.
    """
    mend_lines(path)
    line = (json_text(value) + "\n").encode()
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with names_in_errors(path), path.open("ab", buffering=0) as file:
        done = 0
        try:
            while done < len(line):  # a disk that fills up writes fewer bytes, and then fails
                done += file.write(line[done:])
        except OSError:
            mend_lines(path)
            raise


def read_lines(path: str | Path) -> Iterator[Any]:
    """The values of a .jsonl file that `append_line` wrote; none if the file does not exist.

    Skipped are an incomplete last line, which another process may be writing, and lines that are not JSON, left by a killed
    process.
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
    """Remove an incomplete last line, whose writer was killed."""
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
    """The cache folder: $MAREY_CACHE, else the platform's folder for caches.

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
    timeout: float = LOCK_TIMEOUT,
) -> Iterator[BinaryIO]:
    """Hold the lock file `path` within the block, so that one process works at a time; yields it, open for writing
    (for reading only, if it is another user's).

    It is a lock of the operating system, which ends with its process in every case. A lock file that is left over is not
    locked. A holder may write into the file who it is.

    Args:
        path: The lock file; its folder is created if needed.
        wait: Wait while another process holds it.
        waiting: Notice to print once if another process holds it.
        shared: Hold it together with other shared holders, excluding the exclusive ones. Windows has no shared locks:
            there it excludes no process.
        remove: The last holder removes the file (not on Windows, where open files cannot be removed).
        timeout: Without `wait`, seconds for which the lock is requested before it is refused.

    Raises:
        BlockingIOError: another process holds it, and `wait` is off.
        OSError: the file cannot be opened, or the file system has no locks.
    """
    path = Path(path)
    with _locked(path, wait=wait, waiting=waiting, shared=shared, timeout=timeout) as file:
        if sys.platform != "win32":
            # Forked children (loader processes) would hold the lock beyond the death of their parent.
            os.register_at_fork(after_in_child=file.close)
        try:
            yield file
        finally:
            if remove and sys.platform != "win32" and (not shared or _take(file, wait=False, shared=False)):
                with contextlib.suppress(OSError):
                    path.unlink()
            _leave(file, shared=shared)


def _locked(path: Path, *, wait: bool, waiting: str, shared: bool, timeout: float) -> BinaryIO:
    """Open and lock the file at `path`, again if its last holder removed it in the meantime."""
    last = time.monotonic() + timeout
    while True:
        file = _opened_lock(path)
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
                    release_waiting_messages()
                    waiting = ""
                while not _take(file, wait=True, shared=shared):
                    pass
            if _is_at(file, path):
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _opened_lock(path: Path) -> BinaryIO:
    tries = 10
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("a+b")
        except FileNotFoundError:
            # Another process has just removed the empty folder.
            tries -= 1
            if not tries:
                raise
        except PermissionError:
            if not path.exists():
                raise
            return path.open("rb")  # another user's file in a shared folder: opening it for reading suffices for a lock


if sys.platform == "win32":
    import msvcrt

    _LOCKED_BYTE = 1 << 30
    """Offset of the byte that is locked on Windows. Locked bytes cannot be read, so it lies far behind the text."""

    def _take(file: BinaryIO, *, wait: bool, shared: bool) -> bool:
        if shared:
            return True
        file.seek(_LOCKED_BYTE)
        try:
            # LK_LOCK gives up after ten seconds; the caller tries again.
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _leave(file: BinaryIO, *, shared: bool) -> None:
        if not shared:
            file.seek(_LOCKED_BYTE)
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
