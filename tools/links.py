"""Ask every declared address of weights for its header and write docs/links.md. `make links`.

It asks for status, redirects, size, hash and certificate, and reads at most the first KiB of a file. It prints what each
address answers, and then what to change in the declarations. Addresses that are declared gone are asked only with
`--gone`, and only for their header: their hosts may belong to somebody else by now.
"""

import argparse
import html
import http.client
import re
import socket
import ssl
import string
import sys
import threading
import time
from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from http.client import HTTPMessage
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from marey.base.files import write_text
from marey.recipe.hosts import state_of
from marey.recipe.source import HUB, Hash, Source
from marey.weights.fetching.download import offline
from marey.weights.fetching.hub import hub_address
from marey.weights.files.other_formats import HEAD, error_in, foreign_body

PAGE = Path(__file__).parent.parent / "docs" / "links.md"

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ASK_BY_GET = frozenset({400, 403, 404, 405, 410, 501})
"""Status codes in answer to HEAD after which the address is asked by GET, too: some stores explain an error to GET
alone."""
_THIS_MACHINE = ("127.0.0.1", "localhost")
_EXPIRED, _WRONG_NAME, _NO_CHECK_TIME = 10, (62, 64), 0x200000
"""OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED, X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH and
X509_V_FLAG_NO_CHECK_TIME, which Python's ssl does not name."""
_SOON = timedelta(days=14)
_FAILURES = 3
"""After so many addresses in a row without an answer, a host is asked no more."""
_SLOWEST = 3
"""A complete request may take this many times `Network.timeout`."""

_HEAD = """# What the servers of weights respond

Written by `make links`, which asks every declared address for its HTTP header and downloads no file. Sizes and hashes are
those that the servers report, at the date in each row.
"""
_COLUMNS = (
    "file",
    "host",
    "asked on",
    "answer",
    "bytes",
    "hash given",
    "certificate until",
    "differs from its declaration",
)


def addresses() -> list[Source]:
    """All declared sources: of the weights of recipes, and of those that training starts from."""
    from marey.recipes import RECIPES
    from marey.recipes.starts import STARTS

    return once(chain.from_iterable((*(recipe.weights for recipe in RECIPES), *STARTS.values())))


def once(sources: Iterable[Source]) -> list[Source]:
    """Each address once, sorted by host; each file of a source with several (`parts`) counts as a source of its own."""
    found: dict[str, Source] = {}
    for source in sources:
        found.setdefault(source.address, source)
        for part in source.parts:
            beside = f"{source.address.rpartition('/')[0]}/{part.name}"
            own = {"address": beside, "size": part.size, "hash": part.hash, "parts": ()}
            found.setdefault(beside, source.model_copy(update=own))
    return sorted(found.values(), key=lambda source: (source.host, source.address))


def _https(source: Source) -> str:
    return hub_address(source.address) if source.address.startswith(HUB) else source.address


# Asking ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """The result of asking an address."""

    asked_on: date
    status: int | None = None
    """The status of the last response; None: there was no answer by HTTP."""
    problem: Literal["", "name", "connection", "certificate", "authority", "redirect"] = ""
    """Why the server of the address did not answer; empty: it answered."""
    problem_text: str = ""
    """The problem, described."""
    redirects: tuple[str, ...] = ()
    """Addresses that redirects led to."""
    size: int | None = None
    """Bytes of the whole file."""
    hash: Hash | None = None
    hash_is_certain: bool = True
    """Whether `hash` is that of the file for certain; an ETag of 64 digits may be another number."""
    content_type: str = ""
    content: str = ""
    """What came in place of the file, or how a storage service explains its error."""
    until: date | None = None
    """The earliest day on which a certificate of the asked servers expires."""
    seconds: float = 0.0

    @property
    def is_served(self) -> bool:
        return self.status in (200, 206) and not (self.problem or self.content)

    @property
    def reached(self) -> bool:
        """Whether any server answered, be it only with its certificate."""
        return self.status is not None or self.problem in ("certificate", "authority")

    @property
    def text(self) -> str:
        """The answer or the problem, in a few words."""
        way = f" from {urlsplit(self.redirects[-1]).hostname}" if self.redirects else ""
        answer = f"answers {self.status}{way}" + (f": {self.content}" if self.content else "")
        led = "after a redirect: " if self.redirects and self.problem_text and self.problem != "redirect" else ""
        # Servers wrote part of it, and it goes to a terminal.
        return "".join(letter if letter.isprintable() else "?" for letter in led + (self.problem_text or answer))


class _SlowError(OSError):
    """A server sends a byte now and then, but no complete answer in time."""


class Network:
    """How addresses are asked.

    Args:
        rate: Requests per second to one host.
        timeout: Seconds without a byte after which a connection counts as dead; a request may take three times as long.
        ca: A file of certificates of authorities that are trusted beside the system's.

    Raises:
        ValueError: the environment names a proxy of another kind than http://host:port.
        OSError: `ca` is no file of certificates.
    """

    def __init__(self, *, rate: float = 1.0, timeout: float = 20.0, ca: str | None = None) -> None:
        self.timeout, self.interval = timeout, 1 / rate
        self.strict, self.lenient = ssl.create_default_context(), ssl.create_default_context()
        # Python shows the dates and names only of a certificate that was accepted.
        self.lenient.check_hostname = False
        self.lenient.verify_flags |= _NO_CHECK_TIME
        if ca:
            self.strict.load_verify_locations(ca)
            self.lenient.load_verify_locations(ca)
        self.lock, self.free = threading.Lock(), defaultdict[str, float](float)
        self.proxy_url = _proxy()

    def wait(self, host: str) -> None:
        """Wait until the host may be asked again; all threads share the rate."""
        with self.lock:
            now = time.monotonic()
            turn = max(now, self.free[host])
            self.free[host] = turn + self.interval
        time.sleep(turn - now)

    def proxy(self, address: str) -> SplitResult | None:
        """The environment's proxy, by which `address` is asked; None: it is asked directly."""
        parts = urlsplit(address)
        host = parts.hostname or ""
        return None if parts.scheme == "http" or host in _THIS_MACHINE or proxy_bypass(host) else self.proxy_url

    def connection(self, address: str, context: ssl.SSLContext) -> http.client.HTTPConnection:
        """A connection for `address`, not yet opened; through the proxy, if there is one."""
        parts, by = urlsplit(address), self.proxy(address)
        host = parts.hostname or ""
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, parts.port, timeout=self.timeout)
        if by is None:
            return http.client.HTTPSConnection(host, parts.port, timeout=self.timeout, context=context)
        user = f"{unquote(by.username or '')}:{unquote(by.password or '')}".encode()
        known = {"Proxy-Authorization": f"Basic {b64encode(user).decode()}"} if by.username else {}
        tunnel = http.client.HTTPSConnection(by.hostname or "", by.port, timeout=self.timeout, context=context)
        tunnel.set_tunnel(host, parts.port or 443, known)
        return tunnel

    @contextmanager
    def connected(self, address: str) -> Iterator[http.client.HTTPConnection]:
        """A connection with a checked certificate for one request, which is cut off when it takes too long.

        Raises:
            _SlowError: it was cut off.
        """
        longest, over = _SLOWEST * self.timeout, threading.Event()
        with closing(self.connection(address, self.strict)) as connection:
            connection.connect()
            sock = connection.sock

            def cut() -> None:
                over.set()
                with suppress(OSError):
                    # Not `SSLSocket.shutdown`, which changes the object from which the other thread is reading.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

            timer = threading.Timer(longest, cut)
            timer.daemon = True
            timer.start()
            try:
                yield connection
            except (OSError, http.client.HTTPException):
                if not over.is_set():
                    raise
            finally:
                timer.cancel()
            if over.is_set():
                raise _SlowError(f"no whole answer within {longest:g} s")


def _proxy() -> SplitResult | None:
    """The environment's proxy for HTTPS."""
    named = getproxies().get("https", "")
    by = urlsplit(named if "://" in named else f"http://{named}") if named else None
    if by is not None and (by.scheme not in ("http", "https") or not by.hostname or by.port == 0):
        raise ValueError(f"{by.scheme}://{by.netloc.rpartition('@')[2]} is none")
    return by


def ask(source: Source, network: Network) -> Answer:
    """Ask a source's address for its header, and for its first bytes where the header leaves open what lies there.

    A redirect to plain HTTP or to a host that is declared gone is not followed. For a source that is declared gone, only
    the header is requested. Failures of the network are in the answer and raise nothing.
    """
    begun, address = time.monotonic(), _https(source)
    header_only = source.state.reported == "gone"
    answer = _follow("HEAD", address, network, gone=header_only)
    text = answer.content_type.startswith("text/") or "xml" in answer.content_type
    small = answer.status == 200 and answer.size is not None and answer.size <= HEAD
    unclear = answer.status in _ASK_BY_GET or text or small
    if unclear and not (answer.problem or header_only):
        answer = _follow("GET", address, network, gone=False)
    return replace(answer, seconds=time.monotonic() - begun)


def _follow(method: Literal["HEAD", "GET"], address: str, network: Network, *, gone: bool) -> Answer:
    answer, heads, first = Answer(asked_on=date.today()), list[HTTPMessage](), None
    headers = {"User-Agent": "marey", "Connection": "close"}
    if method == "GET":
        headers["Range"] = f"bytes=0-{HEAD - 1}"
    address = quote(address, safe=string.punctuation)
    while True:
        parts = urlsplit(address)
        network.wait(parts.hostname or "")
        try:
            with network.connected(address) as connection:
                if isinstance(connection.sock, ssl.SSLSocket):
                    until, _ = _certificate(connection.sock)
                    answer = replace(answer, until=min(until, answer.until or until))
                connection.request(
                    method, parts._replace(scheme="", netloc="", fragment="").geturl() or "/", headers=headers
                )
                with connection.getresponse() as response:
                    led = response.status in _REDIRECTS and "Location" in response.headers
                    # http.client decodes headers as ISO 8859-1.
                    there = quote(response.headers["Location"], string.punctuation, "iso-8859-1") if led else ""
                    new = urlsplit(urljoin(address, there)) if led else None
                    if method == "GET" and not led:
                        first = response.read(HEAD)
        except ssl.SSLCertVerificationError as error:
            return _distrusted(answer, error, address, network)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return _unreached(answer, error, address, network)
        heads.append(response.headers)
        answer = replace(answer, status=response.status)
        if new is None:
            return _read(answer, heads, first)
        address = new.geturl()
        answer = replace(answer, redirects=(*answer.redirects, address))
        why_not = ""
        if new.scheme != "https" and not (parts.scheme == new.scheme == "http" and new.hostname in _THIS_MACHINE):
            why_not = f"leads on to {address}, which is not HTTPS"
        elif not new.hostname:
            why_not = f"leads on to {address}, which names no host"
        elif state_of(address).reported == "gone" and not gone:
            why_not = f"leads on to {address}, which is declared gone"
        elif len(answer.redirects) > 10:
            why_not = "leads from address to address without end"
        if why_not:
            return replace(answer, problem="redirect", problem_text=why_not)


def _read(answer: Answer, heads: list[HTTPMessage], first: bytes | None) -> Answer:
    """The answer with what the headers of the last response state. For a file of the hub, size and hash are in the headers
    of the first response, the hub's; the last one is that of the store which sends the file.

    Args:
        answer: The answer as known so far.
        heads: The headers of each response, in order.
        first: The first bytes of the content; None: they were not asked for.
    """
    last, good = heads[-1], answer.status in (200, 206)
    answer = replace(answer, content_type=last.get_content_type() if "Content-Type" in last else "")
    length = _number(last.get("Content-Length"))
    if first is not None:
        content = foreign_body(first, content_type=answer.content_type) if good else error_in(first)
        if good and length is not None and len(first) < min(HEAD, length):
            content = f"a file that is cut off after {len(first)} of {length} bytes"
        answer = replace(answer, content=content or "")
    if not good or answer.content:
        return answer
    given = {name.lower(): value for head in heads for name, value in head.items()}
    whole = _number(last.get("Content-Range", "").rpartition("/")[2]) if answer.status == 206 else length
    answer = replace(answer, size=_number(given.get("x-linked-size")) or whole)
    of_hub = "x-repo-commit" in given
    for name in ("x-linked-etag", "x-amz-meta-sha256", "etag"):
        digits = given.get(name, "").strip('"').lower()
        if re.fullmatch("[0-9a-f]{64}", digits):
            return replace(answer, hash=Hash(digits=digits), hash_is_certain=of_hub or name != "etag")
        if of_hub and re.fullmatch("[0-9a-f]{40}", digits):
            return replace(answer, hash=Hash(algorithm="git_blob", digits=digits))
    return answer


def _number(value: str | None) -> int | None:
    return int(value) if value and re.fullmatch("[0-9]{1,18}", value) else None


def _distrusted(answer: Answer, error: ssl.SSLCertVerificationError, address: str, network: Network) -> Answer:
    """The answer with what is wrong with a certificate. A second handshake, without a request, shows its date and names."""
    host = urlsplit(address).hostname
    if error.verify_code not in (_EXPIRED, *_WRONG_NAME):
        words = f"the certificate of {host} is not trusted ({error.verify_message})"
        return replace(answer, problem="authority", problem_text=words)
    try:
        with closing(network.connection(address, network.lenient)) as connection:
            connection.connect()
            assert isinstance(connection.sock, ssl.SSLSocket)
            until, names = _certificate(connection.sock)
    except (OSError, http.client.HTTPException) as again:
        return _unreached(answer, again, address, network)
    wrong = f"expired on {until}" if error.verify_code == _EXPIRED else f"is for {names}"
    return replace(answer, problem="certificate", until=until, problem_text=f"the certificate of {host} {wrong}")


def _certificate(sock: ssl.SSLSocket) -> tuple[date, str]:
    """The day on which the other side's certificate expires, and the names that it is for."""
    shown: Any = sock.getpeercert()
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(shown["notAfter"]), UTC).date()
    return until, ", ".join(str(name) for _, name in shown.get("subjectAltName", ()))


def _unreached(answer: Answer, error: Exception, address: str, network: Network) -> Answer:
    said, by = " ".join(str(error).split()) or type(error).__name__, network.proxy(address)
    if isinstance(error, socket.gaierror):
        if by is None and error.errno == socket.EAI_NONAME:
            return replace(answer, problem="name", problem_text=f"no host has the name {urlsplit(address).hostname}")
        whose = f"the name {urlsplit(address).hostname}" if by is None else f"the proxy's name {by.hostname}"
        said = f"{whose} cannot be looked up now"
    words = f"no byte for {network.timeout:g} s" if isinstance(error, TimeoutError) else f"no connection ({said})"
    return replace(answer, problem="connection", problem_text=words)


# Reporting -------------------------------------------------------------------------------------------------------------


class Difference(NamedTuple):
    """A difference between the declaration of a source and its server's answer."""

    found: str
    declare: str = ""
    """What to declare, as Python; empty: a person has to look."""

    def __str__(self) -> str:
        return f"{self.found}: declare {self.declare}" if self.declare else self.found


def differences(source: Source, answer: Answer) -> list[Difference]:
    """What to change in a source's declaration after this answer; nothing where they agree."""
    gone = source.state.reported == "gone"
    if gone and not answer.is_served:
        return []
    nothing_there = answer.status in (404, 410) and not answer.problem
    # If a redirect led to another host that fails, nothing is declared: a person has to decide whether that is permanent.
    if nothing_there or (answer.problem in ("name", "certificate") and not answer.redirects):
        return [Difference(f"gone: {answer.text}", _state("gone", answer.text, answer.asked_on))]
    if answer.problem == "authority":
        return [Difference(f"{answer.text}; if that is a proxy's of your own, name its authority with --ca")]
    passing = answer.problem == "connection" or answer.status in (408, 425, 429) or (answer.status or 0) >= 500
    if not answer.is_served:
        return [Difference(f"{answer.text}; {'ask again another day' if passing else 'look there by hand'}")]
    found = []
    if gone:
        evidence = f"answers {answer.status} again"
        state = _state("lost and back", evidence, answer.asked_on)
        found.append(Difference("the host answers again; its owner may be another: compare a copy before you", state))
    if answer.size is not None and answer.size != source.size:
        was = f"{source.size:_} is declared" if source.size else "none is declared"
        found.append(Difference(f"the size is {answer.size:_}, {was}", f"size={answer.size:_}"))
    found.extend(_of_hash(source, answer))
    if answer.until is not None and answer.until - answer.asked_on <= _SOON:
        found.append(Difference(f"its certificate expires on {answer.until}; ask again then"))
    return found


def _of_hash(source: Source, answer: Answer) -> list[Difference]:
    declared, given = source.hash, answer.hash
    if given is None or (given.algorithm == "git_blob" and declared and declared.algorithm == "sha256"):
        return []
    same = declared is not None and declared.algorithm == given.algorithm
    agrees = declared is not None and same and given.digits.startswith(declared.digits)
    if agrees and declared and declared.complete:
        return []
    if not answer.hash_is_certain:
        return [] if agrees else [Difference(f"its ETag may be its SHA-256, {given.digits}: a download would show it")]
    if declared and same and not agrees:
        return [Difference(f"ANOTHER FILE: {declared.digits[:16]}… is declared, the server gives {given.digits[:16]}…")]
    algorithm = "" if given.algorithm == "sha256" else f"algorithm='{given.algorithm}', "
    stated = "" if source.kind == "publisher" else f", stated_by={source.by!r}"
    declare = f"hash=Hash({algorithm}digits='{given.digits}'{stated})"
    return [Difference("the server gives all digits" if agrees else f"the server gives a {given.algorithm}", declare)]


def _state(reported: str, evidence: str, on: date) -> str:
    day = f"Date({on.year}, {on.month}, {on.day})"
    return f"state=HostState(reported={reported!r}, date={day}, evidence={f'{evidence}, asked on {on}'!r})"


def table(answers: Iterable[tuple[Source, Answer]], notes: Iterable[str]) -> str:
    """The page: a row for each address that was asked, then the notes on addresses that were not."""
    rows = [_COLUMNS, ("---",) * len(_COLUMNS)]
    for source, answer in answers:
        known = answer.hash
        rows.append((
            f"[{source.file}]({quote(_https(source), safe=string.punctuation)})",
            source.host,
            str(answer.asked_on),
            answer.text,
            "" if answer.size is None else f"{answer.size:,}",
            f"{known.algorithm} {known.digits[:8]}…" + ("" if answer.hash_is_certain else " (ETag)") if known else "",
            str(answer.until or ""),
            "; ".join(difference.found for difference in differences(source, answer)),
        ))  # fmt: skip
    lines = [f"| {' | '.join(html.escape(cell, quote=False).replace('|', '&#124;') for cell in row)} |" for row in rows]
    return "\n".join([_HEAD, *lines, "", *(f"{note}\n" for note in notes)])


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 1 if no server could be reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=1.0, help="requests per second to one host (1)")
    parser.add_argument(
        "--timeout", type=float, default=20.0, help="seconds without a byte; thrice that for a request (20)"
    )
    parser.add_argument("--limit", type=float, default=900.0, help="seconds for all addresses (900)")
    parser.add_argument("--gone", action="store_true", help="ask hosts that are declared gone, too")
    parser.add_argument("--ca", metavar="FILE", help="certificates of authorities to trust beside the system's")
    parser.add_argument("--page", type=Path, default=PAGE, help="where the table is written (docs/links.md)")
    given = parser.parse_args(arguments)
    if min(given.rate, given.timeout, given.limit) <= 0:
        parser.error("--rate, --timeout and --limit are larger than 0")
    if offline():
        print("MAREY_OFFLINE forbids the network: no address was asked.", file=sys.stderr)
        return 1
    declared = addresses()
    asked = [source for source in declared if given.gone or source.state.reported != "gone"]
    try:
        network = Network(rate=given.rate, timeout=given.timeout, ca=given.ca)
    except ValueError as error:
        parser.error(f"HTTPS_PROXY: expected http://host:port, perhaps with user:password@ ({error})")
    except OSError as error:
        parser.error(f"--ca {given.ca}: expected a file of certificates in PEM form ({error})")
    answers = _ask_all(asked, network, given.limit)
    if not any(answer.reached for _, answer in answers):
        print(
            f"No server of {len(asked)} addresses could be reached, so there is probably no network: {given.page} stays as "
            "it is.",
            file=sys.stderr,
        )
        return 1
    done = {source.address for source, _ in answers}
    notes = _left_out(declared, asked, done, given.limit)
    write_text(given.page, table(answers, notes))
    print("", *notes, sep="\n")
    changed = 0
    for source, answer in answers:
        if found := differences(source, answer):
            print(source.address, *found, sep="\n    ")
            changed += 1
    print(f"\n{len(answers)} of {len(declared)} addresses asked, {changed} differ; the table: {given.page}")
    return 0


def _ask_all(sources: list[Source], network: Network, limit: float) -> list[tuple[Source, Answer]]:
    """Ask all hosts at the same time, and each host's addresses in turn; return what has answered within `limit`
    seconds.
    """
    hosts, answers = defaultdict[str, list[Source]](list), dict[str, Answer]()
    for source in sources:
        hosts[source.host].append(source)

    end = time.monotonic() + limit

    def ask_host(own: list[Source]) -> None:
        failures = 0
        for source in own:
            answer = ask(source, network)
            if time.monotonic() >= end:
                return
            answers[source.address] = answer
            # One write for a line, since several threads print.
            print(f"{answer.seconds:5.1f} s  {source.host}  {source.file}  {answer.text}\n", end="")
            failures = 0 if answer.reached else failures + 1
            if failures == _FAILURES:
                return

    # Daemons: a server that sends a byte now and then must not outlast the limit.
    threads = [threading.Thread(target=ask_host, args=(own,), daemon=True) for own in hosts.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    came = dict(answers)
    return [(source, came[source.address]) for source in sources if source.address in came]


def _left_out(declared: list[Source], asked: list[Source], done: set[str], limit: float) -> list[str]:
    """A line for each host of addresses that were not asked."""
    late = Counter(source.host for source in asked if source.address not in done)
    gone = Counter((source.host, source.state.date) for source in declared if source not in asked)
    return [f"Not asked: {number} on {host}, declared gone on {day}." for (host, day), number in gone.items()] + [
        f"Not asked within {limit:g} seconds, or after {_FAILURES} failures: {number} on {host}."
        for host, number in late.items()
    ]


if __name__ == "__main__":
    sys.exit(main())
