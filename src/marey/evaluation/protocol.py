"""How scores came about: by which rules, from which weights and videos, in which arithmetic."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationInfo, model_validator

from marey.base.jsonable import Json
from marey.base.words import counted
from marey.recipe import Fusion

_FILE = {"unknown fields": "kept"}
"""The validation context of a protocol that is read from a file."""


class _Record(BaseModel):
    """Keeps what it was given and nothing else: a file's protocol is written again as it was read, whatever version
    wrote it. A field that is not known is kept where a file has it, and refused in code, where it is a misspelt one.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    @model_validator(mode="before")
    @classmethod
    def _known(cls, value: Any, info: ValidationInfo) -> Any:
        unknown = sorted(set(value) - set(cls.model_fields)) if isinstance(value, Mapping) else []
        if unknown and info.context != _FILE:
            raise ValueError(f"{cls.__name__} has no field {', '.join(unknown)} ({', '.join(cls.model_fields)})")
        return value

    def as_json(self) -> dict[str, Json]:
        """The fields that were given."""
        return self.model_dump(mode="json", exclude_unset=True)

    def __str__(self) -> str:
        return repr(self)


class Restriction(_Record):
    """The list of `--only`, how many videos it left out, and how many of it are not there."""

    list: str
    left_out: int
    missing: int


class EvaluationProtocol(_Record):
    """How one network was tested. All fields have a default: scores that were not made by Marey may have none of them.

    `test`, `pixels` and `flow` are the recipe's rules as JSON, as they were declared when the scores were made.
    """

    task: str = "classify"
    recipe: str = ""
    test: JsonValue = None
    pixels: JsonValue = None
    flow: JsonValue = None
    calibration: JsonValue = None
    """How the network's probabilities were corrected, as JSON; None: they were not."""
    weights_sha256: str | None = None
    """Of names and values of all tensors."""
    weights_file: JsonValue = None
    """The published file that the weights came from (address, SHA-256, how far its content was known); None: another."""
    data_fingerprint: str | None = None
    """Of the list of videos."""
    videos: int | None = None
    """In the list."""
    split: str | None = None
    """What the videos are called, "val" or "test, split 1"; None where the list does not say."""
    batch: int | None = None
    """Views in one pass."""
    precision: str = "float32"
    device: str | None = None
    backend: JsonValue = None
    """The backend that computed, where another one than eager was asked for, and its difference from eager float32
    (`marey.backends.backend.BackendReport`); a list where several did, in a run that was resumed with another one, or in
    several processes, or because one failed on the way."""
    versions: dict[str, str] | None = None
    """Of the packages that numbers depend on."""
    folds: int | None = None
    """Out of fold: each video was answered by a head that was fitted on the other ones of so many folds, though the network
    with these weights was fitted on all. None: one network answered all videos."""
    only: Restriction | None = None
    tested: int | None = None
    broken: int | None = None

    @property
    def parts(self) -> "tuple[EvaluationProtocol, ...]":
        """The protocols of the tests that the scores come from: this one."""
        return (self,)

    @property
    def out_of_fold(self) -> bool:
        """Whether the numbers are of answers by heads that were not fitted on the videos they answer."""
        return self.folds is not None

    def __repr__(self) -> str:
        known = [
            self.recipe,
            self.split,
            None if self.videos is None else counted(self.videos, "video"),
            self.precision,
            f"out of {counted(self.folds, 'fold')}" if self.folds is not None else None,
        ]
        return f"EvaluationProtocol({', '.join(text for text in known if text)})"


class FusionProtocol(_Record):
    """How the scores of several tests were fused."""

    fused: tuple[Annotated["FusionProtocol | EvaluationProtocol", Field(union_mode="left_to_right")], ...]
    of: Fusion
    weights: tuple[float, ...]

    @property
    def parts(self) -> tuple[EvaluationProtocol, ...]:
        """The protocols of all tests that the scores come from."""
        return tuple(part for fused in self.fused for part in fused.parts)

    @property
    def out_of_fold(self) -> bool:
        """Whether some of the fused answers are by heads that were not fitted on the videos they answer."""
        return any(part.out_of_fold for part in self.parts)

    def __repr__(self) -> str:
        weights = ", ".join(f"{weight:g}" for weight in self.weights)
        return (
            f"FusionProtocol({self.of} of {' + '.join(part.recipe or '?' for part in self.parts)}, weights {weights})"
        )


AnyProtocol: TypeAlias = EvaluationProtocol | FusionProtocol


def read_protocol(value: Mapping[str, Any]) -> AnyProtocol:
    """What `as_json` made; fields that this version does not know are kept.

    Raises:
        ValueError: a field has another type.
    """
    return (FusionProtocol if "fused" in value else EvaluationProtocol).model_validate(value, context=_FILE)
