"""hf:// by plain HTTPS against a server on this machine, and by a stand-in for the hub's client."""

import hashlib
import json
import re
import sys
import types
from pathlib import Path

import pytest

from marey.base.errors import WeightsError
from marey.recipe.source import Hash
from marey.weights.fetching.connections import AbsentError, SourceError
from marey.weights.fetching.download import RetryPolicy
from marey.weights.fetching.hub import fetch_file, fetch_hub_file, fetch_snapshot, hub_address, names_file
from tests.support.serving import by_path, says, serving, whole

CONTENT = bytes(range(256)) * 20
RECIPE = b'{"marey": "1"}'
KNOWN = Hash(digits=hashlib.sha256(CONTENT).hexdigest())
FAST = RetryPolicy(pause=0.01, timeout=5.0, tries=2)
ONE, TWO = "1" * 40, "2" * 40


@pytest.fixture(autouse=True)
def online(cache, monkeypatch) -> None:
    """Files may be fetched, from no mirror, into a cache that is empty; huggingface_hub is not installed."""
    for name in ("MAREY_OFFLINE", "MAREY_MIRROR", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)


def blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def listing(commit: str, *, model: bytes = CONTENT, recipe: bytes | None = RECIPE):
    """What the hub answers of a revision."""
    files = [{
        "rfilename": "model.safetensors", "size": len(model), "blobId": "a" * 40,
        "lfs": {"sha256": hashlib.sha256(model).hexdigest(), "size": len(model), "pointerSize": 135},
    }]  # fmt: skip
    if recipe is not None:
        files.append({"rfilename": "recipe.json", "size": len(recipe), "blobId": blob(recipe)})
    return says(200, json.dumps({"id": "me/net", "sha": commit, "gated": False, "siblings": files}).encode())


# -- addresses


@pytest.mark.parametrize(("address", "path"), [
    ("hf://me/net/a.pth", "me/net/resolve/main/a.pth"),
    ("hf://me/net@v1.0/x/y/a.pth", "me/net/resolve/v1.0/x/y/a.pth"),
    ("hf://me-2/my.net_1@refs/pr/12/a.pth", "me-2/my.net_1/resolve/refs%2Fpr%2F12/a.pth"),
    ("hf://me/net@a%2Fb/c.pth", "me/net/resolve/a%2Fb/c.pth"),
    ("hf://me/net@v1/a b%20c%23.pth", "me/net/resolve/v1/a%20b%20c%23.pth"),
    ("hf://me/net/a@b.pth", "me/net/resolve/main/a%40b.pth"),
])  # fmt: skip
def test_an_address_of_the_hub_by_https(address, path, monkeypatch) -> None:
    assert hub_address(address) == f"https://huggingface.co/{path}"
    monkeypatch.setenv("HF_ENDPOINT", "https://copy.example/hub/")
    assert hub_address(address) == f"https://copy.example/hub/{path}"
    assert hub_address(address, endpoint="https://huggingface.co") == f"https://huggingface.co/{path}"


@pytest.mark.parametrize(
    ("address", "is_file"),
    [
        ("me/net", False), ("me/net@v1", False), ("me/net@refs/pr/1", False), ("me/net@a%2Fb", False),
        ("me/net/a.pth", True), ("me/net@v1/b/a.pth", True), ("me/net@refs/pr/1/a.pth", True),
    ],
)  # fmt: skip
def test_which_addresses_name_a_file(address, is_file) -> None:
    assert names_file(f"hf://{address}") is is_file


@pytest.mark.parametrize("address", ["hf://me", "hf://datasets/me/net", "hf://me/net@", "hf://me/net?x"])
def test_what_is_no_address_of_the_hub(address) -> None:
    expected = f"^{re.escape(address)}: expected hf://org/name or .*, or hf://org/name@revision/file"
    with pytest.raises(WeightsError, match=expected):
        names_file(address)


@pytest.mark.parametrize("address", [
    "hf://me", "hf://me/net", "hf://me/net@v1", "hf:///net/a.pth", "hf://me/net@/a.pth", "hf://me//a.pth", "hf://me/net/",
    "hf://me/net/../a.pth", "hf://me/net/x//a.pth", "hf://me/net/%2e%2e/a.pth", "hf://me/net/a.pth?x=1", "hf://me/net/a#b.pth",
    "hf://../net/a.pth", "hf://datasets/me/net/a.pth", "hf://m e/net/a.pth", "https://huggingface.co/me/net/a.pth",
])  # fmt: skip
def test_what_is_no_address_of_a_file(address, tmp_path) -> None:
    with pytest.raises(WeightsError, match="expected hf://org/name@revision/file"):
        fetch_hub_file(address, tmp_path / "a.pth", known=None)


@pytest.mark.parametrize(
    "address", ["hf://me", "hf://a/b/c", "hf:///b", "hf://a/b@", "hf://spaces/me/net", "hf://a/b?c"]
)
def test_what_is_no_address_of_a_model(address) -> None:
    with pytest.raises(WeightsError, match="expected hf://org/name"):
        fetch_snapshot(address)


# -- files


def test_a_file_comes_by_plain_https(tmp_path, monkeypatch) -> None:
    target = tmp_path / "cache" / "a.pth"
    with serving(says(302, Location="/storage/1234"), whole(CONTENT)) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        fetch_file("hf://me/net@v1/a.pth", target, known=KNOWN, retries=FAST)
        assert [path for path, _ in server.asked] == ["/me/net/resolve/v1/a.pth", "/storage/1234"]
        assert not any("authorization" in {name.lower() for name in headers} for _, headers in server.asked)
        fetch_file(f"{server.url}/b.pth", target.with_name("b.pth"), known=KNOWN, size=len(CONTENT), retries=FAST)
        assert server.asked[2][0] == "/b.pth"
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(("status", "advice"), [(401, True), (403, True), (404, False)])
def test_a_refusal_names_a_private_repository_as_possible_reason(status, advice, tmp_path, monkeypatch) -> None:
    with serving(says(status)) as server, pytest.raises(AbsentError) as caught:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        fetch_hub_file("hf://me/net/a.pth", tmp_path / "a.pth", known=None, retries=FAST)
    assert caught.value.status == status
    assert f"answers {status}" in str(caught.value)
    assert (
        'private or gated, for which the extra "hub" (pip install "marey[hub]") uses your token' in caught.value.what
    ) == advice


def test_the_client_fetches_where_it_is_installed(tmp_path, monkeypatch) -> None:
    kept, asked = tmp_path / "hub-cache" / "blob", []
    kept.parent.mkdir()
    kept.write_bytes(CONTENT)

    def hf_hub_download(*words, **options):
        asked.append((words, options))
        return str(kept)

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(hf_hub_download=hf_hub_download))
    target = tmp_path / "cache" / "a.pth"
    fetch_file("hf://me/net@a%2Fb/x/a.pth", target, known=KNOWN)
    assert target.readlink() == kept
    monkeypatch.setenv("MAREY_OFFLINE", "1")
    fetch_file("hf://me/net/a.pth", target, known=None, size=len(CONTENT))
    assert asked == [
        (("me/net", "x/a.pth"), {"revision": "a/b", "local_files_only": False}),
        (("me/net", "a.pth"), {"revision": None, "local_files_only": True}),
    ]
    target.unlink()
    for known, size, why in ((Hash(digits="0" * 8), None, "SHA-256 begins"), (None, 9, "5120 bytes, expected 9")):
        with pytest.raises(SourceError, match=f"hf://me/net/a.pth: is not the file that was published: .*{why}"):
            fetch_file("hf://me/net/a.pth", target, known=known, size=size)
    assert not target.exists()

    def fails(*_, **__):
        raise RuntimeError("\nNo such thing.\nAt all")

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(hf_hub_download=fails))
    with pytest.raises(SourceError, match=r"hf://me/net/a.pth: cannot be fetched \(No such thing\.\)"):
        fetch_file("hf://me/net/a.pth", target, known=None)


# -- models


def test_a_model_is_downloaded_by_plain_https_and_a_branch_is_checked_again(cache, monkeypatch, capsys) -> None:
    answers = {
        "/api/models/me/net/revision/main": listing(ONE),
        f"/me/net/resolve/{ONE}/model.safetensors": whole(CONTENT),
        f"/me/net/resolve/{ONE}/recipe.json": whole(RECIPE),
    }
    with serving(by_path(answers)) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        folder = fetch_snapshot("hf://me/net", retries=FAST)
        assert (folder / "model.safetensors").read_bytes() == CONTENT
        assert (folder / "recipe.json").read_bytes() == RECIPE
        assert [path for path, _ in server.asked] == [
            "/api/models/me/net/revision/main?blobs=true", *(list(answers)[2:0:-1]),
        ]  # fmt: skip
        assert fetch_snapshot("hf://me/net@main", retries=FAST) == folder
        assert len(server.asked) == 4
        answers["/api/models/me/net/revision/main"] = listing(TWO, model=CONTENT[1:], recipe=None)
        answers[f"/me/net/resolve/{TWO}/model.safetensors"] = whole(CONTENT[1:])
        newer = fetch_snapshot("hf://me/net", retries=FAST)
        assert {path.name for path in newer.iterdir()} == {"model.safetensors", "model.safetensors.json"}
        assert (newer / "model.safetensors").read_bytes() == CONTENT[1:]
        assert (folder / "model.safetensors").read_bytes() == CONTENT
    capsys.readouterr()
    # Nobody answers there any more.
    assert fetch_snapshot("hf://me/net", retries=FAST) == newer
    assert f"using the commit {TWO[:12]}, which main was on" in capsys.readouterr().err
    monkeypatch.setenv("MAREY_OFFLINE", "1")
    assert fetch_snapshot("hf://me/net", retries=FAST) == newer
    assert f"MAREY_OFFLINE forbids asking the hub; using the commit {TWO[:12]}" in capsys.readouterr().err
    with pytest.raises(WeightsError, match=f"^the model hf://me/other is not in the cache .{cache}.*MAREY_OFFLINE"):
        fetch_snapshot("hf://me/other", retries=FAST)
    assert not list(cache.rglob("*.part*"))


def test_a_commit_is_asked_once(monkeypatch) -> None:
    answers = {
        f"/api/models/me/net/revision/{ONE}": listing(ONE, recipe=None),
        f"/me/net/resolve/{ONE}/model.safetensors": whole(CONTENT),
    }
    with serving(by_path(answers)) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        folder = fetch_snapshot(f"hf://me/net@{ONE}", retries=FAST)
        assert fetch_snapshot(f"hf://me/net@{ONE}", retries=FAST) == folder
        assert len(server.asked) == 2


NOT_MODELS = {
    "no model": (
        says(200, json.dumps({"sha": ONE, "siblings": [{"rfilename": "a.pth"}]}).encode()),
        "holds no model.safetensors, but a.pth",
    ),
    "no listing": (says(200, b"<html>Log in</html>"), "the answer is not in the format of the hub"),
    "no hash": (says(200, b'{"sha": "../..", "siblings": []}'), "the answer is not in the format of the hub .*sha"),
    "private": (says(401), "answers 401 .* is private or gated"),
    "not there": (says(404), "answers 404"),
    "busy": (says(503), "answers 503"),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_MODELS)
def test_a_repository_without_a_model_is_refused_in_one_clear_line(name, monkeypatch) -> None:
    answer, message = NOT_MODELS[name]
    with serving(answer) as server, pytest.raises(WeightsError, match=message) as caught:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        fetch_snapshot("hf://me/net@a%2Fb", retries=FAST)
    assert server.asked[0][0] == "/api/models/me/net/revision/a%2Fb?blobs=true"
    assert "\n" not in str(caught.value)


def test_a_models_file_is_verified_by_the_hubs_hash(monkeypatch) -> None:
    answers = {
        "/api/models/me/net/revision/main": listing(ONE, recipe=None),
        f"/me/net/resolve/{ONE}/model.safetensors": whole(CONTENT[:-1] + b"x"),
    }
    with serving(by_path(answers)) as server, pytest.raises(SourceError, match="its SHA-256 begins"):
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        fetch_snapshot("hf://me/net", retries=FAST)


def test_the_client_fetches_models_where_it_is_installed(tmp_path, monkeypatch) -> None:
    asked = {}

    def snapshot_download(name, **options):
        asked.update(options, name=name)
        return str(tmp_path / "snapshot")

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=snapshot_download))
    assert fetch_snapshot("hf://me/actions@v2") == Path(tmp_path / "snapshot")
    assert (asked["name"], asked["revision"], asked["local_files_only"]) == ("me/actions", "v2", False)
    fetch_snapshot("hf://me/actions")
    assert asked["revision"] is None
    assert asked["allow_patterns"] == ["model.safetensors", "recipe.json"]
    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=lambda *_, **__: 1 / 0))
    with pytest.raises(WeightsError, match="hf://a/b: cannot be fetched"):
        fetch_snapshot("hf://a/b")

    def not_cached(name, **options):
        assert options["local_files_only"]
        raise RuntimeError("no snapshot folder in /there")

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=not_cached))
    monkeypatch.setenv("MAREY_OFFLINE", "1")
    with pytest.raises(
        WeightsError, match=r"^the model hf://me/actions is not in the cache \(.*/there.*MAREY_OFFLINE\)\."
    ):
        fetch_snapshot("hf://me/actions")


def test_a_model_without_a_hash_of_the_hub_needs_confirmation(cache, monkeypatch) -> None:
    files = [{"rfilename": "model.safetensors", "size": len(CONTENT)}]
    answers = {
        "/api/models/me/net/revision/main": says(200, json.dumps({"sha": ONE, "siblings": files}).encode()),
        f"/me/net/resolve/{ONE}/model.safetensors": whole(CONTENT),
    }
    with serving(by_path(answers)) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        with pytest.raises(WeightsError, match=r"the hub gives no hash of model.safetensors.*--trust-first-use"):
            fetch_snapshot("hf://me/net", retries=FAST)
        model = fetch_snapshot("hf://me/net", trust_first_use=True, retries=FAST) / "model.safetensors"
        assert fetch_snapshot("hf://me/net", retries=FAST) == model.parent
        model.write_bytes(b"changed")
        with pytest.raises(WeightsError, match="changed since .* its SHA-256 was"):
            fetch_snapshot("hf://me/net", retries=FAST)
