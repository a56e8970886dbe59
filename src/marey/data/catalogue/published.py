"""The interface of a public data set: what it should hold, and which file is which of its clips."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from marey.data.catalogue import class_names_of
from marey.data.catalogue.folders import Spellings

Files = Mapping[str, Sequence[str]]
"""From a clip's key to the files that are it, relative to the data set's folder; more than one are duplicates."""


class Clip(NamedTuple):
    """One published clip. `label` is "" where it is held back; `seconds` is the promised length, 0 where none is."""

    key: str
    label: str
    group: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Part:
    """The clips of one split: rows of the list `list_name`, marked `split`.

    `official` is the published number of clips, `announced` that of the announcement's own copy; None: not known.
    """

    list_name: str
    split: str
    clips: Sequence[Clip]
    official: int | None = None
    announced: int | None = None


@dataclass(frozen=True)
class PublishedSet(ABC):
    """A public data set as `marey.data.prepare` wants it."""

    name: str

    @property
    def class_names(self) -> tuple[str, ...]:
        """Its classes in the order in which published weights have them."""
        names = class_names_of(self.name)
        assert names is not None
        return names

    @abstractmethod
    def key(self, path: str) -> str | None:
        """Which clip a file is, inferred from its name; None for a name of another kind."""

    @abstractmethod
    def parts(self, folder: Path, files: Files, lists: Sequence[Path]) -> list[Part]:
        """The splits, from `lists`, from what is packed with Marey, or from the folders themselves.

        Raises:
            DataError: a list breaks its format, or there is none and the folders do not tell.
        """

    def misplaced(self, path: str, clip: Clip) -> bool:
        """Whether a file lies in the folder of another class than its own."""
        return bool(clip.label) and self._spellings.class_of(path) not in (None, clip.label)

    @cached_property
    def _spellings(self) -> Spellings:
        return Spellings(self.class_names)
