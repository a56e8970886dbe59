"""Shards of a list, for several jobs that share it: `--shard I/N`."""

import re
from dataclasses import dataclass
from typing import Self

from marey.base.errors import RunError

_TEXT = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True)
class Shard:
    """Shard `number` of `count`: consecutive rows of the list. The sizes of shards differ by at most one row."""

    number: int = 1
    """Which shard this is, from 1 to `count`; 1 by default."""
    count: int = 1
    """The number of shards, at least 1; 1 by default: the entire list."""

    def __post_init__(self) -> None:
        """Refuse a number out of range.

        Raises:
            RunError: there is no such shard.
        """
        if not 1 <= self.number <= self.count:
            raise RunError(f"--shard {self}: expected one of the shards 1/{self.count} to {self.count}/{self.count}.")

    @classmethod
    def named(cls, text: str) -> Self:
        """The shard that a text such as "3/8" names.

        Raises:
            RunError: the text has another form, or there is no such shard.
        """
        match = _TEXT.fullmatch(text.strip())
        if match is None or not int(match[2]):
            raise RunError(f"--shard {text}: expected I/N, from 1/N to N/N: the third of eight shards is 3/8.")
        return cls(int(match[1]), int(match[2]))

    def rows(self, total: int) -> range:
        """The rows of this shard in a list of `total` rows."""
        return range((self.number - 1) * total // self.count, self.number * total // self.count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"
