"""The answer of a network for one video: one type, from the network to text and JSON and back."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from marey.base.address import Place, place_of
from marey.base.jsonable import Json
from marey.base.notebook import bars, beginning, ending, failure, table
from marey.base.words import counted, percent
from marey.classifier import Calibration
from marey.data.lists.videos import VideoEntry

_BARS, _ROWS, _NAMED = 5, 20, 3
"""What is shown in short: classes of an answer, answers of a list, and classes of a list's answers."""


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """The answer of a network for one video or a part of it; or why there is none.

    `probabilities` [K] sum to 1, or are each class's own where the recipe's task is multilabel. Where the file cannot be
    read there are none, and `error` names the file and the reason.
    """

    video: VideoEntry
    probabilities: NDArray[np.float32]
    class_names: tuple[str, ...]
    """[K]; where only the likeliest classes are kept (`likeliest`, files), of these."""
    error: str | None = None
    below_threshold: float | None = None
    """The threshold of the network's calibration, where no class reaches it: then none of them is the answer."""
    backend: Mapping[str, Json] | None = None
    """The backend that computed and its difference from eager float32; None where eager alone ran. Of two streams
    the larger difference, and both backends as a list where they are not the same."""
    labels: tuple[str, ...] | None = None
    """Of several labels a video: the classes that reach their own thresholds, the likeliest first. None: the network's
    calibration has no such thresholds."""
    weights_file_sha256: tuple[str, ...] = ()
    """SHA-256 of the published files that the weights came from, one of each network; none of other files."""
    content: int = 0
    """The identity of the whole file's content (`marey.data.files.identity.content_of`); 0 where it was not asked for
    or the file cannot be read."""
    seconds: float | None = None
    """Spent on this video, on decoding and in the network; None where that was not measured."""

    @classmethod
    def of_classes(
        cls,
        video: VideoEntry,
        probabilities: NDArray[np.float32],
        class_names: tuple[str, ...],
        calibration: Calibration | None,
    ) -> "Prediction":
        """Of the probability of each class [K], against the thresholds of the calibration."""
        threshold = None if calibration is None else calibration.threshold
        missed = threshold is not None and float(probabilities.max()) < threshold
        found = cls(video, probabilities, class_names, below_threshold=threshold if missed else None)
        if calibration is None or calibration.thresholds is None:
            return found
        order = np.argsort(-probabilities, kind="stable").tolist()
        reached = [probability >= own for probability, own in zip(probabilities, calibration.thresholds, strict=True)]
        return replace(found, labels=tuple(class_names[i] for i in order if reached[i]))

    @property
    def path(self) -> Place:
        return self.video.path

    @property
    def id(self) -> str:
        return self.video.id

    @property
    def start(self) -> float | None:
        """Seconds; None: from the beginning."""
        return self.video.start

    @property
    def end(self) -> float | None:
        """Seconds; None: to the end."""
        return self.video.end

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """The k likeliest classes and their probabilities, the likeliest first."""
        best = self.likeliest(k)
        return list(zip(best.class_names, best.probabilities.tolist(), strict=True))

    def likeliest(self, k: int) -> "Prediction":
        """The same with no more than its k likeliest classes, as files keep it: of equal ones the first of the list."""
        best = np.argsort(-self.probabilities, kind="stable")[:k]
        return replace(
            self, probabilities=self.probabilities[best], class_names=tuple(self.class_names[i] for i in best.tolist())
        )

    def as_json(self, k: int = 5) -> dict[str, Json]:
        """Path, the part in seconds or frames where one is given, and the k likeliest classes or the error;
        `below_threshold` only where no class reaches the threshold, `labels` only where classes have thresholds of their
        own, `backend` only where another one than eager ran, and `weights_file_sha256` only of published files.
        """
        video = self.video
        part = {
            "start": video.start, "end": video.end, "start_frame": video.start_frame, "end_frame": video.end_frame,
        }  # fmt: skip
        times: dict[str, Json] = {name: value for name, value in part.items() if value is not None}
        if self.error is not None:
            return {"path": str(self.path), **times, "error": self.error}
        top: Json = [{"label": label, "probability": probability} for label, probability in self.top(k)]
        more: dict[str, Json] = {"below_threshold": self.below_threshold, "backend": self.backend}
        more["labels"] = None if self.labels is None else list(self.labels)
        more["weights_file_sha256"] = list(self.weights_file_sha256) or None
        return {"path": str(self.path), **times, "top": top} | {n: v for n, v in more.items() if v is not None}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Prediction":
        """What `as_json` made.

        Raises:
            KeyError, TypeError, AttributeError: it was something else.
        """
        path, top = value["path"], value.get("top", ())
        part = (value.get(name) for name in ("start", "end", "start_frame", "end_frame"))
        video = VideoEntry.named(path, place_of(path), *part)
        probabilities = np.array([one["probability"] for one in top], np.float32)
        names, below = tuple(one["label"] for one in top), value.get("below_threshold")
        hashes = tuple(value.get("weights_file_sha256", ()))
        labels = None if value.get("labels") is None else tuple(value["labels"])
        return cls(video, probabilities, names, value.get("error"), below, value.get("backend"), labels, hashes)

    def as_text(self, k: int = 5) -> str:
        """Lines for a person: the path, what the thresholds say (`remark`), and the k likeliest classes; or the error."""
        if self.error is not None:
            return self.error
        lines = [f"  {percent(probability):>7}  {label}" for label, probability in self.top(k)]
        if self.remark:
            lines.insert(0, f"  {self.remark}; the likeliest:")
        return "\n".join([f"{self.path}{self.part_text}", *lines])

    def __repr__(self) -> str:
        if self.error is None:
            said = ", ".join(f"{beginning(label, 20)} {percent(probability)}" for label, probability in self.top(3))
            said += ", ..." if len(self.probabilities) > 3 else ""
        else:
            said = beginning(self.error.removeprefix(f"{self.path}: "), 60)
        return f"Prediction({ending(str(self.path), 40)!r}{self.part_text}: {said})"

    def _repr_html_(self) -> str:
        """The likeliest classes as bars, as a notebook shows them."""
        title = f"{self.path}{self.part_text}"
        if self.error is not None:
            return failure(title, self.error.removeprefix(f"{self.path}: "))
        notes = [self.remark] if self.remark else []
        if (left := len(self.class_names) - _BARS) > 0:
            notes.append(f"and {counted(left, 'less likely class', 'less likely classes')}")
        return bars(title, self.top(_BARS), note="; ".join(notes))

    @property
    def remark(self) -> str:
        """What the thresholds say, for a person: that no class reaches them, or which labels do; "" without any."""
        if self.below_threshold is not None:
            return f"none of the classes reaches {percent(self.below_threshold)}"
        if self.labels is None:
            return ""
        return f"labels: {', '.join(self.labels)}" if self.labels else "none of the classes reaches its threshold"

    @property
    def part_text(self) -> str:
        """The part that was answered for, as " 2 s to 4.5 s"; nothing where that is the whole video."""
        return self.video.part_text


class Predictions(list[Prediction]):
    """The answers for several videos, in their order: a list that shows itself in one line, in a notebook as a table."""

    @property
    def broken(self) -> "Predictions":
        """Those of videos that could not be read: each has `error` and no probabilities."""
        return Predictions(one for one in self if one.error is not None)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> "Predictions": ...
    def __getitem__(self, index: SupportsIndex | slice) -> "Prediction | Predictions":
        return Predictions(super().__getitem__(index)) if isinstance(index, slice) else super().__getitem__(index)

    def __repr__(self) -> str:
        found = Counter(one.class_names[int(one.probabilities.argmax())] for one in self if one.error is None)
        most = [f"{count:,} {beginning(name, 20)}" for name, count in found.most_common(_NAMED)]
        failed = len(self.broken)
        parts = [counted(len(self), "video"), *([f"{failed:,} broken"] if failed else [])]
        answers = f": {', '.join(most)}{', ...' * (len(found) > _NAMED)}" if found else ""
        return f"Predictions({', '.join(parts)}{answers})"

    def _repr_html_(self) -> str:
        """The first answers, a line for each video, as a notebook shows them."""
        rows: list[tuple[str, ...]] = []
        for one in self[:_ROWS]:
            video = f"{one.path}{one.part_text}"
            if one.error is not None:
                reason = beginning(one.error.removeprefix(f"{one.path}: "), 80)
                rows.append((video, f"not read: {reason}", "", "", ""))
                continue
            cells = [cell for name, share in one.top(2) for cell in (name, percent(share))]
            rows.append((video, *cells, *[""] * (4 - len(cells))))
        left = f"and {counted(len(self) - _ROWS, 'more video')}" if len(self) > _ROWS else ""
        return table(repr(self), ["video", "answer", "", "second", ""], rows, note=left)
