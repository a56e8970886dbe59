"""Examples for the report: right and wrong predictions, each with a filmstrip of its video."""

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

FILMSTRIP_FRAMES = 12
"""Frames of a filmstrip, spread evenly over the video."""
_AREA = 24_000
"""Pixels of a filmstrip's frame, at most and approximately; frames of smaller videos keep their size."""
_CONFUSIONS = 6
"""Confusions (true class, predicted class) that are shown, at most."""
_BLOCK = 16
"""Side in pixels of the blocks in which JPEG encodes colour. Frame sides are multiples of it, so that frames of a strip do
not blur into each other."""
_QUALITIES, _BYTES = (80, 60, 40, 25), 110_000
"""JPEG qualities, tried in this order until a filmstrip has at most this many bytes; if none suffices, the last one is
used."""
_SECONDS = (1.2, 3.0)
"""Shortest and longest time, in seconds, in which the page shows a filmstrip once; otherwise it takes as long as the
video."""


@dataclass(frozen=True)
class Filmstrip:
    """Frames of a video side by side in one JPEG, which a page shows one after the other."""

    uri: str
    """The JPEG as a data URI."""
    width: int
    """Width of the video's frames in pixels, for the aspect ratio."""
    height: int
    """Height of the video's frames in pixels."""
    seconds: float
    """Seconds that the page takes to show it once."""
    duration: float
    """The length of the video in seconds."""


@dataclass(frozen=True)
class Example:
    """One video in the report: its labels, its prediction, and its filmstrip if the video can be read."""

    id: str
    """The id of the video in its list."""
    labels: tuple[str, ...]
    """The names of its classes: one, or several where videos have several labels."""
    own: float
    """The probability of its class, 0 to 1; with several labels, the lowest of their probabilities."""
    predicted: str
    """The most probable class; for a wrong prediction, the most probable class that is no label of the video."""
    score: float
    """The probability of `predicted`, 0 to 1."""
    filmstrip: Filmstrip | None
    """Frames of the video in one image; None: the video cannot be read."""


@dataclass(frozen=True)
class WrongExamples:
    """One confusion (true class, predicted class) with some of its videos, those with the lowest probability of the
    true class first.
    """

    true: str
    """The class of the videos; where a video has several labels, the least probable of them."""
    predicted: str
    """The class that was predicted instead."""
    count: int
    """The number of videos with this confusion."""
    examples: tuple[Example, ...]
    """Some of these videos, the lowest probability of the true class first."""


@dataclass(frozen=True)
class Examples:
    """Chosen examples of right predictions and of confusions, and how many predictions were right and wrong."""

    right: tuple[Example, ...]
    """Chosen right predictions, of as many classes as possible."""
    confusions: tuple[WrongExamples, ...]
    """Chosen confusions with their videos, the most frequent one first."""
    right_count: int
    """The number of right predictions of the test."""
    wrong_count: int
    """The number of wrong predictions of the test."""


def choose_examples(scores: Scores, data: Manifest, *, right: int = 8, wrong: int = 12) -> Examples | None:
    """Choose up to `right` right predictions, spread over the classes, and up to `wrong` wrong ones of the most frequent
    confusions; None if the task has no right and wrong predictions.

    A prediction is right if the class of the video has the highest score; with several labels, if each label scores higher
    than every other class. Only videos in `data` are chosen, none twice. A video that cannot be read has no filmstrip.
    """
    hit = scores.task.right(scores.probabilities, scores.labels)
    if hit is None:
        return None
    rows, positives = {sample.id: row for row, sample in enumerate(data)}, scores.positives
    margins = Margins.of(scores)
    listed = np.array([video in rows for video in scores.ids], dtype=bool)

    def example(row: int) -> Example:
        labels = tuple(scores.class_names[k] for k in np.flatnonzero(positives[row]).tolist())
        predicted = int(scores.probabilities[row].argmax()) if hit[row] else int(margins.rival[row])
        return Example(
            id=scores.ids[row], labels=labels, own=float(margins.own_probability[row]),
            predicted=scores.class_names[predicted], score=float(scores.probabilities[row, predicted]),
            filmstrip=filmstrip_of(data[rows[scores.ids[row]]]),
        )  # fmt: skip

    good, bad = np.flatnonzero(hit & listed), np.flatnonzero(~hit)
    spread = _over_classes(good, positives[good].argmax(axis=1), margins.own_probability[good], right)
    found = [
        WrongExamples(
            scores.class_names[true], scores.class_names[predicted], count, tuple(example(row) for row in chosen)
        )
        for (true, predicted), count, chosen in _by_confusion(bad, margins, listed, wrong)
    ]  # fmt: skip
    return Examples(tuple(example(row) for row in spread), tuple(found), int(hit.sum()), len(bad))


@dataclass(frozen=True)
class Margins:
    """For each video [N]: its class and the most probable other class, with their probabilities."""

    own: NDArray[np.int64]
    """[N]: the index of the video's class; where it has several labels, of the least probable of them."""
    own_probability: NDArray[np.float32]
    """[N]: the probability of the class `own`, 0 to 1."""
    rival: NDArray[np.int64]
    """[N]: the index of the most probable class that is no label of the video."""
    rival_probability: NDArray[np.float32]
    """[N]: the probability of the class `rival`, 0 to 1."""

    @classmethod
    def of(cls, scores: Scores) -> "Margins":
        own = np.where(scores.positives, scores.probabilities, np.inf)
        other = np.where(scores.positives, -np.inf, scores.probabilities)
        return cls(own.argmin(axis=1), own.min(axis=1), other.argmax(axis=1), other.max(axis=1))


def _by_confusion(
    bad: NDArray[np.int64], margins: Margins, listed: NDArray[np.bool_], count: int
) -> list[tuple[tuple[int, int], int, list[int]]]:
    """The confusions (own class, predicted class) of the rows `bad`, the most frequent first, at most `_CONFUSIONS`.

    Each has its number of rows and the rows to show, at most `count` in total. The confusions take turns: in each turn every
    confusion gets one row, the lowest probability of the own class first.
    """
    confusions: dict[tuple[int, int], list[int]] = {}
    for row in bad[np.argsort(margins.own_probability[bad], kind="stable")].tolist():
        confusions.setdefault((int(margins.own[row]), int(margins.rival[row])), []).append(row)
    ordered = sorted(confusions.items(), key=lambda one: (-len(one[1]), one[0]))
    found = [(pair, len(rows), [row for row in rows if listed[row]]) for pair, rows in ordered if listed[rows].any()][
        :_CONFUSIONS
    ]
    chosen: list[list[int]] = [[] for _ in found]
    left = count
    for turn in range(count):
        for rows, (_, _, waiting) in zip(chosen, found, strict=True):
            if turn < len(waiting) and left:
                rows.append(waiting[turn])
                left -= 1
    return [(pair, total, rows) for (pair, total, _), rows in zip(found, chosen, strict=True) if rows]


def _over_classes(
    rows: NDArray[np.int64], classes: NDArray[np.int64], own: NDArray[np.float32], count: int
) -> list[int]:
    """At most `count` of the rows, from as many classes as possible. Of each class, the video with the median
    probability `own` is chosen first.
    """
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
        indices = np.linspace(0, len(waiting) - 1, min(free, len(waiting))).round().astype(int)
        chosen += [waiting[index] for index in indices.tolist()]
    return chosen


def filmstrip_of(video: VideoEntry, frames_shown: int = FILMSTRIP_FRAMES) -> Filmstrip | None:
    """The filmstrip of a video, or of the segment that the entry names; None if it cannot be read."""
    try:
        with open_source(video.path, "planes") as source:
            first, count = frame_range(video, source)
            indices = first + np.linspace(0, count - 1, frames_shown).round().astype(int)
            width, height = source.width, source.height
            frames = source.read(indices, size=_frame_size(width, height))
            times = source.timestamps[first : first + count]
    except (DecodeError, OSError):
        return None
    duration = float(times[-1] - times[0]) * count / max(count - 1, 1)
    return Filmstrip(
        uri=_jpeg_of(frames),
        width=width,
        height=height,
        seconds=round(min(max(duration, _SECONDS[0]), _SECONDS[1]), 2),
        duration=duration,
    )


def _frame_size(width: int, height: int) -> tuple[int, int]:
    """(height, width) of a filmstrip's frames: multiples of a block, with about the video's aspect ratio."""
    scale = min(1.0, (_AREA / (width * height)) ** 0.5)
    across, down = (math.ceil(side * scale / _BLOCK) * _BLOCK for side in (width, height))
    return down, across


def _jpeg_of(frames: Frames) -> str:
    """Frames uint8 [N, H, W, 3] side by side, as the data URI of a JPEG."""
    strip = np.ascontiguousarray(np.hstack(list(frames))[:, :, ::-1])
    for quality in _QUALITIES:
        encoded = cv2.imencode(".jpg", strip, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(encoded) <= _BYTES:
            break
    return jpeg_uri(encoded)
