"""Messages of a command: its first line, its last line, and the message after Ctrl-C."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

import marey as package
from marey.base.errors import StoppedError
from marey.base.files import locked
from marey.base.reporter import (
    notice,
    progress,
    release_waiting_messages,
    reporting,
    warning,
    work_summary,
    work_summary_first,
    work_summary_pending,
)
from marey.base.runs import free_file
from marey.base.shell import command_line, marey_line, typed_command, typed_words_without
from marey.cli.app import app
from marey.cli.common.interrupted import Interrupted, interruptible, kept_files, kept_tests, long_command
from marey.cli.common.named_models import first_tested
from marey.video.writing.writer import write_video
from tests.support.command import marey
from tests.support.made_videos import coded_frame

SMALL = ("model.width=4", "train.epochs=1", "test.size=32", "augment.size=32", "augment.short_side=36",
         "pixels.short_side=36")  # fmt: skip
TINY = [*(word for setting in SMALL for word in ("--set", setting)), "--init", "none", "--workers", "0"]
EXPECTED = r"(; (under a minute|about \d+ (minute|hour)s?))"


def parsed(line: str) -> typer.Context:
    """A line as the shell and the real command line take it apart."""
    words = shlex.split(line, comments=True)
    words = words[words.index("marey") + 1 :]
    command = typer.main.get_command(app)
    while isinstance(command, TyperGroup):
        command = command.commands[words.pop(0)]
    return command.make_context(command.name, words)


def next_line(stderr: str) -> str:
    """The last line, which is below "next:"."""
    lines = stderr.rstrip().splitlines()
    assert "next:" in lines
    return lines[-1].strip()


@pytest.fixture(scope="module")
def workdir(tmp_path_factory) -> Path:
    """A folder whose name the shell would take apart, with clips of two classes."""
    folder = tmp_path_factory.mktemp("a (b) 'c'")
    for number, label in enumerate(("jump", "run")):
        (folder / "my clips" / label).mkdir(parents=True)
        for i in range(3):
            frames = [coded_frame(n + 7 * i + 100 * number) for n in range(8)]
            write_video(folder / "my clips" / label / f"v {i}.mp4", frames, fps=10, preset="ultrafast")
    return folder


@pytest.fixture(scope="module")
def trained(workdir):
    """The run of a training in that folder, and its output."""
    said = marey("train", workdir / "my clips", "--out", workdir / "the run", *TINY)
    assert said.exit_code == 0, said.output
    return workdir / "the run", said


def test_train_prints_its_plan_first_and_the_next_command_last(workdir, trained) -> None:
    run, said = trained
    first = said.stderr.splitlines()[0]
    assert re.fullmatch(
        rf"6 videos, 2 classes \(jump, run\): \d to train on, \d held out; on cpu \(\d+ threads?\){EXPECTED}", first
    )
    context = parsed(next_line(said.stderr))
    assert context.command.name == "predict"
    assert Path(context.params["model"]) == run
    assert all(Path(video).exists() for video in context.params["videos"])


def test_evaluate_predict_and_features_do_so_too(workdir, trained, tmp_path) -> None:
    run, _ = trained
    video = workdir / "my clips" / "run" / "v 1.mp4"
    on = rf"on cpu \(\d+ threads?\), float32{EXPECTED}"
    for words, first in (
        (
            ["evaluate", run, "--data", workdir / "my clips", "--out", tmp_path / "e"],
            r"6 videos, 2 classes \(jump, run\): ",
        ),
        (["predict", run, video], "1 video: predicting with "),
        (["features", run, "--data", video, "--out", tmp_path / "f"], "1 video: features of "),
    ):
        said = marey(*words, "--workers", "0", "--device", "cpu")
        assert said.exit_code == 0, said.output
        assert re.fullmatch(rf"{first}.*{on}", said.stderr.splitlines()[0])
        assert next_line(said.stderr)


def test_lists_lead_to_training(workdir, tmp_path) -> None:
    for words in (
        ["data", "list", workdir / "my clips", "--out", tmp_path / "l (1).csv"],
        ["data", "split", workdir / "my clips", "--out", tmp_path / "s.csv", "--val", "0.34"],
    ):
        context = parsed(next_line(marey(*words).stderr))
        assert (context.command.name, Path(context.params["recipe"]).exists()) == ("train", True)


def test_standard_output_has_results_only(trained, workdir) -> None:
    words = ("predict", trained[0], workdir / "my clips" / "run" / "v 1.mp4", "--workers", "0")
    assert marey(*words, "--json").stdout.startswith("[")
    assert "next" not in marey(*words).stdout
    assert marey(*words, "--quiet").stderr == ""


NAMES = ["plain.mp4", "a b.mp4", "a(1).mp4", "it's.mp4", "-dash.mp4", "$HOME.mp4", "a;b.mp4", "ü.mp4", "*.mp4", "~x"]


@pytest.mark.parametrize("name", NAMES)
def test_a_path_of_any_name_can_be_pasted(name) -> None:
    context = parsed(marey_line("predict", "slowonly_r50_8x8_k400", Path(name)))
    assert list(map(Path, context.params["videos"])) == [Path(name)]


def test_words_of_windows_are_quoted_as_its_shells_take_them(monkeypatch) -> None:
    monkeypatch.setattr("marey.base.shell.sys.platform", "win32")
    assert command_line("marey", r"C:\my clips\a (1).mp4", r"C:\b.mp4") == r'marey "C:\my clips\a (1).mp4" C:\b.mp4'


def test_only_options_that_were_not_typed_are_added(monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["marey", "train", "my clips", "--out=runs/a"])
    line = typed_command("--resume", "--out", Path("runs/a"))
    assert line.endswith("train 'my clips' --out=runs/a --resume")
    monkeypatch.setattr(sys, "argv", ["marey", "evaluate", "m", "--data", "l.csv"])
    assert typed_command("--out", Path("runs/a")).endswith("evaluate m --data l.csv --out runs/a")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert typed_command().startswith("torchrun --nproc-per-node 2 -m marey evaluate")


def test_options_come_before_a_double_dash(monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["marey", "predict", "m", "--", "-v.mp4"])
    context = parsed(typed_command("--out", Path("a.jsonl")))
    assert context.params["out"] == "a.jsonl"
    assert list(map(Path, context.params["videos"])) == [Path("-v.mp4")]


def test_typed_arguments_are_repeated_without_an_option(monkeypatch) -> None:
    for words in (["--out", "a.csv"], ["--out=a.csv"], []):
        monkeypatch.setattr(sys, "argv", ["marey", "predict", "m", *words, "--top", "3", "--", "--out", "v.mp4"])
        assert typed_words_without("--out") == ["predict", "m", "--top", "3", "--", "--out", "v.mp4"]


def test_results_come_before_the_next_line_where_both_streams_are_one_file() -> None:
    code = "from marey.base.shell import next_steps\nprint('the result')\nnext_steps('marey doctor')"
    both = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
    )
    assert both.stdout.splitlines() == ["the result", "", "next:", "  marey doctor"]


def test_a_proposed_file_is_not_there_yet(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert free_file("answers.html") == Path("answers.html")
    Path("answers.html").touch()
    Path("answers-2.html").touch()
    assert free_file("answers.html") == Path("answers-3.html")


@pytest.mark.parametrize("tested", ["v 1.mp4", "v 1.mp4@0.5-1"])
def test_the_next_video_is_a_tested_one(workdir, tested) -> None:
    folder = workdir / "my clips" / "run"
    assert first_tested(["gone.mp4", tested], folder / "list.csv", None) == folder / "v 1.mp4"
    assert first_tested([f"run/{tested}"], folder.parent, None) == folder / "v 1.mp4"
    assert first_tested([tested], Path("elsewhere.csv"), folder) == folder / "v 1.mp4"
    assert first_tested(["gone.mp4", "", "@1-2"], folder / "list.csv", None) == Path("VIDEO")


def test_after_a_broken_video_the_next_one_is_proposed(workdir, trained, tmp_path) -> None:
    (tmp_path / "a broken.mp4").write_bytes(b"no video")
    clip = workdir / "my clips" / "run" / "v 1.mp4"
    (tmp_path / "l.csv").write_text(f"path,label\na broken.mp4,run\n{clip},run\n")
    said = marey("evaluate", trained[0], "--data", tmp_path / "l.csv", "--out", tmp_path / "e", "--workers", "0")
    assert said.exit_code == 0, said.output
    assert parsed(next_line(said.stderr)).params["videos"] == [str(clip)]


class Heard(package.SilentReporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def notice(self, message: str) -> None:
        self.lines.append(message)

    def warning(self, message: str) -> None:
        self.lines.append(message)


def test_what_was_understood_comes_first() -> None:
    heard = Heard()
    with reporting(heard), work_summary_first():
        notice("weights loaded")
        warning("a guess")
        assert heard.lines == []
        work_summary("3 videos")
        notice("later")
    assert heard.lines == ["3 videos", "weights loaded", "a guess", "later"]


def test_the_first_line_is_awaited_behind_a_bar_too() -> None:
    with reporting(package.TerminalReporter()), work_summary_first():
        with progress("Checking", total=1):
            pass
        assert work_summary_pending()
        work_summary("3 videos")
        assert not work_summary_pending()


def test_nothing_is_lost_where_nothing_is_understood() -> None:
    heard = Heard()
    with reporting(heard), pytest.raises(ValueError, match="no"), work_summary_first():
        notice("weights loaded")
        raise ValueError("no")
    assert heard.lines == ["weights loaded"]


def test_why_a_command_is_waiting_is_printed_at_once(tmp_path) -> None:
    """The line of what was understood comes after the wait, and still has its measurement."""
    heard, done = Heard(), threading.Event()

    def fetch() -> None:
        with locked(tmp_path / "lock", waiting="another process is fetching it"):
            done.set()

    with reporting(heard), work_summary_first():
        notice("weights are looked for")
        with locked(tmp_path / "lock"):
            thread = threading.Thread(target=fetch)
            thread.start()
            while len(heard.lines) < 2 and thread.is_alive():
                time.sleep(0.01)
            assert not done.is_set()
        thread.join()
        assert heard.lines == ["weights are looked for", "another process is fetching it"]
    with reporting(package.TerminalReporter()), work_summary_first():
        assert work_summary_pending()
        release_waiting_messages()
        assert work_summary_pending()
        work_summary("3 videos")
        assert not work_summary_pending()


def test_a_missing_file_is_announced_once(workdir, tmp_path) -> None:
    rows = [f"{workdir}/my clips/run/v {i}.mp4,run\n{workdir}/my clips/jump/v {i}.mp4,jump\n" for i in range(3)]
    (tmp_path / "l.csv").write_text(f"path,label\n{''.join(rows)}gone.mp4,run\n")
    said = marey("train", tmp_path / "l.csv", "--out", tmp_path / "run", *TINY, "--seed", "1").stderr
    assert sum("gone.mp4" in line for line in said.splitlines()) == 1


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), StoppedError("stopped", interrupted=True)])
def test_ctrl_c_names_the_finished_work_and_the_command_that_resumes(stop, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["marey", "evaluate", "m"])
    with pytest.raises(Interrupted) as found, interruptible(lambda: "3 videos are kept", "--out", Path("a b")):
        raise stop
    assert found.value.kept.startswith("3 videos are kept. To resume:\n  ")
    assert found.value.kept.endswith("evaluate m --out 'a b'")


def test_ctrl_c_reports_that_nothing_was_saved() -> None:
    @long_command
    def work() -> None:
        with interruptible(lambda: ""):
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="nothing was saved"):
        work()


def test_finished_files_are_found_in_folders_of_any_name(tmp_path, monkeypatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for out in (Path("../small"), Path(".small"), Path("small")):
        (out / ".a").mkdir(parents=True)
        (out / ".a" / "half.mp4").touch()
        (out / ".b-abcdefgh.mp4").touch()
        assert kept_files(out, ".mp4") == ""
        (out / "b.mp4").touch()
        assert kept_files(out, ".mp4") == f"the videos that are done are kept in {out}"


@pytest.mark.parametrize("stream", ["", "stream1-tsn_r50"])
def test_tested_videos_are_counted_until_the_scores_are_written(tmp_path, stream) -> None:
    parts = tmp_path / stream / "parts"
    parts.mkdir(parents=True)
    (parts / ".0-0-4-k3j_x9ab.npz").touch()  # a temporary file of another or a killed process
    assert kept_tests(tmp_path) == ""
    (parts / "0-0-4.npz").touch()
    (parts / "1-1-1.npz").touch()
    assert kept_tests(tmp_path) == f"5 tested videos are kept in {tmp_path}"
    (tmp_path / stream / "scores.npz").touch()
    assert kept_tests(tmp_path) == f"the scores so far are kept in {tmp_path}"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_interrupted_training_is_resumed_by_its_last_line(workdir, tmp_path) -> None:
    words = ["train", str(workdir / "my clips"), *TINY, "--epochs", "400", "--out", str(tmp_path / "r 1")]
    words = [word for word in words if word not in ("--set", "train.epochs=1")]
    words = [part for word in words for part in (("--set", word) if "=" in word else (word,))]
    with subprocess.Popen(
        [sys.executable, "-m", "marey", *words], stderr=subprocess.PIPE, text=True
    ) as process:  # fmt: skip
        while not (tmp_path / "r 1" / "last.ckpt").exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "is kept in" in err
    context = parsed(err.splitlines()[-1])
    assert (context.params["resume"], context.params["out"]) == (True, tmp_path / "r 1")
    assert os.listdir(tmp_path) == ["r 1"]
