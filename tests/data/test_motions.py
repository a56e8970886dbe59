"""The generated data set: the class is the motion and nothing else."""

import numpy as np

from marey.base.random import random_for
from marey.data.motions import CLASS_NAMES, FLIP_PAIRS, MIRROR_PAIRS, _along, render_scene, write_motions
from marey.recipes.motions import MOTIONS
from marey.video.reader import open_video


def test_pairs_share_their_frames_to_the_last_bit(tmp_path) -> None:
    train, test = write_motions(tmp_path, train=12, test=12, size=48, frames=10, workers=0)
    assert len(CLASS_NAMES) == 12
    assert (np.bincount(train.labels) == 1).all()
    assert not set(train.groups.tolist()) & set(test.groups.tolist())
    by_class = {train.class_names[s.label]: s for s in train}
    for one, other in MIRROR_PAIRS:
        with open_video(by_class[one].path) as a, open_video(by_class[other].path) as b:
            np.testing.assert_array_equal(a.read(range(10)), b.read(range(9, -1, -1)))
        assert by_class[one].group == by_class[other].group


def test_written_once_and_the_same_again(tmp_path) -> None:
    first, _ = write_motions(tmp_path / "a", train=12, test=12, size=48, frames=6, workers=0)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "a").rglob("*.mp4")}
    (next(iter(before))).unlink()
    (tmp_path / "a" / "motions.json").unlink()
    again, _ = write_motions(tmp_path / "a", train=12, test=12, size=48, frames=6, workers=0)
    assert again.fingerprint == first.fingerprint
    other, _ = write_motions(tmp_path / "b", train=12, test=12, size=48, frames=6, workers=0)
    for one, two in zip(again, other, strict=True):
        assert one.path.read_bytes() == two.path.read_bytes()


def test_objects_travel_a_third_of_the_frame() -> None:
    for seed in range(50):
        path = _along(random_for(seed), 0.0)
        (start,), (end,) = path(0.0), path(1.0)
        assert np.hypot(end.x - start.x, end.y - start.y) >= 1 / 3


def test_a_mirror_swaps_left_and_right() -> None:
    """The bright or dark object's mean column falls over time in `left`, rises in its mirror image."""

    def drift(frames: np.ndarray) -> float:
        grey = frames.astype(float).mean(axis=3)
        odd = abs(grey - np.median(grey, axis=0))
        columns = np.arange(grey.shape[2])
        weight = (odd > 40).sum(axis=1)
        centre = (weight * columns).sum(axis=1) / np.maximum(weight.sum(axis=1), 1)
        return float(centre[-3:].mean() - centre[:3].mean())

    left = [render_scene(0, scene, size=72, frames=12, seed=0) for scene in range(12)]
    assert np.median([drift(f) for f in left]) < -8
    assert np.median([drift(f[:, :, ::-1]) for f in left]) > 8
    assert ("left", "right") in FLIP_PAIRS
    assert all(recipe.augment.flip == 0 and recipe.test.crops != "ten" for recipe in MOTIONS)
