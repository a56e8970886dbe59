"""Checkpoint files of other toolkits: their tensors, the layouts that recognise them, and the inferred network."""

from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Tensor

from marey.base.declaration import first_problem
from marey.base.errors import WeightsError
from marey.recipe import NetworkConfig, Recipe, Source
from marey.weights.files.caffe2 import is_caffe2, is_solver_state, read_caffe2
from marey.weights.files.find_checkpoint import MODEL
from marey.weights.files.other_formats import check_body
from marey.weights.files.tensorflow import is_tensorflow, read_tensorflow
from marey.weights.files.torch_files import read_torch
from marey.weights.layouts import deepmind_tensorflow
from marey.weights.layouts.all import LAYOUTS
from marey.weights.layouts.layout import InferredConfig, Layout
from marey.weights.unwrap import Contents, unwrap


@dataclass(frozen=True)
class Reading:
    """A file as read by one of the layouts that recognise it."""

    layout: Layout
    """The layout by which the file was read."""
    inferred: InferredConfig | None
    """The network inferred from the shapes; None if they fit no network of this layout."""
    problem: str = ""
    """Why the inferred sizes are invalid for the network; empty if they are valid."""

    def other_fields(self, config: NetworkConfig) -> tuple[str, ...]:
        """A note for each field of `config` that differs from the inferred config, which has the toolkit's defaults."""
        if self.inferred is None or self.inferred.config.network != config.network:
            return ()
        inferred = dict(self.inferred.config)
        return tuple(
            f"{field} is {value} by the recipe; {self.layout.name}'s default is {inferred[field]}"
            for field, value in config
            if field != "num_classes" and inferred[field] != value
        )

    def difference(self, recipe: Recipe) -> str:
        """A sentence to append to an error: how the file's network differs from the recipe's; empty if no difference is
        known.
        """
        if self.inferred is None:
            return ""
        inferred, wanted = dict(self.inferred.config), dict(recipe.model)
        words = {
            "network": "the network {}",
            "depth": "depth {}",
            "channels": "{} channels",
            "num_classes": "{} classes",
        }
        other = [field for field in words if inferred.get(field) != wanted.get(field)]
        if not other:
            return ""
        theirs, ours = (
            ", ".join(words[field].format(each.get(field)) for field in other) for each in (inferred, wanted)
        )
        return f" The file holds {theirs}; {recipe.name} has {ours}."


@dataclass(frozen=True)
class ForeignFile:
    """A checkpoint file of another toolkit that was read and recognised."""

    path: Path
    """Path of the file that was read."""
    contents: Contents
    """The network's tensors, and what was left out or assumed while reading."""
    readings: tuple[Reading, ...]
    """One reading for each layout that recognises the file; at least one."""

    @property
    def layout_names(self) -> tuple[str, ...]:
        """Names of the layouts that recognise the file, each once."""
        return tuple(dict.fromkeys(reading.layout.name for reading in self.readings))

    def check_layout(self, source: Source | None) -> None:
        """Refuse a published file that is in another layout than its source declares.

        Raises:
            WeightsError: it is in another layout.
        """
        if source is not None and source.layout is not None and source.layout not in self.layout_names:
            raise WeightsError(
                f"{self.path}: a file in the layout {' or '.join(self.layout_names)}, and {source.address} is declared in "
                f"{source.layout}."
            )

    def by_shapes(self) -> Reading:
        """The reading by the layout that infers a network from the shapes.

        Raises:
            WeightsError: the shapes fit no network of Marey.
        """
        for reading in self.readings:
            if reading.problem:
                raise WeightsError(
                    f"{self.path}: a file in the layout {reading.layout.name}, of invalid sizes: {reading.problem}."
                )
            if reading.inferred is not None:
                return reading
        tensors = self.contents.tensors
        signatures = (one for reading in self.readings for one in reading.layout.signatures if one.matches(tensors))
        key = next(signatures).keys[0]
        raise WeightsError(
            f"{self.path}: a file in the layout {self.layout_names[0]}, but of no network that Marey reads: "
            f"{key} has the shape {list(tensors[key].shape)}."
        )

    def by_config(self, config: NetworkConfig) -> Reading:
        """The reading by the layout that can hold the network of a recipe.

        Raises:
            WeightsError: none of the layouts has it.
        """
        for reading in self.readings:
            if config.network in reading.layout.networks:
                return reading
        raise WeightsError(
            f"{self.path}: a file in the layout {self.layout_names[0]}, which cannot hold the network {config.network}."
        )


def read_foreign(path: Path) -> ForeignFile:
    """Read a checkpoint file or folder of another toolkit by every layout that recognises it.

    Raises:
        WeightsError: as in `read_contents`, or no layout recognises it.
    """
    contents = read_contents(path)
    readings = tuple(_reading(layout, contents) for layout in LAYOUTS if layout.recognises(contents.tensors))
    if not readings:
        first = ", ".join(list(contents.tensors)[:3])
        known = ", ".join(dict.fromkeys(layout.name for layout in LAYOUTS))
        ours = "not written by Marey, and " if path.suffix == ".safetensors" else ""
        raise WeightsError(f"{path}: {ours}not a layout that Marey reads ({known}); its first tensors are {first}.")
    return ForeignFile(path, contents, readings)


def _reading(layout: Layout, contents: Contents) -> Reading:
    try:
        return Reading(layout, layout.infer(contents.tensors))
    except ValidationError as error:
        return Reading(layout, None, ": ".join(first_problem(error)))


def read_contents(path: Path) -> Contents:
    """Read the tensors of a checkpoint file or folder of another toolkit.

    Raises:
        WeightsError: no such file, incomplete, not a checkpoint, or with code inside (which is not run).
    """
    if (path / MODEL).is_file():
        path = path / MODEL
    if path.suffix == ".index" and path.is_file() and path.stat().st_size:
        check_body(path)
    if is_tensorflow(path):
        checkpoint = read_tensorflow(path)
        return Contents(deepmind_tensorflow.arranged(checkpoint.variables), checkpoint.slots, checkpoint.notes)
    if is_caffe2(path):
        blobs = read_caffe2(path)
        state = tuple(name for name in blobs if is_solver_state(name))
        return Contents({name: blob for name, blob in blobs.items() if name not in state}, state)
    contents = unwrap(read_torch(path), path)
    if not contents.tensors:
        states = f" of a network, only the state of a training ({', '.join(contents.left_out)})"
        raise WeightsError(f"{path}: holds no tensors{states if contents.left_out else ''}.")
    odd = [name for name, t in contents.tensors.items() if t.layout != torch.strided or t.is_quantized or t.is_meta]
    if odd:
        raise WeightsError(f"{path}: {odd[0]} is sparse, quantised or empty: expected plain tensors.")
    return contents


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The network's tensors in a checkpoint of another toolkit, by their names there; see `read_contents`."""
    return read_contents(path).tensors
