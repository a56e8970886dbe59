"""How a test reports the videos that the network was trained on, where the tests know which these are."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import marey
from marey.data.files.identity import Identities, file_identity
from marey.data.lists.class_folders import list_folder
from marey.data.lists.manifest import make_manifest
from marey.evaluation.fusion import fuse
from marey.evaluation.report.page import write_report
from marey.evaluation.result import EvaluationResult
from marey.evaluation.run import evaluate
from marey.evaluation.scores import Scores
from marey.weights.checkpoint import save_checkpoint
from marey.weights.load import build_model
from marey.workflows.train_network import TrainOptions, plan_recipe, train_and_test
from tests.support.tiny import RECIPE

VIDEOS_PER_CLASS = 4


def model_trained_on(folder: Path, *videos: Path) -> marey.Classifier:
    """A classifier as if it had been trained on these files."""
    file = folder / "model.safetensors"
    trained_on = Identities.of(map(file_identity, videos))
    save_checkpoint(file, build_model(RECIPE), RECIPE, ["jump", "run"], trained_on=trained_on)
    return marey.load_model(file)


@pytest.mark.parametrize("workers", [0, 2])
def test_accuracies_with_and_without_videos_trained_on_are_stated(videos, tmp_path, workers) -> None:
    """Copies under other names, in other folders, of 3 of the 8 videos."""
    seen = [videos / "jump" / "v0.mp4", videos / "run" / "v1.mp4", videos / "run" / "v3.mp4"]
    model = model_trained_on(tmp_path, *(shutil.copy(file, tmp_path / f"copy{n}") for n, file in enumerate(seen)))
    manifest = list_folder(videos)
    result = evaluate(model, manifest, out=tmp_path / "e", workers=workers)
    names = [str(file.relative_to(videos)) for file in seen]
    mask = np.array([name in names for name in result.scores.ids])
    assert result.scores.trained_on.tolist() == mask.tolist()
    right = result.scores.probabilities.argmax(axis=1) == result.scores.labels
    assert result.unseen.top1 == pytest.approx(right[~mask].mean())
    line = (
        f"3 of 8 videos were trained on ({', '.join(names)}); of the other 5: top-1 {100 * right[~mask].mean():.1f} % "
        f"(of all {100 * right.mean():.1f} %)"
    )
    assert line in result.summary()
    assert result.verdict.startswith(
        f"{100 * right[~mask].mean():.1f} % right of the 5 videos that the network was not"
    )
    assert "90 % interval" in result.summary().splitlines()[1]
    assert "(over 5 videos)" in result.summary().splitlines()[1]
    assert (result.interval, result.unseen.interval.count) == (None, 5)
    noted = json.loads((tmp_path / "e" / "result.json").read_text())
    assert (noted["videos"], noted["trained_on"]["videos"], noted["trained_on"]["others"]["videos"]) == (8, 3, 5)
    assert noted["trained_on"]["others"]["top1"] == pytest.approx(right[~mask].mean())
    assert line in write_report(tmp_path / "e").read_text().replace("&#39;", "'")
    assert line in EvaluationResult.load(tmp_path / "e").summary()


def test_the_summary_states_that_all_or_no_videos_were_trained_on(videos, tmp_path) -> None:
    manifest = list_folder(videos)
    result = evaluate(model_trained_on(tmp_path, videos / "run" / "v0.mp4"), manifest[:4], workers=0)
    assert (
        "none of the 4 videos is among those that the checkpoint notes as trained on (by content)" in result.summary()
    )
    result = evaluate(model_trained_on(tmp_path, *(video.path for video in manifest)), manifest, workers=0)
    assert "all 8 videos were trained on" in result.summary()
    assert "right, all of them trained on; always answering 'jump' would give 50.0 %." in result.verdict
    assert "No interval for new videos: these were trained on; guessing gives 50.0 %." in result.summary()
    assert result.unseen is None
    assert result.as_json()["trained_on"] == {"videos": 8, "others": None}


def test_nothing_is_reported_if_nothing_is_known(videos, tmp_path) -> None:
    save_checkpoint(tmp_path / "m.safetensors", build_model(RECIPE), RECIPE, ["jump", "run"])
    result = evaluate(marey.load_model(tmp_path / "m.safetensors"), list_folder(videos), out=tmp_path / "e", workers=0)
    assert result.scores.trained_on is None
    assert "trained on" not in result.summary()
    assert "trained_on" not in result.as_json()
    with np.load(tmp_path / "e" / "scores.npz") as file:
        assert "trained_on" not in file


def full_disk(*_: object) -> None:
    raise OSError("disk full")


def test_an_interrupted_test_keeps_its_findings(videos, tmp_path, monkeypatch) -> None:
    manifest = list_folder(videos)
    model = model_trained_on(tmp_path, videos / "jump" / "v0.mp4")
    with monkeypatch.context() as patched, pytest.raises(OSError, match="disk full"):
        patched.setattr("marey.evaluation.result.EvaluationResult.save", full_disk)
        evaluate(model, manifest, out=tmp_path / "e", workers=0)
    monkeypatch.setattr("marey.evaluation.run.read_ahead", lambda views, rows, workers: iter(()))
    shutil.copytree(tmp_path / "e", tmp_path / "old")
    for _ in range(2):  # from the part files, and then from the scores that replace them
        assert "1 of 8 videos was trained on (jump/v0.mp4)" in evaluate(model, manifest, out=tmp_path / "e").summary()
    # Part files of version 0.1.0 have no identities: nothing is reported then.
    (part,) = (tmp_path / "old" / "parts").iterdir()
    with np.load(part) as file:
        np.savez(part, **{name: file[name] for name in file if name != "identities"})
    assert "trained on" not in evaluate(model, manifest, out=tmp_path / "old").summary()


def test_segments_of_videos(videos, tmp_path) -> None:
    """One file was trained on as a whole, so all its segments were; of another file only one segment was."""
    file, other = videos / "run" / "v0.mp4", videos / "run" / "v1.mp4"
    times = [(0.0, 0.4), (0.4, 0.8), (0.0, 0.4), (0.4, 0.8)]
    rows = [(str(path), "run") for path in (file, file, other, other)]
    manifest = make_manifest(rows, root=Path(), source="parts", classes=["jump", "run"], times=times)
    trained = marey.fit(RECIPE, train=manifest[2:3], out=tmp_path / "run", workers=0, init="none")
    model = marey.load_model(trained.last)
    assert evaluate(model, manifest, workers=0).scores.trained_on.tolist() == [False, False, True, False]
    model.trained_on |= Identities.of([file_identity(file)])
    assert evaluate(model, manifest, workers=0).scores.trained_on.tolist() == [True, True, True, False]


@pytest.mark.parametrize("frames", [False, True])
def test_a_file_counts_as_trained_on_if_a_segment_was(videos, tmp_path, frames) -> None:
    names = [str(videos / "run" / f"v{i}.mp4") for i in range(2)]
    rows = [(name, "run") for name in names]
    part = {"frame_ranges": [(0, 4), (0, 4)]} if frames else {"times": [(np.nan, 0.4), (np.nan, 0.4)]}
    same = {"frame_ranges": [(0, 4), (0, 4)]} if frames else {"times": [(0.0, 0.4), (0.0, 0.4)]}
    parts, alike, whole = (
        make_manifest(rows, root=Path(), source="made", classes=["jump", "run"], **how) for how in (part, same, {})
    )
    trained = marey.fit(RECIPE, train=parts[:1], out=tmp_path / "run", workers=0, init="none")
    model = marey.load_model(trained.last)
    for manifest in (parts, alike, whole):
        assert evaluate(model, manifest, workers=0).scores.trained_on.tolist() == [True, False]


def test_fused_scores_count_videos_that_any_stream_was_trained_on() -> None:
    def scores(ids, seen):
        known = None if seen is None else np.array(seen)
        return Scores(ids, np.array([0, 1]), np.eye(2, dtype=np.float32), ("a", "b"), trained_on=known)

    one = scores(("x.mp4", "y.mp4"), [True, False])
    assert fuse([one, scores(("x.mp4", "y.mp4"), [False, False])]).trained_on.tolist() == [True, False]
    assert fuse([one, scores(("x.mp4", "y.mp4"), None)]).trained_on is None
    assert one.keep({"y"}).trained_on.tolist() == [False]


def test_the_test_after_a_training_names_videos_in_both_splits(videos, tmp_path, capsys) -> None:
    """The command's own test of the held-out videos, and the warning before the training begins."""
    rows = [
        ("jump/v0.mp4", "jump", "train"),
        ("run/v0.mp4", "run", "train"),
        ("again.mp4", "jump", "val"),
        ("run/v1.mp4", "run", "val"),
    ]
    shutil.copytree(videos, tmp_path / "data")
    shutil.copy(videos / "jump" / "v0.mp4", tmp_path / "data" / "again.mp4")
    table = "".join(f"{','.join(row)}\n" for row in [("path", "label", "split"), *rows])
    (tmp_path / "data" / "list.csv").write_text(table)
    options = TrainOptions(init="none", compute=marey.Compute(workers=0))
    train_and_test(plan_recipe(RECIPE, tmp_path / "data" / "list.csv", out=tmp_path / "run", options=options))
    said = capsys.readouterr()
    assert "1 file of the 2 for validation is in the training list too, by content: again.mp4" in said.err
    assert "1 of 2 videos was trained on (again.mp4); of the other 1: top-1" in said.out
