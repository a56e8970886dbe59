"""Reads every way in which the field writes down which video shows what, by rules that a person can follow."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from marey.base.absent import nothing_at
from marey.base.address import Address, address_in
from marey.base.errors import DataError
from marey.base.reporter import notice
from marey.base.words import counted
from marey.data.lists.class_files import read_classes
from marey.data.lists.folders import list_folder
from marey.data.lists.json_lists import is_json, json_rows
from marey.data.lists.lines import line_rows
from marey.data.lists.manifest import Manifest, classes_beside, make_manifest
from marey.data.lists.numbered_lines import numbered_lines
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
)
from marey.data.lists.rows import FilesIn, Rows, as_they_lie, has_video_suffix, on_server, with_frame_ranges
from marey.data.lists.sources import ucf_group
from marey.data.lists.split_names import split_column, split_name
from marey.data.lists.tables import (
    UNNEEDED,
    columns_of,
    find_table,
    has_frames,
    refuse_unclear_labels,
    rows_of,
    table_rows,
    tell_of_columns,
    tell_of_frames,
    unclear_columns,
)
from marey.data.lists.text import header_place, is_parquet, no_utf8, read_text

LIST_SUFFIXES = (".csv", ".tsv", ".txt", ".lst", ".list", ".json", ".jsonl", ".ndjson", ".parquet")
"""The names of files that are lists of videos where videos may be named as well."""

OTHER_SUFFIXES = (
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
"""The names of files that are lists of other kinds, which `read_text` refuses with what to do instead."""


def read_manifest(
    path: str | Path,
    *,
    root: str | Path | None = None,
    classes: Sequence[str] | str | Path | None = None,
    split: str | None = None,
) -> Manifest:
    """Read a list of videos and labels. Its format is decided by the first of these rules that holds:

    - a folder of the split files of UCF101 or HMDB51 and nothing else, or a pattern (`splits/*_test_split1.txt`): these;
    - another folder: a folder per class;
    - a file named *.parquet: a table, `marey.data.lists.parquet_lists`;
    - a text that begins with { or [ and is JSON, or lines of it: `marey.data.lists.json_lists`;
    - a header of known words, or two equal columns: a table, `marey.data.lists.tables`; Kinetics' and Charades' CSV by
      their own columns (`marey.data.lists.public_lists`);
    - lines of a path and words behind it: `marey.data.lists.lines`.

    Files are looked for below `root`: a suffix that the list leaves out, and slashes for backslashes, are completed by what
    lies there. What is passed over, completed or replaced is printed with a count. The page "Lists of videos" has a table of
    all.

    Args:
        path: The list, or a folder.
        root: The folder of relative paths, or the address below which they lie; else the list's own folder.
        classes: The class names in order, or a file of them (`marey.data.lists.class_files.read_classes`); None: the
            names that `Manifest.write_csv` left beside the list (list.csv.classes.json), if it did.
        split: Keep one split; any of the words for it (`marey.data.lists.split_names`).

    Raises:
        DataError: with file and line: what is not understood, a row without path or label, a label outside `classes`, a
            list without labels, one of another kind or in another encoding.
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
            f"{header_place(rows.source)}: the column 'label' is missing: the list names no labels, which `marey predict` "
            "and `marey features` do without; for training and testing write a CSV with the header path,label."
        )
    refuse_unclear_labels(rows)
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
    """Whether a path names a list, whose relative paths `root` is for: the split files of a public data set, or a file
    that is no video by its suffix.
    """
    if address_in(path) is not None:
        return False
    return bool(official_files(Path(path))) or not (Path(path).is_dir() or has_video_suffix(str(path)))


def check_root(root: str | Path | None, *sources: str | Path) -> None:
    """Refuse a folder for relative paths where no list is among the sources that has any.

    Raises:
        DataError: `root` can have no effect.
    """
    if root is None or any(map(is_list, sources)):
        return
    folders = all(Path(source).is_dir() for source in sources)
    one, several = ("is a folder", "are folders") if folders else ("is none", "are none")
    named = " and ".join(map(str, sources[:3])) + (" and others" if len(sources) > 3 else "")
    verb = one if len(sources) == 1 else several
    raise DataError(f"--root {root}: is for the relative paths of a list, and {named} {verb}: leave it out.")


def _own_classes(path: Path) -> list[str] | None:
    """The names of classes that `Manifest.write_csv` wrote beside a list, if it did."""
    file = classes_beside(path)
    if not file.is_file():
        return None
    try:
        names = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        names = None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise DataError(f"{file}: expected a JSON array of the class names of {path.name}; write the list anew.")
    return names


def read_rows(
    path: Path,
    *,
    root: str | Path | None = None,
    classes: Sequence[str] | None = None,
    bare: bool = False,
    labelled: bool = True,
) -> tuple[Rows, Path]:
    """The rows of a list in any format, with labels or without, by the paths that files have; and the folder of these paths.
    `bare` takes single words for ids or paths, whether such files are there or not. `classes` only tells which label an
    action of Charades is. Of a list that is not `labelled`, columns of labels, splits and groups may hold anything: a table
    is read without them.

    Raises:
        DataError: see `read_manifest`.
    """
    server = None if root is None else address_in(root)
    root = None if server is not None else root
    if (address := address_in(path)) is not None:
        raise list_at(address)
    if files := official_files(path):
        if server is not None:
            raise DataError(f"{path}: the files of a public data set name videos of a folder: give --root FOLDER.")
        folder = Path(root) if root else files[0].parent
        return official_rows(files, FilesIn(folder)), folder
    if not path.exists() and not bare:
        raise DataError(nothing_at(path, "no such list or folder"))
    folder = Path(root) if root else path.parent
    there = FilesIn(folder)
    if is_parquet(path):
        rows = _parquet_rows(ParquetList.opened(path), there, classes, () if labelled else UNNEEDED)
    else:
        rows = _text_rows(str(path), read_text(path), folder, there, classes, bare=bare)
    if not rows.paths:
        raise DataError(f"{path}: names no videos.")
    if bare:
        return rows, folder
    if server is not None:
        return on_server(rows, server), folder
    return with_frame_ranges(as_they_lie(rows, there), folder), folder


def _parquet_rows(listed: ParquetList, there: FilesIn, classes: Sequence[str] | None, unread: Sequence[str]) -> Rows:
    words = listed.words
    if is_kinetics(words):
        return kinetics_rows(listed.table([word for word in (*KINETICS, "label", "split") if word in words]), there)
    if is_charades(words):
        return charades_rows(listed.table(CHARADES), classes)
    named = columns_of(listed.source, words)
    read = {name: word for name, word in named.items() if name not in unread}
    rows = replace(rows_of(listed.table(list(read.values())), read), unclear=unclear_columns(listed.source, words))
    tell_of_columns(listed.source, words, named)
    if has_frames(rows):
        tell_of_frames(listed.source)
    return rows


def _text_rows(
    source: str, text: str, root: Path, there: FilesIn, classes: Sequence[str] | None, *, bare: bool
) -> Rows:
    refuse_boxes(source, text)
    rows = _rows(source, text, root, there, classes, bare=bare)
    if rows.paths and no_utf8(text):
        rows.refuse_other_encodings(root)
    return rows


def list_at(address: Address) -> DataError:
    """The error that says what to do about a list at an address."""
    return DataError(
        f"{address}: lists are read from this machine: fetch it first, and name the file; --root ADDRESS (root= in Python) "
        "is where the files of its relative paths lie."
    )


def _rows(source: str, text: str, root: Path, there: FilesIn, classes: Sequence[str] | None, *, bare: bool) -> Rows:
    if is_json(source, text):
        return json_rows(source, text, there)
    lines = numbered_lines(source, text, there)
    table = find_table(source, lines, there)
    if table is None:
        rows = line_rows(source, lines, root, there, bare=bare)
        of_ucf101 = all(map(ucf_group, rows.paths))
        return replace(rows, class_names=ucf101_classes(Path(source).parent)) if of_ucf101 else rows
    if is_kinetics(table.columns):
        return kinetics_rows(table, there)
    return charades_rows(table, classes) if is_charades(table.columns) else table_rows(table)


def _splits(source: str, words: Sequence[str]) -> list[str]:
    """A column of splits by their common names; the other words that were read so are printed."""
    changed = {word: split_name(word) for word in dict.fromkeys(words) if split_name(word) != word}
    if changed:
        rows = sum(word in changed for word in words)
        pairs = ", ".join(f"{word} as {name}" for word, name in changed.items())
        notice(f"{source}: splits read by their common names in {counted(rows, 'row')}: {pairs}.")
    names: list[str] = split_column(words).tolist()
    return names


def hmdb51_split(folder: str | Path, split: int, *, root: str | Path) -> Manifest:
    """One of HMDB51's three official splits from its folder of `CLASS_test_splitN.txt` files (1 train, 2 test, 0 unused).

    Raises:
        DataError: the folder does not hold 51 files of that split.
    """
    files = sorted(Path(folder).glob(f"*_test_split{split}.txt"))
    if len(files) != 51:
        raise DataError(f"{folder}: expected 51 files *_test_split{split}.txt, found {len(files)}.")
    return read_manifest(Path(folder) / f"*_test_split{split}.txt", root=root)
