"""At which rate and with which decay each parameter learns. Rules: the declarations in `marey.recipe`."""

from dataclasses import dataclass

from torch import nn

from marey.base.errors import RecipeError
from marey.models.layers.freeze import batch_norms
from marey.models.network import Network
from marey.recipe import AdamW, DepthGroups, Train, TSNGroups

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Setting:
    """What a parameter's learning rate is multiplied by, and its weight decay."""

    scale: float
    decay: float


def parameter_settings(model: nn.Module, train: Train) -> dict[str, Setting]:
    """The setting of each parameter that learns, by name.

    Raises:
        RecipeError: the recipe's groups need a `Network` and this is another module.
    """
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    if train.groups is None:
        return {name: Setting(1.0, decay) for name, decay in _decays(model, train, names).items()}
    if not isinstance(model, Network):
        raise RecipeError(
            f"train.groups.kind={train.groups.kind} needs to know which layer a parameter belongs to, and "
            f"{type(model).__name__} is not a marey Network: leave train.groups out."
        )
    if isinstance(train.groups, DepthGroups):
        scales = _by_depth(model, train.groups, names)
        return {name: Setting(scales[name], decay) for name, decay in _decays(model, train, names).items()}
    return _tsn(model, train.groups, train.optimizer.weight_decay, names)


def _decays(model: nn.Module, train: Train, names: list[str]) -> dict[str, float]:
    """Norms (and with AdamW biases) decay as the optimiser says, everything else as usual."""
    declared, norms = train.optimizer, _norm_names(model)
    apart = declared.weight_decay if declared.norm_weight_decay is None else declared.norm_weight_decay
    adam = isinstance(declared, AdamW)
    return {
        name: apart if name in norms or (adam and name.endswith(".bias")) else declared.weight_decay for name in names
    }


def _by_depth(model: Network, groups: DepthGroups, names: list[str]) -> dict[str, float]:
    depths = {name: model.layer_depth(name) for name, _ in model.named_parameters()}
    deepest = max(depths.values())
    return {
        name: groups.decay ** (deepest - depths[name]) * (groups.head if depths[name] == deepest else 1.0)
        for name in names
    }


def _tsn(model: Network, groups: TSNGroups, weight_decay: float, names: list[str]) -> dict[str, Setting]:
    norms = _norm_names(model)
    first = next((name for name, module in model.named_modules() if isinstance(module, _CONVOLUTIONS)), None)

    def setting(name: str) -> Setting:
        if name in norms:
            return Setting(1.0, 0.0)
        layer, _, kind = name.rpartition(".")
        scale = groups.first if layer == first else groups.head if layer == "head" else 1.0
        return Setting(2 * scale, 0.0) if kind == "bias" else Setting(scale, weight_decay)

    return {name: setting(name) for name in names}


def _norm_names(model: nn.Module) -> set[str]:
    norms = {id(module) for module in batch_norms(model)}
    return {
        f"{name}.{kind}" for name, module in model.named_modules() if id(module) in norms for kind in ("weight", "bias")
    }
