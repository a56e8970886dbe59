"""Blocks that are recomputed in the backward pass give the same bits as blocks whose maps are stored."""

import copy
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from marey.base.errors import RecipeError
from marey.models.csn.config import CSNConfig
from marey.models.freeze import freeze, hold_frozen
from marey.models.i3d.config import InceptionI3DConfig
from marey.models.layers.checkpointing import Blocks, _again, recompute_blocks
from marey.models.layers.config import NonLocalConfig
from marey.models.layers.convolutions import SafeConvolutions
from marey.models.layers.drop_path import set_drop_path
from marey.models.layers.norms import batch_norms, statistics_kept
from marey.models.non_local.config import I3DResNetConfig
from marey.models.slowfast.config import SlowFastConfig
from marey.models.slowonly.config import SlowOnlyConfig
from marey.models.tsm.config import LiteTSMConfig, TSMConfig
from marey.models.tsn.config import BNInceptionTSNConfig
from tests.support.small_transformer import SmallTransformer

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


def step_results(network: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Logits, gradients, buffers and the next random number after a forward and a backward pass."""
    torch.manual_seed(5)
    logits = network(x)
    logits.square().sum().backward()
    gradients = {f"gradient of {name}": p.grad for name, p in network.named_parameters()}
    return {
        "logits": logits.detach(),
        "next random number": torch.rand(1),
        **gradients,
        **dict(network.named_buffers()),
    }


def differing(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> list[str]:
    """Names of the tensors that differ."""
    return [name for name in one if not torch.equal(one[name], two[name])]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.network)
@pytest.mark.parametrize("bfloat16", [False, True], ids=["float32", "bfloat16"])
def test_recomputed_gradients_are_equal_bit_for_bit(config, bfloat16) -> None:
    """With dropout, drop path and batch norms in training mode, inside `SafeConvolutions` as in a training step."""
    torch.manual_seed(0)
    network = config.build()
    inception = config.network in ("i3d_incv1", "tsn_bninception")
    network.regularise(dropout=0.5, drop_path=0.0 if inception else 0.5)
    plain, recomputed = pair(network)
    with SafeConvolutions(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        assert differing(step_results(plain, clip()), step_results(recomputed, clip())) == []
    assert all(norm.num_batches_tracked == 1 for norm in batch_norms(recomputed))


def test_a_users_own_transformer() -> None:
    torch.manual_seed(0)
    network = SmallTransformer()
    set_drop_path(network, 0.5)
    plain, recomputed = pair(network)
    assert differing(step_results(plain, clip(2)), step_results(recomputed, clip(2))) == []


def test_statistics_that_are_updated_twice_are_found(monkeypatch) -> None:
    """PyTorch's recomputation updates them in the forward pass and again in the backward pass."""
    plain, recomputed = pair(CONFIGS[0].build())
    expected = step_results(plain, clip())
    monkeypatch.setattr(Blocks, "run", lambda self, block, x: checkpoint(block, x, use_reentrant=False))
    updated = differing(expected, step_results(recomputed, clip()))
    assert updated
    assert all("running" in name or "num_batches" in name for name in updated)


def test_random_numbers_that_are_not_repeated_are_found(monkeypatch) -> None:
    network = CONFIGS[0].build()
    network.regularise(dropout=0.0, drop_path=0.5)
    plain, recomputed = pair(network)
    expected = step_results(plain, clip())

    def run(self, block, x):
        return checkpoint(
            block, x, use_reentrant=False, preserve_rng_state=False,
            context_fn=lambda: (nullcontext(), _again(block, nullcontext())),
        )  # fmt: skip

    monkeypatch.setattr(Blocks, "run", run)
    assert any("gradient" in name for name in differing(expected, step_results(recomputed, clip())))


def test_recomputation_does_not_update_statistics_that_are_held_fixed() -> None:
    plain, recomputed = pair(CONFIGS[0].build())
    before = [norm.running_mean.clone() for norm in batch_norms(recomputed)]
    with statistics_kept(plain), statistics_kept(recomputed):
        assert differing(step_results(plain, clip()), step_results(recomputed, clip())) == []
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


def test_recomputed_convolutions_of_other_modules_are_safe() -> None:
    """A narrow pointwise convolution must not have a stride on the CPU, in neither of the two forward passes."""
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


def test_less_memory_is_taken() -> None:
    """Bytes of the distinct tensors that autograd saves in a forward pass, without parameters."""

    def saved_bytes(network: nn.Module) -> int:
        parameters = {p.untyped_storage().data_ptr() for p in network.parameters()}
        saved: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in parameters:
                saved[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            logits = network(x)
        assert logits.requires_grad
        return sum(saved.values())

    x = clip()
    plain, recomputed = pair(SlowOnlyConfig(depth=50, width=8).build())
    assert saved_bytes(recomputed) < 0.5 * saved_bytes(plain)


def test_nothing_is_recomputed_without_gradients(monkeypatch) -> None:
    _, network = pair(CONFIGS[0].build())
    monkeypatch.setattr(
        "marey.models.layers.checkpointing.checkpoint", lambda *args, **kwargs: pytest.fail("recomputed")
    )
    network.eval()(clip())
    with torch.no_grad():
        network.train()(clip())


def test_a_module_without_blocks_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"^train.checkpointing: Linear has no Blocks to recompute"):
        recompute_blocks(nn.Linear(2, 2))
