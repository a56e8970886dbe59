"""Draw docs/pictures: one SVG per family of networks, and what `motions` looks like. `python tools/pictures.py`.

The sizes of the feature maps are those of Marey's networks, each run once on torch's meta device, which computes shapes
only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from marey.base.random import random_for
from marey.data.motions.dataset import place_object
from marey.data.motions.looks import DRAWN, MARGIN, SceneContent
from marey.data.motions.objects import OBJECTS, DrawnObject
from marey.data.motions.paths import Pose
from marey.data.motions.scenes import SCENES, Scene
from marey.models.i3d.config import InceptionI3DConfig
from marey.models.slowfast.config import SlowFastConfig
from marey.models.tsn.config import TSNConfig

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"

_STYLE = """<style>
text { font: 11px system-ui, sans-serif; fill: #333; text-anchor: middle }
.title { font-weight: 600 }
.map { fill: #9dc0e8; stroke: #34689b } .thin { fill: #f7e3d0; stroke: #b0682a } .plain { fill: #eee; stroke: #777 }
.arrow { stroke: #555; fill: none; marker-end: url(#tip) }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .map { fill: #24405c } .thin { fill: #5c3b1e }
  .plain { fill: #333 } .arrow { stroke: #bbb } #tip path { fill: #bbb } }
</style>
<defs><marker id="tip" viewBox="0 0 6 6" refX="6" refY="3" markerWidth="6" markerHeight="6" orient="auto">
<path d="M0 0L6 3L0 6z" fill="#555"/></marker></defs>"""


@dataclass(frozen=True)
class Map:
    """A feature map: channels, frames, side."""

    channels: int
    frames: int
    side: int


def svg(width: float, height: float, parts: Iterable[str]) -> str:
    """A whole picture."""
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="img">\n{_STYLE}\n{body}\n</svg>\n'
    )


def text(x: float, y: float, words: str, kind: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{words}</text>'


def arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path class="arrow" d="M{x1:g} {y1:g}L{x2:g} {y2:g}"/>'


def box(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="2"/>'


_STEP = 112
"""Pixels from one map of a chain to the next."""
_SHOWN = 12
"""Most frames of a feature map that are drawn."""


def stack(x: float, y: float, shown: Map, kind: str) -> list[str]:
    """A map as a stack of frames around (x, y). Its side is drawn as the square root, so that 7 is visible beside 224."""
    side = 4.5 * shown.side**0.5
    count = min(shown.frames, _SHOWN)
    shift = 2 if count > 1 else 0
    left, top = x - (side + shift * (count - 1)) / 2, y - (side + shift * (count - 1)) / 2
    return [box(left + shift * i, top + shift * (count - 1 - i), side, side, kind) for i in range(count)]


def chain(maps: Sequence[Map], y: float, kind: str, *, names: Sequence[str]) -> list[str]:
    """Maps from left to right with arrows between and sizes below."""
    parts: list[str] = []
    for place, (shown, name) in enumerate(zip(maps, names, strict=True)):
        x = _STEP * (place + 0.5)
        parts += stack(x, y, shown, kind)
        parts += [text(x, y + 66, f"{shown.frames} × {shown.side}²"), text(x, y + 80, f"{shown.channels} ch")]
        parts.append(text(x, y - 56, name, "title"))
        if place:
            parts.append(arrow(x - 64, y, x - 48, y))
    return parts


def maps_of(network: nn.Module, modules: Sequence[nn.Module], clip: Tensor) -> list[Map]:
    """The clip and the outputs of `modules`, as maps, in one pass of the network."""
    seen = [Map(*clip.shape[1:4])]

    def note(_: nn.Module, __: object, out: Tensor) -> None:
        frames = out.shape[2] if out.ndim == 5 else 1
        seen.append(Map(out.shape[1], frames, out.shape[-1]))

    hooks = [module.register_forward_hook(note) for module in modules]
    network(clip)
    for hook in hooks:
        hook.remove()
    return seen


def meta_clip(frames: int, side: int = 224) -> Tensor:
    """A clip on the meta device, which has a shape and no values."""
    return torch.zeros(1, 3, frames, side, side, device="meta")


# The families ---------------------------------------------------------------------------------------------------------


def tsn() -> str:
    with torch.device("meta"):
        network = TSNConfig().build()
    trunk = network.resnet
    maps = maps_of(network, [trunk.stem, *trunk.stages], meta_clip(1))
    names = ["a frame of", "stem", "stage 1", "stage 2", "stage 3", "stage 4"]
    parts = []
    for lane in range(3):
        y = 70 + 160 * lane
        parts += chain(maps, y, "map", names=[f"segment {lane + 1}" if not i else n for i, n in enumerate(names)])
        parts.append(arrow(6 * _STEP - 16, y, 6 * _STEP + 40, 230))
    parts += [box(6 * _STEP + 42, 206, 92, 48, "plain"), text(6 * _STEP + 88, 226, "mean over", "title")]
    parts += [text(6 * _STEP + 88, 242, "segments", "title"), text(3 * _STEP, 500, "the same weights in every row")]
    return svg(6 * _STEP + 140, 512, parts)


def i3d() -> str:
    with torch.device("meta"):
        network = InceptionI3DConfig().build()
    trunk = network.inception
    maps = maps_of(network, [trunk.stem.a, trunk.stem, *trunk.stages], meta_clip(64))
    names = ["clip", "7×7×7", "stem", "3b, 3c", "4b to 4f", "5b, 5c"]
    return svg(6 * _STEP, 170, chain(maps, 74, "map", names=names))


def slowfast() -> str:
    with torch.device("meta"):
        network = SlowFastConfig().build()
    clip = meta_clip(32)
    slow = maps_of(network, [network.slow.stem, *network.slow.stages], clip)
    slow[0] = Map(3, 4, 224)
    fast = maps_of(network, [network.fast.stem, *network.fast.stages], clip)
    names = ["", "stem", "stage 1", "stage 2", "stage 3", "stage 4"]
    parts = chain(slow, 74, "map", names=["slow: 4x16", *names[1:]])
    parts += chain(fast, 274, "thin", names=["fast: 32x2", *names[1:]])
    for place in range(1, 5):
        x = _STEP * (place + 1) + 8
        parts.append(arrow(x - 10, 240, x - 10, 100))
    parts.append(text(3 * _STEP + 44, 186, "convolutions in time lead on"))
    return svg(6 * _STEP, 370, parts)


def _column(x: float, title: str, steps: Sequence[tuple[str, str]], kind: str) -> list[str]:
    """A block as a column of convolutions from top to bottom: (kernel, what it is)."""
    parts = [text(x, 20, title, "title")]
    for place, (kernel, what) in enumerate(steps):
        y = 36 + 62 * place
        parts += [box(x - 66, y, 132, 40, kind if what else "plain"), text(x, y + 17, kernel, "title")]
        parts.append(text(x, y + 32, what))
        parts.append(arrow(x, y + 40, x, y + 60))
    return parts


def r2plus1d() -> str:
    parts = _column(90, "R3D", [("3 × 3 × 3", "64 → 64")], "map")
    parts += _column(270, "R(2+1)D", [("1 × 3 × 3", "space: 64 → 144"), ("3 × 1 × 1", "time: 144 → 64")], "thin")
    parts.append(text(90, 120, "110,592 weights"))
    parts.append(text(270, 178, "82,944 + 27,648 weights"))
    return svg(360, 192, parts)


def csn() -> str:
    full = [("1 × 1 × 1", "mixes channels"), ("3 × 3 × 3", "mixes both"), ("1 × 1 × 1", "mixes channels")]
    reduced = [full[0], ("3 × 3 × 3, depthwise", "mixes places"), full[2]]
    preserved = [full[0], ("1 × 1 × 1", "mixes channels"), ("3 × 3 × 3, depthwise", "mixes places"), full[2]]
    parts = _column(90, "3D bottleneck", full, "map")
    parts += _column(260, "ir-CSN", reduced, "thin")
    parts += _column(430, "ip-CSN", preserved, "thin")
    return svg(510, 290, parts)


def tsm() -> str:
    """Channels from left to right, frames from top to bottom, each in the shade of the frame that it came from."""
    parts = [text(128, 20, "channels →", "title"), text(430, 20, "after the shift", "title")]
    shades = (0.25, 0.45, 0.65, 0.85)
    for side, x0 in enumerate((64, 366)):
        for frame in range(4):
            y = 36 + 34 * frame
            parts.append(text(x0 - 34, y + 18, f"frame {frame + 1}"))
            for group in range(8):
                origin = frame + (1 if group == 0 else -1 if group == 1 else 0) * side
                kind = "map" if 0 <= origin < 4 else "plain"
                opacity = shades[origin] if 0 <= origin < 4 else 1
                parts.append(box(x0 + 16 * group, y, 16, 26, kind).replace("/>", f' fill-opacity="{opacity}"/>'))
    parts.append(arrow(214, 102, 306, 102))
    return svg(510, 180, parts)


PICTURES = {"tsn": tsn, "i3d": i3d, "slowfast": slowfast, "r2plus1d": r2plus1d, "csn": csn, "tsm": tsm}

# The generated data set -----------------------------------------------------------------------------------------------


def _fitting_scenes() -> list[tuple[DrawnObject, Scene]]:
    """Each object with a scene in which it may appear; all scenes are used about equally often."""
    shown = dict.fromkeys((scene.name for scene in SCENES), 0)
    pairs = []
    for drawn_object in OBJECTS:
        scene = min((scene for scene in SCENES if drawn_object in scene.objects), key=lambda scene: shown[scene.name])
        shown[scene.name] += 1
        pairs.append((drawn_object, scene))
    return pairs


def _motions_frame(drawn_object: DrawnObject, scene: Scene, number: int, size: int) -> NDArray[np.uint8]:
    """A frame without noise, uint8 [size, size, 3]."""
    drawn = DRAWN.draw(SceneContent(scene, drawn_object, mirrored=False, share=0.42), size, random_for(4, number))
    image = drawn.ground[MARGIN:-MARGIN, MARGIN:-MARGIN].copy()
    place_object(image, drawn.sprite, Pose(0.5, 0.54))
    return image.clip(0, 255).astype(np.uint8)


def motions_sheet(size: int = 128, columns: int = 6) -> bytes:
    """A PNG of every object and every scene at least once, in the drawn look of `motions`."""
    frames = [
        _motions_frame(drawn_object, scene, number, size)
        for number, (drawn_object, scene) in enumerate(_fitting_scenes())
    ]
    rows = [np.hstack(frames[first : first + columns]) for first in range(0, len(frames), columns)]
    return cv2.imencode(".png", np.ascontiguousarray(np.vstack(rows)[:, :, ::-1]))[1].tobytes()


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        (FOLDER / f"{name}.svg").write_text(draw(), encoding="utf-8")
    (FOLDER / "motions.png").write_bytes(motions_sheet())
