"""Every public name has an entry in the reference and an example there that runs and prints what the page says."""

import ast
import contextlib
import doctest
import io
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

import marey
from marey.cli.app import app
from tests.support.made_videos import coded_frame, write_videos
from tests.support.tiny import RECIPE

PAGES = sorted((Path(__file__).parents[1] / "docs" / "reference").glob("*.md"))
BLOCKS = {
    page.name: blocks
    for page in PAGES
    if (blocks := re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))
}
NAMES = [name for name in marey.__all__ if name != "__version__"]


def entries() -> list[tuple[str, list[str] | None]]:
    """What the pages have entries of: a module or a name in one, and which members are shown, if not all."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    found = re.findall(r"^::: (\S+)\n(?: {4}options:\s+members: \[(.*)\]\n)?", text, re.MULTILINE)
    return [(what, [one.strip() for one in members.split(",")] if members else None) for what, members in found]


def used_names() -> set[str]:
    """The public names that examples use as `marey.NAME`."""
    trees = [ast.parse(block) for blocks in BLOCKS.values() for block in blocks]
    attributes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return {node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id == "marey"}


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_has_an_entry_and_an_example(name) -> None:
    value = getattr(marey, name)
    homes = {f"marey.{marey._HOME[name]}", getattr(value, "__module__", "")}
    shown = [
        what
        for what, members in entries()
        if what in {f"{home}.{name}" for home in homes} or (what in homes and (members is None or name in members))
    ]
    assert shown, f"no page of docs/reference has an entry of {name}"
    assert name in used_names(), f"no example in docs/reference uses marey.{name}"
    assert name == "RECIPES" or (value.__doc__ or "").strip(), f"{name} has no docstring, and its entry would be empty"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What the first lines of docs/reference/marey.md say is there."""
    place = tmp_path_factory.mktemp("reference")
    write_videos(place / "clips", 4)
    pictures = [np.ascontiguousarray(coded_frame(n)) for n in range(16)]
    marey.write_video(place / "kick.mp4", pictures, fps=10)
    for number in range(1, 5):
        for name in ("frames/img", "flow/flow_x", "flow/flow_y"):
            path = place / f"{name}_{number:05d}.jpg"
            path.parent.mkdir(exist_ok=True)
            cv2.imwrite(str(path), pictures[number])
    marey.fit(RECIPE.variant(train={"epochs": 1}), train=place / "clips", out=place / "runs" / "a", workers=0)
    with contextlib.chdir(place):
        for words in (
            "predict runs/a clips --out answers.parquet",
            "features runs/a --data clips --out features.parquet",
        ):
            app([*words.split(), "--workers", "0", "--quiet"], standalone_mode=False)
    return place


@pytest.mark.parametrize("page", BLOCKS)
def test_the_examples_of_a_page_run(page, folder, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("marey.evaluation.views.decoding_workers", lambda asked: asked or 0)
    monkeypatch.setattr("marey.data.loading.loader.decoding_workers", lambda asked: asked or 0)
    run(BLOCKS[page], page)


@pytest.mark.parametrize(
    "block", ["print(1 + 1)  # 3", "print('a 5 b')  # a ... c", "for i in (1,):\n    print(i)  # 2"]
)
def test_a_planted_falsehood_is_seen(block) -> None:
    run([block.replace("# 3", "# 2").replace("... c", "... b").replace("  # 2", "  # ...")], "planted")
    with pytest.raises(AssertionError, match="planted says"):
        run([block], "planted")


def run(blocks: list[str], page: str) -> None:
    """Execute the blocks one after the other, and compare what each statement prints with its comment."""
    names: dict[str, object] = {"__name__": "example"}
    for block in blocks:
        for code, promised in statements(block):
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(code, f"docs/reference/{page}", "exec"), names)
            if promised is not None:
                same = doctest.OutputChecker().check_output(promised + "\n", printed.getvalue(), doctest.ELLIPSIS)
                assert same, f"{ast.unparse(code)} printed {printed.getvalue()!r}, and {page} says {promised!r}"


def statements(block: str) -> list[tuple[ast.Module, str | None]]:
    """Each statement of a block, and what the comments behind its `print` say that it prints."""
    lines = block.splitlines()
    found: list[tuple[ast.Module, str | None]] = []
    for node in ast.parse(block).body:
        promised = [line.partition("  # ")[2] for line in lines[node.lineno - 1 : node.end_lineno] if "print(" in line]
        found.append((ast.Module([node], []), "\n".join(promised) if promised else None))
    return found
