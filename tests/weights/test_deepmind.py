"""DeepMind's I3D, as PyTorch and as TensorFlow files; MMAction's Inception networks; incomplete files."""

import shutil

import pytest
import torch

from marey.base.errors import WeightsError
from marey.models.i3d.config import InceptionI3DConfig
from marey.models.tsn.config import BNInceptionTSNConfig
from marey.recipes import get_recipe
from marey.weights.files.crc32c import crc32c, masked
from marey.weights.layouts import deepmind, deepmind_tensorflow, mmaction_inception
from marey.weights.load import build_model, load_model
from tests.support import tensorflow_files
from tests.support.recorded import runs, write_checkpoint, write_tensorflow
from tests.support.tolerances import GOLDEN_LOGITS

PAIRS = {
    "i3d/deepmind_i3d_rgb_imagenet": "i3d_incv1_rgb_64x1_k400_deepmind",
    "i3d/deepmind_i3d_rgb_scratch_kin600": "i3d_incv1_rgb_64x1_k600_deepmind",
}
SMALL = get_recipe("i3d_incv1_rgb_64x1_k400_deepmind").variant(model={"width": 4, "num_classes": 3})


def difference(network, name: str, *, first: int = 0) -> float:
    """The largest difference to the recorded logits at every position, in standard deviations."""
    worst = 0.0
    for clips, recorded in list(runs(name))[first:]:
        expected = torch.from_numpy(recorded.get("logits_t", recorded["logits"]))
        with torch.inference_mode():
            positions = network.positions(clips)
        found = (
            positions.reshape(expected.shape) if expected.numel() == positions.numel() else positions.mean((2, 3, 4))
        )
        expected = expected if expected.shape == found.shape else expected.flatten(2).mean(2)
        worst = max(worst, float((found - expected).abs().max() / expected.std()))
    return worst


@pytest.mark.parametrize("name", PAIRS)
def test_logits_are_deepminds_in_both_forms(name, tmp_path) -> None:
    model = load_model(weights=write_checkpoint(name, tmp_path / "i3d.pth"))
    assert model.recipe.name == PAIRS[name]
    assert difference(model, name) < GOLDEN_LOGITS
    folder = write_tensorflow(name, tmp_path / "i3d")
    inferred, named = load_model(weights=folder), load_model(PAIRS[name], weights=folder / "model.ckpt")
    for other in (inferred, named):
        assert other.recipe == model.recipe
        state = other.network.state_dict()
        for ours, value in model.network.state_dict().items():
            assert ours.endswith("num_batches_tracked") or torch.equal(value, state[ours]), ours
    assert "the data was rewritten without its index" in str(inferred.load_report)
    slots = [theirs for theirs in inferred.load_report.dropped if theirs.endswith("/Momentum")]
    assert len(slots) == len(inferred.load_report.dropped) == (116 if "kin600" in name else 0)


def epsilon_of_mmaction(network) -> None:
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.eps = 1e-5


def padding_of_mmaction(network) -> None:
    network.inception.stem.pad = torch.nn.ConstantPad3d((2, 4) * 3, 0.0)


def one_pool_for_all(network) -> None:
    network.pool = "global"


@pytest.mark.parametrize("mistake", [epsilon_of_mmaction, padding_of_mmaction, one_pool_for_all])
def test_a_small_mistake_in_i3d_is_seen(mistake, tmp_path) -> None:
    name = "i3d/deepmind_i3d_rgb_imagenet"
    model = load_model(weights=write_checkpoint(name, tmp_path / "i3d.pth"))
    mistake(model.network)
    assert difference(model, name, first=1) > GOLDEN_LOGITS


def an_average_at_the_end(network) -> None:
    network.inception.stages[2].b["pool"].pool = torch.nn.AvgPool2d(3, 1, 1)


def y_before_x(network) -> None:
    weight = network.inception.stem.a.conv.weight
    weight.data = weight.data.unflatten(1, (5, 2)).flip(2).flatten(1, 2)


@pytest.mark.parametrize("mistake", [an_average_at_the_end, y_before_x])
def test_a_small_mistake_in_bninception_is_seen(mistake, tmp_path) -> None:
    name = "mmaction1/tsn2d_bninception_flow_ucf101"
    model = load_model(weights=write_checkpoint(name, tmp_path / "tsn.pth"))
    mistake(model.network)
    assert difference(model, name) > GOLDEN_LOGITS


@pytest.mark.parametrize(
    ("layout", "config"),
    [
        (deepmind, InceptionI3DConfig()),
        (mmaction_inception, InceptionI3DConfig(channels=2)),
        (mmaction_inception, BNInceptionTSNConfig(channels=2, stack=5)),
    ],
)
def test_layouts_are_bijections(layout, config) -> None:
    with torch.device("meta"):
        network = config.build()
    theirs, ours = zip(*layout.pairs(network), strict=True)
    assert sorted(ours) == sorted(network.state_dict())
    assert len(set(theirs)) == len(theirs)


def test_tensorflow_has_all_but_the_scales() -> None:
    with torch.device("meta"):
        network = InceptionI3DConfig().build()
    theirs, ours = zip(*deepmind_tensorflow.pairs(network), strict=True)
    assert len(set(theirs)) == len(theirs) == len(set(ours))
    left = network.state_dict().keys() - set(ours)
    assert all(name.endswith((".norm.weight", ".norm.num_batches_tracked")) for name in left)
    assert len(left) == 2 * 57


@pytest.mark.parametrize(
    ("config", "recipe"),
    [
        (InceptionI3DConfig(channels=2, num_classes=51), "i3d_incv1_flow_64x1_k400_deepmind"),
        (InceptionI3DConfig(channels=2, width=4, num_classes=7), "i3d_incv1_flow_64x1_k400_deepmind"),
    ],
)
def test_other_sizes_are_inferred_from_the_file(config, recipe, tmp_path) -> None:
    state = config.build().state_dict()
    with torch.device("meta"):
        pairs = list(deepmind.pairs(config.build()))
    torch.save({theirs: state[ours] for theirs, ours in pairs}, tmp_path / "x.pth")
    loaded = load_model(weights=tmp_path / "x.pth")
    assert loaded.recipe.model == config
    assert loaded.recipe.modality == "flow"
    assert recipe in str(loaded.load_report)


# TensorFlow's files ---------------------------------------------------------------------------------------------------


def variables(scope: str = "") -> dict[str, torch.Tensor]:
    """A small network's weights as TensorFlow would hold them, with the state of an optimiser."""
    torch.manual_seed(0)
    network = SMALL.model.build()
    state, found = network.state_dict(), {}
    for theirs, ours in deepmind_tensorflow.pairs(network):
        value = state[ours].clone()
        if theirs.endswith("/w"):
            value = value[..., None, None, None] if value.ndim == 2 else value
            value = value.permute(2, 3, 4, 1, 0)
        found[scope + theirs] = value
        found[f"{scope}{theirs}/Momentum"] = torch.zeros(1)
    return found


def expect_refusal(path, message: str) -> None:
    with pytest.raises(WeightsError, match=message) as caught:
        load_model(SMALL, weights=path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scope", ["", "RGB/inception_i3d/"])
@pytest.mark.parametrize("part", ["", "model.ckpt", "model.ckpt.index"])
def test_a_checkpoint_by_folder_prefix_and_index(scope, part, tmp_path) -> None:
    folder = tensorflow_files.write(tmp_path / "rgb", variables(scope))
    loaded = load_model(weights=folder / part if part else folder)
    assert loaded.recipe.model == SMALL.model
    torch.manual_seed(0)
    expected = build_model(SMALL).eval()
    clip = torch.randn(1, 3, 8, 32, 32)
    torch.testing.assert_close(loaded(clip), expected(clip))
    assert len(loaded.load_report.dropped) == 57 * 4 + 2
    assert "checksums" not in str(loaded.load_report)


def test_damaged_data_is_seen(tmp_path) -> None:
    folder = tensorflow_files.write(tmp_path / "rgb", variables())
    data = folder / "model.ckpt.data-00000-of-00001"
    whole = data.read_bytes()
    data.write_bytes(whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:])
    expect_refusal(folder, "the data is damaged: 1 variables break their checksums: Conv3d_1a_7x7/conv_3d/w")
    data.write_bytes(whole[:-100])
    expect_refusal(folder, "ends before Mixed_5c.*is it cut short")
    data.unlink()
    expect_refusal(folder, "missing beside model.ckpt.index")


def test_an_index_that_is_not_whole(tmp_path) -> None:
    folder = tensorflow_files.write(tmp_path / "rgb", variables())
    index = folder / "model.ckpt.index"
    whole = index.read_bytes()
    for length in (0, 47, 48, 1000, len(whole) - 1):
        index.write_bytes(whole[:length])
        expect_refusal(folder, "not a complete TensorFlow index; is it cut short")
    for place in range(0, len(whole), 97):
        index.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        expect_refusal(folder, "not a complete TensorFlow index")


def test_other_tensorflow_checkpoints_are_refused(tmp_path) -> None:
    expect_refusal(tmp_path / "none.index", "no such TensorFlow checkpoint")
    other = tensorflow_files.write(tmp_path / "other", {"dense/kernel": torch.zeros(2, 2)})
    expect_refusal(other, "not a layout that Marey reads")
    half = tensorflow_files.write(tmp_path / "half", variables(), dtype=14)
    expect_refusal(half, "type 14, which Marey does not read")
    lacking = variables()
    del lacking["Conv3d_2c_3x3/batch_norm/beta"]
    more = tensorflow_files.write(tmp_path / "more", lacking | {"global_step": torch.zeros(1)}, checksums=False)
    expect_refusal(
        more, "1 missing: Conv3d_2c_3x3/batch_norm/beta; 2 left over: Conv3d_2c_3x3/.*/Momentum, global_step"
    )
    shutil.copy(more / "model.ckpt.index", more / "second.index")
    expect_refusal(more, r"2 TensorFlow checkpoints .*name one of them")


def test_checksums() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of the catalogues
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert masked(0xE3069283) == (0xE3069283 >> 15 | (0xE3069283 << 17 & 0xFFFFFFFF)) + 0xA282EAD8 & 0xFFFFFFFF
    joined = bytes(range(256)) * 41  # longer than the lanes
    register = 0xFFFFFFFF
    for byte in joined:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    assert crc32c(joined) == register ^ 0xFFFFFFFF


# What does not fit ----------------------------------------------------------------------------------------------------


def test_a_recipe_for_another_network(tmp_path) -> None:
    folder = tensorflow_files.write(tmp_path / "rgb", variables())
    with pytest.raises(WeightsError, match="a file in the layout deepmind, which cannot hold the network slowonly"):
        load_model("slowonly_r18_8x2_motions", weights=folder)
    theirs = {"backbone.conv1.weight": torch.zeros(4, 3, 1, 7, 7), "backbone.layer1.0.conv1.weight": torch.zeros(4)}
    torch.save({"state_dict": theirs}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="a file in the layout mmaction, which cannot hold the network i3d_incv1"):
        load_model(SMALL, weights=tmp_path / "x.pth")


def test_differences_to_the_recipes_variant_are_noted(tmp_path) -> None:
    folder = tensorflow_files.write(tmp_path / "rgb", variables())
    loaded = load_model(SMALL.variant(model={"pool": "global", "norm_eps": 1e-5}), weights=folder)
    assert loaded.load_report.notes == (
        "pool is global by the recipe; deepmind's default is window",
        "norm_eps is 1e-05 by the recipe; deepmind's default is 0.001",
    )


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (
            {
                "Conv3d_1a_7x7.conv3d.weight": torch.zeros(4, 3, 7, 7, 7),
                "Mixed_3b.b1b.conv3d.weight": torch.zeros(4, 4, 3, 3, 3),
            },
            r"no network that Marey reads: Conv3d_1a_7x7.conv3d.weight has the shape \[4, 3, 7, 7, 7\]",
        ),
        (
            {
                "backbone.conv1_7x7_s2.weight": torch.zeros(4, 3),
                "backbone.inception_3a_3x3.weight": torch.zeros(4, 4, 3, 3),
            },
            r"has the shape \[4, 3\]",
        ),
        (
            {
                "Conv3d_1a_7x7.conv3d.weight": torch.zeros(4, 5, 7, 7, 7),
                "Mixed_3b.b1b.conv3d.weight": torch.zeros(4, 4, 3, 3, 3),
                "logits.conv3d.weight": torch.zeros(3, 64, 1, 1, 1),
            },
            "of invalid sizes: channels: Input should be 2 or 3, got 5",
        ),
    ],
)
def test_shapes_of_no_network_that_marey_reads_are_refused(tensors, message, tmp_path) -> None:
    torch.save(tensors, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=message) as caught:
        load_model(weights=tmp_path / "x.pth")
    assert "\n" not in str(caught.value)
