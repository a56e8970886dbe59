"""Convolutions whose gradients are right on every CPU: they avoid two faults of oneDNN, which PyTorch uses there.

Both faults are in the gradient of the weights, and both were seen with torch 2.13 (oneDNN 3.12):

- A pointwise 2D convolution with a stride and channels-last input of fewer than 8 channels (AVX2) or 16 (AVX-512) writes
  past the end of its buffer: with one thread it corrupts the heap, with several it computes wrong values or never returns.
  1D, 3D and grouped convolutions are not affected, nor are inputs with a side that is no multiple of the stride.
  https://github.com/uxlfoundation/oneDNN/issues/6035
- A convolution in bfloat16 whose kernel is longer than its input without padding (a kernel of 3 on 2 frames is enough)
  computes wrong values or NaN, or corrupts the heap.

`tools/convolution_faults.py` searches for them. All networks of Marey are built of `Conv2d` and `Conv3d`;
`SafeConvolutions` changes the convolutions of other modules in the same way. A changed convolution computes the same sum.
Whether a convolution on a CPU is changed depends on shapes, types and whether a gradient is recorded, not on the kind of
CPU. Inference and exports use PyTorch's own convolution.

Shape suffixes: B batch, C channels, T frames, H height, W width.
"""

from collections.abc import Callable, Sequence
from types import EllipsisType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

Sizes = int | Sequence[int]
"""One size for all axes, or one for each."""

_FUNCTIONS: tuple[Callable[..., Any], ...] = (F.conv1d, F.conv2d, F.conv3d)
_SAFE_CHANNELS = 16
"""With at least this many input channels the first fault does not occur: oneDNN's block on AVX-512 (8 channels on AVX2)."""


class Arguments(NamedTuple):
    """The arguments of `F.conv1d`, `F.conv2d` and `F.conv3d`, in their order."""

    input: Tensor
    """[B, C, ...] or [C, ...]: the map, where ... are one to three axes."""
    weight: Tensor
    """[out channels, C / groups, ...]: the kernels."""
    bias: Tensor | None
    """[out channels]: added to each output; None: nothing is added."""
    stride: Sizes
    """Positions of the input from one output to the next, at least 1."""
    padding: Sizes | str
    """Zeros on each side of an axis, at least 0; or PyTorch's "valid" (none) or "same"."""
    dilation: Sizes
    """Positions of the input from one value of a kernel to the next, at least 1."""
    groups: int
    """Number of groups of channels that are convolved separately; 1: all channels together."""


def safe_arguments(
    input: Tensor,  # noqa: A002 - PyTorch's name, because arguments may be passed by keyword
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Arguments:
    """Arguments of the same convolution for which oneDNN's gradients are right; in most cases the given ones.

    Args:
        input: [B, C, ...] or [C, ...], where ... are one to three axes.
        weight: [out channels, C / groups, ...].
        bias: As in PyTorch, like all arguments below.
    """
    arguments = Arguments(input, weight, bias, stride, padding, dilation, groups)
    # oneDNN computes the gradients of weight and bias together, even if only one of them is needed.
    trained = weight.requires_grad or (bias is not None and bias.requires_grad)
    recorded = trained and torch.is_grad_enabled() and not torch.compiler.is_exporting()
    if not recorded or input.device.type != "cpu":
        return arguments
    if weight.shape[2:] == (1, 1):
        return _without_stride(arguments)
    return _padded(arguments) if _in_bfloat16(input) else arguments


def _without_stride(arguments: Arguments) -> Arguments:
    """For a pointwise convolution with few channels: stride 1 on an input without the positions that the stride skips."""
    strides = _per_axis(arguments.stride, arguments.weight)
    unpadded = arguments.padding == "valid" or (
        not isinstance(arguments.padding, str) and not any(_per_axis(arguments.padding, arguments.weight))
    )
    narrow = arguments.weight.shape[1] < _SAFE_CHANNELS and arguments.groups == 1
    if not (narrow and unpadded and any(s > 1 for s in strides)):
        return arguments
    positions: tuple[EllipsisType | slice, ...] = (..., *(slice(None, None, s) for s in strides))
    return arguments._replace(input=arguments.input[positions], stride=1)


def _padded(arguments: Arguments) -> Arguments:
    """The input padded beforehand, if the kernel is longer than the input."""
    dilations = _per_axis(arguments.dilation, arguments.weight)
    kernels = [d * (k - 1) + 1 for k, d in zip(arguments.weight.shape[2:], dilations, strict=True)]
    sizes = arguments.input.shape[-len(kernels) :]
    if all(size >= kernel for size, kernel in zip(sizes, kernels, strict=True)):
        return arguments
    if isinstance(arguments.padding, str):
        # "same" adds the odd zero at the end of an axis.
        sides = [((k - 1) // 2, k // 2) if arguments.padding == "same" else (0, 0) for k in kernels]
    else:
        sides = [(p, p) for p in _per_axis(arguments.padding, arguments.weight)]
    # F.pad counts axes from the last one.
    padded = F.pad(arguments.input, [side for front_back in reversed(sides) for side in front_back])
    return arguments._replace(input=padded, padding=0)


def _per_axis(sizes: Sizes, weight: Tensor) -> list[int]:
    axes = weight.dim() - 2
    return [sizes] * axes if isinstance(sizes, int) else list(sizes) * (axes if len(sizes) == 1 else 1)


def _in_bfloat16(x: Tensor) -> bool:
    """Whether a convolution of `x` on the CPU runs in bfloat16, because `x` is bfloat16 or by autocast."""
    cast = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    return cast or x.dtype == torch.bfloat16


class Conv2d(nn.Conv2d):
    """PyTorch's layer, with gradients that are right on every CPU. It pads with zeros only."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: A002
        assert self.padding_mode == "zeros", self.padding_mode
        return F.conv2d(*safe_arguments(input, weight, bias, self.stride, self.padding, self.dilation, self.groups))  # type: ignore[arg-type]


class Conv3d(nn.Conv3d):
    """PyTorch's layer, with gradients that are right on every CPU. It pads with zeros only."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: A002
        assert self.padding_mode == "zeros", self.padding_mode
        return F.conv3d(*safe_arguments(input, weight, bias, self.stride, self.padding, self.dilation, self.groups))  # type: ignore[arg-type]


class SafeConvolutions(TorchFunctionMode):
    """`with SafeConvolutions():` all convolutions of any module have the arguments of `safe_arguments`.

    It does not reach convolutions that a backward pass inside computes again, because PyTorch turns a mode off while it
    handles a call, and `Tensor.backward` is one call. Blocks that are recomputed therefore enter the mode themselves, in
    both forward passes (`marey.models.layers.checkpointing`).
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _FUNCTIONS:
            return func(*safe_arguments(*args, **(kwargs or {})))
        return func(*args, **(kwargs or {}))
