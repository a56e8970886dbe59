"""suspects.csv, suspects.json, and what the report shows of them."""

import base64
import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from marey.base.errors import DataError
from marey.base.reporter import CollectingReporter, reporting
from marey.data.recordings.signature import signature_of
from marey.data.splits.corrected_data import LABELS
from marey.evaluation.out_of_fold.cost import Cost
from marey.evaluation.out_of_fold.result import OutOfFold
from marey.evaluation.out_of_fold.suspects import SHOWN, SUSPECTS, SUSPECTS_PAGE, SuspectList, SuspectVideo, strip_of
from marey.evaluation.protocol import EvaluationProtocol
from marey.evaluation.report.page import write_report
from marey.evaluation.result import EvaluationResult
from marey.evaluation.scores import Scores
from marey.video.open import open_source
from marey.video.writing.writer import write_video

WRONG = SuspectVideo(
    "run/é 1.mp4@2-4", "run", "jump", "answered 'jump' 84 %, its label 9 %",
    shares=(0.09, 0.84), one_label=True, strip="data:image/jpeg;base64,AAAA",
)  # fmt: skip
ODD = SuspectVideo("jump/black.mp4", "jump", "", "black from beginning to end", "black from beginning to end")
SEVERAL = SuspectVideo("a.mp4", "run|jump", "run", "'jump' (7 %) seems too much", shares=(0.07,))


def _list(*clips: SuspectVideo) -> SuspectList:
    return SuspectList(clips, total=60, disagreeing=7, by=("order and position, without the video itself",))


def _run(folder: Path) -> Path:
    """A run of a classifier of one's own clips, some of them wrong and sure of it."""
    labels = np.arange(60) % 2
    shares = np.where(np.eye(2)[labels] > 0, 0.95, 0.05).astype(np.float32)
    shares[:10] = shares[:10, ::-1]
    ids = tuple(f"{row}.mp4" for row in range(60))
    scores = Scores(ids, labels, shares, ("run", "jump"), EvaluationProtocol(recipe="tiny", folds=5))
    found = OutOfFold(EvaluationResult(scores, ()), None, "order", 5, 0, cost=Cost(60, 0, 1.0, 1.0))
    found.save(folder)
    return folder


def test_the_table_has_a_row_for_each_clip_to_be_edited(tmp_path):
    _list(WRONG, ODD).save(tmp_path)
    with (tmp_path / SUSPECTS).open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["path", "label", "may_be", "why", "leave_out"],
            ["run/é 1.mp4@2-4", "run", "jump", "answered 'jump' 84 %, its label 9 %", ""],
            ["jump/black.mp4", "jump", "", "black from beginning to end", ""],
        ]


def test_saved_suspects_are_loaded_unchanged(tmp_path):
    assert SuspectList.load(tmp_path) is None
    _list(WRONG, ODD).save(tmp_path)
    assert SuspectList.load(tmp_path) == _list(WRONG, ODD)
    assert len(json.loads((tmp_path / SUSPECTS_PAGE).read_text(encoding="utf-8"))["clips"]) == 2, (
        "the key of earlier runs"
    )


def test_names_that_are_no_utf8_come_back(tmp_path):
    odd = replace(ODD, path="jump/\udcff.mp4")
    _list(odd).save(tmp_path)
    found = SuspectList.load(tmp_path)
    assert found is not None
    assert found.videos == (odd,)
    assert b"jump/\xff.mp4" in (tmp_path / SUSPECTS).read_bytes()


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / SUSPECTS_PAGE).write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="suspects.json: not what train wrote"):
        SuspectList.load(tmp_path)


def test_the_numbers_of_suspects_and_odd_clips_are_stated():
    assert _list().counts == ""
    assert _list(WRONG).counts == "1 of 60 videos may be labelled wrong"
    assert _list(WRONG, WRONG, ODD).counts == "2 of 60 videos may be labelled wrong, 1 video is odd"


def test_the_report_shows_each_with_its_frames_and_what_to_do(tmp_path):
    _run(tmp_path)
    _list(WRONG, ODD).save(tmp_path)
    page = write_report(tmp_path).read_text(encoding="utf-8")
    section = page[page.index("<h2>Suspects</h2>") :]
    assert "1 of 60 videos may be labelled wrong, 1 video is odd." in section
    assert "order and position, without the video itself" in section
    assert 'src="data:image/jpeg;base64,AAAA"' in section
    assert (
        'is <b>run</b> <span class="soft">9.0 %</span>, may be <b>jump</b> <span class="soft">84.0 %</span>' in section
    )
    assert "answered 'jump'" not in section  # its probabilities say so
    assert "no frames" in section
    assert "black from beginning to end" in section
    assert "edit the column label of suspects.csv" in section
    assert "Suspicious: wrong, and sure of it" not in page


def test_rows_of_a_run_that_was_corrected_are_to_be_copied(tmp_path):
    _run(tmp_path)
    _list(WRONG).save(tmp_path)
    (tmp_path / LABELS).write_text("path,label\n", encoding="utf-8")
    assert "copy these rows into your table of corrections" in write_report(tmp_path).read_text(encoding="utf-8")


def test_with_several_labels_the_page_names_the_surplus_one(tmp_path):
    _run(tmp_path)
    _list(SEVERAL).save(tmp_path)
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "is <b>run|jump</b>, may be <b>run</b>" in page
    assert "&#39;jump&#39; (7 %) seems too much" in page


def test_many_are_folded_and_the_last_are_in_the_table_alone(tmp_path):
    _run(tmp_path)
    _list(*[replace(WRONG, path=f"{row}.mp4") for row in range(SHOWN + 5)]).save(tmp_path)
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert page.count('<figure class="suspect">') == SHOWN
    assert "<summary>30 more</summary>" in page
    assert "5 more are in suspects.csv" in page


def test_a_run_without_suspects_lists_confident_wrong_predictions(tmp_path):
    page = write_report(_run(tmp_path)).read_text(encoding="utf-8")
    assert "<h2>Suspects</h2>" not in page
    assert "Suspicious: wrong, and sure of it" in page


def test_a_run_in_which_nothing_stands_out_says_so(tmp_path):
    _run(tmp_path)
    _list().save(tmp_path)
    assert "None of 60 videos stands out." in write_report(tmp_path).read_text(encoding="utf-8")


def test_a_report_is_written_where_the_suspects_cannot_be_read(tmp_path):
    _run(tmp_path)
    (tmp_path / SUSPECTS_PAGE).write_text("no json", encoding="utf-8")
    reporter = CollectingReporter()
    with reporting(reporter):
        assert "<h2>Suspects</h2>" not in write_report(tmp_path).read_text(encoding="utf-8")
    assert ["the report has no suspects" in message for _, message in reporter.take()] == [True]


@pytest.mark.parametrize(
    ("size", "expected"), [((48, 64), (90, 600)), ((240, 320), (90, 600)), ((120, 480), (67, 1000))]
)
def test_a_strip_has_five_small_frames_side_by_side(size, expected, tmp_path):
    random = np.random.RandomState(0)
    write_video(tmp_path / "a.mp4", [random.randint(0, 255, (*size, 3)).astype(np.uint8) for _ in range(6)], fps=5)
    with open_source(tmp_path / "a.mp4") as source:
        strip = strip_of(signature_of(source, 0, 6))
    encoded = np.frombuffer(base64.b64decode(strip.partition(",")[2]), np.uint8)
    assert cv2.imdecode(encoded, cv2.IMREAD_COLOR).shape[:2] == expected
