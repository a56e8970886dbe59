"""Every network: shapes, gradients, batches, compilation, export, published numbers of parameters."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from marey.models.csn.config import CSNConfig
from marey.models.freeze import freeze, hold_frozen
from marey.models.i3d.config import InceptionI3DConfig
from marey.models.layers.config import Initialisation, NonLocalConfig
from marey.models.layers.efficientnet import InvertedResidual
from marey.models.layers.non_local import NonLocal
from marey.models.layers.resnet import Residual
from marey.models.non_local.config import C2DConfig, I3DResNetConfig
from marey.models.r2plus1d.config import R2Plus1DConfig
from marey.models.slowfast.config import SlowFastConfig
from marey.models.slowonly.config import SlowOnlyConfig
from marey.models.tsm.config import LiteTSMConfig, TSMConfig
from marey.models.tsn.config import BNInceptionTSNConfig, LiteTSNConfig, TSNConfig
from marey.recipes import RECIPES, get_recipe

DOT_18 = NonLocalConfig(pairwise="dot_product", places=((), (1,), (0,), ()), pool_first=True, out_bias=True)
GAUSSIAN = NonLocalConfig(pairwise="gaussian")
EMBEDDED = NonLocalConfig(pairwise="embedded_gaussian", places=((0,), (), (1,), ()), scaled=True)
SMALL = [
    TSNConfig(depth=18, width=4, num_classes=5),
    TSNConfig(depth=50, width=4, num_classes=5, channels=2, stack=2),
    SlowOnlyConfig(depth=18, width=4, num_classes=5),
    SlowOnlyConfig(depth=50, width=4, num_classes=5, channels=2),
    C2DConfig(depth=18, width=4, num_classes=5, pool_window=1),
    I3DResNetConfig(depth=18, width=4, num_classes=5, non_local=DOT_18),
    I3DResNetConfig(depth=50, width=4, num_classes=5, channels=2, non_local=GAUSSIAN),
    I3DResNetConfig(depth=18, width=4, num_classes=5, inflated="everywhere", stem_stride=1, non_local=EMBEDDED),
    SlowFastConfig(depth=18, width=8, num_classes=5, slow_frames="spread", lateral_norm=True, non_local=DOT_18),
    SlowFastConfig(
        depth=18, fast_depth=50, width=8, num_classes=5, channels=2, alpha=4, lateral_kernel=7, pool_window=1
    ),
    BNInceptionTSNConfig(width=8, num_classes=5),
    BNInceptionTSNConfig(width=8, num_classes=5, channels=2, stack=2),
    LiteTSNConfig(width=8, num_classes=5),
    LiteTSNConfig(size=2, width=8, num_classes=5, channels=2, stack=2, padding="symmetric"),
    TSMConfig(depth=18, width=8, num_classes=5, segments=4),
    TSMConfig(depth=18, width=8, num_classes=5, channels=2, stack=2, segments=2, style="block"),
    LiteTSMConfig(width=8, num_classes=5, segments=4),
    InceptionI3DConfig(width=8, num_classes=5),
    InceptionI3DConfig(width=8, num_classes=5, channels=2, padding="mmaction", pool="global", norm_eps=1e-5),
    R2Plus1DConfig(depth=18, width=4, num_classes=5, channels=2, stem_middle=5, shortcut="space_time", first_pool=True),
    R2Plus1DConfig(
        depth=50,
        width=4,
        num_classes=5,
        convolutions="time_space",
        stem_middle=0,
        stem_frames=1,
        first_stride=2,
        temporal_strides=(1, 1, 2, 2),
        pool_window=1,
    ),
    R2Plus1DConfig(
        depth=18, width=4, num_classes=5, convolutions="mixed", stem_middle=0, temporal_strides=(1, 1, 1, 1)
    ),
    CSNConfig(depth=50, width=4, num_classes=5, interaction="preserved"),
]


EXPORTED = (0, 2, 5, 8, 14, 19)
"""Indices in SMALL of networks that are quick to compile and export: with and without time, non-local blocks, two pathways,
shifts, factorised convolutions. The others are slow."""


def name_of(config) -> str:
    return f"{SMALL.index(config)}-{config.network}{getattr(config, 'depth', '')}-{config.channels}"


@pytest.fixture(params=SMALL, ids=name_of)
def network(request):
    torch.manual_seed(0)
    built = request.param.build().eval()
    built.clip_channels = request.param.channels
    return built


def clip(network, batch: int = 2) -> torch.Tensor:
    frames = 2 * max(2, *(t for t, _, _ in network.strides))
    return torch.randn(batch, network.clip_channels, frames, 64, 64, generator=torch.Generator().manual_seed(1))


def test_shapes(network) -> None:
    x = clip(network)
    maps = network.trunk(x)
    for value, (t, h, w) in zip(maps, network.strides, strict=True):
        assert value.shape[2:] == (x.shape[2] // t, 64 // h, 64 // w)
    assert network.features(x).shape == (2, sum(value.shape[1] for value in maps))
    assert network(x).shape == (2, 5)
    torch.testing.assert_close(network(x), network.positions(x).mean(dim=(2, 3, 4)))


def test_same_logits_alone_and_in_a_batch(network) -> None:
    x = clip(network, 3)
    with torch.inference_mode():
        assert torch.equal(network(x), network(x))
        alone = torch.cat([network(one[None]) for one in x])
        torch.testing.assert_close(network(x), alone, rtol=1e-4, atol=1e-5)


def test_gradients_everywhere(network) -> None:
    network.train()
    network(clip(network)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize(
    "network",
    [pytest.param(c, marks=[] if index in EXPORTED else pytest.mark.slow) for index, c in enumerate(SMALL)],
    indirect=True,
    ids=name_of,
)
def test_compiles_and_exports_completely(network) -> None:
    torch.compiler.reset()  # all networks share one `forward`, of which dynamo caches eight versions
    x = clip(network)
    with torch.inference_mode():
        expected = network(x)
        compiled = torch.compile(network, fullgraph=True, backend="eager")(x)
    torch.testing.assert_close(compiled, expected)
    exported = torch.export.export(network, (x,)).module()
    torch.testing.assert_close(exported(x), expected, rtol=1e-4, atol=1e-5)


def test_bfloat16(network) -> None:
    with torch.inference_mode():
        assert network.bfloat16()(clip(network).bfloat16()).dtype == torch.bfloat16


def test_head_and_depths(network) -> None:
    depths = {name: network.layer_depth(name) for name, _ in network.named_parameters()}
    assert depths["head.weight"] == network.num_stages + 1
    assert set(depths.values()) == set(range(depths["head.weight"] + 1))
    network.reset_head(9)
    assert network(clip(network)).shape == (2, 9)


def test_freezing(network) -> None:
    freeze(network, stages=1)
    network.train()
    hold_frozen(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network(clip(network)).sum().backward()
    for name, parameter in network.named_parameters():
        assert (parameter.grad is None) == (network.layer_depth(name) <= 1), name
    for name, value in network.state_dict().items():
        if "running" in name:
            assert torch.equal(value, before[name]) == (network.layer_depth(name) <= 1), name


def test_initialisation(network) -> None:
    network.initialise(Initialisation(last_gamma_zero=True, head_std=0.02))
    blocks = [module for module in network.modules() if isinstance(module, Residual)]
    assert all((block.last.weight == 0).all() for block in blocks)
    assert all((block.after.norm.weight == 0).all() for block in blocks if block.after is not None)
    for module in network.modules():
        if isinstance(module, InvertedResidual):
            deviation = float(module.depthwise.conv.weight.detach().std())
            assert deviation == pytest.approx(2**0.5 / module.depthwise.conv.kernel_size[0], rel=0.25)
    assert float(network.head.weight.detach().std()) == pytest.approx(0.02, rel=0.2)
    assert (network.head.bias == 0).all()


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (TSNConfig(), 24_327_632),
        (SlowOnlyConfig(), 32_454_096),
        (SlowOnlyConfig(depth=101), 60_359_120),
        (C2DConfig(), 24_327_632),
        (I3DResNetConfig(), 28_043_472),
        (I3DResNetConfig(non_local=GAUSSIAN), 31_723_728),
        (I3DResNetConfig(non_local=NonLocalConfig(pairwise="dot_product")), 35_397_840),
        (I3DResNetConfig(inflated="everywhere"), 33_024_208),
        # MMAction's 35_134_648 without the lateral convolution that it never uses.
        (SlowFastConfig(), 34_479_288),
        (SlowFastConfig(alpha=4, lateral_kernel=7), 34_565_560),
        (SlowFastConfig(alpha=4, lateral_kernel=7, lateral_norm=True), 34_566_488),
        (TSMConfig(), 24_327_632),
        # Published in millions with two decimals: 4.65, 5.42 and 6.09.
        (LiteTSNConfig(num_classes=1000), 4_652_008),
        (LiteTSNConfig(size=1, num_classes=1000), 5_416_680),
        (LiteTSMConfig(size=2, num_classes=1000), 6_092_072),
        (BNInceptionTSNConfig(num_classes=101), 10_373_765),
        (BNInceptionTSNConfig(num_classes=101, channels=2, stack=5), 10_395_717),
        (InceptionI3DConfig(), 12_697_264),
        (InceptionI3DConfig(channels=2), 12_675_312),
        (R2Plus1DConfig(), 63_697_175),
        (R2Plus1DConfig(stem_middle=83, shortcut="space_time"), 63_759_281),
        (R2Plus1DConfig(depth=50, convolutions="time_space", stem_middle=0, stem_frames=1), 28_107_600),
        # torchvision's r2plus1d_18, r3d_18 and mc3_18.
        (R2Plus1DConfig(depth=18, convolutions="block_space_time"), 31_505_325),
        (R2Plus1DConfig(depth=18, convolutions="whole", stem_middle=0), 33_371_472),
        (R2Plus1DConfig(depth=18, convolutions="mixed", stem_middle=0), 11_695_440),
        (CSNConfig(), 29_703_568),
        (CSNConfig(interaction="preserved"), 33_016_592),
        (CSNConfig(depth=50), 13_131_152),
        (CSNConfig(depth=101), 22_213_776),
    ],
)
def test_published_parameter_counts(config, count) -> None:
    with torch.device("meta"):
        network = config.build()
    assert sum(p.numel() for p in network.parameters()) == count


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("i3d_r50_8x8_k400_pyslowfast", 28.04),
        ("i3dnl_r50_8x8_k400_pyslowfast", 35.40),
        ("slowfast_r101_8x8_k400_pytorchvideo", 62.83),
        ("slowfast_r101_16x8_k400_pytorchvideo", 53.77),
        ("slowfast_r101r50_4x16_k400_mmaction2", 62.4),
        ("slowonlynl_r50_8x8_k400_imagenet_mmaction2", 39.81),
        ("ipcsnfull_r152_32x2_k400_mmaction", 121.50),
        ("r2plus1d_r34_32x1_ig65m_vmz", 63.68),
    ],
)
def test_parameters_in_the_zoos(name, millions) -> None:
    with torch.device("meta"):
        network = get_recipe(name).model.build()
    digits = len(str(millions).partition(".")[2])
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, digits) == millions


@pytest.mark.parametrize(
    ("name", "frames", "billions"),
    [
        ("i3d_r50_32x2_k400_mmaction2", 32, 43.27),
        ("i3dheavy_r50_32x2_k400_mmaction2", 32, 165.59),
        ("i3dnlgauss_r50_32x2_k400_mmaction2", 32, 56.29),
        ("i3dnlembgauss_r50_32x2_k400_mmaction2", 32, 59.11),
        ("i3d_r50_8x8_k400_pyslowfast", 8, 37.11),
        ("i3dnl_r50_8x8_k400_pyslowfast", 8, 48.92),
        ("slowonly_r50_4x16_k400_pyslowfast", 4, 27.26),
        ("slowfast_r50_4x16_k400_mmaction2", 32, 36.10),
        ("slowfast_r50_8x8_k400_mmaction2", 32, 65.71),
    ],
)
def test_multiplications_of_the_toolkits(name, frames, billions) -> None:
    """Counted on the toolkits' networks at 256 x 256: strides and pools have no parameters, but change this number."""
    with torch.device("meta"):
        network, clip = get_recipe(name).model.build().eval(), torch.empty(1, 3, frames, 256, 256)
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        network(clip)
    assert round(counted.get_total_flops() / 2e9, 2) == billions


@pytest.mark.parametrize(
    ("name", "shape", "billions"),
    [
        ("r2plus1d_r34_8x8_k400", (8, 224), 39.237),
        ("r2plus1d_r34_8x8_k400_mmaction2", (8, 256), 52.978),
        ("r2plus1d_r50_16x4_k400_pytorchvideo", (16, 224), 57.534),
        ("r2plus1d_r18_16x1_k400_torchvision", (16, 112), 40.519),
        ("mc3_r18_16x1_k400_torchvision", (16, 112), 43.343),
        ("ircsn_r152_32x2_k400_ig65m", (32, 224), 74.046),
        ("ipcsn_r152_32x2_k400_ig65m", (32, 224), 83.295),
        ("ipcsnfull_r152_32x2_k400_mmaction", (32, 224), 263.761),
        ("ircsn_r50_32x2_k400_ig65m_mmaction2", (32, 256), 55.260),
        ("ircsn_r101_32x2_k400_pytorchvideo", (32, 224), 56.468),
        # VMZ's zoo counts at the size of its test crops. Its number shows that no pool follows the stem.
        ("r2plus1d_r152_32x1_k400_ig65m_vmz", (32, 128), 329.1),
        ("r2plus1d_r34_8x1_k400_ig65m_vmz", (8, 128), 49.7),
        ("ipcsn_r152_32x2_k400_ig65m_vmz", (32, 256), 108.8),
    ],
)
def test_multiplications_of_factorised_networks(name, shape, billions) -> None:
    frames, side = shape
    with torch.device("meta"):
        network, clip = get_recipe(name).model.build().eval(), torch.empty(1, 3, frames, side, side)
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        network(clip)
    digits = len(str(billions).partition(".")[2])
    assert counted.get_total_flops() / 2e9 == pytest.approx(billions, abs=0.6 * 10**-digits)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("r2plus1d_r34_8x1_k400_ig65m_vmz", 63.6),
        ("r2plus1d_r152_32x1_k400_ig65m_vmz", 118.0),
        ("ircsn_r152_32x2_k400_ig65m_vmz", 29.6),
        ("ipcsn_r152_32x2_k400_ig65m_vmz", 32.8),
    ],
)
def test_parameters_in_vmz_s_zoo(name, millions) -> None:
    """It counts the weights of convolutions and of the head, not norms and biases."""
    with torch.device("meta"):
        network = get_recipe(name).model.build()
    assert sum(p.numel() for p in network.parameters() if p.ndim > 1) / 1e6 == pytest.approx(millions, abs=0.1)


@pytest.mark.parametrize(
    ("frames", "alpha", "expected"),
    [(32, 4, [0, 4, 8, 13, 17, 22, 26, 31]), (32, 8, [0, 10, 20, 31]), (8, 4, [0, 7])],
)
def test_slow_frames(frames, alpha, expected) -> None:
    """Spread from the first to the last and rounded down, as in PySlowFast, or every alpha-th."""
    clip = torch.arange(float(frames)).reshape(1, 1, frames, 1, 1)
    for kind, indices in (("spread", expected), ("stride", list(range(0, frames, alpha)))):
        config = SlowFastConfig(depth=18, width=8, alpha=alpha, slow_frames=kind)
        assert config.build()._slow_frames(clip).flatten().tolist() == indices


def test_sliding_window_of_the_head() -> None:
    """On an 8 x 8 map a window of 7 has 2 x 2 positions: logits of the mean of each window over all frames."""
    torch.manual_seed(0)
    network = SlowFastConfig(depth=18, width=8, num_classes=5, pool_window=7).build().eval()
    clip = torch.randn(2, 3, 8, 256, 256)
    with torch.inference_mode():
        positions = network.positions(clip)
        slow, fast = network.trunk(clip)
        assert positions.shape == (2, 5, 1, 2, 2)
        for row in range(2):
            for column in range(2):
                window = (..., slice(row, row + 7), slice(column, column + 7))
                pooled = torch.cat([m[window].mean(dim=(2, 3, 4)) for m in (slow, fast)], dim=1)
                torch.testing.assert_close(positions[:, :, 0, row, column], network.head(pooled))


@pytest.mark.parametrize("pool_first", [False, True])
@pytest.mark.parametrize("pairwise", ["dot_product", "gaussian", "embedded_gaussian"])
def test_non_local_is_the_paper_s_formula(pairwise, pool_first) -> None:
    """Position by position: y = sum of f(x_i, x_j) g(x_j) / C(x), equation 1."""
    torch.manual_seed(0)
    config = NonLocalConfig(pairwise=pairwise, pool_first=pool_first, scaled=pairwise == "embedded_gaussian")
    block = NonLocal(6, config).eval()
    x = torch.randn(1, 6, 2, 4, 4)
    embedded = pairwise != "gaussian"
    with torch.inference_mode():
        pooled = block.pool(x) if pool_first else x
        keys, values = block.phi(pooled) if embedded else pooled, block.g(pooled)
        if not pool_first:
            keys, values = block.pool(keys), block.pool(values)
        queries = block.theta(x) if embedded else x
        similarity = torch.einsum("cthw,cn->thwn", queries[0], keys[0].flatten(1))
        if pairwise == "dot_product":
            weights = similarity / keys[0, 0].numel()
        else:
            weights = (similarity / (3**0.5 if config.scaled else 1)).softmax(dim=-1)
        y = torch.einsum("thwn,cn->cthw", weights, values[0].flatten(1))[None]
        torch.testing.assert_close(block(x), x + block.norm(block.out(y)))


def test_flow_stacks_become_channels_in_order() -> None:
    network = TSNConfig(depth=18, width=4, channels=2, stack=5, num_classes=3).build().eval()
    inputs_of_stem = []
    network.resnet.stem.register_forward_hook(lambda module, inputs, output: inputs_of_stem.append(inputs[0]))
    flow = torch.arange(10.0).reshape(1, 5, 2).permute(0, 2, 1)[..., None, None].expand(1, 2, 5, 32, 32)
    network(flow)
    assert inputs_of_stem[0][0, :, 0, 0].tolist() == list(range(10))  # x0, y0, x1, y1, ...


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.name)
def test_every_recipe_builds(recipe) -> None:
    with torch.device("meta"):
        network = recipe.model.build()
    assert network.head.out_features == recipe.model.num_classes
