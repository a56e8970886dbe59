"""Two-stream rows of I3D: Carreira and Zisserman, Quo Vadis, Action Recognition?, CVPR 2017 (section 3.4).

DeepMind adds the two logits with equal weights (README of kinetics-i3d). MMAction shipped no tool for its rows.
"""

from typing import Literal

from marey.recipe import Published, TwoStream
from marey.recipes.toolkits import TEN_BY_THREE, announced, in_deepmind, quoted_by_announcement

_PAPER = "https://arxiv.org/abs/1705.07750"


def _row(
    dataset: Literal["kinetics400", "ucf101", "hmdb51"], published: Published, *, toolkit: str = "", notes: str
) -> TwoStream:
    short = "k400" if dataset == "kinetics400" else dataset
    title = {"kinetics400": "Kinetics-400", "ucf101": "UCF101", "hmdb51": "HMDB51"}[dataset]
    return TwoStream(
        name=f"i3d_incv1_twostream_64x1_{short}{toolkit}",
        title=f"I3D Inception-V1 64x1, RGB and flow, on {title}",
        paper=_PAPER,
        notes=notes,
        dataset=dataset,
        rgb=f"i3d_incv1_rgb_64x1_{short}{toolkit}",
        flow=f"i3d_incv1_flow_64x1_{short}{toolkit}",
        fusion="logits",
        published=published,
    )


def _transferred(top1: float, videos: int) -> Published:
    return announced(top1, None, f"{TEN_BY_THREE}, both streams", split="test, split 1", videos=videos)


_DEEPMIND = in_deepmind(74.2, 91.3, ", sum of the logits")
_NO_TOOL = "MMAction v0.2's row. It does not say how the streams are fused: DeepMind's sum of logits stands in."

TWO_STREAM = (
    _row("kinetics400", quoted_by_announcement(_DEEPMIND), notes=_NO_TOOL),
    _row("ucf101", _transferred(97.8, 3783), notes=_NO_TOOL),
    _row("hmdb51", _transferred(80.8, 1530), notes=_NO_TOOL),
    _row("kinetics400", _DEEPMIND, toolkit="_deepmind", notes="DeepMind's row."),
)
