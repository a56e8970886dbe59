"""`marey report` writes the page of a test again with its clips, from the list that the note of the test names."""

import json
import shutil

import numpy as np
import pytest

from marey.base.reporter import reporting
from marey.data.lists.read_manifest import read_manifest
from marey.evaluation.report.page import write_report
from marey.evaluation.run import evaluate
from marey.evaluation.scores import Scores
from marey.evaluation.tested_list import read_tested_list
from marey.weights.load import build_model
from tests.support.collecting import Collecting
from tests.support.made_videos import write_videos
from tests.support.tiny import RECIPE

MODEL = build_model(RECIPE).with_classes(("jump", "run"))


@pytest.fixture
def tested(tmp_path, monkeypatch):
    """The folder of a test of clips/, started in tmp_path with relative paths."""
    monkeypatch.chdir(tmp_path)
    write_videos(tmp_path / "clips", 2)
    evaluate(MODEL, "clips", out="e", workers=0)
    return tmp_path / "e"


def test_a_page_that_is_written_again_keeps_its_clips(tested, tmp_path, monkeypatch) -> None:
    first = write_report(tested, read_manifest(tmp_path / "clips")).read_bytes()
    assert b"data:image/jpeg" in first
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert write_report(tested, read_tested_list(tested)).read_bytes() == first


def test_only_the_tested_videos_of_a_list_are_found(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_videos(tmp_path / "clips", 2)
    everything = read_manifest("clips")
    rows = [
        f"{video.id},{everything.class_names[video.label]},{'val' if n % 2 else 'train'}"
        for n, video in enumerate(everything)
    ]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,split", *rows]), encoding="utf-8")
    evaluate(MODEL, "list.csv", root="clips", split="val", out="e", workers=0)
    found = read_tested_list("e")
    assert {video.id for video in found} == set(Scores.load("e/scores.npz").ids)
    assert all(video.path.exists() for video in found)


def test_a_notice_says_why_there_are_no_clips(tested, tmp_path) -> None:
    def said() -> str:
        with reporting(kept := Collecting()):
            assert read_tested_list(tested) is None
        return " ".join(kept.notices)

    shutil.move(tmp_path / "clips", tmp_path / "moved")
    assert f"the page has no examples: {tmp_path / 'clips'} does not exist any more" in said()
    (tmp_path / "clips" / "run").mkdir(parents=True)
    assert "the page has no examples: " in said()
    note = json.loads((tested / "evaluate.json").read_text(encoding="utf-8"))
    for name in ("list", "list_root", "list_split"):
        del note[name]
    (tested / "evaluate.json").write_text(json.dumps(note), encoding="utf-8")
    assert "the page has no examples: evaluate.json names no list of videos" in said()
    (tested / "scores.npz").unlink()
    assert read_tested_list(tested) is None


def test_a_test_of_version_0_1_0_is_resumed_though_its_note_names_no_list(tested) -> None:
    note = json.loads((tested / "evaluate.json").read_text(encoding="utf-8"))
    for name in ("list", "list_root", "list_split"):
        del note[name]
    (tested / "evaluate.json").write_text(json.dumps(note), encoding="utf-8")
    before = Scores.load(tested / "scores.npz").probabilities
    again = evaluate(MODEL, "clips", out="e", workers=0)
    np.testing.assert_array_equal(again.scores.probabilities, before)
