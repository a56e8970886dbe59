"""The list of videos of a test: reading it with the network's classes, and finding it for the report of a finished test."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from marey.base.claim import Command, read_note
from marey.base.errors import DataError, MareyError
from marey.base.jsonable import Json
from marey.base.reporter import SilentReporter, notice, reporting, warning_once
from marey.base.words import counted
from marey.classifier import Classifier
from marey.data.lists.class_files import read_classes
from marey.data.lists.labels import are_indices
from marey.data.lists.manifest import Manifest, in_class_order
from marey.data.lists.read_manifest import read_manifest
from marey.evaluation.result import SCORES
from marey.evaluation.scores import Scores

_LIST, _ROOT, _SPLIT = "list", "list_root", "list_split"
"""Keys in evaluate.json, the file by which a test is recognised when it is resumed."""


def as_labelled(
    data: Manifest | str | Path,
    model: Classifier,
    *,
    root: str | Path | None = None,
    classes: str | Path | Sequence[str] | None = None,
    split: str | None = None,
) -> Manifest:
    """The manifest whose labels are the network's classes, from a manifest, or the path of a list or folder.

    Raises:
        DataError: as `read_labelled`; `data` is neither a manifest nor a path; or `root` or `classes`, which decide how a
            list is read, are given beside a manifest.
    """
    if isinstance(data, str | Path):
        return read_labelled(data, model, root=root, classes=classes, split=split)
    if not isinstance(data, Manifest):
        raise DataError(
            f"data: a list with labels or its path is tested, not a {type(data).__name__}: marey.read_manifest reads one."
        )
    if given := [f"{name}=" for name, value in {"root": root, "classes": classes}.items() if value is not None]:
        raise DataError(f"data is read already: leave out {', '.join(given)} (marey.read_manifest takes them).")
    return _in_network_order(data if split is None else data.split(split), model)


def read_labelled(
    path: str | Path,
    model: Classifier,
    *,
    root: str | Path | None = None,
    classes: str | Path | Sequence[str] | None = None,
    split: str | None = None,
) -> Manifest:
    """Read a list whose labels are the network's classes.

    Args:
        path: The list, or a folder of videos.
        model: The classifier that is tested.
        root: Folder that the list's paths are relative to.
        classes: Class names in order, or a file of them. If the network has no class names, they are its classes. If it has,
            they are the classes that the numbers of the list stand for, and are matched with the network's by name. None:
            numbers in the list are indices of the network's classes.
        split: The split to read; None: all videos.

    Raises:
        DataError: a label is none of the network's classes; or the list has names, the network has none, and `classes` is
            not given, so that names and classes cannot be matched.
    """
    count = model.num_classes
    listed, named = (read_classes(classes), str(classes)) if isinstance(classes, str | Path) else (classes, "--classes")
    if listed is not None and model.class_names is None and len(listed) != count:
        raise DataError(f"{named}: {len(listed)} class names, but the network has {counted(count, 'class')}.")
    manifest = read_manifest(path, root=root, classes=listed or model.class_names, split=split)
    if model.class_names is not None:
        manifest = in_class_order(manifest, model.class_names, of="the checkpoint")
    elif len(manifest.class_names) > count:
        raise DataError(
            f"{path}: {counted(len(manifest.class_names), 'class')}, but the network has {counted(count, 'class')}."
        )
    elif listed is None and not are_indices(manifest.class_names):
        raise DataError(
            f"{path}: {len(manifest.class_names)} class names, and the weights do not say which of their "
            f"{counted(count, 'class')} these are: name them in order with --classes FILE (classes= in Python), "
            "or label by number."
        )
    if split is None and len(manifest.split_names) > 1:
        warning_once(
            f"all splits of {path} are tested ({', '.join(manifest.split_names)}); --split NAME takes one of them "
            "(split= in Python)"
        )
    return manifest


def _in_network_order(manifest: Manifest, model: Classifier) -> Manifest:
    """The manifest with labels that are indices of the network's classes.

    Raises:
        DataError: a label is none of the network's classes, or the manifest has more classes than the network.
    """
    if model.class_names is not None:
        return in_class_order(manifest, model.class_names, of="the classifier")
    names, count = manifest.class_names, counted(model.num_classes, "class")
    if len(names) > model.num_classes:
        source = manifest.source or "the manifest"
        raise DataError(f"{source}: {counted(len(names), 'class')}, but the network has {count}.")
    if not are_indices(names):
        warning_once(
            f"the network does not name its {count}: they are assumed to be the manifest's, in its order, "
            f"{', '.join(names[:4])}{', ...' if len(names) > 4 else ''}; classifier.with_classes(NAMES) names them"
        )
    return manifest


def list_facts(data: Manifest) -> dict[str, Json]:
    """What evaluate.json records about the list of a test: absolute paths, and the tested split."""
    splits, source = data.split_names, Path(data.source)  # a manifest made in Python may have any text
    return {
        _LIST: str(source.absolute()) if data.source and source.exists() else None,
        _ROOT: str(data.server or data.root.absolute()),
        _SPLIT: splits[0] if len(splits) == 1 else None,
    }


def read_tested_list(folder: str | Path) -> Manifest | None:
    """The tested videos of a finished test: from the list that evaluate.json in its folder names, or from split.csv of a
    training.

    None if the folder holds no scores, or if each of these lists is missing, cannot be read, or names no tested video; a
    notice then gives the reason.
    """
    folder = Path(folder)
    if not (folder / SCORES).exists():
        return None
    scores = Scores.load(folder / SCORES)
    tested, reason = set(scores.ids), f"{Command.EVALUATE.note} names no list of videos"
    for path, root, split in _candidate_lists(folder):
        if not path.exists():
            reason = f"{path} does not exist any more"
            continue
        try:
            with reporting(SilentReporter()):  # the test has printed the notices about its list
                listed = read_manifest(path, root=root, classes=scores.class_names, split=split)
        except MareyError as error:
            reason = str(error).removesuffix(".")
            continue
        rows = np.array([row for row, video in enumerate(listed.videos) if video.id in tested], dtype=np.int64)
        if len(rows):
            if len(rows) < len(tested):
                missing = counted(len(tested) - len(rows), "tested video")
                notice(f"{missing} not in {path} any more: the page shows no examples of them")
            return listed[rows]
        reason = f"{path} names none of the tested videos"
    notice(f"the page has no examples: {reason}")
    return None


def _candidate_lists(folder: Path) -> Iterator[tuple[Path, str | None, str | None]]:
    """(path, root, split) of the lists that may name the tested videos, the most likely first."""
    notes = [folder / Command.EVALUATE.note, *sorted(folder.glob(f"stream1-*/{Command.EVALUATE.note}"))]
    for note in map(read_note, notes):
        if note is not None and isinstance(path := note.get(_LIST), str):
            root, split = note.get(_ROOT), note.get(_SPLIT)
            is_file = not Path(path).is_dir()
            yield (
                Path(path),
                root if is_file and isinstance(root, str) else None,
                split if isinstance(split, str) else None,
            )
    if (own := folder / "split.csv").exists():
        yield own, None, None
