"""Which texts are addresses, files below an address, and addresses without their secrets."""

from pathlib import Path

import pytest

from marey.base.address import (
    Address,
    address_in,
    as_listed,
    at_server,
    is_address,
    location_in,
    location_of,
    path_in,
    redacted,
    redacted_text,
)


@pytest.mark.parametrize(
    "text",
    ["s3://bucket/a.mp4", "https://host/a.mp4", "gs://b/a", "HTTP://HOST:80/x", "memory://a.mp4", "rtsp://camera/1"],
)
def test_an_address_is_recognised_by_its_form(text) -> None:
    assert is_address(text)
    assert location_of(text) == Address(text)
    assert as_listed(Address(text)) == text
    assert location_of(Path(text)) == Address(text), "of which Path leaves one slash"


@pytest.mark.parametrize(
    "text",
    [
        "a.mp4",
        "/data/a.mp4",
        "C:\\clips\\a.mp4",
        "C:/clips/a.mp4",
        "c://clips/a.mp4",
        "s3:/a",
        "clips/s3://a",
        "a:b",
        "",
    ],
)
def test_a_path_is_not_an_address(text) -> None:
    assert not is_address(text)
    assert address_in(text) is None
    assert location_of(text) == Path(text)


@pytest.mark.parametrize(
    ("text", "path"), [("file:///tmp/a%20b.mp4", "/tmp/a b.mp4"), (Path("file:///tmp/a.mp4"), "/tmp/a.mp4")]
)
def test_an_address_of_a_file_of_this_machine_is_its_path(text, path) -> None:
    assert location_of(text) == Path(path)
    assert address_in(text) is None


@pytest.mark.parametrize(
    ("address", "name", "expected"),
    [
        ("s3://bucket/folder", "a b/#1.mp4", "s3://bucket/folder/a b/#1.mp4"),
        ("s3://bucket/folder/", "./a.mp4", "s3://bucket/folder/a.mp4"),
        ("https://host/clips", "a b/#1?.mp4", "https://host/clips/a%20b/%231%3F.mp4"),
        ("https://host/clips/", "a%20b.mp4", "https://host/clips/a%20b.mp4"),
        ("https://host?token=1", "ü.mp4", "https://host/%C3%BC.mp4?token=1"),
    ],
)
def test_a_relative_path_is_below_an_address(address, name, expected) -> None:
    assert at_server(Address(address), name) == expected
    assert at_server(Address(address), "s3://other/a.mp4") == "s3://other/a.mp4"
    assert at_server(Address(address), "/data/a.mp4") == "/data/a.mp4"


def test_addresses_in_a_list_are_absolute() -> None:
    assert path_in("/root", "https://h/a.mp4") == "https://h/a.mp4"
    assert path_in("/root", "a.mp4") == "/root/a.mp4"
    assert location_in(Path("/root"), "https://h/a.mp4") == Address("https://h/a.mp4")
    assert location_in(Path("/root"), "a.mp4") == Path("/root/a.mp4")
    assert path_in("/root", "file:///tmp/a%20b.mp4") == "/tmp/a b.mp4"
    assert location_in(Path("/root"), "file:///tmp/a%20b.mp4") == Path("/tmp/a b.mp4")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://me:pass@host/a.mp4", "https://host/a.mp4"),
        (
            "https://host/a.mp4?X-Amz-Algorithm=A&X-Amz-Signature=1f&versionId=7",
            "https://host/a.mp4?X-Amz-Algorithm=...&X-Amz-Signature=...&versionId=7",
        ),
        ("https://h/a.mp4?sv=2020&sig=abc%3D&id=3", "https://h/a.mp4?sv=...&sig=...&id=3"),
        ("https://h/a.mp4?access_token=abc", "https://h/a.mp4?access_token=..."),
        ("https://h/watch?id=3", "https://h/watch?id=3"),
        ("s3://bucket/user@place.mp4", "s3://bucket/user@place.mp4"),
        ("/data/a.mp4?sig=1", "/data/a.mp4?sig=1"),
    ],
)
def test_secrets_are_not_shown(text, expected) -> None:
    assert redacted(text) == expected
    assert str(location_of(text)) == expected
    assert "pass" not in repr(location_of(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("got 'https://h/my clip.mp4?token=SECRET run'.", "got 'https://h/my clip.mp4?token=... run'."),
        ("{'path': 'https://h/a.mp4?sig=S%3D', 'label': 1}.", "{'path': 'https://h/a.mp4?sig=...', 'label': 1}."),
        ("https://h/a.mp4?x=1&token=S.e-c: no such file", "https://h/a.mp4?x=1&token=...: no such file"),
        ("https://h/a.mp4?token=...: no such file", "https://h/a.mp4?token=...: no such file"),
        ("one at https://me:pass@h/a.mp4 (2 in all)", "one at https://h/a.mp4 (2 in all)"),
        ("s3://b/a.mp4?X-Amz-Signature=1, s3://b/b.mp4", "s3://b/a.mp4?X-Amz-Signature=..., s3://b/b.mp4"),
        ("a?token=1 is no address", "a?token=1 is no address"),
        ("me@host has no ://", "me@host has no ://"),
    ],
)
def test_texts_with_addresses_show_no_secrets(text, expected) -> None:
    assert redacted_text(text) == expected


@pytest.mark.parametrize(
    ("text", "name", "suffix", "server"),
    [
        ("https://me:p@host:8080/x/a%20b.MP4?x=.csv", "a b.MP4", ".MP4", "https://host:8080"),
        ("s3://bucket/x/a?b#c.mkv", "a?b#c.mkv", ".mkv", "s3://bucket"),
        ("s3://bucket/x/", "", "", "s3://bucket"),
        ("HTTPS://host", "", "", "https://host"),
    ],
)
def test_the_name_is_that_of_a_file(text, name, suffix, server) -> None:
    address = Address(text)
    assert (address.name, address.suffix, address.server) == (name, suffix, server)
    assert address.stem == name.removesuffix(suffix)
