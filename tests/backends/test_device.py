"""Devices by name: used if torch has them, otherwise one clear error. The hardware is imitated."""

import pytest
import torch

from marey.backends import device as devices
from marey.backends.device import (
    explain_missing_operators,
    notice_spare_accelerator,
    on_device,
    pick_device,
    pick_own_device,
    pick_training_device,
)
from marey.base.errors import RunError
from marey.base.reporter import TerminalReporter, set_reporter
from marey.evaluation.run import evaluate
from marey.inference.features import features
from marey.inference.predict import predict
from marey.recipes import get_recipe
from marey.tasks.classify import Accuracy
from marey.tasks.multilabel import AveragePrecision
from marey.training import distributed
from marey.training.fit import fit
from marey.training.norms import _InputSums
from marey.workflows import doctor


def machine_with(monkeypatch, kind: str, count: int = 1) -> None:
    """A machine whose torch has `count` accelerators of that kind, and adds there."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: kind == "cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count if kind == "cuda" else 0)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda *_: torch.device(kind))
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: count)
    monkeypatch.setattr(devices, "_fault", lambda device: None)


@pytest.fixture
def bare(monkeypatch) -> None:
    """A machine with only a CPU, on any test machine."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)


@pytest.mark.parametrize("name", ["mps", "mps:0", "xpu", "xpu:1", "hpu", "meta", "vulkan", "cuda", "cuda:7"])
def test_a_device_that_the_machine_lacks(name, bare) -> None:
    with pytest.raises(
        RunError, match=rf"^--device {name}: this torch .* finds no {name.split(':')[0]} device here; use"
    ):
        pick_device(name)


@pytest.mark.parametrize("name", ["nonsense", "", "0", "0,1", "gpu", "cuda:", "cuda:x", "mps:-1"])
def test_a_name_that_torch_does_not_know(name) -> None:
    with pytest.raises(RunError, match="expected auto, cpu, or a device that torch names, for example cuda"):
        pick_device(name)


def test_the_cpu_has_no_index(bare) -> None:
    assert pick_device("auto") == pick_device("cpu") == pick_device("cpu:0") == torch.device("cpu")
    with pytest.raises(RunError, match=r"--device cpu:4: there is no such index; torch finds 1 cpu device here"):
        pick_device("cpu:4")


@pytest.mark.parametrize("kind", ["mps", "xpu", "cuda"])
def test_a_device_of_the_machine_is_picked_and_a_wrong_index_refused(kind, monkeypatch) -> None:
    machine_with(monkeypatch, kind)
    assert pick_device(kind) == torch.device(kind)
    assert pick_device(f"{kind}:0") == torch.device(kind, 0)
    with pytest.raises(RunError, match=rf"there is no such index; torch finds 1 {kind} device here, .*: {kind}:0"):
        pick_device(f"{kind}:1")


def test_another_kind_than_that_of_the_machine(monkeypatch) -> None:
    machine_with(monkeypatch, "xpu", 2)
    assert pick_device("xpu:1").index == 1
    with pytest.raises(RunError, match="finds no mps device here"):
        pick_device("mps")


def test_auto_takes_no_accelerator_but_cuda(monkeypatch, capsys) -> None:
    machine_with(monkeypatch, "mps")
    assert pick_device("auto").type == "cpu"
    notice_spare_accelerator("auto")
    assert capsys.readouterr().err == (
        "--device auto takes CUDA or the CPU; this machine has mps too: --device mps uses it\n"
    )
    notice_spare_accelerator("cpu")
    machine_with(monkeypatch, "cuda")
    assert pick_device("auto").type == "cuda"
    notice_spare_accelerator("auto")
    assert capsys.readouterr().err == ""


@pytest.fixture
def broken_cuda(monkeypatch) -> None:
    """Torch finds two GPUs and fails at the first kernel, because this torch is built without CUDA."""
    fault = devices._fault
    machine_with(monkeypatch, "cuda", 2)
    monkeypatch.setattr(devices, "_fault", fault)

    def no_kernels(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nMore words.")

    monkeypatch.setattr(torch, "ones", no_kernels)


@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_device_that_cannot_compute(name, broken_cuda) -> None:
    message = (
        rf"--device {name}: .*cannot compute on it \(CUDA error: no kernel .* on the device\); use --device cpu\.$"
    )
    for pick in (pick_device, pick_own_device, pick_training_device):
        with pytest.raises(RunError, match=message):
            pick(name)


def test_an_error_without_a_message(broken_cuda, monkeypatch) -> None:
    def wordless(*_: object, **__: object) -> None:
        raise torch.cuda.DeferredCudaCallError

    monkeypatch.setattr(torch, "ones", wordless)
    with pytest.raises(RunError, match=r"cannot compute on it \(DeferredCudaCallError\)"):
        pick_device("cuda")


def test_auto_takes_the_cpu_if_cuda_cannot_compute(broken_cuda, capsys, monkeypatch) -> None:
    for pick in (pick_device, pick_own_device, pick_training_device):
        assert pick("auto") == torch.device("cpu")
    assert capsys.readouterr().err == (
        "--device auto takes the CPU, not cuda: torch finds the device and cannot compute on it (CUDA error: no kernel "
        "image is available for execution on the device)\n"
    )
    set_reporter(TerminalReporter())
    monkeypatch.setenv("RANK", "1")
    assert pick_device("auto") == torch.device("cpu")
    assert capsys.readouterr().err == "", "the first process speaks for all"


def test_no_process_of_a_training_falls_back_to_the_cpu_alone(broken_cuda, monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RunError, match="cannot compute on it .*; use --device cpu"):
        pick_training_device("auto")


def test_each_process_tries_its_own_gpu(monkeypatch) -> None:
    """On the first GPU all would take memory, and a GPU for one process at a time would refuse the others."""
    machine_with(monkeypatch, "cuda", 2)
    tried = []
    monkeypatch.setattr(devices, "_fault", tried.append)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    for name in ("auto", "cuda"):
        pick_device(name)
    assert tried == [torch.device("cuda", 1)] * 2


def test_doctor_names_a_gpu_that_cannot_compute(broken_cuda) -> None:
    found = doctor._gpu()
    assert not found.well
    assert "cannot compute on it (CUDA error: no kernel image" in found.found
    assert "https://pytorch.org" in found.mend


def test_a_missing_operator_is_one_line() -> None:
    with (
        pytest.raises(RunError, match=r"lacks an operator .*avg_pool3d.*PYTORCH_ENABLE_MPS_FALLBACK=1"),
        explain_missing_operators(torch.device("mps")),
    ):
        raise NotImplementedError("The operator 'aten::avg_pool3d.out' is not implemented for MPS.\nMore words.")
    with pytest.raises(NotImplementedError), explain_missing_operators(torch.device("cpu")):
        raise NotImplementedError("a module's own")


def test_only_copies_to_cuda_are_asynchronous(monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(torch.Tensor, "to", lambda self, device, *, non_blocking: asked.append(non_blocking))
    for kind in ("cpu", "mps", "xpu", "cuda"):
        on_device(torch.zeros(1), torch.device(kind))
    assert asked == [False, False, False, True]


# -- training ----------------------------------------------------------------------------------------------------------


def test_training_on_devices_of_lightning_fabric(monkeypatch) -> None:
    for kind in ("mps", "cuda"):
        machine_with(monkeypatch, kind)
        assert pick_training_device(kind).type == kind
    machine_with(monkeypatch, "xpu")
    with pytest.raises(
        RunError, match=r"training runs on cpu, cuda or mps .*predict, evaluate and features do run on xpu"
    ):
        pick_training_device("xpu")


def test_training_by_several_processes(monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    machine_with(monkeypatch, "mps")
    with pytest.raises(RunError, match="training on mps takes one process, not 2"):
        pick_training_device("mps")
    machine_with(monkeypatch, "cuda", 1)
    with pytest.raises(RunError, match="2 processes on this machine, but torch finds 1 CUDA devices"):
        pick_training_device("auto")
    machine_with(monkeypatch, "cuda", 2)
    assert pick_training_device("cuda") == torch.device("cuda")
    with pytest.raises(RunError, match="name none by number"):
        pick_training_device("cuda:1")


def test_testing_by_several_processes(monkeypatch) -> None:
    machine_with(monkeypatch, "cuda", 2)
    assert pick_own_device("auto") == torch.device("cuda")
    monkeypatch.setenv("WORLD_SIZE", "3")
    found = []
    for number in range(3):
        monkeypatch.setenv("LOCAL_RANK", str(number))
        found.append(pick_own_device("auto").index)
    assert found == [0, 1, 0]
    assert pick_own_device("cuda:1").index == 1
    assert pick_own_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("cpu", ("cpu", 1)),
        ("mps", ("mps", 1)),
        ("mps:0", ("mps", [0])),
        ("cuda", ("cuda", 1)),
        ("cuda:3", ("cuda", [3])),
    ],
)
def test_fabric_gets_the_device_that_is_printed(device, expected, monkeypatch) -> None:
    given = {}

    class Fabric:
        def __init__(self, **options: object) -> None:
            given.update(options)

        def launch(self) -> None:
            pass

    monkeypatch.setattr(distributed, "Fabric", Fabric)
    distributed.start_fabric(torch.device(device), "float32")
    assert (given["accelerator"], given["devices"]) == expected


# -- before any work ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["mps", "meta", "cuda:7", "nonsense"])
def test_a_wrong_device_is_refused_before_any_file_is_read_or_written(device, bare, tmp_path) -> None:
    recipe = get_recipe("slowonly_r18_8x2_motions")
    for work in (
        lambda: fit(recipe, train="/none.csv", out=tmp_path / "out", device=device),
        lambda: evaluate(torch.nn.Identity(), "/none.csv", out=tmp_path / "out", device=device),  # type: ignore[arg-type]
        lambda: features(torch.nn.Identity(), (), out=tmp_path / "out", device=device),  # type: ignore[arg-type]
        lambda: predict(torch.nn.Identity(), "/none.mp4", device=device),  # type: ignore[arg-type]
    ):
        with pytest.raises(RunError, match=f"--device {device}: "):
            work()
    assert list(tmp_path.iterdir()) == []


# -- no float64 on the device ------------------------------------------------------------------------------------------


class WithoutFloat64(torch.Tensor):
    """A tensor of a device such as MPS: no float64 until it is copied to the CPU."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is torch.Tensor.cpu:
            return args[0].as_subclass(torch.Tensor)
        found = super().__torch_function__(func, types, args, kwargs)
        if isinstance(found, cls) and found.dtype == torch.float64:
            raise TypeError(
                "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."
            )
        return found


def test_the_imitated_mps_has_no_float64() -> None:
    with pytest.raises(TypeError, match="float64"):
        torch.zeros(2).as_subclass(WithoutFloat64).double()


@pytest.mark.parametrize("judge", [Accuracy, AveragePrecision])
def test_validation_without_float64(judge) -> None:
    logits, targets = torch.randn(6, 7), torch.arange(6)
    plain, other = judge(), judge()
    plain.add(logits, targets)
    other.add(logits.as_subclass(WithoutFloat64), targets.as_subclass(WithoutFloat64))
    assert other.sums.dtype == torch.float64
    assert torch.equal(plain.sums, other.sums)


def test_norms_without_float64() -> None:
    x, norm = torch.randn(4, 3, 5, 5), torch.nn.BatchNorm2d(3)
    plain, other = _InputSums(norm), _InputSums(norm)
    plain.observe(norm, (x,))
    other.observe(norm, (x.as_subclass(WithoutFloat64),))
    assert torch.equal(plain.sums, other.sums)
