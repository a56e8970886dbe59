"""Cells: equal to the network's features, computed once, cached within a limit, and never a reason to fail."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from marey.backends.compute import Compute
from marey.base.cache import cache_contents
from marey.base.errors import DataError, RecipeError, RunError
from marey.base.reporter import CollectingReporter, reporting
from marey.classifier import Classifier
from marey.data.files.identity import noted_identities, video_identity
from marey.data.files.quarantine import Quarantine
from marey.data.lists.videos import VideoList
from marey.data.loading.datasets import ViewDataset
from marey.data.loading.view_decoder import DecodedVideo
from marey.evaluation.views import Views
from marey.inference import cells as cells_module
from marey.inference.cell_files import cells_folder
from marey.inference.cells import compute_cells, estimate_cells
from marey.inference.features import features
from marey.models.csn.config import CSNConfig
from marey.models.layers.folding import fold_batch_norms
from marey.models.layers.norms import batch_norms
from marey.models.probe.config import ClipProbeConfig, FrameMean, FrameProbeConfig, Halves, Moments, Pooling
from marey.models.probe.network import Probe
from marey.models.slowfast.config import SlowFastConfig
from marey.models.tsm.config import LiteTSMConfig
from marey.models.tsn.config import BNInceptionTSNConfig, LiteTSNConfig, TSNConfig
from marey.recipe import Recipe
from marey.recipes import get_recipe
from marey.recipes.probe import PROBE, probe_on
from marey.video.writing.writer import write_video
from tests.support.made_videos import coded_frame
from tests.support.tolerances import FOLDED, HALF_CELLS

pytestmark = pytest.mark.usefixtures("cache")
FRAMES = PROBE.variant(
    model={"backbone": {"width": 8}}, pixels={"short_side": 40}, test={"size": 32, "sampling": {"segments": 4}}
)
CLIPS = probe_on(
    get_recipe("slowonly_r18_8x2_motions").variant(
        model={"width": 4}, pixels={"short_side": 40}, test={"size": 32, "sampling": {"clips": 2}}
    )
)
HERE = Compute(device="cpu", workers=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    found: Path = tmp_path_factory.mktemp("clips")
    for i in range(5):
        write_video(found / f"v{i}.mp4", [coded_frame(n + 7 * i) for n in range(12)], fps=10, preset="ultrafast")
    return found


@pytest.fixture
def videos(folder) -> VideoList:
    return VideoList(np.array([f"v{i}.mp4" for i in range(5)]), folder)


def classifier(recipe: Recipe = FRAMES, seed: int = 0) -> Classifier:
    """Random weights, with norms that have statistics of noise: otherwise the last layer would hardly depend on the clip."""
    torch.manual_seed(seed)
    network = recipe.model.build()
    assert isinstance(network, Probe)
    for norm in batch_norms(network):
        norm.momentum = 1.0
    with torch.no_grad():
        network.train().cells(torch.randn(2, 3, 32, 64, 64))
    return Classifier(network, recipe).eval()


@pytest.fixture
def passes(monkeypatch) -> list[str]:
    """The videos that go through the network."""
    seen: list[str] = []
    inner = cells_module._CellComputation._cells

    def counted(
        self: cells_module._CellComputation, video: DecodedVideo
    ) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
        seen.append(video.id)
        return inner(self, video)

    monkeypatch.setattr(cells_module._CellComputation, "_cells", counted)
    return seen


@torch.inference_mode()
def own_features(model: Classifier, videos: VideoList) -> NDArray[np.float32]:
    """Features [N, F] of the network itself, averaged over views."""
    test, pixels = model.recipe.test, model.recipe.pixels
    views = ViewDataset(videos, test.sampling, pixels)
    found = []
    for row in range(len(videos)):
        item = views[row]
        assert isinstance(item, DecodedVideo)
        cuts = Views.of(item, test, pixels)
        seen = torch.cat([model.features(model.preprocess(part)) for part in cuts.batches(8)])[cuts.index]
        found.append(seen.mean(dim=0).numpy())
    return np.stack(found)


def files_of(model: Classifier) -> list[Path]:
    return sorted(cells_folder(model, "float32").glob("*"))


def difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


# -- the same as the network itself


@pytest.mark.parametrize("pooling", [FrameMean(), Moments(), Halves()], ids=lambda pooling: pooling.kind)
@pytest.mark.parametrize("recipe", [FRAMES, CLIPS], ids=["frames", "clips"])
def test_pooled_cells_are_the_features_of_the_network(recipe: Recipe, pooling: Pooling, videos) -> None:
    model = classifier(recipe.variant(model={"pooling": pooling}))
    found = compute_cells(model, videos, HERE)
    pooled = found.pooled(pooling)
    expected = own_features(model, videos)
    assert difference(pooled.features, expected) < HALF_CELLS
    assert sum(pooled.widths) == expected.shape[1] and len(found) == len(pooled) == 5
    assert found[0].dtype == np.float16 and len(found[0]) == recipe.test.views
    assert found.rows.tolist() == list(range(5)) and found.broken == ()


@pytest.mark.parametrize(
    "config",
    [
        FrameProbeConfig(backbone=LiteTSNConfig(width=8)),
        FrameProbeConfig(backbone=TSNConfig(depth=18, width=4)),
        FrameProbeConfig(backbone=BNInceptionTSNConfig(width=8)),
        ClipProbeConfig(backbone=LiteTSMConfig(width=8)),
        ClipProbeConfig(backbone=SlowFastConfig(depth=18, width=8)),
        ClipProbeConfig(backbone=CSNConfig(depth=50, width=8)),
    ],
    ids=lambda config: config.backbone.network,
)
@torch.inference_mode()
def test_folded_norms_change_nothing(config: FrameProbeConfig | ClipProbeConfig) -> None:
    recipe = FRAMES.variant(model=config)
    network = classifier(recipe).network
    assert isinstance(network, Probe)
    clip = torch.randn(1, 3, 32 if isinstance(config.backbone, SlowFastConfig) else 8, 64, 64)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    inference = fold_batch_norms(network)
    assert len(batch_norms(inference)) < len(batch_norms(network)) / 5
    assert difference(inference.cells(clip).numpy(), network.cells(clip).numpy()) < FOLDED
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_threads_side_by_side_and_one_compute_the_same(videos, monkeypatch) -> None:
    model = classifier()
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            monkeypatch.setenv("MAREY_CACHE_LIMIT", "0")
            with reporting(CollectingReporter()):
                found.append(compute_cells(model, videos, HERE).pooled(Moments()).features)
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(*found)


# -- cached


def test_cached_videos_do_not_go_through_the_network_again(videos, passes) -> None:
    first = compute_cells(classifier(), videos, HERE)
    again = compute_cells(classifier(), videos[::-1], HERE)
    assert (first.computed, again.computed, len(passes)) == (5, 0, 5)
    assert all(np.array_equal(first[row], again[4 - row]) for row in range(5))
    more = VideoList(np.array(["v3.mp4", "v3.mp4", "v0.mp4"]), videos.root)
    assert len(compute_cells(classifier(), more, HERE)) == 3 and len(passes) == 5
    assert {one.kind: one.files for one in cache_contents()}["features"] == 5


def test_classes_head_and_pooling_do_not_matter(videos, passes) -> None:
    model = classifier()
    compute_cells(model, videos, HERE)
    other = classifier(FRAMES.variant(model={"num_classes": 7, "pooling": Halves()}), seed=1)
    other.network.backbone.load_state_dict(model.network.backbone.state_dict())
    assert compute_cells(other, videos, HERE).computed == 0


@pytest.mark.parametrize(
    "recipe",
    [
        FRAMES.variant(pixels={"mean": (126.0, 127.0, 127.0)}),
        FRAMES.variant(test={"crops": "three"}),
        FRAMES.variant(test={"sampling": {"segments": 6}}),
        FRAMES.variant(model={"backbone": {"norm_eps": 1e-5}}),
    ],
    ids=["pixels", "crops", "sampling", "backbone"],
)
def test_another_sampling_rule_has_other_cells(recipe: Recipe, videos) -> None:
    compute_cells(classifier(), videos, HERE)
    assert compute_cells(classifier(recipe), videos, HERE).computed == 5


def test_other_weights_have_other_cells(videos) -> None:
    compute_cells(classifier(seed=0), videos, HERE)
    assert compute_cells(classifier(seed=1), videos, HERE).computed == 5


def test_a_copy_under_another_name_is_recognised_and_a_segment_is_not_the_file(videos, tmp_path) -> None:
    model = classifier()
    compute_cells(model, videos, HERE)
    (tmp_path / "copy.mp4").write_bytes((videos.root / "v2.mp4").read_bytes())
    assert compute_cells(model, VideoList.from_paths(tmp_path / "copy.mp4"), HERE).computed == 0
    parts = VideoList(videos.ids[:2], videos.root, np.array([[0.0, 0.5], [np.nan, np.nan]]))
    found = compute_cells(model, parts, HERE)
    assert found.computed == 1
    assert not np.array_equal(found[0], compute_cells(model, videos, HERE)[0])
    assert found.identities.tolist() == [
        *noted_identities(parts[0], video_identity(videos[0])),
        *noted_identities(parts[1], video_identity(videos[1])),
    ]
    assert len(found.identities) == 3


class Killed(BaseException):
    pass


def test_what_was_done_before_a_kill_is_not_done_again(videos, monkeypatch) -> None:
    model = classifier()

    def two_and_no_more(self: cells_module._CellComputation, row: int, item: DecodedVideo) -> None:
        if row == 2:
            raise Killed
        inner(self, row, item)

    inner = cells_module._CellComputation._cache
    with monkeypatch.context() as patched:
        patched.setattr(cells_module._CellComputation, "_cache", two_and_no_more)
        patched.setattr(torch, "get_num_threads", lambda: 1)
        with pytest.raises(Killed):
            compute_cells(model, videos, HERE)
    assert compute_cells(model, videos, HERE).computed == 3


def test_a_truncated_file_is_computed_again(videos) -> None:
    model = classifier()
    expected = compute_cells(model, videos, HERE).pooled(Moments()).features
    file = files_of(model)[0]
    file.write_bytes(file.read_bytes()[:-100])
    with reporting(said := CollectingReporter()):
        found = compute_cells(model, videos, HERE)
    assert found.computed == 1 and np.array_equal(found.pooled(Moments()).features, expected)
    assert any("is damaged, and is computed again" in message for _, message in said.take())


def test_a_file_with_a_wrong_byte_is_computed_again(videos) -> None:
    model = classifier()
    found = compute_cells(model, videos, HERE)
    expected = found.pooled(Moments()).features
    file = files_of(model)[0]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content)
    with reporting(said := CollectingReporter()):
        assert np.array_equal(found.pooled(Moments()).features, expected)
    assert sum("is damaged, and is computed again" in message for _, message in said.take()) == 1
    with reporting(said):
        found.pooled(Moments())
    assert said.take() == []


def test_files_that_are_removed_meanwhile_are_computed_again_with_a_notice(videos, passes) -> None:
    model = classifier()
    found = compute_cells(model, videos, HERE)
    expected = found.pooled(Moments()).features
    for file in files_of(model)[:2]:
        file.unlink()
    with reporting(said := CollectingReporter()):
        assert np.array_equal(found.pooled(Moments()).features, expected)
    assert [message for _, message in said.take()] == [
        "the features of 2 videos were removed meanwhile, and are computed again"
    ]
    assert len(passes) == 7


# -- the limit


@pytest.fixture
def size(videos) -> int:
    """Bytes of the cells of one video."""
    model = classifier()
    compute_cells(model, videos, HERE)
    found = [file.stat().st_size for file in files_of(model)]
    for file in files_of(model):
        file.unlink()
    return found[0]


@pytest.mark.parametrize("room", [0, 2])
def test_a_limit_that_is_too_small_only_costs_time(room: int, videos, size, monkeypatch) -> None:
    model = classifier()
    expected = compute_cells(model, videos, HERE).pooled(Moments()).features
    for file in files_of(model):
        file.unlink()
    monkeypatch.setenv("MAREY_CACHE_LIMIT", str((room + 0.5) * size / 1e9 if room else 0))
    with reporting(said := CollectingReporter()):
        found = compute_cells(model, videos, HERE)
        assert np.array_equal(found.pooled(Moments()).features, expected)
    assert sum("MAREY_CACHE_LIMIT" in message for _, message in said.take()) == 1
    assert len(files_of(model)) == room
    temporary = found._computation.files._temporary
    assert len(list(temporary.iterdir())) == 5 - room
    del found
    assert not temporary.exists()


def test_a_file_that_is_written_again_counts_once(videos, size, monkeypatch) -> None:
    model = classifier()
    monkeypatch.setenv("MAREY_CACHE_LIMIT", str(5.5 * size / 1e9))
    found = compute_cells(model, videos, HERE)
    with reporting(said := CollectingReporter()):
        for file in files_of(model):
            file.unlink()
        found.pooled(Moments())  # computes them again, with a notice
        found._computation.files.hold(key for key in found._computation.keys for _ in range(2))
        for file in files_of(model):
            file.write_bytes(b"damaged")
        found.pooled(Moments())
    assert not any("MAREY_CACHE_LIMIT" in message for _, message in said.take())
    assert len(files_of(model)) == 5


def test_old_features_are_removed_and_needed_ones_are_not(videos, size, monkeypatch) -> None:
    model, older = classifier(seed=0), classifier(seed=1)
    compute_cells(older, videos, HERE)
    compute_cells(model, videos[:2], HERE)
    for file in files_of(model):
        os.utime(file, (1, 1))  # older than all others
    monkeypatch.setenv("MAREY_CACHE_LIMIT", str(6.5 * size / 1e9))
    assert compute_cells(model, videos, HERE).computed == 3
    assert (len(files_of(model)), len(files_of(older))) == (5, 1)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may write everywhere")
def test_a_cache_that_cannot_be_written_has_one_notice(videos, cache) -> None:
    cache.mkdir()
    cache.chmod(0o500)
    with reporting(said := CollectingReporter()):
        assert len(compute_cells(classifier(), videos, HERE)) == 5
    assert sum("the cache cannot be written" in message for _, message in said.take()) == 1


def test_a_cache_that_is_a_file_has_one_notice(videos, cache) -> None:
    cache.write_text("no folder")
    with reporting(said := CollectingReporter()):
        assert len(compute_cells(classifier(), videos, HERE).pooled(Moments())) == 5
    assert sum("the cache cannot be written" in message for _, message in said.take()) == 1


# -- errors


def test_broken_videos_are_counted_and_too_many_are_refused(videos, tmp_path) -> None:
    (tmp_path / "broken.mp4").write_text("no video")
    (tmp_path / "twin.mp4").write_text("no video")
    names = [
        str(tmp_path / "broken.mp4"),
        *(str(videos[row].path) for row in range(3)),
        str(tmp_path / "twin.mp4"),
        "none.mp4",
    ]
    listed = VideoList.from_paths(names)
    record = tmp_path / "broken.jsonl"
    quarantine = Quarantine(record, total=len(listed), max_share=None)
    with reporting(CollectingReporter()):
        found = compute_cells(classifier(), listed, HERE, quarantine=quarantine)
    assert found.rows.tolist() == [1, 2, 3] and found.computed == 3
    assert [broken.id for broken in found.broken] == [names[0], names[4], "none.mp4"]
    assert len(record.read_text().splitlines()) == len(quarantine) == 3
    with reporting(CollectingReporter()), pytest.raises(RunError, match="broken"):
        compute_cells(classifier(), listed, HERE, max_broken=0.2)


def test_pooling_without_cells_is_refused(tmp_path) -> None:
    with reporting(CollectingReporter()):
        found = compute_cells(classifier(), VideoList.from_paths(["none.mp4"]), HERE, max_broken=1)
    with pytest.raises(DataError, match="none of 1 video could be read"):
        found.pooled(Moments())


def test_only_a_probe_has_cells(videos) -> None:
    recipe = get_recipe("slowonly_r18_8x2_motions").variant(model={"width": 4})
    with pytest.raises(RecipeError, match="is not a probe"):
        compute_cells(Classifier(recipe.model.build(), recipe), videos, HERE)


def test_numbers_beyond_half_precision_are_refused(videos) -> None:
    model = classifier()
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.fill_(float("nan"))
    with pytest.raises(RunError, match="is not a number, or is above 65504"):
        compute_cells(model, videos, HERE)


# -- estimates


def test_an_estimate_measures_some_videos_and_caches_them(videos, passes) -> None:
    ahead = estimate_cells(classifier(), videos, HERE)
    assert (ahead.videos, ahead.cached, ahead.measured, ahead.missing) == (5, 4, 4, 1)
    assert ahead.seconds_a_video is not None and ahead.core_seconds == ahead.seconds_a_video > 0
    assert ahead.seconds is not None and ahead.spent > 0
    assert compute_cells(classifier(), videos, HERE).computed == 1 and len(passes) == 5
    done = estimate_cells(classifier(), videos, HERE)
    assert (done.missing, done.core_seconds, done.seconds, done.measured) == (0, 0, 0, 0)


def test_there_is_no_estimate_for_unreadable_videos(tmp_path) -> None:
    (tmp_path / "broken.mp4").write_text("no video")
    ahead = estimate_cells(classifier(), VideoList.from_paths([tmp_path / "broken.mp4", "none.mp4"]), HERE)
    assert (ahead.missing, ahead.cached, ahead.seconds_a_video, ahead.core_seconds) == (2, 0, None, None)


# -- marey features


@pytest.mark.parametrize("recipe", [FRAMES, CLIPS], ids=["frames", "clips"])
def test_features_of_a_probe_are_pooled_from_cached_cells(recipe: Recipe, videos, passes, tmp_path) -> None:
    model = classifier(recipe)
    compute_cells(model, videos[:3], HERE)
    found = features(model, videos, out=tmp_path / "out", compute=HERE)
    assert found.computed == 5 and len(passes) == 5
    assert difference(found.read(), own_features(model, videos)) < HALF_CELLS
    clips = features(model, videos, out=tmp_path / "per_clip", compute=HERE, per_clip=True)
    assert clips[0].shape == (recipe.test.sampling.clips, found[0].shape[0]) and len(passes) == 5
    assert np.allclose(clips.read().mean(axis=1), found.read(), atol=1e-5)
