"""Which files of a list are not there, found out before any work begins, and which classes are lost with broken ones."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from marey.base.address import Address, address_in, is_address, shown
from marey.base.errors import DataError
from marey.base.reporter import warning_once
from marey.base.words import counted, verb
from marey.data.files.quarantine import most_tolerated
from marey.data.lists.manifest import Manifest
from marey.data.lists.rows import FilesIn
from marey.data.lists.videos import VideoList, first_of
from marey.video.reading.decoding import FetchError
from marey.video.reading.remote import RemoteFile

_SERVERS = 20
"""Servers of a list that are asked before work, those with most of its videos."""
_ASKED = 3
"""Videos that each of them is asked for."""


def missing_videos(videos: VideoList) -> list[str]:
    """The ids of which no file or folder is there. Each folder is listed once: a million questions would take minutes, and
    servers are not asked at all.
    """
    there, root = FilesIn(videos.root), str(videos.root)
    # Asked again one by one: some file systems know a name by other letters than they list it by.
    return [
        name
        for name in dict.fromkeys(videos.ids.tolist())
        if name not in there and not is_address(name) and not os.path.exists(os.path.join(root, name))  # noqa: PTH110, PTH118
    ]


@dataclass(frozen=True)
class Missing:
    """What a list names that is not there."""

    files: tuple[str, ...]
    """Each once, as the list names it."""
    videos: int
    """Videos of the list that are these files or parts of them, as `Quarantine` counts the broken ones."""

    @classmethod
    def of(cls, manifest: Manifest) -> "Missing":
        files = missing_videos(manifest.videos)
        rows = np.flatnonzero(np.isin(manifest.ids, files)).tolist() if files else []
        return cls(tuple(files), len({manifest[row].id for row in rows}))


def check_present(max_broken: float | None, *manifests: Manifest) -> frozenset[str]:
    """Count in one line the videos of all lists, which are worked on together, that are not there, and return the paths of
    their files.

    Raises:
        DataError: as `require_present`.
    """
    found = require_present(max_broken, *manifests)
    if not any(missing.files for missing in found):
        return frozenset()
    of, count = _counted(manifests, found)
    first, are = first_of([name for missing in found for name in missing.files], 3), verb(count, "is", "are")
    warning_once(f"{of} {are} not there and {are} set aside: {first}.")
    return frozenset(
        str(manifest.root / name) for manifest, missing in zip(manifests, found, strict=True) for name in missing.files
    )


def require_present(max_broken: float | None, *manifests: Manifest) -> tuple[Missing, ...]:
    """What is not there of each of the lists, which are worked on together.

    Raises:
        DataError: more videos than `max_broken` allows (`most_tolerated`), so that the work would stop on the way; or a
            server gives none of them (`require_servers`).
    """
    for manifest in manifests:
        require_servers(manifest.videos)
    found = tuple(Missing.of(manifest) for manifest in manifests)
    of, count = _counted(manifests, found)
    tolerated = most_tolerated(sum(map(len, manifests)), max_broken)
    if not count or count <= tolerated:
        return found
    files = [name for missing in found for name in missing.files]
    root = next(manifest.root for manifest, missing in zip(manifests, found, strict=True) if missing.files)
    raise DataError(
        f"{of} {verb(count, 'is', 'are')} not there, more than the {tolerated} that {verb(tolerated, 'is', 'are')} "
        f"tolerated (--max-broken): {first_of(files, 3)}. Relative paths are sought in {root.resolve()}.{_way_out(files)}"
    )


def _counted(manifests: Sequence[Manifest], found: Sequence[Missing]) -> tuple[str, int]:
    """How many videos of which lists are missing, as the beginning of a sentence, and their number."""
    lists = dict.fromkeys(manifest.source or "the list" for manifest in manifests)
    files, count = sum(len(missing.files) for missing in found), sum(missing.videos for missing in found)
    parts = "" if files == count else f" ({verb(count, 'a part', 'parts')} of {counted(files, 'file')})"
    return f"{' and '.join(lists)}: {count:,} of {counted(sum(map(len, manifests)), 'video')}{parts}", count


def require_files(videos: VideoList) -> None:
    """Check before work that not every file of a list is missing, by at most 200 of its rows, and that servers give some of
    their files (`require_servers`). Videos that no list names, but a caller, are met one by one.

    Raises:
        DataError: not one is there.
    """
    if not videos.source:
        return
    names = [name for name in videos.ids[:: max(1, len(videos) // 200)].tolist() if not is_address(name)]
    if len(names) < len(videos):
        require_servers(videos)
    there = FilesIn(videos.root)
    if not names or any(name in there for name in names):
        return
    raise DataError(
        f"{videos.source}: not one video could be read, for none of its files is there; the first looked for is "
        f"{videos.root / names[0]}.{_way_out(names)}"
    )


def require_servers(videos: VideoList) -> None:
    """Check before work that servers give videos of a list: each of those that have most of them is asked for up to three.

    A server that gives none of these ends the work where it has more than half of the list; else there is a warning.

    Raises:
        DataError: it does; what it answers is named.
    """
    rows = np.flatnonzero(np.char.find(videos.ids, "://") > 0)
    of_server: dict[str, list[Address]] = {}
    for name in videos.ids[rows].tolist():
        if (address := address_in(name)) is not None:
            of_server.setdefault(address.server, []).append(address)
    for server, addresses in sorted(of_server.items(), key=lambda one: -len(one[1]))[:_SERVERS]:
        reason = _refusal(addresses[:: max(1, len(addresses) // _ASKED)][:_ASKED])
        if reason is None:
            continue
        asked, there = min(_ASKED, len(addresses)), counted(len(addresses), "video")
        source = videos.source or "the list"
        said = f"{source}: {server} gives none of the {asked} asked for of its {there}; the first, {reason}"
        if 2 * len(addresses) > len(videos):
            raise DataError(f"{said}.")
        warning_once(said)


def _refusal(addresses: Sequence[Address]) -> str | None:
    """Why a server gives none of these files; None where it gives one."""
    reason = None
    for address in addresses:
        try:
            RemoteFile(address).close()
        except FetchError as error:
            reason = reason or str(error)
        else:
            return None
    return reason


def refuse_addresses(work: str, *lists: VideoList | Manifest) -> None:
    """Refuse lists of videos on servers where `work` is done on files of this machine.

    Raises:
        DataError: there are some.
    """
    for videos in lists:
        names = [name for name in videos.ids[np.char.find(videos.ids, "://") > 0].tolist() if address_in(name)]
        if names:
            raise DataError(
                f"{videos.source or 'the list'}: {counted(len(names), 'video')} {verb(len(names), 'lies', 'lie')} on "
                f"servers (the first: {shown(names[0])}), and {work} works on files of this machine: fetch them first."
            )


def _way_out(missing: Sequence[str]) -> str:
    """What to do about files that are not there."""
    slashes = " Their paths have backslashes: write them with /." if all("\\" in name for name in missing) else ""
    return (
        f"{slashes} --root FOLDER (root= in Python) is the folder of relative paths; absolute ones must be those of this "
        "machine."
    )


def tell_of_lost_classes(manifest: Manifest, broken: Collection[str]) -> None:
    """Name the classes of which every video is broken; `broken` are ids as `Manifest` gives them for its rows."""
    if not broken:
        return
    ids = (
        manifest.ids
        if manifest.times is None and manifest.frame_ranges is None
        else np.array([sample.id for sample in manifest])
    )
    unread = np.isin(ids, list(broken))
    hot = manifest.multi_hot() > 0
    lost = [manifest.class_names[label] for label in np.flatnonzero(hot.any(0) & ~hot[~unread].any(0)).tolist()]
    if lost:
        some = first_of(lost, 5)
        warning_once(f"{counted(len(lost), 'class')} without a single video that can be read: {some}.")
