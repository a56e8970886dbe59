"""Commands of Marey as text that can be copied into the shell of this system."""

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
"""Words that need no quotes in the shells of Windows, cmd and PowerShell."""


def next_steps(*lines: str) -> None:
    """Print a notice with commands to type next, the likeliest last. `marey_line` and `command_line` make such lines.

    Standard output is flushed first, so that results come before the notice even if both go to one file.
    """
    sys.stdout.flush()
    notice("\n".join(["", "next:", *(f"  {line}" for line in lines)]))


def marey_line(*words: str | Path) -> str:
    """A command of Marey as it is typed in this shell. Paths among the words are quoted as needed."""
    return command_line(*program_words(), *words)


def typed_command(*options: str | Path, given: Sequence[str] | None = None) -> str:
    """The command that was typed, with `torchrun` in front if that was used, and with those `options` that it lacks.

    Args:
        options: Words to add: each option begins with "--" and is followed by its values.
        given: The words after the name of the program; None: those of this process.
    """
    given = sys.argv[1:] if given is None else given
    end = given.index("--") if "--" in given else len(given)  # after it, no word is an option
    names = {word.partition("=")[0] for word in given[:end]}
    added: list[str | Path] = []
    is_missing = False
    for word in options:
        is_missing = word not in names if isinstance(word, str) and word.startswith("--") else is_missing
        added += [word] if is_missing else []
    world = processes().local_world
    started = ["torchrun", "--nproc-per-node", str(world), "-m", "marey"] if world > 1 else program_words()
    return command_line(*started, *given[:end], *added, *given[end:])


def typed_words_without(option: str) -> list[str]:
    """The words after the name of the program, without one option and its value."""
    words, others = iter(sys.argv[1:]), list[str]()
    for word in words:
        if word == "--":
            return [*others, word, *words]
        if word == option:
            next(words, None)
        elif not word.startswith(f"{option}="):
            others.append(word)
    return others


def command_line(*words: str | Path) -> str:
    """Words as one line for this system's shell, quoted where needed. Paths that begin with a dash get "./" in front, so
    that they are not read as options.
    """
    return " ".join(_quoted(f".{os.sep}{word}" if _is_dashed(word) else str(word)) for word in words)


def _is_dashed(word: str | Path) -> bool:
    return isinstance(word, Path) and str(word).startswith("-")


def program_words() -> list[str]:
    """How the `marey` command is typed here: by its name if the shell finds it, else as it was started."""
    started = Path(sys.argv[0])
    if started.name not in ("marey", "marey.exe"):
        return ["python", "-m", "marey"]
    return ["marey"] if shutil.which("marey") else [str(started)]


def _quoted(word: str) -> str:
    if sys.platform != "win32":
        return shlex.quote(word)
    # A double quote would end the word. File names contain none, and Python code can use single quotes.
    return word if _PLAIN.fullmatch(word) else f'''"{word.replace('"', "'")}"'''
