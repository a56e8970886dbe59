"""The site builds without a warning, a fault in a page ends the build, and no link of a page is broken."""

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.support.command_lines import DOCS, FRONT, ROOT

GENERATED = {
    "zoo.md": "python tools/zoo.py",
    "rows.md": "python tools/rows.py",
    "reference/commands.md": "python tools/commands.py",
    "parity.md": "python benchmarks/parity.py",
    "links.md": "make links",
}
"""Pages that a tool writes, and the tool."""


def build(folder: Path, config: str = "mkdocs.yml") -> subprocess.CompletedProcess[str]:
    """`mkdocs build` as `make docs` calls it."""
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    pytest.importorskip("mkdocstrings", reason="the extra docs is not installed")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", config, "--site-dir", "site"]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_make_docs_hides_no_warning() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"^docs:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert "mkdocs build --strict" in recipe
    assert "--quiet" not in recipe.partition("mkdocs build")[2]
    assert all(f"tools/{tool}.py" in recipe for tool in ("commands", "zoo", "rows", "pictures"))


@pytest.fixture
def site(tmp_path) -> Path:
    """The settings of the site on two pages that have no fault."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "src").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Start\n\n[the other](other.md#more)\n", encoding="utf-8")
    (tmp_path / "docs" / "other.md").write_text("# Other\n\n## More\n\nText.\n", encoding="utf-8")
    (tmp_path / "docs" / "wide.css").touch()
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[0]
    nav = "\nnav:\n  - Start: index.md\n  - Other: other.md\n"
    (tmp_path / "mkdocs.yml").write_text(settings + nav, encoding="utf-8")
    docstring = "The sum.\n\n    Args:\n        one: A number.\n        two: Another.\n    "
    function = f'def add(one: int, two: int) -> int:\n    """{docstring}"""\n    return one + two\n'
    (tmp_path / "src" / "sound.py").write_text(f'"""A module."""\n\n\n{function}', encoding="utf-8")
    return tmp_path


def test_pages_without_a_fault_build(site) -> None:
    (site / "docs" / "other.md").write_text(
        "# Other\n\n## More\n\n::: sound\n\n[the sum][sound.add]\n", encoding="utf-8"
    )
    done = build(site)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[gone](gone.md)", "gone.md"),
        ("[gone](other.md#gone)", "#gone"),
        ("[gone](#gone)", "#gone"),
        ("![gone](pictures/gone.png)", "pictures/gone.png"),
        ("[outside](../README.md)", "README.md"),
        ("[absolute](/other.md)", "/other.md"),
        ("::: sound.gone", "sound.gone"),
        ("::: nowhere", "nowhere"),
        ("[the sum][sound.gone]", "sound.gone"),
        ("a clip [B, K] [will do](other.md)", "will do"),
    ],
)  # fmt: skip
def test_a_fault_in_a_page_ends_the_build(site, text, said) -> None:
    (site / "docs" / "index.md").write_text(f"# Start\n\n{text}\n", encoding="utf-8")
    done = build(site)
    assert done.returncode != 0
    assert said in done.stderr


def test_a_page_outside_the_navigation_ends_the_build(site) -> None:
    (site / "docs" / "lost.md").write_text("# Lost\n", encoding="utf-8")
    done = build(site)
    assert done.returncode != 0
    assert "lost.md" in done.stderr


def test_a_page_that_the_navigation_names_and_is_not_there_ends_the_build(site) -> None:
    (site / "docs" / "other.md").unlink()
    (site / "docs" / "index.md").write_text("# Start\n", encoding="utf-8")
    done = build(site)
    assert done.returncode != 0
    assert "other.md" in done.stderr


def test_each_page_is_in_the_navigation() -> None:
    """What the build of the whole site refuses too, which takes longer."""
    listed = re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in DOCS}
    assert set(listed) == {page for page in pages if not page.startswith("decisions/0")}
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize(("line", "said"), [("one, two: Numbers.", "one, two"), ("three: A number.", "three")])
def test_a_docstring_that_does_not_fit_its_function_ends_the_build(site, line, said) -> None:
    module = site / "src" / "sound.py"
    module.write_text(module.read_text(encoding="utf-8").replace("one: A number.", line), encoding="utf-8")
    (site / "docs" / "other.md").write_text("# Other\n\n## More\n\n::: sound\n", encoding="utf-8")
    done = build(site)
    assert done.returncode != 0
    assert said in done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The whole site."""
    folder = tmp_path_factory.mktemp("whole")
    copy_of_repository(folder)
    done = build(folder)
    assert done.returncode == 0, done.stderr
    return folder / "site"


def copy_of_repository(folder: Path) -> None:
    shutil.copytree(ROOT / "docs", folder / "docs")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    (folder / "src").symlink_to(ROOT / "src")


@pytest.mark.slow
def test_the_site_builds_without_a_warning(built) -> None:
    pages = {page.relative_to(ROOT / "docs").with_suffix("") for page in DOCS}
    made = {page.parent.relative_to(built) for page in built.rglob("index.html")}
    assert {page.parent if page.name == "index" else page for page in pages} <= made


@pytest.mark.slow
def test_the_site_asks_no_other_host(built) -> None:
    asked = re.compile(
        r"<(?:script|link|img|iframe|source|video|object|embed)\b[^>]*?(?:src|href|data)=[\"']?(?:https?:)?//[^\"' >]+"
    )
    for page in built.rglob("*.html"):
        found = [tag for tag in asked.findall(page.read_text(encoding="utf-8")) if "canonical" not in tag]
        assert found == [], page
    for style in built.rglob("*.css"):
        assert (
            re.findall(r"(?:url\([\"']?|@import [\"'])(?:https?:)?//[^)]*", style.read_text(encoding="utf-8")) == []
        ), style


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["[gone](gone.md)", "[gone](zoo.md#gone)", "::: marey.gone", "[gone][marey.gone]"])
def test_a_fault_in_the_whole_site_ends_its_build(fault, tmp_path) -> None:
    copy_of_repository(tmp_path)
    with (tmp_path / "docs" / "glossary.md").open("a", encoding="utf-8") as page:
        page.write(f"\n{fault}\n")
    assert build(tmp_path).returncode != 0


# What can be seen without a build ----------------------------------------------------------------------------------------


def test_docstrings_name_the_parameters_of_their_functions(caplog) -> None:
    griffe = pytest.importorskip("griffe", reason="the extra docs is not installed")
    package = griffe.load("marey", search_paths=[ROOT / "src"], docstring_parser="google")
    seen = parse_docstrings(package)
    assert seen > 1000
    assert [record.getMessage() for record in caplog.records] == []


def parse_docstrings(parent) -> int:
    count = 0
    for member in parent.members.values():
        if member.is_alias:
            continue
        if member.docstring is not None:
            member.docstring.parse("google")
            count += 1
        if member.is_module or member.is_class:
            count += parse_docstrings(member)
    return count


@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_name_in_the_reference_is_there(page) -> None:
    text = page.read_text(encoding="utf-8")
    for name, members in re.findall(r"^::: (\S+)(?:\n {4}options:\n {6}members: \[([^\]]*)\])?", text, re.MULTILINE):
        found = resolved(name)
        for member in members.split(",") if members else ():
            getattr(found, member.strip())


def resolved(name: str) -> object:
    """The module, class or function of that name.

    Raises:
        AttributeError, ImportError: there is none.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, member = name.rpartition(".")
        return getattr(importlib.import_module(module), member)


@pytest.mark.parametrize(("page", "tool"), GENERATED.items())
def test_a_generated_page_names_its_tool(page, tool) -> None:
    lines = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    assert any(f"`{tool}`" in line for line in lines[:5])
    assert tool == "make links" or (ROOT / tool.removeprefix("python ")).is_file()


def test_the_index_of_decisions_lists_each_record() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(
        r"^(\d+)\. \[[^\]]+\]\((\S+)\): ", (folder / "index.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    records = sorted(page.name for page in folder.glob("0*.md"))
    assert [name for _, name in listed] == records
    assert [int(number) for number, _ in listed] == [int(name[:4]) for name in records]


LINK = re.compile(
    r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"|^\[[^\]]+\]: (\S+)$",
    re.MULTILINE,
)


def broken_links(page: Path) -> list[str]:
    """Links of a page to files and headings that are not there; addresses of other hosts are not asked."""
    text = re.sub(r"^(`{3,}).*?^\1|`[^`\n]+`", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    broken = []
    for link in ("".join(found) for found in LINK.findall(text)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site give them."""
    text = re.sub(r"^(`{3,}).*?^\1", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+?)\s*$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        slug = re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")
        found |= {slug, re.sub(r"-+", "-", slug)}
    return found | set(re.findall(r"(?:(?:id|name)=\"|\{ ?#)([\w-]+)", text))


@pytest.mark.parametrize("page", FRONT, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_beside_the_site_lead_somewhere(page) -> None:
    assert broken_links(page) == []


@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_of_the_site_lead_somewhere(page) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_seen(tmp_path) -> None:
    (tmp_path / "a.md").write_text("# A page\n\n## What `marey` is: 1, 2\n\nText.\n", encoding="utf-8")
    page = tmp_path / "b.md"
    page.write_text(
        "# B\n\n[a](a.md) [b](#b) [c](a.md#what-marey-is-1-2) [d](https://example.org/d) `[e](e.md)`\n\n[f](f.md) [g](#g) "
        "[h](a.md#h) ![i](i.png)\n\n<img src=\"j.png\">\n\n[k]: k.md\n\n```\n[l](l.md)\n```\n",
        encoding="utf-8",
    )  # fmt: skip
    assert broken_links(page) == ["f.md", "#g", "a.md#h", "i.png", "j.png", "k.md"]
