"""The learning rate and decay of each parameter: each rule implemented again, by the kind of layer."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from marey.base.errors import RecipeError
from marey.models.freeze import freeze
from marey.models.slowfast.config import SlowFastConfig
from marey.models.slowonly.config import SlowOnlyConfig
from marey.models.tsn.config import BNInceptionTSNConfig, TSNConfig
from marey.recipe import SGD, AdamW, DepthGroups, Recipe, TSNGroups
from marey.recipes import get_recipe
from marey.training.optimizers import ParameterSetting, build_optimizer, parameter_settings, set_lr
from tests.support.small_transformer import DEPTH, SmallTransformer

NETWORKS = {
    "tsn": TSNConfig(depth=50, width=4, num_classes=5),
    "bninception": BNInceptionTSNConfig(width=8, num_classes=5),
    "slowonly": SlowOnlyConfig(depth=18, width=4, num_classes=5),
    "slowfast": SlowFastConfig(depth=50, width=8, num_classes=5),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    return NETWORKS[request.param].build()


def recipe(**train) -> Recipe:
    return get_recipe("slowonly_r18_8x2_motions").variant(train={"optimizer": SGD(lr=0.1, weight_decay=0.01), **train})


def reimplemented(network: nn.Module, first: float, head: float) -> dict[str, ParameterSetting]:
    """tsn-pytorch's policies: loop over the layers, sort by kind, count convolutions."""
    settings, convolutions = {}, 0
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            convolutions += 1
            scale = first if convolutions == 1 else 1
        elif isinstance(module, nn.Linear):
            scale = head
        elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            settings[f"{name}.weight"] = settings[f"{name}.bias"] = ParameterSetting(1, 0)
            continue
        else:
            continue
        settings[f"{name}.weight"] = ParameterSetting(scale, 0.01)
        if module.bias is not None:
            settings[f"{name}.bias"] = ParameterSetting(2 * scale, 0)
    return settings


@pytest.mark.parametrize(("first", "head"), [(1, 1), (1, 5), (5, 1)], ids=["TSN RGB", "TSM fc_lr5", "TSN flow"])
def test_parameter_groups_of_tsn_equal_a_reimplementation(network, first, head) -> None:
    train = recipe(groups=TSNGroups(first=first, head=head)).train
    assert parameter_settings(network, train) == reimplemented(network, first, head)


def test_tsns_classifier_and_first_convolution() -> None:
    """The numbers in the toolkits' logs: weight and bias of the head 5 and 10, of the first layer 5 and 10."""
    network = NETWORKS["bninception"].build()
    found = parameter_settings(network, recipe(groups=TSNGroups(first=5, head=5)).train)
    names = ("head.weight", "head.bias", "inception.stem.a.conv.weight", "inception.stem.a.conv.bias")
    assert [found[name].scale for name in names] == [5, 10, 5, 10]
    assert [found[name].decay for name in names] == [0.01, 0, 0.01, 0]


def test_rates_by_depth(network) -> None:
    train = recipe(groups=DepthGroups(decay=0.5, head=3)).train
    found = parameter_settings(network, train)
    deepest = network.num_stages + 1
    for name, setting in found.items():
        depth = network.layer_depth(name)
        assert setting == ParameterSetting(0.5 ** (deepest - depth) * (3 if depth == deepest else 1), 0.01), name
    assert {setting.scale for setting in found.values()} == {3, *(0.5**n for n in range(1, deepest + 1))}


def test_the_head_alone() -> None:
    found = parameter_settings(NETWORKS["tsn"].build(), recipe(groups=DepthGroups(decay=1, head=10)).train)
    assert {name for name, setting in found.items() if setting.scale == 10} == {"head.weight", "head.bias"}
    assert {setting.scale for setting in found.values()} == {1, 10}


def test_decay_by_kind(network) -> None:
    """PySlowFast: norms 0. AdamW: norms and biases 0."""
    norms = {
        f"{name}.{kind}"
        for name, module in network.named_modules()
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d)
        for kind in ("weight", "bias")
    }
    for optimizer, apart in (
        (SGD(lr=0.1, weight_decay=0.01, norm_weight_decay=0), lambda name: name in norms),
        (SGD(lr=0.1, weight_decay=0.01), lambda name: False),
        (AdamW(lr=0.1, weight_decay=0.01), lambda name: name in norms or name.endswith(".bias")),
    ):
        found = parameter_settings(network, recipe(optimizer=optimizer).train)
        assert found == {
            name: ParameterSetting(1, 0 if apart(name) else 0.01) for name, _ in network.named_parameters()
        }


TRANSFORMER_NORMS = {
    "group_norm.weight",
    "group_norm.bias",
    "wide_norm.weight",
    "wide_norm.bias",
    *(f"blocks.{n}.{kind}" for n in range(DEPTH) for kind in ("norm1.weight", "norm1.bias", "norm2.weight")),
}
NAMED = {"cls_token", "pos_embed", *(f"blocks.{n}.attention.relative" for n in range(DEPTH))}
TRANSFORMER_BIASES = {
    "patch_embed.bias",
    "head.bias",
    *(f"blocks.{n}.{layer}.bias" for n in range(DEPTH) for layer in ("attention.qkv", "fc1", "fc2")),
}
OWN_NORM = {"norm.gain"}
DECAYING = {
    "patch_embed.weight",
    "head.weight",
    *(f"blocks.{n}.{layer}.weight" for n in range(DEPTH) for layer in ("attention.qkv", "fc1", "fc2")),
}


@pytest.mark.parametrize(
    ("optimizer", "apart"),
    [
        (AdamW(lr=0.1, weight_decay=0.01), TRANSFORMER_NORMS | NAMED | TRANSFORMER_BIASES | OWN_NORM),
        (AdamW(lr=0.1, weight_decay=0.01, norm_weight_decay=None), set()),
        (SGD(lr=0.1, weight_decay=0.01, norm_weight_decay=0), TRANSFORMER_NORMS | NAMED),
        (SGD(lr=0.1, weight_decay=0.01), set()),
    ],
    ids=["adamw", "adamw, all alike", "sgd", "sgd, all alike"],
)
def test_decay_of_every_kind_of_parameter(optimizer, apart) -> None:
    """In a user's module: norms of all kinds and shapes, tokens, tables in inner layers."""
    everything = TRANSFORMER_NORMS | NAMED | TRANSFORMER_BIASES | OWN_NORM | DECAYING
    found = parameter_settings(SmallTransformer(), recipe(optimizer=optimizer).train)
    assert found == {name: ParameterSetting(1, 0 if name in apart else 0.01) for name in everything}


def test_norms_without_parameters_and_instance_norms() -> None:
    module = nn.Sequential(
        nn.LayerNorm(3, elementwise_affine=False), nn.InstanceNorm3d(3, affine=True), nn.SyncBatchNorm(3)
    )
    found = parameter_settings(module, recipe(optimizer=SGD(lr=0.1, weight_decay=0.01, norm_weight_decay=0)).train)
    assert found == dict.fromkeys(("1.weight", "1.bias", "2.weight", "2.bias"), ParameterSetting(1, 0))


def test_a_name_that_is_no_parameter() -> None:
    """PySlowFast compares such names with those of modules, so that it finds none."""

    class Own(nn.Linear):
        def no_decay(self) -> frozenset[str]:
            return frozenset({"pos_embed"})

    with pytest.raises(RecipeError, match=r"^Own.no_decay\(\) names 'pos_embed', and it has no parameter of that name"):
        parameter_settings(nn.Sequential(Own(2, 2)), recipe().train)


def test_rates_of_a_transformer_by_depth() -> None:
    """BEiT: decay ** (blocks + 1 - layer), where embeddings are layer 0, block n is n + 1, and everything else the last
    one.
    """
    train = recipe(groups=DepthGroups(decay=0.75), optimizer=AdamW(lr=0.1)).train
    found = parameter_settings(SmallTransformer(), train)
    layers = {
        0: ("cls_token", "pos_embed", "patch_embed.weight", "group_norm.bias"),
        DEPTH + 1: ("norm.gain", "head.weight"),
    }
    for n in range(DEPTH):
        layers[n + 1] = (f"blocks.{n}.norm1.bias", f"blocks.{n}.attention.relative", f"blocks.{n}.fc2.weight")
    for layer, names in layers.items():
        assert [found[name].scale for name in names] == [0.75 ** (DEPTH + 1 - layer)] * len(names)
    assert found["head.weight"].decay == 0.05
    assert found["cls_token"].decay == 0


@pytest.mark.parametrize("groups", [None, TSNGroups(head=5), DepthGroups(decay=0.7, head=2)])
def test_one_step_moves_each_parameter_by_its_rate(groups) -> None:
    """-scale * lr * (gradient + decay * value), because momentum is 0 in the first step."""
    network = NETWORKS["tsn"].build().double()
    declared = recipe(groups=groups)
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    network(torch.randn(2, 3, 3, 32, 32, dtype=torch.float64)).square().sum().backward()
    optimizer = build_optimizer(network, declared.train)
    set_lr(optimizer, 0.02)
    optimizer.step()
    settings = parameter_settings(network, declared.train)
    for name, value in network.named_parameters():
        setting = settings[name]
        expected = before[name] - setting.scale * 0.02 * (value.grad + setting.decay * before[name])
        torch.testing.assert_close(value.detach(), expected, rtol=1e-12, atol=1e-12)


def test_frozen_parameters_are_in_no_group() -> None:
    network = NETWORKS["tsn"].build()
    freeze(network, norms="all_but_first")
    found = parameter_settings(network, recipe(groups=TSNGroups()).train)
    assert {name for name in found if ".norm." in name} == {"resnet.stem.norm.weight", "resnet.stem.norm.bias"}


def test_bad_groups() -> None:
    module = nn.Linear(2, 2)
    with pytest.raises(RecipeError, match=r"kind=tsn needs to know .* Linear is not a marey Network"):
        parameter_settings(module, recipe(groups=TSNGroups()).train)
    with pytest.raises(RecipeError, match=r"kind=by_depth needs to know .* Linear has no layer_depth"):
        parameter_settings(module, recipe(groups=DepthGroups(decay=0.5)).train)
    with pytest.raises(ValidationError):
        DepthGroups(decay=0)
    with pytest.raises(RecipeError, match="every parameter is frozen"):
        build_optimizer(module.requires_grad_(False), recipe().train)
