"""Pages that are generated are those that the code would generate now."""

import runpy
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[1] / "tools"


@pytest.mark.parametrize("name", ["zoo", "rows"])
def test_a_generated_page_is_fresh(name) -> None:
    tool = runpy.run_path(str(TOOLS / f"{name}.py"))
    assert tool["PAGE"].read_text(encoding="utf-8") == tool["page"](), f"run `python tools/{name}.py`"
