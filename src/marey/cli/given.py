"""What a command line names: recipes, and weights that may have to be fetched."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from marey.base.address import is_address
from marey.base.errors import RecipeError
from marey.cli.command import trusted

if TYPE_CHECKING:
    from marey.recipe import Recipe


def trusted_models(
    model: str,
    fuse: str | None,
    *,
    weights: str | None,
    fuse_weights: str | None,
    untrained: bool,
    settings: Sequence[str],
    given: bool,
    command: str,
) -> bool:
    """`trusted_after` for what `open_models` opens."""
    from marey.workflows.two_streams import check_models

    check = partial(
        check_models, model, fuse, weights=weights, fuse_weights=fuse_weights, untrained=untrained, settings=settings,
        command=command,
    )  # fmt: skip
    return trusted_after(named((model, weights), (fuse, fuse_weights), untrained=untrained), given, check)


def trusted_after(names: Sequence[str], given: bool, check: Callable[..., None]) -> bool:
    """Whether files without a hash may be fetched. What is to be refused in any case is refused before the user is asked."""
    check(trust_first_use=True)
    trust = trusted(names, given)
    check(trust_first_use=trust)
    return trust


def refuse_training_settings(settings: Sequence[str] | None) -> None:
    """Refuse `--set train...` where nothing is trained.

    Raises:
        RecipeError: there is one.
    """
    if idle := next((one for one in settings or () if one.startswith("train.")), None):
        raise RecipeError(f"--set {idle}: is of training, and nothing is trained here: leave it out.")


def named(*models: tuple[str | None, str | None], untrained: bool) -> list[str]:
    """What is to be fetched for models that are given as a name and, or not, as the file or address of their weights."""
    return [weights or name for name, weights in models if name and not untrained]


def declared_recipe(name_or_yaml: str, settings: list[str] | None) -> "Recipe":
    """A recipe by name or from a YAML file, with `--set` applied."""
    from marey.recipe import read_recipe
    from marey.recipes import get_recipe

    is_file = name_or_yaml.endswith((".yaml", ".yml")) or Path(name_or_yaml).is_file()
    if Path(name_or_yaml).is_dir():
        raise RecipeError(f"{name_or_yaml} is a folder; with --data the first word is a recipe's name or YAML file.")
    found = read_recipe(name_or_yaml) if is_file else get_recipe(name_or_yaml)
    return found.with_settings(settings) if settings else found


def same_model(
    model: str,
    fuse: str | None = None,
    *,
    weights: str | None,
    fuse_weights: str | None = None,
    untrained: bool,
    settings: Sequence[str] | None,
) -> list[str | Path]:
    """The words by which another command opens what this one opened."""
    words: list[str | Path] = [Path(model) if Path(model).exists() else model]
    for option, value in (("--fuse", fuse), ("--weights", weights), ("--fuse-weights", fuse_weights)):
        words += [] if value is None else [option, value]
    for setting in settings or ():
        words += ["--set", setting]
    return [*words, *(["--untrained"] if untrained else [])]


def first_tested(ids: Sequence[str], data: Path, root: Path | None) -> Path | str:
    """The first video that is there of the first hundred tested ones, whose `ids` are paths as the list or folder `data` has
    them; "VIDEO" where there is none such. The list, which may be long, is not read for it once more.
    """
    folder = root or (data if data.is_dir() else data.parent)
    for name in ids[:100]:
        if is_address(name):
            return name
        for path in (folder / name, folder / name.rpartition("@")[0]):  # a part of a video has its times behind an @
            if path.is_file() or (path.is_dir() and path != folder):
                return path
    return Path("VIDEO")
