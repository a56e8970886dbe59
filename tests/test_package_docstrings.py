"""The docstring of each package says what the package exports, and ends with what it may import."""

import ast
import re
from pathlib import Path

import pytest

from tools import architecture

PACKAGES = architecture.packages()
BEGINNINGS = {"weights.layouts": ("mmaction", "pyslowfast", "pytorchvideo", "deepmind")}
"""Modules that a docstring names by the beginnings of their names: "`mmaction` (three modules)"."""


def exports(text: str) -> set[str]:
    """The public names of an `__init__`: those that it defines, and those that it imports as themselves."""
    names: set[str] = set()
    for node in ast.parse(text).body:
        match node:
            case ast.ImportFrom():
                names |= {alias.name for alias in node.names if alias.asname == alias.name}
            case ast.Assign():
                names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case ast.ClassDef() | ast.FunctionDef():
                names.add(node.name)
    return {name for name in names if not name.startswith("_")}


def stated(docstring: str) -> set[str]:
    """The names in a docstring's sentence `It exports ...`; none if that begins with "nothing".

    Raises:
        ValueError: there is no such sentence, there are several, or it names nothing.
    """
    sentences = re.findall(r"\bIt exports (.+?)\.(?=\s|$)", docstring, re.DOTALL)
    if len(sentences) != 1:
        raise ValueError(f"the docstring has {len(sentences)} sentences `It exports ...`, not one")
    if sentences[0].startswith("nothing"):
        return set()
    names = set(re.findall(r"`(\w+)`", sentences[0]))
    if not names:
        raise ValueError("the sentence `It exports ...` has no names in backticks")
    return names


def docstring(package: str) -> str:
    return architecture.docstring(PACKAGES[package])


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_a_package_says_what_it_exports(package: str) -> None:
    assert stated(docstring(package)) == exports(PACKAGES[package].read_text("utf-8"))


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_the_last_line_is_what_it_may_import(package: str) -> None:
    assert docstring(package).splitlines()[-1].startswith("May import: ")


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_a_package_names_each_of_its_modules(package: str) -> None:
    folder = PACKAGES[package].parent
    modules = [file.stem for file in folder.glob("[!_]*.py")] + [
        file.parent.name for file in folder.glob("*/__init__.py")
    ]
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", docstring(package)))))
    assert [name for name in modules if name not in named and not name.startswith(BEGINNINGS.get(package, ()))] == []


def test_an_export_that_the_docstring_does_not_name_is_seen(tmp_path: Path) -> None:
    text = "from marey.a import B as B\nfrom marey.a import C\n\nD = 1\n_E = 2\n"
    assert exports(text) == {"B", "D"}
    assert stated("A package.\n\nIt exports `B` and\n`D`, of `marey.a`. It imports no torch.") == {"B", "D"}
    assert stated("It exports nothing; `main` of `app` is called.") == set()
    for wrong in ("A package.", "It exports all of them.", "It exports `A`. It exports `B`."):
        with pytest.raises(ValueError, match="It exports"):
            stated(wrong)
