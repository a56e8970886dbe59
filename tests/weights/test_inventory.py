"""The weights in the cache: listed, verified and removed; and which rows have available weights."""

import json
from datetime import date
from pathlib import Path

import pytest

from marey.base.errors import WeightsError
from marey.base.files import locked, sha256
from marey.recipe import Hash, HostState, Source, TwoStream
from marey.recipes import PARAMETERS, RECIPES, find_two_stream, get_recipe
from marey.weights.fetching.availability import availability, broken_link
from marey.weights.fetching.cached_files import admit, cached_path, record_path
from marey.weights.fetching.inventory import cached_items, find_items, remove_items, verify_items, weights_paths

pytestmark = pytest.mark.usefixtures("cache")
GONE, LOST, LIVING = (
    "https://open-mmlab.s3.ap-northeast-2.amazonaws.com/",
    "https://download.openmmlab.com/",
    "https://a.org/",
)
ROW = get_recipe("slowonly_r50_8x8_k400")


def source(host: str, known: str | None = None, **more) -> Source:
    hash_ = None if known is None else Hash(digits=known)
    return Source(address=f"{host}models/a.pth", by="a", layout="mmaction", hash=hash_, licence="MIT", **more)


def row(*sources: Source):
    return ROW.model_copy(update={"weights": sources})


def put(path: Path, content: bytes = b"weights", address: str | None = "https://a.org/a.pth") -> Path:
    """A file of the cache, with its record unless it has no address."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if address:
        admit(path, address=address, trust="prefix")
    return path


# Which rows one can get -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "state", "available"),
    [
        ((), "none", False),
        ((source(GONE, "0123abcd"),), "gone 2021-08", False),
        ((source(GONE, "0123abcd"), source(LOST, "0123abcd")), "host was lost", True),
        ((source(LOST),), "lost, no hash", False),
        ((source(LIVING),), "asks first", True),
        ((source(LOST, "0123abcd"), source(LIVING)), "asks first", True),
        ((source(LIVING), source(LIVING, "0123abcd")), "yes", True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_best_source_decides_the_state(sources, state, available, monkeypatch) -> None:
    monkeypatch.delenv("MAREY_OFFLINE", raising=False)
    found = availability(row(*sources))
    assert (found.word, found.available) == (state, available)
    monkeypatch.setenv("MAREY_OFFLINE", "1")
    offline = availability(row(*sources))
    assert (offline.word, offline.available) == ("offline" if available else state, False)


@pytest.mark.parametrize(
    ("host", "online", "available"), [(GONE, "1", False), (LIVING, "0", True), (LIVING, "1", False)]
)
def test_a_link_whose_file_was_moved_is_named(host, online, available, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MAREY_OFFLINE", online)
    of_row = source(host, "0123abcd")
    own, path = put(tmp_path / "own.pth", address=None), cached_path(of_row)
    path.parent.mkdir(parents=True)
    path.symlink_to(own)
    assert (availability(row(of_row)).word, broken_link(of_row)) == ("here", None)
    own.unlink()
    found = availability(row(of_row))
    assert (found.word, found.available, broken_link(of_row)) == ("link broken", available, own)


def test_a_cached_file_is_available_although_its_host_is_gone() -> None:
    gone = source(GONE, "0123abcd", size=1000)
    assert (availability(row(gone)).state, availability(row(gone)).size) == ("gone", 1000)
    put(cached_path(gone), b"seven b")
    found = availability(row(gone))
    assert (found.state, found.available, found.size, found.paths) == ("here", True, 7, (cached_path(gone),))


def test_a_size_that_is_not_known_is_at_least_four_bytes_a_parameter() -> None:
    recipe = next(recipe for recipe in RECIPES if recipe.weights and recipe.weights[0].size is None)
    found = availability(recipe)
    assert (found.size, found.exact) == (4 * PARAMETERS[recipe.name], False)


def test_a_row_of_two_streams_is_as_its_worse_stream() -> None:
    two = find_two_stream("i3d_incv1_twostream_64x1_k400")
    assert isinstance(two, TwoStream)
    streams = [get_recipe(two.rgb), get_recipe(two.flow)]
    put(cached_path(streams[0].weights[0]))
    assert availability(streams[0]).state == "here"
    assert availability(two).word == availability(streams[1]).word == "gone 2021-08"
    put(cached_path(streams[1].weights[0]))
    assert (availability(two).state, availability(two).size) == ("here", 14)


def test_months_of_a_loss_are_the_last_ones() -> None:
    earlier = source(GONE, "0123abcd", state=HostState(reported="gone", date=date(2020, 1, 2), evidence="a report"))
    assert availability(row(earlier)).word == "gone 2020-01"


# What the cache holds ---------------------------------------------------------------------------------------------------


def test_files_of_recipes_and_all_others_are_listed(cache) -> None:
    path = put(cached_path(ROW.weights[0]))
    put(cache / "weights" / "0676ba61" / "resnet50-0676ba61.pth")
    put(cache / "weights" / "0676ba61" / "old.pth", address=None)
    put(cache / "hub" / "org--name" / ("1" * 40) / "recipe.json", b'{"marey": "1"}', address=None)
    (cache / "weights" / "0676ba61" / "next.pth.part").write_bytes(b"half")
    (cache / "weights" / "0676ba61" / "next.pth.part.json").write_text("{}")
    path.with_name(f"{path.name}.lock").touch()
    found = {item.title: item for item in cached_items()}
    assert set(found) == {ROW.name, "resnet50_imagenet", "old.pth", "hf://org/name", "next.pth"}
    assert (found[ROW.name].size, found[ROW.name].record.trust) == (7, "prefix")
    assert (found["next.pth"].here, found["next.pth"].unfinished) == (False, 4)


def test_verify_reports_the_state_of_each_cached_file(cache, tmp_path) -> None:
    folder = cache / "weights" / "0123abcd"
    put(folder / "ok.pth")
    put(folder / "edited.pth").write_bytes(b"edited")
    put(folder / "removed.pth").unlink()
    own = put(tmp_path / "own.pth", address=None)
    (folder / "link.pth").symlink_to(own)
    own.unlink()
    (folder / "next.pth.part").write_bytes(b"half")
    put(folder / "unrecorded.pth", address=None)
    of_0_1_0 = put(folder / "of_0_1_0.pth", b"as it came", address=None)
    (cache / "weights" / sha256(of_0_1_0)[:8]).mkdir()
    of_0_1_0.rename(cache / "weights" / sha256(of_0_1_0)[:8] / "of_0_1_0.pth")
    put(folder / "bad_record.pth")
    record_path(folder / "bad_record.pth").write_text("{}")
    found = {item.path.stem: (verdict, why) for item, verdict, why in verify_items(cached_items())}
    assert {name: verdict for name, (verdict, _) in found.items()} == {
        "ok": "ok", "edited": "changed", "removed": "removed", "link": "broken link", "next": "unfinished",
        "unrecorded": "unknown", "of_0_1_0": "ok", "bad_record": "unknown",
    }  # fmt: skip
    assert str(own) in found["link"][1]
    assert sha256(folder / "ok.pth") in found["edited"][1] and sha256(folder / "edited.pth") in found["edited"][1]


def test_a_file_without_a_record_that_differs_from_the_published_one_is_changed() -> None:
    put(cached_path(ROW.weights[0]), address=None)
    ((_, verdict, why),) = verify_items(cached_items())
    assert (verdict, ROW.weights[0].hash.digits in why) == ("changed", True)


def test_removing_keeps_the_record_unless_it_is_to_be_forgotten(cache) -> None:
    path = put(cached_path(ROW.weights[0]))
    path.with_name(f"{path.name}.part").write_bytes(b"half")
    path.with_name(f"{path.name}.lock").touch()
    assert remove_items(find_items([ROW.name])) == 7 + 4
    assert [left.name for left in path.parent.iterdir()] == [f"{path.name}.json"]
    path.write_bytes(b"other")
    with pytest.raises(WeightsError, match="--forget"):
        admit(path, address="https://a.org/a.pth", trust="prefix")
    remove_items(find_items([path.name]), forget=True)
    assert list((cache / "weights").iterdir()) == []


def test_removing_a_link_leaves_the_users_file(tmp_path) -> None:
    own, path = put(tmp_path / "own.pth", address=None), cached_path(ROW.weights[0])
    path.parent.mkdir(parents=True)
    path.symlink_to(own)
    assert remove_items(cached_items()) == 0
    assert own.read_bytes() == b"weights" and not path.is_symlink()


def test_a_file_that_is_being_fetched_is_not_removed() -> None:
    path = put(cached_path(ROW.weights[0]))
    with locked(path.with_name(f"{path.name}.lock")), pytest.raises(WeightsError, match="another process is fetching"):
        remove_items(cached_items())
    assert path.is_file()


def test_names_and_paths(cache, monkeypatch) -> None:
    path = put(cached_path(ROW.weights[0]))
    assert weights_paths(ROW.name) == weights_paths(path.name) == (path,)
    two = find_two_stream("i3d_incv1_twostream_64x1_k400")
    streams = [put(cached_path(get_recipe(name).weights[0])) for name in (two.rgb, two.flow)]
    assert weights_paths(two.name) == tuple(streams)
    with pytest.raises(WeightsError, match="slowonly_r50_4x16_k400: its file has been gone .* since 2021-08"):
        weights_paths("slowonly_r50_4x16_k400")
    monkeypatch.delenv("MAREY_OFFLINE", raising=False)
    living = "slowonly_r50_8x8_k400_pytorchvideo"
    with pytest.raises(WeightsError, match=f"^{living}: its weights are not in .*; marey weights fetch {living} "):
        weights_paths(living)
    with pytest.raises(WeightsError, match=f"^{living}: none of its weights are in "):
        find_items([living])
    with pytest.raises(WeightsError, match=f"Did you mean .*{path.name}"):
        find_items([path.name[:-4]])


def test_a_tensorflow_checkpoint_is_its_folder() -> None:
    recipe = next(recipe for recipe in RECIPES if any(source.parts for source in recipe.weights))
    source = next(source for source in recipe.weights if source.parts)
    put(cached_path(source))
    with pytest.raises(WeightsError, match="fetch"):
        weights_paths(recipe.name)
    put(cached_path(source, source.parts[0]))
    assert weights_paths(recipe.name) == (cached_path(source).parent,)


def test_records_are_read_as_they_were_written(cache) -> None:
    path = put(cached_path(ROW.weights[0]))
    (item,) = cached_items()
    assert json.loads(record_path(path).read_text())["sha256"] == item.record.sha256 == sha256(path)
