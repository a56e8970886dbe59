"""torch.compile: the same results as eager in every family, one graph for all batches, eager without a C++ compiler."""

import os
import subprocess
import sys

import pytest
import torch
import torch._dynamo.config
import torch._inductor.config

from marey.backends.choose import check_backend, open_backend
from marey.backends.compute import Compute
from marey.backends.device import pick_device
from marey.backends.eager import EagerBackend
from marey.base.errors import RunError
from tests.support.families import FAMILIES, family
from tests.support.planted import classifier, views

CPU = Compute(device="cpu", backend="compile")


WITHOUT_COMPILER = """
import torch
from tests.support.planted import classifier, views
from marey.backends.choose import open_backend
from marey.backends.compute import Compute
from marey.backends.eager import EagerBackend
backend = open_backend(classifier(), Compute(device="cpu", backend="compile"), views=100)
expected = EagerBackend(classifier(), Compute(device="cpu")).logits(views(3))
assert torch.equal(backend.logits(views(3)), expected)
assert torch.equal(backend.logits(views(3)), expected)
assert backend.report().ran == "eager"
"""


@pytest.mark.slow
def test_without_a_compiler_eager_computes() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "CXX"}
    environment |= {"PATH": "", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_COMPILER], env=environment, capture_output=True, text=True, check=True
    )
    notice, left = done.stderr.splitlines()
    assert "10 to 60 s" in notice
    assert "No working C++ compiler" in left
    assert left.endswith("eager computes instead")


def test_a_device_without_torch_compile_is_refused(monkeypatch) -> None:
    monkeypatch.setattr("marey.backends.choose.pick_device", lambda name: torch.device("mps"))
    with pytest.raises(
        RunError, match=r"^--backend compile: it runs on cpu and cuda, not on mps; use --backend eager\.$"
    ):
        check_backend(CPU)
    assert pick_device("cpu") == torch.device("cpu")


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family(name) -> None:
    model, frames = family(name)
    x = torch.randint(0, 256, (3, frames, 64, 64, 3), dtype=torch.uint8)
    backend, eager = open_backend(model, CPU, views=100), EagerBackend(model, CPU)
    for count in (3, 2, 1):
        torch.testing.assert_close(backend.logits(x[:count]), eager.logits(x[:count]), rtol=1e-4, atol=1e-5)
    assert backend.report().ran == "compile", backend.report().why
    assert backend.report().relative < 1e-4


@pytest.mark.slow
def test_all_batches_share_a_graph_and_torch_s_settings_are_unchanged() -> None:
    settings = torch._dynamo.config.recompile_limit, torch._inductor.config.freezing
    compiled: list[int] = []
    backend = open_backend(classifier(), CPU, views=100)
    for count in (4, 3, 2, 5, 1, 4, 1):
        x = views(count)
        before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        backend.logits(x)
        compiled.append(torch._dynamo.utils.counters["stats"]["unique_graphs"] - before)
        assert not hasattr(x, "_dynamo_dynamic_indices")
    assert compiled == [1, 0, 0, 0, 1, 0, 0]
    assert (torch._dynamo.config.recompile_limit, torch._inductor.config.freezing) == settings
    assert backend.report().ran == "compile"


@pytest.mark.slow
def test_many_networks_in_one_process() -> None:
    """Dynamo keeps eight versions of a function by default, and all networks share `OutputFromFrames.forward`."""
    for _ in range(10):
        backend = open_backend(classifier(), CPU, views=100)
        backend.logits(views(2))
        assert backend.report().ran == "compile", backend.report().why


@pytest.mark.slow
def test_other_outputs_and_bfloat16() -> None:
    backend, eager = open_backend(classifier(), CPU, views=100), EagerBackend(classifier(), CPU)
    torch.testing.assert_close(backend.features(views(3)), eager.features(views(3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(backend.positions(views(3)), eager.positions(views(3)), rtol=1e-4, atol=1e-5)
    half = open_backend(classifier(), CPU.changed(precision="bfloat16"), views=100)
    assert half.logits(views(3)).dtype == torch.float32
    assert half.report().ran == "compile", half.report().why
    assert 1e-4 < half.report().relative < half.report().tolerance
