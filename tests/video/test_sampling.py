"""Every recorded case of the toolkits' own samplers, exactly; and properties for any video."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from marey.base.errors import DataError
from marey.video.sampling import (
    MMAction2DenseTest,
    MMAction2FPSTest,
    MMAction2FPSTrain,
    MMAction2Test,
    MMAction2Train,
    MMAction2TwiceTest,
    MMActionTest,
    MMActionTrain,
    MMActionVal,
    PySlowFastTest,
    PySlowFastTrain,
    PyTorchVideoTest,
    PyTorchVideoTrain,
)
from marey.video.sampling.rule import evenly
from tests.support.recorded import load

MMACTION = load("sampling/mmaction1_frames")
MMACTION2 = [case for case in load("sampling/mmaction2_frames") if "target_fps" not in case["kw"]]
MMACTION2_FPS = [case for case in load("sampling/mmaction2_frames") if "target_fps" in case["kw"]]
PYSLOWFAST = load("sampling/pyslowfast")["frames"]


@pytest.mark.parametrize("case", MMACTION, ids=lambda c: f"{c['new_length']}x{c['new_step']}-{c['num_frames']}")
def test_mmaction(case) -> None:
    fields = {"clips": case["num_segments"], "frames": case["new_length"], "stride": case["new_step"]}
    rules = ((MMActionTest, "test_frames"), (MMActionVal, "val_frames"), (MMActionTrain, "train_seed0_frames"))
    for rule, recorded in rules:
        indices = rule(**fields).sample(case["num_frames"], random=np.random.RandomState(0))
        assert (indices + 1).ravel().tolist() == case[recorded]


@pytest.mark.parametrize("case", MMACTION2, ids=lambda c: f"{c['kw']}-{c['total_frames']}")
def test_mmaction2(case) -> None:
    kw = case["kw"]
    if isinstance(kw, str):
        rules = [(MMAction2DenseTest(frames=8), "test")]
    elif kw.get("twice_sample"):
        rules = [(MMAction2TwiceTest(segments=8), "test"), (MMAction2Train(segments=8), "train_seed0")]
    else:
        fields = {"clips": kw["num_clips"], "frames": kw["clip_len"], "stride": kw["frame_interval"]}
        fields["beyond"] = kw.get("out_of_bound_opt", "loop")
        rules = [(MMAction2Test(**fields), "test"), (MMAction2Train(**fields), "train_seed0")]
    for rule, recorded in rules:
        indices = rule.sample(case["total_frames"], random=np.random.RandomState(0))
        assert indices.ravel().tolist() == case[recorded]


@pytest.mark.parametrize("case", MMACTION2_FPS, ids=lambda c: f"{c['total_frames']}")
def test_mmaction2_target_fps(case) -> None:
    """Recorded for videos of 25 frames per second."""
    kw = case["kw"]
    fields = {"clips": kw["num_clips"], "frames": kw["clip_len"], "stride": kw["frame_interval"]}
    for rule, recorded in ((MMAction2FPSTest, "test"), (MMAction2FPSTrain, "train_seed0")):
        declared = rule(**fields, fps=kw["target_fps"])
        indices = declared.sample(case["total_frames"], seconds(case["total_frames"], 25), np.random.RandomState(0))
        assert indices.ravel().tolist() == case[recorded]


def seconds(count: int, fps: float) -> np.ndarray:
    return np.arange(count) / fps


@pytest.mark.parametrize("case", PYSLOWFAST, ids=lambda c: f"{c['T']}x{c['tau']}-{c['n']}@{c['fps']}")
def test_pyslowfast(case) -> None:
    rule = PySlowFastTest(clips=case["views"], frames=case["T"], stride=case["tau"])
    assert rule.sample(case["n"], seconds(case["n"], case["fps"])).tolist() == case["frames"]


def test_pyslowfast_training_is_its_test_from_a_random_start() -> None:
    rule = PySlowFastTrain(frames=8, stride=8)
    got = rule.sample(300, seconds(300, 30), np.random.RandomState(3))
    start = np.random.RandomState(3).uniform(0, 300 - 64)
    assert got.tolist() == [np.linspace(start, start + 63, 8).astype(int).tolist()]


def test_a_pyslowfast_clip_is_at_least_one_frame_long() -> None:
    """At 5 frames per second one frame of 30 is a sixth of a frame: np.maximum(1.0, ...) in its decoder."""
    taken = PySlowFastTest(clips=20, frames=1).sample(24, seconds(24, 5))
    assert taken.ravel().tolist() == [int(23 * k / 20) for k in range(20)]
    assert taken.ravel().tolist() != [int((24 - 1 / 6) * k / 20) for k in range(20)]


def test_evenly_is_the_toolkits_linspace() -> None:
    recorded = load("clips/pytorchvideo_pixels_synthetic")
    for name, indices in recorded["uniform_temporal_subsample"].items():
        count, taken = map(int, name.removeprefix("t").split("_n"))
        assert evenly(0, count - 1, taken).astype(int).tolist() == indices
    random = np.random.RandomState(0)
    for _ in range(300):
        start, length, count = random.uniform(0, 300), random.uniform(0, 300), random.randint(1, 65)
        assert np.array_equal(evenly(start, start + length, count), torch.linspace(start, start + length, count))


def test_pytorchvideo_counts_in_seconds() -> None:
    """Ten clips of 2 s of 10 s at 30 frames per second: clip k starts at 0.8 k s and its last frame is shown in it."""
    indices = PyTorchVideoTest(clips=10, frames=8, seconds=2).sample(300, seconds(300, 30))
    assert indices[:, 0].tolist() == list(range(0, 240, 24))
    assert indices[0].tolist() == [0, 8, 16, 25, 33, 42, 50, 59]
    # Twice the rate in its second half: the second clip begins at 2.503 s and ends before 7.503 s.
    times = np.concatenate([np.arange(150) / 30, 5 + np.arange(300) / 60])
    last = PyTorchVideoTest(clips=2, frames=4, seconds=5).sample(450, times)[1]
    assert last.tolist() == [76, 150, 225, 300]


@pytest.mark.parametrize(
    "rule", [MMAction2FPSTest, MMAction2FPSTrain, PySlowFastTest, PySlowFastTrain, PyTorchVideoTest, PyTorchVideoTrain]
)
@given(count=st.integers(1, 400), clips=st.integers(1, 12), frames=st.integers(1, 40), fps=st.floats(1, 240))
def test_indices_exist_at_any_rate(rule, count, clips, frames, fps) -> None:
    random = np.random.RandomState(count)
    times = np.cumsum(random.uniform(0.2, 2, count) / fps)
    indices = rule(clips=clips, frames=frames).sample(count, times, random)
    assert indices.shape == (clips, frames)
    assert indices.min() >= 0
    assert indices.max() < count
    with pytest.raises(DataError, match="counts in seconds"):
        rule(clips=clips, frames=frames).sample(count, None, random)


@pytest.mark.parametrize("rule", [MMActionTest, MMActionVal, MMActionTrain, MMAction2Test, MMAction2Train])
@given(
    count=st.integers(1, 400), clips=st.integers(1, 12), frames=st.integers(1, 40), stride=st.integers(1, 16),
    fold=st.booleans(),
)  # fmt: skip
def test_indices_exist(rule, count, clips, frames, stride, fold) -> None:
    declared = rule(frames=frames, stride=stride, **({"segments": clips} if fold else {"clips": clips}))
    indices = declared.sample(count, random=np.random.RandomState(count))
    assert indices.shape == ((1, clips * frames) if fold else (clips, frames))
    assert indices.min() >= 0
    assert indices.max() < count


def test_a_rule_off_by_one_is_seen() -> None:
    case = MMACTION[3]
    rule = MMActionTest(clips=case["num_segments"], frames=case["new_length"], stride=case["new_step"])
    assert (rule.sample(case["num_frames"] - 1) + 1).ravel().tolist() != case["test_frames"]


def test_bad_input() -> None:
    with pytest.raises(DataError, match="0 frames"):
        MMActionTest().sample(0)
    with pytest.raises(DataError, match="pass a random source"):
        MMActionTrain().sample(10)
    with pytest.raises(ValidationError, match="one of them must be 1"):
        MMActionTest(clips=2, segments=3)
