"""What training in bfloat16 on a CPU needs."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

_CONVOLUTIONS = {F.conv2d: 2, F.conv3d: 3}


class PaddedConvolutions(TorchFunctionMode):
    """Pads by hand in front of convolutions whose kernel is longer than their input.

    oneDNN's bfloat16 gradient of such a convolution's weights writes outside its buffers (torch 2.13 with AVX-512:
    wrong values, NaN, a corrupted heap; a kernel of 3 over 2 padded frames is enough). The sum is the same.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _CONVOLUTIONS:
            args = _padded(_CONVOLUTIONS[func], *args)
        return func(*args, **(kwargs or {}))


def _padded(dimensions: int, x: Tensor, weight: Tensor, *others: Any) -> tuple[Any, ...]:
    """The arguments (bias, stride, padding, dilation, groups) with the padding moved into `x` where needed."""
    if len(others) < 3 or isinstance(others[2], str):
        return (x, weight, *others)
    bias, stride, padding, *rest = others
    sizes, kernels = x.shape[-dimensions:], weight.shape[-dimensions:]
    if all(size >= kernel for size, kernel in zip(sizes, kernels, strict=True)):
        return (x, weight, *others)
    per_side = [padding] * dimensions if isinstance(padding, int) else list(padding)
    sides = [side for side in reversed(per_side) for _ in range(2)]
    return (F.pad(x, sides), weight, bias, stride, 0, *rest)
