"""`predict`, `features`, `evaluate` and `merge` on the command line, where they write tables."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.support.command import marey
from tests.support.platforms import posix


@pytest.fixture
def workdir(prepared, tmp_path, monkeypatch) -> Path:
    """A working folder with made clips, lists of them and a trained run."""
    shutil.copytree(prepared, tmp_path / "w")
    monkeypatch.chdir(tmp_path / "w")
    return tmp_path / "w"


def rows_of(name: str) -> list[dict]:
    return pq.read_table(name).drop_columns(["seconds"]).to_pylist()


def test_shards_are_merged_to_the_table_of_one_run(workdir) -> None:
    common = ("predict", "runs/clips-1", "list.csv", "--workers", 0, "--top", 2)
    whole = marey(*common, "--out", "a.parquet")
    assert whole.exit_code == 0, whole.output
    assert whole.stdout.startswith("a.parquet: 18 videos: 18 done, 0 failed, 18 of them now in")
    assert "predicting with" in whole.stderr
    for number in (1, 2):
        done = marey(*common, "--out", f"p{number}.parquet", "--shard", f"{number}/2")
        assert done.exit_code == 0 and f"shard {number}/2: rows" in done.stderr
    merged = marey("merge", "p2.parquet", "p1.parquet", "--out", "m.parquet", "--json")
    assert json.loads(merged.stdout)["rows"] == 18
    assert rows_of("m.parquet") == rows_of("a.parquet")
    assert len(rows_of("a.parquet")[0]["top_labels"]) == 2


def test_two_networks_are_fused(workdir) -> None:
    words = ("predict", "runs/rgb", "list.csv", "--fuse", "runs/flow", "--workers", 0)
    assert marey(*words, "--out", "a.parquet").exit_code == 0
    assert marey(*words, "--out", "a.jsonl", "--top", 3).exit_code == 0
    lines = [json.loads(line) for line in Path("a.jsonl").read_text().splitlines()]
    for row, line in zip(rows_of("a.parquet"), lines, strict=True):
        assert row["top_labels"] == [one["label"] for one in line["top"]]
        assert np.allclose(row["top_probabilities"], [one["probability"] for one in line["top"]], rtol=0, atol=0)


def test_features_are_one_table(workdir) -> None:
    done = marey("features", "runs/clips-1", "--data", "list.csv", "--out", "f.parquet", "--float16", "--workers", 0)
    assert done.exit_code == 0, done.output
    assert pq.read_schema("f.parquet").field("features").type.value_type == "halffloat"
    assert [path.name for path in workdir.iterdir() if path.name.startswith("f.parquet")] == ["f.parquet"]


def test_a_test_writes_its_scores_as_a_table(workdir) -> None:
    shutil.copy("val.csv", "tested.csv")
    with Path("tested.csv").open("a") as file:
        file.write("clips/jump/absent.mp4,jump,val\n")
    done = marey("evaluate", "runs/clips-1", "--data", "tested.csv", "--out", "t", "--workers", 0, "--parquet")
    assert done.exit_code == 0, done.output
    with np.load("t/scores.npz") as file:
        scores = dict(file)
    rows = pq.read_table("t/scores.parquet").to_pylist()
    assert [row["id"] for row in rows if row["status"] == "done"] == scores["ids"].tolist()
    assert [row["id"] for row in rows if row["status"] == "failed"] == ["clips/jump/absent.mp4"]
    found = [row for row in rows if row["status"] == "done"]
    assert np.array_equal(np.float32([row["probabilities"] for row in found]), scores["probabilities"])
    names = scores["class_names"].tolist()
    assert [row["targets"] for row in found] == [[names[label]] for label in scores["labels"]]
    assert all(row["trained_on"] is not None and len(row["content"]) == 16 for row in found)


def test_videos_that_fail_are_counted_and_the_command_succeeds(workdir) -> None:
    Path("some.csv").write_text("path\nclips/jump/rec0_a.mp4\nclips/absent.mp4\n")
    done = marey("predict", "runs/clips-1", "some.csv", "--out", "a.parquet", "--workers", 0)
    assert done.exit_code == 0
    assert "2 videos: 1 done, 1 failed" in done.stdout and "1 failed: no such file" in done.stdout


def test_the_command_fails_where_every_video_does(workdir) -> None:
    Path("torn.mp4").write_bytes(b"torn")
    done = marey("predict", "runs/clips-1", "torn.mp4", "--out", "a.parquet", "--workers", 0)
    assert done.exit_code == 1
    assert "none of 1 video could be read" in done.stderr
    assert rows_of("a.parquet")[0]["status"] == "failed"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--out", "a.jsonl", "--shard", "1/2"),
            "--shard is for tables, and --out a.jsonl is none: --out NAME.parquet",
        ),
        (("--retry-failed",), "--retry-failed is for tables, and no --out is given"),
        (("--out", "a.parquet", "--shard", "3/2"), "--shard 3/2: expected one of the shards 1/2 to 2/2"),
        (("--out", "a.parquet", "--shard", "one"), "--shard one: expected I/N"),
        (("--out", "list.csv/a.parquet"), "list.csv is a file"),
    ],
)
def test_impossible_tables_are_refused_before_any_work(workdir, words, message) -> None:
    done = marey("predict", "runs/clips-1", "list.csv", *words)
    assert done.exit_code == 1
    assert message in done.stderr and done.stderr.count("\n") == 1
    assert not Path("a.parquet").exists() and not Path("a.parquet.parts").exists()


@pytest.mark.parametrize("option", ["--decode-seconds", "--decode-memory"])
def test_features_have_limits_in_tables_alone(workdir, option) -> None:
    done = marey("features", "runs/clips-1", "--data", "list.csv", "--out", "f", option, 5)
    assert done.exit_code == 1
    assert f"{option} is for tables, and --out f is none" in done.stderr and done.stderr.count("\n") == 1


def test_a_list_is_not_overwritten(workdir) -> None:
    shutil.copy("list.csv", "own.parquet")
    done = marey("predict", "runs/clips-1", "own.parquet", "--out", "own.parquet")
    assert done.exit_code == 1 and "is read by this command" in done.stderr


def test_merge_writes_tables_alone(workdir) -> None:
    done = marey("merge", "a.parquet", "--out", "m.csv")
    assert done.exit_code == 1 and "--out m.csv: a table is written" in done.stderr


def test_without_pyarrow_one_line_names_what_to_install(workdir, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for words in (
        ("predict", "runs/clips-1", "list.csv", "--out", "a.parquet"),
        ("features", "runs/clips-1", "--data", "list.csv", "--out", "a.parquet"),
        ("evaluate", "runs/clips-1", "--data", "val.csv", "--out", "t", "--parquet"),
        ("merge", "p1.parquet", "--out", "a.parquet"),
    ):
        done = marey(*words)
        assert done.exit_code == 1 and 'needs pyarrow: pip install "marey[parquet]"' in done.stderr
        assert done.stderr.count("\n") == 1


@posix
def test_on_a_full_file_system_finished_rows_stay(workdir) -> None:
    script = """if __name__ == "__main__":
        import resource, signal, sys
        from marey.cli.app import app
        from marey.engines import finished_rows

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that a write beyond the limit is an error, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
        finished_rows._ROWS = 4
        app(sys.argv[2:])
    """
    Path("limited.py").write_text(script)
    words = ["predict", "runs/clips-1", "list.csv", "--out", "a.parquet", "--workers", "0"]
    full = subprocess.run(
        [sys.executable, "limited.py", "5000", *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert full.returncode == 1
    assert "a.parquet cannot be written" in full.stderr and "File too large" in full.stderr
    assert not Path("a.parquet").exists()
    assert not list(Path("a.parquet.parts").glob("*.parquet"))
    assert marey(*words).exit_code == 0
    assert len(rows_of("a.parquet")) == 18
