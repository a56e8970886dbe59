"""The backend "openvino": Intel's OpenVINO on the CPU, converted from torch without ONNX. Needs the extra `openvino`."""

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

from marey.backends.compiled import Compiler
from marey.backends.compute import BackendName
from marey.backends.eager import OutputFromFrames
from marey.base.cache import backends_folder, mark_used, prune
from marey.base.files import atomic_path, locked
from marey.base.options import Arithmetic
from marey.base.reporter import notice, release_waiting_messages
from marey.base.versions import version_of

if TYPE_CHECKING:
    from openvino import Model

_FILES = ("model.xml", "model.bin")
"""The two files of a network in OpenVINO's format: graph and weights."""


class OpenVINO(Compiler):
    """Converts a network once and stores it in the cache, from where later processes load it in about a second."""

    name: BackendName = "openvino"
    """The word of `--backend` for OpenVINO."""

    @property
    def version(self) -> str:
        return version_of("openvino", "openvino") if find_spec("openvino") else ""

    def lacks(self, device: torch.device, precision: Arithmetic) -> str | None:
        if device.type != "cpu":
            return f"it runs on the CPU, not on {device.type}; use --device cpu, or --backend eager"
        if precision == "tf32":
            return "it does not compute in tf32; use --precision float32"
        return None if find_spec("openvino") else "it is not installed; pip install 'marey[openvino]'"

    def seconds(self, module: OutputFromFrames, views_VTHWC: Tensor, precision: Arithmetic) -> float:
        # Converting took 5 to 19 s on AVX-512 cores and up to 32 on AVX2 ones (docs/performance/backends.md).
        return 1 if _entry(module, views_VTHWC).exists() else 20

    def compile(
        self, module: OutputFromFrames, views_VTHWC: Tensor, device: torch.device, precision: Arithmetic
    ) -> Callable[[Tensor], Tensor]:
        _import_quietly()
        from openvino import Core

        hint = "bf16" if precision == "bfloat16" else "f32"
        settings = {
            "INFERENCE_PRECISION_HINT": hint,  # the default is bfloat16 on CPUs that have it
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",  # all threads on one batch
            "ENABLE_CPU_PINNING": False,  # several processes would pin their threads to the same cores
        }
        model = _model(module, views_VTHWC)
        with _signal_stack_kept():
            compiled = Core().compile_model(model, "CPU", settings)
        used = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if used != hint:
            raise RuntimeError(f"OpenVINO computes in {used} on this CPU, not in {hint}")
        return lambda views: torch.from_numpy(compiled(views.contiguous().numpy())[0])


class _SignalStack(ctypes.Structure):
    """`stack_t` of Linux."""

    _fields_: ClassVar = [("pointer", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


@contextmanager
def _signal_stack_kept() -> Iterator[None]:
    """Restore this thread's signal stack after the block.

    OpenVINO's CPU plugin sets another stack for each network. With two networks, the one that is released last would restore
    the stack of the other, which may be freed memory: the next signal, such as SIGCHLD, would then crash the process.
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
    """Import OpenVINO without its telemetry, which reports every import and conversion to its makers."""
    silence = not {"openvino", "openvino_telemetry"} & set(sys.modules)
    if silence:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # makes its import fail
    try:
        import openvino.tools.ovc  # noqa: F401
    finally:
        if silence:
            del sys.modules["openvino_telemetry"]


def _model(module: OutputFromFrames, views_VTHWC: Tensor) -> "Model":
    """The network in OpenVINO's format, from the cache or converted; of several processes one converts while others wait."""
    entry = _entry(module, views_VTHWC)
    if (cached := _cached_model(entry)) is not None:
        return cached
    lock = entry.with_name(f".{entry.name}.lock")
    try:
        with locked(lock, waiting="another process is converting this network for OpenVINO", remove=True):
            return _cached_model(entry) or _convert(module, views_VTHWC, entry)
    except OSError as error:
        notice(f"{entry.parent}: the network cannot be stored there ({error.strerror}); the next run converts it again")
        return _convert(module, views_VTHWC, None)


def _convert(module: OutputFromFrames, views_VTHWC: Tensor, entry: Path | None) -> "Model":
    from openvino import Core, PartialShape, convert_model, save_model

    notice(
        "backend openvino: converting the network, which takes 5 to 40 s once; later processes load it in about a second"
    )
    release_waiting_messages()
    example = views_VTHWC[:1].repeat(2, 1, 1, 1, 1)  # two views: an axis of size 1 might be removed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings about values that tracing makes constant
        model = convert_model(module, example_input=example, input=[PartialShape([-1, *example.shape[1:]])])
    with tempfile.TemporaryDirectory(dir=entry and entry.parent, prefix=".") as folder:
        files = [Path(folder) / name for name in _FILES]
        save_model(model, files[0], compress_to_fp16=False)
        if entry is not None:
            with atomic_path(entry) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
                for file in files:
                    archive.write(file, file.name)
            prune(entry.parent)
        # Read again, because OpenVINO orders a network differently after reading it, and sums differ in the last bit.
        return Core().read_model(*(file.read_bytes() for file in files))


def _cached_model(entry: Path) -> "Model | None":
    """The network in the cache; None if there is none, or the file is damaged."""
    from openvino import Core

    try:
        with zipfile.ZipFile(entry) as archive:
            model = Core().read_model(*(archive.read(name) for name in _FILES))  # zip files have checksums
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError, KeyError, zipfile.BadZipFile):
        notice(f"{entry} is damaged: the network is converted again")
        return None
    mark_used(entry)
    return model


def _entry(module: OutputFromFrames, views_VTHWC: Tensor) -> Path:
    """The cache file of a network for this output and shape of views. Its name is a hash of all that the conversion depends
    on: weights, settings of the layers, the source files of their classes, and versions.
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
    return backends_folder("openvino") / f"{digest.hexdigest()[:32]}.zip"
