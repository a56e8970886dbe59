"""Whether the files of a list are there, found out before any work begins."""

import os

from marey.base.errors import DataError
from marey.base.reporter import warning_once
from marey.data.manifest import Manifest
from marey.data.videos import counted


def missing_videos(manifest: Manifest) -> list[str]:
    """The ids of which no file or folder is there. Each folder is listed once: a million questions would take minutes."""
    root, listed, missing = str(manifest.root), dict[str, frozenset[str] | None](), []
    for name in dict.fromkeys(manifest.ids.tolist()):
        path = os.path.join(root, name)  # noqa: PTH118 - a Path per row would take most of the time
        folder, _, file = path.rpartition("/")
        if folder not in listed:
            listed[folder] = _names_in(folder or ("/" if path.startswith("/") else "."))
        there = listed[folder]
        # Asked again one by one: some file systems know a name by other letters than they list it by.
        if there is None or (file not in there and not os.path.exists(path)):  # noqa: PTH110
            missing.append(name)
    return missing


def check_present(manifest: Manifest, max_broken: float) -> None:
    """Count the files of a list that are not there in one line.

    Raises:
        DataError: they are more than `max_broken`, a share of all, so that the work would stop on the way.
    """
    if not (missing := missing_videos(manifest)):
        return
    of = f"{manifest.source or 'the list'}: {len(missing):,} of {counted(len(manifest), 'video')}"
    first = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
    if len(missing) <= max_broken * len(manifest):
        warning_once(f"{of} are not there and are left out: {first}.")
        return
    hint = " Their paths have backslashes: write them with /." if all("\\" in name for name in missing) else ""
    raise DataError(
        f"{of} are not there, more than the {max_broken:.1%} that are tolerated (--max-broken): {first}.{hint} Relative "
        f"paths are sought in {manifest.root.resolve()}; another folder is named with --root."
    )


def _names_in(folder: str) -> frozenset[str] | None:
    """What lies in a folder; None where no folder is."""
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:  # it may not be listed, but files in it may be read
        return frozenset()
