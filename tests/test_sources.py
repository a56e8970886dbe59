"""The declared sources of weights agree with their recipes, with the state of their hosts, and with each other."""

import hashlib
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pytest
import torch

from marey.recipe.hosts import state_of
from marey.recipes import PARAMETERS, RECIPES, TWO_STREAMS, get_recipe

SOURCES = [(recipe, source) for recipe in RECIPES for source in recipe.weights]
INDICES = Path(__file__).parent / "golden" / "networks" / "i3d"
STATES = ("no loss reported", "lost and back", "gone", "none")


def test_recipes_by_the_state_of_their_best_source() -> None:
    best = [min((s.state.reported for s in r.weights), key=STATES.index, default="none") for r in RECIPES]
    assert Counter(best) == {"no loss reported": 31, "lost and back": 34, "gone": 24, "none": 11}


def test_addresses_by_host() -> None:
    assert Counter(source.host for _, source in SOURCES) == {
        "open-mmlab.s3.ap-northeast-2.amazonaws.com": 24,
        "download.openmmlab.com": 33,
        "dl.fbaipublicfiles.com": 17,
        "github.com": 14,
        "download.pytorch.org": 3,
        "huggingface.co": 3,
        "www.dropbox.com": 2,
    }


def test_no_file_belongs_to_two_recipes() -> None:
    assert len({source.address for _, source in SOURCES}) == len(SOURCES)
    owners = defaultdict(set)
    for recipe, source in SOURCES:
        # An eight-digit prefix says which file it is, as the whole hash of its copy does.
        owners[source.hash.digits[:8] if source.hash else source.file].add(recipe.name)
    assert [names for names in owners.values() if len(names) > 1] == []
    assert "df42dc84" not in owners  # of two files in MMAction2's zoo: one of them is a mistake


def test_a_variant_of_another_network_inherits_no_weights() -> None:
    recipe = get_recipe("slowonly_r50_4x16_k400_pyslowfast")
    assert recipe.variant(name="more epochs", train={"epochs": 3}).weights == recipe.weights != ()
    assert recipe.variant(name="fewer classes", model={"num_classes": 7}).weights == ()


def test_a_published_prefix_ends_the_name_of_its_file() -> None:
    prefixes = [(source.file, source.hash.digits) for _, source in SOURCES if source.trust == "prefix"]
    assert len(prefixes) == 64
    assert [file for file, digits in prefixes if not file.endswith(f"-{digits}.pth")] == []


def test_a_copy_has_the_content_of_the_publishers_file() -> None:
    for recipe, copy in SOURCES:
        if copy.kind == "copy":
            known = [s.hash.digits for s in recipe.weights if s.kind == "publisher" and s.hash is not None]
            assert any(copy.hash.digits.startswith(digits) for digits in known), copy.address


@pytest.mark.parametrize("name", ["rgb_imagenet", "rgb_scratch_kin600"])
def test_an_index_of_deepminds_is_the_file_in_its_repository(name) -> None:
    content = (INDICES / f"deepmind_i3d_{name}.index").read_bytes()
    of_name = [source for _, source in SOURCES if f"/{name}/" in source.address.replace("/tf_", "/")]
    assert of_name
    for source in of_name:
        (index,) = source.parts
        if source.kind == "copy":
            assert index.hash is None
            continue
        assert (index.hash.digits, index.size) == (hashlib.sha256(content).hexdigest(), len(content))
        assert source.trust == "checked"


def test_each_source_on_a_lost_host_states_the_loss() -> None:
    for _, source in SOURCES:
        lost = state_of(source.address)
        assert source.state == lost or lost.reported == "no loss reported", source.address
        assert source.state.evidence, source.address


def test_every_source_says_whose_it_is() -> None:
    layouts = {"mmaction", "mmaction2", "pyslowfast_caffe2", "pytorchvideo", "videoresnet", "vmz_caffe2", "deepmind"}
    assert {source.layout for _, source in SOURCES} == layouts
    for _, source in SOURCES:
        assert source.by
        assert (source.licence == "unknown") == (source.licence_stated_by == "not stated")
    assert [s.address for _, s in SOURCES if not s.commercial] == [
        "hf://yeates/DMT-VideoInpainting/release_model/i3d_rgb_imagenet.pt"
    ]


def test_what_auto_may_take_has_a_published_hash_and_no_reported_loss() -> None:
    assert Counter(source.by for _, source in SOURCES if source.not_automatic is None) == {
        "moabitcoin": 4,
        "torchvision": 3,
    }


def test_results_of_one_publication_have_the_same_number_of_videos() -> None:
    videos = defaultdict(set)
    for row in (*RECIPES, *TWO_STREAMS):
        if row.published is not None:
            videos[row.published.source, row.published.split, row.dataset].add(row.published.videos)
    assert {key: numbers for key, numbers in videos.items() if len(numbers) > 1} == {}
    assert {
        row.published.videos for row in RECIPES if row.name.endswith("_mmaction2") and "_flow_" not in row.name
    } == {19796}


def test_the_numbers_of_parameters_are_those_of_the_networks() -> None:
    @cache
    def parameters(config) -> int:
        return sum(parameter.numel() for parameter in config.build().parameters())

    with torch.device("meta"):
        assert {recipe.name: parameters(recipe.model) for recipe in RECIPES} == PARAMETERS


def test_a_file_is_at_least_as_large_as_its_parameters() -> None:
    sizes = [(source.size, PARAMETERS[recipe.name]) for recipe, source in SOURCES if source.size is not None]
    assert len(sizes) == 9
    assert all(size >= 4 * parameters for size, parameters in sizes)
