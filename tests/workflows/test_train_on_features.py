"""`marey train FOLDER`: a classifier on frozen features, judged out of fold, in a folder that other commands understand."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import marey
from marey.cli.app import app
from marey.evaluation.out_of_fold.result import OutOfFold
from marey.models.layers.config import Initialisation
from marey.models.network import Network
from marey.models.probe.network import Probe
from marey.recipes import get_recipe
from marey.video.writing.writer import write_video
from marey.weights.checkpoint import read_checkpoint, save_checkpoint
from marey.weights.load import build_model
from marey.workflows.classifier.train_on_features import FittingPlan
from marey.workflows.train import TrainRequest
from marey.workflows.train_network import TrainOptions
from tests.support.calibrating import fit_calibration
from tests.support.tiny_backbone import BACKBONE, CLASSES, HERE, add_clips, save_backbone, trained, write_clip


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with clips/ and backbone.safetensors."""
    workdir: Path = tmp_path_factory.mktemp("made")
    add_clips(workdir / "clips", 0, 8)
    save_backbone(workdir / "backbone.safetensors")
    return workdir


@pytest.fixture
def workdir(made, tmp_path, monkeypatch) -> Path:
    """The working folder: a copy of the clips, and a separate cache."""
    shutil.copytree(made / "clips", tmp_path / "clips")
    shutil.copy(made / "backbone.safetensors", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAREY_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture(scope="module")
def run_once(made) -> Path:
    """A run on the clips, in run/ beside them. Tests leave it as it is."""
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(made)
        patched.setenv("MAREY_CACHE", str(made / "cache"))
        trained()
    return made / "run"


@pytest.fixture
def finished(run_once, workdir) -> OutOfFold:
    """What a finished run found, a copy of which is run/ in the working folder."""
    shutil.copytree(run_once, workdir / "run")
    return OutOfFold.load("run")


def test_a_run_predicts_every_clip_out_of_fold_and_writes_a_checkpoint(finished) -> None:
    found = finished
    assert len(found.result.scores.ids) == 24 and found.folds == 9
    assert found.result.top1 > 0.8 and found.cost.computed == 24 and found.cost.kept == 0
    assert found.calibration is not None and found.calibration.final.threshold is not None
    parts, labels = found.calibration.of_row, found.result.scores.labels
    assert len(found.calibration.without) == 5 and sorted(set(parts.tolist())) == list(range(5))
    others = fit_calibration(
        found.result.scores.task, found.uncalibrated[parts != 2], labels[parts != 2], fitted_on="others"
    )
    assert others.temperature == pytest.approx(found.calibration.without[2].temperature, rel=1e-3)
    names = {path.name for path in Path("run").iterdir()}
    assert {"last.safetensors", "recipe.yaml", "split.csv", "scores.npz", "out_of_fold.json", "report.html"} <= names
    readme = Path("run/README.txt").read_text()
    assert "marey train clips" in readme and "marey train run --finetune always" in readme
    model = marey.load_model("run")
    assert model.class_names == CLASSES and isinstance(model.network, Probe) and model.trained_on is not None
    assert len(model.trained_on) == 24
    prediction = marey.predict("run", "clips/spots/003.mp4", **HERE)
    assert prediction.top(1)[0][0] == "spots"
    assert marey.evaluate("run", "clips", out="e", **HERE).top1 == 1


def test_a_report_that_is_written_again_has_its_images(run_once, made, monkeypatch) -> None:
    monkeypatch.chdir(made)
    page = run_once / "report.html"
    pictures = page.read_text().count("data:image")
    assert pictures
    assert CliRunner().invoke(app, ["report", "run"]).exit_code == 0
    assert page.read_text().count("data:image") == pictures


def test_a_clip_with_a_wrong_label_is_named_with_its_frames(workdir, capsys) -> None:
    rows = [f"{path},{path.parent.name}" for path in sorted(Path("clips").glob("*/*.mp4"))]
    rows[3] = "clips/bars/003.mp4,waves"
    Path("list.csv").write_text("\n".join(["path,label", *rows, ""]))
    trained(data="list.csv")
    first = Path("run/suspects.csv").read_text().splitlines()[:2]
    assert first[0] == "path,label,may_be,why,leave_out" and first[1].startswith("clips/bars/003.mp4,waves,bars,")
    assert "may be labelled wrong: run/suspects.csv" in capsys.readouterr().out
    page = Path("run/report.html").read_text()
    assert "<h2>Suspects</h2>" in page and 'alt="five frames of clips/bars/003.mp4"' in page
    assert "suspects.csv" in Path("run/README.txt").read_text()


def test_the_head_in_the_network_predicts_as_on_cached_features(finished) -> None:
    pooled = marey.features("run", "clips", out="f", **HERE).read()
    network = marey.load_model("run").network
    assert isinstance(network, Probe)
    with torch.inference_mode():
        logits = network.head(torch.from_numpy(pooled)).numpy()
    answers = marey.evaluate("run", "clips", out="e", **HERE).scores.probabilities
    assert np.array_equal(logits.argmax(1), answers.argmax(1))


def test_the_same_clips_give_the_same_predictions_from_cached_features(workdir) -> None:
    first, second = trained("a"), trained("b")
    assert second.cost.computed == 0 and second.cost.kept == 24
    assert np.array_equal(first.result.scores.probabilities, second.result.scores.probabilities)
    one, other = (read_checkpoint(f"{run}/last.safetensors").tensors for run in "ab")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_added_clips_and_classes_cost_their_own_features_and_move_no_clip(workdir) -> None:
    plans = [TrainRequest(data=Path("clips"), out=Path("x"), backbone="backbone.safetensors").plan()]
    trained("a")
    add_clips(Path("clips"), 8, 10)
    write_clip(Path("clips/discs/0.mp4"), "waves", 7001)
    write_clip(Path("clips/discs/1.mp4"), "bars", 7002)
    plans.append(TrainRequest(data=Path("clips"), out=Path("x"), backbone="backbone.safetensors").plan())
    before, after = (dict(zip(p.train.ids, p.folds.of_row, strict=True)) for p in plans)
    assert sum(after[name] != fold for name, fold in before.items()) <= 1, "but for one that had to be moved"
    assert trained("b").cost.computed == 8


def test_validation_and_test_videos_are_tested_and_not_trained_on(workdir) -> None:
    for split in ("val", "test"):
        add_clips(workdir / split, 50, 52)
    found = trained(val="val", test="test")
    assert len(found.result.scores.ids) == 24
    for split in ("val", "test"):
        tested = marey.EvaluationResult.load(f"run/{split}")
        assert tested.num_videos == 6 and not tested.scores.trained_on.any()


def test_videos_of_several_splits_are_reported_and_listed_once(workdir, capsys) -> None:
    add_clips(workdir / "held", 20, 22)
    trained(val="held", test="held", out="run")
    said = capsys.readouterr()
    assert "val and test: 6 videos are in both." in said.err
    assert [line.split(":")[0] for line in said.out.splitlines() if line.startswith("On ")] == ["On val", "On test"]
    listed = marey.read_manifest("run/split.csv")
    assert (len(listed), listed.split_names) == (30, ("train", "val"))


def test_long_videos_that_are_only_tested_on_are_noted_where_the_others_are_cut(workdir) -> None:
    add_clips(workdir / "val", 50, 51)
    write_video(workdir / "val/bars/long.mp4", np.zeros((50, 48, 64, 3), np.uint8), fps=2)
    plan = TrainRequest(data=Path("clips"), val=Path("val"), out=Path("x"), backbone="backbone.safetensors").plan()
    assert isinstance(plan, FittingPlan)
    assert [note.split(",")[0] for note in plan.given.notes] == ["val: 1 video is longer than 20 s"]


def test_split_columns_and_folders_are_equivalent(workdir) -> None:
    for split, (first, end) in {"train": (0, 6), "val": (6, 7), "test": (7, 8)}.items():
        for label in CLASSES:
            (workdir / "divided" / split / label).mkdir(parents=True)
            for i in range(first, end):
                shutil.copy(workdir / f"clips/{label}/{i:03}.mp4", workdir / "divided" / split / label)
    found = trained(data="divided")
    assert len(found.result.scores.ids) == 18
    assert {path.name for path in Path("run").iterdir() if path.is_dir()} >= {"val", "test"}


def test_clips_of_several_labels_get_sigmoids(workdir) -> None:
    rows = [f"clips/{label}/{i:03}.mp4,{label}|{'early' if i < 4 else 'late'}" for label in CLASSES for i in range(8)]
    Path("list.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    found = trained(data="list.csv")
    assert found.result.scores.labels.shape == (24, 5) and found.result.mean_ap > 0.5
    model = marey.load_model("run")
    assert model.recipe.task.kind == "multilabel"
    assert marey.predict("run", "clips/bars/000.mp4", **HERE).probabilities.shape == (5,)


def test_classes_that_cannot_be_judged_are_in_no_number_and_have_a_threshold(workdir) -> None:
    rows = [
        f"clips/{label}/{i:03}.mp4,clip|{label}{'|rare' if label + str(i) == 'bars3' else ''}"
        for label in CLASSES
        for i in range(8)
    ]
    Path("list.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    found = trained(data="list.csv")
    assert found.left_out == ("clip", "rare")
    assert found.result.scores.class_names == CLASSES and found.result.scores.probabilities.shape == (24, 3)
    assert "(mean of 3 of 5 classes)" in found.verdict
    notes = " ".join(found.notes)
    assert "Class clip is a label of every video" in notes and "Class rare has videos of only 1" in notes
    assert "2 classes that cannot be judged (clip, rare): no number here includes them" in notes
    thresholds = marey.load_model("run").calibration.thresholds
    assert thresholds is not None and len(thresholds) == 5
    assert thresholds[1] == thresholds[3] == np.median([thresholds[k] for k in (0, 2, 4)])
    assert f"over {len(CLASSES)} classes; of 2 more nothing can be said" in Path("run/report.html").read_text()


def test_a_network_of_clips_has_no_candidate_of_single_frames(workdir) -> None:
    recipe = get_recipe("tsm_lite0_8seg_folder_imagenet").variant(
        name="tiny_clips", pretraining=None, model={"width": 8}, pixels={"short_side": 40}, test={"size": 32}
    )
    network = build_model(recipe).network
    assert isinstance(network, Network)
    network.initialise(Initialisation())
    save_checkpoint("clips.safetensors", network, recipe)
    found = trained(backbone="clips.safetensors")
    assert found.single_frames is None and not Path("run/single_frames.npz").exists()
    assert [head.name for head in found.heads] == ["mean and change over the clip", "order and position"]
    assert "single frames" not in found.verdict


def test_a_broken_file_is_left_out_and_counted(workdir) -> None:
    Path("clips/bars/000.mp4").write_bytes(b"no video")
    found = trained(max_broken=0.1)
    assert len(found.result.scores.ids) == 23 and len(found.result.broken) == 1
    with pytest.raises(marey.MareyError, match=r"000\.mp4"):
        trained("other", max_broken=0.0)


def test_a_run_is_begun_again_with_resume_and_another_is_refused(workdir) -> None:
    trained()
    with pytest.raises(marey.RunError, match="another run"):
        trained()
    files = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    assert trained(resume=True).cost.computed == 24, "what was written stays"
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == files
    add_clips(Path("clips"), 8, 9)
    with pytest.raises(marey.RunError, match="data differs"):
        trained(resume=True)


def test_a_copy_counts_once_and_is_left_out_by_a_resumed_run_too(workdir) -> None:
    shutil.copy("clips/bars/000.mp4", "clips/bars/copy.mp4")
    found = trained()
    assert found.copies == ("bars/copy.mp4",)
    assert len(found.result.scores.ids) == 24
    assert found.cost.comparing_frames > 0
    assert "to compare frames)" in found.cost.sentence
    assert "bars/copy.mp4" not in Path("run/split.csv").read_text()
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert 'id="recordings"' in page and 'id="copies"' in page
    files = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    assert trained(resume=True).copies == ("bars/copy.mp4",)
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == files


@pytest.mark.parametrize(
    ("options", "trains_a_network"),
    [
        ({}, False),
        ({"epochs": 3}, False),
        ({"options": TrainOptions(init="backbone.safetensors")}, False),
        ({"options": TrainOptions(init="none")}, True),
        ({"options": TrainOptions(init="imagenet")}, True),
        ({"settings": ["train.epochs=3"]}, True),
        ({"recipe": BACKBONE}, True),
    ],
)
def test_options_decide_the_kind_of_training(options, trains_a_network) -> None:
    assert TrainRequest(data=Path("clips"), out=Path("run"), **options).on_features is not trains_a_network


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"settings": ["train.epochs=3"], "backbone": "auto"},
            "--backbone auto belongs to a classifier on frozen features",
        ),
        ({"init": "none", "finetune": "always"}, "--finetune always belongs to a classifier"),
        ({"init": "a.pth", "backbone": "b.pth"}, "both name the backbone"),
        ({"epochs": 3, "finetune": "never"}, "--epochs belongs to fine-tuning"),
        ({"backbone": "no-such"}, "no-such: no such file, and there is no recipe"),
        ({"logger": "tensorboard"}, "--logger tensorboard: a classifier on frozen features has no epochs"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, message, workdir) -> None:
    with pytest.raises(marey.MareyError, match=message):
        marey.train("clips", **options)
    assert not Path("runs").exists()


@pytest.mark.slow
def test_a_run_is_tuned_at_once_or_later_and_reports_which_was_kept(workdir) -> None:
    at_once = trained("a", finetune="always", epochs=1)
    assert at_once.tuning is not None and at_once.tuning.videos > 0
    trained("b")
    result = marey.train("b", finetune="always", epochs=1, **HERE)
    later = OutOfFold.load("b")
    assert result is not None and later.tuning is not None
    # The same clips, folds and seed: the same comparison.
    assert (later.tuning.heads, later.tuning.tuned) == (at_once.tuning.heads, at_once.tuning.tuned)
    one, other = (read_checkpoint(f"{run}/last.safetensors").tensors for run in "ab")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert "fine-tuned network" in Path("b/report.html").read_text()


def test_the_cost_of_tuning_is_printed_with_the_command(workdir) -> None:
    found = trained(finetune="auto")
    assert found.tuning is None and "marey train run --finetune always" in found.tuning_note


@pytest.mark.parametrize("options", [{"val": "clips"}, {"backbone": "auto"}, {"out": "other"}])
def test_a_run_as_data_can_only_be_tuned(options, finished) -> None:
    with pytest.raises(marey.RecipeError, match="is a run"):
        marey.train("run", **options)
