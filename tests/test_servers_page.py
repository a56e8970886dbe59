"""The commands of docs/how-to/servers.md, run against a server of this machine that speaks S3."""

import pytest

pytest.importorskip("fsspec")
pytest.importorskip("s3fs")

from marey.video.reading import servers
from tests.support.command import marey
from tests.support.command_lines import ROOT, shown
from tests.support.servers import serving

PAGE = ROOT / "docs" / "how-to" / "servers.md"


def test_the_commands_of_the_page_run(prepared, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("runs", "list.csv"):
        (tmp_path / name).symlink_to(prepared / name)
    files = {f"/bucket/{path.relative_to(prepared)}": path.read_bytes() for path in prepared.glob("clips/**/*.mp4")}
    files["/bucket/clips/kick.mp4"] = (prepared / "kick.mp4").read_bytes()
    (tmp_path / "addresses.txt").write_text("".join(f"s3:/{path}\n" for path in list(files)[:3]), encoding="utf-8")
    monkeypatch.delenv("MAREY_OFFLINE")
    with serving(files, s3=True) as server:
        for name, value in (
            ("AWS_ENDPOINT_URL", server.address), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"),
            ("AWS_DEFAULT_REGION", "us-east-1"), ("AWS_CONFIG_FILE", "none"),
        ):  # fmt: skip
            monkeypatch.setenv(name, value)
        servers._files_of.cache_clear()
        commands = [command for command in shown(PAGE) if command.whole]
        for command in commands:
            out = () if "--out" in command.words else ("--out", str(tmp_path / command.words[0]))
            done = marey(*command.words, *out, "--workers", "0")
            assert done.exit_code == 0, f"{command}: {done.output}"
        servers._files_of.cache_clear()
    assert [command.words[0] for command in commands] == ["predict", "predict", "evaluate"]
    assert any(path == "/bucket/clips/kick.mp4" for _, path, _ in server.requests)
