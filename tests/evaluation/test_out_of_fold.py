"""Out-of-fold results: the verdict in each case, the order of the page, and files that are read again."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from marey.base.errors import DataError
from marey.base.readme import README, write_readme
from marey.classifier import Calibration
from marey.data.files.quarantine import Broken
from marey.evaluation.compare import compare
from marey.evaluation.fusion import fuse
from marey.evaluation.out_of_fold.calibration import CrossFittedCalibration
from marey.evaluation.out_of_fold.classes_in_need import classes_in_need, needed_videos
from marey.evaluation.out_of_fold.cost import Cost, FineTuning
from marey.evaluation.out_of_fold.learning_curve import CurvePoint
from marey.evaluation.out_of_fold.reliability import calibration_bins, mean_gap
from marey.evaluation.out_of_fold.result import OUT_OF_FOLD, SINGLE_FRAMES, HeadScore, OutOfFold
from marey.evaluation.protocol import EvaluationProtocol
from marey.evaluation.report.page import write_report
from marey.evaluation.result import EvaluationResult
from marey.evaluation.scores import Scores
from marey.recipes import get_recipe
from marey.tasks.intervals import share_interval
from marey.tasks.metrics import calibration_error
from tests.support.calibrating import fit_calibration

NAMES = ("run", "jump", "sit")


def probabilities_of(labels: np.ndarray, right: float, seed: int, classes: int = 3, sure: float = 4.0) -> np.ndarray:
    """Probabilities [N, K] whose most likely class is correct for the share `right`."""
    random = np.random.default_rng(seed)
    hit = random.permutation(len(labels)) < right * len(labels)
    chosen = np.where(hit, labels, (labels + 1) % classes)
    logits = random.random((len(labels), classes)) + sure * (np.arange(classes) == chosen[:, None])
    shares = np.exp(logits)
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


def made(
    right: float = 0.8, single: float | None = 0.75, videos: int = 240, groups: int | None = 80, **more: object
) -> OutOfFold:
    """A result of three classes; each group has clips of all of them."""
    labels = np.arange(videos) % 3
    names = None if groups is None else np.array([f"g{row % groups}" for row in range(videos)])
    ids = tuple(f"{NAMES[label]}/v{row}.mp4" for row, label in enumerate(labels.tolist()))
    scores = Scores(
        ids, labels, probabilities_of(labels, right, 0), NAMES, EvaluationProtocol(recipe="tiny", folds=5), None, names
    )
    frames = None if single is None else probabilities_of(labels, single, 1)
    given = {"head": "means and spreads", "folds": 5, "recordings_known": 0 if groups is None else videos} | more
    return OutOfFold(EvaluationResult(scores, (Broken("w", "v/w", "v/w: no"),)), frames, **given)


def crossed(calibration: Calibration, videos: int = 240) -> CrossFittedCalibration:
    """The same calibration for every fold."""
    return CrossFittedCalibration(calibration, np.arange(videos) % 5, (calibration,) * 5)


def complete() -> OutOfFold:
    return made(
        notes=("Groups are inferred from file names.",),
        curve=(CurvePoint(24, 0.6, 0.5, 0.7), CurvePoint(96, 0.7, 0.64, 0.76), CurvePoint(192, 0.8, 0.75, 0.85)),
        calibration=crossed(Calibration(temperature=1.5, threshold=0.4, fitted_on="out-of-fold answers")),
        cost=Cost(200, 40, 93.0, 48.0),
        heads=(HeadScore("means and spreads", 0.8, chosen=True), HeadScore("single frames", 0.75, yardstick=True)),
        tuning=FineTuning(0.8, 0.75, 0.02, 48, False, 512.0),
    )


# -- the verdict -------------------------------------------------------------------------------------------------------


def test_the_verdict_is_one_sentence_with_interval_guessing_and_single_frames() -> None:
    found = made(single=0.78)
    interval = found.result.interval
    assert interval is not None
    ends = f"{100 * interval.low:.0f} to {100 * interval.high:.0f}"
    assert found.verdict == (
        f"About 80 of 100 new videos will be named rightly (90 % interval {ends}); guessing the most frequent class "
        "gives 33; single frames 78: motion matters little here."
    )
    assert interval.low < 0.8 < interval.high


def test_single_frames_that_are_clearly_worse_do_not_suffice() -> None:
    assert made(single=0.41).verdict.endswith(
        "; single frames 41: single frames do not suffice, motion, order or position matters."
    )
    assert made(right=0.8, single=0.77).verdict_details.motion == "motion matters little here"
    assert made(single=None).verdict.endswith("guessing the most frequent class gives 33.")


def test_few_clips_do_not_show_whether_motion_matters() -> None:
    found = made(right=0.9, single=0.7, videos=20, groups=None)
    assert found.verdict_details.motion == "too few videos show whether single frames suffice"


def test_predictions_no_better_than_guessing_are_called_so() -> None:
    found = made(right=0.36, single=0.33)
    assert "), not shown to be better than guessing; guessing the most frequent class gives 33" in found.verdict
    assert found.verdict_details.motion == "", "what single frames lose says nothing then"


def test_few_groups_have_no_interval_and_the_reason_is_given() -> None:
    found = made(groups=3)
    assert found.result.interval is None
    assert "named rightly (no interval: too few recordings), not shown to be better than guessing;" in found.verdict
    assert found.verdict_details.interval_sentence.startswith(
        "No interval for new videos: these are of 3 recordings, and fewer than"
    )


def test_groups_of_very_unequal_size_have_no_interval_and_the_reason_is_given() -> None:
    found = made(groups=6)
    groups = np.array(["most"] * 200 + [f"g{row % 5}" for row in range(40)])
    found = replace(found, result=EvaluationResult(replace(found.result.scores, groups=groups), ()))
    assert found.result.interval is None
    assert "(no interval: one recording has 200 of 240 videos)" in found.verdict


def test_the_verdict_begins_with_a_caution_where_recordings_are_not_known() -> None:
    none, some, most = made(groups=None), made(recordings_known=110), made(recordings_known=230)
    assert none.verdict.startswith(
        "The number may be too good: the recordings of the 240 videos are not known, or contain an entire class each, "
        "so that videos of one recording may be in several folds; add a column `group`, or record each class at "
        "several places. About 80 of 100 new videos"
    )
    assert some.verdict.startswith(
        "The number may be too good: the recording of 130 of 240 videos is not known, or contains an entire class, so that"
    )
    assert most.verdict_details.caution == ""
    assert none.verdict_details.interval_sentence == (
        "The interval is for the next 100 videos, and assumes that each of the 240 videos here is a recording of its own."
    )
    assert most.verdict_details.interval_sentence == (
        "The interval is for the next 100 videos, of new recordings, and is computed from how much the 80 recordings "
        "here differ."
    )


def test_only_all_clips_are_called_all() -> None:
    assert made(right=0.9999).verdict.startswith("About 99 of 100") or made(right=0.9999).verdict_details.share == 1
    labels = np.zeros(400, np.int64)
    labels[0] = 1
    found = made()
    probabilities = np.tile(np.array([[0.9, 0.1, 0]], np.float32), (400, 1))
    scores = replace(
        found.result.scores, ids=tuple(map(str, range(400))), labels=labels, probabilities=probabilities, groups=None
    )
    nearly = replace(found, result=EvaluationResult(scores), single_frames=None)
    assert nearly.verdict.split("named")[0].endswith("About 99 of 100 new videos will be ")


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
    assert good.verdict.startswith("mAP on new videos will be about ")
    assert " %; equal scores for all videos give " in good.verdict
    assert good.verdict.endswith(": single frames do not suffice, motion, order or position matters.")
    assert replace(good, left_out=("fall",)).verdict.split("; ")[0].endswith(" % (mean of 3 of 4 classes)")
    assert "not shown to be better than guessing" in bad.verdict
    assert "no interval is computed for mAP" in good.summary().replace("No", "no")


# -- the numbers -------------------------------------------------------------------------------------------------------


def test_the_curve_says_whether_to_label_more() -> None:
    def sentence(*shares: float, error: float = 0.04) -> str:
        points = [CurvePoint(25 * n, share, share - error, share + error) for n, share in enumerate(shares, start=1)]
        return made(curve=tuple(points)).curve_sentence

    assert sentence(0.5, 0.6, 0.65, 0.7) == (
        "With 50 training videos 60 %, with 100 videos 70 %: +10.0 points, give or take 4.0; labelling more videos, "
        "from other recordings, will help."
    )
    assert sentence(0.5, 0.7, 0.7, 0.73).endswith("; too few videos show whether labelling more will help.")
    assert sentence(0.5, 0.7, 0.7, 0.7, error=0.01).endswith("; labelling more videos of this kind will hardly help.")
    assert sentence(0.5) == sentence() == ""
    points = (CurvePoint(50, 0.6, 0.56, 0.64), CurvePoint(100, 0.7, 0.7, 0.7))
    assert made(groups=None, curve=points).curve_sentence.endswith("; labelling more videos will help.")


def test_uncalibrated_probabilities_are_recovered() -> None:
    found = complete()
    scores = found.result.scores
    again = scores.task.calibrated(found.uncalibrated, found.calibration.final)
    np.testing.assert_allclose(again, scores.probabilities, atol=1e-6)
    assert found.uncalibrated.max() > scores.probabilities.max()
    assert found.calibration_errors[1] == pytest.approx(calibration_error(scores.probabilities, scores.labels))


def test_bins_of_the_diagram_add_up_to_the_calibration_error() -> None:
    labels = np.arange(90) % 3
    probabilities = probabilities_of(labels, 0.6, 3, sure=1.0)
    bins = calibration_bins(probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == labels)
    assert sum(one.count for one in bins) == 90
    assert mean_gap(bins) == pytest.approx(calibration_error(probabilities, labels), abs=1e-6)


def test_the_effect_of_the_threshold() -> None:
    labels = np.arange(240) % 3
    probabilities = np.full((240, 3), 0.05, np.float32)
    probabilities[np.arange(240), labels] = 0.9
    probabilities[:40] = (0.5, 0.25, 0.25)  # 14 of them are of the first class
    found = complete()
    scores = replace(found.result.scores, probabilities=probabilities)
    plain = Calibration(threshold=0.6, turned_away=0.05, fitted_on="them")
    found = replace(found, result=EvaluationResult(scores), calibration=crossed(plain))
    assert (found.threshold_effect.right, found.threshold_effect.wrong) == pytest.approx((14 / 214, 1))
    assert found.calibration_sentence.endswith(
        "Below 60.0 % the answer is none of the classes (of videos that are answered rightly at most 5 % are lost by that). "
        "It stops 7 % of the right predictions and 100 % of the wrong ones. Each video is judged here by a temperature "
        "and thresholds that were fitted on other videos."
    )
    assert made().calibration_sentence == ""


def test_a_threshold_that_stops_hardly_anything_is_called_so(tmp_path) -> None:
    labels = np.arange(240) % 2
    found = made()
    scores = replace(
        found.result.scores,
        labels=labels,
        probabilities=probabilities_of(labels, 0.8, 0, classes=2),
        class_names=("run", "sit"),
    )
    two = OutOfFold(
        EvaluationResult(scores), None, "means", 5, 240, calibration=crossed(Calibration(threshold=0.54, fitted_on=""))
    )
    assert two.threshold_effect.near_floor and two.threshold_effect.weak
    assert (
        "It stops 0 % of the right predictions and 0 % of the wrong ones. That is hardly anything (with so few classes no "
        "prediction is below 50.0 %): videos of quite other things will mostly get one of the classes; give them a class of "
        "their own." in two.calibration_sentence
    )
    sure = replace(complete(), calibration=crossed(Calibration(threshold=0.45, fitted_on="")))
    assert sure.threshold_effect.weak and not sure.threshold_effect.near_floor
    assert "(wrong predictions are as confident)" in sure.calibration_sentence
    two.save(tmp_path)
    assert "predict names no class below it; it stops hardly anything, see below" in write_report(tmp_path).read_text(
        encoding="utf-8"
    )


def test_each_fold_is_judged_by_the_calibration_of_the_others() -> None:
    task, labels = made().result.scores.task, np.arange(200) % 3
    surest, sure = probabilities_of(labels, 0.5, 0, sure=8.0), probabilities_of(labels, 0.5, 1, sure=4.0)
    folds = np.arange(200) // 100
    mixed = np.where(folds[:, None] == 0, surest, sure)
    found = CrossFittedCalibration.of(task, mixed, labels, folds + 7, fitted_on="these")
    own = fit_calibration(task, surest, labels, fitted_on="")
    fit = [fit_calibration(task, mixed[folds == other], labels[folds == other], fitted_on="") for other in (1, 0)]
    assert [one.temperature for one in found.without] == [one.temperature for one in fit]
    np.testing.assert_array_equal(
        found.calibrated(task, mixed), np.concatenate([task.calibrated(mixed[folds == n], fit[n]) for n in (0, 1)])
    )
    assert found.final.temperature not in (fit[0].temperature, fit[1].temperature) and own.temperature > 2
    assert found.threshold.tolist() == [fit[0].threshold] * 100 + [fit[1].threshold] * 100
    assert found.thresholds is None
    few = CrossFittedCalibration.of(task, mixed[:20], labels[:20], np.arange(20) % 2, fitted_on="these")
    assert np.isnan(few.threshold).all(), "so few right answers show none"


def test_a_temperature_that_makes_other_clips_worse_is_not_used() -> None:
    task, labels = made().result.scores.task, np.arange(200) % 3
    folds = np.arange(200) // 100
    mixed = np.where(
        folds[:, None] == 0, probabilities_of(labels, 0.5, 0, sure=8.0), probabilities_of(labels, 0.9, 1, sure=1.0)
    )
    found = CrossFittedCalibration.of(task, mixed, labels, folds, fitted_on="these")
    assert fit_calibration(task, mixed, labels, fitted_on="").temperature != 1
    assert {one.temperature for one in (found.final, *found.without)} == {1.0}
    assert found.final.threshold is not None
    plain = replace(complete(), calibration=crossed(Calibration(threshold=0.45, fitted_on="")))
    assert not plain.tempered
    assert plain.calibration_sentence.startswith("Probabilities stay as the head gives them: ")


def test_f1_is_judged_at_thresholds_of_other_clips() -> None:
    made_up = several_labels(0.45)
    low, high = (Calibration(thresholds=(bound,) * 3, fitted_on="them") for bound in (0.5, 1.0))
    found = replace(made_up, calibration=CrossFittedCalibration(low, np.arange(120) % 2, (low, low)))
    assert found.f1_at_thresholds is not None
    assert 0.3 < found.f1_at_thresholds <= 1
    assert (
        "A class is predicted if its probability reaches the threshold of this class. F1 " in found.calibration_sentence
    )
    none = replace(made_up, calibration=CrossFittedCalibration(low, np.arange(120) % 2, (high, high)))
    assert none.f1_at_thresholds == 0, "whatever the final one does"
    assert complete().f1_at_thresholds is None


def test_classes_with_few_clips_or_few_recordings_need_more() -> None:
    labels = np.repeat([0, 1, 2], [8, 40, 40])
    groups = np.array(["a"] * 4 + ["b"] * 4 + [f"g{n}" for n in range(40)] + ["c"] * 30 + [f"h{n}" for n in range(10)])
    scores = Scores(tuple(map(str, range(88))), labels, probabilities_of(labels, 1, 0), NAMES, groups=groups)
    assert [(need.name, need.reason) for need in classes_in_need(scores)] == [
        ("run", "its 8 videos are of 2 recordings only"),
        ("sit", "30 of its 40 videos are of one recording"),
    ]
    assert needed_videos(scores) == "More videos, from other recordings,"
    assert needed_videos(replace(scores, groups=None)) == "More videos"
    wrong = scores.probabilities.copy()
    wrong[8:28] = [1, 0, 0]
    found = {need.name: need.reason for need in classes_in_need(replace(scores, probabilities=wrong))}
    assert found["jump"].startswith("20 of 40 are right, which may be ")


def test_among_classes_with_equally_many_clips_the_worst_is_named_first() -> None:
    labels = np.arange(60) % 6
    names = tuple("abcdef")
    probabilities = probabilities_of(labels, 1, 0, classes=6)
    wrong = np.flatnonzero(labels == 4)[:8]
    probabilities[wrong] = np.eye(6, dtype=np.float32)[0]
    probabilities[np.flatnonzero(labels == 5)[:3]] = np.eye(6, dtype=np.float32)[0]
    scores = Scores(
        tuple(map(str, range(60))), labels, probabilities, names, EvaluationProtocol(folds=5), None,
        np.array([f"g{row}" for row in range(60)]),
    )  # fmt: skip
    assert [need.name for need in classes_in_need(scores)] == ["e", "f", "a", "b", "c", "d"]
    summary = OutOfFold(EvaluationResult(scores), None, "means", 5, 60).summary()
    assert (
        "More videos, from other recordings, are needed of 6 classes, the worst first: 'e' (it has 10 videos only; 2 "
        "of 10 are right, which may be " in summary
    )


def test_with_several_labels_the_class_with_the_lowest_average_precision_is_first() -> None:
    found = several_labels(0.45)
    labels = found.result.scores.labels[:24]
    probabilities = np.where(labels > 0, 0.9, 0.1).astype(np.float32)
    probabilities[:, 1] = np.where(labels[:, 1] > 0, 0.1, 0.9)
    few = replace(found.result.scores.rows(np.arange(24)), probabilities=probabilities)
    assert classes_in_need(few)[0].name == "jump"


def test_intervals_of_classes_are_over_recordings(tmp_path) -> None:
    found = made()
    rows = found.result.scores.task.report(
        found.result.scores.probabilities, found.result.scores.labels, NAMES, found.result.scores.groups
    )
    assert "90 % interval of the share over recordings" in rows.classes_note
    right = found.result.scores.probabilities.argmax(axis=1) == found.result.scores.labels
    for row in rows.classes:
        own = found.result.scores.labels == NAMES.index(row.name)
        interval = share_interval(right[own], found.result.scores.groups[own])
        assert row.low == round(100 * interval.low, 1)
    few = found.result.scores.task.report(
        found.result.scores.probabilities, found.result.scores.labels, NAMES, np.array(["a", "b"] * 120)
    )
    assert {row.wide for row in few.classes} == {0}
    plain = found.result.scores.task.report(found.result.scores.probabilities, found.result.scores.labels, NAMES)
    assert "if the videos are independent" in plain.classes_note


# -- an out-of-fold result is no test of one network -----------------------------------------------------------------------


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
    assert "the predictions are out of fold, by several heads" in published.reasons


# -- files and pages ---------------------------------------------------------------------------------------------------


def test_saved_files_are_loaded(tmp_path) -> None:
    found = complete()
    found.save(tmp_path)
    again = OutOfFold.load(tmp_path)
    assert again.as_json() == found.as_json()
    assert again.result.as_json() == found.result.as_json()
    np.testing.assert_array_equal(again.single_frames, found.single_frames)
    assert (again.calibration.final, again.tuning, again.cost) == (found.calibration.final, found.tuning, found.cost)
    assert again.calibration_errors == found.calibration_errors
    assert again.threshold_effect == found.threshold_effect
    written = json.loads((tmp_path / OUT_OF_FOLD).read_text(encoding="utf-8"))
    assert written["verdict"] == found.verdict
    assert (written["curve"][0]["clips"], written["tuning"]["clips"]) == (24, 48), "the keys of earlier runs"
    made(single=None).save(tmp_path)
    assert OutOfFold.load(tmp_path).single_frames is None, "those of another run are gone"


def test_files_that_train_did_not_write_are_refused(tmp_path) -> None:
    complete().save(tmp_path)
    for text in ("[]", "{}", "{"):
        (tmp_path / OUT_OF_FOLD).write_text(text)
        with pytest.raises(DataError, match=r"out_of_fold\.json: not what train wrote"):
            OutOfFold.load(tmp_path)
    replace(complete(), calibration=crossed(complete().calibration.final, 100)).save(tmp_path)
    with pytest.raises(DataError, match="calibration_parts has other videos"):
        OutOfFold.load(tmp_path)
    complete().save(tmp_path)
    made(videos=30, groups=10).result.scores.save(tmp_path / SINGLE_FRAMES)
    with pytest.raises(DataError, match=r"single_frames\.npz has other videos or classes"):
        OutOfFold.load(tmp_path)
    replace(made().result.scores, protocol=EvaluationProtocol()).save(tmp_path / "scores.npz")
    with pytest.raises(DataError, match=r"scores\.npz is no longer that of out_of_fold\.json"):
        OutOfFold.load(tmp_path)
    (tmp_path / OUT_OF_FOLD).unlink()
    assert "<h1>" in write_report(tmp_path).read_text(encoding="utf-8")


def test_the_summary_has_everything_in_lines() -> None:
    text = complete().summary()
    lines = text.splitlines()
    assert lines[0].startswith("About 80 of 100 new videos")
    assert lines[1].startswith("The interval is for the next 100 videos, of new recordings, ")
    assert text.count("90 % interval") == 1
    assert "out of fold (5 folds; means and spreads)" in lines[2]
    for line in (
        "With 96 training videos 70 %, with 192 videos 80 %: +10.0 points, give or take 6.0; labelling more videos, "
        "from other recordings, will help.",
        "Of 48 videos of one fold the head on frozen features predicts 80.0 % correctly, the fine-tuned network 75.0 % "
        "(standard error of the difference: 2.0 points); the head was kept. Fine-tuning took 512 core-seconds.",
        "Features, folds and heads: 200 videos went through the network, features of 40 were cached by an earlier run; "
        "93 core-seconds, 48 s on the clock.",
        "rows: true class, columns: answer",
    ):
        assert line in text
    assert made(groups=None).summary().startswith("The number may be too good")


def test_the_page_has_the_verdict_first_and_its_sections_in_order(tmp_path) -> None:
    complete().save(tmp_path)
    (tmp_path / "val").mkdir()
    made(videos=30, groups=10).result.save(tmp_path / "val")
    text = write_report(tmp_path).read_text(encoding="utf-8")
    sections = [
        "About 80 of 100 new videos will be named rightly", "top-1 out of fold", ">guessing<", ">single frames<",
        "calibration error",
        "threshold for none of these", "The classifier of this run was fitted on all videos",
        "Groups are inferred from file names.",
        "Class by class", "<h2>Confusions", "Would more videos help?",
        "labelling more videos, from other recordings, will help",
        'aria-label="learning curve"', "Can the probabilities be trusted?", 'aria-label="share of right answers',
        "Which head", "Fine-tuning", "What it cost", "On the other splits of the list", "<h3>val</h3>",
    ]  # fmt: skip
    positions = [text.index(section) for section in sections]
    assert positions == sorted(positions), list(zip(sections, positions, strict=True))
    assert 'class="caution"' not in text
    head = text[: text.index("Class by class")]
    assert head.count("90 % interval") == 1, "once, in the verdict"
    assert "A head is a linear classifier on the features" in head
    table = text[text.index("<h2>Which head") : text.index("What it cost")]
    assert 'single frames <span class="soft">only to compare with, never chosen</span>' in table
    val = text[text.index("<h3>val</h3>") :].split("</p>")[0]
    assert "over 10 recordings" in val
    assert "group" not in val
    assert "guessing" not in val
    made(groups=None).save(tmp_path)
    text = write_report(tmp_path).read_text(encoding="utf-8")
    assert 0 < text.index("The number may be too good") < text.index("About 80 of 100 new videos")


def test_a_cell_of_the_matrix_links_to_its_clips(tmp_path) -> None:
    complete().save(tmp_path)
    text = write_report(tmp_path).read_text(encoding="utf-8")
    assert '<a href="#kind-0-1">' in text
    assert '<ul class="files" id="kind-0-1"><li><code>run/v' in text


def test_the_readme_names_the_files_of_such_a_run(tmp_path) -> None:
    complete().save(tmp_path)
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
    assert "not known to this page" not in text
    assert "--data LIST" in text, "its own list was trained on"
    assert "results for the others are reused:\n      marey train clips" in text


def test_the_page_is_small_for_many_classes(tmp_path: Path) -> None:
    labels = np.arange(2000) % 200
    names = tuple(f"class {k}" for k in range(200))
    scores = Scores(
        tuple(map(str, range(2000))), labels, probabilities_of(labels, 0.6, 0, classes=200), names,
        EvaluationProtocol(folds=5), None, np.array([f"g{row % 400}" for row in range(2000)]),
    )  # fmt: skip
    OutOfFold(EvaluationResult(scores), None, "means", 5, 2000).save(tmp_path)
    path = write_report(tmp_path)
    assert path.stat().st_size < 1_000_000
    assert "and 180 more" in path.read_text(encoding="utf-8")


def test_the_best_of_several_tunings_has_a_warning() -> None:
    one = FineTuning(0.7, 0.8, 0.02, 48, True, 512.0)
    assert "fine-tunings" not in one.sentence
    assert "(the same videos); the head was kept" in FineTuning(0.8, 0.8, 0.0, 48, False, 512.0).sentence
    assert "It is the best that could be kept of 3 fine-tunings that were tried" in replace(one, tries=3).sentence
    none = "None of the 3 fine-tunings that were tried on this fold was kept; these numbers are those of a. Fine-tuning"
    assert none in replace(one, kept=False, tries=3, folder="a").sentence
