"""`motions`: a generated data set of video files. Each class is a motion, and nothing but the motion shows it.

There are twelve classes in six pairs of opposite motions. The two classes of a pair have the same rendered frames, in
opposite order: a video of a motion to the left, played backwards, is a video of a motion to the right. Every frame is coded
by itself with one quantiser, so that the decoded frames are the same bit by bit: neither a single frame nor compression
shows the class.

Over a noisy, shaking background an object travels at least two fifths of the frame's side, two objects move apart, each by
at least a fifth, or an object becomes at least 2.4 times as large. Background, object and its orientation are chosen
at random, independently of the motion. A *scene* is one such choice with one random path: its two videos are in the same
split and group. The look `DRAWN` shows objects on recognisable backgrounds, `NOISE` plain shapes on smoothed noise.

- `scenes`, `objects`, `canvas`: the backgrounds and objects of `DRAWN`, and the shapes that they are drawn with.
- `looks`: `Look`, and how `DRAWN` and `NOISE` draw a scene.
- `paths`: how objects move.
- `dataset`: renders scenes and writes the data set (`write_motions`).

It exports `CLASS_NAMES`, `FLIP_PAIRS` and `REVERSED_PAIRS`; `Look`, `DRAWN` and `NOISE`; `render_scene`, `write_motions`,
`write_examples` and `recorded_settings`.

May import: base, data.catalogue, data.lists, video.
"""

from marey.data.catalogue.class_names import CLASS_NAMES as CLASS_NAMES
from marey.data.catalogue.class_names import FLIP_PAIRS as FLIP_PAIRS
from marey.data.catalogue.class_names import REVERSED_PAIRS as REVERSED_PAIRS
from marey.data.motions.dataset import recorded_settings as recorded_settings
from marey.data.motions.dataset import render_scene as render_scene
from marey.data.motions.dataset import write_examples as write_examples
from marey.data.motions.dataset import write_motions as write_motions
from marey.data.motions.looks import DRAWN as DRAWN
from marey.data.motions.looks import NOISE as NOISE
from marey.data.motions.looks import Look as Look
