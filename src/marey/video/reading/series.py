"""Which images of a folder are the frames of its video, and which are its flow: decided by their names alone."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from marey.base.errors import DecodeError
from marey.base.words import counted, verb
from marey.video.reading.suffixes import IMAGE_SUFFIXES

_SUFFIXES = tuple(IMAGE_SUFFIXES)
_NUMBER = re.compile("([0-9]+)")
_FLOW = re.compile(r"(flow_)?([xy])_([0-9]+)\.")


@dataclass(frozen=True)
class FrameSeries:
    """The frames of a folder."""

    names: list[str]
    """In natural order."""
    left_out: str
    """Which images are no frames and which numbers are missing, in words; "" where nothing is."""


@dataclass(frozen=True)
class FlowSeries:
    """The flow of a folder."""

    pairs: list[tuple[str, str]]
    """An x image and its y image, by ascending number."""
    left_out: str
    """Which numbers are missing, in words; "" where none is."""


class _Name(NamedTuple):
    """A file name taken apart."""

    name: str
    pattern: str
    """In small letters, "#" for each number, no suffix: img_00012.jpg has img_#."""
    numbers: tuple[int, ...]
    suffix: str


def image_names(folder: str | Path) -> list[str]:
    """The names of a folder's images, in no order. Hidden files do not count.

    Raises:
        DecodeError: no such folder, or one that cannot be listed.
    """
    try:
        # Names, not Paths: opening a folder must not cost more than reading a few of its images.
        return [name for name in os.listdir(folder) if name.lower().endswith(_SUFFIXES) and name[0] != "."]  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        raise DecodeError(folder, "no such folder") from None
    except OSError as error:
        raise DecodeError(folder, f"cannot be listed ({error.strerror})") from None


def without_flow(names: Sequence[str]) -> list[str]:
    """The names that are no flow (see `flow_pairs`)."""
    flow = {name for axis in _flow(names) for name in axis.values()}
    return [name for name in names if name not in flow] if flow else list(names)


def is_series(names: Sequence[str]) -> bool:
    """Whether a folder's images are flow, or most of them differ in their numbers alone: two at least, so that covers and
    posters are none.
    """
    if len(without_flow(names)) < len(names):
        return True
    patterns = Counter(part.pattern for part in map(_taken_apart, names) if part.numbers)
    most = max(patterns.values(), default=0)
    return most > 1 and 2 * most > len(names)


def flow_pairs(names: Sequence[str], folder: str | Path) -> FlowSeries:
    """The pairs of flow images among the names of a folder's images, by their numbers: flow_x_00001.jpg and
    flow_y_00001.jpg, or x_00001.jpg and y_00001.jpg. Without any y_, images called x_00001.jpg are frames.

    Raises:
        DecodeError: an x without its y, or a y without its x.
    """
    across, down = _flow(names)
    if len(across) != len(down):
        raise DecodeError(folder, f"holds {len(across)} x images and {len(down)} y images; flow needs pairs")
    if alone := sorted(across.keys() ^ down.keys()):
        raise DecodeError(folder, f"holds x and y images of different numbers (first {alone[0][1]}); flow needs pairs")
    keys = sorted(across)
    missing = _missing([across[key] for key in keys], [number for _, number in keys])
    return FlowSeries([(across[key], down[key]) for key in keys], missing)


def _flow(names: Sequence[str]) -> tuple[dict[tuple[str, int], str], dict[tuple[str, int], str]]:
    """The x and the y images of flow, by prefix and number."""
    found = [(match, name) for name in names if name.startswith(("x", "y", "flow_")) and (match := _FLOW.match(name))]
    axes = {axis: {(m[1] or "", int(m[3])): name for m, name in found if m[2] == axis} for axis in "xy"}
    plain = [any(not prefix for prefix, _ in axes[axis]) for axis in "xy"]
    if all(plain):
        return axes["x"], axes["y"]
    across, down = ({key: name for key, name in axes[axis].items() if key[0]} for axis in "xy")
    return across, down


def frame_series(names: Sequence[str], folder: str | Path) -> FrameSeries:
    """The frames among the names of a folder's images: the largest series of names that differ in their numbers alone.

    - Images of flow are no frames (`flow_pairs`).
    - img_00001.jpg, img_00002.jpg, ... are a series; so are names with several numbers (12.083.png), and suffixes may vary.
      They come in natural order: img_2 before img_10.
    - A series with more than half of the images is the video. The others (cover.jpg, thumb_1.jpg) are left out, and counted.
    - Another series with at least half as many images, most of them with numbers of the largest one (left_1.jpg and
      right_1.jpg, img_1.jpg and img_1.png), may be meant as well: that is refused.
    - Where no series has more than half of the images (a.jpg, b.jpg, ...), all are frames, in natural order.
    - Numbers that are missing are counted, and numbers that several frames have.

    Raises:
        DecodeError: two series that both may be meant.
    """
    names = sorted(without_flow(names))
    if (numbers := _numbers_of_one_length(names)) is not None:
        return FrameSeries(names, _missing(names, numbers))
    parts = [_taken_apart(name) for name in names]
    series = _grouped(parts, [part.pattern for part in parts])
    if len({part.numbers for part in series[0]}) < len(series[0]):  # img_1.jpg and img_1.png
        series = _grouped(parts, [part.pattern + part.suffix for part in parts])
    _refuse_twins(series, folder)
    chosen = series[0] if series[0][0].numbers and 2 * len(series[0]) > len(parts) else parts
    frames = sorted(chosen, key=_natural)
    return FrameSeries([part.name for part in frames], "; ".join(filter(None, (_stray(parts, frames), _odd(frames)))))


def _numbers_of_one_length(names: Sequence[str]) -> list[int] | None:
    """The numbers of sorted names that differ in one number alone, written with as many digits in all; None for others.

    The quick way for what nearly every folder holds.
    """
    if not names:
        return []
    start = len(os.path.commonprefix([names[0], names[-1]]))  # noqa: RUF071 - letters are what is meant
    end = names[0].find(".", start) - len(names[0])
    if len(set(map(len, names))) > 1 or len({name[end:] for name in names}) > 1:
        return None
    numbers = [name[start:end] for name in names]
    digits = "".join(numbers)  # of equal lengths, so that none is empty where one is not
    if not (digits.isascii() and digits.isdigit()):
        return None
    return [int(number) for number in numbers]


def _taken_apart(name: str) -> _Name:
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - a Path per image would take most of the time
    words = _NUMBER.split(stem.lower())
    return _Name(name, "#".join(words[::2]), tuple(map(int, words[1::2])), suffix.lower())


def _natural(part: _Name) -> list[str | int]:
    """Sorts img_2 before img_10."""
    return [int(word) if place % 2 else word for place, word in enumerate(_NUMBER.split(part.name))]


def _grouped(parts: Sequence[_Name], keys: Sequence[str]) -> list[list[_Name]]:
    """The names by key, the largest group first, of equal ones the first in the alphabet."""
    groups: dict[str, list[_Name]] = {}
    for key, part in zip(keys, parts, strict=True):
        groups.setdefault(key, []).append(part)
    return sorted(groups.values(), key=lambda group: (-len(group), group[0].name))


def _refuse_twins(series: Sequence[Sequence[_Name]], folder: str | Path) -> None:
    """Refuse a second series that may be meant as well as the largest."""
    largest, numbers = series[0], {part.numbers for part in series[0]}
    for other in series[1:]:
        shared = sum(part.numbers in numbers for part in other)
        if largest[0].numbers and len(largest) > 1 and 2 * len(other) >= len(largest) and 2 * shared > len(other):
            raise DecodeError(
                folder,
                f"holds two series of images, {largest[0].name} ({len(largest)}) and {other[0].name} ({len(other)}): "
                "move one of them into a folder of its own",
            )


def _stray(parts: Sequence[_Name], frames: Sequence[_Name]) -> str:
    """Which images are no frames."""
    stray = sorted({part.name for part in parts} - {part.name for part in frames})
    if not stray:
        return ""
    shown = ", ".join(stray[:3]) + (", ..." if len(stray) > 3 else "")
    what = f"{counted(len(stray), 'image')} {'is no frame' if len(stray) == 1 else 'are no frames'}"
    return f"{what} of the series {frames[0].name} to {frames[-1].name} and left out ({shown})"


def _odd(frames: Sequence[_Name]) -> str:
    """What is odd about the numbers of a series."""
    if len({part.pattern for part in frames}) > 1:
        return ""
    columns = list(zip(*(part.numbers for part in frames), strict=True))
    varying = [column for column in columns if len(set(column)) > 1]
    names = [part.name for part in frames]
    if len(varying) == 1:
        return _missing(names, varying[0])
    repeated = len(frames) - len(set(columns[-1])) if varying else 0
    if not repeated:
        return ""
    return (
        f"{repeated} of its {counted(len(frames), 'image')} {verb(repeated, 'has', 'have')} the last number of another one "
        f"({names[0]} to {names[-1]}): all are taken for one video"
    )


def _missing(names: Sequence[str], numbers: Sequence[int]) -> str:
    """How many numbers are missing in ascending ones; their usual distance, mostly 1, is not taken for a gap."""
    steps = [later - earlier for earlier, later in pairwise(numbers)]
    if len(set(steps)) < 2:
        return ""
    usual = min(Counter(steps).most_common(), key=lambda item: (-item[1], item[0]))[0]
    gaps = [place for place, step in enumerate(steps) if usual and step > usual and not step % usual]
    if not gaps:
        return ""
    count = sum(steps[place] // usual - 1 for place in gaps)
    what = f"{counted(count, 'number')} {'is' if count == 1 else 'are'}"
    return f"{what} missing between {names[0]} and {names[-1]}, the first after {names[gaps[0]]}"
