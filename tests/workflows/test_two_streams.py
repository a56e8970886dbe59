"""Two networks on the same videos: tested, fused, compared, and used for predictions."""

import json

import numpy as np
import pytest
import torch

from marey.backends import choose
from marey.backends.compute import Compute
from marey.base.errors import RecipeError, RunError
from marey.classifier import Calibration, Classifier
from marey.data.lists.class_folders import list_folder
from marey.data.lists.read_videos import read_videos
from marey.evaluation.run import evaluate
from marey.evaluation.scores import Scores
from marey.recipes import TWO_STREAMS, find_two_stream, get_recipe
from marey.weights.load import build_model
from marey.workflows import two_streams
from marey.workflows.two_streams import Streams, open_models, predict_streams
from tests.support.planted import Planted

VIDEOS_PER_CLASS = 2
FRAMES_PER_VIDEO = 10
RECIPE = get_recipe("slowonly_r18_8x2_motions").variant(
    name="tiny", model={"width": 4, "num_classes": 2}, pixels={"short_side": 32}, test={"size": 32}
)


def network(seed: int, classes: int = 2):
    torch.manual_seed(seed)
    recipe = RECIPE.variant(name=f"tiny{seed}", model={"num_classes": classes})
    return build_model(recipe, [f"c{i}" for i in range(classes)] if classes != 2 else ("jump", "run")).eval()


def test_streams_are_tested_fused_and_reported(videos, tmp_path) -> None:
    streams = Streams((network(1), network(2)))
    result = two_streams.evaluate_streams(streams, videos, out=tmp_path, compute=Compute(workers=0))
    parts = [Scores.load(tmp_path / f"stream{n}-tiny{n}" / "scores.npz").probabilities for n in (1, 2)]
    product = parts[0].astype(float) * parts[1]
    expected = product / product.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(result.scores.probabilities, expected, atol=1e-6)
    assert json.loads((tmp_path / "result.json").read_text())["videos"] == 4
    assert (tmp_path / "report.html").exists()
    answers = list(predict_streams(streams, read_videos([videos / "run" / "v1.mp4"], root=None), Compute()))
    row = result.scores.ids.index("run/v1.mp4")
    np.testing.assert_array_equal(answers[0].probabilities, result.scores.probabilities[row])
    with pytest.raises(RunError, match="holds another run .streams differs|holds another run .streams: there"):
        two_streams.evaluate_streams(Streams((network(1), network(3))), videos, out=tmp_path)
    with pytest.raises(RunError, match="holds another run"):
        evaluate(network(1), list_folder(videos), out=tmp_path, workers=0)


def test_files_that_one_stream_could_not_read_are_listed(videos, tmp_path) -> None:
    for label in ("jump", "run"):
        for i in range(2):
            (tmp_path / label).mkdir(exist_ok=True)
            (tmp_path / label / f"v{i}.mp4").write_bytes((videos / label / f"v{i}.mp4").read_bytes())
    (tmp_path / "run" / "v1.mp4").write_bytes(b"broken")
    streams = Streams((network(1), network(2)))
    result = two_streams.evaluate_streams(streams, tmp_path, out=tmp_path / "out", compute=Compute(workers=0))
    assert [broken.id for broken in result.broken] == ["run/v1.mp4"]
    assert "(3 videos, 1 broken left out)" in result.summary()
    assert "run/v1.mp4" in (tmp_path / "out" / "report.html").read_text()


def test_fused_predictions_name_the_backends_of_all_streams(videos, monkeypatch) -> None:
    def backend(*factors):
        """The logits of each stream are changed by a factor."""
        left = iter(factors)
        monkeypatch.setattr(choose, "COMPILERS", (Planted("openvino", change=lambda result: result * next(left)),))
        compute = Compute(device="cpu", backend="openvino", batch=100, workers=0)
        (found,) = predict_streams(
            Streams((network(1), network(2))), read_videos([videos / "run" / "v1.mp4"], root=None), compute
        )
        return found.backend

    assert backend(2, 2) is None  # both fell back
    first, second, both = backend(1 + 1e-5, 1), backend(1, 1 + 2e-5), backend(1 + 1e-5, 1 + 2e-5)
    assert first["ran"] == second["ran"] == both["ran"] == "openvino"
    assert both["difference"] == max(first["difference"], second["difference"]) > 0
    assert backend(1 + 1e-5, 2) == {"ran": ["eager", "openvino"], "difference": first["difference"]}


def test_a_notice_about_the_calibration_of_one_stream(videos, capsys) -> None:
    streams, wanted = Streams((network(1), network(2))), read_videos([videos / "run" / "v1.mp4"], root=None)
    (plain,) = predict_streams(streams, wanted, Compute(device="cpu", workers=0))
    assert "calibration" not in capsys.readouterr().err
    streams.classifiers[1].calibration = Calibration(threshold=0.99, fitted_on="made videos")
    (found,) = predict_streams(streams, wanted, Compute(device="cpu", workers=0))
    assert found.below_threshold is None
    np.testing.assert_array_equal(found.probabilities, plain.probabilities)
    said = [line for line in capsys.readouterr().err.splitlines() if "calibration" in line]
    assert len(said) == 1
    assert said[0].startswith("tiny2: the calibration was fitted to one stream")


def test_streams_of_other_classes_do_not_fuse() -> None:
    with pytest.raises(RecipeError, match="2 and 3 classes"):
        Streams((network(1), network(2, classes=3)))


def test_rows_name_recipes_that_are_there() -> None:
    for row in TWO_STREAMS:
        rgb, flow = get_recipe(row.rgb), get_recipe(row.flow)
        assert (rgb.modality, flow.modality) == ("rgb", "flow")
        assert rgb.dataset == flow.dataset == row.dataset
        assert rgb.model.num_classes == flow.model.num_classes
    with pytest.raises(RecipeError, match="two streams, each a recipe of its own"):
        get_recipe(TWO_STREAMS[0].name)


def test_what_a_user_names() -> None:
    one = open_models("slowonly_r18_8x2_motions", untrained=True)
    assert isinstance(one, Classifier)
    two = open_models("slowonly_r18_8x2_motions", "tsn_r18_8seg_motions", untrained=True)
    assert isinstance(two, Streams)
    assert [n.recipe.name for n in two.classifiers] == ["slowonly_r18_8x2_motions", "tsn_r18_8seg_motions"]
    row = find_two_stream("i3d_incv1_twostream_64x1_ucf101")
    assert row.published.top1 == 97.8
    with pytest.raises(RecipeError, match="has two streams already"):
        open_models(row.name, "tsn_r18_8seg_motions", untrained=True)
