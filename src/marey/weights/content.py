"""What a file holds in place of weights: a web page, a server's error, a Git LFS pointer, nothing, other weights."""

import html
import re
from pathlib import Path

from marey.base.errors import WeightsError
from marey.recipe.source import Hash
from marey.weights.store import digest

HEAD = 1024
"""Bytes at the beginning of a file by which `foreign_body` knows it."""
_POINTER = b"version https://git-lfs.github.com/spec/"
_PAGE = re.compile(r"<(!doctype html|html|head)\b|<[?!].*<html\b", re.IGNORECASE | re.DOTALL)
"""A web page, also one that begins with <?xml or a comment."""
_TITLE = re.compile(r"<title\b[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_JSON = re.compile(r"""\{\s*["}]|\[\s*[{"\]]""")
_LONGEST = 100
"""Characters of a page's title or of an error that are shown."""


def foreign_body(first_bytes: bytes, *, content_type: str = "") -> str | None:
    """What is in a file that is no checkpoint of any kind, in a few words; None where it may be one.

    Args:
        first_bytes: The file's first `HEAD` bytes, or all of a shorter one.
        content_type: What a server calls it. Alone it proves nothing: some call every unknown file a web page.
    """
    if not first_bytes:
        return "an empty file"
    if b"\0" in first_bytes:
        return None  # No text: a .safetensors file may begin with the length "<" or "{".
    text = first_bytes.decode("utf-8", "replace").removeprefix("\ufeff").lstrip()
    readable = "\ufffd" not in text[:-4]  # The last character may be cut.
    if first_bytes.startswith(_POINTER):
        size = re.search(r"^size (\d+)$", text, re.MULTILINE)
        return f"a Git LFS pointer{f' to a file of {size[1]} bytes' if size else ''} (git lfs pull fetches that file)"
    called_page = readable and "text/html" in content_type.lower()
    if called_page or _PAGE.match(text):
        title = _TITLE.search(text)
        return "a web page" + (_shown(title[1]) if title else "")
    if readable and text.startswith("<"):
        return "an XML answer" + _shown(error_in(first_bytes))
    return "a JSON answer" + _shown(text) if readable and _JSON.match(text) else None


def error_in(body: bytes) -> str:
    """What a storage service says in the XML of its error: "NoSuchBucket: The specified bucket does not exist"; else ""."""
    text = body.decode("utf-8", "replace")
    found = (re.search(f"<{tag}>([^<]*)</{tag}>", text) for tag in ("Code", "Message"))
    return ": ".join(" ".join(html.unescape(part[1]).split()) for part in found if part)


def _shown(text: str) -> str:
    text = " ".join(html.unescape(text).split())
    return f" ({text if len(text) <= _LONGEST else text[:_LONGEST] + '...'})" if text else ""


def no_checkpoint(path: Path) -> str | None:
    """What a file holds that is no checkpoint of any kind, as a sentence without a full stop; None where it may be one."""
    with path.open("rb") as file:
        what = foreign_body(file.read(HEAD))
    return None if what is None else f"{what} where a checkpoint was expected"


def check_body(path: Path) -> None:
    """Refuse a file that is no checkpoint of any kind.

    Raises:
        WeightsError: a web page, a Git LFS pointer, ...: names it.
    """
    if what := no_checkpoint(path):
        raise WeightsError(f"{path}: {what}. Fetch the file itself.")


def hash_name(known: Hash) -> str:
    """What a hash is, for a person."""
    return "SHA-256" if known.algorithm == "sha256" else "git blob id"


def other_hash(found: str, known: Hash) -> str:
    """That a file has another hash: both, and who states the expected one.

    Args:
        found: All its digits by the algorithm of `known`.
        known: The expected hash.
    """
    begins = found[: 8 if known.whole else len(known.digits)]
    return f"its {hash_name(known)} begins {begins}, expected {known.digits} by {known.stated_by}"


def mismatch(path: Path, known: Hash | None, size: int | None) -> str | None:
    """In what a file is not the one that was expected; None where it is.

    Args:
        path: The file.
        known: Its hash, which decides where there is one.
        size: Its bytes, which decide where there is no hash; None: not known.
    """
    if known is not None:
        found = digest(path, known)
        return None if found.startswith(known.digits) else other_hash(found, known)
    there = path.stat().st_size
    return None if size in (None, there) else f"it has {there} bytes, expected {size}"


def difference(path: Path, known: Hash | None, size: int | None) -> str | None:
    """As `mismatch`, of a checkpoint: what is none at all is named first."""
    return no_checkpoint(path) or mismatch(path, known, size)
