"""docs/reference/environment.md names the environment variables that the source reads, sets or names, no others."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reference" / "environment.md").read_text(encoding="utf-8")
BY_A_LIBRARY = {"getproxies": {"HTTPS_PROXY"}, "proxy_bypass": {"NO_PROXY"}}
"""Functions of the standard library that read the environment, with what matters of it: downloads are HTTPS."""
READS, WRITES = {"get", "getenv", "pop"}, {"setdefault", "putenv"}


def table(heading: str) -> set[str]:
    """The variables that the rows of a section begin with."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


class Variables(ast.NodeVisitor):
    """The names of variables in one module; where a function's parameter is the name, those that callers pass."""

    def __init__(self) -> None:
        self.read: set[str] = set()
        self.written: set[str] = set()
        self.named: set[str] = set()
        self.through: dict[str, int] = {}
        self.calls: list[ast.Call] = []
        self.function: ast.FunctionDef | None = None

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        outer, self.function = self.function, node
        self.generic_visit(node)
        self.function = outer

    def found(self, name: ast.expr, into: set[str]) -> None:
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            into.add(name.value)
            return
        assert isinstance(name, ast.Name) and self.function is not None, f"not understood: {ast.unparse(name)}"
        self.through[self.function.name] = [argument.arg for argument in self.function.args.args].index(name.id)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if is_environment(node.value):
            self.found(node.slice, self.read if isinstance(node.ctx, ast.Load) else self.written)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        if any(isinstance(way, ast.In | ast.NotIn) for way in node.ops) and is_environment(node.comparators[0]):
            self.found(node.left, self.read)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        of_environment = isinstance(function, ast.Attribute) and is_environment(function.value)
        if of_environment or name in ("getenv", "putenv"):
            assert name in READS | WRITES, f"not understood: {ast.unparse(node)}"
            self.found(node.args[0], self.read if name in READS else self.written)
        self.read |= BY_A_LIBRARY.get(name, set())
        for keyword in node.keywords:
            if keyword.arg == "envvar":
                self.read |= {str(name) for name in [ast.literal_eval(keyword.value)]}
        self.calls.append(node)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Messages and docstrings write variables as $NAME or NAME=value; $RECYCLE.BIN is a folder of Windows."""
        if isinstance(node.value, str):
            self.named |= set(re.findall(r"\$([A-Z]\w+\b)(?!\.BIN)|\b([A-Z]+_[A-Z_]+)(?==)", node.value))


def is_environment(node: ast.expr) -> bool:
    return isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) in ("os.environ", "environ")


def modules() -> Iterator[Variables]:
    for file in sorted((ROOT / "src").rglob("*.py")):
        module = Variables()
        module.visit(ast.parse(file.read_text(encoding="utf-8")))
        for call in module.calls:
            if isinstance(call.func, ast.Name) and call.func.id in module.through:
                module.read.add(ast.literal_eval(call.args[module.through[call.func.id]]))
        yield module


SOURCE = list(modules())


def test_the_page_lists_exactly_the_variables_that_the_source_reads() -> None:
    assert table("Read by Marey") == set().union(*(module.read for module in SOURCE))


def test_the_page_lists_exactly_the_variables_that_the_source_sets() -> None:
    assert table("Set by Marey") == set().union(*(module.written for module in SOURCE))


def test_the_page_lists_the_variables_that_messages_name() -> None:
    named = {name for module in SOURCE for pair in module.named for name in pair if name}
    known = table("Read by Marey") | table("Set by Marey") | table("Read by the libraries below")
    assert named - known == set()


def test_a_library_s_variable_is_not_read_by_marey_too() -> None:
    assert not table("Read by the libraries below") & (table("Read by Marey") | table("Set by Marey"))


def test_every_row_has_an_example() -> None:
    for heading in ("Read by Marey", "Read by the libraries below"):
        section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
        for row in re.findall(r"^\| `.*", section, re.MULTILINE):
            assert row.endswith("` |") or row.endswith("by `torchrun` |") or row.endswith("by Windows |"), row


def test_variables_are_found_in_every_way_of_writing() -> None:
    code = """
import os
from os import environ, getenv
def a(): return os.environ["ONE"], os.getenv("TWO"), "THREE" in environ, getenv("FOUR", "x")
def b():
    os.environ["FIVE"] = "1"; os.environ.setdefault("SIX", "1")
    del os.environ["SEVEN"]
def c(name, default): return os.environ.get(name)
"""
    module = Variables()
    module.visit(ast.parse(code))
    assert module.read == {"ONE", "TWO", "THREE", "FOUR"}
    assert module.written == {"FIVE", "SIX", "SEVEN"}
    assert module.through == {"c": 0}
