"""The nearest right names to a wrong one."""

import difflib
from collections.abc import Iterable


def nearest(word: str, choices: Iterable[str], count: int = 3) -> list[str]:
    """At most `count` of `choices`, the likeliest first: names that contain the word, then names spelt alike."""
    choices = list(choices)
    lowered = {c.lower(): c for c in choices}
    alike = [lowered[c] for c in difflib.get_close_matches(word.lower(), lowered, n=count, cutoff=0.3)]
    containing = [c for c in choices if word and word.lower() in c.lower()]
    return list(dict.fromkeys([*containing, *alike]))[:count]


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """The question "Did you mean a, b or c?" with a space in front, or nothing where no choice is near."""
    found = nearest(word, choices)
    if not found:
        return ""
    *first, last = found
    return f" Did you mean {', '.join(first)} or {last}?" if first else f" Did you mean {last}?"
