"""Weights of the older toolkits give the logits that they gave there; errors of broken files state what is wrong."""

import argparse
import os
import pickle
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from marey.base.errors import RecipeError, WeightsError
from marey.models.layers.non_local import NonLocal
from marey.models.non_local.config import C2DConfig
from marey.models.slowfast.config import SlowFastConfig
from marey.models.tsm.network import Shift
from marey.recipes import RECIPES, get_recipe
from marey.weights.checkpoint import read_checkpoint, save_checkpoint
from marey.weights.foreign import read_foreign, read_tensors
from marey.weights.layouts import efficientnet_lite, mmaction, mmaction2, pyslowfast, pytorchvideo, timm, torchvision
from marey.weights.layouts.layout import Layout
from marey.weights.load import build_model, load_model
from tests.support.layout_variants import VARIANTS, given
from tests.support.recorded import runs, write_checkpoint
from tests.support.recorded_networks import PAIRS, a_relu_too_many, difference
from tests.support.tolerances import GOLDEN_LOGITS, ILL_CONDITIONED

AMBIGUOUS = {"mmaction2/c2d_r50_nopool"}
"""Inferred from the file alone these become another network with the same tensors and logits."""
SLOW = {
    "mmaction1/ircsn_r152_32x2_k400",
    "mmaction2/i3d_r50_nl_gauss",
    "mmaction2/slowonly_r50_8x8",
    "mmaction2/r2plus1d_r34_8x8",
    "mmaction2/ipcsn_r152",
    "pyslowfast/SLOW_8x8_R50",
    "pyslowfast/SLOWFAST_8x8_R50",
    "pytorchvideo/slowfast_r50",
    "pytorchvideo/r2plus1d_r50",
    "pytorchvideo/csn_r101",
    "vmz/r2plus1d_34_8",
    "vmz/ir_csn_152",
}
"""Pairs whose toolkit, and whose network, are each in another pair that is faster."""
SMALL = get_recipe("slowonly_r18_8x2_motions").variant(model={"width": 4, "num_classes": 3})


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in PAIRS])
def test_logits_are_those_of_the_toolkit(name, tmp_path) -> None:
    file = write_checkpoint(name, tmp_path / "old.pth")
    named = load_model(PAIRS[name], weights=file)
    if name in ILL_CONDITIONED:
        assert difference(named.double(), name, strict=False) < ILL_CONDITIONED[name]
    else:
        assert difference(named, name) < GOLDEN_LOGITS
    assert named.recipe.name == PAIRS[name]
    inferred = read_foreign(file).by_shapes().inferred
    if name in AMBIGUOUS:
        assert difference(load_model(weights=file), name) < GOLDEN_LOGITS
    else:
        assert inferred.config == named.recipe.model


@pytest.fixture(params=[1, 2, 4])
def threads(request) -> Iterator[None]:
    """Torch computes with so many threads, and afterwards with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", ILL_CONDITIONED)
def test_float32_of_an_ill_conditioned_pair(name, tmp_path) -> None:
    """The recorded distance between float32 and float64, computed again: of the same size on any CPU and thread count."""
    model = load_model(PAIRS[name], weights=write_checkpoint(name, tmp_path / "old.pth"))
    ((clips, _),) = runs(name)
    with torch.inference_mode():
        logits, exact = model(clips), model.double()(clips.double())
    distance = float((logits - exact).abs().max() / exact.std())
    assert ILL_CONDITIONED[name] / 4 < distance < 2 * ILL_CONDITIONED[name]


def wrong_epsilon(network) -> None:
    for module in network.modules():
        if hasattr(module, "running_mean"):
            module.eps = 1e-3


def swapped_columns(network) -> None:
    weight = network.head.weight
    weight.data = torch.cat([weight.data[:, 1024:], weight.data[:, :1024]], dim=1)


def no_window(network) -> None:
    network.window = None


def every_fourth_frame(network) -> None:
    network.spread = False


def without_second_pool(network) -> None:
    network.resnet.second_pool = torch.nn.Identity()


def shifted_the_other_way(network) -> None:
    for module in network.modules():
        if isinstance(module, Shift):
            module.forward = lambda x, forward=module.forward: forward(x.flip(0)).flip(0)


def a_quarter_shifted(network) -> None:
    for module in network.modules():
        if isinstance(module, Shift):
            module.divisor = 4


def shortcut_shifted(network) -> None:
    for block in network.resnet.residuals():
        block.before, block.before_branch = block.before_branch, None


def gaussian_for_dot_product(network) -> None:
    for module in network.modules():
        if isinstance(module, NonLocal):
            module.config = module.config.model_copy(update={"pairwise": "embedded_gaussian"})


@pytest.mark.parametrize(
    ("name", "mistake"),
    [
        ("mmaction2/slowonly_r50_4x16", wrong_epsilon),
        ("mmaction2/slowonly_r50_4x16", a_relu_too_many),
        pytest.param("mmaction2/slowonly_r50_4x16", swapped_columns, marks=pytest.mark.slow),
        ("mmaction2/tsm_r50", shifted_the_other_way),
        pytest.param("mmaction2/tsm_r50", a_quarter_shifted, marks=pytest.mark.slow),
        pytest.param("mmaction2/tsm_r50", shortcut_shifted, marks=pytest.mark.slow),
        ("mmaction1/i3d_r50_32x2_k400", wrong_epsilon),
        pytest.param("mmaction2/i3d_r50", without_second_pool, marks=pytest.mark.slow),
        pytest.param("mmaction2/i3d_r50_nl_dot", gaussian_for_dot_product, marks=pytest.mark.slow),
        pytest.param("mmaction2/slowfast_r50_8x8", swapped_columns, marks=pytest.mark.slow),
        pytest.param("pyslowfast/SLOWFAST_8x8_R50", every_fourth_frame, marks=pytest.mark.slow),
        pytest.param("pytorchvideo/c2d_r50", no_window, marks=pytest.mark.slow),
    ],
)
def test_a_small_mistake_is_seen(name, mistake, tmp_path) -> None:
    model = load_model(weights=write_checkpoint(name, tmp_path / "old.pth"))
    mistake(model.network)
    found = difference(model, name, strict=False)
    assert found > GOLDEN_LOGITS, found


def layouts_of(recipe):
    """The layouts that can hold a recipe's network."""
    facebook = {"pyslowfast": pyslowfast, "pytorchvideo": pytorchvideo}
    toolkit = recipe.name.rpartition("_")[2]
    if recipe.model.network in ("i3d_incv1", "tsn_bninception", "r2plus1d", "csn", "frame_probe"):
        # tests/weights/test_inception.py, test_factorised.py; a probe is Marey's own, and its backbone takes such files.
        return []
    if recipe.model.network in ("tsn_lite", "tsm_lite"):
        return [timm, efficientnet_lite]
    if recipe.model.network == "tsm":
        return [mmaction2, torchvision]
    if toolkit in facebook:
        return [facebook[toolkit]]
    if getattr(recipe.model, "non_local", None) or recipe.model.network == "c2d":
        return [mmaction2]
    return [mmaction, mmaction2, *([torchvision] if recipe.model.network == "tsn" else [])]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.name)
def test_layouts_are_bijections(recipe) -> None:
    with torch.device("meta"):
        network = recipe.model.build()
    for layout in layouts_of(recipe):
        theirs, ours = zip(*layout.pairs(network), strict=True)
        assert sorted(ours) == sorted(network.state_dict())
        assert len(set(theirs)) == len(theirs)
        assert layout.LAYOUT.recognises(theirs)


@pytest.mark.parametrize(("layout", "config"), VARIANTS, ids=lambda v: v.name if isinstance(v, Layout) else v.network)
def test_variants_are_inferred_and_tensors_are_loaded_unchanged(layout, config, tmp_path) -> None:
    """A network of ours written as the toolkit would have, read without a recipe: the same network, bit for bit."""
    torch.manual_seed(0)
    network = config.build()
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.uniform_(0.1, 0.9) if "running" in name else value.normal_(std=0.1)
    torch.save({"state_dict": given(layout, network)}, tmp_path / "x.pth")
    loaded = load_model(weights=tmp_path / "x.pth")
    assert loaded.recipe.model == config
    state = network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in loaded.network.state_dict().items())


@pytest.mark.parametrize("shape", [(8, 1, 3, 3, 3), (8, 8, 3, 3, 3), None])
def test_networks_with_another_middle_convolution_are_refused(shape, tmp_path) -> None:
    """CSN's and R(2+1)D's pointwise convolutions are C2D's; the one between them tells."""
    tensors = given(pytorchvideo.LAYOUT, C2DConfig(width=8, num_classes=3).build())
    for name in [name for name in tensors if name.endswith("conv_b.weight")]:
        tensors.pop(name)
        tensors |= {name: torch.zeros(shape)} if shape else {name.replace("conv_b", "conv_b.conv_t"): torch.zeros(1)}
    torch.save({"model_state": tensors}, tmp_path / "x.pyth")
    with pytest.raises(WeightsError, match="of no network that Marey reads"):
        load_model(weights=tmp_path / "x.pyth")


@pytest.mark.parametrize("config", [SlowFastConfig(width=16), C2DConfig(width=8, second_pool=1)])
def test_changes_are_invertible(config) -> None:
    network = config.build()
    state, changes = network.state_dict(), mmaction2.changes(network)
    assert changes
    for name, change in changes.items():
        assert not torch.equal(change.give(state[name]), state[name]) or change.give(state[name]).ndim == 4
        assert torch.equal(change.take(change.give(state[name])), state[name])


def test_a_network_that_a_layout_cannot_hold(tmp_path) -> None:
    """MMAction's laterals have no norm: its file must not be read as a network whose laterals do."""
    network = SlowFastConfig(width=16, num_classes=3).build()
    torch.save({"state_dict": given(mmaction.LAYOUT, network)}, tmp_path / "x.pth")
    recipe = get_recipe("slowfast_r50_4x16_k400").variant(model={"width": 16, "num_classes": 3, "lateral_norm": True})
    with pytest.raises(
        WeightsError, match=r"the layout mmaction has no tensor for our laterals\.\S+: it cannot hold this network"
    ):
        load_model(recipe, weights=tmp_path / "x.pth")


def foreign(tmp_path, change=lambda tensors: None, **model):
    """A small MMAction2 checkpoint, made from a network of ours."""
    classifier = build_model(SMALL.variant(model=model) if model else SMALL)
    state = classifier.network.state_dict()
    tensors = {theirs: state[ours].clone() for theirs, ours in mmaction2.pairs(classifier.network)}
    change(tensors)
    torch.save({"state_dict": tensors}, tmp_path / "x.pth")
    return classifier, tmp_path / "x.pth"


def test_other_sizes_are_inferred_from_the_file(tmp_path) -> None:
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
        (
            lambda t: t.update({"backbone.conv1.conv.weight": torch.zeros(4, 3, 1, 5, 5)}),
            r"of another shape: .* expected \[[\d, ]+\]\.$",  # a fresh classifier would not help
        ),
        (
            lambda t: t.update({"cls_head.fc_cls.bias": t["cls_head.fc_cls.bias"].to(torch.complex64)}),
            r"1 of another type: cls_head.fc_cls.bias is torch.complex64, expected torch.float32",
        ),
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
    model = load_model(other, weights=file, allow_new_head=True)
    assert model.network.head.out_features == 5
    assert "a new head for 5 classes" in str(model.load_report)


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


class HistoryBuffer:
    """MMEngine's has arrays of what a run logged."""

    def __init__(self) -> None:
        self.values = np.zeros(3)

    def __setstate__(self, state: object) -> None:
        raise AssertionError("code of a toolkit was run")


@pytest.mark.parametrize("zipped", [True, False])
def test_other_content_of_a_training_checkpoint_is_ignored(zipped, tmp_path, monkeypatch) -> None:
    name = "mmengine.logging.history_buffer"
    monkeypatch.setattr(HistoryBuffer, "__module__", name)
    module = types.ModuleType(name)
    module.HistoryBuffer = HistoryBuffer
    for package in ("mmengine", "mmengine.logging"):
        monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    monkeypatch.setitem(sys.modules, name, module)
    _, file = foreign(tmp_path)
    plain = read_tensors(file)
    run = {
        "epoch": np.int64(3),
        "meta": {"curve": np.zeros(3), "best": np.float64(0.5)},
        "message_hub": {"loss": HistoryBuffer()},
        "args": argparse.Namespace(lr=0.1),
    }
    torch.save({"state_dict": plain, **run}, file, _use_new_zipfile_serialization=zipped)
    found = read_tensors(file)
    assert found.keys() == plain.keys()
    assert all(torch.equal(found[name], plain[name]) for name in plain)
    torch.save({"state_dict": plain, **run, "hook": Evil()}, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"holds more than tensors \((posix|nt)\.system\); nothing in it was run"):
        read_tensors(file)
    assert not Path("/tmp/marey-was-run").exists()


def test_a_checkpoint_of_marey_holds_all_that_it_needs(tmp_path) -> None:
    network = build_model(SMALL, ("a", "b", "c")).eval()
    save_checkpoint(tmp_path / "a.safetensors", network, SMALL, network.class_names, {"from": "test"})
    loaded = load_model(tmp_path / "a.safetensors")
    assert loaded.recipe == SMALL
    assert loaded.class_names == ("a", "b", "c")
    assert read_checkpoint(tmp_path / "a.safetensors").provenance == {"from": "test"}
    clip = torch.randint(0, 255, (1, 8, 64, 64, 3), dtype=torch.uint8)
    assert torch.equal(loaded(loaded.preprocess(clip)), network(network.preprocess(clip)))


def test_a_checkpoint_cut_short(tmp_path) -> None:
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, build_model(SMALL), SMALL)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="is it cut short"):
        load_model(path)


def test_wrong_names_and_recipes_without_weights_are_refused() -> None:
    with pytest.raises(RecipeError, match="Did you mean"):
        load_model("slowonly_r50_8x8")
    with pytest.raises(WeightsError, match="no weights of it are known"):
        load_model("slowonly_r18_8x2_motions")
