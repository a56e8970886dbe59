"""Files of a list that do not exist, found before work begins, and classes that have only broken files."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from marey.base.address import Address, address_in, is_address, redacted
from marey.base.errors import DataError
from marey.base.reporter import warning_once
from marey.base.words import counted, verb
from marey.data.files.quarantine import most_tolerated
from marey.data.lists.files_in import FilesIn
from marey.data.lists.manifest import Manifest
from marey.data.lists.videos import VideoList, first_of
from marey.video.reading.decoding import FetchError
from marey.video.reading.remote import RemoteFile

_SERVERS = 20
"""The most servers of a list that are asked before work begins: those with the most videos."""
_ASKED = 3
"""The most videos that each of these servers is asked for."""


def missing_videos(videos: VideoList) -> list[str]:
    """The ids whose file or folder does not exist; servers are not asked.

    Each folder is listed once, since asking for each of a million files would take minutes.
    """
    existing, root = FilesIn(videos.root), str(videos.root)
    # A name that is in no listing is looked up: some file systems list a name in another form of Unicode than they accept.
    return [
        name
        for name in dict.fromkeys(videos.ids.tolist())
        if name not in existing and not is_address(name) and not os.path.exists(os.path.join(root, name))  # noqa: PTH110, PTH118
    ]


@dataclass(frozen=True)
class Missing:
    """The files that a list names and that do not exist."""

    files: tuple[str, ...]
    """Their paths as the list has them, each once."""
    videos: int
    """The number of entries of the list that are one of these files or a segment of one, as `Quarantine` counts broken
    videos."""

    @classmethod
    def of(cls, manifest: Manifest) -> "Missing":
        files = missing_videos(manifest.videos)
        rows = np.flatnonzero(np.isin(manifest.ids, files)).tolist() if files else []
        return cls(tuple(files), len({manifest[row].id for row in rows}))


def check_present(max_broken: float | None, *manifests: Manifest) -> frozenset[str]:
    """Warn of the videos that do not exist, counted over all lists that one run uses; returns the paths of their files.

    Raises:
        DataError: as `require_present`.
    """
    of_lists = require_present(max_broken, *manifests)
    if not any(missing.files for missing in of_lists):
        return frozenset()
    number, count = _missing_in_words(manifests, of_lists)
    first = first_of([name for missing in of_lists for name in missing.files], 3)
    warning_once(f"{number} {verb(count, 'is', 'are')} not there and {verb(count, 'is', 'are')} left out: {first}.")
    return frozenset(
        str(manifest.root / name)
        for manifest, missing in zip(manifests, of_lists, strict=True)
        for name in missing.files
    )


def require_present(max_broken: float | None, *manifests: Manifest) -> tuple[Missing, ...]:
    """The missing files of each of the lists that one run uses.

    Raises:
        DataError: more videos are missing than `max_broken` tolerates (`most_tolerated`), so that the work would stop later;
            or a server returns none of its videos (`require_servers`).
    """
    for manifest in manifests:
        require_servers(manifest.videos)
    of_lists = tuple(Missing.of(manifest) for manifest in manifests)
    number, count = _missing_in_words(manifests, of_lists)
    tolerated = most_tolerated(sum(map(len, manifests)), max_broken)
    if not count or count <= tolerated:
        return of_lists
    files = [name for missing in of_lists for name in missing.files]
    root = next(manifest.root for manifest, missing in zip(manifests, of_lists, strict=True) if missing.files)
    raise DataError(
        f"{number} {verb(count, 'is', 'are')} not there, more than the {tolerated} that {verb(tolerated, 'is', 'are')} "
        f"tolerated (--max-broken): {first_of(files, 3)}. Relative paths are relative to {root.resolve()}.{_advice(files)}"
    )


def _missing_in_words(manifests: Sequence[Manifest], of_lists: Sequence[Missing]) -> tuple[str, int]:
    """The number of missing videos as the beginning of a sentence ("a.csv: 3 of 10 videos"), and as a number."""
    lists = dict.fromkeys(manifest.source or "the list" for manifest in manifests)
    files, count = sum(len(missing.files) for missing in of_lists), sum(missing.videos for missing in of_lists)
    segments = "" if files == count else f" ({verb(count, 'a segment', 'segments')} of {counted(files, 'file')})"
    return f"{' and '.join(lists)}: {count:,} of {counted(sum(map(len, manifests)), 'video')}{segments}", count


def require_files(videos: VideoList) -> None:
    """Check before work begins that a file of the list exists, and that servers return videos of it (`require_servers`).

    About 200 rows are looked up, evenly spaced. Videos that were given as paths, not by a list, are not checked.

    Raises:
        DataError: none of these files exists; or as `require_servers`.
    """
    if not videos.source:
        return
    names = [name for name in videos.ids[:: max(1, len(videos) // 200)].tolist() if not is_address(name)]
    if len(names) < len(videos):
        require_servers(videos)
    existing = FilesIn(videos.root)
    if not names or any(name in existing for name in names):
        return
    looked_up = "its files" if len(names) == len(videos) else f"{counted(len(names), 'file')} looked up"
    raise DataError(
        f"{videos.source}: not one video could be read: none of {looked_up} is there; the first one should be "
        f"{videos.root / names[0]}.{_advice(names)}"
    )


def require_servers(videos: VideoList) -> None:
    """Check before work begins that servers return videos of a list. The 20 with the most videos are asked for up to three
    each.

    A server that returns none of these is an error if it has more than half of the videos, and otherwise a warning.

    Raises:
        DataError: the server with more than half of the videos returns none; the message has its reason.
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
        asked, total = min(_ASKED, len(addresses)), counted(len(addresses), "video")
        source = videos.source or "the list"
        message = f"{source}: {server} returns none of the {asked} requested of its {total}; the first, {reason}"
        if 2 * len(addresses) > len(videos):
            raise DataError(f"{message}.")
        warning_once(message)


def _refusal(addresses: Sequence[Address]) -> str | None:
    """The reason why a server returns none of these files; None if it returns one."""
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
    """Refuse lists with videos on servers; `work` is the command that needs files on this machine, for the message.

    Raises:
        DataError: a video is on a server.
    """
    for videos in lists:
        names = [name for name in videos.ids[np.char.find(videos.ids, "://") > 0].tolist() if address_in(name)]
        if names:
            raise DataError(
                f"{videos.source or 'the list'}: {counted(len(names), 'video')} {verb(len(names), 'is', 'are')} on "
                f"servers (the first: {redacted(names[0])}), and {work} needs files on this machine: fetch them first."
            )


def _advice(missing: Sequence[str]) -> str:
    """What to do about files that do not exist, as sentences with a blank before them."""
    slashes = " Their paths have backslashes: write them with /." if all("\\" in name for name in missing) else ""
    return (
        f"{slashes} --root FOLDER (root= in Python) is the folder of relative paths; absolute paths must exist on this "
        "machine."
    )


def warn_of_lost_classes(manifest: Manifest, broken: Collection[str]) -> None:
    """Warn of classes whose videos are all broken; `broken` are the ids of broken entries (`VideoEntry.id`)."""
    if not broken:
        return
    ids = (
        manifest.ids
        if manifest.times is None and manifest.frame_ranges is None
        else np.array([sample.id for sample in manifest])
    )
    is_broken = np.isin(ids, list(broken))
    hot = manifest.multi_hot() > 0
    lost = [manifest.class_names[label] for label in np.flatnonzero(hot.any(0) & ~hot[~is_broken].any(0)).tolist()]
    if lost:
        some = first_of(lost, 5)
        warning_once(f"{counted(len(lost), 'class')} without a video that can be read: {some}.")
