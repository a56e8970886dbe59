"""A user's module with norms, tokens and position embeddings, and settings of a recipe that change the network."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import marey
from marey.base.errors import RecipeError
from marey.data.lists.class_folders import list_folder
from marey.models.layers.drop_path import DropPath
from marey.recipe import AdamW, Recipe
from marey.training.state import load_state, save_state
from marey.weights.checkpoint import read_checkpoint
from tests.support import tiny
from tests.support.small_transformer import DEPTH, SmallTransformer

RECIPE = tiny.RECIPE.variant(train={"epochs": 2})

VIDEOS_PER_CLASS = 4


def fitted(recipe: Recipe, videos: Path, out: Path, **options) -> dict[str, torch.Tensor]:
    """The weights of a run with the same seed."""
    torch.manual_seed(0)
    if options.pop("own", False):
        options["model"] = SmallTransformer()
    marey.fit(recipe, train=list_folder(videos), out=out, workers=0, device="cpu", **options)
    if "model" in options:
        return {name: value.detach().clone() for name, value in options["model"].state_dict().items()}
    return read_checkpoint(out / "last.safetensors").tensors


def differing(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> list[str]:
    return [name for name in one if not torch.equal(one[name], two[name])]


def test_parameters_without_decay_do_not_change(videos, tmp_path) -> None:
    """With all gradients at zero and a strong decay, decaying parameters shrink and all others are bit for bit the same."""

    class Still(SmallTransformer):
        def forward(self, clip_BCTHW: torch.Tensor) -> torch.Tensor:
            return 0 * super().forward(clip_BCTHW)

    torch.manual_seed(0)
    module = Still()
    before = {name: value.detach().clone() for name, value in module.named_parameters()}
    recipe = RECIPE.variant(train={"optimizer": AdamW(lr=0.1, weight_decay=0.5), "epochs": 1})
    marey.fit(recipe, train=list_folder(videos), out=tmp_path / "a", model=module, workers=0, device="cpu")
    shrunk = {name for name, value in module.named_parameters() if not torch.equal(value, before[name])}
    inside = {f"blocks.{n}.{layer}.weight" for n in range(DEPTH) for layer in ("attention.qkv", "fc1", "fc2")}
    assert shrunk == {"patch_embed.weight", "head.weight", *inside}


@pytest.mark.parametrize(
    ("own", "norm_batch"), [(True, None), (False, None), (False, 2)], ids=["own", "ours", "ours, norms of parts"]
)
def test_recomputing_changes_no_bit(videos, tmp_path, own, norm_batch) -> None:
    """With dropout and drop path, gradient accumulation, and norms that only the first micro-batch updates."""
    recipe = RECIPE.variant(train={"drop_path": 0.5, "norm_batch": norm_batch})
    plain = fitted(recipe, videos, tmp_path / "a", own=own, batch=2)
    again = recipe.variant(train={"checkpointing": True})
    assert differing(plain, fitted(again, videos, tmp_path / "b", own=own, batch=2)) == []
    without = fitted(RECIPE.variant(train={"norm_batch": norm_batch}), videos, tmp_path / "c", own=own, batch=2)
    assert differing(plain, without)


def test_your_own_module_drops_paths_as_the_recipe_declares(videos, tmp_path) -> None:
    """During training; afterwards its layers have their earlier settings."""
    module, seen = SmallTransformer(), []
    layers = [layer for layer in module.modules() if isinstance(layer, DropPath)]
    module.register_forward_pre_hook(lambda *_: seen.append([layer.rate for layer in layers]))
    recipe = RECIPE.variant(train={"drop_path": 0.2, "epochs": 1})
    marey.fit(recipe, train=list_folder(videos), out=tmp_path / "a", model=module, workers=0, device="cpu")
    assert seen[0] == pytest.approx([0, 0.1, 0.2])
    assert [layer.rate for layer in layers] == [0, 0, 0]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"drop_path": 0.1}, r"train.drop_path=0.1: Sequential has no"),
        ({"checkpointing": True}, "train.checkpointing: Seq"),
    ],
)
def test_a_module_without_such_layers_is_refused(videos, tmp_path, train, message) -> None:
    module = nn.Sequential(nn.AdaptiveAvgPool3d(2), nn.Flatten(), nn.Linear(24, 2))
    with pytest.raises(RecipeError, match=f"^{message}"):
        marey.fit(RECIPE.variant(train=train), train=list_folder(videos), out=tmp_path, model=module, workers=0)


def test_a_run_begun_by_an_older_version_resumes(videos, tmp_path) -> None:
    """Its recipe lacks the fields that are new; a recipe with other values is still another run."""
    fitted(RECIPE, videos, tmp_path / "a")
    state = tmp_path / "a" / "last.ckpt"
    content = torch.load(state, weights_only=True)
    old = json.loads(content["run"]["recipe"])
    del old["train"]["drop_path"], old["train"]["checkpointing"], old["train"]["schedule"]["length"]
    older = content["run"] | {"recipe": json.dumps(old)}
    progress, _ = load_state(state)
    parts = {name: value for name, value in content.items() if name not in ("run", "progress")}
    save_state(state, progress, older, parts)
    marey.fit(RECIPE, train=list_folder(videos), out=tmp_path / "a", workers=0, device="cpu", resume=True)
    save_state(state, progress, older, parts)
    other = RECIPE.variant(train={"drop_path": 0.1})
    with pytest.raises(marey.MareyError, match=r"another run \(recipe.train.drop_path: there 0"):
        marey.fit(other, train=list_folder(videos), out=tmp_path / "a", workers=0, device="cpu", resume=True)
