"""A result is complete after it was written and read, and files of version 0.1.0 are still read."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from marey.base.errors import DataError
from marey.data.files.quarantine import Broken
from marey.evaluation.compare import Comparison, compare
from marey.evaluation.fusion import fuse
from marey.evaluation.protocol import EvaluationProtocol, FusionProtocol, Restriction, read_protocol
from marey.evaluation.report.page import write_report
from marey.evaluation.result import EvaluationResult
from marey.evaluation.scores import Scores
from marey.recipes import get_recipe

WRITTEN = Path(__file__).parent / "version_0_1_0"
"""By version 0.1.0 with a small network of random weights: an evaluation with a broken file (scores.npz, result.json),
one with --only, one of several labels per video, two of the same videos and what `marey fuse --weights 1,1.5` made of
them."""


def protocol_in(path: Path) -> str:
    with np.load(path) as file:
        return str(file["protocol"])


def test_a_result_of_0_1_0_is_read_and_written_unchanged(tmp_path) -> None:
    result = EvaluationResult.load(WRITTEN)
    assert [broken.id for broken in result.broken] == ["run/bad.mp4"]
    result.save(tmp_path)
    assert_as_it_was((tmp_path / "result.json").read_text(encoding="utf-8"), WRITTEN / "result.json")
    for name, column in np.load(WRITTEN / "scores.npz").items():
        np.testing.assert_array_equal(np.load(tmp_path / "scores.npz")[name], column)


def assert_as_it_was(text: str, path: Path) -> None:
    """The same JSON in the same order, with the fields that later versions add."""
    told, was = json.loads(text), json.loads(path.read_text(encoding="utf-8"))
    assert len(told["interval_text"]) > 9
    kept = {name: value for name, value in told.items() if name not in ("interval", "interval_text", "baseline")}
    assert json.dumps(kept) == json.dumps(was)


@pytest.mark.parametrize("name", ["scores", "only", "several_labels", "rgb", "flow", "fused"])
def test_protocols_of_0_1_0_are_written_unchanged(name, tmp_path) -> None:
    scores = Scores.load(WRITTEN / f"{name}.npz")
    scores.save(tmp_path / "again.npz")
    assert protocol_in(tmp_path / "again.npz") == protocol_in(WRITTEN / f"{name}.npz")
    assert isinstance(scores.protocol, FusionProtocol) == (name == "fused")
    assert all(part.recipe == "slowonly_r18_8x2_motions" for part in scores.protocol.parts)


def test_scores_of_0_1_0_are_fused_as_before() -> None:
    rgb, flow, fused = (Scores.load(WRITTEN / f"{name}.npz") for name in ("rgb", "flow", "fused"))
    again = fuse([rgb, flow], weights=[1, 1.5])
    np.testing.assert_array_equal(again.probabilities, fused.probabilities)
    assert_as_it_was(json.dumps(EvaluationResult(again).as_json()), WRITTEN / "fuse.json")
    assert len(fuse([fused, rgb]).protocol.parts) == 3


def test_scores_of_0_1_0_are_compared() -> None:
    protocol = Scores.load(WRITTEN / "only.npz").protocol
    assert isinstance(protocol, EvaluationProtocol)
    assert protocol.only is not None
    assert (protocol.only.list, protocol.only.left_out, protocol.only.missing) == ("only.txt", 3, 1)
    assert (protocol.tested, protocol.broken, protocol.split) == (6, 0, "val")
    (published,) = compare(get_recipe("slowonly_r50_8x8_k400"), protocol, top1=0.7, videos=6)
    assert "only the videos of only.txt were scored" in published.reasons
    assert "the test rule is not the recipe's" in published.reasons


def test_a_folder_of_0_1_0_is_reported(tmp_path) -> None:
    for name in ("scores.npz", "result.json"):
        shutil.copy(WRITTEN / name, tmp_path)
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "slowonly_r18_8x2_motions · one label per video, 6 classes" in page
    assert "For new videos like these, 90 % interval 0 % to 23 % (over 9 videos)" in page
    assert "v/run/bad.mp4: not a video" in page
    assert '<th scope="row">data_fingerprint</th>' in page


def result(**more: object) -> EvaluationResult:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], np.float32)
    return EvaluationResult(Scores(("x", "y", "z"), np.array([0, 1, 1]), probabilities, ("a", "b")), **more)


def test_a_saved_result_is_loaded(tmp_path) -> None:
    numbers = Comparison("published (paper)", 60.0, 66.7, 20.0, 90.0, ("the split is test",))
    whole = result(broken=(Broken("w", "v/w", "v/w: no"),), comparisons=(numbers,))
    whole.save(tmp_path)
    again = EvaluationResult.load(tmp_path)
    assert (again.broken, again.comparisons) == (whole.broken, whole.comparisons)
    assert again.as_json() == whole.as_json()
    assert again.top1 == pytest.approx(2 / 3)
    (tmp_path / "result.json").unlink()
    assert EvaluationResult.load(tmp_path).broken == ()
    for text in ("[]", "{}", "{", '{"broken": [{"id": 1}]}'):
        (tmp_path / "result.json").write_text(text)
        with pytest.raises(DataError, match=r"result\.json: not a result that evaluate wrote"):
            EvaluationResult.load(tmp_path)


def test_its_repr_is_one_line() -> None:
    assert repr(result()) == "EvaluationResult(3 videos: top-1 66.7 % (90 % interval 25 % to 92 %))"
    shown = repr(result(broken=(Broken("w", "v/w", "v/w: no"),)))
    assert shown == "EvaluationResult(3 videos, 1 broken: top-1 66.7 % (90 % interval 25 % to 92 %))"
    several = Scores(("x",), np.array([[1, 0]]), np.array([[0.9, 0.1]], np.float32), ("a", "b"))
    assert repr(EvaluationResult(several)) == "EvaluationResult(1 video: mAP 100.0 %)"


def test_the_repr_of_scores_and_protocols_is_one_line() -> None:
    tested = EvaluationProtocol(recipe="tiny", split="val", videos=1200, test={"frames": list(range(99))})
    assert repr(tested) == str(tested) == "EvaluationProtocol(tiny, val, 1,200 videos, float32)"
    assert repr(EvaluationProtocol()) == "EvaluationProtocol(float32)"
    fused = FusionProtocol(fused=(tested, EvaluationProtocol()), of="logits", weights=(1, 1.5))
    assert repr(fused) == "FusionProtocol(logits of tiny + ?, weights 1, 1.5)"
    assert repr(result().scores) == "Scores(3 videos, 2 classes: EvaluationProtocol(float32))"


def test_unknown_fields_are_kept_in_files_and_refused_in_code() -> None:
    later = {"recipe": "mine", "only": {"list": "l", "left_out": 1, "missing": 0, "later": 2}, "a later field": [1]}
    whole = {"fused": [later, later], "of": "logits", "weights": [1, 1], "later": "x"}
    for kept in (later, whole):
        assert read_protocol(kept).as_json() == kept
    read = read_protocol(later)
    assert FusionProtocol(fused=(read, read), of="logits", weights=(1, 1)).as_json()["fused"] == [later, later]
    for misspelt in (
        lambda: EvaluationProtocol(recipee="x"),
        lambda: EvaluationProtocol.model_validate({"recipee": "x"}),
        lambda: FusionProtocol(fused=(), of="logits", weights=(), recipee="x"),
        lambda: Restriction(list="l", left_out=0, missing=0, recipee="x"),
        lambda: EvaluationProtocol(only={"list": "l", "left_out": 0, "missing": 0, "recipee": "x"}),
    ):
        with pytest.raises(ValueError, match="has no field recipee"):
            misspelt()


def test_scores_that_marey_did_not_make_have_an_empty_protocol() -> None:
    assert result().scores.protocol.as_json() == {}
    assert read_protocol({}) == EvaluationProtocol()
    kept = {"recipe": "mine", "a later field": [1, 2]}
    assert read_protocol(kept).as_json() == kept
    fused = fuse([result().scores, result().scores]).protocol
    assert read_protocol(fused.as_json()) == fused
    assert fused.as_json()["fused"] == [{}, {}]


def answered(right: list[bool], classes: int = 3, **more: object) -> EvaluationResult:
    """Scores of videos of the first class, every fourth of the second; wrong ones are predicted as the next class."""
    labels = (np.arange(len(right)) % 4 == 3).astype(np.int64)
    probabilities = np.full((len(right), classes), 0.1, np.float32)
    probabilities[np.arange(len(right)), (labels + ~np.array(right)) % classes] = 0.8
    names = ("run", "jump", "fall", "swim", "dive", "walk")[:classes]
    return EvaluationResult(Scores(tuple(f"v{i}" for i in range(len(right))), labels, probabilities, names, **more))


@pytest.mark.parametrize(("classes", "shown"), [(2, False), (5, False), (6, True)])
def test_top5_is_shown_with_six_classes_or_more(classes, shown, tmp_path) -> None:
    found = answered([True] * 8, classes)
    found.save(tmp_path)
    page = write_report(tmp_path).read_text(encoding="utf-8")
    titles = " ".join(row.title for row in found.rows())
    for text in (repr(found), found.summary(), titles, page):
        assert ("top-5" in text) == shown
    assert ("top5" in found.metrics()) == ("top5" in found.as_json()) == shown
    assert found.top5 == 1


def test_the_verdict_compares_with_always_answering_one_class() -> None:
    """Three quarters of 40 videos are of the first class, "run"."""
    clearly, hardly = answered([True] * 36 + [False] * 4), answered([True] * 32 + [False] * 8)
    assert clearly.majority == hardly.majority == 0.75
    assert clearly.verdict == "90.0 % of 40 videos right, more than always answering 'run' would give (75.0 %)."
    assert (
        hardly.verdict == "80.0 % of 40 videos right, not clearly more than always answering 'run' would give (75.0 %)."
    )
    same, fewer = answered([True] * 30 + [False] * 10), answered([True] * 12 + [False] * 28)
    assert same.verdict == "75.0 % of 40 videos right, no more than always answering 'run' would give (75.0 %)."
    assert fewer.verdict == "30.0 % of 40 videos right, less than always answering 'run' would give (75.0 %)."
    one = answered([True])
    assert one.verdict == (
        "100.0 % of 1 video right; always answering 'run' gives 100.0 % too: videos of one class do not "
        "show whether classes are told apart."
    )
    assert "(1 video)" in one.summary()
    assert "(over 1 video)" in one.summary()
    assert "1 videos" not in one.summary()


def test_the_summary_begins_with_the_verdict_its_interval_and_what_guessing_gives() -> None:
    found = answered([True] * 36 + [False] * 4)
    verdict, interval, numbers, *_ = found.summary().splitlines()
    assert verdict == found.verdict
    assert interval == "For new videos like these, 90 % interval 80 % to 95 % (over 40 videos); guessing gives 33.3 %."
    assert numbers.startswith("top-1 90.0 %   mean class ")
    noted = found.as_json()
    assert (noted["interval"]["over"], noted["interval"]["count"], noted["interval"]["level"]) == ("videos", 40, 0.9)
    assert noted["baseline"] == {"value": 0.75, "text": "always answering 'run'", "chance": pytest.approx(1 / 3)}


def test_groups_are_kept_and_intervals_are_over_them(tmp_path) -> None:
    groups = np.repeat([f"g{i}" for i in range(10)], 4)
    found = answered([True] * 36 + [False] * 4, groups=groups)
    assert "(over 10 groups)" in found.summary()
    assert found.interval.high - found.interval.low > 0.15 + 1e-9  # over videos, 0.15
    found.save(tmp_path)
    again = EvaluationResult.load(tmp_path)
    assert again.scores.groups.tolist() == groups.tolist()
    assert again.interval == found.interval
    assert fuse([again.scores, found.scores]).groups.tolist() == groups.tolist()
    kept = found.scores.keep(["v0", "v39"])
    assert kept.groups.tolist() == ["g0", "g9"]
    assert Scores.load(WRITTEN / "scores.npz").groups is None


def test_few_groups_have_no_interval_with_a_reason() -> None:
    found = answered([True] * 30 + [False] * 10, groups=np.repeat(["a", "b", "c", "d"], 10))
    assert found.interval is None
    assert found.verdict == "75.0 % of 40 videos right; always answering 'run' would give 75.0 %."
    said = "no interval for new videos: these are of 4 groups, and fewer than 5 do not show how much groups differ"
    assert found.as_json()["interval_text"] == said
    assert found.as_json()["interval"] is None
    assert said[1:] in found.summary()
    assert found.rows()[0].note == said
    alone = answered([True] * 4, groups=np.repeat(["a"], 4))
    assert "these are of 1 group, and fewer than 5" in alone.summary()


def test_groups_of_which_one_has_nearly_all_videos_have_no_interval_with_a_reason() -> None:
    found = answered([True] * 60 + [False] * 20, groups=np.array(["a"] * 72 + [f"g{i}" for i in range(8)]))
    assert found.interval is None
    assert found.rows()[0].note == (
        "no interval for new videos: of 9 groups one has 72 of the 80 videos, and "
        "the others do not show how much groups differ"
    )


def test_a_confusion_matrix_keeps_its_columns_below_names_of_any_width() -> None:
    """A Chinese character takes two columns of a terminal."""
    names = ("打篮球", "run", "a sentence about what is done in the videos of this class")
    lines = (
        replace(answered([True] * 8), scores=replace(answered([True] * 8).scores, class_names=names))
        .summary()
        .splitlines()
    )
    rows = lines[-3:]
    widths = [sum(2 if ord(letter) > 0x2E80 else 1 for letter in row) for row in rows]
    assert len(set(widths)) == 1
    assert max(widths) < 60
    assert rows[2].startswith(" 2 a sentence about what is done i")


def test_long_class_names_are_shortened_in_sentences() -> None:
    found = EvaluationResult(replace(answered([True, True]).scores, class_names=("x" * 200, "b", "c")))
    assert len(found.verdict) < 250 and "always answering 'xxxxxxxxx" in found.verdict
    assert repr(found.standing) == "PrimaryMetric(top-1 100.0 % (90 % interval 43 % to 100 %) of 2 videos)"


def test_every_share_is_written_in_one_way() -> None:
    found = answered([True] * 36 + [False] * 4, classes=6)
    for text in (repr(found), found.summary(), found._repr_html_(), *(row.value for row in found.rows())):
        assert re.search(r"\d%", text.replace("100%", "")) is None
        assert not re.search(r"\d\.\d\d+ %", text)


def test_several_labels_have_a_baseline_and_no_interval() -> None:
    """Classes of 3 and 1 of 4 videos: with equal scores the precision is 3/4 and 1/4 at the only threshold."""
    labels = np.array([[1, 0], [1, 0], [1, 1], [0, 0]])
    found = EvaluationResult(Scores(("a", "b", "c", "d"), labels, labels.astype(np.float32), ("run", "jump")))
    equal = EvaluationResult(Scores(("a", "b", "c", "d"), labels, np.full((4, 2), 0.5, np.float32), ("run", "jump")))
    assert equal.mean_ap == found.standing.baseline.value == 0.5
    assert found.verdict == "mAP 100.0 % of 4 videos; equal scores for all videos would give 50.0 %."
    assert "No interval is computed for mAP." in found.summary()
    grouped = replace(found, scores=replace(found.scores, groups=np.array(["g", "g", "g", "g"])))
    assert "No interval is computed for mAP." in grouped.summary()
    with pytest.raises(DataError, match="no top-1"):
        _ = found.majority
