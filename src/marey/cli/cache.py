"""`marey cache`: what Marey keeps outside run folders, and its removal."""

from dataclasses import asdict
from typing import Annotated

import typer

from marey.base.cache import Kept, clear, kept, others
from marey.base.files import cache_folder
from marey.cli.command import AsJson, json_document


def cache(
    clear_it: Annotated[
        bool,
        typer.Option("--clear", help="Remove all of it; of copies of yours that are linked there, the links alone."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what Marey keeps outside run folders: where, how much, of what kind. --clear removes it."""
    found, folder = clear() if clear_it else kept(), cache_folder()
    if as_json:
        key = "removed" if clear_it else "kept"
        left = [str(path) for path in others()]
        print(json_document({"folder": str(folder), key: [asdict(one) for one in found], "not_of_marey": left}))
        return
    done = "removed from" if clear_it else "in"
    print(f"{_amount(found)} {done} {folder}{'.' if clear_it or not found else ':'}")
    for one in found:
        print(f"  {one.kind:8}  {_amount((one,))}: {one.what}")
    if beside := others():
        names = ", ".join(path.name for path in beside[:3]) + (", ..." if len(beside) > 3 else "")
        print(f"Not of Marey and left alone: {len(beside)} ({names}).")


def _amount(found: tuple[Kept, ...]) -> str:
    files, links = sum(one.files for one in found), sum(one.links for one in found)
    words = f"{sum(one.size for one in found) / 1e6:,.1f} MB in {files:,} file{'' if files == 1 else 's'}"
    return words + (f" and {links:,} link{'' if links == 1 else 's'} to copies of yours" if links else "")
