"""What holds for every network: shapes, gradients, batches, compilation, export, published parameter counts."""

import pytest
import torch

from marey.models.layers.freeze import freeze, hold_frozen
from marey.models.layers.initialise import initialise
from marey.models.slowonly.config import SlowOnlyConfig
from marey.models.tsn.config import TSNConfig
from marey.recipes import RECIPES

SMALL = [
    TSNConfig(depth=18, width=4, num_classes=5),
    TSNConfig(depth=50, width=4, num_classes=5, channels=2, stack=2),
    SlowOnlyConfig(depth=18, width=4, num_classes=5),
    SlowOnlyConfig(depth=50, width=4, num_classes=5, channels=2),
]


@pytest.fixture(params=SMALL, ids=lambda c: f"{c.network}{c.depth}-{c.channels}")
def network(request):
    torch.manual_seed(0)
    return request.param.build().eval()


def clip(network, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, len(network.preprocess.mean), 4, 64, 64, generator=torch.Generator().manual_seed(1))


def test_shapes(network) -> None:
    x = clip(network)
    maps = network.trunk(x)
    for value, (t, h, w) in zip(maps, network.strides, strict=True):
        assert value.shape[2:] == (4 // t, 64 // h, 64 // w)
    assert network.features(x).shape == (2, maps[-1].shape[1])
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


def test_compiles_and_exports_whole(network) -> None:
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
    assert set(depths.values()) == {0, 1, 2, 3, 4, 5}
    assert depths["head.weight"] == 5
    network.reset_head(9)
    assert network(clip(network)).shape == (2, 9)


def test_freezing(network) -> None:
    freeze(network, stages=1, norms=False)
    network.train()
    hold_frozen(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network(clip(network)).sum().backward()
    for name, parameter in network.named_parameters():
        assert (parameter.grad is None) == (network.layer_depth(name) <= 1), name
    for name, value in network.state_dict().items():
        frozen = name.startswith(("resnet.stem", "resnet.stages.0"))
        if "running" in name:
            assert torch.equal(value, before[name]) == frozen, name


def test_initialisation(network) -> None:
    initialise(network, last_gamma_zero=True, head_std=0.02)
    assert all((block.last.weight == 0).all() for block in network.resnet.residuals())
    assert float(network.head.weight.detach().std()) == pytest.approx(0.02, rel=0.2)
    assert (network.head.bias == 0).all()


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (TSNConfig(), 24_327_632),
        (SlowOnlyConfig(), 32_454_096),
        (SlowOnlyConfig(depth=101), 60_359_120),
    ],
)
def test_published_parameter_counts(config, count) -> None:
    with torch.device("meta"):
        network = config.build()
    assert sum(p.numel() for p in network.parameters()) == count


def test_flow_stacks_become_channels_in_order() -> None:
    network = TSNConfig(depth=18, width=4, channels=2, stack=5, num_classes=3).build().eval()
    seen = []
    network.resnet.stem.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    flow = torch.arange(10.0).reshape(1, 5, 2).permute(0, 2, 1)[..., None, None].expand(1, 2, 5, 32, 32)
    network(flow)
    assert seen[0][0, :, 0, 0].tolist() == list(range(10))  # x0, y0, x1, y1, ...


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.name)
def test_every_recipe_builds(recipe) -> None:
    with torch.device("meta"):
        network = recipe.model.build()
    assert network.head.out_features == recipe.model.num_classes
