"""Layouts as values: their worked examples, their signatures, and files that are read and recognised once."""

import re
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
import torch

from marey.models.slowfast.config import SlowFastConfig
from marey.models.tsm.config import TSMConfig
from marey.models.tsn.config import TSNConfig
from marey.recipe import NetworkConfig
from marey.recipes import RECIPES, get_recipe
from marey.weights import foreign, load
from marey.weights.checkpoint import save_checkpoint
from marey.weights.layouts import torchvision
from marey.weights.layouts.all import LAYOUTS
from marey.weights.layouts.layout import KeySignature, Layout
from marey.weights.load import build_model, load_model, open_weights
from marey.weights.pretraining import start
from marey.weights.unwrap import unwrap

SMALL = get_recipe("tsn_r50_3seg_k400").variant(model={"num_classes": 3, "width": 8, "depth": 18})
FOLDER = Path(torchvision.__file__).parent
MORE_CONFIGS: dict[str, tuple[NetworkConfig, ...]] = {
    "mmaction": (TSNConfig(depth=18), SlowFastConfig(depth=18)),
    "mmaction2": (TSMConfig(depth=18), SlowFastConfig(depth=18)),
    "torchvision": (TSNConfig(depth=18), TSNConfig(depth=101)),
}
"""Networks that a layout holds beside those of the recipes, by the layout's module."""
_EXAMPLE = re.compile(r"^Worked example \(recipe (\w+)\):\n\n((?:    \S+ -> \S+\n)+)", re.MULTILINE)


def modules() -> dict[str, Layout]:
    """The layout of each module that has one, by the module's name."""
    names = sorted({path.stem for path in FOLDER.glob("[!_]*.py")} - {"all", "layout"})
    return {name: import_module(f"marey.weights.layouts.{name}").LAYOUT for name in names}


def examples(module: str) -> list[tuple[str, dict[str, str]]]:
    """The worked examples in a module's docstring: recipe, and our key by their key."""
    text = import_module(f"marey.weights.layouts.{module}").__doc__ or ""
    found = _EXAMPLE.findall(text)
    assert text.count("example") == len(found), "an example of another form would not be checked"
    return [(recipe, dict(line.strip().split(" -> ") for line in lines.strip().split("\n"))) for recipe, lines in found]


@cache
def key_pairs(module: str, config: NetworkConfig) -> tuple[tuple[str, str], ...]:
    """(their key, our key) for each tensor of the network in a module's layout."""
    with torch.device("meta"):
        return tuple(modules()[module].pairs(config.build()))


def configs_of(module: str) -> list[NetworkConfig]:
    """Configs that a module's layout holds: of its examples, `MORE_CONFIGS`, and recipes with a file of its toolkit."""
    layout, toolkits = modules()[module], {one.name: one.toolkit for one in LAYOUTS}
    of_toolkit = [
        recipe.model
        for recipe in RECIPES
        if any(source.layout and toolkits[source.layout] == layout.toolkit for source in recipe.weights)
        and recipe.model.network in layout.networks
    ]
    shown = [get_recipe(name).model for name, _ in examples(module)]
    every = [*shown, *of_toolkit, *MORE_CONFIGS.get(module, ())]
    return list({config.model_dump_json(): config for config in every}.values())


def test_every_module_of_a_layout_is_listed() -> None:
    assert sorted(map(id, modules().values())) == sorted(map(id, LAYOUTS))


@pytest.mark.parametrize("module", modules())
def test_worked_examples_are_what_the_layout_gives(module) -> None:
    layout = modules()[module]
    shown = examples(module)
    ours = {key for _, lines in shown for key in lines.values()}
    assert any(key.endswith(".conv.weight") and ".stages." in key for key in ours), "no convolution of a block"
    assert any(".norm." in key for key in ours), "no norm"
    assert "head.weight" in ours, "no classifier"
    for recipe, lines in shown:
        with torch.device("meta"):
            network = get_recipe(recipe).model.build()
        assert get_recipe(recipe).model.network in layout.networks
        pairs = dict(layout.pairs(network))
        assert {theirs: pairs.get(theirs) for theirs in lines} == lines


def kind(ours: str) -> tuple[str, ...]:
    """The kind of tensor: where it is in the network, and which of the layers there, without the numbers."""
    words = ours.split(".")
    if "after" in words:
        return ("non-local block", words[-2])
    place = next((one for one in ("head", "laterals", "shortcut", "stem") if one in words), "block")
    layers = {"first", "second", "expand", "depthwise", "project", "last", "norm"}
    return (place, *(word for word in words if word in layers))


def first_of_each_kind(pairs: tuple[tuple[str, str], ...]) -> dict[tuple[str, ...], str]:
    """Their key of the network's first tensor of each kind."""
    return {kind(ours): theirs for theirs, ours in reversed(pairs)}


@pytest.mark.parametrize("module", modules())
def test_examples_show_the_first_key_of_each_kind_of_tensor(module) -> None:
    """The first key of a kind in a file is found by a search of the source, whichever network the file has."""
    shown = {theirs for _, lines in examples(module) for theirs in lines}
    forms = {re.sub(r"\d+", "0", key) for key in shown}
    for config in configs_of(module):
        first = first_of_each_kind(key_pairs(module, config))
        missing = [key for key in first.values() if re.sub(r"\d+", "0", key) not in forms]
        assert not missing, f"{config.network} has {missing[0]}, and no example looks like it"


def test_a_signature_needs_all_its_keys_and_the_absence_of_others() -> None:
    signature = KeySignature(("stem.weight", "blocks.0.attn.qkv.weight"), missing=("temporal.weight",))
    whole = {"stem.weight", "blocks.0.attn.qkv.weight", "x"}
    assert signature.matches(whole)
    assert signature.matches({f"a.b.{name}" for name in whole}, "a.b.")
    assert not signature.matches({f"a.b.{name}" for name in whole})
    assert not signature.matches({"stem.weight"})
    assert not signature.matches(whole | {"temporal.weight"})


def test_of_one_key_alone_a_layout_is_not_assumed(tmp_path) -> None:
    """`conv1.weight` is the stem of many networks; that of a torchvision ResNet has `layer1.0.conv1.weight` behind it."""
    alone = {"model.conv1.weight": torch.zeros(4, 3, 7, 7), "model.x": torch.zeros(1)}
    assert not torchvision.LAYOUT.recognises(alone)
    assert unwrap(alone, tmp_path).tensors == alone
    both = {f"model.{key}": value for key, value in theirs(TSNConfig(depth=18, width=4).build()).items()}
    assert torchvision.LAYOUT.recognises(unwrap(both, tmp_path).tensors)


def theirs(network) -> dict[str, torch.Tensor]:
    state = network.state_dict()
    return {key: state[ours].clone() for key, ours in torchvision.pairs(network)}


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """What was read: a line for each file of torch, each file that was recognised, and each checkpoint of ours."""
    lines: list[str] = []

    def counting(module, name):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args, **more: lines.append(name) or real(*args, **more))

    counting(torch, "load")
    counting(load, "read_foreign")
    counting(load, "read_checkpoint")
    counting(foreign, "_reading")
    return lines


@pytest.mark.parametrize("recipe", [SMALL, SMALL.variant(model={"channels": 2, "stack": 5})], ids=["same", "other"])
def test_training_reads_and_recognises_a_foreign_file_once(recipe, reads, tmp_path) -> None:
    """Strictly loaded where it is the recipe's network, carried over where it is another one."""
    torch.save(theirs(build_model(SMALL).network), tmp_path / "resnet.pth")
    assert start(recipe, tmp_path / "resnet.pth").load_report is not None
    assert reads == ["read_foreign", "load", "_reading"]


@pytest.mark.parametrize("recipe", [SMALL, SMALL.variant(model={"channels": 2, "stack": 5})], ids=["same", "other"])
def test_training_reads_a_checkpoint_of_marey_once(recipe, reads, tmp_path) -> None:
    save_checkpoint(tmp_path / "a.safetensors", build_model(SMALL), SMALL)
    assert start(recipe, tmp_path / "a.safetensors").load_report is not None
    assert reads == ["read_checkpoint"]


def test_a_file_is_read_once_to_be_loaded_without_a_recipe(reads, tmp_path) -> None:
    torch.save(theirs(build_model(SMALL).network), tmp_path / "resnet.pth")
    load_model(weights=tmp_path / "resnet.pth")
    assert reads == ["read_foreign", "load", "_reading"]


def test_an_opened_file_shows_its_network(tmp_path) -> None:
    torch.save(theirs(build_model(SMALL).network), tmp_path / "resnet.pth")
    config = open_weights(tmp_path / "resnet.pth").config
    assert config is not None
    assert (config.network, config.num_classes) == ("tsn", 3)
