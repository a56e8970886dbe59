"""The recordings that file names show, those that they do not show, and how they are described."""

from pathlib import Path

import numpy as np
import pytest

from marey.data.catalogue.hmdb51 import HMDB51
from marey.data.catalogue.ucf101 import UCF101
from marey.data.lists.manifest import make_manifest
from marey.data.recordings.names import UNKNOWN_RECORDINGS, find_recording_names, joined_recording_names


def listed(names, *, labels=None, **columns):
    """A list of videos whose classes are their first folders, unless given."""
    classes = labels or [name.split("/")[0] for name in names]
    return make_manifest(list(zip(names, classes, strict=True)), root=Path(), source="made", **columns)


def partition(keys) -> set[frozenset[int]]:
    """The sets of rows with the same key; each row without a key is alone."""
    rows = {}
    for row, key in enumerate(keys):
        rows.setdefault(key or row, set()).add(row)
    return set(map(frozenset, rows.values()))


def recordings_of(names, **options) -> list[str]:
    return find_recording_names(listed(names, **options)).of_row.tolist()


def in_classes(*names: str) -> list[str]:
    return [f"{label}/{name}.mp4" for label in ("fall", "walk") for name in names]


@pytest.mark.parametrize(
    ("names", "recordings"),
    [
        (("sessionA_clip1", "sessionA_clip2", "sessionB_clip1", "sessionB_clip2"), ["sessionA", "sessionB"]),
        (("sessionA-2", "sessionA-3", "sessionB-1"), ["sessionA", "sessionB"]),
        (("P01_take3", "P01_take4", "P02_take1"), ["P01", "P02"]),
        (("vid12_part2", "vid12_part3", "vid13_part1"), ["vid12", "vid13"]),
        (("name (1)", "name (2)", "other (1)"), ["name", "other"]),
        (("name - Copy", "name (2)", "other"), ["name", "other"]),
        (("name_000123", "name_000124", "other_000001"), ["name", "other"]),
        (("2021-01-01_cam1_00012", "2021-01-01_cam2_00013", "2021-01-02_cam1_00001"), ["2021-01-01", "2021-01-02"]),
        (("abcdefghijk_000010_000020", "abcdefghijk_000030_000040", "-bc_efghi1k_1.5_2.5"), ["-bc_efghi1k", "abcdefghijk"]),
        (("_8Vy3dlHg2w_00000", "_8Vy3dlHg2w_00001", "iiiiiiiii-4_00000"), ["_8Vy3dlHg2w", "iiiiiiiii-4"]),
        (("GX010034", "GX020034", "GH010035"), ["GoPro 0034", "GoPro 0035"]),
        (("GX010034_clip1", "GX020034_clip2", "GH010035_clip1"), ["GoPro 0034", "GoPro 0035"]),
        (("S001C001P001R001A001", "S001C003P001R002A001", "S001C001P002R001A001"), ["S001P001", "S001P002"]),
        (("person01_walk_d1_uncomp", "person01_walk_d2_uncomp", "person02_walk_d1"), ["person01", "person02"]),
        (("clip_a_1", "clip_a_2", "clip_b_1"), ["clip_a", "clip_b"]),
        (("DJI_0001_clip1", "DJI_0001_clip2", "DJI_0002_clip1"), ["DJI_0001", "DJI_0002"]),
        (("session1/001", "session1/002", "monday/001"), ["monday", "session1"]),
    ],
)  # fmt: skip
def test_names_that_show_recordings(names, recordings) -> None:
    found = find_recording_names(listed(in_classes(*names)))
    assert found.known.all()
    assert found.together.all()
    assert sorted(set(found.of_row.tolist())) == recordings


@pytest.mark.parametrize(
    "names",
    [
        ("0", "1", "2"),
        ("video_001", "video_002", "video_003"),
        ("IMG_2041", "DJI_0001", "MVI_0002"),
        ("VID_20210101_120000", "20210102_130000"),
        ("kick3", "kick4", "x1"),
        ("foo_1", "foo_2", "foo_3"),
        ("9f86d081", "b94d27b9934d3e08"),
    ],
)
def test_names_that_show_no_recording(names) -> None:
    names = [f"{label}/{name}{label[0] * (len(name) > 7)}.mp4" for label in ("fall", "walk") for name in names]
    found = find_recording_names(listed(names))
    assert not found.known.any(), found.of_row
    assert found.describe(np.array(["train", "val"] * len(names))[: len(names)]) == UNKNOWN_RECORDINGS


def test_the_name_of_the_class_is_no_recording() -> None:
    assert not any(recordings_of([f"{label}/{label}{i}.mp4" for label in ("down", "up") for i in range(5)]))
    assert not any(recordings_of([f"{label}/{label} {i}.mp4" for label in ("brush_hair", "up") for i in range(5)]))
    # Nor is another word that all videos of one class have, and no others.
    assert not any(recordings_of([f"fall/foo_{i}.mp4" for i in range(4)] + [f"walk/bar_{i}.mp4" for i in range(4)]))
    one_person = [f"{label}/{label}_P01_{i}.mp4" for label in ("fall", "walk") for i in range(2)]
    assert set(recordings_of([*one_person, "fall/fall_P02_0.mp4", "walk/walk_P02_0.mp4"])) == {"P01", "P02"}


def test_all_of_ucf101_and_hmdb51() -> None:
    """Compared with the groups that the data sets were published with."""
    clips = [clip for clip, _ in UCF101.clips()]
    names = [f"{clip.label}/{clip.key}.avi" for clip in clips]
    assert partition(recordings_of(names)) == partition([clip.group for clip in clips])
    clips = [clip for clip, _ in HMDB51.clips()]
    found = recordings_of([f"{clip.label}/{clip.key}.avi" for clip in clips])
    assert np.mean([one == clip.group for one, clip in zip(found, clips, strict=True)]) > 0.99


def test_a_column_states_recordings_and_its_empty_cells_are_not_known() -> None:
    found = find_recording_names(listed(in_classes("sessionA_1", "sessionB_1"), groups=["x", "", "x", "y"]))
    assert found.given
    assert found.of_row.tolist() == ["x", "", "x", "y"]
    splits = np.array(["train", "val", "val", "val"])
    assert found.describe(splits) == (
        "1 recording is in both splits, with 2 videos: x (3 of 4 videos, by the column `group`; of the other 1 the "
        "recording is not known)"
    )


def test_some_names_show_recordings() -> None:
    names = in_classes("sessionA_clip1", "sessionA_clip2", "sessionB_clip1", "000123")
    found = find_recording_names(listed(names))
    assert found.known.tolist() == [True, True, True, False] * 2
    splits = np.array(["train", "train", "val", "val"] * 2)
    assert found.describe(splits) == (
        "no recording in both splits (6 of 8 videos, by file names; of the other 2 the recording is not known)"
    )


def test_a_published_name_that_covers_a_class_is_known_and_may_be_split() -> None:
    names = [f"a/abcdefghijk_0000{i}0_000099.mp4" for i in range(4)] + [
        f"b/lmnopqrstuv_0000{i}0_000099.mp4" for i in range(4)
    ]
    found = find_recording_names(listed(names))
    assert found.known.all()
    assert not found.together.any()
    assert found.describe(np.array(["train", "val"] * 4)).startswith("2 recordings are in both splits, with 8 videos")


def test_segments_of_one_file_have_it_as_their_recording() -> None:
    names = ["a/0001.mp4", "a/0001.mp4", "b/0002.mp4", "b/0003.mp4"]
    times = [(0.0, 1.0), (1.0, 2.0), (0.0, 1.0), (0.0, 1.0)]
    assert recordings_of(names, times=times) == ["a/0001.mp4", "a/0001.mp4", "", ""]


def test_lists_of_other_classes_and_folders_are_joined() -> None:
    one = listed(["fall/sessionA_1.mp4", "walk/sessionB_1.mp4"])
    other = make_manifest([("walk/sessionA_2.mp4", "walk"), ("run/sessionA_1.mp4", "run")], root=Path("/x"), source="o")
    found = joined_recording_names([one, other])
    assert found.of_row.tolist() == ["sessionA", "sessionB", "sessionA", "sessionA"]
    assert found.in_several_splits(np.array(["train", "train", "val", "val"])) == {"sessionA": 3}
