"""Optical flow: how every pixel moves from one frame to the next.

- `methods`: ways to compute it, as declarations: TV-L1 (ours in torch, and OpenCV's), DIS, Farneback.
- `levels`: flow as 8-bit grey levels.
- `live`: a video whose frames are its flow, computed as they are read.
- `files`: flow stored as folders of image pairs or as video files, and read back.
"""

from marey.video.flow.methods import DIS as DIS
from marey.video.flow.methods import TVL1 as TVL1
from marey.video.flow.methods import Farneback as Farneback
from marey.video.flow.methods import FlowMethod as FlowMethod
from marey.video.flow.methods import OpenCVTVL1 as OpenCVTVL1
