"""Every recipe of Marey: what it takes to train and test each published network, declared and not computed.

One file for each family of networks (`tsn.py`, `tsm.py`, `i3d.py`, `non_local.py`, `slowonly.py`, `slowfast.py`,
`r2plus1d.py`, `csn.py`): a whole recipe first, then its variants, which name only what they change.
`toolkits.py` has what the recipes of one toolkit share: its protocol, where its numbers are printed, where its files lie.
`folder.py`, `probe.py`, `user_module.py` and `motions.py` are for the user's own videos, the user's own network and the
demo. `starts.py` lists weights that only training starts from, `parameters.py` counts each network's parameters.

Exported are `RECIPES`, `TWO_STREAMS`, `get_recipe` and `find_two_stream`. To add a recipe, write it in its family's file and
name it in the tuple at the end. The room may import recipe, models (declarations alone), video, data and base, and no torch.
"""

from marey.base.errors import RecipeError
from marey.base.nearest import did_you_mean
from marey.base.notebook import table
from marey.base.words import counted
from marey.data.lists.videos import first_of
from marey.recipe import Recipe, TwoStream
from marey.recipes.csn import CSN
from marey.recipes.folder import FOLDERS
from marey.recipes.i3d import I3D, I3D_TWO_STREAM
from marey.recipes.motions import MOTIONS
from marey.recipes.non_local import NON_LOCAL
from marey.recipes.probe import PROBE
from marey.recipes.r2plus1d import R2PLUS1D
from marey.recipes.slowfast import SLOWFAST
from marey.recipes.slowonly import SLOWONLY
from marey.recipes.tsm import TSM
from marey.recipes.tsn import TSN

_SHOWN = 20
"""How many recipes the table in a notebook has."""


class Recipes(tuple[Recipe, ...]):
    """Several recipes: a tuple whose repr is one line, and a table in a notebook."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Recipes({counted(len(self), 'recipe')}: {first_of((one.name for one in self), 2)})"

    def _repr_html_(self) -> str:
        """A table for notebooks: name, data set and published top-1 of the first recipes."""
        rows = [
            (one.name, one.dataset, "" if one.published is None else f"{one.published.top1:.1f} %")
            for one in self[:_SHOWN]
        ]
        more = f"and {len(self) - _SHOWN:,} more: marey list" if len(self) > _SHOWN else ""
        return table(counted(len(self), "recipe"), ["name", "data set", "published top-1"], rows, note=more)


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

TWO_STREAMS: tuple[TwoStream, ...] = I3D_TWO_STREAM
"""Every pair of recipes, RGB and flow, whose scores are added."""


def get_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        RecipeError: no recipe has this name, or it is that of two streams; the message has the nearest names.
    """
    for recipe in RECIPES:
        if recipe.name == name:
            return recipe
    if find_two_stream(name) is not None:
        raise RecipeError(f"{name} is a row of two streams, each a recipe of its own: `marey show {name}` names them.")
    names = [recipe.name for recipe in RECIPES] + [row.name for row in TWO_STREAMS]
    raise RecipeError(f"there is no recipe {name!r}.{did_you_mean(name, names)} `marey list` names all.")


def find_two_stream(name: str) -> TwoStream | None:
    """The pair of recipes of that name; None where there is none."""
    return next((row for row in TWO_STREAMS if row.name == name), None)
