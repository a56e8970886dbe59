"""What `marey data audit` and `marey data prepare` found, as tables and lists."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from marey.base.words import counted, percent

if TYPE_CHECKING:
    from marey.data.audit import Audit
    from marey.data.prepare import Preparation


def print_preparation(result: "Preparation") -> None:
    from rich.table import Table

    columns = ("official", "announced", "listed", "missing", "unreadable", "short", "usable")
    table = Table("list", "split", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right")
    for count in result.counts:
        numbers = [getattr(count, column) for column in columns]
        table.add_row(count.list_name, count.split, *("" if n is None else f"{n:,}" for n in numbers))
    _print(table)
    print()
    _findings(
        {
            "missing": {f"{part}: {name}": None for part, names in result.missing.items() for name in names},
            "unreadable": result.unreadable,
            "too short": result.short,
            "not read whole": result.left_out,
            "found twice": {key: ", ".join(paths) for key, paths in result.duplicates.items()},
            "in the folder of another class": {path: f"is {label}" for path, label in result.misplaced.items()},
            "no clip of the set": dict.fromkeys(result.extra),
        }
    )
    for path in result.lists:
        print(f"written: {path}")


def print_audit(result: "Audit") -> None:
    from rich.table import Table

    table = Table("split", box=None, pad_edge=False)
    for column in ("videos", "classes", "fewest", "median", "most", "ratio"):
        table.add_column(column, justify="right")
    for b in result.balance:
        ratio = f"{b.largest / b.smallest:.1f}"
        table.add_row(b.split, *(f"{n:,g}" for n in (b.videos, b.classes, b.smallest, b.median, b.largest)), ratio)
    _print(table)
    if result.seconds:
        s = result.seconds
        print(
            f"\nlength: {s['least']:.2f} to {s['most']:.2f} s, median {s['median']:.2f} s; {s['sum'] / 3600:.2f} hours"
        )
        print(f"frames per second: {_shares(result.rates)}\nsizes: {_shares(result.sizes)}\n")
    _findings(
        {
            "missing": dict.fromkeys(result.missing),
            "unreadable": result.unreadable,
            "begins after the file's end": dict.fromkeys(result.outside),
            "same content, different labels": {" = ".join(paths): None for paths in result.contradictions},
            "same content in several splits": {" = ".join(paths): None for paths in result.leaks},
            "copies by pictures, different labels": {" = ".join(paths): None for paths in result.contradicting_copies},
            "copies by pictures in several splits": {" = ".join(paths): None for paths in result.leaking_copies},
            "source in several splits": _by_split(result.leaking_groups),
            "class without a training video": dict.fromkeys(result.untrained),
        }
    )
    _findings(
        {
            "too short": {path: f"{counted(n, 'frame')}" for path, n in result.short.items()},
            "not read whole": result.left_out,
            "part longer than its file": result.longer,
            "same content": {" = ".join(paths): None for paths in result.duplicates},
            "source in several splits, by files or pictures": _by_split(result.leaking_places),
            "copies by pictures": {" = ".join(paths): None for paths in result.copies},
            "odd beside the others": result.odd_pictures,
            "variable frame rate": dict.fromkeys(result.variable_rate),
            "odd frame rate": {path: f"{fps:g}" for path, fps in result.odd_rate.items()},
            "odd size": result.odd_size,
        }
    )
    print("\n".join([*result.recordings, result.sources]))
    print("labels are not looked at: marey train, on the list or folder, names those that may be wrong (suspects.csv)")
    print(f"{counted(result.videos, 'entry', 'entries')}, {counted(result.faults, 'fault')}")
    print(f"fingerprint of the list {result.fingerprint[:16]}, of the files {result.contents[:16]}")


def _by_split(counts: Mapping[str, Mapping[str, int]]) -> dict[str, str]:
    """Of each source how many videos are in which split."""
    return {group: ", ".join(f"{n} {split}" for split, n in count.items()) for group, count in counts.items()}


def _findings(findings: Mapping[str, Mapping[str, object]], shown: int = 5) -> None:
    """Each kind of finding with its number and the first few; --json has all."""
    for kind, found in findings.items():
        if not found:
            continue
        print(f"{kind}: {len(found):,}")
        for name, why in list(found.items())[:shown]:
            print(f"    {name}" if why is None else f"    {name}: {why}")
        if len(found) > shown:
            print(f"    ... and {len(found) - shown:,} more (--json lists all)")


def _shares(counts: Mapping[str, int], shown: int = 6) -> str:
    total = sum(counts.values())
    parts = [f"{value} ({percent(count / total, 0)})" for value, count in list(counts.items())[:shown]]
    return ", ".join([*parts, *([f"{len(counts) - shown} others"] if len(counts) > shown else [])])


def _print(table: object) -> None:
    import sys

    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 200)
    with console.capture() as drawn:
        console.print(table)
    print(drawn.get(), end="")
