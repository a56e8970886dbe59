"""Kinetics-400, -600 and -700: clips of ten seconds cut from YouTube videos, one per video, listed in DeepMind's CSV.

A file is <youtube id>_<start>_<end>.mp4 with the seconds in six digits, or <youtube id>.mp4, flat or in a folder of its
class. Every copy lacks clips: which ones differs from copy to copy.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from marey.base.errors import DataError
from marey.base.nearest import did_you_mean
from marey.data.catalogue.published import Clip, Files, Part, PublishedSet

OFFICIAL = {"kinetics400": {"train": 246_534, "val": 19_906, "test": 38_685}}
"""Rows of DeepMind's lists. Those of Kinetics-600 and -700 are counted from the lists that the user gives."""

ANNOUNCED = {"kinetics400": {"train": 240_436, "val": 19_796}}
"""The copy on which MMAction v0.2.0 measured."""

_SPLITS = {"train": "train", "val": "val", "validate": "val", "validation": "val", "test": "test"}
_NAME = re.compile(r"([\w-]{11})(?:_(\d+)(?:\.\d+)?_\d+(?:\.\d+)?)?(?:\.\w+)?")


@dataclass(frozen=True)
class Kinetics(PublishedSet):
    """One of the three published sets."""

    def key(self, path: str) -> str | None:
        """`id_start` with plain seconds, or the id alone where the name has no times."""
        found = _NAME.fullmatch(path.rpartition("/")[2])
        if found is None:
            return None
        return found[1] if found[2] is None else f"{found[1]}_{int(found[2])}"

    def parts(self, folder: Path, files: Files, lists: Sequence[Path]) -> list[Part]:
        """By DeepMind's lists: those given, else those found in the folder; without any, by folders of split and class."""
        lists = lists or _lists_in(folder)
        by_split = self._listed(lists, files) if lists else self._by_folders(folder, files)
        official, announced = OFFICIAL.get(self.name, {}), ANNOUNCED.get(self.name, {})
        return [
            Part(f"{self.name}_{split}", split, by_split[split], official.get(split), announced.get(split))
            for split in ("train", "val", "test")
            if split in by_split
        ]

    def _listed(self, lists: Sequence[Path], files: Files) -> dict[str, list[Clip]]:
        by_split: dict[str, dict[str, Clip]] = {}
        for path in lists:
            for split, clip in self._rows(path, files):
                by_split.setdefault(split, {})[clip.key] = clip
        return {split: list(clips.values()) for split, clips in by_split.items()}

    def _rows(self, path: Path, files: Files) -> Iterator[tuple[str, Clip]]:
        with _opened(path) as file:
            reader = csv.DictReader(file)
            for column in ("youtube_id", "time_start", "time_end"):
                if column not in (reader.fieldnames or ()):
                    raise DataError(
                        f"{path}:1: the column {column!r} is missing; expected DeepMind's list of Kinetics."
                    )
            for row in reader:
                where = f"{path}:{reader.line_num}"
                label = row.get("label") or ""
                name = label and self._spellings.find(label)
                if name is None:
                    hint = did_you_mean(label, self.class_names)
                    raise DataError(f"{where}: {label!r} is no class of {self.name}.{hint}")
                split = _SPLITS.get((row.get("split") or "").lower()) or _split_of(path.stem)
                if split is None:
                    raise DataError(f"{where}: neither the split column nor the file's name says train, val or test.")
                yield split, _clip(row, name, files, where)

    def _by_folders(self, folder: Path, files: Files) -> dict[str, list[Clip]]:
        by_split: dict[str, list[Clip]] = {}
        for key, paths in files.items():
            label = self._spellings.class_of(paths[0])
            split = next((s for p in reversed(paths[0].split("/")[:-1]) if (s := _split_of(p))), None)
            if label and split:
                by_split.setdefault(split, []).append(Clip(key, label, key[:11]))
        if not by_split:
            raise DataError(
                f"{folder}: no list was found, and the files do not lie in folders like train/<class>; give DeepMind's "
                "CSV with --list."
            )
        return by_split


def _clip(row: dict[str, str], label: str, files: Files, where: str) -> Clip:
    try:
        start, end = float(row["time_start"]), float(row["time_end"])
    except (TypeError, ValueError):
        raise DataError(f"{where}: time_start and time_end must be seconds.") from None
    video = row["youtube_id"]
    timed = f"{video}_{int(start)}"
    return Clip(video if timed not in files and video in files else timed, label, video, end - start)


def _lists_in(folder: Path) -> list[Path]:
    """DeepMind's lists in a folder, told by their header."""
    return [
        p for p in sorted([*folder.glob("*.csv"), *folder.glob("annotations/*.csv")]) if "youtube_id" in _first_line(p)
    ]


def _first_line(path: Path) -> str:
    with _opened(path) as file:
        return file.readline()


def _opened(path: Path) -> TextIO:
    try:
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None


def _split_of(name: str) -> str | None:
    """The split that a folder or list is named after: train, train_256, videos_val, kinetics-400_test."""
    return next((_SPLITS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in _SPLITS), None)


KINETICS400, KINETICS600, KINETICS700 = (Kinetics(f"kinetics{n}") for n in (400, 600, 700))
