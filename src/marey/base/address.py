"""Addresses of files that are read over a network (s3://bucket/key, https://host/path), without their secrets in messages.

A location is a path of this machine or such an address.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeAlias
from urllib.parse import quote, unquote, urlsplit
from urllib.request import url2pathname

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
"""A scheme of at least two letters: C:/ is a drive of Windows."""
_AS_PATH = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(?=[^/])")
"""An address that went through `Path`, which drops one of its slashes."""
_LOGIN = re.compile(r"(?<=://)[^/?#]*@")
_PARAMETER = (
    r"(?<=[?&])((?:x-(?:amz|goog|oss|cos|ms)-|(?:aws|google)accessid|awsaccesskeyid)[^=&#]*"
    r"|signature|sign|sig|[^=&#]*token|[^=&#]*key|key-pair-id|policy|password|passwd|pwd|secret|auth[^=&#]*|jwt"
    r"|expires|se|st|sv|sp|sr|spr|skoid|sktid|skt|ske|sks|skv)="
)
"""Query parameters that sign an address: anyone who has them can read the file. Other parameters of a signature, such as
its date, are hidden with them."""
_SECRET = re.compile(_PARAMETER + r"[^&#]*", re.IGNORECASE)
_SECRET_IN = re.compile(_PARAMETER + r"""[^&#\s'"]*[^&#\s'",.:;)\]}]""", re.IGNORECASE)
"""The same within a sentence, where punctuation may follow the address."""
_HTTP = ("http", "https")


@dataclass(frozen=True)
class Address:
    """The address of a file that is read over a network.

    `str(address)` and `repr(address)` omit its login and signature, so that messages and results never contain them. Only
    `url` has them.
    """

    url: str = field(repr=False)
    """The complete address, with the login and the signature that it may have."""

    def __str__(self) -> str:
        return redacted(self.url)

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"

    @property
    def scheme(self) -> str:
        """The scheme in lower case: "s3", "https"."""
        return self.url.partition("://")[0].lower()

    @property
    def server(self) -> str:
        """The server of this address, without a login: "s3://bucket", "https://host:8080"."""
        return f"{self.scheme}://{_LOGIN.sub('', self.url).partition('://')[2].partition('/')[0].partition('?')[0]}"

    @property
    def name(self) -> str:
        """The last component of its path, decoded like a file name; "" where the path ends with a slash."""
        if self.scheme not in _HTTP:
            return self.url.rpartition("/")[2]
        return unquote(urlsplit(self.url).path.rpartition("/")[2])

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The end of the name from its last dot on, such as ".mp4"."""
        return PurePosixPath(self.name).suffix

    def joined(self, name: str) -> str:
        """The address of the file with the relative path `name` below this address. The query of this address is kept."""
        if self.scheme not in _HTTP:
            return f"{self.url.rstrip('/')}/{name.removeprefix('./')}"
        parts = urlsplit(self.url)
        path = f"{parts.path.rstrip('/')}/{quote(name.removeprefix('./'), safe='/%')}"
        return parts._replace(path=path).geturl()


Location: TypeAlias = Path | Address
"""Where a video is: a file or folder of this machine, or an address."""


def is_address(text: str) -> bool:
    """Whether a text has the form of an address: a scheme of at least two letters before ://."""
    return "://" in text and _SCHEME.match(text) is not None


def address_in(text: str | Path | Address) -> Address | None:
    """The address that `text` is, even after `Path` dropped one of its slashes; None if it is a path.

    file:// addresses name files of this machine, so they count as paths: `location_of` returns the path.
    """
    if isinstance(text, Address):
        return text
    written = text.as_posix() if isinstance(text, Path) else text
    if isinstance(text, Path):
        written = _AS_PATH.sub(r"\1:///" if written[:5].lower() == "file:" else r"\1://", written, count=1)
    if not is_address(written) or written[:7].lower() == "file://":
        return None
    return Address(written)


def location_of(text: str | Path | Address) -> Location:
    """The address or path that a text names. file:///a%20b.mp4 is the path /a b.mp4."""
    if (address := address_in(text)) is not None:
        return address
    written = str(text)
    if written[:5].lower() == "file:" and "/" in written[5:6]:
        return Path(url2pathname(f"/{written[5:].lstrip('/')}"))
    return Path(written)


def as_listed(location: str | Path | Address) -> str:
    """The text by which a list names a path or address; `location_in` reads it. file:// addresses become paths."""
    if (address := address_in(location)) is not None:
        return address.url
    text = str(location)
    return str(location_of(location)) if text[:5].lower() == "file:" else text


def path_in(root: str | Path, name: str) -> str:
    """The path of the file that a list names, relative to `root`, as `name`; an address is returned as the list has it."""
    return as_listed(name) if is_address(name) else os.path.join(root, name)  # noqa: PTH118 - a Path per row takes seconds


def location_in(root: Path, name: str) -> Location:
    """As `path_in`, returned as a `Path` or `Address` that can be opened."""
    return location_of(name) if is_address(name) else root / name


def at_server(server: Address, name: str) -> str:
    """The address of a listed file whose relative path belongs below `server`. Addresses and absolute paths stay as
    they are.
    """
    return name if is_address(name) or name.startswith("/") else server.joined(name)


def absolute(location: Location) -> str:
    """The absolute path, with links unresolved; an address without its secrets."""
    return str(location) if isinstance(location, Address) else str(location.absolute())


def redacted(text: str) -> str:
    """A path or address for messages and results: without a login, and with "..." in place of a signature in its query."""
    if not is_address(text) or not ("@" in text or "?" in text):
        return text
    return _SECRET.sub(r"\1=...", _LOGIN.sub("", text))


def redacted_text(text: str) -> str:
    """A text that may quote addresses, such as a message or a line of a list, with every address `redacted`."""
    return _SECRET_IN.sub(r"\1=...", _LOGIN.sub("", text)) if "://" in text else text


def offline() -> bool:
    """Whether $MAREY_OFFLINE forbids access to the network."""
    return os.environ.get("MAREY_OFFLINE", "0") not in ("", "0")
