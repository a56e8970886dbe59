"""The claim of the demo at small scale: a network of clips learns motion that a network of single frames cannot see."""

import pytest

from marey.data.motions import NOISE, write_motions
from marey.evaluation.run import evaluate
from marey.recipes.motions import DEMO_SIZES, MOTIONS_SLOWONLY, MOTIONS_TSN
from marey.training.fit import fit
from marey.weights.load import load_model
from marey.workflows.demo import mirror_pairs

pytestmark = pytest.mark.slow

SMALL = {"clip": {"frames": 4, "stride": 4}, "test": {"sampling": {"frames": 4, "stride": 4, "clips": 1}}}


@pytest.mark.parametrize("recipe", [MOTIONS_SLOWONLY, MOTIONS_TSN], ids=lambda r: r.model.network)
def test_slowonly_learns_mirrored_pairs_and_tsn_does_not(recipe, tmp_path_factory) -> None:
    """1,200 videos, four frames each, six epochs: order is learnt by SlowOnly and stays invisible to TSN."""
    folder = tmp_path_factory.getbasetemp() / "motions"
    train, test = write_motions(folder, train=1200, test=240, size=72, frames=16, workers=2, look=NOISE)
    out = tmp_path_factory.mktemp(recipe.model.network)
    fitted = fit(recipe.variant(train={"epochs": 6}, **SMALL), train=train, out=out, workers=2)
    result = evaluate(load_model(fitted.last), test, workers=2)
    inside = result.pairs(mirror_pairs(test.class_names))
    if recipe is MOTIONS_SLOWONLY:
        assert inside > 0.8, inside
    else:
        # 240 videos in pairs that share their frames: half of them right, give or take chance.
        assert abs(inside - 0.5) < 0.1, inside


def test_the_smallest_demo_learns_its_classes(tmp_path) -> None:
    """The smallest size of the demo, on the look that it shows: above 95 %."""
    train, test = write_motions(tmp_path / "videos", **DEMO_SIZES[0], workers=2)
    fitted = fit(MOTIONS_SLOWONLY, train=train, out=tmp_path, workers=2)
    result = evaluate(load_model(fitted.last), test, workers=2)
    assert result.top1 > 0.95, result.top1


def test_single_frames_of_the_demo_do_not_distinguish_mirrored_pairs(tmp_path) -> None:
    train, test = write_motions(tmp_path / "videos", train=600, test=504, size=72, frames=20, workers=2)
    fitted = fit(MOTIONS_TSN.variant(train={"epochs": 2}), train=train, out=tmp_path, workers=2)
    inside = evaluate(load_model(fitted.last), test, workers=2).pairs(mirror_pairs(test.class_names))
    assert abs(inside - 0.5) < 0.1, inside
