"""Weights of the older toolkits give the logits that they gave there; broken files say what is wrong."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from recorded import runs, write_checkpoint

from marey.base.errors import RecipeError, WeightsError
from marey.models.layers.classifier import PooledClassifier
from marey.recipes import get_recipe
from marey.weights.checkpoint import read_checkpoint, save_checkpoint
from marey.weights.foreign import LAYOUTS
from marey.weights.load import build_network, load_model
from tolerances import GOLDEN_LOGITS

PAIRS = {
    "mmaction1/tsn2d_r50_k400": "tsn_r50_3seg_k400",
    "mmaction1/slowonly_r50_4x16_k400": "slowonly_r50_4x16_k400",
    "mmaction2/tsn_r50": "tsn_r50_3seg_k400_mmaction2",
    "mmaction2/slowonly_r50_4x16": "slowonly_r50_4x16_k400_mmaction2",
    "mmaction2/slowonly_r50_8x8": "slowonly_r50_8x8_k400_mmaction2",
}
SMALL = get_recipe("slowonly_r18_8x2_motions").variant(model={"width": 4, "num_classes": 3})


def difference(network: PooledClassifier, name: str, *, averaged: bool = True) -> float:
    """The largest difference to the recorded logits, in standard deviations of the logits."""
    worst = 0.0
    for clips, recorded in runs(name):
        with torch.inference_mode():
            logits = network(clips)
        expected = torch.from_numpy(recorded["logits"])
        worst = max(worst, float((logits - expected).abs().max() / expected.std()))
        if averaged and "averaged" in recorded:
            mean = logits.softmax(dim=1).mean(dim=0)
            assert (mean - torch.from_numpy(recorded["averaged"][0])).abs().max() < 1e-6
        if "pooled" in recorded and len(clips) == 1:
            features = network.features(clips)
            assert (features - torch.from_numpy(recorded["pooled"])).abs().max() < 1e-3
    return worst


@pytest.mark.parametrize("name", PAIRS)
def test_logits_are_those_of_the_toolkit(name, tmp_path) -> None:
    file = write_checkpoint(name, tmp_path / "old.pth")
    told = load_model(weights=file)
    assert difference(told, name) < GOLDEN_LOGITS
    named = load_model(PAIRS[name], weights=file)
    assert named.recipe.name == PAIRS[name]
    assert all(torch.equal(a, b) for a, b in zip(told.state_dict().values(), named.state_dict().values(), strict=True))


def wrong_epsilon(network) -> None:
    for module in network.modules():
        if hasattr(module, "running_mean"):
            module.eps = 1e-3


def a_relu_too_many(network) -> None:
    network.resnet.stages[3][2].c.register_forward_hook(lambda module, inputs, output: output.relu())


def swapped_columns(network) -> None:
    weight = network.head.weight
    weight.data = torch.cat([weight.data[:, 1024:], weight.data[:, :1024]], dim=1)


@pytest.mark.parametrize("mistake", [wrong_epsilon, a_relu_too_many, swapped_columns])
def test_a_small_mistake_is_seen(mistake, tmp_path) -> None:
    name = "mmaction2/slowonly_r50_4x16"
    network = load_model(weights=write_checkpoint(name, tmp_path / "old.pth"))
    mistake(network)
    found = difference(network, name, averaged=False)
    assert found > GOLDEN_LOGITS, found


@pytest.mark.parametrize("recipe", ["tsn_r50_3seg_k400", "slowonly_r101_8x8_k400", "slowonly_r18_8x2_motions"])
def test_layouts_are_bijections(recipe) -> None:
    with torch.device("meta"):
        network = get_recipe(recipe).model.build()
    for layout in LAYOUTS:
        theirs, ours = zip(*layout.pairs(network), strict=True)
        assert sorted(ours) == sorted(network.state_dict())
        assert len(set(theirs)) == len(theirs)


def foreign(tmp_path, change=lambda tensors: None, **model):
    """A small MMAction2 checkpoint, made from a network of ours."""
    network = build_network(SMALL.variant(model=model) if model else SMALL)
    state = network.state_dict()
    tensors = {theirs: state[ours].clone() for theirs, ours in LAYOUTS[1].pairs(network)}
    change(tensors)
    torch.save({"state_dict": tensors}, tmp_path / "x.pth")
    return network, tmp_path / "x.pth"


def test_other_sizes_are_told_from_the_file(tmp_path) -> None:
    network, file = foreign(tmp_path, depth=34, width=8, num_classes=7)
    loaded = load_model(weights=file)
    assert loaded.recipe.model == network.recipe.model
    clip = torch.randn(1, 3, 4, 32, 32)
    assert torch.equal(loaded(clip), network.eval()(clip))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("backbone.conv1.bn.weight"), r"1 missing: backbone.conv1.bn.weight"),
        (lambda t: t.update(extra=torch.zeros(1)), r"1 left over: extra"),
        (lambda t: t["cls_head.fc_cls.bias"].fill_(float("nan")), r"1 not finite: cls_head.fc_cls.bias"),
        (lambda t: t.update({"backbone.conv1.conv.weight": torch.zeros(4, 3, 1, 5, 5)}), r"of another shape"),
    ],
)
def test_weights_that_do_not_fit(change, message, tmp_path) -> None:
    _, file = foreign(tmp_path, change)
    with pytest.raises(WeightsError, match=message) as caught:
        load_model(SMALL, weights=file)
    assert "\n" not in str(caught.value)


def test_another_head_is_taken_only_when_asked(tmp_path) -> None:
    _, file = foreign(tmp_path)
    other = SMALL.variant(model={"num_classes": 5})
    with pytest.raises(WeightsError, match="allow_new_head"):
        load_model(other, weights=file)
    network = load_model(other, weights=file, allow_new_head=True)
    assert network.head.out_features == 5
    assert "a new head for 5 classes" in str(network.load_report)


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/marey-was-run",)


def test_broken_and_hostile_files(tmp_path) -> None:
    file = tmp_path / "x.pth"
    with pytest.raises(WeightsError, match="no such checkpoint"):
        load_model(SMALL, weights=file)
    for content in (b"", b"words", pickle.dumps({"state_dict": Evil()})):
        file.write_bytes(content)
        with pytest.raises(WeightsError, match=r"x\.pth"):
            load_model(SMALL, weights=file)
    torch.save({"state_dict": {"fc.weight": torch.zeros(2, 2)}}, file)
    with pytest.raises(WeightsError, match="not a layout that Marey reads"):
        load_model(weights=file)
    assert not Path("/tmp/marey-was-run").exists()


def test_own_checkpoint_needs_nothing_beside(tmp_path) -> None:
    network = build_network(SMALL, ("a", "b", "c")).eval()
    save_checkpoint(tmp_path / "a.safetensors", network, SMALL, network.class_names, {"from": "test"})
    loaded = load_model(tmp_path / "a.safetensors")
    assert loaded.recipe == SMALL
    assert loaded.class_names == ("a", "b", "c")
    assert read_checkpoint(tmp_path / "a.safetensors").provenance == {"from": "test"}
    clip = torch.randint(0, 255, (1, 8, 64, 64, 3), dtype=torch.uint8)
    assert torch.equal(loaded(loaded.preprocess(clip)), network(network.preprocess(clip)))


def test_a_checkpoint_cut_short(tmp_path) -> None:
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, build_network(SMALL), SMALL)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="is it cut short"):
        load_model(path)


def test_names() -> None:
    with pytest.raises(RecipeError, match="Did you mean"):
        load_model("slowonly_r50_8x8")
    with pytest.raises(WeightsError, match="has no published weights"):
        load_model("slowonly_r18_8x2_motions")
