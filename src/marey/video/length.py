"""How long a video file says that it is: one look at its header, where opening it would read every packet."""

import av


def stated_seconds(path: str) -> float | None:
    """The length in seconds that a container states, which may be that of its sound; None where it states none, or cannot be
    opened.
    """
    try:
        with av.open(path, mode="r") as container:
            return None if container.duration is None else container.duration / av.time_base
    except (OSError, ValueError, av.FFmpegError):
        return None
