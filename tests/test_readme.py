"""The README's example in Python. Its commands are checked with those of all pages (test_command_lines.py)."""

import re
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_python_example_runs(tmp_path) -> None:
    """The names that the example uses are public."""
    import marey

    for name in re.findall(r"marey\.(\w+)\(", README):
        assert hasattr(marey, name), name
