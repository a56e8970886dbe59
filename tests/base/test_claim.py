"""A path has one run at a time; the same run is resumed, others are refused; a refusal changes nothing."""

import contextlib
import errno
import json
import os
import re
import subprocess
import sys
import threading
import time

import pytest

from marey.base.claim import Claim, Command, OutputPath, read_note
from marey.base.errors import RunError
from marey.base.files import locked

SETTINGS = {"batch": 8, "size": (24, 32), "test": {"clips": 10, "crops": "three"}, "sha": "0" * 64, "split": None}


def claim(folder, resume=None, command=Command.FEATURES, **changed) -> Claim:
    return Claim(OutputPath.folder(folder), command, SETTINGS | changed, resume=resume)


def everything(folder) -> dict[str, tuple[int, bytes]]:
    return {
        str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else b"")
        for p in sorted(folder.rglob("*"))
    }


def test_a_run_begins_and_is_resumed(tmp_path) -> None:
    out = tmp_path / "deep" / "run"
    with claim(out).held() as resumed:
        assert not resumed
        assert (out / ".lock").read_text().startswith(f"process {os.getpid()} on ")
    note = read_note(out / "features.json")
    assert note is not None
    assert (note["command"], note["batch"], note["size"]) == ("features", 8, [24, 32])
    before = everything(out)
    with claim(out).held() as resumed:
        assert resumed
    assert everything(out) == before, "neither the note is written again nor a lock left"
    assert list(before) == ["features.json"]


def test_another_run_is_refused_in_one_line(tmp_path) -> None:
    with claim(tmp_path / "a").held():
        pass
    before = everything(tmp_path)
    other = claim(tmp_path / "a", batch=4, sha="1" * 64, test={"clips": 1, "crops": "three"}, split="val")
    with pytest.raises(RunError) as refused, other.held():
        raise AssertionError
    assert str(refused.value) == (
        f"{tmp_path / 'a'} holds another run (batch: there 8, here 4; test.clips: there 10, here 1; sha differs; split: "
        "there none, here val): resume it with the same settings, or choose another --out."
    )
    assert everything(tmp_path) == before
    with pytest.raises(RunError, match="and 2 more"):
        claim(tmp_path / "a", batch=4, a=1, b=2, c=3, d=4, e=5, f=6).check()


def test_a_run_is_resumed_although_settings_that_may_differ_differ(tmp_path) -> None:
    made = Claim(OutputPath.folder(tmp_path), Command.EVALUATE, {"device": "cpu", "batch": 1}, facts={"processes": 1})
    with made.held():
        pass
    again = Claim(
        OutputPath.folder(tmp_path), Command.EVALUATE, {"device": "cuda", "batch": 1}, facts={"processes": 2},
        may_differ=frozenset({"device"}),
    )  # fmt: skip
    assert again.check()
    assert again.out.check() is None


def test_notes_of_0_1_0_are_read(tmp_path) -> None:
    """They hold only settings."""
    (tmp_path / "features.json").write_text(json.dumps(SETTINGS))
    assert claim(tmp_path).check()
    with pytest.raises(RunError, match="batch: there 8, here 1"):
        claim(tmp_path, batch=1).check()


@pytest.mark.parametrize("text", ["{", "[1]", "", "\udcff"])
def test_a_damaged_note_is_no_run(text, tmp_path) -> None:
    (tmp_path / "features.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    before = everything(tmp_path)
    with pytest.raises(RunError, match=r"features\.json.*choose another --out"), claim(tmp_path).held():
        raise AssertionError
    assert everything(tmp_path) == before


def test_resume_needs_a_run_and_a_new_run_needs_an_empty_folder(tmp_path) -> None:
    with (
        pytest.raises(RunError, match="holds no run to resume"),
        claim(tmp_path / "a", resume=True, command=Command.TRAIN).held(),
    ):
        raise AssertionError
    assert not (tmp_path / "a").exists()
    with claim(tmp_path / "a", resume=False, command=Command.TRAIN).held():
        (tmp_path / "a" / "last.ckpt").touch()
    before = everything(tmp_path)
    with (
        pytest.raises(RunError, match=r"another run \(last\.ckpt\)"),
        claim(tmp_path / "a", resume=False, command=Command.TRAIN).held(),
    ):
        raise AssertionError
    assert everything(tmp_path) == before
    with claim(tmp_path / "a", resume=True, command=Command.TRAIN).held() as resumed:
        assert resumed


def test_another_commands_run_is_refused_in_one_line(tmp_path) -> None:
    with claim(tmp_path).held():
        pass
    before = everything(tmp_path)
    for resume in (None, False):
        with pytest.raises(RunError) as refused, claim(tmp_path, resume, Command.TRAIN).held():
            raise AssertionError
        assert str(refused.value) == (
            f"{tmp_path} holds a run of `marey features` (features.json), which `marey train` must not mix with: choose "
            "another --out."
        )
        assert everything(tmp_path) == before


@pytest.mark.parametrize("there", Command, ids=lambda command: command.name)
@pytest.mark.parametrize("here", Command, ids=lambda command: command.name)
def test_which_commands_share_a_folder(there, here, tmp_path) -> None:
    """A training shares its folder with its test and features; answers are a file, which may be anywhere. Also if only
    products are left.
    """
    if Command.PREDICT in (there, here):
        with claim(tmp_path, command=there if here is Command.PREDICT else here).held():
            pass
        assert not Claim(OutputPath.file(tmp_path / "a.jsonl"), Command.PREDICT, SETTINGS).check()
        return
    for number, name in enumerate((there.note, *there.files)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / name).write_text("{}" if name == there.note else "")
        if there.note == here.note or (there is Command.TRAIN and here in (Command.EVALUATE, Command.FEATURES)):
            continue  # the settings decide; results of a training are in its folder
        with pytest.raises(RunError, match=rf"holds a run of `marey \w.*{re.escape(name)}.*choose another --out"):
            claim(folder, command=here).check()
    assert not claim(tmp_path / "new", command=here).check()


def test_a_run_in_the_folder_of_another_one_is_resumed(tmp_path) -> None:
    """Version 0.1.0 permitted it; so is a training that was tested in its folder."""
    for command in (Command.TRAIN, Command.EVALUATE):
        with claim(tmp_path, command=command).held() as resumed:
            assert not resumed
    assert not claim(tmp_path, command=Command.FEATURES).check()
    (tmp_path / "features.json").write_text(json.dumps(SETTINGS))
    for command in (Command.TRAIN, Command.EVALUATE, Command.FEATURES):
        assert claim(tmp_path, command=command).check()


def test_another_version_is_reported(tmp_path, capsys) -> None:
    with claim(tmp_path).held():
        pass
    note = json.loads((tmp_path / "features.json").read_text())
    (tmp_path / "features.json").write_text(json.dumps(note | {"marey": "0.0.7"}))
    with claim(tmp_path).held() as resumed:
        assert resumed
    assert f"was begun by Marey 0.0.7 and is resumed by {note['marey']}" in capsys.readouterr().err


# -- the lock

HOLDER = """
import sys, time
from marey.base.claim import Claim, Command, OutputPath
with Claim(OutputPath.folder(sys.argv[1]), Command.FEATURES, {"a": 1}).held():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_and_a_killed_one_holds_nothing(tmp_path) -> None:
    out = tmp_path / "run"
    (tmp_path / "link").symlink_to(out)
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(out)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "held\n"
            before = everything(out)
            for name in (out, tmp_path / "link", os.path.relpath(out)):
                second = Claim(OutputPath.folder(name), Command.FEATURES, {"a": 1})
                with pytest.raises(RunError, match=f"another process is writing there .process {process.pid} on "):
                    second.out.check()
                with pytest.raises(RunError, match="wait for it, or choose another --out"), second.held():
                    raise AssertionError
            assert everything(out) == before
        finally:
            process.kill()
    second.out.check()
    with second.held() as resumed:
        assert resumed
        assert (out / ".lock").read_text().startswith(f"process {os.getpid()} on ")
    assert not (out / ".lock").exists()


def test_one_file_has_one_lock_by_all_its_names(tmp_path) -> None:
    (tmp_path / "a.jsonl").touch()
    (tmp_path / "link.jsonl").symlink_to("a.jsonl")
    with OutputPath.file(tmp_path / "a.jsonl").held():
        assert (tmp_path / ".a.jsonl.lock").exists()
        with pytest.raises(RunError, match="another process"), OutputPath.file(tmp_path / "link.jsonl").held():
            raise AssertionError
        with OutputPath.file(tmp_path / "b.jsonl").held():
            pass


def test_shares_exclude_the_entire_path_and_not_each_other(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("marey.base.claim._SHARED_LOCK_TIMEOUT", 0.1)
    path = OutputPath.folder(tmp_path)
    with path.held(share=0), path.held(share=1):
        for share in (0, 1, None):
            with pytest.raises(RunError, match="another process"), path.held(share=share):
                raise AssertionError
            with pytest.raises(RunError, match="another process"):
                path.check(share=share)
        path.check(share=2)
    with path.held(), pytest.raises(RunError, match="another process"), path.held(share=0):
        raise AssertionError
    assert list(tmp_path.iterdir()) == []


def test_removed_lock_files_never_have_two_holders(tmp_path) -> None:
    inside, most, done = [], [], []

    def work() -> None:
        for _ in range(100):
            with locked(tmp_path / "lock", remove=True):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0)
                inside.pop()
        done.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 4
    assert max(most) == 1
    assert not (tmp_path / "lock").exists()


def test_shares_that_begin_and_end_are_never_refused(tmp_path) -> None:
    """A leaving share checks whether it is the last, and others check whether the path is free: neither refuses a share."""
    path, done = OutputPath.folder(tmp_path), []

    def work(share: int) -> None:
        for _ in range(250):
            path.check(share=share)
            with path.held(share=share):
                pass
        done.append(share)

    threads = [threading.Thread(target=work, args=(share,)) for share in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [0, 1, 2, 3]
    assert list(tmp_path.iterdir()) == []


def test_a_share_waits_until_the_entire_path_is_free(tmp_path) -> None:
    """As the second process of a training, which begins its test while the first one is still writing the run."""
    path = OutputPath.folder(tmp_path)
    with contextlib.ExitStack() as whole:
        whole.enter_context(path.held())
        leaving = threading.Timer(0.5, whole.close)
        leaving.start()
        with path.held(share=1):
            leaving.join()


@pytest.mark.skipif(sys.platform == "win32", reason="flock is not there")
def test_a_file_system_without_locks(tmp_path, monkeypatch, capsys) -> None:
    def refuse(*args: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("marey.base.files.fcntl.flock", refuse)
    with claim(tmp_path).held():
        pass
    assert capsys.readouterr().err.count("this file system has no locks") == 1
    claim(tmp_path).out.check()


# -- paths that cannot be written


def test_a_file_in_the_way(tmp_path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    for path, words in (
        (OutputPath.folder(tmp_path / "file"), "is a file, and a folder is to be written"),
        (OutputPath.folder(tmp_path / "gone"), "is a file, and a folder is to be written"),
        (OutputPath.folder(tmp_path / "file" / "run"), "file is a file and cannot contain a folder"),
        (OutputPath.file(tmp_path / "file" / "a.jsonl"), "file is a file and cannot contain a folder"),
        (OutputPath.file(tmp_path), "is a folder, and a file is to be written"),
    ):
        with pytest.raises(RunError, match=words):
            path.check()
        with pytest.raises(RunError, match=words), path.held():
            raise AssertionError
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "gone"]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch) -> None:
    """Tests may run as root, which can write everywhere: the system's answer to other users is imitated."""
    with monkeypatch.context() as patched:
        patched.setattr("marey.base.claim.os.access", lambda path, mode: False)
        with pytest.raises(RunError, match=r"run cannot be written \(no permission in .*\): choose another --out"):
            OutputPath.folder(tmp_path / "run").check()

    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("marey.base.claim.tempfile.TemporaryFile", refuse)
    with pytest.raises(RunError, match=r"cannot be written \(Permission denied\)"), claim(tmp_path).held():
        raise AssertionError
    assert list(tmp_path.iterdir()) == []
