"""Hold videos out so that clips of one source never stand on both sides."""

import numpy as np

from marey.base.errors import DataError
from marey.base.random import random_for
from marey.data.manifest import Manifest
from marey.data.sources import source_groups


def split_manifest(manifest: Manifest, *, val: float = 0.2, seed: int = 0) -> Manifest:
    """Mark about a share `val` of each class as "val", the rest as "train", whole groups at a time.

    The group is the manifest's own, else UCF101's gXX in the file name, else each file is one. Deterministic in `seed`.

    Raises:
        DataError: a class has a single group (or video): it cannot stand on both sides.
    """
    if not 0 < val < 1:
        raise DataError(f"the share to hold out must lie between 0 and 1, got {val:g}.")
    groups = source_groups(manifest)
    _, of_row = np.unique(manifest.ids if groups is None else groups, return_inverse=True)
    random = random_for(seed)
    held: set[int] = set()
    classes = np.argsort(np.bincount(manifest.labels, minlength=len(manifest.class_names)), kind="stable")
    for label in classes.tolist():
        rows = manifest.labels == label
        if not rows.any():
            continue
        _hold_out(manifest, label, of_row, rows, held, val, random)
    splits = np.where(np.isin(of_row, list(held)), "val", "train")
    for label, name in enumerate(manifest.class_names):
        sides = set(splits[manifest.labels == label].tolist())
        if len(sides) == 1:
            raise DataError(
                f"{manifest.source}: every source of class {name} fell on one side; split by hand or more clips."
            )
    return manifest.with_splits(splits)


def _hold_out(
    manifest: Manifest,
    label: int,
    of_row: np.ndarray,
    rows: np.ndarray,
    held: set[int],
    val: float,
    random: np.random.RandomState,
) -> None:
    """Add groups of one class to `held` until its share is reached; groups that hold several classes count for each."""
    sizes = np.bincount(of_row[rows])
    candidates = np.flatnonzero(sizes)
    if len(candidates) < 2:
        what = "video" if sizes.sum() == 1 else "source (group)"
        raise DataError(
            f"{manifest.source}: class {manifest.class_names[label]} has only one {what}: "
            "to train and to test takes at least two."
        )
    wanted = max(1.0, val * sizes.sum())
    free = sum(g not in held for g in candidates.tolist())
    have = sum(int(sizes[g]) for g in candidates.tolist() if g in held)
    for group in random.permutation(candidates).tolist():
        if have + sizes[group] / 2 > wanted or free < 2:
            if have:
                break
            continue
        if group not in held:
            held.add(group)
            have += int(sizes[group])
            free -= 1
    if not have:
        smallest = int(min(candidates, key=lambda g: sizes[g]))
        held.add(smallest)
