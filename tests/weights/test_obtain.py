"""Which sources of weights are tried, in which order, and when the user must confirm; with a server on this machine."""

import hashlib
import json
import sys
import types
from datetime import date

import pytest
import torch
from pydantic import ValidationError

from marey.base.errors import WeightsError
from marey.recipe import CompanionFile, Hash, HostState, Source
from marey.recipe.hosts import state_of
from marey.recipe.source import usable_sources
from marey.recipes import RECIPES, find_two_stream, get_recipe
from marey.weights.checkpoint import save_checkpoint
from marey.weights.fetching import obtain as policy
from marey.weights.fetching.cached_files import cached_path, record_path
from marey.weights.fetching.obtain import check_obtainable, check_row, obtain, obtain_named, without_hash
from marey.weights.fetching.similar_rows import nearest_row, nearest_rows, nearest_two_stream
from marey.weights.layouts import mmaction2
from marey.weights.load import build_model, load_model
from tests.support.serving import says, serving, whole

CONTENT = b"weights " * 5000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
BLOB = hashlib.sha1(f"blob {len(CONTENT)}\0".encode() + CONTENT, usedforsecurity=False).hexdigest()
GONE = HostState(reported="gone", date=date(2021, 8, 12), evidence="NoSuchBucket (a/b#1)")
BACK = HostState(reported="lost and back", date=date(2026, 6, 6), evidence="expired (a/b#2)")
LIVES = HostState(reported="no loss reported")
SMALL = get_recipe("slowonly_r18_8x2_motions").variant(model={"width": 4, "num_classes": 3})


@pytest.fixture(autouse=True)
def online(cache, monkeypatch) -> None:
    """Files may be fetched, from no mirror, into a cache that is empty."""
    for name in ("MAREY_OFFLINE", "MAREY_MIRROR"):
        monkeypatch.delenv(name, raising=False)


def source(address, digits=SHA256[:8], *, state=LIVES, stated_by="the publisher", **more):
    known = None if digits is None else Hash(digits=digits, stated_by=stated_by)
    return Source(address=address, by="somebody", hash=known, state=state, **more)


def row(*sources, name="mine"):
    return SMALL.variant(name=name, weights=sources)


# In which order -------------------------------------------------------------------------------------------------------


def test_sources_are_tried_from_the_most_to_the_least_trusted() -> None:
    prefix, verified = source("https://a.org/1.pth"), source("https://a.org/2.pth", SHA256)
    theirs, nothing = source("https://a.org/3.pth", SHA256, stated_by="others"), source("https://a.org/4.pth", None)
    back, back_unknown = source("https://b.org/5.pth", state=BACK), source("https://b.org/6.pth", None, state=BACK)
    gone = source("https://c.org/7.pth", SHA256, state=GONE)
    given = (gone, nothing, back, back_unknown, prefix, theirs, verified)
    assert usable_sources(given) == (verified, theirs, prefix, nothing, back)


def test_a_host_that_is_gone_is_never_asked() -> None:
    with serving(whole(CONTENT)) as server:
        with pytest.raises(WeightsError, match=r"gone from 127.0.0.1 since 2021-08 \(NoSuchBucket \(a/b#1\)\)"):
            obtain(row(source(f"{server.url}/a.pth", SHA256, state=GONE)), trust_first_use=True)
        assert not server.asked


def test_an_address_that_the_user_types_is_asked_with_a_warning(capsys, monkeypatch) -> None:
    with serving(whole(CONTENT)) as server:
        address = f"{server.url}/a-{SHA256[:8]}.pth"
        monkeypatch.setattr(policy, "state_of", lambda _: GONE)
        assert obtain_named(address).path.read_bytes() == CONTENT
    said = capsys.readouterr().err
    assert "reported gone (NoSuchBucket (a/b#1))" in said
    assert "because you named the address" in said


def test_the_next_source_answers_where_the_first_does_not() -> None:
    with serving(says(404), whole(CONTENT)) as server:
        found = obtain(row(source(f"{server.url}/first.pth"), source(f"{server.url}/second.pth", state=BACK)))
    assert found.path.name == "second.pth"
    with serving(says(404)) as server:
        sources = [source(f"{server.url}/x/first.pth", "1" * 8), source(f"{server.url}/x/second.pth", "1" * 8)]
        with pytest.raises(WeightsError, match=r"x/first.pth.*404.*x/second.pth.*404"):
            obtain(row(*sources))


# On whose word ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "trust", "said"),
    [
        (Hash(digits=SHA256), "verified", "as its publisher states it"),
        (
            Hash(digits=SHA256, stated_by="three projects"),
            "checked",
            "its SHA-256 is known from: three projects; its publisher states none",
        ),
        (
            Hash(digits=BLOB, algorithm="git_blob", stated_by="its tree"),
            "checked",
            "its git blob is known from: its tree",
        ),
        (
            Hash(digits=SHA256[:8]),
            "prefix",
            "they reveal a damaged file, but not one that an attacker made with the same digits",
        ),
        (None, "none", "it was trusted on first use"),
    ],
)
def test_how_a_file_was_checked_is_printed_and_recorded(known, trust, said, capsys) -> None:
    with serving(whole(CONTENT)) as server:
        declared = Source(address=f"{server.url}/a.pth", by="somebody", hash=known, state=LIVES)
        assert declared.trust == trust
        found = obtain(row(declared), trust_first_use=True)
        assert obtain(row(declared)).path == found.path
        assert len(server.asked) == 1
    assert (found.record.sha256, found.record.trust) == (SHA256, trust)
    assert json.loads(record_path(found.path).read_text())["sha256"] == SHA256
    shown = " ".join(capsys.readouterr().err.split())
    assert said in shown
    assert SHA256 in shown


@pytest.mark.parametrize(
    "known", [Hash(digits="0" * 64), Hash(digits="0" * 40, algorithm="git_blob"), Hash(digits="0" * 8)]
)
def test_another_file_than_the_declared_one_is_refused(known, cache) -> None:
    with serving(whole(CONTENT)) as server, pytest.raises(WeightsError, match=known.digits[:8]):
        obtain(row(Source(address=f"{server.url}/a.pth", by="somebody", hash=known, state=LIVES)))
    assert not list(cache.rglob("*.pth"))


def test_without_a_hash_the_user_is_asked_first() -> None:
    with serving(whole(CONTENT)) as server:
        mine = row(source(f"{server.url}/a.pth", None))
        for call in (obtain, check_obtainable):
            with pytest.raises(WeightsError, match=r"no hash of a.pth was published.*--trust-first-use"):
                call(mine)
        assert not server.asked
        check_obtainable(mine, trust_first_use=True)
        obtain(mine, trust_first_use=True)
        obtain(mine)


def test_a_later_change_is_refused_with_both_hashes(cache) -> None:
    other = CONTENT[:-1] + b"!"
    changed = hashlib.sha256(other).hexdigest()
    with serving(whole(CONTENT), whole(other)) as server:
        mine = row(source(f"{server.url}/a.pth", None))
        path = obtain(mine, trust_first_use=True).path
        path.write_bytes(other)
        with pytest.raises(WeightsError, match=f"{SHA256}.*{changed}.*marey weights remove a.pth"):
            obtain(mine)
        path.unlink()
        with pytest.raises(WeightsError, match=f"{SHA256}.*{changed}.*--forget"):
            obtain(mine, trust_first_use=True)
        assert not path.exists()
        record_path(path).unlink()
        assert obtain(mine, trust_first_use=True).record.sha256 == changed


def test_a_cache_of_version_0_1_is_taken_over(cache) -> None:
    declared = source("https://a.org/old.pth")
    cached_path(declared).parent.mkdir(parents=True)
    cached_path(declared).write_bytes(CONTENT)
    assert obtain(row(declared)).record.sha256 == SHA256


def test_names_and_addresses_without_a_hash_are_found() -> None:
    names = ["slowonly_r50_4x16_k400_pyslowfast", "slowonly_r50_4x16_k400_mmaction2", "ircsn_r152_ig65m"]
    found = [source.file for source in without_hash([*names, "https://a.org/b.pth", "https://a.org/b-0123abcd.pth"])]
    assert found == ["SLOWONLY_4x16_R50.pkl", "irCSN_152_ig65m_from_scratch_f125286141.pth", "b.pth"]


# Mirrors, parts, no network -------------------------------------------------------------------------------------------


def test_a_mirror_is_searched_first_for_a_host_that_is_gone_too(tmp_path, monkeypatch) -> None:
    (tmp_path / "lab" / "c.org" / "models").mkdir(parents=True)
    (tmp_path / "lab" / "c.org" / "models" / "a.pth").write_bytes(CONTENT)
    monkeypatch.setenv("MAREY_MIRROR", str(tmp_path / "lab"))
    gone = row(source("https://c.org/models/a.pth", state=GONE))
    check_obtainable(gone)
    assert obtain(gone).record.sha256 == SHA256
    with pytest.raises(WeightsError, match="gone from c.org"):
        obtain(row(source("https://c.org/models/b.pth", "0" * 8, state=GONE)))


def test_a_mirrors_file_needs_the_same_hash_or_confirmation(tmp_path, monkeypatch) -> None:
    (tmp_path / "a.pth").write_bytes(CONTENT)
    monkeypatch.setenv("MAREY_MIRROR", str(tmp_path))
    with pytest.raises(WeightsError, match="no hash of a.pth was published"):
        obtain(row(source("https://a.org/a.pth", None)))
    assert obtain(row(source("https://a.org/a.pth", None)), trust_first_use=True).record.trust == "none"


def test_a_source_of_several_files() -> None:
    index = b"index"
    with serving(whole(CONTENT), whole(index)) as server:
        part = CompanionFile(name="model.ckpt.index", hash=Hash(digits=hashlib.sha256(index).hexdigest()))
        whole_source = source(f"{server.url}/rgb/model.ckpt.data-00000-of-00001", SHA256, parts=(part,))
        found = obtain(row(whole_source))
        assert [path for path, _ in server.asked] == ["/rgb/model.ckpt.data-00000-of-00001", "/rgb/model.ckpt.index"]
    assert (found.path / "model.ckpt.index").read_bytes() == index
    assert whole_source.trust == "verified"
    assert whole_source.model_copy(update={"parts": (CompanionFile(name="x"),)}).trust == "none"


def test_without_a_network_the_missing_file_is_named(monkeypatch) -> None:
    monkeypatch.setenv("MAREY_OFFLINE", "1")
    with pytest.raises(WeightsError, match=r"mine: a.pth \(2.0 MB\) is not in the cache.*marey weights fetch mine"):
        obtain(row(source("https://a.org/a.pth", size=2_000_000)))
    with pytest.raises(WeightsError, match="not in the cache"):
        obtain_named("https://a.org/a-01234567.pth")


# What is loaded -----------------------------------------------------------------------------------------------------------


def network_file(path):
    """A small SlowOnly in MMAction2's layout; its SHA-256."""
    torch.manual_seed(0)
    network = SMALL.model.build()
    state = network.state_dict()
    torch.save({theirs: state[ours].clone() for theirs, ours in mmaction2.pairs(network)}, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_results_name_the_file(tmp_path) -> None:
    digits = network_file(tmp_path / "a.pth")
    with serving(whole((tmp_path / "a.pth").read_bytes())) as server:
        model = load_model(row(source(f"{server.url}/a.pth", digits[:8], layout="mmaction2")))
    assert model.origin.sha256 == digits
    assert model.load_report.as_json()["origin"] == {
        "address": f"{server.url}/a.pth", "sha256": digits, "trust": "prefix",
    }  # fmt: skip


def test_a_file_of_another_layout_is_refused(tmp_path) -> None:
    digits = network_file(tmp_path / "a.pth")
    with serving(whole((tmp_path / "a.pth").read_bytes())) as server:
        mine = row(source(f"{server.url}/a.pth", digits, layout="pyslowfast"))
        with pytest.raises(WeightsError, match="in the layout mmaction2, and .* is declared in pyslowfast"):
            load_model(mine)


def test_a_file_for_another_network_or_other_classes_is_named(tmp_path) -> None:
    network_file(tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"The file holds 3 classes; .* has 7 classes"):
        load_model(SMALL.variant(name="mine", model={"num_classes": 7}), weights=tmp_path / "a.pth")
    with pytest.raises(
        WeightsError, match=r"The file holds depth 18, 3 classes; slowonly_r50.* has depth 50, 400 classes"
    ):
        load_model("slowonly_r50_8x8_k400_mmaction2", weights=tmp_path / "a.pth")


def test_an_address_is_a_file_of_weights(tmp_path) -> None:
    save_checkpoint(tmp_path / "a.safetensors", build_model(SMALL, ("a", "b", "c")))
    digits = hashlib.sha256((tmp_path / "a.safetensors").read_bytes()).hexdigest()
    with serving(whole((tmp_path / "a.safetensors").read_bytes())) as server:
        model = load_model(f"{server.url}/a-{digits[:8]}.safetensors")
    assert model.class_names == ("a", "b", "c")
    assert model.origin.trust == "prefix"


def test_a_folder_cloned_without_git_lfs_is_named(tmp_path) -> None:
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5120\n")
    with pytest.raises(WeightsError, match=r"model.safetensors: a Git LFS pointer to a file of 5120 bytes .*expected"):
        load_model(tmp_path)


def test_hugging_face(tmp_path, monkeypatch) -> None:
    asked_for = {}

    def snapshot_download(name, **options):
        asked_for.update(options, name=name)
        return str(tmp_path / "snapshot")

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=snapshot_download))
    (tmp_path / "snapshot").mkdir()
    save_checkpoint(tmp_path / "snapshot" / "model.safetensors", build_model(SMALL), SMALL)
    assert load_model("hf://me/actions@v2").recipe == SMALL
    assert (asked_for["name"], asked_for["revision"], asked_for["local_files_only"]) == ("me/actions", "v2", False)
    assert load_model(weights="hf://me/actions").recipe == SMALL
    assert asked_for["revision"] is None


# Which row is nearest -----------------------------------------------------------------------------------------------------


NEAREST = {
    "tsn_r50_3seg_k400": ("tsn_r50_8seg_k400_mmaction2", "tsn_r50_3seg_k400_mmaction2"),
    "tsn_r50_8seg_k400": ("tsn_r50_8seg_k400_mmaction2",),
    "i3d_incv1_rgb_64x1_k400": ("i3d_incv1_rgb_64x1_k400_deepmind",),
    "i3d_incv1_flow_64x1_k400": ("i3d_incv1_flow_64x1_k400_deepmind",),
    "i3d_incv1_rgb_64x1_ucf101": (),
    "i3d_incv1_flow_64x1_hmdb51": (),
    "i3d_r50_32x2_k400": ("i3d_r50_8x8_k400_pytorchvideo", "i3d_r50_32x2_k400_mmaction2"),
    "slowonly_r50_4x16_k400": ("slowonly_r50_4x16_k400_pyslowfast", "slowonly_r50_4x16_k400_mmaction2"),
    "slowonly_r50_4x16_k400_imagenet": (
        "slowonly_r50_4x16_k400_pyslowfast", "slowonly_r50_4x16_k400_imagenet_mmaction2",
    ),
    "slowonly_r50_8x8_k400": ("slowonly_r50_8x8_k400_pyslowfast",),
    "slowonly_r101_8x8_k400": ("slowonly_r101_8x8_k400_mmaction2",),
    "slowonly_r101_8x8_k400_imagenet": ("slowonly_r101_8x8_k400_mmaction2",),
    "slowfast_r50_4x16_k400": ("slowfast_r50_4x16_k400_pytorchvideo",),
    "r2plus1d_r34_8x8_k400_ig65m": ("r2plus1d_r34_8x1_k400_ig65m_vmz",),
    "r2plus1d_r34_32x2_k400_ig65m": ("r2plus1d_r34_32x1_k400_ig65m_vmz",),
    "ircsn_r152_32x2_k400_ig65m": ("ircsn_r152_32x2_k400_ig65m_vmz",),
    "ipcsn_r152_32x2_k400_ig65m": ("ipcsn_r152_32x2_k400_ig65m_vmz", "ipcsn_r152_32x2_k400_ig65m_mmaction2"),
}  # fmt: skip
"""The announcement's rows, the nearest on a host without a reported loss, and a nearer one on MMAction2's host."""


@pytest.mark.parametrize("name", NEAREST)
def test_the_nearest_row_that_one_can_get(name) -> None:
    assert tuple(other.name for other in nearest_rows(get_recipe(name))) == NEAREST[name]


def test_the_error_of_every_lost_row_names_alternatives() -> None:
    lost = [recipe for recipe in RECIPES if recipe.weights and not usable_sources(recipe.weights)]
    assert len(lost) > 20
    for recipe in lost:
        with pytest.raises(WeightsError) as caught:
            check_obtainable(recipe, trust_first_use=True)
        message, near = str(caught.value), nearest_row(recipe)
        assert recipe.weights[0].state.evidence in message
        assert near.name in message and "top-1" in message if near else "No row" in message
        assert "marey weights scan" in message and "MAREY_MIRROR" in message and "--weights" in message


def test_a_row_of_two_streams_names_another() -> None:
    row = find_two_stream("i3d_incv1_twostream_64x1_k400")
    assert nearest_two_stream(row).name == "i3d_incv1_twostream_64x1_k400_deepmind"
    with pytest.raises(
        WeightsError, match=r"both streams: marey weights fetch i3d_incv1_twostream_64x1_k400_deepmind \(top-1 74.2\)"
    ):
        check_row(row)
    with pytest.raises(WeightsError, match="No row of this network on ucf101|training can start from"):
        check_row(find_two_stream("i3d_incv1_twostream_64x1_ucf101"))


def test_names_below_a_lost_host_are_lost_too() -> None:
    assert state_of("https://mirror.download.openmmlab.com/x").reported == "lost and back"
    assert state_of("https://not-download.openmmlab.com.org/x").reported == "no loss reported"


# What must not be believed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/b", "a\\b", "..", "", "a\0b", "x" * 201, "a.pth"])
def test_a_companion_file_has_a_plain_file_name(name) -> None:
    with pytest.raises(ValidationError):
        source("https://a.org/a.pth", parts=[{"name": name}])


@pytest.mark.parametrize(
    "address", ["https:///a.pth", "https://me:secret@a.org/a.pth", "https://a.org/%00.pth", "file://localhost/a"]
)
def test_an_address_has_a_host_and_a_file(address) -> None:
    with pytest.raises(ValidationError):
        source(address)


@pytest.mark.parametrize(
    "address",
    [
        "https://open-mmlab.s3.ap-northeast-2.amazonaws.com/a.pth",
        "https://OPEN-MMLAB.s3.ap-northeast-2.amazonaws.com./a.pth",
        "https://s3.ap-northeast-2.amazonaws.com/open-mmlab/mmaction/a.pth",
        "https://open-mmlab.s3.amazonaws.com/a.pth",
        "https://open-\u00admmlab.s3.amazonaws.com/a.pth",
    ],
)
def test_a_recipe_cannot_declare_a_lost_host_as_available(address) -> None:
    declared = source(address, SHA256, state=LIVES)
    assert declared.state.reported == "gone"
    assert not usable_sources([declared])
    assert usable_sources([source("https://s3.ap-northeast-2.amazonaws.com/another/a.pth")])


def test_records_beside_a_file_of_the_user_are_not_read(tmp_path) -> None:
    save_checkpoint(tmp_path / "best.safetensors", build_model(SMALL))
    for text in (
        "{}",
        "[" * 100_000,
        json.dumps(
            {"sha256": "f" * 64, "size": 1, "address": "https://a.org/x", "trust": "verified", "date": "2026-01-01"}
        ),
    ):
        (tmp_path / "best.safetensors.json").write_text(text)
        assert load_model(tmp_path / "best.safetensors").origin is None


def test_a_changed_file_of_the_cache_is_refused_by_its_path_too(tmp_path) -> None:
    digits = network_file(tmp_path / "a.pth")
    with serving(whole((tmp_path / "a.pth").read_bytes())) as server:
        path = obtain(row(source(f"{server.url}/a.pth", digits))).path
    assert load_model(SMALL, weights=path).origin.sha256 == digits
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(WeightsError, match=f"changed since .* was {digits}, now"):
        load_model(SMALL, weights=path)


def test_a_file_put_into_the_cache_by_hand_is_not_trusted() -> None:
    with serving(whole(CONTENT)) as server:
        unknown = source(f"{server.url}/a.pth", None)
        cached_path(unknown).parent.mkdir(parents=True)
        cached_path(unknown).write_bytes(b"placed by hand")
        with pytest.raises(WeightsError, match="no hash of a.pth was published"):
            check_obtainable(row(unknown))
        assert obtain(row(unknown), trust_first_use=True).record.sha256 == SHA256
        assert len(server.asked) == 1


def test_trust_is_that_of_the_current_declaration(tmp_path) -> None:
    digits = network_file(tmp_path / "a.pth")
    with serving(whole((tmp_path / "a.pth").read_bytes())) as server:
        obtain(row(source(f"{server.url}/evil/a.pth", digits)))
        named = load_model(row(source("https://c.org/a.pth", digits[:8], state=GONE, layout="mmaction2")))
        assert (named.origin.trust, named.origin.address) == ("prefix", f"{server.url}/evil/a.pth")
        blob = Hash(algorithm="git_blob", digits=digits[:8] + "0" * 32)
        with pytest.raises(WeightsError, match="its git blob id is .*states"):
            obtain(row(Source(address="https://d.org/a.pth", by="x", hash=blob, state=LIVES)))


def test_a_cache_that_may_only_be_read_serves_what_is_there(monkeypatch) -> None:
    declared = source("https://a.org/old.pth")
    cached_path(declared).parent.mkdir(parents=True)
    cached_path(declared).write_bytes(CONTENT)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("marey.weights.fetching.cached_files.write_json", refuse)
    assert obtain(row(declared)).record.sha256 == SHA256


def test_a_record_that_cannot_be_read_is_one_clear_line() -> None:
    declared = source("https://a.org/a.pth")
    cached_path(declared).parent.mkdir(parents=True)
    cached_path(declared).write_bytes(CONTENT)
    for text in ("{", "{}", "[" * 100_000):
        record_path(cached_path(declared)).write_text(text)
        with pytest.raises(WeightsError, match=r"a.pth.json: .*Remove it\."):
            obtain(row(declared))


def test_a_typed_address_on_a_lost_host_needs_confirmation() -> None:
    (found,) = without_hash(["https://open-mmlab.s3.ap-northeast-2.amazonaws.com/mine.pth"])
    assert found.state.reported == "gone"


def test_a_hash_on_a_host_that_came_back_is_preferred_to_a_file_without_one(capsys) -> None:
    with serving(whole(CONTENT)) as server:
        unknown, back = source(f"{server.url}/x/a.pth", None), source(f"{server.url}/y/b.pth", state=BACK)
        assert obtain(row(unknown, back)).path.name == "b.pth"
        assert [path for path, _ in server.asked] == ["/y/b.pth"]
    assert "no hash of a.pth was published" in capsys.readouterr().err


def test_offline_a_mirrors_file_without_a_hash_is_named_with_the_option(tmp_path, monkeypatch) -> None:
    (tmp_path / "a.pth").write_bytes(CONTENT)
    monkeypatch.setenv("MAREY_MIRROR", str(tmp_path))
    monkeypatch.setenv("MAREY_OFFLINE", "1")
    mine = row(source("https://a.org/a.pth", None))
    with pytest.raises(WeightsError, match=rf"--trust-first-use.*would be used from {tmp_path}"):
        obtain(mine)
    assert obtain(mine, trust_first_use=True).record.sha256 == SHA256


@pytest.mark.parametrize(
    "address",
    [
        "https://open%2Dmmlab.s3.amazonaws.com/a.pth",
        "https://download%2Eopenmmlab.com/a.pth",
        "https://hanlab18．mit.edu/a",
    ],
)
def test_another_spelling_of_a_lost_host_is_that_host(address) -> None:
    assert state_of(address).reported != "no loss reported"


def test_digits_that_others_state_are_called_digits(capsys) -> None:
    with serving(whole(CONTENT)) as server:
        obtain_named(f"{server.url}/a-{SHA256[:8]}.pth")
    assert "its first 8 digits are those of the file's name: they reveal a damaged file" in capsys.readouterr().err


def test_the_file_without_a_hash_is_the_one_that_is_named() -> None:
    mine = row(
        source("https://a.org/model.ckpt.data-00000-of-00001", SHA256, parts=(CompanionFile(name="model.ckpt.index"),))
    )
    with pytest.raises(WeightsError, match=r"no hash of model.ckpt.index was published"):
        check_obtainable(mine)
