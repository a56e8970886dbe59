"""docs/explanation/walk-through.md lists functions in the order in which they are entered."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import marey
from marey.cli.app import app
from marey.weights.checkpoint import save_checkpoint
from marey.weights.load import build_model
from tests.support import tiny

VIDEOS_PER_CLASS = 1

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "walk-through.md"
SOURCE = Path(marey.__file__).parent
RECIPE = tiny.RECIPE.variant(train={"epochs": 1, "base_batch": 2})


def listed(section: str) -> list[tuple[str, str]]:
    """(file, function) of each row of a section's table."""
    text = PAGE.read_text(encoding="utf-8").partition(f"## {section}")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\S+\.py) \| (\S+) \|", text, re.MULTILINE)
    return [(file, name.replace("\\", "")) for file, name in rows]


def entered(work: Callable[[], object]) -> list[tuple[str, str]]:
    """(file, function) of our own source, in the order in which `work` enters them first."""
    found: dict[tuple[str, str], None] = {}

    def note(frame: FrameType, event: str, argument: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(SOURCE):
            found.setdefault((path.relative_to(SOURCE).as_posix(), frame.f_code.co_qualname))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return list(found)


def check(section: str, work: Callable[[], object]) -> None:
    rows, order = listed(section), entered(work)
    assert len(rows) > 20
    unknown = [row for row in rows if row not in order]
    assert unknown == []
    assert rows == sorted(dict.fromkeys(rows), key=order.index)


def test_predict(videos, tmp_path) -> None:
    save_checkpoint(tmp_path / "m.safetensors", build_model(RECIPE), RECIPE, ("jump", "run"))
    words = ["predict", str(tmp_path / "m.safetensors"), str(videos / "run" / "v0.mp4"), "--workers", "0", "--quiet"]
    check("`marey predict", lambda: app(words, standalone_mode=False))


def test_training(videos, tmp_path) -> None:
    check(
        "One step of",
        lambda: marey.fit(RECIPE, train=videos, val=videos, out=tmp_path / "run", workers=0, device="cpu"),
    )
