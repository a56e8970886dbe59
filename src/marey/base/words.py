"""Counts, shares and lengths of time in words, as messages have them."""


def counted(count: int, one: str, several: str = "") -> str:
    """A count in words: "1 video", "1,000 videos", "3 classes"; `several` where the plural has another ending."""
    return f"{count:,} {one if count == 1 else several or one + ('es' if one.endswith('s') else 's')}"


def percent(share: float, digits: int = 1) -> str:
    """A share, 0 to 1, as every text and page writes it: "72.0 %"; with `digits` after the point."""
    return f"{100 * share:.{digits}f} %"


def about(seconds: float) -> str:
    """An expected length of time, as exact as it can be known: "under a minute", "about 3 minutes", "about 4 hours"."""
    minutes = seconds / 60
    if minutes < 1:
        return "under a minute"
    if minutes < 90:
        return f"about {counted(round(minutes), 'minute')}"
    hours = minutes / 60
    return f"about {counted(round(hours), 'hour')}" if hours < 48 else f"about {counted(round(hours / 24), 'day')}"
