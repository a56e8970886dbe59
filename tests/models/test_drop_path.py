"""Stochastic depth: what is dropped, how often, and at which depth."""

import pytest
import torch

from marey.base.errors import RecipeError
from marey.models.i3d.config import InceptionI3DConfig
from marey.models.layers.drop_path import DropPath, set_drop_path
from marey.models.slowfast.config import SlowFastConfig
from marey.models.slowonly.config import SlowOnlyConfig
from marey.models.tsn.config import BNInceptionTSNConfig, LiteTSNConfig
from marey.recipes import get_recipe
from marey.weights.load import build_model


def test_samples_are_dropped_entirely_and_the_others_scaled() -> None:
    torch.manual_seed(0)
    layer = DropPath(0.25)
    x = torch.rand(4000, 2, 3) + 1
    y = layer(x)
    kept = (y != 0).all(dim=(1, 2))
    assert torch.equal(kept, (y != 0).any(dim=(1, 2)))
    torch.testing.assert_close(y[kept], x[kept] / 0.75)
    # Four standard deviations of a share of 4000 samples.
    assert float(kept.float().mean()) == pytest.approx(0.75, abs=4 * (0.25 * 0.75 / 4000) ** 0.5)


def test_the_mean_is_the_same() -> None:
    torch.manual_seed(0)
    x = torch.ones(20000, 1, dtype=torch.float64)
    assert float(DropPath(0.4)(x).mean()) == pytest.approx(1, abs=0.03)


def test_eval_mode_and_a_rate_of_zero_change_nothing_and_draw_no_random_numbers() -> None:
    x = torch.randn(3, 2)
    before = torch.get_rng_state()
    assert DropPath(0.9).eval()(x) is x
    assert DropPath(0.0)(x) is x
    assert torch.equal(torch.get_rng_state(), before)


def test_the_seed_decides_what_is_dropped() -> None:
    layer, x = DropPath(0.5), torch.ones(64, 1)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(layer(x))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def rates(module: torch.nn.Module) -> list[float]:
    return [layer.rate for layer in module.modules() if isinstance(layer, DropPath)]


def test_rates_rise_with_depth() -> None:
    """timm: linspace(0, rate, blocks). Each pathway of SlowFast begins at 0."""
    network = SlowOnlyConfig(depth=50, width=4).build()
    network.regularise(dropout=0.3, drop_path=0.2)
    assert rates(network) == pytest.approx(torch.linspace(0, 0.2, 16, dtype=torch.float64).tolist())
    assert network.dropout.p == 0.3
    two = SlowFastConfig(depth=18, fast_depth=50, width=8).build()
    two.regularise(dropout=0.5, drop_path=0.3)
    assert rates(two.slow) == pytest.approx(torch.linspace(0, 0.3, 8, dtype=torch.float64).tolist())
    assert rates(two.fast) == pytest.approx(torch.linspace(0, 0.3, 16, dtype=torch.float64).tolist())
    two.regularise(dropout=0.5)
    assert set(rates(two)) == {0}
    lite = LiteTSNConfig(width=8).build()
    lite.regularise(dropout=0.5, drop_path=0.15)
    assert rates(lite) == pytest.approx(torch.linspace(0, 0.15, 16, dtype=torch.float64).tolist())


@pytest.mark.parametrize("config", [SlowOnlyConfig(depth=18, width=4), LiteTSNConfig(width=8)], ids=lambda c: c.network)
def test_a_dropped_branch_leaves_the_shortcut(config) -> None:
    """In the last block whose shortcut is the identity, with a rate of nearly 1."""
    network = config.build().train()
    block = [module for module in network.modules() if hasattr(module, "drop_path")][-1]
    if config.network == "tsn_lite":
        block = list(network.efficientnet.residuals())[-1]
    block.drop_path.rate = 1 - 1e-6
    channels = next(p for p in block.parameters() if p.ndim > 1).shape[1]
    x = torch.rand(2, channels, *(1,) * (next(block.parameters()).ndim - 4), 2, 2)
    torch.manual_seed(0)
    assert torch.equal(block(x), x)


def test_a_recipe_sets_the_rate() -> None:
    recipe = get_recipe("slowonly_r18_8x2_motions").variant(train={"drop_path": 0.1})
    assert rates(build_model(recipe).network)[-1] == 0.1
    assert set(rates(build_model(get_recipe("slowonly_r18_8x2_motions")).network)) == {0}


@pytest.mark.parametrize(
    "config", [InceptionI3DConfig(width=8), BNInceptionTSNConfig(width=8)], ids=lambda c: c.network
)
def test_a_network_without_residual_blocks_is_refused(config) -> None:
    network = config.build()
    network.regularise(dropout=0.5)
    with pytest.raises(RecipeError, match=rf"^train.drop_path=0.1: {type(network).__name__} has no residual block"):
        network.regularise(dropout=0.5, drop_path=0.1)
    with pytest.raises(RecipeError, match="Linear has no residual block"):
        set_drop_path(torch.nn.Linear(2, 2), 0.1)
