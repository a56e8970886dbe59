"""Which other row comes closest to one whose weights cannot be fetched."""

from marey.recipe import NetworkConfig, Recipe, TwoStream
from marey.recipe.hosts import Reported
from marey.recipes import RECIPES, TWO_STREAMS, get_recipe
from marey.video.sampling import PyTorchVideoTrain

_KIND = ("network", "depth", "fast_depth", "width", "channels", "stack", "size")
"""Fields that make two networks the same one."""
_FORM = ("interaction", "depthwise", "convolutions", "alpha", "slow_inflated", "segments")
"""Fields whose differences are smaller: the same network in another form."""


def nearest_living(recipe: Recipe) -> Recipe | None:
    """The row to take in place of `recipe`; None: there is none."""
    return next(iter(nearest_rows(recipe)), None)


def nearest_rows(recipe: Recipe) -> tuple[Recipe, ...]:
    """The nearest row on a host without a reported loss; and the nearest on a host that was lost, where it is nearer.

    All have the same network (kind, depth, modality) and the same data set, since only then they answer in the same
    classes. The nearest of several has the same form of the network, then the same start, then the same clips, then the
    most similar top-1.
    """
    others = [other for other in RECIPES if _may_replace(recipe, other)]
    near = [other for other in others if reported_of(other) == "no loss reported"]
    lost = [other for other in others if reported_of(other) == "lost and back"]
    first = min(near, key=lambda other: _distance(recipe, other), default=None)
    second = min(lost, key=lambda other: _distance(recipe, other), default=None)
    if first is not None and second is not None and _distance(recipe, second) > _distance(recipe, first):
        second = None
    return tuple(other for other in (first, second) if other is not None)


def nearest_two_stream(row: TwoStream) -> TwoStream | None:
    """Another row of two streams on the same data set, both of which one can get."""
    for other in TWO_STREAMS:
        streams = (get_recipe(other.rgb), get_recipe(other.flow))
        if other != row and other.dataset == row.dataset and all(map(reported_of, streams)):
            return other
    return None


def reported_of(recipe: Recipe) -> Reported | None:
    """The best that is reported of the living sources of a recipe; None where no source lives."""
    living = {source.state.reported for source in recipe.weights if source.living}
    return "no loss reported" if "no loss reported" in living else next(iter(living), None)


def _may_replace(recipe: Recipe, other: Recipe) -> bool:
    return (
        other.name != recipe.name
        and other.dataset == recipe.dataset
        and _fields(other.model, _KIND) == _fields(recipe.model, _KIND)
    )


def _distance(recipe: Recipe, other: Recipe) -> tuple[int, bool, bool, float]:
    """How far a row is from another, by what matters most first."""
    forms = sum(mine != theirs for mine, theirs in zip(_form(recipe), _form(other), strict=True))
    top1 = [row.published.top1 if row.published is not None else 0.0 for row in (recipe, other)]
    return forms, other.pretraining != recipe.pretraining, _clip(other) != _clip(recipe), abs(top1[0] - top1[1])


def _form(recipe: Recipe) -> tuple[object, ...]:
    return *_fields(recipe.model, _FORM), _fields(recipe.model, ("non_local",)) == (None,)


def _clip(recipe: Recipe) -> tuple[int, int, int]:
    """Segments, frames and stride; the stride of a rule in seconds is that of 30 frames a second."""
    rule = recipe.clip
    stride = round(rule.seconds * 30 / rule.frames) if isinstance(rule, PyTorchVideoTrain) else rule.stride
    return rule.segments, rule.frames, stride


def _fields(config: NetworkConfig, names: tuple[str, ...]) -> tuple[object, ...]:
    """Values of a network's fields; None for one that this kind of network does not have."""
    values = dict(config)
    return tuple(values.get(name) for name in names)
