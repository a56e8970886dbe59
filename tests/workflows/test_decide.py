"""The cost of fine-tuning is measured, printed, and compared with the budget in the unit of the device."""

from pathlib import Path

import pytest
import torch

from marey.backends.compute import Compute
from marey.base.options import Finetune
from marey.data.lists.class_folders import list_folder
from marey.data.lists.manifest import Manifest, make_manifest
from marey.evaluation.out_of_fold.cost import Cost
from marey.recipe import Classify
from marey.workflows.classifier import affordable
from marey.workflows.classifier.affordable import Budget
from marey.workflows.classifier.finetuning import decide
from marey.workflows.classifier.finetuning.decide import Decision, TuningCost, decide_tuning
from tests.support.tiny_probe import classifier_of

VIDEOS_PER_CLASS = 3

HERE = Compute(device="cpu", workers=0)
COST = TuningCost(seconds=1200, epochs=3, on_cpu=True)
COMMAND = "marey train runs/a --finetune always"
NOTHING = Cost(0, 0, 0.0, 0.0)
SPENT = Cost(24, 0, core_seconds=150.0, seconds=30.0)


@pytest.fixture(scope="module")
def videos(videos: Path) -> Manifest:
    return list_folder(videos)


@pytest.fixture
def cores(monkeypatch) -> None:
    for module in (affordable, decide):
        monkeypatch.setattr(module, "usable_cores", lambda: 2)


def decided(finetune: Finetune, cost: TuningCost | None, minutes: float | None = None, spent: Cost = SPENT) -> Decision:
    return decide_tuning(finetune, cost, Budget(minutes), spent=spent, command=COMMAND)


def test_auto_does_not_tune_on_a_cpu_and_reports_the_cost(cores) -> None:
    found = decided("auto", COST)
    assert not found.tunes
    assert found.sentence == (
        "the network is not fine-tuned, which would take 1,200 core-seconds, about 10 minutes on 2 cores (3 epochs without "
        "the judging fold, and 3 epochs on all videos if it is kept), more than the 450 core-seconds that are left of "
        "the budget (--minutes); marey train runs/a --finetune always does it, here or on another machine to which the run "
        "and its videos are copied"
    )
    small = decided("auto", TuningCost(seconds=100, epochs=3, on_cpu=True))
    assert not small.tunes
    assert "left of the budget" not in small.sentence


def test_auto_tunes_within_the_budget_on_a_gpu_and_where_the_budget_was_named(cores) -> None:
    on_gpu = TuningCost(seconds=120, epochs=3, on_cpu=False)
    assert decided("auto", on_gpu).tunes
    assert not decided("auto", on_gpu, minutes=2).tunes
    assert decided("auto", COST, minutes=12.5).tunes
    assert not decided("auto", COST, minutes=11).tunes


def test_the_budget_is_counted_in_the_unit_of_the_device(cores) -> None:
    """A minute is 60 core-seconds a core on a CPU, and 60 seconds on the clock elsewhere; so is what was spent."""
    on_gpu = TuningCost(seconds=91, epochs=3, on_cpu=False)
    assert "more than the 90 seconds that are left of the budget" in decided("auto", on_gpu, minutes=2).sentence
    assert "take 91 seconds (3 epochs" in decided("auto", on_gpu, minutes=2).sentence
    assert "more than the 90 core-seconds that are left" in decided("auto", COST, minutes=2).sentence
    assert "the 0 core-seconds" in decided("auto", COST, minutes=1).sentence


def test_always_tunes_and_reports_a_cost_above_the_minutes(cores) -> None:
    for cost in (COST, None):
        assert decided("always", cost, spent=NOTHING).tunes
        assert not decided("never", cost, minutes=1000, spent=NOTHING).tunes
    assert "more than" not in decided("always", COST).sentence, "no minutes were named"
    assert "more than" not in decided("always", COST, minutes=60).sentence
    beyond = decided("always", COST, minutes=5)
    assert beyond.tunes
    assert (
        "more than the 450 core-seconds that are left of the budget (--minutes); --finetune always does it"
        in beyond.sentence
    )


def test_without_a_measured_cost_only_always_tunes() -> None:
    assert "could not be measured" in decided("auto", None, minutes=1000).sentence
    assert "could not be measured" in decided("always", None).sentence


def test_the_cost_grows_with_clips_and_epochs_and_leaves_the_classifier_alone(videos) -> None:
    classifier = classifier_of(videos, Classify())
    torch.manual_seed(1)
    before = torch.get_rng_state()
    cost = decide.measure_cost(classifier, videos, 3, HERE)
    assert cost is not None
    assert (cost.epochs, cost.on_cpu) == (1, True)
    assert cost.seconds > 0
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in classifier.network.parameters())


def test_the_cost_of_videos_that_are_not_there_is_unknown(videos, tmp_path) -> None:
    gone = make_manifest([("a.mp4", "jump"), ("b.mp4", "run")], root=tmp_path, source="gone")
    assert decide.measure_cost(classifier_of(videos, Classify()), gone, 1, HERE) is None
