"""docs/parity.md has a row for every recorded network, in every file form (names only: the numbers are the tests')."""

import importlib.util
from pathlib import Path

from marey.recipes import get_recipe
from tests.support.tolerances import GOLDEN_LOGITS

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "parity.py"
_SPEC = importlib.util.spec_from_file_location("parity", SCRIPT)
parity = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(parity)


def test_every_recorded_network_has_its_rows() -> None:
    found = parity.rows(parity.PAGE.read_text(encoding="utf-8"))
    missing = {(name, form) for name in parity.names() for form in parity.forms(name)} - found.keys()
    assert not missing, f"run: python benchmarks/parity.py {' '.join(sorted({name for name, _ in missing}))}"
    assert {name for name, _ in found} == set(parity.names())
    for recipe, difference in found.values():
        assert get_recipe(recipe).name == recipe
        assert float(difference) < GOLDEN_LOGITS


def test_the_page_is_what_its_rows_make() -> None:
    text = parity.PAGE.read_text(encoding="utf-8")
    assert parity.page(parity.rows(text)) == text
