"""tools/links.py asks a server on this machine, which gives every kind of response."""

import datetime
import socket
import ssl
import threading
from pathlib import Path

import pytest
import trustme

from marey.recipe.hosts import HostState
from marey.recipe.source import CompanionFile, Hash, Source
from tests.support.serving import chunked, says, serving, whole
from tools import links
from tools.links import Answer, Network, ask, differences, table

TODAY = datetime.date(2026, 11, 27)
CONTENT = bytes(range(256)) * 40
DIGITS = "ab" * 32
BLOB = "cd" * 20
PAGE = b"<!DOCTYPE html><title>Sign in</title>"
NO_BUCKET = b'<?xml version="1.0"?>\n<Error><Code>NoSuchBucket</Code><Message>It is not there</Message></Error>'
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + DIGITS.encode() + b"\nsize 97641409\n"
LOST_BUCKET = "https://open-mmlab.s3.ap-northeast-2.amazonaws.com/a.pth"
IS_POINTER = "a Git LFS pointer to a file of 97641409 bytes (git lfs pull fetches that file)"
GONE = HostState(reported="gone", date=datetime.date(2021, 8, 12), evidence="o/r#1")
LIVES = HostState(reported="no loss reported")


@pytest.fixture(autouse=True)
def network_allowed(monkeypatch) -> None:
    monkeypatch.setenv("MAREY_OFFLINE", "0")
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca(authority, tmp_path) -> str:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return str(tmp_path / "ca.pem")


def network(**settings) -> Network:
    return Network(**({"rate": 10_000, "timeout": 10} | settings))


def source(address: str, **fields) -> Source:
    return Source(address=address, by="someone", layout="mmaction", **fields)


def tls(authority: trustme.CA, *names: str, ends: datetime.datetime | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    begins = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    authority.issue_cert(*names, not_before=begins, not_after=ends).configure_cert(context)
    return context


XML = {"Content-Type": "application/xml"}
HTML = {"Content-Type": "text/html; charset=utf-8"}
TEXT = {"Content-Type": "text/plain"}
CUT = {"Content-Length": "9000"}
ANSWERS = {
    "200": ([whole(CONTENT)], ["HEAD"], "answers 200", 10_240),
    "206 where HEAD is refused": ([says(403), whole(CONTENT)], ["HEAD", "GET"], "answers 206", 10_240),
    "405 to HEAD": ([says(405), whole(CONTENT, ranges=False)], ["HEAD", "GET"], "answers 200", 10_240),
    "501 to HEAD, no length at all": ([says(501), chunked(CONTENT)], ["HEAD", "GET"], "answers 200", None),
    "nothing": ([says(200)], ["HEAD", "GET"], "answers 200: an empty file", None),
    "401": ([says(401)], ["HEAD"], "answers 401", None),
    "403": ([says(403)], ["HEAD", "GET"], "answers 403", None),
    "404": ([says(404, PAGE, **HTML)], ["HEAD", "GET"], "answers 404", None),
    "404 to HEAD alone": ([says(404), whole(CONTENT)], ["HEAD", "GET"], "answers 206", 10_240),
    "410": ([says(410)], ["HEAD", "GET"], "answers 410", None),
    "429": ([says(429)], ["HEAD"], "answers 429", None),
    "503": ([says(503)], ["HEAD"], "answers 503", None),
    "a page": ([says(200, PAGE, **HTML)], ["HEAD", "GET"], "answers 200: a web page (Sign in)", None),
    "no bucket": ([says(404, NO_BUCKET, **XML)], ["HEAD", "GET"], "answers 404: NoSuchBucket: It is not there", None),
    "a pointer": ([says(200, POINTER, **TEXT)], ["HEAD", "GET"], f"answers 200: {IS_POINTER}", None),
    "a small file": ([says(200, POINTER)], ["HEAD", "GET"], f"answers 200: {IS_POINTER}", None),
    "cut off": ([says(405), says(200, b"PK\x03\x04", **CUT)], ["HEAD", "GET"],
                "answers 200: a file that is cut off after 4 of 9000 bytes", None),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_the_response_of_a_server_is_recognised(name) -> None:
    answers, methods, text, size = ANSWERS[name]
    with serving(*answers) as server:
        answer = ask(source(f"{server.url}/models/a%20b.pth?dl=1"), network())
    assert (answer.text, answer.size, answer.problem, answer.until) == (text, size, "", None)
    assert server.methods == methods
    assert {path for path, _ in server.asked} == {"/models/a%20b.pth?dl=1"}
    assert server.ranges == [None, "bytes=0-1023"][: len(methods)]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_is_followed(status) -> None:
    with serving(whole(CONTENT)) as other:
        there = f"http://localhost:{other.server.server_port}/store/ä b.pth"
        with serving(says(status, Location=there)) as server:
            answer = ask(source(f"{server.url}/a.pth"), network())
    assert answer.text == "answers 200 from localhost" and answer.size == 10_240
    assert other.methods == ["HEAD"] and other.asked[0][0] == "/store/%E4%20b.pth"


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://example.org/a.pth", "leads on to http://example.org/a.pth, which is not HTTPS"),
        ("ftp://example.org/a.pth", "leads on to ftp://example.org/a.pth, which is not HTTPS"),
        ("https:///x", "leads on to https:///x, which names no host"),
        (LOST_BUCKET, f"leads on to {LOST_BUCKET}, which is declared gone"),
        ("/a.pth", "leads from address to address without end"),
    ],
)
def test_redirects_that_are_not_followed(location, words) -> None:
    with serving(says(302, Location=location)) as server:
        answer = ask(source(f"{server.url}/a.pth"), network())
    assert answer.problem == "redirect" and answer.status == 302
    assert answer.text == words
    (difference,) = differences(source("https://x.org/a.pth"), answer)
    assert not difference.declare and difference.found.endswith("look there by hand")


@pytest.mark.parametrize(("error", "problem"), [(socket.EAI_NONAME, "name"), (socket.EAI_AGAIN, "connection")])
def test_a_redirect_to_an_unknown_host_does_not_make_the_first_host_gone(error, problem, monkeypatch) -> None:
    found = socket.getaddrinfo

    def look_up(host, *others, **named):
        return found(host, *others, **named) if host == "127.0.0.1" else raising(socket.gaierror(error, "no"))

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with serving(says(302, Location="https://store.invalid/a.pth")) as server:
        answer = ask(source(f"{server.url}/a.pth"), network())
    assert answer.problem == problem and answer.reached
    assert answer.text.startswith("after a redirect: no ") and "store.invalid" in answer.text
    (difference,) = differences(source("https://x.org/a.pth"), answer)
    assert not difference.declare and not difference.found.startswith("gone")


def test_https_does_not_lead_to_plain_http_on_this_machine(authority, ca) -> None:
    with serving(says(302, Location="http://127.0.0.1/a.pth"), tls=tls(authority, "127.0.0.1")) as server:
        answer = ask(source(f"{server.url}/a.pth"), network(ca=ca))
    assert answer.text == "leads on to http://127.0.0.1/a.pth, which is not HTTPS"


HASHES = {
    "the hub, large": ({"X-Linked-ETag": f'"{DIGITS}"', "X-Linked-Size": "97641409", "ETag": '"x"'}, "sha256", DIGITS, True),
    "the hub, small": ({"X-Repo-Commit": "1", "ETag": f'"{BLOB}"'}, "git_blob", BLOB, True),
    "metadata of a bucket": ({"x-amz-meta-sha256": DIGITS.upper()}, "sha256", DIGITS, True),
    "an ETag of 64 digits": ({"ETag": f'"{DIGITS}"'}, "sha256", DIGITS, False),
}  # fmt: skip


@pytest.mark.parametrize("name", HASHES)
def test_hashes_that_servers_give(name) -> None:
    headers, algorithm, digits, sure = HASHES[name]
    with serving(says(200, CONTENT, **headers)) as server:
        answer = ask(source(f"{server.url}/a.pth"), network())
    assert answer.hash == Hash(algorithm=algorithm, digits=digits)
    assert (answer.hash_is_certain, answer.size) == (sure, 97_641_409 if "X-Linked-Size" in headers else 10_240)


@pytest.mark.parametrize("headers", [{"ETag": f'"{BLOB}"'}, {"ETag": f'W/"{DIGITS}"'}, {"Content-MD5": "ab" * 16}])
def test_headers_that_are_no_hash_of_the_content_are_ignored(headers) -> None:
    with serving(says(200, CONTENT, **headers)) as server:
        assert ask(source(f"{server.url}/a.pth"), network()).hash is None


def test_the_hub_is_asked_over_https_and_its_first_answer_knows_the_file(monkeypatch) -> None:
    with serving(whole(CONTENT)) as store:
        knows = {"X-Linked-ETag": f'"{DIGITS}"', "X-Linked-Size": "97641409"}
        with serving(says(302, Location=f"{store.url}/b", **knows)) as hub:
            monkeypatch.setenv("HF_ENDPOINT", f"{hub.url}/")
            answer = ask(source("hf://org/name@v1/folder/a.pth"), network())
    assert hub.asked[0][0] == "/org/name/resolve/v1/folder/a.pth"
    assert answer.is_served and answer.size == 97_641_409 and answer.hash == Hash(digits=DIGITS)


def test_certificates(authority, ca) -> None:
    later, past = (datetime.datetime(year, 8, 16, tzinfo=datetime.UTC) for year in (2100, 2025))
    found = {}
    for name, context in {
        "good": tls(authority, "127.0.0.1", ends=later),
        "expired": tls(authority, "127.0.0.1", ends=past),
        "another name": tls(authority, "elsewhere.org", "www.elsewhere.org", ends=later),
        "another's": tls(trustme.CA(), "127.0.0.1", ends=later),
    }.items():
        with serving(whole(CONTENT), tls=context) as server:
            found[name] = ask(source(f"{server.url}/a.pth"), network(ca=ca))
        assert len(server.asked) == (name == "good")
    assert {name: (answer.problem, answer.text) for name, answer in found.items() if name != "another's"} == {
        "good": ("", "answers 200"),
        "expired": ("certificate", "the certificate of 127.0.0.1 expired on 2025-08-16"),
        "another name": ("certificate", "the certificate of 127.0.0.1 is for elsewhere.org, www.elsewhere.org"),
    }
    assert found["good"].until == later.date() and found["expired"].until == past.date()
    assert found["another's"].problem == "authority"
    assert found["another's"].text.startswith("the certificate of 127.0.0.1 is not trusted (")
    (difference,) = differences(source("https://x.org/a.pth"), found["another's"])
    assert not difference.declare and "--ca" in difference.found


def test_the_first_certificate_to_expire_counts(authority, ca) -> None:
    early, late = (datetime.datetime(year, 1, 1, tzinfo=datetime.UTC) for year in (2090, 2100))
    with (
        serving(whole(CONTENT), tls=tls(authority, "127.0.0.1", ends=late)) as store,
        serving(says(302, Location=f"{store.url}/b"), tls=tls(authority, "127.0.0.1", ends=early)) as server,
    ):
        assert ask(source(f"{server.url}/a.pth"), network(ca=ca)).until == early.date()


def test_a_host_without_name_connection_or_response_is_reported(monkeypatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        refused = ask(source(f"http://127.0.0.1:{closed.getsockname()[1]}/a.pth"), network())
    assert refused.problem == "connection" and "refused" in refused.text
    silence = threading.Event()
    with serving(lambda _: silence.wait(10) and None) as server:
        silent = ask(source(f"{server.url}/a.pth"), network(timeout=0.1))
        silence.set()
    assert (silent.problem, silent.text) == ("connection", "no byte for 0.1 s")
    nameless = ask(source("https://weights.invalid/a.pth"), network())
    assert "weights.invalid" in nameless.text and not nameless.reached
    for error, problem in ((socket.EAI_NONAME, "name"), (socket.EAI_AGAIN, "connection")):
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, error=error, **__: raising(socket.gaierror(error, "no")))
        assert ask(source("https://weights.invalid/a.pth"), network()).problem == problem


def raising(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    "answer", [says(302, Location="https://[::1"), lambda request: request.wfile.write(b"HI\r\n\r\n")]
)
def test_an_answer_that_makes_no_sense_ends_nothing(answer) -> None:
    with serving(answer) as server:
        found = ask(source(f"{server.url}/a.pth"), network())
    assert found.problem == "connection" and found.text.startswith("no connection (")


def test_a_proxy_of_the_environment_is_used(monkeypatch) -> None:
    with serving(says(502)) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url.replace("//", "//me:se%20cret@"))
        answer = ask(source("https://weights.invalid/a.pth"), network())
    assert (proxy.methods, proxy.asked[0][0]) == (["CONNECT"], "weights.invalid:443")
    assert proxy.asked[0][1]["Proxy-Authorization"] == "Basic bWU6c2UgY3JldA=="
    assert answer.text == "no connection (Tunnel connection failed: 502 Bad Gateway)"


@pytest.mark.parametrize("error", [socket.EAI_NONAME, socket.EAI_AGAIN])
def test_a_proxy_that_is_not_found_is_named_in_place_of_the_host(error, monkeypatch) -> None:
    monkeypatch.setenv("https_proxy", "http://me:secret@proxy.invalid:3128")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: raising(socket.gaierror(error, "no")))
    answer = ask(source("https://weights.org/a.pth"), network())
    assert (answer.problem, answer.reached) == ("connection", False)
    assert answer.text == "no connection (the proxy's name proxy.invalid cannot be looked up now)"


@pytest.mark.parametrize("proxy", ["socks5://me:secret@127.0.0.1:1080", "http://:3128", "http://proxy.org:port"])
def test_a_proxy_that_cannot_be_one_is_refused_before_anything_is_asked(proxy, monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path / "links.md", [source("https://weights.invalid/a.pth")])
    said = capsys.readouterr()
    assert "HTTPS_PROXY: expected http://host:port" in said.err and "secret" not in said.err and not said.out


@pytest.mark.parametrize("by", ["HTTP", "HTTPS"])
@pytest.mark.parametrize("what", ["the header", "the body"])
def test_a_server_that_sends_a_byte_now_and_then_is_given_up(what, by, authority, ca, monkeypatch) -> None:
    done = threading.Event()

    def drip(request) -> None:
        if what == "the body":
            says(200, **CUT)(request)
        while not done.wait(0.02):
            request.wfile.write(b"H")

    monkeypatch.setattr(links, "_SLOWEST", 0.05)
    before = [says(405)] if what == "the body" else []
    with serving(*before, drip, tls=tls(authority, "127.0.0.1") if by == "HTTPS" else None) as server:
        answer = ask(source(f"{server.url}/a.pth"), network(timeout=6, ca=ca))
        done.set()
    assert (answer.problem, answer.text) == ("connection", "no connection (no whole answer within 0.3 s)")


@pytest.mark.parametrize("host", ["中..x", "中.invalid", "a..x", "x" * 64 + ".org"])
def test_a_host_whose_name_cannot_be_one_ends_nothing(host) -> None:
    answer = ask(source(f"https://{host}/a.pth"), network())
    assert answer.problem in ("connection", "name") and not answer.reached


def test_letters_of_an_address_are_sent_as_utf_8() -> None:
    with serving(whole(CONTENT)) as server:
        assert ask(source(f"{server.url}/中 é.pth"), network()).is_served
    assert server.asked[0][0] == "/%E4%B8%AD%20%C3%A9.pth"


def test_a_host_is_asked_at_a_limited_rate(monkeypatch) -> None:
    slept = []
    monkeypatch.setattr(links.time, "monotonic", lambda: 5.0)
    monkeypatch.setattr(links.time, "sleep", slept.append)
    asks = network(rate=2)
    for host in ("a.org", "a.org", "b.org", "a.org"):
        asks.wait(host)
    assert slept == [0, 0.5, 0, 1.0]


SOON = datetime.date(2026, 12, 1)
LOST = "state=HostState(reported='gone', date=Date(2026, 11, 27), evidence='{}, asked on 2026-11-27')"
EXPIRED = "the certificate of x.org expired on 2025-08-16"


@pytest.mark.parametrize(
    ("fields", "answer", "expected"),
    [
        ({}, {"status": 404}, [f"gone: answers 404: declare {LOST.format('answers 404')}"]),
        ({}, {"problem": "name", "problem_text": "no host"}, [f"gone: no host: declare {LOST.format('no host')}"]),
        ({}, {"problem": "certificate", "problem_text": EXPIRED}, [f"gone: {EXPIRED}: declare {LOST.format(EXPIRED)}"]),
        ({}, {"status": 403}, ["answers 403; look there by hand"]),
        ({}, {"status": 503}, ["answers 503; ask again another day"]),
        ({}, {"status": 200, "content": "a web page"}, ["answers 200: a web page; look there by hand"]),
        ({}, {"status": 302, "problem": "connection", "problem_text": "no byte"}, ["no byte; ask again another day"]),
        ({"size": 9}, {"status": 200}, []),
        ({"size": 9}, {"status": 200, "size": 9}, []),
        ({}, {"status": 200, "size": 1234}, ["the size is 1_234, none is declared: declare size=1_234"]),
        ({"size": 9}, {"status": 206, "size": 8}, ["the size is 8, 9 is declared: declare size=8"]),
        ({}, {"status": 200, "until": SOON}, ["its certificate expires on 2026-12-01; ask again then"]),
        ({}, {"status": 200, "until": SOON.replace(year=2027)}, []),
        ({"state": GONE}, {"status": 404}, []),
        ({"state": GONE}, {"status": 503}, []),
        ({"state": GONE}, {"problem": "authority", "problem_text": "not trusted"}, []),
        ({"state": GONE}, {"problem": "name", "problem_text": "no host"}, []),
        (
            {"state": GONE},
            {"status": 200},
            [
                "the host answers again; its owner may be another: compare a copy before you: declare "
                "state=HostState(reported='lost and back', date=Date(2026, 11, 27), "
                "evidence='answers 200 again, asked on 2026-11-27')"
            ],
        ),
    ],
)  # fmt: skip
def test_changes_of_a_declaration_are_proposed(fields, answer, expected) -> None:
    declared = source("https://x.org/a.pth", **fields)
    assert [str(difference) for difference in differences(declared, Answer(asked_on=TODAY, **answer))] == expected


def test_printed_declarations_are_valid_python() -> None:
    lost = differences(source("https://x.org/a.pth"), Answer(asked_on=TODAY, status=404))[0].declare
    names = {"HostState": HostState, "Date": datetime.date, "Hash": Hash, "dict": dict}
    assert eval(f"dict({lost})", names)["state"].date == TODAY
    given = Answer(asked_on=TODAY, status=200, hash=Hash(digits=DIGITS))
    for kind, trust in (("publisher", "verified"), ("copy", "checked")):
        found = differences(source("https://x.org/a.pth", kind=kind), given)[0].declare
        assert eval(f"dict({found})", names)["hash"].trust == trust


@pytest.mark.parametrize(
    ("declared", "given", "sure", "expected"),
    [
        (None, Hash(digits=DIGITS), True, "the server gives a sha256: declare"),
        (None, Hash(algorithm="git_blob", digits=BLOB), True, "the server gives a git_blob: declare"),
        (None, Hash(digits=DIGITS), False, "its ETag may be its SHA-256"),
        (Hash(digits=DIGITS[:8]), Hash(digits=DIGITS), True, "the server gives all digits: declare"),
        (Hash(digits=DIGITS[:8]), Hash(digits=DIGITS), False, None),
        (Hash(digits=DIGITS), Hash(digits=DIGITS), True, None),
        (Hash(digits="0" * 8), Hash(digits=DIGITS), True, "ANOTHER FILE: 00000000… is declared, the server gives abab"),
        (Hash(digits="0" * 8), Hash(digits=DIGITS), False, "its ETag may be its SHA-256"),
        (Hash(digits=DIGITS[:8]), Hash(algorithm="git_blob", digits=BLOB), True, None),
        (Hash(algorithm="git_blob", digits=BLOB), Hash(digits=DIGITS), True, "the server gives a sha256: declare"),
    ],
)
def test_hashes_against_the_declaration(declared, given, sure, expected) -> None:
    answer = Answer(asked_on=TODAY, status=200, hash=given, hash_is_certain=sure)
    found = differences(source("https://x.org/a.pth", hash=declared), answer)
    assert [str(difference).startswith(str(expected)) for difference in found] == ([True] if expected else [])


def test_an_address_and_its_companion_files_are_asked_once() -> None:
    known, index = Hash(algorithm="git_blob", digits=BLOB), CompanionFile(name="model.ckpt.index", size=77)
    first = source("hf://org/name@v1/rgb/model.ckpt.data", hash=known, size=99, parts=(index,))
    again = first.model_copy(update={"size": 1})
    other = source("https://a.org/b.pth")
    found = links.once([first, other, again])
    assert found[:2] == [other, first]
    assert (found[2].address, found[2].size, found[2].hash) == ("hf://org/name@v1/rgb/model.ckpt.index", 77, None)
    assert len(found) == 3


def run(monkeypatch, page: Path, declared: list[Source], *options: str) -> int:
    monkeypatch.setattr(links, "addresses", lambda: declared)
    return links.main(["--rate", "10000", "--page", str(page), *options])


def test_the_table_and_what_is_printed(monkeypatch, tmp_path, capsys) -> None:
    page = tmp_path / "links.md"
    with serving(whole(CONTENT)) as good, serving(says(404, NO_BUCKET, **XML)) as bad:
        declared = [
            source(f"{good.url}/good.pth", size=10_240),
            source(f"{bad.url.replace('127.0.0.1', 'localhost')}/bad.pth", state=LIVES),
            source("https://lost.invalid/old.pth", state=GONE),
        ]
        assert run(monkeypatch, page, declared) == 0
    today = datetime.date.today()
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| [")]
    assert rows == [
        f"| [good.pth]({good.url}/good.pth) | 127.0.0.1 | {today} | answers 200 | 10,240 |  |  |  |",
        f"| [bad.pth]({declared[1].address}) | localhost | {today} | answers 404: NoSuchBucket: It is not there |  |  |  "
        "| gone: answers 404: NoSuchBucket: It is not there |",
    ]
    out = capsys.readouterr().out
    for text in (page.read_text(encoding="utf-8"), out):
        assert "Not asked: 1 on lost.invalid, declared gone on 2021-08-12." in text
    assert (
        f"{declared[1].address}\n    gone: answers 404: NoSuchBucket: It is not there: declare state=HostState(" in out
    )
    assert out.endswith(f"2 of 3 addresses asked, 1 differ; the table: {page}\n")


def test_a_host_that_is_gone_is_asked_for_its_header_and_on_demand_alone(monkeypatch, tmp_path, capsys) -> None:
    with serving(says(404, NO_BUCKET, **XML)) as server:
        declared = [source(f"{server.url}/a.pth", state=GONE)]
        run(monkeypatch, tmp_path / "links.md", declared)
        assert server.methods == []
        assert run(monkeypatch, tmp_path / "links.md", declared, "--gone") == 0
        assert server.methods == ["HEAD"]


def test_without_a_network_the_table_stays(monkeypatch, tmp_path, capsys) -> None:
    page = tmp_path / "links.md"
    page.write_text("of last week", encoding="utf-8")
    declared = [source(f"https://{name}.invalid/a.pth") for name in "abc"]
    assert run(monkeypatch, page, declared) == 1
    assert capsys.readouterr().err == (
        f"No server of 3 addresses could be reached, so there is probably no network: {page} stays as it is.\n"
    )
    monkeypatch.setenv("MAREY_OFFLINE", "1")
    assert run(monkeypatch, page, declared) == 1
    assert capsys.readouterr().err == "MAREY_OFFLINE forbids the network: no address was asked.\n"
    assert page.read_text(encoding="utf-8") == "of last week"


def test_what_is_not_asked_in_time_is_counted(monkeypatch, tmp_path, capsys) -> None:
    silence = threading.Event()
    with serving(lambda _: silence.wait(20) and None) as slow, serving(whole(CONTENT)) as quick:
        other = quick.url.replace("127.0.0.1", "localhost")
        declared = [source(f"{slow.url}/{name}.pth") for name in "abc"] + [source(f"{other}/d.pth", size=10_240)]
        assert run(monkeypatch, tmp_path / "links.md", declared, "--limit", "0.5") == 0
        silence.set()
    assert "Not asked within 0.5 seconds, or after 3 failures: 3 on 127.0.0.1." in capsys.readouterr().out
    assert "d.pth" in (tmp_path / "links.md").read_text(encoding="utf-8")


def test_text_of_a_server_is_escaped() -> None:
    bad = Answer(asked_on=TODAY, status=200, content="a web page (<b>|\x1b[2J)")
    assert bad.text == "answers 200: a web page (<b>|?[2J)"
    assert "answers 200: a web page (&lt;b&gt;&#124;?[2J) |" in table([(source("https://x.org/a.pth"), bad)], [])


def test_a_host_that_fails_three_times_is_asked_no_more(monkeypatch, tmp_path, capsys) -> None:
    with serving(whole(CONTENT)) as server:
        declared = [source(f"https://down.invalid/{number}.pth") for number in range(9)]
        assert run(monkeypatch, tmp_path / "links.md", [*declared, source(f"{server.url}/a.pth")]) == 0
    assert "or after 3 failures: 6 on down.invalid." in capsys.readouterr().out


def test_a_file_without_certificates_is_refused(tmp_path, monkeypatch, capsys) -> None:
    for file in ("absent.pem", __file__):
        with pytest.raises(SystemExit):
            run(monkeypatch, tmp_path / "links.md", [], "--ca", str(tmp_path / file))
        assert f"--ca {tmp_path / file}: expected a file of certificates in PEM form" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--rate", "--timeout", "--limit"])
def test_limits_are_larger_than_0(option, capsys) -> None:
    with pytest.raises(SystemExit):
        links.main([option, "0"])
    assert "are larger than 0" in capsys.readouterr().err
