"""What is known of public data sets: class names in the order in which published weights have them, clips, splits."""

from functools import cache

from marey.data.catalogue.motions import CLASS_NAMES
from marey.data.catalogue.packed import unpack


@cache
def _all_names() -> dict[str, list[str]]:
    names: dict[str, list[str]] = unpack("class_names")
    return names


def class_names_of(dataset: str) -> tuple[str, ...] | None:
    """The class names of a data set by its name in recipes ("kinetics400"); None for one that is not public.

    kinetics400, kinetics600, kinetics700, ucf101, hmdb51, sthv2, jester, diving48, gym99: the label maps of the toolkits.
    """
    if dataset == "motions":
        return CLASS_NAMES
    names = _all_names().get(dataset)
    return tuple(names) if names else None
