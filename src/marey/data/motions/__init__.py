"""`motions`: a generated data set of real video files whose class is a motion, and nothing but a motion.

Twelve classes in six mirrored pairs. The two classes of a pair are the same rendered frames in opposite order: what
moves left is, played backwards, what moves right. Every frame is coded by itself at one quantiser, so that the decoded
frames, too, are the same to the last bit: no single frame and no trace of compression tells the two apart.

An object travels at least a third of the frame over a noisy, shaking background. Which object, on which scene, facing
which way is drawn independently of the motion. Scenes of train and test are disjoint; a scene's two videos are on
the same side, in one group. `DRAWN` shows objects on recognisable scenes, `NOISE` plain shapes on smoothed noise.
"""

from marey.data.catalogue.motions import CLASS_NAMES as CLASS_NAMES
from marey.data.catalogue.motions import FLIP_PAIRS as FLIP_PAIRS
from marey.data.catalogue.motions import MIRROR_PAIRS as MIRROR_PAIRS
from marey.data.motions.dataset import recorded_settings as recorded_settings
from marey.data.motions.dataset import render_scene as render_scene
from marey.data.motions.dataset import write_examples as write_examples
from marey.data.motions.dataset import write_motions as write_motions
from marey.data.motions.looks import DRAWN as DRAWN
from marey.data.motions.looks import NOISE as NOISE
from marey.data.motions.looks import Look as Look
