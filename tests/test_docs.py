"""Pages that are generated are those that the code would generate now."""

import runpy
from pathlib import Path

TOOLS = Path(__file__).parents[1] / "tools"


def test_the_zoo_is_fresh() -> None:
    zoo = runpy.run_path(str(TOOLS / "zoo.py"))
    assert zoo["PAGE"].read_text(encoding="utf-8") == zoo["page"](), "run `python tools/zoo.py`"
