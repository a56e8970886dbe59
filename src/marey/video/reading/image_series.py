"""Which images of a folder are the frames of its video, and which are its flow, judged by their names."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from marey.base.errors import DecodeError
from marey.base.names import natural_key
from marey.base.words import counted, verb
from marey.video.reading.suffixes import IMAGE_SUFFIXES

_SUFFIXES = tuple(IMAGE_SUFFIXES)
_NUMBER = re.compile("([0-9]+)")
_FLOW = re.compile(r"(flow_)?([xy])_([0-9]+)\.")


@dataclass(frozen=True)
class FrameSeries:
    """The frames of a folder."""

    names: list[str]
    """File names in natural order."""
    left_out: str
    """Description of images that are no frames and of missing numbers; "" if there are none."""


@dataclass(frozen=True)
class FlowSeries:
    """The flow images of a folder."""

    pairs: list[tuple[str, str]]
    """File names of each x image and its y image, by ascending number."""
    left_out: str
    """Description of missing numbers; "" if there are none."""


class _NumberedName(NamedTuple):
    """A file name, split into its pattern and its numbers."""

    name: str
    """The file name."""
    pattern: str
    """The name in lower case, without suffix, with "#" for each number: img_00012.jpg has img_#."""
    numbers: tuple[int, ...]
    """The numbers in the name, in order."""
    suffix: str
    """The suffix in lower case."""


def image_names(folder: str | Path) -> list[str]:
    """The names of a folder's images, unsorted, without hidden files.

    Raises:
        DecodeError: there is no such folder, or it cannot be listed.
    """
    try:
        # Names, not Paths: opening a folder must not take longer than reading a few of its images.
        return [name for name in os.listdir(folder) if name.lower().endswith(_SUFFIXES) and name[0] != "."]  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        raise DecodeError(folder, "no such folder") from None
    except OSError as error:
        raise DecodeError(folder, f"cannot be listed ({error.strerror})") from None


def without_flow(names: Sequence[str]) -> list[str]:
    """The names that are not flow (see `flow_pairs`)."""
    flow = {name for axis in _flow(names) for name in axis.values()}
    return [name for name in names if name not in flow] if flow else list(names)


def is_series(names: Sequence[str]) -> bool:
    """Whether images are a video: they are flow, or most of them, and at least two, differ only in their numbers."""
    if len(without_flow(names)) < len(names):
        return True
    patterns = Counter(split.pattern for split in map(_split_name, names) if split.numbers)
    most = max(patterns.values(), default=0)
    return most > 1 and 2 * most > len(names)


def flow_pairs(names: Sequence[str], folder: str | Path) -> FlowSeries:
    """The pairs of flow images among a folder's images, by their numbers: flow_x_00001.jpg and flow_y_00001.jpg, or
    x_00001.jpg and y_00001.jpg. If there is no y_ image, images named x_00001.jpg are frames.

    Raises:
        DecodeError: an x image without its y image, or the reverse.
    """
    across, down = _flow(names)
    if len(across) != len(down):
        raise DecodeError(folder, f"holds {len(across)} x images and {len(down)} y images; flow needs pairs")
    if unpaired := sorted(across.keys() ^ down.keys()):
        raise DecodeError(
            folder, f"holds x and y images of different numbers (first {unpaired[0][1]}); flow needs pairs"
        )
    keys = sorted(across)
    missing = _missing([across[key] for key in keys], [number for _, number in keys])
    return FlowSeries([(across[key], down[key]) for key in keys], missing)


def _flow(names: Sequence[str]) -> tuple[dict[tuple[str, int], str], dict[tuple[str, int], str]]:
    """The x and the y images of flow, by prefix and number."""
    matches = [(match, name) for name in names if name.startswith(("x", "y", "flow_")) and (match := _FLOW.match(name))]
    axes = {axis: {(m[1] or "", int(m[3])): name for m, name in matches if m[2] == axis} for axis in "xy"}
    plain = [any(not prefix for prefix, _ in axes[axis]) for axis in "xy"]
    if all(plain):
        return axes["x"], axes["y"]
    across, down = ({key: name for key, name in axes[axis].items() if key[0]} for axis in "xy")
    return across, down


def frame_series(names: Sequence[str], folder: str | Path) -> FrameSeries:
    """The frames among a folder's images: the largest series of names that differ only in their numbers.

    - Flow images are not frames (`flow_pairs`).
    - img_00001.jpg, img_00002.jpg, ... are a series. Names may have several numbers (12.083.png), and suffixes may vary.
      Frames are in natural order: img_2 before img_10.
    - A series with more than half of the images is the video. The others (cover.jpg, thumb_1.jpg) are left out and counted.
    - A second series with at least half as many images, most of which have numbers of the largest one (left_1.jpg and
      right_1.jpg, img_1.jpg and img_1.png), may be the video as well: the folder is refused.
    - If no series has more than half of the images (a.jpg, b.jpg, ...), all are frames, in natural order.
    - Missing and repeated numbers are counted.

    Raises:
        DecodeError: two series that both may be the video.
    """
    names = sorted(without_flow(names))
    if (numbers := _numbers_of_one_length(names)) is not None:
        return FrameSeries(names, _missing(names, numbers))
    images = [_split_name(name) for name in names]
    series = _grouped(images, [image.pattern for image in images])
    if len({image.numbers for image in series[0]}) < len(series[0]):  # img_1.jpg and img_1.png
        series = _grouped(images, [image.pattern + image.suffix for image in images])
    _refuse_second_series(series, folder)
    chosen = series[0] if series[0][0].numbers and 2 * len(series[0]) > len(images) else images
    frames = sorted(chosen, key=lambda image: natural_key(image.name))
    remarks = filter(None, (_stray(images, frames), _number_faults(frames)))
    return FrameSeries([frame.name for frame in frames], "; ".join(remarks))


def _numbers_of_one_length(names: Sequence[str]) -> list[int] | None:
    """The numbers of sorted names that differ only in one number of constant length; None for other names.

    A fast path, which applies to nearly all folders.
    """
    if not names:
        return []
    start = len(os.path.commonprefix([names[0], names[-1]]))  # noqa: RUF071 - a prefix of characters, not of folders
    end = names[0].find(".", start) - len(names[0])
    if len(set(map(len, names))) > 1 or len({name[end:] for name in names}) > 1:
        return None
    numbers = [name[start:end] for name in names]
    digits = "".join(numbers)  # all have the same length, so that all or none are empty
    if not (digits.isascii() and digits.isdigit()):
        return None
    return [int(number) for number in numbers]


def _split_name(name: str) -> _NumberedName:
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - creating a Path per image would take most of the time
    words = _NUMBER.split(stem.lower())
    return _NumberedName(name, "#".join(words[::2]), tuple(map(int, words[1::2])), suffix.lower())


def _grouped(images: Sequence[_NumberedName], keys: Sequence[str]) -> list[list[_NumberedName]]:
    """The images grouped by key; the largest group first, among equal ones the first in the alphabet."""
    groups: dict[str, list[_NumberedName]] = {}
    for key, image in zip(keys, images, strict=True):
        groups.setdefault(key, []).append(image)
    return sorted(groups.values(), key=lambda group: (-len(group), group[0].name))


def _refuse_second_series(series: Sequence[Sequence[_NumberedName]], folder: str | Path) -> None:
    """Refuse a folder in which a second series may be the video as well as the largest."""
    largest, numbers = series[0], {image.numbers for image in series[0]}
    for other in series[1:]:
        shared = sum(image.numbers in numbers for image in other)
        if largest[0].numbers and len(largest) > 1 and 2 * len(other) >= len(largest) and 2 * shared > len(other):
            raise DecodeError(
                folder,
                f"holds two series of images, {largest[0].name} ({len(largest)}) and {other[0].name} ({len(other)}): "
                "move one of them to another folder",
            )


def _stray(images: Sequence[_NumberedName], frames: Sequence[_NumberedName]) -> str:
    """Description of the images that are not frames."""
    stray = sorted({image.name for image in images} - {frame.name for frame in frames})
    if not stray:
        return ""
    shown = ", ".join(stray[:3]) + (", ..." if len(stray) > 3 else "")
    what = f"{counted(len(stray), 'image')} {'is no frame' if len(stray) == 1 else 'are no frames'}"
    return f"{what} of the series {frames[0].name} to {frames[-1].name} and left out ({shown})"


def _number_faults(frames: Sequence[_NumberedName]) -> str:
    """Description of missing or repeated numbers of a series."""
    if len({frame.pattern for frame in frames}) > 1:
        return ""
    columns = list(zip(*(frame.numbers for frame in frames), strict=True))
    varying = [column for column in columns if len(set(column)) > 1]
    names = [frame.name for frame in frames]
    if len(varying) == 1:
        return _missing(names, varying[0])
    repeated = len(frames) - len(set(columns[-1])) if varying else 0
    if not repeated:
        return ""
    return (
        f"{repeated} of its {counted(len(frames), 'image')} {verb(repeated, 'has', 'have')} the last number of another one "
        f"({names[0]} to {names[-1]}): all are assumed to be one video"
    )


def _missing(names: Sequence[str], numbers: Sequence[int]) -> str:
    """Description of the numbers that are missing in an ascending sequence. Its usual step, mostly 1, is no gap."""
    steps = [later - earlier for earlier, later in pairwise(numbers)]
    if len(set(steps)) < 2:
        return ""
    usual = min(Counter(steps).most_common(), key=lambda item: (-item[1], item[0]))[0]
    gaps = [index for index, step in enumerate(steps) if usual and step > usual and not step % usual]
    if not gaps:
        return ""
    count = sum(steps[index] // usual - 1 for index in gaps)
    what = f"{counted(count, 'number')} {'is' if count == 1 else 'are'}"
    return f"{what} missing between {names[0]} and {names[-1]}, the first after {names[gaps[0]]}"
