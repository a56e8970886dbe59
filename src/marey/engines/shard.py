"""Which rows of a list a job of several does: `--shard I/N`."""

import re
from dataclasses import dataclass
from typing import Self

from marey.base.errors import RunError

_TEXT = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True)
class Shard:
    """Shard `number` of `count`: consecutive rows of the list, as many as in every other shard, or one more or less."""

    number: int = 1
    """From 1 to `count`."""
    count: int = 1

    def __post_init__(self) -> None:
        """Refuse a number out of range.

        Raises:
            RunError: there is no such shard.
        """
        if not 1 <= self.number <= self.count:
            raise RunError(
                f"--shard {self}: of {self.count} the shards are 1/{self.count} to {self.count}/{self.count}."
            )

    @classmethod
    def named(cls, text: str) -> Self:
        """As a user writes it: "3/8".

        Raises:
            RunError: it is written otherwise, or there is no such shard.
        """
        found = _TEXT.fullmatch(text.strip())
        if found is None or not int(found[2]):
            raise RunError(f"--shard {text}: expected I/N, from 1/N to N/N: the third of eight shards is 3/8.")
        return cls(int(found[1]), int(found[2]))

    def rows(self, total: int) -> range:
        """Its rows of a list of `total`."""
        return range((self.number - 1) * total // self.count, self.number * total // self.count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"
