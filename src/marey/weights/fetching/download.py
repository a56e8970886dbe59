"""From an address to a file on this machine, whole and verified, or not at all.

What has come of a file lies in NAME.part, and by what the server knows it again in NAME.part.json; a later attempt, also
of another process and on another day, asks for the rest. $MAREY_OFFLINE=1 forbids the network. Proxies are those of the
environment (HTTPS_PROXY, NO_PROXY).
"""

import contextlib
import email.utils
import errno
import http.client
import ipaddress
import json
import math
import re
import shutil
import ssl
import string
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlsplit

from marey.base.errors import WeightsError
from marey.base.files import locked, rename, write_json
from marey.base.network import offline
from marey.base.reporter import Bar, progress, say_what_waits, warning
from marey.recipe.hosts import state_of
from marey.recipe.source import Hash
from marey.weights.fetching.content import HEAD, difference, error_in, foreign_body, mismatch
from marey.weights.fetching.store import matches

_LARGEST = 16 << 30
"""Bytes; no checkpoint is that large, and an endless answer must end."""
_CHUNK = 1 << 20
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that may be another one a little later."""
_ABSENT = frozenset({401, 403, 404, 410})
"""Answers that there is no such file, or not for everyone: storage services give 403 for a file that is not there."""
_LONGEST_PAUSE = 60.0
"""Seconds that a server may ask to wait (Retry-After)."""
_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})
_PROXY = re.compile(r"(https?://)?([^/]*@)?(\[[0-9a-fA-F:.]+\]|[^/:@\s\[\]]+)(:\d{1,5})?/?")
"""[http://][user:password@]host[:port]."""
WAY_OUT = (
    "Fetch the file by other means and name it (weights=FILE, --weights FILE), "
    "or set MAREY_MIRROR to a folder or an address of copies."
)


class SourceError(WeightsError):
    """An address did not give the file: it is not reachable, or something else came. Another source may have it.

    Args:
        what: The address and what happened there, without a full stop; `what` alone has no advice at its end.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}. {WAY_OUT}")
        self.what = what

    def __reduce__(self) -> tuple[type["SourceError"], tuple[object, ...]]:
        """Exceptions travel between processes by pickle, which would call the class with the whole message."""
        return type(self), (self.what,)


class AbsentError(SourceError):
    """The server says that it has no such file, or not for everyone: `status` is 401, 403, 404 or 410."""

    def __init__(self, what: str, status: int = 404) -> None:
        super().__init__(what)
        self.status = status

    def __reduce__(self) -> tuple[type["SourceError"], tuple[object, ...]]:
        return type(self), (self.what, self.status)


@dataclass(frozen=True)
class Patience:
    """How long a download goes on where it does not go well."""

    timeout: float = 30.0
    """Seconds without a byte after which a connection counts as dead."""
    tries: int = 5
    """How often in a row an attempt may fail that brought no megabyte."""
    pause: float = 1.0
    """Seconds before the second attempt; doubled each time."""
    tries_to_connect: int = 5
    """As `tries`, of attempts that no server answered."""


PATIENCE = Patience()


def download(
    url: str, target: Path, *, known: Hash | None, size: int | None = None, patience: Patience = PATIENCE
) -> None:
    """Bring the file at `url` to `target`, where it appears when it is whole and verified, never before.

    Of several processes one downloads and the others wait; they take what it brought.

    Args:
        url: HTTPS; plain HTTP only to this very machine.
        target: The file. One that has not the hash `known` is replaced.
        known: The file's hash. None: its content cannot be verified but for `size`.
        size: Bytes, if known.
        patience: For tests and for addresses that are one of several.

    Raises:
        AbsentError: the server says that there is no such file, or not for everyone.
        SourceError: not reachable, or not the file that it should be.
        WeightsError: what no other source would mend: another scheme, offline, no space, an unusable proxy.
    """
    check_scheme(url)
    if offline():
        raise WeightsError(
            f"{url}: {target.name} is not in the cache, and MAREY_OFFLINE forbids fetching it. {WAY_OUT}"
        )
    _check_proxy(url)
    lock, waiting = target.with_name(f"{target.name}.lock"), f"another process is fetching {target.name}"
    try:
        with locked(lock, waiting=waiting, remove=True):
            if not (target.is_file() and (known is None or matches(target, known))):
                _Download(url, target, known, size, patience).run()
    except OSError as error:
        raise WeightsError(f"{url}: cannot be kept in {target.parent} ({error}): set MAREY_CACHE to another.") from None


class _PassingError(Exception):
    """What may go better the next time: a connection that stalls or is cut, a server that is busy.

    Args:
        what: What happened.
        wait: Seconds that the server asked to wait.
        answered: Whether there was a server.
    """

    def __init__(self, what: str, *, wait: float = 0.0, answered: bool = True) -> None:
        super().__init__(what)
        self.wait, self.answered = min(wait, _LONGEST_PAUSE), answered


class _ForeignError(Exception):
    """Something else than a checkpoint came: its message says what."""


@dataclass(frozen=True)
class _Answer:
    """What a server says about the bytes to come."""

    stream: http.client.HTTPResponse
    start: int
    """Of the bytes in the file."""
    total: int | None
    """Bytes of the whole file; None: it does not say."""
    mark: str | None
    """By which the server knows this very content again."""


class _Download:
    """One file on its way: what has come lies in NAME.part, what is known of it in NAME.part.json."""

    def __init__(self, url: str, target: Path, known: Hash | None, size: int | None, patience: Patience) -> None:
        self.url, self.target, self.known, self.size, self.patience = url, target, known, size, patience
        self.part = target.with_name(f"{target.name}.part")
        self.notes = target.with_name(f"{target.name}.part.json")
        self.of_weights = target.suffix != ".json"
        """A recipe, or what a hub lists, is text."""
        self.opener = _opener(url, known)

    def run(self) -> None:
        """Bring the file, verify it, give it its name."""
        if self.size is not None:
            self._check_space(self.size)
        resumed = self._there() > 0
        if not (resumed and self._right()):
            self._complete()
        if resumed and self.known is not None and not self._right():
            # Two halves of two files: what was there before does not belong to what is there now.
            self._discard()
            self._complete()
        if other := (difference if self.of_weights else mismatch)(self.part, self.known, self.size):
            self._discard()
            raise SourceError(f"{self.url}: is not the file that was published: {other}")
        rename(self.part, self.target)
        self.notes.unlink(missing_ok=True)

    def _right(self) -> bool:
        return self.known is not None and matches(self.part, self.known)

    def _there(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)

    def _complete(self) -> None:
        """Attempts until one ends with the whole file."""
        failures, unanswered, most = 0, 0, self._there()
        while True:
            try:
                return self._attempt()
            except _PassingError as error:
                # Measured by the most there ever was, so that a server that begins anew each time has an end.
                failures = 1 if self._there() - most >= _CHUNK else failures + 1
                unanswered = 0 if error.answered else unanswered + 1
                most = max(most, self._there())
                if failures >= self.patience.tries or unanswered >= self.patience.tries_to_connect:
                    often = f", {failures} times in a row" if failures > 1 else ""
                    raise SourceError(f"{self.url}: {error}{often}") from None
                seconds = max(self.patience.pause * 2 ** (failures - 1), error.wait)
                warning(f"{self.target.name}: {error}; trying again in {seconds:.0f} s")
                say_what_waits()
                time.sleep(seconds)

    def _attempt(self) -> None:
        try:
            with _network_errors(self.url, self.patience.timeout), self._ask() as answer:
                if answer is None:
                    return
                self._check_announced(answer)
                write_json(self.notes, {"url": self.url, "mark": answer.mark})
                with self.part.open("r+b" if answer.start else "wb") as file:
                    self._receive(answer, file)
        except _ForeignError as error:
            self._discard()
            expected = "a checkpoint" if self.size is None else f"a checkpoint of {self.size} bytes"
            raise SourceError(f"{self.url}: {error} came where {expected} was expected") from None
        done, total = self._there(), answer.total
        if total is not None and done < total:
            raise _PassingError(f"cut off after {done} of {total} bytes")

    def _check_announced(self, answer: _Answer) -> None:
        """Refuse what is too large for a checkpoint or for the disk, and what is not the expected size without a hash."""
        encoding = answer.stream.headers.get("Content-Encoding", "identity")
        if encoding.lower() not in ("", "identity"):
            raise SourceError(f"{self.url}: the server sends the file packed ({encoding}), which was not asked for")
        if answer.total is None:
            return
        if answer.total > _LARGEST:
            raise SourceError(f"{self.url}: {answer.total} bytes are too many for a checkpoint")
        if self.known is None and self.size not in (None, answer.total):
            self._discard()
            raise SourceError(f"{self.url}: the server has a file of {answer.total} bytes, expected {self.size}")
        if answer.start == 0:
            self.part.unlink(missing_ok=True)
        self._check_space(answer.total)

    def _check_space(self, total: int) -> None:
        missing, free = total - self._there(), shutil.disk_usage(self.target.parent).free
        if missing > free:
            raise WeightsError(
                f"{self.target.name}: {missing} bytes are still to be fetched, and {self.target.parent} has {free} free: "
                "make room, or set MAREY_CACHE to another folder."
            )

    def _receive(self, answer: _Answer, file: IO[bytes]) -> None:
        """Write what comes after what is there.

        Raises:
            _ForeignError: it is no checkpoint, by its first bytes. A file that comes in parts was seen before.
        """
        done, expected = answer.start, answer.total or self.size or 0
        to_be_seen = answer.start == 0 and self.of_weights
        file.truncate(done)
        file.seek(done)
        with self._bar(expected, done) as bar:
            while block := answer.stream.read1(_CHUNK):
                file.write(block)
                done += len(block)
                if to_be_seen and done >= HEAD:
                    to_be_seen = self._see(file, answer)
                bar.advance(int((done - answer.start) / 1e6) - bar.done)
                if done > _LARGEST:
                    raise SourceError(f"{self.url}: more than {_LARGEST} bytes came, too many for a checkpoint")
                if answer.total is not None and done > answer.total:
                    raise _PassingError("more bytes came than were announced")
            if to_be_seen and done >= (answer.total or 0):
                self._see(file, answer)
            if done == expected:
                bar.advance(bar.total - bar.done)

    def _bar(self, expected: int, done: int) -> Bar:
        """Shows what is still to come: what was there would make the rate and the time left wrong. Less than a megabyte is
        not shown.
        """
        there = f", {done / 1e6:.1f} there" if done else ""
        title = f"Fetching {self.target.name}" + (f" ({expected / 1e6:.1f} MB{there})" if expected else "")
        shown = Bar if 0 < expected - done < 1e6 else progress
        return shown(title, total=math.ceil(max(expected - done, 0) / 1e6), unit="MB")

    def _see(self, file: IO[bytes], answer: _Answer) -> bool:
        """Refuse what is no checkpoint by its first bytes; False: they need not be seen again."""
        file.flush()
        with self.part.open("rb") as written:
            content_type = answer.stream.headers.get("Content-Type", "")
            if what := foreign_body(written.read(HEAD), content_type=content_type):
                raise _ForeignError(what)
        return False

    @contextlib.contextmanager
    def _ask(self) -> Iterator[_Answer | None]:
        """Ask for what is missing; a server that has another file by now, or no parts, sends all of it. None: nothing is
        missing, whatever length was announced before.
        """
        there, mark = self._there(), self._known_mark()
        headers = {"User-Agent": "marey", "Accept-Encoding": "identity"}
        # Without a hash and a mark nothing would show whether the beginning and the rest belong together.
        if there and (mark or self.known is not None):
            headers["Range"] = f"bytes={there}-"
            if mark:
                headers["If-Range"] = mark
        try:
            # Blanks and letters with accents come quoted; what is quoted already stays.
            request = urllib.request.Request(quote(self.url, safe=string.punctuation), headers=headers)
            stream = self.opener.open(request, timeout=self.patience.timeout)
        except urllib.error.HTTPError as error:
            if error.code != 416:
                raise
            error.close()
            if not self._right():
                self._discard()
                raise _PassingError("the server has no such part") from None
            yield None
            return
        with stream:
            yield _answer(stream, there)

    def _known_mark(self) -> str | None:
        """By what the server would know the beginning that is here; none if it came from another address."""
        try:
            notes = json.loads(self.notes.read_text(encoding="utf-8"))
            mark = str(notes["mark"]) if notes["url"] == self.url and notes["mark"] else ""
            return mark if mark.isascii() and mark.isprintable() and mark else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None


def _whole_number(text: str) -> int | None:
    """A number of a header; None: it is none, or none of a file."""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def _answer(stream: http.client.HTTPResponse, asked: int) -> _Answer:
    """Read the head of an answer.

    Raises:
        _PassingError: another part than the one that was asked for.
    """
    headers = stream.headers
    etag = headers.get("ETag")
    # A weak mark (W/) says that two contents mean the same, not that their bytes are.
    mark = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
    size = _whole_number(headers.get("Content-Length", ""))
    if stream.status != 206:
        return _Answer(stream, 0, size, mark)
    part, _, whole = headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    if part.partition("-")[0] != str(asked):
        raise _PassingError(f"asked for the bytes from {asked}, got {part or 'unnamed ones'}")
    total = _whole_number(whole)
    return _Answer(stream, asked, asked + size if total is None and size is not None else total, mark)


@contextlib.contextmanager
def _network_errors(url: str, timeout: float) -> Iterator[None]:
    """Turn what a connection can die of into what may pass and what will not."""
    try:
        yield
    except urllib.error.HTTPError as error:
        said = _said_by(error)
        answer = f"the server answers {error.code} {' '.join(str(error.reason).split())}{f' ({said})' if said else ''}"
        if error.code in _PASSING:
            raise _PassingError(answer, wait=_seconds(error.headers.get("Retry-After", ""))) from None
        if error.code in _ABSENT:
            raise AbsentError(f"{url}: {answer}", error.code) from None
        raise SourceError(f"{url}: {answer}") from None
    except (urllib.error.URLError, ssl.SSLError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise SourceError(f"{url}: the server's certificate is not trusted ({reason})") from None
        through = f" through the proxy {_without_password(proxy)}" if (proxy := _proxy(url)) else ""
        # An error of TLS that is none of the connecting came after an answer.
        answered = not isinstance(error, urllib.error.URLError)
        raise _PassingError(f"no connection{through} ({reason})", answered=answered) from None
    except ValueError as error:  # UnicodeError among them
        raise SourceError(f"{url}: an address on the way there is none that can be asked ({error})") from None
    except TimeoutError:
        raise _PassingError(f"no byte for {timeout:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and (error.filename or error.errno in _OF_THE_DISK):
            raise
        raise _PassingError(f"the connection broke ({str(error) or type(error).__name__})") from None


def _said_by(error: urllib.error.HTTPError) -> str:
    """What a storage service says in the body of an error."""
    with error:
        try:
            return error_in(error.read(4 * HEAD))
        except (OSError, http.client.HTTPException):
            return ""


def _seconds(value: str) -> float:
    """What the header Retry-After asks to wait: seconds, or a date; 0 for anything else."""
    if (seconds := _whole_number(value)) is not None:
        return float(seconds)
    with contextlib.suppress(ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    return 0.0


# Which addresses are taken, and by which way ----------------------------------------------------------------------------


def check_scheme(url: str) -> None:
    """Refuse what is neither HTTPS nor HTTP to this machine.

    Raises:
        WeightsError: anything else.
    """
    with contextlib.suppress(ValueError):  # no such thing as this port, or as these brackets
        parts = urlsplit(url)
        secure = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname))
        if parts.hostname and parts.port != 0 and secure:
            return
    raise WeightsError(f"{url}: weights are fetched by HTTPS only (plain HTTP from this machine alone). {WAY_OUT}")


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a server to another address, but never from HTTPS to HTTP, never from the net to this machine, and never to a
    host that is reported gone, or lost where no hash of the file is known, unless the address that was asked for lies there.
    """

    def __init__(self, asked: str, known: Hash | None) -> None:
        self.state, self.known = state_of(asked), known

    def http_error_302(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
    ) -> http.client.HTTPResponse | None:
        try:
            found: http.client.HTTPResponse | None = super().http_error_302(req, fp, code, msg, headers)
        except ValueError:  # an address that is none
            fp.close()
            raise
        return found

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        local = old.scheme == "http" and new.scheme == "http" and _is_loopback(new.hostname)
        if new.scheme != "https" and not local:
            fp.close()
            raise SourceError(
                f"{req.full_url}: leads on to {newurl}: weights are fetched by HTTPS only, also on the way"
            )
        state = state_of(newurl)
        refused = state.reported == "gone" or (state.reported == "lost and back" and self.known is None)
        if refused and state != self.state:
            fp.close()
            raise SourceError(
                f"{req.full_url}: leads on to {newurl}, a host that is reported {state.reported} since {state.date} "
                f"({state.evidence}) and is not asked"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Proxies(urllib.request.ProxyHandler):
    """The environment's proxies, but for this machine."""

    def proxy_open(self, req: urllib.request.Request, proxy: str, type: str) -> http.client.HTTPResponse | None:  # noqa: A002
        if _is_loopback(urlsplit(req.full_url).hostname):
            return None
        return super().proxy_open(req, proxy, type)


def _opener(url: str, known: Hash | None) -> urllib.request.OpenerDirector:
    """What opens `url` and what it leads on to: no files, no FTP."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        _Proxies(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(url, known),
    ):
        opener.add_handler(handler)
    return opener


def _proxy(url: str) -> str | None:
    """The proxy of the environment by which `url` is asked; None: it is asked directly."""
    parts = urlsplit(url)
    if _is_loopback(parts.hostname) or urllib.request.proxy_bypass(parts.netloc):
        return None
    return urllib.request.getproxies().get(parts.scheme) or None


def _without_password(proxy: str) -> str:
    return proxy.rpartition("@")[2]


def _check_proxy(url: str) -> None:
    """Refuse a proxy of the environment that cannot be one.

    Raises:
        WeightsError: it is of another kind (SOCKS), or names no host.
    """
    proxy = _proxy(url)
    if proxy is not None and not _PROXY.fullmatch(proxy):
        raise WeightsError(
            f"{url}: the environment's proxy {_without_password(proxy)} cannot be used: expected "
            "HTTPS_PROXY=http://host:port, or the address's host in NO_PROXY."
        )
