"""The text that `marey data audit` and `marey data prepare` print: a table of counts, then each kind of finding."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from marey.base.words import counted, percent

if TYPE_CHECKING:
    from rich.table import Table

    from marey.data.audit import Audit
    from marey.data.prepare import Preparation

_WIDTH = 200
"""Width of a table in characters, where standard output is no terminal."""


def preparation_text(preparation: "Preparation") -> str:
    """The counts of each list and split, the findings, and the lists that were written."""
    from rich.table import Table

    columns = ("official", "announced", "listed", "missing", "unreadable", "short", "usable")
    table = Table("list", "split", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right")
    for count in preparation.counts:
        numbers = [getattr(count, column) for column in columns]
        table.add_row(count.list_name, count.split, *("" if n is None else f"{n:,}" for n in numbers))
    findings: dict[str, Mapping[str, object]] = {
        "missing": {f"{split}: {name}": None for split, names in preparation.missing.items() for name in names},
        "unreadable": preparation.unreadable,
        "too short": preparation.short,
        "not read whole": preparation.left_out,
        "found twice": {key: ", ".join(paths) for key, paths in preparation.duplicates.items()},
        "in the folder of another class": {path: f"is {label}" for path, label in preparation.misplaced.items()},
        "no video of the set": dict.fromkeys(preparation.extra),
    }
    written = [f"written: {path}" for path in preparation.lists]
    return "\n".join([_drawn(table), "", *_findings_lines(findings), *written])


def audit_text(audit: "Audit") -> str:
    """The balance of each split, lengths, frame rates and sizes, the findings, recordings, and fingerprints."""
    from rich.table import Table

    table = Table("split", box=None, pad_edge=False)
    for column in ("videos", "classes", "fewest", "median", "most", "ratio"):
        table.add_column(column, justify="right")
    for b in audit.balance:
        ratio = f"{b.largest / b.smallest:.1f}"
        table.add_row(b.split, *(f"{n:,g}" for n in (b.videos, b.classes, b.smallest, b.median, b.largest)), ratio)
    return "\n".join(
        [
            _drawn(table),
            *_statistics_lines(audit),
            *_findings_lines(_faults(audit) | _other_findings(audit)),
            *audit.recordings,
            audit.sources,
            "labels are not checked: marey train, on the list or folder, names those that may be wrong (suspects.csv)",
            f"{counted(audit.videos, 'entry', 'entries')}, {counted(audit.faults, 'fault')}",
            f"fingerprint of the list {audit.fingerprint[:16]}, of the files {audit.contents[:16]}",
        ]
    )


def _statistics_lines(audit: "Audit") -> Iterator[str]:
    """Lengths, frame rates and sizes, between empty lines; none where no video could be opened."""
    if audit.seconds:
        s = audit.seconds
        hours = f"{s['sum'] / 3600:.2f} hours"
        yield f"\nlength: {s['least']:.2f} to {s['most']:.2f} s, median {s['median']:.2f} s; {hours}"
        yield f"frames per second: {_shares_in_words(audit.rates)}\nsizes: {_shares_in_words(audit.sizes)}\n"


def _faults(audit: "Audit") -> dict[str, Mapping[str, object]]:
    """The findings that `Audit.faults` counts, by kind: files, labels and splits to repair."""
    return {
        "missing": dict.fromkeys(audit.missing),
        "unreadable": audit.unreadable,
        "begins after the file's end": dict.fromkeys(audit.outside),
        "same content, different labels": {" = ".join(paths): None for paths in audit.contradictions},
        "same content in several splits": {" = ".join(paths): None for paths in audit.leaks},
        "copies by frames, different labels": {" = ".join(paths): None for paths in audit.contradicting_copies},
        "copies by frames in several splits": {" = ".join(paths): None for paths in audit.leaking_copies},
        "recording in several splits": _by_split(audit.leaking_groups),
        "class without a training video": dict.fromkeys(audit.untrained),
    }


def _other_findings(audit: "Audit") -> dict[str, Mapping[str, object]]:
    """The findings that are no faults, by kind: unusual files, all copies, and recordings that are only likely."""
    return {
        "too short": {path: f"{counted(n, 'frame')}" for path, n in audit.short.items()},
        "not read whole": audit.left_out,
        "segment longer than its file": audit.longer,
        "same content": {" = ".join(paths): None for paths in audit.duplicates},
        "recording in several splits, by files or frames": _by_split(audit.leaking_places),
        "copies by frames": {" = ".join(paths): None for paths in audit.copies},
        "unlike the other videos": audit.odd_pictures,
        "variable frame rate": dict.fromkeys(audit.variable_rate),
        "odd frame rate": {path: f"{fps:g}" for path, fps in audit.odd_rate.items()},
        "odd size": audit.odd_size,
    }


def _by_split(counts: Mapping[str, Mapping[str, int]]) -> dict[str, str]:
    """For each group, how many of its videos each split has: "3 train, 1 val"."""
    return {group: ", ".join(f"{n} {split}" for split, n in count.items()) for group, count in counts.items()}


def _findings_lines(findings: Mapping[str, Mapping[str, object]], shown: int = 5) -> Iterator[str]:
    """Each kind of finding with the number of its findings, and the first `shown` of these."""
    for kind, found in findings.items():
        if not found:
            continue
        yield f"{kind}: {len(found):,}"
        for name, why in list(found.items())[:shown]:
            yield f"    {name}" if why is None else f"    {name}: {why}"
        if len(found) > shown:
            yield f"    ... and {len(found) - shown:,} more (--json lists all)"


def _shares_in_words(counts: Mapping[str, int], shown: int = 6) -> str:
    """The most frequent values with their shares: "25 (90 %), 30 (10 %)"."""
    total = sum(counts.values())
    shares = [f"{value} ({percent(count / total, 0)})" for value, count in list(counts.items())[:shown]]
    return ", ".join([*shares, *([f"{len(counts) - shown} others"] if len(counts) > shown else [])])


def _drawn(table: "Table") -> str:
    """A table as text, without a line break at its end."""
    import sys

    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    with console.capture() as drawn:
        console.print(table)
    return drawn.get().removesuffix("\n")
