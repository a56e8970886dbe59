"""R(2+1)D and CSN: every toolkit's names, what is inferred from shapes, and mistakes that logits reveal."""

import pickle

import numpy as np
import pytest
import torch

from marey.base.errors import WeightsError
from marey.models.csn.config import CSNConfig
from marey.models.layers.factorised import TwoSteps
from marey.models.r2plus1d.config import R2Plus1DConfig
from marey.recipes import RECIPES, get_recipe
from marey.weights.inferred_recipe import released_as
from marey.weights.layouts import (
    mmaction2_factorised,
    mmaction_factorised,
    pytorchvideo_factorised,
    videoresnet,
    vmz_caffe2,
)
from marey.weights.layouts.layout import Layout
from marey.weights.layouts.mmaction_factorised import letters
from marey.weights.load import load_model
from tests.support.layout_variants import given
from tests.support.recorded import load as recorded_file
from tests.support.recorded import state_dict, write_checkpoint
from tests.support.recorded_networks import PAIRS, a_relu_too_many, difference
from tests.support.tolerances import GOLDEN_LOGITS, ILL_CONDITIONED

LAYOUTS = {
    "mmaction": (mmaction_factorised.LAYOUT,),
    "mmaction2": (mmaction2_factorised.LAYOUT,),
    "pytorchvideo": (pytorchvideo_factorised.LAYOUT,),
    "vmz": (videoresnet.LAYOUT, vmz_caffe2.LAYOUT),
    "torchvision": (videoresnet.LAYOUT,),
}


def layouts_of(recipe):
    toolkit = recipe.name.rpartition("_")[2]
    return LAYOUTS.get(toolkit, LAYOUTS["mmaction"])


@pytest.mark.parametrize("recipe", [r for r in RECIPES if r.model.network in ("r2plus1d", "csn")], ids=lambda r: r.name)
def test_layouts_are_bijections(recipe) -> None:
    with torch.device("meta"):
        network = recipe.model.build()
    for layout in layouts_of(recipe):
        theirs, ours = zip(*layout.pairs(network), strict=True)
        assert sorted(ours) == sorted(name for name in network.state_dict() if not name.endswith(layout.absent))
        assert len(set(theirs)) == len(theirs)
        assert layout.recognises(theirs)


@pytest.mark.parametrize(
    "name",
    [
        "mmaction1/r2plus1d_r34_8x8_k400",
        "mmaction1/ipcsn_r152_32x2_k400_dw",
        "mmaction2/r2plus1d_r34_8x8",
        "mmaction2/ipcsn_r152",
        "pytorchvideo/r2plus1d_r50",
        "pytorchvideo/csn_r101",
        "vmz/ir_csn_152",
        "vmz/r2plus1d_34_8",
    ],
)
def test_names_are_those_of_the_toolkit(name) -> None:
    """All of them, with their shapes, without drawing a weight."""
    with torch.device("meta"):
        network = get_recipe(PAIRS[name]).model.build()
    (layout, *_) = layouts_of(get_recipe(PAIRS[name]))
    shapes = {name: list(value.shape) for name, value in network.state_dict().items()}
    keys = {key: shape for key, (shape, _) in recorded_file(f"networks/{name}")["keys"].items()}
    assert {theirs: shapes[ours] for theirs, ours in layout.pairs(network)} == keys


MMACTION2 = {"stem_middle": 83, "shortcut": "space_time", "middle_eps": 1e-5, "first_pool": True}
PYTORCHVIDEO = {
    "convolutions": "time_space",
    "stem_middle": 0,
    "stem_frames": 1,
    "first_stride": 2,
    "temporal_strides": (1, 1, 2, 2),
    "norm_eps": 1e-5,
    "pool_window": 7,
}
SMALL = {"width": 4, "num_classes": 3}
VARIANTS = [
    (mmaction_factorised.LAYOUT, R2Plus1DConfig(depth=34, **SMALL, channels=2, first_pool=True)),
    (
        mmaction_factorised.LAYOUT,
        R2Plus1DConfig(depth=50, **SMALL, convolutions="whole", stem_middle=0, first_pool=True),
    ),
    (mmaction_factorised.LAYOUT, CSNConfig(depth=152, **SMALL)),
    (mmaction_factorised.LAYOUT, CSNConfig(depth=50, **SMALL, interaction="preserved", preserved_relu=True)),
    (
        mmaction_factorised.LAYOUT,
        CSNConfig(depth=101, **SMALL, interaction="preserved", preserved_relu=True, depthwise=False),
    ),
    (mmaction2_factorised.LAYOUT, R2Plus1DConfig(depth=18, **SMALL, **MMACTION2)),
    (mmaction2_factorised.LAYOUT, CSNConfig(depth=101, **SMALL, channels=2)),
    (mmaction2_factorised.LAYOUT, CSNConfig(depth=50, **SMALL, interaction="preserved")),
    (pytorchvideo_factorised.LAYOUT, R2Plus1DConfig(depth=50, **SMALL, **PYTORCHVIDEO)),
    (pytorchvideo_factorised.LAYOUT, CSNConfig(depth=50, **SMALL, norm_eps=1e-5, pool_window=7)),
    (videoresnet.LAYOUT, R2Plus1DConfig(depth=34, **SMALL)),
    (videoresnet.LAYOUT, R2Plus1DConfig(depth=50, **SMALL, first_pool=True)),
    (videoresnet.LAYOUT, R2Plus1DConfig(depth=18, **SMALL, convolutions="block_space_time", norm_eps=1e-5)),
    (videoresnet.LAYOUT, R2Plus1DConfig(depth=50, **SMALL, convolutions="block_space_time", norm_eps=1e-5)),
    (videoresnet.LAYOUT, R2Plus1DConfig(depth=18, **SMALL, convolutions="whole", stem_middle=0, norm_eps=1e-5)),
    (
        videoresnet.LAYOUT,
        R2Plus1DConfig(
            depth=18, **SMALL, convolutions="mixed", stem_middle=0, temporal_strides=(1, 1, 1, 1), norm_eps=1e-5
        ),
    ),
    (videoresnet.LAYOUT, CSNConfig(depth=50, **SMALL, interaction="preserved")),
    (vmz_caffe2.LAYOUT, R2Plus1DConfig(depth=18, **SMALL)),
    (vmz_caffe2.LAYOUT, R2Plus1DConfig(depth=152, **SMALL)),
    (vmz_caffe2.LAYOUT, CSNConfig(depth=50, **SMALL)),
    (vmz_caffe2.LAYOUT, CSNConfig(depth=101, **SMALL, interaction="preserved")),
]


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


def test_blocks_by_letters() -> None:
    """MMAction's: letters, and in stages of 26 blocks or more two of them, from the first block on."""
    assert [letters(place, 8) for place in range(8)] == list("abcdefgh")
    assert letters(24, 25) == "y"
    assert [letters(place, 36) for place in (0, 25, 26, 35)] == ["aa", "az", "ba", "bj"]


@pytest.mark.parametrize(
    ("name", "convolutions", "some", "none"),
    [
        (
            "r2plus1d_r34_8x1_k400_ig65m_vmz",
            69,
            [
                "conv1_middle_spatbn_relu_riv",
                "comp_15_conv_2_middle_w",
                "comp_15_spatbn_2_rm",
                "shortcut_projection_13_w",
            ],
            ["shortcut_projection_0_w", "comp_16_conv_1_w"],
        ),
        (
            "r2plus1d_r152_32x1_k400_ig65m_vmz",
            2 + 50 * 4 + 4,
            ["comp_0_conv_1_w", "comp_0_conv_2_middle_w", "comp_49_conv_3_w", "shortcut_projection_47_spatbn_s"],
            ["comp_0_conv_1_middle_w"],
        ),
        (
            "ircsn_r152_32x2_k400_ig65m_vmz",
            1 + 50 * 3 + 4,
            ["conv1_spatbn_relu_b", "comp_49_conv_1_w", "comp_49_conv_3_w", "comp_49_spatbn_4_riv"],
            ["comp_49_conv_2_w", "conv1_middle_w"],
        ),
        (
            "ipcsn_r152_32x2_k400_ig65m_vmz",
            1 + 50 * 4 + 4,
            ["comp_49_conv_2_middle_w", "comp_49_conv_2_w", "comp_49_spatbn_3_riv", "shortcut_projection_11_spatbn_b"],
            ["comp_49_conv_4_w"],
        ),
    ],
)
def test_names_of_vmz_s_blobs(name, convolutions, some, none) -> None:
    """As VMZ's builder counts them; converters of others name the same."""
    with torch.device("meta"):
        names = {theirs for theirs, _ in vmz_caffe2.pairs(get_recipe(name).model.build())}
    assert len(names) == convolutions * 5 + 2
    assert names >= set(some)
    assert not names & set(none)


def blobs(name: str) -> dict[str, torch.Tensor]:
    """The tensors of VMZ's PyTorch ip-CSN as its Caffe2 builder names them."""
    translated, serial, last = {}, -1, ""
    tensors = {"weight": "s", "bias": "b", "running_mean": "rm", "running_var": "riv"}
    places = {
        "conv1.0": "comp_{}_conv_1",
        "conv1.1": "comp_{}_spatbn_1",
        "conv2.0.0": "comp_{}_conv_2_middle",
        "conv2.0.1": "comp_{}_spatbn_2_middle",
        "conv2.0.2": "comp_{}_conv_2",
        "conv2.1": "comp_{}_spatbn_2",
        "conv3.0": "comp_{}_conv_3",
        "conv3.1": "comp_{}_spatbn_3",
        "downsample.0": "shortcut_projection_{}",
        "downsample.1": "shortcut_projection_{}_spatbn",
    }
    for key, value in state_dict(name).items():
        module, _, tensor = key.rpartition(".")
        if tensor == "num_batches_tracked":
            continue
        if module == "fc":
            translated[f"last_out_L400_{tensor[0]}"] = value
        elif module.startswith("stem"):
            translated[{"stem.0": "conv1_w"}.get(module, f"conv1_spatbn_relu_{tensors[tensor]}")] = value
        else:
            stage, block, place = module.split(".", 2)
            serial += f"{stage}.{block}" != last
            last = f"{stage}.{block}"
            translated[f"{places[place]}_{'w' if value.ndim == 5 else tensors[tensor]}".format(serial)] = value
    return translated


def test_vmz_s_blobs_give_the_logits_of_its_pytorch_network(tmp_path) -> None:
    arrays = {name: blob.numpy() for name, blob in blobs("vmz/ip_csn_152").items()}
    solver = {"conv1_w_momentum": arrays["conv1_w"], "lr": np.float32([0.01])}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"blobs": arrays | solver}, protocol=2))
    model = load_model(weights=tmp_path / "x.pkl")
    assert model.load_report.layout == "vmz_caffe2"
    assert set(model.load_report.dropped) == set(solver)
    assert model.recipe.name == "ipcsn_r152_32x2_k400_ig65m_vmz"
    assert difference(model, "vmz/ip_csn_152") < GOLDEN_LOGITS


def test_a_classifier_of_blobs_for_other_classes(tmp_path) -> None:
    """Its name holds their number, and it may be a pointwise convolution."""
    config = R2Plus1DConfig(depth=18, width=4, num_classes=7)
    network = config.build()
    tensors = given(vmz_caffe2.LAYOUT, network)
    tensors["last_out_L7_b"] = tensors.pop("last_out_b")
    tensors["last_out_L7_w"] = tensors.pop("last_out_w")[..., None, None, None]
    torch.save(tensors, tmp_path / "x.pth")
    loaded = load_model(weights=tmp_path / "x.pth")
    assert loaded.recipe.model == config
    assert torch.equal(loaded.network.head.weight, network.head.weight)
    other = get_recipe("r2plus1d_r34_8x1_k400_ig65m_vmz").variant(model={"depth": 18, "width": 4, "num_classes": 5})
    with pytest.raises(WeightsError, match="allow_new_head"):
        load_model(other, weights=tmp_path / "x.pth")
    fresh = load_model(other, weights=tmp_path / "x.pth", allow_new_head=True)
    assert fresh.network.head.out_features == 5
    assert torch.equal(fresh.network.resnet.stem.first.conv.weight, network.resnet.stem.first.conv.weight)


def test_plain_and_wrapped_state_dicts(tmp_path) -> None:
    """VMZ released bare ones."""
    network = CSNConfig(depth=50, width=4, num_classes=3).build()
    for content in (given(videoresnet.LAYOUT, network), {"state_dict": given(videoresnet.LAYOUT, network), "epoch": 3}):
        torch.save(content, tmp_path / "x.pth")
        assert load_model(weights=tmp_path / "x.pth").recipe.model.depth == 50


def test_the_report_names_what_shapes_do_not_show(tmp_path) -> None:
    network = CSNConfig(depth=50, width=4, num_classes=3, interaction="preserved").build()
    torch.save({"state_dict": given(mmaction_factorised.LAYOUT, network)}, tmp_path / "x.pth")
    assert "ReLU between the steps of ip-CSN" in str(load_model(weights=tmp_path / "x.pth").load_report)
    recipe = get_recipe("ipcsn_r152_32x2_k400_ig65m").variant(model={"depth": 50, "width": 4, "num_classes": 3})
    named = load_model(recipe, weights=tmp_path / "x.pth")
    assert "preserved_relu is False by the recipe" in str(named.load_report)
    assert not named.recipe.model.preserved_relu


def test_released_files_are_known_by_their_names() -> None:
    """MMAction's file of ip-CSN holds VMZ's weights, which its code would put a ReLU into."""
    file = "ipcsn_kinetics400_se_rgb_r152_f32s2_ig65m_fbai-ef39b9e3.pth"
    inferred = CSNConfig(interaction="preserved", preserved_relu=True)
    assert released_as(file, inferred) == get_recipe("ipcsn_r152_32x2_k400_ig65m")
    assert released_as(file, inferred.model_copy(update={"num_classes": 5})) is None
    assert released_as("mine.pth", inferred) is None
    for recipe in RECIPES:
        for source in recipe.weights:
            if source.kind == "publisher":
                assert released_as(source.file, recipe.model) == recipe


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("middle_of_another_kernel", lambda key, value: value[:, :, :, :1, :1] if "conv2.0" in key else value),
        ("flat_middle", lambda key, value: value[:, :, 1:2] if "conv2.0" in key else value),
    ],
)
def test_networks_of_no_kind_that_we_know(name, change, tmp_path) -> None:
    tensors = given(videoresnet.LAYOUT, CSNConfig(depth=50, width=4, num_classes=3).build())
    tensors = {key: change(key, value) if value.ndim == 5 else value for key, value in tensors.items()}
    torch.save(tensors, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="of no network that Marey reads"):
        load_model(weights=tmp_path / "x.pth")


def small_epsilon(network) -> None:
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.eps = 1e-5


def one_epsilon(network) -> None:
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.eps = 1e-3


def relus_too_many(network) -> None:
    for module in network.modules():
        if isinstance(module, TwoSteps):
            module.relu = torch.nn.ReLU()


def without_pool(network) -> None:
    network.resnet.pool = torch.nn.Identity()


def one_temporal_stride_less(network) -> None:
    first = network.resnet.residual(1, 0)
    for convolution in (first.b.conv, first.shortcut.conv):
        convolution.stride = (1, *convolution.stride[1:])


@pytest.mark.parametrize(
    ("name", "mistake"),
    [
        ("mmaction2/ircsn_r50", small_epsilon),
        pytest.param("mmaction2/ircsn_r50", one_temporal_stride_less, marks=pytest.mark.slow),
        pytest.param("mmaction2/r2plus1d_r34_8x8", one_epsilon, marks=pytest.mark.slow),
        ("vmz/ip_csn_152", relus_too_many),
        pytest.param("mmaction1/r2plus1d_r34_8x8_k400", without_pool, marks=pytest.mark.slow),
    ],
)
def test_a_small_mistake_is_seen(name, mistake, tmp_path) -> None:
    model = load_model(weights=write_checkpoint(name, tmp_path / "old.pth"))
    mistake(model.network)
    found = difference(model, name, strict=False)
    assert found > GOLDEN_LOGITS, found


@pytest.mark.parametrize("mistake", [pytest.param(small_epsilon, marks=pytest.mark.slow), a_relu_too_many])
@pytest.mark.parametrize("name", ILL_CONDITIONED)
def test_a_small_mistake_is_seen_in_float64(name, mistake, tmp_path) -> None:
    model = load_model(PAIRS[name], weights=write_checkpoint(name, tmp_path / "old.pth"))
    mistake(model.network)
    found = difference(model.double(), name, strict=False)
    assert found > 50 * ILL_CONDITIONED[name], found


@pytest.mark.slow
def test_the_pool_that_vmz_does_not_have(tmp_path) -> None:
    """The same weights with a pool are another network: only a recipe can tell."""
    name = "vmz/r2plus1d_34_8"
    file = write_checkpoint(name, tmp_path / "old.pth")
    recipe = get_recipe("r2plus1d_r34_8x1_k400_ig65m_vmz").variant(model={"first_pool": True})
    assert difference(load_model(recipe, weights=file), name, strict=False) > GOLDEN_LOGITS
