"""Names in natural order (2 before 10), and the names nearest to one that is unknown."""

import difflib
import re
from collections.abc import Iterable


def natural_key(text: str) -> tuple[list[str | int], str]:
    """A sort key that compares numbers in names by value: img_2 before img_10. Equal values (7, 007) sort as text."""
    pieces = re.split(r"(\d+)", text)
    # Text and numbers alternate, beginning with text.
    return [int(piece) if index % 2 else piece for index, piece in enumerate(pieces)], text


def natural_order(names: Iterable[str]) -> list[str]:
    """Names sorted by `natural_key`; if all are numbers, by value: -90, 0, 0.25, 0.5."""
    in_order = sorted(names, key=natural_key)
    if all(re.fullmatch(r"[-+]?\d+(\.\d+)?", name) for name in in_order):
        in_order.sort(key=float)
    return in_order


def nearest(word: str, choices: Iterable[str], count: int = 3) -> list[str]:
    """At most `count` of `choices`, the likeliest first: names that contain `word`, then names of similar spelling."""
    choices = list(choices)
    lowered = {c.lower(): c for c in choices}
    alike = [lowered[c] for c in difflib.get_close_matches(word.lower(), lowered, n=count, cutoff=0.3)]
    containing = [c for c in choices if word and word.lower() in c.lower()]
    return list(dict.fromkeys([*containing, *alike]))[:count]


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """The question " Did you mean a, b or c?" with its leading space, or "" if no choice is similar."""
    found = nearest(word, choices)
    if not found:
        return ""
    *first, last = found
    return f" Did you mean {', '.join(first)} or {last}?" if first else f" Did you mean {last}?"
