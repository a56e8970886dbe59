"""Where the videos of a test are: what its note says of the list that it read."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from marey.base.claim import Command, read_note
from marey.base.errors import MareyError
from marey.base.jsonable import Json
from marey.base.reporter import SilentReporter, notice, reporting
from marey.base.words import counted
from marey.data.lists.formats import read_manifest
from marey.data.lists.manifest import Manifest
from marey.evaluation.result import SCORES
from marey.evaluation.scores import Scores

_LIST, _ROOT, _SPLIT = "list", "list_root", "list_split"


def facts_of(data: Manifest) -> dict[str, Json]:
    """What a note says of the list of a test: where it lies, as whole paths, and which of its splits was tested."""
    splits, source = data.split_names, Path(data.source)  # which may be any text
    return {
        _LIST: str(source.absolute()) if data.source and source.exists() else None,
        _ROOT: str(data.server or data.root.absolute()),
        _SPLIT: splits[0] if len(splits) == 1 else None,
    }


def read_tested_list(folder: str | Path) -> Manifest | None:
    """The videos whose scores lie in a folder, by the list that its note names, else by the split.csv of its training.

    None where there is no such list, it cannot be read, or it names none of them (a notice gives the reason); and where the
    folder holds no scores.
    """
    folder = Path(folder)
    if not (folder / SCORES).exists():
        return None
    scores = Scores.load(folder / SCORES)
    tested, reason = set(scores.ids), "the note of the folder names no list of videos"
    for path, root, split in _lists(folder):
        if not path.exists():
            reason = f"{path} is not there any more"
            continue
        try:
            with reporting(SilentReporter()):  # the test has said what there is to say of its list
                listed = read_manifest(path, root=root, classes=scores.class_names, split=split)
        except MareyError as error:
            reason = str(error).removesuffix(".")
            continue
        rows = np.array([row for row, video in enumerate(listed.videos) if video.id in tested], dtype=np.int64)
        if len(rows):
            if len(rows) < len(tested):
                notice(f"{counted(len(tested) - len(rows), 'tested video')} not in {path} any more: no clips of them")
            return listed[rows]
        reason = f"{path} names none of the tested videos"
    notice(f"the page has no clips: {reason}")
    return None


def _lists(folder: Path) -> Iterator[tuple[Path, str | None, str | None]]:
    """Lists that may name the tested videos, with root and split, the likeliest first."""
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
