"""Sampling rules against the toolkits' formulas written down a second time, over thousands of videos; and broken ones."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

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
    SamplingRule,
)
from tests.support.recorded import load

RATES = (15.0, 23.976, 24.0, 25.0, 29.97, 30000 / 1001, 30.0, 50.0, 59.94, 60.0)


class Case:
    """A video and a way to sample it."""

    def __init__(self, seed: int) -> None:
        random = np.random.RandomState(seed)
        self.seed = seed
        self.count = int(random.choice([1, 2, random.randint(1, 40), random.randint(1, 400), random.randint(1, 2000)]))
        self.frames = int(random.choice([1, random.randint(1, 65)]))
        self.stride, self.clips = int(random.randint(1, 17)), int(random.randint(1, 31))
        self.fps, self.target = float(random.choice(RATES)), float(random.choice([30, 30, 15, 24]))
        self.rate = self.fps if self.count > 1 else 30.0

    @property
    def fields(self) -> dict[str, int]:
        return {"clips": self.clips, "frames": self.frames, "stride": self.stride}

    @property
    def random(self) -> np.random.RandomState:
        return np.random.RandomState(self.seed)

    @property
    def times(self) -> np.ndarray:
        return np.arange(self.count) / self.fps


def mmaction(case: Case, kind: str) -> list[int]:
    """Frame by frame, counted from 1, as in the toolkit."""
    count, span, clips = case.count, case.frames * case.stride, case.clips
    if kind == "train":
        part = (count - span + 1) // clips
        if part > 0:
            offsets = [k * part + int(r) for k, r in enumerate(case.random.randint(part, size=clips))]
        elif count > max(clips, span):
            offsets = sorted(case.random.randint(count - span + 1, size=clips).tolist())
        else:
            offsets = [0] * clips
    elif count > (span - 1 if kind == "test" else clips + span - 1):
        tick = (count - span + 1) / clips
        offsets = [int(tick / 2 + tick * k) for k in range(clips)]
    else:
        offsets = [0] * clips
    taken = []
    for offset in offsets:
        at = offset + 1
        for _ in range(case.frames):
            taken.append(at - 1)
            if at + case.stride < count:
                at += case.stride
    return taken


def mmaction2(case: Case, kind: str, *, beyond: str = "loop", ratio: float | None = None) -> list[int]:
    count, clips, frames, stride = case.count, case.clips, case.frames, case.stride
    fps = ratio is not None
    length = max(1, frames * stride * ratio) if ratio is not None else frames * stride
    if kind == "train":
        part = (count - length + 1) // clips
        if part > 0:
            offsets = np.arange(clips) * part + case.random.randint(int(part), size=clips)
        elif count > max(clips, length):
            offsets = np.sort(case.random.randint(int(count - length + 1), size=clips))
        else:
            offsets = np.around(np.arange(clips) * ((count - length + 1) / clips)) if part == 0 else np.zeros(clips)
    elif frames == 1:
        offsets = np.arange(clips) * (count / clips) + count / clips / 2
    else:
        slack = max(count - (length if fps else (frames - 1) * stride + 1), 0)
        apart = slack / max(clips - 1, 1)
        offsets = np.arange(clips) * np.floor(apart) if fps else np.round(np.arange(clips) * apart)
        offsets = np.array([slack // 2]) if clips == 1 else offsets
    inside = np.linspace(0, length - 1, frames).astype(int) if fps else np.arange(frames) * stride
    taken = offsets[:, None] + inside
    if beyond == "loop":
        return (taken % count).astype(int).ravel().tolist()
    return [int(i if i < count else max([j for j in clip if j < count], default=0)) for clip in taken for i in clip]


def pyslowfast(case: Case) -> list[int]:
    length = max(case.frames * case.stride * case.rate / case.target, 1.0)
    taken = []
    for k in range(case.clips):
        start = max(case.count - length, 0) * k / case.clips
        places = torch.linspace(start, start + length - 1, case.frames)
        taken += torch.clamp(places, 0, case.count - 1).long().tolist()
    return taken


def pairs(case: Case) -> list[tuple[SamplingRule, list[int]]]:
    """(rule, expected indices)."""
    fps = {"clips": case.clips, "frames": case.frames, "stride": case.stride, "fps": case.target}
    ratio = case.rate / case.target
    single = Case(case.seed)
    single.frames = single.stride = 1
    beginnings = [int(case.count / case.clips * k) for k in range(case.clips)]
    return [
        (MMActionTest(**case.fields), mmaction(case, "test")),
        (MMActionVal(**case.fields), mmaction(case, "val")),
        (MMActionTrain(**case.fields), mmaction(case, "train")),
        (MMAction2Test(**case.fields), mmaction2(case, "test")),
        (MMAction2Test(**case.fields, beyond="repeat_last"), mmaction2(case, "test", beyond="repeat_last")),
        (MMAction2Train(**case.fields), mmaction2(case, "train")),
        (MMAction2Train(**case.fields, beyond="repeat_last"), mmaction2(case, "train", beyond="repeat_last")),
        (MMAction2TwiceTest(segments=case.clips), mmaction2(single, "test") + beginnings),
        (MMAction2FPSTest(**fps), mmaction2(case, "test", ratio=ratio)),
        (MMAction2FPSTrain(**fps), mmaction2(case, "train", ratio=ratio)),
        (PySlowFastTest(**fps), pyslowfast(case)),
    ]


@pytest.mark.parametrize("block", range(4))
def test_rules_equal_reimplementations_on_thousands_of_videos(block) -> None:
    for seed in range(block * 150, (block + 1) * 150):
        case = Case(seed)
        for rule, expected in pairs(case):
            got = rule.sample(case.count, case.times, case.random).ravel().tolist()
            assert got == expected, (rule, case.count, case.fps)


def test_pyslowfast_training_starts_anywhere_that_fits() -> None:
    for seed in range(200):
        case = Case(seed)
        length = max(case.frames * case.stride * case.rate / 30, 1.0)
        start = case.random.uniform(0, max(case.count - length, 0))
        expected = torch.clamp(torch.linspace(start, start + length - 1, case.frames), 0, case.count - 1).long()
        rule = PySlowFastTrain(frames=case.frames, stride=case.stride)
        assert rule.sample(case.count, case.times, case.random)[0].tolist() == expected.tolist()


def varying(seed: int, count: int) -> np.ndarray:
    """Time stamps of a variable frame rate."""
    return np.cumsum(np.random.RandomState(seed).uniform(0.01, 0.12, count))


def test_pytorchvideo_samples_the_frames_shown() -> None:
    """Frames shown in [start, start + d), evenly, the first and the last included: by a search over all frames."""
    for seed in range(300):
        random = np.random.RandomState(seed)
        times = varying(seed, int(random.randint(2, 300)))
        times -= times[0]
        clips, frames, seconds = int(random.randint(1, 11)), int(random.randint(1, 33)), float(random.uniform(0.3, 4))
        latest = max(times[-1] + times[-1] / (len(times) - 1) - seconds, 0)
        taken = PyTorchVideoTest(clips=clips, frames=frames, seconds=seconds).sample(len(times), times)
        drawn = PyTorchVideoTrain(frames=frames, seconds=seconds).sample(len(times), times, np.random.RandomState(seed))
        starts = [*(latest * k / clips for k in range(clips)), np.random.RandomState(seed).uniform(0, latest)]
        for start, got in zip(starts, [*taken, *drawn], strict=True):
            shown = [i for i, time in enumerate(times) if start - 5e-7 <= time < start + seconds - 5e-7]
            places = torch.linspace(0, len(shown) - 1, frames).long()
            assert got.tolist() == [shown[int(place)] for place in places]


# Broken on purpose: each must be seen by the recorded cases.


def recorded(rule: type[SamplingRule]) -> bool:
    """Whether a test rule still equals all recorded cases of its toolkit."""
    return all(
        declared.sample(count, times).ravel().tolist() == frames for declared, count, times, frames in recordings(rule)
    )


def recordings(rule: type[SamplingRule]) -> Iterator[tuple[SamplingRule, int, np.ndarray, list[int]]]:
    """(rule, frames of the video, their time stamps, the toolkit's indices)."""
    if rule is MMActionTest:
        for case in load("sampling/mmaction1_frames"):
            declared = rule(clips=case["num_segments"], frames=case["new_length"], stride=case["new_step"])
            yield declared, case["num_frames"], np.zeros(0), [frame - 1 for frame in case["test_frames"]]
    elif rule is MMAction2Test:
        for case in load("sampling/mmaction2_frames"):
            if set(case["kw"]) == {"clip_len", "frame_interval", "num_clips"}:
                how = case["kw"]
                declared = rule(clips=how["num_clips"], frames=how["clip_len"], stride=how["frame_interval"])
                yield declared, case["total_frames"], np.zeros(0), case["test"]
    else:
        for case in load("sampling/pyslowfast")["frames"]:
            declared = rule(clips=case["views"], frames=case["T"], stride=case["tau"])
            frames = [frame for clip in case["frames"] for frame in clip]
            yield declared, case["n"], np.arange(case["n"]) / case["fps"], frames


def looping(rule: MMActionTest, offsets: np.ndarray, count: int) -> np.ndarray:
    return (offsets[:, None] + np.arange(rule.frames) * rule.stride) % count


def clamping(rule: MMAction2Test, offsets: np.ndarray, count: int) -> np.ndarray:
    return np.minimum(offsets[:, None] + np.arange(rule.frames) * rule.stride, count - 1)


def one_later(rule: MMAction2Test, count: int) -> np.ndarray:
    return real_offsets(rule, count) + 1


def by_stride(start: float, end: float, count: int) -> np.ndarray:
    return start + np.arange(count) * round((end - start + 1) / count)


real_offsets = MMAction2Test._offsets

BROKEN: list[tuple[type[SamplingRule], str, Callable[..., np.ndarray]]] = [
    (MMActionTest, "marey.video.sampling.mmaction.MMActionTest._frames", looping),
    (MMAction2Test, "marey.video.sampling.mmaction2.MMAction2Test._frames", clamping),
    (MMAction2Test, "marey.video.sampling.mmaction2.MMAction2Test._offsets", one_later),
    (PySlowFastTest, "marey.video.sampling.pyslowfast.evenly", by_stride),
]


@pytest.mark.parametrize(("rule", "target", "broken"), BROKEN, ids=["loop", "clamp", "one later", "by stride"])
def test_a_broken_rule_is_seen(rule, target, broken, monkeypatch) -> None:
    assert recorded(rule)
    monkeypatch.setattr(target, broken)
    assert not recorded(rule)


ALL_RULES = (
    MMActionTest, MMActionVal, MMActionTrain, MMAction2Test, MMAction2Train, MMAction2FPSTest, MMAction2FPSTrain,
    MMAction2TwiceTest, MMAction2DenseTest, PySlowFastTest, PySlowFastTrain, PyTorchVideoTest, PyTorchVideoTrain,
)  # fmt: skip


@pytest.mark.parametrize("rule", ALL_RULES)
def test_one_frame_is_a_video(rule) -> None:
    """A clip longer than the video repeats its one frame."""
    fields = {"segments": 8} if rule in (MMAction2TwiceTest, MMAction2DenseTest) else {"frames": 8}
    taken = rule(**fields).sample(1, np.zeros(1), np.random.RandomState(0))
    assert taken.size >= 8
    assert not taken.any()
    with pytest.raises(DataError, match="0 frames"):
        rule(**fields).sample(0, np.zeros(0), np.random.RandomState(0))


def test_a_clip_longer_than_the_video() -> None:
    """A clip of 8 frames, two apart, from a video of five frames, in each toolkit."""
    times = np.arange(5) / 30
    shown = {
        type(rule).__name__: rule.sample(5, times)[0].tolist()
        for rule in (
            MMActionTest(frames=8, stride=2),
            MMAction2Test(frames=8, stride=2),
            MMAction2FPSTest(frames=8, stride=2),
            PySlowFastTest(frames=8, stride=2),
            PyTorchVideoTest(frames=8, seconds=16 / 30),
        )
    }
    repeated = MMAction2Test(frames=8, stride=2, beyond="repeat_last").sample(5)[0].tolist()
    assert shown == {
        "MMActionTest": [0, 2, 2, 2, 2, 2, 2, 2],
        "MMAction2Test": [0, 2, 4, 1, 3, 0, 2, 4],
        "MMAction2FPSTest": [0, 2, 4, 1, 3, 0, 2, 0],
        "PySlowFastTest": [0, 2, 4, 4, 4, 4, 4, 4],
        "PyTorchVideoTest": [0, 0, 1, 1, 2, 2, 3, 4],
    }
    assert repeated == [0, 2, 4, 4, 4, 4, 4, 4]
