"""Classes that mirroring swaps: found by their names, refused or swapped in training."""

import numpy as np
import pytest

from marey.base.errors import RecipeError
from marey.data.catalogue import class_names_of
from marey.data.lists.class_folders import list_folder
from marey.data.loading.datasets import ClipDataset
from marey.data.loading.mirrored_classes import mirror_swaps, mirrored_target, one_sided, swaps_of
from marey.data.motions import CLASS_NAMES, FLIP_PAIRS
from marey.recipes import get_recipe
from marey.recipes.folder import folder_recipe
from marey.training.fit import fit
from marey.video.pixels.crops import CentreCrop, RandomCrop
from marey.video.sampling import MMAction2Train
from marey.video.writing.writer import write_video

SOMETHING = (
    "Pulling something from left to right",
    "Pulling something from right to left",
    "Putting something upright on the table",
    "Pushing something from left to right",
    "Pushing something from right to left",
    "Turning the camera left while filming something",
    "Turning the camera right while filming something",
    "Turning the camera upwards while filming something",
)
"""Some classes of Something-Something v2."""


def named(names: tuple[str, ...]) -> set[frozenset[str]]:
    swaps = mirror_swaps(names)
    assert all(swaps[other] == one for one, other in swaps.items()), "a mirror of a mirror is the picture"
    return {frozenset((names[one], names[other])) for one, other in swaps.items()}


def test_something_something() -> None:
    assert mirror_swaps(SOMETHING) == {0: 1, 1: 0, 3: 4, 4: 3, 5: 6, 6: 5}
    assert one_sided(SOMETHING) == ()


def names_of(dataset: str) -> tuple[str, ...]:
    names = class_names_of(dataset)
    assert names is not None
    return names


def test_the_complete_list_swaps_as_in_mmaction2() -> None:
    """The flip_label_map of its configs for Something-Something v2."""
    names = names_of("sthv2")
    assert mirror_swaps(names) == {86: 87, 87: 86, 93: 94, 94: 93, 166: 167, 167: 166}
    # No direction, but the word does not show that: `train FOLDER` would not mirror; a recipe decides for itself.
    (alone,) = one_sided(names)
    assert "pulling it right out" in alone


def test_jester() -> None:
    assert named(names_of("jester")) == {
        frozenset(("Sliding Two Fingers Left", "Sliding Two Fingers Right")),
        frozenset(("Swiping Left", "Swiping Right")),
        frozenset(("Turning Hand Clockwise", "Turning Hand Counterclockwise")),
    }


def test_motions() -> None:
    assert named(CLASS_NAMES) == {frozenset(pair) for pair in FLIP_PAIRS}


@pytest.mark.parametrize(
    "dataset", ["kinetics400", "kinetics600", "kinetics700", "ucf101", "hmdb51", "diving48", "gym99"]
)
def test_data_sets_without_directions(dataset) -> None:
    assert mirror_swaps(names_of(dataset)) == {}
    assert one_sided(names_of(dataset)) == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("turn_left", "turn_right"),
        ("TurnLeft", "TurnRight"),
        ("wave-LEFT-hand", "wave-right-hand"),
        ("left-handed serve", "right handed serve"),
        ("move leftwards", "move rightwards"),
        ("clockwise", "anti-clockwise"),
        ("turn_clockwise", "turn_counter_clockwise"),
        ("Rotate clockwise", "Rotate counter clockwise"),
    ],
)
def test_names_of_directions(one, other) -> None:
    assert named((one, "stand", other)) == {frozenset((one, other))}
    assert one_sided((one, "stand")) == (one,)


@pytest.mark.parametrize("name", ["bright light", "upright", "leftover food", "copyright", "cleft lip", "theft"])
def test_words_that_only_contain_a_direction(name) -> None:
    assert one_sided((name, "right turn", "left turn")) == ()


def test_targets() -> None:
    assert mirrored_target(1, {1: 2, 2: 1}) == 2
    assert mirrored_target(0, {1: 2, 2: 1}) == 0
    several = mirrored_target(np.array([1, 0.25, 0], np.float32), {1: 2, 2: 1})
    assert isinstance(several, np.ndarray)
    assert several.tolist() == [1, 0, 0.25]


def test_mirroring_is_refused_unless_it_swaps_classes() -> None:
    crop = RandomCrop(size=32, short_side=40)
    with pytest.raises(
        RecipeError, match=r"'Pulling .* left to right' into 'Pulling .* right to left' \(and 4 classes more\)"
    ):
        swaps_of(crop, SOMETHING)
    assert swaps_of(crop.model_copy(update={"flip": 0.0}), SOMETHING) == {}
    assert swaps_of(CentreCrop(size=32, short_side=40), SOMETHING) == {}
    assert len(swaps_of(crop.model_copy(update={"flip_classes": "swap"}), SOMETHING)) == 6
    assert swaps_of(crop, ("run", "jump")) == {}


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """Videos whose left half is dark, in three classes."""
    folder = tmp_path_factory.mktemp("sides")
    for label in ("dark left", "dark right", "other"):
        (folder / label).mkdir()
        for i in range(3):
            frames = np.full((6, 48, 64, 3), 200, np.uint8)
            if label != "other":
                frames[:, :, slice(0, 32) if label == "dark left" else slice(32, 64)] = 20
            write_video(folder / label / f"{i}.mp4", frames, preset="ultrafast")
    return folder


def test_a_mirrored_clip_takes_the_other_class(sides) -> None:
    manifest = list_folder(sides)
    crop = RandomCrop(size=40, short_side=40, flip=0.5, flip_classes="swap")
    dataset = ClipDataset(manifest, MMAction2Train(frames=2), crop, swaps=swaps_of(crop, manifest.class_names))
    plain = ClipDataset(manifest, MMAction2Train(frames=2), crop)
    seen, wrong = set(), 0
    for epoch in range(8):
        for index in range(len(manifest)):
            item = dataset[epoch, index]
            means = item["clip"][..., 0].mean(axis=(0, 1))
            shown = "other" if abs(means[2] - means[-3]) < 50 else "dark left" if means[2] < means[-3] else "dark right"
            assert manifest.class_names[item["target"]] == shown
            seen.add((manifest[index].label, item["target"]))
            wrong += manifest.class_names[plain[epoch, index]["target"]] != shown
    assert seen == {(0, 0), (0, 1), (1, 0), (1, 1), (2, 2)}
    assert wrong > 10, "a mirror that keeps the label would not be seen"


def test_training_refuses_mirroring_that_swaps_classes(sides, tmp_path) -> None:
    recipe = get_recipe("slowonly_r18_8x2_motions").variant(
        model={"num_classes": 3, "width": 4}, augment={"flip": 0.5}, train={"epochs": 1, "base_batch": 4}
    )
    with pytest.raises(RecipeError, match="mirroring turns class 'dark left' into 'dark right'"):
        fit(recipe, train=list_folder(sides), out=tmp_path / "a", workers=0)


@pytest.mark.parametrize(
    ("names", "flip", "classes", "note"),
    [
        (("jump", "run"), 0.5, "refuse", ""),
        (("turn left", "turn right", "run"), 0.5, "swap", "turn left, turn right"),
        (("turn left", "run"), 0.0, "refuse", "turn left has no class for its mirror image"),
        (("turn left", "turn right", "right hook"), 0.0, "refuse", "right hook has no class"),
        (("bright", "dark"), 0.5, "refuse", ""),
    ],
)
def test_the_folder_recipe_sets_flip_by_class_names(names, flip, classes, note) -> None:
    recipe = folder_recipe(names, 100)
    assert (recipe.augment.flip, recipe.augment.flip_classes) == (flip, classes)
    assert note in recipe.notes
    assert swaps_of(recipe.augment, names) == (mirror_swaps(names) if flip else {})


def test_no_recipe_mirrors_a_data_set_whose_classes_that_swaps() -> None:
    """None of our recipes mirrors a data set in which mirroring swaps classes."""
    from marey.recipes import RECIPES

    for recipe in RECIPES:
        names = class_names_of(recipe.dataset)
        if names is not None:
            assert swaps_of(recipe.augment, names) == {}, recipe.name
