"""The text of lists and class files: its encoding, its lines, and how messages name a line."""

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from marey.base.errors import DataError
from marey.base.jsonable import BYTES, Json
from marey.base.reporter import notice
from marey.base.words import counted
from marey.data.lists.files_in import FilesIn

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16's, with which it begins
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BYTE = re.compile("[\udc80-\udcff]")
"""What `surrogateescape` makes of a byte that is not UTF-8."""
_BINARY = (
    (b"PK\x03\x04", "an Excel sheet or another zip archive", "save the sheet as CSV (UTF-8)"),
    (b"\xd0\xcf\x11\xe0", "an old Excel sheet", "save the sheet as CSV (UTF-8)"),
    (b"PAR1", "a Parquet table", "name it FILE.parquet if it is a list of videos"),
    (b"ARROW1", "a Feather table", "pandas.read_feather(FILE).to_csv(OUT, index=False) writes a CSV"),
    (b"\x1f\x8b", "a file packed by gzip", "unpack it with gunzip"),
    (b"\x89HDF", "an HDF5 file", ""),
    (b"\x93NUMPY", "a NumPy array", ""),
    (b"MATLAB", "a MATLAB file", ""),
    (b"SQLite", "an SQLite data base", ""),
    (b"%PDF", "a PDF document", ""),
)  # fmt: skip
_PICKLE = re.compile(rb"\x80[\x02-\x05]")
_PICKLED = (
    "a Python pickle, such as MMAction2's skeleton annotations",
    "Marey reads videos and frames, no skeletons, and opens no pickles",
)
_LIST, _ADVICE = "a list of videos", "write its rows as a CSV with the header path,label"
_HEAD = 4096
"""Bytes at the beginning of a file that show which kind of file it is."""


def read_text(path: Path, *, what: str = _LIST, advice: str = _ADVICE) -> str:
    """The text of a list, without its byte order mark.

    UTF-8 is read with or without a mark, UTF-16 and UTF-32 with theirs. Bytes that are not UTF-8 are kept
    (`surrogateescape`), since names of files may hold any.

    Args:
        path: The file.
        what: What the file should be, for messages.
        advice: What to write instead of a file of another kind, for messages.

    Raises:
        DataError: the file holds no text (the message names other kinds of files, and what to do), or cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read as {what} ({error}).") from None
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return data[len(mark) :].decode(encoding, BYTES if encoding == "utf-8" else "strict")
            except UnicodeDecodeError as error:
                name = encoding[:-3].upper()
                raise DataError(
                    f"{path}: cannot be read as {what} (its mark says {name}, but byte {error.start + len(mark)} is not)."
                ) from None
    _refuse_binary(path, data, what, advice)
    return data.decode("utf-8", BYTES)


def is_utf16_or_utf32(path: Path) -> bool:
    """Whether a text begins with the byte order mark of UTF-16 or UTF-32.

    Raises:
        DataError: it cannot be read.
    """
    return _mark(path)[1] not in ("", "utf-8")


def file_lines(path: Path) -> Iterator[str]:
    """The lines of a list in UTF-8, one by one, as `read_text` and `text_lines` give them.

    Raises:
        DataError: as `read_text`.
    """
    mark, _ = _mark(path)
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
        _refuse_binary(path, b"" if mark else head, _LIST, _ADVICE)
        with path.open(encoding="utf-8-sig" if mark else "utf-8", errors=BYTES, newline=None) as text:
            for line in text:
                if "\0" in line and not mark:
                    raise _no_text(path, _LIST)
                yield line.removesuffix("\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read as {_LIST} ({error}).") from None


def _mark(path: Path) -> tuple[bytes, str]:
    """The byte order mark at the beginning of a file, and its encoding; empty where there is none."""
    try:
        with path.open("rb") as file:
            head = file.read(max(len(mark) for mark, _ in _MARKS))
    except OSError as error:
        raise DataError(f"{path}: cannot be read as {_LIST} ({error}).") from None
    return next(((mark, encoding) for mark, encoding in _MARKS if head.startswith(mark)), (b"", ""))


def _no_text(path: Path, what: str) -> DataError:
    return DataError(f"{path}: cannot be read as {what} (it is not UTF-8 text).")


def _refuse_binary(path: Path, data: bytes, what: str, advice: str) -> None:
    found = next(((kind, hint) for magic, kind, hint in _BINARY if data.startswith(magic)), None)
    if _PICKLE.match(data):
        found = _PICKLED
    if found is not None:
        raise DataError(
            f"{path}: cannot be read as {what}: it is {found[0]}; {'; '.join(filter(None, (found[1], advice)))}."
        )
    if b"\0" in data:
        head = data[:400]
        for encoding, zeros in (("UTF-16LE", head[1::2]), ("UTF-16BE", head[::2])):
            if zeros.count(0) > 0.6 * len(zeros):
                raise DataError(
                    f"{path}: cannot be read as {what} (it is not UTF-8 text, it looks like {encoding} without its mark): "
                    f"{_conversion(path, encoding)}"
                )
        raise _no_text(path, what)


def is_parquet(source: str | Path) -> bool:
    """Whether a list is a Parquet table, by its suffix: it has rows and no lines."""
    return str(source).lower().endswith(".parquet")


def row_word(source: str) -> str:
    """What messages call an entry of a list: "line", or "row" in a Parquet table. Both count from 1."""
    return "row" if is_parquet(source) else "line"


def location_prefix(source: str) -> str:
    """The beginning of `row_location`, up to the number: "a.csv:", "a.parquet: row "."""
    return f"{source}: row " if is_parquet(source) else f"{source}:"


def row_location(source: str, line: int) -> str:
    """Where a row of a list is, as messages begin: "a.csv:3", "a.parquet: row 3"."""
    return f"{location_prefix(source)}{line}"


def header_location(source: str) -> str:
    """Where the column names of a list are, as messages begin: "a.csv:1", "a.parquet"."""
    return source if is_parquet(source) else f"{source}:1"


def text_lines(text: str) -> list[str]:
    """The lines of a text, ended by LF, CRLF or CR only: Python's other line separators may be part of a name."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def parse_json(source: str, text: str) -> Json:
    """The value of a JSON text.

    Raises:
        DataError: with file and line: the text is no JSON, or an object has a name twice (other readers keep only the last).
    """
    try:
        value: Json = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise DataError(f"{source}:{error.lineno}: this is no JSON ({error.msg}, column {error.colno}).") from None
    except ValueError as error:
        raise DataError(f"{source}: {error}.") from None
    return value


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise ValueError(f"{twice!r} is there twice in one object")
    return found


def not_utf8(text: str) -> bool:
    """Whether a text holds bytes that are not UTF-8."""
    return not text.isascii() and _BYTE.search(text) is not None


def utf8_advice(path: str, text: str) -> str:
    """What to do about a text with bytes that are not UTF-8: its likely encoding, and the command that converts it.

    It is only a hint for people: nothing is decoded with the likely encoding.
    """
    encoding, name = _looks_like(text.encode("utf-8", BYTES))
    return f"it looks like {name}: {_conversion(Path(path), encoding)}"


def _conversion(path: Path, encoding: str) -> str:
    return f"iconv -f {encoding} -t UTF-8 '{path}' > '{path.with_name(path.stem + '.utf8' + path.suffix)}' converts it."


def _looks_like(data: bytes) -> tuple[str, str]:
    """The likely encoding of some bytes, as iconv and as people name it: the first in which they are mostly letters of its
    script, else Windows-1252.
    """
    candidates = (
        ("CP932", "shift_jis", "Shift-JIS", "\u3040", "\u30ff"),  # kana: Japanese text nearly always has some
        ("CP1251", "cp1251", "Windows-1251 (Cyrillic)", "\u0430", "\u044f"),  # small letters
        ("GB18030", "gbk", "GBK (Chinese)", "\u4e00", "\u9fff"),
    )
    for iconv, codec, name, first, last in candidates:
        # Letters of these scripts follow each other; a single byte among Latin letters is an accented letter.
        runs = [run for run in re.findall(rb"[\x80-\xff][\x40-\xff]*", data) if sum(b > 127 for b in run) >= 3]
        try:
            letters = [letter for run in runs for letter in run.decode(codec) if not letter.isascii()]
        except UnicodeDecodeError:
            continue
        if letters and sum(first <= letter <= last for letter in letters) > 0.5 * len(letters):
            return iconv, name
    return "CP1252", "Windows-1252 or Latin-1 (Western European)"


NumberedLine = tuple[int, str]
"""The number of a line, from 1, and its text."""


@dataclass
class SkippedLines:
    """How many comments and blank rows of a list were skipped."""

    comments: int = 0
    """Number of skipped lines with # in front."""
    blank: int = 0
    """Number of skipped rows whose cells are all blank."""

    def report(self, source: str) -> None:
        """Give notice of the numbers, and set them to 0."""
        if self.comments:
            notice(f"{source}: {counted(self.comments, 'line')} with # in front skipped.")
        if self.blank:
            notice(f"{source}: {counted(self.blank, 'row')} of blank cells skipped.")
        self.comments = self.blank = 0


def numbered_lines(source: str, text: str, existing: FilesIn) -> list[NumberedLine]:
    """The lines of a list with their numbers, without blank lines and comments (# in front, unless such a file exists)."""
    skipped = SkippedLines()
    lines = list(iter_numbered(text_lines(text), existing, skipped))
    skipped.report(source)
    return lines


def iter_numbered(texts: Iterable[str], existing: FilesIn, skipped: SkippedLines) -> Iterator[NumberedLine]:
    """The lines as `numbered_lines` gives them, one by one. The comments are counted in `skipped`."""
    lines = ((n, line) for n, line in enumerate(texts, start=1) if line and not line.isspace())
    for at, (n, line) in enumerate(lines):
        if at == 0 and re.fullmatch(r"sep=.", line.strip()):
            continue
        if line.startswith("#") and not _names_file(line, existing):
            skipped.comments += 1
        else:
            yield n, line


def _names_file(line: str, existing: FilesIn) -> bool:
    """Whether a line with # in front begins with the name of a file that exists."""
    return any(line[: found.start()] in existing for found in re.finditer(r"[,;\t| ]|$", line))
