"""Copies of weights in a folder: recognised by content under any file name; once registered, they load by name."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from marey.base.errors import WeightsError
from marey.base.files import sha256
from marey.recipe import CompanionFile, Hash, Recipe, Source
from marey.recipes import RECIPES, get_recipe
from marey.weights.checkpoint import save_checkpoint
from marey.weights.fetching.cached_files import cached_path, read_record
from marey.weights.find_copies import FoundFile, find_copies, link_found
from marey.weights.layouts import mmaction2, pyslowfast
from marey.weights.load import build_model, load_model
from tests.support.recorded import write_checkpoint, write_tensorflow
from tests.support.tensorflow_files import write as write_variables

pytestmark = pytest.mark.usefixtures("cache")
SMALL = get_recipe("slowonly_r18_8x2_motions").variant(name="small", model={"width": 4, "num_classes": 3})
GONE = "https://open-mmlab.s3.ap-northeast-2.amazonaws.com/mmaction/models/"


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "copies"
    folder.mkdir()
    return folder


def write(path: Path, recipe: Recipe = SMALL, layout=mmaction2, seed: int = 0) -> Path:
    """A checkpoint of random weights as the layout's toolkit saves it."""
    torch.manual_seed(seed)
    network = recipe.model.build()
    state = network.state_dict()
    torch.save({"state_dict": {theirs: state[ours] for theirs, ours in layout.pairs(network)}}, path)
    return path


def published(address: str, known: str | None = None, **more) -> Recipe:
    """SMALL with one source of its weights."""
    hash_ = None if known is None else Hash(digits=known)
    source = Source(address=address, by="a toolkit", layout="mmaction2", hash=hash_, **more)
    return SMALL.model_copy(update={"weights": (source,)})


def only(found: tuple[FoundFile, ...]) -> FoundFile:
    (one,) = found
    return one


def test_a_published_file_is_recognised_by_content_under_any_name(folder) -> None:
    path = write(folder / "renamed by me.pt")
    recipe = published(f"{GONE}small-{sha256(path)[:8]}.pth", sha256(path)[:8])
    one = only(find_copies(folder, [recipe]))
    assert (one.kind, [row.name for row, _ in one.matches]) == ("published", ["small"])
    assert sha256(path)[:8] in one.why


def test_a_git_blob_is_compared_as_git_computes_it(folder) -> None:
    path = write(folder / "a.pt")
    blob = subprocess.run(["git", "hash-object", path], capture_output=True, text=True, check=True).stdout.strip()
    source = Source(
        address="https://github.com/a/b/raw/master/a.pt", by="a", layout="mmaction2",
        hash=Hash(algorithm="git_blob", digits=blob, stated_by="the tree"),
    )  # fmt: skip
    assert only(find_copies(folder, [SMALL.model_copy(update={"weights": (source,)})])).kind == "published"


def test_a_published_name_over_another_content_is_damaged_and_both_hashes_are_named(folder) -> None:
    path = write(folder / "small-0123abcd.pth")
    one = only(find_copies(folder, [published(f"{GONE}small-0123abcd.pth", "0123abcd")]))
    assert (one.kind, [row.name for row, _ in one.matches]) == ("damaged", ["small"])
    assert "0123abcd" in one.why and sha256(path)[:8] in one.why


def test_digits_of_a_hash_in_a_name_are_checked_and_a_run_number_is_not(folder) -> None:
    write(folder / "other-0123abcd.pth", seed=1)
    path = write(folder / "x.pth", seed=2)
    path.rename(folder / f"whole-{sha256(path)[:8]}.pth")
    write(folder / "irCSN_152_f126851907.pth", seed=3)
    kinds = {one.path.name.split("-")[0]: one.kind for one in find_copies(folder, [SMALL])}
    assert kinds == {"other": "damaged", "whole": "similar", "irCSN_152_f126851907.pth": "similar"}


def test_without_a_hash_name_size_layout_and_head_decide(folder) -> None:
    path, address = write(folder / "small.pth"), "https://example.org/small.pth"
    assert only(find_copies(folder, [published(address)])).kind == "likely"
    assert only(find_copies(folder, [published(address, size=path.stat().st_size)])).kind == "likely"
    one = only(find_copies(folder, [published(address, size=path.stat().st_size + 1)]))
    assert (one.kind, f"{path.stat().st_size + 1:,}" in one.why) == ("damaged", True)
    other_head = SMALL.variant(model={"num_classes": 5})
    write(path, other_head)
    one = only(find_copies(folder, [published(address)]))
    assert (one.kind, "5 classes" in one.why, "3 classes" in one.why) == ("misnamed", True, True)
    write(path, layout=pyslowfast)
    one = only(find_copies(folder, [published(address)]))
    assert (one.kind, "layout pyslowfast, expected mmaction2" in one.why) == ("misnamed", True)
    path.write_bytes(path.read_bytes()[:5000])
    assert only(find_copies(folder, [published(address)])).kind == "damaged"


def test_weights_of_no_published_name_are_described(folder) -> None:
    write(folder / "mine.pth")
    one = only(find_copies(folder, [SMALL]))
    assert (one.kind, one.matches) == ("similar", ())
    for said in ("slowonly 18", "3 classes", "small"):
        assert said in one.why


def test_own_unknown_and_broken_files_are_distinguished(folder) -> None:
    save_checkpoint(folder / "best.safetensors", build_model(SMALL), SMALL, ("a", "b", "c"))
    (folder / "cut.safetensors").write_bytes((folder / "best.safetensors").read_bytes()[:2000])
    (folder / "page.pth").write_text("<!DOCTYPE html><html>not found</html>")
    (folder / "empty.pth").write_bytes(b"")
    torch.save({"weight": torch.ones(3)}, folder / "tensor.pth")
    (folder / "lost.pth").symlink_to(folder / "nowhere.pth")
    (folder / "notes.txt").write_text("no weights")
    found = {one.path.name: one for one in find_copies(folder, [SMALL])}
    assert {name: one.kind for name, one in found.items()} == {
        "best.safetensors": "ours",
        "cut.safetensors": "unknown",
        "page.pth": "unknown",
        "empty.pth": "unknown",
        "tensor.pth": "unknown",
        "lost.pth": "unreadable",
    }
    assert "nowhere.pth" in found["lost.pth"].why
    assert "small" in found["best.safetensors"].why


def test_a_web_page_or_pointer_in_place_of_weights_is_named(folder) -> None:
    page = "<!DOCTYPE html><html><title>Not found</title></html>"
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 500\n"
    for name in ("mine.pth", "small.pth", "other-0123abcd.pth", "best.safetensors"):
        (folder / name).write_text(page + name)
    (folder / "hashed-0123abcd.pth").write_text(pointer)
    recipes = [published(f"{GONE}hashed-0123abcd.pth", "0123abcd"), published("https://example.org/small.pth")]
    found = {one.path.name: (one.kind, one.why) for one in find_copies(folder, recipes)}
    saw = "a web page (Not found) where a checkpoint was expected"
    assert found == {
        "mine.pth": ("unknown", saw), "best.safetensors": ("unknown", saw), "small.pth": ("damaged", saw),
        "other-0123abcd.pth": ("damaged", saw), "hashed-0123abcd.pth": ("damaged", (
            "a Git LFS pointer to a file of 500 bytes (git lfs pull fetches that file) where a checkpoint was expected"
        )),
    }  # fmt: skip


def test_files_and_folders_that_may_not_be_read_are_named(folder, monkeypatch) -> None:
    """Asked of a system that refuses, since a superuser may read everything."""
    write(folder / "closed.pth")
    (folder / "below").mkdir()

    def refused(path: Path, *how: object, **more: object):
        if path.name == "closed.pth":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *how, **more)

    def closed(path: str):
        if str(path).endswith("below"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    opened, listed = Path.open, os.scandir
    monkeypatch.setattr(Path, "open", refused)
    monkeypatch.setattr(os, "scandir", closed)
    found = {one.path.name: (one.kind, one.why) for one in find_copies(folder)}
    assert found == dict.fromkeys(("closed.pth", "below"), ("unreadable", "Permission denied"))


def test_copies_count_once_and_no_folder_twice(folder) -> None:
    path = write(folder / "a.pth")
    (folder / "below").mkdir()
    shutil.copy(path, folder / "below" / "small.pth")
    (folder / "below" / "above").symlink_to(folder)
    one = only(find_copies(folder, [published("https://example.org/small.pth")]))
    assert (one.path.name, one.kind, [copy.name for copy in one.copies]) == ("small.pth", "likely", ["a.pth"])


def test_no_folder() -> None:
    with pytest.raises(WeightsError, match="no such folder"):
        find_copies(Path("/nowhere"))


def test_a_linked_copy_of_a_gone_file_works_by_name(folder, monkeypatch) -> None:
    path = write(folder / "kept.pth")
    recipe = published(f"{GONE}small-{sha256(path)[:8]}.pth", sha256(path)[:8])
    monkeypatch.setattr("marey.recipes.RECIPES", (*RECIPES, recipe))
    with pytest.raises(WeightsError, match="gone"):
        load_model("small")
    (linked,) = link_found(find_copies(folder, [recipe]))
    assert (linked.how, linked.cached_path.readlink()) == ("link", path)
    record = read_record(linked.cached_path)
    assert (record.sha256, record.address, record.trust) == (sha256(path), str(path), "prefix")
    assert load_model("small").recipe.name == "small"
    assert [one.how for one in link_found(find_copies(folder, [recipe]))] == ["registered before"]


def test_a_likely_copy_is_linked_and_a_later_change_is_refused(folder) -> None:
    path, recipe = write(folder / "small.pth"), published("https://example.org/small.pth")
    (linked,) = link_found(find_copies(folder, [recipe]))
    assert read_record(linked.cached_path).trust == "none"
    before = sha256(path)
    write(path, seed=1)
    with pytest.raises(WeightsError, match=before) as error:
        load_model(recipe)
    assert sha256(path) in str(error.value)
    assert path.is_file()


def test_a_file_that_differs_from_its_record_is_refused_and_others_are_linked(folder) -> None:
    recipe = published("https://example.org/small.pth")
    other = published("https://example.org/other.pth").model_copy(update={"name": "other"})
    write(folder / "small.pth")
    (first,) = link_found(find_copies(folder, [recipe]))
    first.cached_path.unlink()
    path = write(folder / "small.pth", seed=1)
    write(folder / "other.pth", seed=2)
    linked = {one.recipe.name: one for one in link_found(find_copies(folder, [recipe, other]))}
    assert {name: one.how for name, one in linked.items()} == {"small": "refused", "other": "link"}
    assert sha256(path) in linked["small"].why and "--forget" in linked["small"].why
    assert not first.cached_path.exists()


def test_a_damaged_cached_file_is_replaced_by_a_complete_copy(folder) -> None:
    path = write(folder / "a.pth")
    recipe = published(f"{GONE}small-{sha256(path)[:8]}.pth", sha256(path)[:8])
    at = cached_path(recipe.weights[0])
    at.parent.mkdir(parents=True)
    at.write_bytes(path.read_bytes()[:-1])
    (linked,) = link_found(find_copies(folder, [recipe]))
    assert (linked.how, sha256(at)) == ("link", sha256(path))
    at.unlink()
    shutil.copy(path, at)
    assert [one.how for one in link_found(find_copies(folder, [recipe]))] == ["registered before"]
    assert not at.is_symlink()


def test_nothing_else_is_linked(folder, cache) -> None:
    write(folder / "mine.pth")
    write(folder / "small-0123abcd.pth", seed=1)
    assert list(link_found(find_copies(folder, [published(f"{GONE}small-0123abcd.pth", "0123abcd")]))) == []
    assert not cache.exists()


def test_where_no_links_can_be_made_the_file_is_copied(folder, monkeypatch) -> None:
    path, recipe = write(folder / "small.pth"), published("https://example.org/small.pth")

    def refused(*_: object) -> None:
        raise OSError("a required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refused)
    (linked,) = link_found(find_copies(folder, [recipe]))
    assert (linked.how, linked.cached_path.is_symlink(), sha256(linked.cached_path)) == ("copy", False, sha256(path))


def checkpoint_of_tensorflow(folder: Path) -> Recipe:
    """A small TensorFlow checkpoint in `folder`, as a recipe's published one: the values known by a git blob."""
    for file in write_variables(folder.parent / "written", {"v": torch.arange(6.0)}).iterdir():
        file.rename(folder / file.name)
    data = folder / "model.ckpt.data-00000-of-00001"
    blob = subprocess.run(["git", "hash-object", data], capture_output=True, text=True, check=True).stdout.strip()
    source = Source(
        address=f"https://github.com/a/b/raw/master/{data.name}", by="a", layout="deepmind",
        hash=Hash(algorithm="git_blob", digits=blob, stated_by="the tree"), parts=(CompanionFile(name="model.ckpt.index"),),
    )  # fmt: skip
    return SMALL.model_copy(update={"weights": (source,)})


def test_a_tensorflow_checkpoint_is_two_files(folder) -> None:
    recipe = checkpoint_of_tensorflow(folder)
    (linked,) = link_found(find_copies(folder, [recipe]))
    (source,) = recipe.weights
    assert linked.cached_path == cached_path(source)
    assert cached_path(source, source.parts[0]).readlink() == folder / "model.ckpt.index"
    (folder / "model.ckpt.index").unlink()
    one = only(find_copies(folder, [recipe]))
    assert (one.kind, "model.ckpt.index is missing" in one.why) == ("damaged", True)


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("mmaction1/tsn2d_bninception_flow_ucf101", "tsn_bninception_flow_3seg_ucf101"),
        ("mmaction2/ircsn_r50", "ircsn_r50_32x2_k400_ig65m_mmaction2"),
        ("mmaction1/slowonly_r50_4x16_k400", "slowonly_r50_4x16_k400"),
        pytest.param("vmz/r2plus1d_34_8", "r2plus1d_r34_8x1_k400_ig65m_vmz", marks=pytest.mark.slow),
    ],
)
def test_synthetic_weights_under_a_published_name_are_damaged_and_under_their_own_found(name, row, folder) -> None:
    recipe = get_recipe(row)
    path = write_checkpoint(name, folder / recipe.weights[0].file)
    one = only(find_copies(folder))
    assert (one.kind, one.matches[0][0].name) == ("damaged", row)
    own = sha256(path)
    renamed = Path(shutil.copy(path, folder / f"{path.stem.rpartition('-')[0]}-{own[:8]}{path.suffix}"))
    source = recipe.weights[0].model_copy(update={"address": GONE + renamed.name, "hash": Hash(digits=own[:8])})
    mine = recipe.model_copy(update={"weights": (source,), "name": "mine"})
    found = find_copies(folder, [*RECIPES, mine])
    kinds = {one.path: (one.kind, [match.name for match, _ in one.matches]) for one in found}
    assert kinds == {path: ("damaged", [row]), renamed: ("published", ["mine"])}
    (linked,) = link_found(found)
    assert load_model(mine).num_classes == recipe.model.num_classes
    assert linked.cached_path.readlink() == renamed


def test_hashless_names_are_likely_and_deepminds_are_damaged(folder) -> None:
    recipe = get_recipe("ircsn_r101_32x2_k400_pytorchvideo")
    write_checkpoint("pytorchvideo/csn_r101", folder / recipe.weights[0].file)
    write_tensorflow("i3d/deepmind_i3d_rgb_imagenet", folder / "rgb_imagenet")
    found = {one.kind: one.matches[0][0].name for one in find_copies(folder)}
    assert found == {"likely": recipe.name, "damaged": "i3d_incv1_rgb_64x1_k400_deepmind"}


def test_one_odd_file_does_not_end_a_scan(folder, monkeypatch) -> None:
    write(folder / "good.pth")
    (folder / "odd.pth").write_bytes(b"\x80\x02odd")
    (folder / "disks.pth").write_bytes(b"PK\x05\x06" + b"\xff" * 18)

    def read(path: Path):
        if path.name == "odd.pth":
            raise MemoryError("too large")
        return real(path)

    from marey.weights import foreign

    real = foreign.read_contents
    monkeypatch.setattr(foreign, "read_contents", read)
    kinds = {one.path.name: (one.kind, one.why) for one in find_copies(folder)}
    assert kinds["odd.pth"] == ("unknown", "cannot be read (MemoryError: too large)")
    assert kinds["disks.pth"][0] == "unknown"
    assert kinds["good.pth"][0] == "similar"


def test_files_of_the_cache_itself_are_not_registered(cache) -> None:
    (cache / "weights" / "x").mkdir(parents=True)
    path = write(cache / "weights" / "x" / "a.pth")
    row = published("https://a.org/b/a.pth", sha256(path)[:8])
    (linked,) = link_found(find_copies(cache, [row]))
    assert (linked.how, "is in the cache itself" in linked.why) == ("refused", True)


def test_every_published_name_of_one_content_is_judged(folder) -> None:
    (folder / "aa").mkdir()
    write(folder / "right.pth")
    shutil.copy(folder / "right.pth", folder / "aa" / "wrong.pth")
    shutil.copy(folder / "right.pth", folder / "another name.pth")
    other = Source(address="https://a.org/x/wrong.pth", by="a", layout="pyslowfast")
    rows = [published("https://a.org/x/right.pth"), SMALL.variant(name="other", weights=(other,))]
    found = {one.path.name: one for one in find_copies(folder, rows)}
    assert {name: one.kind for name, one in found.items()} == {"right.pth": "likely", "wrong.pth": "misnamed"}
    assert [path.name for path in found["right.pth"].copies] == ["another name.pth"]
