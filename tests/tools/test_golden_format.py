"""A recorded pair has the files, the keys and the weights that readers of golden pairs expect, written here from the rule in
words: docs/how-to/record-a-golden-pair.md.
"""

import gzip
import hashlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.support import recorded
from tools import golden_pairs, record

CLIP = {"small": ((2, 3, 4, 6, 6), 5)}
LINE = ["--toolkit", "ours", "--out", "pair"]


class Toy(nn.Module):
    """All that a description can name: a norm, a position embedding, a table that is computed, a scaled weight."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, 4, 3)
        self.bn = nn.BatchNorm3d(4)
        self.pos_embed = nn.Parameter(torch.zeros(1, 4))
        self.register_buffer("order", torch.arange(3, -1, -1))
        self.register_buffer("order_again", torch.arange(3, -1, -1))
        self.head = nn.Linear(4, 5)

    def forward(self, clip: Tensor, bias: Tensor | None = None) -> Tensor:
        tokens = self.bn(self.conv(clip)).mean(dim=(2, 3, 4))[:, self.order] + self.pos_embed
        return self.head(tokens) + (0 if bias is None else bias)


def weights_by_the_rule(out: Path) -> dict[str, np.ndarray]:
    """Each weight from a generator that a hash of its name seeds, in float16; statistics and tables from files."""
    info = json.loads(Path(f"{out}.json").read_text())
    second = info if info["draw"] == "anchor-v2" else {}
    statistics = np.load(f"{out}.bnstats.npz") if Path(f"{out}.bnstats.npz").exists() else {}
    tensors = {}
    for key, (shape, dtype) in info["keys"].items():
        if key in second.get("const", {}):
            tensors[key] = np.load(f"{out}.const.npz")[second["const"][key]].astype(dtype).reshape(shape)
        elif key in statistics:
            tensors[key] = statistics[key].astype(np.float32).reshape(shape)
        elif not dtype.startswith("float"):
            tensors[key] = np.full(shape, 1 if statistics else 0, np.int64)
        else:
            seed = hashlib.sha256(f"{info['weight_seed']}:{key}".encode()).digest()[:4]
            generator = np.random.RandomState(int.from_bytes(seed, "little"))
            if key in second.get("std", {}):
                values = second["std"][key] * generator.standard_normal(shape)
            elif len(shape) >= 2:
                gain = 2 if len(shape) >= 4 else 1
                values = generator.standard_normal(shape) * np.sqrt(gain / np.prod(shape[1:]))
            elif key.endswith(("weight", "running_var")):
                values = generator.uniform(0.5, 1.5, shape)
            else:
                values = 0.1 * generator.standard_normal(shape)
            fitting = [factor for pattern, factor in second.get("scale", []) if re.search(pattern, key)]
            factor = np.float32(fitting[0] if fitting else 1)
            tensors[key] = values.astype(np.float32).astype(np.float16).astype(np.float32) * factor
    return tensors


def fingerprint(tensors: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for key in sorted(tensors):
        if tensors[key].dtype == np.float32:
            digest.update(key.encode())
            digest.update(tensors[key].tobytes())
    return digest.hexdigest()[:16]


@pytest.mark.parametrize("calibrate", [None, (4, 3, 4, 6, 6)])
@pytest.mark.parametrize("options", [{}, {"std": {"pos_embed": 0.5}, "scale": [("head", 0.25)]}])
def test_weights_by_the_rule_are_those_that_were_recorded(calibrate, options, tmp_path) -> None:
    out = tmp_path / "toy"
    golden_pairs.record_network(out, Toy, toolkit="ours", runs=CLIP, calibrate=calibrate, **options)
    info, tensors = json.loads((tmp_path / "toy.json").read_text()), weights_by_the_rule(out)
    assert fingerprint(tensors) == info["weights_sha"]
    network = Toy().eval()
    network.load_state_dict({key: torch.from_numpy(value) for key, value in tensors.items()})
    clip = np.random.RandomState(5).standard_normal((2, 3, 4, 6, 6)).astype(np.float32)
    assert hashlib.sha256(clip.tobytes()).hexdigest()[:16] == info["runs"]["small"]["input_sha"]
    outputs = np.load(tmp_path / "toy.npz")
    with torch.no_grad():
        np.testing.assert_allclose(outputs["small/logits"], network(torch.from_numpy(clip)), rtol=1e-4, atol=1e-6)
    assert info["runs"]["small"].keys() == {"shape", "seed", "input_sha", "outs"}
    assert info["runs"]["small"]["outs"]["logits"].keys() == {"shape", "std", "absmax"}


def test_files_hold_one_array_for_each_key(tmp_path) -> None:
    for calibrate in ((4, 3, 4, 6, 6), None):  # a later recording leaves nothing of an earlier one
        golden_pairs.record_network(tmp_path / "toy", Toy, toolkit="ours", runs=CLIP, calibrate=calibrate)
        statistics = {"toy.bnstats.npz"} if calibrate else set()
        assert {path.name for path in tmp_path.iterdir()} == {"toy.json", "toy.npz", "toy.const.npz"} | statistics
        if calibrate:
            file = np.load(tmp_path / "toy.bnstats.npz")
            assert {key: (file[key].shape, str(file[key].dtype)) for key in file} == {
                "bn.running_mean": ((4,), "float16"), "bn.running_var": ((4,), "float16"),
            }  # fmt: skip
    names = json.loads((tmp_path / "toy.json").read_text())["const"]
    assert names.keys() == {"order", "order_again"}
    assert list(np.load(tmp_path / "toy.const.npz")) == [names["order"]]  # equal tables are stored once


def test_a_compressed_description_is_what_tests_read(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(recorded, "HERE", tmp_path)
    out = tmp_path / "networks" / "ours" / "toy"
    golden_pairs.record_network(out, Toy, toolkit="ours", runs=CLIP, calibrate=(4, 3, 4, 6, 6))
    expected, description = weights_by_the_rule(out), out.with_name("toy.json")
    out.with_name("toy.json.gz").write_bytes(gzip.compress(description.read_bytes()))
    description.unlink()
    tensors = recorded.state_dict("ours/toy")
    assert tensors.keys() == expected.keys()
    for key, value in tensors.items():
        np.testing.assert_array_equal(value, expected[key])


# Given inputs ------------------------------------------------------------------------------------------------------------


def test_given_arrays_are_stored_and_read(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(recorded, "HERE", tmp_path)
    clip = np.random.default_rng(0).random((1, 3, 5, 7, 7), dtype=np.float32)
    bias = np.arange(5, dtype=np.float32)
    out = tmp_path / "networks" / "ours" / "toy"
    np.savez(tmp_path / "named.npz", bias=bias, clip=clip)
    given = {"alone": clip, "in_order": [clip, bias], "by_name": np.load(tmp_path / "named.npz")}
    golden_pairs.record_network(out, Toy, toolkit="ours", runs={}, inputs=given)
    info = json.loads(out.with_name("toy.json").read_text())
    monkeypatch.setattr(recorded, "load", lambda name: info)
    outputs = np.load(out.with_name("toy.npz"))
    np.testing.assert_array_equal(outputs["in_order/logits"], outputs["by_name/logits"])
    np.testing.assert_allclose(outputs["in_order/logits"], outputs["alone/logits"] + bias, rtol=1e-5)
    np.testing.assert_array_equal(recorded.inputs("ours/toy", "by_name")["bias"], bias)
    assert info["runs"]["by_name"]["source_file"] == "toy.inputs.npz"
    assert info["runs"]["alone"]["inputs"]["arr_0"] == {
        "shape": [1, 3, 5, 7, 7], "dtype": "float32", "sha256": hashlib.sha256(clip.tobytes()).hexdigest(),
    }  # fmt: skip
    info["runs"] = {"alone": info["runs"]["alone"]}
    ((clips, _),) = recorded.runs("ours/toy")
    assert torch.equal(clips, torch.from_numpy(clip))


def test_integers_beside_a_drawn_clip_are_in_the_description(tmp_path) -> None:
    bias = np.arange(5)
    golden_pairs.record_network(
        tmp_path / "toy", Toy, toolkit="ours", runs={**CLIP, "plain": CLIP["small"]}, inputs={"small": {"bias": bias}}
    )
    run, outputs = json.loads((tmp_path / "toy.json").read_text())["runs"]["small"], np.load(tmp_path / "toy.npz")
    assert (run["seed"], run["also"]) == (5, {"bias": bias.tolist()})
    np.testing.assert_allclose(outputs["small/logits"], outputs["plain/logits"] + bias, rtol=1e-5)
    assert not (tmp_path / "toy.inputs.npz").exists()


PAIRS = """
import numpy as np

number = 3

class Scaled:
    def __init__(self):
        self.weight = np.zeros((2, 4), np.float32)
    def tensors(self):
        return {"weight": self.weight}
    def constants(self):
        return []
    def load(self, tensors):
        self.weight = tensors["weight"]
    def __call__(self, tokens, shift):
        return tokens @ self.weight.T + shift

def nothing():
    return None

def names():
    return "a"

def difference(first, second):
    return first - second
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The current folder, with a module of functions and a file of arrays."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "golden_functions", raising=False)
    (tmp_path / "golden_functions.py").write_text(PAIRS, encoding="utf-8")
    np.savez("case.npz", np.ones((3, 4), np.float32), np.float32([1, 2]))
    np.savez("named.npz", second=np.ones(3), first=np.arange(3.0))
    return tmp_path


def test_the_command_line_reads_a_file_of_arrays(folder) -> None:
    record.main(["network", "golden_functions:Scaled", "--input", "case.npz", "--input", "twice=case.npz", *LINE])
    outputs, weight = np.load("pair.npz"), weights_by_the_rule(folder / "pair")["weight"]
    assert list(outputs) == ["case/logits", "twice/logits"]
    np.testing.assert_allclose(outputs["case/logits"], np.ones((3, 4)) @ weight.T + [1, 2], rtol=1e-6)
    assert list(np.load("pair.inputs.npz")) == ["case/arr_0", "case/arr_1", "twice/arr_0", "twice/arr_1"]


def test_any_function_of_arrays_is_recorded(folder) -> None:
    record.main(["pixels", "minus=golden_functions:difference", "--input", "named.npz", *LINE])
    item = json.loads(Path("pair.json").read_text())["items"]["named/minus"]
    assert item.keys() == {"source", "shape", "dtype", "sha256", "mean", "std", "probe"}
    assert np.load("pair.npz")["named/minus"].tolist() == [-1, 0, 1]
    assert np.load("pair.inputs.npz")["named/first"].tolist() == [0, 1, 2]


# Errors ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("network golden_functions --run a=1x2", "'golden_functions': expected package.module:function, such as"),
        ("network absent.one:build --run a=1x2", "'absent.one:build': there is no module 'absent': use the toolkit's"),
        ("network golden_functions:Scale --run a=1x2", "golden_functions has no function 'Scale', but Scaled"),
        ("network golden_functions:number --run a=1x2", "golden_functions has no function 'number', but"),
        ("network golden_functions:nothing --run a=1x2x3x4", "the function gave NoneType: expected a torch module or"),
        ("network golden_functions:Scaled", "at least one --run NAME=SHAPE or --input FILE.npz"),
        ("network golden_functions:Scaled --run small", "--run: 'small': expected NAME=SHAPE of a drawn clip, such as"),
        ("network golden_functions:Scaled --run small=1x0", "--run: 'small=1x0': expected NAME=SHAPE"),
        ("network golden_functions:Scaled --run small=1x2@-1", "--run: 'small=1x2@-1': expected NAME=SHAPE"),
        ("network golden_functions:Scaled --run a=1x2 --run a=1x3", "--run a is given twice: names must differ"),
        ("network golden_functions:Scaled --run a=1x2", "clips of shape [1, 2], layout None: expected one of"),
        ("network golden_functions:Scaled --input absent.npz", "absent.npz: expected a file of arrays of numbers"),
        ("network golden_functions:Scaled --calibrate 4,3", "--calibrate: '4,3': expected SHAPE of the clip whose"),
        ("network golden_functions:Scaled --std [=1", "--std: '[=1': expected REGEX=DEVIATION"),
        ("network golden_functions:Scaled --scale w=3", "--scale: 'w=3': expected REGEX=FACTOR of weights, a power of two"),
        ("network golden_functions:Scaled --run a=1x2x3x4 --input a=case.npz", "run a, array arr_0: expected int64 beside"),
        ("sampling golden_functions:names --frames 1", "'golden_functions:names': expected NAME=package.module:name"),
        ("sampling a=golden_functions:names --frames 1,x", "--frames: '1,x': expected lengths of the videos in frames"),
        ("pixels a=golden_functions:names --input case.npz --input b/case.npz", "--input case is given twice"),
    ],
)  # fmt: skip
def test_one_line_names_the_value_and_the_rule(line, told, folder, capsys) -> None:
    with pytest.raises(SystemExit) as error:
        record.main([*line.split(), *LINE])
    written = capsys.readouterr().err.splitlines()[-1:] or [str(error.value)]
    assert told in written[0]
    assert "\n" not in str(error.value)
    assert not Path("pair.json").exists()


def test_an_output_that_is_no_array_is_refused(folder, tmp_path) -> None:
    with pytest.raises(
        golden_pairs.RecordingError, match="an output is str: expected an array, or several in a dictionary"
    ):
        golden_pairs.record_pixels(tmp_path / "a", {"names": lambda frames: "a"}, toolkit="ours")
