"""Every recipe that Marey ships: declarations only. To add one, write it in its family's file and name it there."""

from marey.base.errors import RecipeError
from marey.base.nearest import did_you_mean
from marey.recipe import Recipe
from marey.recipes.folder import FOLDERS
from marey.recipes.i3d_inception import I3D_INCEPTION
from marey.recipes.motions import MOTIONS
from marey.recipes.non_local import NON_LOCAL
from marey.recipes.slowfast import SLOWFAST
from marey.recipes.slowonly import SLOWONLY
from marey.recipes.tsm import TSM
from marey.recipes.tsn import TSN
from marey.recipes.tsn_bninception import TSN_BNINCEPTION

RECIPES: tuple[Recipe, ...] = (
    *TSN,
    *TSN_BNINCEPTION,
    *TSM,
    *I3D_INCEPTION,
    *NON_LOCAL,
    *SLOWONLY,
    *SLOWFAST,
    *MOTIONS,
    *FOLDERS,
)


def get_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        RecipeError: there is none; the nearest names are given.
    """
    for recipe in RECIPES:
        if recipe.name == name:
            return recipe
    names = [recipe.name for recipe in RECIPES]
    raise RecipeError(f"there is no recipe {name!r}.{did_you_mean(name, names)} `marey list` names all.")
