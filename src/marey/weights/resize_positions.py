"""Resize the position embeddings of a file that was trained on another input size."""

from collections.abc import Iterable

from torch import Tensor, nn

from marey.base.errors import WeightsError
from marey.models.interfaces import ResizesPositions


def resize_to_fit(
    network: nn.Module, tensors: dict[str, Tensor], pairs: Iterable[tuple[str, str]], source: str
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Resize those tensors of a file for which `network` or a module in it has a rule (`ResizesPositions`).

    All others stay as they are, so that another wrong shape is still refused.

    Args:
        network: The network to fill.
        tensors: The tensors by their names in the file.
        pairs: (name in the file, our name) of each tensor.
        source: Name of the file in errors.

    Returns:
        The tensors, and a line for each tensor that was resized.

    Raises:
        WeightsError: the grid of the file cannot be inferred.
    """
    theirs = {ours: name for name, ours in pairs if name in tensors}
    resized_tensors: dict[str, Tensor] = {}
    lines: list[str] = []
    modules: dict[str, nn.Module] = dict(network.named_modules())
    for prefix, module in modules.items():
        if not isinstance(module, ResizesPositions):
            continue
        for name, value in module.state_dict().items():
            ours = f"{prefix}.{name}" if prefix else name
            if ours not in theirs or theirs[ours] in resized_tensors or tensors[theirs[ours]].shape == value.shape:
                continue
            try:
                resized = module.resize_positions(name, tensors[theirs[ours]])
            except WeightsError as error:
                raise WeightsError(f"{source}: {theirs[ours]}: {error}") from None
            if resized is not None and resized.tensor.shape == value.shape:
                resized_tensors[theirs[ours]] = resized.tensor
                lines.append(f"{ours}: {resized}")
    return tensors | resized_tensors, tuple(lines)
