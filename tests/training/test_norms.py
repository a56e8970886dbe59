"""Batch norms: frozen statistics, precise statistics, and which micro-batch updates running ones."""

import numpy as np
import pytest
import torch
from torch import nn

from marey.models.freeze import freeze, hold_frozen
from marey.models.layers.norms import batch_norms, statistics_kept
from marey.models.slowonly.config import SlowOnlyConfig
from marey.models.tsn.config import BNInceptionTSNConfig, TSNConfig
from marey.training.norms import measure_norms
from tests.support.tolerances import NORM_STATISTICS

CONFIGS = [
    SlowOnlyConfig(depth=18, width=4, num_classes=3),
    BNInceptionTSNConfig(width=8),
    TSNConfig(depth=18, width=4),
]


def clips(seed: int, count: int = 4) -> torch.Tensor:
    return torch.randn(count, 3, 4, 32, 32, generator=torch.Generator().manual_seed(seed)) * 3 + 1


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.network)
@pytest.mark.parametrize(
    ("norms", "moving", "learning"),
    [("none", 0, 0), ("statistics", None, 0), ("all", None, None), ("all_but_first", 1, 1)],
)
def test_what_each_choice_freezes(config, norms, moving, learning) -> None:
    """`moving`, `learning`: how many norms, from the first on, update statistics and learn scale and shift (0: all)."""
    network = config.build()
    freeze(network, norms=norms)
    network.train()
    hold_frozen(network, norms)
    found = batch_norms(network)
    before = [norm.running_mean.clone() for norm in found]
    network(clips(0)).sum().backward()

    def expected(first: int | None) -> list[bool]:
        return [first is not None and (first == 0 or place < first) for place in range(len(found))]

    assert [not torch.equal(norm.running_mean, old) for norm, old in zip(found, before, strict=True)] == expected(
        moving
    )
    assert [norm.weight.grad is not None for norm in found] == expected(learning)
    assert [norm.bias.requires_grad for norm in found] == expected(learning)


def test_the_first_norm_is_that_of_the_stem() -> None:
    for config in CONFIGS:
        network = config.build()
        first = next(name for name, module in network.named_modules() if module is batch_norms(network)[0])
        assert network.layer_depth(f"{first}.weight") == 0


def passes() -> list[torch.Tensor]:
    return [clips(1), clips(2), clips(3, count=2)]


def first_layers_values() -> tuple[nn.Module, np.ndarray]:
    """A network, and all values that its first norm sees over all passes, by channel, in float64."""
    torch.manual_seed(0)
    network = CONFIGS[0].build()
    with torch.no_grad():
        seen = [network.resnet.stem.conv(batch).double().transpose(0, 1).flatten(1) for batch in passes()]
    return network, torch.cat(seen, dim=1).numpy()


def test_true_mean_and_variance_of_the_first_norm() -> None:
    """Population moments over passes of different sizes."""
    network, values = first_layers_values()
    measure_norms(network, passes(), network)
    norm = batch_norms(network)[0]
    np.testing.assert_allclose(norm.running_mean.numpy(), values.mean(axis=1), rtol=NORM_STATISTICS)
    np.testing.assert_allclose(norm.running_var.numpy(), values.var(axis=1), rtol=NORM_STATISTICS)


def test_the_older_rule_is_detected() -> None:
    """The mean over passes of the unbiased variance, and running averages, give other values."""
    network, values = first_layers_values()
    sizes = [batch.shape[0] for batch in passes()]
    ends = np.cumsum([values.shape[1] * size // sum(sizes) for size in sizes])[:-1]
    of_passes = np.mean([part.var(axis=1, ddof=1) for part in np.split(values, ends, axis=1)], axis=0)
    assert np.abs(of_passes / values.var(axis=1) - 1).max() > 10 * NORM_STATISTICS
    network.train()
    for batch in passes():
        network(batch)
    running = batch_norms(network)[0].running_var.numpy()
    assert np.abs(running / values.var(axis=1) - 1).max() > 100 * NORM_STATISTICS


def test_deeper_norms_see_the_values_of_training() -> None:
    """Earlier norms normalise each pass by its own statistics; with one pass the last norm's are those of that pass."""
    torch.manual_seed(0)
    network = CONFIGS[0].build()
    reference = CONFIGS[0].build()
    reference.load_state_dict(network.state_dict())
    for norm in batch_norms(reference):
        norm.momentum = 1.0
    reference.train()
    with torch.no_grad():
        reference.dropout.p = 0.0
        reference(clips(1))
    measure_norms(network, [clips(1)], network)
    for ours, theirs in zip(batch_norms(network), batch_norms(reference), strict=True):
        torch.testing.assert_close(ours.running_mean, theirs.running_mean, rtol=NORM_STATISTICS, atol=1e-5)


def test_measuring_does_not_change_frozen_norms_and_counters() -> None:
    network = CONFIGS[0].build()
    freeze(network, stages=1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    measure_norms(network, passes(), network)
    for name, value in network.state_dict().items():
        changed = "running" in name and network.layer_depth(name) > 1
        assert torch.equal(value, before[name]) != changed, name
    assert not network.training
    measure_norms(network, passes(), network, frozen="statistics")
    assert all(not norm.training for norm in batch_norms(network))


def test_passes_that_do_not_update_running_statistics() -> None:
    network = CONFIGS[0].build().train()
    expected = network.eval()(clips(1))
    network.train()
    normalised = CONFIGS[0].build()
    normalised.load_state_dict(network.state_dict())
    normalised.train()
    for net in (network, normalised):
        net.dropout.p = 0.0
    with statistics_kept(network):
        kept = network(clips(1))
    torch.testing.assert_close(kept, normalised(clips(1)))
    assert all(norm.track_running_stats for norm in batch_norms(network))
    torch.testing.assert_close(network.eval()(clips(1)), expected)
