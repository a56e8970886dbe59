"""The order in which people count: 2 before 10."""

import re
from collections.abc import Iterable


def natural_key(text: str) -> tuple[list[str | int], str]:
    """Sorts names with numbers by their values, img_2 before img_10; equal values (7, 007) by their letters."""
    parts = re.split(r"(\d+)", text)
    # Every second part is a number: what lies between two parts that are text.
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], text


def natural_order(names: Iterable[str]) -> list[str]:
    """Names by `natural_key`; where all are numbers, by their values: -90, 0, 0.25, 0.5."""
    several = sorted(names, key=natural_key)
    if all(re.fullmatch(r"[-+]?\d+(\.\d+)?", name) for name in several):
        several.sort(key=float)
    return several
