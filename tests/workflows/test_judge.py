"""Fine-tuning starts from the head, is kept only if it is better, records its cost, and is resumed."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from marey.backends.compute import Compute
from marey.base.errors import DataError
from marey.classifier import Classifier
from marey.data.lists.class_folders import list_folder
from marey.data.lists.manifest import Manifest, make_manifest
from marey.evaluation.run import evaluate
from marey.recipe import Classify, MultiLabel
from marey.video.writing.writer import write_video
from marey.weights.checkpoint import read_checkpoint
from marey.workflows.classifier.finetuning import judge
from marey.workflows.classifier.finetuning.judge import FoldComparison, standard_error, tune_and_judge
from marey.workflows.classifier.finetuning.saved_start import START, TuningStart
from tests.support.crashing import CrashError, crash_after
from tests.support.made_videos import coded_frame
from tests.support.tiny_probe import classifier_of

VIDEOS_PER_CLASS = 3

HERE = Compute(device="cpu", workers=0)


def start_of(classifier: Classifier, videos: Manifest) -> TuningStart:
    """A start that is judged on fold 0 of two, with another head than the classifier's and its scores."""
    folds = np.arange(len(videos)) % 2
    generator = np.random.default_rng(0)
    head = classifier.network.get_submodule("head")
    weight = generator.normal(size=head.weight.shape).astype(np.float32)
    bias = generator.normal(size=head.bias.shape).astype(np.float32)
    start = TuningStart(folds, np.arange(len(videos)), 0, weight, bias, np.zeros((int((folds == 0).sum()), len(bias))))
    of_fold = judge._without_fold(classifier, start)
    answers = evaluate(of_fold, videos[start.judged], compute=HERE).scores.probabilities
    return TuningStart(folds, start.units, 0, weight, bias, answers)


@pytest.fixture(scope="module")
def videos(videos: Path) -> Manifest:
    return list_folder(videos)


@pytest.fixture(scope="module")
def several(tmp_path_factory) -> Manifest:
    folder = tmp_path_factory.mktemp("several")
    for number in range(4):
        frames = [coded_frame(n + 7 * number) for n in range(8)]
        write_video(folder / f"v{number}.mp4", frames, fps=10, preset="ultrafast")
    labels = ("run", "run|jump", "jump", "fall|run")
    return make_manifest([(f"v{n}.mp4", label) for n, label in enumerate(labels)], root=folder, source="several")


def weights(path) -> dict[str, torch.Tensor]:
    return read_checkpoint(path / "last.safetensors").tensors


def keeps(monkeypatch: pytest.MonkeyPatch, kept: bool) -> None:
    monkeypatch.setattr(FoldComparison, "kept", property(lambda record: kept))


def test_the_first_step_starts_from_the_head_of_the_other_folds(videos) -> None:
    classifier = classifier_of(videos, Classify())
    start = start_of(classifier, videos)
    of_fold = judge._without_fold(classifier, start)
    clip = torch.randn(2, 3, 4, 32, 32)
    with torch.inference_mode():
        features = classifier.features(clip)
        expected = features @ torch.from_numpy(start.weight).T + torch.from_numpy(start.bias)
        assert torch.allclose(of_fold(clip), expected, atol=1e-5)
    assert of_fold.trained_on is None


def test_a_tuning_that_does_not_help_leaves_the_classifier_unchanged(videos, tmp_path) -> None:
    classifier = classifier_of(videos, Classify())
    before = {name: value.clone() for name, value in classifier.network.state_dict().items()}
    # A head that names every clip rightly cannot be bettered.
    start = start_of(classifier, videos)
    right = np.eye(2, dtype=np.float32)[videos.labels[start.judged]]
    perfect = TuningStart(start.folds, start.units, 0, start.weight, start.bias, right)
    done = tune_and_judge(classifier, videos, perfect, out=tmp_path, compute=HERE)
    assert done.classifier is None
    assert (done.record.videos, done.record.units, done.record.heads_right) == (3, 3, 3)
    assert done.probabilities.shape == (3, 2)
    assert done.labels.tolist() == videos.labels[start.judged].tolist()
    assert FoldComparison.load(tmp_path / judge.JUDGED) == done.record
    assert json.loads((tmp_path / judge.JUDGED).read_text(encoding="utf-8"))["clips"] == 3, "the key of earlier runs"
    assert not (tmp_path / "all").exists()
    after = classifier.network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(parameter.requires_grad for parameter in classifier.network.parameters())


def test_a_tuning_that_helps_is_repeated_on_all_videos(videos, tmp_path, monkeypatch) -> None:
    classifier = classifier_of(videos, Classify())
    keeps(monkeypatch, True)
    done = tune_and_judge(classifier, videos, start_of(classifier, videos), out=tmp_path, compute=HERE)
    assert done.classifier is not None
    assert done.classifier.class_names == videos.class_names
    assert done.classifier.trained_on is not None
    assert not done.classifier.training
    frozen = done.classifier.recipe.train.frozen_stages
    assert frozen == 5
    before, network = classifier.network.state_dict(), classifier.network
    for name, value in weights(tmp_path / "all").items():
        named = name.removeprefix("network.")
        if network.layer_depth(named) <= frozen or "norm" in named:
            assert torch.equal(value, before[named]), named
        elif named.endswith("weight"):
            assert not torch.equal(value, before[named]), named


def test_a_stopped_tuning_is_resumed_and_ends_with_the_same_weights(videos, tmp_path, monkeypatch) -> None:
    classifier = classifier_of(videos, Classify())
    start = start_of(classifier, videos)
    keeps(monkeypatch, True)
    tune_and_judge(classifier, videos, start, out=tmp_path / "whole", compute=HERE)
    with monkeypatch.context() as crashing:
        crash_after(1, crashing)
        with pytest.raises(CrashError):
            tune_and_judge(classifier, videos, start, out=tmp_path / "cut", compute=HERE)
    tune_and_judge(classifier, videos, start, out=tmp_path / "cut", compute=HERE)
    for part in ("fold", "all"):
        one, other = weights(tmp_path / "whole" / part), weights(tmp_path / "cut" / part)
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_videos_with_several_labels_are_judged_and_tuned(several, tmp_path, monkeypatch) -> None:
    classifier = classifier_of(several, MultiLabel())
    start = start_of(classifier, several)
    keeps(monkeypatch, True)
    done = tune_and_judge(classifier, several, start, out=tmp_path, compute=HERE)
    assert done.record.videos == 2
    assert done.classifier is not None
    assert done.classifier.recipe.task == MultiLabel()


def test_a_start_of_other_videos_is_refused(videos, tmp_path) -> None:
    classifier = classifier_of(videos, Classify())
    with pytest.raises(DataError, match=r"prepared for 4 videos, and the list has 6"):
        tune_and_judge(classifier, videos, start_of(classifier, videos[np.arange(4)]), out=tmp_path, compute=HERE)


def test_a_start_is_read_as_it_was_written(videos, tmp_path) -> None:
    start = start_of(classifier_of(videos, Classify()), videos)
    start.save(tmp_path / "a" / START)
    again = TuningStart.load(tmp_path / "a" / START)
    assert again.fold == start.fold
    for name in ("folds", "units", "weight", "bias", "scores"):
        assert np.array_equal(getattr(again, name), getattr(start, name))
    (tmp_path / "broken.npz").write_bytes(b"no")
    for path in (tmp_path / "none.npz", tmp_path / "broken.npz"):
        with pytest.raises(DataError, match=path.name):
            TuningStart.load(path)


def test_a_tuning_is_kept_only_if_its_gain_exceeds_its_standard_error() -> None:
    def judged(gains: list[int], units: list[int]) -> FoldComparison:
        error = standard_error(np.array(gains, np.float64), np.array(units))
        heads = 5
        return FoldComparison(len(gains), len(set(units)), heads, heads + sum(gains), error, epochs=1, core_seconds=1.0)

    apart = list(range(10))
    assert judged([1, 1, 1] + [0] * 7, apart).kept
    assert not judged([1] + [0] * 9, apart).kept
    assert not judged([1, 1, 1] + [0] * 7, [0, 0, 0, *range(1, 8)]).kept  # only one recording improved
    assert not judged([0] * 10, apart).kept
    assert not judged([-1, -1] + [0] * 8, apart).kept
    assert not judged([1] * 10, [0] * 10).kept
    assert "one recording" in judged([1] * 10, [0] * 10).sentence
    assert "+30.0 points with a standard error of 16.1; kept" in judged([1, 1, 1] + [0] * 7, apart).sentence
    assert judged([1] + [0] * 9, apart).sentence.endswith("not kept, because it is not better by more than that")


def test_the_standard_error_of_clips_apart_is_that_of_a_mean() -> None:
    gains = np.random.default_rng(1).integers(-1, 2, size=40).astype(np.float64)
    # The jackknife of a mean, on the safe side by a factor that few recordings need most.
    expected = gains.std(ddof=1) / np.sqrt(40) * np.sqrt(40 / 39)
    assert standard_error(gains, np.arange(40)) == pytest.approx(expected)
    # Repeating clips inside their recordings adds no information.
    assert standard_error(gains.repeat(3), np.arange(40).repeat(3)) == pytest.approx(expected)
