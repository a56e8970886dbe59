"""Score files: what a network said about every video, and by which protocol."""

import json
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError
from marey.base.files import atomic_path

Kind = Literal["logits", "probabilities"]
"""What a test averages over views, and so what its scores are."""


@dataclass(frozen=True)
class Scores:
    """Scores [N, K] of N videos, their ids and labels, and the protocol that they were measured by."""

    ids: tuple[str, ...]
    labels: NDArray[np.int64]
    scores: NDArray[np.float32]
    kind: Kind
    class_names: tuple[str, ...]
    protocol: dict[str, Any]

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """[N, K]: the scores, or their softmax where they are logits."""
        return to_probabilities(self.scores, self.kind)

    def save(self, path: str | Path) -> None:
        """Write one .npz, whole or not at all."""
        with atomic_path(path) as temporary:
            np.savez_compressed(
                temporary,
                ids=np.array(self.ids),
                labels=self.labels,
                scores=self.scores,
                kind=np.array(self.kind),
                class_names=np.array(self.class_names),
                protocol=np.array(json.dumps(self.protocol, ensure_ascii=False)),
            )

    @classmethod
    def load(cls, path: str | Path) -> "Scores":
        """Read what `save` wrote.

        Raises:
            DataError: no such file, cut short, or not a score file.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                kind = str(file["kind"])
                if kind not in ("logits", "probabilities"):
                    raise ValueError(f"scores of kind {kind!r}")
                return cls(
                    ids=tuple(file["ids"].tolist()),
                    labels=file["labels"],
                    scores=file["scores"],
                    kind=kind,  # type: ignore[arg-type]  # told by the line above
                    class_names=tuple(file["class_names"].tolist()),
                    protocol=json.loads(str(file["protocol"])),
                )
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: not a score file that evaluate wrote ({error}).") from None


def to_probabilities(scores: NDArray[np.float32], kind: Kind) -> NDArray[np.float32]:
    """Scores [..., K] as probabilities. A row gives the same bits alone and among others."""
    if kind == "probabilities":
        return scores
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    total = np.add.accumulate(powers, axis=-1)[..., -1:]  # summed in class order, whatever the shape
    return (powers / total).astype(np.float32)
