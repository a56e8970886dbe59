"""Signatures: each real file is recognised by one layout, and files of other networks by none."""

import gzip
import json

import pytest
import torch

from marey.base.errors import WeightsError
from marey.models.tsm.config import TSMConfig
from marey.recipes import get_recipe
from marey.weights.foreign import read_foreign
from marey.weights.layouts import deepmind_tensorflow, mmaction2, torchvision
from marey.weights.layouts.all import LAYOUTS
from marey.weights.pretraining import start
from tests.support import recorded
from tests.weights.test_layouts import configs_of, key_pairs, modules

NETWORKS = recorded.HERE / "networks"
SHARED = {
    "pytorchvideo/c2d_r50": ["pytorchvideo", "pytorchvideo_factorised"],
    "pytorchvideo/csn_r101": ["pytorchvideo", "pytorchvideo_factorised"],
}
"""Key lists that two layouts recognise: C2D, I3D, Slow and CSN of PyTorchVideo have equal keys, and only the shape of a
block's middle convolution, which `infer_config` compares, is different."""


def recorded_keys() -> dict[str, set[str]]:
    """The keys of all recorded files, by the file's path without suffix."""
    found: dict[str, set[str]] = {}
    for path in sorted(NETWORKS.rglob("*.json.gz")):
        content = json.loads(gzip.decompress(path.read_bytes()))
        name = str(path.relative_to(NETWORKS)).removesuffix(".json.gz")
        if name.endswith(".tf"):
            found[name] = set(deepmind_tensorflow.arranged({key: torch.zeros(1) for key in content}))
        else:
            found[name] = set(content) if name.endswith(".c2names") else set(content["keys"])
    return found


def recognised_by(keys: set[str]) -> list[str]:
    return [name for name, layout in modules().items() if layout.recognises(keys)]


@pytest.mark.parametrize(("name", "keys"), recorded_keys().items(), ids=recorded_keys())
def test_a_recorded_file_is_recognised_by_one_layout(name, keys) -> None:
    found = recognised_by(keys)
    assert found == SHARED[name] if name in SHARED else len(found) == 1


def test_every_layout_has_signatures_of_several_keys() -> None:
    assert all(len(signature.keys) in (2, 3) for layout in LAYOUTS for signature in layout.signatures)


@pytest.mark.parametrize("module", modules())
def test_published_networks_are_recognised_whole_and_in_part(module) -> None:
    """Also without a head, as a trunk without `backbone.`, and as an average of parameters, which has no buffers."""
    layout = modules()[module]
    for config in configs_of(module):
        pairs = key_pairs(module, config)
        whole = {theirs for theirs, _ in pairs}
        trunk = {theirs for theirs, ours in pairs if not ours.startswith("head.")}
        found = recognised_by(whole)
        assert module in found
        assert found == [module] or found in SHARED.values()
        assert layout.recognises(trunk)
        bare = {key.removeprefix("backbone.") for key in trunk}
        assert any(signature.without("backbone.").matches(bare) for signature in layout.signatures)
        if not any(key.endswith("_w") for key in whole):  # a released file of Caffe2 always has its buffers
            assert layout.recognises({theirs for theirs, ours in pairs if ".norm.running" not in ours})


def zeros(*names: str) -> dict[str, torch.Tensor]:
    return {name: torch.zeros(8, 3, 4, 4) for name in names}


FOREIGN = {
    "ConvNeXt": zeros(
        "stem.0.weight", "stem.1.weight", "stages.0.blocks.0.conv_dw.weight", "stages.0.blocks.0.norm.weight",
        "head.fc.weight",
    ),
    "a detector on another trunk": zeros(
        "backbone.conv1.weight", "backbone.bn1.weight", "backbone.dark2.0.conv.weight", "neck.lateral_convs.0.conv.weight",
        "neck.fpn_convs.0.conv.weight", "bbox_head.conv_cls.weight",
    ),
    "a detector of MMYOLO": zeros(
        "backbone.stem.conv.weight", "backbone.stage1.0.conv.weight", "neck.reduce_layers.2.conv.weight",
        "bbox_head.head_module.cls_preds.0.weight",
    ),
    "a transformer with a convolution": zeros(
        "backbone.conv1.weight", "backbone.class_embedding", "backbone.transformer.resblocks.0.attn.in_proj_weight",
        "cls_head.fc_cls.weight",
    ),
    "X3D of PyTorchVideo": zeros("blocks.0.conv.conv_t.weight", "blocks.0.conv.weight", "blocks.5.proj.weight"),
    "a 3D network with a sequential stem": zeros("stem.0.weight", "stem.1.weight", "layer1.0.norm.weight", "fc.weight"),
}  # fmt: skip


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_other_networks_are_called_unknown(name, prefix, tmp_path) -> None:
    """Each has the first convolution of a layout, and nothing else of it."""
    torch.save({"state_dict": {prefix + key: value for key, value in FOREIGN[name].items()}}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="not a layout that Marey reads"):
        read_foreign(tmp_path / "x.pth")


def test_a_detector_on_a_resnet_is_read_as_its_trunk_alone(tmp_path) -> None:
    """MMDetection's ResNets have torchvision's names. What follows the trunk is left out, and a training can start."""
    recipe = get_recipe("tsn_r50_3seg_k400").variant(model={"num_classes": 3, "depth": 18, "width": 4})
    state = recipe.model.build().state_dict()
    trunk = {f"backbone.{theirs}": state[ours].clone() for theirs, ours in torchvision.pairs(recipe.model.build())}
    trunk = {key: value for key, value in trunk.items() if not key.startswith("backbone.fc")}
    torch.save(
        {"state_dict": trunk | zeros("neck.lateral_convs.0.conv.weight", "rpn_head.conv.weight")}, tmp_path / "x.pth"
    )
    assert read_foreign(tmp_path / "x.pth").layout_names == ("torchvision",)
    report = start(recipe, tmp_path / "x.pth", ("a", "b", "c")).load_report
    assert report.dropped == ("neck (1 tensor)", "rpn_head (1 tensor)")


def test_a_tsm_file_keeps_its_signature_with_any_shift() -> None:
    """The shift wraps the first convolution of a block, or the block: other names in the middle of keys."""
    for style in ("block", "blockres"):
        keys = {theirs for theirs, _ in mmaction2.pairs(TSMConfig(depth=18, width=4, style=style).build())}
        assert recognised_by(keys) == ["mmaction2"]
