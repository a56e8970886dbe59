"""From what a user names, a recipe or a file, to a classifier that is ready to predict."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from marey.base.errors import WeightsError
from marey.classifier import Classifier
from marey.recipes import get_recipe
from marey.weights.checkpoint import is_own
from marey.weights.fetching.obtain import check_named, check_obtainable, obtain_named
from marey.weights.fetching.unavailable import FETCH_COMMAND
from marey.weights.load import OtherClassesError, build_model, load_model, names_checkpoint


def open_model(
    name_or_file: str,
    *,
    weights: str | Path | None = None,
    untrained: bool = False,
    settings: Sequence[str] = (),
    trust_first_use: bool = False,
    classes: Sequence[str] | None = None,
) -> Classifier:
    """The classifier that a user names, in eval mode.

    Args:
        name_or_file: A recipe's name, a checkpoint (ours or an older toolkit's), or the folder of a run.
        weights: A file with weights for a recipe; None: those that were published for it.
        untrained: Leave the weights random: every prediction is then a guess, for trying the commands and for timing.
        settings: `--set` words that change the recipe, for example its test protocol.
        trust_first_use: Download a file even if no hash of it was published.
        classes: Names for the classes of a checkpoint that has none; a checkpoint with names keeps its own.

    Raises:
        RecipeError, WeightsError: a wrong name, weights that do not fit, or not as many class names as classes.
    """
    with explain_other_classes():
        model = _opened_model(
            name_or_file, weights=weights, untrained=untrained, settings=settings, trust_first_use=trust_first_use,
            classes=classes,
        )  # fmt: skip
    if classes is None or model.names_classes:
        return model
    return model.with_classes(classes)


@contextlib.contextmanager
def explain_other_classes() -> Iterator[None]:
    """A block in which weights for other classes than the recipe's are refused with a message that says what to do.

    Raises:
        WeightsError: the weights are for other classes.
    """
    try:
        yield
    except OtherClassesError as error:
        raise WeightsError(
            f"{error.what}.{error.difference} To predict the file's own classes, name the file alone, without the recipe: "
            "marey predict FILE VIDEO; to train for other classes, start from it: --init FILE."
        ) from None


def _opened_model(
    name_or_file: str,
    *,
    weights: str | Path | None,
    untrained: bool,
    settings: Sequence[str],
    trust_first_use: bool,
    classes: Sequence[str] | None,
) -> Classifier:
    _refuse_unused_weights(name_or_file, weights, untrained)
    is_file = names_checkpoint(name_or_file)
    recipe = None if is_file else get_recipe(name_or_file)
    if recipe is not None and settings:
        recipe = recipe.with_settings(settings)
    if untrained and recipe is not None:
        return build_model(recipe).eval()
    file = name_or_file if is_file else weights
    if file is None:
        return load_model(recipe, trust_first_use=trust_first_use)
    obtained = obtain_named(file, trust_first_use=trust_first_use)
    # A file of ours may name its classes; an older toolkit's does not, and is loaded with the given names.
    names = None if is_own(obtained if isinstance(obtained, Path) else obtained.path) else classes
    model = load_model(recipe, weights=obtained, classes=names, trust_first_use=trust_first_use)
    return model.with_recipe(model.recipe.with_settings(settings)) if is_file and settings else model


def _refuse_unused_weights(name_or_file: str, weights: str | Path | None, untrained: bool) -> None:
    """Refuse weights that would not be used.

    Raises:
        WeightsError: two options, or a file and an option, name different weights.
    """
    if weights is not None and untrained:
        raise WeightsError(f"--weights {weights} and --untrained (random weights): leave out one of them.")
    if (weights is not None or untrained) and names_checkpoint(name_or_file):
        raise WeightsError(f"{name_or_file} holds weights itself: leave out --weights and --untrained.")


def check_model(
    name_or_file: str,
    *,
    weights: str | Path | None = None,
    untrained: bool = False,
    settings: Sequence[str] = (),
    trust_first_use: bool = False,
    command: str = FETCH_COMMAND,
) -> None:
    """Check before any work that `open_model` will find weights. Nothing is downloaded.

    Args:
        command: Where there are no weights, the message suggests this command with the name of a row that has them.

    Raises:
        RecipeError, WeightsError: a wrong name, or no weights can be obtained for it.
    """
    _refuse_unused_weights(name_or_file, weights, untrained)
    if names_checkpoint(name_or_file):
        check_named(name_or_file, trust_first_use=trust_first_use)
    elif weights is not None:
        get_recipe(name_or_file)
        check_named(weights, trust_first_use=trust_first_use)
    elif not untrained:
        recipe = get_recipe(name_or_file)
        recipe = recipe.with_settings(settings) if settings else recipe
        check_obtainable(recipe, trust_first_use=trust_first_use, command=command)
