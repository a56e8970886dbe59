"""Class names as folders spell them."""

import re
from collections.abc import Sequence
from functools import cache


@cache
def by_spelling(class_names: tuple[str, ...]) -> dict[str, str]:
    """From `spelling` to the class name."""
    return {spelling(name): name for name in class_names}


def spelling(name: str) -> str:
    """A name without case, blanks and signs: "Massaging_persons_head" and "massaging person's head" are one class."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def class_of(path: str, class_names: tuple[str, ...]) -> str | None:
    """The class whose folder a file lies in, the innermost where there are several; None where there is none."""
    known = by_spelling(class_names)
    return next((known[s] for s in map(spelling, reversed(_folders(path))) if s in known), None)


def _folders(path: str) -> Sequence[str]:
    return path.split("/")[:-1]
