"""Packages are in layers. A module imports its own package and what its package may import; no files import each other.

The docstring of each package states what its files and its subpackages' files may import. The tests compare this with every
import, at a file's top or inside a function, and with the layers of the design.
"""

from collections.abc import Iterable
from pathlib import Path

import pytest

from tools import architecture
from tools.architecture import Import

FILES = architecture.module_files()
PACKAGES = architecture.packages()
IMPORTS = architecture.all_imports()
HEIGHT = {name: -depth for depth, layer in enumerate(architecture.LAYERS) for name in layer}
BUILDS = {"video.flow", *(name.removesuffix(".config") for name in FILES if name.endswith(".config"))}
"""The packages where a declaration builds what it declares: its `build()` imports, when called, the file that imports it."""


def described(one: Import) -> str:
    return f"{FILES.get(one.importer, one.importer)}:{one.line} imports marey.{one.imported}"


def covers(package: str, module: str) -> bool:
    """Whether a module is the package, or inside it."""
    return module == package or module.startswith(f"{package}.")


def upward(imports: Iterable[Import]) -> list[str]:
    """Imports between top-level packages that do not lead to a lower layer."""
    found = []
    for one in imports:
        importer, imported = one.importer.partition(".")[0], one.imported.partition(".")[0]
        if importer != imported and HEIGHT[imported] >= HEIGHT[importer]:
            found.append(described(one))
    return found


def undeclared(imports: Iterable[Import], may: dict[str, tuple[str, ...]]) -> list[str]:
    """Imports from inside a package that lead outside of it and are not named by its docstring."""
    return [
        described(one)
        for one in imports
        for package, names in may.items()
        if covers(package, one.importer) and not any(covers(allowed, one.imported) for allowed in (package, *names))
    ]


def circles(imports: Iterable[Import]) -> list[list[str]]:
    """Files that import each other, directly or through others: each circle once, as the imports that close it."""
    edges: dict[str, dict[str, Import]] = {}
    for one in imports:
        edges.setdefault(one.importer, {}).setdefault(one.imported, one)
    found, finished = [], set()

    def visit(name: str, path: list[str]) -> None:
        if name in path:
            circle = path[path.index(name) :]
            found.append([described(edges[a][b]) for a, b in zip(circle, [*circle[1:], name], strict=True)])
        elif name not in finished:
            for imported in edges.get(name, {}):
                visit(imported, [*path, name])
            finished.add(name)

    for name in sorted(edges):
        visit(name, [])
    return found


def builds(one: Import) -> bool:
    """Whether an import is that of a `build()`: deferred, and inside a package where declarations build."""
    return one.deferred and any(covers(name, one.importer) and covers(name, one.imported) for name in BUILDS)


def test_imports_lead_to_lower_layers() -> None:
    assert upward(IMPORTS) == []


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_a_package_says_what_it_may_import(package: str) -> None:
    text = architecture.docstring(PACKAGES[package])
    may = {package: architecture.allowed(text)}
    known = [one for one in may[package] if one not in PACKAGES and one not in FILES]
    assert known == [], f"{PACKAGES[package]}: no such package: {', '.join(known)}"
    assert undeclared(IMPORTS, may) == []


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_what_a_package_may_import_is_needed(package: str) -> None:
    own = [one for one in IMPORTS if covers(package, one.importer)]
    may = architecture.allowed(architecture.docstring(PACKAGES[package]))
    unused = [allowed for allowed in may if not any(covers(allowed, one.imported) for one in own)]
    assert unused == [], f"{PACKAGES[package]}: nothing imports {', '.join(unused)}"


def test_no_files_import_each_other() -> None:
    assert circles(one for one in IMPORTS if not builds(one)) == []


def test_no_file_is_long() -> None:
    lengths = {file: len(file.read_text("utf-8").splitlines()) for file in FILES.values()}
    assert {file: lines for file, lines in lengths.items() if lines > 450} == {}


def planted(module: str, text: str) -> list[Import]:
    return architecture.imports_of(module, text, FILES)


def test_an_import_of_a_higher_layer_is_named() -> None:
    up = planted("video.open", "import math\n\nfrom marey.models.network import Network")
    assert upward(up) == [f"{FILES['video.open']}:3 imports marey.models.network"]
    assert len(upward(planted("models.network", "def f():\n    import marey.data.loading.datasets"))) == 1
    assert len(upward(planted("training.fit", "from marey.inference.predict import predict"))) == 1
    with pytest.raises(ValueError, match="relative"):
        planted("training.fit", "from . import loop")


def test_an_import_that_the_package_does_not_name_is_seen() -> None:
    sideways = planted("video.sampling.rule", "from marey.video.reading.reader import Video")
    assert undeclared(sideways, {"video.sampling": ("base",)}) == [described(sideways[0])]
    assert undeclared(sideways, {"video.sampling": ("base", "video.reading")}) == []
    below = planted("training.heads.logistic", "import marey.evaluation.scores")
    assert undeclared(below, {"training": ("base",)}) == [described(below[0])]
    assert undeclared(below, {"training": ("evaluation",), "training.heads": ("evaluation",)}) == []


def test_a_cycle_of_imports_inside_a_package_is_named() -> None:
    there = planted("video.open", "from marey.video.source import FrameSource")
    back = planted("video.source", "def late():\n    from marey.video.open import open_source")
    assert circles([*there, *back]) == [[described(*there), described(*back)]]
    assert not builds(*back)
    assert circles(there) == circles(back) == []


def test_the_page_and_its_picture_are_those_of_the_imports() -> None:
    page = architecture.PAGE.read_text("utf-8")
    again = "run python tools/architecture.py"
    assert page == architecture.with_table(page, architecture.table(IMPORTS, FILES)), again
    inside = architecture.subpackages_of(PACKAGES)
    assert architecture.PICTURE.read_text("utf-8") == architecture.picture(IMPORTS, inside), again


def test_each_step_of_the_walk_is_an_import() -> None:
    steps = walk(architecture.PAGE.read_text("utf-8"))
    assert len(steps) > 12
    edges = {(one.importer, one.imported) for one in IMPORTS}
    wrong = [f"{caller} does not import {called}" for caller, called in steps if (caller, called) not in edges]
    assert wrong == []


def walk(page: str) -> list[tuple[str, str]]:
    """(importer, imported) of each row of the walk's table: | `video/open.py` | `video/source.py` | what for |."""
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| `") and ".py` |" in line]
    return [(dotted(caller), dotted(called)) for caller, called in rows]


def dotted(cell: str) -> str:
    """The module of a cell such as `video/open.py`; of `video/sampling/__init__.py` the package."""
    return Path(cell.strip().strip("`")).with_suffix("").as_posix().removesuffix("/__init__").replace("/", ".")
