"""The learning rate and the weight decay of each parameter, by the rules of the declarations in `marey.recipe`."""

from dataclasses import dataclass

from torch import nn

from marey.base.errors import RecipeError
from marey.models.layers.norms import Norm
from marey.models.network import NamesLayerDepth, NamesNoDecay, Network
from marey.recipe import AdamW, DepthGroups, Train, TSNGroups

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Setting:
    """The factor of a parameter's learning rate, and its weight decay."""

    scale: float
    decay: float


def parameter_settings(model: nn.Module, train: Train) -> dict[str, Setting]:
    """The setting of each trainable parameter, by name.

    Raises:
        RecipeError: the module lacks what the recipe's groups need (`layer_depth`, or being a Network); or its `no_decay`
            names a parameter that it does not have.
    """
    learning = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if isinstance(train.groups, TSNGroups):
        return _tsn(model, train.groups, train.optimizer.weight_decay, learning)
    scales = dict.fromkeys(learning, 1.0) if train.groups is None else _by_depth(model, train.groups, learning)
    decays = _decays(model, train, learning)
    return {name: Setting(scales[name], decays[name]) for name in learning}


def _decays(model: nn.Module, train: Train, learning: dict[str, nn.Parameter]) -> dict[str, float]:
    """Weight decays by name: `norm_weight_decay` for norms and for what `no_decay` names (with AdamW also for biases and
    parameters of at most one dimension), `weight_decay` for everything else.
    """
    declared = train.optimizer
    apart = declared.weight_decay if declared.norm_weight_decay is None else declared.norm_weight_decay
    kept = _norm_parameters(model) | _named_parameters(model)
    if isinstance(declared, AdamW):
        kept |= {parameter for name, parameter in learning.items() if parameter.ndim <= 1 or _is_bias(name)}
    return {name: apart if parameter in kept else declared.weight_decay for name, parameter in learning.items()}


def _by_depth(model: nn.Module, groups: DepthGroups, learning: dict[str, nn.Parameter]) -> dict[str, float]:
    if not isinstance(model, NamesLayerDepth):
        raise RecipeError(
            f"train.groups.kind={groups.kind} needs to know which layer a parameter belongs to, and "
            f"{type(model).__name__} has no layer_depth(parameter_name): add that method, or leave train.groups out."
        )
    depths = {name: model.layer_depth(name) for name, _ in model.named_parameters()}
    deepest = max(depths.values())
    return {
        name: groups.decay ** (deepest - depths[name]) * (groups.head if depths[name] == deepest else 1.0)
        for name in learning
    }


def _tsn(
    model: nn.Module, groups: TSNGroups, weight_decay: float, learning: dict[str, nn.Parameter]
) -> dict[str, Setting]:
    if not isinstance(model, Network):
        raise RecipeError(
            f"train.groups.kind={groups.kind} needs to know which layer is the classifier, and "
            f"{type(model).__name__} is not a marey Network: leave train.groups out."
        )
    norms, named = _norm_parameters(model), _named_parameters(model)
    first = next((name for name, module in model.named_modules() if isinstance(module, _CONVOLUTIONS)), None)

    def setting(name: str, parameter: nn.Parameter) -> Setting:
        if parameter in norms:
            return Setting(1.0, 0.0)
        layer = name.rpartition(".")[0]
        scale = groups.first if layer == first else groups.head if layer == "head" else 1.0
        if _is_bias(name):
            return Setting(2 * scale, 0.0)
        return Setting(scale, 0.0 if parameter in named else weight_decay)

    return {name: setting(name, parameter) for name, parameter in learning.items()}


def _is_bias(name: str) -> bool:
    return name.rpartition(".")[2] == "bias"


def _norm_parameters(model: nn.Module) -> set[nn.Parameter]:
    """Scale and shift of all normalisation layers of torch, of any shape."""
    norms = (module for module in model.modules() if isinstance(module, Norm))
    return {parameter for norm in norms for parameter in norm.parameters(recurse=False)}


def _named_parameters(model: nn.Module) -> set[nn.Parameter]:
    """The parameters that `no_decay` of the model and of the modules inside it names."""
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
