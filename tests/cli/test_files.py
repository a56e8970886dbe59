"""Files for `marey convert` and `--weights`: complete ones of every format, damaged ones, and other files."""

import json
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from marey.recipes import get_recipe
from marey.weights.checkpoint import save_checkpoint
from marey.weights.layouts import deepmind_tensorflow, mmaction2, pyslowfast_caffe2
from marey.weights.load import build_model, load_model
from tests.support import tensorflow_files
from tests.support.command import marey

SMALL = get_recipe("slowonly_r50_8x8_k400").variant(name="small", model={"width": 4, "num_classes": 3})


def tensors(layout=mmaction2, recipe=SMALL) -> dict[str, torch.Tensor]:
    state = build_model(recipe).network.state_dict()
    return {theirs: state[ours].clone() for theirs, ours in layout.pairs(build_model(recipe).network)}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "small.yaml"
    path.write_text(SMALL.to_yaml())
    return path


@pytest.fixture
def old(tmp_path) -> Path:
    torch.save({"state_dict": tensors(), "optimizer": {"state": {}}, "meta": {"epoch": 3}}, tmp_path / "old.pth")
    return tmp_path / "old.pth"


def test_convert_reports_and_is_read_back(old, recipe, tmp_path) -> None:
    out = tmp_path / "new.safetensors"
    done = marey("convert", old, "--recipe", recipe, "--out", out, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    model = load_model(out)
    assert model.recipe == SMALL
    assert told["loaded"] == len(model.network.state_dict())
    assert (told["layout"], told["dropped"], told["classes"]) == ("mmaction2", ["optimizer"], 3)
    expected = load_model(SMALL, weights=old).network.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.network.state_dict().items())


def test_convert_infers_the_network_and_prints_assumptions(old, tmp_path) -> None:
    done = marey("convert", old, "--out", tmp_path / "new.safetensors")
    assert done.exit_code == 0, done.output
    assert "mmaction2 layout" in done.stdout
    assert "left out: optimizer" in done.stdout
    assert "the file does not hold them; pass a recipe" in done.stdout


def test_convert_writes_over_nothing(old, recipe, tmp_path) -> None:
    out = tmp_path / "new.safetensors"
    words = ("convert", old, "--recipe", recipe, "--out", out)
    assert marey(*words).exit_code == 0
    before = out.stat().st_mtime_ns
    again = marey(*words)
    assert again.exit_code == 0
    assert "was there already" in again.stdout
    torch.save({"state_dict": tensors()}, old)  # other random weights
    other = marey(*words)
    assert other.exit_code == 1
    assert "something else is there already" in other.stderr
    (tmp_path / "folder").mkdir()
    assert marey("convert", old, "--out", tmp_path / "folder").exit_code == 1
    assert marey("convert", old, "--out", tmp_path / "new.pt").exit_code == 1
    assert out.stat().st_mtime_ns == before


def test_convert_writes_and_reads_a_folder_with_a_recipe(old, recipe, tmp_path) -> None:
    folder = tmp_path / "model"
    assert marey("convert", old, "--recipe", recipe, "--out", folder).exit_code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["model.safetensors", "recipe.json"]
    assert load_model(folder).recipe == SMALL
    assert marey("convert", folder, "--out", tmp_path / "b.safetensors").exit_code == 0
    plain = {name: value.contiguous() for name, value in load_model(folder).network.state_dict().items()}
    save_file(plain, folder / "model.safetensors")  # as another tool writes it: only recipe.json identifies it
    assert load_model(folder).recipe == SMALL
    save_checkpoint(folder / "model.safetensors", build_model(SMALL), SMALL.variant(name="another"))
    failed = marey("convert", folder, "--out", tmp_path / "c.safetensors")
    assert "differs from the metadata in model.safetensors" in failed.stderr
    for text in ("{", "3", '{"recipe": 3}'):
        (folder / "recipe.json").write_text(text)
        assert marey("convert", folder, "--out", tmp_path / "c.safetensors").exit_code == 1


def test_another_head(old, recipe, tmp_path) -> None:
    five = tmp_path / "five.yaml"
    five.write_text(SMALL.variant(model={"num_classes": 5}).to_yaml())
    words = ("convert", old, "--recipe", five, "--out", tmp_path / "new.safetensors")
    assert "allow_new_head" in marey(*words).stderr
    done = marey(*words, "--allow-new-head")
    assert done.exit_code == 0, done.output
    assert "a new head for 5 classes" in done.stdout


def test_class_names_of_public_data_sets_are_written(tmp_path) -> None:
    k400 = get_recipe("slowonly_r50_8x8_k400").variant(model={"width": 4})
    torch.save(tensors(recipe=k400), tmp_path / "x.pth")
    assert load_model(k400, weights=tmp_path / "x.pth").class_names[0] == "abseiling"


# -- damaged and hostile files


def cut(path: Path, share: float = 0.6) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def cut_pth(folder: Path) -> Path:
    torch.save({"state_dict": tensors()}, folder / "x.pth")
    cut(folder / "x.pth")
    return folder / "x.pth"


def cut_pkl(folder: Path) -> Path:
    recipe = get_recipe("slowonly_r50_8x8_k400_pyslowfast").variant(model={"width": 4, "num_classes": 3})
    blobs = {name: value.numpy() for name, value in tensors(pyslowfast_caffe2, recipe).items()}
    (folder / "x.pkl").write_bytes(pickle.dumps({"blobs": blobs}, 2))
    cut(folder / "x.pkl")
    return folder / "x.pkl"


def tensorflow(folder: Path) -> Path:
    recipe = get_recipe("i3d_incv1_rgb_64x1_k400_deepmind").variant(model={"width": 4, "num_classes": 3})
    return tensorflow_files.write(folder / "tf", tensors(deepmind_tensorflow, recipe))


def cut_index(folder: Path) -> Path:
    index = tensorflow(folder) / "model.ckpt.index"
    cut(index)
    return index


def no_data(folder: Path) -> Path:
    path = tensorflow(folder)
    (path / "model.ckpt.data-00000-of-00001").unlink()
    return path


def cut_safetensors(folder: Path) -> Path:
    save_checkpoint(folder / "x.safetensors", build_model(SMALL), SMALL)
    cut(folder / "x.safetensors")
    return folder / "x.safetensors"


def zip_bomb(folder: Path) -> Path:
    """16 MB of zeros in a few kilobytes, which torch would unpack before any check."""
    torch.save({"state_dict": {"a": torch.zeros(2)}}, folder / "small.pth")
    with zipfile.ZipFile(folder / "small.pth") as small, zipfile.ZipFile(folder / "x.pth", "w") as bomb:
        for part in small.infolist():
            zeros = part.filename.endswith("data/0")
            bomb.writestr(part.filename, bytes(1 << 24) if zeros else small.read(part), zipfile.ZIP_DEFLATED)
    return folder / "x.pth"


def a_tensor_without_end(folder: Path) -> Path:
    """One number whose shape claims 10 ** 15 elements."""
    tensors = {f"backbone.{name}.conv.weight": torch.zeros(1).expand(10**15) for name in ("conv1", "layer1.0.conv2")}
    torch.save({"state_dict": tensors}, folder / "x.pth")
    return folder / "x.pth"


def changed(change, layout=mmaction2):
    def make(folder: Path) -> Path:
        theirs = tensors(layout)
        change(theirs)
        torch.save({"state_dict": theirs}, folder / "x.pth")
        return folder / "x.pth"

    return make


def content(data: bytes, name: str = "x.pth"):
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return make


def metadata(**values: str):
    def make(folder: Path) -> Path:
        save_file({"a": torch.zeros(1)}, folder / "x.safetensors", values)
        return folder / "x.safetensors"

    return make


def saved(value):
    def make(folder: Path) -> Path:
        torch.save(value, folder / "x.pth")
        return folder / "x.pth"

    return make


def a_folder(folder: Path) -> Path:
    (folder / "deep").mkdir()
    return folder / "deep"


NAN, INFINITE = float("nan"), float("inf")
BAD = {
    "truncated pth": (cut_pth, "is it cut short"),
    "truncated pkl": (cut_pkl, "is it cut short"),
    "truncated index": (cut_index, "not a complete TensorFlow index; is it cut short"),
    "index without data": (no_data, "missing beside"),
    "truncated safetensors": (cut_safetensors, "is it cut short"),
    "zip bomb": (zip_bomb, "a checkpoint is stored uncompressed"),
    "endless tensor": (a_tensor_without_end, "do not fit|of no network"),
    "wrong class count": (changed(lambda t: t.update({"cls_head.fc_cls.bias": torch.zeros(9)})), "allow_new_head"),
    "another network": (saved({"features.0.weight": torch.zeros(3, 3), "fc": torch.zeros(1)}), "not a layout that Marey"),
    "NaN": (changed(lambda t: t["cls_head.fc_cls.bias"].fill_(NAN)), "1 not finite: cls_head.fc_cls.bias"),
    "infinite": (changed(lambda t: t["backbone.conv1.bn.weight"].fill_(INFINITE)), "not finite: backbone.conv1.bn.weight"),
    "a folder": (a_folder, "no such checkpoint file"),
    "empty": (content(b""), "x.pth"),
    "empty pkl": (content(b"", "x.pkl"), "x.pkl"),
    "empty index": (content(b"", "x.index"), "not a complete TensorFlow index"),
    "empty safetensors": (content(b"", "x.safetensors"), "an empty file where a checkpoint was expected"),
    "text": (content(b"epoch 1: loss 0.3\n" * 9), "x.pth"),
    "text pkl": (content(b"epoch 1: loss 0.3\n" * 9, "x.pkl"), "x.pkl"),
    "text safetensors": (content(b"epoch 1: loss 0.3\n" * 9, "x.safetensors"), "not a complete .safetensors file"),
    "a header without end": (content(struct.pack("<Q", 1 << 40) + b"{}", "x.safetensors"), "not a complete .safetensors"),
    "nobody's safetensors": (metadata(), "not written by Marey"),
    "a recipe that is none": (metadata(recipe="{"), "no valid JSON"),
    "a recipe of another version": (metadata(recipe='{"name": "x"}'), "cannot be read by this version"),
    "wrong class names": (metadata(recipe=SMALL.model_dump_json(), class_names='["a"]'), "not 3 names"),
    "a list": (saved([1, 2]), "expected a dictionary of tensors"),
    "no tensors": (saved({"state_dict": {}}), "holds no tensors"),
    "sparse": (saved({"a": torch.eye(2).to_sparse()}), "expected plain tensors"),
    "not there": (lambda folder: folder / "none.pth", "no such checkpoint file"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_weights_are_one_clear_line(name, recipe, tmp_path) -> None:
    make, message = BAD[name]
    file = make(tmp_path)
    (tmp_path / "clip.mp4").write_bytes(b"never opened")
    for words in (
        ("convert", file, "--recipe", recipe, "--out", tmp_path / "out.safetensors"),
        ("predict", "slowonly_r50_8x8_k400", tmp_path / "clip.mp4", "--weights", file),
    ):
        done = marey(*words)
        assert done.exit_code == 1, done.output
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"marey {words[0]}: ")
        if words[0] == "convert":
            assert any(part in line for part in message.split("|")), line
    assert not (tmp_path / "out.safetensors").exists()
