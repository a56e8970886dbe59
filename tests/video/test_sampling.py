"""Every recorded case of the toolkits' own samplers, exactly; and what holds for any video."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from recorded import load

from marey.base.errors import DataError
from marey.video.sampling import (
    MMAction2DenseTest,
    MMAction2Test,
    MMAction2Train,
    MMAction2TwiceTest,
    MMActionTest,
    MMActionTrain,
    MMActionVal,
)

MMACTION = load("sampling/mmaction1_frames")
MMACTION2 = [case for case in load("sampling/mmaction2_frames") if "target_fps" not in case["kw"]]


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
