"""Why nothing lies at a path: an address, a camera, a pattern in quotes; and what to do instead."""

import glob
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

_ADDRESS = re.compile(r"(?:^|/)([a-z][a-z0-9+]+):/+(\S.*)$", re.IGNORECASE)
_STREAMS = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srt", "udp", "tcp", "mms", "rist", "ws", "wss"})
_SITES = re.compile(
    r"^(?:[\w-]+\.)*(?:youtube\.com|youtu\.be|vimeo\.com|tiktok\.com|bilibili\.com|dailymotion\.com)(?:/|$)"
)
_CAMERA = re.compile(r"^(?:/dev/video\d+|\d{1,2}|(?:web)?cam(?:era)?\d*)$", re.IGNORECASE)
_WINDOWS = re.compile(r"^[a-z]:[\\/]|^\\\\", re.IGNORECASE)


def as_typed(path: str | Path) -> str:
    """A path in words; of an address with both slashes, of which `Path` takes one away."""
    return re.sub(r"^([a-z][a-z0-9+]+):/(?=[^/])", r"\1://", str(path), flags=re.IGNORECASE)


def why_absent(path: str | Path, otherwise: str = "no such file") -> str:
    """Why there is nothing at `path` to read, and what to do instead; `otherwise` where its form says nothing.

    `Path` takes one of the two slashes of an address away, so that both forms are known.
    """
    text = str(path)
    if (address := _ADDRESS.search(text)) is not None:
        return _of_address(address[1].lower(), address[2])
    if _SITES.match(text.lower().removeprefix("www.")):
        return _of_address("https", text)
    advice = ""
    if _CAMERA.match(text):
        advice = (
            ", and cameras are not read yet: record a file first, for example ffmpeg -f v4l2 -i /dev/video0 -t 10 clip.mp4, "
            "and name that"
        )
    elif text == "-":
        advice = "; standard input is not read: write it to a file, and name that"
    elif text.startswith("~"):
        advice = f"; the shell leaves ~ in quotes as it is: write {Path(text).expanduser()}"
    elif _WINDOWS.match(text):
        advice = "; a path of Windows means nothing on this system: write it with /, from the folder where it lies"
    elif glob.has_magic(text):
        count = len(glob.glob(text))  # noqa: PTH207 - an absolute pattern, too
        advice = f"; a pattern is the shell's to expand, and it matches {count} here: leave out the quotes"
    return otherwise + advice


def _of_address(scheme: str, rest: str) -> str:
    if scheme == "file":
        return f"an address of a file on this machine: name its path, {unquote(urlsplit(f'file:///{rest}').path)}"
    if scheme in _STREAMS:
        return (
            f"a live stream ({scheme}), and those are not read yet: record a part of it first, for example "
            f"ffmpeg -i {scheme}://{rest} -t 10 -c copy clip.mp4, and name that"
        )
    fetch = f"yt-dlp {rest}" if _SITES.match(rest.lower().removeprefix("www.")) else f"curl -LO {scheme}://{rest}"
    example = f", for example {fetch}" if scheme in ("http", "https") else ""
    return f"an address, and only files on this machine are read: fetch it first{example}, and name the file"
