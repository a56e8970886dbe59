"""From decoded pixels to the clip tensor: resize, crop, flip, colours, normalise.

`rules` holds the testing rules of the toolkits and what training adds to them; `crops` and `colour` what training draws
at random.

May import: marey.base, marey.video.reading.
"""

from marey.video.pixels.rules import CentreView as CentreView
from marey.video.pixels.rules import FloatPixels as FloatPixels
from marey.video.pixels.rules import PixelRule as PixelRule
from marey.video.pixels.rules import Pixels as Pixels
