"""What README shows to be copied: its lines and Python blocks, in order."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
_PIECE = re.compile(r"^```(\w*)\n(.*?)^```$|^ {4}(\S[^\n]*)$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Piece:
    """A line for the shell, or a block of Python."""

    kind: Literal["shell", "python"]
    text: str

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command of a line, without its comment and its redirection."""
        parts = re.split(r"&&|;", _without_comment(self.text))
        return [shlex.split(part.split(">")[0]) for part in parts]


def pieces(text: str) -> list[Piece]:
    """Lines indented by four spaces and fenced blocks; a fence of another language than Python holds lines."""
    found: list[Piece] = []
    for language, block, line in (match.groups() for match in _PIECE.finditer(text)):
        if language == "python":
            found.append(Piece("python", block))
        else:
            lines = [line] if line else block.splitlines()
            found += [Piece("shell", one.strip()) for one in lines if _without_comment(one)]
    return found


def _without_comment(line: str) -> str:
    return re.sub(r"(^|\s)#.*", "", line).strip()
