"""A result keeps everything on its way to files and back, and what version 0.1.0 wrote is still read."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from marey.base.errors import DataError
from marey.data.quarantine import Broken
from marey.evaluation.compare import Comparison, compare
from marey.evaluation.fusion import fuse
from marey.evaluation.protocol import EvaluationProtocol, FusionProtocol, Restriction, read_protocol
from marey.evaluation.report import write_report
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


def test_a_result_of_0_1_0_is_read_and_written_as_it_was(tmp_path) -> None:
    result = EvaluationResult.load(WRITTEN)
    assert [broken.id for broken in result.broken] == ["run/bad.mp4"]
    result.save(tmp_path)
    assert (tmp_path / "result.json").read_bytes() == (WRITTEN / "result.json").read_bytes()
    for name, column in np.load(WRITTEN / "scores.npz").items():
        np.testing.assert_array_equal(np.load(tmp_path / "scores.npz")[name], column)


@pytest.mark.parametrize("name", ["scores", "only", "several_labels", "rgb", "flow", "fused"])
def test_protocols_of_0_1_0_are_kept_word_for_word(name, tmp_path) -> None:
    scores = Scores.load(WRITTEN / f"{name}.npz")
    scores.save(tmp_path / "again.npz")
    assert protocol_in(tmp_path / "again.npz") == protocol_in(WRITTEN / f"{name}.npz")
    assert isinstance(scores.protocol, FusionProtocol) == (name == "fused")
    assert all(part.recipe == "slowonly_r18_8x2_motions" for part in scores.protocol.parts)


def test_what_0_1_0_wrote_fuses_as_it_did() -> None:
    rgb, flow, fused = (Scores.load(WRITTEN / f"{name}.npz") for name in ("rgb", "flow", "fused"))
    again = fuse([rgb, flow], weights=[1, 1.5])
    np.testing.assert_array_equal(again.probabilities, fused.probabilities)
    told = json.dumps(EvaluationResult(again).as_json(), indent=2, ensure_ascii=False) + "\n"
    assert told == (WRITTEN / "fuse.json").read_text(encoding="utf-8")
    assert len(fuse([fused, rgb]).protocol.parts) == 3


def test_what_0_1_0_wrote_compares() -> None:
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
    assert "slowonly_r18_8x2_motions · 95 % interval of top-1" in page
    assert "v/run/bad.mp4: not a video" in page
    assert "<th>data_fingerprint</th>" in page


def result(**more: object) -> EvaluationResult:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], np.float32)
    return EvaluationResult(Scores(("x", "y", "z"), np.array([0, 1, 1]), probabilities, ("a", "b")), **more)


def test_what_is_saved_is_loaded(tmp_path) -> None:
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


def test_it_is_shown_in_one_line() -> None:
    assert repr(result()) == "EvaluationResult(3 videos: top-1 66.7 %, top-5 100.0 %)"
    shown = repr(result(broken=(Broken("w", "v/w", "v/w: no"),)))
    assert shown == "EvaluationResult(3 videos, 1 broken: top-1 66.7 %, top-5 100.0 %)"
    several = Scores(("x",), np.array([[1, 0]]), np.array([[0.9, 0.1]], np.float32), ("a", "b"))
    assert repr(EvaluationResult(several)) == "EvaluationResult(1 video: mAP 100.0 %)"


def test_scores_and_protocols_are_shown_in_one_line() -> None:
    tested = EvaluationProtocol(recipe="tiny", split="val", videos=1200, test={"frames": list(range(99))})
    assert repr(tested) == str(tested) == "EvaluationProtocol(tiny, val, 1,200 videos, float32)"
    assert repr(EvaluationProtocol()) == "EvaluationProtocol(float32)"
    fused = FusionProtocol(fused=(tested, EvaluationProtocol()), of="logits", weights=(1, 1.5))
    assert repr(fused) == "FusionProtocol(logits of tiny + ?, weights 1, 1.5)"
    assert repr(result().scores) == "Scores(3 videos, 2 classes: EvaluationProtocol(float32))"


def test_fields_that_are_not_known_are_kept_in_files_and_refused_in_code() -> None:
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


def test_scores_that_marey_did_not_make_say_nothing_of_their_protocol() -> None:
    assert result().scores.protocol.as_json() == {}
    assert read_protocol({}) == EvaluationProtocol()
    kept = {"recipe": "mine", "a later field": [1, 2]}
    assert read_protocol(kept).as_json() == kept
    fused = fuse([result().scores, result().scores]).protocol
    assert read_protocol(fused.as_json()) == fused
    assert fused.as_json()["fused"] == [{}, {}]
