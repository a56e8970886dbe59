"""Older toolkits' checkpoint files: read without running anything in them, and told apart by their tensors."""

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch
from pydantic import ValidationError
from torch import Tensor

from marey.base.declaration import first_problem
from marey.base.errors import WeightsError
from marey.recipe import NetworkConfig
from marey.weights.checkpoint import read_safetensors
from marey.weights.fetching.content import check_body, first_line_of_text, other_format
from marey.weights.files.caffe2 import is_caffe2, of_the_solver, read_caffe2
from marey.weights.files.runs import MODEL
from marey.weights.files.tensorflow import is_tensorflow, read_tensorflow
from marey.weights.layouts import deepmind_tensorflow
from marey.weights.layouts.all import LAYOUTS
from marey.weights.layouts.resnet import Variant
from marey.weights.wrapped import unwrap, variant_in

_MOST_GROWTH = 4
"""Weights hardly compress; parts that share their bytes, or zeros by the gigabyte, are no checkpoint."""


class _Inert:
    """What a training run kept beside its tensors and nobody needs here: read over, and neither made nor called."""

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
"""Names in the checkpoints of a run, which hold scores, curves and options: MMAction2's, VMZ's and Lightning's do. The
reader takes `_Inert` for each, so that none of numpy's or a toolkit's code runs; any other name is refused."""
_DICTIONARIES = tuple(
    (dict, f"{package}.AttributeDict")
    for package in (
        "lightning_fabric.utilities.data",
        "lightning.fabric.utilities.data",
        "pytorch_lightning.utilities.parsing",
    )
)
"""What Lightning keeps a module's arguments in: a plain dictionary is made of it."""
_REFUSED_NAME = re.compile(r"(?:GLOBAL|class) ([\w.]+)")
"""Where torch's reader says what it refused."""


@dataclass(frozen=True)
class Contents:
    """The tensors of a checkpoint file by their names there."""

    tensors: dict[str, Tensor]
    left_out: tuple[str, ...] = ()
    """What is no part of the network: an optimiser's state, another copy of the weights."""
    notes: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    """Which of several copies of the weights was taken: users are to read it wherever the file is loaded."""


def read_contents(path: Path) -> Contents:
    """A checkpoint file or folder of any toolkit that we read.

    Raises:
        WeightsError: no such file, cut short, not a checkpoint, or with code inside (which is not run).
    """
    if (path / MODEL).is_file():
        path = path / MODEL
    if path.suffix == ".index" and path.is_file() and path.stat().st_size:
        check_body(path)
    if is_tensorflow(path):
        checkpoint = read_tensorflow(path)
        return Contents(deepmind_tensorflow.arranged(checkpoint.variables), checkpoint.slots, checkpoint.notes)
    if is_caffe2(path):
        blobs = read_caffe2(path)
        state = tuple(name for name in blobs if of_the_solver(name))
        return Contents({name: blob for name, blob in blobs.items() if name not in state}, state)
    return _read_torch(path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The network's tensors in a checkpoint of any form, by their names there (`read_contents` tells more)."""
    return read_contents(path).tensors


def _read_torch(path: Path) -> Contents:
    """A .pth, .pyth, .ckpt or .bin file of torch, or another toolkit's .safetensors: the network in it."""
    if not path.is_file():
        raise WeightsError(f"{path}: {'a folder, not a' if path.is_dir() else 'no such'} checkpoint file.")
    check_body(path)
    if (format_ := other_format(path)) is not None:
        raise WeightsError(f"{path}: {format_}.")
    content = read_safetensors(path)[0] if path.suffix == ".safetensors" else _loaded(path)
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path}: expected a dictionary of tensors, got {type(content).__name__}.")
    if is_own_state(content):
        raise WeightsError(
            f"{path}: the state that --resume goes on from, not a checkpoint: name last.safetensors, which training writes "
            "together with it, or the folder of its run."
        )
    found = unwrap(content, path)
    if not found.tensors:
        states = f" of a network, only what training keeps beside one ({', '.join(found.left_out)})"
        raise WeightsError(f"{path}: holds no tensors{states if found.left_out else ''}.")
    odd = [name for name, t in found.tensors.items() if t.layout != torch.strided or t.is_quantized or t.is_meta]
    if odd:
        raise WeightsError(f"{path}: {odd[0]} is sparse, quantised or empty: expected plain tensors.")
    return Contents(found.tensors, found.left_out, found.notes, found.choices)


def _loaded(path: Path) -> object:
    """What torch saved in a file, as far as it is tensors and plain values; nothing in it is run."""
    _check_archive(path)
    try:
        with warnings.catch_warnings():
            # Files of other pickle protocols than torch's own are met here; whether they can be read is answered below.
            warnings.filterwarnings("ignore", message="Detected pickle protocol", category=UserWarning)
            with torch.serialization.safe_globals([*_BESIDE, *_DICTIONARIES]):
                return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"{path}: {_why_unread(path, error)}") from None


def _why_unread(path: Path, error: Exception) -> str:
    """What torch's reader met in a file that it could not read, in whole sentences."""
    unpickling = isinstance(error, pickle.UnpicklingError)
    if unpickling and (refused := _REFUSED_NAME.search(str(error))):
        return (
            f"holds more than tensors ({refused[1][:80]}); nothing in it was run. Where you trust it and have its code, "
            "save its weights alone: torch.save(torch.load(FILE, weights_only=False).state_dict(), 'weights.pth'); of a "
            "dictionary ['state_dict']."
        )
    if text := first_line_of_text(path):
        return f"a text file, not a checkpoint; it begins {text!r}."
    if unpickling:
        return "holds more than tensors, or is no checkpoint; nothing in it was run."
    return f"cannot be read as a checkpoint; is it cut short? ({_first_line(error)})"


def is_own_state(content: Mapping[object, object]) -> bool:
    """Whether the content of a file is what Marey's training saves to go on from (last.ckpt)."""
    run = content.get("run")
    return "progress" in content and isinstance(run, Mapping) and "recipe" in run


def _check_archive(path: Path) -> None:
    """Refuse an archive that grows on reading: torch stores tensors as they are, and then asks for all that it is told.

    Raises:
        WeightsError: its parts are together much larger than the file, or its table cannot be read.
    """
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            promised = sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise WeightsError(f"{path}: cannot be read as a checkpoint; is it cut short? ({_first_line(error)})") from None
    size = path.stat().st_size
    if promised > _MOST_GROWTH * size:
        raise WeightsError(
            f"{path}: an archive of {size} bytes that promises {promised}: a checkpoint is stored uncompressed. "
            "Nothing in it was read; save it anew with torch.save."
        )


def layouts_of(tensors: dict[str, Tensor], path: Path) -> Sequence[ModuleType]:
    """The layouts that may hold these tensors, by tensors that only files of one toolkit have.

    Raises:
        WeightsError: none of those that we read.
    """
    found = [layout for layout in LAYOUTS if any(sign in tensors for sign in layout.SIGNS)]
    if not found:
        first, known = ", ".join(list(tensors)[:3]), ", ".join(dict.fromkeys(layout.NAME for layout in LAYOUTS))
        ours = "not written by Marey, and " if path.suffix == ".safetensors" else ""
        raise WeightsError(f"{path}: {ours}not a layout that Marey reads ({known}); its tensors begin {first}.")
    return found


def layout_for(config: NetworkConfig, layouts: Sequence[ModuleType], path: Path) -> ModuleType:
    """The one of `layouts` that has names for the network that a recipe declares.

    Raises:
        WeightsError: none has.
    """
    for layout in layouts:
        if config.network in layout.NETWORKS:
            return layout
    raise WeightsError(f"{path}: a {layouts[0].NAME} checkpoint, which cannot hold the network {config.network}.")


def variant_of(tensors: dict[str, Tensor], layouts: Sequence[ModuleType], path: Path) -> tuple[Variant, ModuleType]:
    """The network that the shapes tell (kind, depth, width, input channels, classes), and the layout that told it.

    Without a classifier in the file (`marey.weights.wrapped.has_classifier`) the number of classes means nothing.

    Raises:
        WeightsError: shapes of a network that Marey does not have.
    """
    for layout in layouts:
        try:
            variant = variant_in(tensors, layout)
        except ValidationError as error:
            raise WeightsError(
                f"{path}: a {layout.NAME} checkpoint of odd sizes: {': '.join(first_problem(error))}."
            ) from None
        if variant is not None:
            return variant, layout
    stem = next(tensors[sign] for layout in layouts for sign in layout.SIGNS if sign in tensors)
    raise WeightsError(
        f"{path}: a {layouts[0].NAME} checkpoint, but of no network that Marey reads: "
        f"its first convolution is {list(stem.shape)}."
    )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
