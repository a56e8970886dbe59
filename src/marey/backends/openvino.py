"""Intel's OpenVINO on the CPU, from torch without ONNX; the extra `openvino`."""

import ctypes
import hashlib
import json
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from marey.backends.backend import Compiler, FromFrames
from marey.backends.compute import BackendName
from marey.base.files import atomic_path, locked
from marey.base.kept import kept_folder, mark_used, prune
from marey.base.precision import Arithmetic
from marey.base.reporter import notice, say_what_waits
from marey.base.versions import version_of

if TYPE_CHECKING:
    from openvino import Model

_PARTS = ("model.xml", "model.bin")
"""OpenVINO's form of a network: its graph and its weights."""


class OpenVINO(Compiler):
    """Converts a network once and keeps it in the cache, from where later processes load it in about a second."""

    name: BackendName = "openvino"

    @property
    def version(self) -> str:
        return version_of("openvino", "openvino") if find_spec("openvino") else ""

    def lacks(self, device: torch.device, precision: Arithmetic) -> str | None:
        if device.type != "cpu":
            return f"it runs on the CPU, not on {device.type}; use --device cpu, or --backend eager"
        if precision == "tf32":
            return "it does not compute in tf32; use --precision float32"
        return None if find_spec("openvino") else "it is not installed; pip install 'marey[openvino]'"

    def seconds(self, module: FromFrames, views_VTHWC: Tensor, precision: Arithmetic) -> float:
        # Converting took 5 to 19 s on AVX-512 cores and up to 32 on AVX2 ones (docs/performance/backends.md).
        return 1 if _entry(module, views_VTHWC).exists() else 20

    def compile(
        self, module: FromFrames, views_VTHWC: Tensor, device: torch.device, precision: Arithmetic
    ) -> Callable[[Tensor], Tensor]:
        _import_quietly()
        from openvino import Core

        hint = "bf16" if precision == "bfloat16" else "f32"
        settings = {
            "INFERENCE_PRECISION_HINT": hint,  # by default it takes bfloat16 where the CPU has it
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",  # all threads on one batch
            "ENABLE_CPU_PINNING": False,  # several processes would hold their threads on the same cores
        }
        model = _model(module, views_VTHWC)
        with _signal_stack_kept():
            compiled = Core().compile_model(model, "CPU", settings)
        taken = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if taken != hint:
            raise RuntimeError(f"OpenVINO computes in {taken} on this CPU, not in {hint}")
        return lambda views: torch.from_numpy(compiled(views.contiguous().numpy())[0])


class _SignalStack(ctypes.Structure):
    """`stack_t` of Linux."""

    _fields_: ClassVar = [("pointer", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


@contextmanager
def _signal_stack_kept() -> Iterator[None]:
    """After the block this thread handles signals on the stack on which it did before.

    OpenVINO's CPU plugin sets another one for each network. Of two networks, the one that goes last would bring back the
    stack of the other, which may be gone: the next signal, such as the end of a child, would then end the process.
    """
    if sys.platform != "linux":
        yield
        return
    libc, before = ctypes.CDLL(None), _SignalStack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)


def _import_quietly() -> None:
    """Import OpenVINO, which reports every import and conversion to its makers unless it finds no package to do so."""
    silence = not {"openvino", "openvino_telemetry"} & set(sys.modules)
    if silence:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # makes its import fail
    try:
        import openvino.tools.ovc  # noqa: F401
    finally:
        if silence:
            del sys.modules["openvino_telemetry"]


def _model(module: FromFrames, views_VTHWC: Tensor) -> "Model":
    """The network in OpenVINO's form, kept or else converted; of several processes one converts and the others wait."""
    entry = _entry(module, views_VTHWC)
    if (kept := _load(entry)) is not None:
        return kept
    lock = entry.with_name(f".{entry.name}.lock")
    try:
        with locked(lock, waiting="another process is converting this network for OpenVINO", remove=True):
            return _load(entry) or _convert(module, views_VTHWC, entry)
    except OSError as error:
        notice(
            f"{entry.parent}: nothing can be kept there ({error.strerror}); the network is converted again next time"
        )
        return _convert(module, views_VTHWC, None)


def _convert(module: FromFrames, views_VTHWC: Tensor, entry: Path | None) -> "Model":
    from openvino import Core, PartialShape, convert_model, save_model

    notice(
        "backend openvino: converting the network, which takes 5 to 40 s once; later processes load it in about a second"
    )
    say_what_waits()
    example = views_VTHWC[:1].repeat(2, 1, 1, 1, 1)  # two: a size of 1 may be taken for one that can be left out
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about what tracing makes constant
        model = convert_model(module, example_input=example, input=[PartialShape([-1, *example.shape[1:]])])
    with tempfile.TemporaryDirectory(dir=entry and entry.parent, prefix=".") as folder:
        parts = [Path(folder) / name for name in _PARTS]
        save_model(model, parts[0], compress_to_fp16=False)
        if entry is not None:
            with atomic_path(entry) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as file:
                for part in parts:
                    file.write(part, part.name)
            prune(entry.parent)
        # Not `model`: OpenVINO orders the same network in another way once it was read, and sums differ in the last bit.
        return Core().read_model(*(part.read_bytes() for part in parts))


def _load(entry: Path) -> "Model | None":
    """The network that was kept; None where there is none, or what is there is damaged."""
    from openvino import Core

    try:
        with zipfile.ZipFile(entry) as file:
            model = Core().read_model(*(file.read(part) for part in _PARTS))  # the file has checksums
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError, KeyError, zipfile.BadZipFile):
        notice(f"{entry}: is damaged, and converted anew")
        return None
    mark_used(entry)
    return model


def _entry(module: FromFrames, views_VTHWC: Tensor) -> Path:
    """The file of a network for this output and shape of views, by all that the conversion depends on: weights, settings
    of the layers, the source files of their classes, and versions.
    """
    digest = hashlib.sha256()
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
    plain = (bool, int, float, str, tuple, type(None))
    for name, layer in module.named_modules():
        settings = {key: repr(value) for key, value in sorted(vars(layer).items()) if isinstance(value, plain)}
        digest.update(json.dumps([name, type(layer).__qualname__, settings]).encode())
    sources = {sys.modules[type(layer).__module__].__file__ for layer in module.modules()}
    for source in sorted(path for path in sources if path is not None and "site-packages" not in path):
        digest.update(Path(source).read_bytes())
    shape, dtype = list(views_VTHWC.shape[1:]), str(views_VTHWC.dtype)
    versions = [torch.__version__, OpenVINO().version]
    digest.update(json.dumps([module.output, shape, dtype, versions]).encode())
    return kept_folder("openvino") / f"{digest.hexdigest()[:32]}.zip"
