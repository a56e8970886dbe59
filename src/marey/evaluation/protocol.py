"""How scores were measured: by which rules, with which weights, on which videos, in which arithmetic."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import torch
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationInfo, model_validator

from marey.backends.compute import Compute
from marey.backends.device import pick_device
from marey.backends.precision import pick_precision
from marey.base.jsonable import Json
from marey.base.versions import versions
from marey.base.words import counted
from marey.classifier import Classifier
from marey.data.lists.manifest import Manifest
from marey.recipe import Fusion

_FILE = {"unknown fields": "kept"}
"""The validation context of a protocol that is read from a file."""


class _KeptAsWritten(BaseModel):
    """A value that is written with exactly the fields that it was given, so that a file which another version of Marey wrote
    stays the same when it is read and written. Unknown fields of a file are kept. In code an unknown field is an error,
    because it is a misspelling.
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


class Restriction(_KeptAsWritten):
    """The restriction of a test by `--only` to the videos that another list names."""

    list: str
    """The path of the other list."""
    left_out: int
    """The number of videos of the tested list that the other list does not name."""
    missing: int
    """The number of videos of the other list that the tested list lacks."""


class EvaluationProtocol(_KeptAsWritten):
    """How one network was tested. Each field has a default, because a score file that Marey did not write may have none.

    `test`, `pixels` and `flow` are the recipe's rules as JSON, as they were declared when the scores were made.
    """

    task: str = "classify"
    """The task's name: "classify", the default, or "multilabel"."""
    recipe: str = ""
    """The name of the recipe; "" if it is not known."""
    test: JsonValue = None
    """The rule for clips, crops and averaging (`recipe.test`); None: not known."""
    pixels: JsonValue = None
    """The rule for resizing and normalisation (`recipe.pixels`); None: not known."""
    flow: JsonValue = None
    """The rule for optical flow (`recipe.flow`); None: the network sees frames, or it is not known."""
    calibration: JsonValue = None
    """The calibration of the probabilities, as JSON; None: they were not calibrated."""
    weights_sha256: str | None = None
    """SHA-256 over names and values of all tensors (`weights_hash`); None: not known."""
    weights_file: JsonValue = None
    """The published file that the weights came from: its address, its SHA-256, and whether that was published. None: the
    weights came from another file."""
    data_fingerprint: str | None = None
    """The fingerprint of the videos to test, restricted to `split` and by `only`; None: not known."""
    videos: int | None = None
    """The number of videos to test, those that `data_fingerprint` is computed of; None: not known."""
    split: str | None = None
    """The name of the tested split, for example "val" or "test, split 1"; None where the videos have none or several."""
    batch: int | None = None
    """Views per forward pass, at most; None: not known."""
    precision: str = "float32"
    """The arithmetic of the network: "float32", the default, "tf32" or "bfloat16"."""
    device: str | None = None
    """The kind of device, such as "cpu" or "cuda", without its index; None: not known."""
    backend: JsonValue = None
    """The backend that computed the scores and its difference from eager float32 (`marey.backends.backend.BackendReport`),
    or a list of several: the run was resumed with another backend, processes used different ones, or a backend failed and
    eager replaced it. None: eager was asked for, and computed all."""
    versions: dict[str, str] | None = None
    """Versions of the packages that influence the numbers, by name; None: not known."""
    folds: int | None = None
    """The number of folds, if the scores are out-of-fold predictions: each video's come from a head that was fitted without
    its fold. `weights_sha256` is then that of the final classifier, which was fitted on all videos. None: one network
    predicted all videos."""
    only: Restriction | None = None
    """The restriction to the videos of another list; None: all videos of the list or split were tested."""
    tested: int | None = None
    """The number of videos with scores; None: not known."""
    broken: int | None = None
    """The number of broken files, which have no scores; None: not known."""

    @property
    def parts(self) -> "tuple[EvaluationProtocol, ...]":
        """The protocols of the tests that the scores come from: this one."""
        return (self,)

    @property
    def out_of_fold(self) -> bool:
        """Whether the scores are out-of-fold predictions."""
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


class FusionProtocol(_KeptAsWritten):
    """How the scores of several tests were fused."""

    fused: tuple[Annotated["FusionProtocol | EvaluationProtocol", Field(union_mode="left_to_right")], ...]
    """The protocols of the fused scores."""
    of: Fusion
    """What was fused: probabilities or logits."""
    weights: tuple[float, ...]
    """The weight of each of the fused scores."""

    @property
    def parts(self) -> tuple[EvaluationProtocol, ...]:
        """The protocols of all tests that the scores come from."""
        return tuple(part for fused in self.fused for part in fused.parts)

    @property
    def out_of_fold(self) -> bool:
        """Whether some of the fused scores are out-of-fold predictions."""
        return any(part.out_of_fold for part in self.parts)

    def __repr__(self) -> str:
        weights = ", ".join(f"{weight:g}" for weight in self.weights)
        return (
            f"FusionProtocol({self.of} of {' + '.join(part.recipe or '?' for part in self.parts)}, weights {weights})"
        )


AnyProtocol: TypeAlias = EvaluationProtocol | FusionProtocol


def read_protocol(value: Mapping[str, Any]) -> AnyProtocol:
    """Read the JSON of `as_json`; fields that this version does not know are kept.

    Raises:
        ValueError: a field has another type.
    """
    return (FusionProtocol if "fused" in value else EvaluationProtocol).model_validate(value, context=_FILE)


def protocol_of(model: Classifier, data: Manifest, compute: Compute) -> EvaluationProtocol:
    """The protocol of a test of `model` on all videos of `data`.

    Raises:
        RunError: this machine lacks the device, or the device lacks the precision.
    """
    device = pick_device(compute.device)
    protocol = EvaluationProtocol(
        data_fingerprint=data.fingerprint,
        videos=len(data),
        split=_split_of(data),
        batch=compute.views,
        precision=pick_precision(compute.precision, device, tell=False),
        device=device.type,  # without its index, which differs between the processes of torchrun
        versions=versions(),
    )
    more: dict[str, Json] = model_settings(model)
    # Defaults are left out, as in version 0.1.0, so that a test begun with that version can be resumed.
    if model.recipe.task.kind != protocol.task:
        more["task"] = model.recipe.task.kind
    if model.origin is not None:
        more["weights_file"] = model.origin.model_dump(mode="json")
    if model.calibration is not None:
        more["calibration"] = model.calibration.model_dump(mode="json")
    return protocol.model_copy(update=more)


def model_settings(model: Classifier, **more: Json) -> dict[str, Json]:
    """The settings that must be equal for a run to be resumed: recipe, weights, the rules for tests, pixels and flow, and
    `more`. Batch and device are not among them: they may differ.
    """
    recipe = model.recipe
    return {
        "recipe": recipe.name,
        "weights_sha256": weights_hash(model),
        "test": recipe.test.model_dump(mode="json"),
        "pixels": recipe.pixels.model_dump(mode="json"),
        "flow": None if recipe.flow is None else recipe.flow.model_dump(mode="json"),
    } | more


def weights_hash(model: Classifier) -> str:
    """SHA-256 over names and values of all tensors, whichever file they came from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _split_of(data: Manifest) -> str | None:
    """The name of the split, such as "val"; "test, split 1" if the list's file name ends in "split1" (or another digit).
    None where the videos have no split or several.
    """
    if len(data.split_names) != 1:
        return None
    number = re.search(r"split(\d)$", Path(data.source).stem)
    return f"{data.split_names[0]}, split {number[1]}" if number else data.split_names[0]
