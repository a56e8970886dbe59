"""What is known of public data sets: their class names, in the order in which published weights have them."""

import gzip
import json
from functools import cache
from importlib.resources import files

DATASETS = ("kinetics400", "kinetics600", "kinetics700", "ucf101", "hmdb51")


@cache
def _all_names() -> dict[str, list[str]]:
    packed = files("marey.data.catalogue").joinpath("class_names.json.gz").read_bytes()
    return json.loads(gzip.decompress(packed))  # type: ignore[no-any-return]


def class_names_of(dataset: str) -> tuple[str, ...] | None:
    """The class names of a data set by its name in recipes ("kinetics400"); None for one that is not public."""
    if dataset == "motions":
        from marey.data.motions import CLASS_NAMES

        return CLASS_NAMES
    names = _all_names().get(dataset)
    return tuple(names) if names else None
