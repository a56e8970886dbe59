"""How long a video file says that it is: one look at its header, where opening it would read every packet."""

import contextlib

import av

from marey.base.address import Place, address_in
from marey.video.reading.decoding import FetchError
from marey.video.reading.remote import RemoteFile


def stated_seconds(path: str | Place) -> float | None:
    """The length in seconds that a container states, which may be that of its sound; None where it states none, or cannot be
    opened.
    """
    try:
        with contextlib.ExitStack() as opened:
            address = address_in(path)
            file = str(path) if address is None else opened.enter_context(RemoteFile(address, small=0))
            container = opened.enter_context(av.open(file, mode="r"))
            return None if container.duration is None else container.duration / av.time_base
    except (OSError, ValueError, av.FFmpegError, FetchError):
        return None
