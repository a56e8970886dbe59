"""`marey doctor`: checks of this machine, with a remedy for each that fails, as text for a bug report."""

import getpass
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from marey.base.cache import CacheContent, cache_contents, foreign_paths
from marey.base.errors import MareyError, RunError
from marey.base.files import cache_folder
from marey.base.versions import OPENCV, installation, named_distributions, opencv, version_of
from marey.base.words import counted

_SHOWN = (
    "MAREY_CACHE_LIMIT", "MAREY_OFFLINE", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "PYTORCH_ENABLE_MPS_FALLBACK",
)  # fmt: skip
"""Environment variables whose values are shown."""
_NAMED = ("MAREY_CACHE", "MAREY_MIRROR", "HF_ENDPOINT", "HF_TOKEN", "HTTPS_PROXY", "https_proxy", "SSL_CERT_FILE")
"""Environment variables that are shown as "(set)": their values may hold names, addresses and passwords."""

_CUDA = "torch --index-url https://download.pytorch.org/whl/cu130"
"""Arguments of `pip install` for torch with NVIDIA GPUs, as in the README."""
_RUNS = "Run folders (runs/, or what --out named) are yours: delete those that you no longer need."


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str
    """The name of the check in a word or two."""
    well: bool
    """Whether the check passed."""
    found: str
    """What was found, as a clause."""
    mend: str = ""
    """What to do if the check failed; "" if there is nothing to do."""


@dataclass(frozen=True)
class Report:
    """The results of all checks, installed versions, and the content of the cache."""

    findings: tuple[Finding, ...]
    """The results of the checks, in the order in which they are printed."""
    installed: dict[str, str]
    """Versions of the installed packages, by name."""
    environment: dict[str, str]
    """Environment variables that change what Marey does, with their values or "(set)"."""
    cache: tuple[CacheContent, ...]
    """What the cache holds, by kind."""

    @property
    def healthy(self) -> bool:
        return all(f.well for f in self.findings)

    def as_text(self) -> str:
        """Plain text for a bug report, without the user's name and home folder."""
        width = max(len(f.name) for f in self.findings)
        lines = [f"{name} {version}" for name, version in self.installed.items()]
        if self.environment:
            lines.append("environment " + " ".join(f"{name}={value}" for name, value in self.environment.items()))
        lines.append("")
        for f in self.findings:
            lines.append(f"{'ok  ' if f.well else 'FAIL'} {f.name:{width}}  {f.found}")
            if not f.well:
                lines.append(f"     {'':{width}}  -> {f.mend}")
        size, files = sum(kind.size for kind in self.cache), sum(kind.files + kind.links for kind in self.cache)
        lines += ["", f"cache {cache_folder()}: {size / 1e6:,.1f} MB in {counted(files, 'file')}"]
        lines += [f"      {kind.kind:8}  {kind.size / 1e6:,.1f} MB: {kind.what}" for kind in self.cache]
        width = max(len(_without_names(command)) for command, _ in _removal())
        lines += [
            "",
            "To remove everything:",
            *(f"  {_without_names(command):{width}}  # {what}" for command, what in _removal()),
            f"  {_RUNS}",
        ]
        return _without_names("\n".join(line.rstrip() for line in lines))

    def as_json(self) -> dict[str, Any]:
        """The facts of the text as JSON."""
        facts: dict[str, Any] = {
            "healthy": self.healthy,
            "installed": self.installed,
            "environment": self.environment,
            "findings": [asdict(f) for f in self.findings],
            "cache": {
                "folder": str(cache_folder()),
                "size": sum(kind.size for kind in self.cache),
                "files": sum(kind.files + kind.links for kind in self.cache),
                "kinds": [asdict(kind) for kind in self.cache],
            },
            "removal": [{"command": command, "what": what} for command, what in _removal()]
            + [{"command": "", "what": _RUNS}],
        }
        return {name: _anonymous(value) for name, value in facts.items()}


def cache_text(kinds: tuple[CacheContent, ...], *, removed: bool) -> str:
    """The text of `marey cache`: the size of each kind of cached file, and files that are not Marey's.

    Args:
        removed: Whether `kinds` were removed, with --clear; else they are in the cache.
    """
    done = "removed from" if removed else "in"
    lines = [f"{_amount(kinds)} {done} {cache_folder()}{'.' if removed or not kinds else ':'}"]
    lines += [f"  {kind.kind:8}  {_amount((kind,))}: {kind.what}" for kind in kinds]
    if other := foreign_paths():
        names = ", ".join(path.name for path in other[:3]) + (", ..." if len(other) > 3 else "")
        lines.append(f"Not of Marey and left alone: {len(other)} ({names}).")
    return "\n".join(lines)


def _amount(kinds: tuple[CacheContent, ...]) -> str:
    files, links = sum(kind.files for kind in kinds), sum(kind.links for kind in kinds)
    text = f"{sum(kind.size for kind in kinds) / 1e6:,.1f} MB in {counted(files, 'file')}"
    return text + (f" and {counted(links, 'link')} to copies of yours" if links else "")


def examine() -> Report:
    """Check versions, OpenCV, conflicting packages, the decoder, network arithmetic, installed weights, the GPU, the disk
    and the cache.
    """
    checks = {
        _versions: "marey", _opencv: OPENCV, _clashes: "lightning-fabric", _decoder: "av", _network: "torch",
        _weights: "marey", _gpu: "torch", _disk: "marey", _cache: "marey",
    }  # fmt: skip
    variables = {name: value for name, value in dict(os.environ).items() if value}
    environment = {name: variables[name] for name in _SHOWN if name in variables}
    environment |= {name: "(set)" for name in _NAMED if name in variables}
    findings = tuple(_guarded(check, package) for check, package in checks.items())
    try:
        cache = cache_contents()
    except OSError:  # `_cache` reports it
        cache = ()
    return Report(findings, installation(), environment, cache)


def _guarded(check: Callable[[], Finding], package: str) -> Finding:
    """The finding of a check; if it raises, a failed finding, so that the other checks still run."""
    name = check.__name__.strip("_")
    try:
        return check()
    except MareyError as error:
        return Finding(name, False, str(error), f"If that does not help: pip install --force-reinstall {package}")
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) and error.name else ""
        package = {"cv2": OPENCV, "yaml": "pyyaml"}.get(missing, missing.replace("_", "-")) or package
        found = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return Finding(name, False, found, f"pip install --force-reinstall {package}")


def _removal() -> tuple[tuple[str, str], ...]:
    """The commands that remove everything of Marey from a machine, in this order, and what each removes."""
    windows, active = sys.platform == "win32", os.environ.get("VIRTUAL_ENV")
    steps = [
        ("marey cache --clear", "all that Marey keeps outside run folders"),
        ("pip uninstall marey", "the package; the packages that it uses stay"),
    ]
    if sys.prefix != sys.base_prefix:
        if not active or Path(active).resolve() != Path(sys.prefix).resolve():
            script = Path(sys.prefix, "Scripts", "Activate.ps1") if windows else Path(sys.prefix, "bin", "activate")
            steps.insert(0, (f"{'&' if windows else 'source'} {script}", "enter the virtual environment of Marey"))
        command = "Remove-Item -Recurse $env:VIRTUAL_ENV" if windows else 'rm -r "$VIRTUAL_ENV"'
        steps.append((command, "or the entire virtual environment, with all its packages"))
    return tuple(steps)


def _without_names(text: str) -> str:
    """A text with ~ in place of the home folder and <user> in place of the user's name in paths."""
    for home in {str(Path.home()), str(Path.home().resolve())} - {"/"}:
        text = re.sub(rf"{re.escape(home)}(?=[\\/]|\W|$)", "~", text)
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a process without a user's name
        return text
    return re.sub(rf"(?<=[\\/]){re.escape(user)}(?=[\\/]|\W|$)", "<user>", text)


def _anonymous(value: Any) -> Any:
    """`_without_names` for every text of a JSON document."""
    if isinstance(value, str):
        return _without_names(value)
    if isinstance(value, dict):
        return {name: _anonymous(one) for name, one in value.items()}
    return [_anonymous(one) for one in value] if isinstance(value, list | tuple) else value


def _versions() -> Finding:
    """Whether every package that Marey requires is installed."""
    modules = {
        "torch": "torch", "numpy": "numpy", "av": "av", "lightning-fabric": "lightning_fabric", "pydantic": "pydantic",
        "safetensors": "safetensors", "pyyaml": "yaml", "jinja2": "jinja2", "typer": "typer", "rich": "rich",
        "markupsafe": "markupsafe",
    }  # fmt: skip
    missing = [name for name, module in modules.items() if module not in sys.modules and not _is_installed(module)]
    if missing:
        return Finding("versions", False, f"not installed: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    others = ("numpy", "lightning-fabric", "pydantic", "safetensors", "typer")
    return Finding("versions", True, " ".join(f"{name} {version_of(name, modules[name])}" for name in others))


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _opencv() -> Finding:
    """Which package provides OpenCV, and whether it has the contrib method that `marey data flow` offers."""
    import cv2

    name, number = opencv()
    try:
        well = bool(cv2.optflow.DualTVL1OpticalFlow_create)  # type: ignore[attr-defined]
    except AttributeError:
        well = False
    limitation = (
        ""
        if well
        else f"; without contrib modules everything works except `marey data flow --method tvl1_opencv`, for which: "
        f"pip uninstall {name}; pip install {OPENCV}"
    )
    return Finding("opencv", True, f"{name} {number}{limitation}")


def _clashes() -> Finding:
    """Whether several OpenCV wheels are installed, or packages that do not load beside this torch."""
    installed = {name.lower() for name, _ in named_distributions()}
    wheels = sorted(name for name in installed if name.startswith("opencv-"))
    if len(wheels) > 1:
        mend = f"pip uninstall {' '.join(wheels)}; pip install {OPENCV}"
        return Finding("clashes", False, f"{len(wheels)} OpenCV wheels overwrite each other: {', '.join(wheels)}", mend)
    try:
        from lightning_fabric import Fabric  # noqa: F401
    except ImportError as error:  # pytorch-lightning's wheel holds a copy of it: removing one removes the other
        if (error.name or "").partition(".")[0] not in ("", "lightning_fabric"):
            raise  # a package that it needs is missing
        mend = "pip install --force-reinstall --no-deps lightning-fabric"
        return Finding("clashes", False, f"lightning-fabric does not load ({error}): training needs it", mend)
    if importlib.util.find_spec("torchvision"):
        try:
            import torchvision  # type: ignore[import-not-found]  # noqa: F401
        except (RuntimeError, ImportError, OSError) as error:
            note = f"none; torchvision does not fit this torch ({error}), which Marey does not use"
            return Finding("clashes", True, note)
    return Finding("clashes", True, "none: one OpenCV wheel")


def _decoder() -> Finding:
    """Whether frames of a video with B-frames, read in any order, equal those of a sequential read."""
    import numpy as np

    from marey.video.reading.reader import open_video
    from marey.video.writing.writer import write_video

    frames = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.mp4"
        write_video(path, frames, fps=25)
        with open_video(path) as video:
            all_frames = video.read(range(len(video)))
        order = [31, 2, 17, 2, 39]
        with open_video(path) as video:
            some = video.read(order)
    exact = len(all_frames) == len(frames) and np.array_equal(some, all_frames[order])
    return Finding(
        "decoder",
        exact,
        "H.264 written, read back frame-exactly" if exact else "frames differ",
        "pip install --upgrade av",
    )


def _network() -> Finding:
    """Whether a small network computes finite logits, equal in two forward passes."""
    import torch

    from marey.models.slowonly.config import SlowOnlyConfig

    torch.manual_seed(0)
    network = SlowOnlyConfig(depth=18, width=8, num_classes=5).build().eval()
    clip = torch.randn(1, 3, 4, 32, 32)
    with torch.inference_mode():
        first, second = network(clip), network(clip)
    well = bool(torch.isfinite(first).all()) and torch.equal(first, second)
    threads = torch.get_num_threads()
    return Finding(
        "network",
        well,
        f"forward pass on {counted(threads, 'thread')}",
        "pip install --force-reinstall torch",
    )


def _weights() -> Finding:
    """Whether the ImageNet weights that are installed with Marey are there and unchanged."""
    from marey.recipes.probe import PROBE
    from marey.weights.imagenet_ig65m import imagenet_file, installed_text

    imagenet_file(PROBE)
    return Finding("weights", True, installed_text(0))


def _gpu() -> Finding:
    """Whether torch can use the GPU, if there is one."""
    import torch

    from marey.backends.device import pick_device

    found = torch.accelerator.current_accelerator()
    if found is None or not torch.accelerator.is_available():
        other = (
            "" if torch.version.cuda or torch.version.hip or shutil.which("nvidia-smi") is None else
            f"; there is an NVIDIA driver, but this torch is built for CPUs: pip install --force-reinstall {_CUDA}"
        )  # fmt: skip
        return Finding("gpu", True, f"none that torch can use: everything runs on the CPU{other}")
    try:
        pick_device(found.type)
    except RunError as error:
        mend = "Use --device cpu; or install a driver and a torch made for this GPU (https://pytorch.org/get-started)."
        return Finding("gpu", False, str(error), mend)
    if found.type != "cuda":
        return Finding("gpu", True, f"{torch.accelerator.device_count()} x {found.type}, used by --device {found.type}")
    names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
    return Finding("gpu", True, f"{names} (CUDA {torch.version.cuda})")


def _disk() -> Finding:
    """Whether at least 1 GiB is free on the disk of the cache."""
    folder = cache_folder()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 2**30
    return Finding(
        "disk",
        free > 1,
        f"{free:.0f} GiB free for {cache_folder()}",
        "Set MAREY_CACHE to a folder on a larger disk, or: marey cache --clear",
    )


def _cache() -> Finding:
    """Whether the cache can be read and written."""
    folder, mend = cache_folder(), "Give yourself the right to write there, or set MAREY_CACHE to a folder of yours."
    try:
        cache_contents()
        other = [path.name for path in foreign_paths()]
        if folder.is_dir():
            with tempfile.TemporaryFile(dir=folder):
                pass
    except OSError as error:
        return Finding("cache", False, f"{error.filename or folder}: {error.strerror or error}", mend)
    left_alone = f"; not of Marey and left alone there: {len(other)} ({other[0]}, ...)" if other else ""
    state = "can be written" if folder.is_dir() else "does not exist yet"
    return Finding("cache", True, f"{state}{left_alone}")
