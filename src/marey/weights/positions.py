"""Position embeddings of a file whose network sees another input size."""

from collections.abc import Iterable

from torch import Tensor, nn

from marey.base.errors import WeightsError
from marey.models.network import ResizesPositions


def resize_to_fit(
    network: nn.Module, tensors: dict[str, Tensor], pairs: Iterable[tuple[str, str]], source: str
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors of a file, those resized that `network` or a module inside says how to (`ResizesPositions`).

    All others stay as they are, so that a wrong shape is still refused.

    Args:
        network: What is filled.
        tensors: By their names in the file.
        pairs: (their name, our name).
        source: The file, for errors.

    Returns:
        The tensors, and a line for each one resized.

    Raises:
        WeightsError: from which grid to resize cannot be inferred.
    """
    theirs = {ours: name for name, ours in pairs if name in tensors}
    found: dict[str, Tensor] = {}
    lines: list[str] = []
    modules: dict[str, nn.Module] = dict(network.named_modules())
    for prefix, module in modules.items():
        if not isinstance(module, ResizesPositions):
            continue
        for name, value in module.state_dict().items():
            ours = f"{prefix}.{name}" if prefix else name
            if ours not in theirs or theirs[ours] in found or tensors[theirs[ours]].shape == value.shape:
                continue
            try:
                resized = module.resize_positions(name, tensors[theirs[ours]])
            except WeightsError as error:
                raise WeightsError(f"{source}: {theirs[ours]}: {error}") from None
            if resized is not None and resized.tensor.shape == value.shape:
                found[theirs[ours]] = resized.tensor
                lines.append(f"{ours}: {resized}")
    return tensors | found, tuple(lines)
