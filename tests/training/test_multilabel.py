"""Several labels per video, from the list to the report; average precision against its definition and torchmetrics."""

import csv
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import multilabel_average_precision

import marey
from marey.base.errors import DataError, RecipeError
from marey.data.lists.read_manifest import read_manifest
from marey.evaluation.fusion import fuse, search_weights
from marey.evaluation.report.page import write_report
from marey.evaluation.run import EvaluationResult, evaluate
from marey.evaluation.scores import Scores
from marey.recipe import Recipe
from marey.recipes import get_recipe
from marey.tasks.metrics import average_precision, mean_average_precision
from marey.training.fit import fit
from marey.video.writing.writer import write_video
from tests.support.made_videos import coded_frame

RECIPE = get_recipe("slowonly_r18_8x2_motions").variant(
    name="several",
    task={"kind": "multilabel"},
    model={"width": 4, "num_classes": 3},
    clip={"frames": 2, "stride": 2},
    augment={"short_side": 40, "size": 32},
    pixels={"short_side": 40},
    test={"size": 32, "sampling": {"frames": 2}},
    train={"epochs": 2, "base_batch": 4},
)
LABELS = ("run", "run|jump", "jump", "fall|run", "fall", "jump|fall|run")
ONES = [[0, 0, 1], [0, 1, 1], [0, 1, 0], [1, 0, 1], [1, 0, 0], [1, 1, 1]]
"""Of the classes in alphabetic order: fall, jump, run."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    for i in range(6):
        write_video(folder / f"v{i}.mp4", [coded_frame(n + 7 * i) for n in range(8)], fps=10, preset="ultrafast")
    lines = ["path,label", *(f"v{i}.mp4,{label}" for i, label in enumerate(LABELS))]
    (folder / "list.csv").write_text("\n".join(lines))
    (folder / "single.csv").write_text("path,label\n" + "".join(f"v{i}.mp4,{'ab'[i % 2]}\n" for i in range(6)))
    return folder


def test_lists_with_several_labels_are_read_and_written(folder, tmp_path) -> None:
    manifest = read_manifest(folder / "list.csv")
    assert manifest.class_names == ("fall", "jump", "run")
    np.testing.assert_array_equal(manifest.multi_hot(), ONES)
    np.testing.assert_array_equal(np.stack([manifest.target(i) for i in range(6)]), ONES)
    np.testing.assert_array_equal(manifest[np.array([4, 1])].multi_hot(), [ONES[4], ONES[1]])
    manifest.write_csv(tmp_path / "again.csv")
    with (tmp_path / "again.csv").open(newline="") as file:
        assert [set(row["label"].split("|")) for row in csv.DictReader(file)] == [set(x.split("|")) for x in LABELS]
    (tmp_path / "fewer.csv").write_text((folder / "list.csv").read_text().replace("run|jump", "run"))
    assert read_manifest(tmp_path / "fewer.csv").fingerprint != manifest.fingerprint
    with pytest.raises(DataError, match="none of the 2 classes"):
        read_manifest(folder / "list.csv", classes=["fall", "jump"])


def test_from_training_to_the_report(folder, tmp_path) -> None:
    manifest = read_manifest(folder / "list.csv")
    result = fit(RECIPE, train=manifest, val=manifest, out=tmp_path, workers=0)
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["train_top1"] + row["val_top1"] + row["val_top5"] for row in rows] == ["", ""]
    assert max(float(row["val_map"]) for row in rows) == pytest.approx(result.best_score)
    model = marey.load_model(result.last)
    tested = evaluate(model, manifest, out=tmp_path, workers=0)
    for row, sample in enumerate(manifest):
        found = marey.predict(model, sample.path)
        np.testing.assert_array_equal(found.probabilities, tested.scores.probabilities[row])
    np.testing.assert_array_equal(Scores.load(tmp_path / "scores.npz").labels, ONES)
    written = json.loads((tmp_path / "result.json").read_text())
    assert written["mean_ap"] == tested.mean_ap
    assert not {"top1", "top5", "mean_class"} & set(written)
    assert tested.summary().startswith("mAP ")
    with pytest.raises(DataError, match="see mean_ap"):
        _ = tested.top1
    page = write_report(tmp_path, manifest).read_text()
    assert "mAP by epoch" in page
    assert "top-1" not in page.split("Recipe")[0]


@pytest.mark.parametrize("averaging", ["logits", "probabilities", "position_probabilities"])
def test_views_are_averaged_through_a_sigmoid(averaging, folder) -> None:
    recipe = RECIPE.variant(
        model={"pool_window": 1},
        pixels={"short_side": 64},
        test={"averaging": averaging, "crops": "three", "size": 64, "sampling": {"clips": 2, "frames": 2}},
    )
    torch.manual_seed(0)
    model = marey.weights.load.build_model(recipe).eval()
    model.network.head.weight.data *= 2000  # far from linear, so that the order of the averages shows
    with marey.open_video(folder / "v3.mp4", conversion="planes") as video:
        indices = recipe.test.sampling.sample(len(video))
        clips = [video.read(row, size=(64, round(64 * video.width / video.height))) for row in indices]
    steps = (clips[0].shape[2] - 64) // 2
    views = [clip[:, :, left : left + 64] for clip in clips for left in (0, 2 * steps, steps)]
    with torch.inference_mode():
        positions = model.positions(model.preprocess(torch.from_numpy(np.stack(views))))
    logits = positions.mean(dim=(2, 3, 4))
    expected = {
        "logits": logits.mean(dim=0).sigmoid(),
        "probabilities": logits.sigmoid().mean(dim=0),
        "position_probabilities": positions.sigmoid().mean(dim=(0, 2, 3, 4)),
    }
    found = torch.from_numpy(marey.predict(model, folder / "v3.mp4").probabilities)
    torch.testing.assert_close(found, expected[averaging], rtol=1e-5, atol=1e-6)
    for other in expected.keys() - {averaging}:
        assert not torch.allclose(found, expected[other], rtol=1e-4, atol=1e-5)


def test_settings_that_do_not_fit(folder, tmp_path) -> None:
    one = RECIPE.variant(task={"kind": "classify"})
    with pytest.raises(
        DataError, match=r"list\.csv: several labels per video, and the task of several has one: --set task\.kind"
    ):
        fit(one, train=folder / "list.csv", out=tmp_path / "a", workers=0)
    with pytest.raises(DataError, match="several labels per video"):
        names = marey.read_manifest(folder / "list.csv").class_names
        evaluate(marey.weights.load.build_model(one, names), folder / "list.csv", workers=0)
    with pytest.raises(RecipeError, match="label smoothing is for one label"):
        RECIPE.variant(train={"label_smoothing": 0.1})
    with pytest.raises(RecipeError, match="drawing by class is for one label"):
        RECIPE.variant(train={"draw": {"kind": "by_class"}})


def test_one_label_each_is_a_special_case(folder, tmp_path) -> None:
    recipe = RECIPE.variant(model={"num_classes": 2}, train={"epochs": 1})
    result = fit(recipe, train=folder / "single.csv", val=folder / "single.csv", out=tmp_path, workers=0)
    tested = evaluate(marey.load_model(result.last), folder / "single.csv", workers=0)
    assert tested.scores.labels.shape == (6, 2)
    assert set(tested.metrics()) == {"mean_ap"}


def test_the_task_is_written_in_yaml() -> None:
    import yaml

    assert Recipe.model_validate(yaml.safe_load(RECIPE.to_yaml())) == RECIPE


def test_fusion() -> None:
    labels = np.array([[1, 0], [1, 1], [0, 1]])
    rng = np.random.default_rng(0)
    good = Scores(("x", "y", "z"), labels, (0.2 + 0.6 * labels).astype(np.float32), ("a", "b"))
    poor = Scores(good.ids, labels, rng.random((3, 2)).astype(np.float32) * (1 - labels), good.class_names)
    fused = fuse([good, poor])
    np.testing.assert_allclose(fused.probabilities, (good.probabilities + poor.probabilities) / 2)
    assert EvaluationResult(fuse([good, poor], weights=search_weights([good, poor]))).mean_ap == 1
    with pytest.raises(DataError, match="fuse their probabilities"):
        fuse([good, poor], of="logits")


# -- average precision


def brute_force(scores: np.ndarray, positives: np.ndarray) -> float:
    """For each video of one class, the share of its videos among those with at least its score; their mean."""
    found = [positives[scores >= scores[i]].mean() for i in np.flatnonzero(positives)]
    return float(np.mean(found)) if found else float("nan")


@settings(max_examples=100)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 40), ties=st.booleans())
def test_average_precision_by_definition(seed, count, ties) -> None:
    rng = np.random.default_rng(seed)
    scores, positives = rng.random((count, 3)).astype(np.float32), rng.random((count, 3)) < 0.3
    scores = scores.round(1) if ties else scores
    expected = [brute_force(scores[:, k], positives[:, k]) for k in range(3)]
    np.testing.assert_allclose(average_precision(scores, positives), expected, rtol=1e-9)


def test_average_precision_of_torchmetrics() -> None:
    rng = np.random.default_rng(1)
    scores, positives = rng.random((200, 5)).astype(np.float32), rng.random((200, 5)) < 0.2
    arguments = (torch.from_numpy(scores), torch.from_numpy(positives).long())
    found = multilabel_average_precision(*arguments, num_labels=5, average="none")
    np.testing.assert_allclose(average_precision(scores, positives), found.numpy(), rtol=1e-5)
    assert mean_average_precision(scores, positives) == pytest.approx(float(found.mean()), rel=1e-5)


def test_known_precisions() -> None:
    scores = np.array([[0.9, 0.5], [0.8, 0.5], [0.7, 0.5], [0.6, 0.5]], np.float32)
    positives = np.array([[1, 1], [0, 0], [1, 0], [0, 0]], bool)
    np.testing.assert_allclose(average_precision(scores, positives), [(1 + 2 / 3) / 2, 1 / 4])
    nobody = np.zeros((4, 2), bool)
    assert np.isnan(mean_average_precision(scores, nobody))
    only_first = positives & [True, False]
    assert mean_average_precision(scores, only_first) == pytest.approx((1 + 2 / 3) / 2)
