"""docs/performance/index.md names every page with measurements; each row has number, machine, date and command."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from marey.cli.app import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
INDEX = DOCS / "performance" / "index.md"
TEXT = INDEX.read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in TEXT.splitlines()
    if line.startswith("| ") and not line.startswith("| number |")
]
HEADS = [line for line in TEXT.splitlines() if line.startswith("| number |")]
DAY = r"2026-\d\d-\d\d"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
NO_MEASUREMENT = {
    "zoo.md", "rows.md", "links.md", "how-to/output-folders.md", "how-to/weights.md", "findings.md", "install.md",
    "explanation/platforms.md",
}  # fmt: skip
"""Pages whose dates are of other things: of what is reported of hosts, of an example's output, of support."""


def linked(cell: str) -> Path:
    (target,) = re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", cell)
    return (INDEX.parent / target).resolve()


def test_the_columns_are_these() -> None:
    assert HEADS
    for head in HEADS:
        assert head == "| number | what it compares | machine | date | command | page |"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_has_comparison_machine_date_and_command(row) -> None:
    _, compares, machine, date, command, page = row
    assert compares
    assert re.search(r"\b(cores?|H100|not recorded)\b", machine), machine
    assert re.match(rf"{DAY}|not recorded", date), date
    if command != "script not kept":
        words = command.strip("`").split()
        if words[0] == "python":
            assert (ROOT / words[1]).is_file()
        else:
            assert words[0] == "marey"
            commands = get_command(app).commands
            assert words[1] in commands
            assert len(words) == 2 or words[2] in commands[words[1]].commands
    assert linked(page).is_file()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_numbers_of_a_row_are_on_the_page_that_it_links(row) -> None:
    text = linked(row[-1]).read_text(encoding="utf-8")
    numbers = re.findall(r"(?<![\w.])\d[\d.,]*(?:e-\d+)?(?!\w)", row[0])
    assert numbers
    for number in numbers:
        assert re.search(rf"(?<![\d.]){re.escape(number.rstrip('.,'))}(?!\d)", text), number


def test_no_page_of_performance_is_missing() -> None:
    named = {linked(row[-1]) for row in ROWS}
    assert set(INDEX.parent.glob("*.md")) - {INDEX} <= named


def test_no_page_with_measurements_is_missing() -> None:
    """What is measured has its day beside it, but for the day of a decision."""
    named = {linked(row[-1]) for row in ROWS}
    for page in DOCS.rglob("*.md"):
        if page == INDEX or page.relative_to(DOCS).as_posix() in NO_MEASUREMENT:
            continue
        text = re.sub(rf"^Date: {DAY}", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if re.search(DAY, text):
            assert page.resolve() in named, page


def test_a_page_of_performance_has_days() -> None:
    for page in set(INDEX.parent.glob("*.md")) - {INDEX}:
        assert re.search(DAY, page.read_text(encoding="utf-8")), page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_source_of_skate2_is_named_or_linked(page) -> None:
    """Its videos are by others, for academic use with citation."""
    text = page.read_text(encoding="utf-8")
    if "skate2" in text.replace("skate2.md", ""):
        assert re.search(r"SkateboardML|\]\([\w/.-]*skate2\.md", text), "name SkateboardML, or link docs/skate2.md"


def test_the_page_of_skate2_names_source_and_terms() -> None:
    text = (DOCS / "skate2.md").read_text(encoding="utf-8")
    for words in (
        "SkateboardML",
        "LightningDrop",
        "academic use with citation",
        "10.5281/zenodo.3986905",
        "short side of 160",
    ):
        assert words in " ".join(text.split())
