"""Probes: cells suffice for every pooling, poolings compute what they declare, and the head is linear."""

import pytest
import torch

from marey.models.probe.config import ClipProbeConfig, FrameMean, FrameProbeConfig, Halves, Moments, Pooling
from marey.models.probe.network import FrameProbe, Probe, pool_cells
from marey.models.slowfast.config import SlowFastConfig
from marey.models.tsm.config import LiteTSMConfig
from marey.models.tsn.config import LiteTSNConfig, TSNConfig

POOLINGS: tuple[Pooling, ...] = (FrameMean(), Moments(), Halves())
PROBES = (
    FrameProbeConfig(num_classes=3, backbone=LiteTSNConfig(width=8)),
    FrameProbeConfig(num_classes=3, backbone=TSNConfig(depth=18, width=4)),
    ClipProbeConfig(num_classes=3, backbone=LiteTSMConfig(width=8)),
    ClipProbeConfig(num_classes=3, backbone=SlowFastConfig(depth=18, width=8)),
)


def built(config: FrameProbeConfig | ClipProbeConfig) -> Probe:
    torch.manual_seed(0)
    return config.build().eval()


def clip_for(config: FrameProbeConfig | ClipProbeConfig) -> torch.Tensor:
    return torch.randn(2, 3, 32 if isinstance(config.backbone, SlowFastConfig) else 16, 64, 96)


@pytest.mark.parametrize("pooling", POOLINGS, ids=lambda pooling: pooling.kind)
@pytest.mark.parametrize("config", PROBES, ids=lambda config: config.backbone.network)
@torch.inference_mode()
def test_logits_are_linear_in_pooled_cells(config: FrameProbeConfig | ClipProbeConfig, pooling: Pooling) -> None:
    network = built(config.model_copy(update={"pooling": pooling}))
    clip = clip_for(config)
    pooled = torch.cat(pool_cells(pooling, network.cells(clip)), dim=1)
    assert torch.equal(network.features(clip), pooled)
    assert torch.allclose(network(clip), network.head(pooled), atol=1e-6)


@torch.inference_mode()
def test_cells_of_frames_and_difference_images_are_those_of_the_backbone_alone() -> None:
    network = built(PROBES[0])
    clip = clip_for(PROBES[0])
    cells = network.cells(clip)
    assert cells.shape[:5] == (2, 2, 8, 2, 2)
    frames = network.backbone.trunk(clip[:, :, 1::2])[0]
    differences = network.backbone.trunk(clip[:, :, 1::2] - clip[:, :, ::2])[0]
    for stream, maps in enumerate((frames, differences)):
        # The mean of the cells is the mean of the map, also where an odd side is cut inside a row.
        assert torch.allclose(cells[:, stream].mean(dim=(2, 3)), maps.mean(dim=(3, 4)).transpose(1, 2), atol=1e-5)


def test_an_odd_map_is_cut_in_the_middle_of_a_row() -> None:
    network = built(PROBES[0])
    assert isinstance(network, FrameProbe)
    cells = network.cells(torch.randn(1, 3, 2, 96, 96))
    maps = network.backbone.trunk(torch.zeros(1, 3, 1, 96, 96))[0]
    assert maps.shape[-1] == 3 and cells.shape[3:5] == (2, 2)


def test_moments_are_mean_change_mean_and_deviation() -> None:
    cells = torch.randn(4, 2, 8, 2, 2, 5)
    frames, differences = cells.mean(dim=(3, 4)).unbind(1)
    mean, change, difference, deviation = pool_cells(Moments(), cells)
    assert torch.allclose(mean, frames.mean(1)) and torch.allclose(change, frames.diff(dim=1).abs().mean(1))
    assert torch.allclose(difference, differences.mean(1)) and torch.allclose(
        deviation, differences.std(1, correction=0)
    )


def test_halves_change_sign_when_time_is_reversed() -> None:
    cells = torch.randn(4, 1, 8, 2, 2, 5)
    mean, change = pool_cells(Halves(), cells)
    backwards = pool_cells(Halves(), cells.flip(2))
    assert torch.allclose(mean, backwards[0], atol=1e-6) and torch.allclose(change, -backwards[1], atol=1e-6)


def test_the_mean_of_frames_ignores_order_and_difference_images() -> None:
    cells = torch.randn(4, 2, 8, 2, 2, 5)
    (mean,) = pool_cells(FrameMean(), cells)
    shuffled = cells[:, :, torch.randperm(8)]
    shuffled[:, 1] = 0
    assert torch.allclose(mean, pool_cells(FrameMean(), shuffled)[0], atol=1e-6)


def test_a_clip_of_one_time_step_has_no_change() -> None:
    mean, change = pool_cells(Moments(), torch.randn(2, 1, 1, 2, 2, 3))
    assert torch.equal(change, torch.zeros_like(change)) and not torch.equal(mean, change)


def test_the_head_is_deepest_and_the_backbone_has_no_head() -> None:
    network = built(PROBES[0])
    depths = {name: network.layer_depth(name) for name, _ in network.named_parameters()}
    assert max(depths.values()) == depths["head.weight"] and depths["backbone.efficientnet.stem.conv.weight"] == 0
    assert not any(name.startswith("backbone.head") for name in network.state_dict())
