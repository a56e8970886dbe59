"""Paths and methods that CONTRIBUTING and the pages "Add a ..." name exist; hooks and `make lint` agree."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from marey.backends.compiled import Compiler
from marey.data.catalogue.published import PublishedSet
from marey.models.network import Network
from marey.tasks.task import Task

ROOT = Path(__file__).parents[1]
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
HOW_TO = ROOT / "docs" / "how-to"
PAGES = [CONTRIBUTING, *sorted(HOW_TO.glob("add-a-*.md"))]
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
_FOLDERS = ("src/", "tests/", "tools/", "docs/", "benchmarks/", ".github/")
_SUFFIXES = (".py", ".md", ".yml", ".yaml", ".toml", ".gz", ".cff", ".txt")


def code(page: Path) -> Iterator[str]:
    """Inline code and indented lines of a page; fenced blocks are left out."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`([^`\n]+)`", text)
    yield from re.findall(r"^ {4,}(\S.*)$", text, re.MULTILINE)


def paths(page: Path) -> list[str]:
    """The files and folders of the repository that a page names; those with <placeholders> are left out."""
    words = (word.rstrip(",.;:") for line in code(page) for word in line.split())
    named = (word for word in words if word.startswith(_FOLDERS) or word.endswith(_SUFFIXES))
    return [word for word in named if not re.search(r"[<*]|[A-Z]{2,}/|FILE|VERSION", word)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_path_that_a_page_names_is_there(page) -> None:
    named = paths(page)
    assert named
    for path in named:
        file, _, test = path.partition("::")
        assert (ROOT / file).exists(), f"{page.name}: {file}"  # written in full, from the root of the repository
        assert not test or f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{page.name}: {path}"


def test_a_path_that_is_not_there_is_seen(tmp_path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "`src/marey/nowhere.py` and `tasks/all.py`, `src/marey/<name>.py`\n\n    pytest tests/support/tiny.py::test_a\n\n"
        "```python\n`src/a.py`\n```\n",
        encoding="utf-8",
    )
    assert paths(page) == ["src/marey/nowhere.py", "tasks/all.py", "tests/support/tiny.py::test_a"]


def test_contributing_links_every_page_of_what_one_can_add() -> None:
    text = CONTRIBUTING.read_text(encoding="utf-8")
    assert [page.name for page in PAGES[1:] if not re.search(rf"\(docs/how-to/{page.name}[#)]", text)] == []


# The files of a change ---------------------------------------------------------------------------------------------------

OF_EVERY_CHANGE = {"CHANGELOG.md", "NOTICE"}
ROWS: list[tuple[str, str, str]] = re.findall(
    r"^\| \[[^]]+\]\(docs/how-to/(add-a-[^)]+)\)[^|]*\|(.*)\|([^|]*)\|$", CONTRIBUTING.read_text("utf-8"), re.MULTILINE
)
"""Of each row of CONTRIBUTING's table: the page with its anchor, what is written and changed, and what is run."""


def files_of(cells: str) -> set[str]:
    """The files in cells of a table, `<...>` for what has another name each time, without those of every change."""
    words = re.findall(r"`([^`]+)`", cells)
    return {word for word in words if word.startswith(_FOLDERS) or "." in word or word[0].isupper()} - OF_EVERY_CHANGE


def files_of_page(link: str) -> set[str]:
    """The files in the tables `| file | what it gets |` of a page, or of the section that the link's anchor names."""
    name, _, anchor = link.partition("#")
    sections = re.split(r"^## ", (HOW_TO / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = "\n".join(
        section for section in sections if not anchor or section.splitlines()[0].lower().replace(" ", "-") == anchor
    )
    tables = re.findall(r"^\| file \| what it gets \|\n\|---\|---\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    return files_of(" ".join(row.split(" | ")[0] for table in tables for row in table.splitlines()))


def test_each_page_has_its_row() -> None:
    assert {link.partition("#")[0] for link, _, _ in ROWS} == {page.name for page in PAGES[1:]}


@pytest.mark.parametrize(("link", "cells"), [(link, cells) for link, cells, _ in ROWS])
def test_contributing_and_the_page_name_the_same_files(link, cells) -> None:
    files = files_of(cells)
    assert len(files) > 5
    assert files == files_of_page(link)
    assert [file for file in files if not list(ROOT.glob(re.sub("<[^>]+>", "*", file)))] == []


def test_what_is_run_after_a_change_is_what_make_docs_runs() -> None:
    tools = {tool for _, _, cell in ROWS for tool in re.findall(r"python (tools/\w+\.py)", cell)}
    recipe = re.search(r"^docs:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert recipe
    assert tools == set(re.findall(r"python (tools/\w+\.py)", recipe[1]))


@pytest.mark.parametrize(
    ("page", "methods"),
    [
        ("add-a-network", Network.__abstractmethods__),
        ("add-a-backend", {name for name in vars(Compiler) if not name.startswith("_")}),
        ("add-a-task", {name for name in vars(Task) if not name.startswith("_")}),
        ("add-a-data-set", PublishedSet.__abstractmethods__),
    ],
)
def test_a_page_names_every_method_that_one_has_to_write(page, methods) -> None:
    text = (HOW_TO / f"{page}.md").read_text(encoding="utf-8")
    assert methods
    assert {
        name for name in methods if not re.search(rf"`{name}\b|def {name}\(|^    {name}: ", text, re.MULTILINE)
    } == set()


# Checks at each commit ---------------------------------------------------------------------------------------------------


def hooks(stage: str) -> list[dict]:
    (repository,) = HOOKS["repos"]
    assert repository["repo"] == "local"  # nothing is fetched
    return [hook for hook in repository["hooks"] if hook.get("stages", HOOKS["default_stages"]) == [stage]]


def commands_of_hooks() -> list[str]:
    """What `pre-commit run --all-files` calls."""
    files = sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*"), *(ROOT / ".github").rglob("*")])
    found = []
    for hook in hooks("pre-commit"):
        given = [file for file in files if re.search(hook["files"], file)] if hook.get("pass_filenames", True) else []
        found.append(" ".join([hook["entry"], *given]))
    return found


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_the_hooks_check_what_make_lint_checks() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "OS=", "VENV=.venv", "lint"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    linted = [line for line in done.stdout.splitlines() if re.match(r"\.venv/bin/(?!python )", line)]
    assert len(linted) > 5
    assert commands_of_hooks() == linted


def test_the_message_of_a_commit_is_checked() -> None:
    (hook,) = hooks("commit-msg")
    assert hook["entry"] == ".venv/bin/python tools/commit_message.py"


def test_the_template_of_a_decision_is_named() -> None:
    folder = ROOT / "docs" / "decisions"
    headings = re.findall(r"^## (.+)$", (folder / "template.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == ["Context", "Decision", "Alternatives", "Consequences"]
    assert "(template.md)" in (folder / "index.md").read_text(encoding="utf-8")
    assert "(docs/decisions/template.md)" in CONTRIBUTING.read_text(encoding="utf-8")
