"""`marey doctor`: does this machine do what Marey needs, and if not, what mends it."""

import importlib.util
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from marey.base.errors import RunError
from marey.base.versions import OPENCV, named_distributions, opencv, version_of


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `mend` says what to do where it is not well."""

    name: str
    well: bool
    found: str
    mend: str = ""


@dataclass(frozen=True)
class Report:
    """What was found, in the order of looking."""

    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        return all(f.well for f in self.findings)

    def as_text(self) -> str:
        width = max(len(f.name) for f in self.findings)
        lines = []
        for f in self.findings:
            lines.append(f"{'ok  ' if f.well else 'FAIL'} {f.name:{width}}  {f.found}")
            if not f.well:
                lines.append(f"     {'':{width}}  -> {f.mend}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        return {"healthy": self.healthy, "findings": [vars(f) for f in self.findings]}


def examine() -> Report:
    """Look at versions, OpenCV, clashing packages, the decoder, network arithmetic, the GPU and the disk."""
    looks = (_versions, _opencv, _clashes, _decoder, _arithmetic, _gpu, _disk)
    return Report(tuple(_guarded(look) for look in looks))


def _guarded(look: Callable[[], Finding]) -> Finding:
    """An examination that breaks is itself a finding: the others still run."""
    try:
        return look()
    except Exception as error:
        name = look.__name__.strip("_")
        return Finding(
            name,
            False,
            f"{type(error).__name__}: {error}",
            "Reinstall marey with pip in a fresh environment.",
        )


def _versions() -> Finding:
    modules = ("marey", "torch", "numpy", "av", "lightning-fabric", "pydantic")
    found = " ".join(f"{name} {version_of(name, name)}" for name in modules)
    return Finding("versions", True, f"python {platform.python_version()} {found}")


def _opencv() -> Finding:
    """Which wheel brings it, and whether the one method of the contrib modules that Marey offers is there."""
    import cv2

    name, number = opencv()
    try:
        well = bool(cv2.optflow.DualTVL1OpticalFlow_create)  # type: ignore[attr-defined]
    except AttributeError:
        well = False
    lack = (
        ""
        if well
        else f"; without contrib modules: all works but `marey data flow --method tvl1_opencv` ({OPENCV} has it)"
    )
    return Finding("opencv", True, f"{name} {number}{lack}")


def _clashes() -> Finding:
    installed = {name.lower() for name, _ in named_distributions()}
    wheels = sorted(name for name in installed if name.startswith("opencv-"))
    if len(wheels) > 1:
        mend = f"pip uninstall {' '.join(wheels)}; pip install {OPENCV}"
        return Finding(
            "clashes", False, f"{len(wheels)} OpenCV wheels write over each other: {', '.join(wheels)}", mend
        )
    try:
        from lightning_fabric import Fabric  # noqa: F401
    except ImportError as error:  # pytorch-lightning's wheel holds a copy of it: who removes the one loses the other
        mend = "pip install --force-reinstall --no-deps lightning-fabric"
        return Finding("clashes", False, f"lightning-fabric does not load ({error}): training needs it", mend)
    if importlib.util.find_spec("torchvision"):
        try:
            import torchvision  # type: ignore[import-not-found]  # noqa: F401
        except (RuntimeError, ImportError, OSError) as error:
            note = f"none; torchvision does not fit this torch ({error}), which Marey does not mind: it uses none"
            return Finding("clashes", True, note)
    return Finding("clashes", True, "none: one OpenCV wheel")


def _decoder() -> Finding:
    """Write a video with B-frames, read frames in any order, compare with reading all of them."""
    from marey.video.reader import open_video
    from marey.video.writer import write_video

    frames = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.mp4"
        write_video(path, frames, fps=25)
        with open_video(path) as video:
            whole = video.read(range(len(video)))
        order = [31, 2, 17, 2, 39]
        with open_video(path) as video:
            some = video.read(order)
    exact = len(whole) == len(frames) and np.array_equal(some, whole[order])
    return Finding(
        "decoder",
        exact,
        "H.264 written, read back frame-exactly" if exact else "frames differ",
        "pip install --upgrade av",
    )


def _arithmetic() -> Finding:
    """The smallest real network forwards and gives finite logits, the same twice."""
    import torch

    from marey.models.slowonly.config import SlowOnlyConfig

    torch.manual_seed(0)
    network = SlowOnlyConfig(depth=18, width=8, num_classes=5).build().eval()
    clip = torch.randn(1, 3, 4, 32, 32)
    with torch.inference_mode():
        first, second = network(clip), network(clip)
    well = bool(torch.isfinite(first).all()) and torch.equal(first, second)
    return Finding(
        "network",
        well,
        f"forward pass on {torch.get_num_threads()} threads",
        "pip install --force-reinstall torch",
    )


def _gpu() -> Finding:
    import torch

    from marey.backends.device import pick_device

    found = torch.accelerator.current_accelerator()
    if found is None or not torch.accelerator.is_available():
        return Finding("gpu", True, "none that torch can use: everything runs on the CPU")
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
    from marey.base.files import cache_folder

    place = cache_folder()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 2**30
    return Finding("disk", free > 1, f"{free:.0f} GiB free for {cache_folder()}", "Set MAREY_CACHE to a larger disk.")
