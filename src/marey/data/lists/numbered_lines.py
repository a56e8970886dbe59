"""The lines of a list that say something, with the numbers that messages name: what tables and lines are read from."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from marey.base.reporter import notice
from marey.base.words import counted
from marey.data.lists.rows import FilesIn
from marey.data.lists.text import text_lines

Line = tuple[int, str]
"""A line of a list with its number, from 1."""


@dataclass
class PassedOver:
    """How many lines and rows of a list say nothing."""

    comments: int = 0
    blank: int = 0

    def tell(self, source: str) -> None:
        """Say it, and that it has been said."""
        if self.comments:
            notice(f"{source}: {counted(self.comments, 'line')} with # in front passed over.")
        if self.blank:
            notice(f"{source}: {counted(self.blank, 'row')} of blank cells passed over.")
        self.comments = self.blank = 0


def numbered_lines(source: str, text: str, there: FilesIn) -> list[Line]:
    """The lines of a list with their numbers, without blank ones and comments (# in front, unless such a file is there)."""
    passed = PassedOver()
    lines = list(numbered(text_lines(text), there, passed))
    passed.tell(source)
    return lines


def numbered(texts: Iterable[str], there: FilesIn, passed: PassedOver) -> Iterator[Line]:
    """The lines as `numbered_lines` has them, one by one."""
    lines = ((n, line) for n, line in enumerate(texts, start=1) if line and not line.isspace())
    for at, (n, line) in enumerate(lines):
        if at == 0 and re.fullmatch(r"sep=.", line.strip()):
            continue
        if line.startswith("#") and not _names_file(line, there):
            passed.comments += 1
        else:
            yield n, line


def _names_file(line: str, there: FilesIn) -> bool:
    """Whether a file's name is what a line with # in front begins with."""
    return any(line[: found.start()] in there for found in re.finditer(r"[,;\t| ]|$", line))
