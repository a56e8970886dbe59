"""tools/record.py: stored pairs are recorded again with equal values, and new pairs can be read."""

import ast
import gzip
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from marey.models.slowonly.config import SlowOnlyConfig
from marey.models.tsn.config import TSNConfig
from marey.video.pixels.rules import FloatPixels
from marey.video.pixels.transforms import to_clip
from marey.video.sampling import MMAction2Test, MMAction2Train
from marey.weights.layouts import torchvision
from tests.support import recorded
from tests.support.tolerances import GOLDEN_LOGITS, PIXELS_FLOAT
from tools import golden_draws, record

TOOL = Path(record.__file__)
RUNS = {"small": ((2, 3, 4, 32, 32), 1234), "long": ((1, 3, 8, 32, 48), 1235)}


@pytest.fixture
def golden(tmp_path, monkeypatch) -> Path:
    """A folder in place of tests/golden, which `recorded` reads."""
    monkeypatch.setattr(recorded, "HERE", tmp_path)
    monkeypatch.setattr(recorded, "load", lambda name: json.loads((tmp_path / f"{name}.json").read_text()))
    return tmp_path


def small() -> nn.Module:
    return SlowOnlyConfig(depth=18, width=4, num_classes=5).build()


class OfTorchvision(nn.Module):
    """A network of ours with torchvision's names, as torchvision's own network has them."""

    def __init__(self) -> None:
        super().__init__()
        self.network = TSNConfig(depth=18, num_classes=1000).build()
        self._pairs = dict(torchvision.pairs(self.network))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.network(pictures.unsqueeze(2))

    def state_dict(self) -> dict[str, Tensor]:
        state = self.network.state_dict()
        return {theirs: state[ours] for theirs, ours in self._pairs.items()}

    def load_state_dict(self, tensors: dict[str, Tensor]) -> None:
        self.network.load_state_dict({self._pairs[theirs]: value for theirs, value in tensors.items()})


def test_a_network_is_read_as_it_was_recorded(golden) -> None:
    record.record_network(
        golden / "networks" / "ours" / "small", small, toolkit="ours", runs=RUNS, calibrate=(4, 3, 4, 32, 32)
    )
    network = small().eval()
    network.load_state_dict(recorded.state_dict("ours/small"))
    read = list(recorded.runs("ours/small"))
    assert [list(clips.shape) for clips, _ in read] == [list(shape) for shape, _ in RUNS.values()]
    for clips, outputs in read:
        with torch.no_grad():
            logits = network(clips).numpy()
        assert logits.std() > 0.1  # drawn weights with the norms calibrated keep the size of the activations
        assert np.abs(logits - outputs["logits"]).max() < GOLDEN_LOGITS * outputs["logits"].std()


def test_a_recorded_pair_names_what_it_is_made_of(golden) -> None:
    out = golden / "networks" / "ours" / "small"
    record.record_network(out, small, toolkit="ours 1", runs=RUNS, notes={"config": "small.py"})
    info, network = recorded.load("networks/ours/small"), small()
    assert (info["name"], info["toolkit"], info["config"], info["draw"]) == ("small", "ours 1", "small.py", "anchor-v1")
    assert info["keys"] == {name: [list(t.shape), str(t.dtype)[6:]] for name, t in network.state_dict().items()}
    assert info["n_params"] == sum(parameter.numel() for parameter in network.parameters())
    assert not out.with_name("small.bnstats.npz").exists()  # not calibrated: statistics are drawn, too
    tensors = {key: value.numpy() for key, value in recorded.state_dict("ours/small").items()}
    assert golden_draws.weights_hash(tensors) == info["weights_sha"]


def test_recording_torchvisions_resnet_again_gives_the_stored_pair(golden, monkeypatch) -> None:
    record.record_network(
        golden / "networks" / "torchvision" / "resnet18", OfTorchvision, toolkit="torchvision 0.28.0",
        runs={"run0": ((2, 3, 97, 65), 1234)}, calibrate=(4, 3, 128, 128),
    )  # fmt: skip
    new, weights = recorded.load("networks/torchvision/resnet18"), recorded.state_dict("torchvision/resnet18")
    ((_, logits),) = recorded.runs("torchvision/resnet18")
    monkeypatch.undo()
    old, expected = recorded.load("networks/torchvision/resnet18"), recorded.state_dict("torchvision/resnet18")
    ((_, their_logits),) = recorded.runs("torchvision/resnet18")
    for field in ("name", "weight_seed", "toolkit", "ckpt_root", "keys"):
        assert new[field] == old[field]
    run, their_run = new["runs"]["run0"], old["runs"]["run0"]
    assert (run["shape"], run["seed"], run["outs"].keys()) == (their_run["shape"], 1234, their_run["outs"].keys())
    assert weights.keys() == expected.keys()
    for key, value in expected.items():
        if "running" in key:  # sums of float32 in another order, rounded to float16
            torch.testing.assert_close(weights[key], value, rtol=2**-10, atol=1e-5)
        else:
            assert torch.equal(weights[key], value), key
    assert np.abs(logits["logits"] - their_logits["logits"]).max() < GOLDEN_LOGITS * their_logits["logits"].std()


class Positions(nn.Module):
    """A position embedding, and a table that is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, 4, 6))
        self.register_buffer("table", torch.arange(4))
        self.head = nn.Linear(6, 3)


def test_position_embeddings_constants_and_named_outputs_are_recorded(golden) -> None:
    def build() -> tuple[nn.Module, Callable[[Tensor], dict[str, Tensor]]]:
        network = Positions()

        def call(clip: Tensor) -> dict[str, Tensor]:
            tokens = clip.mean(dim=(2, 3, 4)).unsqueeze(2) + network.pos_embed[:, network.table.flip(0)]
            return {"tokens": tokens, "logits": network.head(tokens.mean(dim=1))}

        return network, call

    out = golden / "networks" / "ours" / "tokens"
    runs = {"full": ((2, 4, 3, 8, 8), 1234)}
    record.record_network(
        out, build, toolkit="ours", runs=runs, layout="BTCHW", std={"pos_embed": 0.5}, scale=[("head", 0.25), (".", 2)]
    )
    tensors = recorded.state_dict("ours/tokens")
    assert torch.equal(tensors["table"], torch.arange(4))
    assert 0.7 < float(tensors["pos_embed"].std()) < 1.3  # twice 0.5
    assert torch.equal(tensors["head.weight"], 0.25 * torch.from_numpy(golden_draws.draw_weight("head.weight", (3, 6))))
    ((clips, outputs),) = recorded.runs("ours/tokens")
    assert clips.shape == (2, 3, 4, 8, 8)
    assert {name: values.shape for name, values in outputs.items()} == {"tokens": (2, 4, 6), "logits": (2, 3)}


@pytest.mark.parametrize(
    ("build", "runs", "message"),
    [
        (lambda: (small(), lambda clip: clip / 0), RUNS, "small/logits is not finite"),
        (small, {"flat": ((2, 8), 0)}, "expected one of"),
        (small, {**RUNS, "picture": ((2, 3, 8, 8), 0)}, "for all runs"),
    ],
)
def test_a_pair_that_would_prove_nothing_is_refused(build, runs, message, tmp_path) -> None:
    with pytest.raises(ValueError, match=message):
        record.record_network(tmp_path / "a", build, toolkit="ours", runs=runs)
    assert list(tmp_path.iterdir()) == []


def test_recording_sampling_again_gives_the_stored_pair(golden) -> None:
    theirs = [case for case in recorded_cases() if case["kw"] == {"clip_len": 1, "frame_interval": 1, "num_clips": 25}]
    lengths = [case["total_frames"] for case in theirs]
    rules = {"test": MMAction2Test(clips=25, frames=1), "train_seed0": MMAction2Train(clips=25, frames=1)}
    record.record_sampling(
        golden / "sampling" / "ours_frames",
        {
            name: lambda count, rule=rule: rule.sample(count, random=np.random.RandomState(0)).ravel()
            for name, rule in rules.items()
        },
        toolkit="ours", frames=lengths,
    )  # fmt: skip
    cases = recorded.load("sampling/ours_frames")["cases"]
    assert len(cases) > 3
    assert cases == [{"frames": case["total_frames"], **{name: case[name] for name in rules}} for case in theirs]


def recorded_cases() -> list[dict]:
    path = TOOL.parents[1] / "tests" / "golden" / "sampling" / "mmaction2_frames.json.gz"
    return json.loads(gzip.decompress(path.read_bytes()))


def test_generators_have_one_seed_for_each_case(golden) -> None:
    record.record_sampling(
        golden / "drawn",
        {"train": lambda count: np.random.randint(0, count, 5)},
        toolkit="ours",
        frames=[9, 9, 90],
        seed=3,
    )
    first, again, _ = recorded.load("drawn")["cases"]
    assert first == again == {"frames": 9, "train": np.random.RandomState(3).randint(0, 9, 5).tolist()}


def test_recording_pixels_again_gives_the_stored_pair(golden) -> None:
    rule = FloatPixels(short_side=256)

    def short256(frames: np.ndarray) -> Tensor:
        resized = rule.resize(frames, rule.size(*frames.shape[1:3]))
        return to_clip(torch.from_numpy(np.ascontiguousarray(resized))[None], *rule.normalisation, order=rule.order)[0]

    record.record_pixels(golden / "ours_pixels", {"div255_norm_short256": short256}, toolkit="ours")
    items = recorded.load("ours_pixels")["items"]
    path = TOOL.parents[1] / "tests" / "golden" / "clips" / "pytorchvideo_pixels_synthetic.json.gz"
    theirs = json.loads(gzip.decompress(path.read_bytes()))["items"]
    assert list(items) == [f"{source}/div255_norm_short256" for source in ("land", "odd", "portrait")]
    for name, item in items.items():
        if name in theirs:  # theirs has no portrait of it
            assert all(item[field] == theirs[name][field] for field in ("source", "shape", "dtype"))
            assert np.abs(np.subtract(item["probe"], theirs[name]["probe"])).max() < PIXELS_FLOAT
            assert abs(item["mean"] - theirs[name]["mean"]) < PIXELS_FLOAT
    assert len(items.keys() & theirs) == 2


# In the environment of another toolkit -----------------------------------------------------------------------------------

PAIRS = """
import random
import numpy as np

class Linear:
    def __init__(self):
        self.weight = np.zeros((3, 4), np.float32)
    def tensors(self):
        return {"weight": self.weight}
    def constants(self):
        return []
    def load(self, tensors):
        self.weight = tensors["weight"]
    def calibrate(self, clip):
        pass
    def __call__(self, clip):
        return clip.mean(axis=(2, 3, 4)) @ self.weight.T

def train(count):
    return [random.randrange(count) for _ in range(3)]

def halved(frames):
    return frames[:, ::2, ::2]
"""
COMMANDS = {
    "network": ["pairs:Linear", "--run", "a=2x4x2x3x3@5", "--root", "state_dict"],
    "sampling": ["train_seed0=pairs:train", "--frames", "8,300"],
    "pixels": ["half=pairs:halved", "--note", "functions=pairs.halved"],
}


def test_it_runs_without_torch_and_without_marey(golden) -> None:
    (golden / "pairs.py").write_text(PAIRS, encoding="utf-8")
    without = f"""
import runpy, sys
sys.modules.update(torch=None, marey=None)
sys.path[0] = {str(TOOL.parent)!r}
sys.argv[0] = {str(TOOL)!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    for kind, words in COMMANDS.items():
        out = ["--toolkit", "theirs 1", "--out", f"networks/{kind}/small"]
        done = subprocess.run(
            [sys.executable, "-c", without, kind, *words, *out], cwd=golden, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    ((clips, outputs),) = recorded.runs("network/small")
    expected = clips.numpy().mean(axis=(2, 3, 4)) @ golden_draws.draw_weight("weight", (3, 4)).T
    np.testing.assert_allclose(outputs["logits"], expected, rtol=1e-5)
    assert recorded.load("networks/network/small")["ckpt_root"] == "state_dict"
    assert [case["frames"] for case in recorded.load("networks/sampling/small")["cases"]] == [8, 300]
    pixels = recorded.load("networks/pixels/small")
    assert pixels["functions"] == "pairs.halved"
    assert pixels["items"]["odd/half"]["shape"] == [8, 97, 159, 3]


@pytest.mark.parametrize("name", ["record", "golden_pairs", "golden_draws"])
def test_older_pythons_can_read_it(name) -> None:
    ast.parse(TOOL.with_name(f"{name}.py").read_text(encoding="utf-8"), feature_version=(3, 8))


def test_it_is_deterministic(golden) -> None:
    for name in ("one", "two"):
        record.record_network(
            golden / name / "small", small, toolkit="ours", runs={"small": RUNS["small"]}, calibrate=(2, 3, 4, 32, 32)
        )
    for file in (golden / "one").iterdir():
        assert file.read_bytes() == (golden / "two" / file.name).read_bytes()


PAGE = TOOL.parents[1] / "docs" / "how-to" / "record-a-golden-pair.md"
SHOWN = re.findall(r"^    python tools/record.py (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("line", SHOWN)
def test_a_command_of_the_page_is_understood(line, monkeypatch) -> None:
    recorded_pairs = []
    monkeypatch.setattr(record, "function_named", lambda name: name)
    monkeypatch.setattr(record, "read_arrays", lambda path: {})
    for kind in ("network", "sampling", "pixels"):
        monkeypatch.setattr(
            record, f"record_{kind}", lambda out, what, kind=kind, **options: recorded_pairs.append((kind, out))
        )
    record.main(shlex.split(line))
    assert recorded_pairs == [(line.split()[0], Path(line.split()[-1]))]


def test_the_page_shows_each_kind() -> None:
    assert [line.split()[0] for line in SHOWN] == ["network", "sampling", "pixels", "pixels"]
