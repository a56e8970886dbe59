"""Decoders that misbehave. Without torch: the processes that decode under limits import this module."""

import os
import re
import signal
import sys
import time
from pathlib import Path

import numpy as np

from marey.base.errors import DataError, DecodeError
from marey.base.reporter import notice, warning
from marey.data.lists.videos import VideoEntry
from marey.data.loading.view_decoder import DecodedVideo, ViewDecoder


class OddDecoder(ViewDecoder):
    """Does what the id of a video asks for ("crash-1"); other ids get a frame, and their process as identity."""

    def decoded(self, video: VideoEntry, target: object) -> DecodedVideo:
        does = getattr(self, f"_{video.id.partition('-')[0]}", None)
        if does is not None:
            does(video)
        frames = np.full((1, 2, 2, 3), len(video.id), np.uint8)
        return DecodedVideo(video.id, frames, np.zeros((1, 1), int), np.zeros((1, 1)), None, 1.0, os.getpid())

    def _sleep(self, video: VideoEntry) -> None:
        time.sleep(3600)

    def _spin(self, video: VideoEntry) -> None:
        """Sleep in C with the interpreter's lock held, so that no thread of this process runs."""
        re.match(r"(a+)+$", "a" * 60 + "b")

    def _crash(self, video: VideoEntry) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)

    def _killed(self, video: VideoEntry) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _exit(self, video: VideoEntry) -> None:
        os._exit(3)

    def _leave(self, video: VideoEntry) -> None:
        sys.exit(4)

    def _wrong(self, video: VideoEntry) -> None:
        raise ValueError("this was\nnot foreseen")

    def _large(self, video: VideoEntry) -> None:
        kept = [np.ones(10_000_000, np.uint8) for _ in range(1000)]
        raise AssertionError(f"there is room for {len(kept)} arrays")

    def _ffmpeg(self, video: VideoEntry) -> None:
        raise DecodeError(video.path, "frame 3 of 9: Cannot allocate memory")

    def _refuse(self, video: VideoEntry) -> None:
        raise DataError("x.csv: this is what is wrong.")

    def _say(self, video: VideoEntry) -> None:
        notice(f"at {video.id}")
        warning("no compiler on this machine")

    def _slow(self, video: VideoEntry) -> None:
        """Sleep for as many seconds as the id gives; a file with its name shows that it began."""
        Path(video.path).touch()
        time.sleep(float(video.id.split("-")[1]))

    def _until(self, video: VideoEntry) -> None:
        """Wait for the file with its name."""
        while not Path(video.path).exists():
            time.sleep(0.01)

    def _file(self, video: VideoEntry) -> None:
        time.sleep(5)


class CannotBegin(OddDecoder):
    """Cannot be created in another process."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return _import_error, ("No module named 'codec'",)


def _import_error(text: str) -> None:
    raise ImportError(text)


class DiesAtOnce(OddDecoder):
    """Ends the process that it is sent to."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (5,)
