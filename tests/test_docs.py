"""Pages that are generated are those that the code would generate now."""

import runpy
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[1] / "tools"


@pytest.mark.parametrize("name", ["zoo", "rows"])
def test_a_generated_page_is_fresh(name) -> None:
    tool = runpy.run_path(str(TOOLS / f"{name}.py"))
    assert tool["PAGE"].read_text(encoding="utf-8") == tool["page"](), f"run `python tools/{name}.py`"


@pytest.mark.parametrize(("words", "code"), [(["--help"], 0), (["zoo.md"], 2)])
@pytest.mark.parametrize("name", ["zoo", "rows"])
def test_a_tool_that_is_asked_for_help_writes_nothing(name, words, code, monkeypatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("written")

    monkeypatch.setattr(Path, "write_text", refused)
    monkeypatch.setattr(sys, "argv", [name, *words])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(TOOLS / f"{name}.py"), run_name="__main__")
    assert left.value.code == code
