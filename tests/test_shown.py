"""What a person sees at a prompt or in a notebook: one short line for every value, or a small table."""

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import marey
from marey.data.files.quarantine import Broken
from marey.data.lists.manifest import make_manifest
from marey.data.lists.videos import VideoEntry
from marey.evaluation.scores import Scores
from marey.weights.load import build_model
from tests.support.tiny import RECIPE

LONGEST = 125
LONG = "/a/very/long/folder/of/some/data/set/on/another/disk/of/this/machine/with/videos/kick_0001.mp4"
ROWS = [("a.mp4", "run"), ("b.mp4", "jump"), ("c.mp4", "run")]


def prediction(path: str = "a.mp4", error: str | None = None, classes: int = 3) -> marey.Prediction:
    shares = np.arange(classes, 0, -1, np.float32)
    names = tuple(f"class {i}" for i in range(classes))
    if error is not None:
        return marey.Prediction(VideoEntry(path, Path(path)), np.empty(0, np.float32), (), error)
    return marey.Prediction(VideoEntry(path, Path(path)), shares / shares.sum(), names)


def manifest(**columns) -> marey.Manifest:
    return make_manifest(ROWS, root=Path(), source="list.csv", **columns)


def result(**more) -> marey.EvaluationResult:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], np.float32)
    scores = Scores(("a", "b", "c"), np.array([0, 1, 1]), probabilities, ("jump", "run"))
    return marey.EvaluationResult(scores, **more)


def video(folder: Path) -> marey.FrameFolder:
    for number in range(2):
        cv2.imwrite(str(folder / f"img_{number:05d}.png"), np.zeros((6, 8, 3), np.uint8))
    return marey.FrameFolder(folder, fps=29.97)


def test_every_value_shows_itself_in_one_short_line(tmp_path) -> None:
    report = marey.LoadReport(
        LONG, "mmaction2", (("a", "b"),) * 267, ("head",) * 20, ("note " * 40,) * 5, new_head=True
    )
    model = build_model(RECIPE, class_names=["jump", "run"])
    model.load_report = report
    many = marey.Predictions([prediction(f"{LONG}{i}", classes=40) for i in range(300)])
    values = [
        model, report, prediction(LONG, classes=400), prediction(LONG, error=f"{LONG}: " + "why " * 90), many,
        result(), replace(manifest(splits=["train", "val", "test"]), source=LONG), manifest().videos, manifest()[0],
        VideoEntry(LONG, Path(LONG), 1.25, 3661.125), marey.get_recipe("slowonly_r50_8x8_k400"), marey.RECIPES,
        marey.Compute(), marey.Calibration(fitted_on="videos " * 50), video(tmp_path),
        marey.FitResult(Path(LONG), Path(), Path(), 1200, 120000, 0.5, True),
        marey.ClipDataset(manifest(), RECIPE.clip, RECIPE.augment),
        marey.ViewDataset(manifest(), RECIPE.test.sampling, RECIPE.pixels),
        *marey.RECIPES,
    ]  # fmt: skip
    for value in values:
        assert "\n" not in repr(value)
        assert len(repr(value)) <= LONGEST, repr(value)
        assert re.match(rf"{type(value).__name__}\(.*\)$", repr(value)), repr(value)


def test_each_kind_of_value_has_the_expected_repr(tmp_path, monkeypatch) -> None:
    model = build_model(RECIPE, class_names=["jump", "run"])
    count = sum(parameter.numel() for parameter in model.parameters())
    assert (
        repr(model) == f"Classifier(tiny: slowonly, {count:,} parameters, 2 classes, weights: not loaded from a file)"
    )
    assert str(model) == repr(model)
    assert "Conv3d" in repr(model.network), "the modules are shown of the network"
    assert repr(marey.Predictions([])) == "Predictions(0 videos)"
    broken = prediction("b.mp4", error="b.mp4: no video")
    answers = marey.Predictions([prediction(), broken, prediction("c.mp4")])
    assert repr(answers) == "Predictions(3 videos, 1 broken: 2 class 0)"
    assert repr(answers[:1]) == "Predictions(1 video: 1 class 0)"
    assert repr(answers.broken) == "Predictions(1 video, 1 broken)"
    assert repr(manifest(splits=["train", "val", "train"])[1]) == "Sample('b.mp4': label 0, split val)"
    assert repr(VideoEntry("a.mp4@1-", Path("a.mp4"), 1)) == "VideoEntry('a.mp4' 1 s to the end)"
    monkeypatch.chdir(tmp_path)
    assert repr(video(Path())) == "FrameFolder('.': 2 frames of 8x6, 29.97 fps, 0.1 s)"
    recipe = marey.get_recipe("tsn_r50_3seg_k400")
    assert repr(recipe) == f"Recipe(tsn_r50_3seg_k400: {recipe.title}, tsn, kinetics400, 400 classes)"
    assert str(recipe) == repr(recipe)
    assert repr(marey.RECIPES).startswith(f"Recipes({len(marey.RECIPES)} recipes: {marey.RECIPES[0].name}, ")
    fitted = marey.FitResult(Path("runs/a"), Path(), None, 1, 2, None, True)
    assert repr(fitted) == "FitResult('runs/a': 1 epoch, 2 steps)"
    assert (
        repr(replace(fitted, best_score=0.815)) == "FitResult('runs/a': 1 epoch, 2 steps, best validation score 81.5 %)"
    )
    report = marey.LoadReport("a.pth", "timm", (("a", "b"),), ("head",))
    assert repr(report) == "LoadReport('a.pth': timm layout, 1 tensor loaded, 1 left out)"
    assert repr(marey.Calibration(fitted_on="val.csv")) == "Calibration(temperature 1, fitted on val.csv)"
    clips = marey.ClipDataset(manifest(), RECIPE.clip, RECIPE.augment)
    assert repr(clips) == f"ClipDataset('list.csv': 3 videos, 2 classes; clips by {type(RECIPE.clip).__name__})"


def test_a_prediction_is_bars_in_a_notebook() -> None:
    page = prediction("<a>.mp4", classes=9)._repr_html_()
    assert "&lt;a&gt;.mp4" in page
    assert re.findall(r'title="(class \d)"', page) == [f"class {i}" for i in range(5)]
    assert "and 4 less likely classes" in page
    assert "20.0 %" in page
    below = replace(prediction(), below_threshold=0.75)._repr_html_()
    assert "none of the classes reaches 75.0 %" in below
    assert "no video" in prediction("b.mp4", error="b.mp4: no video")._repr_html_()


def test_many_predictions_are_a_table_of_few_rows() -> None:
    page = marey.Predictions([prediction(f"{i}.mp4") for i in range(1000)])._repr_html_()
    assert page.count("<tr") == 21
    assert "and 980 more videos" in page
    assert "class 0" in page
    mixed = marey.Predictions([prediction("b.mp4", error="b.mp4: no <video>"), prediction(classes=1)])._repr_html_()
    assert "not read: no &lt;video&gt;" in mixed
    assert "100.0 %" in mixed


def test_a_result_is_its_numbers() -> None:
    page = result(broken=(Broken("w", "v/w", "v/w: no"),))._repr_html_()
    for metric in result().task_metrics():
        assert metric.title in page
    assert "66.7 %" in page
    assert "1 broken file left out" in page


def test_a_list_with_labels_is_counts_by_class_and_split() -> None:
    page = manifest(splits=["train", "val", "train"])._repr_html_()
    rows = [re.findall(r">([^<>]*)</t[hd]>", row) for row in page.split("<tr")[1:]]
    assert rows == [["class", "train", "val"], ["jump", "0", "1"], ["run", "2", "0"]]
    several = make_manifest([("a.mp4", "run|jump"), ("b.mp4", "run")], root=Path(), source="")
    rows = [re.findall(r">([^<>]*)</t[hd]>", row) for row in several._repr_html_().split("<tr")[1:]]
    assert rows == [["class", "videos"], ["jump", "1"], ["run", "2"]]
    many = make_manifest([(f"{i}.mp4", f"class {i:03}") for i in range(400)], root=Path(), source="")
    assert many._repr_html_().count("<tr") == 31
    assert "and 370 more classes" in many._repr_html_()
    assert "and 390 more" in many.videos._repr_html_()


def test_a_recipe_is_folded_yaml_and_a_classifier_its_facts() -> None:
    page = RECIPE._repr_html_()
    assert page.startswith("<details")
    assert "schema_version: 1" in page
    model = build_model(RECIPE, class_names=["<jump>", "run"])
    assert "2 classes (&lt;jump&gt;, run)" in model._repr_html_()
    assert f"{sum(parameter.numel() for parameter in model.parameters()):,}" in model._repr_html_()
    assert marey.RECIPES[0].name in marey.RECIPES._repr_html_()


@pytest.mark.parametrize("count", [0, 1])
def test_short_lists_are_tables_too(count) -> None:
    assert marey.Predictions([prediction()] * count)._repr_html_().count("<tr") == 1 + count
    assert marey.VideoList.from_paths(["a.mp4"] * count)._repr_html_().count("<tr") == 1 + count


def test_a_misspelt_option_is_named_with_the_nearest() -> None:
    with pytest.raises(TypeError, match="there is no argument 'devise'. Did you mean device?"):
        marey.Compute().changed(devise="cpu")
