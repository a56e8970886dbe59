"""What lies at a path or an address, and frames or flow of it: the one place that decides."""

import os
from typing import Literal

from marey.base.address import Address, Place
from marey.base.errors import DecodeError
from marey.video.flow.files import FlowVideo, is_flow_video
from marey.video.flow.live import LiveFlow
from marey.video.flow.rule import FlowRule
from marey.video.reading.frames import FlowFolder, FrameFolder, holds_flow, holds_frames
from marey.video.reading.reader import open_video
from marey.video.source import Conversion, FrameSource

Kind = Literal["video", "frames", "flow video", "flow images"]


def kind_of(path: Place, wanted: Literal["frames", "flow"] = "frames") -> Kind:
    """What is read at a path: a folder is images, of flow or of frames, every file is a video, and so is every address.

    Of a folder that holds both it is what is `wanted`. One with neither counts as frames, and a path with nothing there as
    a video: opening it says what is missing.
    """
    if is_flow_video(path):
        return "flow video"
    if isinstance(path, Address) or not os.path.isdir(path):  # noqa: PTH112 - Path raises for what may not be looked at
        return "video"
    if wanted == "frames":
        return "flow images" if not holds_frames(path) and holds_flow(path) else "frames"
    return "flow images" if holds_flow(path) else "frames"


def stores_flow(path: Place) -> bool:
    """Whether flow lies at a path, so that none has to be computed."""
    return kind_of(path, "flow") in ("flow video", "flow images")


def open_source(path: Place, conversion: Conversion = "rgb", flow: FlowRule | None = None) -> FrameSource:
    """A video file, also at an address, or a folder of frames; with `flow`, the flow that lies there, else it is computed by
    that rule.

    Raises:
        DecodeError: nothing there that can be read, or flow where frames are asked for.
    """
    kind = kind_of(path, "frames" if flow is None else "flow")
    if kind in ("video", "frames"):
        source = _opened(kind, path, conversion)
        return source if flow is None else LiveFlow(source, flow, name=str(path))
    if flow is None:
        what = "is a video of optical flow" if kind == "flow video" else "is a folder of optical flow"
        raise DecodeError(path, f"{what}, and frames are asked for: take a recipe whose modality is flow")
    return _opened(kind, path, conversion)


def open_stored(path: Place) -> FrameSource:
    """Whatever lies at a path, as it is stored: frames, or flow.

    Raises:
        DecodeError: nothing there that can be read.
    """
    return _opened(kind_of(path), path, "rgb")


def _opened(kind: Kind, path: Place, conversion: Conversion) -> FrameSource:
    if isinstance(path, Address):
        return FlowVideo(path) if kind == "flow video" else open_video(path, conversion=conversion)
    match kind:
        case "flow video":
            return FlowVideo(path)
        case "flow images":
            return FlowFolder(path)
        case "frames":
            return FrameFolder(path)
        case "video":
            return open_video(path, conversion=conversion)
