"""What out-of-fold answers say: the verdict in each case, what the page shows in which order, and files that come back."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from marey.base.errors import DataError
from marey.base.readme import README, write_readme
from marey.classifier import Calibration
from marey.data.quarantine import Broken
from marey.evaluation.compare import compare
from marey.evaluation.curve import CurvePoint
from marey.evaluation.fusion import fuse
from marey.evaluation.needs import classes_in_need
from marey.evaluation.out_of_fold import (
    OUT_OF_FOLD,
    SINGLE_FRAMES,
    Cost,
    FineTuning,
    HeadNumber,
    OutOfFold,
)
from marey.evaluation.protocol import EvaluationProtocol
from marey.evaluation.reliability import calibration_bins, mean_gap
from marey.evaluation.report import write_report
from marey.evaluation.result import EvaluationResult
from marey.evaluation.scores import Scores
from marey.recipes import get_recipe
from marey.tasks.metrics import calibration_error

NAMES = ("run", "jump", "sit")


def answers(labels: np.ndarray, right: float, seed: int, classes: int = 3, sure: float = 4.0) -> np.ndarray:
    """Probabilities [N, K] of which so large a share of the first ones is right."""
    random = np.random.default_rng(seed)
    hit = random.permutation(len(labels)) < right * len(labels)
    chosen = np.where(hit, labels, (labels + 1) % classes)
    logits = random.random((len(labels), classes)) + sure * (np.arange(classes) == chosen[:, None])
    shares = np.exp(logits)
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


def made(
    right: float = 0.8, single: float | None = 0.75, videos: int = 240, groups: int | None = 80, **more: object
) -> OutOfFold:
    """Of three classes; the clips of a group are spread over them."""
    labels = np.arange(videos) % 3
    names = None if groups is None else np.array([f"g{row % groups}" for row in range(videos)])
    ids = tuple(f"{NAMES[label]}/v{row}.mp4" for row, label in enumerate(labels.tolist()))
    scores = Scores(
        ids, labels, answers(labels, right, 0), NAMES, EvaluationProtocol(recipe="tiny", folds=5), None, names
    )
    frames = None if single is None else answers(labels, single, 1)
    given = {"head": "means and spreads", "folds": 5, "sources_known": 0 if groups is None else videos} | more
    return OutOfFold(EvaluationResult(scores, (Broken("w", "v/w", "v/w: no"),)), frames, **given)


def whole() -> OutOfFold:
    return made(
        notes=("Groups are told by file names.",),
        curve=(CurvePoint(24, 0.6, 0.5, 0.7), CurvePoint(96, 0.7, 0.64, 0.76), CurvePoint(192, 0.8, 0.75, 0.85)),
        calibration=Calibration(temperature=1.5, threshold=0.4, fitted_on="out-of-fold answers"),
        cost=Cost(200, 40, 93.0, 48.0),
        heads=(HeadNumber("means and spreads", 0.8, chosen=True), HeadNumber("single frames", 0.75)),
        tuning=FineTuning(0.8, 0.75, 0.02, 48, False, 512.0),
    )


# -- the verdict -------------------------------------------------------------------------------------------------------


def test_the_verdict_is_one_sentence_with_interval_guessing_and_single_frames() -> None:
    found = made(single=0.78)
    interval = found.result.interval
    assert interval is not None
    ends = f"{100 * interval.low:.0f} to {100 * interval.high:.0f}"
    assert found.verdict == (
        f"80 of 100 new clips will be named rightly, {ends}; guessing the most frequent class gives 33; single frames 78: "
        "motion matters little here."
    )
    assert interval.low < 0.8 < interval.high


def test_single_frames_that_are_clearly_worse_do_not_suffice() -> None:
    assert made(single=0.41).verdict.endswith("; single frames 41: motion matters, single frames do not suffice.")
    assert made(right=0.8, single=0.77).said.motion in ("motion helps a little", "motion matters little here")
    assert made(single=None).verdict.endswith("guessing the most frequent class gives 33.")


def test_few_clips_do_not_show_whether_motion_matters() -> None:
    found = made(right=0.9, single=0.7, videos=20, groups=None)
    assert found.said.motion == "too few clips show whether motion matters"


def test_an_answer_no_better_than_guessing_is_called_so() -> None:
    found = made(right=0.36, single=0.33)
    assert ": not shown to be better than guessing; guessing the most frequent class gives 33" in found.verdict
    assert found.said.motion == "", "what single frames lose says nothing then"


def test_of_few_groups_there_is_no_interval_and_the_reason_is_said() -> None:
    found = made(groups=3)
    assert found.result.interval is None
    assert "; no interval for new videos: these are of 3 recordings, and fewer than 5 do not show" in found.verdict


def test_where_sources_are_not_known_the_first_sentence_says_so() -> None:
    none, some, most = made(groups=None), made(sources_known=110), made(sources_known=230)
    assert none.verdict.startswith(
        "The number may be too good: neither the list nor the file names tell the recordings of the 240 clips, so that "
        "clips of one recording may be in several folds; add a column `group`. 80 of 100 new clips"
    )
    assert some.verdict.startswith(
        "The number may be too good: the recording of 130 of 240 clips is not known, so that"
    )
    assert most.said.caution == ""
    assert "of new recordings" not in none.said.interval_sentence


def test_nothing_but_all_is_called_all() -> None:
    assert made(right=0.9999).verdict.startswith("99 of 100") or made(right=0.9999).said.share == 1
    labels = np.zeros(400, np.int64)
    labels[0] = 1
    found = made()
    probabilities = np.tile(np.array([[0.9, 0.1, 0]], np.float32), (400, 1))
    scores = replace(
        found.result.scores, ids=tuple(map(str, range(400))), labels=labels, probabilities=probabilities, groups=None
    )
    nearly = replace(found, result=EvaluationResult(scores), single_frames=None)
    assert nearly.verdict.split("named")[0].endswith("99 of 100 new clips will be ")


def several_labels(quality: float) -> OutOfFold:
    random = np.random.default_rng(1)
    labels = (random.random((120, 3)) < 0.3).astype(np.int64)
    noise = random.random((120, 3))
    probabilities = (quality * labels + (1 - quality) * noise).astype(np.float32)
    scores = Scores(
        tuple(map(str, range(120))), labels, probabilities, NAMES,
        EvaluationProtocol(task="multilabel", folds=5), None, np.array([f"g{row // 3}" for row in range(120)]),
    )  # fmt: skip
    return OutOfFold(EvaluationResult(scores), noise.astype(np.float32), "means", 5, 120)


def test_several_labels_a_clip_have_mean_average_precision_in_percent() -> None:
    good, bad = several_labels(0.45), several_labels(0.0)
    assert good.verdict.startswith("mAP on new clips will be ")
    assert " %; equal scores for all clips give " in good.verdict
    assert good.verdict.endswith("motion matters, single frames do not suffice.")
    assert "not shown to be better than guessing" in bad.verdict
    assert "no interval is computed for mAP" in good.summary().replace("No", "no")


# -- the numbers -------------------------------------------------------------------------------------------------------


def test_the_curve_says_whether_to_label_more() -> None:
    def said(*shares: float, error: float = 0.04) -> str:
        points = [CurvePoint(25 * n, share, share - error, share + error) for n, share in enumerate(shares, start=1)]
        return made(curve=tuple(points)).curve_sentence

    assert said(0.5, 0.6, 0.65, 0.7) == (
        "With 50 training clips 60 %, with 100 70 %: +10.0 points, give or take 4.0; labelling more clips will help."
    )
    assert said(0.5, 0.7, 0.7, 0.73).endswith("; too few clips show whether labelling more will help.")
    assert said(0.5, 0.7, 0.7, 0.7, error=0.01).endswith("; labelling more clips of this kind will hardly help.")
    assert said(0.5) == said() == ""


def test_answers_before_the_temperature_come_back() -> None:
    found = whole()
    scores = found.result.scores
    again = scores.task.calibrated(found.uncalibrated, found.calibration)
    np.testing.assert_allclose(again, scores.probabilities, atol=1e-6)
    assert found.uncalibrated.max() > scores.probabilities.max()
    assert found.calibration_errors[1] == pytest.approx(calibration_error(scores.probabilities, scores.labels))


def test_bins_of_the_diagram_add_up_to_the_calibration_error() -> None:
    labels = np.arange(90) % 3
    probabilities = answers(labels, 0.6, 3, sure=1.0)
    bins = calibration_bins(probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == labels)
    assert sum(one.count for one in bins) == 90
    assert mean_gap(bins) == pytest.approx(calibration_error(probabilities, labels), abs=1e-6)


def test_the_threshold_says_how_many_clips_it_leaves_without_an_answer() -> None:
    found = replace(whole(), calibration=Calibration(threshold=1.0, fitted_on="them"))
    assert found.below_threshold[0] == 1
    assert found.below_threshold[1] == pytest.approx(1 - found.said.share)
    assert (
        "below 100.0 % the answer is none of the classes: 100.0 % of these clips, 20 % of them answered wrong"
        in found.calibration_sentence
    )
    assert made().calibration_sentence == ""


def test_classes_with_thresholds_of_their_own_have_a_mean_f1() -> None:
    bounds = Calibration(temperature=1.2, thresholds=(0.5, 0.4, 0.6), fitted_on="them")
    found = replace(several_labels(0.45), calibration=bounds)
    assert found.f1_at_thresholds is not None
    assert 0.3 < found.f1_at_thresholds <= 1
    assert "a class is among the labels of a video from a threshold of its own on: F1 " in found.calibration_sentence
    assert whole().f1_at_thresholds is None


def test_classes_with_few_clips_or_few_recordings_need_more() -> None:
    labels = np.repeat([0, 1, 2], [8, 40, 40])
    groups = np.array(["a"] * 4 + ["b"] * 4 + [f"g{n}" for n in range(40)] + ["c"] * 30 + [f"h{n}" for n in range(10)])
    scores = Scores(tuple(map(str, range(88))), labels, answers(labels, 1, 0), NAMES, groups=groups)
    assert [(need.name, need.reason) for need in classes_in_need(scores)] == [
        ("run", "it has 8 clips only; its clips are of 2 recordings only"),
        ("sit", "30 of its 40 clips are of one recording"),
    ]
    wrong = scores.probabilities.copy()
    wrong[8:28] = [1, 0, 0]
    found = {need.name: need.reason for need in classes_in_need(replace(scores, probabilities=wrong))}
    assert found["jump"].startswith("20 of 40 are right, which may be ")


# -- out of fold is no test of one network -----------------------------------------------------------------------------


def test_results_that_are_out_of_fold_say_so_wherever_they_go(tmp_path) -> None:
    found = made()
    found.result.save(tmp_path)
    result = EvaluationResult.load(tmp_path)
    assert result.scores.protocol.out_of_fold
    assert result.verdict.startswith("80.0 % of 240 videos right out of fold")
    assert result.seen_text() == "", "the heads that answered did not see the clips they answered"
    assert "trained_on" not in result.as_json()
    assert "for the next 100 videos, of new recordings, 90 % interval" in result.as_json()["interval_text"]
    fused = fuse([result.scores, result.scores])
    assert fused.protocol.out_of_fold
    assert not fuse([replace(result.scores, protocol=EvaluationProtocol())] * 2).protocol.out_of_fold


def test_an_out_of_fold_number_does_not_compare_with_a_published_one() -> None:
    recipe = get_recipe("slowonly_r50_8x8_k400")
    (published,) = compare(recipe, EvaluationProtocol(recipe=recipe.name, folds=5), top1=0.7, videos=6)
    assert "the answers are out of fold, by several heads" in published.reasons


# -- files and pages ---------------------------------------------------------------------------------------------------


def test_what_is_saved_is_loaded(tmp_path) -> None:
    found = whole()
    found.save(tmp_path)
    again = OutOfFold.load(tmp_path)
    assert again.as_json() == found.as_json()
    assert again.result.as_json() == found.result.as_json()
    np.testing.assert_array_equal(again.single_frames, found.single_frames)
    assert (again.calibration, again.tuning, again.cost) == (found.calibration, found.tuning, found.cost)
    assert json.loads((tmp_path / OUT_OF_FOLD).read_text(encoding="utf-8"))["verdict"] == found.verdict
    made(single=None).save(tmp_path)
    assert OutOfFold.load(tmp_path).single_frames is None, "those of another run are gone"


def test_what_train_did_not_write_is_refused(tmp_path) -> None:
    whole().save(tmp_path)
    for text in ("[]", "{}", "{"):
        (tmp_path / OUT_OF_FOLD).write_text(text)
        with pytest.raises(DataError, match=r"out_of_fold\.json: not what train wrote"):
            OutOfFold.load(tmp_path)
    whole().save(tmp_path)
    made(videos=30, groups=10).result.scores.save(tmp_path / SINGLE_FRAMES)
    with pytest.raises(DataError, match=r"single_frames\.npz has other clips or classes"):
        OutOfFold.load(tmp_path)
    replace(made().result.scores, protocol=EvaluationProtocol()).save(tmp_path / "scores.npz")
    with pytest.raises(DataError, match=r"scores\.npz is no longer that of out_of_fold\.json"):
        OutOfFold.load(tmp_path)
    (tmp_path / OUT_OF_FOLD).unlink()
    assert "<h1>" in write_report(tmp_path).read_text(encoding="utf-8")


def test_the_summary_has_everything_in_lines() -> None:
    text = whole().summary()
    lines = text.splitlines()
    assert lines[0].startswith("80 of 100 new clips")
    assert lines[1].startswith("For the next 100 videos, of new recordings, 90 % interval ")
    assert "out of fold (5 folds; means and spreads)" in lines[2]
    for line in (
        "With 96 training clips 70 %, with 192 80 %: +10.0 points, give or take 6.0; labelling more clips will help.",
        "Of 48 clips of one fold the head on frozen features answers 80.0 % rightly, the fine-tuned network 75.0 % "
        "(standard error of the difference: 2.0 points); the head was kept. Fine-tuning took 512 core-seconds.",
        "200 clips went through the network, features of 40 were kept from before; "
        "93 core-seconds, 48 s on the clock (features, folds and heads).",
        "rows: true class, columns: answer",
    ):
        assert line in text
    assert made(groups=None).summary().startswith("The number may be too good")


def test_the_page_has_the_verdict_first_and_its_parts_in_order(tmp_path) -> None:
    whole().save(tmp_path)
    (tmp_path / "val").mkdir()
    made(videos=30, groups=10).result.save(tmp_path / "val")
    text = write_report(tmp_path).read_text(encoding="utf-8")
    parts = [
        "80 of 100 new clips will be named rightly", "top-1 out of fold", ">guessing<", ">single frames<",
        "calibration error",
        "threshold for none of these", "The classifier of this run was fitted on all clips",
        "Groups are told by file names.",
        "Class by class", "<h2>Confusions", "Would more clips help?", "labelling more clips will help",
        'aria-label="learning curve"', "Can the probabilities be trusted?", 'aria-label="share of right answers',
        "Which head", "Fine-tuning", "What it cost", "On the other sides of the list", "<h3>val</h3>",
    ]  # fmt: skip
    places = [text.index(part) for part in parts]
    assert places == sorted(places), [part for part, place in zip(parts, places, strict=True)]
    assert 'class="caution"' not in text
    made(groups=None).save(tmp_path)
    text = write_report(tmp_path).read_text(encoding="utf-8")
    assert 0 < text.index("The number may be too good") < text.index("80 of 100 new clips")


def test_a_cell_of_the_matrix_leads_to_its_clips(tmp_path) -> None:
    whole().save(tmp_path)
    text = write_report(tmp_path).read_text(encoding="utf-8")
    assert '<a href="#kind-0-1">' in text
    assert '<ul class="files" id="kind-0-1"><li><code>run/v' in text


def test_the_readme_names_the_files_of_such_a_run(tmp_path) -> None:
    whole().save(tmp_path)
    write_report(tmp_path)
    note = {"recipe": {"title": "Probe", "name": "probe", "train": {"epochs": 1}}, "again": "marey train clips"}
    (tmp_path / "run.json").write_text(json.dumps(note))
    (tmp_path / "split.csv").write_text("path,label,split\n")
    (tmp_path / "last.safetensors").write_bytes(b"")
    write_readme(tmp_path)
    text = (tmp_path / README).read_text(encoding="utf-8")
    assert "It holds Probe (probe)" in text
    assert " epoch" not in text.split("What is here")[0]
    for name in (OUT_OF_FOLD, SINGLE_FRAMES):
        assert f"\n  {name} " in text
    assert "no file or folder that this page knows" not in text
    assert "--data LIST" in text, "its own list was trained on"
    assert "what is known of the others is kept:\n      marey train clips" in text


def test_the_page_is_small_for_many_classes(tmp_path: Path) -> None:
    labels = np.arange(2000) % 200
    names = tuple(f"class {k}" for k in range(200))
    scores = Scores(
        tuple(map(str, range(2000))), labels, answers(labels, 0.6, 0, classes=200), names,
        EvaluationProtocol(folds=5), None, np.array([f"g{row % 400}" for row in range(2000)]),
    )  # fmt: skip
    OutOfFold(EvaluationResult(scores), None, "means", 5, 2000).save(tmp_path)
    path = write_report(tmp_path)
    assert path.stat().st_size < 1_000_000
    assert "and 180 more" in path.read_text(encoding="utf-8")
