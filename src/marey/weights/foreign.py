"""Older toolkits' checkpoint files: read without running anything in them, and told apart by their tensors."""

import pickle
import warnings
from pathlib import Path
from types import ModuleType

import torch
from pydantic import ValidationError
from torch import Tensor

from marey.base.declaration import first_problem
from marey.base.errors import WeightsError
from marey.recipe import NetworkConfig
from marey.weights.layouts import mmaction, mmaction2, pyslowfast, pytorchvideo
from marey.weights.layouts.resnet import Variant

LAYOUTS: tuple[ModuleType, ...] = (mmaction, mmaction2, pyslowfast, pytorchvideo)
_ROOTS = ("state_dict", "model_state", "model")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a .pth file by their names there; a wrapping `state_dict` and `module.` are taken off.

    Raises:
        WeightsError: no such file, cut short, not a checkpoint, or with code inside (which is not run).
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such checkpoint file.")
    try:
        with warnings.catch_warnings():
            # Files of other pickle protocols than torch's own are met here; whether they can be read is answered below.
            warnings.filterwarnings("ignore", message="Detected pickle protocol", category=UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise WeightsError(
            f"{path}: holds more than tensors, or is no checkpoint; nothing in it was run. Save the plain state dict anew."
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise WeightsError(f"{path}: cannot be read as a checkpoint; is it cut short? ({_first_line(error)})") from None
    for root in _ROOTS:
        if isinstance(content, dict) and isinstance(content.get(root), dict):
            content = content[root]
    if not isinstance(content, dict):
        raise WeightsError(f"{path}: expected a dictionary of tensors, got {type(content).__name__}.")
    tensors = {name.removeprefix("module."): t for name, t in content.items() if isinstance(t, Tensor)}
    if not tensors:
        raise WeightsError(f"{path}: holds no tensors.")
    return tensors


def layout_of(tensors: dict[str, Tensor], path: Path) -> ModuleType:
    """The toolkit's layout, by a tensor that only it has.

    Raises:
        WeightsError: none of those that we read.
    """
    for layout in LAYOUTS:
        if any(sign in tensors for sign in layout.SIGNS):
            return layout
    first, known = ", ".join(list(tensors)[:3]), ", ".join(layout.NAME for layout in LAYOUTS)
    raise WeightsError(f"{path}: not a layout that Marey reads ({known}); its tensors begin {first}.")


def config_of(tensors: dict[str, Tensor], layout: ModuleType, path: Path) -> tuple[NetworkConfig, tuple[str, ...]]:
    """The network that the shapes tell (kind, depth, width, input channels, classes), and notes of what they do not.

    Raises:
        WeightsError: shapes of a network that Marey does not have.
    """
    try:
        variant: Variant | None = layout.variant_of(tensors)
    except ValidationError as error:
        raise WeightsError(f"{path}: a {layout.NAME} checkpoint of odd sizes: {first_problem(error)[0]}.") from None
    if variant is None:
        stem = next(tensors[sign] for sign in layout.SIGNS if sign in tensors)
        raise WeightsError(
            f"{path}: a {layout.NAME} checkpoint, but of no network that Marey reads: "
            f"its first convolution is {list(stem.shape)}."
        )
    return variant


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
