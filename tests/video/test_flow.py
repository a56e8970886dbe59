"""Computed flow: Marey's TV-L1 against OpenCV's, every method against known motion, 8-bit levels, live flow."""

import cv2
import numpy as np
import pytest
import torch

from marey.base.errors import DataError, DecodeError
from marey.data.motions import NOISE, render_scene
from marey.video.flow import DIS, TVL1, Farneback, OpenCVTVL1, tvl1
from marey.video.flow.live import LiveFlow
from marey.video.flow.median import median_5x5, median_by_exchanges, sorting_network
from marey.video.flow.methods import flow_method
from marey.video.flow.rule import FlowRule, from_levels, to_grey, to_levels
from marey.video.flow.tvl1 import Solver, resize_by_step
from marey.video.pixels import Pixels
from marey.video.pixels.transforms import crop, flip
from marey.video.pixels.transforms import resize as resize_levels
from marey.video.reading.reader import open_video
from marey.video.source import Box
from marey.video.writing.writer import write_video
from tests.support.flow_pairs import MOTIONS, end_point_error, moved_pair
from tests.support.tolerances import FLOW_AGREEMENT, FLOW_FUSED, FLOW_REAL


@pytest.fixture(scope="module")
def pairs():
    """Four pairs of noisy frames with an object that moves over a shaking background, with OpenCV's flow."""
    turning, opening = (
        to_grey(render_scene(pair, scene, size=96, frames=12, seed=0, look=NOISE)) for pair, scene in ((2, 0), (4, 1))
    )
    first = np.stack([turning[2], turning[6], opening[3], opening[7]])
    second = np.stack([turning[3], turning[7], opening[4], opening[8]])
    return first, second, OpenCVTVL1().build()(first, second)


def test_tvl1_is_opencvs(pairs) -> None:
    first, second, expected = pairs
    assert np.hypot(expected[..., 0], expected[..., 1]).mean() > 1
    assert end_point_error(TVL1().build()(first, second), expected) < FLOW_AGREEMENT


def test_tvl1_is_opencvs_to_the_last_digits_where_both_are_stable(pairs) -> None:
    """Few warps do not amplify rounding errors: the same stencils, thresholds, stops and medians then give the same flow."""
    first, second, _ = (part[::2] for part in pairs)
    for rule in ({"scales": 1}, {"scales": 2, "warps": 1}):
        ours, theirs = TVL1(**rule).build()(first, second), OpenCVTVL1(**rule).build()(first, second)
        assert abs(ours - theirs).max() < 2e-3, rule


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("name", ["arm_wrestling.mp4", "test_h264.mp4", "waving.avi"])
def test_tvl1_is_opencvs_on_real_video(shared, name) -> None:
    with open_video(shared / "videos" / "clips" / name) as video:
        starts = [len(video) // 4, len(video) // 2]
        grey = to_grey(video.read([*starts, *(number + 1 for number in starts)], size=(128, 170)))
    ours, theirs = TVL1().build()(grey[:2], grey[2:]), OpenCVTVL1().build()(grey[:2], grey[2:])
    assert end_point_error(ours, theirs) < FLOW_REAL
    assert end_point_error(TVL1(warps=4).build()(grey[:2], grey[2:]), theirs) > end_point_error(ours, theirs)


@pytest.mark.parametrize(
    "change",
    [
        {"median": False}, {"warps": 4}, {"attachment": 0.14}, {"epsilon": 0.02}, {"scale_step": 0.75},
    ],
    ids=str,
)  # fmt: skip
def test_another_parameter_is_seen(pairs, change) -> None:
    first, second, expected = (part[:2] for part in pairs)
    assert end_point_error(TVL1(**change).build()(first, second), expected) > FLOW_AGREEMENT


def test_another_stencil_or_interpolation_is_seen(pairs, monkeypatch) -> None:
    first, second, expected = (part[:2] for part in pairs)

    def error(name: str, broken) -> float:
        with monkeypatch.context() as patch:
            patch.setattr(name, broken)
            return end_point_error(TVL1().build()(first, second), expected)

    sample, gradient = torch.nn.functional.grid_sample, tvl1.centred_gradient
    place = "torch.nn.functional.grid_sample"
    assert error(place, lambda *a, **k: sample(*a, **k | {"mode": "bilinear"})) > FLOW_AGREEMENT
    assert error(place, lambda *a, **k: sample(*a, **k | {"padding_mode": "border"})) > FLOW_AGREEMENT
    double = "marey.video.flow.tvl1.centred_gradient"
    assert error(double, lambda image: tuple(2 * part for part in gradient(image))) > FLOW_AGREEMENT


def test_a_pair_does_not_depend_on_its_batch(pairs) -> None:
    first, second, _ = (torch.from_numpy(part) for part in pairs)
    solve = Solver(TVL1(scales=2, warps=2))
    together = solve(first, second)
    alone = torch.cat([solve(first[i : i + 1], second[i : i + 1]) for i in range(len(first))])
    assert torch.equal(together, alone)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # from torch's compiler itself
def test_compiled_is_the_same(pairs) -> None:
    first, second, expected = pairs
    fused = TVL1().build(compiled=True)
    assert fused._solve._iterate is not tvl1.iterate, "the compiler failed here"
    assert end_point_error(fused(first, second), expected) < FLOW_AGREEMENT
    few = TVL1(scales=1, warps=2)
    assert abs(few.build(compiled=True)(first, second) - few.build()(first, second)).max() < FLOW_FUSED


def test_it_works_without_a_compiler(pairs, monkeypatch, capfd) -> None:
    def refuse(function, **options):
        def fail(*arguments):
            raise RuntimeError("no compiler")

        return fail

    monkeypatch.setattr(torch, "compile", refuse)
    first, second, _ = pairs
    few = TVL1(scales=1, warps=1)
    np.testing.assert_array_equal(few.build(compiled=True)(first, second), few.build()(first, second))
    assert "torch.compile does not work here (RuntimeError)" in capfd.readouterr().err


ACCURACY = {
    TVL1(): (0.02, 0.09, 0.12, None),
    OpenCVTVL1(): (0.02, 0.09, 0.12, None),
    DIS(): (0.11, 0.19, 0.15, 0.09),
    DIS(preset="fast"): (0.11, 0.55, 0.46, 0.2),
    Farneback(): (0.06, 0.2, 0.17, 0.13),
}
"""Errors of docs/flow.md with a margin; TV-L1 with five scales cannot follow 11 pixels in an image of 128."""


@pytest.mark.parametrize("method", ACCURACY, ids=["tvl1", "tvl1_opencv", "dis", "dis-fast", "farneback"])
def test_accuracy_on_known_motion(method) -> None:
    estimator = method.build()
    for most, (name, matrix) in zip(ACCURACY[method], MOTIONS.items(), strict=True):
        first, second, truth = moved_pair(matrix)
        error = end_point_error(estimator(first[None], second[None])[0], truth)
        assert error < most if most else error > 1, name
        assert end_point_error(np.zeros_like(truth), truth) > 2


def test_median_and_resize_are_opencvs() -> None:
    image = np.random.RandomState(0).uniform(0, 255, (2, 41, 57)).astype(np.float32)
    expected = np.stack([cv2.medianBlur(part, 5) for part in image])
    np.testing.assert_array_equal(median_by_exchanges(torch.from_numpy(image)), expected)
    np.testing.assert_array_equal(median_5x5(torch.from_numpy(image)), expected)
    smaller = np.stack([cv2.resize(part, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_LINEAR) for part in image])
    ours = resize_by_step(torch.from_numpy(image), smaller.shape[1:], (1.25, 1.25))
    np.testing.assert_allclose(ours, smaller, atol=1e-4)
    ratio = resize_by_step(torch.from_numpy(image), smaller.shape[1:], (41 / 33, 57 / 46))
    assert abs(np.asarray(ratio) - smaller).max() > 1


def test_networks_sort() -> None:
    """The 0-1 principle: a network that sorts all sequences of zeros and ones sorts everything."""
    for count in range(1, 14):
        bits = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
        for low, high in sorting_network(count):
            bits[:, low], bits[:, high] = bits[:, [low, high]].min(1), bits[:, [low, high]].max(1)
        assert (np.diff(bits) >= 0).all(), count


def test_levels_are_dense_flows() -> None:
    flow = np.array([0, 20, -20, 31, -31, 1, -1], np.float32)
    assert to_levels(flow).tolist() == [128, 255, 0, 255, 0, 134, 121]
    assert abs(from_levels(to_levels(flow[:3])) - flow[:3]).max() <= 20 / 255 + 1e-6
    assert to_levels(np.float32([-1, 0, 1, 2]), bound=127.5).tolist() == [
        126,
        128,
        128,
        130,
    ]  # halves to the even level


def test_methods_by_name_and_settings() -> None:
    assert flow_method("dis", ["preset=fast"]) == DIS(preset="fast")
    assert flow_method("tvl1", ["median=false", "warps=3"]) == TVL1(median=False, warps=3)
    for name, words, message in (
        ("dis", ["preset=slow"], "preset"), ("tvl1", ["warp=3"], "warp"), ("tvl1", ["warps"], "warps"), ("raft", [], "raft"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=message):
            flow_method(name, words)
    with pytest.raises(DataError, match="runs on the CPU"):
        DIS().build(device="cuda")
    with pytest.raises(DataError, match="no such device"):
        TVL1().build(device="nonsense")


# -- flow computed from a video


@pytest.fixture(scope="module")
def moving_texture(tmp_path_factory):
    """Eight frames of a texture that moves two pixels to the right and one up from frame to frame."""
    path = tmp_path_factory.mktemp("flow") / "texture.mp4"
    grain = np.random.RandomState(0).standard_normal((140, 180, 3)).astype(np.float32)
    ground = cv2.GaussianBlur(grain, (0, 0), 2.5)
    ground = np.clip(128 + ground / ground.std() * 40, 0, 255).astype(np.uint8)
    frames = [ground[30 + i : 126 + i, 40 - 2 * i : 168 - 2 * i] for i in range(8)]
    write_video(path, frames, fps=12, crf=10)
    return path


class Counted:
    """A source that notes which frames are read."""

    def __init__(self, source) -> None:
        self._source, self.asked = source, []

    def __getattr__(self, name):
        return getattr(self._source, name)

    def __len__(self) -> int:
        return len(self._source)

    def read(self, indices, **options):
        self.asked += np.asarray(indices).tolist()
        return self._source.read(indices, **options)


def test_live_flow_has_the_interface_of_a_source(moving_texture) -> None:
    with LiveFlow(open_video(moving_texture), FlowRule(method=DIS()), name="texture") as flow:
        assert (len(flow), flow.height, flow.width, flow.fps) == (7, 96, 128, pytest.approx(12))
        assert flow.timestamps.shape == (7,)
        assert flow.duration_seconds == pytest.approx(7 / 12)
        fields = flow.read(range(7))
        inner = from_levels(fields)[:, 12:-12, 12:-12].mean((0, 1, 2))
        np.testing.assert_allclose(inner, [2, -1], atol=0.15)
        np.testing.assert_array_equal(flow.read([6, 0, 0]), fields[[6, 0, 0]])
        assert flow.read([]).shape == (0, 96, 128, 2)
        part = flow.read([3], crop=Box(10, 20, 40, 60), size=(20, 30))
        np.testing.assert_array_equal(
            part, resize_levels(np.ascontiguousarray(crop(fields[3:4], Box(10, 20, 40, 60))), (20, 30))
        )
        with pytest.raises(DataError, match="flow of texture: there is no frame 7"):
            flow.read([7])
        with pytest.raises(DataError, match="is not inside"):
            flow.read([0], crop=Box(90, 0, 20, 20))


def test_only_the_fields_asked_for_are_computed(moving_texture) -> None:
    source = Counted(open_video(moving_texture))
    with LiveFlow(source, FlowRule(method=DIS(), size=(48, 64))) as flow:
        assert flow.read([5, 1, 2, 5]).shape == (4, 48, 64, 2)
    assert source.asked == [1, 2, 3, 5, 6]


def test_sizes_of_flow() -> None:
    assert FlowRule().picture_size(240, 320) == (240, 320)
    assert FlowRule(short_side=256).picture_size(240, 320) == (256, 341)
    assert FlowRule(size=(256, 340)).picture_size(240, 320) == (256, 340)
    with pytest.raises(ValueError, match="give one of them"):
        FlowRule(short_side=256, size=(256, 340))


def test_a_single_frame_has_no_flow(tmp_path) -> None:
    write_video(tmp_path / "one.mp4", [np.zeros((32, 32, 3), np.uint8)])
    with pytest.raises(DecodeError, match="single frame"):
        LiveFlow(open_video(tmp_path / "one.mp4"), FlowRule(method=DIS()), name="one.mp4")


def test_a_mirrored_video_has_the_mirrored_flow(moving_texture, tmp_path) -> None:
    """`flip` of stored flow equals the flow of the mirrored video; without the inversion of x it does not."""
    with open_video(moving_texture) as video:
        write_video(tmp_path / "mirrored.mp4", video.read(range(8))[:, :, ::-1], fps=12, crf=10)
    inner = np.s_[:, 12:-12, 12:-12]
    with LiveFlow(open_video(moving_texture), FlowRule(method=DIS())) as plain:
        fields = plain.read(range(7))
    with LiveFlow(open_video(tmp_path / "mirrored.mp4"), FlowRule(method=DIS())) as flow:
        mirrored = flow.read(range(7)).astype(int)
    assert abs(flip(fields).astype(int) - mirrored)[inner].mean() < 2
    assert abs(fields[:, :, ::-1].astype(int) - mirrored)[inner].mean() > 10


def test_mmactions_quirk_reaches_our_flow(moving_texture) -> None:
    """Normalised, x of our fields is inverted by "mmaction", y is not."""
    from marey.video.pixels.transforms import to_clip

    with LiveFlow(open_video(moving_texture), FlowRule(method=DIS())) as flow:
        fields = torch.from_numpy(flow.read([0, 1]))[None]
    quirk, plain = (
        to_clip(fields, *Pixels(mean=(128.0, 128.0), std=(128.0, 128.0), flow_x=way).normalisation)
        for way in ("mmaction", "plain")
    )
    torch.testing.assert_close(quirk[:, 0], ((255 - fields[..., 0].float()) - 128) / 128)
    torch.testing.assert_close(quirk[:, 1], plain[:, 1])
    assert quirk[:, 0].mean() < 0 < plain[:, 0].mean()
