"""From decoded frames to the clip tensor: resize, crop, flip, colours, normalisation.

- `transforms`: the operations, as functions.
- `rules`: the pixel rules of the toolkits, for training and testing.
- `crops`: random crops and flips for training.
- `colour`, `randaugment`: random changes of colour and appearance for training.

It exports the pixel rules: `Pixels`, `FloatPixels`, their union `PixelRule`, and `CentreView` for validation.

May import: base, video.source.
"""

from marey.video.pixels.rules import CentreView as CentreView
from marey.video.pixels.rules import FloatPixels as FloatPixels
from marey.video.pixels.rules import PixelRule as PixelRule
from marey.video.pixels.rules import Pixels as Pixels
