"""Opens any source of frames by path or address: a video file, a folder of images, or stored or computed flow.

Only `kind_of` decides what a path holds.
"""

import os
from typing import Literal

from marey.base.address import Address, Location
from marey.base.errors import DecodeError
from marey.video.flow.files import FlowVideo, is_flow_video
from marey.video.flow.live import LiveFlow
from marey.video.flow.rule import FlowRule
from marey.video.reading.image_folders import FlowFolder, FrameFolder, holds_flow, holds_frames
from marey.video.reading.reader import open_video
from marey.video.source import Conversion, FrameSource

Kind = Literal["video", "frames", "flow video", "flow images"]


def kind_of(path: Location, wanted: Literal["frames", "flow"] = "frames") -> Kind:
    """The kind of source at a path. Folders hold images, of frames or of flow; files and addresses are videos.

    `wanted` decides for a folder that holds both. A folder with neither counts as frames and a missing path as a video, so
    that opening them raises the error.
    """
    if is_flow_video(path):
        return "flow video"
    if isinstance(path, Address) or not os.path.isdir(path):  # noqa: PTH112 - Path raises without permission
        return "video"
    if wanted == "frames":
        return "flow images" if not holds_frames(path) and holds_flow(path) else "frames"
    return "flow images" if holds_flow(path) else "frames"


def stores_flow(path: Location) -> bool:
    """Whether a path holds stored flow, so that none has to be computed."""
    return kind_of(path, "flow") in ("flow video", "flow images")


def open_source(path: Location, conversion: Conversion = "rgb", flow: FlowRule | None = None) -> FrameSource:
    """Open the frames at a path or address; with `flow`, the flow that is stored there, or else computed by that rule.

    Raises:
        DecodeError: there is nothing that can be read, or flow although frames were requested.
    """
    kind = kind_of(path, "frames" if flow is None else "flow")
    if kind in ("video", "frames"):
        source = _opened(kind, path, conversion)
        return source if flow is None else LiveFlow(source, flow, name=str(path))
    if flow is None:
        what = "is a video of optical flow" if kind == "flow video" else "is a folder of optical flow"
        raise DecodeError(path, f"{what}, and frames are needed: use a recipe whose modality is flow")
    return _opened(kind, path, conversion)


def open_stored(path: Location) -> FrameSource:
    """Open what is stored at a path: frames, or else flow.

    Raises:
        DecodeError: there is nothing that can be read.
    """
    return _opened(kind_of(path), path, "rgb")


def _opened(kind: Kind, path: Location, conversion: Conversion) -> FrameSource:
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
