"""What to type next: commands that can be copied into the shell of this system."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from marey.base.processes import processes
from marey.base.reporter import notice

_PLAIN = re.compile(r"[\w./\\:=,+@%-]+")
"""Words that the shells of Windows, cmd and PowerShell, take as they are."""


def next_steps(*lines: str) -> None:
    """Say what may be typed next, the likeliest last, as lines that `marey_line` and `command_line` made.

    Results that wait in standard output come before it, also where both streams go into one file.
    """
    sys.stdout.flush()
    notice("\n".join(["", "next:", *(f"  {line}" for line in lines)]))


def marey_line(*words: str | Path) -> str:
    """A command of Marey as it is typed here; a path among the words may have any name."""
    return command_line(*program(), *words)


def typed_line(*options: str | Path, given: Sequence[str] | None = None) -> str:
    """The command that was typed, under torchrun with that before it, and with those `options` that it lacks.

    An option is a word that begins with "--", and the words behind it are its values. `given` are the words that were typed
    after the name of the program; None: those that this process was started with.
    """
    given = sys.argv[1:] if given is None else given
    end = given.index("--") if "--" in given else len(given)  # behind it no word is an option
    names = {word.partition("=")[0] for word in given[:end]}
    more: list[str | Path] = []
    lacking = False
    for word in options:
        lacking = word not in names if isinstance(word, str) and word.startswith("--") else lacking
        more += [word] if lacking else []
    world = processes().local_world
    started = ["torchrun", "--nproc-per-node", str(world), "-m", "marey"] if world > 1 else program()
    return command_line(*started, *given[:end], *more, *given[end:])


def typed_without(option: str) -> list[str]:
    """The words that were typed after the name of the program, without an option that takes a value, and its value."""
    words, kept = iter(sys.argv[1:]), list[str]()
    for word in words:
        if word == "--":
            return [*kept, word, *words]
        if word == option:
            next(words, None)
        elif not word.startswith(f"{option}="):
            kept.append(word)
    return kept


def command_line(*words: str | Path) -> str:
    """Words as a line for this system's shell: what it would take apart or replace is quoted, and a path that begins with a
    dash, which would be taken for an option, begins with the working folder.
    """
    return " ".join(_quoted(f".{os.sep}{word}" if _is_dashed(word) else str(word)) for word in words)


def _is_dashed(word: str | Path) -> bool:
    return isinstance(word, Path) and str(word).startswith("-")


def program() -> list[str]:
    """How the `marey` command is typed here: by its name where the shell finds it, else as it was started."""
    started = Path(sys.argv[0])
    if started.name not in ("marey", "marey.exe"):
        return ["python", "-m", "marey"]
    return ["marey"] if shutil.which("marey") else [str(started)]


def _quoted(word: str) -> str:
    if sys.platform != "win32":
        return shlex.quote(word)
    # A double quote would end the word; names of files have none, and in Python code a single one does as well.
    return word if _PLAIN.fullmatch(word) else f'''"{word.replace('"', "'")}"'''
