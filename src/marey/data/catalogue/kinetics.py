"""Kinetics-400, -600 and -700: clips of ten seconds cut from YouTube videos, one per video, listed in DeepMind's CSV.

A file is <youtube id>_<start>_<end>.mp4 with the seconds in six digits, or <youtube id>.mp4, flat or in a folder of its
class. Every copy of the data sets lacks some clips, and not all copies lack the same.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from marey.base.errors import DataError
from marey.base.names import did_you_mean
from marey.data.catalogue.published import FilesByClip, PublishedClip, PublishedSet, PublishedSplit

OFFICIAL = {"kinetics400": {"train": 246_534, "val": 19_906, "test": 38_685}}
"""The number of rows of DeepMind's lists. Those of Kinetics-600 and -700 are counted in the lists that the user gives."""

ANNOUNCED = {"kinetics400": {"train": 240_436, "val": 19_796}}
"""The number of clips in the copy that MMAction v0.2.0 was measured on."""

_SPLITS = {"train": "train", "val": "val", "validate": "val", "validation": "val", "test": "test"}
_NAME = re.compile(r"([\w-]{11})(?:_(\d+)(?:\.\d+)?_\d+(?:\.\d+)?)?(?:\.\w+)?")


@dataclass(frozen=True)
class Kinetics(PublishedSet):
    """The clips of one of the three data sets."""

    def key(self, path: str) -> str | None:
        """`ID_START`, where START is in whole seconds without leading zeros; the id alone if the name has no times."""
        found = _NAME.fullmatch(path.rpartition("/")[2])
        if found is None:
            return None
        return found[1] if found[2] is None else f"{found[1]}_{int(found[2])}"

    def splits(self, folder: Path, files: FilesByClip, lists: Sequence[Path]) -> list[PublishedSplit]:
        """The splits of DeepMind's lists: `lists`, or else those in `folder`. Without lists, the folders of the files name
        splits and classes.
        """
        lists = lists or _lists_in(folder)
        by_split = self._listed(lists, files) if lists else self._by_folders(folder, files)
        official, announced = OFFICIAL.get(self.name, {}), ANNOUNCED.get(self.name, {})
        return [
            PublishedSplit(f"{self.name}_{split}", split, by_split[split], official.get(split), announced.get(split))
            for split in ("train", "val", "test")
            if split in by_split
        ]

    def _listed(self, lists: Sequence[Path], files: FilesByClip) -> dict[str, list[PublishedClip]]:
        by_split: dict[str, dict[str, PublishedClip]] = {}
        for path in lists:
            for split, clip in self._rows(path, files):
                by_split.setdefault(split, {})[clip.key] = clip
        return {split: list(clips.values()) for split, clips in by_split.items()}

    def _rows(self, path: Path, files: FilesByClip) -> Iterator[tuple[str, PublishedClip]]:
        with _opened_text(path) as file:
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
                split = _SPLITS.get((row.get("split") or "").lower()) or _split_in_name(path.stem)
                if split is None:
                    raise DataError(
                        f"{where}: neither the column split nor the name of the file shows train, val or test."
                    )
                yield split, _clip_of_row(row, name, files, where)

    def _by_folders(self, folder: Path, files: FilesByClip) -> dict[str, list[PublishedClip]]:
        by_split: dict[str, list[PublishedClip]] = {}
        for key, paths in files.items():
            label = self._spellings.class_of(paths[0])
            split = next((s for p in reversed(paths[0].split("/")[:-1]) if (s := _split_in_name(p))), None)
            if label and split:
                by_split.setdefault(split, []).append(PublishedClip(key, label, key[:11]))
        if not by_split:
            raise DataError(
                f"{folder}: no list was found, and the files are not in folders such as train/<class>; give DeepMind's "
                "CSV with --list."
            )
        return by_split


def _clip_of_row(row: dict[str, str], label: str, files: FilesByClip, where: str) -> PublishedClip:
    try:
        start, end = float(row["time_start"]), float(row["time_end"])
    except (TypeError, ValueError):
        raise DataError(f"{where}: time_start and time_end must be seconds.") from None
    video = row["youtube_id"]
    timed = f"{video}_{int(start)}"
    return PublishedClip(video if timed not in files and video in files else timed, label, video, end - start)


def _lists_in(folder: Path) -> list[Path]:
    """DeepMind's lists in a folder, recognised by their header."""
    return [
        p for p in sorted([*folder.glob("*.csv"), *folder.glob("annotations/*.csv")]) if "youtube_id" in _header_line(p)
    ]


def _header_line(path: Path) -> str:
    with _opened_text(path) as file:
        return file.readline()


def _opened_text(path: Path) -> TextIO:
    try:
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None


def _split_in_name(name: str) -> str | None:
    """The split whose word is in the name of a folder or list (train_256, videos_val, kinetics-400_test); None: no word."""
    return next((_SPLITS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in _SPLITS), None)


KINETICS400, KINETICS600, KINETICS700 = (Kinetics(f"kinetics{n}") for n in (400, 600, 700))
