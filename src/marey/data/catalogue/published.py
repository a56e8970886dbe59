"""The interface of a public data set: its clips and splits, and which file is which clip.

As in the papers on these data sets, a clip is here a short video that was cut from a recording.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from marey.base.errors import DataError
from marey.data.catalogue.class_names import class_names_of

FilesByClip = Mapping[str, Sequence[str]]
"""The paths of the files of each clip, by the clip's key, relative to the data set's folder. A clip should have one file."""


class PublishedClip(NamedTuple):
    """One published clip."""

    key: str
    """What identifies the clip in the data set, such as its file name without suffix."""
    label: str
    """Its class; "" if that was not published (test splits)."""
    group: str
    """The recording that the clip was cut from."""
    seconds: float = 0.0
    """The length in seconds that the publishers' list states; 0: it states none."""


@dataclass(frozen=True)
class PublishedSplit:
    """The clips of one split: the rows of the list `list_name` whose column `split` is `split`."""

    list_name: str
    """Name of the list without suffix: "ucf101_split1", "kinetics400_val"."""
    split: str
    """Name of the split: "train", "val" or "test"."""
    clips: Sequence[PublishedClip]
    """The published clips of the split."""
    official: int | None = None
    """The published number of clips; None: not known."""
    announced: int | None = None
    """The number of clips in the copy of the data set that MMAction v0.2.0 was measured on; None: not known."""


class Spellings:
    """Finds classes by names whose capitals, blanks and signs may differ: "Massaging_persons_head" is "massaging person's
    head".
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self._names = {_letters_and_digits(name): name for name in class_names}
        self._of_folder: dict[str, str | None] = {}

    def __len__(self) -> int:
        return len(self._names)

    def find(self, text: str) -> str | None:
        """The class whose spelling matches `text`; None where no class does."""
        return self._names.get(_letters_and_digits(text))

    def class_of(self, path: str) -> str | None:
        """The class whose folder a file is in, the innermost where there are several; None where no folder is a class."""
        folder = path.rpartition("/")[0]
        if folder not in self._of_folder:
            self._of_folder[folder] = next(filter(None, map(self.find, reversed(folder.split("/")))), None)
        return self._of_folder[folder]


def _letters_and_digits(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


@dataclass(frozen=True)
class PublishedSet(ABC):
    """A public data set as `marey.data.prepare` needs it."""

    name: str
    """The catalogue's name of the data set: "ucf101"."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Its classes, in the order of the outputs of published weights."""
        names = class_names_of(self.name)
        assert names is not None
        return names

    @abstractmethod
    def key(self, path: str) -> str | None:
        """The key of the clip that a file is, inferred from its name; None for a name of another form."""

    @abstractmethod
    def splits(self, folder: Path, files: FilesByClip, lists: Sequence[Path]) -> list[PublishedSplit]:
        """The splits, from `lists`, a list packed with Marey, or names of folders; `files` are those in `folder`.

        Raises:
            DataError: a list breaks its format; or there is no list, and the folders do not name splits and classes.
        """

    def misplaced(self, path: str, clip: PublishedClip) -> bool:
        """Whether a file is in the folder of another class than its own."""
        return bool(clip.label) and self._spellings.class_of(path) not in (None, clip.label)

    @cached_property
    def _spellings(self) -> Spellings:
        return Spellings(self.class_names)


_USES = {"train": "1", "test": "2"}


@dataclass(frozen=True)
class PackedSet(PublishedSet):
    """A public data set whose clips and three official splits are packed with Marey."""

    @property
    @abstractmethod
    def official(self) -> Mapping[int, Mapping[str, int]]:
        """For official split 1, 2 and 3 the published numbers of clips for "train" and "test"."""

    @abstractmethod
    def clips(self) -> Sequence[tuple[PublishedClip, str]]:
        """Every clip, and its use in splits 1, 2 and 3 as three digits ("120"): 1 training, 2 testing, 0 neither."""

    def split_clips(self, number: int, split: str) -> list[PublishedClip]:
        """The clips for `split` ("train" or "test") of official split 1, 2 or 3."""
        return [clip for clip, uses in self.clips() if uses[number - 1] == _USES[split]]

    def splits(self, folder: Path, files: FilesByClip, lists: Sequence[Path]) -> list[PublishedSplit]:
        """The three official splits, as packed.

        Raises:
            DataError: lists are given, which would change nothing.
        """
        if lists:
            raise DataError(f"{lists[0]}: {self.name.upper()}'s official splits come with Marey; leave out --list.")
        return [
            PublishedSplit(f"{self.name}_split{number}", split, self.split_clips(number, split), count)
            for number, counts in self.official.items()
            for split, count in counts.items()
        ]
