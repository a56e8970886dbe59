"""A folder of videos, or of folders of frames, as a list with labels: a folder per class."""

from collections.abc import Sequence
from pathlib import Path

from marey.base.errors import DataError
from marey.data.class_files import read_classes
from marey.data.manifest import Manifest, make_manifest
from marey.data.scan import find_videos


def list_folder(folder: str | Path, *, classes: Sequence[str] | str | Path | None = None) -> Manifest:
    """A manifest of a folder with a folder of videos (or of folders of frames) per class. Hidden files do not count,
    and a folder without videos is no class. `classes` as `read_manifest` takes them.

    Raises:
        DataError: no folder, no videos in it, or a single class.
    """
    folder = Path(folder)
    names = read_classes(classes) if isinstance(classes, str | Path) else classes
    paths = find_videos(folder)
    rows = [(path, label) for path in paths for label, _, rest in [path.partition("/")] if rest]
    if not rows:
        hint = (
            "the videos lie loose in it: sort them into one folder per class"
            if paths
            else "it has no folders of videos"
        )
        raise DataError(f"{folder}: expected a folder of videos per class, but {hint}.")
    manifest = make_manifest(rows, root=folder, source=str(folder), classes=names)
    if len(manifest.class_names) < 2:
        raise DataError(f"{folder}: only one class, {manifest.class_names[0]}; telling apart takes at least two.")
    return manifest
