"""Why there is no file at a path (an address, a camera, a pattern in quotes, ...), and what to do instead."""

import difflib
import glob
import os
import re
import sys
from itertools import islice
from pathlib import Path
from urllib.parse import unquote

_ADDRESS = re.compile(r"(?:^|/)([a-z][a-z0-9+]+):/+(\S.*)$", re.IGNORECASE)
_STREAMS = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srt", "udp", "tcp", "mms", "rist", "ws", "wss"})
_SITES = re.compile(
    r"^(?:[\w-]+\.)*(?:youtube\.com|youtu\.be|vimeo\.com|tiktok\.com|bilibili\.com|dailymotion\.com)(?:/|$)"
)
_CAMERA = re.compile(r"^(?:/dev/video\d+|\d{1,2}|(?:web)?cam(?:era)?\d*)$", re.IGNORECASE)
_WINDOWS = re.compile(r"^[a-z]:[\\/]|^\\\\", re.IGNORECASE)
_INPUTS = {"darwin": "-f avfoundation -i 0", "win32": '-f dshow -i video="NAME"'}
_RECORD = f"ffmpeg {_INPUTS.get(sys.platform, '-f v4l2 -i /dev/video0')} -t 10 clip.mp4"
"""Command that records ten seconds from a camera on this system."""

_QUOTES = " \t'\"\u2018\u2019\u201c\u201d"
"""Blanks and quotes that may be copied along with a path."""
_MOST_NAMES = 1000
"""Most names of a folder that are searched for one of similar spelling."""


def absent_message(path: str | Path, otherwise: str = "no such file") -> str:
    """Message for a path that the user gave and that does not exist: `why_absent`, and a similar path that exists."""
    return f"{_as_typed(path)}: {why_absent(path, otherwise)}.{_near(Path(path))}"


def _as_typed(path: str | Path) -> str:
    """A path as text; an address with both slashes, one of which `Path` drops."""
    text = re.sub(r"^(file):/(?=[^/])", r"\1:///", str(path), flags=re.IGNORECASE)
    return re.sub(r"^([a-z][a-z0-9+]+):/(?=[^/])", r"\1://", text, flags=re.IGNORECASE)


def _near(path: Path) -> str:
    """The question " Did you mean PATH?" with an existing path of similar spelling, or ""."""
    parent = next((folder for folder in path.parents if folder.is_dir()), None)
    if parent is None or (":" in path.parts[0] and not path.drive):
        return ""
    name, *rest = path.relative_to(parent).parts
    with os.scandir(parent) as entries:
        names = [entry.name for entry in islice(entries, _MOST_NAMES)]
    same = [one for one in names if one.casefold() == name.casefold() or (not rest and Path(one).stem == name)]
    similar = same or difflib.get_close_matches(name, names, n=3, cutoff=0.7)
    existing = next((parent.joinpath(one, *rest) for one in similar if parent.joinpath(one, *rest).exists()), None)
    return "" if existing is None else f" Did you mean {existing}?"


def why_absent(path: str | Path, otherwise: str = "no such file") -> str:
    """Why there is no file at `path`, and what to do instead. `otherwise` is the reason if `path` is no address;
    advice may follow.

    An address that went through `Path` has lost a slash (s3:/bucket/key). It is recognised in both forms.
    """
    text = str(path)
    unquoted = text.strip(_QUOTES)
    if reason := why_not_a_file_address(text):
        return reason
    if (address := _ADDRESS.search(text)) is not None:
        return _of_address(address[1].lower(), address[2])
    if _SITES.match(text.lower().removeprefix("www.")):
        return _page(text)
    advice = ""
    if _CAMERA.match(text):
        advice = f", and cameras are not read yet: record a file first, for example {_RECORD}, and use that"
    elif text == "-":
        advice = "; standard input is not read: write it to a file, and use that"
    elif unquoted != text and Path(unquoted).exists():
        advice = f"; without the blanks or quotes around it there is one: {unquoted}"
    elif "\\" in text and Path(slashes := text.replace("\\", "/")).exists():
        advice = f"; with / instead of \\ there is one: {slashes}"
    elif text.startswith("~"):
        advice = f"; the shell does not expand ~ in quotes: write {os.path.expanduser(text)}"  # noqa: PTH111 - Path raises for an unknown user
    elif (expanded := os.path.expandvars(text)) != text:
        advice = f"; the shell does not expand variables in single quotes: write {expanded}"
    elif sys.platform != "win32" and _WINDOWS.match(text):
        advice = "; this is a path of Windows: write it with /, from the folder where the file is"
    elif glob.has_magic(text):
        count = len(glob.glob(text))  # noqa: PTH207 - the pattern may be absolute
        matches = f"it matches {count} here: leave out the quotes" if count else "it matches nothing here either"
        advice = f"; the shell expands patterns, and {matches}"
    return otherwise + advice


def why_not_a_file_address(text: str) -> str:
    """Why an address cannot be that of a file: it is a live stream, or a page of a video site; "" if it may be a file."""
    address = _ADDRESS.search(text)
    if address is None:
        return ""
    scheme, rest = address[1].lower(), address[2]
    if scheme in _STREAMS:
        return (
            f"a live stream ({scheme}), and those are not read yet: record some of it first, for example "
            f"ffmpeg -i {scheme}://{rest} -t 10 -c copy clip.mp4, and use that"
        )
    if scheme in ("http", "https") and _SITES.match(rest.lower().removeprefix("www.")):
        return _page(rest)
    return ""


def _page(rest: str) -> str:
    return (
        f"a web page with a video, and only files are read: download it, for example by yt-dlp {rest}, and use the file"
    )


def _of_address(scheme: str, rest: str) -> str:
    if scheme == "file":
        return f"the address of a file on this machine: use its path, /{unquote(rest)}"
    example = f", for example curl -LO {scheme}://{rest}" if scheme in ("http", "https") else ""
    return f"an address whose scheme is not read here ({scheme}): download it first{example}, and use the file"
