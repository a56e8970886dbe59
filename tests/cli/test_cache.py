"""`marey cache`: what Marey stores outside run folders, and its removal."""

import json
import os
import re
from pathlib import Path

import pytest

from marey.base.cache import KINDS, cache_contents
from marey.base.files import locked
from tests.support.command import marey

SOURCE = Path(__file__).parents[2] / "src" / "marey"


@pytest.fixture
def cache(cache, tmp_path) -> Path:
    """A cache with something of every kind, a link to a copy of the user's, and a file that is not Marey's."""
    for name in (
        "weights/0123abcd/a.pth",
        "hub/org--name/1/b.safetensors",
        "backends/openvino/c.bin",
        "features/89abcdef/d.npz",
        "probes/d.jsonl",
        "signatures/89abcdef/d.npz",
    ):
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_bytes(bytes(1000))
    (tmp_path / "mine.pth").write_bytes(bytes(5000))
    (cache / "weights" / "0123abcd" / "e.pth").symlink_to(tmp_path / "mine.pth")
    (cache / "notes.txt").write_text("of the user")
    return cache


def test_the_command_shows_what_is_cached(cache) -> None:
    text = marey("cache").stdout
    assert text.startswith(f"0.0 MB in 6 files and 1 link to copies of yours in {cache}:")
    assert all(re.search(rf"^  {kind} .*1 file", text, re.MULTILINE) for kind in KINDS)
    assert "Not of Marey and left alone: 1 (notes.txt)." in text
    found = json.loads(marey("cache", "--json").stdout)
    assert found["folder"] == str(cache)
    assert {one["kind"]: one["size"] for one in found["kept"]} == dict.fromkeys(KINDS, 1000)
    assert found["not_of_marey"] == [str(cache / "notes.txt")]


def test_clear_removes_what_is_mareys_and_nothing_else(cache, tmp_path) -> None:
    done = marey("cache", "--clear")
    assert done.exit_code == 0
    assert done.stdout.startswith(f"0.0 MB in 6 files and 1 link to copies of yours removed from {cache}.")
    assert [path.name for path in cache.iterdir()] == ["notes.txt"]
    assert (tmp_path / "mine.pth").stat().st_size == 5000
    assert marey("cache").stdout == f"0.0 MB in 0 files in {cache}.\nNot of Marey and left alone: 1 (notes.txt).\n"


def test_clear_keeps_a_folder_that_was_put_on_another_disk(cache, tmp_path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (cache / "weights").rename(elsewhere)
    (cache / "weights").symlink_to(elsewhere)
    assert marey("cache", "--clear").exit_code == 0
    assert list(elsewhere.iterdir()) == []
    assert (cache / "weights").is_symlink()


def test_clear_waits_for_no_download(cache) -> None:
    lock = cache / "weights" / "0123abcd" / "a.pth.lock"
    with locked(lock):
        done = marey("cache", "--clear")
    assert done.exit_code == 1
    assert "a.pth: another process is using it; nothing was removed." in done.stderr
    assert sum(one.files for one in cache_contents()) >= 4


def test_an_absent_cache_is_empty(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MAREY_CACHE", str(tmp_path / "none"))
    assert marey("cache").stdout == f"0.0 MB in 0 files in {tmp_path / 'none'}.\n"
    assert marey("cache", "--clear").exit_code == 0


def test_the_default_folder_goes_with_its_last_file(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("MAREY_CACHE", raising=False)
    monkeypatch.setattr("marey.base.cache.cache_folder", lambda: tmp_path / "marey")
    (tmp_path / "marey" / "probes").mkdir(parents=True)
    assert marey("cache", "--clear").exit_code == 0
    assert not (tmp_path / "marey").exists()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may read everything")
def test_a_cache_that_cannot_be_read_is_one_line(cache) -> None:
    (cache / "probes").chmod(0)
    done = marey("cache")
    (cache / "probes").chmod(0o700)
    assert done.exit_code == 1
    assert "probes" in done.stderr


def test_the_source_writes_no_other_kind() -> None:
    """Every folder below the cache that the source names is one that is shown and removed."""
    named = set()
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        named |= set(re.findall(r"cache_folder\(\) / \"(\w+)\"", text))
        named |= {one.partition("/")[0] for one in re.findall(r"cache_folder\(\)\.glob\(\"([\w/]+)", text)}
    assert named == set(KINDS)
