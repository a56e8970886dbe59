"""Output to any encoding, pipe or disk, and any value of --out, gives a result or one line, never a traceback."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from marey.base.errors import DataError
from marey.cli.app import app
from marey.cli.common import program
from marey.data.lists.read_videos import read_videos
from marey.recipes import get_recipe
from marey.video.writing.writer import write_video
from marey.weights.checkpoint import save_checkpoint
from marey.weights.load import build_model
from marey.workflows import prediction_files
from tests.support.command import marey
from tests.support.made_videos import coded_frame

RECIPE = get_recipe("slowonly_r18_8x2_motions").variant(
    model={"width": 4, "num_classes": 2}, test={"size": 32}, pixels={"short_side": 32}
)
CLASSES = ("跑步", "walk 🏃")
HERE = ("--workers", "0")


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> Path:
    """A folder with m.safetensors, whose classes have letters that few encodings have, and clips/ with three videos."""
    folder = tmp_path_factory.mktemp("given")
    torch.manual_seed(0)
    save_checkpoint(folder / "m.safetensors", build_model(RECIPE), RECIPE, CLASSES)
    for i in range(3):
        frames = [coded_frame(n + 7 * i) for n in range(8)]
        write_video(folder / "clips" / f"v{i}.mp4", frames, fps=10, preset="ultrafast")
    return folder


@pytest.fixture
def workdir(given, tmp_path, monkeypatch) -> Path:
    """A working folder with copies of them."""
    shutil.copytree(given, tmp_path / "w")
    monkeypatch.chdir(tmp_path / "w")
    return tmp_path / "w"


def run(*words: str, stdout: object = subprocess.PIPE, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "marey", *words],
        stdout=stdout, stderr=subprocess.PIPE, env=os.environ | environment, timeout=120, check=False,
    )  # fmt: skip


def written_in(encoding: str, *words: str) -> tuple[int, bytes, bytes]:
    """Exit code, standard output and error of the program in this process, with streams in an encoding."""
    out, err = io.BytesIO(), io.BytesIO()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (io.TextIOWrapper(stream, encoding=encoding) for stream in (out, err))
    streams = sys.stdout, sys.stderr
    try:
        with pytest.raises(SystemExit) as ending:
            app(list(words))
    finally:
        sys.stdout, sys.stderr = before
        for stream in streams:
            stream.flush()
            stream.detach()
    return int(ending.value.code or 0), out.getvalue(), err.getvalue()


def in_class_folders(clips: Path) -> Path:
    """The same videos in a folder for each of two classes."""
    for i, label in enumerate(("jump", "run", "run")):
        (clips / label).mkdir(exist_ok=True)
        (clips / f"v{i}.mp4").rename(clips / label / f"v{i}.mp4")
    return clips


# -- encodings


@pytest.mark.parametrize("encoding", ["cp1252", "gbk"])
def test_letters_that_an_encoding_lacks_are_escaped(encoding, workdir) -> None:
    code, out, err = written_in(encoding, "predict", "m.safetensors", "clips/v0.mp4", *HERE)
    assert code == 0, err
    text = out.decode(encoding)
    assert ("跑步" if encoding == "gbk" else "\\u8dd1\\u6b65") in text
    assert "\\U0001f3c3" in text


@pytest.mark.parametrize("encoding", ["ascii", "utf-16"])
def test_json_is_valid_in_every_encoding(encoding, workdir) -> None:
    code, out, err = written_in(encoding, "predict", "m.safetensors", "clips", "--json", *HERE)
    assert code == 0, err
    labels = {one["label"] for found in json.loads(out.decode(encoding)) for one in found["top"]}
    assert labels == set(CLASSES)


def test_messages_and_help_are_escaped_too(workdir) -> None:
    for words in (("--help",), ("predict", "--help"), ("list", "跑步"), ("跑步",)):
        code, out, err = written_in("ascii", *words)
        assert code == (0 if "--help" in words else 1 if words[0] == "list" else 2)
        assert b"Traceback" not in err
        assert (out + err).decode("ascii")


def test_the_streams_of_a_new_process_are_prepared(workdir) -> None:
    said = run("show", "跑步", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert said.returncode == 1
    assert said.stderr.startswith(b"marey show: there is no recipe '\\u8dd1\\u6b65'")


def test_how_single_characters_are_escaped() -> None:
    program._prepare_streams()
    assert "é\udce9跑".encode("utf-8", program._ESCAPED) == b"\xc3\xa9\xe9\xe8\xb7\x91"
    assert "a\ud800".encode("utf-8", program._ESCAPED) == b"a\\ud800"
    assert "é\udce9跑".encode("ascii", program._ESCAPED) == b"\\xe9\xe9\\u8dd1"
    assert "é\udce9跑".encode("cp1252", program._ESCAPED) == b"\xe9\\udce9\\u8dd1"


# -- pipes, Ctrl-C and disks


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such pipes")
@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("--version",),
        pytest.param(("show", "tsn_r50_3seg_k400"), marks=pytest.mark.slow),
        pytest.param(("list", "--json"), marks=pytest.mark.slow),
        pytest.param(("predict", "m.safetensors", "clips", "--workers", "1"), marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_pipe_that_closes_ends_a_command_quietly(words, stream, workdir) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | {stream: writer}
    with subprocess.Popen([sys.executable, "-m", "marey", *words], **streams) as process:
        os.close(writer)
        out, err = process.communicate(timeout=120)
    wrote_nothing_there = words[0] != "predict" and stream == "stderr"
    assert process.returncode == (0 if wrote_nothing_there else 141)
    assert b"Traceback" not in (out or b"") + (err or b"")
    assert b"Exception ignored" not in (err or b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no disk that is always full")
@pytest.mark.parametrize("words", [("--help",), ("--version",), ("show", "tsn_r50_3seg_k400")])
def test_a_full_disk_is_one_line(words) -> None:
    with Path("/dev/full").open("w") as full:
        said = run(*words, stdout=full)
    assert said.returncode == 1
    assert re.fullmatch(rb"marey.*: No space left on device\n", said.stderr)


def test_an_error_of_the_system_is_one_line(workdir, monkeypatch) -> None:
    def refuse(*args: object) -> None:
        raise OSError(28, "No space left on device", "clips.csv")

    monkeypatch.setattr("marey.data.lists.manifest.Manifest.write_csv", refuse)
    in_class_folders(workdir / "clips")
    said = marey("data", "list", "clips")
    assert said.exit_code == 1
    assert said.stderr.endswith("marey data list: clips.csv: No space left on device\n")
    assert isinstance(marey("data", "list", "clips", "--debug").exception, OSError)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent to a group of processes otherwise")
@pytest.mark.parametrize("workers", ["0", "2"])
def test_ctrl_c_is_one_line(workers, workdir) -> None:
    """Sent to all processes at once, as a terminal does."""
    words = ("data", "flow", "clips.csv", "--out", "flow", "--no-compile", "--workers", workers)
    clip = [coded_frame(n) for n in range(300)]
    write_video(workdir / "clips" / "long.mp4", clip, fps=10, preset="ultrafast")
    (workdir / "clips.csv").write_text("path,label\nclips/long.mp4,a\nclips/v0.mp4,a\nclips/v1.mp4,a\n")
    with subprocess.Popen(
        [sys.executable, "-m", "marey", *words], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        while not (workdir / "flow" / "extraction.json").exists():
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    *_, last = [line for line in err.splitlines() if line.startswith("marey data flow:")]
    assert last.startswith("marey data flow: interrupted; ")
    assert "Traceback" not in err


INTERRUPTED_IN_A_STRING = """
import typer
from marey.cli.common.command import command
from marey.cli.common.program import Program

app = typer.Typer(name="marey", cls=Program)


@command(app, "imports")
def imports() -> None:
    exec("raise KeyboardInterrupt")


@command(app, "other")
def other() -> None: ...


app()
"""


def test_an_interrupted_import_gives_the_same_exit_code(tmp_path) -> None:
    (tmp_path / "program.py").write_text(INTERRUPTED_IN_A_STRING)
    words = [sys.executable, "-m", "program", "imports"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "marey imports: interrupted.\n")


@pytest.mark.skipif(sys.platform == "win32", reason="shells close no streams there")
def test_closed_streams_are_no_error() -> None:
    for closed in (">&-", "2>&-", "<&-"):
        command = f"{sys.executable} -m marey --help {closed}"
        said = subprocess.run(["bash", "-c", command], capture_output=True, check=False, timeout=120)
        assert said.returncode == 0, said.stderr
        assert said.stderr == b""


# -- predict --out


def answers(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_predictions_by_suffix(workdir) -> None:
    whole = json.loads(marey("predict", "m.safetensors", "clips", *HERE, "--json").stdout)
    for name in ("a.jsonl", "a.json", "a.csv", "a.html", "folder"):
        done = marey("predict", "m.safetensors", "clips", *HERE, "--out", name)
        assert done.exit_code == 0, done.output
    assert answers(workdir / "a.jsonl") == whole
    assert json.loads((workdir / "a.json").read_text()) == whole
    assert (workdir / "a.json").read_text() == json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
    with (workdir / "a.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row, one in zip(rows, whole, strict=True):
        assert row["path"] == one["path"]
        assert [row["start"], row["end"], row["error"], row["below_threshold"]] == ["", "", "", ""]
        assert [row["label_1"], row["label_2"]] == [top["label"] for top in one["top"]]
        assert float(row["probability_1"]) == one["top"][0]["probability"]
    page = (workdir / "a.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 3
    assert "https://" not in page and "http://" not in page
    assert page.count("跑步") == 3
    visible = sorted(path.name for path in workdir.iterdir() if not path.name.startswith("."))
    assert visible == ["a.csv", "a.html", "a.json", "a.jsonl", "a.jsonl.run.json", "clips", "folder", "m.safetensors"]
    assert sorted(path.name for path in (workdir / "folder").iterdir()) == [
        "README.txt", "answers.csv", "answers.html", "answers.json", "answers.jsonl", "answers.jsonl.run.json",
    ]  # fmt: skip
    assert (workdir / "folder" / "answers.csv").read_text() == (workdir / "a.csv").read_text()


def test_every_format_is_resumed_and_names_unreadable_videos(workdir) -> None:
    (workdir / "bad.mp4").write_text("no video")
    for name in ("a.json", "a.csv", "a.html", "folder/"):
        first = marey("predict", "m.safetensors", "clips/v0.mp4", *HERE, "--out", name)
        assert first.exit_code == 0, first.output
        second = marey("predict", "m.safetensors", "clips", "bad.mp4", *HERE, "--out", name)
        assert second.exit_code == 1
        assert "resuming: 1 of 4" in second.stderr
        assert f"1 of 4 videos could not be read ({name})" in second.stderr
    assert [one.get("error", "") != "" for one in json.loads((workdir / "a.json").read_text())] == [False] * 3 + [True]
    with (workdir / "a.csv").open(newline="", encoding="utf-8") as file:
        assert [row["error"].startswith("bad.mp4: ") for row in csv.DictReader(file)] == [False] * 3 + [True]
    assert "1 could not be read" in (workdir / "a.html").read_text(encoding="utf-8")


def test_unreadable_videos_are_tried_again_and_earlier_predictions_counted(workdir) -> None:
    (workdir / "bad.mp4").write_text("no video")
    for name in ("one.csv", "one.jsonl"):
        assert marey("predict", "m.safetensors", "bad.mp4", *HERE, "--out", name).exit_code == 1
        assert (workdir / name).exists()
    shutil.copy("clips/v1.mp4", "bad.mp4")
    for name in ("one.csv", "one.jsonl"):
        mended = marey("predict", "m.safetensors", "clips", "bad.mp4", *HERE, "--out", name)
        assert mended.exit_code == 0, mended.output
        assert "1 video that could not be read before: trying again" in mended.stderr
        assert mended.stdout == f"{name}: predictions for 4 videos\n"
        again = marey("predict", "m.safetensors", "clips/v0.mp4", *HERE, "--out", name)
        assert again.stdout == f"{name}: predictions for 1 video, and 3 of earlier calls\n"
    assert [Path(one["path"]).name for one in answers(workdir / "one.jsonl")] == [
        "v0.mp4",
        "v1.mp4",
        "v2.mp4",
        "bad.mp4",
    ]
    with (workdir / "one.csv").open(newline="", encoding="utf-8") as file:
        assert [row["error"] for row in csv.DictReader(file)] == [""] * 4


def test_segments_in_frames_are_distinct_in_every_format(workdir) -> None:
    (workdir / "parts.csv").write_text("path,start_frame,end_frame\nclips/v0.mp4,0,4\nclips/v0.mp4,4,8\n")
    for name in ("a.csv", "a.html"):
        assert marey("predict", "m.safetensors", "parts.csv", *HERE, "--out", name).exit_code == 0
    with (workdir / "a.csv").open(newline="", encoding="utf-8") as file:
        assert [(row["start_frame"], row["end_frame"]) for row in csv.DictReader(file)] == [("0", "4"), ("4", "8")]
    page = (workdir / "a.html").read_text(encoding="utf-8")
    assert "frames 0 to 3" in page and "frames 4 to 7" in page


def test_a_page_states_how_many_videos_it_leaves_out(workdir, monkeypatch) -> None:
    monkeypatch.setattr(prediction_files, "MOST_SHOWN", 2)
    assert marey("predict", "m.safetensors", "clips", *HERE, "--out", "a.html").exit_code == 0
    page = (workdir / "a.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 2
    assert "The first 2 videos are shown; 1 more are in" in page


def test_other_suffixes_are_refused_at_once(workdir) -> None:
    for words, said in (
        (("predict", "none", "none", "--out", "a.xlsx"), ".jsonl, .json, .csv, .html"),
        (("predict", "none", "none", "--out", "a.txt"), ".jsonl, .json, .csv, .html"),
        (("data", "list", "none", "--out", "a.txt"), "a list is written as .csv"),
        (("data", "split", "none", "--out", "a.json"), "a list is written as .csv"),
        (("fuse", "none", "none", "--out", "a.csv"), "ends in .npz"),
        (("convert", "none", "--out", "a.pth"), "weights are written as .safetensors"),
        (("train", "clips", "--out", "a.pth"), "a folder is to be written"),
        (("evaluate", "none", "--data", "none", "--out", "a.csv"), "a folder is to be written"),
        (("features", "none", "--data", "none", "--out", "a.npy"), "a folder is to be written"),
        (("reproduce", "none", "--data", "none", "--out", "a.json"), "a folder is to be written"),
        (("demo", "--out", "a.mp4"), "a folder is to be written"),
        (("data", "resize", "none", "--short-side", "32", "--out", "a.mp4"), "a folder is to be written"),
        (("data", "frames", "none", "--out", "a.zip"), "a folder is to be written"),
        (("data", "flow", "none", "--out", "a.npz"), "a folder is to be written"),
        (("data", "prepare", "ucf101", "none", "--out", "a.csv"), "a folder is to be written"),
    ):
        done = marey(*words)
        assert done.exit_code == 1, done.output
        assert isinstance(done.exception, SystemExit)
        assert said in done.stderr
        assert not list(workdir.glob("a.*"))
    assert "no such recipe" not in marey("evaluate", "none", "--data", "none", "--out", "a-0.5").stderr


@pytest.mark.parametrize("out", ["", "-"])
def test_an_empty_out_and_a_dash_are_refused(out, workdir) -> None:
    for words in (("predict", "m.safetensors", "clips"), ("train", "clips"), ("data", "split", "clips"), ("fuse", "a", "b"),
                  ("data", "frames", "clips"), ("convert", "m.safetensors")):  # fmt: skip
        assert marey(*words, "--out", out).exit_code == 2


def test_no_input_and_no_other_file_is_overwritten(workdir) -> None:
    (workdir / "list.csv").write_text("path,label\nclips/v0.mp4,a\n")
    (workdir / "mine.html").write_text("mine")
    (workdir / "link.csv").symlink_to("list.csv")
    shutil.copy("m.safetensors", "a.npz")
    (workdir / "names.csv").write_text("a\nb\n")
    (workdir / "o").mkdir()
    for name in ("split.csv", "index.csv", "flow.csv", "mine.csv"):
        (workdir / "o" / name).write_text("path,label\n../clips/v0.mp4,a\n../clips/v1.mp4,b\n")
    shutil.copy("m.safetensors", "o/last.safetensors")
    (workdir / "o" / "recipe.yaml").write_text(RECIPE.to_yaml())
    kept = {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()}
    for words in (
        ("predict", "m.safetensors", "list.csv", "--out", "list.csv"),
        ("predict", "m.safetensors", "list.csv", "--out", "link.csv"),
        ("predict", "m.safetensors", "list.csv", "--out", "mine.html"),
        ("data", "split", "list.csv", "--out", "list.csv"),
        ("convert", "m.safetensors", "--out", "m.safetensors"),
        ("fuse", "a.npz", "a.npz", "--out", "a.npz"),
        ("evaluate", "m.safetensors", "--data", "clips", "--out", "clips"),
        ("train", "clips", "--out", "clips"),
        ("data", "frames", "clips", "--out", "clips"),
        ("data", "resize", "clips", "--out", "clips/small", "--short-side", "32"),
        ("data", "flow", "clips", "--out", "clips/flow"),
        ("predict", "m.safetensors", "clips", "--out", "clips"),
        ("predict", "m.safetensors", "clips", "--out", "clips/"),
        ("train", "o/split.csv", "--out", "o"),
        ("train", "list.csv", "--val", "o/split.csv", "--out", "o"),
        ("train", "list.csv", "--val", "clips", "--out", "clips"),
        ("train", "list.csv", "--init", "o/last.safetensors", "--out", "o"),
        ("train", "o/recipe.yaml", "--data", "list.csv", "--out", "o"),
        ("evaluate", "m.safetensors", "--data", "list.csv", "--only", "clips", "--out", "clips"),
        ("features", "m.safetensors", "--data", "o/index.csv", "--out", "o"),
        ("data", "list", "clips", "--classes", "names.csv", "--out", "names.csv"),
        ("data", "split", "clips", "--classes", "names.csv", "--out", "names.csv"),
        ("data", "resize", "o/mine.csv", "--short-side", "32", "--out", "o"),
        ("data", "frames", "o/mine.csv", "--out", "o"),
        ("data", "flow", "o/flow.csv", "--out", "o"),
    ):
        done = marey(*words)
        assert done.exit_code == 1, (words, done.output)
        assert isinstance(done.exception, SystemExit)
        assert "choose another --out" in done.stderr, done.stderr
    assert {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()} == kept


def test_a_name_that_is_too_long_is_one_line(workdir) -> None:
    for name in ("x" * 300, "x" * 245 + ".csv"):
        done = marey("predict", "m.safetensors", "clips", *HERE, "--out", name)
        assert done.exit_code == 1
        assert "File name too long" in done.stderr


def test_a_list_has_the_full_name_of_its_folder(workdir) -> None:
    """clips.v2 has clips.v2.csv, not clips.csv, which may be another folder's."""
    in_class_folders(workdir / "clips").rename(workdir / "clips.v2")
    (workdir / "clips.csv").write_text("mine")
    assert marey("data", "list", "clips.v2").exit_code == 0
    assert (workdir / "clips.csv").read_text() == "mine"
    assert (workdir / "clips.v2.csv").exists()
    assert "replaces the file" in marey("data", "list", "clips.v2").stderr


# -- options without effect, and what is not there yet


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("predict", "m.safetensors", "clips", "--root", "x"), "--root x: is for the relative paths of a list"),
        (("features", "m.safetensors", "--data", "clips", "--root", "x"), "--root x: is for the relative paths of a list"),
        (("predict", "m.safetensors", "clips", "--fuse-weights", "x"), "none is named: --fuse NAME"),
        (("evaluate", "m.safetensors", "--data", "clips", "--fuse-weights", "x"), "none is named: --fuse NAME"),
        (("evaluate", "m.safetensors", "--data", "clips", "--fuse-data", "x"), "none is named: --fuse NAME"),
        (("predict", "m.safetensors", "none", "--weights", "x"), "holds weights itself"),
        (("features", "m.safetensors", "--data", "none", "--untrained"), "holds weights itself"),
        (("predict", "tsn_r50_3seg_k400", "none", "--weights", "m.safetensors", "--untrained"), "leave out one of them"),
        (("predict", "m.safetensors", "none", "--set", "train.epochs=2"), "changes training, and nothing is trained here"),
        (("features", "m.safetensors", "--data", "none", "--set", "train.epochs=2"), "nothing is trained here"),
        (("evaluate", "m.safetensors", "--data", "none", "--set", "train.epochs=2"), "nothing is trained here"),
        (("show", "i3d_incv1_twostream_64x1_k400", "--set", "test.size=32"), "is a row of two streams"),
        (("data", "frames", "clips", "--out", "o", "--quality", "90", "--template", "{}.png"), "--quality 90: is for JPEG"),
        (("data", "flow", "clips", "--out", "o", "--method", "dis", "--compile"), "are for tvl1"),
        (("data", "flow", "clips", "--out", "o", "--storage", "video", "--template", "{}{}"), "names images"),
        (("reproduce", "tsn_r50_3seg_k400", "--data", "none", "--init", "none"), "nothing is trained"),
        (("reproduce", "tsn_r50_3seg_k400", "--data", "none", "--seed", "1"), "nothing is trained"),
        (("reproduce", "tsn_r50_3seg_k400", "--data", "none", "--train", "--weights", "x"), "takes no other weights"),
        (("reproduce", "tsn_r50_3seg_k400", "--data", "none", "--fuse-weights", "x"), "is for a second network"),
        (("reproduce", "tsn_r50_3seg_k400", "--data", "none", "--splits", "2"), "has one list"),
        (("reproduce", "tsn_r50_3seg_k400", "--data", "clips", "--root", "x"), "is a folder: leave it out"),
        (("reproduce", "--ablation", "imagenet", "--data", "clips", "--json"), "an ablation prints one sentence"),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(value[:2] + value[-2:]),
)  # fmt: skip
def test_an_option_without_effect_is_refused(words, said, workdir) -> None:
    done = marey(*words)
    assert done.exit_code == 1, done.output
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_top_above_the_number_of_classes(workdir) -> None:
    assert "knows 2 classes" in marey("predict", "m.safetensors", "clips/v0.mp4", *HERE, "--top", "9").stderr
    assert "knows" not in marey("predict", "m.safetensors", "clips/v0.mp4", *HERE).stderr


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("https://example.org/a.mp4", "lies on a server, and the network is not to be used (--offline, MAREY_OFFLINE)"),
        ("https://example.org/a.csv", "lists are read from this machine: fetch it first"),
        ("https://www.youtube.com/watch?v=x", "yt-dlp www.youtube.com/watch?v=x"),
        ("youtu.be/x", "yt-dlp"),
        ("rtsp://camera/stream", "ffmpeg -i rtsp://camera/stream -t 10"),
        ("s3://bucket/clips/", "folders on servers are not searched"),
        ("file:///tmp/a%20b.mp4", "/tmp/a b.mp4: no such file"),
        ("0", "cameras are not read yet"),
        ("webcam", "cameras are not read yet"),
        ("/dev/video0", "cameras are not read yet"),
        ("-", "standard input is not read"),
        ("clips/*.mp4", "it matches 3 here"),
        ("clips/x*.mp4", "it matches nothing here either"),
        ("~/a.mp4", "in quotes"),
        ("~of_nobody/a.mp4", "in quotes"),
        ("$HOME/a.mp4", "variables in single quotes"),
        ("'clips/v0.mp4'", "quotes around it there is one: clips/v0.mp4"),
        ("clips\\v0.mp4", "there is one: clips/v0.mp4"),
        ("Clips/v0.mp4", "no such file. Did you mean clips/v0.mp4?"),
        ("clip", "no such file. Did you mean clips?"),
        ("clips/v0", "no such file. Did you mean clips/v0.mp4?"),
        ("C:\\clips\\a.mp4", "a path of Windows"),
        ("/dev/null", "a device or a pipe"),
        ("nothing.mp4", "no such file"),
    ],
)
def test_an_input_that_is_no_file_is_named_for_what_it_is(word, said, workdir) -> None:
    done = marey("predict", "m.safetensors", word)
    assert done.exit_code == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    if word.endswith(".csv"):
        assert said in marey("evaluate", "m.safetensors", "--data", word, "--out", "e").stderr


def test_an_empty_argument_is_refused_and_is_not_the_working_folder(workdir) -> None:
    for words in (
        ("predict", "m.safetensors", ""),
        ("predict", "m.safetensors", "clips", "--root="),
        ("train", ""),
        ("evaluate", "m.safetensors", "--data", " "),
        ("data", "list", ""),
    ):
        done = marey(*words)
        assert done.exit_code == 2
        assert "is empty: is it a variable" in " ".join(done.stderr.replace("│", " ").split())
    with pytest.raises(DataError, match="a path is empty"):
        read_videos("")


def test_a_folder_whose_name_is_that_of_a_camera_is_read(workdir) -> None:
    (workdir / "clips").rename(workdir / "0")
    assert marey("predict", "m.safetensors", "0", *HERE).exit_code == 0


@pytest.mark.parametrize("word", ["export", "explain", "serve", "bench", "rerun"])
def test_a_command_that_is_not_there_yet(word) -> None:
    done = marey(word, "m.safetensors", "--out", "x.onnx")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"marey {word}: ")
    assert "yet" in done.stderr or "later" in done.stderr


def test_windows_are_a_list(workdir) -> None:
    for option in ("--windows", "--windows=2"):
        done = marey("predict", "m.safetensors", "clips", option)
        assert done.exit_code == 2
        assert "path,start,end" in done.stderr
    (workdir / "windows.csv").write_text("path,start,end\nclips/v0.mp4,0,0.4\nclips/v0.mp4,0.4,0.8\n")
    assert marey("predict", "m.safetensors", "windows.csv", *HERE).stdout.count("clips/v0.mp4") == 2


# -- broken files that are tolerated


def test_three_broken_files_are_tolerated_among_few(workdir) -> None:
    (workdir / "list.csv").write_text(
        "path,label\n"
        + "".join(f"clips/v{i}.mp4,跑步\n" for i in range(3))
        + "".join(f"bad{i}.mp4,跑步\n" for i in range(4))
    )
    for i in range(4):
        (workdir / f"bad{i}.mp4").write_bytes(b"no film")
    words = ("evaluate", "m.safetensors", "--data", "list.csv", *HERE)
    refused = marey(*words, "--out", "e")
    assert refused.exit_code == 1
    assert "4 of 7 videos are broken; 3 are tolerated (--max-broken)" in refused.stderr
    (workdir / "list.csv").write_text("\n".join((workdir / "list.csv").read_text().splitlines()[:-1]) + "\n")
    assert marey(*words, "--out", "e2").exit_code == 0
    assert "0 are tolerated" in marey(*words, "--out", "e3", "--max-broken", "0").stderr
    (workdir / "sides.csv").write_text(
        "path,label,split\n"
        + "".join(f"clips/v{i}.mp4,{'ab'[i % 2]},{('train', 'val')[i == 2]}\n" for i in range(3))
        + "".join(f"gone{i}.mp4,{'ab'[i % 2]},{('train', 'val')[i > 1]}\n" for i in range(4))
    )
    both = marey("train", "sides.csv", "--init", "none", "--out", "run")
    assert "4 of 7 videos are not there, more than the 3 that are tolerated (--max-broken)" in both.stderr
    (workdir / "few.csv").write_text("path,label\nbad0.mp4,跑步\nbad1.mp4,跑步\n")
    assert "2 of 2 videos are broken; 1 is tolerated" in marey(*words[:3], "few.csv", *HERE, "--out", "e4").stderr
