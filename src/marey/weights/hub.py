"""From an address to a verified file on this machine.

    fetch("https://.../slowonly_r50.pth", "a1b2c3d4")       all 64 digits, or the 8 that were published
    fetch_snapshot("hf://org/name@revision")                a model on the Hugging Face hub (extra `hub`)

$MAREY_CACHE says where files are kept, $MAREY_OFFLINE=1 forbids the network, $MAREY_MIRROR is the address of a copy: in
place of https://host/path, https://mirror/host/path is asked for, as `wget -x` lays files out.
"""

import contextlib
import errno
import http.client
import ipaddress
import json
import math
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from marey.base.errors import WeightsError
from marey.base.files import cache_folder, locked, sha256, write_json
from marey.base.reporter import progress, warning

_TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as dead."""
_TRIES = 5
"""How often in a row an attempt may fail that brought no megabyte."""
_PAUSE = 1.0
"""Seconds before the second attempt; doubled each time."""
_LARGEST = 16 << 30
"""Bytes; no checkpoint is that large, and an endless answer must end."""
_CHUNK = 1 << 20
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that may be another one a little later."""
_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})
_WAY_OUT = (
    "Fetch the file by other means and name it (weights=FILE, --weights FILE), or set MAREY_MIRROR to a copy's address."
)


def fetch(
    url: str,
    digits: str,
    *,
    folder: str | Path | None = None,
    timeout: float = _TIMEOUT,
    tries: int = _TRIES,
    pause: float = _PAUSE,
) -> Path:
    """The file at `url`, from the cache if it is there, else downloaded; its SHA-256 begins with `digits`.

    A download that broke off is resumed, also by another process and on another day. The file takes its name when
    it is whole and verified, never before. Of several processes one downloads and the others wait.

    Args:
        url: HTTPS; plain HTTP only to this very machine.
        digits: The SHA-256 in hexadecimal: all 64 digits, or at least the first 8.
        folder: Where to keep it, else a folder of the cache.
        timeout: Seconds without a byte after which a connection counts as dead.
        tries: How often in a row an attempt may fail that brought no megabyte.
        pause: Seconds before the second attempt, doubled each time.

    Raises:
        WeightsError: not there, not reachable, offline, or not the file that it should be; says what can be done.
    """
    target = cached_path(url, digits, folder=folder)
    if _is(target, digits):
        return target
    if _offline():
        raise WeightsError(f"{url}: not in the cache, and MAREY_OFFLINE forbids fetching it. {_WAY_OUT}")
    source = mirrored(url)
    _check_scheme(source)
    try:
        with locked(target.with_name(f"{target.name}.lock"), waiting=f"another process is fetching {target.name}"):
            if not _is(target, digits):
                _Download(source, digits, target, timeout, tries, pause).run()
    except OSError as error:
        raise WeightsError(f"{url}: cannot be kept in {target.parent} ({error}): set MAREY_CACHE to another.") from None
    return target


def cached_path(url: str, digits: str, *, folder: str | Path | None = None) -> Path:
    """Where `fetch` keeps the file of this address; it need not be there yet.

    Raises:
        WeightsError: `digits` are no SHA-256.
    """
    digits = digits.lower()
    if not 8 <= len(digits) <= 64 or not set(digits) <= set("0123456789abcdef"):
        raise WeightsError(f"{url}: {digits!r} is no SHA-256: expected its 64 hexadecimal digits, or the first 8.")
    name = Path(unquote(urlsplit(url).path)).name or "weights"
    return Path(folder or cache_folder() / "weights" / digits[:8]) / name


def mirrored(url: str) -> str:
    """The address that is asked in place of `url`: below $MAREY_MIRROR, if that is set."""
    base = os.environ.get("MAREY_MIRROR", "").rstrip("/")
    parts = urlsplit(url)
    return f"{base}/{parts.netloc}{parts.path}" if base else url


def _offline() -> bool:
    return os.environ.get("MAREY_OFFLINE", "0") not in ("", "0")


def _is(path: Path, digits: str) -> bool:
    """Whether the file is there and still what it was: disks fill up and files are edited."""
    if not path.is_file():
        return False
    if sha256(path).startswith(digits.lower()):
        return True
    warning(f"{path}: is no longer the file that was fetched; it is fetched again")
    return False


class _PassingError(Exception):
    """What may go better the next time: a connection that stalls or is cut, a server that is busy."""


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
    """One file on its way into the cache: what has come lies in NAME.part, what is known of it in NAME.part.json."""

    def __init__(self, url: str, digits: str, target: Path, timeout: float, tries: int, pause: float) -> None:
        self.url, self.digits, self.target = url, digits.lower(), target
        self.timeout, self.tries, self.pause = timeout, tries, pause
        self.part = target.with_name(f"{target.name}.part")
        self.notes = target.with_name(f"{target.name}.part.json")
        self.opener = _opener(url)

    def run(self) -> None:
        """Bring the file, verify it, give it its name."""
        resumed = self._there() > 0
        if not (resumed and self._right()):
            self._complete()
        if resumed and not self._right():
            # Two halves of two files: what was there before does not belong to what is there now.
            self._discard()
            self._complete()
        if not self._right():
            found = sha256(self.part)
            self._discard()
            raise WeightsError(
                f"{self.url}: is not the file that was published: its SHA-256 begins {found[:8]}, "
                f"expected {self.digits}. {_WAY_OUT}"
            )
        self.part.replace(self.target)
        self.notes.unlink(missing_ok=True)

    def _right(self) -> bool:
        return sha256(self.part).startswith(self.digits)

    def _there(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)

    def _complete(self) -> None:
        """Attempts until one ends with the whole file."""
        failures, most = 0, self._there()
        while True:
            try:
                return self._attempt()
            except _PassingError as error:
                # Measured by the most there ever was, so that a server that begins anew each time has an end.
                failures = 1 if self._there() - most >= _CHUNK else failures + 1
                most = max(most, self._there())
                if failures >= self.tries:
                    raise WeightsError(f"{self.url}: {error}, {failures} times in a row. {_WAY_OUT}") from None
                seconds = self.pause * 2 ** (failures - 1)
                warning(f"{self.target.name}: {error}; trying again in {seconds:.0f} s")
                time.sleep(seconds)

    def _attempt(self) -> None:
        with _network_errors(self.url, self.timeout), self._ask() as answer:
            if answer is None:
                return
            done = answer.start
            total = answer.total
            if (total or 0) > _LARGEST:
                raise WeightsError(f"{self.url}: {total} bytes are too many for a checkpoint. {_WAY_OUT}")
            write_json(self.notes, {"url": self.url, "mark": answer.mark})
            title = f"Fetching {self.target.name}"
            with (
                self.part.open("r+b" if done else "wb") as file,
                progress(title, total=math.ceil((total or 0) / 1e6), unit="MB") as bar,
            ):
                file.truncate(done)
                file.seek(done)
                bar.advance(int(done / 1e6))
                while block := answer.stream.read1(_CHUNK):
                    file.write(block)
                    bar.advance(int((done + len(block)) / 1e6) - int(done / 1e6))
                    done += len(block)
                    if done > (_LARGEST if total is None else total):
                        raise _PassingError("more bytes came than were announced")
        if total is not None and done < total:
            raise _PassingError(f"cut off after {done} of {total} bytes")

    @contextlib.contextmanager
    def _ask(self) -> Iterator[_Answer | None]:
        """Ask for what is missing; a server that has another file by now, or no parts, sends all of it. None: nothing is
        missing, whatever length was announced before.
        """
        there, mark = self._there(), self._known_mark()
        headers = {"User-Agent": "marey", "Accept-Encoding": "identity"}
        if there:
            headers["Range"] = f"bytes={there}-"
            if mark:
                headers["If-Range"] = mark
        try:
            stream = self.opener.open(urllib.request.Request(self.url, headers=headers), timeout=self.timeout)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != 416:
                raise
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
            return str(notes["mark"]) if notes["url"] == self.url and notes["mark"] else None
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _answer(stream: http.client.HTTPResponse, asked: int) -> _Answer:
    """Read the head of an answer.

    Raises:
        _PassingError: another part than the one that was asked for.
    """
    headers = stream.headers
    etag = headers.get("ETag")
    # A weak mark (W/) says that two contents mean the same, not that their bytes are.
    mark = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
    length = headers.get("Content-Length", "")
    size = int(length) if length.isdigit() else None
    if stream.status != 206:
        return _Answer(stream, 0, size, mark)
    part, _, whole = headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    if part.partition("-")[0] != str(asked):
        raise _PassingError(f"asked for the bytes from {asked}, got {part or 'unnamed ones'}")
    total = int(whole) if whole.isdigit() else None if size is None else asked + size
    return _Answer(stream, asked, total, mark)


@contextlib.contextmanager
def _network_errors(url: str, timeout: float) -> Iterator[None]:
    """Turn what a connection can die of into what may pass and what will not."""
    try:
        yield
    except urllib.error.HTTPError as error:
        answer = f"the server answers {error.code} {' '.join(str(error.reason).split())}"
        if error.code in _PASSING:
            raise _PassingError(answer) from None
        raise WeightsError(f"{url}: {answer}. {_WAY_OUT}") from None
    except (urllib.error.URLError, ssl.SSLError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise WeightsError(f"{url}: the server's certificate is not trusted ({reason}). {_WAY_OUT}") from None
        raise _PassingError(f"no connection ({reason})") from None
    except TimeoutError:
        raise _PassingError(f"no byte for {timeout:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and (error.filename or error.errno in _OF_THE_DISK):
            raise
        raise _PassingError(f"the connection broke ({str(error) or type(error).__name__})") from None


# Which addresses are taken ---------------------------------------------------------------------------------------------


def _check_scheme(url: str) -> None:
    """HTTPS, or HTTP to this machine.

    Raises:
        WeightsError: anything else.
    """
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname)):
        return
    raise WeightsError(f"{url}: weights are fetched by HTTPS only (plain HTTP from this machine alone). {_WAY_OUT}")


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a server to another address, but never from HTTPS to HTTP, and never from the net to this machine."""

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
            raise WeightsError(
                f"{req.full_url}: leads on to {newurl}: weights are fetched by HTTPS only, also on the way. {_WAY_OUT}"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str) -> urllib.request.OpenerDirector:
    """What opens addresses: no files, no FTP; the environment's proxies but for this machine."""
    opener = urllib.request.OpenerDirector()
    handlers: list[Any] = [
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ]
    if not _is_loopback(urlsplit(url).hostname):
        handlers.append(urllib.request.ProxyHandler())
    for handler in handlers:
        opener.add_handler(handler)
    return opener


# Hugging Face ----------------------------------------------------------------------------------------------------------

HUB = "hf://"


def fetch_snapshot(address: str) -> Path:
    """The folder of a model on the Hugging Face hub: `hf://org/name`, or `hf://org/name@revision`.

    It is kept where that hub's own tools keep it, and holds model.safetensors and recipe.json.

    Raises:
        WeightsError: the extra is not installed, an address of another form, or no such model.
    """
    name, _, revision = address.removeprefix(HUB).partition("@")
    if not address.startswith(HUB) or name.count("/") != 1 or not all(name.split("/")):
        raise WeightsError(f"{address}: expected {HUB}org/name or {HUB}org/name@revision.")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise WeightsError(f'{address}: needs the extra "hub": pip install "marey[hub]".') from None
    try:
        folder = snapshot_download(
            name,
            revision=revision or None,
            allow_patterns=["model.safetensors", "recipe.json"],
            local_files_only=_offline(),
        )
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise WeightsError(
            f"{address}: cannot be fetched ({lines[0]}). Name a folder that you fetched (--weights FOLDER), "
            "or set HF_ENDPOINT to a copy's address."
        ) from None
    return Path(folder)
