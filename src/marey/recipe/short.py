"""Short names of settings: --epochs and --lr on the command line, epochs= and lr= in Python."""

from collections.abc import Sequence

from marey.base.errors import RecipeError


def with_short_forms(settings: Sequence[str], *, epochs: int | None, lr: float | None) -> list[str]:
    """The settings ("KEY=VALUE") with those that have a name of their own.

    Raises:
        RecipeError: one is given in both ways.
    """
    short = {"--epochs": ("train.epochs", epochs), "--lr": ("train.optimizer.lr", lr)}
    more = {option: f"{key}={value!r}" for option, (key, value) in short.items() if value is not None}
    for option, word in more.items():
        key = word.partition("=")[0]
        for setting in settings:
            if setting.partition("=")[0] == key:
                raise RecipeError(
                    f"{option} is short for --set {word}, and --set {setting} is given, too: leave one out."
                )
    return [*settings, *more.values()]
