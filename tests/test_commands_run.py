"""Commands that README and docs show, run from top to bottom of their page in a folder with made clips and a trained run."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from marey.recipes import get_recipe
from marey.weights.layouts import mmaction
from marey.weights.load import build_model
from tests.support.command import marey
from tests.support.command_lines import NAMES, PAGES, ROOT, Shown, command_of, fault_of, shown, values_of

INPUTS = (
    "model", "data", "videos", "val", "root", "classes", "only", "fuse_data", "source", "sources", "folder", "scores",
    "search_on", "recipe", "init", "weights", "fuse", "fuse_weights", "file", "backbone", "test",
    "labels",
)  # fmt: skip
"""Parameters whose values are names of files that a command reads, or of models."""
NO_FILES = {"fuse": ("weights",)}
"""Such names that mean something else in a command."""
TESTED_ELSEWHERE = ("demo", "reproduce")
"""Commands that take many minutes, or data sets that are not here."""
NETWORK = "weights that are fetched"
SMALLER = {
    ("train",): {"--epochs": "2"},
    ("data", "flow"): {"--short-side": "32"},
    ("data", "motions"): {"--train": "24", "--test": "36"},
}
"""Options that replace those of a command, or are added, where it would take minutes otherwise. Videos that pages name are
among the 36 of `data motions`.
"""
WITH_EPOCHS = {"--data", "--set", "--epochs", "--lr", "none", "always"}
"""Words of a training that takes epochs; another one fits a head on frozen features, and `--epochs` would ask for more."""
OPTIONS = {"train": "--dry-run", "predict": "--workers=0", "features": "--workers=0", "evaluate": "--workers=0"}
"""What the fast test adds to a command."""


def needs(command: Shown) -> str | None:
    """What a command needs that is not here: one of its files, `NETWORK`, other tests; or None."""
    found, _ = command_of(command.words)
    if found.name in TESTED_ELSEWHERE or fault_of(command) or "..." in command.words:
        return "other tests"
    values = values_of(command)
    devices = values.get("device", "auto") in ("auto", "cpu") and values.get("backend", "auto") in (
        "auto",
        "eager",
        None,
    )
    if not devices or values.get("fuse_data"):  # the prepared runs/flow is a copy of a network on pictures
        return "a device, a backend or a network on optical flow"
    if found.name in ("list", "show", "fetch", "path", "remove"):
        return NETWORK if found.name in ("fetch", "path", "remove") else None
    rows = []
    for key in INPUTS:
        given = values.get(key)
        for word in given if isinstance(given, list | tuple) else [given]:
            if not isinstance(word, str | Path) or key in NO_FILES.get(found.name, ()) or word in ("none", "auto"):
                continue
            if str(word) in NAMES:
                rows.append(str(word))
            elif not Path(word).exists():
                return str(word)
    if found.name == "train" and any("_folder" not in row for row in rows):
        return "other tests"  # minutes for each step of a network at full size
    here = values.get("untrained") or values.get("weights") or values.get("init") == "none"
    return NETWORK if rows and not here else None


def commands_of(page: Path) -> list[Shown]:
    return [command for command in shown(page) if command.whole]


@pytest.fixture
def folder(prepared, tmp_path, cache, monkeypatch) -> Iterator[Path]:
    """What is prepared, in which a page's commands may write: at its own path, which the lists of its runs hold."""
    before = tmp_path / "before"
    shutil.copytree(prepared, before)
    monkeypatch.chdir(prepared)
    yield prepared
    shutil.rmtree(prepared)
    before.rename(prepared)


WITH_COMMANDS = [page for page in PAGES if commands_of(page)]


def run_as_shown(command: Shown, *more: str) -> None:
    """Run a command, and write what it prints where its line says."""
    words = command.words
    if words[:2] == ("data", "motions"):  # into a folder of the name that other pages' clips have
        shutil.rmtree(words[2], ignore_errors=True)
        words = shortened(words)
    done = marey(*words, *more)
    allowed = (0, 1) if command.words[:2] == ("data", "audit") else (0,)  # 1: the set has faults
    assert done.exit_code in allowed, f"{command}: {done.output}"
    if command.written_to:
        Path(command.written_to).write_text(done.stdout, encoding="utf-8")


def is_light(command: Shown) -> bool:
    name = command_of(command.words)[0].name
    return name not in ("doctor", "flow") and "--untrained" not in command.words and "--weights" not in command.words


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_a_page_run(page, folder) -> None:
    """Those that take seconds; of trainings what they would do."""
    for command in commands_of(page):
        if needs(command) is None and is_light(command):
            added = OPTIONS.get(command.words[0], "")
            run_as_shown(command, *([added] if added and added.partition("=")[0] not in command.words else []))


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_command_that_fetches_weights_names_them_where_there_is_no_network(page, folder) -> None:
    for command in commands_of(page):
        if needs(command) == NETWORK:
            done = marey(*command.words)
            assert done.exit_code == 1, f"{command}: {done.output}"
            assert any(name in done.output for name in NAMES & set(command.words)) or "NAME" in command.words


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_a_page_run_whole(page, folder, older_file) -> None:
    if "old.pth --classes" not in page.read_text(encoding="utf-8"):  # there it is a network of one's own classes
        (folder / "old.pth").symlink_to(older_file)
    for command in commands_of(page):
        if needs(command) is None:
            if command.words[0] == "convert":  # the prepared file is there for pages that do not make it
                Path(str(values_of(command)["out"])).unlink(missing_ok=True)
            run_as_shown(replace(command, words=shortened(command.words)))


def shortened(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words with fewer epochs, smaller pictures or fewer videos."""
    small = next((options for name, options in SMALLER.items() if words[: len(name)] == name), {})
    if words[0] == "train" and not WITH_EPOCHS & set(words):
        return words
    for option, value in () if "--dry-run" in words else small.items():
        at = words.index(option) if option in words else len(words)
        words = (*words[:at], option, value, *words[at + 2 :])
    return words


@pytest.fixture(scope="module")
def older_file(tmp_path_factory) -> Path:
    """A checkpoint as MMAction wrote them, of the network slowonly_r50_8x8_k400 with drawn weights."""
    network = build_model(get_recipe("slowonly_r50_8x8_k400")).network
    tensors = network.state_dict()
    path = tmp_path_factory.mktemp("older") / "old.pth"
    torch.save({"state_dict": {theirs: tensors[ours] for theirs, ours in mmaction.pairs(network)}}, path)
    return path


def test_most_kinds_of_commands_are_run(prepared, monkeypatch) -> None:
    monkeypatch.chdir(prepared)
    names = {command_of(command.words)[0].name for page in PAGES for command in commands_of(page) if not needs(command)}
    kinds = "list show doctor predict features evaluate train report fuse split audit resize frames flow scan verify"
    assert names >= set(kinds.split())
