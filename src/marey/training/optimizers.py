"""Optimisers as recipes declare them."""

from typing import Any

import torch
from torch import nn

from marey.base.errors import RecipeError
from marey.recipe import SGD, Train
from marey.training.groups import Setting, parameter_settings


def build_optimizer(model: nn.Module, train: Train) -> torch.optim.Optimizer:
    """The optimiser over all parameters that learn, one group for each setting that some of them share.

    A group's `lr_scale` is what `set_lr` multiplies the learning rate by.

    Raises:
        RecipeError: nothing learns.
    """
    members: dict[Setting, list[nn.Parameter]] = {}
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
    """Give every group its share of the learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]
