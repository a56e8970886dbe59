"""Testing: every video once, predict equals evaluate, interrupted runs are resumed, metrics equal torchmetrics'."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
    multiclass_f1_score,
)

import marey
from marey.backends.compute import Compute
from marey.base.errors import DataError, DecodeError, RunError
from marey.base.page import heat_map
from marey.data.lists.class_folders import list_folder
from marey.data.lists.manifest import make_manifest
from marey.evaluation.fusion import fuse
from marey.evaluation.protocol import protocol_of
from marey.evaluation.report.page import write_report
from marey.evaluation.run import evaluate
from marey.evaluation.scores import Scores
from marey.evaluation.tested_list import read_labelled
from marey.evaluation.views import Views
from marey.inference.predict import predict, predict_many
from marey.recipe import Test as Protocol
from marey.recipes import get_recipe
from marey.tasks.metrics import (
    calibration_error,
    confusion_matrix,
    macro_f1,
    mean_class_accuracy,
    pair_accuracy,
    top_k_accuracy,
    wilson_interval,
)
from marey.video.reading.reader import Video
from marey.video.sampling import MMAction2Test
from marey.video.writing.writer import write_video
from marey.weights.checkpoint import save_checkpoint
from marey.weights.load import build_model
from tests.support.made_videos import coded_frame

VIDEOS_PER_CLASS = 4
FRAMES_PER_VIDEO = (10, 11, 12, 13)
PROTOCOL = Protocol(
    sampling=MMAction2Test(clips=3, frames=4, stride=2), crops="three", size=32, averaging="probabilities"
)
RECIPE = get_recipe("slowonly_r18_8x2_motions").variant(
    name="tiny", model={"width": 4, "num_classes": 2}, test=PROTOCOL, pixels={"short_side": 32}
)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    return build_model(RECIPE, ("jump", "run")).eval()


def test_predict_equals_evaluate_to_the_last_bit(videos, model, tmp_path) -> None:
    manifest = list_folder(videos)
    result = evaluate(model, manifest, out=tmp_path, workers=1, batch=4)
    for row, sample in enumerate(manifest):
        answer = predict(model, sample.path, batch=4)
        np.testing.assert_array_equal(answer.probabilities, result.scores.probabilities[row])
    assert Scores.load(tmp_path / "scores.npz").protocol.data_fingerprint == manifest.fingerprint
    assert json.loads((tmp_path / "result.json").read_text())["videos"] == 8


def test_views_are_the_step_by_step_computation(videos, model) -> None:
    """Nine views cropped, normalised and averaged step by step."""
    path = videos / "run" / "v2.mp4"
    with marey.open_video(path, conversion="planes") as video:
        indices = PROTOCOL.sampling.sample(len(video))
        clips = [video.read(row, size=(32, 43)) for row in indices]
    views = [clip[:, :, left : left + 32] for clip in clips for left in (0, 10, 5)]
    with torch.inference_mode():
        logits = model(model.preprocess(torch.from_numpy(np.stack(views))))
    expected = logits.softmax(dim=1).mean(dim=0).numpy()
    np.testing.assert_allclose(predict(model, path).probabilities, expected, atol=1e-6)


def test_equal_views_are_computed_once(model, tmp_path) -> None:
    """A square video as long as one clip has 3 x 3 equal views."""
    path = tmp_path / "short.mp4"
    write_video(path, [coded_frame(n)[:48, :48] for n in range(4)], fps=10, preset="ultrafast")
    dataset = marey.ViewDataset(make_manifest([("short.mp4", "a")], root=tmp_path, source=""), *rules(model))
    views = Views.of(dataset[0], PROTOCOL, model.recipe.pixels)
    assert len(views.distinct) == 1
    assert views.index.tolist() == [0] * 9
    with torch.inference_mode():
        once = model(model.preprocess(torch.cat(list(views.batches(8)))))
    np.testing.assert_allclose(predict(model, path).probabilities, once.softmax(dim=1)[0].numpy(), atol=1e-7)


def rules(model):
    return model.recipe.test.sampling, model.recipe.pixels


def test_averaging_logits(videos, model) -> None:
    recipe, path = model.recipe, videos / "run" / "v2.mp4"
    by_probability = predict(model, path).probabilities
    try:
        model.recipe = recipe.variant(test={"averaging": "logits"})
        assert not np.array_equal(predict(model, path).probabilities, by_probability)
    finally:
        model.recipe = recipe


def test_averaging_probabilities_of_positions(videos) -> None:
    """Softmax at each position of the head's window, then the mean over positions, crops and clips."""
    recipe = RECIPE.variant(
        model={"pool_window": 1}, test={"size": 64, "averaging": "position_probabilities"}, pixels={"short_side": 64}
    )
    torch.manual_seed(3)
    model = build_model(recipe).eval()
    model.network.head.weight.data *= 100  # far from linear, so that the order of the averages shows
    path = videos / "run" / "v2.mp4"
    with marey.open_video(path, conversion="planes") as video:
        indices = recipe.test.sampling.sample(len(video))
        clips = [video.read(row, size=(64, 85)) for row in indices]
    views = [clip[:, :, left : left + 64] for clip in clips for left in (0, 20, 10)]
    with torch.inference_mode():
        positions = model.positions(model.preprocess(torch.from_numpy(np.stack(views))))
    assert positions.shape == (9, 2, 1, 2, 2)
    expected = positions.softmax(dim=1).mean(dim=(0, 2, 3, 4)).numpy()
    found = predict(model, path).probabilities
    np.testing.assert_allclose(found, expected, atol=1e-6)
    averaged_first = positions.mean(dim=(2, 3, 4)).softmax(dim=1).mean(dim=0).numpy()
    assert not np.allclose(found, averaged_first, atol=1e-6)


def test_each_video_is_opened_once(videos, model, monkeypatch) -> None:
    opened = []
    scan = Video._scan
    monkeypatch.setattr(Video, "_scan", lambda self: opened.append(self.name) or scan(self))
    evaluate(model, list_folder(videos), workers=0)
    assert len(opened) == len(set(opened)) == 8


def test_a_test_is_resumed_where_it_stopped(videos, model, tmp_path, monkeypatch) -> None:
    manifest = list_folder(videos)
    whole = evaluate(model, manifest, workers=0)
    monkeypatch.setattr("marey.evaluation.resumable._SAVE_EVERY", 0.0)
    score, count = marey.evaluation.run.score_video, []

    def breaks(*args, **kwargs):
        count.append(1)
        if len(count) == 4:
            raise KeyboardInterrupt
        return score(*args, **kwargs)

    monkeypatch.setattr("marey.evaluation.run.score_video", breaks)
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, manifest, out=tmp_path, workers=0)
    result = evaluate(model, manifest, out=tmp_path, workers=0)
    assert len(count) == 4 + 5
    np.testing.assert_array_equal(result.scores.probabilities, whole.scores.probabilities)


def test_another_run_in_the_folder(videos, model, tmp_path) -> None:
    evaluate(model, list_folder(videos), out=tmp_path, workers=0)
    with pytest.raises(RunError, match=r"holds another run \(batch: there 8, here 2\)"):
        evaluate(model, list_folder(videos), out=tmp_path, workers=0, batch=2)


def test_two_processes_equal_one(videos, model, tmp_path, monkeypatch) -> None:
    manifest = list_folder(videos)
    alone = evaluate(model, manifest, workers=0)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    evaluate(model, manifest, out=tmp_path, workers=0)
    monkeypatch.setenv("RANK", "0")
    together = evaluate(model, manifest, out=tmp_path, workers=0)
    assert together.scores.ids == alone.scores.ids
    np.testing.assert_array_equal(together.scores.probabilities, alone.scores.probabilities)


def test_process_0_waits_for_the_others(videos, model, tmp_path, monkeypatch) -> None:
    """Also if an earlier, interrupted call has left part files."""
    manifest = list_folder(videos)
    alone = evaluate(model, manifest, workers=0)
    monkeypatch.setenv("WORLD_SIZE", "2")
    naps = []

    def other_process(seconds: float) -> None:
        naps.append(seconds)
        with monkeypatch.context() as patched:
            patched.setenv("RANK", "1")
            evaluate(model, manifest, out=tmp_path, workers=0)

    monkeypatch.setattr("marey.evaluation.resumable.time.sleep", other_process)
    monkeypatch.setenv("RANK", "0")
    together = evaluate(model, manifest, out=tmp_path, workers=0)
    assert len(naps) == 1
    np.testing.assert_array_equal(together.scores.probabilities, alone.scores.probabilities)


def test_broken_files_are_named_and_left_out(videos, model, tmp_path) -> None:
    shutil.copytree(videos, tmp_path / "v")
    (tmp_path / "v" / "run" / "v1.mp4").write_bytes(b"broken")
    result = evaluate(model, list_folder(tmp_path / "v"), out=tmp_path / "e", workers=0, max_broken=0.5)
    assert result.num_videos == 7
    assert "run/v1.mp4" in (tmp_path / "e" / "broken.jsonl").read_text()
    with pytest.raises(RunError, match="1 of 8 videos is broken"):
        evaluate(model, list_folder(tmp_path / "v"), workers=0, max_broken=0)
    answers = list(predict_many(model, [tmp_path / "v" / "run" / "v1.mp4", videos / "run" / "v1.mp4"]))
    assert answers[0].error is not None
    assert answers[1].error is None
    with pytest.raises(DecodeError, match=r"v1\.mp4"):
        predict(model, tmp_path / "v" / "run" / "v1.mp4")


def test_a_broken_segment_of_a_video_is_recognised(videos, model, tmp_path, monkeypatch) -> None:
    """By its id, which names the segment: it is not opened again, not named twice, and process 0 does not wait for it."""
    rows = "run/v0.mp4,run,0,0.5\nrun/v0.mp4,run,90,91\njump/v0.mp4,jump,,\n"
    (tmp_path / "l.csv").write_text("path,label,start,end\n" + rows)
    how = {"out": tmp_path / "e", "root": videos, "workers": 0, "max_broken": 0.5}
    first = evaluate(model, tmp_path / "l.csv", **how)
    record = (tmp_path / "e" / "broken.jsonl").read_bytes()
    assert [broken.id for broken in first.broken] == ["run/v0.mp4@90-91"]
    assert evaluate(model, tmp_path / "l.csv", **how).broken == first.broken
    assert (tmp_path / "e" / "broken.jsonl").read_bytes() == record
    assert record.count(b"\n") == 1
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("marey.evaluation.resumable.time.sleep", lambda seconds: pytest.fail("nothing is missing"))
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        with contextlib.suppress(DataError):  # process 1 has only the broken segment
            together = evaluate(model, tmp_path / "l.csv", **how | {"out": tmp_path / "two"})
    assert together.broken == first.broken


def nameless(classes: int, dataset: str = "unknown"):
    return build_model(RECIPE.variant(model={"num_classes": classes}, dataset=dataset)).eval()


def test_classes_without_names_are_never_guessed(tmp_path) -> None:
    """The network has ten classes without names: a list of some of them would be scored with the wrong ones."""
    (tmp_path / "numbers.txt").write_text("a.mp4 7\nb.mp4 2\n")
    manifest = read_labelled(tmp_path / "numbers.txt", nameless(10))
    assert manifest.labels.tolist() == [7, 2]
    (tmp_path / "names.txt").write_text("a.mp4 run\nb.mp4 jump\n")
    with pytest.raises(
        DataError, match="2 class names, and the weights do not say which of their 10 classes these are"
    ):
        read_labelled(tmp_path / "names.txt", nameless(10))
    with pytest.raises(DataError, match=r"2 class names, .* which of their 2 classes these are: .* --classes FILE"):
        read_labelled(tmp_path / "names.txt", nameless(2))  # not even with as many classes: in which order?
    (tmp_path / "classes.txt").write_text("swim\nrun\njump\n")
    named = read_labelled(tmp_path / "names.txt", nameless(3), classes=tmp_path / "classes.txt")
    assert named.labels.tolist() == [1, 2]
    with pytest.raises(DataError, match=r"classes\.txt: 3 class names, but the network has 10 classes"):
        read_labelled(tmp_path / "names.txt", nameless(10), classes=tmp_path / "classes.txt")
    (tmp_path / "kinetics.csv").write_text("path,label\na.mp4,abseiling\nb.mp4,zumba\n")
    assert read_labelled(tmp_path / "kinetics.csv", nameless(400, "kinetics400")).labels.tolist() == [0, 399]


def test_a_warning_says_that_all_splits_are_tested(model, tmp_path, capsys) -> None:
    (tmp_path / "s.csv").write_text("path,label,split\na.mp4,run,train\nb.mp4,jump,val\n")
    assert len(read_labelled(tmp_path / "s.csv", model)) == 2
    assert "all splits of" in capsys.readouterr().err
    assert len(read_labelled(tmp_path / "s.csv", model, split="val")) == 1
    assert capsys.readouterr().err == ""


def test_metrics_equal_torchmetrics() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.random((200, 7)).astype(np.float32), rng.integers(0, 7, 200)
    s, t = torch.from_numpy(scores), torch.from_numpy(labels)
    for k in (1, 3):
        expected = multiclass_accuracy(s, t, num_classes=7, top_k=k, average="micro")
        assert top_k_accuracy(scores, labels, k) == pytest.approx(float(expected))
    confusion = confusion_matrix(scores, labels)
    np.testing.assert_array_equal(confusion, multiclass_confusion_matrix(s, t, num_classes=7).numpy())
    expected = multiclass_accuracy(s, t, num_classes=7, average="macro")
    assert mean_class_accuracy(confusion) == pytest.approx(float(expected))
    assert macro_f1(confusion) == pytest.approx(float(multiclass_f1_score(s, t, num_classes=7, average="macro")))
    probabilities = s.mul(5).softmax(dim=1)
    expected = multiclass_calibration_error(probabilities, t, num_classes=7, n_bins=15, norm="l1")
    assert calibration_error(probabilities.numpy(), labels) == pytest.approx(float(expected), abs=1e-6)


def test_pairs_and_intervals() -> None:
    scores = np.array([[0.6, 0.4, 0], [0.6, 0.4, 0], [0.5, 0.5, 0], [0, 0, 1]], np.float32)
    assert pair_accuracy(scores, np.array([0, 1, 1, 2]), [(0, 1)]) == pytest.approx(0.5)
    low, high = wilson_interval(9, 10)
    assert (round(low, 4), round(high, 4)) == (0.5958, 0.9821)


def made_scores(ids, probabilities, labels=(0, 1)) -> Scores:
    return Scores(tuple(ids), np.array(labels), np.array(probabilities, np.float32), ("a", "b"))


def test_fusion_joins_by_id() -> None:
    one = made_scores(["x", "y"], [[0.9, 0.1], [0.6, 0.4]])
    two = made_scores(["y", "x"], [[0.1, 0.9], [0.8, 0.2]], labels=(1, 0))
    np.testing.assert_allclose(fuse([one, two]).probabilities, [[0.85, 0.15], [0.35, 0.65]], atol=1e-6)
    np.testing.assert_allclose(fuse([one, two], weights=[1, 0]).probabilities, one.probabilities, atol=1e-6)
    with pytest.raises(DataError, match="lacks 1 video of the first and has 1 other, for example y"):
        fuse([one, made_scores(["x", "z"], [[1, 0], [0, 1]])])
    with pytest.raises(DataError, match="none negative"):
        fuse([one, two], weights=[0, 0])


def test_report_is_one_page(videos, model, tmp_path) -> None:
    manifest = list_folder(videos)
    evaluate(model, manifest, out=tmp_path, workers=0)
    (tmp_path / "log.csv").write_text("epoch,train_loss,val_loss,train_top1,val_top1\n1,0.7,0.6,0.5,0.6\n2,0.5,,0.7,\n")
    page = write_report(tmp_path, manifest).read_text()
    assert "data:image/jpeg;base64," in page
    assert "<polyline" in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("https://arxiv.org", "")
    with pytest.raises(DataError, match="neither log.csv nor scores.npz"):
        write_report(tmp_path / "none")


def test_a_protocol_names_no_gpu_by_index(videos, model, monkeypatch) -> None:
    """Under torchrun the index differs between processes."""
    monkeypatch.setattr("marey.evaluation.protocol.pick_device", torch.device)
    assert protocol_of(model, list_folder(videos), Compute(device="cuda:1")).device == "cuda"


@pytest.mark.slow
def test_torchrun_equals_one_process(videos, model, tmp_path) -> None:
    """Two real processes, with a broken file in the share of the second."""
    shutil.copytree(videos, tmp_path / "v")
    (tmp_path / "v" / "jump" / "v1.mp4").write_bytes(b"broken")
    save_checkpoint(tmp_path / "m.safetensors", model, RECIPE, ("jump", "run"))
    words = [
        "-m",
        "marey",
        "evaluate",
        str(tmp_path / "m.safetensors"),
        "--data",
        str(tmp_path / "v"),
        "--workers",
        "1",
    ]
    words += ["--device", "cpu", "--max-broken", "0.5", "--json"]
    # torchrun gives each process one thread by default; with other numbers of threads sums have another order.
    how = {"capture_output": True, "text": True, "env": os.environ | {"OMP_NUM_THREADS": "1"}}
    alone = subprocess.run([sys.executable, *words, "--out", str(tmp_path / "one")], check=True, **how)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    both = subprocess.run([*launch, *words, "--out", str(tmp_path / "two")], check=True, timeout=300, **how)
    assert json.loads(both.stdout) == json.loads(alone.stdout)
    one, two = (Scores.load(tmp_path / name / "scores.npz") for name in ("one", "two"))
    assert (one.ids, one.protocol) == (two.ids, two.protocol)
    assert len(one.ids) == 7
    np.testing.assert_array_equal(one.probabilities, two.probabilities)


def test_a_heat_map_keeps_its_size_and_shortens_names() -> None:
    svg = str(heat_map("who", [[3, 0], [1, 2]], ["a", "b" * 60]))
    width = int(re.search(r"max-width:(\d+)px", svg).group(1))
    assert width < 400
    assert "b" * 27 + "…</text>" in svg
    assert f"<title>{'b' * 60} taken for a: 1</title>" in svg
