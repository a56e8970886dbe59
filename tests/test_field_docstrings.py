"""Every field of a public class of records has a docstring of its own: a plain sentence.

Records are dataclasses, declarations, named tuples, typed dictionaries and protocols. Exempt are a field that only names
the kind of its record (a `Literal` of one value), and an option of the command line, which has a help text.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "src/marey"
RECORDS = {"BaseModel", "NamedTuple", "Protocol", "TypedDict"}
DISCRIMINATORS = {"kind", "network", "rule", "method", "geometry"}


def last_name(node: ast.expr) -> str:
    """The name behind a call, a subscript or a module: "Protocol" of `typing.Protocol[T]`."""
    while isinstance(node, ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def parsed() -> dict[str, ast.Module]:
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in sorted(ROOT.rglob("*.py"))}


def class_definitions(tree: ast.Module) -> Iterator[ast.ClassDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def record_names(trees: Iterable[ast.Module]) -> set[str]:
    """All names of classes that are records by a decorator or by a base, at any distance."""
    bases = {one.name: {last_name(base) for base in one.bases} for tree in trees for one in class_definitions(tree)}
    found = set(RECORDS)
    while more := {name for name, above in bases.items() if above & found} - found:
        found |= more
    return found


def is_discriminator(field: ast.AnnAssign) -> bool:
    hint = field.annotation
    one_value = (
        isinstance(hint, ast.Subscript) and last_name(hint) == "Literal" and isinstance(hint.slice, ast.Constant)
    )
    return one_value and isinstance(field.target, ast.Name) and field.target.id in DISCRIMINATORS


def has_help(hint: ast.expr) -> bool:
    """Whether an annotation makes its field an option or argument of the command line."""
    return any(last_name(node) in {"Option", "Argument"} for node in ast.walk(hint) if isinstance(node, ast.Call))


def option_names(trees: Iterable[ast.Module]) -> set[str]:
    """The names of annotations that several commands share, such as `Root = Annotated[Path, typer.Option(...)]`."""
    return {
        last_name(target)
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.Assign) and has_help(node.value)
        for target in node.targets
    }


def fault(text: str | None) -> str | None:
    """What keeps a field's docstring from being a plain sentence; None where nothing does."""
    if text is None:
        return "has no docstring of its own"
    if len(text.split()) < 3:
        return f"has fewer than three words: {text!r}"
    if not text.endswith("."):
        return f"does not end in a full stop: {text!r}"
    if not (text[0].isupper() or text[0] in "`["):
        return f"begins with no capital, backtick or shape: {text!r}"
    return None


def faults(path: str, one: ast.ClassDef, options: set[str]) -> Iterator[str]:
    """The fields of a class whose docstrings are missing, no sentence, or the text of a field before it."""
    texts: dict[str, str] = {}
    for field, after in zip(one.body, [*one.body[1:], None], strict=True):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name) or is_discriminator(field):
            continue
        if has_help(field.annotation) or last_name(field.annotation) in options:
            continue
        name, text = field.target.id, None
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
            text = after.value.value.strip()
        found = fault(text)
        if found is None and text in texts:
            found = f"has the docstring of {texts[text]}: {text!r}"
        if text is not None:
            texts.setdefault(text, name)
        if found is not None:
            yield f"{path}:{field.lineno} {one.name}.{name} {found}"


def all_faults(trees: dict[str, ast.Module]) -> list[str]:
    records, options = record_names(trees.values()), option_names(trees.values())
    return [
        line
        for path, tree in trees.items()
        for one in class_definitions(tree)
        if not one.name.startswith("_") and (one.name in records or "dataclass" in map(last_name, one.decorator_list))
        for line in faults(path, one, options)
    ]


def test_every_field_of_a_public_record_has_a_sentence() -> None:
    wrong = all_faults(parsed())
    assert not wrong, f"{len(wrong)} fields:\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ('size: int\n    """Side of the crop, in pixels."""', None),
        ('kind: Literal["crop"] = "crop"', None),
        ('kind: Literal["crop", "scale"] = "crop"', "has no docstring"),
        ("size: int", "has no docstring"),
        ('size: Annotated[int, typer.Option("--size", help="Side of the crop.")]', None),
        ('low: int\n    high: int\n    """Rows of the list."""', "One.low has no docstring"),
        (
            'low: int\n    """Row of the list."""\n    high: int\n    """Row of the list."""',
            "One.high has the docstring of low",
        ),
        ('size: int\n    """[P]"""', "fewer than three words"),
        ('size: int\n    """Side of the crop"""', "full stop"),
        ('size: int\n    """side of the crop."""', "no capital"),
        ('size: int\n    """[P]: side of each crop."""', None),
    ],
)
@pytest.mark.parametrize(
    "head", ["@dataclass(frozen=True)\nclass One:", "class Base(NamedTuple): ...\nclass One(Base):"]
)
def test_which_docstrings_are_found_wanting(head: str, fields: str, expected: str | None) -> None:
    found = all_faults({"file.py": ast.parse(f"{head}\n    {fields}\n")})
    assert len(found) == (expected is not None)
    assert expected is None or expected in found[0]
