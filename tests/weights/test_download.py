"""Downloads from a server on this machine that stalls, cuts off, sends wrong headers or files; two processes at once."""

import hashlib
import logging
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from email.utils import formatdate
from pathlib import Path

import pytest

from marey.base.bars import Bar
from marey.base.errors import WeightsError
from marey.base.files import locked
from marey.base.reporter import LoggingReporter, SilentReporter, reporting
from marey.recipe.hosts import OPENMMLAB_BUCKET, HostState
from marey.recipe.source import Hash
from marey.weights.fetching import connections
from marey.weights.fetching.connections import AbsentError, SourceError
from marey.weights.fetching.download import RetryPolicy, download
from marey.weights.files.other_formats import HEAD, foreign_body
from marey.weights.foreign import read_contents
from tests.support.platforms import posix
from tests.support.serving import by_path, chunked, says, serving, whole

CONTENT = bytes(range(256)) * 12_000
OTHER = CONTENT[:-1] + b"x"
DIGITS = hashlib.sha256(CONTENT).hexdigest()
KNOWN = Hash(digits=DIGITS)
BLOB = Hash(algorithm="git_blob", digits=hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest())
FAST = RetryPolicy(pause=0.01, timeout=5.0, tries=3)
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in ("MAREY_OFFLINE", "MAREY_MIRROR", *PROXIES, *(name.lower() for name in PROXIES)):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "cache" / "a.pth"


def fetched(url: str, target: Path, *, known: Hash | None = KNOWN, size: int | None = None, retries=FAST) -> bytes:
    download(url, target, known=known, size=size, retries=retries)
    return target.read_bytes()


def files(target: Path) -> set[str]:
    return {path.name for path in target.parent.rglob("*") if path.is_file()}


@pytest.mark.parametrize("known", [KNOWN, Hash(digits=DIGITS[:8]), Hash(digits=DIGITS.upper()), BLOB, None])
def test_a_file_is_downloaded_once(known, target) -> None:
    with serving(whole(CONTENT)) as server:
        for _ in range(2):
            assert fetched(f"{server.url}/models/a.pth", target, known=known) == CONTENT
        assert len(server.asked) == 1
    assert files(target) == {"a.pth"}


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
def test_a_download_survives_passing_failures_of_a_server(name, target) -> None:
    answers, ranges = BAD_DAYS[name]
    with serving(*answers) as server:
        if name == "another file, and it does not say so":
            # Two halves that do not belong together are seen by their hash, and thrown away, in the next call.
            with pytest.raises(WeightsError, match="not the file that was published"):
                fetched(f"{server.url}/a.pth", target)
            assert not any(target.parent.iterdir())
        assert fetched(f"{server.url}/a.pth", target) == CONTENT
        if ranges is not None:
            assert server.ranges[: len(ranges)] == ranges
    assert files(target) == {"a.pth"}


def test_a_stalled_connection_is_retried(target) -> None:
    over = threading.Event()
    with serving(whole(CONTENT, only=100, stall=over), whole(CONTENT)) as server:
        assert fetched(f"{server.url}/a.pth", target, retries=RetryPolicy(pause=0.01, timeout=0.3)) == CONTENT
        assert server.ranges == [None, "bytes=100-"]
        over.set()


def test_a_partial_download_is_resumed(target) -> None:
    with serving(whole(CONTENT, only=700_000)) as server, pytest.raises(WeightsError, match="cut off after"):
        fetched(f"{server.url}/a.pth", target, retries=RetryPolicy(tries=1))
    part = target.with_name("a.pth.part")
    assert part.stat().st_size == 700_000
    with serving(whole(CONTENT)) as server:
        fetched(f"{server.url}/a.pth", target)
        assert server.ranges == ["bytes=700000-"]


@pytest.mark.parametrize("left", [b"z" * 1000, b"z" * (len(CONTENT) + 1), CONTENT], ids=["wrong", "longer", "whole"])
def test_a_wrong_partial_file_is_discarded(left, target) -> None:
    target.parent.mkdir(parents=True)
    target.with_name("a.pth.part").write_bytes(left)
    with serving(whole(CONTENT)) as server:
        assert fetched(f"{server.url}/a.pth", target) == CONTENT
        assert len(server.asked) == (0 if left == CONTENT else 2)


@pytest.mark.parametrize(("mark", "asked"), [('"one"', "bytes=5000-"), ("", None)])
def test_without_a_hash_only_a_file_with_the_same_etag_is_resumed(mark, asked, target) -> None:
    target.parent.mkdir(parents=True)
    target.with_name("a.pth.part").write_bytes(b"z" * 1000)
    with serving(*[whole(CONTENT, mark=mark, only=5000)] * 2, whole(CONTENT, mark=mark)) as server:
        for _ in range(2):
            with pytest.raises(SourceError, match="cut off"):
                fetched(f"{server.url}/a.pth", target, known=None, retries=RetryPolicy(tries=1))
        assert fetched(f"{server.url}/a.pth", target, known=None) == CONTENT
        assert server.ranges == [None, asked, "bytes=10000-" if mark else None]
    target.unlink()
    with serving(whole(CONTENT, mark=mark, only=5000), whole(CONTENT, mark=mark)) as server:
        assert fetched(f"{server.url}/a.pth", target, known=None) == CONTENT
        assert server.ranges == [None, asked]


def test_a_damaged_file_is_fetched_again(target) -> None:
    with serving(whole(CONTENT)) as server:
        fetched(f"{server.url}/a.pth", target)
        target.write_bytes(CONTENT[:-1])
        assert fetched(f"{server.url}/a.pth", target) == CONTENT


ENDS = {
    "a wrong file": (lambda: [whole(OTHER)], "its SHA-256 begins .* expected " + DIGITS),
    "shorter than it is": (lambda: [whole(CONTENT, length=1000)], "its SHA-256 begins"),
    "longer than it is, for ever": (lambda: [whole(CONTENT, length=len(CONTENT) + 9, ranges=False)], "cut off after"),
    "not there": (lambda: [says(404)], "answers 404 Not Found"),
    "forbidden": (lambda: [says(403)], "answers 403"),
    "broken": (lambda: [says(500)], "answers 500 .* 3 times in a row"),
    "hangs up": (lambda: [lambda request: None], "connection broke|no connection"),
    "leads to HTTP": (lambda: [says(302, Location="http://example.com/a.pth")], "redirects to http://example.com"),
    "leads to a file": (lambda: [says(302, Location="file:///etc/passwd")], "url .file:///etc/passwd. is not allowed"),
    "leads in a circle": (lambda: [says(302, Location="/a.pth")], "answers 302"),
    "too large": (lambda: [whole(CONTENT, length=1 << 40)], "too many for a checkpoint"),
}


@pytest.mark.parametrize("name", ENDS)
def test_lasting_failures_are_one_clear_line(name, target) -> None:
    answers, message = ENDS[name]
    with serving(*answers()) as server, pytest.raises(WeightsError, match=message) as caught:
        fetched(f"{server.url}/a.pth", target)
    text = str(caught.value)
    assert text.startswith(server.url)
    assert "--weights FILE" in text
    assert "MAREY_MIRROR" in text
    assert "\n" not in text
    assert "a.pth" not in files(target)


NO_BUCKET = (
    b"<?xml version='1.0'?>\n<Error><Code>NoSuchBucket</Code><Message>The bucket\ndoes not exist</Message></Error>"
)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_missing_file_is_recognised_by_its_status(status, target) -> None:
    with serving(says(status, NO_BUCKET)) as server, pytest.raises(AbsentError) as caught:
        fetched(f"{server.url}/a.pth", target)
    assert len(server.asked) == 1
    assert caught.value.status == pickle.loads(pickle.dumps(caught.value)).status == status
    assert str(status) in caught.value.what
    assert "(NoSuchBucket: The bucket does not exist)" in caught.value.what
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(("header", "waited"), [
    ("7", 7), ("86400", 60), ("a date", 60), ("soon", 0.01), ("-3", 0.01),
])  # fmt: skip
def test_a_server_may_ask_to_wait_for_a_minute(header, waited, target, monkeypatch) -> None:
    if header == "a date":
        header = formatdate(time.time() + 86_400, usegmt=True)
    pauses = []
    monkeypatch.setattr("marey.weights.fetching.download.time.sleep", pauses.append)
    with serving(says(429, Retry_After=header), whole(CONTENT)) as server:
        fetched(f"{server.url}/a.pth", target)
    assert [pause for pause in pauses if pause != 0.005] == [pytest.approx(waited)]


# -- what is no checkpoint

PAGE = b"\xef\xbb\xbf\n <!DocType HTML>\n<html><head><title>Sign in &amp;\n stay</title></head>" + b"<p>" * 4000
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + DIGITS.encode() + b"\nsize 97641409\n"
FOREIGN = {
    "a page": (PAGE, "a web page (Sign in & stay)"),
    "a page without a title": (b"<html><body>" + b"x" * 9000, "a web page"),
    "XHTML": (b"<?xml version='1.0'?><!DOCTYPE html><html><title>a</title></html>", "a web page (a)"),
    "a page in another encoding": ("<html><title>\xe4</title>".encode("latin-1"), "a web page (\ufffd)"),
    "a pointer": (POINTER, "a Git LFS pointer to a file of 97641409 bytes (git lfs pull fetches that file)"),
    "an error of S3": (NO_BUCKET, "an XML answer (NoSuchBucket: The bucket does not exist)"),
    "an error of an interface": (
        b'{"error": "Repository not found"}',
        'a JSON answer ({"error": "Repository not found"})',
    ),
    "nothing": (b"", "an empty file"),
}


@pytest.mark.parametrize("known", [KNOWN, None])
@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_that_is_no_checkpoint_is_named_and_removed(name, known, target) -> None:
    body, what = FOREIGN[name]
    with serving(says(200, body)) as server, pytest.raises(SourceError) as caught:
        fetched(f"{server.url}/a.pth", target, known=known, size=123)
    # Without a hash, the announced size alone shows another file.
    announced = f"the server has a file of {len(body)} bytes, expected 123"
    expected = f"{what} came where a checkpoint of 123 bytes was expected" if known else announced
    assert caught.value.what == f"{server.url}/a.pth: {expected}"
    assert len(server.asked) == 1
    assert not any(target.parent.iterdir())


def test_a_web_page_is_recognised_by_its_first_bytes(target) -> None:
    over = threading.Event()
    with serving(whole(PAGE, only=4000, stall=over)) as server, pytest.raises(SourceError, match="a web page .* came"):
        fetched(f"{server.url}/a.pth", target, known=None)
    over.set()
    assert not any(target.parent.iterdir())


def test_a_content_type_of_a_web_page_does_not_overrule_checkpoint_bytes(target) -> None:
    answers = [
        says(200, b"Please log in", Content_Type="text/html; charset=utf-8"),
        says(200, CONTENT, Content_Type="text/html"),
    ]
    with serving(*answers) as server:
        with pytest.raises(SourceError, match="a web page came"):
            fetched(f"{server.url}/a.pth", target, known=None)
        assert fetched(f"{server.url}/a.pth", target) == CONTENT


@pytest.mark.parametrize("start", [
    b"PK\x03\x04", b"\x80\x02}q\x00", b"<\0\0\0\0\0\0\0{\"a\"", b"{\0\0\0\0\0\0\0{\"a\"", b"(dp0\nS'a'\n", b"\x89HDF\r\n",
])  # fmt: skip
def test_bytes_of_a_possible_checkpoint_are_not_foreign(start) -> None:
    assert foreign_body((start + CONTENT)[:HEAD]) is None


@pytest.mark.parametrize("name", FOREIGN)
def test_a_local_file_that_is_no_checkpoint_is_named_too(name, tmp_path) -> None:
    body, what = FOREIGN[name]
    (tmp_path / "a.pth").write_bytes(body)
    with pytest.raises(WeightsError) as caught:
        read_contents(tmp_path / "a.pth")
    assert f"{tmp_path / 'a.pth'}: {what} where a checkpoint was expected" in str(caught.value)


def test_without_a_hash_the_size_decides(target) -> None:
    with serving(whole(CONTENT)) as server:
        with pytest.raises(SourceError, match=f"has a file of {len(CONTENT)} bytes, expected 99"):
            fetched(f"{server.url}/a.pth", target, known=None, size=99)
        assert fetched(f"{server.url}/a.pth", target, size=99) == CONTENT
    target.unlink()
    with (
        serving(chunked(CONTENT)) as server,
        pytest.raises(SourceError, match=f"it has {len(CONTENT)} bytes, expected 99"),
    ):
        fetched(f"{server.url}/a.pth", target, known=None, size=99)
    assert not any(target.parent.iterdir())


# -- addresses and ways


def test_redirects_on_this_machine_are_followed_with_their_range(target) -> None:
    with serving(says(302, Location="/b/c.pth"), whole(CONTENT)) as server:
        assert fetched(f"{server.url}/a.pth", target) == CONTENT
        assert [path for path, _ in server.asked] == ["/a.pth", "/b/c.pth"]


@pytest.mark.parametrize("url", [
    "http://example.com/a.pth", "ftp://example.com/a.pth", "file:///etc/passwd", "a.pth", "https:///a.pth", "https://[a/b",
    "https://example.com:many/a.pth", "http://localhost.example.com/a.pth",
])  # fmt: skip
def test_only_https(url, target) -> None:
    with pytest.raises(WeightsError, match="HTTPS only"):
        fetched(url, target)
    assert not target.parent.exists()


def test_blanks_and_accents_in_an_address_are_quoted_once(target) -> None:
    with serving(whole(CONTENT)) as server:
        fetched(f"{server.url}/a b%20\xe4.pth?x=1&y=%2F", target)
        assert server.asked[0][0] == "/a%20b%20%C3%A4.pth?x=1&y=%2F"


def test_a_redirect_to_a_host_that_is_gone_is_refused_unless_the_address_is_of_that_host(target, monkeypatch) -> None:
    gone = "https://open-mmlab.s3.ap-northeast-2.amazonaws.com/a.pth"
    with serving(says(302, Location=gone)) as server, pytest.raises(SourceError) as caught:
        fetched(f"{server.url}/a.pth", target)
    assert caught.value.what.startswith(
        f"{server.url}/a.pth: redirects to {gone}, on a host that is reported gone since 2021-08-12"
    )
    monkeypatch.setattr("marey.recipe.hosts._LOST", {"localhost": OPENMMLAB_BUCKET})
    answers = {"/a.pth": says(302, Location="/b.pth"), "/b.pth": whole(CONTENT)}
    with serving(by_path(answers)) as server:
        there = server.url.replace("127.0.0.1", "localhost")
        answers["/c.pth"] = says(302, Location=f"{there}/b.pth")
        assert fetched(f"{there}/a.pth", target) == CONTENT
        with pytest.raises(SourceError, match="is reported gone"):
            fetched(f"{server.url}/c.pth", target.with_name("c.pth"))


def test_a_server_without_a_connection_is_named(target, capsys) -> None:
    with serving(says(404)) as server:
        url = server.url
    with pytest.raises(SourceError, match="no connection .* 2 times in a row"):
        fetched(f"{url}/a.pth", target, retries=RetryPolicy(tries=2, pause=0.01))
    capsys.readouterr()
    with pytest.raises(SourceError, match=r"no connection \([^)]*\)\. Fetch"):
        fetched(f"{url}/a.pth", target, retries=RetryPolicy(tries_to_connect=1))
    assert capsys.readouterr().err == ""


def test_offline(target, monkeypatch) -> None:
    with serving(whole(CONTENT)) as server:
        monkeypatch.setenv("MAREY_OFFLINE", "1")
        with pytest.raises(WeightsError, match=r"a\.pth is not in the cache, and MAREY_OFFLINE forbids"):
            fetched(f"{server.url}/a.pth", target)
        assert server.asked == []
        monkeypatch.setenv("MAREY_OFFLINE", "0")
        assert fetched(f"{server.url}/a.pth", target) == CONTENT


def test_proxies_of_the_environment_are_used_and_named(target, monkeypatch) -> None:
    with serving(says(407)) as server:
        monkeypatch.setenv("HTTPS_PROXY", server.url.replace("://", "://me:secret@"))
        with pytest.raises(SourceError, match="no connection through the proxy 127.0.0.1:.*407") as caught:
            fetched("https://models.invalid/a.pth", target)
        assert "secret" not in str(caught.value)
        assert {path for path, _ in server.asked} == {"models.invalid:443"}
        asked = len(server.asked)
        monkeypatch.setenv("NO_PROXY", "other.example,models.invalid")
        with pytest.raises(SourceError, match=r"no connection \("):
            fetched("https://models.invalid/a.pth", target, retries=RetryPolicy(tries=1))
        assert len(server.asked) == asked
    with serving(whole(CONTENT)) as server:
        assert fetched(f"{server.url}/a.pth", target) == CONTENT


@pytest.mark.parametrize("proxy", ["socks5://h:1080", "http://me:secret@h:port", "http://", "http:/h", "::"])
def test_a_proxy_that_cannot_be_one(proxy, target, monkeypatch) -> None:
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(WeightsError, match="the environment's proxy .* cannot be used") as caught:
        fetched("https://models.invalid/a.pth", target)
    assert "secret" not in str(caught.value)


# -- the disk, progress, an interruption


def test_a_cache_below_a_file_is_refused_with_advice(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with serving(whole(CONTENT)) as server, pytest.raises(WeightsError, match="set MAREY_CACHE to another"):
        fetched(f"{server.url}/a.pth", tmp_path / "file" / "a.pth")


def test_a_full_disk_is_seen_before_the_download(target, monkeypatch) -> None:
    with serving(whole(CONTENT, only=1_000_000)) as server, pytest.raises(SourceError):
        fetched(f"{server.url}/a.pth", target, retries=RetryPolicy(tries=1))
    usage = shutil.disk_usage(target.parent)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage._replace(free=2_000_000))
    message = f"a.pth: 2072000 bytes are still to be fetched, and {target.parent} has 2000000 free: .* MAREY_CACHE"
    with serving(whole(CONTENT)) as server:
        with pytest.raises(WeightsError, match=message):
            fetched(f"{server.url}/a.pth", target, size=len(CONTENT))
        assert server.asked == []
        with pytest.raises(WeightsError, match=message) as caught:
            fetched(f"{server.url}/a.pth", target)
        assert not isinstance(caught.value, SourceError)
        monkeypatch.setattr("shutil.disk_usage", lambda folder: usage._replace(free=2_072_000))
        assert fetched(f"{server.url}/a.pth", target) == CONTENT


def test_progress_counts_what_is_still_to_come(target, caplog) -> None:
    caplog.set_level(logging.INFO, "marey")
    answers = [whole(CONTENT, only=1_000_000), whole(CONTENT)]
    with serving(*answers) as server, reporting(LoggingReporter(every=0.0)):
        fetched(f"{server.url}/a.pth", target)
    lines = [record.getMessage() for record in caplog.records]
    assert any(line.startswith("Fetching a.pth (3.1 MB): 1/4, ") and line.endswith(" s left") for line in lines), lines
    assert lines[-1].startswith("Fetching a.pth (3.1 MB, 1.0 there): 3 MB in "), lines


def test_small_files_come_without_a_bar(target, capsys) -> None:
    with serving(whole(CONTENT[:5000])) as server:
        fetched(f"{server.url}/a.pth", target, known=None)
    assert capsys.readouterr().err == ""


def test_an_interrupted_download_can_be_resumed(target) -> None:
    class Impatient(SilentReporter):
        def progress(self, title, *, total, unit):
            class Stopped(Bar):
                def advance(self, steps=1, *, note=None):
                    if steps:
                        raise KeyboardInterrupt

            return Stopped(title, total=total, unit=unit)

    with serving(whole(CONTENT)) as server:
        with reporting(Impatient()), pytest.raises(KeyboardInterrupt):
            fetched(f"{server.url}/a.pth", target)
        assert files(target) == {"a.pth.part", "a.pth.part.json"}
        there = target.with_name("a.pth.part").stat().st_size
        assert there > 0
        assert fetched(f"{server.url}/a.pth", target) == CONTENT
        assert server.ranges == [None, f"bytes={there}-"]


# -- processes


def process(url: str, target: Path, log: Path | None = None) -> subprocess.Popen:
    code = (
        "from pathlib import Path; from marey.recipe.source import Hash; "
        "from marey.weights.fetching.download import download; "
        f"download({url!r}, Path({str(target)!r}), known=Hash(digits={DIGITS!r}))"
    )
    with (log or Path(os.devnull)).open("w") as errors:
        return subprocess.Popen([sys.executable, "-c", code], stderr=errors, text=True)


def test_two_processes_at_once_fetch_once(target, tmp_path) -> None:
    slowly = threading.Event()

    def answer(request) -> None:
        slowly.wait(20)
        whole(CONTENT)(request)

    with serving(answer) as server:
        logs = [tmp_path / "0.log", tmp_path / "1.log"]
        both = [process(f"{server.url}/a.pth", target, log) for log in logs]
        while not any("another process is fetching a.pth" in log.read_text() for log in logs):
            assert all(p.poll() is None for p in both)
            time.sleep(0.05)
        slowly.set()
        assert [p.wait(timeout=30) for p in both] == [0, 0], [log.read_text() for log in logs]
        assert len(server.asked) == 1
    assert target.read_bytes() == CONTENT


def test_failures_of_many_at_once_stop_none_and_leave_no_file(target) -> None:
    with serving(says(404)) as server, ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(fetched, f"{server.url}/{n % 4}.pth", target.with_name(f"{n % 4}.pth")) for n in range(64)]
        errors = [call.exception() for call in calls]
    assert [type(error) for error in errors] == [AbsentError] * 64
    assert not any(target.parent.iterdir())


@posix
def test_a_killed_process_leaves_no_stale_lock(target) -> None:
    over = threading.Event()
    with serving(whole(CONTENT, only=500_000, stall=over), whole(CONTENT)) as server:
        first = process(f"{server.url}/a.pth", target)
        part = target.with_name("a.pth.part")
        while not part.exists() or part.stat().st_size < 100_000:
            assert first.poll() is None
            time.sleep(0.02)
        with pytest.raises(BlockingIOError), locked(target.with_name("a.pth.lock"), wait=False):
            pass
        first.send_signal(signal.SIGKILL)
        first.communicate()
        assert not target.exists()
        assert fetched(f"{server.url}/a.pth", target) == CONTENT
        assert server.ranges[1].startswith("bytes=")
        over.set()


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Length": "²"},
        {"Content-Length": "9" * 5000},
        {"Location": "https://[::1/x", "status": 302},
        {"Location": "https://a..b/x", "status": 302},
        {"Content-Encoding": "gzip"},
    ],
)
def test_invalid_headers_of_a_server_are_one_clear_line(headers, target) -> None:
    status = headers.pop("status", 200)
    answer = says(
        status, CONTENT if status == 200 else b"", **{name.replace("-", "_"): text for name, text in headers.items()}
    )
    with serving(answer) as server, pytest.raises(SourceError) as caught:
        fetched(f"{server.url}/a.pth", target, known=Hash(digits="0" * 64))
    assert "\n" not in str(caught.value)
    assert not target.exists()


def test_invalid_notes_of_a_partial_download_are_ignored(target) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    for notes in ("[" * 100_000, '{"url": "URL", "mark": "a\\nb"}', '{"url": "URL", "mark": "\u4e2d"}'):
        with serving(whole(CONTENT)) as server:
            target.with_name("a.pth.part").write_bytes(CONTENT[:1000])
            target.with_name("a.pth.part.json").write_text(
                notes.replace("URL", f"{server.url}/a.pth"), encoding="utf-8"
            )
            assert fetched(f"{server.url}/a.pth", target) == CONTENT
        target.unlink()


def test_a_lost_host_is_led_to_only_where_a_hash_is_known(target, monkeypatch) -> None:
    lost = HostState(reported="lost and back", date=date(2026, 6, 6), evidence="a/b#1")
    monkeypatch.setattr(
        connections, "state_of", lambda url: lost if "localhost" in url else HostState(reported="no loss reported")
    )
    with serving(whole(CONTENT)) as there:
        address = there.url.replace("127.0.0.1", "localhost")
        with serving(says(302, Location=f"{address}/a.pth")) as server:
            with pytest.raises(SourceError, match="on a host that is reported lost and back since 2026-06-06"):
                fetched(f"{server.url}/a.pth", target, known=None)
            assert fetched(f"{server.url}/a.pth", target) == CONTENT
