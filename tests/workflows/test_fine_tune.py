"""A run is tuned later, with other settings, after a stop and on another machine; its tests are always of its weights."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import marey
from marey.base.claim import OutputPath
from marey.base.errors import StoppedError
from marey.base.files import write_json
from marey.classifier import Calibration
from marey.cli.app import app
from marey.cli.common.interrupted import kept_training
from marey.data.lists.manifest import make_manifest
from marey.evaluation.out_of_fold.result import OutOfFold
from marey.evaluation.protocol import weights_hash
from marey.recipe import Classify, MultiLabel
from marey.training.folder import RunFolder
from marey.video.writing.writer import write_video
from marey.weights.checkpoint import read_checkpoint
from marey.workflows.classifier import finish_run
from marey.workflows.classifier.finetuning import fine_tune
from marey.workflows.classifier.finetuning.decide import Decision
from marey.workflows.classifier.finetuning.judge import FoldComparison, TunedNetwork, load_kept
from marey.workflows.classifier.finetuning.saved_start import TuningStart
from marey.workflows.classifier.train_on_features import FittingPlan
from marey.workflows.train import TrainRequest
from marey.workflows.train_network import TrainOptions
from tests.support.crashing import CrashError, crash_after
from tests.support.made_videos import coded_frame
from tests.support.tiny_backbone import save_backbone
from tests.support.tiny_probe import classifier_of

HERE = ["--workers", "0", "--device", "cpu"]
DATA = ["clips", "--val", "val", "--backbone", "backbone.safetensors", "--out", "run", *HERE]
TUNE = ["run", "--finetune", "always", "--epochs", "1", *HERE]


def write_clips(folder: Path, first: int, end: int) -> None:
    for label in ("jump", "run"):
        for i in range(first, end):
            frames = [coded_frame(n + 7 * i + 40 * (label == "run")) for n in range(8)]
            write_video(folder / label / f"v{i}.mp4", frames, fps=10, preset="ultrafast")


def said(*words: str) -> str:
    """The output of `marey train`, for a call that succeeds."""
    done = CliRunner().invoke(app, ["train", *words])
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def refused(*words: str) -> str:
    done = CliRunner().invoke(app, ["train", *words])
    assert done.exit_code == 1, done.output
    return " ".join(done.stderr.split())


def files(folder: str = "run") -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def hash_of(run: str = "run") -> str:
    return weights_hash(marey.load_model(run))


def weights_tested_in(folder: str) -> str:
    """The weights that a test was of."""
    return str(json.loads(Path(folder, "evaluate.json").read_text())["weights_sha256"])


def keeps(monkeypatch: pytest.MonkeyPatch, kept: bool) -> None:
    monkeypatch.setattr(FoldComparison, "kept", property(lambda record: kept))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory) -> Path:
    """A project of clips/, val/, backbone.safetensors and run/, which was fitted on frozen features and not tuned."""
    place: Path = tmp_path_factory.mktemp("project")
    write_clips(place / "clips", 0, 6)
    write_clips(place / "val", 50, 51)
    save_backbone(place / "backbone.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("MAREY_CACHE", str(place / "cache"))
        said(*DATA, "--finetune", "never")
    return place


@pytest.fixture(scope="module")
def kept(fitted, tmp_path_factory) -> Path:
    """The same project after a fine-tuning that was kept."""
    place: Path = tmp_path_factory.mktemp("tuned") / "project"
    shutil.copytree(fitted, place)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("MAREY_CACHE", str(place / "cache"))
        keeps(patch, True)
        said(*TUNE)
    return place


def copied(project: Path, to: Path, patch: pytest.MonkeyPatch) -> Path:
    """A copy of a project as the working folder, the first one out of reach."""
    shutil.copytree(project, to / "project")
    patch.chdir(to / "project")
    patch.setenv("MAREY_CACHE", str(to / "cache"))
    places = to / "project/run/tuning/places.json"  # as if the run had been fitted there
    write_json(places, json.loads(places.read_text()) | {"root": str(to / "project")})
    return to / "project"


@pytest.fixture
def plain(fitted, tmp_path, monkeypatch) -> Path:
    return copied(fitted, tmp_path, monkeypatch)


@pytest.fixture
def tuned_once(kept, tmp_path, monkeypatch) -> Path:
    return copied(kept, tmp_path, monkeypatch)


# What is kept -------------------------------------------------------------------------------------------------------------


def test_a_tuned_run_is_tested_again_and_keeps_the_earlier_test(fitted, tuned_once) -> None:
    assert hash_of() != hash_of(str(fitted / "run"))
    assert weights_tested_in("run/val") == hash_of()
    assert weights_tested_in("run/val-before-tuning-1") == weights_tested_in(str(fitted / "run/val"))
    found = OutOfFold.load("run")
    assert found.tuning is not None
    assert found.tuning.kept
    assert (Path("run/tuning") / found.tuning.folder / "result.json").exists()
    assert 'no threshold for "none of these": it predicts' in found.tuning_note
    assert found.tuning_note in Path("run/report.html").read_text().replace("&#34;", '"')


def test_the_training_state_of_a_finished_tuning_is_removed(tuned_once) -> None:
    assert not list(Path("run").rglob("last.ckpt"))
    assert "last.ckpt" not in next(Path("run/tuning").glob("*/all/README.txt")).read_text()


def test_a_finished_run_without_tuning_is_unchanged_unless_more_is_requested(plain, monkeypatch) -> None:
    monkeypatch.setattr(
        fine_tune, "decide_tuning", lambda *_, **__: Decision(False, "the network is not fine-tuned: no time")
    )
    before = files()
    assert "nothing was changed" in said(*DATA, "--resume")
    assert files() == before
    said(*DATA, "--resume", "--minutes", "1")
    assert OutOfFold.load("run").tuning_note == "The network is not fine-tuned: no time."


def test_a_resumed_run_keeps_its_tuned_network_whatever_names_its_backbone(tuned_once) -> None:
    before = files()
    words = [str(Path(word).absolute()) if word == "backbone.safetensors" else word for word in DATA]
    assert "nothing was changed" in said(*words, "--resume")
    assert files() == before


def test_a_run_that_lost_the_folder_of_its_tuning_is_refused(tuned_once) -> None:
    shutil.rmtree(next(Path("run/tuning").glob("epochs-*")))
    assert "bring it back, or train again into another folder" in refused(*DATA, "--resume")


def test_a_fitted_run_is_resumed_without_its_backbone(plain) -> None:
    Path("backbone.safetensors").unlink()
    Path("run/report.html").unlink()
    said(*DATA, "--resume", "--finetune", "never")
    assert Path("run/report.html").exists()
    Path("run/tuning/heads.safetensors").unlink()
    assert "backbone.safetensors" in refused(*DATA, "--resume")


@pytest.mark.parametrize("words", [[*DATA, "--resume"], ["run", *HERE], TUNE])
def test_a_finished_run_is_resumed_without_a_change(words, tuned_once) -> None:
    before = files()
    assert "nothing was changed" in said(*words)
    assert files() == before


def test_other_settings_are_another_tuning_and_what_is_not_better_changes_nothing(tuned_once, monkeypatch) -> None:
    weights, tests = hash_of(), files("run/val")
    keeps(monkeypatch, False)
    out = said(*TUNE, "--lr", "1e-7", "--seed", "3")
    assert "keeps the network that was fine-tuned before, in epochs-1-" in out
    assert len(list(Path("run/tuning").glob("epochs-*/result.json"))) == 2
    assert hash_of() == weights
    assert files("run/val") == tests
    assert (
        "It is the best that could be kept of 2 fine-tunings that were tried on this fold"
        in Path("run/report.html").read_text()
    )


def test_of_tunings_that_are_equally_good_the_first_is_kept(tuned_once, monkeypatch) -> None:
    keeps(monkeypatch, True)
    weights, first = hash_of(), next(Path("run/tuning").glob("epochs-*"))
    monkeypatch.setattr(fine_tune, "tune_and_judge", lambda model, clips, start, **_: load_kept(first, clips, start))
    assert f"keeps the network that was fine-tuned before, in {first.name}" in said(*TUNE, "--seed", "3")
    assert hash_of() == weights


def test_the_head_is_kept_where_tuning_is_not_better(fitted, plain, monkeypatch) -> None:
    keeps(monkeypatch, False)
    said(*TUNE)
    assert hash_of() == hash_of(str(fitted / "run"))
    assert not Path("run/val-before-tuning-1").exists()
    assert OutOfFold.load("run").tuning is not None
    before = files()
    again = said(*TUNE)
    assert "the fine-tuning with these settings is finished already, in run/tuning/epochs-1-" in again
    assert "nothing was changed" in again
    assert "resumed in" not in again
    assert files() == before


@pytest.mark.parametrize(
    ("task", "clips", "note"),
    [
        (Classify(), 18, 'and no threshold for "none of these", which the head had: it predicts 18 videos rightly, and a'),
        (Classify(), 18, "needs at least 19. Its calibration is fitted to the 18 videos of this fold alone."),
        (Classify(), 40, 'and a threshold of 9'),
        (MultiLabel(), 8, "threshold of its own for each class, though 2 classes have fewer videos here than 5: jump, run."),
        (MultiLabel(), 40, "threshold of its own for each class. Its calibration is fitted to the 40 videos of this fold"),
    ],
)  # fmt: skip
def test_a_note_states_the_clips_of_the_calibration_of_a_tuned_network(task, clips, note) -> None:
    manifest = make_manifest([(f"{i}.mp4", ("jump", "run")[i % 2]) for i in range(clips)], root=Path(), source="list")
    one_hot = np.eye(2, dtype=np.float32)[manifest.labels]
    labels = one_hot.astype(np.int64) if isinstance(task, MultiLabel) else manifest.labels
    record = FoldComparison(clips, clips, 0, clips, error=0.1, epochs=1, core_seconds=1.0)
    heads, made = classifier_of(manifest, task), classifier_of(manifest, task)
    heads.calibration = Calibration(threshold=0.5, fitted_on="others")
    result = TunedNetwork(record, made, 0.8 * one_hot + 0.1, labels, np.arange(clips))
    assert note in fine_tune._calibration_note(heads, fine_tune._calibrated(result, heads), result)


def test_the_calibration_of_a_tuned_network_follows_the_rules_of_a_heads() -> None:
    """No temperature where it makes other clips worse; of a class that no clip shows the median of the thresholds."""
    clips, task = 40, MultiLabel()
    manifest = make_manifest(
        [(f"{i}.mp4", "abc"[i % 3]) for i in range(clips)], root=Path(), source="list", classes=("a", "b", "c")
    )
    labels = np.zeros((clips, 3), np.int64)
    labels[np.arange(clips), np.arange(clips) % 2] = 1
    random = np.random.default_rng(0)
    answers = np.where(labels, 0.7, 0.3) + random.uniform(-0.1, 0.1, labels.shape)
    wrong = np.arange(clips) < clips // 4  # one recording, whose most confident predictions are wrong
    answers[wrong] = 1 - labels[wrong] * 0.98 - 0.01
    record = FoldComparison(clips, clips, 0, clips, error=0.1, epochs=1, core_seconds=1.0)
    units = np.where(wrong, 0, np.arange(clips))
    result = TunedNetwork(record, classifier_of(manifest, task), answers.astype(np.float32), labels, units)
    found = fine_tune._calibrated(result, classifier_of(manifest, task)).calibration
    assert found is not None
    assert found.temperature == 1
    assert found.thresholds is not None
    assert found.thresholds[2] == pytest.approx(np.median(found.thresholds[:2]))


# Stops --------------------------------------------------------------------------------------------------------------------


def test_a_tuning_that_was_stopped_is_resumed(plain, monkeypatch) -> None:
    keeps(monkeypatch, True)
    with monkeypatch.context() as crashing:
        crash_after(1, crashing)
        crashed = CliRunner().invoke(app, ["train", *TUNE, "--set", "train.base_batch=4"])
        assert isinstance(crashed.exception, CrashError)
    assert "the classifier and the fine-tuning so far are kept in run" in kept_training(Path("run"))
    out = said(*TUNE, "--set", "train.base_batch=4")
    assert "resuming the fine-tuning in run/tuning/epochs-1-" in out
    assert "resumed in epoch 1 of 1, after 1 step" in out
    assert weights_tested_in("run/val") == hash_of()


def test_a_stop_names_the_command_that_resumes(plain, monkeypatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise StoppedError("stopped", interrupted=False)

    monkeypatch.setattr(fine_tune, "tune_and_judge", stopped)
    message = refused(*TUNE, "--lr", "1e-5", "--seed", "2", "--root", ".", "--max-broken", "0.5", "--batch", "4")
    assert message.endswith(
        "train run --finetune always --set train.epochs=1 --set train.optimizer.lr=1e-05 --seed 2 --max-broken 0.5 --root . "
        "--device cpu --batch 4 --workers 0"
    )
    assert "/fold" not in message


@pytest.mark.parametrize("where", ["write_classifier", "evaluate_and_report", "write_report"])
def test_a_stop_at_the_end_is_completed_by_the_same_command(where, tuned_once, fitted, monkeypatch) -> None:
    """The run as it was fitted, with the finished tuning: only the end is done again, and is stopped in it."""
    finished = files()
    for path in list(Path("run").iterdir()):
        if path.name != "tuning":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in (fitted / "run").iterdir():
        if path.name != "tuning":
            (shutil.copytree if path.is_dir() else shutil.copy)(path, Path("run") / path.name)
    keeps(monkeypatch, True)

    def crash(*_: object, **__: object) -> None:
        raise CrashError

    with monkeypatch.context() as crashing:
        crashing.setattr(finish_run, where, crash)
        assert isinstance(CliRunner().invoke(app, ["train", *TUNE]).exception, CrashError)
    assert not Path("run/report.html").exists()
    assert not Path("run/val").exists() or weights_tested_in("run/val") == hash_of()
    said(*TUNE)
    assert set(files()) == set(finished)
    assert weights_tested_in("run/val") == hash_of()


def test_a_test_of_other_weights_that_was_not_finished_is_removed(tuned_once) -> None:
    note = Path("run/val/evaluate.json")
    note.write_text(json.dumps(json.loads(note.read_text()) | {"weights_sha256": "0" * 64}))
    Path("run/val/scores.npz").unlink()
    Path("run/val/parts").mkdir()
    out = said(*TUNE)
    assert "run/val: a test of the earlier network, which was not finished, is removed" in out
    assert weights_tested_in("run/val") == hash_of()
    assert not Path("run/val-before-tuning-2").exists()


def test_an_unfinished_test_with_other_settings_starts_again(tuned_once) -> None:
    note = Path("run/val/evaluate.json")
    note.write_text(json.dumps(json.loads(note.read_text()) | {"batch": 3}))
    Path("run/val/scores.npz").unlink()
    out = said(*TUNE)
    assert "run/val: a test of other videos, or in another --precision or --batch, which was not finished, is" in out
    assert json.loads(note.read_text())["batch"] == 8
    assert weights_tested_in("run/val") == hash_of()


def test_results_that_lack_a_report_get_it_whatever_the_batch(tuned_once) -> None:
    before = files()
    Path("run/val/report.html").unlink()
    out = said(*TUNE, "--batch", "2")
    assert "removed" not in out
    assert set(files()) == set(before)
    assert files("run/val")[Path("run/val/scores.npz")] == before[Path("run/val/scores.npz")]


def test_a_readme_that_a_stop_kept_from_being_written_is_written(tuned_once) -> None:
    Path("run/README.txt").unlink()
    said(*TUNE)
    assert Path("run/README.txt").exists()


def test_a_test_in_which_another_process_works_is_not_moved(fitted, tuned_once) -> None:
    for name in ("scores.npz", "evaluate.json", "report.html"):
        shutil.copy(fitted / "run/val" / name, "run/val")
    with OutputPath.folder("run/val").held():
        assert "another process is writing there" in refused(*TUNE)
    assert Path("run/val").exists()


def test_a_tuning_that_was_killed_in_its_first_save_starts_again(plain, monkeypatch) -> None:
    keeps(monkeypatch, False)

    def crash(*_: object, **__: object) -> None:
        raise CrashError

    with monkeypatch.context() as crashing:
        crashing.setattr(RunFolder, "save_state", crash)
        assert isinstance(CliRunner().invoke(app, ["train", *TUNE]).exception, CrashError)
    assert "a training that was stopped before its first state was written starts again" in said(*TUNE)
    assert OutOfFold.load("run").tuning is not None


# Another folder -----------------------------------------------------------------------------------------------------------


def test_a_run_without_its_clips_names_a_missing_one_and_the_option_root(plain, tmp_path, monkeypatch) -> None:
    (tmp_path / "there").mkdir()
    shutil.move("run", tmp_path / "there/run")
    shutil.copytree(plain, tmp_path / "copy")
    shutil.rmtree(plain / "clips")
    shutil.rmtree(plain / "val")
    monkeypatch.chdir(tmp_path / "there")
    message = refused(*TUNE)
    assert "run: 12 of the 12 videos that it was fitted on are not there, more than the 3 that are tolerated" in message
    assert f"first {plain}/clips/jump/v0.mp4: --root FOLDER" in message
    assert f"the folder that now has what {plain} had" in message
    said(*TUNE, "--root", str(tmp_path / "copy"))
    assert OutOfFold.load("run").tuning is not None


def test_a_project_that_was_moved_entirely_is_tuned_where_it_is(plain, tmp_path, monkeypatch) -> None:
    shutil.move(plain, tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert str(tmp_path / "elsewhere/clips") in said(*TUNE, "--dry-run")


def test_a_resumed_run_keeps_its_backbone(plain) -> None:
    options = TrainOptions(resume=True)
    for word in ("auto", None):
        plan = TrainRequest(data=Path("clips"), val=Path("val"), out=Path("run"), backbone=word, options=options).plan()
        assert isinstance(plan, FittingPlan)
        assert plan.options.backbone == "backbone.safetensors"


# What is refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--classes", "names.txt"], "--classes"),
        (["--logger", "tensorboard"], "--logger tensorboard"),
        (["--trust-first-use"], "--trust-first-use"),
        (["--test", "val"], "--test"),
        (["--val", "val"], "--val"),
        (["--init", "none"], "--init"),
        (["--finetune", "never"], "--finetune never"),
        (["--finetune", "auto", "--lr", "1e-3"], "--lr belongs to fine-tuning"),
        (["--set", "test.size=32"], "--set test.size=32"),
        (["--lr", "0"], "train.optimizer.lr"),
    ],
)
def test_options_that_mean_nothing_to_a_run_are_refused(words, named, plain) -> None:
    Path("names.txt").write_text("jump\nrun\n")
    assert named in refused("run", *words, *HERE)


def test_a_list_that_cannot_be_judged_is_not_tuned(tmp_path, monkeypatch) -> None:
    rows = [f"{label}{i}.mp4,{label},recording {label}{i}" for label in ("jump", "run") for i in range(2)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,group", *rows]) + "\n")
    write_clips(tmp_path / "made", 0, 2)
    for label in ("jump", "run"):
        for i in range(2):
            shutil.move(tmp_path / f"made/{label}/v{i}.mp4", tmp_path / f"{label}{i}.mp4")
    message = refused(str(tmp_path / "list.csv"), "--finetune", "always", "--out", str(tmp_path / "run"), *HERE)
    assert "list.csv: --finetune always: every fold holds videos of one recording only" in message
    assert not (tmp_path / "run").exists()


def test_a_run_that_cannot_be_judged_is_not_tuned(plain, monkeypatch) -> None:
    monkeypatch.setattr(TuningStart, "recordings", property(lambda start: 1))
    why = "every fold holds videos of one recording only, which cannot show whether a fine-tuned network is better"
    assert f"run: {why}" in refused(*TUNE)
    assert f"The network is not fine-tuned: {why}" in said("run", *HERE)
    assert why in OutOfFold.load("run").tuning_note


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["half"], "half is the folder of a training, without a classifier on frozen features"),
        (["clips", "--finetune", "never", "--minutes", "5"], "--minutes 5 is for --backbone auto and for fine-tuning"),
    ],
)
def test_what_can_have_no_effect_is_refused(words, message, plain) -> None:
    Path("half").mkdir()
    shutil.copy("run/run.json", "half")
    assert message in refused(*words, *HERE)


def test_tensors_of_the_kept_tuning_are_those_of_its_folder(tuned_once) -> None:
    one = read_checkpoint(Path("run/last.safetensors")).tensors
    other = read_checkpoint(next(Path("run/tuning").glob("*/all/last.safetensors"))).tensors
    assert all(torch.equal(value, other[name]) for name, value in one.items())
