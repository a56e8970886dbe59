"""Probabilities corrected by a temperature, and predictions below a threshold."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import marey
from marey.classifier import Calibration, Classifier
from marey.data.lists.videos import VideoEntry
from marey.evaluation.run import evaluate
from marey.inference.predict import predict
from marey.recipe import Classify, MultiLabel, TaskConfig
from marey.tasks.choose import task_of
from marey.tasks.prediction import Prediction
from tests.support import tiny
from tests.support.made_videos import write_videos

NAMES = ("run", "kick", "swim")
LOGITS = 6 * torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def fitted(temperature: float = 1.0, threshold: float | None = None) -> Calibration:
    return Calibration(temperature=temperature, threshold=threshold, fitted_on="20 made videos")


@pytest.mark.parametrize("temperature", [0.3, 1.0, 1.7, 20.0])
def test_a_temperature_divides_the_logits(temperature) -> None:
    """Guo et al., section 4.2: softmax(z / T); with several labels sigmoid(z / T)."""
    for config, probabilities in ((Classify(), lambda z: z.softmax(dim=1)), (MultiLabel(), torch.sigmoid)):
        for given, expected in zip(probabilities(LOGITS), probabilities(LOGITS / temperature), strict=True):
            found = task_of(config).calibrated(given.float().numpy(), fitted(temperature))
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("config", [Classify(), MultiLabel()], ids=lambda config: config.kind)
@pytest.mark.parametrize("temperature", [1e-4, 1e4])
def test_probabilities_of_0_and_1_stay_finite(config: TaskConfig, temperature) -> None:
    found = task_of(config).calibrated(np.array([0, 1, 1e-45], np.float32), fitted(temperature))
    assert np.isfinite(found).all()
    assert found.argmax() == 1


@pytest.mark.parametrize("config", [Classify(), MultiLabel()], ids=lambda config: config.kind)
def test_a_prediction_below_the_threshold_says_so(config: TaskConfig) -> None:
    video, answer = VideoEntry("a.mp4", Path("v/a.mp4")), np.array([0.25, 0.5, 0.25], np.float32)
    task = task_of(config)
    found = task.as_prediction(video, answer, NAMES, fitted(threshold=0.6))
    assert found.as_text(1) == "v/a.mp4\n  none of the classes reaches 60.0 %; the likeliest:\n   50.0 %  kick"
    assert found.as_json(1)["below_threshold"] == 0.6
    read = Prediction.from_json(json.loads(json.dumps(found.as_json(2))))
    assert read.as_text(2) == found.as_text(2)
    assert found.likeliest(1).as_text(1) == found.as_text(1)
    for calibration in (None, fitted(2.0), fitted(threshold=0.5)):
        reached = task.as_prediction(video, answer, NAMES, calibration)
        assert reached.as_text(1) == "v/a.mp4\n   50.0 %  kick"
        assert list(reached.as_json()) == ["path", "top"]


def test_a_classifier_predicts_with_its_calibration(tmp_path) -> None:
    folder = write_videos(tmp_path / "v", 1)
    torch.manual_seed(0)
    network = tiny.RECIPE.model.build()
    network.head.weight.data *= 200
    plain, calibrated = (
        Classifier(network, tiny.RECIPE, classes=["jump", "run"], calibration=calibration)
        for calibration in (None, fitted(3.0, threshold=0.999))
    )
    video = folder / "run" / "v0.mp4"
    before, after = predict(plain, video), predict(calibrated, video)
    logits = np.log(before.probabilities.astype(np.float64)) / 3
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(after.probabilities, expected, rtol=1e-5)
    assert (before.below_threshold, after.below_threshold) == (None, 0.999)
    tested = evaluate(calibrated, folder, out=tmp_path / "out", workers=0)
    row = tested.scores.ids.index("run/v0.mp4")
    np.testing.assert_array_equal(tested.scores.probabilities[row], after.probabilities)
    assert tested.scores.protocol.as_json()["calibration"]["temperature"] == 3
    assert "calibration" not in evaluate(plain, folder, workers=0).scores.protocol.as_json()
    with pytest.raises(marey.RunError, match="calibration"):
        evaluate(plain, folder, out=tmp_path / "out", workers=0)


def test_labels_are_the_classes_that_reach_their_own_thresholds() -> None:
    video, answer = VideoEntry("a.mp4", Path("v/a.mp4")), np.array([0.25, 0.5, 0.3], np.float32)
    task = task_of(MultiLabel())
    own = Calibration(thresholds=(0.2, 0.6, 0.3), fitted_on="20 made videos")
    found = task.as_prediction(video, answer, NAMES, own)
    assert found.labels == ("swim", "run")
    assert found.as_text(1) == "v/a.mp4\n  labels: swim, run; the likeliest:\n   50.0 %  kick"
    assert found.likeliest(1).as_json()["labels"] == ["swim", "run"]
    assert Prediction.from_json(json.loads(json.dumps(found.as_json(1)))).labels == found.labels
    none = task.as_prediction(video, answer, NAMES, own.model_copy(update={"thresholds": (0.9, 0.9, 0.9)}))
    assert none.labels == () and "none of the classes reaches its threshold; the likeliest:" in none.as_text()
    assert Prediction.from_json(none.as_json()).labels == ()
    assert "labels" not in task.as_prediction(video, answer, NAMES, fitted()).as_json()


def test_a_calibration_has_a_threshold_for_each_class_or_is_refused() -> None:
    wrong = Calibration(thresholds=(0.5, 0.5, 0.5), fitted_on="20 made videos")
    with pytest.raises(marey.RecipeError, match="3 thresholds"):
        Classifier(tiny.RECIPE.model.build(), tiny.RECIPE, classes=["jump", "run"], calibration=wrong)


def test_a_calibration_describes_its_threshold_in_a_sentence() -> None:
    assert fitted().meaning == ""
    assert fitted(threshold=0.6).meaning == "below 60.0 % the answer is none of the classes"
    stated = fitted(threshold=0.6).model_copy(update={"turned_away": 0.05})
    assert stated.meaning.endswith("(of videos that are answered rightly at most 5 % are lost by that)")
    assert "threshold" in Calibration(thresholds=(0.5,), fitted_on="1 video").meaning
