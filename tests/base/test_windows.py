"""Differences of Windows that can be imitated: locks, renaming, closed pipes, signals, paths."""

import errno
import importlib.util
import os
import signal
import sys
import types
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from marey.base import absent, files, jobs, processes
from marey.cli.common import program


class Bytes:
    """Imitates `msvcrt.locking`: locks of single bytes of open files."""

    LK_LOCK, LK_NBLCK, LK_UNLCK = 1, 2, 0

    def __init__(self) -> None:
        self.held: dict[tuple[str, int], int] = {}
        self.files: dict[int, object] = {}

    def locking(self, descriptor: int, mode: int, count: int) -> None:
        assert count == 1
        place = (str(Path(f"/proc/self/fd/{descriptor}").readlink()), os.lseek(descriptor, 0, os.SEEK_CUR))
        if mode == self.LK_UNLCK:
            assert self.held.pop(place) == descriptor
        elif self.held.setdefault(place, descriptor) != descriptor:
            raise OSError(errno.EDEADLOCK if mode == self.LK_LOCK else errno.EACCES, "locked")


@pytest.fixture
def on_windows(monkeypatch) -> Iterator[types.ModuleType]:
    """`marey.base.files` as it is on Windows, beside the module that this process uses."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "msvcrt", Bytes())
    spec = importlib.util.spec_from_file_location("files_on_windows", files.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module


@pytest.mark.skipif(sys.platform != "linux", reason="the imitation asks Linux for the name of an open file")
def test_a_lock_is_one_holder_at_a_time(on_windows, tmp_path) -> None:
    lock = tmp_path / "lock"
    with on_windows.locked(lock, remove=True) as file:
        file.write(b"process 7")  # the locked byte is far behind the text, so that others can read it
        file.flush()
        assert lock.read_bytes() == b"process 7"
        with pytest.raises(BlockingIOError), on_windows.locked(lock, wait=False, timeout=0.01):
            pass
    with on_windows.locked(lock, wait=False):
        pass
    assert lock.exists()  # another process may have it open


def test_a_shared_lock_keeps_no_process_out(on_windows, tmp_path) -> None:
    with (
        on_windows.locked(tmp_path / "lock", shared=True),
        on_windows.locked(tmp_path / "lock", shared=True, wait=False),
    ):
        pass


def refusing(times: int):
    """A `Path.replace` that is refused that many times, as while a virus scanner reads the file."""
    replace, left = Path.replace, [times]

    def refused(self: Path, target: Path) -> Path:
        if left[0]:
            left[0] -= 1
            raise PermissionError(errno.EACCES, "Access is denied", str(self))
        return replace(self, target)

    return refused


def test_renaming_over_an_open_file_is_tried_again(monkeypatch, tmp_path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    monkeypatch.setattr(Path, "replace", refusing(2))
    with pytest.raises(PermissionError), files.atomic_path(path) as temporary:  # elsewhere it is another reason
        temporary.write_text("new")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(Path, "replace", refusing(2))
    with files.atomic_path(path) as temporary:
        temporary.write_text("new")
    with files.atomic_folder(tmp_path / "folder") as folder:
        (folder / "b.txt").write_text("new")
    assert path.read_text() == (tmp_path / "folder" / "b.txt").read_text() == "new"
    assert sorted(found.name for found in tmp_path.iterdir()) == ["a.txt", "folder"]


def test_a_file_that_stays_open_elsewhere_is_named(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(files, "_RENAME_TIMEOUT", 0.1)
    monkeypatch.setattr(Path, "replace", refusing(1000))
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(PermissionError, match="another program has it open") as raised:
        files.write_text(path, "new")
    assert raised.value.filename == str(path)
    assert [found.name for found in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_a_temporary_file_that_its_writer_left_open_hides_no_error(monkeypatch, tmp_path) -> None:
    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, "The process cannot access the file", str(self))

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(ZeroDivisionError), files.atomic_path(tmp_path / "a.txt"):
        1 / 0  # noqa: B018


def test_a_file_system_without_hard_links_leaves_both_files_as_they_are(monkeypatch, tmp_path) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.EINVAL, "The request is not supported", str(source))

    (tmp_path / "last").write_text("old")
    (tmp_path / "best").write_text("new")
    with monkeypatch.context() as patched:
        patched.setattr(os, "link", refuse)
        assert not files.hard_link(tmp_path / "last", tmp_path / "best")
    assert (tmp_path / "last").read_text() == "old"
    assert files.hard_link(tmp_path / "last", tmp_path / "best")
    assert (tmp_path / "last").read_text() == "new"
    assert sorted(found.name for found in tmp_path.iterdir()) == ["best", "last"]


def test_no_more_processes_than_windows_can_wait_for(monkeypatch) -> None:
    assert jobs._pool_size(100, 1000) == 100
    monkeypatch.setattr(sys, "platform", "win32")
    assert jobs._pool_size(100, 1000) == 61
    ProcessPoolExecutor(jobs._pool_size(100, 1000)).shutdown()  # Python's own limit, by the same platform
    assert jobs._pool_size(100, 5) == 5


def test_folders_are_written_atomically(tmp_path, monkeypatch) -> None:
    with pytest.raises(ZeroDivisionError), files.atomic_folder(tmp_path / "deep" / "a") as folder:
        (folder / "half").write_text("")
        1 / 0  # noqa: B018
    assert list((tmp_path / "deep").iterdir()) == []
    own = files.rename

    def slower(temporary: Path, path: Path) -> None:
        path.mkdir()
        (path / "of another process").touch()
        own(temporary, path)

    with monkeypatch.context() as patched, files.atomic_folder(tmp_path / "raced"):
        patched.setattr(files, "rename", slower)
    assert os.listdir(tmp_path / "raced") == ["of another process"]
    with files.atomic_folder(tmp_path / "a", suffix=".unfinished") as folder:
        assert folder.name.startswith(".a-")
        assert folder.name.endswith(".unfinished")
        (tmp_path / "a").mkdir()  # by another process
        (tmp_path / "a" / "whole").write_text("")
    assert [found.name for found in (tmp_path / "a").iterdir()] == ["whole"]
    assert [found.name for found in tmp_path.iterdir() if found.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("platform", "error", "closed"),
    [
        ("linux", BrokenPipeError(errno.EPIPE, "Broken pipe"), True),
        ("linux", OSError(errno.EINVAL, "Invalid argument"), False),
        ("win32", OSError(errno.EINVAL, "Invalid argument"), True),
        ("win32", OSError(errno.EINVAL, "Invalid argument", "con.csv"), False),
        ("win32", OSError(errno.ENOSPC, "No space left on device"), False),
        ("win32", None, False),
    ],
)
def test_a_closed_pipe_is_recognised(platform, error, closed, monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert program.is_closed_pipe(error) is closed


def test_ctrl_break_asks_a_run_to_stop(monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(signal, "SIGBREAK", 21, raising=False)
    spec = importlib.util.spec_from_file_location("processes_on_windows", processes.__file__)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    assert module.STOP_SIGNALS == (signal.SIGINT, signal.SIGTERM, 21)
    assert 21 not in processes.STOP_SIGNALS
    with module.signals_held_back():  # there are no masks of signals
        pass
    assert module.usable_cores() >= 1


def test_a_path_of_windows_is_valid_only_there(monkeypatch) -> None:
    assert "this is a path of Windows" in absent.why_absent(r"C:\clips\a.mp4")
    monkeypatch.setattr(sys, "platform", "win32")
    assert absent.why_absent(r"C:\clips\a.mp4") == "no such file"


@pytest.mark.parametrize(
    ("platform", "below"),
    [("win32", "AppData/Local/marey/Cache"), ("darwin", "Library/Caches/marey"), ("linux", ".cache/marey")],
)
def test_the_cache_folder_of_each_system(platform, below, monkeypatch, tmp_path) -> None:
    for name in ("MAREY_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert files.cache_folder() == tmp_path / below
