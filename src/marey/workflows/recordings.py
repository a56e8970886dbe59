"""What `marey data sources` does: find the recordings of a list, and write them as a list and as contact sheets."""

from dataclasses import replace
from pathlib import Path

from marey.data.manifest import Manifest
from marey.data.recordings import find_recordings
from marey.evaluation.contact_sheets import ContactSheets


def list_of_recordings(source: Path) -> Path:
    """Where the list of a folder's or list's recordings goes that was given no name: beside it."""
    whole = source.resolve()
    return whole.with_name(f"{whole.name if whole.is_dir() else whole.stem}-sources.csv")


def sheets_beside(path: Path) -> Path:
    """The page of contact sheets beside a list."""
    return path.with_suffix(".html")


def write_recordings(manifest: Manifest, path: Path, *, workers: int | None = None) -> ContactSheets:
    """Find the recordings of a list's videos; write the list with the recording of each as its column `group`, empty where
    it is not known, and contact sheets beside it.

    Args:
        path: The list to write, a .csv.
        workers: Processes that decode and compare; None: one per core, 0: this one.

    Raises:
        RunError: a process died, or nothing can be written there.
    """
    found = find_recordings([manifest], workers=workers)
    sides = [""] * len(manifest) if manifest.splits is None else manifest.splits.tolist()
    sheets = ContactSheets.of(found, found.copies([manifest], sides))
    sheets.write_page(sheets_beside(path), title=path.stem)
    replace(manifest, groups=found.sources.of_row).write_csv(path)
    return sheets
