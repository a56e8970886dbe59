"""Tables that are filled on a Ray cluster have the same rows as on one machine, even if a node is killed."""

import os
import pickle
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from marey import __version__
from marey.backends.compute import Compute
from marey.base.errors import MareyError, RunError
from marey.base.reporter import notice
from marey.data.lists.pieces import read_in_pieces
from marey.data.lists.videos import VideoEntry
from marey.data.loading.limited_decoding import Limits
from marey.engines import ray_cluster, ray_decoding, ray_engine
from marey.engines.fill_table import LocalEngine, fill_table
from marey.engines.row_makers import PredictionRowMaker
from marey.engines.table_job import TableJob
from tests.support.command import marey

pytest.importorskip("ray")

from marey.engines.ray_engine import RayEngine


def rows_of(path: Path) -> list[str]:
    """All rows as text, so that NaN equals NaN, without the column seconds."""
    return list(map(repr, pq.read_table(path).drop_columns(["seconds"]).to_pylist()))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the processes of a node are found in /proc")
def test_a_node_that_is_killed_costs_no_row(corpus, tmp_path, monkeypatch) -> None:
    lines = corpus.list.read_text().splitlines()
    links = tmp_path / "links"
    links.mkdir()
    rows = []
    for number in range(6):  # each video under several names, for more rows
        for line in lines[1:]:
            path, _, segment = line.partition(",")
            link = links / f"{number}-{len(rows)}.mp4"
            link.symlink_to(corpus.folder / path)
            rows.append(f"{link.relative_to(tmp_path)},{segment}")
    (tmp_path / "list.csv").write_text("\n".join([lines[0], *rows]) + "\n")
    words = [corpus.checkpoint, "list.csv", "r.parquet", "--kill-after", 15]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.ray_job", *map(str, words)], cwd=tmp_path, capture_output=True, text=True,
        timeout=900, check=False, env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "on 2 nodes of Ray: 2 networks, each on 2 cores; 4 videos decoded at a time" in done.stderr
    assert "killed a node after" in done.stderr and "66 videos: 54 done, 12 failed" in done.stdout
    monkeypatch.chdir(tmp_path)
    compute, videos = Compute(), read_in_pieces(["list.csv"])
    fill_table(
        TableJob(PredictionRowMaker(corpus.model, compute, videos=66, top=5), videos, tmp_path / "a.parquet"),
        LocalEngine(compute),
    )
    assert rows_of(tmp_path / "r.parquet") == rows_of(tmp_path / "a.parquet")


class Interrupted(LocalEngine):
    """Raises KeyboardInterrupt after four rows."""

    def results(self, job, rows):
        yield from islice(super().results(job, rows), 4)
        raise KeyboardInterrupt


@pytest.mark.slow
def test_the_command_on_ray_resumes_a_table_that_was_begun_without_ray(corpus, tmp_path) -> None:
    compute, videos = Compute(), read_in_pieces([corpus.list])
    with pytest.raises(KeyboardInterrupt):
        fill_table(
            TableJob(PredictionRowMaker(corpus.model, compute, videos=11, top=5), videos, tmp_path / "r.parquet"),
            Interrupted(compute),
        )
    words = [sys.executable, "-m", "marey", "predict", str(corpus.checkpoint), str(corpus.list)]
    for out, missing, more in (("r.parquet", 7, ["--engine", "ray"]), ("a.parquet", 11, [])):
        done = subprocess.run(
            [*words, "--out", str(tmp_path / out), *more], capture_output=True, text=True, timeout=600, check=False,
            env=os.environ | {"RAY_worker_niceness": "0"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert f"{missing} videos: predicting with" in done.stderr
        assert "11 videos: 9 done, 2 failed" in done.stdout
        assert done.stdout.startswith(str(tmp_path))  # Ray prints nothing before it
    assert rows_of(tmp_path / "r.parquet") == rows_of(tmp_path / "a.parquet")


def node(**resources: float) -> dict[str, object]:
    return {"Alive": True, "Resources": resources}


@pytest.mark.parametrize(
    ("nodes", "options", "title"),
    [
        ([node(CPU=4), node(CPU=4)], {}, "2 nodes of Ray: 2 networks, each on 4 cores; 8 videos"),
        ([node(), node(CPU=4)], {}, "1 node of Ray: 1 network, each on 4 cores; 4 videos"),
        ([node(CPU=4), node(CPU=64)], {}, "2 nodes of Ray: 17 networks, each on 4 cores; 12 videos"),
        (
            [node(CPU=4), node(CPU=64)],
            {"cores": 8, "decoding": 3},
            "2 nodes of Ray: 8 networks, each on 8 cores; 3 videos",
        ),
        ([node(CPU=16, GPU=2)], {}, "1 node of Ray: 2 networks, each on a GPU; 8 videos"),
        ([node(CPU=16, GPU=2)], {"device": "cuda"}, "1 node of Ray: 2 networks, each on a GPU; 8 videos"),
        ([node(CPU=16, GPU=2)], {"device": "cpu"}, "1 node of Ray: 1 network, each on 16 cores; 8 videos"),
    ],
)
def test_networks_and_decoding_are_planned_by_the_nodes_cores_and_gpus(nodes, options, title) -> None:
    options = {"device": "auto", "cores": None, "decoding": None} | options
    assert title in ray_cluster._planned(None, nodes, **options).title


@pytest.mark.parametrize(
    ("nodes", "options", "message"),
    [
        ([node()], {}, "has no CPUs"),
        ([node(GPU=1)], {}, "has no CPUs"),
        ([node(CPU=4)], {"device": "cuda"}, "--device cuda: the Ray cluster has no GPUs"),
        ([node(CPU=4, GPU=2)], {"device": "cuda:1"}, "--device cuda:1: on Ray each network has one GPU"),
        ([node(CPU=4, GPU=2)], {"cores": 2}, "--actor-cores 2: networks run on 2 GPUs here"),
        ([node(CPU=4)], {"cores": 8}, "--actor-cores 8: no node has more than 4 CPUs"),
        ([node(CPU=4)], {"decoding": 0}, "--workers 0: on Ray other processes decode videos"),
    ],
)
def test_options_that_a_cluster_cannot_satisfy_are_refused_in_one_line(nodes, options, message) -> None:
    with pytest.raises(RunError, match=message) as raised:
        ray_cluster._planned(None, nodes, **{"device": "auto", "cores": None, "decoding": None} | options)
    assert "\n" not in str(raised.value)


class Refusing:
    """A decoder that refuses every video, as if something that it needs were not installed."""

    def decoded(self, video, rng) -> None:
        notice("a notice of the decoder")
        raise MareyError("needs what is not here")

    def fields(self, video) -> int:
        return 0


def test_an_error_of_decoding_reaches_the_process_that_fills_the_table() -> None:
    decoding = ray_decoding.DecodingActor(__version__, (Refusing(),), Limits())
    (videos,) = ray_decoding.video_blocks(iter([(7, VideoEntry.named("a.mp4", Path("a.mp4")))]))
    for _ in range(2):  # the actor also takes the next video
        (video,) = ray_decoding.singly(videos)
        found = pickle.loads(decoding(video).column("decoded")[0].as_buffer())
        assert found.row == 7 and str(found.decoded) == "needs what is not here"


def test_missing_rows_are_attempted_again_until_three_attempts_fail(corpus, tmp_path, monkeypatch, capsys) -> None:
    maker, attempted = PredictionRowMaker(corpus.model, Compute(), videos=11, top=5), []
    job = TableJob(maker, read_in_pieces([corpus.list]), tmp_path / "a.parquet")
    computed = iter([[0, 2], [], [2, 1], [], [], []])

    def attempt(self, decoders, videos, stall):
        attempted.append([row for row, _ in videos])
        for row in next(computed):
            yield ray_engine._ComputedRow(row, f"result {row}", [(notice, "a notice of an actor")], maker.take_counts())
        raise ray_engine._LostError("a node is gone, with 1 node alive")

    monkeypatch.setattr(RayEngine, "_attempt", attempt)
    monkeypatch.setattr(ray_cluster.Cluster, "join_again", lambda self: None)
    engine = RayEngine(ray_cluster.Cluster(None, 1, 0, 1, 1, 1), lambda: maker)
    results = engine.results(job, np.arange(4))
    assert [next(results) for _ in range(3)] == [(0, "result 0"), (2, "result 2"), (1, "result 1")]
    with pytest.raises(RunError, match="Ray: a node is gone, with 1 node alive; 1 row of 4 is left"):
        next(results)
    assert attempted == [[0, 1, 2, 3], [1, 3], [1, 3], [3], [3], [3]]
    err = capsys.readouterr().err
    assert err.count("a notice of an actor") == 1 and "2 rows of 4 are left, and tried again" in err


def test_another_version_on_a_node_is_refused() -> None:
    with pytest.raises(RunError, match="and the command 9.9.9: install the same version everywhere"):
        ray_decoding.DecodingActor("9.9.9", (), Limits())


def test_a_stall_shorter_than_a_video_may_take_is_refused(corpus, tmp_path) -> None:
    cluster = ray_cluster.Cluster(None, 1, 0, 1, 1, 1)
    job = TableJob(
        PredictionRowMaker(corpus.model, Compute(), videos=11, top=5),
        read_in_pieces([corpus.list]),
        tmp_path / "a.parquet",
    )
    engine = RayEngine(cluster, lambda: job.maker, Limits(seconds=250), 100)
    with pytest.raises(RunError, match="--stall 100: a video may take 250 s to decode here"):
        next(engine.results(job, np.arange(11)))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--address", "here:1"), "--address is for Ray: add --engine ray"),
        (("--actor-cores", 2), "--actor-cores is for Ray"),
        (("--stall", 100), "--stall is for Ray"),
        (("--engine", "ray", "--out", "a.jsonl"), "--engine ray writes tables alone: --out NAME.parquet"),
        (("--engine", "ray"), "--engine ray writes tables alone"),
        (("--engine", "ray", "--out", "a.parquet", "--address", "127.0.0.1:1"), "no Ray cluster answers there"),
        (("--engine", "ray", "--out", "a.parquet", "--address", "ray://host:10001"), "expected HOST:PORT"),
        (("--engine", "ray", "--out", "a.parquet", "--address", "host"), "expected HOST:PORT"),
    ],
)
def test_what_ray_cannot_do_is_one_line(corpus, tmp_path, monkeypatch, words, message) -> None:
    monkeypatch.chdir(tmp_path)
    done = marey("predict", corpus.checkpoint, corpus.list, *words)
    assert done.exit_code == 1
    assert message in done.stderr and done.stderr.count("\n") == 1


def test_without_ray_one_line_says_what_to_install(corpus, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    done = marey("predict", corpus.checkpoint, corpus.list, "--out", tmp_path / "a.parquet", "--engine", "ray")
    assert done.exit_code == 1
    assert '--engine ray needs Ray Data: pip install "marey[ray]"' in done.stderr
