"""Counts, shares and lengths of time in words, as messages have them."""

from collections.abc import Sequence


def counted(count: int, one: str, several: str = "") -> str:
    """A count in words: "1 video", "1,000 videos", "3 classes"; `several` where the plural has another ending."""
    return f"{count:,} {one if count == 1 else several or one + ('es' if one.endswith('s') else 's')}"


def percent(share: float, digits: int = 1) -> str:
    """A share, 0 to 1, as every text and page writes it: "72.0 %"; with `digits` after the point."""
    return f"{100 * share:.{digits}f} %"


def in_words(names: Sequence[str], last: str = "and") -> str:
    """Names in a sentence: "a", "a and b", "a, b and c"."""
    return f" {last} ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def capitalised(text: str) -> str:
    """A clause as a sentence begins: its first letter large, all others as they are."""
    return f"{text[:1].upper()}{text[1:]}"


def verb(count: int, one: str, several: str) -> str:
    """The verb that agrees with a count: "1 file was", "2 files were"; "1 of 3 files is"."""
    return one if count == 1 else several


def lasting(seconds: float) -> str:
    """A measured length of time in a few characters: "42 s", "12 min", "3.5 h"."""
    if seconds < 600:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"


def about(seconds: float) -> str:
    """An expected length of time, as exact as it can be known: "under a minute", "about 3 minutes", "about 4 hours"."""
    minutes = seconds / 60
    if minutes < 1:
        return "under a minute"
    if minutes < 90:
        return f"about {counted(round(minutes), 'minute')}"
    hours = minutes / 60
    return f"about {counted(round(hours), 'hour')}" if hours < 48 else f"about {counted(round(hours / 24), 'day')}"
