"""The smallest recipe that trains on two classes."""

from marey.recipes import get_recipe

RECIPE = get_recipe("slowonly_r18_8x2_motions").variant(
    name="tiny",
    model={"width": 4, "num_classes": 2},
    clip={"frames": 2, "stride": 2},
    augment={"short_side": 40, "size": 32},
    pixels={"short_side": 40},
    test={"size": 32, "sampling": {"frames": 2}},
    train={"epochs": 3, "base_batch": 4, "dropout": 0.3},
)
