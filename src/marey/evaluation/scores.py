"""Score files: the predictions of a network for all videos of a test, with labels and protocol."""

import json
import re
import zipfile
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError
from marey.base.files import atomic_path
from marey.base.words import counted
from marey.evaluation.protocol import AnyProtocol, EvaluationProtocol, read_protocol
from marey.tasks.choose import stored_task
from marey.tasks.task import Task
from marey.video.reading.suffixes import VIDEO_SUFFIXES

_ENDING = re.compile(rf"(\.flow)?({'|'.join(map(re.escape, sorted(VIDEO_SUFFIXES)))})(?=@|$)", re.IGNORECASE)
"""The suffix of a video file or flow file in an id; after it, the id ends or has @ and a segment."""


@dataclass(frozen=True, repr=False)
class Scores:
    """Probabilities [N, K] of N videos, their ids and labels, and the protocol of the test.

    Tasks whose predictions have another shape use the same fields, [N, ...].
    """

    ids: tuple[str, ...]
    """The id of each video in its list [N]."""
    labels: NDArray[np.int64]
    """The class index of each video [N]; with several labels per video, 1 for each label and 0 for other classes, [N, K]."""
    probabilities: NDArray[np.float32]
    """The probability of each class for each video [N, K], 0 to 1, as float32."""
    class_names: tuple[str, ...]
    """The names of the K classes, in the order of `probabilities`."""
    protocol: AnyProtocol = field(default_factory=EvaluationProtocol)
    """How the scores were computed; by default a protocol in which nothing is known."""
    trained_on: NDArray[np.bool_] | None = None
    """[N]: whether the network was trained on the content of the video; None if that was not compared."""
    groups: NDArray[np.str_] | None = None
    """[N]: the group of each video in its list; without one, the file that it is a segment of; "" for neither. None: no
    video has a group. Videos of one group are alike, so intervals are computed over groups."""

    def __repr__(self) -> str:
        classes = counted(len(self.class_names), "class")
        return f"Scores({counted(len(self.ids), 'video')}, {classes}: {self.protocol})"

    @property
    def task(self) -> Task:
        """The task that the protocol names; if it names none, inferred from the shape of the labels.

        Raises:
            DataError: this version of Marey has no such task.
        """
        named = {part.task for part in self.protocol.parts if "task" in part.model_fields_set}
        return stored_task(min(named, default=None), self.labels)

    @property
    def positives(self) -> NDArray[np.bool_]:
        """[N, K]: which video has which label, for one label per video as for several."""
        return self.task.positives(self.labels, len(self.class_names))

    def save(self, path: str | Path) -> None:
        """Write one .npz file, atomically."""
        with atomic_path(path) as temporary:
            arrays: dict[str, Any] = {
                "ids": np.array(self.ids),
                "labels": self.labels,
                "probabilities": self.probabilities,
                "class_names": np.array(self.class_names),
                "protocol": np.array(json.dumps(self.protocol.as_json(), ensure_ascii=False)),
            }
            if self.trained_on is not None:
                arrays["trained_on"] = self.trained_on
            if self.groups is not None:
                arrays["groups"] = self.groups
            np.savez_compressed(temporary, **arrays)

    @property
    def keys(self) -> tuple[str, ...]:
        """The name of each video by which score files are matched: its id without the file's suffix, so that it is the
        same in a list of files and in a list of their flow. If two ids differ only by suffix, all ids keep it.
        """
        short = tuple(_ENDING.sub("", name) for name in self.ids)
        return short if len(set(short)) == len(short) else self.ids

    def keep(self, keys: Collection[str]) -> "Scores":
        """The scores of the videos with these keys, in the order of these scores."""
        return self.rows(np.array([row for row, key in enumerate(self.keys) if key in keys], dtype=np.int64))

    def rows(self, rows: NDArray[np.int64]) -> "Scores":
        """The scores of the videos in these rows."""
        return replace(
            self,
            ids=tuple(self.ids[row] for row in rows.tolist()),
            labels=self.labels[rows],
            probabilities=self.probabilities[rows],
            trained_on=None if self.trained_on is None else self.trained_on[rows],
            groups=None if self.groups is None else self.groups[rows],
        )

    @classmethod
    def load(cls, path: str | Path) -> "Scores":
        """Read what `save` wrote.

        Raises:
            DataError: the file does not exist, is cut short, or is not a score file.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(
                    ids=tuple(file["ids"].tolist()),
                    labels=file["labels"],
                    probabilities=file["probabilities"],
                    class_names=tuple(file["class_names"].tolist()),
                    protocol=read_protocol(json.loads(str(file["protocol"]))),
                    trained_on=file.get("trained_on"),
                    groups=file.get("groups"),
                )
        except FileNotFoundError:
            raise DataError(f"{path}: no such score file.") from None
        except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: not a score file that evaluate wrote ({error}).") from None
