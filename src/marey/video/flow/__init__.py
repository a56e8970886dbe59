"""Optical flow: how every pixel moves from one frame to the next.

- `methods`: the methods, as declarations: TV-L1 (in torch, and OpenCV's), DIS, Farneback.
- `rule`: method, frame size and bound of the flow of a video, and flow as 8-bit grey levels.
- `tvl1`, `median`: TV-L1 in torch.
- `live`: flow that is computed when it is read.
- `files`: flow stored as folders of image pairs or as video files.

It exports the methods: `TVL1`, `OpenCVTVL1`, `DIS`, `Farneback`, and their union `FlowMethod`.

May import: base, video.pixels, video.reading, video.source, video.writing.
"""

from marey.video.flow.methods import DIS as DIS
from marey.video.flow.methods import TVL1 as TVL1
from marey.video.flow.methods import Farneback as Farneback
from marey.video.flow.methods import FlowMethod as FlowMethod
from marey.video.flow.methods import OpenCVTVL1 as OpenCVTVL1
