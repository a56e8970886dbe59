"""Two orders of the same classes: matched by name or refused, and never mixed up."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import marey
from marey.base.errors import DataError, RecipeError
from marey.data.lists.class_files import read_classes
from marey.data.lists.labels import class_permutation
from marey.data.lists.manifest import in_class_order, make_manifest
from marey.data.lists.read_videos import read_videos
from marey.evaluation.fusion import fuse
from marey.evaluation.run import evaluate
from marey.evaluation.scores import Scores
from marey.evaluation.tested_list import read_labelled
from marey.weights.checkpoint import save_checkpoint
from marey.weights.load import build_model, load_model
from marey.weights.pretraining import start
from marey.workflows.two_streams import Streams, open_models, predict_streams
from tests.support.tiny import RECIPE

VIDEOS_PER_CLASS = 2


def listed(tmp_path, *labels: str, classes=None):
    rows = [(f"v{row}.mp4", label) for row, label in enumerate(labels)]
    return make_manifest(rows, root=tmp_path, source="list.csv", classes=classes)


def classifier(names=("run", "jump", "walk"), seed: int = 0):
    torch.manual_seed(seed)
    return build_model(RECIPE.variant(model={"num_classes": len(names)}), names).eval()


def test_labels_are_matched_by_name(tmp_path) -> None:
    manifest = listed(tmp_path, "jump", "run", "jump", "walk")
    assert manifest.class_names == ("jump", "run", "walk")
    moved = in_class_order(manifest, ("walk", "swim", "jump", "run"), of="x")
    assert [moved.class_names[label] for label in moved.labels] == ["jump", "run", "jump", "walk"]
    several = in_class_order(listed(tmp_path, "jump|run", "walk"), ("walk", "jump", "run"), of="x")
    assert several.multi_hot().tolist() == [[0, 1, 1], [1, 0, 0]]
    numbers = in_class_order(listed(tmp_path, "2", "0"), ("walk", "jump", "run", "swim"), of="x")
    assert [numbers.class_names[label] for label in numbers.labels] == ["run", "walk"]
    # A class that the file of classes names, and no video has, may be unknown.
    wider = listed(tmp_path, "jump", "run", classes=["fly", "run", "jump"])
    assert in_class_order(wider, ("jump", "run"), of="x").labels.tolist() == [0, 1]


@pytest.mark.parametrize("written", ["Apply Eye Makeup", "apply_eye_makeup", "ApplyEyemakeup"])
def test_other_spellings_are_refused_with_the_nearest_name(written, tmp_path) -> None:
    names = ("ApplyEyeMakeup", "Archery", "BabyCrawling")
    with pytest.raises(DataError, match=rf"'{written}' is none of the 3 classes .*Did you mean ApplyEyeMakeup"):
        in_class_order(listed(tmp_path, written, "Archery"), names, of="the checkpoint")
    (tmp_path / "l.csv").write_text(f"path,label\na.mp4,{written}\nb.mp4,Archery\n")
    with pytest.raises(DataError, match=rf"'{written}' is none of the 3 classes .*Did you mean ApplyEyeMakeup"):
        read_labelled(tmp_path / "l.csv", classifier(names))


def test_a_list_s_own_class_file_is_matched_with_the_checkpoint_s_names(tmp_path) -> None:
    (tmp_path / "classes.txt").write_text("jump\nrun\nwalk\n")
    (tmp_path / "numbers.txt").write_text("a.mp4 0\nb.mp4 1\nc.mp4 2\n")
    found = read_labelled(tmp_path / "numbers.txt", classifier(), classes=tmp_path / "classes.txt")
    assert found.class_names == ("run", "jump", "walk")
    assert found.labels.tolist() == [1, 0, 2]
    (tmp_path / "classes.txt").write_text("jump\nrun\nfly\n")
    with pytest.raises(DataError, match="'fly' is none of the 3 classes of the checkpoint"):
        read_labelled(tmp_path / "numbers.txt", classifier(), classes=tmp_path / "classes.txt")


def test_a_manifest_in_another_order_is_tested_by_name(videos, capsys) -> None:
    model = classifier(("run", "jump"))
    by_list = evaluate(model, videos, workers=0)
    by_manifest = evaluate(model, marey.read_manifest(videos), workers=0)  # jump, run
    assert by_manifest.scores.labels.tolist() == by_list.scores.labels.tolist()
    assert by_manifest.top1 == by_list.top1
    nameless = build_model(RECIPE.variant(dataset="unknown")).eval()
    capsys.readouterr()
    evaluate(nameless, marey.read_manifest(videos), workers=0)
    assert (
        "does not name its 2 classes: they are assumed to be the manifest's, in its order, jump, run"
        in capsys.readouterr().err
    )


def scores(names, probabilities, labels) -> Scores:
    ids = tuple(f"v{row}" for row in range(len(labels)))
    return Scores(ids, np.array(labels), np.array(probabilities, np.float32), names)


def test_score_files_are_fused_by_name() -> None:
    one = scores(("a", "b", "c"), [[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], [0, 2])
    order = class_permutation(("a", "b", "c"), ("c", "a", "b"))
    other = scores(("c", "a", "b"), one.probabilities[:, order], [1, 0])
    fused = fuse([one, other])
    np.testing.assert_allclose(fused.probabilities, one.probabilities, atol=1e-6)
    assert fused.labels.tolist() == [0, 2]
    hot = [[1, 0, 1], [0, 0, 1]]
    several = replace(one, labels=np.array(hot))
    turned = replace(other, labels=np.array(hot)[:, order])
    assert fuse([several, turned]).labels.tolist() == hot
    with pytest.raises(DataError, match=r"score file 2 names other classes than the first: 'd' is none of them"):
        fuse([one, scores(("a", "b", "d"), one.probabilities, [0, 2])])


def test_streams_are_matched_by_name(videos) -> None:
    one, same = classifier(("run", "jump"), 1), classifier(("run", "jump"), 2)
    turned = classifier(("run", "jump"), 2)
    with torch.no_grad():
        for parameter in (turned.network.head.weight, turned.network.head.bias):
            parameter.copy_(parameter.flip(0))
    turned = marey.Classifier(turned.network, turned.recipe, classes=("jump", "run")).eval()
    clips = read_videos([videos / "run"], root=None)
    expected = list(predict_streams(Streams((one, same)), clips, marey.Compute(workers=0)))
    found = list(predict_streams(Streams((one, turned)), clips, marey.Compute(workers=0)))
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.class_names == ("run", "jump")
        np.testing.assert_allclose(mine.probabilities, theirs.probabilities, atol=1e-6)
    with pytest.raises(RecipeError, match="the streams have different classes.*the first has no fly"):
        Streams((one, classifier(("run", "fly"))))
    with pytest.raises(RecipeError, match="one stream names its classes and the other does not.*--classes FILE"):
        Streams((one, build_model(RECIPE.variant(dataset="unknown"))))


def test_streams_without_class_names_get_those_of_a_file(tmp_path, capsys) -> None:
    for name, names in (("a", None), ("b", ("run", "jump"))):
        save_checkpoint(tmp_path / f"{name}.safetensors", classifier(("x", "y")).network, RECIPE, names)
    (tmp_path / "classes.txt").write_text("jump\nrun\n")
    files = [str(tmp_path / f"{name}.safetensors") for name in "ab"]
    with pytest.raises(RecipeError, match="--classes FILE"):
        open_models(*files)
    streams = open_models(*files, classes=read_classes(tmp_path / "classes.txt"))
    assert [one.class_names for one in streams.classifiers] == [("jump", "run"), ("run", "jump")]


@pytest.fixture
def checkpoint(tmp_path):
    """A network with the classes a, b, c."""
    model = classifier(("a", "b", "c"))
    save_checkpoint(tmp_path / "abc.safetensors", model)
    save_checkpoint(tmp_path / "nameless.safetensors", model.network, model.recipe)
    return model


def test_training_starts_from_a_head_only_if_its_classes_are_the_same(checkpoint, tmp_path) -> None:
    theirs = checkpoint.network.head.weight

    def head(file: str, names):
        started = start(checkpoint.recipe, tmp_path / file, names)
        assert started.class_names == names
        assert torch.equal(started.network.resnet.stem.conv.weight, checkpoint.network.resnet.stem.conv.weight)
        return started.network.head, str(started.load_report)

    kept, said = head("abc.safetensors", ("a", "b", "c"))
    assert torch.equal(kept.weight, theirs)
    assert "the same 3 classes in the same order" in said
    moved, said = head("abc.safetensors", ("c", "a", "b"))
    assert torch.equal(moved.weight, theirs[[2, 0, 1]])
    assert torch.equal(moved.bias, checkpoint.network.head.bias[[2, 0, 1]])
    assert "its rows reordered by name" in said
    fresh, said = head("abc.safetensors", ("a", "b", "d"))
    assert not torch.equal(fresh.weight, theirs)
    assert "a new head: the file's 3 classes are others (a, b, c)" in said
    fresh, said = head("nameless.safetensors", ("a", "b", "c"))
    assert not torch.equal(fresh.weight, theirs)
    assert "the file does not name its 3 classes (marey convert FILE --classes NAMES" in said
    kept, said = head("nameless.safetensors", ("0", "1", "2"))
    assert torch.equal(kept.weight, theirs)
    assert "labels are numbers" in said


def test_names_are_given_to_a_file_that_has_none_and_to_no_other(checkpoint, tmp_path) -> None:
    named = load_model(tmp_path / "nameless.safetensors", classes=("c", "a", "b"))
    assert named.class_names == ("c", "a", "b")
    assert load_model(tmp_path / "abc.safetensors", classes=("a", "b", "c")).class_names == ("a", "b", "c")
    with pytest.raises(RecipeError, match="names its 3 classes itself, in another order: leave out"):
        load_model(tmp_path / "abc.safetensors", classes=("c", "a", "b"))
    with pytest.raises(RecipeError, match="names its 3 classes itself, by other names: leave out"):
        load_model(tmp_path / "abc.safetensors", classes=("a", "b", "x"))


def test_a_module_without_names_is_trained_in_the_lists_order_with_a_notice(videos, tmp_path, capsys) -> None:
    nameless = build_model(RECIPE.variant(dataset="unknown", train={"epochs": 1}))
    marey.fit(nameless, train=videos, out=tmp_path / "a", workers=0)
    assert (
        "its outputs are assumed to be those of the training list, in its order (jump, run)" in capsys.readouterr().err
    )


def test_validation_videos_in_another_order_are_matched_by_name(videos, tmp_path) -> None:
    train = marey.read_manifest(videos, classes=["run", "jump"])
    found = [
        marey.fit(
            RECIPE.variant(train={"epochs": 1}), train=train, val=val, out=tmp_path / name, init="none", workers=0
        )
        for name, val in (("a", train), ("b", marey.read_manifest(videos)))
    ]
    assert found[0].best_score == found[1].best_score


def test_folders_named_by_numbers_are_never_indices_of_other_classes(tmp_path) -> None:
    numbers = make_manifest([("1/a.mp4", "1"), ("2/b.mp4", "2")], root=tmp_path, source="f", classes=["1", "2", "10"])
    with pytest.raises(DataError, match="the class '1' and 1 more is none of the 3 classes of the checkpoint"):
        in_class_order(numbers, ["across", "down", "up"], of="the checkpoint")
    places = make_manifest([("a.mp4", "1"), ("b.mp4", "2")], root=tmp_path, source="l")
    assert in_class_order(places, ["across", "down", "up"], of="the checkpoint").class_names == ("across", "down", "up")
