"""What training loops store around a network (prefixes, averages, other entries), and networks without a classifier."""

import gzip
import json
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
from lightning_fabric.utilities.data import AttributeDict
from safetensors.torch import save_file

import marey
from marey.base.errors import WeightsError
from marey.recipes import get_recipe
from marey.weights.foreign import read_contents
from marey.weights.layouts import deepmind, efficientnet_lite, mmaction, mmaction2, pytorchvideo, torchvision
from marey.weights.load import build_model, load_model
from marey.weights.pretraining import start
from marey.weights.unwrap import unwrap

TSN = get_recipe("tsn_r50_3seg_k400_mmaction2").variant(model={"num_classes": 3, "depth": 18, "width": 4})
NETWORKS = {
    "mmaction2": (mmaction2.LAYOUT, TSN),
    "torchvision": (torchvision.LAYOUT, TSN),
    "mmaction": (mmaction.LAYOUT, get_recipe("slowfast_r50_4x16_k400").variant(model={"num_classes": 3, "width": 8})),
    "pytorchvideo": (
        pytorchvideo.LAYOUT,
        get_recipe("slowonly_r50_8x8_k400_pytorchvideo").variant(model={"num_classes": 3, "width": 4}),
    ),
    "deepmind": (
        deepmind.LAYOUT,
        get_recipe("i3d_incv1_rgb_64x1_k400_deepmind").variant(model={"num_classes": 3, "width": 4}),
    ),
    "efficientnet": (
        efficientnet_lite.LAYOUT,
        get_recipe("tsn_lite0_8seg_folder_imagenet").variant(model={"num_classes": 3, "width": 8}),
    ),
}


def tensors(name: str = "mmaction2", seed: int = 0) -> dict[str, torch.Tensor]:
    """A network's weights by their names in a layout."""
    layout, recipe = NETWORKS[name]
    torch.manual_seed(seed)
    network = build_model(recipe).network
    changes = layout.changes(network)
    state = {ours: changes[ours].give(t) if ours in changes else t.clone() for ours, t in network.state_dict().items()}
    return {theirs: state[ours].contiguous() for theirs, ours in layout.pairs(network)}


def under(prefix: str, held: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in held.items()}


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


PREFIXES = (
    "", "module.", "model.", "_orig_mod.", "module._orig_mod.", "module.module.", "model.module._orig_mod.", "net.",
    "network.", "backbone.", "student.", "_forward_module.", "_fsdp_wrapped_module.", "recogniser.inner.", "base_model.",
)  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("name", NETWORKS)
def test_any_prefix_is_taken_off(name, prefix, tmp_path) -> None:
    plain = tensors(name)
    found = unwrap({"state_dict": under(prefix, plain), "epoch": 3}, tmp_path / "x.pth")
    assert same(found.tensors, plain)
    assert (f"the prefix {prefix} " in " ".join(found.notes)) == bool(prefix)
    assert not found.left_out
    assert not found.choices


@pytest.mark.parametrize(
    "nest",
    [
        lambda t: t,
        lambda t: {"state_dict": t},
        lambda t: {"model": t},
        lambda t: {"model_state": t},
        lambda t: {"model_state_dict": t},
        lambda t: {"net": t},
        lambda t: {"weights": t},
        lambda t: {"module": under("module.", t), "dp_world_size": 8},
        lambda t: {"checkpoint": {"model": {"state_dict": t}}},
        lambda t: {
            part: {n.removeprefix(f"{part}."): v for n, v in t.items() if n.startswith(part)}
            for part in ("backbone", "cls_head")
        },
    ],
)
def test_any_nesting_is_looked_into(nest, tmp_path) -> None:
    plain = tensors()
    torch.save(nest(plain), tmp_path / "x.pth")
    assert same(read_contents(tmp_path / "x.pth").tensors, plain)


@pytest.mark.parametrize("prefix", ["", "model.", "module."])
@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.", "_fsdp_wrapped_module._checkpoint_wrapped_module."])
def test_wrappers_inside_the_network_are_removed(wrapper, prefix, tmp_path) -> None:
    """The trunk alone compiled or in DataParallel; every block in FSDP."""
    for name, old, new in (
        ("mmaction2", "backbone.", f"backbone.{wrapper}"),
        ("torchvision", "layer1.", f"layer1.{wrapper}"),
        ("pytorchvideo", ".res_blocks.", f".{wrapper}res_blocks.{wrapper}"),
    ):
        plain = tensors(name)
        wrapped = {prefix + key.replace(old, new): tensor for key, tensor in plain.items()}
        found = unwrap({"state_dict": wrapped}, tmp_path / "x.pth")
        assert same(found.tensors, plain)
        assert "wrappers inside the names of" in found.notes[0]


def test_other_entries_of_a_checkpoint_are_named_with_their_number_of_tensors(tmp_path) -> None:
    plain = tensors("pytorchvideo")
    content = {
        "state_dict": under("model.", plain) | {"loss.weight": torch.ones(3), "accuracy.right": torch.ones(1)},
        "optimizer_states": [{"state": {}}],
        "lr_schedulers": [],
        "queue": {"features": torch.zeros(2, 2)},
    }
    torch.save(content, tmp_path / "lightning.ckpt")
    report = load_model(tmp_path / "lightning.ckpt").load_report
    assert report.dropped == (
        "optimizer_states", "lr_schedulers", "loss (1 tensor)", "accuracy (1 tensor)", "queue (1 tensor)",
    )  # fmt: skip
    assert "the prefix model. was removed" in str(report)


@pytest.mark.parametrize("swapped", [{}, {"n_averaged": torch.tensor(3)}])
def test_the_average_of_weights_is_preferred_to_the_last_step(swapped, tmp_path, capsys) -> None:
    """As timm, OpenTAD and torch's AveragedModel have it, whatever the key."""
    last, average = tensors(seed=1), tensors(seed=2)
    for content in (
        {"state_dict": last, "state_dict_ema": average},
        {"model": last, "model_ema": under("module.", average) | swapped},
        {"model": last, "ema": average},
        {"state_dict": last, "ema_state_dict": average},  # not MMEngine's, which has `module.` there
        {"state_dict": under("model.", last) | under("ema_model.module.", average) | swapped},
        {"state_dict": under("net.", last) | under("averaged_model.", average)},
        {"state_dict": last, "callbacks": {"EMA": {"ema_state_dict": average}}},
    ):
        found = unwrap(content, tmp_path / "x.pth")
        assert same(found.tensors, average)
        (choice,) = found.choices
        assert f"({len(average)} tensors) is used, the average of the weights;" in choice
        assert f"({len(last)} tensors) is left out" in choice
    torch.save({"model": last, "ema": average}, tmp_path / "x.pth")
    report = load_model(tmp_path / "x.pth").load_report
    assert f"{tmp_path / 'x.pth'}: ema ({len(average)} tensors) is used, the average" in capsys.readouterr().err
    assert any("is used, the average" in note for note in report.notes)
    assert not any("is used, the average" in note for note in report.unsaid().notes)
    assert f"model ({len(last)} tensors)" in report.dropped


def test_where_the_toolkit_saves_the_average_as_state_dict(tmp_path) -> None:
    last, average = tensors(seed=1), tensors(seed=2)
    for key, toolkit in (("ema_state_dict", "MMEngine"), ("current_model_state", "Lightning")):
        found = unwrap({"state_dict": average, key: under("module.", last), "optimizer": {}}, tmp_path / "x.pth")
        assert same(found.tensors, average)
        assert found.left_out == ("optimizer", f"{key} ({len(last)} tensors)")
        assert f"in which {toolkit} saves the average" in found.choices[0]


def test_buffers_of_mmcv_s_average_are_left_out_and_counted(tmp_path) -> None:
    plain = tensors()
    copies = {
        "ema_" + name.replace(".", "_"): torch.zeros_like(t) for name, t in plain.items() if t.is_floating_point()
    }
    for prefix in ("", "module."):
        found = unwrap({"state_dict": under(prefix, plain | copies)}, tmp_path / "x.pth")
        assert same(found.tensors, plain)
        assert found.left_out == (f"ema_* ({len(copies)} tensors)",)
        assert f"{len(copies)} tensors ema_... are left out" in found.choices[0]


def test_an_average_of_parameters_alone_is_filled_up_with_the_buffers(tmp_path) -> None:
    last, average = tensors(seed=1), tensors(seed=2)
    parameters = {
        n: t for n, t in average.items() if not n.endswith(("running_mean", "running_var", "num_batches_tracked"))
    }
    found = unwrap({"model": last, "model_ema": parameters}, tmp_path / "x.pth")
    assert same(found.tensors, last | parameters)
    assert f"except for {len(last) - len(parameters)} tensors that the average lacks" in found.choices[0]


def test_two_networks_are_refused_by_name_unless_they_are_one(tmp_path) -> None:
    one, other = tensors(seed=1), tensors(seed=2)
    with pytest.raises(
        WeightsError,
        match=r"holds 2 networks, state_dict.student \(\d+ tensors\) and state_dict.teacher .* save that one",
    ):
        unwrap({"state_dict": under("student.", one) | under("teacher.", other)}, tmp_path / "x.pth")
    found = unwrap({"state_dict": under("model.", one) | under("trainer.model.", one)}, tmp_path / "x.pth")
    assert same(found.tensors, one)
    assert "has equal tensors and is left out" in found.choices[0]
    turned = {n: t.to(memory_format=torch.channels_last) if t.ndim == 4 else t for n, t in one.items()}
    found = unwrap({"state_dict": one, "ema": turned}, tmp_path / "x.pth")
    assert "has equal tensors and is left out" in found.choices[0]
    headless = {name: tensor for name, tensor in other.items() if not name.startswith("cls_head")}
    found = unwrap({"state_dict": under("model.", one) | under("momentum_encoder.", headless)}, tmp_path / "x.pth")
    assert same(found.tensors, one)
    assert found.left_out == (f"momentum_encoder ({len(headless)} tensors)",)


HEADS = ("cls_head", "fc", "head", "blocks.5", "blocks.6", "logits", "_fc")


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("name", NETWORKS)
def test_without_a_classifier_a_file_starts_a_training_and_nothing_else(name, prefix, tmp_path) -> None:
    _, recipe = NETWORKS[name]
    plain = tensors(name)
    headless = {n: t for n, t in plain.items() if not n.startswith(tuple(f"{head}." for head in HEADS))}
    assert len(plain) - len(headless) == 2
    file = tmp_path / "trunk.pth"
    torch.save({"state_dict": under(prefix, headless)}, file)
    for given in (None, recipe):
        with pytest.raises(
            WeightsError, match=r"no classifier in it: it can only start a training: --init .*trunk\.pth"
        ):
            load_model(given, weights=file)
    wanted = recipe.variant(model={"num_classes": 7}, train={"initialisation": {"head_std": 0.1}})
    started = start(wanted, file, tuple("abcdefg"))
    assert "no classifier in it: a new head for 7 classes" in str(started.load_report)
    whole = load_model(wanted, weights=file, allow_new_head=True)
    state = started.network.state_dict()
    loaded = [ours for _, ours in started.load_report.renamed]
    assert len(loaded) == len(headless)
    assert all(torch.equal(state[ours], whole.network.state_dict()[ours]) for ours in loaded)


def test_a_trunk_that_was_saved_alone_starts_a_training(tmp_path) -> None:
    """Without the `backbone.` of its layout; a 2D one is inflated like the complete file."""
    trunk = {n.removeprefix("backbone."): t for n, t in tensors().items() if n.startswith("backbone.")}
    torch.save(trunk, tmp_path / "trunk.pth")
    started = start(TSN, tmp_path / "trunk.pth", ("a", "b", "c"))
    assert torch.equal(started.network.resnet.stem.conv.weight, trunk["conv1.conv.weight"])
    slow = get_recipe("slowonly_r50_8x8_k400").variant(model={"num_classes": 2, "depth": 18, "width": 4})
    torch.save({n: t for n, t in tensors("torchvision").items() if not n.startswith("fc.")}, tmp_path / "r18.pth")
    inflated = start(slow, tmp_path / "r18.pth", ("a", "b"))
    assert "the head" in str(inflated.load_report)


@pytest.mark.parametrize("name", ["mmaction2", "torchvision", "efficientnet"])
def test_safetensors_of_other_toolkits_are_read(name, tmp_path) -> None:
    plain = tensors(name)
    save_file(under("model.", plain), tmp_path / "model.safetensors", {"format": "pt"})
    assert same(read_contents(tmp_path / "model.safetensors").tensors, plain)
    torch.save(plain, tmp_path / "x.bin")
    expected = load_model(tmp_path / "x.bin").network.state_dict()
    for weights in (tmp_path / "model.safetensors", tmp_path):  # alone, and as a hub's folder
        found = load_model(weights).network.state_dict()
        assert all(torch.equal(value, found[key]) for key, value in expected.items())


def test_load_model_takes_a_path_as_its_first_argument(tmp_path, monkeypatch) -> None:
    torch.save({"state_dict": tensors()}, tmp_path / "old.pth")
    (tmp_path / "names.txt").write_text("brush\nclap\nwave\n")
    monkeypatch.chdir(tmp_path)
    for word in ("old.pth", Path("old.pth"), tmp_path / "old.pth"):
        assert load_model(word).class_names is None
    assert load_model("old.pth", classes="names.txt").class_names == ("brush", "clap", "wave")
    assert load_model("old.pth", classes=["a", "b", "c"]).class_names == ("a", "b", "c")
    with pytest.raises(marey.RecipeError, match="2 class names, but the network has 3 classes"):
        load_model("old.pth", classes=["a", "b"])
    for missing in ("wrong.pth", "runs/nothing", Path("wrong.safetensors")):
        with pytest.raises(WeightsError, match=r"no such checkpoint file\.$"):
            load_model(missing)


def scripted(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py", "version"):
            archive.writestr(f"x/{name}", b"")


def in_tar(path: Path) -> None:
    torch.save(tensors(), path.with_suffix(".inner"))
    with tarfile.open(path, "w") as archive:
        archive.add(path.with_suffix(".inner"), "model.pth")


def in_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.pth", b"weights")


def pickled_module(path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), path)


@pytest.mark.parametrize(
    ("file", "write", "message"),
    [
        ("x.pth.tar", in_tar, "a tar archive: unpack it.*tar -xf"),
        ("x.pth.tar", lambda p: p.write_bytes(gzip.compress(b"weights")), "compressed by gzip"),
        ("x.zip", in_zip, r"a zip archive that torch.save did not write.*model\.pth"),
        ("x.pt", scripted, r"a TorchScript archive: .*torch\.jit\.load\(.*\)\.state_dict\(\)"),
        ("x.pth", pickled_module, r"more than tensors \(torch.nn.modules.linear.Linear\); nothing .*\.state_dict"),
        ("x.h5", lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99)), "an HDF5 file"),
        ("x.onnx", lambda p: p.write_bytes(b"\x08\x07" + bytes(99)), "an ONNX model"),
        ("x.tflite", lambda p: p.write_bytes(b"\x1c\0\0\0TFL3" + bytes(99)), "a TensorFlow Lite model"),
        ("x.pb", lambda p: p.write_bytes(b"\x0a\x07" + bytes(99)), "a graph of TensorFlow"),
        ("x.csv", lambda p: p.write_text("path,label\na.mp4,jump\n"), "a text file, .* begins 'path,label'"),
        ("x.pth", lambda p: torch.save({"optimizer": {"0": torch.ones(1)}}, p), r"of a network, only.*optimizer"),
        ("x.mp4", lambda p: p.write_bytes(b"\0\0\0\x20ftypisom" + bytes(99)), "a video, not a checkpoint"),
        ("x.yaml", lambda p: p.write_text("name: mine\n"), "a recipe or settings"),
        ("model.safetensors.index.json", lambda p: p.write_text(json.dumps({"weight_map": {}})), "answer|several files"),
        ("model-00001-of-00002.safetensors", lambda p: save_file({"a": torch.ones(1)}, p), "one of the files of a"),
        ("x.pth", lambda p: save_file({"a": torch.ones(1)}, p), "safetensors: give it the ending .safetensors"),
        ("x.safetensors", lambda p: torch.save({"a": torch.ones(1)}, p), "a file of torch.save: give it the ending"),
        ("x.safetensors", lambda p: p.write_text("<!DOCTYPE html><title>Quota exceeded</title>"), r"a web page \(Quota"),
        ("x.ckpt", lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\noid x\nsize 5\n"), "Git LFS pointer"),
        ("x.index", lambda p: p.write_text("<html><title>Sign in</title></html>"), r"a web page \(Sign in"),
    ],
)  # fmt: skip
def test_the_error_names_what_a_file_is_that_is_no_checkpoint(file, write, message, tmp_path) -> None:
    path = tmp_path / file
    write(path)
    for weights in ({"recipe": path}, {"recipe": TSN, "weights": path}):
        with pytest.raises(WeightsError, match=message) as caught:
            load_model(**weights)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)


def test_arguments_of_a_lightning_module_are_ignored(tmp_path) -> None:
    content = {"state_dict": under("model.", tensors()), "hyper_parameters": AttributeDict(lr=0.1, root=Path("/data"))}
    torch.save(content, tmp_path / "x.ckpt")
    assert load_model(tmp_path / "x.ckpt").num_classes == 3
