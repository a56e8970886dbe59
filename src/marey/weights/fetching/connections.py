"""Connections for downloads: which addresses, proxies and redirects are allowed, and what their errors mean."""

import contextlib
import email.utils
import errno
import http.client
import ipaddress
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import IO
from urllib.parse import urlsplit

from marey.base.errors import WeightsError
from marey.recipe.hosts import state_of
from marey.recipe.source import Hash
from marey.weights.files.other_formats import HEAD, error_in

_TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP status codes after which another attempt may succeed."""
_ABSENT = frozenset({401, 403, 404, 410})
"""HTTP status codes for a file that does not exist or is not public: storage services answer 403 for a missing file."""
_LONGEST_PAUSE = 60.0
"""Longest wait that a server may ask for (Retry-After), in seconds."""
_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})
_PROXY = re.compile(r"(https?://)?([^/]*@)?(\[[0-9a-fA-F:.]+\]|[^/:@\s\[\]]+)(:\d{1,5})?/?")
"""[http://][user:password@]host[:port]."""
ADVICE = (
    "Fetch the file by other means and name it (weights=FILE, --weights FILE), "
    "or set MAREY_MIRROR to a folder or an address of copies."
)


class SourceError(WeightsError):
    """An address did not give the file: it cannot be reached, or it sent something else. Another source may have it.

    Args:
        what: The address and what happened there, without a full stop. The attribute `what` lacks the advice at the end of
            the message.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}. {ADVICE}")
        self.what = what

    def __reduce__(self) -> tuple[type["SourceError"], tuple[object, ...]]:
        """Pickle by the arguments: unpickling would otherwise call the class with the complete message."""
        return type(self), (self.what,)


class AbsentError(SourceError):
    """The server answers that the file does not exist or is not public: `status` is 401, 403, 404 or 410."""

    def __init__(self, what: str, status: int = 404) -> None:
        super().__init__(what)
        self.status = status

    def __reduce__(self) -> tuple[type["SourceError"], tuple[object, ...]]:
        return type(self), (self.what, self.status)


class TemporaryError(Exception):
    """An error after which another attempt may succeed: a connection that stalls or breaks, a busy server.

    Args:
        what: What happened.
        wait: Seconds that the server asked to wait.
        answered: Whether a server answered.
    """

    def __init__(self, what: str, *, wait: float = 0.0, answered: bool = True) -> None:
        super().__init__(what)
        self.wait, self.answered = min(wait, _LONGEST_PAUSE), answered


@contextlib.contextmanager
def network_errors(url: str, timeout: float) -> Iterator[None]:
    """Turn the errors of a connection into a `TemporaryError` or a lasting `SourceError`; disk errors pass through."""
    try:
        yield
    except urllib.error.HTTPError as error:
        details = _error_body(error)
        answer = (
            f"the server answers {error.code} {' '.join(str(error.reason).split())}{f' ({details})' if details else ''}"
        )
        if error.code in _TEMPORARY:
            raise TemporaryError(answer, wait=_retry_after(error.headers.get("Retry-After", ""))) from None
        if error.code in _ABSENT:
            raise AbsentError(f"{url}: {answer}", error.code) from None
        raise SourceError(f"{url}: {answer}") from None
    except (urllib.error.URLError, ssl.SSLError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise SourceError(f"{url}: the server's certificate is not trusted ({reason})") from None
        through = f" through the proxy {_without_password(proxy)}" if (proxy := _proxy(url)) else ""
        # urllib raises a URLError while it connects; a bare SSLError comes later, after the server answered.
        answered = not isinstance(error, urllib.error.URLError)
        raise TemporaryError(f"no connection{through} ({reason})", answered=answered) from None
    except ValueError as error:  # UnicodeError among them
        raise SourceError(f"{url}: the address, or one that it redirects to, cannot be requested ({error})") from None
    except TimeoutError:
        raise TemporaryError(f"no byte for {timeout:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and (error.filename or error.errno in _DISK_ERRORS):
            raise
        raise TemporaryError(f"the connection broke ({str(error) or type(error).__name__})") from None


def _error_body(error: urllib.error.HTTPError) -> str:
    """The message of a storage service in the body of an HTTP error; empty where there is none."""
    with error:
        try:
            return error_in(error.read(4 * HEAD))
        except (OSError, http.client.HTTPException):
            return ""


def _retry_after(value: str) -> float:
    """Seconds that the header Retry-After asks to wait: it holds seconds or a date; 0 for anything else."""
    if (seconds := parse_size(value)) is not None:
        return float(seconds)
    with contextlib.suppress(ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    return 0.0


def parse_size(text: str) -> int | None:
    """The whole number in an HTTP header; None for anything else, and for more than 18 digits."""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def check_scheme(url: str) -> None:
    """Refuse an address that is neither HTTPS nor plain HTTP to this machine.

    Raises:
        WeightsError: any other address.
    """
    with contextlib.suppress(ValueError):  # an impossible port, or unbalanced brackets
        parts = urlsplit(url)
        secure = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname))
        if parts.hostname and parts.port != 0 and secure:
            return
    raise WeightsError(f"{url}: weights are fetched by HTTPS only (plain HTTP from this machine alone). {ADVICE}")


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects that lead to HTTPS, or on this machine from HTTP to HTTP.

    A redirect to a host that is reported gone is refused, and so is one to a host that is reported lost and back if no hash
    of the file is known. Both are followed if the address requested first is on a host with the same report.
    """

    def __init__(self, requested: str, known: Hash | None) -> None:
        self.state, self.known = state_of(requested), known

    def http_error_302(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
    ) -> http.client.HTTPResponse | None:
        try:
            response: http.client.HTTPResponse | None = super().http_error_302(req, fp, code, msg, headers)
        except ValueError:  # not a valid address
            fp.close()
            raise
        return response

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
                f"{req.full_url}: redirects to {newurl}: weights are fetched by HTTPS only, also after a redirect"
            )
        state = state_of(newurl)
        refused = state.reported == "gone" or (state.reported == "lost and back" and self.known is None)
        if refused and state != self.state:
            fp.close()
            raise SourceError(
                f"{req.full_url}: redirects to {newurl}, on a host that is reported {state.reported} since {state.date} "
                f"({state.evidence}) and is not contacted"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Proxies(urllib.request.ProxyHandler):
    """The environment's proxies, except for addresses of this machine."""

    def proxy_open(self, req: urllib.request.Request, proxy: str, type: str) -> http.client.HTTPResponse | None:  # noqa: A002
        if _is_loopback(urlsplit(req.full_url).hostname):
            return None
        return super().proxy_open(req, proxy, type)


def make_opener(url: str, known: Hash | None) -> urllib.request.OpenerDirector:
    """An opener for `url` and its redirects, by HTTP and HTTPS alone: no files, no FTP.

    Args:
        known: Hash of the file; None: unknown, so that hosts which were lost for a time are refused in redirects.
    """
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
    """The environment's proxy for `url`; None: it is requested directly."""
    parts = urlsplit(url)
    if _is_loopback(parts.hostname) or urllib.request.proxy_bypass(parts.netloc):
        return None
    return urllib.request.getproxies().get(parts.scheme) or None


def _without_password(proxy: str) -> str:
    return proxy.rpartition("@")[2]


def check_proxy(url: str) -> None:
    """Refuse a proxy of the environment that cannot be used for `url`.

    Raises:
        WeightsError: it is of another kind (SOCKS), or names no host.
    """
    proxy = _proxy(url)
    if proxy is not None and not _PROXY.fullmatch(proxy):
        raise WeightsError(
            f"{url}: the environment's proxy {_without_password(proxy)} cannot be used: expected "
            "HTTPS_PROXY=http://host:port, or the address's host in NO_PROXY."
        )
