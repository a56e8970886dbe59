"""The recording that each video was cut from, known from a list's column `group` or from file names.

The first of these rules that fits a file name gives the recording. Before all rules but the first, the name of the class
is removed from the file name.

- A published form: UCF101's `v_Archery_g07_c03` (Archery_g07); Kinetics' `ID_START_END` and other names that begin with
  YouTube's eleven characters; HMDB51's `SOURCE_class_h_cm_np1_fr_goo_0`; NTU's `S001C001P001R001A001` (setup and person);
  GoPro's `GX010034`, chapter 01 of recording 0034.
- A name that begins with a person or a session and its number or letter: `person03_walk_d1`, `P01_left_2`, `sessionA-2`.
- A prefix, a separator and a counter: `vid12_part2`, `name (1)`, `name_000123`, `2021-01-01_cam1_00012`. The prefix is the
  recording. Of several counters at the end all are removed, or only the last one if fewer classes then have a single
  recording. A number after nothing but a camera's word or a counting word is no counter
  (`DJI_0001_part2` is of recording `DJI_0001`), nor is a date or a time.
- What remains without the name of the class, if several videos share it: `daria_walk`, `daria_run`.
- The folder between that of the class and the file, if the file name fits no rule: `walk/monday/001.mp4`; in a list without
  folders of classes, the folder of a person or a session: `P01/001.mp4`.

Other names show no recording: `down0`, `000123`, `IMG_2041`, `clip_7`. Nor does a prefix that nearly all videos have (nine
of ten), or all videos of one class and no others. Segments of a file whose name shows no recording have that file as
their recording.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache

import numpy as np
from numpy.typing import NDArray

from marey.base.address import Address, is_address
from marey.base.words import counted, in_words
from marey.data.catalogue import class_names_of
from marey.data.lists.manifest import Manifest, video_paths
from marey.data.lists.public_lists import ucf101_group
from marey.data.lists.videos import first_of
from marey.video.reading.suffixes import VIDEO_SUFFIXES

UNKNOWN_RECORDINGS = (
    "file names do not show recordings: videos of one recording may be in both splits (add a column `group`; `marey data "
    "sources` writes one, by frames, too)"
)
_ALL = 0.9
"""A prefix that this share of all videos or more has, 0 to 1, is no recording."""
_NAMED = 3
"""The most recordings that a message names."""
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
    """What recordings are known from."""

    COLUMN = "the column `group`"
    CORRECTIONS = "corrections"
    NAMES = "file names"
    FILES = "times of creation in the files"
    FRAMES = "frames"
    TIMES = "pauses between their times"


@dataclass(frozen=True, eq=False)
class RecordingNames:
    """The name of the recording of each of N videos."""

    of_row: NDArray[np.str_]
    """[N]: the name of the recording, "" where it is not known."""
    together: NDArray[np.bool_]
    """[N]: whether a split keeps the video with the others of its recording. False where file names show a single recording
    for a class, which could then not be in two splits."""
    named: NDArray[np.bool_]
    """[N]: whether the recording has its name from the list's column or from file names. Otherwise it has the name of one of
    its files, which may change with the list."""
    evidence: tuple[Evidence, ...]
    """What the recordings are known from, as far as they are known."""

    def rows(self, rows: NDArray[np.int64]) -> "RecordingNames":
        """The recordings of some of the videos."""
        return RecordingNames(self.of_row[rows], self.together[rows], self.named[rows], self.evidence)

    @property
    def given(self) -> bool:
        """Whether the recordings are those of the list's column `group`."""
        return Evidence.COLUMN in self.evidence

    @property
    def by(self) -> str:
        """What the recordings are known from, in words."""
        return in_words(self.evidence)

    @property
    def known(self) -> NDArray[np.bool_]:
        """[N]: whether the recording of each video is known."""
        is_known: NDArray[np.bool_] = self.of_row != ""
        return is_known

    def in_several_splits(self, splits: NDArray[np.str_]) -> dict[str, int]:
        """The known recordings with videos in several splits, each with its number of videos; `splits` is [N]."""
        rows = np.flatnonzero(self.known)
        pairs = set(zip(self.of_row[rows].tolist(), splits[rows].tolist(), strict=True))
        several = {name for name, count in Counter(name for name, _ in pairs).items() if count > 1}
        return {name: n for name, n in Counter(self.of_row[rows].tolist()).items() if name in several}

    def describe(self, splits: NDArray[np.str_]) -> str:
        """One line on recordings in several splits, and on how many videos have a known recording; `splits` is [N]."""
        known, total, count = int(self.known.sum()), len(self.of_row), len(set(splits.tolist()))
        if not known:
            if Evidence.FRAMES in self.evidence:
                return f"neither {in_words(self.evidence, 'nor')} show recordings (add a column `group`)"
            return UNKNOWN_RECORDINGS if count > 1 else "file names do not show recordings"
        coverage = f"{known} of {counted(total, 'video')}, by {self.by}"
        coverage += "" if known == total else f"; of the other {total - known} the recording is not known"
        if count < 2:
            return f"recordings are known ({coverage})"
        both, leaking = "both splits" if count == 2 else "several splits", self.in_several_splits(splits)
        if not leaking:
            return f"no recording in {both} ({coverage})"
        names = first_of(leaking, _NAMED)
        word = "recording is" if len(leaking) == 1 else "recordings are"
        return f"{len(leaking)} {word} in {both}, with {counted(sum(leaking.values()), 'video')}: {names} ({coverage})"


def find_recording_names(manifest: Manifest) -> RecordingNames:
    """The recordings of a list's videos: those of its column `group`; without that column, those that file names show.

    Where corrections give a video a group, this replaces what the file name shows. Other videos whose recording has the name
    of that group belong to it, too.
    """
    if manifest.groups is not None:
        known = manifest.groups != ""
        return RecordingNames(manifest.groups, known, known, (Evidence.COLUMN,))
    return _with_joined(_by_names(manifest), manifest.joined_groups)


def _with_joined(found: RecordingNames, groups: NDArray[np.str_] | None) -> RecordingNames:
    """The recordings with some replaced by groups [N]; "" keeps the recording of a video."""
    if groups is None:
        return found
    own = groups != ""
    evidence = (Evidence.CORRECTIONS, *(found.evidence if found.known[~own].any() else ()))
    return RecordingNames(np.where(own, groups, found.of_row), found.together | own, found.named | own, evidence)


def _by_names(manifest: Manifest) -> RecordingNames:
    """The recordings that file names show. The class names in them are those of the labels before corrections."""
    if manifest.listed_labels is not None:
        manifest = replace(manifest, labels=manifest.listed_labels)
    names, labels = manifest.ids.tolist(), manifest.labels.tolist()
    readings = [_name_parts(name, manifest.class_names[label]) for name, label in zip(names, labels, strict=True)]
    coarse, fine = ([reading.level(level) for reading in readings] for level in ("coarse", "fine"))
    # Without a counter, a name shows a recording only if several videos have it.
    shared = Counter(key for key in coarse if key) + Counter(reading.rest for reading in readings)
    for row, reading in enumerate(readings):
        if not coarse[row]:
            is_shared = reading.rest and shared[reading.rest] > 1
            coarse[row] = fine[row] = (
                reading.rest if is_shared else _folder(names[row], manifest.class_names[labels[row]])
            )
    certain = np.array([bool(reading.certain) for reading in readings])
    keys = coarse if _lone_classes(coarse, labels) <= _lone_classes(fine, labels) else fine
    found = _without_uninformative(np.array(keys), manifest.labels, certain)
    return _with_segments(found, manifest)


def joined_recording_names(lists: Sequence[Manifest]) -> RecordingNames:
    """The recordings of several lists, joined in their order to one list."""
    if len(lists) == 1:
        return find_recording_names(lists[0])
    names = sorted({name for one in lists for name in one.class_names})
    indices = [np.array([names.index(name) for name in one.class_names]) for one in lists]
    listed = [one.labels if one.listed_labels is None else one.listed_labels for one in lists]
    joined, in_columns = joined_groups(lists), any(one.groups is not None for one in lists)
    one_root = len({one.root for one in lists}) == 1
    has_segments = any(one.times is not None or one.frame_ranges is not None for one in lists)
    return find_recording_names(
        Manifest(
            np.concatenate([one.ids if one_root else np.array(video_paths(one)) for one in lists]),
            np.concatenate([own[labels] for own, labels in zip(indices, listed, strict=True)]),
            tuple(names),
            lists[0].root,
            groups=np.concatenate([_known_groups(one) for one in lists]) if in_columns else None,
            times=np.zeros((sum(map(len, lists)), 2)) if has_segments else None,
            joined_groups=joined if (joined != "").any() else None,
        )
    )


def joined_groups(lists: Sequence[Manifest]) -> NDArray[np.str_]:
    """The groups that corrections give to videos of lists without the column `group`, "" for all other videos [N]."""
    return np.concatenate([np.full(len(one), "") if one.joined_groups is None else one.joined_groups for one in lists])


def _known_groups(manifest: Manifest) -> NDArray[np.str_]:
    """The column `group` of a list; for a list without that column, the groups that corrections give."""
    return joined_groups([manifest]) if manifest.groups is None else manifest.groups


@dataclass(frozen=True, slots=True)
class _NameParts:
    """What one file name shows; "" for what it does not show."""

    certain: str = ""
    """The recording, where the name has a published form."""
    coarse: str = ""
    """The name without any of its counters."""
    fine: str = ""
    """The name without its last counter."""
    rest: str = ""
    """The name without the name of its class, for a name that has no counter."""

    def level(self, level: str) -> str:
        """The recording by the level "coarse" or "fine"; that of a published form is the same at both levels."""
        return self.certain or (self.coarse if level == "coarse" else self.fine)


def _name_parts(path: str, label: str) -> _NameParts:
    """What the file name of a video of this class shows."""
    stem = _without_suffix(path)
    if certain := _published_recording(stem):
        return _NameParts(certain=certain)
    word = _class_word(label)
    rest = stem if word is None else word.sub("_", stem)
    without_class = rest != stem
    rest = rest.strip(_SEPARATORS)
    prefixes = _without_counters(rest)
    person = _PERSON.match(rest)
    if person:
        return _NameParts(coarse=person[1], fine=prefixes[0] if prefixes else person[1])
    if prefixes:
        return _NameParts(coarse=prefixes[-1], fine=prefixes[0])
    if _ONLY_COUNTER.fullmatch(rest) or (not without_class and _LETTERS_DIGITS.fullmatch(rest)):
        return _NameParts()
    return _NameParts(rest=rest)


def _without_suffix(path: str) -> str:
    """The name of a file without the suffix of a video or of stored flow."""
    name = Address(path).name if is_address(path) else path.rpartition("/")[2]
    front, dot, suffix = name.rpartition(".")
    return front.removesuffix(".flow") if dot + suffix.lower() in VIDEO_SUFFIXES else name


def _published_recording(stem: str) -> str:
    """The recording by a published form of names; "" for other names."""
    if group := ucf101_group(stem):
        return group
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
    """The pattern that finds a class name in a file name, with any separators between words; None for a class name without
    letters.
    """
    words = re.findall(r"[^\W_]+", label)
    if not re.search(r"[^\W\d_]", label):
        return None
    return re.compile(rf"(?<![^\W_]){'[ _.-]*'.join(map(re.escape, words))}(?![^\W\d_])[ _.-]*", re.IGNORECASE)


def _without_counters(name: str) -> list[str]:
    """The name without its last counter, without its last two counters, and so on; empty if it has no counter."""
    prefixes: list[str] = []
    while not _STAMP.search(name):
        match = _COUNTER.fullmatch(name)
        if match is None or _ONLY_WORD.fullmatch(match[1]):
            break
        name = match[1].rstrip(_SEPARATORS)
        if not name:
            break
        chapter = _GOPRO.fullmatch(name)
        prefixes.append(f"GoPro {chapter[1]}" if chapter else name)
    return prefixes


def _folder(path: str, label: str) -> str:
    """The folders between that of the class and the file; without a folder of the class, those of a person or a session."""
    folders = path.split("/")[:-1]
    of_class = [depth for depth, folder in enumerate(folders) if _squeezed(folder) == _squeezed(label)]
    if of_class:
        return "/".join(folders[of_class[-1] + 1 :])
    return "/".join(folder for folder in folders if _PERSON.fullmatch(folder))


@cache
def _squeezed(word: str) -> str:
    """The letters and digits of a name, in lower case."""
    return re.sub(r"[\W_]+", "", word).lower()


def _lone_classes(keys: Sequence[str], labels: Sequence[int]) -> int:
    """How many classes have a single recording; a video with an unknown recording counts as a recording."""
    recordings = {(label, key or str(row)) for row, (key, label) in enumerate(zip(keys, labels, strict=True))}
    return sum(count == 1 for count in Counter(label for label, _ in recordings).values())


def _without_uninformative(
    keys: NDArray[np.str_], labels: NDArray[np.int64], certain: NDArray[np.bool_]
) -> RecordingNames:
    """The recordings by `keys` [N], without those that nearly all videos have, or all videos of one class and no others.

    Keys that are `certain` [N], by a published form, stay.
    """
    together = keys != ""
    classes_of = {key: set[int]() for key in keys.tolist()}
    keys_of = {label: set[str]() for label in labels.tolist()}
    for key, label in zip(keys.tolist(), labels.tolist(), strict=True):
        classes_of[key].add(label)
        keys_of[label].add(key)
    most, count = Counter(keys.tolist()).most_common(1)[0]
    if most and count >= _ALL * len(keys):
        common = (keys == most) & ~certain
        keys, together = np.where(common, "", keys), together & ~common
    for label, own in keys_of.items():
        (key, *others) = own
        if others or not key:
            continue
        rows = labels == label
        together[rows] = False
        if len(classes_of[key]) == 1:
            keys = np.where(rows & ~certain, "", keys)
    return RecordingNames(keys, together, keys != "", (Evidence.NAMES,))


def _with_segments(found: RecordingNames, manifest: Manifest) -> RecordingNames:
    """The recordings, with that of segments added: segments of one file whose name shows none have that file as theirs."""
    if manifest.times is None and manifest.frame_ranges is None:
        return found
    segments = Counter(manifest.ids.tolist())
    several = np.array([segments[name] > 1 for name in manifest.ids.tolist()]) & ~found.known
    of_row = np.where(several, manifest.ids, found.of_row)
    return RecordingNames(of_row, found.together | several, found.named, found.evidence)
