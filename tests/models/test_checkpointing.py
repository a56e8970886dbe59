"""Blocks that are recomputed in the backward pass give the same bits as blocks that are remembered."""

import copy
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from marey.base.errors import RecipeError
from marey.models.csn.config import CSNConfig
from marey.models.i3d.config import InceptionI3DConfig
from marey.models.layers.checkpointing import Blocks, _again, recompute_blocks
from marey.models.layers.convolutions import SafeConvolutions
from marey.models.layers.drop_path import set_drop_path
from marey.models.layers.freeze import freeze, hold_frozen
from marey.models.layers.non_local_config import NonLocalConfig
from marey.models.layers.norms import batch_norms, statistics_kept
from marey.models.non_local.config import I3DResNetConfig
from marey.models.slowfast.config import SlowFastConfig
from marey.models.slowonly.config import SlowOnlyConfig
from marey.models.tsm.config import LiteTSMConfig, TSMConfig
from marey.models.tsn.config import BNInceptionTSNConfig
from small_transformer import SmallTransformer

NON_LOCAL = NonLocalConfig(pairwise="dot_product", places=((), (1,), (0,), ()))
CONFIGS = [
    SlowOnlyConfig(depth=18, width=4, num_classes=2),
    I3DResNetConfig(depth=18, width=4, num_classes=2, non_local=NON_LOCAL),
    SlowFastConfig(depth=18, width=8, num_classes=2, alpha=4),
    CSNConfig(depth=50, width=4, num_classes=2),
    TSMConfig(depth=18, width=4, num_classes=2, segments=8),
    LiteTSMConfig(width=8, num_classes=2, segments=8),
    InceptionI3DConfig(width=8, num_classes=2),
    BNInceptionTSNConfig(width=8, num_classes=2),
]


def pair(network: nn.Module) -> tuple[nn.Module, nn.Module]:
    """The same network twice; the second one recomputes."""
    plain, recomputed = network.train(), copy.deepcopy(network).train()
    recompute_blocks(recomputed)
    return plain, recomputed


def clip(frames: int = 8) -> torch.Tensor:
    return torch.randn(2, 3, frames, 32, 32, generator=torch.Generator().manual_seed(1))


def trained(network: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Logits, gradients and buffers after a step's forward and backward pass."""
    torch.manual_seed(5)
    logits = network(x)
    logits.square().sum().backward()
    gradients = {f"gradient of {name}": p.grad for name, p in network.named_parameters()}
    return {"logits": logits.detach(), "next draw": torch.rand(1), **gradients, **dict(network.named_buffers())}


def differing(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> list[str]:
    return [name for name in one if not torch.equal(one[name], two[name])]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.network)
@pytest.mark.parametrize("bfloat16", [False, True], ids=["float32", "bfloat16"])
def test_same_bits(config, bfloat16) -> None:
    """With dropout, dropped paths, batch norms in training mode, and under the mode that a training step runs in."""
    torch.manual_seed(0)
    network = config.build()
    inception = config.network in ("i3d_incv1", "tsn_bninception")
    network.regularise(dropout=0.5, drop_path=0.0 if inception else 0.5)
    plain, recomputed = pair(network)
    with SafeConvolutions(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        assert differing(trained(plain, clip()), trained(recomputed, clip())) == []
    assert all(norm.num_batches_tracked == 1 for norm in batch_norms(recomputed))


def test_a_transformer_of_yours() -> None:
    torch.manual_seed(0)
    network = SmallTransformer()
    set_drop_path(network, 0.5)
    plain, recomputed = pair(network)
    assert differing(trained(plain, clip(2)), trained(recomputed, clip(2))) == []


def test_statistics_that_move_twice_are_seen(monkeypatch) -> None:
    """Torch's own recomputation moves them on the way forward and once more on the way back."""
    plain, recomputed = pair(CONFIGS[0].build())
    expected = trained(plain, clip())
    monkeypatch.setattr(Blocks, "run", lambda self, block, x: checkpoint(block, x, use_reentrant=False))
    moved = differing(expected, trained(recomputed, clip()))
    assert moved
    assert all("running" in name or "num_batches" in name for name in moved)


def test_draws_that_are_not_repeated_are_seen(monkeypatch) -> None:
    network = CONFIGS[0].build()
    network.regularise(dropout=0.0, drop_path=0.5)
    plain, recomputed = pair(network)
    expected = trained(plain, clip())

    def run(self, block, x):
        return checkpoint(
            block, x, use_reentrant=False, preserve_rng_state=False,
            context_fn=lambda: (nullcontext(), _again(block, nullcontext())),
        )  # fmt: skip

    monkeypatch.setattr(Blocks, "run", run)
    assert any("gradient" in name for name in differing(expected, trained(recomputed, clip())))


def test_a_pass_that_norms_forget_is_forgotten_on_the_way_back_too() -> None:
    plain, recomputed = pair(CONFIGS[0].build())
    before = [norm.running_mean.clone() for norm in batch_norms(recomputed)]
    with statistics_kept(plain), statistics_kept(recomputed):
        assert differing(trained(plain, clip()), trained(recomputed, clip())) == []
    for norm, old in zip(batch_norms(recomputed), before, strict=True):
        assert torch.equal(norm.running_mean, old)
        assert norm.track_running_stats


def test_frozen_blocks() -> None:
    network = CONFIGS[0].build()
    freeze(network, stages=2)
    results = []
    for one in pair(network):
        hold_frozen(one)
        torch.manual_seed(5)
        one(clip()).square().sum().backward()
        gradients = {name: p.grad for name, p in one.named_parameters() if p.grad is not None}
        results.append(gradients | dict(one.named_buffers()))
    assert results[0].keys() == results[1].keys()
    assert differing(*results) == []


def test_convolutions_of_others_are_safe_when_recomputed() -> None:
    """A narrow pointwise convolution with a stride must not run as such on the CPU, not the second time either."""
    strides = []

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.narrow = nn.Conv2d(3, 4, 1, stride=2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.narrow(x)
            strides.append(y.grad_fn._saved_stride)
            return y.relu()

    blocks = Blocks(Own()).train()
    recompute_blocks(blocks)
    with SafeConvolutions():
        blocks(torch.randn(2, 3, 8, 8)).square().sum().backward()
    assert strides == [(1, 1), (1, 1)]


def test_less_is_remembered() -> None:
    """Bytes of distinct tensors that autograd keeps of a forward pass, parameters aside."""

    def kept(network: nn.Module) -> int:
        own = {p.untyped_storage().data_ptr() for p in network.parameters()}
        found: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                found[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            logits = network(x)
        assert logits.requires_grad
        return sum(found.values())

    x = clip()
    plain, recomputed = pair(SlowOnlyConfig(depth=50, width=8).build())
    assert kept(recomputed) < 0.5 * kept(plain)


def test_testing_and_measuring_recompute_nothing(monkeypatch) -> None:
    _, network = pair(CONFIGS[0].build())
    monkeypatch.setattr(
        "marey.models.layers.checkpointing.checkpoint", lambda *args, **kwargs: pytest.fail("recomputed")
    )
    network.eval()(clip())
    with torch.no_grad():
        network.train()(clip())


def test_a_module_without_blocks_refuses() -> None:
    with pytest.raises(RecipeError, match=r"^train.checkpointing: Linear has no Blocks to recompute"):
        recompute_blocks(nn.Linear(2, 2))
