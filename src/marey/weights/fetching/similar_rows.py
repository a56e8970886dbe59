"""The most similar row that can replace one whose weights cannot be fetched."""

from marey.recipe import NetworkConfig, Recipe, TwoStream
from marey.recipe.hosts import Reported
from marey.recipes import RECIPES, TWO_STREAMS, get_recipe
from marey.video.sampling import PyTorchVideoTrain

_KIND = ("network", "depth", "fast_depth", "width", "channels", "stack", "size")
"""Fields that two networks must share for one to replace the other."""
_FORM = ("interaction", "depthwise", "convolutions", "alpha", "slow_inflated", "segments")
"""Fields by which forms of the same network differ."""


def nearest_row(recipe: Recipe) -> Recipe | None:
    """The row to use in place of `recipe`; None if there is none."""
    return next(iter(nearest_rows(recipe)), None)


def nearest_rows(recipe: Recipe) -> tuple[Recipe, ...]:
    """The nearest row on a host without a reported loss, then the nearest on a host that is reported lost and back.

    The second one is left out if it is farther than the first one. Only rows with the network (`_KIND`) and the data set of
    `recipe` are considered: others predict other classes. Nearest is the row with the fewest differences in the form of the
    network (`_FORM`); of several the one with the same pretraining, then with the same clips, then with the most similar
    top-1.
    """
    others = [other for other in RECIPES if _may_replace(recipe, other)]
    near = [other for other in others if best_reported(other) == "no loss reported"]
    lost = [other for other in others if best_reported(other) == "lost and back"]
    first = min(near, key=lambda other: _distance(recipe, other), default=None)
    second = min(lost, key=lambda other: _distance(recipe, other), default=None)
    if first is not None and second is not None and _distance(recipe, second) > _distance(recipe, first):
        second = None
    return tuple(other for other in (first, second) if other is not None)


def nearest_two_stream(row: TwoStream) -> TwoStream | None:
    """Another row of two streams on the same data set whose two streams can both be fetched; None if there is none."""
    for other in TWO_STREAMS:
        streams = (get_recipe(other.rgb), get_recipe(other.flow))
        if other != row and other.dataset == row.dataset and all(map(best_reported, streams)):
            return other
    return None


def best_reported(recipe: Recipe) -> Reported | None:
    """What is reported of the hosts of a recipe's usable sources, the best of these reports; None if no source is usable."""
    reported = {source.state.reported for source in recipe.weights if source.usable}
    return "no loss reported" if "no loss reported" in reported else next(iter(reported), None)


def _may_replace(recipe: Recipe, other: Recipe) -> bool:
    return (
        other.name != recipe.name
        and other.dataset == recipe.dataset
        and _config_values(other.model, _KIND) == _config_values(recipe.model, _KIND)
    )


def _distance(recipe: Recipe, other: Recipe) -> tuple[int, bool, bool, float]:
    """How much two rows differ, the most important difference first."""
    forms = sum(mine != theirs for mine, theirs in zip(_form(recipe), _form(other), strict=True))
    top1 = [row.published.top1 if row.published is not None else 0.0 for row in (recipe, other)]
    return (
        forms,
        other.pretraining != recipe.pretraining,
        _clip_size(other) != _clip_size(recipe),
        abs(top1[0] - top1[1]),
    )


def _form(recipe: Recipe) -> tuple[object, ...]:
    return *_config_values(recipe.model, _FORM), _config_values(recipe.model, ("non_local",)) == (None,)


def _clip_size(recipe: Recipe) -> tuple[int, int, int]:
    """Segments, frames and stride; a rule in seconds counts as one at 30 frames per second."""
    rule = recipe.clip
    stride = round(rule.seconds * 30 / rule.frames) if isinstance(rule, PyTorchVideoTrain) else rule.stride
    return rule.segments, rule.frames, stride


def _config_values(config: NetworkConfig, names: tuple[str, ...]) -> tuple[object, ...]:
    """Values of fields of a network's config; None for a field that this kind of network lacks."""
    values = dict(config)
    return tuple(values.get(name) for name in names)
