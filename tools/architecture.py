"""Draw docs/pictures/architecture.svg and the table of docs/architecture.md from the imports of src/marey.

Run `python tools/architecture.py` after a change of the imports; a test compares both with the source.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from textwrap import wrap

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "marey"
PAGE = ROOT / "docs" / "architecture.md"
PICTURE = ROOT / "docs" / "pictures" / "architecture.svg"

ROWS = (
    ("cli",),
    ("engines",),
    ("workflows",),
    ("training", "inference"),
    ("evaluation",),
    ("tasks", "backends", "weights"),
    ("classifier",),
    ("recipes",),
    ("recipe",),
    ("data", "models"),
    ("video", ""),
    ("base",),
)
"""The rows of the picture, from top to bottom; an empty name leaves a gap for the lines."""
LAYERS = tuple(tuple(name for name in row if name) for row in ROWS)
"""The packages, the highest layer first. A package imports packages of lower layers only."""


@dataclass(frozen=True)
class Import:
    """One import of a module of Marey by another one."""

    importer: str
    """Dotted name of the importing module, without `marey.`: "video.open"."""
    imported: str
    """Dotted name of the imported module."""
    line: int
    """Line of the statement in the importer's file, from 1."""
    deferred: bool
    """Whether it does not run when the importing module is loaded: it is inside a function, or for the type checker
    alone."""


def module_files(source: Path = SOURCE) -> dict[str, Path]:
    """The file of each module by its dotted name without `marey.`; a package's own name is its `__init__`."""
    files = {}
    for file in sorted(source.rglob("*.py")):
        parts = file.relative_to(source).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name and name != "__main__":
            files[name] = file
    return files


def imports_of(module: str, text: str, modules: Iterable[str]) -> list[Import]:
    """The imports of Marey's modules in a source text, in the order of their lines.

    Those for the type checker alone are among them: a reader follows them, too.
    """
    known = set(modules)

    def walk(node: ast.AST, deferred: bool) -> Iterator[Import]:
        inside = deferred or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _for_types(node)
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name in dict.fromkeys(_imported(node, known)):
                if name != module:
                    yield Import(module, name, node.lineno, deferred)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inside)

    return list(walk(ast.parse(text), False))


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _imported(node: ast.Import | ast.ImportFrom, known: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif node.module is None or node.level:
        raise ValueError(f"line {node.lineno}: a relative import hides which package is meant; write it in full")
    else:
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    for name in names:
        own = name.removeprefix("marey.")
        if own == name:
            continue
        yield own if own in known else own.rpartition(".")[0] or own


def all_imports(source: Path = SOURCE) -> list[Import]:
    """Every import between modules of Marey."""
    files = module_files(source)
    return [one for name, file in files.items() for one in imports_of(name, file.read_text("utf-8"), files)]


def packages(source: Path = SOURCE) -> dict[str, Path]:
    """The `__init__` of each package and subpackage by its dotted name."""
    return {name: file for name, file in module_files(source).items() if file.name == "__init__.py"}


def docstring(file: Path) -> str:
    """The docstring of a module, or an empty text."""
    return ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""


def allowed(text: str) -> tuple[str, ...]:
    """The packages that the last line of a package's docstring allows: `May import: base, video.reading.`

    Raises:
        ValueError: the docstring has no such line.
    """
    found = re.search(r"^May import: ([\w., ]+)\.$", text, re.MULTILINE)
    if found is None:
        raise ValueError("the docstring has no line `May import: a, b.`")
    names = found.group(1)
    return () if names == "nothing" else tuple(name.strip() for name in names.split(","))


# The picture and the table -----------------------------------------------------------------------------------------------

_WIDTH, _ROW, _BOX = 760, 78, 58
_STYLE = """<style>
text { font: 15px system-ui, sans-serif; fill: #222 } .sub { font-size: 12px; fill: #666 }
rect { fill: #eef3fa; stroke: #4a6fa5 } path { stroke: #8a97a8; fill: none; stroke-width: 1.2 }
@media (prefers-color-scheme: dark) {
  text { fill: #eee } .sub { fill: #aaa } rect { fill: #22303f; stroke: #7fa3d6 } path { stroke: #66778a }
}
</style>"""


def top_level(imports: Iterable[Import]) -> dict[str, set[str]]:
    """Which packages each package imports, by their top-level names."""
    graph: dict[str, set[str]] = {name: set() for layer in LAYERS for name in layer}
    for one in imports:
        importer, imported = one.importer.partition(".")[0], one.imported.partition(".")[0]
        if importer != imported:
            graph[importer].add(imported)
    return graph


def reduced(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The same graph without the edges that follow from others: a to c where a leads to b and b to c."""

    def reached(name: str) -> set[str]:
        return graph[name].union(*(reached(other) for other in graph[name]), set())

    return {
        name: {other for other in others if not any(other in reached(third) for third in others - {other})}
        for name, others in graph.items()
    }


def picture(imports: Iterable[Import], subpackages: dict[str, list[str]]) -> str:
    """The SVG: a box for each package, and a line for each import that does not follow from others (see `reduced`)."""
    centre: dict[str, tuple[float, float]] = {}
    boxes = []
    for number, row in enumerate(ROWS):
        width = (_WIDTH - 20 * (len(row) + 1)) / len(row)
        for column, name in enumerate(row):
            if not name:
                continue
            x, y = 20 + column * (width + 20), 20 + number * _ROW
            centre[name] = (x + width / 2, y)
            boxes.append(f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{_BOX}" rx="6"/>')
            boxes.append(f'<text x="{x + 14:g}" y="{y + 19:g}">{escape(name)}</text>')
            inside = wrap(", ".join(subpackages.get(name, [])), int(width / 7))
            boxes += (
                f'<text class="sub" x="{x + 14:g}" y="{y + 35 + 15 * line:g}">{escape(words)}</text>'
                for line, words in enumerate(inside)
            )
    lines = [
        f'<path d="M{centre[name][0]:g} {centre[name][1] + _BOX:g} L{centre[other][0]:g} {centre[other][1]:g}"/>'
        for name, others in reduced(top_level(imports)).items()
        for other in sorted(others)
    ]
    height = 20 + len(ROWS) * _ROW
    body = "\n".join([*lines, *boxes])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img">\n{_STYLE}\n{body}\n</svg>\n'
    )


def subpackages_of(names: Iterable[str]) -> dict[str, list[str]]:
    """The subpackages of each top-level package, by their own names."""
    inside: dict[str, list[str]] = {}
    for name in names:
        first, _, rest = name.partition(".")
        if rest:
            inside.setdefault(first, []).append(rest)
    return inside


def table(imports: Iterable[Import], files: dict[str, Path]) -> str:
    """The table of packages: what each is for, and what it imports."""
    graph = top_level(imports)
    rows = ["| package | what it is for | imports |", "|---|---|---|"]
    for layer in LAYERS:
        for name in layer:
            purpose = docstring(files[name]).partition("\n\n")[0].replace("\n", " ").rstrip(".")
            below = [other for lower in LAYERS for other in lower if other in graph[name]]
            rows.append(f"| `{name}` | {purpose} | {', '.join(below) or 'nothing'} |")
    return "\n".join(rows)


def with_table(page: str, rows: str) -> str:
    """The page with its table replaced."""
    begin, end = "<!-- packages -->\n", "\n<!-- end of packages -->"
    head, _, rest = page.partition(begin)
    return head + begin + rows + end + rest.partition(end)[2]


def main() -> None:
    """Write the picture and the table."""
    imports, files = all_imports(), module_files()
    PICTURE.write_text(picture(imports, subpackages_of(packages())), encoding="utf-8")
    PAGE.write_text(with_table(PAGE.read_text("utf-8"), table(imports, files)), encoding="utf-8")


if __name__ == "__main__":
    main()
