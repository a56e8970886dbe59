"""Lists of videos on servers: used as lists of files for prediction, tests, training and identities; errors before work."""

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")
pytest.importorskip("s3fs")

from torch.utils.data import DataLoader

import marey
from marey.base.address import Address
from marey.base.errors import DataError
from marey.base.reporter import CollectingReporter, reporting
from marey.data.files.identity import equal_contents, file_identity
from marey.data.files.missing import refuse_addresses, require_present
from marey.data.lists.pieces import read_in_pieces
from marey.data.lists.read_videos import as_videos, read_videos
from marey.data.lists.videos import VideoList
from marey.data.loading.limited_decoding import Limits, decode_limited
from marey.data.loading.workers import AheadLoader, same_item
from marey.video.reading import servers
from marey.video.reading.remote import RemoteFile
from marey.weights.checkpoint import save_checkpoint
from marey.weights.load import build_model
from tests.support.command import marey as command
from tests.support.made_videos import write_videos
from tests.support.servers import serving
from tests.support.tiny import RECIPE


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("remote")
    write_videos(folder / "clips", 2)
    save_checkpoint(folder / "m.safetensors", build_model(RECIPE, class_names=["jump", "run"]))
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.mp4"))
    (folder / "list.csv").write_text("path,label\n" + "".join(f"{name},{name.split('/')[1]}\n" for name in names))
    return folder


@pytest.fixture
def web(clips, monkeypatch):
    monkeypatch.chdir(clips)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "MAREY_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(servers, "_WAITS", (0.0, 0.0))
    with serving(
        {f"/b/{path.relative_to(clips).as_posix()}": path.read_bytes() for path in clips.rglob("*.mp4")}
    ) as server:
        yield server


@pytest.fixture
def bucket(clips, monkeypatch):
    monkeypatch.chdir(clips)
    files = {f"/b/{path.relative_to(clips).as_posix()}": path.read_bytes() for path in clips.rglob("*.mp4")}
    with serving(files, s3=True) as server:
        monkeypatch.delenv("MAREY_OFFLINE", raising=False)
        for name, value in (
            ("AWS_ENDPOINT_URL", server.address), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"),
            ("AWS_DEFAULT_REGION", "us-east-1"), ("AWS_CONFIG_FILE", "none"),
        ):  # fmt: skip
            monkeypatch.setenv(name, value)
        servers._files_of.cache_clear()
        yield server
        servers._files_of.cache_clear()


def written(folder: Path, server: str, end: str = "") -> Path:
    """A list of the clips by their addresses."""
    header, *rows = (folder / "list.csv").read_text().splitlines()
    cells = [row.split(",") for row in rows]
    path = folder / "there.csv"
    path.write_text("\n".join([header, *(f"{server}/{name}{end},{label}" for name, label in cells)]) + "\n")
    return path


@pytest.mark.parametrize("workers", [0, 2])
def test_predictions_are_those_of_the_files(web, clips, workers) -> None:
    here = marey.predict("m.safetensors", "list.csv", workers=0)
    there = marey.predict("m.safetensors", written(clips, f"{web.address}/b"), workers=workers)
    below = marey.predict("m.safetensors", "list.csv", root=f"{web.address}/b", workers=workers)
    for one, two, three in zip(here, there, below, strict=True):
        assert np.array_equal(one.probabilities, two.probabilities)
        assert np.array_equal(one.probabilities, three.probabilities)
        assert str(two.path) == str(three.path) == two.id == f"{web.address}/b/{one.path}"


@pytest.mark.parametrize(
    "method",
    [
        "ahead",
        *(
            pytest.param(method, marks=[] if method == "fork" else pytest.mark.slow)  # which import torch again
            for method in multiprocessing.get_all_start_methods()
        ),
    ],
)
def test_each_decoding_process_has_its_own_connections(bucket, method) -> None:
    videos = read_videos("list.csv", root="s3://b")
    assert all(RemoteFile(video.path).size for video in videos), "this process has open connections when it forks"
    dataset = marey.ViewDataset(videos, RECIPE.test.sampling, RECIPE.pixels, identify=True)
    how = {"batch_size": None, "sampler": range(len(videos)), "collate_fn": same_item}
    if method == "ahead":
        found = list(AheadLoader(dataset, workers=2, **how))
    else:
        found = list(DataLoader(dataset, num_workers=2, multiprocessing_context=method, **how))
    assert [item.identity for item in found] == [file_identity(path) for path in sorted(Path("clips").rglob("*.mp4"))]


def test_one_address_gives_one_prediction(web) -> None:
    found = marey.predict("m.safetensors", f"{web.address}/b/clips/run/v1.mp4", workers=0)
    assert isinstance(found, marey.Prediction)
    assert found.path == Address(f"{web.address}/b/clips/run/v1.mp4")
    for one in (Path(f"{web.address}/b/clips/run/v1.mp4"), (Path.cwd() / "clips/run/v1.mp4").as_uri()):
        assert np.array_equal(marey.predict("m.safetensors", one, workers=0).probabilities, found.probabilities)
    with pytest.raises(marey.DecodeError, match="no such file on the server"):
        marey.predict("m.safetensors", f"{web.address}/b/none.mp4", workers=0)


def test_signatures_of_addresses_are_in_no_result(web, clips, tmp_path, capsys) -> None:
    listed = written(clips, f"{web.address}/b", "?X-Amz-Signature=5ecret")
    marey.evaluate("m.safetensors", listed, out=tmp_path / "e", workers=0)
    marey.features("m.safetensors", listed, out=tmp_path / "f", workers=0)
    assert command("predict", "m.safetensors", str(listed), "--out", str(tmp_path / "a")).exit_code == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file() and b"5ecret" in path.read_bytes()] == []
    assert "5ecret" not in "".join(capsys.readouterr())
    with_new_signatures = marey.read_videos(listed).fingerprint
    assert (
        marey.read_videos(written(clips, f"{web.address}/b", "?X-Amz-Signature=other")).fingerprint
        == with_new_signatures
    )


def test_a_table_resumes_with_a_list_with_new_signatures(web, clips, tmp_path) -> None:
    pytest.importorskip("pyarrow")
    names = [path.relative_to(clips).as_posix() for path in sorted(clips.rglob("*.mp4"))]
    for number, key in ((1, "5ecret"), (2, "renewed"), (1, "again")):
        (tmp_path / "l.txt").write_text("".join(f"{web.address}/b/{name}?token={key}\n" for name in names))
        done = command(
            "predict", "m.safetensors", str(tmp_path / "l.txt"), "--workers", "0", "--shard", f"{number}/2", "--out",
            str(tmp_path / f"{number}.parquet"),
        )  # fmt: skip
        assert done.exit_code == 0, done.output
    assert (
        command(
            "merge", *(str(tmp_path / f"{n}.parquet") for n in (1, 2)), "--out", str(tmp_path / "m.parquet")
        ).exit_code
        == 0
    )
    assert read_videos(tmp_path / "m.parquet").ids.tolist() == [f"{web.address}/b/{name}?token=..." for name in names]


def test_a_test_of_a_list_below_an_address_is_read_again(web, clips, tmp_path) -> None:
    found = marey.evaluate("m.safetensors", "list.csv", root=f"{web.address}/b", out=tmp_path / "e", workers=0)
    assert found.scores.ids[0] == f"{web.address}/b/clips/jump/v0.mp4"
    reporter = CollectingReporter()
    with reporting(reporter):
        assert command("report", str(tmp_path / "e")).exit_code == 0
    assert not reporter.take(), "the page has clips"


def test_a_network_trains_on_a_server(web, tmp_path) -> None:
    recipe = RECIPE.with_settings(["train.epochs=1"])
    marey.fit(recipe, train="list.csv", val="list.csv", root=f"{web.address}/b", out=tmp_path / "t", workers=0)
    assert (tmp_path / "t" / "last.safetensors").is_file()


def test_the_identity_is_that_of_the_file(web, clips, tmp_path) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(np.random.default_rng(0).bytes(300_000))
    small = next(clips.rglob("*.mp4"))
    for path in (large, small):
        web.files[f"/{path.name}"] = path.read_bytes()
        web.forget()
        assert file_identity(Address(f"{web.address}/{path.name}")) == file_identity(path)
        assert web.sent <= 2 << 16
        assert web.count("GET") <= 2
    web.ranges = False
    assert file_identity(f"{web.address}/large.bin") == file_identity(large)
    there = f"{web.address}/{small.name}"
    assert equal_contents([str(small), str(large), there, f"{web.address}/none"]).tolist() == [0, 1, 0, -1]


def test_a_bucket_that_refuses_is_an_error_before_work(bucket, clips) -> None:
    bucket.refused = ("/b",)
    for words in (
        ("predict", "m.safetensors", "list.csv", "--root", "s3://b"),
        ("features", "m.safetensors", "--data", str(written(clips, "s3://b")), "--out", "f"),
        ("evaluate", "m.safetensors", "--data", "list.csv", "--root", "s3://b", "--out", "e"),
    ):
        bucket.forget()
        done = command(*words)
        assert done.exit_code == 1
        assert len(done.stderr.splitlines()) == 1
        assert (
            "s3://b returns none of the 3 requested of its 4 videos; the first, s3://b/clips/jump/v0.mp4: the"
            in done.stderr
        )
        assert len(bucket.requests) == 3


def test_a_server_of_few_videos_that_refuses_is_a_warning(web, clips) -> None:
    web.refused = ("/private",)
    text = (clips / "list.csv").read_text() + f"{web.address}/private/a.mp4,run\n"
    (clips / "mixed.csv").write_text(text)
    reporter = CollectingReporter()
    with reporting(reporter):
        require_present(None, marey.read_manifest(clips / "mixed.csv"))
    assert ["returns none of the 1 requested of its 1 video" in message for _, message in reporter.take()] == [True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s3://b/list.csv", "lists are read from this machine: fetch it first"),
        ("https://host/list.jsonl?x=1", "lists are read from this machine"),
        ("s3://b/clips/", "folders on servers are not searched"),
        ("rtsp://camera/1", "a live stream"),
    ],
)
def test_what_is_no_video_on_a_server_is_refused(text, message) -> None:
    for read in (read_videos, as_videos, lambda one: as_videos([one])):
        with pytest.raises(DataError, match=message):
            read(text)


def test_a_labelled_list_on_a_server_is_refused(clips) -> None:
    with pytest.raises(DataError, match=r"^s3://b/list\.csv: lists are read from this machine"):
        marey.read_manifest("s3://b/list.csv")


@pytest.mark.parametrize(
    "words",
    [
        ("data", "audit"),
        ("data", "flow", "--out", "o"),
        ("data", "resize", "--out", "o", "--short-side", "64"),
        ("train",),
    ],
)
def test_work_on_files_refuses_addresses(words, clips, monkeypatch) -> None:
    monkeypatch.chdir(clips)
    listed = written(clips, "s3://b")
    at = 1 if words == ("train",) else 2
    done = command(*words[:at], str(listed), *words[at:])
    assert done.exit_code == 1
    assert "4 videos are on servers (the first: s3://b/clips/jump/v0.mp4)" in done.stderr.splitlines()[-1]


def test_lists_of_files_are_not_refused(clips) -> None:
    refuse_addresses("work", marey.read_manifest(clips / "list.csv"))


def test_addresses_and_paths_in_python(clips, monkeypatch) -> None:
    monkeypatch.chdir(clips)
    videos = as_videos(["s3://b/a.mp4", "clips/jump/v0.mp4", "list.csv"])
    assert videos.ids.tolist()[:2] == ["s3://b/a.mp4", "clips/jump/v0.mp4"]
    assert videos[0].path == Address("s3://b/a.mp4")
    assert as_videos(videos[0]).ids.tolist() == ["s3://b/a.mp4"]
    assert VideoList.from_paths(Path("s3://b/a.mp4"))[0].path == Address("s3://b/a.mp4")
    assert os.fspath(videos[1].file) == "clips/jump/v0.mp4"
    with pytest.raises(DataError, match="is on a server, and only files on this machine can be used here"):
        _ = videos[0].file
    assert repr(videos[0]) == "VideoEntry('s3://b/a.mp4')"


@pytest.mark.parametrize(("name", "root"), [("list.csv", "s3://b/x"), ("there.csv", None), ("memory://a.mp4", None)])
def test_pieces_together_are_the_list(clips, monkeypatch, name, root) -> None:
    monkeypatch.chdir(clips)
    written(clips, "https://host/b", "?sig=1")
    at_once = read_videos(name, root=root)
    listed = read_in_pieces(name, root=root, size=3)
    for _ in range(2):
        assert np.concatenate([piece.ids for piece in listed.pieces()]).tolist() == at_once.ids.tolist()
    assert all("://" in one for one in at_once.ids.tolist())


def test_a_row_without_a_path_is_refused_below_an_address_too(tmp_path) -> None:
    (tmp_path / "l.csv").write_text("path,label\na.mp4,run\n,run\n")
    for read in (marey.read_manifest, read_videos, read_in_pieces):
        with pytest.raises(DataError, match="3: this row has no path"):
            read(tmp_path / "l.csv", root="s3://b")


def test_a_split_is_written_with_the_addresses(bucket, clips, tmp_path) -> None:
    listed = written(clips, "s3://b")
    assert command("data", "split", str(listed), "--out", str(tmp_path / "split.csv"), "--val", "0.5").exit_code == 0
    assert sorted(marey.read_manifest(tmp_path / "split.csv").ids) == sorted(marey.read_manifest(listed).ids)


def test_videos_on_a_server_are_decoded_under_limits(web) -> None:
    videos = read_videos("list.csv", root=f"{web.address}/b")
    dataset = marey.ViewDataset(videos, RECIPE.test.sampling, RECIPE.pixels, identify=True)
    found = list(decode_limited((dataset.decoder,), videos, workers=1, limits=Limits()))
    assert [decoded.item.identity for _, _, (decoded,) in found] == [
        file_identity(path) for path in sorted(Path("clips").rglob("*.mp4"))
    ]
