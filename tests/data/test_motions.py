"""The generated data set: the class is the motion and nothing else."""

import json

import numpy as np
import pytest

from marey.base.errors import RunError
from marey.base.random import random_for
from marey.data.motions import CLASS_NAMES, DRAWN, FLIP_PAIRS, NOISE, REVERSED_PAIRS, render_scene, write_motions
from marey.data.motions.dataset import place_object
from marey.data.motions.looks import MARGIN, SceneContent, Sprite
from marey.data.motions.objects import OBJECTS
from marey.data.motions.paths import Pose, _along, path_of
from marey.data.motions.scenes import SCENES
from marey.recipes.motions import MOTIONS
from marey.video.reading.reader import open_video

LOOKS = pytest.mark.parametrize("look", [DRAWN, NOISE], ids=["drawn", "noise"])


@LOOKS
def test_pairs_have_the_same_frames_bit_by_bit(look, tmp_path) -> None:
    train, test = write_motions(tmp_path, train=12, test=12, size=48, frames=10, workers=0, look=look)
    assert len(CLASS_NAMES) == 12
    assert (np.bincount(train.labels) == 1).all()
    assert not set(train.groups.tolist()) & set(test.groups.tolist())
    by_class = {train.class_names[s.label]: s for s in train}
    for one, other in REVERSED_PAIRS:
        with open_video(by_class[one].path) as a, open_video(by_class[other].path) as b:
            np.testing.assert_array_equal(a.read(range(10)), b.read(range(9, -1, -1)))
        assert by_class[one].group == by_class[other].group


def test_written_once_and_the_same_again(tmp_path, capsys) -> None:
    arguments = {"train": 12, "test": 12, "size": 48, "frames": 6, "workers": 0, "look": NOISE}
    first, _ = write_motions(tmp_path / "a", **arguments)
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*.mp4")}
    one, *rest = written
    one.unlink()
    (tmp_path / "a" / "motions.csv").unlink()
    again, _ = write_motions(tmp_path / "a", **arguments)
    assert again.fingerprint == first.fingerprint
    assert sum(path.stat().st_mtime_ns != written[path] for path in rest) == 1, (
        "only the other video of its scene is written again"
    )
    other, _ = write_motions(tmp_path / "b", **arguments)
    for one, two in zip(again, other, strict=True):
        assert one.path.read_bytes() == two.path.read_bytes()
    assert "written again" not in capsys.readouterr().err


def test_a_folder_holds_one_look(tmp_path, capsys) -> None:
    """Files of all looks have the same names, and a folder is never read as one of another look."""
    arguments = {"train": 12, "test": 12, "size": 48, "frames": 6, "workers": 0}
    write_motions(tmp_path, **arguments, look=NOISE)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.mp4")}
    with pytest.raises(RunError, match=r"another run \(look: there none, here drawn\)"):
        write_motions(tmp_path, **arguments)
    with pytest.raises(RunError, match=r"\(seed: there 0, here 1\)"):
        write_motions(tmp_path, **arguments, seed=1, look=NOISE)
    (tmp_path / "motions.json").unlink()
    write_motions(tmp_path, **arguments)
    assert "24 videos are there without motions.json, and are written again" in capsys.readouterr().err
    assert all(path.read_bytes() != content for path, content in before.items())


def test_folders_without_a_look_have_the_look_noise(tmp_path) -> None:
    """Before there were several looks, motions.json named none: such a folder is complete and has the look NOISE."""
    arguments = {"train": 12, "test": 12, "size": 48, "frames": 6}
    write_motions(tmp_path, **arguments, workers=0, look=NOISE)
    old = {**arguments, "seed": 0, "version": 1}
    assert old.items() <= json.loads((tmp_path / "motions.json").read_text()).items()
    (tmp_path / "motions.json").write_text(json.dumps(old))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    train, _ = write_motions(tmp_path, **arguments, workers=0, look=NOISE)
    assert len(train) == 12
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")} == before


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

    left = [render_scene(0, scene, size=72, frames=12, seed=0, look=NOISE) for scene in range(12)]
    assert np.median([drift(f) for f in left]) < -8
    assert np.median([drift(f[:, :, ::-1]) for f in left]) > 8
    assert ("left", "right") in FLIP_PAIRS
    assert all(recipe.augment.flip == 0 and recipe.test.crops != "ten" for recipe in MOTIONS)


def test_appearance_shows_nothing_of_the_motion() -> None:
    """Scene, object and the way it faces have one distribution in all pairs (a chi-squared test of fixed draws)."""
    scenes = 1500
    contents = []
    for pair in range(len(REVERSED_PAIRS)):
        for scene in range(scenes):
            random = random_for(0, pair, scene)
            path_of(pair, random)
            contents.append(DRAWN.choose(random))
    for kind in ((lambda c: c.scene.name), (lambda c: (c.scene.name, c.drawn_object.name)), (lambda c: c.mirrored)):
        values = [kind(content) for content in contents]
        index = {value: i for i, value in enumerate(dict.fromkeys(values))}
        codes = np.array([index[value] for value in values]).reshape(len(REVERSED_PAIRS), scenes)
        counts = np.stack([np.bincount(row, minlength=len(index)) for row in codes])
        expected = counts.mean(axis=0)
        freedom = (len(REVERSED_PAIRS) - 1) * (len(index) - 1)
        assert expected.min() > 5
        assert (np.square(counts - expected) / expected).sum() < freedom + 3 * np.sqrt(2 * freedom)
    assert {content.scene.name for content in contents} == {scene.name for scene in SCENES}
    assert {content.drawn_object.name for content in contents} == {drawn_object.name for drawn_object in OBJECTS}


def test_an_object_faces_independently_of_its_motion() -> None:
    """Objects that move left face left in half of the scenes."""
    mirrored = []
    for scene in range(400):
        random = random_for(0, 0, scene)
        path_of(0, random)
        mirrored.append(DRAWN.choose(random).mirrored)
    assert abs(np.mean(mirrored) - 0.5) < 0.075


def object_mask(sprite: Sprite, pose: Pose, size: int) -> np.ndarray:
    """Where the object is opaque."""
    white = tuple(np.dstack([np.ones_like(p[..., :3]), p[..., 3:]]) for p in sprite.images)
    image = np.zeros((size, size, 3), np.float32)
    place_object(image, Sprite(sprite.side, white, sprite.turning), pose)
    return image[..., 0] > 0.5


@pytest.mark.parametrize("size", [48, 72, 128])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_objects_are_clearly_visible(scene, size) -> None:
    """For every object of a scene, at nine positions, its colours differ from the background by 40 levels on average."""
    for number, drawn_object in enumerate(scene.objects):
        drawn = DRAWN.draw(
            SceneContent(scene, drawn_object, mirrored=number % 2 == 0, share=0.38), size, random_for(number, size)
        )
        assert drawn.ground.shape == (size + 2 * MARGIN, size + 2 * MARGIN, 3)
        ground = drawn.ground[MARGIN:-MARGIN, MARGIN:-MARGIN]
        for x in (0.2, 0.5, 0.8):
            for y in (0.2, 0.5, 0.8):
                image, pose = ground.copy(), Pose(x, y)
                place_object(image, drawn.sprite, pose)
                hidden = object_mask(drawn.sprite, pose, size)
                assert 0.02 < hidden.mean() < 0.15
                distance = np.sqrt(np.square(image - ground)[hidden].mean(axis=1)).mean()
                assert distance > 40, (drawn_object.name, x, y, distance)


@pytest.mark.parametrize("drawn_object", OBJECTS, ids=lambda drawn_object: drawn_object.name)
def test_objects_are_complete_at_every_scale(drawn_object) -> None:
    """Nothing is cut off at the edge of the object's square, and no motion enlarges the largest image."""
    scene = next(scene for scene in SCENES if drawn_object in scene.objects)
    for share in (0.34, 0.44):
        sprite = DRAWN.draw(SceneContent(scene, drawn_object, mirrored=False, share=share), 72, random_for(1)).sprite
        largest = sprite.images[0]
        assert [len(picture) * 2**n for n, picture in enumerate(sprite.images)] == [len(largest)] * 4
        edge = np.concatenate([largest[0], largest[-1], largest[:, 0], largest[:, -1]])[:, 3]
        assert edge.max() == 0
        assert 0.2 < (largest[..., 3] > 0.5).mean() < 0.8
        for scale in (0.45, 1.0, 2.3):
            assert scale * sprite.side <= len(sprite.image(scale)) < 2 * scale * sprite.side + 2


def test_scenes_of_train_and_test_differ(tmp_path) -> None:
    train, test = write_motions(tmp_path, train=24, test=24, size=48, frames=4, workers=0)
    assert not set(train.groups.tolist()) & set(test.groups.tolist())
    shown = [render_scene(0, scene, size=48, frames=4, seed=0) for scene in range(4)]
    for one in range(4):
        for other in range(one):
            assert np.abs(shown[one].astype(int) - shown[other]).mean() > 5
