"""`marey train FOLDER --labels`: corrected clips are fitted on, and the others show the effect."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import marey
from marey.cli.app import app
from marey.evaluation.out_of_fold.result import OUT_OF_FOLD, OutOfFold
from marey.workflows.classifier.train_on_features import FittingPlan
from marey.workflows.train import TrainRequest
from tests.support.tiny_backbone import BACKBONE, CLASSES, HERE, add_clips, save_backbone, trained

SWAPPED = {f"bars/{i:03}.mp4": ("spots", "bars") for i in range(4)} | {"spots/000.mp4": ("waves", "spots")}
"""Clips whose label in the list is wrong: the wrong one and the right one."""
OUT = ("waves/000.mp4", "waves/001.mp4")


def words(*more: object) -> list[str]:
    return ["train", "list.csv", "--labels", "fix.csv", "--backbone", "backbone.safetensors", *map(str, more)]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with clips/, a list.csv in which some labels are wrong, fix.csv that corrects them, and a run with it."""
    workdir: Path = tmp_path_factory.mktemp("corrected")
    add_clips(workdir / "clips", 0, 8)
    rows = [(f"{label}/{i:03}.mp4", label) for label in CLASSES for i in range(8)]
    lines = [f"clips/{name},{SWAPPED[name][0] if name in SWAPPED else label}" for name, label in rows]
    (workdir / "list.csv").write_text("\n".join(["path,label", *lines]) + "\n")
    fixed = [f"clips/{name};{right};;" for name, (_, right) in SWAPPED.items()] + [f"clips/{name};;;x" for name in OUT]
    (workdir / "fix.csv").write_text("\r\n".join(["\ufeffpath;label;why;leave_out", *fixed, ""]))
    save_backbone(workdir / "backbone.safetensors")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(workdir)
        patched.setenv("MAREY_CACHE", str(workdir / "cache"))
        done = CliRunner().invoke(app, words("--out", "run", "--finetune", "never", "--workers", 0, "--device", "cpu"))
        assert done.exit_code == 0, done.output
        (workdir / "said.txt").write_text(done.output)
    return workdir


@pytest.fixture
def workdir(made, tmp_path, monkeypatch) -> Path:
    """The working folder: a copy of what was made, its cache of features too."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAREY_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_a_run_reports_corrections_and_their_effect(made) -> None:
    found, said = OutOfFold.load(made / "run"), (made / "said.txt").read_text()
    text = " ".join(said.split())
    assert "22 videos, 3 classes" in text
    assert "fix.csv: of 24 videos to train on 5 get another label, 2 are left out." in text
    assert "2 videos that are left out: their features and frames serve only to compare" in text
    made_of = found.corrections
    assert made_of is not None and made_of.compared is not None
    assert (made_of.labels, made_of.groups, made_of.left_out, made_of.compared.videos) == (5, 0, 2, 17)
    assert made_of.compared.after > made_of.compared.before
    assert found.corrections_sentence.startswith("On the 17 videos without corrections: ")
    assert found.corrections_sentence in text
    assert found.corrections_sentence in (made / "run" / "report.html").read_text()
    noted = json.loads((made / "run" / OUT_OF_FOLD).read_text())
    assert noted["corrections_sentence"] == found.corrections_sentence and noted["cost"]["computed"] == 24


def test_the_number_after_is_that_of_the_predictions_of_the_run(made) -> None:
    found = OutOfFold.load(made / "run")
    scores, compared = found.result.scores, found.corrections.compared
    others = [row for row, name in enumerate(scores.ids) if name.removeprefix("clips/") not in SWAPPED]
    right = scores.probabilities[others].argmax(1) == scores.labels[others]
    assert len(others) == compared.videos and float(right.mean()) == pytest.approx(compared.after)


def test_the_number_before_is_that_of_a_run_without_corrections(workdir) -> None:
    before = trained("before", "list.csv").result.scores
    corrected = OutOfFold.load("run")
    rows = [row for row, name in enumerate(before.ids) if name.removeprefix("clips/") not in (*SWAPPED, *OUT)]
    right = before.probabilities[rows].argmax(1) == before.labels[rows]
    assert float(right.mean()) == pytest.approx(corrected.corrections.compared.before)
    assert OutOfFold.load("before").corrections is None


def test_the_run_keeps_its_corrections_and_the_corrected_list(workdir) -> None:
    with (workdir / "run" / "labels.csv").open(newline="") as file:
        rows = {row["path"].removeprefix("clips/"): (row["label"], row["leave_out"]) for row in csv.DictReader(file)}
    assert rows == {**{name: (right, "") for name, (_, right) in SWAPPED.items()}, **dict.fromkeys(OUT, ("", "x"))}
    kept = marey.read_manifest("run/split.csv")
    assert len(kept) == 22 and all(video.path.parent.name == kept.class_names[video.label] for video in kept)
    readme = Path("run/README.txt").read_text()
    assert "train list.csv --labels fix.csv" in readme and "labels.csv" in readme
    model = marey.load_model("run")
    assert model.trained_on is not None and len(model.trained_on) == 22
    asked = TrainRequest(data=Path("list.csv"), out=Path("again"), backbone="backbone.safetensors")
    plans = [replace(asked, labels=Path(name)).plan() for name in ("fix.csv", "run/labels.csv")]
    assert all(isinstance(plan, FittingPlan) for plan in plans)
    assert plans[0].train.fingerprint == plans[1].train.fingerprint


def test_a_resumed_run_takes_the_same_corrections_only(workdir) -> None:
    assert trained(data="list.csv", labels="fix.csv", resume=True).corrections is not None
    for labels in (None, "other.csv", "groups.csv"):
        Path("other.csv").write_text("path,label\nclips/bars/000.mp4,bars\n")
        Path("groups.csv").write_text(Path("run/labels.csv").read_text().replace("bars,,", "bars,g,"))
        with pytest.raises(marey.RunError, match="corrections"):
            trained(data="list.csv", labels=labels, resume=True)


def test_a_dry_run_prints_the_plan(workdir) -> None:
    done = CliRunner().invoke(app, words("--dry-run", "--out", "dry"))
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert "fix.csv: of 24 videos to train on 5 get another label, 2 are left out." in lines
    assert [line.split() for line in lines if line.startswith(CLASSES)] == [
        ["bars", "8"],
        ["spots", "8"],
        ["waves", "6"],
    ]
    assert not Path("dry").exists()


def test_corrections_of_groups_alone_leave_nothing_to_compare(workdir) -> None:
    for i in range(8):
        (workdir / f"clips/bars/{i:03}.mp4").rename(workdir / f"clips/bars/park{i // 2}_{i}.mp4")
    Path("g.csv").write_text("path,group\nspots/000.mp4,yard\nwaves/000.mp4,yard\n")
    found = trained("grouped", "clips", labels="g.csv")
    assert found.corrections.compared is None and found.corrections.groups == 2
    assert found.corrections_sentence.startswith("The corrections change no label of the videos to train on")
    kept = marey.read_manifest("grouped/split.csv")
    groups = dict(zip([video.path.name for video in kept], kept.groups.tolist(), strict=True))
    assert {groups[f"park{i // 2}_{i}.mp4"] for i in range(8)} == {f"park{i}" for i in range(4)}
    assert sum(group == "yard" for group in kept.groups.tolist()) == 2


def test_tested_clips_are_corrected_in_their_test_and_in_the_list_of_the_run(workdir) -> None:
    add_clips(Path("val"), 20, 22)
    Path("v.csv").write_text(
        "path,label,group\nval/bars/020.mp4,,hall\nval/spots/020.mp4,,hall\nval/waves/021.mp4,bars,\n"
    )
    found = trained("tested", "clips", val="val", labels="v.csv")
    assert any("for val 1 gets another label, 2 are given a group" in note for note in found.notes)
    assert (found.corrections.labels, found.corrections.groups) == (0, 0)
    scores = marey.EvaluationResult.load("tested/val").scores
    groups = dict(zip(scores.ids, scores.groups.tolist(), strict=True))
    assert groups["bars/020.mp4"] == groups["spots/020.mp4"] == "hall" and groups["waves/020.mp4"] == ""
    assert scores.class_names[scores.labels[scores.ids.index("waves/021.mp4")]] == "bars"
    kept = marey.read_manifest("tested/split.csv", split="val")
    assert sorted(video.path.parent.name for video in kept if video.group == "hall") == ["bars", "spots"]


@pytest.mark.slow
def test_original_labels_without_two_recordings_per_class_leave_nothing_to_compare(workdir) -> None:
    names = [f"clips/{label}/{i:03}.mp4" for label in ("bars", "spots") for i in range(4)]
    Path("two.csv").write_text(
        "path,label\n" + "".join(f"{name},{'bars' if i < 7 else 'spots'}\n" for i, name in enumerate(names))
    )
    Path("c.csv").write_text("path,label\n" + "".join(f"{name},spots\n" for name in names[4:]))
    found = trained("two", "two.csv", labels="c.csv")
    assert found.corrections.compared is None
    assert "too few classes have videos of two recordings" in found.corrections_sentence


@pytest.mark.slow
def test_clips_of_several_labels_are_compared_by_mean_average_precision(workdir) -> None:
    rows = [
        (f"clips/{label}/{i:03}.mp4", f"{label}|{'early' if i < 4 else 'late'}") for label in CLASSES for i in range(8)
    ]
    wrong = {"clips/bars/000.mp4": "waves|late", "clips/waves/007.mp4": "bars"}
    Path("several.csv").write_text("path,label\n" + "".join(f"{name},{wrong.get(name, own)}\n" for name, own in rows))
    Path("c.csv").write_text("path,label\n" + "".join(f"{name},{dict(rows)[name]}\n" for name in wrong))
    found = trained("several", "several.csv", labels="c.csv")
    assert found.corrections.compared.videos == 22 and ": mAP " in found.corrections_sentence


@pytest.mark.slow
def test_a_clip_that_is_left_out_may_be_broken(workdir) -> None:
    Path("clips/waves/000.mp4").write_bytes(b"no video")
    found = trained("broken", "list.csv", labels="fix.csv", max_broken=0.0)
    assert found.corrections.compared.videos == 17 and not found.result.broken


def test_a_list_that_corrections_make_useless_is_refused_with_their_name(workdir) -> None:
    names = [f"clips/{label}/{i:03}.mp4" for label in CLASSES for i in range(8)]
    for text in (
        "path,label\n" + "".join(f"{n},bars\n" for n in names),
        "path,leave_out\n" + "".join(f"{n},x\n" for n in names),
    ):
        Path("c.csv").write_text(text)
        with pytest.raises(marey.DataError, match=r"This is the list after the corrections of c\.csv\."):
            marey.train("list.csv", labels="c.csv", out="no", **HERE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"init": "none"}, "--labels fix.csv belongs to a classifier on frozen features"),
        ({"settings": ["train.epochs=1"]}, "--labels fix.csv belongs to a classifier on frozen features"),
        ({"recipe": BACKBONE}, "--labels fix.csv belongs to a classifier on frozen features"),
        ({"data": "run"}, "--labels: run is a run, which can only be fine-tuned: leave --labels out"),
        ({"labels": "none.csv"}, "none.csv: no such file of corrections"),
        ({"labels": "new/labels.csv", "out": "new"}, "new/labels.csv is read by this command"),
    ],
)
def test_labels_where_they_can_have_no_effect_are_refused_before_work(workdir, options, message) -> None:
    (workdir / "new").mkdir()
    shutil.copy("run/labels.csv", "new")
    given = {"data": "list.csv", "labels": "fix.csv", **HERE, **options}
    with pytest.raises(marey.MareyError, match=message):
        marey.train(given.pop("data"), **given)
    assert not Path("runs").exists()
