"""float32 is float32 with any earlier setting of torch; bfloat16 after a measurement. No test depends on the CPU."""

import threading

import pytest
import torch
from torch.nn import functional as F

from marey.backends import precision as module
from marey.backends.compute import Compute
from marey.backends.precision import bfloat16_cost, check_machine, computing_in, pick_precision, resumed_precision
from marey.base.errors import RunError
from marey.base.reporter import TerminalReporter, set_reporter
from marey.data.lists.class_folders import list_folder
from marey.evaluation.run import evaluate
from marey.inference.features import features
from marey.inference.predict import predict
from marey.recipes import get_recipe
from marey.training.fit import fit
from marey.weights.load import build_model

VIDEOS_PER_CLASS = 1
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def settings() -> list[object]:
    """All of torch's settings of float32 arithmetic; "?" if its older and newer settings contradict each other."""
    found: list[object] = [operation.fp32_precision for operation in module._operations()]
    older = (
        torch.get_float32_matmul_precision,
        lambda: torch.backends.cudnn.allow_tf32,
        lambda: torch.backends.cuda.matmul.allow_tf32,
    )
    for read in older:
        try:
            found.append(read())
        except RuntimeError:
            found.append("?")
    return found


@pytest.fixture(autouse=True)
def torch_as_it_was():
    """Torch's own defaults before and after each test."""
    yield
    torch.backends.fp32_precision = "none"  # type: ignore[attr-defined]
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True
    for operation, default in zip(module._operations(), ("none", "tf32", "tf32", "none", "none", "none"), strict=True):
        operation.fp32_precision = default


def set_generic() -> None:
    torch.backends.fp32_precision = "tf32"  # type: ignore[attr-defined]


def set_new() -> None:
    torch.backends.cuda.matmul.fp32_precision = "tf32"


def set_onednn() -> None:
    torch.backends.mkldnn.conv.fp32_precision = "bf16"  # type: ignore[attr-defined]


def set_convolutions() -> None:
    torch.backends.cudnn.allow_tf32 = False


USERS = {
    "default": lambda: None,
    "high": lambda: torch.set_float32_matmul_precision("high"),
    "medium": lambda: torch.set_float32_matmul_precision("medium"),
    "no TF32 in convolutions": set_convolutions,
    "all TF32, newer": set_generic,
    "products TF32, newer: contradicts the older": set_new,
    "oneDNN in bfloat16": set_onednn,
}

FLOAT32 = ["ieee"] * 6 + ["highest", False, False]
TF32 = ["tf32"] * 3 + ["ieee"] * 3 + ["high", True, True]


@pytest.mark.parametrize("user", USERS.values(), ids=USERS)
def test_the_settings_hold_inside_the_block_and_are_restored(user, torch_as_it_was) -> None:
    user()
    before = settings()
    with computing_in("float32"):
        assert settings() == FLOAT32
    assert settings() == before
    with computing_in("tf32"):
        assert settings() == TF32
    assert settings() == before
    with pytest.raises(ZeroDivisionError), computing_in("bfloat16"):
        assert settings() == FLOAT32
        raise ZeroDivisionError
    assert settings() == before


def test_a_setting_of_the_torch_backend_still_holds_for_its_operations() -> None:
    set_generic()
    with computing_in("float32"):
        pass
    torch.backends.fp32_precision = "ieee"  # type: ignore[attr-defined]
    assert torch.backends.mkldnn.conv.fp32_precision == "ieee"  # type: ignore[attr-defined]


def test_blocks_within_blocks() -> None:
    with computing_in("tf32"):
        with computing_in("float32"):
            assert settings() == FLOAT32
        assert settings() == TF32
    with computing_in("float32"), computing_in("tf32"):
        assert settings() == FLOAT32, "whoever asked for float32 gets nothing else"


def test_threads_that_overlap() -> None:
    """The first to enter is not the last to leave."""
    before, entered, may_leave = settings(), threading.Event(), threading.Event()

    def other() -> None:
        with computing_in("float32"):
            entered.set()
            may_leave.wait(10)
            assert settings() == FLOAT32

    thread = threading.Thread(target=other)
    with computing_in("tf32"):
        thread.start()
        assert entered.wait(10)
        assert settings() == FLOAT32
    assert settings() == FLOAT32
    may_leave.set()
    thread.join()
    assert settings() == before


def test_float32_on_the_cpu_whatever_was_set() -> None:
    """On CPUs with bfloat16 oneDNN would compute in it; on others the test cannot fail."""
    a, b = torch.randn(64, 64), torch.randn(64, 64)
    clip, weight = torch.randn(1, 8, 4, 8, 8), torch.randn(8, 8, 3, 3, 3)
    product, convolved = a @ b, F.conv3d(clip, weight)
    torch.set_float32_matmul_precision("medium")
    set_onednn()
    with computing_in("float32"):
        assert torch.equal(a @ b, product)
        assert torch.equal(F.conv3d(clip, weight), convolved)


# -- forward passes of Marey ------------------------------------------------------------------------------------------------


RECIPE = get_recipe("slowonly_r18_8x2_motions").variant(
    model={"width": 4, "num_classes": 2},
    clip={"frames": 2, "stride": 2},
    augment={"short_side": 40, "size": 32},
    pixels={"short_side": 40},
    test={"size": 32, "sampling": {"frames": 2}},
    train={"epochs": 1, "base_batch": 4},
)


class Recorder:
    """Records torch's settings of float32 arithmetic in each forward and backward pass of a network."""

    def __init__(self) -> None:
        self.network = build_model(RECIPE)
        self.forward: list[list[object]] = []
        self.backward: list[list[object]] = []
        watched = next(module for module in self.network.modules() if isinstance(module, torch.nn.Conv3d))
        watched.register_forward_hook(self._see)

    def _see(self, module: object, inputs: object, output: torch.Tensor) -> None:
        self.forward.append(settings())
        if output.requires_grad:
            output.register_hook(lambda gradient: self.backward.append(settings()))


@pytest.fixture
def everything_allowed(torch_as_it_was) -> list[object]:
    """A program that allowed torch all reduced precisions."""
    torch.set_float32_matmul_precision("medium")
    torch.backends.cudnn.allow_tf32 = True
    set_onednn()
    before = settings()
    assert not set(before) & {"ieee", "highest", False}
    return before


WORK = {
    "evaluate": lambda network, videos, out: evaluate(network, list_folder(videos), device="cpu", workers=0),
    "predict": lambda network, videos, out: predict(network, videos / "run" / "v0.mp4", device="cpu"),
    "features": lambda network, videos, out: features(network, list_folder(videos), out=out, device="cpu", workers=0),
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_passes_of_testing_are_in_float32(work, everything_allowed, videos, tmp_path) -> None:
    recorder = Recorder()
    work(recorder.network, videos, tmp_path)
    assert recorder.forward
    assert all(found == FLOAT32 for found in recorder.forward)
    assert settings() == everything_allowed


def test_passes_of_training_are_in_float32(everything_allowed, videos, tmp_path) -> None:
    """Forward, backward and validation."""
    recorder, manifest = Recorder(), list_folder(videos)
    fit(RECIPE, train=manifest, val=manifest, out=tmp_path, model=recorder.network, device="cpu", workers=0)
    assert len(recorder.forward) > len(recorder.backward) > 0
    assert all(found == FLOAT32 for found in recorder.forward + recorder.backward)
    assert settings() == everything_allowed


# -- which arithmetic --------------------------------------------------------------------------------------------------


@pytest.fixture
def slow(monkeypatch) -> None:
    """A CPU without bfloat16."""
    monkeypatch.setattr(module, "bfloat16_cost", lambda: 87.4321)


@pytest.fixture
def fast(monkeypatch) -> None:
    """A CPU with it."""
    monkeypatch.setattr(module, "bfloat16_cost", lambda: 0.3)


def test_auto_is_that_of_the_recipe(fast, capsys) -> None:
    assert pick_precision("auto", CPU) == "float32"
    assert pick_precision("auto", CPU, declared="bfloat16") == "bfloat16"
    assert pick_precision("bfloat16", CPU) == "bfloat16"
    assert pick_precision("float32", CPU, declared="bfloat16") == "float32"
    assert capsys.readouterr().err == ""


def test_auto_never_uses_a_slow_bfloat16(slow, capsys) -> None:
    assert pick_precision("auto", CPU, declared="bfloat16") == "float32"
    assert capsys.readouterr().err == (
        "the recipe's bfloat16 is replaced by float32: bfloat16 takes 87.4 times as long as float32 (measured on this CPU "
        "with a small 3D convolution)\n"
    )


def test_a_slow_bfloat16_that_is_asked_for_has_a_warning(slow, capsys, monkeypatch) -> None:
    assert pick_precision("bfloat16", CPU) == "bfloat16"
    assert "bfloat16 takes 87.4 times as long as float32 (measured on this CPU" in capsys.readouterr().err
    assert pick_precision("bfloat16", CPU) == "bfloat16"
    assert capsys.readouterr().err == "", "once in a process"
    set_reporter(TerminalReporter())
    monkeypatch.setenv("RANK", "1")
    assert pick_precision("bfloat16", CPU) == "bfloat16"
    assert capsys.readouterr().err == "", "the first process speaks for all"


@pytest.mark.parametrize("kind", ["cpu", "mps", "xpu"])
def test_tf32_is_refused_elsewhere_than_on_nvidia(kind, capsys) -> None:
    with pytest.raises(RunError, match=rf"--precision tf32: {kind} has no TF32 .*; use --precision float32"):
        pick_precision("tf32", torch.device(kind))
    assert pick_precision("auto", torch.device(kind), declared="tf32") == "float32"
    assert f"the recipe's tf32 is replaced by float32: {kind} has no TF32" in capsys.readouterr().err


def test_a_missing_precision_is_refused_before_work() -> None:
    with pytest.raises(RunError, match="--precision tf32: cpu has no TF32"):
        check_machine(Compute(device="cpu", precision="tf32"))


def test_tf32_on_cuda(monkeypatch) -> None:
    monkeypatch.setattr(module, "_has_tf32", lambda device: device.type == "cuda")
    assert pick_precision("tf32", CUDA) == "tf32"
    assert pick_precision("auto", CUDA) == "float32"


def test_bfloat16_without_autocast(monkeypatch) -> None:
    monkeypatch.setattr(torch.amp, "is_autocast_available", lambda kind: False)
    with pytest.raises(RunError, match="--precision bfloat16: torch does not compute in bfloat16 on xpu"):
        pick_precision("bfloat16", torch.device("xpu"))


def test_a_resumed_run_keeps_its_arithmetic(slow, capsys) -> None:
    assert resumed_precision("float32", CPU, declared="float32") == "float32"
    assert capsys.readouterr().err == ""
    assert resumed_precision("float32", CPU, declared="bfloat16") == "float32"
    assert capsys.readouterr().err == "the run began in float32 and continues in it, not in the recipe's bfloat16\n"
    assert resumed_precision("bfloat16", CPU, declared="bfloat16") == "bfloat16"
    assert "the run began in bfloat16 and continues in it: bfloat16 takes 87.4 times" in capsys.readouterr().err
    with pytest.raises(RunError, match="the run began in tf32: cpu has no TF32"):
        resumed_precision("tf32", CPU, declared="tf32")


# -- the measurement ---------------------------------------------------------------------------------------------------


def test_the_measurement_restores_the_number_of_threads(monkeypatch) -> None:
    threads = torch.get_num_threads()
    cost = bfloat16_cost.__wrapped__()
    assert 0.01 < cost < 1e4
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("times", [400, 0.25])
def test_the_measurement_distinguishes_slow_from_fast(times, monkeypatch) -> None:
    """With convolutions of given milliseconds: the fastest counts, and slow ones are not repeated for long."""
    now, calls = [0.0], []

    def convolution(clip, weight, padding) -> None:
        calls.append(clip.dtype)
        disturbed = 0.1 if len(calls) % 3 == 0 else 0
        now[0] += disturbed + (1e-3 if clip.dtype == torch.float32 else times * 1e-3)

    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(module.F, "conv3d", convolution)
    assert bfloat16_cost.__wrapped__() == pytest.approx(times)
    assert now[0] < 1
