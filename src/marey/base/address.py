"""Addresses of files that are read over a network: s3://bucket/key, https://host/path; and how they are shown."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeAlias
from urllib.parse import quote, unquote, urlsplit
from urllib.request import url2pathname

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
"""Of two letters at least: C:/ is a drive of Windows."""
_AS_PATH = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(?=[^/])")
"""An address of which `Path` left one of the slashes."""
_LOGIN = re.compile(r"(?<=://)[^/?#]*@")
_PARAMETER = (
    r"(?<=[?&])((?:x-(?:amz|goog|oss|cos|ms)-|(?:aws|google)accessid|awsaccesskeyid)[^=&#]*"
    r"|signature|sign|sig|[^=&#]*token|[^=&#]*key|key-pair-id|policy|password|passwd|pwd|secret|auth[^=&#]*|jwt"
    r"|expires|se|st|sv|sp|sr|spr|skoid|sktid|skt|ske|sks|skv)="
)
"""Parameters of a query with which anyone may read the file, or that belong to such."""
_SECRET = re.compile(_PARAMETER + r"[^&#]*", re.IGNORECASE)
_SECRET_IN = re.compile(_PARAMETER + r"""[^&#\s'"]*[^&#\s'",.:;)\]}]""", re.IGNORECASE)
"""As far as an address goes within a sentence: without the signs that end a quotation or a part of it."""
_HTTP = ("http", "https")


@dataclass(frozen=True)
class Address:
    """Where a file lies that is read over a network. In words, and so in messages and results, it has no login and no
    signature: `str(address)`; only `url` has them.
    """

    url: str = field(repr=False)

    def __str__(self) -> str:
        return shown(self.url)

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"

    @property
    def scheme(self) -> str:
        """In small letters: "s3", "https"."""
        return self.url.partition("://")[0].lower()

    @property
    def server(self) -> str:
        """What answers for the file: scheme, and bucket or host with its port, without a login."""
        return f"{self.scheme}://{_LOGIN.sub('', self.url).partition('://')[2].partition('/')[0].partition('?')[0]}"

    @property
    def name(self) -> str:
        """The last part of its path, as a file would be called; "" where it ends with a slash."""
        if self.scheme not in _HTTP:
            return self.url.rpartition("/")[2]
        return unquote(urlsplit(self.url).path.rpartition("/")[2])

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The end of the name from its last point on, such as ".mp4"."""
        return PurePosixPath(self.name).suffix

    def joined(self, name: str) -> str:
        """The address of a file below this one, by its relative path; a query of this address is kept."""
        if self.scheme not in _HTTP:
            return f"{self.url.rstrip('/')}/{name.removeprefix('./')}"
        parts = urlsplit(self.url)
        path = f"{parts.path.rstrip('/')}/{quote(name.removeprefix('./'), safe='/%')}"
        return parts._replace(path=path).geturl()


Place: TypeAlias = Path | Address
"""Where a video lies: a file or folder of this machine, or an address."""


def is_address(text: str) -> bool:
    """Whether a text is an address by its form: a scheme of two letters or more before ://."""
    return "://" in text and _SCHEME.match(text) is not None


def address_in(text: str | Path | Address) -> Address | None:
    """The address that is meant, also where `Path` left one of its slashes; None of a path.

    An address of a file of this machine (file://) is none: `place_of` gives its path.
    """
    if isinstance(text, Address):
        return text
    written = text.as_posix() if isinstance(text, Path) else text
    if isinstance(text, Path):
        written = _AS_PATH.sub(r"\1:///" if written[:5].lower() == "file:" else r"\1://", written, count=1)
    if not is_address(written) or written[:7].lower() == "file://":
        return None
    return Address(written)


def place_of(text: str | Path | Address) -> Place:
    """What a text names: an address, or a path; of file:///a%20b.mp4 the path /a b.mp4."""
    if (address := address_in(text)) is not None:
        return address
    written = str(text)
    if written[:5].lower() == "file:" and "/" in written[5:6]:
        return Path(url2pathname(f"/{written[5:].lstrip('/')}"))
    return Path(written)


def written(place: str | Path | Address) -> str:
    """A path or an address as a list has it, from which `located` makes it again; of a file of this machine its path."""
    if (address := address_in(place)) is not None:
        return address.url
    text = str(place)
    return str(place_of(place)) if text[:5].lower() == "file:" else text


def path_in(root: str | Path, name: str) -> str:
    """The path of a file of a list, given relative to `root`, or its address as it is written."""
    return written(name) if is_address(name) else os.path.join(root, name)  # noqa: PTH118 - a Path per row takes seconds


def located(root: Path, name: str) -> Place:
    """As `path_in`, as what can be opened."""
    return place_of(name) if is_address(name) else root / name


def at_server(server: Address, name: str) -> str:
    """The address of a file of a list whose relative paths lie below another address; others are what they are."""
    return name if is_address(name) or name.startswith("/") else server.joined(name)


def absolute(place: Place) -> str:
    """A path from the root of the disk on, links as they are; an address as it is shown."""
    return str(place) if isinstance(place, Address) else str(place.absolute())


def shown(text: str) -> str:
    """A path or an address as messages and results have it: without a login, and "..." for the signature in a query."""
    if not is_address(text) or not ("@" in text or "?" in text):
        return text
    return _SECRET.sub(r"\1=...", _LOGIN.sub("", text))


def shown_in(text: str) -> str:
    """A line of a list, a message or another text that may quote addresses, with all of them as they are shown."""
    return _SECRET_IN.sub(r"\1=...", _LOGIN.sub("", text)) if "://" in text else text
