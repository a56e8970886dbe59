"""The convolutions that networks are built of, and the two faults of oneDNN that they avoid."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from marey.models.layers.convolutions import Conv2d, Conv3d, SafeConvolutions, safe_arguments
from marey.models.slowfast.config import SlowFastConfig
from marey.models.tsn.config import TSNConfig
from marey.recipes import RECIPES

CHECKER = Path("/lib/x86_64-linux-gnu/libc_malloc_debug.so.0")


def exact(x, weight, bias, *rest):
    """Output and gradients of PyTorch's convolution in float64; see `output_and_gradients`."""
    return output_and_gradients(
        *(value.detach().double().contiguous() for value in (x, weight, bias)), *rest, safe=False
    )


def output_and_gradients(x, weight, bias, *rest, safe):
    """Output of a convolution, and its gradients for an output gradient of a fixed seed."""
    tensors = [value.detach().requires_grad_() for value in (x, weight, bias)]
    convolve = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[weight.dim()]
    arguments = (*tensors, *rest)
    y = convolve(*(safe_arguments(*arguments) if safe else arguments))
    y.backward(torch.randn(y.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64).to(y.dtype))
    return y.detach(), *(value.grad for value in tensors)


@pytest.mark.parametrize("channels", [1, 4, 7, 12, 15])
@pytest.mark.parametrize("stride", [2, 3, (1, 2), (2, 1)])
@pytest.mark.parametrize("side", [1, 9, 12])
def test_narrow_strided_pointwise_gradients_are_those_of_float64(channels, stride, side) -> None:
    x = torch.randn(2, channels, side, side).contiguous(memory_format=torch.channels_last)
    weight, bias = torch.randn(8, channels, 1, 1), torch.randn(8)
    for got, expected in zip(
        output_and_gradients(x, weight, bias, stride, safe=True), exact(x, weight, bias, stride), strict=True
    ):
        torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-4)
    (unbatched, *_) = output_and_gradients(x[0], weight, bias, stride, safe=True)
    torch.testing.assert_close(unbatched.double(), exact(x, weight, bias, stride)[0][0], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("kernel", [3, 5])
def test_bfloat16_gradients_are_those_of_float64(frames, kernel) -> None:
    """At every length, shorter than the kernel or longer. bfloat16 rounds by up to 1 %."""
    x, weight, bias = torch.randn(4, 16, frames, 4, 4), torch.randn(8, 16, kernel, 1, 1), torch.randn(8)
    given = [value.bfloat16() for value in (x, weight, bias)]
    rest = (1, (kernel // 2, 0, 0))
    with torch.autocast("cpu", torch.bfloat16):
        by_autocast = output_and_gradients(x, weight, bias, *rest, safe=True)
    of_bfloat16 = output_and_gradients(*given, *rest, safe=True)
    for results, inputs in ((of_bfloat16, given), (by_autocast, (x, weight, bias))):
        for got, expected in zip(results, exact(*inputs, *rest), strict=True):
            assert (got.double() - expected).norm() < 0.01 * expected.norm()


@pytest.mark.parametrize(
    ("size", "kernel", "padding"),
    [((2, 4, 4), (3, 1, 1), (1, 0, 0)), ((1, 2, 2), (1, 7, 7), (0, 3, 3)), ((2, 3), (4, 5), "same")],
)
@pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel lengths")
def test_padding_beforehand_is_the_same_sum(size, kernel, padding) -> None:
    x, weight = torch.randn(2, 4, *size).bfloat16(), torch.randn(3, 4, *kernel).bfloat16().requires_grad_()
    safe = safe_arguments(x, weight, None, 1, padding)
    assert (safe.padding, safe.input.shape[1:] == x.shape[1:]) == (0, False)
    convolve = F.conv2d if len(size) == 2 else F.conv3d
    expected = convolve(x.double(), weight.double(), None, 1, padding)
    torch.testing.assert_close(convolve(*safe).double(), expected, rtol=0.02, atol=0.05)


def unchanged(x, weight, *rest) -> bool:
    """Whether `safe_arguments` returns the very arguments."""
    given = (x, weight, *rest)
    safe = safe_arguments(*given)
    return (
        all(a is b for a, b in zip(given, safe, strict=False))
        and safe[len(given) :] == (None, 1, 0, 1, 1)[len(given) - 2 :]
    )


def test_all_other_arguments_are_unchanged() -> None:
    def weight(*shape: int) -> torch.Tensor:
        return torch.randn(shape, requires_grad=True)

    x, narrow = torch.randn(1, 4, 8, 8), weight(8, 4, 1, 1)
    assert not unchanged(x, narrow, None, 2)
    assert not unchanged(x, narrow.detach(), torch.zeros(8, requires_grad=True), 2)
    assert unchanged(x, narrow)  # no stride
    assert unchanged(x, narrow, None, (2, 2), (1, 1))  # padded
    assert unchanged(x, weight(8, 2, 1, 1), None, 2, 0, 1, 2)  # in groups
    assert unchanged(x, weight(8, 4, 3, 1), None, 2)  # not pointwise
    assert unchanged(torch.randn(1, 4, 8, 8, 8), weight(8, 4, 1, 1, 1), None, 2)  # 3D
    assert unchanged(torch.randn(1, 16, 8, 8), weight(8, 16, 1, 1), None, 2)  # wide
    assert unchanged(torch.randn(1, 4, 2, 2), weight(8, 4, 3, 3), None, 1, 1)  # float32
    assert unchanged(torch.randn(1, 4, 3, 3).bfloat16(), weight(8, 4, 3, 3).bfloat16(), None, 1, 1)  # long enough
    assert unchanged(torch.empty(1, 4, 8, 8, device="meta"), narrow, None, 2)  # not on the CPU
    assert unchanged(x.requires_grad_(), narrow.detach(), None, 2)  # frozen
    with torch.no_grad():
        assert unchanged(x, narrow, None, 2)


def test_the_mode_takes_arguments_by_keyword_and_by_position() -> None:
    x, weight = torch.randn(1, 4, 9, 9), torch.randn(8, 4, 1, 1, requires_grad=True)
    expected = F.conv2d(x, weight, None, 2)
    with SafeConvolutions():
        torch.testing.assert_close(F.conv2d(x, weight, stride=(2, 2)), expected)
        torch.testing.assert_close(F.conv2d(input=x, weight=weight, bias=None, stride=2, padding="valid"), expected)


def test_networks_are_built_of_safe_convolutions() -> None:
    configs = {type(recipe.model): recipe.model for recipe in RECIPES}.values()
    for config in configs:
        with torch.device("meta"):
            network = config.build()
        for name, module in network.named_modules():
            if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
                assert isinstance(module, Conv2d | Conv3d), (config.network, name)


@pytest.mark.parametrize("config", [TSNConfig(depth=18, width=4, num_classes=5), SlowFastConfig(depth=18, width=8)])
def test_networks_compile_to_one_graph_while_gradients_are_recorded(config) -> None:
    torch.compiler.reset()
    network = config.build().train()
    network.dropout.p = 0.0
    x = torch.randn(2, 3, 16, 32, 32)
    expected = network(x)
    got = torch.compile(network, fullgraph=True, backend="eager")(x)
    torch.testing.assert_close(got, expected)


def test_exports_keep_pytorch_s_convolutions() -> None:
    layer, x = Conv2d(4, 8, 1, 2), torch.randn(1, 4, 8, 8)
    assert torch.equal(torch.export.export(layer, (x,)).module()(x), F.conv2d(x, layer.weight, layer.bias, 2))
    assert "slice" not in torch.export.export(layer, (x,)).graph_module.code


REPRODUCTION = """
import torch
from torch import nn
from marey.models.layers.convolutions import Conv2d, SafeConvolutions

def steps(convolution, channels, side):
    layer = convolution(channels, 8, 1, 2, bias=False).to(memory_format=torch.channels_last)
    for _ in range(5):
        x = torch.randn(4, channels, side, side).contiguous(memory_format=torch.channels_last)
        layer.zero_grad()
        y = layer(x)
        gradient = torch.randn_like(y)
        y.backward(gradient)
        expected = torch.einsum("bohw,bihw->oi", gradient.double(), x[..., ::2, ::2].double())
        torch.testing.assert_close(layer.weight.grad[..., 0, 0].double(), expected, rtol=1e-4, atol=1e-3)

for channels, side in ((4, 8), (7, 24), (12, 64)):
    steps(Conv2d, channels, side)
    with SafeConvolutions():
        steps(nn.Conv2d, channels, side)
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("instructions", ["avx2", "own"])
def test_narrow_strided_pointwise_does_not_corrupt_the_heap(threads, instructions) -> None:
    """With PyTorch's own convolutions this crashes, waits for ever or is wrong (torch 2.13, x86-64).

    It does so with AVX2 at 4 channels on 8x8, and with AVX-512 at 12 channels on 64x64.
    """
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    if instructions == "avx2":
        environment |= {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    if CHECKER.exists():
        environment |= {"LD_PRELOAD": CHECKER.name, "MALLOC_CHECK_": "3"}
    command = [sys.executable, "-c", REPRODUCTION]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
