"""`Layout`: the keys under which one toolkit stores the tensors of our networks, and the form in which it stores them.

Each module of this package defines one `LAYOUT`, and `marey.weights.layouts.all` lists them. The modules in `units`
enumerate the layers of our networks for the layouts. "Our" keys, names and forms are those of Marey's networks, "their" ones
those of the toolkit. A key is the name of a tensor in a state dict.
"""

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from marey.models.network import Network
from marey.recipe import NetworkConfig

NORM_TENSORS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
"""The tensors of a batch norm."""


@dataclass(frozen=True)
class KeySignature:
    """Keys that identify a layout together, whatever prefix they share in a file."""

    keys: tuple[str, ...]
    """Keys that the file must all have; the first, in most layouts the first convolution, is searched to find a prefix."""
    missing: tuple[str, ...] = ()
    """Keys that the file must not have, to exclude other layouts with all of `keys`; none by default."""

    def matches(self, names: Container[str], prefix: str = "") -> bool:
        """Whether `names` have this signature, with `prefix` before each key."""
        has_all = all(f"{prefix}{key}" in names for key in self.keys)
        return has_all and not any(f"{prefix}{key}" in names for key in self.missing)

    def without(self, prefix: str) -> "KeySignature":
        """The signature with `prefix` removed from the keys that have it."""
        keys, missing = (tuple(key.removeprefix(prefix) for key in keys) for keys in (self.keys, self.missing))
        return KeySignature(keys, missing)


@dataclass(frozen=True)
class InferredConfig:
    """A network's config inferred from the shapes of tensors."""

    config: NetworkConfig
    """Kind, depth, width, input channels and classes are inferred; other fields have the toolkit's defaults."""
    notes: tuple[str, ...] = ()
    """What shapes cannot show and was assumed from the toolkit's defaults, one line for each assumption."""


@dataclass(frozen=True)
class Change:
    """Conversion of a tensor that the toolkit stores in another form than ours: transposed, reshaped, rotated."""

    take: Callable[[Tensor], Tensor]
    """Converts their form to ours."""
    give: Callable[[Tensor], Tensor]
    """Converts our form to theirs."""


def unchanged(network: Network) -> dict[str, Change]:
    """No changes: the layout stores every tensor in our form."""
    return {}


@dataclass(frozen=True)
class Layout:
    """How one toolkit stores some of our networks in a checkpoint file."""

    name: str
    """Name in messages and in the declarations of sources. Not unique: several layouts may share a toolkit's name, each for
    other `networks`."""
    toolkit: str
    """Name of the toolkit. Names of its recipes end in it; it is used to choose a recipe if the user names none."""
    signatures: tuple[KeySignature, ...]
    """A file is recognised if it has one of these signatures, each of two or three keys: the first convolution alone is
    shared by networks of many toolkits. Without keys of the head, which a file of a trunk lacks."""
    networks: tuple[str, ...]
    """The networks that it can hold, by the `network` of their configs."""
    heads: tuple[str, ...]
    """Possible keys of the head's weight; a file without any of them has no head."""
    pairs: Callable[[Network], Iterator[tuple[str, str]]]
    """For one of `networks`: (their key, our key) for each tensor of ours that is not `absent`."""
    infer_config: Callable[[dict[str, Tensor]], InferredConfig | None]
    """Infers the network from the keys that `normalised` returns, and the shapes; None if it is none of `networks`."""
    changes: Callable[[Network], dict[str, Change]] = unchanged
    """The tensors that are stored in another form than ours, by our key; none by default."""
    unused: tuple[str, ...] = ()
    """Keys of tensors that the toolkit stores but never uses; they are left out."""
    absent: tuple[str, ...] = ()
    """Endings of our keys that have no counterpart in the file; these tensors keep their initial values."""
    normalised: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = dict
    """Renames a file's tensors to the keys of `pairs`, for a toolkit whose keys contain the number of classes; by default
    nothing is renamed."""

    def recognises(self, names: Container[str]) -> bool:
        """Whether a file with tensors of these names has this layout."""
        return any(signature.matches(names) for signature in self.signatures)

    def has_classifier(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether the tensors include the head's weight."""
        names = self.normalised(tensors).keys()
        return any(head in names for head in self.heads)

    def infer(self, tensors: Mapping[str, Tensor]) -> InferredConfig | None:
        """The network inferred from shapes; if the file has no head, its number of classes is meaningless.

        Raises:
            pydantic.ValidationError: sizes that are invalid for the network.
        """
        tensors = self.normalised(tensors)
        inferred = self.infer_config(tensors)
        if inferred is not None or self.has_classifier(tensors):
            return inferred
        trials = (self.infer_config(tensors | {head: torch.zeros(1, 1)}) for head in self.heads)
        return next((trial for trial in trials if trial is not None and self._has_most_of(trial, tensors)), None)

    def _has_most_of(self, inferred: InferredConfig, tensors: Mapping[str, Tensor]) -> bool:
        """Whether a file has more than half of the tensors of the inferred network."""
        with torch.device("meta"):
            network = inferred.config.build()
        keys = [theirs for theirs, _ in self.pairs(network)]
        return 2 * sum(key in tensors for key in keys) > len(keys)


class Names(NamedTuple):
    """A toolkit's names for a convolution and the batch norm behind it."""

    conv: str
    """Name of the convolution, without ".weight"."""
    norm: str
    """Name of the norm, without the dot and the name of a tensor."""


def conv_norm_pairs(theirs: Names, ours: str) -> Iterator[tuple[str, str]]:
    """(their key, our key) for a convolution without bias and its norm, which are our `ours`.conv and `ours`.norm."""
    yield f"{theirs.conv}.weight", f"{ours}.conv.weight"
    yield from norm_pairs(theirs.norm, f"{ours}.norm")


def norm_pairs(theirs: str, ours: str) -> Iterator[tuple[str, str]]:
    """(their key, our key) for a batch norm."""
    return ((f"{theirs}.{tensor}", f"{ours}.{tensor}") for tensor in NORM_TENSORS)


def linear_pairs(theirs: str, ours: str = "head") -> Iterator[tuple[str, str]]:
    """(their key, our key) for weight and bias, by default the classifier's."""
    return ((f"{theirs}.{tensor}", f"{ours}.{tensor}") for tensor in ("weight", "bias"))
