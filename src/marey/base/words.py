"""Counts, shares, lists of names and durations in words, for messages."""

from collections.abc import Sequence


def counted(count: int, one: str, several: str = "") -> str:
    """A count with its noun: "1 video", "1,000 videos", "3 classes". `several` is the plural where it is irregular."""
    return f"{count:,} {one if count == 1 else several or one + ('es' if one.endswith('s') else 's')}"


def percent(share: float, digits: int = 1) -> str:
    """A share from 0 to 1 in percent, as in all texts and pages: "72.0 %". `digits` is the number of decimals."""
    return f"{100 * share:.{digits}f} %"


def in_words(names: Sequence[str], last: str = "and") -> str:
    """Names in a sentence: "a", "a and b", "a, b and c". `last` is the word before the last name."""
    return f" {last} ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def capitalised(text: str) -> str:
    """The text with its first letter in upper case; the others stay as they are."""
    return f"{text[:1].upper()}{text[1:]}"


def verb(count: int, one: str, several: str) -> str:
    """The verb that agrees with a count: "1 file was", "2 files were"; "1 of 3 files is"."""
    return one if count == 1 else several


def lasting(seconds: float) -> str:
    """A measured duration in a few characters: "42 s", "12 min", "3.5 h"."""
    if seconds < 600:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"


def about(seconds: float) -> str:
    """An estimated duration, without false precision: "under a minute", "about 3 minutes", "about 4 hours"."""
    minutes = seconds / 60
    if minutes < 1:
        return "under a minute"
    if minutes < 90:
        return f"about {counted(round(minutes), 'minute')}"
    hours = minutes / 60
    return f"about {counted(round(hours), 'hour')}" if hours < 48 else f"about {counted(round(hours / 24), 'day')}"
