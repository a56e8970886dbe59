"""bfloat16 on a CPU: oneDNN's weight gradients where a kernel is longer than its input."""

import pytest
import torch
from torch.nn import functional as F

from marey.training.bfloat16 import PaddedConvolutions


@pytest.mark.parametrize(("size", "kernel", "padding"), [((2, 4, 4), (3, 1, 1), (1, 0, 0)), ((1, 2, 2), (1, 7, 7), 3)])
def test_padding_by_hand_is_the_same_sum(size, kernel, padding) -> None:
    x, weight = torch.randn(2, 4, *size), torch.randn(3, 4, *kernel)
    padding = (0, 3, 3) if padding == 3 else padding
    expected = F.conv3d(x, weight, None, (1, 2, 2), padding)
    with PaddedConvolutions():
        torch.testing.assert_close(F.conv3d(x, weight, None, (1, 2, 2), padding), expected)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("kernel", [3, 5])
def test_weight_gradients_are_those_of_float32(frames, kernel) -> None:
    """At every length, shorter than the kernel or not. 1 % is the rounding of bfloat16."""
    x, weight = torch.randn(4, 16, frames, 4, 4), torch.randn(8, 16, kernel, 1, 1)
    full, reduced = weight.clone().requires_grad_(), weight.clone().requires_grad_()
    expected = F.conv3d(x, full, None, 1, (kernel // 2, 0, 0))
    with PaddedConvolutions(), torch.autocast("cpu", torch.bfloat16):
        got = F.conv3d(x, reduced, None, 1, (kernel // 2, 0, 0))
    slope = torch.randn_like(got)
    got.backward(slope)
    expected.backward(slope.float())
    assert (reduced.grad - full.grad).norm() < 0.01 * full.grad.norm()
