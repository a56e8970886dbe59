"""Every `marey ...` in a message or docstring is an existing command with existing options."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperCommand, TyperGroup

from tests.support.command_lines import command_of, options_of

SOURCE = Path(__file__).parents[2] / "src" / "marey"
END = re.compile(r"[;:`()|]|\. |, | and | or | then |$")
"""Where a command ends in a sentence."""


def texts(node: ast.AST) -> Iterator[str]:
    """All strings below a node, with VALUE for what an f-string fills in."""
    match node:
        case ast.JoinedStr():
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "VALUE" for part in node.values)
        case ast.Constant(value=str(text)):
            yield text
        case _:
            for child in ast.iter_child_nodes(node):
                yield from texts(child)


def advice(text: str) -> Iterator[tuple[TyperCommand, list[str]]]:
    """The commands that a text names, each with the options that follow it."""
    flat = " ".join(text.split())
    for found in re.finditer(r"\bmarey (?=[a-z])", flat):
        words = flat[found.end() : END.search(flat, found.end()).start()].split()
        command, words = command_of(words)
        if not isinstance(command, TyperGroup):
            yield command, [word.partition("=")[0].rstrip(".") for word in words if word.startswith("--")]


@pytest.mark.parametrize("room", sorted(path for path in SOURCE.iterdir() if path.is_dir()), ids=lambda path: path.name)
def test_commands_in_messages_have_these_options(room) -> None:
    for file in room.rglob("*.py"):
        for text in texts(ast.parse(file.read_text(encoding="utf-8"))):
            for command, options in advice(text):
                assert set(options) <= options_of(command), f"{file}: {command.name} in {text!r}"


def test_a_wrong_option_is_seen() -> None:
    ((command, options),) = advice("Start anew: marey predict FILE VIDEO --allow-new-head, or not.")
    assert (command.name, options) == ("predict", ["--allow-new-head"])
