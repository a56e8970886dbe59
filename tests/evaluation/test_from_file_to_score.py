"""From a real file to the score, against the same computation step by step, without Marey's video code."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from marey.backends.compute import Compute
from marey.backends.eager import EagerBackend
from marey.data.lists.videos import VideoList
from marey.data.loading.datasets import ViewDataset
from marey.evaluation.views import Views
from marey.inference.predict import predict
from marey.models.network import Network
from marey.recipes import get_recipe
from marey.video.pixels import FloatPixels
from marey.video.sampling import PySlowFastTest
from marey.weights.load import load_model
from tests.support.recorded import write_checkpoint
from tests.support.tolerances import GOLDEN_LOGITS, PLANES_SCORE

CLIPS, SHORT, CROP = 2, 128, 113
"""Enough to tell clips and crops apart; small, to save time; odd slack (57 columns, 15 rows), where the toolkits differ."""


@pytest.fixture(scope="module")
def film(shared) -> Path:
    return shared / "videos" / "clips" / "arm_wrestling.mp4"


@pytest.fixture(scope="module")
def frames(film) -> np.ndarray:
    """Every frame as RGB, read by PyAV alone."""
    with av.open(str(film)) as container:
        return np.stack([picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)])


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Network:
    """Recorded weights, so that logits are spread like those of a trained network."""
    recipe = get_recipe("slowonly_r50_4x16_k400_mmaction2")
    recipe = recipe.variant(test={"sampling": {"clips": CLIPS}, "size": CROP}, pixels={"short_side": SHORT})
    path = write_checkpoint("mmaction2/slowonly_r50_4x16", tmp_path_factory.mktemp("w") / "w.pth")
    return load_model(recipe, weights=path)


def ours(network: Network, film: Path) -> torch.Tensor:
    """Logits of all views, [clips * crops, K]."""
    test, pixels = network.recipe.test, network.recipe.pixels
    item = ViewDataset(VideoList.from_paths([film]), test.sampling, pixels)[0]
    backend = EagerBackend(network, Compute(device="cpu"))
    return torch.cat([backend.logits(views) for views in Views.of(item, test, pixels).batches(3)])


def step_by_step(network: Network, frames: np.ndarray) -> torch.Tensor:
    """MMAction2: offsets from the first to the last that fits; crops at 0, and at twice and once the floor of half the
    slack.
    """
    last = len(frames) - (3 * 16 + 1)
    resized = [cv2.resize(frame, (170, SHORT), interpolation=cv2.INTER_LINEAR) for frame in frames]
    views = []
    for clip in range(CLIPS):
        begin = round(clip * last / (CLIPS - 1))
        for left in (0, 56, 28):
            view = np.stack([resized[begin + 16 * k][7 : 7 + CROP, left : left + CROP] for k in range(4)]).astype(
                np.float32
            )
            view = (view - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375]
            views.append(torch.from_numpy(view).float().permute(3, 0, 1, 2))
    with torch.inference_mode():
        return torch.cat([network(view[None]) for view in views])


def test_scores_from_a_file_are_those_of_mmaction2(network, film, frames) -> None:
    expected, got = step_by_step(network, frames), ours(network, film)
    assert (got - expected).abs().max() <= GOLDEN_LOGITS * expected.std()
    probabilities = expected.softmax(dim=1).mean(dim=0)
    np.testing.assert_allclose(predict(network, film).probabilities, probabilities.numpy(), atol=1e-5)


def test_scores_from_a_file_are_those_of_pyslowfast(network, film, frames) -> None:
    """Divided by 255, normalised, resized in float, frame positions from linspace, crops by ceil."""
    recipe = network.recipe.variant(
        pixels=FloatPixels(short_side=SHORT), test={"sampling": PySlowFastTest(clips=CLIPS, frames=4, stride=16)}
    )
    with av.open(str(film)) as container:
        rate = float(container.streams.video[0].average_rate)
    length = 4 * 16 * rate / 30
    clips = torch.from_numpy(frames).permute(3, 0, 1, 2).float().div(255).sub(0.45).div(0.225)
    views = []
    for clip in range(CLIPS):
        begin = (len(frames) - length) * clip / CLIPS
        indices = torch.linspace(begin, begin + length - 1, 4).long()
        resized = torch.nn.functional.interpolate(
            clips[:, indices], size=(SHORT, 170), mode="bilinear", align_corners=False
        )
        views += [resized[..., 8 : 8 + CROP, left : left + CROP] for left in (0, 29, 57)]
    with torch.inference_mode():
        expected = torch.cat([network(view[None]) for view in views])
    got = ours(network.with_recipe(recipe), film)
    assert (got - expected).abs().max() <= GOLDEN_LOGITS * expected.std()


def test_an_error_of_one_frame_is_detected(network, film, frames) -> None:
    expected, got = step_by_step(network, frames[1:]), ours(network, film)
    assert (got - expected).abs().max() > 10 * GOLDEN_LOGITS * expected.std()


def test_the_fast_way_is_near_but_not_the_same(network, film) -> None:
    exact = ours(network, film)
    fast = ours(network.with_recipe(network.recipe.variant(pixels={"conversion": "planes"})), film)
    assert GOLDEN_LOGITS < (fast - exact).abs().max() / exact.std() < PLANES_SCORE
