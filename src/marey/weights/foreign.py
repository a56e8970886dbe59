"""Older toolkits' checkpoint files: read without running anything in them, and told apart by their tensors."""

import pickle
import warnings
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from marey.base.errors import WeightsError
from marey.models.slowonly.config import SlowOnlyConfig
from marey.models.tsn.config import TSNConfig
from marey.weights.layouts import mmaction, mmaction2

LAYOUTS: tuple[ModuleType, ...] = (mmaction, mmaction2)
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
        if layout.SIGN in tensors:
            return layout
    first = ", ".join(list(tensors)[:3])
    raise WeightsError(f"{path}: not a layout that Marey reads (mmaction, mmaction2); its tensors begin {first}.")


def config_of(tensors: dict[str, Tensor], layout: ModuleType, path: Path) -> TSNConfig | SlowOnlyConfig:
    """The network that the shapes tell: kind, depth, width, input channels, classes.

    Raises:
        WeightsError: shapes of a network that Marey does not have.
    """
    stem, head = tensors[layout.SIGN], tensors.get("cls_head.fc_cls.weight")
    blocks = sum(1 for n in range(64) if any(name.startswith(f"backbone.layer3.{n}.") for name in tensors))
    deep = any(name.startswith("backbone.layer1.0.conv3.") for name in tensors)
    depth = {(2, False): 18, (6, False): 34, (6, True): 50, (23, True): 101}.get((blocks, deep))
    kind = {4: "tsn", 5: "slowonly"}.get(stem.ndim)
    if head is None or depth is None or kind is None or (stem.ndim == 5 and stem.shape[2] != 1):
        raise WeightsError(
            f"{path}: a {layout.NAME} checkpoint, but of no network that Marey reads yet (TSN and SlowOnly on ResNets): "
            f"its first convolution is {list(stem.shape)}."
        )
    channels = int(stem.shape[1])
    common = {"depth": depth, "width": int(stem.shape[0]), "num_classes": int(head.shape[0])}
    if kind == "slowonly":
        return SlowOnlyConfig.model_validate(common | {"channels": channels})
    rgb = channels == 3
    return TSNConfig.model_validate(common | {"channels": 3 if rgb else 2, "stack": 1 if rgb else channels // 2})


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
