"""Versions of the packages that a number was computed with, also where a package has no metadata."""

import platform
from importlib import import_module
from importlib.metadata import PackageNotFoundError, packages_distributions, version

OPENCV = "opencv-contrib-python-headless"
"""The OpenCV wheel that Marey asks for; others bring the same module `cv2`."""

UNKNOWN = "unknown"


def version_of(distribution: str, module: str) -> str:
    """The version of an installed distribution; without its metadata, what `module` says of itself, else "unknown"."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        pass
    try:
        return str(import_module(module).__version__)
    except (ImportError, AttributeError):
        return UNKNOWN


def opencv() -> tuple[str, str]:
    """The name and version of the distribution that brings `cv2`; "cv2" and the module's own version without metadata."""
    try:
        return OPENCV, version(OPENCV)
    except PackageNotFoundError:
        name = next(iter(packages_distributions().get("cv2", ())), "cv2")
        return name, version_of(name, "cv2")


def versions() -> dict[str, str]:
    """What results record: Marey, Python, and the packages that decide about their last digits."""
    name, number = opencv()
    modules = {"torch": "torch", "numpy": "numpy", "av": "av"}
    found = {distribution: version_of(distribution, module) for distribution, module in modules.items()}
    return found | {name: number, "marey": version_of("marey", "marey"), "python": platform.python_version()}
