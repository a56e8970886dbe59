"""Two fused streams, and results compared with published ones."""

from datetime import date

import numpy as np
import pytest

from marey.base.errors import DataError
from marey.evaluation.compare import compare
from marey.evaluation.fusion import fuse, search_weights
from marey.evaluation.protocol import EvaluationProtocol, Restriction
from marey.evaluation.scores import Scores
from marey.recipe import Measured
from marey.recipes import get_recipe

ROW = get_recipe("slowonly_r50_8x8_k400")
PROTOCOL = EvaluationProtocol(
    recipe=ROW.name,
    test=ROW.test.model_dump(mode="json"),
    pixels=ROW.pixels.model_dump(mode="json"),
    precision="float32",
    split="val",
    data_fingerprint="f" * 64,
)


def softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


def scores_of(logits: np.ndarray, labels: np.ndarray) -> Scores:
    names = tuple(f"c{i}" for i in range(logits.shape[1]))
    ids = tuple(f"v{i}" for i in range(len(labels)))
    return Scores(ids, labels, softmax(logits).astype(np.float32), names)


def test_the_sum_of_logits_is_deepminds() -> None:
    rng = np.random.default_rng(0)
    rgb, flow, labels = 4 * rng.normal(size=(50, 9)), 4 * rng.normal(size=(50, 9)), rng.integers(0, 9, 50)
    files = [scores_of(rgb, labels), scores_of(flow, labels)]
    np.testing.assert_allclose(fuse(files, of="logits").probabilities, softmax(rgb + flow), atol=2e-6)
    weighted = fuse(files, of="logits", weights=[1, 1.5])
    np.testing.assert_allclose(weighted.probabilities, softmax(rgb + 1.5 * flow), atol=2e-6)
    assert weighted.protocol.weights == (1, 1.5)
    averaged = fuse(files)
    assert np.abs(averaged.probabilities - weighted.probabilities).max() > 0.01


def test_a_probability_of_0_stays_finite() -> None:
    labels = np.array([0])
    files = [scores_of(np.array([[200.0, 0.0]]), labels), scores_of(np.array([[0.0, 10.0]]), labels)]
    assert np.isfinite(fuse(files, of="logits").probabilities).all()


def test_a_video_and_the_folder_of_its_flow_are_matched() -> None:
    labels, scores = np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)

    def named(*ids: str) -> Scores:
        return Scores(ids, labels, scores, ("a", "b"))

    rgb = named("k/a.mp4", "k/b.AVI@1-2.5")
    for flow in (named("k/a", "k/b@1-2.5"), named("k/a.flow.mkv", "k/b.flow.mkv@1-2.5")):
        assert fuse([rgb, flow]).ids == rgb.ids
    assert named("a.mp4", "a.avi").keys == ("a.mp4", "a.avi")
    with pytest.raises(DataError, match="lacks 1 video of the first and has 1 other, for example k/b"):
        fuse([rgb, named("k/a", "k/c")])


def test_searched_weights() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 5, 400)
    truth = np.eye(5)[labels]
    good, noise = scores_of(3 * truth + rng.normal(size=(400, 5)), labels), scores_of(rng.normal(size=(400, 5)), labels)
    first, second = search_weights([good, noise])
    assert first > 0.5
    assert first + second == pytest.approx(1)
    assert search_weights([good, good]) == (0.5, 0.5)
    three = search_weights([good, good, noise])
    assert sum(three) == pytest.approx(1)
    assert len(three) == 3


def test_comparable_numbers() -> None:
    (published,) = compare(ROW, PROTOCOL, top1=0.7462, videos=19796)
    assert published.comparable
    assert str(published).startswith(
        "published (MMAction v0.2.0 announcement): 74.8 %; here 74.6 % (74.0 % to 75.2 %): -0.2 points, within"
    )
    (lower,) = compare(ROW, PROTOCOL, top1=0.70, videos=19796)
    assert "outside the 95 % interval" in str(lower)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"split": "test"}, "the split is test, the published one val"),
        ({"split": None}, "the list does not say which split it is"),
        ({"test": ROW.test.model_dump(mode="json") | {"crops": "centre"}}, "the test rule is not the recipe's"),
        ({"pixels": {}}, "the pixels rule is not the recipe's"),
        ({"precision": "bfloat16"}, "the network ran in bfloat16"),
        ({"precision": "tf32"}, "the network ran in tf32"),
        ({"only": Restriction(list="theirs.csv", left_out=0, missing=0)}, "only the videos of theirs.csv were scored"),
    ],
)
def test_what_makes_numbers_incomparable(change, reason) -> None:
    (published,) = compare(ROW, PROTOCOL.model_copy(update=change), top1=0.74, videos=19796)
    assert any(reason in found for found in published.reasons), published.reasons
    assert "not comparable, because" in str(published)


def test_other_videos_are_not_comparable() -> None:
    (published,) = compare(ROW, PROTOCOL, top1=0.74, videos=18000)
    assert published.reasons == ("18,000 videos were tested, not 19,796 as published",)
    quoted = get_recipe("i3d_incv1_rgb_64x1_k400")
    (found,) = compare(quoted, PROTOCOL, top1=0.7, videos=19796)
    assert any("quoted from elsewhere" in reason for reason in found.reasons)


def test_our_own_measurements_need_the_same_list() -> None:
    measured = Measured(top1=74.0, top5=91.0, videos=19796, commit="abc", fingerprint="f" * 64, date=date(2026, 1, 1))
    row = ROW.model_copy(update={"measured": measured, "published": None})
    (same,) = compare(row, PROTOCOL, top1=0.74, videos=19796)
    assert same.comparable
    (other,) = compare(row, PROTOCOL.model_copy(update={"data_fingerprint": "0" * 64}), top1=0.74, videos=19796)
    assert other.reasons == ("the list of videos is another one (fingerprints differ)",)
    assert compare(ROW.variant(name="mine"), PROTOCOL, top1=0.74, videos=19796) == ()
