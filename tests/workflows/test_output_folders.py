"""All functions that write output folders refuse, resume and lock in the same way, and touch no other files."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from marey.backends.compute import Compute
from marey.base.claim import OutputPath
from marey.base.errors import RunError
from marey.base.files import write_text
from marey.base.runs import STATE
from marey.cli.app import app
from marey.data.convert import Resize, convert
from marey.data.extract_flow import extract_flow
from marey.data.lists.class_folders import list_folder
from marey.data.lists.read_videos import read_videos
from marey.data.motions import NOISE, write_motions
from marey.evaluation.run import evaluate
from marey.inference.features import features
from marey.recipes import get_recipe
from marey.training.fit import fit
from marey.video.flow import DIS
from marey.video.flow.rule import FlowRule
from marey.weights.checkpoint import save_checkpoint
from marey.weights.load import build_model, load_model
from marey.workflows.predict_list import predict_list
from tests.support.platforms import posix

VIDEOS_PER_CLASS = 1
RECIPE = get_recipe("slowonly_r18_8x2_motions").variant(
    model={"width": 4, "num_classes": 2},
    clip={"frames": 2, "stride": 2},
    augment={"short_side": 32, "size": 24},
    pixels={"short_side": 32},
    test={"size": 32, "sampling": {"frames": 2}, "crops": "three"},
    train={"epochs": 1, "base_batch": 2},
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_checkpoint(path, build_model(RECIPE), RECIPE, ("jump", "run"))
    return path


def train(out: Path, videos: Path, checkpoint: Path, *, number: int) -> None:
    again = (out / STATE).exists()
    fit(RECIPE, train=list_folder(videos), out=out, workers=0, seed=number, resume=again)


def judge(out: Path, videos: Path, checkpoint: Path, *, number: int) -> None:
    evaluate(load_model(checkpoint), list_folder(videos), out=out, batch=number, workers=0)


def see(out: Path, videos: Path, checkpoint: Path, *, number: int) -> None:
    features(load_model(checkpoint), read_videos(videos), out=out, per_clip=number > 1, workers=0)


def answer_all(out: Path, videos: Path, checkpoint: Path, *, number: int) -> None:
    list(predict_list(load_model(checkpoint), read_videos(videos), out=out, top=number, compute=Compute(workers=0)))


def flow(out: Path, videos: Path, checkpoint: Path, *, number: int) -> None:
    extract_flow(list_folder(videos), out, FlowRule(method=DIS(), bound=20.0 * number), storage="png", workers=0)


def resize(out: Path, videos: Path, checkpoint: Path, *, number: int) -> None:
    convert(list_folder(videos), out, Resize(short_side=16 * number, preset="ultrafast"), workers=0)


def motions(out: Path, videos: Path, checkpoint: Path, *, number: int) -> None:
    write_motions(out, train=12, test=12, size=16, frames=4, seed=number, workers=0, look=NOISE)


@dataclass(frozen=True)
class User:
    """A command, what is different with another number, and where it notes what it did."""

    run: Callable[..., None]
    differs: str
    note: str
    product: str
    """A file that it writes: written again only if it is missing."""


USERS = [
    User(train, "seed: there 1, here 2", "run.json", "last.ckpt"),
    User(judge, "batch: there 1, here 2", "evaluate.json", "scores.npz"),
    User(see, "per_clip: there false, here true", "features.json", "v0-*.npy"),
    User(answer_all, "top: there 1, here 2", "a.jsonl.run.json", "a.jsonl"),
    User(flow, "flow.bound: there 20.0, here 40.0", "extraction.json", "*/v0/flow.json"),
    User(resize, "short_side: there 16, here 32", "conversion.json", "*/v0.mp4"),
    User(motions, "seed: there 1, here 2", "motions.json", "train/*/*.mp4"),
]
every_user = pytest.mark.parametrize("user", USERS, ids=lambda user: user.run.__name__)


def place_in(folder: Path, user: User) -> Path:
    return folder / "a.jsonl" if user.run is answer_all else folder


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.read_bytes()) for p in files(folder)}


def files(folder: Path) -> list[Path]:
    return [p for p in sorted(folder.rglob("*")) if p.is_file()]


@every_user
def test_same_run_resumed_and_another_refused(user, videos, checkpoint, tmp_path) -> None:
    """The user's own files stay as they are, even those that look like what a killed run leaves."""
    folder = tmp_path / "out"
    mine = {".mine-abcdefgh.txt": b"mine", "notes.txt": b"mine", ".mine-abc.npy": b"", ".mine-abc.unfinished": b"x"}
    folder.mkdir()
    for name, content in mine.items():
        (folder / name).write_bytes(content)
    out = place_in(folder, user)
    user.run(out, videos, checkpoint, number=1)
    assert {name: (folder / name).read_bytes() for name in mine} == mine
    note = json.loads((folder / user.note).read_text())
    assert note["marey"]
    products = {p: p.stat().st_mtime_ns for p in folder.glob(user.product)}
    assert products
    before = everything(folder)
    with pytest.raises(RunError) as refused:
        user.run(out, videos, checkpoint, number=2)
    more = f" (from its weights: --init {out / 'last.safetensors'} --out OTHER)" if user.run is train else ""
    assert str(refused.value) == (
        f"{out} holds another run ({user.differs}): resume it with the same settings, or choose another --out{more}."
    )
    assert everything(folder) == before
    old = {name: value for name, value in note.items() if name not in ("command", "marey")}
    (folder / user.note).write_text(json.dumps(old))  # as version 0.1.0 wrote it
    user.run(out, videos, checkpoint, number=1)
    if user.run is not judge:  # scores.npz is written again
        assert {p: p.stat().st_mtime_ns for p in folder.glob(user.product)} == products
    assert not [p for p in files(folder) if p.name == ".lock" or p.name.endswith(".lock")]


@every_user
def test_no_command_begins_in_anothers_folder(user, videos, checkpoint, tmp_path) -> None:
    """In any order; the folder of a training only takes results that are computed from it, and predictions."""
    user.run(place_in(tmp_path, user), videos, checkpoint, number=1)
    before = everything(tmp_path)
    for other in USERS:
        if other is user or answer_all in (user.run, other.run):
            continue
        if user.run is train and other.run in (judge, see):
            continue
        with pytest.raises(RunError, match=rf"{tmp_path} holds a run of `marey .*{user.note}.*choose another --out"):
            other.run(tmp_path, videos, checkpoint, number=1)
        assert everything(tmp_path) == before
    if user.run is train:
        judge(tmp_path, videos, checkpoint, number=1)
        see(tmp_path, videos, checkpoint, number=1)
        train(tmp_path, videos, checkpoint, number=1)
    answer_all(tmp_path / "a.jsonl", videos, checkpoint, number=1)


@every_user
def test_a_second_process_is_refused_before_work_begins(user, videos, checkpoint, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "out"
    held = OutputPath.file(folder / "a.jsonl") if user.run is answer_all else OutputPath.folder(folder)
    (tmp_path / "link").symlink_to("out")
    with held.held():
        before = everything(folder)
        for name in (Path("out"), tmp_path / "link"):
            with pytest.raises(RunError, match=f"another process is writing there .process {os.getpid()} on .*--out"):
                user.run(place_in(name, user), videos, checkpoint, number=1)
        assert everything(folder) == before
    assert files(folder) == []


@posix
@every_user
def test_output_paths_that_cannot_be_written_are_refused(user, videos, checkpoint, tmp_path) -> None:
    (tmp_path / "file").write_text("mine")
    wrong = tmp_path if user.run is answer_all else tmp_path / "file"
    with pytest.raises(RunError, match=r"is to be written: choose another --out"):
        user.run(wrong, videos, checkpoint, number=1)
    with pytest.raises(RunError, match=r"cannot contain a folder: choose another --out"):
        user.run(place_in(tmp_path / "file" / "deep", user), videos, checkpoint, number=1)
    if sys.platform == "linux":  # no user can create files there, not even the superuser
        with pytest.raises(RunError, match=r"/proc/self/.* cannot be written"):
            user.run(place_in(Path("/proc/self/out"), user), videos, checkpoint, number=1)
    assert files(tmp_path) == [tmp_path / "file"]


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "no_such_model", "--data", "none.csv", "--out", "file"),
        ("features", "no_such_model", "--data", "none.csv", "--out", "file"),
        ("predict", "no_such_model", "none.mp4", "--out", "file"),
        ("reproduce", "no_such_row", "--data", "none.csv", "--out", "file"),
        ("demo", "--out", "file"),
    ],
    ids=lambda words: words[0],
)
def test_commands_check_the_output_first(words, tmp_path, monkeypatch) -> None:
    """Before the model is searched, which may have to be downloaded, and before the list is read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 1
    assert "is to be written: choose another --out" in done.stderr


def seen(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """Kind, size and time of change of each file, without its time of access."""
    return {path: (at.st_mode, at.st_size, at.st_mtime_ns) for path in folder.iterdir() for at in [path.lstat()]}


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is not there")
@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("predict", "no_such_model", "none.mp4", "--out"), "a.jsonl"),
        (("convert", "none.pth", "--out"), "a.safetensors"),
        (("convert", "none.pth", "--out"), "a"),
        (("fuse", "none.npz", "none.npz", "--out"), "a.npz"),
        (("data", "list", "none", "--out"), "a.csv"),
        (("data", "split", "none.csv", "--out"), "a.csv"),
        (("data", "prepare", "ucf101", "none", "--out"), "a"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:2]),
)
def test_output_files_are_checked_before_any_work(words, name, tmp_path, monkeypatch) -> None:
    """One line, and nothing is written, replaced or waited for: no process opens the other end of the pipe."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    ending = Path(name).suffix
    loop, pipe, stdout = (f"{word}{ending}" for word in ("loop", "pipe", "stdout"))
    (tmp_path / loop).symlink_to(loop)
    os.mkfifo(tmp_path / pipe)
    (tmp_path / stdout).symlink_to("/proc/self/fd/1")
    places = {f"file/{name}": "cannot contain a folder", f"/proc/self/{name}": "cannot be written", loop: ""}
    places |= {pipe: "device or a pipe", stdout: "device or a pipe"} if ending and words[0] != "convert" else {}
    before = seen(tmp_path)
    for place, why in places.items():
        done = CliRunner().invoke(app, [*words, place])
        assert done.exit_code == 1
        assert isinstance(done.exception, SystemExit), done.exception
        assert why in done.stderr
        assert place in done.stderr
        if words[0] == "predict" and "pipe" in why:
            assert "leave out --out and redirect standard output" in done.stderr
    assert seen(tmp_path) == before


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such pipes")
def test_no_pipe_or_device_is_replaced(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileExistsError, match="pipe is a device or a pipe"):
        write_text(tmp_path / "pipe", "text")
    assert [path.is_fifo() for path in tmp_path.iterdir()] == [True]


def test_a_report_that_cannot_be_written(videos, checkpoint, tmp_path, monkeypatch) -> None:
    judge(tmp_path, videos, checkpoint, number=1)

    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("marey.base.claim.tempfile.TemporaryFile", refuse)
    done = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert done.exit_code == 1
    assert "report.html cannot be written (Permission denied): make its folder writable" in done.stderr


def test_predictions_are_not_written_into_another_file(videos, checkpoint, tmp_path) -> None:
    (tmp_path / "a.jsonl").write_text("my list\nwithout an end")
    with pytest.raises(RunError, match=r"a\.jsonl:1: no prediction"):
        answer_all(tmp_path / "a.jsonl", videos, checkpoint, number=1)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.jsonl": "my list\nwithout an end"}


def test_a_state_of_an_older_version_is_resumed(videos, checkpoint, tmp_path) -> None:
    """Its recipe lacks fields that came later; they have their defaults."""
    train(tmp_path, videos, checkpoint, number=1)
    state = torch.load(tmp_path / STATE, weights_only=True)
    recipe = json.loads(state["run"]["recipe"])
    assert recipe["train"].pop("repeats") == 1
    state["run"]["recipe"] = json.dumps(recipe)
    torch.save(state, tmp_path / STATE)
    train(tmp_path, videos, checkpoint, number=1)
    recipe["train"]["repeats"] = 2
    state["run"]["recipe"] = json.dumps(recipe)
    torch.save(state, tmp_path / STATE)
    with pytest.raises(RunError, match=r"another run \(recipe\.train\.repeats: there 2, here 1\)"):
        train(tmp_path, videos, checkpoint, number=1)


def test_lists_of_broken_files_of_0_1_0_are_read(videos, checkpoint, tmp_path) -> None:
    """They were called quarantine.jsonl. What training noted in the same folder stays."""
    (videos / "run" / "bad.mp4").write_text("no video")
    try:
        evaluate(load_model(checkpoint), list_folder(videos), out=tmp_path, workers=0, max_broken=1)
        (line,) = (tmp_path / "broken.jsonl").read_text().splitlines()
        other = line.replace("run/bad.mp4", "trained/bad.mp4", 1)
        (tmp_path / "broken.jsonl").rename(tmp_path / "quarantine.jsonl")
        (tmp_path / "quarantine.jsonl").write_text(f"{other}\n{line}\n")
        again = evaluate(load_model(checkpoint), list_folder(videos), out=tmp_path, workers=0, max_broken=1)
    finally:
        (videos / "run" / "bad.mp4").unlink()
    assert [broken.id for broken in again.broken] == ["run/bad.mp4"]
    assert (tmp_path / "broken.jsonl").read_text().splitlines() == [other, line]
    assert not (tmp_path / "quarantine.jsonl").exists()


@pytest.mark.slow
def test_submitted_twice(videos, checkpoint, tmp_path) -> None:
    """Of two equal commands started at once one does the work; the other ends with one line."""
    words = ["evaluate", str(checkpoint), "--data", str(videos), "--out", str(tmp_path / "out"), "--workers", "0"]
    both = [
        subprocess.Popen([sys.executable, "-m", "marey", *words], stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [process.communicate(timeout=300)[1] for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 1], [0, 0]), said
    if codes == [0, 1]:  # else the second began when the first had ended, and found all done
        (refused,) = (text for process, text in zip(both, said, strict=True) if process.returncode)
        assert "another process is writing there" in refused.splitlines()[-1]
    assert (tmp_path / "out" / "result.json").exists()
