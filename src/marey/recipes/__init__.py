"""Every recipe that Marey ships: declarations only. To add one, write it in its family's file and name it there."""

from marey.base.errors import RecipeError
from marey.base.nearest import did_you_mean
from marey.base.notebook import table
from marey.base.words import counted
from marey.data.lists.videos import first_of
from marey.recipe import Recipe, TwoStream
from marey.recipes.csn import CSN
from marey.recipes.folder import FOLDERS
from marey.recipes.i3d_inception import I3D_INCEPTION
from marey.recipes.motions import MOTIONS
from marey.recipes.non_local import NON_LOCAL
from marey.recipes.probe import PROBE
from marey.recipes.r2plus1d import R2PLUS1D
from marey.recipes.slowfast import SLOWFAST
from marey.recipes.slowonly import SLOWONLY
from marey.recipes.tsm import TSM
from marey.recipes.tsn import TSN
from marey.recipes.tsn_bninception import TSN_BNINCEPTION
from marey.recipes.two_stream import TWO_STREAM

_SHOWN = 20
"""Recipes that a notebook shows."""


class Recipes(tuple[Recipe, ...]):
    """Several recipes: a tuple that shows itself in one line, in a notebook as a table."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Recipes({counted(len(self), 'recipe')}: {first_of((one.name for one in self), 2)})"

    def _repr_html_(self) -> str:
        """Name, data set and published top-1 of the first ones, as a notebook shows them."""
        rows = [
            (one.name, one.dataset, "" if one.published is None else f"{one.published.top1:.1f} %")
            for one in self[:_SHOWN]
        ]
        more = f"and {len(self) - _SHOWN:,} more: marey list" if len(self) > _SHOWN else ""
        return table(counted(len(self), "recipe"), ["name", "data set", "published top-1"], rows, note=more)


RECIPES = Recipes(
    (
        *TSN,
        *TSN_BNINCEPTION,
        *TSM,
        *I3D_INCEPTION,
        *NON_LOCAL,
        *SLOWONLY,
        *SLOWFAST,
        *R2PLUS1D,
        *CSN,
        *MOTIONS,
        *FOLDERS,
        PROBE,
    )
)
"""Every recipe of one network, by family."""

TWO_STREAMS: tuple[TwoStream, ...] = (*TWO_STREAM,)
"""Rows of two recipes together."""


def get_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        RecipeError: there is none; the nearest names are given.
    """
    for recipe in RECIPES:
        if recipe.name == name:
            return recipe
    if find_two_stream(name) is not None:
        raise RecipeError(f"{name} is a row of two streams, each a recipe of its own: `marey show {name}` names them.")
    names = [recipe.name for recipe in RECIPES] + [row.name for row in TWO_STREAMS]
    raise RecipeError(f"there is no recipe {name!r}.{did_you_mean(name, names)} `marey list` names all.")


def find_two_stream(name: str) -> TwoStream | None:
    """The two-stream row of that name, if it is one."""
    return next((row for row in TWO_STREAMS if row.name == name), None)
