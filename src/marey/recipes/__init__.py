"""Every recipe of Marey, as a declaration: how each published network is trained and tested, and where its weights are.

- `tsn`, `tsm`, `i3d`, `non_local`, `slowonly`, `slowfast`, `r2plus1d`, `csn`: one module for each family of networks: a
  complete recipe first, then its variants, with only the fields that they change
- `toolkits`: what the recipes of a toolkit share: training settings, the sources of its accuracies and weights files
- `folder`, `probe`, `user_module`, `motions`: recipes for the user's own videos, the user's own network and the demo
- `starts`: weights files that only serve as initial weights

It exports `RECIPES` and its type `Recipes`, `PARAMETERS`, `TWO_STREAMS`, `get_recipe` and `find_two_stream`. To add a
recipe, write it in the module of its family, and add it and its number of parameters to the lists at the end of that
module. The package imports no torch.

May import: base, data, models, recipe, video.
"""

from marey.base.errors import RecipeError
from marey.base.names import did_you_mean
from marey.base.notebook import html_table
from marey.base.words import counted
from marey.data.lists.videos import first_of
from marey.recipe import Recipe, TwoStream
from marey.recipes.csn import CSN, CSN_PARAMETERS
from marey.recipes.folder import FOLDERS, FOLDERS_PARAMETERS
from marey.recipes.i3d import I3D, I3D_PARAMETERS, I3D_TWO_STREAM
from marey.recipes.motions import MOTIONS, MOTIONS_PARAMETERS
from marey.recipes.non_local import NON_LOCAL, NON_LOCAL_PARAMETERS
from marey.recipes.probe import PROBE, PROBE_PARAMETERS
from marey.recipes.r2plus1d import R2PLUS1D, R2PLUS1D_PARAMETERS
from marey.recipes.slowfast import SLOWFAST, SLOWFAST_PARAMETERS
from marey.recipes.slowonly import SLOWONLY, SLOWONLY_PARAMETERS
from marey.recipes.tsm import TSM, TSM_PARAMETERS
from marey.recipes.tsn import TSN, TSN_PARAMETERS

_SHOWN = 20
"""Largest number of rows of the table in a notebook."""


class Recipes(tuple[Recipe, ...]):
    """A tuple of recipes. Its repr is one line; a notebook shows a table."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Recipes({counted(len(self), 'recipe')}: {first_of((one.name for one in self), 2)})"

    def _repr_html_(self) -> str:
        """For notebooks: a table of name, data set and published top-1 of the first recipes."""
        rows = [
            (one.name, one.dataset, "" if one.published is None else f"{one.published.top1:.1f} %")
            for one in self[:_SHOWN]
        ]
        more = f"and {len(self) - _SHOWN:,} more: marey list" if len(self) > _SHOWN else ""
        return html_table(counted(len(self), "recipe"), ["name", "data set", "published top-1"], rows, note=more)


RECIPES = Recipes(
    (
        *TSN,
        *TSM,
        *I3D,
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
"""Every recipe of one network, by family, in the order of `marey list` and of the model zoo."""

PARAMETERS: dict[str, int] = {
    **TSN_PARAMETERS,
    **TSM_PARAMETERS,
    **I3D_PARAMETERS,
    **NON_LOCAL_PARAMETERS,
    **SLOWONLY_PARAMETERS,
    **SLOWFAST_PARAMETERS,
    **R2PLUS1D_PARAMETERS,
    **CSN_PARAMETERS,
    **MOTIONS_PARAMETERS,
    **FOLDERS_PARAMETERS,
    **PROBE_PARAMETERS,
}
"""The number of parameters of each recipe's network, by the recipe's name. With it the size of a file is known without
torch."""

TWO_STREAMS: tuple[TwoStream, ...] = I3D_TWO_STREAM
"""Every pair of recipes, RGB and flow, whose scores are added."""


def get_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        RecipeError: no recipe has this name (the message has the nearest names), or it is the name of a `TwoStream`.
    """
    for recipe in RECIPES:
        if recipe.name == name:
            return recipe
    if find_two_stream(name) is not None:
        raise RecipeError(f"{name} is a row of two streams, each a recipe of its own: `marey show {name}` names them.")
    names = [recipe.name for recipe in RECIPES] + [row.name for row in TWO_STREAMS]
    raise RecipeError(f"there is no recipe {name!r}.{did_you_mean(name, names)} `marey list` names all.")


def find_two_stream(name: str) -> TwoStream | None:
    """The pair of recipes of that name, or None."""
    return next((row for row in TWO_STREAMS if row.name == name), None)
