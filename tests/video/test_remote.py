"""Videos on servers: fetched in byte ranges where that saves work, equal to the file on disk, with one-line errors."""

import base64
import builtins
import io
import socket

import av
import numpy as np
import pytest

pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")
pytest.importorskip("s3fs")

import fsspec
import s3fs

import marey
from marey.base.address import Address
from marey.base.errors import DataError, DecodeError
from marey.base.reporter import CollectingReporter, reporting
from marey.video.reading import remote, servers
from marey.video.reading.containers import stated_seconds
from marey.video.reading.decoding import FetchError
from marey.video.reading.reader import open_video
from tests.support.made_videos import encode
from tests.support.servers import Server, serving

SECONDS = 60


@pytest.fixture(scope="module")
def containers(tmp_path_factory) -> dict[str, bytes]:
    """A video of 60 s with a key frame each second, its index in front or at the end; short ones in other containers."""
    folder = tmp_path_factory.mktemp("containers")
    picture = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    with av.open(str(folder / "end.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "20", "g": "25"})
        stream.width, stream.height, stream.pix_fmt = 120, 90, "yuv420p"
        for number in range(SECONDS * 25):
            frame = av.VideoFrame.from_ndarray(np.roll(picture, number % 7, axis=number % 2), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with (
        av.open(str(folder / "end.mp4")) as old,
        av.open(str(folder / "front.mp4"), "w", options={"movflags": "+faststart"}) as new,
    ):
        copy = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = copy
                new.mux(packet)
    for name in ("film.mkv", "film.avi", "film.ts"):
        encode(folder / name, 250, codec="mpeg4" if name == "film.avi" else "libx264")
    return {f"/containers/{path.name}": path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "MAREY_OFFLINE", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(servers, "_WAITS", (0.0, 0.0))
    monkeypatch.setattr(remote, "SMALL", 0)


@pytest.fixture
def web(containers):
    with serving(containers) as server:
        yield server


@pytest.fixture
def bucket(containers, monkeypatch):
    """S3 by the environment, as botocore reads it."""
    with serving(containers, s3=True) as server:
        for name, value in (
            ("AWS_ENDPOINT_URL", server.address), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"),
            ("AWS_DEFAULT_REGION", "us-east-1"), ("AWS_MAX_ATTEMPTS", "1"), ("AWS_CONFIG_FILE", "none"),
        ):  # fmt: skip
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
        servers._files_of.cache_clear()
        yield server
        servers._files_of.cache_clear()


def address(server: Server, name: str) -> str:
    return f"{server.address}/containers/{name}"


SOME = np.linspace(0, SECONDS * 25 - 1, 8).astype(int)


@pytest.mark.parametrize("name", ["front.mp4", "end.mp4", "film.mkv", "film.avi", "film.ts"])
def test_frames_are_those_of_the_file(web, containers, name) -> None:
    with open_video(containers[f"/containers/{name}"]) as local, open_video(address(web, name)) as far:
        assert np.array_equal(far.timestamps, local.timestamps)
        for wanted in (np.linspace(0, len(local) - 1, 8).astype(int), [7, 3, 3]):
            assert np.array_equal(far.read(wanted), local.read(wanted))


@pytest.mark.parametrize("name", ["front.mp4", "end.mp4"])
def test_some_frames_of_a_long_video_need_a_fraction_of_it(web, containers, name, monkeypatch) -> None:
    size = len(containers[f"/containers/{name}"])
    monkeypatch.setattr(remote, "BLOCK", size // 200)
    with open_video(address(web, name)) as video:
        assert web.sent < size / 10, "the index alone"
        video.read(SOME)
    assert web.sent < size / 2
    assert all(asked for method, _, asked in web.requests if method == "GET"), "by parts"


def test_25_frames_of_a_video_need_less_than_all_of_it(web, containers, monkeypatch) -> None:
    size = len(containers["/containers/front.mp4"])
    monkeypatch.setattr(remote, "BLOCK", size // 200)
    with open_video(address(web, "front.mp4")) as video:
        video.read(np.linspace(0, len(video) - 1, 25).astype(int))
    assert web.sent < 0.8 * size


@pytest.mark.parametrize("name", ["film.mkv", "film.avi", "film.ts"])
def test_containers_without_one_index_are_fetched_once(web, containers, name, monkeypatch) -> None:
    monkeypatch.setattr(remote, "BLOCK", 1 << 14)
    with open_video(address(web, name)) as video:
        sent = web.sent
        video.read(range(0, len(video), 100))
    assert web.sent == sent, "nothing more"
    assert sent < len(containers[f"/containers/{name}"]) + (1 << 15)


def test_a_small_file_is_one_request(web, monkeypatch) -> None:
    monkeypatch.setattr(remote, "SMALL", 1 << 30)
    with open_video(address(web, "end.mp4")) as video:
        video.read(SOME)
    assert (web.count("HEAD"), web.count("GET")) == (1, 1)


def test_sequential_reading_takes_few_requests(web, containers, monkeypatch) -> None:
    monkeypatch.setattr(remote, "BLOCK", len(containers["/containers/front.mp4"]) // 64)
    with open_video(address(web, "front.mp4")) as video:
        video.read(range(len(video)))
    assert web.count() < 20


def test_frames_from_a_bucket_are_those_of_the_file(bucket, containers) -> None:
    with open_video(containers["/containers/front.mp4"]) as local, open_video("s3://containers/front.mp4") as far:
        assert np.array_equal(far.read(SOME), local.read(SOME))
    assert all(asked for method, _, asked in bucket.requests if method == "GET"), "by parts"


def test_names_with_blanks_and_signatures_arrive_as_they_are_written(web, containers) -> None:
    web.files["/a b#1.mp4"] = containers["/containers/front.mp4"]
    for end in ("a%20b%231.mp4", "a b%231.mp4?X-Amz-Signature=a%2Fb%2Bc&x=1"):
        assert len(open_video(f"{web.address}/{end}")) == SECONDS * 25
        assert web.requests[-1][1] == "/" + end.replace(" ", "%20")


def test_a_login_in_an_address_is_sent_and_not_shown(web) -> None:
    web.password = "Basic " + base64.b64encode(b"me:secret").decode()
    there = address(web, "front.mp4").replace("://", "://me:secret@")
    with open_video(there) as video:
        assert video.name == address(web, "front.mp4")
        assert "secret" not in repr(video)
    with pytest.raises(FetchError, match=r"refuses it \(401 Unauthorized\)"):
        open_video(address(web, "front.mp4"))


def test_a_server_that_refuses_head_is_asked_by_get(web) -> None:
    web.head = False
    assert len(open_video(address(web, "front.mp4"))) == SECONDS * 25


@pytest.mark.parametrize(
    "behaviour",
    [{"ranges": False}, {"ranges": False, "honest": False}, {"length": False}, {"length": False, "ranges": False}],
    ids=str,
)
@pytest.mark.parametrize("name", ["front.mp4", "end.mp4"])
def test_a_server_without_byte_ranges_sends_all_with_one_warning(web, containers, name, behaviour, monkeypatch) -> None:
    for what, value in behaviour.items():
        setattr(web, what, value)
    reporter = CollectingReporter()
    with reporting(reporter), open_video(containers[f"/containers/{name}"]) as local:
        for _ in range(2):
            with open_video(address(web, name)) as far:
                assert np.array_equal(far.read(SOME), local.read(SOME))
    said = [message for _, message in reporter.take()]
    if name == "end.mp4" or behaviour != {"ranges": False, "honest": False}:
        assert len(said) == 1
        assert said[0].startswith(f"{web.address}: sends no byte ranges, so that each video is fetched entirely")


def test_a_file_that_is_too_large_to_be_fetched(web, monkeypatch) -> None:
    monkeypatch.setattr(remote, "_MOST_FETCHED", 1 << 18)
    assert len(open_video(address(web, "film.mkv"))) == 250, "by parts, since the server sends them"
    web.ranges = False
    with pytest.raises(FetchError, match="has more than 0.000244 GiB, and its server sends no byte ranges: download"):
        open_video(address(web, "front.mp4"))


def test_a_full_disk_is_reported(web, monkeypatch) -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(remote, "_temporary_file", Full)
    with pytest.raises(FetchError, match=r"cannot be stored in .* \(No space left on device\): free some space"):
        open_video(address(web, "film.mkv"))


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ({"status": 404}, "no such file on the server"),
        (
            {"status": 403},
            r"the server refuses it \(403 Forbidden\): check that your credentials permit reading it \(a sig",
        ),
        ({"status": 500}, "the server answers 500 Internal Server Error"),
        ({"break_off": 99}, "the connection broke off"),
    ],
    ids=str,
)
def test_a_servers_answer_is_reported(web, behaviour, said) -> None:
    for what, value in behaviour.items():
        setattr(web, what, value)
    with pytest.raises(DecodeError, match=rf"^{address(web, 'front.mp4')}\?sig=\.\.\.: {said}") as caught:
        open_video(address(web, "front.mp4") + "?sig=hidden")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (
            {"refused": ("/containers",)},
            r"refuses it \(Forbidden\): check that your credentials permit reading it \(AWS_PROFILE",
        ),
        ({"files": {}}, "no such file on the server"),
        ({"break_off": 99}, "the connection broke off"),
    ],
    ids=str,
)
def test_a_buckets_answer_is_reported(bucket, behaviour, said) -> None:
    for what, value in behaviour.items():
        setattr(bucket, what, value)
    with pytest.raises(FetchError, match=said):
        open_video("s3://containers/front.mp4")


def test_a_server_that_is_down() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(FetchError, match=f"^http://127.0.0.1:{port}/a.mp4: the server cannot be reached"):
        open_video(f"http://127.0.0.1:{port}/a.mp4")


def test_a_broken_connection_is_retried(web, bucket, containers) -> None:
    with open_video(containers["/containers/front.mp4"]) as local:
        for server, there in ((web, address(web, "front.mp4")), (bucket, "s3://containers/front.mp4")):
            with open_video(there) as video:
                server.break_off = 1
                assert np.array_equal(video.read([700, 701]), local.read([700, 701]))
                assert server.break_off == 0


def test_every_read_reports_a_server_that_stopped(web, capfd) -> None:
    with open_video(address(web, "front.mp4")) as video:
        web.status = 500
        for wanted in ([700], [1, 2], [0, 1499]):
            with pytest.raises(FetchError, match="the server answers 500"):
                video.read(wanted)
    assert not capfd.readouterr().err, "PyAV prints what is raised twice"


def test_a_file_that_became_shorter_is_reported(web) -> None:
    with open_video(address(web, "front.mp4")) as video:
        web.files["/containers/front.mp4"] = b"other"
        with pytest.raises(FetchError, match="has become shorter than its former .* bytes"):
            video.read([700])


@pytest.mark.parametrize(("content", "said"), [(b"", "the file is empty"), (b"no film" * 99, "Invalid data found")])
def test_a_file_that_is_no_video_is_reported(web, content, said) -> None:
    web.files["/a.mp4"] = content
    with pytest.raises(DecodeError, match=said):
        open_video(f"{web.address}/a.mp4")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rtsp://camera/1", r"^rtsp://camera/1: a live stream \(rtsp\)"),
        ("https://www.youtube.com/watch?v=x", "a web page with a video"),
        ("nothing://a.mp4", r"an address whose scheme is not read here \(nothing\)"),
    ],
)
def test_addresses_of_other_kinds_are_refused(text, said) -> None:
    with pytest.raises(DataError, match=said):
        open_video(text)


def test_the_stated_duration_needs_the_header_only(web, containers) -> None:
    assert stated_seconds(Address(address(web, "end.mp4"))) == SECONDS
    assert web.sent < len(containers["/containers/end.mp4"]) / 2
    assert all(asked for method, _, asked in web.requests if method == "GET")
    assert stated_seconds(Address(address(web, "none.mp4"))) is None


def test_offline_no_server_is_contacted(web, monkeypatch) -> None:
    monkeypatch.setenv("MAREY_OFFLINE", "1")
    with pytest.raises(DataError, match=r"lies on a server, and the network is not to be used \(--offline"):
        open_video(address(web, "front.mp4"))
    assert not web.requests


def test_a_missing_extra_is_named(monkeypatch) -> None:
    imported = builtins.__import__

    def without(name: str, *words: object, **more: object) -> object:
        if name == "marey.video.reading.servers":
            raise ImportError(name="fsspec")
        return imported(name, *words, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match=r'needs the extra remote: pip install "marey\[remote\]" \(fsspec is missing\)'):
        open_video("https://host/a.mp4")


def test_the_public_function_takes_an_address(tmp_path) -> None:
    path = encode(tmp_path / "a.mp4", 20)
    with fsspec.filesystem("memory").open("memory:///a.mp4", "wb") as file:
        file.write(path.read_bytes())
    with marey.open_video("memory:///a.mp4") as video, marey.open_video(f"file://{path}") as local:
        assert np.array_equal(video.read([0, 19]), local.read([0, 19]))
