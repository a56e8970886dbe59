"""Which recording each video was cut from (its source, or group): by a list's own column, or by names."""

import re

import numpy as np

from marey.data.manifest import Manifest


def ucf_group(path: str) -> str:
    """The source video of a UCF101 clip (v_Archery_g07_c03 is of group Archery_g07), "" for other names."""
    found = re.search(r"v_(\w+_g\d+)_c\d+", path)
    return found.group(1) if found else ""


def source_groups(manifest: Manifest) -> np.ndarray | None:
    """Which source each video was cut from: the list's own column, else UCF101's gXX; None where neither tells."""
    if manifest.groups is not None:
        return manifest.groups
    names = manifest.ids.tolist()
    if not ucf_group(names[0]):
        return None
    named = [ucf_group(name) for name in names]
    return np.array(named) if all(named) else None
