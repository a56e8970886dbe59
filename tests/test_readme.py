"""The README's commands exist and take the options that it shows."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from marey.cli.app import app

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^ {4}(marey [^#\n]+)", README, re.MULTILINE)


@pytest.mark.parametrize("line", [part.strip() for line in COMMANDS for part in line.split(";")])
def test_commands_parse(line) -> None:
    words = shlex.split(line.split(">")[0])[1:]
    result = CliRunner().invoke(
        app, [*words[:2], "--help"] if words[0] in ("data", "weights") else [words[0], "--help"]
    )
    assert result.exit_code == 0, result.output
    for option in (word for word in words if word.startswith("--")):
        assert option in result.output, option


def test_make_targets_exist() -> None:
    makefile = (Path(__file__).parents[1] / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^ {4}make (\S+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile


def test_python_example_runs(tmp_path) -> None:
    """The names that the example uses are public."""
    import marey

    for name in re.findall(r"marey\.(\w+)\(", README):
        assert hasattr(marey, name), name
