"""Models from an address, against a server on this machine and a stand-in for the hub's client."""

import hashlib
import sys
import types

import pytest
from serving import serving, whole

from marey.recipe import Weights
from marey.recipes import get_recipe
from marey.weights.checkpoint import save_checkpoint
from marey.weights.load import build_network, load_model


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MAREY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MAREY_OFFLINE", raising=False)
    monkeypatch.delenv("MAREY_MIRROR", raising=False)
    return tmp_path / "cache"


SMALL = get_recipe("slowonly_r18_8x2_motions").variant(model={"width": 4, "num_classes": 3})


def test_load_model_fetches(tmp_path) -> None:
    model = build_network(SMALL, ("a", "b", "c"))
    save_checkpoint(tmp_path / "a.safetensors", model, SMALL, model.class_names)
    content = (tmp_path / "a.safetensors").read_bytes()
    with serving(whole(content)) as server:
        weights = Weights(
            url=f"{server.url}/a.safetensors", sha256=hashlib.sha256(content).hexdigest()[:8], layout="mmaction",
            licence="Apache-2.0",
        )  # fmt: skip
        loaded = load_model(SMALL.variant(weights=weights))
    state = model.network.state_dict()
    assert all((value == state[name]).all() for name, value in loaded.network.state_dict().items())


def test_hugging_face(tmp_path, monkeypatch) -> None:
    asked = {}

    def snapshot_download(name, **options):
        asked.update(options, name=name)
        return str(tmp_path / "snapshot")

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=snapshot_download))
    (tmp_path / "snapshot").mkdir()
    save_checkpoint(tmp_path / "snapshot" / "model.safetensors", build_network(SMALL), SMALL)
    assert load_model("hf://me/actions@v2").recipe == SMALL
    assert (asked["name"], asked["revision"], asked["local_files_only"]) == ("me/actions", "v2", False)
    assert load_model(weights="hf://me/actions").recipe == SMALL
    assert asked["revision"] is None
