"""Convolutions whose gradients are right on every CPU: two faults of the oneDNN in PyTorch are avoided here.

Both faults lie in the gradient of the weights, and both were seen with torch 2.13 (oneDNN 3.12):

- A pointwise 2D convolution with a stride and channels-last input of fewer than 8 channels (AVX2) or 16 (AVX-512) writes
  past the end of its buffer: one thread corrupts the heap, several compute wrong values or wait for ever. 1D and 3D
  convolutions, those in groups and sides that the stride does not divide are sound.
  https://github.com/uxlfoundation/oneDNN/issues/6035
- bfloat16 and a kernel longer than its input (3 over 2 padded frames is enough): wrong values, NaN, a corrupted heap.

`tools/convolution_faults.py` searches for them. `Conv2d` and `Conv3d` are what every network of ours is built of;
`SafeConvolutions` does the same for convolutions of other modules. What is computed instead is the same sum. It depends
on shapes and types alone, so that every machine computes alike, and only where a gradient is recorded: inference and
exports keep PyTorch's own convolution.

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
"""One number for all axes, or one for each."""

_FUNCTIONS: tuple[Callable[..., Any], ...] = (F.conv1d, F.conv2d, F.conv3d)
_SAFE_CHANNELS = 16
"""So many input channels fill one block of oneDNN's on AVX-512 (8 on AVX2), from where on the first fault is gone."""


class Arguments(NamedTuple):
    """What `F.conv1d`, `F.conv2d` and `F.conv3d` take, in their order."""

    input: Tensor
    weight: Tensor
    bias: Tensor | None
    stride: Sizes
    padding: Sizes | str
    dilation: Sizes
    groups: int


def safe_arguments(
    input: Tensor,  # noqa: A002 - PyTorch's name: the arguments may come by keyword
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Arguments:
    """Arguments of the same convolution for which oneDNN's gradients are right; mostly those given.

    Args:
        input: [B, C, ...] or [C, ...] with one to three axes behind.
        weight: [out channels, C / groups, ...]; the others as PyTorch has them.
    """
    given = Arguments(input, weight, bias, stride, padding, dilation, groups)
    # oneDNN computes the gradients of weight and bias together, so that either calls for both.
    learns = weight.requires_grad or (bias is not None and bias.requires_grad)
    recorded = learns and torch.is_grad_enabled() and not torch.compiler.is_exporting()
    if not recorded or input.device.type != "cpu":
        return given
    if weight.shape[2:] == (1, 1):
        return _without_stride(given)
    return _padded(given) if _in_bfloat16(input) else given


def _without_stride(given: Arguments) -> Arguments:
    """A narrow pointwise 2D convolution of every stride-th place alone: the others never enter the sum."""
    strides = _per_axis(given.stride, given.weight)
    unpadded = given.padding == "valid" or (
        not isinstance(given.padding, str) and not any(_per_axis(given.padding, given.weight))
    )
    narrow = given.weight.shape[1] < _SAFE_CHANNELS and given.groups == 1
    if not (narrow and unpadded and any(s > 1 for s in strides)):
        return given
    places: tuple[EllipsisType | slice, ...] = (..., *(slice(None, None, s) for s in strides))
    return given._replace(input=given.input[places], stride=1)


def _padded(given: Arguments) -> Arguments:
    """With the padding as part of the input, where the kernel is longer than what it is to pad."""
    kernels = [
        d * (k - 1) + 1 for k, d in zip(given.weight.shape[2:], _per_axis(given.dilation, given.weight), strict=True)
    ]
    sizes = given.input.shape[-len(kernels) :]
    if all(size >= kernel for size, kernel in zip(sizes, kernels, strict=True)):
        return given
    if isinstance(given.padding, str):
        # "same" adds the odd zero at the back.
        sides = [((k - 1) // 2, k // 2) if given.padding == "same" else (0, 0) for k in kernels]
    else:
        sides = [(p, p) for p in _per_axis(given.padding, given.weight)]
    # F.pad counts axes from the last one.
    padded = F.pad(given.input, [side for front_back in reversed(sides) for side in front_back])
    return given._replace(input=padded, padding=0)


def _per_axis(sizes: Sizes, weight: Tensor) -> list[int]:
    axes = weight.dim() - 2
    return [sizes] * axes if isinstance(sizes, int) else list(sizes) * (axes if len(sizes) == 1 else 1)


def _in_bfloat16(x: Tensor) -> bool:
    """Whether a convolution of `x` on the CPU is computed in bfloat16, by itself or by autocast."""
    cast = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    return cast or x.dtype == torch.bfloat16


class Conv2d(nn.Conv2d):
    """PyTorch's, with gradients that are right on every CPU. It pads with zeros only."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: A002
        assert self.padding_mode == "zeros", self.padding_mode
        return F.conv2d(*safe_arguments(input, weight, bias, self.stride, self.padding, self.dilation, self.groups))  # type: ignore[arg-type]


class Conv3d(nn.Conv3d):
    """PyTorch's, with gradients that are right on every CPU. It pads with zeros only."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: A002
        assert self.padding_mode == "zeros", self.padding_mode
        return F.conv3d(*safe_arguments(input, weight, bias, self.stride, self.padding, self.dilation, self.groups))  # type: ignore[arg-type]


class SafeConvolutions(TorchFunctionMode):
    """`with SafeConvolutions():` gives all convolutions inside, of any module, the arguments of `safe_arguments`.

    Not those that a backward pass inside runs again: a mode is off while it answers, and `Tensor.backward` is one answer.
    Blocks that are recomputed therefore enter it themselves, both times (`marey.models.layers.checkpointing`).
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _FUNCTIONS:
            return func(*safe_arguments(*args, **(kwargs or {})))
        return func(*args, **(kwargs or {}))
