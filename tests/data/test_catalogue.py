"""The packed facts on public data sets are those of the published lists."""

import csv
import re

import pytest
import torch

from marey.data.catalogue import class_names_of, kinetics
from marey.data.catalogue.hmdb51 import HMDB51
from marey.data.catalogue.published import Spellings
from marey.data.catalogue.ucf101 import UCF101
from marey.data.prepare import PUBLISHED_SETS
from marey.inference.predict import predict
from marey.recipes import get_recipe
from marey.video.writing.writer import write_video
from marey.weights.layouts import mmaction_inception
from marey.weights.load import build_model, load_model
from tests.support.made_videos import coded_frame

LABEL_MAPS = {
    "kinetics400": "kinetics_label_map_k400",
    "kinetics600": "kinetics_label_map_k600",
    "kinetics700": "kinetics_label_map_k700",
    "ucf101": "ucf101_label_map",
    "hmdb51": "hmdb51_label_map",
    "sthv2": "sthv2_label_map",
    "jester": "jester_label_map",
    "diving48": "diving48_label_map",
    "gym99": "gym_label_map",
}
COUNTS = {"kinetics400": 400, "kinetics600": 600, "kinetics700": 700, "ucf101": 101, "hmdb51": 51, "sthv2": 174,
          "jester": 27, "diving48": 48, "gym99": 99}  # fmt: skip


def lines(path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("dataset", LABEL_MAPS)
def test_class_names(dataset, shared) -> None:
    assert class_names_of(dataset) == tuple(lines(shared / "labels" / f"mmaction2_{LABEL_MAPS[dataset]}.txt"))


@pytest.mark.parametrize("number", [400, 600])
def test_deepmind_has_the_same_order(number, shared) -> None:
    theirs = lines(shared / "labels" / f"kinetics{number}_deepmind_label_map.txt")
    assert class_names_of(f"kinetics{number}") == tuple(theirs)


@pytest.mark.parametrize(
    ("dataset", "names_by_index"),
    [
        # Sorted by name, as DeepMind, MMAction and MMAction2 have them, and PySlowFast and PyTorchVideo by their numbers.
        ("kinetics400", {0: "abseiling", 1: "air drumming", 2: "answering questions", 399: "zumba"}),
        ("kinetics600", {0: "abseiling", 1: "acting in play", 599: "zumba"}),
        # MMAction and MMAction2 sort folders; others have these two pairs the other way round.
        ("hmdb51", {20: "kick", 21: "kick_ball", 44: "sword", 45: "sword_exercise"}),
        ("ucf101", {0: "ApplyEyeMakeup", 36: "HandstandPushups", 37: "HandstandWalking", 100: "YoYo"}),
    ],
)
def test_order_of_classes_in_published_heads(dataset, names_by_index) -> None:
    names = class_names_of(dataset)
    assert {index: names[index] for index in names_by_index} == names_by_index
    if dataset != "ucf101":
        assert list(names) == sorted(names)


def test_ucf101_has_its_own_numbers(shared) -> None:
    numbered = [line.split() for line in lines(shared / "labels" / "ucf101_splits" / "classInd.txt") if line.strip()]
    assert class_names_of("ucf101") == tuple(name for _, name in numbered)


def test_numbers_of_classes() -> None:
    assert {name: len(class_names_of(name) or ()) for name in COUNTS} == COUNTS
    assert class_names_of("of my own") is None


@pytest.mark.parametrize("split", [1, 2, 3])
@pytest.mark.parametrize("name", ["train", "test"])
def test_ucf101_splits(split, name, shared) -> None:
    published = {line.split()[0] for line in lines(shared / "labels" / "ucf101_splits" / f"{name}list0{split}.txt")}
    ours = {f"{clip.label}/{clip.key}.avi" for clip in UCF101.split_clips(split, name)}
    assert ours == published
    other = {f"{clip.label}/{clip.key}.avi" for clip in UCF101.split_clips(split % 3 + 1, name)}
    assert other != published


def test_ucf101_counts() -> None:
    assert len(UCF101.clips()) == 13_320
    for split, numbers in UCF101.official.items():
        train, test = (UCF101.split_clips(split, name) for name in ("train", "test"))
        assert {"train": len(train), "test": len(test)} == numbers
        assert sum(numbers.values()) == 13_320
        assert {c.group for c in train}.isdisjoint(c.group for c in test)
    assert {
        (label, len({c.group for c, _ in UCF101.clips() if c.label == label})) for label in ["Archery", "YoYo"]
    } == {
        ("Archery", 25),
        ("YoYo", 25),
    }


@pytest.mark.parametrize("split", [1, 2, 3])
def test_hmdb51_splits(split, shared) -> None:
    published: dict[str, set[tuple[str, str]]] = {"1": set(), "2": set(), "0": set()}
    for path in (shared / "labels" / "hmdb51_splits").glob(f"*_test_split{split}.txt"):
        label = re.sub(r"_test_split\d$", "", path.stem)
        for line in lines(path):
            name, use = line.rsplit(maxsplit=1)
            published[use].add((label, name.removesuffix(".avi")))
    assert {(c.label, c.key) for c in HMDB51.split_clips(split, "train")} == published["1"]
    assert {(c.label, c.key) for c in HMDB51.split_clips(split, "test")} == published["2"]
    assert {(c.label, c.key) for c in HMDB51.split_clips(split % 3 + 1, "test")} != published["2"]


def test_hmdb51_counts() -> None:
    assert len(HMDB51.clips()) == 6766
    for split in (1, 2, 3):
        for name, each in (("train", 70), ("test", 30)):
            clips = HMDB51.split_clips(split, name)
            assert len(clips) == HMDB51.official[split][name] == 51 * each
            assert {name: sum(c.label == name for c in clips) for name in class_names_of("hmdb51")} == dict.fromkeys(
                class_names_of("hmdb51"), each
            )
    # A published rule of the splits, which holds only if the groups are right.
    for split in (1, 2, 3):
        groups = ({(c.label, c.group) for c in HMDB51.split_clips(split, name)} for name in ("train", "test"))
        assert set.intersection(*groups) == set()
    assert "" not in {clip.group for clip, _ in HMDB51.clips()}


@pytest.mark.parametrize("split", ["val", "test"])
def test_kinetics_official_counts(split, shared) -> None:
    with (shared / "labels" / f"kinetics-400_{split}.csv").open(encoding="utf-8") as file:
        assert sum(1 for _ in csv.DictReader(file)) == kinetics.OFFICIAL["kinetics400"][split]


@pytest.mark.parametrize("dataset", ["kinetics400", "kinetics600", "kinetics700", "ucf101", "hmdb51"])
def test_classes_are_inferred_from_folders(dataset) -> None:
    names = class_names_of(dataset)
    spellings = Spellings(names)
    assert len(spellings) == len(names)
    for name in names:
        assert spellings.class_of(f"train_256/{name.replace(' ', '_')}/x.mp4") == name
    assert spellings.class_of("train/nothing/x.mp4") is None


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("val/yoga/0wR5jVB-WPk_000417_000427.mp4", "0wR5jVB-WPk_417"),
        ("-_abcdefghi_417_427.mkv", "-_abcdefghi_417"),
        ("0wR5jVB-WPk.mp4", "0wR5jVB-WPk"),
        ("frames/0wR5jVB-WPk_000417_000427", "0wR5jVB-WPk_417"),
        ("__________A_000010_000020.mp4", "__________A_10"),
        ("holiday.mp4", None),
        ("0wR5jVB-WPk_000417.mp4", None),
    ],
)
def test_kinetics_names(path, key) -> None:
    assert kinetics.KINETICS400.key(path) == key


def test_other_names() -> None:
    ucf, hmdb = PUBLISHED_SETS[3:]
    assert ucf.key("UCF-101/HandstandPushups/v_HandStandPushups_g01_c02.avi") == "v_HandStandPushups_g01_c02"
    assert ucf.key("notes.avi") is None
    odd = "#437_How_To_Ride_A_Bike_ride_bike_f_cm_np1_le_med_0"
    known = next(clip.key for clip, _ in HMDB51.clips() if clip.key.startswith("#437_How_To_Ride_A_Bike"))
    assert hmdb.key(f"ride_bike/ride_bike/{known}.avi") == known
    assert hmdb.key(f"{odd}9.avi") is None


def test_recipes_of_public_data_sets_have_class_names() -> None:
    recipe = get_recipe("slowonly_r50_4x16_k400").variant(model={"width": 4})
    assert build_model(recipe).class_names == class_names_of("kinetics400")
    assert build_model(recipe.variant(model={"num_classes": 7})).class_names is None
    assert build_model(recipe, ["a"] * 400).class_names == ("a",) * 400


def test_weights_of_an_older_toolkit_predict_with_class_names(tmp_path) -> None:
    """MMAction's file has no class names: they are those of the recipe's data set, in the published order."""
    recipe = get_recipe("i3d_incv1_rgb_64x1_k400").variant(
        model={"width": 4}, test={"size": 32}, pixels={"short_side": 32}
    )
    network = recipe.model.build()
    network.head.bias.data[class_names_of("kinetics400").index("juggling balls")] = 100
    state = network.state_dict()
    theirs = {name: state[ours] for name, ours in mmaction_inception.pairs(network)}
    torch.save({"state_dict": theirs}, tmp_path / "f.pth")
    write_video(tmp_path / "x.mp4", [coded_frame(n) for n in range(8)], preset="ultrafast")
    prediction = predict(load_model(recipe, weights=tmp_path / "f.pth"), tmp_path / "x.mp4")
    assert prediction.top(1)[0][0] == "juggling balls"
    assert prediction.class_names == class_names_of("kinetics400")
