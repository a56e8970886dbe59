"""`read_manifest`: reads lists of videos with labels in all usual formats, and folders of classes.

`read_rows` gives the rows of any list, also of one without labels.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from marey.base.absent import absent_message
from marey.base.address import Address, address_in
from marey.base.errors import DataError
from marey.base.reporter import notice
from marey.base.words import counted
from marey.data.lists.class_files import read_classes
from marey.data.lists.class_folders import list_folder
from marey.data.lists.columns import (
    OPTIONAL,
    ambiguous_columns,
    find_columns,
    has_frame_ranges,
    read_table,
    refuse_ambiguous_labels,
    report_frame_counting,
    report_ignored_columns,
    table_rows,
)
from marey.data.lists.csv_lists import find_table
from marey.data.lists.files_in import FilesIn, has_video_suffix
from marey.data.lists.json_lists import is_json, json_rows
from marey.data.lists.line_lists import line_rows
from marey.data.lists.manifest import Manifest, classes_beside, make_manifest
from marey.data.lists.parquet_lists import ParquetList
from marey.data.lists.public_lists import (
    CHARADES,
    KINETICS,
    charades_rows,
    is_charades,
    is_kinetics,
    kinetics_rows,
    official_files,
    official_rows,
    refuse_boxes,
    ucf101_classes,
    ucf101_group,
)
from marey.data.lists.resolve_paths import resolve_paths, with_addresses, with_frame_ranges
from marey.data.lists.rows import Rows
from marey.data.lists.split_names import split_column, split_name
from marey.data.lists.text_files import header_location, is_parquet, not_utf8, numbered_lines, read_text

LIST_SUFFIXES = (".csv", ".tsv", ".txt", ".lst", ".list", ".json", ".jsonl", ".ndjson", ".parquet")
"""The suffixes of lists of videos, where a path may be that of a list or of a video."""

UNREAD_LIST_SUFFIXES = (
    ".pkl",
    ".pickle",
    ".xlsx",
    ".xls",
    ".ods",
    ".feather",
    ".npy",
    ".npz",
    ".h5",
    ".hdf5",
    ".mat",
)
"""The suffixes of lists in formats that `read_text` refuses, saying what to do instead."""


def read_manifest(
    path: str | Path,
    *,
    root: str | Path | None = None,
    classes: Sequence[str] | str | Path | None = None,
    split: str | None = None,
) -> Manifest:
    """Read a list of videos with labels. The first of these rules that holds decides its format:

    - a folder with split files of UCF101 or HMDB51 and no folders, or a pattern (`splits/*_test_split1.txt`): an official
      split (`marey.data.lists.public_lists`);
    - another folder: a folder per class (`marey.data.lists.class_folders`);
    - a file named *.parquet: a table (`marey.data.lists.parquet_lists`);
    - a text that begins with { or [ and is JSON or lines of JSON: records (`marey.data.lists.json_lists`);
    - a text with a header of known columns, or with a path and one other cell on each line: a table
      (`marey.data.lists.csv_lists`); Kinetics' and Charades' CSV by their own columns (`marey.data.lists.public_lists`);
    - other texts: a path and words after it on each line (`marey.data.lists.line_lists`).

    Files are looked up below `root`: a suffix that the list leaves out is completed, and backslashes are replaced, where
    such a file exists. Notices count what is skipped, completed or replaced. The page "Lists of videos" has a table of all
    rules.

    Args:
        path: The list, or a folder.
        root: The folder of relative paths, or the address below which they are; None: the list's own folder.
        classes: The class names in order, or a file of them (`marey.data.lists.class_files.read_classes`). None: those of
            the file that `Manifest.write_csv` may have written beside the list (list.csv.classes.json); else those that
            the list gives; else its labels.
        split: Return only this split, given by any of its names (`marey.data.lists.split_names`).

    Raises:
        DataError: with file and line: a line that cannot be read, a row without path or label, or a label outside `classes`;
            or the list has no labels, or another format or encoding.
    """
    path = Path(path)
    check_root(root, path)
    names = read_classes(classes) if isinstance(classes, str | Path) else classes
    if path.is_dir() and not is_list(path):
        manifest = list_folder(path, classes=names)
        return manifest.split(split) if split else manifest
    own = _own_classes(path)
    rows, folder = read_rows(path, root=root, classes=names if own is None else own)
    if rows.labels is None:
        raise DataError(
            f"{header_location(rows.source)}: the column 'label' is missing: the list names no labels. `marey "
            "predict` and `marey features` do without; for training and testing write a CSV with the header path,label."
        )
    refuse_ambiguous_labels(rows)
    rows.refuse_blank()
    manifest = make_manifest(
        list(zip(rows.paths, rows.labels, strict=True)), root=folder, source=rows.source,
        classes=own or names or rows.class_names, lines=rows.lines, times=rows.times,
        splits=None if rows.splits is None else _splits(rows.source, rows.splits), groups=rows.groups,
        frame_ranges=rows.frame_ranges,
    )  # fmt: skip
    if root is not None:
        manifest = replace(manifest, server=address_in(root))
    if own is not None and names is not None:
        manifest = manifest.with_classes(names)
    return manifest.split(split) if split else manifest


def is_list(path: str | Path) -> bool:
    """Whether a path is that of a list, to which `root` applies: split files of a public data set, or a file whose suffix is
    not that of a video.
    """
    if address_in(path) is not None:
        return False
    return bool(official_files(Path(path))) or not (Path(path).is_dir() or has_video_suffix(str(path)))


def check_root(root: str | Path | None, *sources: str | Path) -> None:
    """Check that there is a list among the sources if `root` is given, since only lists have relative paths.

    Raises:
        DataError: there is none, so that `root` would have no effect.
    """
    if root is None or any(map(is_list, sources)):
        return
    folders = all(Path(source).is_dir() for source in sources)
    one, several = ("is a folder", "are folders") if folders else ("is no list", "are no lists")
    named = " and ".join(map(str, sources[:3])) + (" and others" if len(sources) > 3 else "")
    verb = one if len(sources) == 1 else several
    raise DataError(f"--root {root}: is for the relative paths of a list, and {named} {verb}: leave it out.")


def _own_classes(path: Path) -> list[str] | None:
    """The class names that `Manifest.write_csv` wrote beside a list; None where there is no such file."""
    file = classes_beside(path)
    if not file.is_file():
        return None
    try:
        names = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        names = None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise DataError(f"{file}: expected a JSON array of the class names of {path.name}; write the list again.")
    return names


def read_rows(
    path: Path,
    *,
    root: str | Path | None = None,
    classes: Sequence[str] | None = None,
    bare: bool = False,
    labelled: bool = True,
) -> tuple[Rows, Path]:
    """The rows of a list in any format, with resolved paths, and the folder that these are relative to.

    Args:
        path: The list.
        root: As for `read_manifest`.
        classes: The class names, which replace the codes of Charades' actions as labels.
        bare: Whether a line of one word is an id or a path even if no such file exists. Paths are then not resolved.
        labelled: Whether labels, splits and groups are needed. If not, a Parquet table is read without these columns, which
            may then hold anything.

    Raises:
        DataError: as `read_manifest`.
    """
    server = None if root is None else address_in(root)
    root = None if server is not None else root
    if (address := address_in(path)) is not None:
        raise list_on_server_error(address)
    if files := official_files(path):
        if server is not None:
            raise DataError(f"{path}: the split files of a public data set name files in a folder: give --root FOLDER.")
        folder = Path(root) if root else files[0].parent
        return official_rows(files, FilesIn(folder)), folder
    if not path.exists() and not bare:
        raise DataError(absent_message(path, "no such list or folder"))
    folder = Path(root) if root else path.parent
    existing = FilesIn(folder)
    if is_parquet(path):
        rows = _parquet_rows(ParquetList.opened(path), existing, classes, () if labelled else OPTIONAL)
    else:
        rows = _text_rows(str(path), read_text(path), folder, existing, classes, bare=bare)
    if not rows.paths:
        raise DataError(f"{path}: names no videos.")
    if bare:
        return rows, folder
    if server is not None:
        return with_addresses(rows, server), folder
    return with_frame_ranges(resolve_paths(rows, existing), folder), folder


def _parquet_rows(listed: ParquetList, existing: FilesIn, classes: Sequence[str] | None, unread: Sequence[str]) -> Rows:
    words = listed.words
    if is_kinetics(words):
        return kinetics_rows(listed.table([word for word in (*KINETICS, "label", "split") if word in words]), existing)
    if is_charades(words):
        return charades_rows(listed.table(CHARADES), classes)
    named = find_columns(listed.source, words)
    read = {name: word for name, word in named.items() if name not in unread}
    rows = replace(
        table_rows(listed.table(list(read.values())), read), ambiguous=ambiguous_columns(listed.source, words)
    )
    report_ignored_columns(listed.source, words, named)
    if has_frame_ranges(rows):
        report_frame_counting(listed.source)
    return rows


def _text_rows(
    source: str, text: str, root: Path, existing: FilesIn, classes: Sequence[str] | None, *, bare: bool
) -> Rows:
    refuse_boxes(source, text)
    rows = _rows(source, text, root, existing, classes, bare=bare)
    if rows.paths and not_utf8(text):
        rows.refuse_other_encodings(root)
    return rows


def list_on_server_error(address: Address) -> DataError:
    """The error for a list at an address: it is not read, and the message says what to do."""
    return DataError(
        f"{address}: lists are read from this machine: fetch it first, and give the path of the file; --root ADDRESS (root= "
        "in Python) is the address below which the files of its relative paths are."
    )


def _rows(source: str, text: str, root: Path, existing: FilesIn, classes: Sequence[str] | None, *, bare: bool) -> Rows:
    if is_json(source, text):
        return json_rows(source, text, existing)
    lines = numbered_lines(source, text, existing)
    table = find_table(source, lines, existing)
    if table is None:
        rows = line_rows(source, lines, root, existing, bare=bare)
        is_ucf101 = all(map(ucf101_group, rows.paths))
        return replace(rows, class_names=ucf101_classes(Path(source).parent)) if is_ucf101 else rows
    if is_kinetics(table.columns):
        return kinetics_rows(table, existing)
    return charades_rows(table, classes) if is_charades(table.columns) else read_table(table)


def _splits(source: str, words: Sequence[str]) -> list[str]:
    """A column of splits with their common names (train, val, test); a notice has the words that were replaced."""
    changed = {word: split_name(word) for word in dict.fromkeys(words) if split_name(word) != word}
    if changed:
        rows = sum(word in changed for word in words)
        pairs = ", ".join(f"{word} as {name}" for word, name in changed.items())
        notice(f"{source}: splits read by their common names in {counted(rows, 'row')}: {pairs}.")
    names: list[str] = split_column(words).tolist()
    return names


def hmdb51_split(folder: str | Path, split: int, *, root: str | Path) -> Manifest:
    """One of HMDB51's three official splits, from the folder of its files `CLASS_test_splitN.txt`. The number after each
    clip in these files is 1 for training, 2 for testing and 0 for neither.

    Raises:
        DataError: the folder does not have 51 files of that split.
    """
    files = sorted(Path(folder).glob(f"*_test_split{split}.txt"))
    if len(files) != 51:
        raise DataError(f"{folder}: expected 51 files *_test_split{split}.txt, found {len(files)}.")
    return read_manifest(Path(folder) / f"*_test_split{split}.txt", root=root)
