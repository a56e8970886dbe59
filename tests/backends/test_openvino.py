"""OpenVINO: the same results as eager in every family; conversions are cached, and repeated if the file is damaged."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from marey.backends import openvino as module
from marey.backends.choose import check_backend, open_backend
from marey.backends.compute import Compute
from marey.backends.eager import EagerBackend, OutputFromFrames
from marey.backends.openvino import OpenVINO
from marey.base.cache import backends_folder
from marey.base.errors import RunError
from marey.classifier import Classifier
from tests.support.families import FAMILIES, family
from tests.support.planted import classifier, views
from tests.support.tiny import RECIPE

pytestmark = pytest.mark.usefixtures("cache")

CPU = Compute(device="cpu", backend="openvino")


@pytest.fixture
def installed() -> None:
    pytest.importorskip("openvino")


@pytest.fixture
def converted(monkeypatch) -> list[str]:
    """The outputs that were converted, in order."""
    outputs: list[str] = []
    convert = module._convert

    def counted(network, *rest):
        outputs.append(network.output)
        return convert(network, *rest)

    monkeypatch.setattr(module, "_convert", counted)
    return outputs


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "slowonly" else pytest.mark.slow) for name in FAMILIES]
)
def test_every_family(name) -> None:
    model, frames = family(name)
    x = torch.randint(0, 256, (3, frames, 64, 64, 3), dtype=torch.uint8)
    backend, eager = open_backend(model, CPU, views=100), EagerBackend(model, CPU)
    for count in (3, 2, 1, 3):
        torch.testing.assert_close(backend.logits(x[:count]), eager.logits(x[:count]), rtol=1e-4, atol=1e-5)
    assert backend.report().ran == "openvino", backend.report().why
    assert backend.report().relative < 1e-4


@pytest.mark.usefixtures("installed")
def test_other_outputs_and_grey_levels_in_float() -> None:
    backend, eager = open_backend(classifier(), CPU, views=100), EagerBackend(classifier(), CPU)
    for output in ("features", "positions"):
        torch.testing.assert_close(backend.run(output, views(3)), eager.run(output, views(3)), rtol=1e-4, atol=1e-5)
    other = open_backend(classifier(), CPU, views=100)
    x = views(3).float() + 0.25
    torch.testing.assert_close(other.logits(x), eager.logits(x), rtol=1e-4, atol=1e-5)
    assert (backend.report().ran, other.report().ran) == ("openvino", "openvino")


TWO_NETWORKS = """
import gc, signal
from tests.support.planted import classifier
from tests.support.planted import views
from marey.backends.choose import open_backend
from marey.backends.compute import Compute

backends = [open_backend(classifier(), Compute(device="cpu", backend="openvino"), views=100) for _ in range(2)]
assert [backend.logits(views(3)) is not None and backend.report().ran for backend in backends] == ["openvino"] * 2
while backends:
    backends.pop(0)
    gc.collect()
signal.signal(signal.SIGINT, lambda *_: print("heard"))
signal.raise_signal(signal.SIGINT)
"""


@pytest.mark.usefixtures("installed")
def test_signals_are_handled_after_two_networks_are_released() -> None:
    """OpenVINO's plugin sets a signal stack for each network: without its restoration the first signal ends the process."""
    done = subprocess.run(
        [sys.executable, "-c", TWO_NETWORKS], cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr


class Head(nn.Module):
    """A user's module, whose features are the input of its head."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.conv, self.head, self.scale = nn.Conv3d(3, 4, 3), nn.Linear(4, 2), scale

    def forward(self, clip_BCTHW):
        return self.head(self.conv(clip_BCTHW.repeat(1, 1, 2, 1, 1)).relu().mean(dim=(2, 3, 4)) * self.scale)


class Choosing(nn.Module):
    """A module with a branch that depends on the clip, which tracing does not record."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)

    def forward(self, clip_BCTHW):
        means = clip_BCTHW.mean(dim=(2, 3, 4))
        return torch.stack([self.head(mean) if mean[0] > 0 else -self.head(mean) for mean in means])


@pytest.mark.usefixtures("installed")
def test_modules_of_users(capsys) -> None:
    torch.manual_seed(0)
    model = Classifier(Head(), RECIPE)
    backend, eager = open_backend(model, CPU, views=100), EagerBackend(model, CPU)
    for output in ("logits", "features"):
        torch.testing.assert_close(backend.run(output, views(3)), eager.run(output, views(3)), rtol=1e-4, atol=1e-5)
    choosing = Classifier(Choosing(), RECIPE)
    backend, eager = open_backend(choosing, CPU, views=100), EagerBackend(choosing, CPU)
    x = views(4)
    x[:2] //= 4
    x[2:] = 255 - x[2:] // 4
    for batch in (x, x[1:], x[2:]):
        assert torch.equal(backend.logits(batch), eager.logits(batch))
    assert backend.report().ran == "eager"
    assert len([line for line in capsys.readouterr().err.splitlines() if line.endswith("eager computes instead")]) == 1


@pytest.mark.usefixtures("installed")
def test_a_conversion_is_cached(converted) -> None:
    first = open_backend(classifier(), CPU, views=100).logits(views(3))
    again = open_backend(classifier(), CPU, views=100).logits(views(3))
    assert converted == ["logits"]
    assert torch.equal(first, again)
    assert [file.suffix for file in backends_folder("openvino").iterdir()] == [".zip"]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    "damage", [lambda b: b[:100], lambda b: b"", lambda b: b[: len(b) // 2] + b"x" + b[len(b) // 2 + 1 :]]
)
def test_a_damaged_file_is_converted_again(damage, converted, capsys) -> None:
    first = open_backend(classifier(), CPU, views=100).logits(views(3))
    (file,) = backends_folder("openvino").iterdir()
    file.write_bytes(damage(file.read_bytes()))
    capsys.readouterr()
    assert torch.equal(open_backend(classifier(), CPU, views=100).logits(views(3)), first)
    assert "is damaged: the network is converted again" in capsys.readouterr().err
    assert torch.equal(open_backend(classifier(), CPU, views=100).logits(views(3)), first)
    assert converted == ["logits", "logits"]


@pytest.mark.usefixtures("installed")
def test_the_cache_entry_depends_on_network_output_and_preprocessing() -> None:
    def entry(network=None, x=None, output="logits", recipe=RECIPE):
        torch.manual_seed(0)
        return module._entry(
            OutputFromFrames(Classifier(network or Head(), recipe), output), views(2) if x is None else x
        )

    other = Head()
    brighter = RECIPE.variant(pixels={"mean": (1.0, 2.0, 3.0)})
    assert entry() == entry() == entry(x=views(5))
    entries = [
        entry(), entry(other), entry(Head(scale=2.0)), entry(output="features"), entry(x=views(2).float()),
        entry(x=views(2).repeat(1, 2, 1, 1, 1)), entry(recipe=brighter),
    ]  # fmt: skip
    assert len(set(entries)) == len(entries)


@pytest.mark.usefixtures("installed")
def test_a_cache_that_cannot_be_written(cache, capsys) -> None:
    cache.mkdir()
    (cache / "backends").write_text("a file where the folder would be")
    backend = open_backend(classifier(), CPU, views=100)
    backend.logits(views(3))
    assert backend.report().ran == "openvino", backend.report().why
    assert "the network cannot be stored there" in capsys.readouterr().err


def test_an_unsupported_device_or_precision_is_refused_before_work(monkeypatch) -> None:
    monkeypatch.setattr("marey.backends.choose.pick_device", torch.device)
    with pytest.raises(RunError, match=r"^--backend openvino: it runs on the CPU, not on mps; use --device cpu, or"):
        check_backend(CPU.changed(device="mps", precision="float32"))
    assert OpenVINO().lacks(torch.device("cpu"), "tf32") == "it does not compute in tf32; use --precision float32"


def test_without_the_extra(monkeypatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"^--backend openvino: it is not installed; pip install 'marey\[openvino\]'\.$"):
        open_backend(classifier(), CPU, views=100)
    assert OpenVINO().version == ""
    assert open_backend(classifier(), CPU.changed(backend="auto"), views=2).logits(views(2)).shape == (2, 2)


@pytest.mark.usefixtures("installed")
def test_no_telemetry_is_sent() -> None:
    program = (
        "import sys; from marey.backends.openvino import _import_quietly; _import_quietly(); "
        "assert 'openvino' in sys.modules; assert not [m for m in sys.modules if m.startswith('openvino_telemetry')]"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
