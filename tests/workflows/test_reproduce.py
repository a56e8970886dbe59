"""`reproduce`: from the data set as it is distributed to a number beside the published one."""

import json

import numpy as np
import pytest
import torch

from marey.backends.compute import Compute
from marey.base.errors import DataError, RecipeError, WeightsError
from marey.evaluation.result import EvaluationResult
from marey.evaluation.scores import Scores
from marey.recipes import get_recipe
from marey.video.writing.writer import write_video
from marey.weights.checkpoint import save_checkpoint
from marey.weights.load import build_model
from marey.workflows import reproduce as reproduce_module
from marey.workflows.ablation import ablate, top1_difference
from marey.workflows.reproduce import ReproduceOptions, reproduce
from marey.workflows.train_network import TrainOptions
from tests.support.made_videos import coded_frame

SMALL = (
    "model.width=4", "clip.frames=8", "test.sampling.frames=8", "test.sampling.clips=1", "test.crops=centre",
    "test.size=32", "pixels.short_side=32", "augment.size=32", "augment.short_side=40", "train.base_batch=4",
    "train.epochs=1", "train.norm_batch=null",
)  # fmt: skip
TRAINING = TrainOptions(compute=Compute(workers=0, device="cpu"))


@pytest.fixture(scope="module")
def ucf101(tmp_path_factory):
    """Eight real clips under the names that UCF101 has: groups 1 and 2 are tested on in split 1, 8 and 9 in split 2."""
    folder = tmp_path_factory.mktemp("ucf101")
    for label in ("Archery", "YoYo"):
        (folder / label).mkdir()
        for group in (1, 2, 8, 9):
            frames = [coded_frame(n + 5 * group) for n in range(10)]
            write_video(folder / label / f"v_{label}_g{group:02d}_c01.avi", frames, fps=10, codec="mpeg4")
    return folder


def checkpoint(name: str, path):
    torch.manual_seed(0)
    recipe = get_recipe(name).with_settings(SMALL)
    save_checkpoint(path, build_model(recipe), recipe, None, {})
    return path


def test_a_row_of_one_stream_with_weights(ucf101, tmp_path) -> None:
    name = "i3d_incv1_rgb_64x1_ucf101"
    weights = checkpoint(name, tmp_path / "rgb.safetensors")
    options = ReproduceOptions(weights=(weights, None), settings=SMALL, splits=(1, 2), training=TRAINING)
    found = reproduce(name, ucf101, out=tmp_path / "out", options=options)
    assert [part.name for part in found.lists] == ["ucf101_split1", "ucf101_split2"]
    assert [result.num_videos for result in found.results] == [4, 4]
    assert found.results[0].scores.protocol.split == "test, split 1"
    assert found.results[0].comparisons == ()  # an edited row has no published number
    assert "mean of 2 splits: top-1" in found.summary()
    assert json.dumps(found.as_json())


def test_a_row_of_two_streams_is_trained_tested_and_resumed(ucf101, tmp_path, monkeypatch) -> None:
    settings = (*SMALL, "flow_method.method=dis")
    options = ReproduceOptions(train=True, init=("none", "none"), settings=settings, training=TRAINING)
    found = reproduce("i3d_incv1_twostream_64x1_ucf101", ucf101, out=tmp_path, options=options)
    streams = [f"i3d_incv1_{kind}_64x1_ucf101" for kind in ("rgb", "flow")]
    assert all((tmp_path / f"train-{stream}" / "last.safetensors").exists() for stream in streams)
    assert (tmp_path / "test" / "report.html").exists()
    rgb, flow = (
        Scores.load(tmp_path / "test" / f"stream{n}-{s}" / "scores.npz") for n, s in enumerate(streams, start=1)
    )
    product = rgb.probabilities.astype(float) * flow.probabilities
    expected = product / product.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.results[0].scores.probabilities, expected, atol=1e-6)
    # A second call neither trains nor tests again.
    monkeypatch.setattr("marey.evaluation.run.score_video", None)
    again = reproduce("i3d_incv1_twostream_64x1_ucf101", ucf101, out=tmp_path, options=options)
    np.testing.assert_array_equal(again.results[0].scores.probabilities, found.results[0].scores.probabilities)


def test_what_a_transfer_row_starts_from() -> None:
    assert reproduce_module._base_of(get_recipe("i3d_incv1_flow_64x1_hmdb51")) == "i3d_incv1_flow_64x1_k400"
    assert reproduce_module._base_of(get_recipe("slowonly_r50_8x8_k400_imagenet")) is None


def test_data_of_another_set(ucf101, tmp_path) -> None:
    with pytest.raises(DataError, match="no list was found, and the files are not in folders"):
        reproduce("slowonly_r50_8x8_k400", ucf101, out=tmp_path, options=ReproduceOptions(train=True))
    with pytest.raises(WeightsError, match="gone from open-mmlab.*marey reproduce slowonly_r50_8x8_k400_pyslowfast"):
        reproduce("slowonly_r50_8x8_k400", ucf101, out=tmp_path / "none", options=ReproduceOptions())
    assert not (tmp_path / "none").exists()
    with pytest.raises(DataError, match="motions is no data set that Marey prepares"):
        reproduce("tsn_r18_8seg_motions", ucf101, out=tmp_path, options=ReproduceOptions(train=True))
    with pytest.raises(RecipeError, match="there is no recipe"):
        reproduce("slowonly_r50", ucf101, out=tmp_path, options=ReproduceOptions())


def test_a_finding_as_a_pair_of_trainings(ucf101, tmp_path) -> None:
    """Segments, from scratch, on two of Kinetics' classes."""
    files = {"abseiling": "Archery", "zumba": "YoYo"}
    lines = ["path,label,split"]
    for label, folder in files.items():
        for number, path in enumerate(sorted((ucf101 / folder).iterdir())):
            lines.append(f"{path},{label},{'val' if number % 2 else 'train'}")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    small = (
        "model.width=4", "test.sampling.segments=3", "test.crops=centre", "test.size=32", "pixels.short_side=32",
        "augment.size=32", "augment.short_side=40", "train.base_batch=4", "train.epochs=1", "train.norm_batch=null",
    )  # fmt: skip
    options = ReproduceOptions(init=("none", None), settings=small, training=TRAINING)
    text = ablate("segments", tmp_path / "list.csv", out=tmp_path / "out", options=options)
    assert text.startswith("8 segments bring 1.0 points over 3 (71.6 and 70.6).\nHere: ")
    assert "4 videos, one seed each" in text
    assert (tmp_path / "out" / "with" / "train-tsn_r50_8seg_k400" / "last.safetensors").exists()
    with pytest.raises(RecipeError, match="leave out --splits"):
        ablate("segments", tmp_path / "list.csv", out=tmp_path, options=ReproduceOptions(splits=(1, 2)))


def test_the_difference_of_two_results() -> None:
    labels = np.zeros(100, np.int64)

    def result(right: range) -> EvaluationResult:
        probabilities = np.tile(np.array([[0.2, 0.8]], np.float32), (100, 1))
        probabilities[list(right)] = (0.8, 0.2)
        return EvaluationResult(Scores(tuple(f"v{i}" for i in range(100)), labels, probabilities, ("a", "b")))

    difference, half = top1_difference(result(range(80)), result(range(10, 80)))
    assert difference == pytest.approx(0.1)
    assert half == pytest.approx(1.96 * np.sqrt(0.1 - 0.01) / 10)
    assert top1_difference(result(range(50)), result(range(50))) == (0, 0)
