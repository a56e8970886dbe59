"""A module imports its own room and rooms below: never upwards, never sideways (design, section 2)."""

import ast
from pathlib import Path

import pytest

FLOORS = [
    {"base"},
    {"video"},
    {"models", "data"},
    {"recipe"},
    {"recipes"},
    {"classifier"},
    {"weights"},
    {"tasks"},
    {"backends"},
    {"evaluation"},
    {"training", "inference"},
    {"workflows"},
    {"engines"},
    {"cli"},
]
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
SOURCE = Path(__file__).parents[1] / "src" / "marey"
MODULES = sorted(p for p in SOURCE.rglob("*.py") if p.parent != SOURCE or p.stem in ("recipe", "classifier"))


def imported_rooms(source: str) -> set[str]:
    """The rooms of marey that a module imports, at its top or inside functions."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide which room is meant"
            names |= {f"{node.module}.{a.name}" for a in node.names}
        elif isinstance(node, ast.Import):
            names |= {a.name for a in node.names}
    return {n.split(".")[1] for n in names if n.startswith("marey.")}


def forbidden(own: str, source: str) -> list[str]:
    return [room for room in imported_rooms(source) if room != own and FLOOR[room] >= FLOOR[own]]


@pytest.mark.parametrize("module", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_go_down(module: Path) -> None:
    own = module.relative_to(SOURCE).parts[0].removesuffix(".py")
    assert forbidden(own, module.read_text()) == []


def test_a_planted_violation_is_seen() -> None:
    assert forbidden("video", "from marey.models.network import Network") == ["models"]
    assert forbidden("models", "def f():\n    import marey.data.loading.clips") == ["data"]
    assert forbidden("training", "from marey.inference.predict import predict") == ["inference"]
