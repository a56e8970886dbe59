"""Caffe2 pickles: PySlowFast's networks in their released form, and hostile or incomplete ones, which are refused."""

import builtins
import os
import pickle
import struct

import numpy as np
import pytest
import torch

from marey.base.errors import WeightsError
from marey.recipes import get_recipe
from marey.weights.files.caffe2 import read_caffe2
from marey.weights.layouts import pyslowfast, pyslowfast_caffe2
from marey.weights.load import load_model
from tests.support.layout_variants import VARIANTS
from tests.support.recorded import load, state_dict, write_caffe2
from tests.support.recorded_networks import PAIRS, difference
from tests.support.tolerances import GOLDEN_LOGITS

NAMES = [name for name in PAIRS if name.startswith("pyslowfast/")]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n == "pyslowfast/I3D_8x8_R50" else pytest.mark.slow) for n in NAMES]
)
def test_released_form_gives_the_same_network(name, tmp_path) -> None:
    """Every tensor is that of the .pyth form, which gives the recorded logits (test_weights.py)."""
    model = load_model(weights=write_caffe2(name, tmp_path / "x.pkl"))
    assert model.recipe.model == get_recipe(PAIRS[name]).model
    recorded, ours, state = state_dict(name), dict(pyslowfast.pairs(model.network)), model.network.state_dict()
    for key, value in recorded.items():
        assert key.endswith("num_batches_tracked") or torch.equal(value, state[ours[key]]), key
    names = load(f"networks/{name}.c2names")
    assert {blob: ours[key] for blob, key in names.items()} == dict(pyslowfast_caffe2.pairs(model.network))
    if name == "pyslowfast/SLOW_8x8_R50":
        assert difference(model, name) < GOLDEN_LOGITS


@pytest.mark.parametrize("config", [config for layout, config in VARIANTS if layout is pyslowfast.LAYOUT], ids=repr)
def test_variants_are_inferred_and_tensors_are_loaded_unchanged(config, tmp_path) -> None:
    torch.manual_seed(0)
    network = config.build()
    state = network.state_dict()
    theirs, ours = zip(*pyslowfast_caffe2.pairs(network), strict=True)
    assert sorted(ours) == sorted(name for name in state if not name.endswith("num_batches_tracked"))
    assert len(set(theirs)) == len(theirs)
    blobs = {blob: state[name].numpy() for blob, name in zip(theirs, ours, strict=True)}
    solver = {"conv1_w_momentum": blobs["conv1_w"], "lr": np.float32(0.1), "model_iter": np.array([7])}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"blobs": blobs | solver}, protocol=2))
    loaded = load_model(weights=tmp_path / "x.pkl")
    assert loaded.recipe.model == config
    assert loaded.load_report.dropped == tuple(solver)
    assert all(torch.equal(value, state[name]) for name, value in loaded.network.state_dict().items())


# -- the pickles themselves

ARRAYS = {
    "f4": np.arange(6, dtype=np.float32).reshape(2, 3),
    "f8": np.array([[0.5]]),
    "big_endian": np.arange(3, dtype=">f4"),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "i8": np.array(-3),
    "u4": np.array([4000000000], np.uint32),
    "bool": np.array([True, False]),
}


@pytest.mark.parametrize("protocol", [1, 2, 3, 4])
def test_arrays_come_as_numpy_would_give_them(protocol, tmp_path) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"blobs": ARRAYS, "more": [1.5, None, ("a", True)]}, protocol))
    found = read_caffe2(tmp_path / "x.pkl")
    assert found.keys() == ARRAYS.keys()
    for name, expected in ARRAYS.items():
        np.testing.assert_array_equal(found[name].numpy(), expected)


def by_python_2(name: bytes, values: np.ndarray) -> bytes:
    """A pickle as Python 2 and numpy 1 wrote it: raw bytes in strings, everything remembered."""
    raw = values.tobytes()
    shape = b"(" + b"".join(b"K" + bytes([n]) for n in values.shape) + b"t"
    return b"".join(
        [
            b"\x80\x02}q\x00U\x05blobsq\x01}q\x02U", bytes([len(name)]), name, b"q\x03",
            b"cnumpy.core.multiarray\n_reconstruct\nq\x04cnumpy\nndarray\nq\x05K\x00\x85q\x06U\x01bq\x07\x87q\x08Rq\x09",
            b"(K\x01", shape, b"q\x0acnumpy\ndtype\nq\x0bU\x02f4q\x0cK\x00K\x01\x87q\x0dRq\x0e",
            b"(K\x03U\x01<q\x0fNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x10b\x89T", struct.pack("<I", len(raw)), raw,
            b"q\x11tq\x12bss.",
        ]
    )  # fmt: skip


def test_files_of_python_2(tmp_path) -> None:
    values = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    (tmp_path / "x.pkl").write_bytes(by_python_2(b"conv1_w", values))
    np.testing.assert_array_equal(read_caffe2(tmp_path / "x.pkl")["conv1_w"].numpy(), values)


class Calls:
    """Pickled as a call."""

    def __init__(self, *reduced) -> None:
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


class Stateful:
    def __init__(self, state) -> None:
        self.__dict__["state"] = state


def raw(text: bytes) -> bytes:
    return b"\x80\x02" + text + b"."


DTYPE = b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"

HOSTILE = {
    "os.system": (pickle.dumps(Calls(os.system, ("touch WAS_RUN",)), 2), "posix.system|nt.system"),
    "eval": (pickle.dumps({"blobs": {"a": Calls(eval, ("open('WAS_RUN', 'w')",))}}, 2), "eval"),
    "getattr": (pickle.dumps(Calls(builtins.getattr, (os, "system")[:1] and ("x", "upper")), 4), "getattr"),
    "in an array": (pickle.dumps(np.array([Calls(os.system, ("touch WAS_RUN",))], dtype=object), 2), "system"),
    "objects": (pickle.dumps({"blobs": {"a": np.array([{}, "x"], dtype=object)}}, 2), "objects|O8"),
    "an instance": (pickle.dumps(Stateful({"a": 1}), 2), "NEWOBJ|Stateful|_reconstructor"),
    "INST": (b"(ios\nsystem\n.", "recogn|INST|torch|pickle|checkpoint"),
    "fields": (pickle.dumps(np.zeros(2, [("a", "f4"), ("b", "O")]), 2), "state|objects|type"),
    "numpy's loader": (raw(b"cnumpy\nload\nU\x01x\x85R"), "numpy.load"),
    "numpy's functions": (raw(b"cnumpy.core.multiarray\nfromfile\nU\x01x\x85R"), "fromfile"),
    "an array made to order": (raw(b"cnumpy\nndarray\nJ\x00\x00\x00\x40\x85\x85R"), "a call of ndarray"),
    "a subclass": (raw(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\x00\x85U\x01b\x87R"), "a call of _rec"),
    "state of a name": (raw(b"cnumpy\nndarray\n}b"), "no array's"),
    "another codec": (raw(b"c_codecs\nencode\nU\x01xU\x03hex\x86R"), "a call of encode"),
    "a call of a call": (raw(DTYPE + b")R"), "no name"),
    "persistent": (raw(b"U\x01xQ"), "BINPERSID"),
    "an extension": (raw(b"\x82\x01"), "EXT1"),
    "keys that take for ever to hash": (raw(b"})" + b"2\x86" * 60 + b"Ns"), "keys are no names|DUP"),
    "larger than the file": (raw(ARRAY + b"(K\x01J\xff\xff\xff\x7f\x85" + DTYPE + b"\x89U\x04abcdtb"), "larger than"),
    "bytes used many times": (
        raw(b"(T\x00\x10\x00\x00" + b"x" * 4096 + b"q\x01" + 40 * (ARRAY + b"(K\x01M\x00\x04\x85" + DTYPE + b"\x89h\x01tb")
            + b"t"), "more than the file",
    ),
    "a million digits": (raw(ARRAY + b"(K\x01\x8b\x40\x42\x0f\x00" + b"\x7f" * 1000000 + b"\x85" + DTYPE + b"\x89U\x00tb"),
                         "larger than"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused_and_not_run(name, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    content, reason = HOSTILE[name]
    file = tmp_path / "x.pkl"
    file.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"(?s)x\.pkl.*({reason})") as caught:
        load_model(weights=file)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert [path.name for path in tmp_path.iterdir()] == ["x.pkl"]


def test_the_hostile_pickles_would_run_code_in_python(tmp_path, monkeypatch) -> None:
    """The check can fail: Python's own reader runs the first one."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(HOSTILE["os.system"][0])
    assert (tmp_path / "WAS_RUN").exists()


@pytest.mark.parametrize("kept", [3, 100, 0.5, -1])
def test_pickles_cut_short(kept, tmp_path) -> None:
    content = pickle.dumps({"blobs": ARRAYS}, 2)
    cut = int(len(content) * kept) if isinstance(kept, float) else kept
    (tmp_path / "x.pkl").write_bytes(content[:cut])
    with pytest.raises(WeightsError, match="is it cut short"):
        load_model(weights=tmp_path / "x.pkl")


@pytest.mark.parametrize("content", [{"blobs": 3}, 3, {"blobs": {}}, {"blobs": {"a": "text"}}], ids=repr)
def test_pickles_without_blobs(content, tmp_path) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content, 2))
    with pytest.raises(WeightsError, match="blobs|holds no arrays"):
        load_model(weights=tmp_path / "x.pkl")
