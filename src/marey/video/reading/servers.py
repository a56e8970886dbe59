"""One file on a server, through fsspec: its size, parts of it, or all of it; and what goes wrong, in words.

Credentials and endpoints are those of fsspec, s3fs and botocore: environment variables and ~/.aws; of HTTP also ~/.netrc and
proxies. Servers are asked again where that may help.
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

from marey.base.absent import why_absent, why_no_file
from marey.base.address import Address
from marey.base.errors import DataError
from marey.video.reading.decoding import FetchError

_CONNECT, _READ = 10.0, 30.0
"""Seconds until a server must have taken the connection, and have sent more."""
_WAITS = (0.5, 2.0)
"""Seconds before a server is asked for the second, and for the third time."""
_PART = 8 << 20
"""Bytes of each request, where all of a file is fetched."""
_STREAMED = 1 << 20
_S3_TRIES = 2
"""Of botocore within one of ours: its waits are longer."""

_REFUSED = "see that the credentials at hand may read it"
_AWS = (
    f"{_REFUSED} (AWS_PROFILE, AWS_ACCESS_KEY_ID, ~/.aws; AWS_ENDPOINT_URL of a server other than Amazon's; for a public "
    "bucket set FSSPEC_S3_ANON=true)"
)
_HTTP = f"{_REFUSED} (a signed address that is still valid; a login in ~/.netrc)"

_ABSENT = "no such file on the server"
_S3 = ("s3", "s3a")
_LASTING: dict[tuple[type[Exception], ...], str] = {
    (FileNotFoundError,): _ABSENT,
    (PermissionError,): "the server refuses it ({said}): {out}",
    (botocore.NoCredentialsError, botocore.PartialCredentialsError, botocore.ProfileNotFound): "{said}: {out}",
    (aiohttp.ClientConnectorCertificateError,): "the certificate of the server is not accepted",
}
_PASSING: dict[tuple[type[Exception], ...], str] = {
    (TimeoutError, botocore.ReadTimeoutError, botocore.ConnectTimeoutError): f"the server did not answer in {_READ:.0f} s",
    (
        aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, ConnectionResetError, botocore.IncompleteReadError,
        botocore.ResponseStreamingError,
    ): "the connection broke off",
    (aiohttp.ClientConnectionError, botocore.HTTPClientError, ConnectionError): "the server cannot be reached ({said})",
}  # fmt: skip
"""What stays as it is, and what may pass by itself, in words; the first that fits."""

Result = TypeVar("Result")


class NoPartsError(Exception):
    """The server sends nothing but whole files."""


class Failure(NamedTuple):
    """What went wrong."""

    reason: str
    passing: bool
    """Whether asking again may help."""


class _Opened(Protocol):
    """What is used of fsspec's files."""

    size: int | None

    def seek(self, place: int, /) -> int: ...
    def read(self, count: int, /) -> bytes: ...
    def close(self) -> None: ...


class ServerFile:
    """A file at an address. To be used by the process that opened it.

    Raises:
        FetchError: the server refuses, has no such file, or cannot be reached.
        DataError: nothing here can read such addresses.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._files, self._path = file_system(address)
        self._file: _Opened = self._tried(self._opened)
        self.size = self._file.size
        """Bytes; None where the server does not say, or says that it sends no parts."""

    def _opened(self) -> _Opened:
        opened: _Opened = self._files.open(self._path, "rb", block_size=1, cache_type="none")
        return opened

    def part(self, begin: int, end: int) -> bytes:
        """The bytes from `begin` up to the one before `end`, in one request.

        Raises:
            FetchError: they do not come.
            NoPartsError: the server sends all of the file in their place.
        """

        def fetched() -> bytes:
            self._file.seek(begin)
            data = self._file.read(end - begin)
            if not data:
                raise FetchError(str(self._address), f"has become shorter than the {self.size:,} bytes that it had")
            if len(data) < end - begin:
                raise ConnectionResetError
            return data

        return self._tried(fetched)

    def write_to(self, file: BinaryIO, most: int) -> None:
        """Write all of it into a file that is empty: in parts where there are any, else in one go.

        Raises:
            FetchError: it does not come, or has more than `most` bytes.
        """
        if self.size is not None:
            for begin in range(0, self.size, _PART):
                self._keep(file, self.part(begin, min(begin + _PART, self.size)))
            return
        self.stream_to(file, most)

    def stream_to(self, file: BinaryIO, most: int) -> None:
        """As `write_to`, in one go."""
        self._tried(lambda: self._stream_to(file, most))

    def _stream_to(self, file: BinaryIO, most: int) -> None:
        file.seek(0)
        file.truncate()
        stream: _Opened = self._files.open(self._path, "rb", block_size=0)
        try:
            while chunk := stream.read(_STREAMED):
                self._keep(file, chunk)
                if file.tell() > most:
                    raise FetchError(
                        str(self._address),
                        f"has more than {most / 2**30:.3g} GiB, and its server sends no parts of files: fetch it first, "
                        "and name the file",
                    )
        finally:
            stream.close()

    def _keep(self, file: BinaryIO, data: bytes) -> None:
        try:
            file.write(data)
        except OSError as error:  # which is none of the network
            folder = tempfile.gettempdir()
            raise FetchError(
                str(self._address), f"cannot be kept in {folder} ({error.strerror}): make room, or set TMPDIR"
            ) from None

    def close(self) -> None:
        """Let the connection go."""
        self._file.close()

    def _tried(self, action: Callable[[], Result]) -> Result:
        """What an action gives, which is tried again where its failure may pass."""
        for wait in (*_WAITS, None):
            try:
                return action()
            except ValueError as error:  # fsspec's word for it
                if "range requests" in str(error):
                    raise NoPartsError from None
                raise FetchError(str(self._address), _said(error, self._address)) from None
            except (OSError, aiohttp.ClientError, botocore.BotoCoreError, botocore.ClientError) as error:
                failure = failure_of(error, self._address)
                if wait is None or not failure.passing:
                    raise FetchError(str(self._address), failure.reason) from None
                time.sleep(wait)
        raise AssertionError("unreachable")


def file_system(address: Address) -> tuple[fsspec.AbstractFileSystem, str]:
    """What reads such addresses, and what it calls this one.

    Raises:
        DataError: nothing does.
    """
    if reason := why_no_file(address.url):
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
    """What reads the addresses of a kind in a process, with its connections.

    A forked process has connections of its own. It keeps the inherited object all the same, by this cache and not by
    fsspec's, which forgets it: closing it would go wrong there, since its event loop stayed behind.

    Raises:
        ValueError, ImportError: nothing does, or what does is not installed.
    """
    options: dict[str, object] = {}
    if scheme in ("http", "https"):
        # No limit to all of a request: a film may be long. As it is written: a signature is of the letters that were signed.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=_READ)
        options = {"client_kwargs": {"timeout": timeout, "trust_env": True}, "encoded": True}
    elif scheme in _S3:
        tries = {"total_max_attempts": _S3_TRIES, "mode": "standard"}
        options = {"config_kwargs": {"connect_timeout": _CONNECT, "read_timeout": _READ, "retries": tries}}
    return fsspec.filesystem(scheme, skip_instance_cache=True, **options)


def failure_of(error: Exception, address: Address) -> Failure:
    """What an error of fsspec, s3fs, botocore or aiohttp means."""
    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and isinstance(cause, aiohttp.ClientError | TimeoutError):
        error = cause  # fsspec calls everything a file that is not there
    said = _said(error, address)
    if isinstance(error, aiohttp.ClientResponseError):
        return _answered(error.status, error.message)
    out = _AWS if address.scheme in _S3 else _HTTP
    for kinds, reason in (_LASTING | _PASSING).items():
        if isinstance(error, kinds):
            return Failure(reason.format(said=said, out=out), passing=kinds in _PASSING)
    return Failure(said, passing=isinstance(error, OSError))


def _answered(status: int, message: str) -> Failure:
    """What the status of an answer by HTTP means."""
    if status in (401, 403):
        return Failure(f"the server refuses it ({status} {message}): {_HTTP}", passing=False)
    if status in (404, 410):
        return Failure(_ABSENT, passing=False)
    return Failure(f"the server answers {status} {message}", passing=status == 429 or status >= 500)


def _said(error: Exception, address: Address) -> str:
    """The words of an error in one line, without what is secret in the address."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(said.replace(address.url, str(address)).split()).rstrip(".") or type(error).__name__
