"""The size limit of the cache, with files of backends."""

import os
from pathlib import Path

import pytest

from marey.backends.choose import check_backend
from marey.backends.compute import Compute
from marey.base.cache import backends_folder, cache_limit, mark_used, prune
from marey.base.errors import RunError


@pytest.fixture
def cache(cache) -> Path:
    """A cache with files of backends, among others."""
    for age, name in enumerate(["openvino/new.zip", "measured/a.json", "openvino/old.zip"]):
        write(backends_folder(name), age)
    for name in ("weights/12345678/model.pyth", "probes/x.jsonl"):
        write(cache / name, age=1000)
    return cache


def write(file: Path, age: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(bytes(1000))
    os.utime(file, (1e9 - age, 1e9 - age))


def left(cache: Path) -> set[str]:
    return {file.name for file in cache.rglob("*.*") if file.is_file()}


ALL = {"new.zip", "a.json", "old.zip", "model.pyth", "x.jsonl"}


@pytest.mark.parametrize(
    ("limit", "removed"),
    [
        ("0.000003", set()),
        ("0.0000029", {"old.zip"}),
        ("0.000001", {"old.zip", "a.json"}),
        ("0", {"old.zip", "a.json", "new.zip"}),
    ],
)
def test_files_used_longest_ago_are_removed_first(limit, removed, cache, monkeypatch) -> None:
    monkeypatch.setenv("MAREY_CACHE_LIMIT", limit)
    prune(backends_folder("openvino"))
    assert left(cache) == ALL - removed


def test_recently_used_files_are_not_removed(cache, monkeypatch) -> None:
    monkeypatch.setenv("MAREY_CACHE_LIMIT", "0.000001")
    mark_used(backends_folder("openvino") / "old.zip")
    prune(backends_folder("openvino"))
    assert left(cache) == ALL - {"new.zip", "a.json"}


def test_the_limit_is_four_gigabytes(cache, monkeypatch) -> None:
    monkeypatch.delenv("MAREY_CACHE_LIMIT", raising=False)
    assert cache_limit() == 4_000_000_000
    prune(backends_folder("openvino"))
    assert left(cache) == ALL


@pytest.mark.parametrize("given", ["much", "-1", "nan", "inf"])
def test_an_invalid_limit_is_refused_before_work(given, monkeypatch) -> None:
    monkeypatch.setenv("MAREY_CACHE_LIMIT", given)
    with pytest.raises(RunError, match=f"^MAREY_CACHE_LIMIT={given}: expected a limit in gigabytes"):
        check_backend(Compute(device="cpu", backend="auto"))
    check_backend(Compute(device="cpu"))
