"""Which recording each video was cut from (its source, or group): by a list's own column, or by names.

A name tells its source in one of these ways, the first that fits:

- A published form: UCF101's `v_Archery_g07_c03` (Archery_g07); Kinetics' `ID_START_END` and other names that begin with
  YouTube's eleven characters; HMDB51's `SOURCE_class_h_cm_np1_fr_goo_0`; NTU's `S001C001P001R001A001` (setup and person);
  GoPro's `GX010034`, chapter 01 of recording 0034.
- It begins with a person or a session and its number or letter: `person03_walk_d1`, `P01_left_2`, `sessionA-2`.
- A prefix, a separator and a counter: `vid12_part2`, `name (1)`, `name_000123`, `2021-01-01_cam1_00012`. The prefix is the
  source. Where several counters follow each other, all of them are left out, or only the last one where a class would else
  have a single source. A number behind a camera's or a counting word alone (`DJI_0001`, `clip_7`) is the recording's own,
  and a date or a time is no counter.
- What is left without the name of its class, where several names share it: `daria_walk`, `daria_run`.
- Where the file's own name tells nothing, the folder between that of its class and the file, `walk/monday/001.mp4`, or, in a
  list without folders of classes, the folder of a person or a session, `P01/001.mp4`.

The name of a video's class is left out of its name before. All other names tell nothing: `down0`, `000123`, `IMG_2041`. A
prefix that all videos have (nine of ten), or all of one class and no other, tells nothing either. Parts of one file have
that file as their source.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache

import numpy as np
from numpy.typing import NDArray

from marey.base.address import Address, is_address, path_in
from marey.base.words import counted, in_words
from marey.data.catalogue import class_names_of
from marey.data.lists.manifest import Manifest
from marey.data.lists.videos import first_of
from marey.video.reading.suffixes import VIDEO_SUFFIXES

UNKNOWN_SOURCES = (
    "file names do not tell sources: clips of one recording may be on both sides (add a column `group`; `marey data "
    "sources` writes one, by pictures too)"
)
_ALL = 0.9
"""A guessed prefix of such a share of the videos, 0 to 1, tells nothing."""
_NAMED = 3
"""Sources that a line names."""

_UCF101 = re.compile(r"v_(\w+_g\d+)_c\d+")
_YOUTUBE = re.compile(
    r"(?:v_)?([\w-]{11}(?<![_-]\d)(?<![_-]\d\d))_\d+\.?\d*_\d+\.?\d*|(?:v_)?([\w-]{11})_(?:\d{6}_\d{6}|\d{5,6})"
)
_NTU = re.compile(r"(S\d{3})C\d{3}(P\d{3})R\d{3}A\d{3}.*")
_GOPRO = re.compile(r"(?:G[HXLPS]\d\d|GOPR)(\d{4})")
_HMDB51 = re.compile(r"(.+)_[ufhl]_(?:cm|nm)_np\d+_(?:fr|ba|le|ri)_(?:goo|med|bad)_\d+")
_PERSON = re.compile(
    r"((?:person|people|subject|subj|sub|actor|participant|performer|patient|player|user|session|sess|recording|rec|day)"
    r"[ _-]?(?:\d+|[a-z])|[ps]\d{2,3})(?=[ _.-]|$)",
    re.IGNORECASE,
)
_COUNTING = (
    "clip|take|part|pt|piece|segment|seg|section|chunk|chapter|scene|shot|cut|trial|try|attempt|rep|repetition|run|sample|"
    "frame|frames|img|image|video|vid|movie|file|cam|camera|view|angle|no|nr|num|number|c|t|r|n|v"
)
_CAMERA = "img|mvi|dsc|dscn|dscf|dji|vid|mov|pxl|mah|sam|cimg|gopr|win|video|wp|cap|rec"
_COUNTER = re.compile(
    rf"(.+?)(?:[ _.-]+(?:(?:{_COUNTING})[ _.-]*)?\d+|[ _.-]+(?:{_COUNTING})[ _.-]*[a-z]|\s*\(\d+\)|[ _.-]+copy)",
    re.IGNORECASE,
)
_ONLY_WORD = re.compile(rf"{_COUNTING}|{_CAMERA}", re.IGNORECASE)
_ONLY_COUNTER = re.compile(rf"(?:{_COUNTING}|{_CAMERA}|[a-z])?[ _.-]*\d*", re.IGNORECASE)
_LETTERS_DIGITS = re.compile(r"[^\W\d_]*\d+")
_STAMP = re.compile(
    r"(?<!\d)(?:19|20)\d\d[-_.]?[01]\d[-_.]?[0-3]\d(?:[-_. T]*[0-2]\d[-_.:h]?[0-5]\d(?:[-_.:m]?[0-5]\d)?\d*)?$"
)
_SEPARATORS = " _.-"


class Evidence(StrEnum):
    """By what sources are known."""

    COLUMN = "the column `group`"
    CORRECTIONS = "corrections"
    NAMES = "file names"
    FILES = "times of creation in the files"
    PICTURES = "pictures"
    TIMES = "pauses between their times"


@dataclass(frozen=True, eq=False)
class Sources:
    """The source of each video of a list."""

    of_row: NDArray[np.str_]
    """[N]; "" where it is not known."""
    together: NDArray[np.bool_]
    """[N]: whether a split keeps the video with the others of its source. Not where a class, by its names, has no other
    source: it could not be on two sides then."""
    named: NDArray[np.bool_]
    """[N]: whether the name of the source is by the list's column or by names. Else it is that of a file, and may be another
    one when the list changes."""
    evidence: tuple[Evidence, ...]
    """By what they are known, where they are."""

    def rows(self, rows: NDArray[np.int64]) -> "Sources":
        """Those of some of the videos."""
        return Sources(self.of_row[rows], self.together[rows], self.named[rows], self.evidence)

    @property
    def given(self) -> bool:
        """Whether the list's column `group` names them."""
        return Evidence.COLUMN in self.evidence

    @property
    def by(self) -> str:
        """By what they are known, in words."""
        return in_words(self.evidence)

    @property
    def known(self) -> NDArray[np.bool_]:
        """[N]: of which videos the source is known."""
        found: NDArray[np.bool_] = self.of_row != ""
        return found

    def on_several_sides(self, sides: NDArray[np.str_]) -> dict[str, int]:
        """The known sources that are on several sides [N], with their numbers of videos."""
        rows = np.flatnonzero(self.known)
        pairs = set(zip(self.of_row[rows].tolist(), sides[rows].tolist(), strict=True))
        several = {name for name, count in Counter(name for name, _ in pairs).items() if count > 1}
        return {name: n for name, n in Counter(self.of_row[rows].tolist()).items() if name in several}

    def describe(self, sides: NDArray[np.str_]) -> str:
        """What is known of sources on several sides [N], in one line: what was found, and of how many videos the source is
        known.
        """
        known, total, where = int(self.known.sum()), len(self.of_row), len(set(sides.tolist()))
        if not known:
            if Evidence.PICTURES in self.evidence:
                return f"neither {in_words(self.evidence, 'nor')} tell sources (add a column `group`)"
            return UNKNOWN_SOURCES if where > 1 else "file names do not tell sources"
        looked = f"{known} of {counted(total, 'video')}, by {self.by}"
        looked += "" if known == total else f"; of the other {total - known} the source is not known"
        if where < 2:
            return f"sources are known ({looked})"
        both, found = "both sides" if where == 2 else "several sides", self.on_several_sides(sides)
        if not found:
            return f"no source on {both} ({looked})"
        names = first_of(found, _NAMED)
        word = "source is" if len(found) == 1 else "sources are"
        return f"{len(found)} {word} on {both}, with {counted(sum(found.values()), 'video')}: {names} ({looked})"


def find_sources(manifest: Manifest) -> Sources:
    """The sources of a list's videos: by its column `group` where it has one, else by names as this module says, and by the
    groups that corrections give to some of them: such a group is joined with the source of its name.
    """
    if manifest.groups is not None:
        known = manifest.groups != ""
        return Sources(manifest.groups, known, known, (Evidence.COLUMN,))
    return _with_joined(_by_names(manifest), manifest.joined_groups)


def _with_joined(found: Sources, groups: NDArray[np.str_] | None) -> Sources:
    """The sources with groups [N] in place of those of some videos; "" leaves a video its own."""
    if groups is None:
        return found
    own = groups != ""
    evidence = (Evidence.CORRECTIONS, *(found.evidence if found.known[~own].any() else ()))
    return Sources(np.where(own, groups, found.of_row), found.together | own, found.named | own, evidence)


def _by_names(manifest: Manifest) -> Sources:
    """By names, which were given to files by the labels that the list has, whatever corrections made of them."""
    if manifest.listed_labels is not None:
        manifest = replace(manifest, labels=manifest.listed_labels)
    names, labels = manifest.ids.tolist(), manifest.labels.tolist()
    readings = [_read(name, manifest.class_names[label]) for name, label in zip(names, labels, strict=True)]
    coarse, fine = ([reading.level(level) for reading in readings] for level in ("coarse", "fine"))
    # Without a counter a name tells something only where others have it, too.
    shared = Counter(key for key in coarse if key) + Counter(reading.rest for reading in readings)
    for row, reading in enumerate(readings):
        if not coarse[row]:
            is_shared = reading.rest and shared[reading.rest] > 1
            coarse[row] = fine[row] = (
                reading.rest if is_shared else _folder(names[row], manifest.class_names[labels[row]])
            )
    certain = np.array([bool(reading.certain) for reading in readings])
    keys = coarse if _lone_classes(coarse, labels) <= _lone_classes(fine, labels) else fine
    found = _telling(np.array(keys), manifest.labels, certain)
    return _parts_of_files(found, manifest)


def ucf_group(path: str) -> str:
    """The source video of a UCF101 clip (v_Archery_g07_c03 is of group Archery_g07), "" for other names."""
    found = _UCF101.search(path)
    return found.group(1) if found else ""


def joined_sources(parts: Sequence[Manifest]) -> Sources:
    """The sources of several lists that are taken as one: first all videos of the first."""
    if len(parts) == 1:
        return find_sources(parts[0])
    names = sorted({name for part in parts for name in part.class_names})
    places = [np.array([names.index(name) for name in part.class_names]) for part in parts]
    listed = [part.labels if part.listed_labels is None else part.listed_labels for part in parts]
    joined, in_columns = joined_groups(parts), any(part.groups is not None for part in parts)
    one_root = len({part.root for part in parts}) == 1
    in_parts = any(part.times is not None or part.frame_ranges is not None for part in parts)
    return find_sources(
        Manifest(
            np.concatenate([part.ids if one_root else _with_root(part) for part in parts]),
            np.concatenate([own[labels] for own, labels in zip(places, listed, strict=True)]),
            tuple(names),
            parts[0].root,
            groups=np.concatenate([_known_groups(part) for part in parts]) if in_columns else None,
            times=np.zeros((sum(map(len, parts)), 2)) if in_parts else None,
            joined_groups=joined if (joined != "").any() else None,
        )
    )


def joined_groups(parts: Sequence[Manifest]) -> NDArray[np.str_]:
    """The groups that corrections give to videos of lists without a column of groups, "" for all other videos [N]."""
    return np.concatenate([np.full(len(p), "") if p.joined_groups is None else p.joined_groups for p in parts])


def _known_groups(part: Manifest) -> NDArray[np.str_]:
    """The groups that a list has, beside others that have a column of groups."""
    return joined_groups([part]) if part.groups is None else part.groups


def _with_root(manifest: Manifest) -> NDArray[np.str_]:
    root = str(manifest.root)
    return np.array([path_in(root, name) for name in manifest.ids.tolist()])


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one name tells."""

    certain: str = ""
    """The source by a published form."""
    coarse: str = ""
    fine: str = ""
    """The prefix without all counters, and without the last one."""
    rest: str = ""
    """The name without its class, where it has no counter."""

    def level(self, level: str) -> str:
        return self.certain or (self.coarse if level == "coarse" else self.fine)


def _read(path: str, label: str) -> _Reading:
    stem = _stem(path)
    if certain := _published(stem):
        return _Reading(certain=certain)
    word = _class_word(label)
    rest = stem if word is None else word.sub("_", stem)
    without_class = rest != stem
    rest = rest.strip(_SEPARATORS)
    prefixes = _prefixes(rest)
    person = _PERSON.match(rest)
    if person:
        return _Reading(coarse=person[1], fine=prefixes[0] if prefixes else person[1])
    if prefixes:
        return _Reading(coarse=prefixes[-1], fine=prefixes[0])
    if _ONLY_COUNTER.fullmatch(rest) or (not without_class and _LETTERS_DIGITS.fullmatch(rest)):
        return _Reading()
    return _Reading(rest=rest)


def _stem(path: str) -> str:
    """A path's last part without the suffix of a video, or of stored flow."""
    name = Address(path).name if is_address(path) else path.rpartition("/")[2]
    front, dot, suffix = name.rpartition(".")
    return front.removesuffix(".flow") if dot + suffix.lower() in VIDEO_SUFFIXES else name


def _published(stem: str) -> str:
    """The source by a published form of names; "" for other names."""
    if found := _UCF101.search(stem):
        return found[1]
    if found := _YOUTUBE.fullmatch(stem):
        return found[1] or found[2]
    if found := _NTU.fullmatch(stem):
        return found[1] + found[2]
    if found := _GOPRO.fullmatch(stem):
        return f"GoPro {found[1]}"
    if found := _HMDB51.fullmatch(stem):
        front = found[1]
        ends = [name for name in class_names_of("hmdb51") or () if front.endswith(f"_{name}")]
        return front[: -len(max(ends, key=len)) - 1] if ends else front
    return ""


@cache
def _class_word(label: str) -> re.Pattern[str] | None:
    """A class name as a word of a file name, whatever separates its own words; None where it has no letter."""
    words = re.findall(r"[^\W_]+", label)
    if not re.search(r"[^\W\d_]", label):
        return None
    return re.compile(rf"(?<![^\W_]){'[ _.-]*'.join(map(re.escape, words))}(?![^\W\d_])[ _.-]*", re.IGNORECASE)


def _prefixes(name: str) -> list[str]:
    """The name without its last counter, without the one before it too, and so on; none where it has no counter."""
    found: list[str] = []
    while not _STAMP.search(name):
        match = _COUNTER.fullmatch(name)
        if match is None or _ONLY_WORD.fullmatch(match[1]):
            break
        name = match[1].rstrip(_SEPARATORS)
        if not name:
            break
        chapter = _GOPRO.fullmatch(name)
        found.append(f"GoPro {chapter[1]}" if chapter else name)
    return found


def _folder(path: str, label: str) -> str:
    """The folders between that of the class and the file; where no folder is the class's, those of a person or a session."""
    folders = path.split("/")[:-1]
    of_class = [place for place, folder in enumerate(folders) if _squeezed(folder) == _squeezed(label)]
    if of_class:
        return "/".join(folders[of_class[-1] + 1 :])
    return "/".join(folder for folder in folders if _PERSON.fullmatch(folder))


@cache
def _squeezed(word: str) -> str:
    return re.sub(r"[\W_]+", "", word).lower()


def _lone_classes(keys: Sequence[str], labels: Sequence[int]) -> int:
    """How many classes have a single source; a video whose source is not known counts as one of its own."""
    found = {(label, key or str(row)) for row, (key, label) in enumerate(zip(keys, labels, strict=True))}
    return sum(count == 1 for count in Counter(label for label, _ in found).values())


def _telling(keys: NDArray[np.str_], labels: NDArray[np.int64], certain: NDArray[np.bool_]) -> Sources:
    """The sources, less prefixes that tell nothing: all videos have it, or all of one class and no other."""
    together = keys != ""
    classes_of = {key: set[int]() for key in keys.tolist()}
    keys_of = {label: set[str]() for label in labels.tolist()}
    for key, label in zip(keys.tolist(), labels.tolist(), strict=True):
        classes_of[key].add(label)
        keys_of[label].add(key)
    most, count = Counter(keys.tolist()).most_common(1)[0]
    if most and count >= _ALL * len(keys):
        nothing = (keys == most) & ~certain
        keys, together = np.where(nothing, "", keys), together & ~nothing
    for label, own in keys_of.items():
        (key, *others) = own
        if others or not key:
            continue
        rows = labels == label
        together[rows] = False
        if len(classes_of[key]) == 1:
            keys = np.where(rows & ~certain, "", keys)
    return Sources(keys, together, keys != "", (Evidence.NAMES,))


def _parts_of_files(found: Sources, manifest: Manifest) -> Sources:
    """Parts of one file have it as their source, where its name tells no other."""
    if manifest.times is None and manifest.frame_ranges is None:
        return found
    parts = Counter(manifest.ids.tolist())
    several = np.array([parts[name] > 1 for name in manifest.ids.tolist()]) & ~found.known
    of_row = np.where(several, manifest.ids, found.of_row)
    return Sources(of_row, found.together | several, found.named, found.evidence)
