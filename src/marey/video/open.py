"""What lies at a path, and frames or flow of it: the one place that decides."""

from pathlib import Path
from typing import Literal

from marey.base.errors import DecodeError
from marey.video.flow.files import FlowVideo, is_flow_video, open_flow
from marey.video.flow.rule import FlowRule
from marey.video.frames import FlowFolder, FrameFolder, holds_flow, holds_frames
from marey.video.reader import open_video
from marey.video.source import Conversion, FrameSource

Kind = Literal["video", "frames", "flow video", "flow images"]


def kind_of(path: Path) -> Kind:
    """What lies at a path, or would: a folder holds frames, unless flow is all that it holds; every file is a video."""
    if is_flow_video(path):
        return "flow video"
    if not path.is_dir():
        return "video"
    return "flow images" if holds_flow(path) and not holds_frames(path) else "frames"


def open_source(path: Path, conversion: Conversion = "rgb", flow: FlowRule | None = None) -> FrameSource:
    """A video file, or a folder of frames; with `flow`, the flow that lies there, else it is computed by that rule.

    Raises:
        DecodeError: nothing there that can be read, or flow where frames are asked for.
    """
    if flow is not None:
        return open_flow(path, flow)
    if is_flow_video(path):
        raise DecodeError(
            path, "is a video of optical flow, and frames are asked for: take a recipe whose modality is flow"
        )
    return FrameFolder(path) if path.is_dir() else open_video(path, conversion=conversion)


def open_stored(path: Path) -> FrameSource:
    """Whatever lies at a path, as it is stored: frames, or flow.

    Raises:
        DecodeError: nothing there that can be read.
    """
    match kind_of(path):
        case "flow video":
            return FlowVideo(path)
        case "flow images":
            return FlowFolder(path)
        case "frames":
            return FrameFolder(path)
        case "video":
            return open_video(path)
