"""The order in which people count: 2 before 10."""

import re


def natural_key(text: str) -> tuple[list[str | int], str]:
    """Sorts names with numbers by their values, img_2 before img_10; equal values (7, 007) by their letters."""
    parts = re.split(r"(\d+)", text)
    # Every second part is a number: what lies between two parts that are text.
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], text
