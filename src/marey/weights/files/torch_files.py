"""Read files of torch.save and .safetensors: tensors and plain values; no code in a file is run."""

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from marey.base.errors import WeightsError
from marey.base.files import utf8_name
from marey.weights.files.other_formats import check_body, first_line_of_text, other_format

_MOST_GROWTH = 4
"""Largest ratio of an archive's unpacked size to its own: weights hardly compress, but an archive of gigabytes
of zeros is small."""


class _Inert:
    """Replaces the classes of objects that a training run saved beside its tensors; their code is not run."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


_BESIDE = tuple(
    (_Inert, f"{module}.{name}")
    for module, names in {
        "numpy.core.multiarray": ("_reconstruct", "scalar"),
        "numpy._core.multiarray": ("_reconstruct", "scalar"),
        "numpy": ("ndarray", "dtype"),
        "argparse": ("Namespace",),
        "mmengine.logging.history_buffer": ("HistoryBuffer",),
        "pathlib": ("PosixPath", "WindowsPath"),
    }.items()
    for name in names
)
"""Classes in the checkpoints of MMAction2, VMZ and Lightning, which hold scores, curves and options. The reader uses
`_Inert` for each, so that no code of numpy or of a toolkit runs; any other class is refused."""
_DICTIONARIES = tuple(
    (dict, f"{package}.AttributeDict")
    for package in (
        "lightning_fabric.utilities.data",
        "lightning.fabric.utilities.data",
        "pytorch_lightning.utilities.parsing",
    )
)
"""Lightning's class for a module's arguments; it is read as a plain dictionary."""
_REFUSED_NAME = re.compile(r"(?:GLOBAL|class) ([\w.]+)")
"""The refused name in an error of torch's reader."""


def read_torch(path: Path) -> Mapping[object, object]:
    """The dictionary in a .pth, .pyth, .ckpt or .bin file of torch, or in another toolkit's .safetensors.

    Raises:
        WeightsError: no such file, incomplete, another format, no dictionary, or with code inside (which is not run).
    """
    if not path.is_file():
        raise WeightsError(f"{path}: {'a folder, not a' if path.is_dir() else 'no such'} checkpoint file.")
    check_body(path)
    if (format_ := other_format(path)) is not None:
        raise WeightsError(f"{path}: {format_}.")
    content = read_safetensors(path)[0] if path.suffix == ".safetensors" else _load(path)
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path}: expected a dictionary of tensors, got {type(content).__name__}.")
    if _is_own_state(content):
        raise WeightsError(
            f"{path}: the state that --resume uses, not a checkpoint: name last.safetensors, which training writes "
            "together with it, or the folder of its run."
        )
    return content


def read_safetensors(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a .safetensors file, and its metadata.

    Raises:
        WeightsError: it cannot be read.
    """
    try:
        with utf8_name(file) as name, safe_open(name, framework="pt") as opened:
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 - not a mapping
            return tensors, opened.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        other = other_format(file)
        raise WeightsError(
            f"{file}: {other}." if other else f"{file}: not a complete .safetensors file; is it cut short? ({error})"
        ) from None


def _load(path: Path) -> object:
    """The tensors and plain values that torch saved in a file; nothing in it is run."""
    _check_archive(path)
    try:
        with warnings.catch_warnings():
            # The file may use another pickle protocol than torch does; torch.load decides whether it can be read.
            warnings.filterwarnings("ignore", message="Detected pickle protocol", category=UserWarning)
            with torch.serialization.safe_globals([*_BESIDE, *_DICTIONARIES]):
                return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"{path}: {_why_unread(path, error)}") from None


def _why_unread(path: Path, error: Exception) -> str:
    """Why torch's reader could not read a file, in full sentences."""
    unpickling = isinstance(error, pickle.UnpicklingError)
    if unpickling and (refused := _REFUSED_NAME.search(str(error))):
        return (
            f"holds more than tensors ({refused[1][:80]}); nothing in it was run. Where you trust it and have its code, "
            "save its weights alone: torch.save(torch.load(FILE, weights_only=False).state_dict(), 'weights.pth'); if it "
            "holds a dictionary, with ['state_dict'] in place of .state_dict()."
        )
    if text := first_line_of_text(path):
        return f"a text file, not a checkpoint; it begins {text!r}."
    if unpickling:
        return "holds more than tensors, or is not a checkpoint; nothing in it was run."
    return f"cannot be read as a checkpoint; is it cut short? ({_first_line(error)})"


def _is_own_state(content: Mapping[object, object]) -> bool:
    """Whether the content of a file is what Marey's training saves to resume from (last.ckpt)."""
    run = content.get("run")
    return "progress" in content and isinstance(run, Mapping) and "recipe" in run


def _check_archive(path: Path) -> None:
    """Refuse an archive that is much larger unpacked: torch stores tensors uncompressed, and its reader allocates as much
    memory as the archive declares.

    Raises:
        WeightsError: its members are together much larger than the file, or its table cannot be read.
    """
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            declared = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise WeightsError(f"{path}: cannot be read as a checkpoint; is it cut short? ({_first_line(error)})") from None
    size = path.stat().st_size
    if declared > _MOST_GROWTH * size:
        raise WeightsError(
            f"{path}: an archive of {size} bytes that declares {declared}: a checkpoint is stored uncompressed. "
            "Nothing in it was read; save it again with torch.save."
        )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
