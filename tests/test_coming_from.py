"""docs/coming-from: the recipe keys and options that are listed beside another toolkit's exist."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel
from typer.main import get_command

from marey.cli.app import app
from marey.recipe import Recipe

PAGES = sorted((Path(__file__).parents[1] / "docs" / "coming-from").glob("*.md"))
PARTS = ("clip", "test", "pixels", "augment", "appearance", "model", "train", "task")


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The declarations that an annotation names, whatever is around them."""
    if isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)


def keys_of(models: Iterable[type[BaseModel]], prefix: str = "") -> Iterator[str]:
    """Every dotted key, of all kinds that a part may be of."""
    for model in models:
        for name, field in model.model_fields.items():
            yield prefix + name
            yield from keys_of(models_in(field.annotation), f"{prefix}{name}.")


KEYS = set(keys_of([Recipe]))
OPTIONS = {
    option for command in get_command(app).commands.values() for value in command.params for option in value.opts
}  # fmt: skip


def ours(page: Path) -> list[str]:
    """What stands in code in the second column of the page's tables."""
    rows = re.findall(r"^\| .* \| (.*) \|$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [code for row in rows for code in re.findall(r"`([^`]+)`", row)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_recipe_keys_exist(page) -> None:
    keys = [code for code in ours(page) if re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", code) and code.split(".")[0] in PARTS]
    assert len(keys) > 15
    assert [key for key in keys if key not in KEYS] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_options_exist(page) -> None:
    options = [
        word for code in ours(page) for word in re.findall(r"(?<!\S)--[a-z-]+", code.partition("-m marey")[2] or code)
    ]
    assert options
    of_torchrun = {"--nproc-per-node", "--nnodes", "--node-rank"}
    others = {
        "--root",
        "--short-side",
        "--out",
        "--per-clip",
    }  # of `marey data`, whose commands have a test of their own
    assert [option for option in options if option not in OPTIONS | of_torchrun | others] == []
