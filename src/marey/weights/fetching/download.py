"""Download one file from an address: the file appears complete and verified, or not at all.

The bytes received so far are in NAME.part. The server's validator (ETag or Last-Modified) of the file that they belong
to is in NAME.part.json. A later attempt, also by another process or on another day, requests only the missing bytes.
$MAREY_OFFLINE=1 forbids the network. Proxies are those of the environment (HTTPS_PROXY, NO_PROXY).
"""

import contextlib
import http.client
import json
import math
import shutil
import string
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

from marey.base.address import offline
from marey.base.bars import Bar
from marey.base.errors import WeightsError
from marey.base.files import locked, rename, write_json
from marey.base.reporter import progress, release_waiting_messages, warning
from marey.recipe.source import Hash
from marey.weights.fetching.cached_files import checkpoint_mismatch, matches, mismatch
from marey.weights.fetching.connections import (
    ADVICE,
    SourceError,
    TemporaryError,
    check_proxy,
    check_scheme,
    make_opener,
    network_errors,
    parse_size,
)
from marey.weights.files.other_formats import HEAD, foreign_body

_LARGEST = 16 << 30
"""Largest file that is accepted, in bytes: larger than any checkpoint, so that an endless response ends."""
_CHUNK = 1 << 20
"""Bytes read at once."""


@dataclass(frozen=True)
class RetryPolicy:
    """When a download is tried again, and when it is given up."""

    timeout: float = 30.0
    """Seconds without a byte after which a connection counts as dead."""
    tries: int = 5
    """Failed attempts in a row, before the download is given up. An attempt that received 1 MiB or more starts a new
    count."""
    pause: float = 1.0
    """Pause before the second attempt, in seconds; it doubles with each attempt."""
    tries_to_connect: int = 5
    """Attempts in a row without an answer of a server, before the download is given up."""


RETRY_POLICY = RetryPolicy()


def download(
    url: str, target: Path, *, known: Hash | None, size: int | None = None, retries: RetryPolicy = RETRY_POLICY
) -> None:
    """Download the file at `url` to `target`, which appears only when it is complete and verified.

    If several processes want the same file, one downloads it and the others wait and use it.

    Args:
        url: HTTPS; plain HTTP only to this machine.
        target: Path of the file. An existing file is kept if `known` is None or its hash, and is replaced otherwise.
        known: Hash of the file. None: only `size` can be checked.
        size: Size in bytes; None: unknown.
        retries: When to try again; tests and addresses with alternatives give up earlier.

    Raises:
        AbsentError: the server answers that the file does not exist or is not public.
        SourceError: the address cannot be reached, or the file is not the expected one.
        WeightsError: another source would not help: an address of another scheme, offline, no space, an unusable proxy.
    """
    check_scheme(url)
    if offline():
        raise WeightsError(f"{url}: {target.name} is not in the cache, and MAREY_OFFLINE forbids fetching it. {ADVICE}")
    check_proxy(url)
    lock, waiting = target.with_name(f"{target.name}.lock"), f"another process is fetching {target.name}"
    try:
        with locked(lock, waiting=waiting, remove=True):
            if not (target.is_file() and (known is None or matches(target, known))):
                _Download(url, target, known, size, retries).run()
    except OSError as error:
        raise WeightsError(
            f"{url}: cannot be written to {target.parent} ({error}): set MAREY_CACHE to another folder."
        ) from None


class _ForeignError(Exception):
    """The response is no checkpoint: the message names what it is."""


@dataclass(frozen=True)
class _Response:
    """The body of a response, and what its headers state."""

    stream: http.client.HTTPResponse
    """The open response, from which the body is read."""
    start: int
    """Index in the file of the first byte of the body."""
    total: int | None
    """Size of the complete file in bytes; None: the server does not state it."""
    validator: str | None
    """ETag or Last-Modified of this content; None: the server states neither."""


class _Download:
    """A download in progress: its bytes are in NAME.part, its address and validator in NAME.part.json."""

    def __init__(self, url: str, target: Path, known: Hash | None, size: int | None, retries: RetryPolicy) -> None:
        self.url, self.target, self.known, self.size, self.retries = url, target, known, size, retries
        self.part = target.with_name(f"{target.name}.part")
        self.notes = target.with_name(f"{target.name}.part.json")
        self.of_weights = target.suffix != ".json"
        """Whether the file holds weights. False for a recipe and for a hub's list of files, which are JSON."""
        self.opener = make_opener(url, known)

    def run(self) -> None:
        """Download the file, verify it and rename it to its final name."""
        if self.size is not None:
            self._check_space(self.size)
        resumed = self._received() > 0
        if not (resumed and self._is_verified()):
            self._complete()
        if resumed and self.known is not None and not self._is_verified():
            # The old bytes and the new ones belong to two different files.
            self._discard()
            self._complete()
        if problem := (checkpoint_mismatch if self.of_weights else mismatch)(self.part, self.known, self.size):
            self._discard()
            raise SourceError(f"{self.url}: is not the file that was published: {problem}")
        rename(self.part, self.target)
        self.notes.unlink(missing_ok=True)

    def _is_verified(self) -> bool:
        return self.known is not None and matches(self.part, self.known)

    def _received(self) -> int:
        """Bytes received so far."""
        return self.part.stat().st_size if self.part.exists() else 0

    def _discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)

    def _complete(self) -> None:
        """Try until the file is complete, as often as the retry policy allows."""
        failures, unanswered, most = 0, 0, self._received()
        while True:
            try:
                return self._attempt()
            except TemporaryError as error:
                # Only bytes beyond the largest number received so far count as progress: otherwise a server that always
                # starts from the first byte would be tried for ever.
                failures = 1 if self._received() - most >= _CHUNK else failures + 1
                unanswered = 0 if error.answered else unanswered + 1
                most = max(most, self._received())
                if failures >= self.retries.tries or unanswered >= self.retries.tries_to_connect:
                    often = f", {failures} times in a row" if failures > 1 else ""
                    raise SourceError(f"{self.url}: {error}{often}") from None
                seconds = max(self.retries.pause * 2 ** (failures - 1), error.wait)
                warning(f"{self.target.name}: {error}; trying again in {seconds:.0f} s")
                release_waiting_messages()
                time.sleep(seconds)

    def _attempt(self) -> None:
        try:
            with network_errors(self.url, self.retries.timeout), self._request() as response:
                if response is None:
                    return
                self._check_headers(response)
                write_json(self.notes, {"url": self.url, "mark": response.validator})
                with self.part.open("r+b" if response.start else "wb") as file:
                    self._receive(response, file)
        except _ForeignError as error:
            self._discard()
            expected = "a checkpoint" if self.size is None else f"a checkpoint of {self.size} bytes"
            raise SourceError(f"{self.url}: {error} came where {expected} was expected") from None
        done, total = self._received(), response.total
        if total is not None and done < total:
            raise TemporaryError(f"cut off after {done} of {total} bytes")

    def _check_headers(self, response: _Response) -> None:
        """Refuse a file that is too large for a checkpoint or for the disk, or, without a hash, not of the expected size."""
        encoding = response.stream.headers.get("Content-Encoding", "identity")
        if encoding.lower() not in ("", "identity"):
            raise SourceError(f"{self.url}: the server sends the file compressed ({encoding}), which was not requested")
        if response.total is None:
            return
        if response.total > _LARGEST:
            raise SourceError(f"{self.url}: {response.total} bytes are too many for a checkpoint")
        if self.known is None and self.size not in (None, response.total):
            self._discard()
            raise SourceError(f"{self.url}: the server has a file of {response.total} bytes, expected {self.size}")
        if response.start == 0:
            self.part.unlink(missing_ok=True)
        self._check_space(response.total)

    def _check_space(self, total: int) -> None:
        missing, free = total - self._received(), shutil.disk_usage(self.target.parent).free
        if missing > free:
            raise WeightsError(
                f"{self.target.name}: {missing} bytes are still to be fetched, and {self.target.parent} has {free} free: "
                "make room, or set MAREY_CACHE to another folder."
            )

    def _receive(self, response: _Response, file: IO[bytes]) -> None:
        """Write the body of the response behind the bytes that are there.

        Raises:
            _ForeignError: the first bytes show that it is no checkpoint. They are checked only when the file is requested
                from its start.
        """
        done, expected = response.start, response.total or self.size or 0
        unchecked = response.start == 0 and self.of_weights
        file.truncate(done)
        file.seek(done)
        with self._bar(expected, done) as bar:
            while block := response.stream.read1(_CHUNK):
                file.write(block)
                done += len(block)
                if unchecked and done >= HEAD:
                    self._check_first_bytes(file, response)
                    unchecked = False
                bar.advance(int((done - response.start) / 1e6) - bar.done)
                if done > _LARGEST:
                    raise SourceError(f"{self.url}: more than {_LARGEST} bytes came, too many for a checkpoint")
                if response.total is not None and done > response.total:
                    raise TemporaryError("more bytes came than were announced")
            if unchecked and done >= (response.total or 0):
                self._check_first_bytes(file, response)
            if done == expected:
                bar.advance(bar.total - bar.done)

    def _bar(self, expected: int, done: int) -> Bar:
        """A progress bar for the missing bytes alone, so that rate and remaining time are right; none below a megabyte."""
        there = f", {done / 1e6:.1f} there" if done else ""
        title = f"Fetching {self.target.name}" + (f" ({expected / 1e6:.1f} MB{there})" if expected else "")
        shown = Bar if 0 < expected - done < 1e6 else progress
        return shown(title, total=math.ceil(max(expected - done, 0) / 1e6), unit="MB")

    def _check_first_bytes(self, file: IO[bytes], response: _Response) -> None:
        """Refuse a response whose first bytes show that it is no checkpoint."""
        file.flush()
        with self.part.open("rb") as written:
            content_type = response.stream.headers.get("Content-Type", "")
            if what := foreign_body(written.read(HEAD), content_type=content_type):
                raise _ForeignError(what)

    @contextlib.contextmanager
    def _request(self) -> Iterator[_Response | None]:
        """Request the missing bytes. A server that now has another file, or supports no ranges, sends all bytes.

        Yields None if the server has no further bytes (status 416) and the received ones have the known hash.
        """
        received, validator = self._received(), self._saved_validator()
        headers = {"User-Agent": "marey", "Accept-Encoding": "identity"}
        # Without a hash and a validator nothing would show whether old and new bytes are of the same file.
        if received and (validator or self.known is not None):
            headers["Range"] = f"bytes={received}-"
            if validator:
                headers["If-Range"] = validator
        try:
            # Blanks and accented letters are quoted here; what is quoted already stays as it is.
            request = urllib.request.Request(quote(self.url, safe=string.punctuation), headers=headers)
            stream = self.opener.open(request, timeout=self.retries.timeout)
        except urllib.error.HTTPError as error:
            if error.code != 416:
                raise
            error.close()
            if not self._is_verified():
                self._discard()
                raise TemporaryError("the server does not have the missing bytes") from None
            yield None
            return
        with stream:
            yield _read_headers(stream, received)

    def _saved_validator(self) -> str | None:
        """The server's validator of the bytes that are there; None if they came from another address."""
        try:
            notes = json.loads(self.notes.read_text(encoding="utf-8"))
            validator = str(notes["mark"]) if notes["url"] == self.url and notes["mark"] else ""
            return validator if validator.isascii() and validator.isprintable() and validator else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None


def _read_headers(stream: http.client.HTTPResponse, requested: int) -> _Response:
    """What the headers of a response state; `requested` is the index of the first byte that was requested.

    Raises:
        TemporaryError: the response starts at another byte.
    """
    headers = stream.headers
    etag = headers.get("ETag")
    # A weak ETag (W/) marks contents that mean the same; their bytes may differ.
    validator = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
    size = parse_size(headers.get("Content-Length", ""))
    if stream.status != 206:
        return _Response(stream, 0, size, validator)
    span, _, complete = headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    if span.partition("-")[0] != str(requested):
        raise TemporaryError(f"requested the bytes from {requested}, got {span or 'others without a range'}")
    total = parse_size(complete)
    return _Response(stream, requested, requested + size if total is None and size is not None else total, validator)
