"""Generated pages equal what the code generates now; what other pages state about weights is true."""

import re
import runpy
import shlex
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from marey.recipe.source import TRUST_ORDER
from marey.recipes import RECIPES, TWO_STREAMS
from marey.recipes.starts import STARTS
from marey.weights import find_copies
from marey.weights.fetching import availability
from tests.support.command_lines import PAGES, shown

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / "tools"
GENERATED = ("zoo", "rows", "commands")
"""Tools that write a page."""
FETCHING = ("predict", "evaluate", "features", "reproduce", "train", "weights fetch")
"""Commands that fetch weights by the name of a row or start."""


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_page_is_fresh(name) -> None:
    tool = runpy.run_path(str(TOOLS / f"{name}.py"))
    assert tool["PAGE"].read_text(encoding="utf-8") == tool["page"](), f"run `python tools/{name}.py`"


@pytest.mark.parametrize(("words", "code"), [(["--help"], 0), (["zoo.md"], 2)])
@pytest.mark.parametrize("name", GENERATED)
def test_a_tool_that_is_asked_for_help_writes_nothing(name, words, code, monkeypatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("written")

    monkeypatch.setattr(Path, "write_text", refused)
    monkeypatch.setattr(sys, "argv", [name, *words])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(TOOLS / f"{name}.py"), run_name="__main__")
    assert left.value.code == code


@pytest.mark.parametrize("word", [*availability.STATE_MEANINGS, *find_copies.KIND_MEANINGS, *TRUST_ORDER])
def test_each_state_of_weights_is_explained_on_its_page(word) -> None:
    page = (ROOT / "docs" / "how-to" / "weights.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| .*`{word}( 20\d\d-\d\d)?`.* \|", page, re.MULTILINE)


def examples() -> list[str]:
    """The commands of all pages that fetch weights by the name of a row or start."""
    lines = (shlex.join(command.words) for page in PAGES for command in shown(page) if command.whole)
    return [line for line in lines if line.startswith(FETCHING)]


@pytest.mark.parametrize("line", examples())
def test_an_example_asks_for_weights_that_one_can_get(line, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("MAREY_OFFLINE", "0")
    monkeypatch.setenv("MAREY_CACHE", str(tmp_path))
    monkeypatch.delenv("MAREY_MIRROR", raising=False)
    rows = {row.name: row for row in (*RECIPES, *TWO_STREAMS)}
    words = shlex.split(line)
    if {"--weights", "--untrained"} & set(words):
        return
    trains = words[0] == "train" or "--train" in words
    inits = [after for word, after in pairwise(words) if word == "--init"]
    for name in inits if trains else words:
        if name in rows:
            found = availability.availability(rows[name])
        elif name in STARTS:
            found = availability.availability_of(STARTS[name])
        else:
            continue
        assert found.available, f"{name}: {found.word}"
        assert found.state == "yes" or "--trust-first-use" in words, f"{name}: {found.word}"
