"""Right and wrong answers of a tested network, each with a short film of its video, for the report."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DecodeError
from marey.base.page import jpeg_uri
from marey.data.lists.manifest import Manifest
from marey.data.lists.videos import VideoEntry, frame_range
from marey.evaluation.scores import Scores
from marey.video.open import open_source
from marey.video.source import Frames

FILM_FRAMES = 12
"""Frames of a film, spread evenly over the video."""
_AREA = 24_000
"""Pixels of a film's frame, roughly at most; smaller videos keep their size."""
_KINDS = 6
"""Kinds of wrong answer that are shown."""
_BLOCK = 16
"""JPEG codes colour in blocks of this side: frames that are whole blocks do not blur into each other."""
_QUALITIES, _BYTES = (80, 60, 40, 25), 110_000
"""Of a film's JPEG: the first quality with which it has no more bytes than these, else the last."""
_SECONDS = (1.2, 3.0)
"""A film lasts as long as its video, but no shorter and no longer than this."""


@dataclass(frozen=True)
class Film:
    """Frames side by side in one JPEG, which a page shows one after the other."""

    uri: str
    width: int
    """Of a frame of the video, in pixels, for its aspect ratio."""
    height: int
    seconds: float
    """How long the page takes to show it once."""
    duration: float
    """How long the video is, in seconds."""


@dataclass(frozen=True)
class Card:
    """One video in the report: its classes, what the network answered, and its film where the video can be read."""

    id: str
    labels: tuple[str, ...]
    """Its class, or its classes."""
    own: float
    """Probability of its class; of several, the least."""
    answer: str
    """The class that was answered; with several labels, the likeliest of those that it does not have."""
    score: float
    """Probability of the class that was answered."""
    film: Film | None


@dataclass(frozen=True)
class Confusion:
    """One kind of wrong answer, and some of its videos, the worst judged first."""

    true: str
    """The class of the videos; of several, the one with the least probability."""
    answer: str
    """The class that was answered in its place."""
    count: int
    """Videos answered so."""
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Answers:
    """A choice of right answers and of kinds of wrong ones, and how many videos were answered right and wrong."""

    right: tuple[Card, ...]
    confusions: tuple[Confusion, ...]
    """The most frequent first."""
    right_count: int
    wrong_count: int


def choose_answers(scores: Scores, data: Manifest, *, right: int = 8, wrong: int = 12) -> Answers | None:
    """Up to `right` right answers, spread over the classes, and up to `wrong` wrong ones of the most frequent kinds; None
    where the task does not call answers right or wrong.

    Right means that the class of a video has the highest score, as top-1 counts it; of a video with several labels,
    that each of them scores higher than every other class. No video is chosen twice, and only those in `data` are. A
    video that cannot be read has no film.
    """
    hit = scores.task.right(scores.probabilities, scores.labels)
    if hit is None:
        return None
    rows, positives = {sample.id: row for row, sample in enumerate(data)}, scores.positives
    judged = Judged.of(scores)
    here = np.array([video in rows for video in scores.ids], dtype=bool)

    def card(row: int) -> Card:
        labels = tuple(scores.class_names[k] for k in np.flatnonzero(positives[row]).tolist())
        best = int(scores.probabilities[row].argmax()) if hit[row] else int(judged.rival[row])
        return Card(
            id=scores.ids[row], labels=labels, own=float(judged.own[row]), answer=scores.class_names[best],
            score=float(scores.probabilities[row, best]), film=film_of(data[rows[scores.ids[row]]]),
        )  # fmt: skip

    good, bad = np.flatnonzero(hit & here), np.flatnonzero(~hit)
    spread = _over_classes(good, positives[good].argmax(axis=1), judged.own[good], right)
    found = [
        Confusion(
            scores.class_names[true], scores.class_names[answer], count, tuple(card(row) for row in chosen)
        )
        for (true, answer), count, chosen in _by_kind(bad, judged, here, wrong)
    ]  # fmt: skip
    return Answers(tuple(card(row) for row in spread), tuple(found), int(hit.sum()), len(bad))


@dataclass(frozen=True)
class Judged:
    """How each video [N] was judged: its own class, the likeliest other one, and their probabilities."""

    missed: NDArray[np.int64]
    """Its class; of several, the one with the least probability."""
    own: NDArray[np.float32]
    rival: NDArray[np.int64]
    """The likeliest class that it does not have."""
    other: NDArray[np.float32]

    @classmethod
    def of(cls, scores: Scores) -> "Judged":
        own = np.where(scores.positives, scores.probabilities, np.inf)
        other = np.where(scores.positives, -np.inf, scores.probabilities)
        return cls(own.argmin(axis=1), own.min(axis=1), other.argmax(axis=1), other.max(axis=1))


def _by_kind(
    bad: NDArray[np.int64], judged: Judged, here: NDArray[np.bool_], count: int
) -> list[tuple[tuple[int, int], int, list[int]]]:
    """The kinds of wrong answer (own class, answer), the most frequent first, each with how many videos of the rows `bad`
    it has and those of them to show: one of each kind in turn, the worst judged first, `count` in all, of at most `_KINDS`.
    """
    kinds: dict[tuple[int, int], list[int]] = {}
    for row in bad[np.argsort(judged.own[bad], kind="stable")].tolist():
        kinds.setdefault((int(judged.missed[row]), int(judged.rival[row])), []).append(row)
    ordered = sorted(kinds.items(), key=lambda kind: (-len(kind[1]), kind[0]))
    found = [(kind, len(rows), [row for row in rows if here[row]]) for kind, rows in ordered if here[rows].any()][
        :_KINDS
    ]
    chosen: list[list[int]] = [[] for _ in found]
    left = count
    for turn in range(count):
        for rows, (_, _, waiting) in zip(chosen, found, strict=True):
            if turn < len(waiting) and left:
                rows.append(waiting[turn])
                left -= 1
    return [(kind, total, rows) for (kind, total, _), rows in zip(found, chosen, strict=True) if rows]


def _over_classes(
    rows: NDArray[np.int64], classes: NDArray[np.int64], own: NDArray[np.float32], count: int
) -> list[int]:
    """`count` of the rows from as many classes as possible: of each the video that is judged neither best nor worst."""
    queues = []
    for name in np.unique(classes).tolist():
        mine = np.flatnonzero(classes == name)
        order = mine[np.argsort(own[mine], kind="stable")]
        middle = len(order) // 2
        queues.append(rows[np.concatenate([order[middle:], order[:middle][::-1]])].tolist())
    chosen: list[int] = []
    for turn in range(count):
        waiting = [queue[turn] for queue in queues if turn < len(queue)]
        free = count - len(chosen)
        if not waiting or not free:
            break
        places = np.linspace(0, len(waiting) - 1, min(free, len(waiting))).round().astype(int)
        chosen += [waiting[place] for place in places.tolist()]
    return chosen


def film_of(video: VideoEntry, frames_shown: int = FILM_FRAMES) -> Film | None:
    """A film of a video, or of the part of it that the entry is; None where it cannot be read as pictures."""
    try:
        with open_source(video.path, "planes") as source:
            first, count = frame_range(video, source)
            indices = first + np.linspace(0, count - 1, frames_shown).round().astype(int)
            width, height = source.width, source.height
            frames = source.read(indices, size=_film_size(width, height))
            times = source.timestamps[first : first + count]
    except (DecodeError, OSError):
        return None
    duration = float(times[-1] - times[0]) * count / max(count - 1, 1)
    return Film(
        uri=_filmstrip(frames),
        width=width,
        height=height,
        seconds=round(min(max(duration, _SECONDS[0]), _SECONDS[1]), 2),
        duration=duration,
    )


def _film_size(width: int, height: int) -> tuple[int, int]:
    """(height, width) of a film's frames: whole blocks, about the video's aspect ratio."""
    scale = min(1.0, (_AREA / (width * height)) ** 0.5)
    across, down = (math.ceil(side * scale / _BLOCK) * _BLOCK for side in (width, height))
    return down, across


def _filmstrip(frames: Frames) -> str:
    """Frames uint8 [N, H, W, 3] side by side, as the address of a JPEG."""
    strip = np.ascontiguousarray(np.hstack(list(frames))[:, :, ::-1])
    for quality in _QUALITIES:
        encoded = cv2.imencode(".jpg", strip, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(encoded) <= _BYTES:
            break
    return jpeg_uri(encoded)
