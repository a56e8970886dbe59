"""The videos of a list that another list names as well."""

from pathlib import Path

import pytest

from marey.base.errors import DataError
from marey.data.lists.manifest import make_manifest
from marey.data.splits.common_videos import keep_common, video_key


@pytest.fixture
def manifest():
    rows = [
        ("abseiling/-3B32lodo2M_000059_000069.mp4", "a"),
        ("b b/v_Run_g01_c02.avi", "b"),
        ("b b/v_Run_g01_c03.avi", "b"),
    ]
    return make_manifest(rows, root=Path(), source="ours")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("-3B32lodo2M\n", [0]),
        ("label,youtube_id,time_start,time_end,split\nx,-3B32lodo2M,59,69,val\n", [0]),
        ("x/v_Run_g01_c03.mp4 12\nother/v_Run_g01_c02 250 12\n", [1, 2]),
        ("path,label\nb b/v_Run_g01_c02.avi,b\nz.avi,b\n", [1]),
        ("val/a long name/v_Run_g01_c02.avi 3\n", [1]),
    ],
)
def test_videos_that_two_lists_have_in_common_remain(text, kept, manifest, tmp_path) -> None:
    (tmp_path / "list.txt").write_text(text)
    found = keep_common(manifest, tmp_path / "list.txt")
    assert found.manifest.ids.tolist() == manifest.ids[kept].tolist()
    assert found.left_out == 3 - len(kept)
    assert found.missing == ("z.avi" in text)


def test_nothing_in_common(manifest, tmp_path) -> None:
    (tmp_path / "list.txt").write_text("other_video\n")
    with pytest.raises(DataError, match=r"names none of the 3 videos \(-3B32lodo2M is the first of ours"):
        keep_common(manifest, tmp_path / "list.txt")
    with pytest.raises(DataError, match="cannot be read as a list"):
        keep_common(manifest, tmp_path / "none.txt")


def test_the_key_of_a_video_is_its_published_name_or_its_file_name() -> None:
    assert video_key("a/b/-3B32lodo2M_000059_000069.mp4") == "-3B32lodo2M"
    assert video_key("v_Run_g01_c02") == "v_Run_g01_c02"
    assert video_key("folder/frames 1") == "frames 1"
