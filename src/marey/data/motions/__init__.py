"""`motions`: a generated data set of video files whose class is a motion, and can be recognised by the motion alone.

There are twelve classes in six mirrored pairs. The two classes of a pair are the same rendered frames in opposite order: a
video of a motion to the left, played backwards, is a video of a motion to the right. Every frame is coded by itself with
one quantiser, so that the decoded frames are the same bit by bit: neither a single frame nor compression shows the class.

An object travels at least a third of the frame over a noisy, shaking background. Object, scene and direction of the object
are chosen at random, independently of the motion. No scene is in both train and test; the two videos of a scene are in the
same split and group. The look `DRAWN` shows objects on recognisable scenes, `NOISE` plain shapes on smoothed noise.

- `scenes`, `objects`, `canvas`: the scenes and objects of `DRAWN`, and the shapes that they are drawn with.
- `looks`: `Look`, and how `DRAWN` and `NOISE` draw a scene.
- `paths`: how objects move.
- `dataset`: renders scenes and writes the data set (`write_motions`).

It exports the classes, the looks, and the functions that render and write videos.

May import: base, data.catalogue, data.lists, video.
"""

from marey.data.catalogue.class_names import CLASS_NAMES as CLASS_NAMES
from marey.data.catalogue.class_names import FLIP_PAIRS as FLIP_PAIRS
from marey.data.catalogue.class_names import MIRROR_PAIRS as MIRROR_PAIRS
from marey.data.motions.dataset import recorded_settings as recorded_settings
from marey.data.motions.dataset import render_scene as render_scene
from marey.data.motions.dataset import write_examples as write_examples
from marey.data.motions.dataset import write_motions as write_motions
from marey.data.motions.looks import DRAWN as DRAWN
from marey.data.motions.looks import NOISE as NOISE
from marey.data.motions.looks import Look as Look
