"""What a command line names: recipes, checkpoints, and weights that may have to be downloaded."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from marey.base.address import is_address
from marey.base.errors import RecipeError
from marey.base.processes import processes

if TYPE_CHECKING:
    from marey.classifier import Classifier
    from marey.recipe import Recipe
    from marey.workflows.two_streams import Streams


@dataclass(frozen=True, kw_only=True)
class NamedModels:
    """One model, or two whose scores are fused, as `predict` and `evaluate` name them."""

    model: str
    """A recipe's name, a row of two streams, or a checkpoint."""
    fuse: str | None
    """The second model; None: there is none, or `model` is a row of two streams."""
    weights: str | None
    """A checkpoint for `model`, a file or an address; None: its published weights, or `model` is a checkpoint."""
    fuse_weights: str | None
    """A checkpoint for the second model; None: as for `weights`."""
    untrained: bool
    """Whether to use random weights."""
    settings: Sequence[str] | None
    """Changed fields of the recipe ("test.clips=1"); None: no field is changed."""

    def trust_without_hash(self, given: bool, *, command: str) -> bool:
        """Check that there are weights, and whether those without a published hash may be downloaded.

        Args:
            given: Whether --trust-first-use was given.
            command: Where there are no weights, the message suggests this command with the name of a row that has them.
        """
        from marey.workflows.two_streams import check_models

        check = partial(
            check_models, self.model, self.fuse, weights=self.weights, fuse_weights=self.fuse_weights,
            untrained=self.untrained, settings=self.settings or (), command=command,
        )  # fmt: skip
        names = weights_to_fetch((self.model, self.weights), (self.fuse, self.fuse_weights), untrained=self.untrained)
        return trust_after_check(names, given, check)

    def open(self, *, trust_first_use: bool, classes: Sequence[str] | None) -> "Classifier | Streams":
        """The classifier, or both streams; `classes` names the classes of a checkpoint that does not name its own."""
        from marey.workflows.two_streams import open_models

        return open_models(
            self.model, self.fuse, weights=self.weights, fuse_weights=self.fuse_weights, untrained=self.untrained,
            settings=self.settings or (), trust_first_use=trust_first_use, classes=classes,
        )  # fmt: skip

    @property
    def words(self) -> list[str | Path]:
        """The words of a command line that names the same models."""
        words: list[str | Path] = [Path(self.model) if Path(self.model).exists() else self.model]
        options = {"--fuse": self.fuse, "--weights": self.weights, "--fuse-weights": self.fuse_weights}
        for option, value in options.items():
            words += [] if value is None else [option, value]
        for setting in self.settings or ():
            words += ["--set", setting]
        return [*words, *(["--untrained"] if self.untrained else [])]


def weights_to_fetch(*models: tuple[str | None, str | None], untrained: bool) -> list[str]:
    """What has to be downloaded for models that are given as (name, weights): the weights where given, else the name."""
    return [weights or name for name, weights in models if name and not untrained]


def trust_after_check(names: Sequence[str], given: bool, check: Callable[..., None]) -> bool:
    """As `trust_without_hash`; `check` is called before, to refuse what is refused even if the user agrees, and again with
    the answer.
    """
    check(trust_first_use=True)
    trust = trust_without_hash(names, given)
    check(trust_first_use=trust)
    return trust


def trust_without_hash(names: Sequence[str], given: bool) -> bool:
    """Whether weights without a published hash may be downloaded: --trust-first-use was given, or the user agrees.

    The user is asked only in a single process on a terminal, and only where one of `names` needs it: recipes, rows of two
    streams, initial weights, or addresses. Other words (files, "none") need no download.
    """
    if given or processes().world > 1 or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return given
    from marey.weights.fetching.availability import size_text
    from marey.weights.fetching.obtain import without_hash

    sources = without_hash(names)
    if not sources:
        return False
    print("No hash was published of:", file=sys.stderr)
    for source in sources:
        print(f"  {source.address} (by {source.by}, {size_text(source)}, licence {source.licence})", file=sys.stderr)
    print(
        "Nothing can show whether the file that arrives is what its authors trained. No code in it is run, and its SHA-256 "
        "is recorded, so that a later change is refused. --trust-first-use answers yes beforehand.",
        file=sys.stderr,
    )
    return typer.confirm("Fetch and trust it from now on?", err=True)


def refuse_training_settings(settings: Sequence[str] | None) -> None:
    """Refuse `--set train...` in a command that trains nothing.

    Raises:
        RecipeError: there is such a setting.
    """
    if unused := next((setting for setting in settings or () if setting.startswith("train.")), None):
        raise RecipeError(f"--set {unused}: changes training, and nothing is trained here: leave it out.")


def declared_recipe(name_or_yaml: str, settings: list[str] | None) -> "Recipe":
    """A recipe by name or from a YAML file, with `--set` applied."""
    from marey.recipe import read_recipe
    from marey.recipes import get_recipe

    is_file = name_or_yaml.endswith((".yaml", ".yml")) or Path(name_or_yaml).is_file()
    if Path(name_or_yaml).is_dir():
        raise RecipeError(f"{name_or_yaml} is a folder; with --data the first word is a recipe's name or YAML file.")
    recipe = read_recipe(name_or_yaml) if is_file else get_recipe(name_or_yaml)
    return recipe.with_settings(settings) if settings else recipe


def first_tested(ids: Sequence[str], data: Path, root: Path | None) -> Path | str:
    """A video to predict next: the first of the first hundred tested ones that exists; "VIDEO" if none does.

    The list, which may be long, is not read again.

    Args:
        ids: The tested videos, by their paths in the list or folder `data`.
        root: The folder that paths are relative to; None: the folder of `data`.
    """
    folder = root or (data if data.is_dir() else data.parent)
    for name in ids[:100]:
        if is_address(name):
            return name
        for path in (folder / name, folder / name.rpartition("@")[0]):  # a segment's id ends with @ and its times
            if path.is_file() or (path.is_dir() and path != folder):
                return path
    return Path("VIDEO")
