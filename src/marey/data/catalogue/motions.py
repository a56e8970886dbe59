"""The classes of the generated data set `motions` (`marey.data.motions`)."""

MIRROR_PAIRS = (
    ("left", "right"),
    ("up", "down"),
    ("clockwise", "counter-clockwise"),
    ("nearer", "farther"),
    ("opening", "closing"),
    ("accelerating", "braking"),
)
"""Classes whose videos are each other's, played backwards."""

FLIP_PAIRS = (("left", "right"), ("clockwise", "counter-clockwise"))
"""Classes that a mirror swaps: recipes for this set must not flip."""

CLASS_NAMES = tuple(sorted(name for pair in MIRROR_PAIRS for name in pair))
