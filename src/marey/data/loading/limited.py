"""Videos decoded under limits: one that hangs, crashes or takes too much memory is left out, with the reason."""

import contextlib
import errno
import os
import sys
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2

from marey.base.errors import DecodeError
from marey.base.limited import Outcome, each_limited
from marey.base.limited_process import Failure
from marey.base.limits import Amount, Limits, memory_not_refused
from marey.base.processes import decoding_workers
from marey.data.files.quarantine import Broken
from marey.data.lists.videos import VideoEntry
from marey.data.loading.views import ViewDecoder, ViewItem, broken
from marey.video.reading.length import stated_seconds

__all__ = ["Decoded", "Limits", "decode_limited"]

_Items: TypeAlias = tuple[ViewItem, ...]


@dataclass(frozen=True)
class Decoded:
    """A video of a list, decoded under limits."""

    item: ViewItem
    """A `DecodedVideo`, or a `Broken` with the reason: of the file, or of the limit that it met."""
    seconds: float
    """Spent on decoding by the clock, in the process that did it; of one that was ended, until then."""


def decode_limited(
    decoders: Sequence[ViewDecoder],
    videos: Iterable[VideoEntry],
    *,
    workers: int | None,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    spread: int = sys.maxsize,
) -> Generator[tuple[int, VideoEntry, tuple[Decoded, ...]]]:
    """Each of the `videos`, decoded by each of the `decoders`, under limits in processes that may die, as they come: each
    with its place among the videos, from 0, since one that takes long comes after others that follow it.

    A video that takes too long or too much memory, that ends its process, or with which an error comes up that was not
    foreseen, is a `Broken`; another process takes over. Each process is given single videos, never the list, and has at most
    two of them waiting, so that memory stays bounded; `videos` is asked as there is room.

    Args:
        decoders: How each network that is to see the videos has them decoded; mostly one.
        videos: What is to be decoded.
        workers: Decoding processes; None: one per core, at most eight. 0 decodes in this process, where no limit can be
            kept: it could not be ended.
        limits: What each video may take, for all decoders together.
        spread: A video is begun only when the one so many places before it has come: for callers that keep the order of the
            videos, and what they made of those that came early.

    Raises:
        MareyError: as decoding raised it, other than for a file that cannot be read.
        RunError: processes end before they begin a video; or a rule is defined in the main script, which starts them outside
            of `if __name__ == "__main__":`.
    """
    if workers == 0:
        for number, video in enumerate(videos):
            yield number, video, tuple(_timed(decoder, video) for decoder in decoders)
        return
    work = _Decoding(tuple(decoders))
    outcomes = each_limited(work, videos, workers=decoding_workers(workers), limits=limits, spread=spread)
    with contextlib.closing(outcomes):
        for outcome in outcomes:
            yield outcome.number, outcome.item, _decoded_from(outcome, len(decoders))
            del outcome  # its frames would be in memory beside the next ones


class LimitedDecoder:
    """As `decode_limited`, of one video at a time, by one process that is kept until the next one.

    For programs that are given their videos by another one. The process ends with the program.
    """

    def __init__(self, decoders: Sequence[ViewDecoder], limits: Limits) -> None:
        self._count, self._next = len(decoders), list[VideoEntry]()
        self._outcomes = each_limited(_Decoding(tuple(decoders)), self._asked(), workers=0, limits=limits)

    def __call__(self, video: VideoEntry) -> tuple[Decoded, ...]:
        """The video, decoded by each of the decoders.

        Raises:
            MareyError: as `decode_limited`.
        """
        self._next.append(video)
        return _decoded_from(next(self._outcomes), self._count)

    def _asked(self) -> Iterator[VideoEntry]:
        while True:
            yield self._next.pop()


def _decoded_from(outcome: Outcome[VideoEntry, _Items], decoders: int) -> tuple[Decoded, ...]:
    return tuple(Decoded(item, outcome.seconds / decoders) for item in _items(outcome, decoders))


def _timed(decoder: ViewDecoder, video: VideoEntry) -> Decoded:
    begun = time.perf_counter()
    item = decoder(video, None)
    return Decoded(item, time.perf_counter() - begun)


def _items(outcome: Outcome[VideoEntry, _Items], count: int) -> _Items:
    if not isinstance(outcome.result, Failure):
        return outcome.result
    video = outcome.item
    return (Broken(video.id, str(video.path), f"{video.path}: decoding {outcome.result.reason}"),) * count


@dataclass(frozen=True)
class _Decoding:
    """The work of a process: see `marey.base.limited_process.Work`."""

    decoders: tuple[ViewDecoder, ...]

    def begin(self) -> None:
        cv2.setNumThreads(0)

    def __call__(self, item: VideoEntry) -> _Items:
        return tuple(_decoded(decoder, item) for decoder in self.decoders)

    def amount(self, item: VideoEntry) -> Amount:
        return Amount(stated_seconds(item.path), sum(decoder.fields(item) for decoder in self.decoders))


def _decoded(decoder: ViewDecoder, video: VideoEntry) -> ViewItem:
    """The video.

    Raises:
        MemoryError: there was not enough memory for it, whatever words the decoder has for it.
    """
    try:
        return decoder.decoded(video, None)
    except (DecodeError, OSError, cv2.error) as error:
        if _lacked_memory(error):
            raise MemoryError from error
        if isinstance(error, cv2.error):
            raise
        found = broken(video, error)
    with memory_not_refused() as refused:  # a file that seems broken; the process looks at the memory that was used
        return decoder(video, None) if refused else found


def _lacked_memory(error: Exception) -> bool:
    """Whether a decoder or OpenCV did not get the memory that it asked for; both tell it in words alone."""
    return any(words in str(error) for words in (os.strerror(errno.ENOMEM), "Insufficient memory"))
