"""Optimisers as recipes declare them."""

import torch
from torch import nn

from marey.models.layers.initialise import NORMS
from marey.recipe import SGD, AdamW


def build_optimizer(model: nn.Module, declared: SGD | AdamW) -> torch.optim.Optimizer:
    """The optimiser over all parameters that learn, in two groups: norms (and with AdamW biases), and the rest."""
    norm_names = {
        f"{name}.{kind}"
        for name, module in model.named_modules()
        if isinstance(module, NORMS)
        for kind in ("weight", "bias")
    }
    apart: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            special = name in norm_names or (isinstance(declared, AdamW) and name.endswith(".bias"))
            (apart if special else rest).append(parameter)
    apart_decay = declared.weight_decay if declared.norm_weight_decay is None else declared.norm_weight_decay
    groups = [
        {"params": rest, "weight_decay": declared.weight_decay},
        {"params": apart, "weight_decay": apart_decay},
    ]
    if isinstance(declared, SGD):
        return torch.optim.SGD(groups, lr=declared.lr, momentum=declared.momentum, nesterov=declared.nesterov)
    return torch.optim.AdamW(groups, lr=declared.lr, betas=declared.betas)
