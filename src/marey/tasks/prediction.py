"""What a classifier predicts for one video, as a value, as text, and as JSON that can be read back."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from marey.base.address import Location, location_of
from marey.base.jsonable import Json
from marey.base.notebook import html_bars, html_failure, html_table, keep_beginning, keep_end
from marey.base.words import counted, percent
from marey.classifier import Calibration
from marey.data.lists.videos import VideoEntry

_BARS, _ROWS, _NAMED = 5, 20, 3
"""What notebooks show at most: bars of one prediction, rows of a table of predictions, and classes in the table's title."""


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """The prediction for one video or a segment of it, or the reason why there is none.

    `probabilities` [K] of all classes sum to 1; if the recipe's task is multilabel, each is independent of the others. If
    the file cannot be read they are empty, and `error` names the file and the reason.
    """

    video: VideoEntry
    """The video, or the segment of a file, that was predicted."""
    probabilities: NDArray[np.float32]
    """The probability of each class [K], 0 to 1, as float32; empty if the video cannot be read."""
    class_names: tuple[str, ...]
    """The class names [K] in the order of `probabilities`; only the most probable ones after `likeliest` and in
    files."""
    error: str | None = None
    """The file and the reason why it cannot be read; None: it was read."""
    below_threshold: float | None = None
    """The threshold of the calibration if no class reaches it: none of the classes is then predicted. None: a class reaches
    it, or there is no threshold."""
    backend: Mapping[str, Json] | None = None
    """The backend that computed and its difference from eager float32; None if eager alone ran. For two streams the larger
    difference, and a list of both backends if they differ."""
    labels: tuple[str, ...] | None = None
    """With several labels per video, the classes that reach their own thresholds, the most probable first. None: the
    calibration has no such thresholds."""
    weights_file_sha256: tuple[str, ...] = ()
    """SHA-256 of the published files that the weights came from, one per network; empty for other files."""
    content: int = 0
    """The identity of the content of the entire file (`marey.data.files.identity.file_identity`); 0 if it was not asked
    for or the file cannot be read."""
    seconds: float | None = None
    """Seconds that this video took to decode and to pass through the network; None if they were not measured."""

    @classmethod
    def of_classes(
        cls,
        video: VideoEntry,
        probabilities: NDArray[np.float32],
        class_names: tuple[str, ...],
        calibration: Calibration | None,
    ) -> "Prediction":
        """From the probability of each class [K], compared with the thresholds of the calibration."""
        threshold = None if calibration is None else calibration.threshold
        below = threshold is not None and float(probabilities.max()) < threshold
        found = cls(video, probabilities, class_names, below_threshold=threshold if below else None)
        if calibration is None or calibration.thresholds is None:
            return found
        order = np.argsort(-probabilities, kind="stable").tolist()
        reached = [probability >= own for probability, own in zip(probabilities, calibration.thresholds, strict=True)]
        return replace(found, labels=tuple(class_names[i] for i in order if reached[i]))

    @property
    def path(self) -> Location:
        return self.video.path

    @property
    def id(self) -> str:
        return self.video.id

    @property
    def start(self) -> float | None:
        """Where the segment starts, in seconds; None: at the beginning of the file."""
        return self.video.start

    @property
    def end(self) -> float | None:
        """Where the segment ends, in seconds; None: at the end of the file."""
        return self.video.end

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """The k most probable classes with their probabilities, the most probable first."""
        best = self.likeliest(k)
        return list(zip(best.class_names, best.probabilities.tolist(), strict=True))

    def likeliest(self, k: int) -> "Prediction":
        """The same prediction with its k most probable classes only, as files hold it; of equally probable ones the
        first.
        """
        best = np.argsort(-self.probabilities, kind="stable")[:k]
        return replace(
            self, probabilities=self.probabilities[best], class_names=tuple(self.class_names[i] for i in best.tolist())
        )

    def as_json(self, k: int = 5) -> dict[str, Json]:
        """Path, the segment in seconds or frames if there is one, and the k most probable classes or the error. The keys
        `below_threshold`, `labels`, `backend` and `weights_file_sha256` are left out where they have no value.
        """
        video = self.video
        segment = {
            "start": video.start, "end": video.end, "start_frame": video.start_frame, "end_frame": video.end_frame,
        }  # fmt: skip
        times: dict[str, Json] = {name: value for name, value in segment.items() if value is not None}
        if self.error is not None:
            return {"path": str(self.path), **times, "error": self.error}
        top: Json = [{"label": label, "probability": probability} for label, probability in self.top(k)]
        more: dict[str, Json] = {"below_threshold": self.below_threshold, "backend": self.backend}
        more["labels"] = None if self.labels is None else list(self.labels)
        more["weights_file_sha256"] = list(self.weights_file_sha256) or None
        return {"path": str(self.path), **times, "top": top} | {n: v for n, v in more.items() if v is not None}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Prediction":
        """From the JSON of `as_json`.

        Raises:
            KeyError, TypeError, AttributeError: it is not such JSON.
        """
        path, top = value["path"], value.get("top", ())
        segment = (value.get(name) for name in ("start", "end", "start_frame", "end_frame"))
        video = VideoEntry.named(path, location_of(path), *segment)
        probabilities = np.array([one["probability"] for one in top], np.float32)
        names, below = tuple(one["label"] for one in top), value.get("below_threshold")
        hashes = tuple(value.get("weights_file_sha256", ()))
        labels = None if value.get("labels") is None else tuple(value["labels"])
        return cls(video, probabilities, names, value.get("error"), below, value.get("backend"), labels, hashes)

    def as_text(self, k: int = 5) -> str:
        """Lines of text: the path, the `remark` about thresholds, and the k most probable classes; or the error."""
        if self.error is not None:
            return self.error
        lines = [f"  {percent(probability):>7}  {label}" for label, probability in self.top(k)]
        if self.remark:
            lines.insert(0, f"  {self.remark}; the likeliest:")
        return "\n".join([f"{self.path}{self.part_text}", *lines])

    def __repr__(self) -> str:
        if self.error is None:
            shown = ", ".join(
                f"{keep_beginning(label, 20)} {percent(probability)}" for label, probability in self.top(3)
            )
            shown += ", ..." if len(self.probabilities) > 3 else ""
        else:
            shown = keep_beginning(self.error.removeprefix(f"{self.path}: "), 60)
        return f"Prediction({keep_end(str(self.path), 40)!r}{self.part_text}: {shown})"

    def _repr_html_(self) -> str:
        """The most probable classes as bars, for notebooks."""
        title = f"{self.path}{self.part_text}"
        if self.error is not None:
            return html_failure(title, self.error.removeprefix(f"{self.path}: "))
        notes = [self.remark] if self.remark else []
        if (left := len(self.class_names) - _BARS) > 0:
            notes.append(f"and {counted(left, 'less likely class', 'less likely classes')}")
        return html_bars(title, self.top(_BARS), note="; ".join(notes))

    @property
    def remark(self) -> str:
        """What follows from the thresholds, in words: that no class reaches them, or which labels do; "" without
        thresholds.
        """
        if self.below_threshold is not None:
            return f"none of the classes reaches {percent(self.below_threshold)}"
        if self.labels is None:
            return ""
        return f"labels: {', '.join(self.labels)}" if self.labels else "none of the classes reaches its threshold"

    @property
    def part_text(self) -> str:
        """The segment, for example " 2 s to 4.5 s"; "" for an entire file."""
        return self.video.part_text


class Predictions(list[Prediction]):
    """The predictions for several videos, in their order: a list that prints as one line, and in a notebook as a table."""

    @property
    def broken(self) -> "Predictions":
        """The entries of videos that could not be read; each has `error` and no probabilities."""
        return Predictions(one for one in self if one.error is not None)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> "Predictions": ...
    def __getitem__(self, index: SupportsIndex | slice) -> "Prediction | Predictions":
        return Predictions(super().__getitem__(index)) if isinstance(index, slice) else super().__getitem__(index)

    def __repr__(self) -> str:
        found = Counter(one.class_names[int(one.probabilities.argmax())] for one in self if one.error is None)
        most = [f"{count:,} {keep_beginning(name, 20)}" for name, count in found.most_common(_NAMED)]
        failed = len(self.broken)
        parts = [counted(len(self), "video"), *([f"{failed:,} broken"] if failed else [])]
        classes = f": {', '.join(most)}{', ...' * (len(found) > _NAMED)}" if found else ""
        return f"Predictions({', '.join(parts)}{classes})"

    def _repr_html_(self) -> str:
        """The first predictions as a table, one row per video, for notebooks."""
        rows: list[tuple[str, ...]] = []
        for one in self[:_ROWS]:
            video = f"{one.path}{one.part_text}"
            if one.error is not None:
                reason = keep_beginning(one.error.removeprefix(f"{one.path}: "), 80)
                rows.append((video, f"not read: {reason}", "", "", ""))
                continue
            cells = [cell for name, share in one.top(2) for cell in (name, percent(share))]
            rows.append((video, *cells, *[""] * (4 - len(cells))))
        left = f"and {counted(len(self) - _ROWS, 'more video')}" if len(self) > _ROWS else ""
        return html_table(repr(self), ["video", "prediction", "", "second", ""], rows, note=left)
