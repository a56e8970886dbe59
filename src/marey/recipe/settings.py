"""Changes to a recipe: nested dictionaries, and the `key=value` settings of the command line (--set, --epochs, --lr)."""

from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from marey.base.declaration import Declaration
from marey.base.errors import RecipeError
from marey.base.names import did_you_mean

_KINDS = ("network", "rule", "geometry", "kind", "method")
"""The names of fields whose value decides which other fields a section has: the kind of a network, a rule, a schedule."""


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes`; nested dictionaries are merged key by key.

    Two values replace the old one entirely: a declaration, and a dictionary of another kind, because a step schedule
    lacks the fields of a cosine schedule.
    """
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        if isinstance(value, Declaration):
            result[key] = value.model_dump()
        elif isinstance(old, dict) and isinstance(value, dict) and not _of_another_kind(old, value):
            result[key] = merged(old, value)
        else:
            result[key] = value
    return result


def _of_another_kind(old: dict[str, Any], new: dict[str, Any]) -> bool:
    return any(kind in old and kind in new and old[kind] != new[kind] for kind in _KINDS)


def changes_from(settings: Sequence[str], recipe: dict[str, Any]) -> dict[str, Any]:
    """Turn `key=value` settings, whose values are YAML, into nested changes to a recipe's fields.

    Raises:
        RecipeError: a setting has no "=", a key that the recipe does not have (the nearest are named), or is no YAML.
    """
    changes: dict[str, Any] = {}
    keys, chosen = list(_dotted(recipe)), _sections_of_chosen_kind(settings)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise RecipeError(f"--set {setting}: expected key=value, for example train.epochs=30.")
        if key not in keys and not key.startswith(chosen) and not _inside_absent_section(recipe, key):
            raise RecipeError(f"--set {setting}: the recipe has no key {key!r}.{did_you_mean(key, keys)}")
        changes = merged(changes, _nested(key.split("."), yaml_value(text, f"--set {setting}")))
    return changes


def _sections_of_chosen_kind(settings: Iterable[str]) -> tuple[str, ...]:
    """The sections whose kind a setting chooses, as prefixes of their keys: "train.schedule."."""
    keys = (setting.partition("=")[0] for setting in settings)
    return tuple(key.rpartition(".")[0] + "." for key in keys if "." in key and key.rpartition(".")[2] in _KINDS)


def _inside_absent_section(recipe: dict[str, Any], key: str) -> bool:
    """Whether `key` belongs to a section that is None in this recipe, so that its fields cannot be listed."""
    section: Any = recipe
    for name in key.split("."):
        if section is None:
            return True
        if not isinstance(section, dict) or name not in section:
            return False
        section = section[name]
    return False


def _nested(keys: list[str], value: Any) -> dict[str, Any]:
    return {keys[0]: _nested(keys[1:], value) if len(keys) > 1 else value}


def _dotted(values: dict[str, Any], prefix: str = "") -> Iterable[str]:
    for key, value in values.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{key}.")


def yaml_value(text: str, source: str) -> Any:
    """The value of a YAML text; `source` is the name of the text in an error message.

    Raises:
        RecipeError: the text is no YAML.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{source}: not valid YAML ({str(error).splitlines()[0]}).") from None


def with_short_forms(settings: Sequence[str], *, epochs: int | None, lr: float | None) -> list[str]:
    """The settings ("KEY=VALUE"), followed by those for the values of the options --epochs and --lr.

    Raises:
        RecipeError: an option and a setting give the same key.
    """
    short = {"--epochs": ("train.epochs", epochs), "--lr": ("train.optimizer.lr", lr)}
    more = {option: f"{key}={value!r}" for option, (key, value) in short.items() if value is not None}
    for option, added in more.items():
        key = added.partition("=")[0]
        for setting in settings:
            if setting.partition("=")[0] == key:
                raise RecipeError(
                    f"{option} is short for --set {added}, and --set {setting} is given, too: leave one out."
                )
    return [*settings, *more.values()]
