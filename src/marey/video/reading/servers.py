"""One file on a server, through fsspec: its size, byte ranges of it, or all of it; and errors as messages.

Credentials and endpoints are those of fsspec, s3fs and botocore: environment variables and ~/.aws; for HTTP also ~/.netrc
and proxies. Requests are repeated where that may help.
"""

import functools
import os
import tempfile
import time
from collections.abc import Callable
from typing import BinaryIO, NamedTuple, Protocol, TypeVar
from urllib.parse import quote

import aiohttp
import fsspec
from botocore import exceptions as botocore

from marey.base.absent import why_absent, why_not_a_file_address
from marey.base.address import Address
from marey.base.errors import DataError
from marey.video.reading.decoding import FetchError

_CONNECT, _READ = 10.0, 30.0
"""Longest wait in seconds for a connection, and for further data."""
_WAITS = (0.5, 2.0)
"""Seconds before the second and the third attempt."""
_REQUEST = 8 << 20
"""Bytes per request when an entire file is fetched."""
_STREAMED = 1 << 20
"""Bytes per read when a file is streamed."""
_S3_TRIES = 2
"""Attempts by botocore within each attempt of `ServerFile`: few, since botocore waits longer than `_WAITS`."""

_REFUSED = "check that your credentials permit reading it"
_AWS = (
    f"{_REFUSED} (AWS_PROFILE, AWS_ACCESS_KEY_ID, ~/.aws; AWS_ENDPOINT_URL of a server other than Amazon's; for a public "
    "bucket set FSSPEC_S3_ANON=true)"
)
_HTTP = f"{_REFUSED} (a signed address that is still valid; a login in ~/.netrc)"

_ABSENT = "no such file on the server"
_S3 = ("s3", "s3a")
_PERMANENT: dict[tuple[type[Exception], ...], str] = {
    (FileNotFoundError,): _ABSENT,
    (PermissionError,): "the server refuses it ({message}): {advice}",
    (botocore.NoCredentialsError, botocore.PartialCredentialsError, botocore.ProfileNotFound): "{message}: {advice}",
    (aiohttp.ClientConnectorCertificateError,): "the certificate of the server is not accepted",
}
_TRANSIENT: dict[tuple[type[Exception], ...], str] = {
    (TimeoutError, botocore.ReadTimeoutError, botocore.ConnectTimeoutError): f"the server did not answer in {_READ:.0f} s",
    (
        aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, ConnectionResetError, botocore.IncompleteReadError,
        botocore.ResponseStreamingError,
    ): "the connection broke off",
    (aiohttp.ClientConnectionError, botocore.HTTPClientError, ConnectionError): "the server cannot be reached ({message})",
}  # fmt: skip
"""Messages for permanent and for transient errors; the first class that fits decides."""

Result = TypeVar("Result")


class NoRangesError(Exception):
    """The server sends entire files only, no byte ranges."""


class ServerFailure(NamedTuple):
    """An error of a server."""

    reason: str
    """What went wrong, as the end of a message after the address, without full stop."""
    transient: bool
    """Whether another attempt may succeed."""


class _Opened(Protocol):
    """Interface of the file objects of fsspec, as far as it is used."""

    size: int | None
    """Size of the file in bytes; None: the server does not state it."""

    def seek(self, offset: int, /) -> int: ...
    def read(self, count: int, /) -> bytes: ...
    def close(self) -> None: ...


class ServerFile:
    """A file on a server, usable only in the process that opened it.

    Raises:
        FetchError: the server refuses, has no such file, or cannot be reached.
        DataError: addresses of this kind cannot be read.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._files, self._path = file_system(address)
        self._file: _Opened = self._with_retries(self._open)
        self.size = self._file.size
        """Size in bytes; None if the server does not state it, or sends no byte ranges."""

    def _open(self) -> _Opened:
        opened: _Opened = self._files.open(self._path, "rb", block_size=1, cache_type="none")
        return opened

    def byte_range(self, begin: int, end: int) -> bytes:
        """The bytes from `begin` to `end` (excluded), in one request.

        Raises:
            FetchError: they cannot be fetched.
            NoRangesError: the server sends the entire file instead.
        """

        def fetched() -> bytes:
            self._file.seek(begin)
            data = self._file.read(end - begin)
            if not data:
                raise FetchError(str(self._address), f"has become shorter than its former {self.size:,} bytes")
            if len(data) < end - begin:
                raise ConnectionResetError
            return data

        return self._with_retries(fetched)

    def write_to(self, file: BinaryIO, most: int) -> None:
        """Write the entire file to an empty one: in byte ranges if the server sends them, else in one request.

        Raises:
            FetchError: it cannot be fetched, or has more than `most` bytes.
        """
        if self.size is not None:
            for begin in range(0, self.size, _REQUEST):
                self._store(file, self.byte_range(begin, min(begin + _REQUEST, self.size)))
            return
        self.stream_to(file, most)

    def stream_to(self, file: BinaryIO, most: int) -> None:
        """As `write_to`, always in one request."""
        self._with_retries(lambda: self._stream_to(file, most))

    def _stream_to(self, file: BinaryIO, most: int) -> None:
        file.seek(0)
        file.truncate()
        stream: _Opened = self._files.open(self._path, "rb", block_size=0)
        try:
            while chunk := stream.read(_STREAMED):
                self._store(file, chunk)
                if file.tell() > most:
                    raise FetchError(
                        str(self._address),
                        f"has more than {most / 2**30:.3g} GiB, and its server sends no byte ranges: download it "
                        "first, and use the file",
                    )
        finally:
            stream.close()

    def _store(self, file: BinaryIO, data: bytes) -> None:
        try:
            file.write(data)
        except OSError as error:  # an error of the disk, not of the network
            folder = tempfile.gettempdir()
            raise FetchError(
                str(self._address), f"cannot be stored in {folder} ({error.strerror}): free some space, or set TMPDIR"
            ) from None

    def close(self) -> None:
        """Close the connection."""
        self._file.close()

    def _with_retries(self, action: Callable[[], Result]) -> Result:
        """The result of an action, which is repeated after transient errors."""
        for wait in (*_WAITS, None):
            try:
                return action()
            except ValueError as error:  # fsspec raises it if there are no ranges
                if "range requests" in str(error):
                    raise NoRangesError from None
                raise FetchError(str(self._address), _message_of(error, self._address)) from None
            except (OSError, aiohttp.ClientError, botocore.BotoCoreError, botocore.ClientError) as error:
                failure = failure_of(error, self._address)
                if wait is None or not failure.transient:
                    raise FetchError(str(self._address), failure.reason) from None
                time.sleep(wait)
        raise AssertionError("unreachable")


def file_system(address: Address) -> tuple[fsspec.AbstractFileSystem, str]:
    """The fsspec file system for an address, and the path of the file in it.

    Raises:
        DataError: there is none for its scheme.
    """
    if reason := why_not_a_file_address(address.url):
        raise DataError(f"{address}: {reason}.")
    try:
        files = _files_of(address.scheme, os.getpid())
    except ValueError:
        raise DataError(f"{address}: {why_absent(address.url)}.") from None
    except ImportError as error:
        raise DataError(f"{address}: {error}.") from None
    if address.scheme in ("http", "https"):
        return files, quote(address.url, safe="%/:?#[]@!$&'()*+,;=~")
    return files, files._strip_protocol(address.url)


@functools.cache
def _files_of(scheme: str, process: int) -> fsspec.AbstractFileSystem:
    """The fsspec file system for a scheme in a process, with its connections.

    A forked process must open new connections. This cache keeps the inherited object alive, which fsspec's cache would drop:
    closing it fails in the fork, where its event loop does not run.

    Raises:
        ValueError, ImportError: there is none for the scheme, or it is not installed.
    """
    options: dict[str, object] = {}
    if scheme in ("http", "https"):
        # No time limit for an entire request: videos may be long. `encoded`: signatures hold for the exact characters.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=_READ)
        options = {"client_kwargs": {"timeout": timeout, "trust_env": True}, "encoded": True}
    elif scheme in _S3:
        tries = {"total_max_attempts": _S3_TRIES, "mode": "standard"}
        options = {"config_kwargs": {"connect_timeout": _CONNECT, "read_timeout": _READ, "retries": tries}}
    return fsspec.filesystem(scheme, skip_instance_cache=True, **options)


def failure_of(error: Exception, address: Address) -> ServerFailure:
    """The failure that an error of fsspec, s3fs, botocore or aiohttp stands for."""
    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and isinstance(cause, aiohttp.ClientError | TimeoutError):
        error = cause  # fsspec raises FileNotFoundError for all errors
    message = _message_of(error, address)
    if isinstance(error, aiohttp.ClientResponseError):
        return _of_status(error.status, error.message)
    advice = _AWS if address.scheme in _S3 else _HTTP
    for kinds, reason in (_PERMANENT | _TRANSIENT).items():
        if isinstance(error, kinds):
            return ServerFailure(reason.format(message=message, advice=advice), transient=kinds in _TRANSIENT)
    return ServerFailure(message, transient=isinstance(error, OSError))


def _of_status(status: int, message: str) -> ServerFailure:
    """The failure that the status of an HTTP response stands for."""
    if status in (401, 403):
        return ServerFailure(f"the server refuses it ({status} {message}): {_HTTP}", transient=False)
    if status in (404, 410):
        return ServerFailure(_ABSENT, transient=False)
    return ServerFailure(f"the server answers {status} {message}", transient=status == 429 or status >= 500)


def _message_of(error: Exception, address: Address) -> str:
    """The message of an error in one line, with the address `redacted`."""
    message = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(message.replace(address.url, str(address)).split()).rstrip(".") or type(error).__name__
