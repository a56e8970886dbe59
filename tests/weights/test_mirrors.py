"""Mirrors: where a file is in a folder or below an address, which files are skipped, and which settings are refused."""

import hashlib
from pathlib import Path

import pytest

from marey.base.errors import WeightsError
from marey.recipe.source import Hash
from marey.weights.fetching.connections import SourceError
from marey.weights.fetching.download import RetryPolicy, download
from marey.weights.fetching.mirrors import Mirror, _words, fetch_from_mirror, mirrors
from tests.support.serving import says, serving, whole

CONTENT = bytes(range(256)) * 20
OTHER = CONTENT + b"x"
KNOWN = Hash(digits=hashlib.sha256(CONTENT).hexdigest()[:8])
ADDRESS = "https://models.example.com/deep/a%20b.pth?dl=1"
LAID_OUT = "models.example.com/deep/a b.pth"
FAST = RetryPolicy(pause=0.01, timeout=5.0)


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    monkeypatch.delenv("MAREY_OFFLINE", raising=False)
    monkeypatch.delenv("MAREY_MIRROR", raising=False)


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "cache" / "a b.pth"


def laid(folder: Path, name: str, content: bytes = CONTENT) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_mirrors_are_separated_by_blanks_and_keep_their_order(monkeypatch) -> None:
    assert mirrors() == ()
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv(
        "MAREY_MIRROR", " /data/weights  https://lab.example/copies/ '/with a blank' ~/w http://127.0.0.1:80 "
    )
    assert [mirror.location for mirror in mirrors()] == [
        Path("/data/weights"), "https://lab.example/copies", Path("/with a blank"), Path("/home/me/w"), "http://127.0.0.1:80",
    ]  # fmt: skip


def test_backslashes_are_part_of_words_on_windows_only() -> None:
    assert _words(r'C:\weights "D:\my files" https://a.example', posix=False) == [
        r"C:\weights", r"D:\my files", "https://a.example",
    ]  # fmt: skip
    assert _words(r"/my\ files /b", posix=True) == ["/my files", "/b"]


@pytest.mark.parametrize(
    "word", ["weights", "./weights", "ftp://a.example", "http://a.example", "file:///data", "https://", "a:"]
)
def test_a_wrong_mirror_is_named_with_the_expected_form(word, monkeypatch) -> None:
    monkeypatch.setenv("MAREY_MIRROR", f"https://lab.example {word}")
    with pytest.raises(
        WeightsError, match=f"^MAREY_MIRROR names {word}: expected absolute folders or addresses .*https://"
    ):
        mirrors()


def test_an_open_quotation_mark_is_named(monkeypatch) -> None:
    monkeypatch.setenv("MAREY_MIRROR", "'/my files")
    with pytest.raises(WeightsError, match="MAREY_MIRROR='/my files: a quotation mark is not closed"):
        mirrors()


# -- folders


@pytest.mark.parametrize("name", [LAID_OUT, f"{LAID_OUT}?dl=1", "a b.pth"])
@pytest.mark.parametrize("known", [KNOWN, None])
def test_a_folders_file_is_linked(name, known, tmp_path, target, monkeypatch) -> None:
    monkeypatch.setenv("MAREY_OFFLINE", "1")
    own = laid(tmp_path / "mirror", name)
    assert fetch_from_mirror(Mirror(tmp_path / "mirror"), ADDRESS, target, known)
    assert target.readlink() == own
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["a b.pth"]


def test_a_link_whose_file_went_away_is_replaced(tmp_path, target) -> None:
    target.parent.mkdir()
    target.symlink_to(tmp_path / "gone")
    laid(tmp_path / "mirror", "a b.pth")
    assert fetch_from_mirror(Mirror(tmp_path / "mirror"), ADDRESS, target, KNOWN)
    assert target.read_bytes() == CONTENT


def test_where_links_cannot_be_made_the_file_is_copied(tmp_path, target, monkeypatch) -> None:
    def refused(*_: object) -> None:
        raise OSError("A required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refused)
    laid(tmp_path / "mirror", "a b.pth")
    assert fetch_from_mirror(Mirror(tmp_path / "mirror"), ADDRESS, target, KNOWN)
    assert not target.is_symlink()
    assert target.read_bytes() == CONTENT


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5120\n"


@pytest.mark.parametrize(("content", "known", "size", "why"), [
    (OTHER, KNOWN, None, f"its SHA-256 begins {hashlib.sha256(OTHER).hexdigest()[:8]}, expected {KNOWN.digits}"),
    (OTHER, None, 5120, "it has 5121 bytes, expected 5120"),
    (POINTER, None, None, "a Git LFS pointer to a file of 5120 bytes (git lfs pull fetches that file)"),
    (b"<html>", KNOWN, None, "a web page where a checkpoint was expected"),
])  # fmt: skip
def test_a_file_of_the_name_with_other_content_is_skipped(content, known, size, why, tmp_path, target, capsys) -> None:
    wrong = laid(tmp_path / "mirror", LAID_OUT, content)
    assert not fetch_from_mirror(Mirror(tmp_path / "mirror"), ADDRESS, target, known, size)
    said = capsys.readouterr().err
    assert f"{wrong}: skipped, because it is not the file of {ADDRESS}: {why}" in said
    assert said.count("\n") == 1
    assert not target.exists()
    laid(tmp_path / "mirror", "a b.pth")
    assert fetch_from_mirror(Mirror(tmp_path / "mirror"), ADDRESS, target, known, size)


def test_a_missing_folder_is_reported_once(tmp_path, target, capsys) -> None:
    for _ in range(2):
        assert not fetch_from_mirror(Mirror(tmp_path / "mirror"), ADDRESS, target, KNOWN)
    assert capsys.readouterr().err.count("there is no such folder") == 1


def test_an_empty_folder_and_an_address_with_parent_folders_give_no_file(tmp_path, target, capsys) -> None:
    (tmp_path / "mirror" / "x.com").mkdir(parents=True)
    laid(tmp_path, "outside.pth")
    for address in (ADDRESS, "https://x.com/../../outside.pth", "https://x.com/%2e%2e/%2e%2e/outside.pth"):
        assert not fetch_from_mirror(Mirror(tmp_path / "mirror"), address, target, None)
    assert capsys.readouterr().err == ""


def test_files_of_the_hub_are_found_under_their_https_address(tmp_path, target, monkeypatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://copy.example")
    own = laid(tmp_path / "mirror", "huggingface.co/me/net/resolve/refs%2Fpr%2F1/x/a b.pth")
    assert fetch_from_mirror(Mirror(tmp_path / "mirror"), "hf://me/net@refs/pr/1/x/a%20b.pth", target, KNOWN)
    assert target.readlink() == own
    with serving(whole(CONTENT)) as server:
        assert fetch_from_mirror(Mirror(f"{server.url}/copies"), "hf://me/net/a.pth", target, None, retries=FAST)
        target.unlink()
        assert fetch_from_mirror(Mirror(f"{server.url}/copies"), "hf://me/net/a.pth", target, None, retries=FAST)
        assert server.asked[0][0] == "/copies/huggingface.co/me/net/resolve/main/a.pth"


# -- addresses


def test_a_copy_is_downloaded_by_the_same_rules(target, capsys) -> None:
    with serving(whole(CONTENT)) as server:
        assert fetch_from_mirror(Mirror(f"{server.url}/copies"), ADDRESS, target, KNOWN, retries=FAST)
        assert server.asked[0][0] == "/copies/models.example.com/deep/a%20b.pth"
    assert target.read_bytes() == CONTENT
    target.unlink()
    with serving(whole(CONTENT + b"x")) as server:
        assert not fetch_from_mirror(Mirror(server.url), ADDRESS, target, KNOWN, retries=FAST)
    assert "not the file that was published: its SHA-256 begins" in capsys.readouterr().err
    assert not target.exists()


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_file_that_a_mirror_lacks_causes_no_message(status, target, capsys) -> None:
    with serving(says(status)) as server:
        assert not fetch_from_mirror(Mirror(server.url), ADDRESS, target, KNOWN, retries=FAST)
        assert len(server.asked) == 1
    assert capsys.readouterr().err == ""


def test_an_unreachable_or_protected_mirror_is_one_warning(target, capsys) -> None:
    with serving(says(401)) as server:
        assert not fetch_from_mirror(Mirror(server.url), ADDRESS, target, KNOWN, retries=FAST)
        assert "401 Unauthorized; continuing without this mirror" in capsys.readouterr().err
    assert not fetch_from_mirror(Mirror(server.url), ADDRESS, target, KNOWN, retries=RetryPolicy())
    said = capsys.readouterr().err
    assert said.startswith(f"{server.url}/models.example.com/deep/a%20b.pth: no connection")
    assert said.count("\n") == 1


def test_a_download_that_a_mirror_began_is_resumed_at_the_address(target) -> None:
    content = CONTENT * 100
    known = Hash(digits=hashlib.sha256(content).hexdigest())
    with serving(whole(content, only=5000)) as server:
        assert not fetch_from_mirror(Mirror(server.url), ADDRESS, target, known, retries=RetryPolicy(tries=1))
    with serving(whole(content)) as server:
        download(f"{server.url}/a.pth", target, known=known, retries=FAST)
        assert server.ranges == ["bytes=5000-"]


def test_offline_no_mirror_is_asked_and_an_unwritable_cache_is_an_error(target, monkeypatch) -> None:
    with serving(whole(CONTENT)) as server:
        monkeypatch.setenv("MAREY_OFFLINE", "1")
        assert not fetch_from_mirror(Mirror(server.url), ADDRESS, target, KNOWN)
        assert server.asked == []
        monkeypatch.delenv("MAREY_OFFLINE")
        (target.parent).write_text("a file, not a folder")
        with pytest.raises(WeightsError, match="set MAREY_CACHE") as caught:
            fetch_from_mirror(Mirror(server.url), ADDRESS, target, KNOWN)
        assert not isinstance(caught.value, SourceError)


def test_a_password_is_neither_sent_nor_shown(monkeypatch) -> None:
    monkeypatch.setenv("MAREY_MIRROR", "https://me:secret@lab.example/copies")
    with pytest.raises(WeightsError, match="a user or a password") as caught:
        mirrors()
    assert "secret" not in str(caught.value)
