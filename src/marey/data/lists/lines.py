"""Lists with a video on each line and words behind its path, as MMAction and MMAction2 have them.

    path                                       a list of paths alone
    path label                                 a class name without blanks, or a number
    video.mp4 label label ...                  several labels by blanks or commas: numbers
    folder frames label [label ...]            a folder of frames, and how many of its images are used, from the first
    folder offset frames label                 and how many are passed over before (`with_offset`)

Lines are read from their end, since paths may hold blanks: the numbers there, then the path. A video file has no number of
frames: all numbers behind it are labels. (It ends in a video's suffix, lies there with one, or is an address, whatever its
query.) Numbers behind other paths are read in the same way in a whole list, by the first of these rules that holds:

1. no line has more than two numbers: the label, or frames and label;
2. the lines have different numbers of them, two at least: frames and labels;
3. the first number is that of the images in each folder: frames and labels;
4. there are three, and each folder holds as many images as the first two together: offset, frames and label;
5. otherwise the list is refused.

A number belongs to the path ("run 1") where such a folder is there and none without the number. Rules 3 and 4 look into 200
folders of the list.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from marey.base.address import is_address
from marey.base.errors import DataError
from marey.base.reporter import notice
from marey.base.words import counted
from marey.data.lists.rows import WHOLE, FilesIn, NeedsWholeError, Rows, has_video_suffix
from marey.data.lists.tables import COLUMN_OF, column_word
from marey.video.reading.frames import count_frames
from marey.video.reading.suffixes import VIDEO_SUFFIXES

_NUMBERS = re.compile(r"(.*?\S)\s+(\d+(?:[\s,]+\d+)*)")
_VIDEO_END = re.compile(rf"(?:{'|'.join(map(re.escape, sorted(VIDEO_SUFFIXES)))})(?:\?\S*)?\s+", re.IGNORECASE)
_BEHIND_A_WORD = re.compile(r"([^/\s,;]+)(?:[,;]\s*|\s+)(\S.*)")
_BETWEEN = re.compile(r"[\s,;]")
_UCF101 = re.compile(r"((\w+)/v_\w+_g\d+_c\d+\.avi)(?: \d+)?")
_CSV = "a CSV with the header path,label says what is what"


@dataclass(frozen=True)
class _Line:
    """A line, read from its end."""

    number: int
    path: str
    numbers: tuple[str, ...] = ()
    label: str | None = None
    """A class name; None where numbers follow the path, or nothing does."""
    is_video: bool = True
    """Whether the path is that of a video file, as far as one knows."""

    @property
    def alone(self) -> bool:
        return self.label is None and not self.numbers


def line_rows(
    source: str, numbered: Sequence[tuple[int, str]], root: Path, there: FilesIn, *, bare: bool = False
) -> Rows:
    """The rows of a list with a video on each line (`marey.data.lists.numbered_lines`), by the rules of this module; `root`
    is the folder of its paths, and `there` what lies in it. With `bare`, a single word is a path or an id, whether such a
    file is there or not.

    Raises:
        DataError: with file and line: no path and label, or numbers that may be read in several ways.
    """
    texts = _without_header(source, numbered, there)
    lines = [_line(source, n, line.strip(), there, bare=bare) for n, line in texts]
    if not lines:
        raise DataError(f"{source}: names no videos.")
    alone = [line for line in lines if line.alone]
    if alone and len(alone) < len(lines) and not bare:
        other = next(line for line in lines if not line.alone)
        raise DataError(
            f"{source}:{alone[0].number}: expected `path label` as on line {other.number}, got a path alone; {_CSV}."
        )
    has_offset = _has_offset(source, [line for line in lines if line.numbers and not line.is_video], root)
    if has_offset:
        notice(f"{source}: read as `folder offset frames label`: as many images lie in its folders.")
    labels, counts, ranges = [], [], []
    for line in lines:
        numbers = list(line.numbers)
        offset = int(numbers.pop(0)) if has_offset and not line.is_video else -1
        framed = not line.is_video and len(numbers) > (line.label is None)
        count = int(numbers.pop(0)) if framed else -1
        if count == 0:
            raise DataError(
                f"{source}:{line.number}: {line.path} with 0 frames: expected `folder frames label`; {_CSV}."
            )
        labels.append("|".join(numbers) if line.label is None else line.label)
        counts.append(-1 if has_offset else count)
        ranges.append((offset, offset + count) if offset >= 0 else WHOLE)
    _tell_of_several(source, sum("|" in label for label in labels))
    return Rows(
        source=source, paths=[line.path for line in lines], lines=[line.number for line in lines],
        labels=None if alone else labels, frame_ranges=ranges if has_offset else None,
        frame_counts=counts if max(counts) >= 0 else None,
    )  # fmt: skip


@dataclass
class VideoLines:
    """Lines of which each can be read by itself: videos alone, or each with its labels behind it."""

    source: str
    lines: Callable[[], Iterable[tuple[int, str]]]
    """Gives them from the first on, as `marey.data.lists.numbered_lines.numbered` does."""
    there: FilesIn
    is_headed: bool = field(init=False)
    """Whether the first one is a header."""
    several: int = field(default=0, init=False)
    """How many of the videos that were read had several labels."""

    def __post_init__(self) -> None:
        self.is_headed = not _without_header(self.source, list(islice(self.lines(), 1)), self.there)

    def rows(self, size: int) -> Iterator[Rows]:
        """The videos, `size` at a time, the last time those that are left.

        Raises:
            NeedsWholeError: what a line says depends on others.
            DataError: with file and line: as `line_rows`.
        """
        kinds: set[bool] = set()
        self.several = 0
        numbered = islice(self.lines(), 1, None) if self.is_headed else iter(self.lines())
        while texts := list(islice(numbered, size)):
            lines = [_line(self.source, n, line.strip(), self.there, bare=False) for n, line in texts]
            kinds.update(line.alone for line in lines)
            if len(kinds) > 1 or any(line.numbers and not line.is_video for line in lines):
                raise NeedsWholeError
            labels = ["|".join(line.numbers) if line.label is None else line.label for line in lines]
            self.several += sum("|" in label for label in labels)
            yield Rows(
                source=self.source, paths=[line.path for line in lines], lines=[line.number for line in lines],
                labels=None if True in kinds else labels,
            )  # fmt: skip

    def tell(self) -> None:
        """Say how many of the videos that were read had several labels."""
        _tell_of_several(self.source, self.several)


def _tell_of_several(source: str, several: int) -> None:
    if several:
        notice(f"{source}: {counted(several, 'video')} with several labels: behind a video, all numbers are labels.")


def _without_header(source: str, lines: Sequence[tuple[int, str]], there: FilesIn) -> Sequence[tuple[int, str]]:
    """The lines without a header of words such as `path label`.

    Raises:
        DataError: it names other columns than lines have.
    """
    words = lines[0][1].split() if lines else []
    columns = [COLUMN_OF.get(column_word(word), "") for word in words]
    if len(words) < 2 or "path" not in columns or "" in columns or words[0] in there:
        return lines
    if columns not in (["path", "label"], ["path", "num_frames", "label"]):
        raise DataError(
            f"{source}:{lines[0][0]}: a header of {' '.join(words)!r} with blanks between: put commas there."
        )
    notice(f"{source}: the first line, {' '.join(words)!r}, read as a header.")
    return lines[1:]


def _line(source: str, number: int, line: str, there: FilesIn, *, bare: bool) -> _Line:
    if has_video_suffix(line) and "/v_" not in line and _BETWEEN.search(line) is None:
        return _Line(number, line)  # by the rules below, too; most lines of long lists are so
    if ucf := _UCF101.fullmatch(line):
        return _Line(number, ucf[1], label=ucf[2])
    if found := _NUMBERS.fullmatch(line):
        return _numbered(source, _Line(number, found[1], tuple(re.split(r"[\s,]+", found[2]))), found[2], there)
    words = line.rsplit(maxsplit=1)
    alone = has_video_suffix(line) or line in there or (len(words) == 1 and (bare or is_address(line)))
    first = _BEHIND_A_WORD.fullmatch(line)
    if first and line not in there and (is_address(first[2]) or (alone and first[2] in there)):
        raise DataError(
            f"{source}:{number}: {first[1]!r} in front of a path: expected `path label`; a CSV with the header "
            "label,path may have them in this order."
        )
    if alone:
        return _Line(number, line)
    if len(words) != 2 or "," in words[1]:
        raise DataError(f"{source}:{number}: expected `path label` or `path frames label`, got {line!r}; {_CSV}.")
    path, label = words
    if (framed := re.fullmatch(r"(.*\S)\s+(\d+)", path)) and path not in there and framed[1] in there:
        return _Line(number, framed[1], (framed[2],), label, is_video=_is_video(framed[1], there))
    behind = [line[end.end() :] for end in _VIDEO_END.finditer(line)]
    if behind and len(behind[-1].split()) > 1 and "/" not in behind[-1] and path not in there:
        raise DataError(
            f"{source}:{number}: {behind[-1]!r} behind a video: one class name with blanks, or several? {_CSV}."
        )
    return _Line(number, path, label=label)


def _is_video(path: str, there: FilesIn) -> bool:
    if has_video_suffix(path) or is_address(path):
        return True
    return path not in there and bool(there.completed(path.replace("\\", "/")))


def _numbered(source: str, line: _Line, behind: str, there: FilesIn) -> _Line:
    """A line with numbers at its end, of which the first ones may belong to the path."""
    if has_video_suffix(line.path) or is_address(line.path):
        return line
    ends = [found.end() for found in re.finditer(r"\d+", behind)][:-1]
    paths = [line.path, *(f"{line.path} {behind[:end]}" for end in ends)]
    lying = [end for end, path in enumerate(paths) if path in there or there.completed(path)]
    if len(lying) > 1:
        raise DataError(f"{source}:{line.number}: {paths[lying[0]]!r} and {paths[lying[1]]!r} are both there; {_CSV}.")
    end = lying[0] if lying else 0
    return _Line(line.number, paths[end], line.numbers[end:], is_video=_is_video(paths[end], there))


def _has_offset(source: str, lines: Sequence[_Line], root: Path) -> bool:
    """Whether the numbers behind folders of frames begin with an offset, by the rules of this module.

    Raises:
        DataError: no rule holds.
    """
    lengths = {len(line.numbers) for line in lines}
    if max(lengths, default=0) < 3 or (len(lengths) > 1 and min(lengths) > 1):
        return False
    some = lines[:: max(1, len(lines) // 200)]
    found = [max(count_frames(os.path.join(root, line.path))) for line in some]  # noqa: PTH118
    held = [(count, list(map(int, line.numbers))) for count, line in zip(found, some, strict=True) if count]
    if held and len(lengths) == 1:
        if all(numbers[0] == count for count, numbers in held):
            return False
        if lengths == {3} and all(numbers[0] + numbers[1] <= count for count, numbers in held):
            return True
    first = next(line for line in lines if len(line.numbers) >= 3)
    why = (
        "the images that lie there fit neither"
        if held
        else "its folders are not there (--root FOLDER, root= in Python)"
    )
    raise DataError(
        f"{source}:{first.number}: {' '.join([first.path, *first.numbers])!r} may be `folder offset frames label` or "
        f"`folder frames label label`, and {why}; {_CSV}."
    )
