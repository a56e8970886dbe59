"""How scores came about: by which rules, from which weights and videos, in which arithmetic."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from marey.base.jsonable import Json

Fusion = Literal["probabilities", "logits"]
"""What is added up. "logits": then one softmax (DeepMind's two streams). Of a score file that averages logits, its
probabilities' logarithms are these logits but for one number a video, which the softmax takes away again; of one that
averages probabilities it is their product."""


class _Record(BaseModel):
    """Keeps what it was given and nothing else: a file's protocol is written again as it was read, whatever version
    wrote it.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    def as_json(self) -> dict[str, Json]:
        """The fields that were given."""
        return self.model_dump(mode="json", exclude_unset=True)


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
    weights_sha256: str | None = None
    """Of names and values of all tensors."""
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
    versions: dict[str, str] | None = None
    """Of the packages that bear on a number."""
    only: Restriction | None = None
    tested: int | None = None
    broken: int | None = None

    @property
    def parts(self) -> "tuple[EvaluationProtocol, ...]":
        """The protocols of the tests that the scores come from: this one."""
        return (self,)


class FusionProtocol(_Record):
    """How the scores of several tests were fused."""

    fused: tuple[Annotated["FusionProtocol | EvaluationProtocol", Field(union_mode="left_to_right")], ...]
    of: Fusion
    weights: tuple[float, ...]

    @property
    def parts(self) -> tuple[EvaluationProtocol, ...]:
        """The protocols of all tests that the scores come from."""
        return tuple(part for fused in self.fused for part in fused.parts)


AnyProtocol: TypeAlias = EvaluationProtocol | FusionProtocol


def read_protocol(value: Mapping[str, Any]) -> AnyProtocol:
    """What `as_json` made.

    Raises:
        ValueError: a field has another type.
    """
    return (FusionProtocol if "fused" in value else EvaluationProtocol).model_validate(value)
