"""From a recipe's sources to a file on this machine: what is asked, in which order, and on whose word."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from marey.recipe import Recipe
from marey.recipe.source import Source
from marey.weights.store import Record


@dataclass(frozen=True)
class Obtained:
    """A file of weights on this machine."""

    path: Path
    """The file; of a source with parts, which lie beside it, their folder."""
    source: Source
    record: Record


def obtain(recipe: Recipe, *, trust_first_use: bool = False) -> Obtained:
    """The published weights of a recipe, fetched if they are not there yet.

    The cache is looked into first, then $MAREY_MIRROR, then the addresses of `asked(recipe.weights)` in their order.

    Args:
        trust_first_use: Fetch a file of which no hash was published, too.

    Raises:
        WeightsError: no source that lives, none that answers, offline, or no hash and no word of the user: one message
            with what can be done.
    """
    raise NotImplementedError


def obtain_from(sources: Sequence[Source], name: str, *, trust_first_use: bool = False) -> Obtained:
    """As `obtain`, for the sources of something that is no recipe, called `name` in messages."""
    raise NotImplementedError


def obtain_address(address: str, *, trust_first_use: bool = False) -> Obtained:
    """The file at an address that the user typed: https://... or hf://org/name@revision/file.

    Its hash is that of the recipe or start which has this address, else the digits that end its name.
    """
    raise NotImplementedError


def asked(sources: Sequence[Source]) -> tuple[Source, ...]:
    """The living sources, best first: no loss before a host that was lost, a known hash before none."""
    raise NotImplementedError


def check_obtainable(recipe: Recipe) -> None:
    """See before any work that a recipe's weights are here or that there is a source to ask; nothing is asked.

    Raises:
        WeightsError: there is none: the message that `obtain` would give.
    """
    raise NotImplementedError


def without_hash(recipe: Recipe) -> Source | None:
    """The source that `obtain` would have to take on the user's word: nothing else is here or has a hash. Else None."""
    raise NotImplementedError
