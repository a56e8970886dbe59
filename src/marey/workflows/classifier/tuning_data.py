"""The lists of the videos that a run was fitted and tested on, kept in its folder `tuning`, so that the videos are found
again: by paths relative to the folder of the data, beside a note of where that folder was.
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
from marey.data.lists.formats import read_manifest
from marey.data.lists.manifest import Manifest

PLACES = "places.json"
"""In the folder `tuning`: where the videos of the lists lie."""
CLIPS = "clips"
"""The list of the clips that the run was fitted on, clips.csv; those that it is tested on are val.csv and test.csv."""
_LOOKED_AT = 20
"""Videos of a list of which one must be there for a folder to be that of the data."""


@dataclass(frozen=True)
class TuningData:
    """The videos of a run, where they lie now."""

    clips: Manifest
    """That it was fitted on."""
    tested: dict[str, Manifest]
    """That it is tested on, by the names of their splits."""

    def shown(self, ids: Sequence[str]) -> Manifest:
        """The clips by the names that scores have, `ids`, where the list of the data had whole paths."""
        known = set(ids)
        if any(video.id in known for video in self.clips.videos):
            return self.clips
        return replace(self.clips, ids=np.array([str(self.clips.root / name) for name in self.clips.ids.tolist()]))

    @classmethod
    def read(
        cls, run: Path, classes: tuple[str, ...], *, root: Path | None = None, max_broken: float | None = None
    ) -> "TuningData":
        """The lists of a run, and its videos: below `root`; else where they lay when it was fitted; else in the same place
        as seen from the run's folder, where both were copied together.

        Args:
            root: The folder that now has what the folder of the data had.

        Raises:
            DataError: the lists are not there; or more videos are missing than `max_broken` allows (`most_tolerated`).
        """
        places = _Places.load(run)
        beside = Path(os.path.abspath(run / places.from_run))  # noqa: PTH100 - links stay as they are
        bases = [root] if root is not None else [Path(places.root), beside]
        found = [places.lists(run, classes, bases[0])]
        if not _is_there(found[0]) and len(bases) > 1:
            found.append(places.lists(run, classes, bases[1]))
        lists = next((lists for lists in found if _is_there(lists)), found[0])
        _require_videos(run, lists, places.root, max_broken)
        return cls(lists[CLIPS], {name: part for name, part in lists.items() if name != CLIPS})


def save_lists(parts: Mapping[str, Manifest], out: Path) -> None:
    """Write the lists of a run, by the names of `TuningData`, and where their videos lie."""
    folder = out / TUNING
    folder.mkdir(parents=True, exist_ok=True)
    portable = {name: _below_its_folder(part) for name, part in parts.items()}
    for name, part in portable.items():
        replace(part, root=folder).write_csv(folder / f"{name}.csv")  # paths as they are, not relative to the list
    _Places.of({name: part.root for name, part in portable.items()}, out).save(out)


@dataclass(frozen=True)
class _Places:
    """Where the videos of a run's lists lay when it was fitted."""

    root: str
    """The folder that has all of them; absolute."""
    from_run: str
    """The same, relative to the run's folder."""
    parts: Mapping[str, str]
    """The folder of each list's paths, by its name, relative to `root`."""

    @classmethod
    def of(cls, roots: Mapping[str, Path], out: Path) -> "_Places":
        folders = {name: os.path.abspath(root) for name, root in roots.items()}  # noqa: PTH100 - links stay as they are
        try:
            root = os.path.commonpath(folders.values())
        except ValueError:  # several drives of Windows
            root = folders[CLIPS]
        from_run = _relative(root, os.path.abspath(out))  # noqa: PTH100
        return cls(root, from_run, {name: _relative(folder, root) for name, folder in folders.items()})

    def save(self, out: Path) -> None:
        write_json(out / TUNING / PLACES, {"root": self.root, "from_run": self.from_run, "parts": dict(self.parts)})

    @classmethod
    def load(cls, run: Path) -> "_Places":
        path = run / TUNING / PLACES
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return cls(found["root"], found["from_run"], found["parts"])
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}: not what marey train wrote ({error}): train again into another folder.") from None

    def lists(self, run: Path, classes: tuple[str, ...], base: Path) -> dict[str, Manifest]:
        """The lists, with their videos below `base`."""
        return {
            name: read_manifest(run / TUNING / f"{name}.csv", root=base / part, classes=classes)
            for name, part in self.parts.items()
        }


def _below_its_folder(part: Manifest) -> Manifest:
    """The manifest by paths that a folder of another name serves as well: its own where they lie below its root; else
    relative to the folder that all of them have in common.
    """
    names = part.ids.tolist()
    if all(_stays_below(name) for name in names):
        return part
    paths = [os.path.abspath(os.path.join(part.root, name)) for name in names]  # noqa: PTH100, PTH118
    try:
        root = os.path.commonpath([os.path.dirname(path) for path in paths])  # noqa: PTH120
    except ValueError:  # several drives of Windows
        return part
    return replace(part, ids=np.array([os.path.relpath(path, root) for path in paths]), root=Path(root))


def _stays_below(name: str) -> bool:
    """Whether a path leads to a place below the folder that it is relative to."""
    path = Path(os.path.normpath(name))
    return not path.is_absolute() and path.parts[:1] != (os.pardir,)


def _relative(path: str, start: str) -> str:
    """A path from a folder, with slashes; as it is where none leads there, from one drive of Windows to another."""
    try:
        return Path(os.path.relpath(path, start)).as_posix()
    except ValueError:
        return path


def _is_there(lists: Mapping[str, Manifest]) -> bool:
    return any(isinstance(video.path, Address) or video.path.exists() for video in lists[CLIPS].videos[:_LOOKED_AT])


def _require_videos(run: Path, lists: Mapping[str, Manifest], noted: str, max_broken: float | None) -> None:
    """Check that the videos of a run are there, of each list but for as many as may be broken.

    Raises:
        DataError: the first missing one is named, and the folder whose place --root can take.
    """
    for name, part in lists.items():
        missing, tolerated = Missing.of(part), most_tolerated(len(part), max_broken)
        if not missing.files or missing.videos <= tolerated:
            continue
        whose = "it was fitted on" if name == CLIPS else f"it is tested on ({name})"
        raise DataError(
            f"{run}: {missing.videos:,} of the {counted(len(part), 'clip')} that {whose} "
            f"{verb(missing.videos, 'is', 'are')} not there, more than the {tolerated} that "
            f"{verb(tolerated, 'is', 'are')} tolerated (--max-broken), first {part.root / missing.files[0]}: --root FOLDER "
            f"(root= in Python) names the folder that now has what {noted} had."
        )
