"""Versions of the packages that a number was computed with, also where a package has no metadata or damaged metadata."""

import importlib.metadata
import platform
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import Distribution

OPENCV = "opencv-contrib-python-headless"
"""The OpenCV wheel that Marey asks for; others bring the same module `cv2`."""

UNKNOWN = "unknown"

_DAMAGE = (OSError, ValueError, KeyError, TypeError)
"""What `importlib.metadata` raises of files that are missing, cannot be decoded or lack a field, from version to version."""


def version_of(distribution: str, module: str) -> str:
    """The version of an installed distribution; without it in the metadata, the module's own, else "unknown"."""
    recorded = _recorded_version(distribution)
    if recorded is not None:
        return recorded
    try:
        return str(import_module(module).__version__ or UNKNOWN)
    except (ImportError, AttributeError):
        return UNKNOWN


def opencv() -> tuple[str, str]:
    """The name and version of the distribution that brings `cv2`; "cv2" and the module's own version without metadata."""
    recorded = _recorded_version(OPENCV)
    if recorded is not None:
        return OPENCV, recorded
    name = next((name for name, found in named_distributions() if _brings(found, "cv2")), "cv2")
    return name, version_of(name, "cv2")


def named_distributions() -> Iterator[tuple[str, Distribution]]:
    """What is installed, by name. Distributions whose metadata cannot be read or names none are left out."""
    for found in importlib.metadata.distributions():
        name = _field(found, "Name")
        if name is not None:
            yield name, found


def _recorded_version(distribution: str) -> str | None:
    try:
        return _field(importlib.metadata.distribution(distribution), "Version")
    except (importlib.metadata.PackageNotFoundError, *_DAMAGE):
        return None


def _field(found: Distribution, name: str) -> str | None:
    """A field of a distribution's metadata; None where there is none or the metadata cannot be read."""
    try:
        return found.metadata[name] if name in found.metadata else None  # noqa: SIM401 - typed without get
    except _DAMAGE:
        return None


def _brings(found: Distribution, module: str) -> bool:
    """Whether a distribution holds that module, by the names it declares or else by its files."""
    try:
        declared = (found.read_text("top_level.txt") or "").split()
        return module in (declared or {file.parts[0] for file in found.files or () if file.parts})
    except _DAMAGE:
        return False


def versions() -> dict[str, str]:
    """What results record: Marey, Python, and the packages that decide about their last digits."""
    name, number = opencv()
    modules = {"torch": "torch", "numpy": "numpy", "av": "av"}
    found = {distribution: version_of(distribution, module) for distribution, module in modules.items()}
    return found | {name: number, "marey": version_of("marey", "marey"), "python": platform.python_version()}
