"""Downloads against a server on this machine that stalls, cuts off, lies, changes its mind; and two processes at once."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import pytest
from serving import chunked, says, serving, whole

from marey.base.errors import WeightsError
from marey.base.files import locked
from marey.recipe import Weights
from marey.recipes import get_recipe
from marey.weights.checkpoint import save_checkpoint
from marey.weights.hub import cached_path, fetch, fetch_snapshot
from marey.weights.load import build_network, load_model

CONTENT = bytes(range(256)) * 12_000
OTHER = CONTENT[:-1] + b"x"
DIGITS = hashlib.sha256(CONTENT).hexdigest()
FAST = {"pause": 0.01, "timeout": 5.0}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MAREY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MAREY_OFFLINE", raising=False)
    monkeypatch.delenv("MAREY_MIRROR", raising=False)
    return tmp_path / "cache"


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("digits", [DIGITS, DIGITS[:8], DIGITS.upper()])
def test_a_file_comes_once(digits, cache) -> None:
    with serving(whole(CONTENT)) as server:
        path = fetch(f"{server.url}/models/a.pth", digits, **FAST)
        assert fetch(f"{server.url}/models/a.pth", digits, **FAST) == path
        assert len(server.asked) == 1
    assert path.read_bytes() == CONTENT
    assert path == cached_path("http://127.0.0.1/models/a.pth", digits)
    assert files(cache) == {"a.pth", "a.pth.lock"}


BAD_DAYS = {
    "cut off, then gone on with": ([whole(CONTENT, only=900_000), whole(CONTENT)], [None, "bytes=900000-"]),
    "cut off twice": ([whole(CONTENT, only=9), whole(CONTENT, only=9), whole(CONTENT)], [None, "bytes=9-", "bytes=18-"]),
    "ranges are ignored": ([whole(CONTENT, only=9), whole(CONTENT, ranges=False)], [None, "bytes=9-"]),
    "busy": ([says(503), says(429), whole(CONTENT)], [None] * 3),
    "another file by now": ([whole(OTHER, mark='"old"', only=10), whole(CONTENT)], [None, "bytes=10-"]),
    "another file, and it does not say so": (
        [whole(b"y" * 99, mark='"a"', only=10, length=len(CONTENT)), whole(CONTENT, if_range=False)],
        [None, "bytes=10-"],
    ),
    "longer than it is": ([whole(CONTENT, length=len(CONTENT) + 5), whole(CONTENT)], [None, f"bytes={len(CONTENT)}-"]),
    "no length": ([chunked(CONTENT)], [None]),
    "no length, cut off": ([chunked(CONTENT, only=1000), whole(CONTENT)], None),
    "an odd part": ([whole(CONTENT, only=9), says(206, **{"Content-Range": "bytes 3-8/9"}), whole(CONTENT)], None),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_DAYS)
def test_bad_days_that_pass(name, cache) -> None:
    answers, ranges = BAD_DAYS[name]
    with serving(*answers) as server:
        if name == "another file, and it does not say so":
            # Two halves that do not belong together are seen by their hash, and thrown away, in the next call.
            with pytest.raises(WeightsError, match="not the file that was published"):
                fetch(f"{server.url}/a.pth", DIGITS, **FAST)
            assert files(cache) == {"a.pth.lock"}
        assert fetch(f"{server.url}/a.pth", DIGITS, **FAST).read_bytes() == CONTENT
        if ranges is not None:
            assert server.ranges[: len(ranges)] == ranges
    assert files(cache) == {"a.pth", "a.pth.lock"}


def test_a_stall_ends(cache) -> None:
    over = threading.Event()
    with serving(whole(CONTENT, only=100, stall=over), whole(CONTENT)) as server:
        begun = time.monotonic()
        assert fetch(f"{server.url}/a.pth", DIGITS, pause=0.01, timeout=0.3).read_bytes() == CONTENT
        assert time.monotonic() - begun < 5
        assert server.ranges == [None, "bytes=100-"]
        over.set()


def test_what_another_day_left_is_gone_on_with(cache) -> None:
    with serving(whole(CONTENT, only=700_000)) as server, pytest.raises(WeightsError, match="cut off after"):
        fetch(f"{server.url}/a.pth", DIGITS, tries=1, **FAST)
    part = cached_path("http://x/a.pth", DIGITS).with_name("a.pth.part")
    assert part.stat().st_size == 700_000
    with serving(whole(CONTENT)) as server:
        fetch(f"{server.url}/a.pth", DIGITS, **FAST)
        assert server.ranges == ["bytes=700000-"]


@pytest.mark.parametrize("left", [b"z" * 1000, b"z" * (len(CONTENT) + 1), CONTENT], ids=["wrong", "longer", "whole"])
def test_a_wrong_beginning_is_thrown_away(left, cache) -> None:
    path = cached_path("http://x/a.pth", DIGITS)
    path.parent.mkdir(parents=True)
    path.with_name("a.pth.part").write_bytes(left)
    with serving(whole(CONTENT)) as server:
        assert fetch(f"{server.url}/a.pth", DIGITS, **FAST).read_bytes() == CONTENT
        assert len(server.asked) == (0 if left == CONTENT else 2)


def test_a_file_that_is_damaged_in_the_cache_is_fetched_again(cache, capsys) -> None:
    with serving(whole(CONTENT)) as server:
        path = fetch(f"{server.url}/a.pth", DIGITS, **FAST)
        path.write_bytes(CONTENT[:-1])
        assert fetch(f"{server.url}/a.pth", DIGITS, **FAST).read_bytes() == CONTENT
    assert "no longer the file" in capsys.readouterr().err


ENDS = {
    "a wrong file": (lambda: [whole(OTHER)], "its SHA-256 begins .* expected " + DIGITS),
    "shorter than it is": (lambda: [whole(CONTENT, length=1000)], "its SHA-256 begins"),
    "longer than it is, for ever": (lambda: [whole(CONTENT, length=len(CONTENT) + 9, ranges=False)], "cut off after"),
    "not there": (lambda: [says(404)], "answers 404 Not Found"),
    "forbidden": (lambda: [says(403)], "answers 403"),
    "broken": (lambda: [says(500)], "answers 500 .* 3 times in a row"),
    "hangs up": (lambda: [lambda request: None], "connection broke|no connection"),
    "leads to HTTP": (lambda: [says(302, Location="http://example.com/a.pth")], "leads on to http://example.com"),
    "leads to a file": (lambda: [says(302, Location="file:///etc/passwd")], "url .file:///etc/passwd. is not allowed"),
    "leads in a circle": (lambda: [says(302, Location="/a.pth")], "answers 302"),
    "too large": (lambda: [whole(CONTENT, length=1 << 40)], "too many for a checkpoint"),
}


@pytest.mark.parametrize("name", ENDS)
def test_what_does_not_pass_is_one_clear_line(name, cache) -> None:
    answers, message = ENDS[name]
    with serving(*answers()) as server, pytest.raises(WeightsError, match=message) as caught:
        fetch(f"{server.url}/a.pth", DIGITS, tries=3, **FAST)
    text = str(caught.value)
    assert text.startswith(server.url)
    assert "--weights FILE" in text
    assert "MAREY_MIRROR" in text
    assert "\n" not in text
    assert "a.pth" not in files(cache)


def test_redirects_on_this_machine_are_followed_with_their_range(cache) -> None:
    with serving(says(302, Location="/b/c.pth"), whole(CONTENT)) as server:
        assert fetch(f"{server.url}/a.pth", DIGITS, **FAST).read_bytes() == CONTENT
        assert [path for path, _ in server.asked] == ["/a.pth", "/b/c.pth"]


@pytest.mark.parametrize("url", ["http://example.com/a.pth", "ftp://example.com/a.pth", "file:///etc/passwd", "a.pth"])
def test_only_https(url) -> None:
    with pytest.raises(WeightsError, match="HTTPS only"):
        fetch(url, DIGITS, **FAST)


@pytest.mark.parametrize("digits", ["", "abc", DIGITS + "0", "g" * 64])
def test_only_hashes(digits) -> None:
    with pytest.raises(WeightsError, match="is no SHA-256"):
        fetch("https://example.com/a.pth", digits)


def test_nobody_there() -> None:
    with serving(says(404)) as server:
        url = server.url
    with pytest.raises(WeightsError, match="no connection .* 2 times in a row"):
        fetch(f"{url}/a.pth", DIGITS, tries=2, **FAST)


def test_offline(monkeypatch) -> None:
    with serving(whole(CONTENT)) as server:
        monkeypatch.setenv("MAREY_OFFLINE", "1")
        with pytest.raises(WeightsError, match="MAREY_OFFLINE forbids"):
            fetch(f"{server.url}/a.pth", DIGITS)
        monkeypatch.setenv("MAREY_OFFLINE", "0")
        path = fetch(f"{server.url}/a.pth", DIGITS)
        monkeypatch.setenv("MAREY_OFFLINE", "1")
        assert fetch(f"{server.url}/a.pth", DIGITS) == path
        assert len(server.asked) == 1


def test_a_mirror(monkeypatch) -> None:
    with serving(whole(CONTENT)) as server:
        monkeypatch.setenv("MAREY_MIRROR", f"{server.url}/copy/")
        fetch("https://models.example.com/deep/a.pth", DIGITS, **FAST)
        assert server.asked[0][0] == "/copy/models.example.com/deep/a.pth"
    monkeypatch.setenv("MAREY_MIRROR", "http://mirror.example.com")
    with pytest.raises(WeightsError, match="http://mirror.example.com/x.com/b.pth: weights are fetched by HTTPS only"):
        fetch("https://x.com/b.pth", DIGITS)


def test_a_full_disk(monkeypatch, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MAREY_CACHE", str(tmp_path / "file"))
    with serving(whole(CONTENT)) as server, pytest.raises(WeightsError, match="set MAREY_CACHE to another"):
        fetch(f"{server.url}/a.pth", DIGITS, **FAST)


# -- processes


def process(url: str, cache: Path, log: Path | None = None) -> subprocess.Popen:
    code = f"from marey.weights.hub import fetch; print(fetch({url!r}, {DIGITS!r}))"
    environment = os.environ | {"MAREY_CACHE": str(cache)}
    with (log or Path(os.devnull)).open("w") as errors:
        return subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=-1, stderr=errors, text=True)


def test_two_processes_at_once_fetch_once(cache, tmp_path) -> None:
    slowly = threading.Event()

    def answer(request) -> None:
        slowly.wait(20)
        whole(CONTENT)(request)

    with serving(answer) as server:
        logs = [tmp_path / "0.log", tmp_path / "1.log"]
        both = [process(f"{server.url}/a.pth", cache, log) for log in logs]
        while not any("another process is fetching a.pth" in log.read_text() for log in logs):
            assert all(p.poll() is None for p in both)
            time.sleep(0.05)
        slowly.set()
        told = [p.communicate(timeout=30) for p in both]
        assert len(server.asked) == 1
    assert [out.strip() for out, _ in told] == [str(cached_path("x/a.pth", DIGITS))] * 2, told
    assert cached_path("x/a.pth", DIGITS).read_bytes() == CONTENT


def test_a_killed_process_leaves_no_stale_lock(cache) -> None:
    over = threading.Event()
    with serving(whole(CONTENT, only=500_000, stall=over), whole(CONTENT)) as server:
        first = process(f"{server.url}/a.pth", cache)
        path = cached_path("x/a.pth", DIGITS)
        part = path.with_name("a.pth.part")
        while not part.exists() or part.stat().st_size < 100_000:
            assert first.poll() is None
            time.sleep(0.02)
        with pytest.raises(BlockingIOError), locked(path.with_name("a.pth.lock"), wait=False):
            pass
        first.send_signal(signal.SIGKILL)
        first.communicate()
        assert not path.exists()
        assert fetch(f"{server.url}/a.pth", DIGITS, **FAST).read_bytes() == CONTENT
        assert server.ranges[1].startswith("bytes=")
        over.set()


# -- models


SMALL = get_recipe("slowonly_r18_8x2_motions").variant(model={"width": 4, "num_classes": 3})


def test_load_model_fetches(tmp_path) -> None:
    model = build_network(SMALL, ("a", "b", "c"))
    save_checkpoint(tmp_path / "a.safetensors", model, SMALL, model.class_names)
    content = (tmp_path / "a.safetensors").read_bytes()
    with serving(whole(content)) as server:
        weights = Weights(
            url=f"{server.url}/a.safetensors", sha256=hashlib.sha256(content).hexdigest()[:8], layout="mmaction",
            licence="Apache-2.0",
        )  # fmt: skip
        loaded = load_model(SMALL.variant(weights=weights))
    state = model.network.state_dict()
    assert all((value == state[name]).all() for name, value in loaded.network.state_dict().items())


def test_hugging_face(tmp_path, monkeypatch) -> None:
    asked = {}

    def snapshot_download(name, **options):
        asked.update(options, name=name)
        return str(tmp_path / "snapshot")

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=snapshot_download))
    (tmp_path / "snapshot").mkdir()
    save_checkpoint(tmp_path / "snapshot" / "model.safetensors", build_network(SMALL), SMALL)
    assert load_model("hf://me/actions@v2").recipe == SMALL
    assert (asked["name"], asked["revision"], asked["local_files_only"]) == ("me/actions", "v2", False)
    assert load_model(weights="hf://me/actions").recipe == SMALL
    assert asked["revision"] is None
    for address in ("hf://me", "hf://a/b/c", "hf:///b"):
        with pytest.raises(WeightsError, match="expected hf://org/name"):
            fetch_snapshot(address)
    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=lambda *_, **__: 1 / 0))
    with pytest.raises(WeightsError, match="hf://a/b: cannot be fetched"):
        fetch_snapshot("hf://a/b")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(WeightsError, match=r'pip install "marey\[hub\]"'):
        load_model("hf://a/b")
