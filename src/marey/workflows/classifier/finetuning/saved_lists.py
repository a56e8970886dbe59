"""Lists of the videos of a run on frozen features, saved in its folder `tuning` so that the videos are found again.

Paths are relative to the folder of the data, which is recorded as an absolute path and relative to the run.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from marey.base.address import Address
from marey.base.errors import DataError
from marey.base.files import write_json
from marey.base.runs import TUNING
from marey.base.words import counted, verb
from marey.data.files.missing import Missing
from marey.data.files.quarantine import most_tolerated
from marey.data.lists.manifest import Manifest
from marey.data.lists.read_manifest import read_manifest

DATA_FOLDERS = "places.json"
"""File in the folder `tuning`: where the videos of the lists are."""
CLIPS = "clips"
"""The videos that the run was fitted on are in clips.csv; those that it is tested on are in val.csv and test.csv."""
_LOOKED_AT = 20
"""A folder is taken for that of the data if one of this number of first videos exists there."""


@dataclass(frozen=True)
class RunVideos:
    """The videos of a run, with the paths where they are now."""

    train: Manifest
    """The videos that it was fitted on."""
    tested: dict[str, Manifest]
    """The videos that it is tested on, by the names of their splits."""

    def with_ids_of(self, ids: Sequence[str]) -> Manifest:
        """The videos with the ids that scores have: full paths, if the list of the data had full paths."""
        known = set(ids)
        if any(video.id in known for video in self.train.videos):
            return self.train
        return replace(self.train, ids=np.array([str(self.train.root / name) for name in self.train.ids.tolist()]))

    @classmethod
    def read(
        cls, run: Path, classes: tuple[str, ...], *, root: Path | None = None, max_broken: float | None = None
    ) -> "RunVideos":
        """The videos of a run, from its saved lists.

        Args:
            root: The folder that now has the data; None: the folder where they were when the run was fitted, or if they are
                not there, the same path relative to the run, in case both were copied together.

        Raises:
            DataError: the lists do not exist; or more videos are missing than `max_broken` allows (`most_tolerated`).
        """
        folders = _DataFolders.load(run)
        beside_run = Path(os.path.abspath(run / folders.from_run))  # noqa: PTH100 - links stay as they are
        bases = [root] if root is not None else [Path(folders.root), beside_run]
        lists = folders.lists(run, classes, bases[0])
        if len(bases) > 1 and not _exists(lists):
            at_run = folders.lists(run, classes, bases[1])
            lists = at_run if _exists(at_run) else lists
        _require_videos(run, lists, folders.root, max_broken)
        return cls(lists[CLIPS], {name: videos for name, videos in lists.items() if name != CLIPS})


def save_lists(lists: Mapping[str, Manifest], out: Path) -> None:
    """Write the lists of a run, by the names of `RunVideos`, and record where their videos are."""
    folder = out / TUNING
    folder.mkdir(parents=True, exist_ok=True)
    portable = {name: _below_its_folder(videos) for name, videos in lists.items()}
    for name, videos in portable.items():
        replace(videos, root=folder).write_csv(folder / f"{name}.csv")  # paths as they are, not relative to the list
    _DataFolders.of({name: videos.root for name, videos in portable.items()}, out).save(out)


@dataclass(frozen=True)
class _DataFolders:
    """Where the videos of a run's lists were when it was fitted."""

    root: str
    """The folder that has all of them, as an absolute path."""
    from_run: str
    """The same folder, relative to the run's folder."""
    folders: Mapping[str, str]
    """For each list by name, the folder that its paths are relative to, relative to `root`."""

    @classmethod
    def of(cls, roots: Mapping[str, Path], out: Path) -> "_DataFolders":
        folders = {name: os.path.abspath(root) for name, root in roots.items()}  # noqa: PTH100 - links stay as they are
        try:
            root = os.path.commonpath(folders.values())
        except ValueError:  # several drives of Windows
            root = folders[CLIPS]
        from_run = _relative(root, os.path.abspath(out))  # noqa: PTH100
        return cls(root, from_run, {name: _relative(folder, root) for name, folder in folders.items()})

    def save(self, out: Path) -> None:
        write_json(
            out / TUNING / DATA_FOLDERS, {"root": self.root, "from_run": self.from_run, "parts": dict(self.folders)}
        )

    @classmethod
    def load(cls, run: Path) -> "_DataFolders":
        path = run / TUNING / DATA_FOLDERS
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            return cls(fields["root"], fields["from_run"], fields["parts"])
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}: not what marey train wrote ({error}): train again into another folder.") from None

    def lists(self, run: Path, classes: tuple[str, ...], base: Path) -> dict[str, Manifest]:
        """The lists, with their videos below `base`."""
        return {
            name: read_manifest(run / TUNING / f"{name}.csv", root=base / folder, classes=classes)
            for name, folder in self.folders.items()
        }


def _below_its_folder(videos: Manifest) -> Manifest:
    """The list with paths below its root, so that the folder can be moved: its own paths if they are below its root; else
    relative to the folder that all paths have in common.
    """
    names = videos.ids.tolist()
    if all(_stays_below(name) for name in names):
        return videos
    paths = [os.path.abspath(os.path.join(videos.root, name)) for name in names]  # noqa: PTH100, PTH118
    try:
        root = os.path.commonpath([os.path.dirname(path) for path in paths])  # noqa: PTH120
    except ValueError:  # several drives of Windows
        return videos
    return replace(videos, ids=np.array([os.path.relpath(path, root) for path in paths]), root=Path(root))


def _stays_below(name: str) -> bool:
    """Whether a relative path stays below the folder that it starts from."""
    path = Path(os.path.normpath(name))
    return not path.is_absolute() and path.parts[:1] != (os.pardir,)


def _relative(path: str, start: str) -> str:
    """A path relative to a folder, with slashes; unchanged if it is on another drive of Windows."""
    try:
        return Path(os.path.relpath(path, start)).as_posix()
    except ValueError:
        return path


def _exists(lists: Mapping[str, Manifest]) -> bool:
    return any(isinstance(video.path, Address) or video.path.exists() for video in lists[CLIPS].videos[:_LOOKED_AT])


def _require_videos(run: Path, lists: Mapping[str, Manifest], noted: str, max_broken: float | None) -> None:
    """Check that the videos of a run exist, except for as many of each list as may be broken.

    Args:
        noted: The folder where they were when the run was fitted.

    Raises:
        DataError: too many are missing; the message names the first one, and the folder that --root replaces.
    """
    for name, videos in lists.items():
        missing, tolerated = Missing.of(videos), most_tolerated(len(videos), max_broken)
        if not missing.files or missing.videos <= tolerated:
            continue
        purpose = "it was fitted on" if name == CLIPS else f"it is tested on ({name})"
        raise DataError(
            f"{run}: {missing.videos:,} of the {counted(len(videos), 'video')} that {purpose} "
            f"{verb(missing.videos, 'is', 'are')} not there, more than the {tolerated} that "
            f"{verb(tolerated, 'is', 'are')} tolerated (--max-broken), first {videos.root / missing.files[0]}: --root "
            f"FOLDER (root= in Python) names the folder that now has what {noted} had."
        )
