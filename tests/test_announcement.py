"""Every row of the MMAction v0.2.0 announcement is a recipe with its number and, where it has one, its file."""

import pytest

from marey.recipes import find_two_stream, get_recipe

ROWS = [
    ("tsn_r50_3seg_k400", 70.6, 89.4, "b702e12f"),
    ("tsn_r50_8seg_k400", 71.6, None, None),
    ("i3d_incv1_rgb_64x1_k400", 71.1, 89.3, "9b8e02b3"),
    ("i3d_r50_32x2_k400", 72.9, 90.8, "b93cc877"),
    ("i3d_incv1_flow_64x1_k400", 63.4, 84.9, "92059771"),
    ("i3d_incv1_rgb_64x1_ucf101", 94.8, None, "36201298"),
    ("i3d_incv1_rgb_64x1_hmdb51", 72.6, None, "1ffcf11f"),
    ("i3d_incv1_flow_64x1_ucf101", 96.6, None, "93ed9ecd"),
    ("i3d_incv1_flow_64x1_hmdb51", 79.2, None, "2981c797"),
    ("slowonly_r50_4x16_k400", 72.9, 90.9, "594abd88"),
    ("slowonly_r50_4x16_k400_imagenet", 73.8, 90.9, "46c79312"),
    ("slowonly_r50_8x8_k400", 74.8, 91.9, "4aae9339"),
    ("slowonly_r50_8x8_k400_imagenet", 75.7, 92.2, "519c2101"),
    ("slowonly_r101_8x8_k400", 76.5, 92.7, "8de47237"),
    ("slowonly_r101_8x8_k400_imagenet", 76.8, 92.8, "b8455f97"),
    ("slowfast_r50_4x16_k400", 75.4, 92.1, "2448c56c"),
    ("slowfast_r50_4x16_k400_imagenet", 75.9, 92.3, "4623cf03"),
    ("r2plus1d_r34_8x8_k400", 63.7, 85.9, "1f576444"),
    ("r2plus1d_r34_8x8_k400_ig65m", 74.4, 91.7, "c3abbbfc"),
    ("r2plus1d_r34_32x2_k400", 71.8, 90.4, "97f56158"),
    ("r2plus1d_r34_32x2_k400_ig65m", 80.3, 94.7, "9baa39ea"),
    ("ircsn_r152_32x2_k400_ig65m", 82.6, 95.7, "9d6ed879"),
    ("ipcsn_r152_32x2_k400_ig65m", 82.7, 95.6, "ef39b9e3"),
]
TWO_STREAMS = [
    ("i3d_incv1_twostream_64x1_k400", 74.2, 91.3),
    ("i3d_incv1_twostream_64x1_ucf101", 97.8, None),
    ("i3d_incv1_twostream_64x1_hmdb51", 80.8, None),
]


@pytest.mark.parametrize(("name", "top1", "top5", "digits"), ROWS)
def test_a_recipe_has_the_accuracy_and_hash_of_the_announcement(name, top1, top5, digits) -> None:
    recipe = get_recipe(name)
    assert (recipe.published.top1, recipe.published.top5) == (top1, top5)
    assert "announcement" in recipe.published.source
    assert [source.hash.digits for source in recipe.weights] == ([digits] if digits else [])
    if digits:
        assert recipe.weights[0].address.endswith(f"-{digits}.pth")


@pytest.mark.parametrize(("name", "top1", "top5"), TWO_STREAMS)
def test_a_row_of_two_streams_has_the_accuracy_of_the_announcement(name, top1, top5) -> None:
    row = find_two_stream(name)
    assert (row.published.top1, row.published.top5) == (top1, top5)
