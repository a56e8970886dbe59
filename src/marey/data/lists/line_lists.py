"""Lists with a path and words after it on each line, as MMAction and MMAction2 write them.

    path                                       a list of paths alone
    path label                                 a class name without blanks, or a number
    video.mp4 label label ...                  several labels, which are numbers, separated by blanks or commas
    folder frames label [label ...]            a folder of frames, and how many of its images are used, from the first
    folder offset frames label                 as before, after the number of skipped images (MMAction2's `with_offset`)

Lines are read from their end, since paths may hold blanks: first the numbers, then the path. A video file has no number of
frames, so all numbers after it are labels. (A path is that of a video file if it ends in a video's suffix, if such a file
exists with a suffix, or if it is an address.) The numbers after folders have the same meaning in the entire list, by the
first of these rules that holds:

1. no line has more than two numbers: the label, or frames and label;
2. every line has two numbers or more, and some lines have more numbers than others: frames and labels;
3. the first number is the number of images in each folder: frames and labels;
4. there are three numbers, and each folder has at least as many images as the first two add up to: offset, frames and label;
5. otherwise the list is refused.

A number belongs to the path ("run 1") if that folder exists and the one without the number does not. Rules 3 and 4 look into
about 200 folders of the list.
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
from marey.data.lists.columns import COLUMN_OF, column_word
from marey.data.lists.files_in import FilesIn, has_video_suffix
from marey.data.lists.rows import NeedsAllRowsError, Rows
from marey.data.lists.videos import ALL_FRAMES
from marey.video.reading.image_folders import count_frames
from marey.video.reading.suffixes import VIDEO_SUFFIXES

_NUMBERS = re.compile(r"(.*?\S)\s+(\d+(?:[\s,]+\d+)*)")
"""A path, and all numbers at the end of the line."""
_VIDEO_END = re.compile(rf"(?:{'|'.join(map(re.escape, sorted(VIDEO_SUFFIXES)))})(?:\?\S*)?\s+", re.IGNORECASE)
"""The suffix of a video, with an address's query, and the blanks after it."""
_AFTER_A_WORD = re.compile(r"([^/\s,;]+)(?:[,;]\s*|\s+)(\S.*)")
"""The first word of a line, and the rest, which may be a path."""
_BETWEEN = re.compile(r"[\s,;]")
_UCF101 = re.compile(r"((\w+)/v_\w+_g\d+_c\d+\.avi)(?: \d+)?")
_CSV = "a CSV with the header path,label is unambiguous"


@dataclass(frozen=True)
class _ListLine:
    """One line, read from its end."""

    number: int
    """The number of the line in the file, from 1."""
    path: str
    """The path of the video, as written."""
    numbers: tuple[str, ...] = ()
    """The numbers after the path, as text; () for none."""
    label: str | None = None
    """A class name; None where numbers follow the path, or nothing does."""
    is_video: bool = True
    """Whether the path is that of a video file; also True for a path alone, where it does not matter."""

    @property
    def alone(self) -> bool:
        """Whether the line is a path alone."""
        return self.label is None and not self.numbers


def line_rows(
    source: str, numbered: Sequence[tuple[int, str]], root: Path, existing: FilesIn, *, bare: bool = False
) -> Rows:
    """The rows of a list with a video on each line, by the rules of this module.

    Args:
        source: The list, for messages.
        numbered: Its lines (`marey.data.lists.text_files.numbered_lines`).
        root: The folder of its paths.
        existing: The files below `root`.
        bare: Whether a single word is a path or an id, even if no such file exists.

    Raises:
        DataError: with file and line: no path and label, or numbers that may be read in several ways.
    """
    texts = _without_header(source, numbered, existing)
    lines = [_line(source, n, line.strip(), existing, bare=bare) for n, line in texts]
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
        notice(f"{source}: read as `folder offset frames label`: its folders have enough images.")
    labels, counts, ranges = [], [], []
    for line in lines:
        numbers = list(line.numbers)
        offset = int(numbers.pop(0)) if has_offset and not line.is_video else -1
        has_count = not line.is_video and len(numbers) > (line.label is None)
        count = int(numbers.pop(0)) if has_count else -1
        if count == 0:
            raise DataError(
                f"{source}:{line.number}: {line.path} with 0 frames: expected `folder frames label`; {_CSV}."
            )
        labels.append("|".join(numbers) if line.label is None else line.label)
        counts.append(-1 if has_offset else count)
        ranges.append((offset, offset + count) if offset >= 0 else ALL_FRAMES)
    _report_several_labels(source, sum("|" in label for label in labels))
    return Rows(
        source=source, paths=[line.path for line in lines], lines=[line.number for line in lines],
        labels=None if alone else labels, frame_ranges=ranges if has_offset else None,
        frame_counts=counts if max(counts) >= 0 else None,
    )  # fmt: skip


@dataclass
class VideoLines:
    """A list whose lines can be read one by one: video files alone, or video files with their labels."""

    source: str
    """The list, for messages."""
    lines: Callable[[], Iterable[tuple[int, str]]]
    """Returns the lines from the first on, as `marey.data.lists.text_files.iter_numbered` gives them."""
    existing: FilesIn
    """The files below the folder of the list's paths."""
    is_headed: bool = field(init=False)
    """Whether the first line is a header."""
    several: int = field(default=0, init=False)
    """The number of videos with several labels in the last pass over the list."""

    def __post_init__(self) -> None:
        self.is_headed = not _without_header(self.source, list(islice(self.lines(), 1)), self.existing)

    def rows(self, size: int) -> Iterator[Rows]:
        """The rows, `size` at a time; the last time the remaining ones.

        Raises:
            NeedsAllRowsError: the meaning of a line depends on other lines.
            DataError: with file and line: as `line_rows`.
        """
        kinds: set[bool] = set()
        self.several = 0
        numbered = islice(self.lines(), 1, None) if self.is_headed else iter(self.lines())
        while texts := list(islice(numbered, size)):
            lines = [_line(self.source, n, line.strip(), self.existing, bare=False) for n, line in texts]
            kinds.update(line.alone for line in lines)
            if len(kinds) > 1 or any(line.numbers and not line.is_video for line in lines):
                raise NeedsAllRowsError
            labels = ["|".join(line.numbers) if line.label is None else line.label for line in lines]
            self.several += sum("|" in label for label in labels)
            yield Rows(
                source=self.source, paths=[line.path for line in lines], lines=[line.number for line in lines],
                labels=None if True in kinds else labels,
            )  # fmt: skip

    def report(self) -> None:
        """Give notice of the videos with several labels in the last pass over the list."""
        _report_several_labels(self.source, self.several)


def _report_several_labels(source: str, count: int) -> None:
    if count:
        notice(f"{source}: {counted(count, 'video')} with several labels: after a video, all numbers are labels.")


def _without_header(source: str, lines: Sequence[tuple[int, str]], existing: FilesIn) -> Sequence[tuple[int, str]]:
    """The lines without a header such as `path label`.

    Raises:
        DataError: the header names columns that such lines do not have.
    """
    words = lines[0][1].split() if lines else []
    columns = [COLUMN_OF.get(column_word(word), "") for word in words]
    if len(words) < 2 or "path" not in columns or "" in columns or words[0] in existing:
        return lines
    if columns not in (["path", "label"], ["path", "num_frames", "label"]):
        raise DataError(
            f"{source}:{lines[0][0]}: a header of {' '.join(words)!r} with blanks between: put commas there."
        )
    notice(f"{source}: the first line, {' '.join(words)!r}, read as a header.")
    return lines[1:]


def _line(source: str, number: int, line: str, existing: FilesIn, *, bare: bool) -> _ListLine:
    if has_video_suffix(line) and "/v_" not in line and _BETWEEN.search(line) is None:
        return _ListLine(number, line)  # as the code below does, but faster, for most lines of long lists
    if ucf := _UCF101.fullmatch(line):
        return _ListLine(number, ucf[1], label=ucf[2])
    if found := _NUMBERS.fullmatch(line):
        return _numbered(source, _ListLine(number, found[1], tuple(re.split(r"[\s,]+", found[2]))), found[2], existing)
    words = line.rsplit(maxsplit=1)
    alone = has_video_suffix(line) or line in existing or (len(words) == 1 and (bare or is_address(line)))
    first = _AFTER_A_WORD.fullmatch(line)
    if first and line not in existing and (is_address(first[2]) or (alone and first[2] in existing)):
        raise DataError(
            f"{source}:{number}: {first[1]!r} before a path: expected `path label`; a CSV with the header label,path may "
            "have them in this order."
        )
    if alone:
        return _ListLine(number, line)
    if len(words) != 2 or "," in words[1]:
        raise DataError(f"{source}:{number}: expected `path label` or `path frames label`, got {line!r}; {_CSV}.")
    path, label = words
    if (has_count := re.fullmatch(r"(.*\S)\s+(\d+)", path)) and path not in existing and has_count[1] in existing:
        return _ListLine(number, has_count[1], (has_count[2],), label, is_video=_is_video(has_count[1], existing))
    rest = [line[end.end() :] for end in _VIDEO_END.finditer(line)]
    if rest and len(rest[-1].split()) > 1 and "/" not in rest[-1] and path not in existing:
        raise DataError(
            f"{source}:{number}: {rest[-1]!r} after a video: one class name with blanks, or several? {_CSV}."
        )
    return _ListLine(number, path, label=label)


def _is_video(path: str, existing: FilesIn) -> bool:
    if has_video_suffix(path) or is_address(path):
        return True
    return path not in existing and bool(existing.completed(path.replace("\\", "/")))


def _numbered(source: str, line: _ListLine, numbers: str, existing: FilesIn) -> _ListLine:
    """A line that ends in `numbers`, of which the first ones may belong to the path."""
    if has_video_suffix(line.path) or is_address(line.path):
        return line
    ends = [found.end() for found in re.finditer(r"\d+", numbers)][:-1]
    paths = [line.path, *(f"{line.path} {numbers[:end]}" for end in ends)]
    found = [count for count, path in enumerate(paths) if path in existing or existing.completed(path)]
    if len(found) > 1:
        raise DataError(f"{source}:{line.number}: {paths[found[0]]!r} and {paths[found[1]]!r} both exist; {_CSV}.")
    count = found[0] if found else 0
    return _ListLine(line.number, paths[count], line.numbers[count:], is_video=_is_video(paths[count], existing))


def _has_offset(source: str, lines: Sequence[_ListLine], root: Path) -> bool:
    """Whether the numbers after folders of frames begin with an offset, by the rules of this module.

    Raises:
        DataError: none of the rules 1 to 4 holds.
    """
    lengths = {len(line.numbers) for line in lines}
    if max(lengths, default=0) < 3 or (len(lengths) > 1 and min(lengths) > 1):
        return False
    sample = lines[:: max(1, len(lines) // 200)]
    counts = [max(count_frames(os.path.join(root, line.path))) for line in sample]  # noqa: PTH118
    with_images = [(count, list(map(int, line.numbers))) for count, line in zip(counts, sample, strict=True) if count]
    if with_images and len(lengths) == 1:
        if all(numbers[0] == count for count, numbers in with_images):
            return False
        if lengths == {3} and all(numbers[0] + numbers[1] <= count for count, numbers in with_images):
            return True
    first = next(line for line in lines if len(line.numbers) >= 3)
    why = (
        "the images in its folders fit neither"
        if with_images
        else "its folders do not exist (--root FOLDER, root= in Python)"
    )
    raise DataError(
        f"{source}:{first.number}: {' '.join([first.path, *first.numbers])!r} may be `folder offset frames label` or "
        f"`folder frames label label`, and {why}; {_CSV}."
    )
