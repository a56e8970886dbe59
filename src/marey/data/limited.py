"""Videos decoded under limits: one that hangs, crashes or takes too much memory is left out, with the reason."""

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import cv2

from marey.base.errors import DecodeError
from marey.base.limited import Outcome, each_limited
from marey.base.limited_process import Failure
from marey.base.limits import Limits, memory_not_refused
from marey.base.processes import decoding_workers
from marey.data.quarantine import Broken
from marey.data.videos import Target, VideoEntry
from marey.data.views import ViewDecoder, ViewItem, broken
from marey.video.length import stated_seconds

if TYPE_CHECKING:  # it loads torch, which the processes do not need
    from marey.data.clips import ViewDataset

__all__ = ["Decoded", "Limits", "decode_limited"]

_Item: TypeAlias = tuple[VideoEntry, Target | None]


@dataclass(frozen=True)
class Decoded:
    """A video of a list, decoded under limits."""

    item: ViewItem
    """A `DecodedVideo`, or a `Broken` with the reason: of the file, or of the limit that it met."""
    seconds: float
    """Spent on decoding by the clock, in the process that did it; of one that was ended, until then."""


def decode_limited(
    views: "ViewDataset", rows: Iterable[int], *, workers: int | None, limits: Limits
) -> Iterator[Decoded]:
    """The videos of `rows` in turn, each as `views[row]`, decoded under limits in processes that may die.

    A video that takes too long or too much memory, that ends its process, or with which an error comes up that nobody
    foresaw, is a `Broken`; another process takes over. Each process is given single videos, never the list, and has at most
    two of them waiting, so that memory stays bounded; `rows` is asked as there is room.

    Args:
        views: The videos, and how they are decoded.
        rows: Rows of its list.
        workers: Decoding processes; None: one per core, at most eight; 0: one, which decodes a video when it is asked for.
            None is in this process, as this one could not be ended.
        limits: What each video may take.

    Raises:
        MareyError: as decoding raised it, other than for a file that cannot be read.
        RunError: processes end before they begin a video; or the main script starts them outside of
            `if __name__ == "__main__":`.
    """
    items = ((views.videos[row], views.videos.target(row)) for row in rows)
    outcomes = each_limited(_Decoding(views.decoder), items, workers=decoding_workers(workers), limits=limits)
    with contextlib.closing(outcomes):
        for outcome in outcomes:
            yield Decoded(_item(outcome), outcome.seconds)
            del outcome  # its frames would be in memory beside the next ones


def _item(outcome: "Outcome[_Item, ViewItem]") -> ViewItem:
    if not isinstance(outcome.result, Failure):
        return outcome.result
    video, _ = outcome.item
    return Broken(video.id, str(video.path), f"{video.path}: decoding {outcome.result.reason}")


@dataclass(frozen=True)
class _Decoding:
    """The work of a process: see `marey.base.limited_process.Work`."""

    decoder: ViewDecoder

    def begin(self) -> None:
        cv2.setNumThreads(0)

    def __call__(self, item: _Item) -> ViewItem:
        try:
            return self.decoder.decoded(*item)
        except (DecodeError, OSError, cv2.error) as error:
            if _lacked_memory(error):
                raise MemoryError from error
            if isinstance(error, cv2.error):
                raise
            found = broken(item[0], error)
        return self._confirmed(item, found)

    def _confirmed(self, item: _Item, found: Broken) -> ViewItem:
        """What comes of a file that seems broken where the system refuses no memory; the process looks at what was used."""
        with memory_not_refused() as refused:
            return self.decoder(*item) if refused else found

    def duration(self, item: _Item) -> float | None:
        return stated_seconds(str(item[0].path))


def _lacked_memory(error: Exception) -> bool:
    """Whether a decoder or OpenCV did not get the memory that it asked for; both tell it in words alone."""
    return any(words in str(error) for words in (os.strerror(errno.ENOMEM), "Insufficient memory"))
