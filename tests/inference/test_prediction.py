"""A prediction as text and as JSON that is read back, byte for byte as version 0.1.0 wrote it."""

import json
from pathlib import Path

import numpy as np
import pytest

from marey.data.lists.videos import VideoEntry
from marey.tasks.prediction import Prediction

WRITTEN = Path(__file__).parents[1] / "evaluation" / "version_0_1_0" / "predictions.jsonl"
"""By `marey predict --out` of version 0.1.0: parts of videos, whole ones and broken ones."""

PROBABILITIES = np.array([0.04, 0.931, 0.0, 0.029], np.float32)
NAMES = ("run", "kick", "swim", "öffnen")


def prediction(start: float | None = None, end: float | None = None) -> Prediction:
    return Prediction(VideoEntry.named("v/kick.mp4", Path("v/kick.mp4"), start, end), PROBABILITIES, NAMES)


def broken() -> Prediction:
    video = VideoEntry("v/a.mp4", Path("v/a.mp4"))
    return Prediction(video, np.empty(0, np.float32), (), "v/a.mp4: not a video")


def test_lines_of_0_1_0_are_read_and_written_unchanged() -> None:
    lines = WRITTEN.read_text(encoding="utf-8").splitlines()
    read = [Prediction.from_json(json.loads(line)) for line in lines]
    assert [json.dumps(one.as_json(), ensure_ascii=False) for one in read] == lines
    assert sum(one.error is not None for one in read) == 2
    assert {(one.start, one.end) for one in read} >= {(0, 0.5), (0.5, None), (None, None)}
    assert read[0].id == "v/run/v0.mp4@0-0.5"


def test_json() -> None:
    assert prediction().as_json(2) == {
        "path": "v/kick.mp4",
        "top": [
            {"label": "kick", "probability": float(np.float32(0.931))},
            {"label": "run", "probability": float(np.float32(0.04))},
        ],
    }
    assert list(prediction(1.5, 3).as_json()) == ["path", "start", "end", "top"]
    assert list(prediction(1.5).as_json()) == ["path", "start", "top"]
    assert broken().as_json() == {"path": "v/a.mp4", "error": "v/a.mp4: not a video"}


@pytest.mark.parametrize("k", [1, 3, 5])
def test_a_file_holds_the_most_probable_classes(k) -> None:
    read = Prediction.from_json(json.loads(json.dumps(prediction(0, 2.5).as_json(k))))
    assert read.top(k) == prediction().top(k)
    assert (read.video, read.error) == (prediction(0, 2.5).video, None)
    assert read.as_json(k) == prediction(0, 2.5).likeliest(k).as_json(k)
    assert len(read.probabilities) == min(k, 4)


def test_among_equal_classes_the_first_ranks_first() -> None:
    equal = Prediction(VideoEntry("a", Path("a")), np.full(4, 0.25, np.float32), NAMES)
    assert [name for name, _ in equal.top(3)] == ["run", "kick", "swim"]


def test_text() -> None:
    assert prediction().as_text(2) == "v/kick.mp4\n   93.1 %  kick\n    4.0 %  run"
    assert prediction(None, 3).as_text(1) == "v/kick.mp4 0 s to 3 s\n   93.1 %  kick"
    assert prediction(1.5).as_text(1) == "v/kick.mp4 1.5 s to the end\n   93.1 %  kick"
    assert prediction(1000.125, 3661.0625).as_text(1).startswith("v/kick.mp4 1000.125 s to 3661.0625 s\n")
    assert broken().as_text() == "v/a.mp4: not a video"


def test_its_repr_is_one_line() -> None:
    assert repr(prediction()) == "Prediction('v/kick.mp4': kick 93.1 %, run 4.0 %, öffnen 2.9 %, ...)"
    assert repr(prediction(1, 2).likeliest(2)) == "Prediction('v/kick.mp4' 1 s to 2 s: kick 93.1 %, run 4.0 %)"
    assert repr(broken()) == "Prediction('v/a.mp4': not a video)"


@pytest.mark.parametrize("value", [{}, {"path": "a", "top": [{"label": "x"}]}, {"path": "a", "top": 1}])
def test_json_that_is_no_prediction_is_refused(value) -> None:
    with pytest.raises((KeyError, TypeError)):
        Prediction.from_json(value)


def test_asking_for_more_classes_than_there_are_gives_all() -> None:
    assert len(prediction().top(5)) == len(prediction().as_json(9)["top"]) == 4
    assert len(prediction().as_text(5).splitlines()) == 1 + 4
