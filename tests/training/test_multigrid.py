"""Multigrid: phases, batches and rates as in PySlowFast; clips of those shapes in training; resume."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from marey.data.lists.class_folders import list_folder
from marey.data.lists.manifest import Manifest
from marey.recipe import SGD, CosineSchedule, Multigrid, StepSchedule, Warmup
from marey.recipes import get_recipe
from marey.training.batches import RunBatches
from marey.training.fit import fit
from marey.training.multigrid import ClipShape, phase_at, phases_of, plan_phases, rules_of
from marey.training.schedules import Calendar, learning_rate
from marey.training.step import GradientStep
from marey.video.sampling import PyTorchVideoTrain
from marey.weights.checkpoint import read_checkpoint
from tests.support.crashing import CrashError, crash_after

VIDEOS_PER_CLASS = 10

# Recorded from PySlowFast's MultigridSchedule (and, for the short cycle, from its batch sampler):
# (last epoch, relative rate, frames, side, batch) of each phase.

STEPWISE = [
    (73, 8, 8, 158, 8), (110, 4, 16, 158, 4), (142, 2, 16, 224, 2), (158, 1, 32, 224, 1),
    (205, 0.8, 8, 158, 8), (228, 0.4, 16, 158, 4), (248, 0.2, 16, 224, 2), (259, 0.1, 32, 224, 1),
    (291, 0.08, 8, 158, 8), (308, 0.04, 16, 158, 4), (322, 0.02, 16, 224, 2), (329, 0.01, 32, 224, 1),
    (343, 0.01, 32, 224, 1), (358, 0.001, 32, 224, 1),
]  # fmt: skip
"""SLOWFAST_8x8_R50_stepwise_multigrid: 32 frames of 224, milestones 94, 154 and 196 of 239 epochs."""
SHORT = [
    (24, 8, 2, 158, 8), (36, 4, 4, 158, 4), (47, 2, 4, 224, 2), (52, 1, 8, 224, 1),
    (76, 0.8, 2, 158, 8), (88, 0.4, 4, 158, 4), (98, 0.2, 4, 224, 2), (104, 0.1, 8, 224, 1),
    (111, 0.1, 8, 224, 1), (118, 0.01, 8, 224, 1),
]  # fmt: skip
SMALL = [(17, 8, 4, 79, 8), (26, 4, 8, 79, 4), (34, 2, 8, 112, 2), (37, 1, 16, 112, 1), (41, 1, 16, 112, 1),
         (45, 0.1, 16, 112, 1)]  # fmt: skip
CASES = [
    ((94, 154, 196), 239, 32, 224, 1.5, STEPWISE),
    ((44, 88), 118, 8, 224, 1.0, SHORT),
    ((20,), 30, 16, 112, 1.5, SMALL),
]


def laid_out(milestones, epochs, frames, side, factor, **changes):
    multigrid = Multigrid(epoch_factor=factor, **changes)
    phases = plan_phases(multigrid, StepSchedule(milestones=milestones), epochs, frames, side)
    return [(p.until, p.rate, p.shapes[-1].frames, p.shapes[-1].side, p.shapes[-1].batch) for p in phases]


@pytest.mark.parametrize(("milestones", "epochs", "frames", "side", "factor", "expected"), CASES)
def test_phases_of_the_long_cycle_are_those_of_pyslowfast(milestones, epochs, frames, side, factor, expected) -> None:
    found = laid_out(milestones, epochs, frames, side, factor)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs)


@pytest.mark.parametrize("changes", [{"short": ()}, {"long": ((0.5, 1), (1, 1))}])
def test_other_cycles_are_detected(changes) -> None:
    assert laid_out(*CASES[0][:5], **changes) != [pytest.approx(phase) for phase in STEPWISE]


def test_clips_of_the_short_cycle_have_a_batch_in_inverse_proportion() -> None:
    """Two smaller sides, then the side of the shape; clips of a fourth of the volume have four times the batch."""
    phases = plan_phases(Multigrid(), StepSchedule(milestones=(94, 154, 196)), 239, 32, 224)
    assert phases[0].shapes == (ClipShape(8, 112, 16), ClipShape(8, 158, 8), ClipShape(8, 158, 8))
    assert phases[2].shapes == (ClipShape(16, 112, 8), ClipShape(16, 158, 4), ClipShape(16, 224, 2))
    assert phases[-1].shapes == (ClipShape(32, 112, 4), ClipShape(32, 158, 2), ClipShape(32, 224, 1))
    for phase in phases:
        for shape in phase.shapes:
            assert shape.frames * shape.side**2 * shape.batch == pytest.approx(32 * 224**2, rel=0.01)
    assert phase_at(phases, 72) is phases[0]
    assert phase_at(phases, 73) is phases[1]


RECIPE = get_recipe("slowonly_r18_8x2_motions").variant(
    name="multigrid",
    model={"width": 4, "num_classes": 2},
    clip={"frames": 4, "stride": 1},
    augment={"geometry": "pyslowfast", "size": 64, "short_sides": (72, 90), "flip": 0.5},
    pixels={"short_side": 64},
    test={"size": 64, "sampling": {"frames": 4}},
    train={
        "epochs": 3,
        "base_batch": 2,
        "dropout": 0.3,
        "optimizer": SGD(lr=1e-3),
        "schedule": StepSchedule(milestones=(2,), warmup=Warmup(epochs=1.5, start=0.1, towards="end")),
        "multigrid": {"epoch_factor": 2},
        "norm_batch": 2,
    },
)


def test_rates_rise_with_the_batch() -> None:
    """The warm-up ends at the rate of the phase there; then come the rates of the phases. Epochs differ in length."""
    lengths = [3, 5, 4, 8, 8, 8]
    phases = phases_of(RECIPE)
    assert [phase.until for phase in phases][-1] == 6
    rates = [
        [learning_rate(RECIPE.train, Calendar(lengths), sum(lengths[:epoch]) + i, phases) for i in range(length)]
        for epoch, length in enumerate(lengths)
    ]
    at_end = 1e-3 * phase_at(phases, 1).rate
    line = [1e-4 + (at_end - 1e-4) * time / 1.5 for time in (0, 1 / 3, 2 / 3)]
    assert rates[0] == pytest.approx(line)
    assert rates[1] == pytest.approx(
        [1e-4 + (at_end - 1e-4) * (1 + i / 5) / 1.5 if 1 + i / 5 < 1.5 else at_end for i in range(5)]
    )
    for epoch in range(2, 6):
        assert rates[epoch] == pytest.approx([1e-3 * phase_at(phases, epoch).rate] * lengths[epoch])


def test_sampling_and_crops_follow_the_shape_of_the_clip() -> None:
    recipe = get_recipe("slowfast_r50_8x8_k400_pyslowfast")
    (sampling, crop), *_ = rules_of(recipe, [ClipShape(8, 112, 16)])
    assert (sampling.frames, sampling.stride) == (8, 4 * recipe.clip.stride)
    assert (crop.size, crop.short_sides) == (112, (128, 320))
    seconds = recipe.variant(clip=PyTorchVideoTrain(frames=32, seconds=2))
    (sampling, _), *_ = rules_of(seconds, [ClipShape(8, 112, 16)])
    assert (sampling.frames, sampling.seconds) == (8, 2)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """One thread, because the passes have two tiny clips, and threads would wait for each other longer than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def videos(videos: Path) -> Manifest:
    return list_folder(videos)


def test_training_sees_those_shapes(videos, tmp_path) -> None:
    seen = []
    with pytest.MonkeyPatch.context() as patched:
        backward = GradientStep.forward_backward

        def watched(self, batch, step):
            seen.append((calendar.locate(step)[0], tuple(batch["clip"].shape[1:4]), batch["size"]))
            return backward(self, batch, step)

        calendar = RunBatches(RECIPE, videos, None, seed=0, workers=0).calendar
        patched.setattr(GradientStep, "forward_backward", watched)
        result = fit(RECIPE, train=videos, val=videos, out=tmp_path, workers=0)
    phases = phases_of(RECIPE)
    assert result.epochs == 6
    for epoch in range(6):
        of_epoch = [batch[1:] for batch in seen if batch[0] == epoch]
        assert sum(size for _, size in of_epoch) == len(videos)
        shapes = phase_at(phases, epoch).shapes
        for place, (clip, size) in enumerate(of_epoch):
            shape = shapes[place % len(shapes)]
            assert clip == (shape.frames, shape.side, shape.side)
            assert size == 2 * shape.batch or place == len(of_epoch) - 1


@pytest.fixture(scope="module")
def whole(videos, tmp_path_factory):
    """The weights of a run that never stopped."""
    out = tmp_path_factory.mktemp("whole")
    fit(RECIPE, train=videos, out=out, workers=0)
    return read_checkpoint(out / "last.safetensors").tensors


@pytest.mark.parametrize("cut", [1, 3])
def test_a_resume_in_mid_epoch(cut, whole, videos, tmp_path, monkeypatch) -> None:
    with monkeypatch.context() as patched:
        crash_after(cut, patched)
        with pytest.raises(CrashError):
            fit(RECIPE, train=videos, out=tmp_path, workers=0)
    fit(RECIPE, train=videos, out=tmp_path, workers=1, resume=True)
    resumed = read_checkpoint(tmp_path / "last.safetensors").tensors
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_bad_multigrid() -> None:
    with pytest.raises(ValidationError, match="its last shape is"):
        Multigrid(long=((0.5, 1.0),))
    train = RECIPE.train.model_dump()
    with pytest.raises(ValidationError, match=r"multigrid needs train\.schedule\.kind=step"):
        type(RECIPE.train).model_validate(train | {"schedule": CosineSchedule()})
    with pytest.raises(ValidationError, match="multigrid needs epochs after the last milestone"):
        type(RECIPE.train).model_validate(train | {"epochs": 2})
