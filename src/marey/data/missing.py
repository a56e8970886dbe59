"""Which files of a list are not there, found out before any work begins, and which classes are lost with broken ones."""

import os
from collections.abc import Collection

import numpy as np

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


def tell_of_lost_classes(manifest: Manifest, broken: Collection[str]) -> None:
    """Name the classes of which every video is broken; `broken` are ids as `Manifest` gives them for its rows."""
    if not broken:
        return
    ids = manifest.ids if manifest.times is None else np.array([sample.id for sample in manifest])
    unread = np.isin(ids, list(broken))
    hot = manifest.multi_hot() > 0
    lost = [manifest.class_names[label] for label in np.flatnonzero(hot.any(0) & ~hot[~unread].any(0)).tolist()]
    if lost:
        some = ", ".join(lost[:5]) + (", ..." if len(lost) > 5 else "")
        warning_once(f"{counted(len(lost), 'class', 'classes')} without a single video that can be read: {some}.")


def _names_in(folder: str) -> frozenset[str] | None:
    """What lies in a folder; None where no folder is."""
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:  # it may not be listed, but files in it may be read
        return frozenset()
