"""The optimiser that a recipe declares, with the learning rate and weight decay of each parameter."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from marey.base.errors import RecipeError
from marey.models.interfaces import NamesLayerDepth, NamesNoDecay
from marey.models.layers.norms import Norm
from marey.models.network import Network
from marey.recipe import SGD, AdamW, DepthGroups, Train, TSNGroups

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def build_optimizer(model: nn.Module, train: Train) -> torch.optim.Optimizer:
    """The optimiser over all trainable parameters, with one parameter group per distinct `ParameterSetting`.

    A group's `lr_scale` is the factor by which `set_lr` multiplies the learning rate.

    Raises:
        RecipeError: every parameter is frozen; or as `parameter_settings`.
    """
    members: dict[ParameterSetting, list[nn.Parameter]] = {}
    parameters = dict(model.named_parameters())
    for name, setting in parameter_settings(model, train).items():
        members.setdefault(setting, []).append(parameters[name])
    if not members:
        raise RecipeError("every parameter is frozen, so that nothing learns: freeze less (train.frozen_stages).")
    declared = train.optimizer
    groups: list[dict[str, Any]] = [
        {"params": those, "weight_decay": setting.decay, "lr_scale": setting.scale}
        for setting, those in members.items()
    ]
    if isinstance(declared, SGD):
        return torch.optim.SGD(groups, lr=declared.lr, momentum=declared.momentum, nesterov=declared.nesterov)
    return torch.optim.AdamW(groups, lr=declared.lr, betas=declared.betas)


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group to `lr` times its `lr_scale`."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]


# -- settings of each parameter


@dataclass(frozen=True)
class ParameterSetting:
    """The learning rate and weight decay of a parameter."""

    scale: float
    """Factor by which the base learning rate is multiplied."""
    decay: float
    """Weight decay of the optimiser; 0 for none."""


def parameter_settings(model: nn.Module, train: Train) -> dict[str, ParameterSetting]:
    """The setting of each trainable parameter, by name.

    Raises:
        RecipeError: the recipe's groups need a method `layer_depth` or a Marey `Network`, and the module lacks that; or
            its `no_decay` names a parameter that does not exist.
    """
    trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if isinstance(train.groups, TSNGroups):
        return _tsn(model, train.groups, train.optimizer.weight_decay, trainable)
    scales = dict.fromkeys(trainable, 1.0) if train.groups is None else _by_depth(model, train.groups, trainable)
    decays = _decays(model, train, trainable)
    return {name: ParameterSetting(scales[name], decays[name]) for name in trainable}


def _decays(model: nn.Module, train: Train, trainable: dict[str, nn.Parameter]) -> dict[str, float]:
    """Weight decays by name: `norm_weight_decay` for norms and for the parameters in `no_decay` (with AdamW also for biases
    and parameters of at most one dimension), `weight_decay` for all others.
    """
    declared = train.optimizer
    norm_decay = declared.weight_decay if declared.norm_weight_decay is None else declared.norm_weight_decay
    like_norms = _norm_parameters(model) | _no_decay_parameters(model)
    if isinstance(declared, AdamW):
        like_norms |= {parameter for name, parameter in trainable.items() if parameter.ndim <= 1 or _is_bias(name)}
    return {
        name: norm_decay if parameter in like_norms else declared.weight_decay for name, parameter in trainable.items()
    }


def _by_depth(model: nn.Module, groups: DepthGroups, trainable: dict[str, nn.Parameter]) -> dict[str, float]:
    """The factor of the learning rate by parameter name; it decreases with the distance from the deepest layer."""
    if not isinstance(model, NamesLayerDepth):
        raise RecipeError(
            f"train.groups.kind={groups.kind} needs to know which layer a parameter belongs to, and "
            f"{type(model).__name__} has no layer_depth(parameter_name): add that method, or leave train.groups out."
        )
    depths = {name: model.layer_depth(name) for name, _ in model.named_parameters()}
    deepest = max(depths.values())
    return {
        name: groups.decay ** (deepest - depths[name]) * (groups.head if depths[name] == deepest else 1.0)
        for name in trainable
    }


def _tsn(
    model: nn.Module, groups: TSNGroups, weight_decay: float, trainable: dict[str, nn.Parameter]
) -> dict[str, ParameterSetting]:
    """The settings of `TSNGroups`: factors for first convolution, head and biases; no weight decay of norms and biases."""
    if not isinstance(model, Network):
        raise RecipeError(
            f"train.groups.kind={groups.kind} needs to know which layer is the classifier, and "
            f"{type(model).__name__} is not a marey Network: leave train.groups out."
        )
    norms, no_decay = _norm_parameters(model), _no_decay_parameters(model)
    first = next((name for name, module in model.named_modules() if isinstance(module, _CONVOLUTIONS)), None)

    def setting(name: str, parameter: nn.Parameter) -> ParameterSetting:
        if parameter in norms:
            return ParameterSetting(1.0, 0.0)
        layer = name.rpartition(".")[0]
        scale = groups.first if layer == first else groups.head if layer == "head" else 1.0
        if _is_bias(name):
            return ParameterSetting(2 * scale, 0.0)
        return ParameterSetting(scale, 0.0 if parameter in no_decay else weight_decay)

    return {name: setting(name, parameter) for name, parameter in trainable.items()}


def _is_bias(name: str) -> bool:
    return name.rpartition(".")[2] == "bias"


def _norm_parameters(model: nn.Module) -> set[nn.Parameter]:
    """The scales and shifts of all normalisation layers."""
    norms = (module for module in model.modules() if isinstance(module, Norm))
    return {parameter for norm in norms for parameter in norm.parameters(recurse=False)}


def _no_decay_parameters(model: nn.Module) -> set[nn.Parameter]:
    """The parameters that the methods `no_decay` of the model and of its submodules name."""
    found: set[nn.Parameter] = set()
    for module in model.modules():
        if not isinstance(module, NamesNoDecay):
            continue
        own = dict(module.named_parameters(remove_duplicate=False))
        missing = sorted(module.no_decay() - own.keys())
        if missing:
            raise RecipeError(
                f"{type(module).__name__}.no_decay() names {missing[0]!r}, and it has no parameter of that name: name them "
                "as its named_parameters() does."
            )
        found |= {own[name] for name in module.no_decay()}
    return found
