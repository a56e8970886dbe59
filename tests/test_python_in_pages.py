"""Python in README and docs: it compiles, its names exist, and the blocks that need only files of the tests run."""

import ast
import builtins
import functools
import importlib
import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
import textwrap
import typing
from pathlib import Path

import pytest
import torch
import yaml

import marey
from tests.support.command_lines import NAMES, PAGES, ROOT

BLOCK = re.compile(r"^( *)```(?:python|py)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
GIVEN = """import torch

import marey

model = marey.load_model("runs/clips-1/last.safetensors")
manifest = marey.read_manifest("val.csv")
"""
"""What stands before the blocks of a page: names that a sentence introduces."""
OWN_MODULE = """from torch import nn


class MyNet(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.layer, self.head = nn.Conv3d(3, 4, 3, padding=1), nn.Linear(4, classes)

    def forward(self, clip):
        return self.head(self.layer(clip).mean((2, 3, 4)))
"""
"""mynetworks.py, a module of the reader's own."""


LONG = ("motions.md",)
"""Pages whose blocks write thousands of videos; tests/data writes fewer."""
READERS_OWN = {"their_name", "my_module"}
"""Names of what a reader writes."""


def blocks(page: Path) -> list[str]:
    return [textwrap.dedent(found[2]) for found in BLOCK.finditer(page.read_text(encoding="utf-8"))]


WITH_PYTHON = [page for page in PAGES if blocks(page)]
each_page = pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: str(page.relative_to(ROOT)))


def bound(tree: ast.Module) -> set[str]:
    """Names that a block binds at its top."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.arg(arg=name):
                found.add(name)
            case ast.alias(name=name, asname=other):
                found.add(other or name.partition(".")[0])
    return found


def free(tree: ast.Module) -> set[str]:
    """Names that a block takes from elsewhere."""
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return used - bound(tree) - set(dir(builtins)) - {"__name__"}


@functools.cache
def names_of_the_source() -> set[str]:
    """What any module of Marey binds, and typing and torch have."""
    found = set(dir(typing)) | set(dir(torch))
    for file in (ROOT / "src" / "marey").rglob("*.py"):
        found |= bound(ast.parse(file.read_text(encoding="utf-8")))
    return found


@each_page
def test_python_compiles_and_its_names_are_there(page) -> None:
    known = bound(ast.parse(GIVEN))
    for block in blocks(page):
        tree = ast.parse(block)
        compile(block, str(page), "exec")
        known |= bound(tree)
        unknown = free(tree) - known - READERS_OWN
        assert not unknown or not unknown - names_of_the_source(), f"{page}: {unknown - names_of_the_source()}"
        for node in ast.walk(tree):
            check(node, page)


def check(node: ast.AST, page: Path) -> None:
    """Imports from Marey, attributes of `marey` and keywords of its functions."""
    match node:
        case ast.ImportFrom(module=str(module), names=names) if module.partition(".")[0] == "marey":
            for one in names:
                assert hasattr(importlib.import_module(module), one.name), f"{page}: {module}.{one.name}"
        case ast.Attribute(value=ast.Name(id="marey"), attr=name):
            assert hasattr(marey, name), f"{page}: marey.{name}"
        case ast.Call(func=ast.Attribute(value=ast.Name(id="marey"), attr=name), keywords=keywords):
            parameters = inspect.signature(getattr(marey, name)).parameters
            if not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
                assert {one.arg for one in keywords} <= set(parameters), f"{page}: marey.{name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_dotted_name_in_a_sentence_is_there(page) -> None:
    for name in re.findall(r"`(marey(?:\.[A-Za-z_]\w*)+)", page.read_text(encoding="utf-8")):
        if name.rpartition(".")[2].isupper() or name.endswith(".exe"):  # marey.NAME
            continue
        found: object = marey
        for i, part in enumerate(name.split(".")[1:], 2):
            if not hasattr(found, part):
                importlib.import_module(".".join(name.split(".")[:i]))
            found = getattr(found, part)


def runnable(page: Path, folder: Path) -> list[str]:
    """Blocks whose names and files are there, or are made by blocks before them, in order."""
    known, written, found = bound(ast.parse(GIVEN)), set(), []
    for block in blocks(page):
        tree = ast.parse(block)
        made = written | outputs(tree)
        if free(tree) <= known and files_there(tree, folder, made) and modules_there(tree) and not fetches(tree):
            known |= bound(tree)
            written = made
            found.append(block)
    return found


def fetches(tree: ast.Module) -> bool:
    """Whether a block loads published weights, for which there is no network here."""
    loads = [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "marey.load_model"
    ]
    return any(isinstance(word, ast.Constant) and word.value in NAMES for node in loads for word in node.args)


def outputs(tree: ast.Module) -> set[str]:
    """The files and folders that a block writes: what `out=` names, and the first argument of `save_checkpoint`."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [keyword.value for call in calls for keyword in call.keywords if keyword.arg == "out"]
    named += [call.args[0] for call in calls if ast.unparse(call.func) == "marey.save_checkpoint"]
    return {value.value for value in named if isinstance(value, ast.Constant)}


def files_there(tree: ast.Module, folder: Path, written: set[str]) -> bool:
    named = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    files = [text for text in named if re.fullmatch(r"[\w./-]+(\.(mp4|csv|safetensors|pth|yaml)|/)", text)]
    inside_of_written = tuple(f"{name}/" for name in written)
    return all((folder / text).exists() or text in written or text.startswith(inside_of_written) for text in files)


def modules_there(tree: ast.Module) -> bool:
    imports = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imports |= {one.name for node in ast.walk(tree) if isinstance(node, ast.Import) for one in node.names}
    return all(name == "mynetworks" or importlib.util.find_spec(name.partition(".")[0]) for name in imports)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [page for page in WITH_PYTHON if page.name not in LONG and page.parent.name != "reference"],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_python_of_a_page_runs(page, prepared, tmp_path) -> None:
    """Pages of the reference have a folder of their own, in which test_reference.py runs them."""
    folder = tmp_path / "work"
    shutil.copytree(prepared, folder)
    (folder / "mynetworks.py").write_text(OWN_MODULE, encoding="utf-8")
    script = folder / "page.py"
    found = runnable(page, folder)
    # Under the guard, as docs/how-to/devices.md asks of scripts that start processes.
    guarded = textwrap.indent("\n".join([GIVEN, *found]), "    ")
    script.write_text(f'if __name__ == "__main__":\n{guarded}', encoding="utf-8")
    path = os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"MAREY_CACHE": str(tmp_path / "cache"), "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-W", "error", script.name],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_most_blocks_of_python_run(prepared) -> None:
    (prepared / "mynetworks.py").write_text(OWN_MODULE, encoding="utf-8")
    run = {page.name for page in WITH_PYTHON if runnable(page, prepared)}
    assert run >= {
        "faq.md",
        "reporter.md",
        "devices.md",
        "your-own-module.md",
        "add-a-data-set.md",
    }  # README: test_wheel.py
    for page in WITH_PYTHON:
        if page.name in ("faq.md", "your-own-module.md"):
            assert runnable(page, prepared) == blocks(page)


# YAML --------------------------------------------------------------------------------------------------------------------

YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


WITH_YAML = [page for page in PAGES if YAML.search(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", WITH_YAML, ids=lambda page: str(page.relative_to(ROOT)))
def test_yaml_of_a_page_is_valid(page) -> None:
    """Settings of a recipe are such; other documents, of a cluster's scheduler, are YAML."""
    for block in YAML.findall(page.read_text(encoding="utf-8")):
        content = yaml.safe_load(block)
        assert content
        if content.keys() <= marey.recipe.Train.model_fields.keys():
            recipe = marey.get_recipe("slowonly_r50_8x8_k400").variant(train={"epochs": 230, **content})
            assert all(getattr(recipe.train, name) is not None for name in content)
        else:
            assert "apiVersion" in content, page


def test_the_first_page_shows_what_readme_shows() -> None:
    """tests/test_wheel.py runs README's block."""
    (readme,) = blocks(ROOT / "README.md")
    (index,) = blocks(ROOT / "docs" / "index.md")
    assert set(index.splitlines()) <= set(readme.splitlines())
