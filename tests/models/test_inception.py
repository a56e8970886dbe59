"""The Inception family: padding on every length, pools, and the head's windows."""

import pytest
import torch
import torch.nn.functional as F

from marey.models.i3d.config import InceptionI3DConfig
from marey.models.layers.inception import SamePad, SamePool, same_padding
from marey.models.tsn.config import BNInceptionTSNConfig
from marey.recipes import get_recipe
from marey.video.pixels.transforms import to_clip
from marey.weights.load import build_model


@pytest.mark.parametrize(
    ("length", "kernel", "stride", "expected"),
    [
        (224, 7, 2, (2, 3)),
        (225, 7, 2, (3, 3)),
        (56, 3, 2, (0, 1)),
        (57, 3, 2, (1, 1)),
        (8, 2, 2, (0, 0)),
        (9, 2, 2, (0, 1)),
        (9, 3, 1, (1, 1)),
        (1, 7, 2, (3, 3)),
    ],
)
def test_same_padding(length, kernel, stride, expected) -> None:
    assert same_padding(length, kernel, stride) == expected


@pytest.mark.parametrize(("size", "step"), [(1, 1), (3, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("lengths", [(4, 7, 8), (5, 6, 9), (1, 2, 3)])
def test_same_pool_is_a_zero_padded_pool(size, step, lengths) -> None:
    x = torch.rand(2, 3, *lengths, generator=torch.Generator().manual_seed(0))
    sides = [side for length in reversed(lengths) for side in same_padding(length, size, step)]
    expected = F.max_pool3d(F.pad(x, sides), size, step)
    assert torch.equal(SamePool((size,) * 3, (step,) * 3)(x), expected)
    assert expected.shape[2:] == tuple(-(-length // step) for length in lengths)


@pytest.mark.parametrize("length", [5, 8, 17])
def test_same_pad_aligns_as_tensorflow(length) -> None:
    # A kernel whose only weight is in the middle gives the index at the centre of each window.
    x = torch.arange(length, dtype=torch.float32).expand(1, 1, length)
    middle = torch.zeros(1, 1, 7)
    middle[..., 3] = 1
    centres = F.conv1d(SamePad(1, kernel=7, stride=2)(x), middle, stride=2)[0, 0].tolist()
    first = 3 - same_padding(length, 7, 2)[0]
    assert centres == list(range(first, length, 2))


def small(**fields) -> torch.nn.Module:
    torch.manual_seed(0)
    return InceptionI3DConfig(width=8, num_classes=5, **fields).build().eval()


def test_mmaction_padding_is_the_same_on_even_lengths_only() -> None:
    same, fixed = small(padding="same"), small(padding="mmaction")
    even = torch.randn(1, 3, 16, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(same.trunk(even), fixed.trunk(even))
        odd = even[:, :, :15, :63, :63]
        assert (same(odd) - fixed(odd)).abs().max() > 1e-2 * same(odd).std()


@pytest.mark.parametrize(("lengths", "windows"), [((16, 224, 224), (1, 1, 1)), ((33, 257, 224), (4, 3, 1))])
def test_windows_of_deepminds_head(lengths, windows) -> None:
    network = small()
    clip = torch.randn(1, 3, *lengths, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        (last,) = network.trunk(clip)
        assert last.shape[2:] == tuple(-(-n // s) for n, s in zip(lengths, (8, 32, 32), strict=True))
        positions = network.positions(clip)
        pooled = F.avg_pool3d(last, (2, 7, 7), stride=1)
        torch.testing.assert_close(positions, network.head(pooled.movedim(1, -1)).movedim(-1, 1))
        torch.testing.assert_close(network(clip), network.head(network.features(clip)))
    assert positions.shape[2:] == windows


def test_frames_of_odd_size_and_very_short_clips() -> None:
    with torch.inference_mode():
        network = BNInceptionTSNConfig(width=8, num_classes=5).build().eval()
        (last,) = network.trunk(torch.zeros(1, 3, 2, 232, 237))  # maps of 29 x 30 where a block halves them
        assert last.shape[2:] == (2, 8, 8)
        assert small()(torch.zeros(1, 3, 1, 33, 33)).shape == (1, 5)


def test_weights_from_caffe_take_bgr() -> None:
    recipe = get_recipe("tsn_bninception_rgb_3seg_ucf101")
    red = torch.tensor([255, 0, 0], dtype=torch.uint8).expand(1, 3, 32, 32, 3)
    clip = build_model(recipe).preprocess(red)
    assert clip[0, :, 0, 0, 0].tolist() == [-104, -117, 255 - 128]
    assert torch.equal(clip, to_clip(red, recipe.pixels.mean, recipe.pixels.std, order="bgr"))


def test_convolutions_have_biases_in_two_dimensions_only() -> None:
    flat = BNInceptionTSNConfig(width=8, num_classes=5).build()
    assert flat.inception.stem.a.conv.bias is not None
    assert small().inception.stem.a.conv.bias is None
