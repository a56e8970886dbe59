"""Why nothing lies at a path: an address, a camera, a pattern in quotes; and what to do instead."""

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
"""How FFmpeg records ten seconds from a camera, on this system."""

_AROUND = " \t'\"\u2018\u2019\u201c\u201d"
"""Blanks and quotes that come along when a path is copied."""
_NAMES = 1000
"""Names of a folder among which one spelt alike is sought."""


def nothing_at(path: str | Path, otherwise: str = "no such file") -> str:
    """The sentences that say why nothing is at a path that a user named: `why_absent`, and a name that is there instead."""
    return f"{_as_typed(path)}: {why_absent(path, otherwise)}.{_near(Path(path))}"


def _as_typed(path: str | Path) -> str:
    """A path in words; of an address with all slashes, of which `Path` leaves one."""
    text = re.sub(r"^(file):/(?=[^/])", r"\1:///", str(path), flags=re.IGNORECASE)
    return re.sub(r"^([a-z][a-z0-9+]+):/(?=[^/])", r"\1://", text, flags=re.IGNORECASE)


def _near(path: Path) -> str:
    """The question whether a path was meant that is there: its first part that is not, spelt otherwise."""
    there = next((folder for folder in path.parents if folder.is_dir()), None)
    if there is None or (":" in path.parts[0] and not path.drive):
        return ""
    name, *rest = path.relative_to(there).parts
    with os.scandir(there) as entries:
        names = [entry.name for entry in islice(entries, _NAMES)]
    same = [one for one in names if one.casefold() == name.casefold() or (not rest and Path(one).stem == name)]
    found = same or difflib.get_close_matches(name, names, n=3, cutoff=0.7)
    meant = next((there.joinpath(one, *rest) for one in found if there.joinpath(one, *rest).exists()), None)
    return "" if meant is None else f" Did you mean {meant}?"


def why_absent(path: str | Path, otherwise: str = "no such file") -> str:
    """Why there is nothing at `path` to read, and what to do instead; `otherwise` where its form says nothing.

    `Path` leaves one of the slashes of an address, so that both forms are known.
    """
    text = str(path)
    plain = text.strip(_AROUND)
    if reason := why_no_file(text):
        return reason
    if (address := _ADDRESS.search(text)) is not None:
        return _of_address(address[1].lower(), address[2])
    if _SITES.match(text.lower().removeprefix("www.")):
        return _page(text)
    advice = ""
    if _CAMERA.match(text):
        advice = f", and cameras are not read yet: record a file first, for example {_RECORD}, and name that"
    elif text == "-":
        advice = "; standard input is not read: write it to a file, and name that"
    elif plain != text and Path(plain).exists():
        advice = f"; without the blanks or quotes around it there is one: {plain}"
    elif "\\" in text and Path(slashes := text.replace("\\", "/")).exists():
        advice = f"; with / in place of \\ there is one: {slashes}"
    elif text.startswith("~"):
        advice = f"; the shell leaves ~ in quotes as it is: write {os.path.expanduser(text)}"  # noqa: PTH111 - of no user, too
    elif (expanded := os.path.expandvars(text)) != text:
        advice = f"; the shell leaves variables in single quotes as they are: write {expanded}"
    elif sys.platform != "win32" and _WINDOWS.match(text):
        advice = "; a path of Windows means nothing on this system: write it with /, from the folder where it lies"
    elif glob.has_magic(text):
        count = len(glob.glob(text))  # noqa: PTH207 - an absolute pattern, too
        matches = f"it matches {count} here: leave out the quotes" if count else "it matches nothing here either"
        advice = f"; a pattern is the shell's to expand, and {matches}"
    return otherwise + advice


def why_no_file(text: str) -> str:
    """Why an address is not that of a file: a live stream, or a page of a site of videos; "" where it may be one."""
    address = _ADDRESS.search(text)
    if address is None:
        return ""
    scheme, rest = address[1].lower(), address[2]
    if scheme in _STREAMS:
        return (
            f"a live stream ({scheme}), and those are not read yet: record a part of it first, for example "
            f"ffmpeg -i {scheme}://{rest} -t 10 -c copy clip.mp4, and name that"
        )
    if scheme in ("http", "https") and _SITES.match(rest.lower().removeprefix("www.")):
        return _page(rest)
    return ""


def _page(rest: str) -> str:
    return (
        f"a page with a video in it, and files are read: fetch it first, for example yt-dlp {rest}, and name the file"
    )


def _of_address(scheme: str, rest: str) -> str:
    if scheme == "file":
        return f"an address of a file on this machine: name its path, /{unquote(rest)}"
    example = f", for example curl -LO {scheme}://{rest}" if scheme in ("http", "https") else ""
    return f"an address of a kind that is not read here ({scheme}): fetch it first{example}, and name the file"
