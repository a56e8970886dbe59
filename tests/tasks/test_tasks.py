"""The task of a declaration and of stored scores; its targets and predictions."""

from pathlib import Path

import numpy as np
import pytest
import torch

from marey.backends.compute import Compute
from marey.backends.eager import EagerBackend
from marey.base.errors import DataError
from marey.classifier import Classifier, Output
from marey.data.lists.class_folders import list_folder
from marey.data.loading.datasets import ClipDataset, ViewDataset
from marey.data.loading.view_decoder import DecodedVideo
from marey.evaluation.fusion import fuse, fuse_probabilities
from marey.evaluation.protocol import EvaluationProtocol, read_protocol
from marey.evaluation.scores import Scores
from marey.evaluation.views import Views, score_video
from marey.recipe import Classify, MultiLabel
from marey.tasks.choose import task_of
from marey.tasks.classify import ClassifyTask
from marey.tasks.multilabel import MultiLabelTask
from marey.video.pixels.crops import RandomCrop
from marey.video.reading.reader import open_video
from marey.video.sampling import MMAction2Train
from tests.support.made_videos import write_videos
from tests.support.tiny import RECIPE

ONE = np.array([0, 1], np.int64)
SEVERAL = np.array([[1, 0], [1, 1]], np.int64)
PROBABILITIES = np.array([[0.9, 0.2], [0.3, 0.6]], np.float32)


def scores(labels: np.ndarray, protocol: EvaluationProtocol | None = None) -> Scores:
    return Scores(("x", "y"), labels, PROBABILITIES, ("a", "b"), protocol or EvaluationProtocol())


def test_the_task_is_inferred_from_labels_if_the_protocol_names_none() -> None:
    assert isinstance(scores(ONE).task, ClassifyTask)
    assert isinstance(scores(SEVERAL).task, MultiLabelTask)
    assert isinstance(scores(SEVERAL, EvaluationProtocol(recipe="x")).task, MultiLabelTask)
    named = read_protocol({"task": "multilabel"})
    assert isinstance(scores(SEVERAL, named).task, MultiLabelTask)
    assert isinstance(fuse([scores(SEVERAL, named)] * 2).task, MultiLabelTask)
    assert isinstance(fuse([scores(ONE)] * 2).task, ClassifyTask)


def test_a_task_of_another_version_is_refused_in_one_line() -> None:
    with pytest.raises(DataError, match=r"^scores of the task 'caption': .*'classify', 'multilabel'") as found:
        _ = scores(ONE, EvaluationProtocol(task="caption")).task
    assert "\n" not in str(found.value)


def test_streams_of_several_labels_fuse_probabilities_alone() -> None:
    both = np.stack([PROBABILITIES, PROBABILITIES[::-1]])
    np.testing.assert_allclose(fuse_probabilities(both, task_of(MultiLabel())), both.mean(axis=0))
    np.testing.assert_allclose(fuse_probabilities(both, task_of(Classify()), of="logits").sum(axis=1), 1, rtol=1e-6)
    with pytest.raises(DataError, match="fuse their probabilities"):
        fuse_probabilities(both, task_of(MultiLabel()), of="logits")


class Asks(ClassifyTask):
    """A task whose prediction is an output of the network, unchanged."""

    def __init__(self, name: Output) -> None:
        self.name = name

    def predict(self, outputs, seconds):
        assert seconds.shape == (2, 2)
        return outputs(self.name).numpy()


@pytest.mark.parametrize(("name", "shape"), [("logits", (6, 2)), ("positions", (6, 2, 1)), ("features", (6, 32))])
def test_a_prediction_may_be_made_of_any_output(name, shape, tmp_path) -> None:
    test = {"crops": "three", "sampling": {"clips": 2}}
    recipe = RECIPE.variant(test=test, pixels={"short_side": 64})
    classifier = Classifier(recipe.model.build(), recipe)
    views = ViewDataset(list_folder(write_videos(tmp_path, 1)), recipe.test.sampling, recipe.pixels)
    video = views[0]
    assert isinstance(video, DecodedVideo)
    backend = EagerBackend(classifier, Compute(device="cpu"))
    found = score_video(backend, video, recipe.test, recipe.pixels, batch=4, task=Asks(name))
    assert found.shape == shape
    cut = Views.of(video, recipe.test, recipe.pixels)
    outputs = {"logits": classifier.logits, "positions": classifier.positions, "features": classifier.features}
    with torch.inference_mode():
        expected = outputs[name](classifier.preprocess(torch.cat(list(cut.batches(99)))))[cut.index]
    np.testing.assert_allclose(found, expected.reshape(shape), atol=1e-5)


def test_a_target_knows_when_the_frames_of_its_clip_are_shown(tmp_path: Path) -> None:
    manifest = list_folder(write_videos(tmp_path, 1))
    seen = {}

    def target(manifest, row, seconds):
        seen[row] = seconds
        return np.array([seconds.mean(), row], np.float32)

    sampling, crop = MMAction2Train(frames=3, stride=2), RandomCrop(short_side=40, size=32)
    clips = ClipDataset(manifest, sampling, crop, target=target)
    assert clips[1]["target"].tolist() == pytest.approx([seen[1].mean(), 1])
    np.testing.assert_array_equal(clips[1]["clip"], ClipDataset(manifest, sampling, crop)[1]["clip"])
    with open_video(manifest[1].path) as video:
        assert set(seen[1]) <= set(video.timestamps - video.timestamps[0])
    assert np.diff(seen[1]) == pytest.approx([0.2, 0.2])


def test_a_task_decides_how_mirroring_changes_its_targets(tmp_path: Path) -> None:
    manifest = list_folder(write_videos(tmp_path, 1))
    assert len(manifest.class_names) == 2

    def target(manifest, row, seconds):
        return np.array([[1, 2], [3, 4], [5, 6]], np.float32)

    def mirrored(target, swaps):
        return target[:, [swaps[0], swaps[1]]]

    sampling, swaps = MMAction2Train(frames=3, stride=2), {0: 1, 1: 0}
    for flip, expected in ((1.0, [[2, 1], [4, 3], [6, 5]]), (0.0, [[1, 2], [3, 4], [5, 6]])):
        crop = RandomCrop(short_side=40, size=32, flip=flip)
        clips = ClipDataset(manifest, sampling, crop, swaps=swaps, target=target, mirrored=mirrored)
        np.testing.assert_array_equal(clips[0]["target"], expected)


@pytest.mark.parametrize("config", [Classify(), MultiLabel()])
def test_mirroring_swaps_classes_in_each_form_of_labels(config) -> None:
    task = task_of(config)
    assert task.mirrored(1, {1: 2, 2: 1}) == 2
    assert np.array_equal(task.mirrored(np.array([1, 0.25, 0], np.float32), {1: 2, 2: 1}), [1, 0, 0.25])
