"""Versions of Marey and the packages that it uses, even if their metadata or files are missing or damaged."""

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import Distribution
from importlib.util import find_spec
from pathlib import Path

import marey

OPENCV = "opencv-contrib-python-headless"
"""The OpenCV distribution that Marey requires; others contain the same module `cv2`."""

UNKNOWN = "unknown"

_DAMAGE = (OSError, ValueError, KeyError, TypeError)
"""Errors of the various versions of `importlib.metadata` for files that are missing, undecodable or lack a field."""


def version_of(distribution: str, module: str) -> str:
    """The version of an installed distribution by its metadata, else by its module, else "unknown"."""
    recorded = _recorded_version(distribution)
    if recorded is not None:
        return recorded
    try:
        return str(import_module(module).__version__ or UNKNOWN)
    except (ImportError, AttributeError):
        return UNKNOWN


def opencv() -> tuple[str, str]:
    """Name and version of the distribution that contains `cv2`; without metadata, "cv2" and the module's version."""
    name, recorded = opencv_recorded()
    return name, recorded or version_of(name, "cv2")


def opencv_recorded() -> tuple[str, str | None]:
    """As `opencv`, by metadata only, without an import; None for a version that is not recorded."""
    recorded = _recorded_version(OPENCV)
    if recorded is not None:
        return OPENCV, recorded
    found = next(((name, one) for name, one in named_distributions() if _contains(one, "cv2")), None)
    return ("cv2", None) if found is None else (found[0], _field(found[1], "Version"))


def named_distributions() -> Iterator[tuple[str, Distribution]]:
    """Installed distributions with their names. Those whose metadata is unreadable or has no name are left out."""
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
    """A field of a distribution's metadata; None if it is missing or the metadata cannot be read."""
    try:
        return found.metadata[name] if name in found.metadata else None  # noqa: SIM401 - typed without get
    except _DAMAGE:
        return None


def _contains(found: Distribution, module: str) -> bool:
    """Whether a distribution contains a module, by the names that it declares or else by its files."""
    try:
        declared = (found.read_text("top_level.txt") or "").split()
        return module in (declared or {file.parts[0] for file in found.files or () if file.parts})
    except _DAMAGE:
        return False


def versions() -> dict[str, str]:
    """Versions that results record: of Marey, Python, and the packages that affect the last digits of results."""
    name, number = opencv()
    modules = {"torch": "torch", "numpy": "numpy", "av": "av"}
    found = {distribution: version_of(distribution, module) for distribution, module in modules.items()}
    return found | {name: number, "marey": marey.__version__, "python": platform.python_version()}


def installation() -> dict[str, str]:
    """The lines of `marey --version`: versions of Marey, Python, torch, PyAV and OpenCV, and the platform.

    For torch and OpenCV only metadata is read, which is fast. PyAV is imported, because only it knows the version of its
    FFmpeg. For a package that is missing or broken, a description takes the place of the version.
    """
    known = commit()
    name, number = opencv_recorded()
    name = OPENCV if number is None else name
    return {
        "marey": marey.__version__ + (f" (commit {known})" if known else ""),
        "python": platform.python_version(),
        "torch": _version_text("torch", "torch", _recorded_version("torch")),
        "av": _av(),
        name: _version_text(name, "cv2", number),
        "platform": platform.platform(),
    }


def commit() -> str | None:
    """The commit of this Marey, from its git checkout or from pip's record; None if unknown.

    It ends with "-dirty" if files of the checkout differ from the commit.
    """
    root = Path(marey.__file__).parents[2]
    if Path(marey.__file__).parents[1].name == "src" and (root / ".git").exists():
        return _checked_out(root)
    try:  # PEP 610: what `pip install git+https://...` writes
        recorded = json.loads(importlib.metadata.distribution("marey").read_text("direct_url.json") or "{}")
        return str(recorded["vcs_info"]["commit_id"])[:12]
    except (importlib.metadata.PackageNotFoundError, *_DAMAGE):
        return None


def _checked_out(root: Path) -> str | None:
    """The commit of a git checkout; None if git is missing or refuses the folder."""
    asked = [
        "git",
        "-C",
        str(root),
        "--no-optional-locks",
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
        "--exclude=*",
    ]
    # In a git hook, these variables name another repository.
    environment = {name: value for name, value in dict(os.environ).items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10, env=environment)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _version_text(distribution: str, module: str, recorded: str | None) -> str:
    """The version of a package, or what is wrong with it."""
    try:
        importable = find_spec(module) is not None
    except (ImportError, ValueError):
        importable = False
    if importable:
        return recorded or f"of unknown version: pip install --force-reinstall {distribution}"
    fault = "not installed" if recorded is None else f"{recorded}, but its files are missing"
    return f"{fault}: pip install --force-reinstall {distribution}"


def _av() -> str:
    """Versions of PyAV and of the FFmpeg in it."""
    described = _version_text("av", "av", _recorded_version("av"))
    try:
        return f"{described} (FFmpeg {import_module('av').ffmpeg_version_info})"
    except Exception as error:  # any error of a broken library
        if ": pip install" in described:
            return described
        return f"{described}, which cannot be loaded ({error}): pip install --force-reinstall av"
