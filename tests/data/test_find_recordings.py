"""Recordings by names, files and frames together, and copies among the videos."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from marey.data.lists.manifest import Manifest
from marey.data.recordings.copies import Copies
from marey.data.recordings.find import Recordings, find_recordings
from marey.data.recordings.groups import RecordingsAndCopies, components, number_groups
from marey.data.recordings.names import Evidence, RecordingNames
from marey.data.splits.folds import make_folds
from marey.video.writing.writer import write_video
from tests.support.made_scenes import COUNT, HEIGHT, WIDTH, mirrored, recording, scaled, texture

pytestmark = pytest.mark.usefixtures("module_cache")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two clips of each of three scenes, two segments of a fourth, and copies of a fifth."""
    folder = tmp_path_factory.mktemp("recordings")
    made = {
        f"{scene}{number}": recording(30 + k, 10 * k + number) for k, scene in enumerate("abc") for number in (1, 2)
    }
    turned = recording(40, 3, count=2 * COUNT, step=1)
    made |= {"d1": turned[:COUNT], "d2": turned[COUNT:], "e1": (walk := recording(41, 4))}
    made |= {"e2": mirrored(walk), "e3": scaled(walk, 96, 128)}
    for name, frames in made.items():
        write_video(folder / f"{name}.mp4", frames, 25, crf=24)
    return folder


def listed(
    folder: Path, names: list[str], labels: list[int] | None = None, groups: list[str] | None = None
) -> Manifest:
    ids = np.array([f"{name}.mp4" for name in names])
    classes = np.array(labels or [number % 2 for number in range(len(names))])
    columns = None if groups is None else np.array(groups)
    return Manifest(ids, classes, ("run", "walk"), folder, groups=columns, source="made")


def partition(found: Recordings) -> set[frozenset[str]]:
    """The videos of each recording; without the videos whose recording is not known."""
    members: dict[str, set[str]] = {}
    for name, source in zip(found.ids.tolist(), found.by_evidence.of_row.tolist(), strict=True):
        members.setdefault(source, set()).add(Path(name).stem)
    return {frozenset(names) for source, names in members.items() if source}


ALL = ["a1", "a2", "b1", "b2", "c1", "c2", "d1", "d2", "e1", "e2", "e3"]
BY_FRAMES = {frozenset(names) for names in (("a1", "a2"), ("b1", "b2"), ("c1", "c2"), ("d1", "d2"), ("e1", "e2", "e3"))}


def test_frames_show_recordings_that_names_do_not_show(folder) -> None:
    hidden = [f"{number:06}" for number in np.random.default_rng(0).permutation(len(ALL))]
    for name, number in zip(ALL, hidden, strict=True):
        (folder / f"{number}.mp4").exists() or (folder / f"{number}.mp4").symlink_to(folder / f"{name}.mp4")
    found = find_recordings([listed(folder, hidden)])
    of_name = dict(zip(hidden, ALL, strict=True))
    assert {frozenset(of_name[name] for name in names) for names in partition(found)} == BY_FRAMES
    assert found.by_evidence.evidence == (Evidence.FRAMES,)
    assert found.by_evidence.known.all()
    assert found.by_evidence.together.all()
    assert not found.by_evidence.named.any()
    assert found.summary() == "5 recordings of 11 videos, by frames; the largest have 3, 2 and 2."
    assert found.notes() == []


def test_recordings_do_not_depend_on_the_order_of_the_list(folder) -> None:
    found = [find_recordings([listed(folder, names)]) for names in (ALL, ALL[::-1])]
    assert partition(found[0]) == partition(found[1]) == BY_FRAMES
    names = [dict(zip(one.ids.tolist(), one.by_evidence.of_row.tolist(), strict=True)) for one in found]
    assert names[0] == names[1]


def test_several_lists_are_joined(folder) -> None:
    one, other = listed(folder, ALL[:5]), listed(folder, ALL[5:])
    found = find_recordings([one, replace(other, root=folder / "..", ids=np.char.add(f"{folder.name}/", other.ids))])
    assert len(found.ids) == len(ALL)
    assert partition(found) == BY_FRAMES


def test_evidence_of_names_and_frames_is_joined(folder) -> None:
    for name in ("sessionA_1", "sessionA_2", "sessionB_1", "sessionB_2"):
        source = {"sessionA_1": "a1", "sessionA_2": "b1", "sessionB_1": "b2", "sessionB_2": "c1"}[name]
        (folder / f"{name}.mp4").exists() or (folder / f"{name}.mp4").symlink_to(folder / f"{source}.mp4")
    names = ["sessionA_1", "sessionA_2", "sessionB_1", "sessionB_2", "d1", "d2", "e1", "c2", "e2", "e3"]
    found = find_recordings([listed(folder, names)])
    joined = frozenset({"sessionA_1", "sessionA_2", "sessionB_1", "sessionB_2", "c2"})
    assert partition(found) == {joined, frozenset({"d1", "d2"}), frozenset({"e1", "e2", "e3"})}
    assert found.by_evidence.evidence == (Evidence.NAMES, Evidence.FRAMES)
    assert found.by_evidence.of_row[0] == "sessionA"
    assert found.by_evidence.named.tolist() == [True] * 4 + [False] * 6


def test_a_column_is_trusted_and_scenes_in_several_of_its_groups_are_counted(folder) -> None:
    found = find_recordings([listed(folder, ALL, groups=["x", "y", *("z" * 9)])])
    assert found.by_evidence.of_row.tolist() == ["x", "y", *("z" * 9)]
    assert found.by_evidence.given
    assert [(link.first, link.second) for link in found.scene_links_across_groups()] == [(0, 1)]
    (note,) = found.notes()
    assert "1 pair of videos in different groups" in note
    assert "a1.mp4 and a2.mp4" in note


def test_the_background_of_a_fixed_camera_shows_no_recordings(folder, tmp_path) -> None:
    names = [f"{number:03}" for number in range(6)]
    for number, name in enumerate(names):
        write_video(tmp_path / f"{name}.mp4", recording(50, 60 + number), 25, crf=24)
    found = find_recordings([listed(tmp_path, names)])
    assert found.fixed_camera.all()
    assert not found.by_evidence.known.any()
    assert "6 of 6 videos show the same scene" in found.notes()[0]
    assert "nothing does (a column `group` would)" in found.notes()[0]
    assert found.by_evidence.describe(np.array(["train"] * 3 + ["val"] * 3)).startswith(
        "neither file names nor frames show"
    )


def stamped(path: Path, source: Path, created: str) -> None:
    """Copy a file's packets into a file with another creation time."""
    with av.open(str(source)) as read, av.open(str(path), "w") as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        written.metadata["creation_time"] = created
        for packet in read.demux(read.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                written.mux(packet)


def test_nearly_equal_frames_show_the_recordings_of_a_fixed_camera(tmp_path) -> None:
    """Four people before one wall, each of whom fills half of the frame and was recorded twice."""
    names = [f"{number:03}" for number in range(8)]
    for number, name in enumerate(names):
        frames = recording(51, 80 + number)
        frames[:, 16:, 48:150] = texture(300 + number // 2, HEIGHT - 16, 102)
        moving = recording(52 + number, 90 + number)[:, :24, :32]
        for index, frame in enumerate(frames):
            frame[60 + index : 84 + index, 60 + index : 92 + index] = moving[index]
        write_video(tmp_path / f"{name}.mp4", frames, 25, crf=24)
    found = find_recordings([listed(tmp_path, names)])
    assert found.fixed_camera.all()
    assert partition(found) == {frozenset(names[row : row + 2]) for row in range(0, 8, 2)}
    assert found.by_evidence.evidence == (Evidence.FRAMES,)
    assert "nearly equal frames do for 8 of them" in found.notes()[0]


def test_times_in_names_show_the_recordings_of_a_fixed_camera_where_files_have_none(tmp_path) -> None:
    names = [f"VID_20240504_{time}" for time in ("100000", "100030", "110000", "110200")]
    for number, name in enumerate(names):
        write_video(tmp_path / f"{name}.mp4", recording(50, 60 + number), 25, crf=24)
    found = find_recordings([listed(tmp_path, names)])
    assert found.fixed_camera.all()
    assert partition(found) == {frozenset(names[:2]), frozenset(names[2:])}
    assert found.by_evidence.evidence == (Evidence.TIMES,)


def test_pauses_between_times_show_the_recordings_of_a_fixed_camera(tmp_path) -> None:
    names = [f"{number:03}" for number in range(6)]
    times = ["10:00:00", "10:00:30", "10:02:00", "11:00:00", "11:00:10", "13:00:00"]
    (tmp_path / "plain").mkdir()
    for number, (name, time) in enumerate(zip(names, times, strict=True)):
        write_video(plain := tmp_path / "plain" / f"{number}.mp4", recording(50, 60 + number), 25, crf=24)
        stamped(tmp_path / f"{name}.mp4", plain, f"2024-05-04T{time}Z")
    found = find_recordings([listed(tmp_path, names)])
    assert found.fixed_camera.all()
    assert partition(found) == {frozenset(names[:3]), frozenset(names[3:5]), frozenset(names[5:])}
    assert found.by_evidence.evidence == (Evidence.TIMES,)
    # A pause between any two, and a video without a time.
    alone = ["000", "003", "005"]
    assert partition(find_recordings([listed(tmp_path, alone)])) == {frozenset({name}) for name in alone}
    with_another = find_recordings([listed(tmp_path, [*alone, "plain/1"])])
    assert with_another.by_evidence.of_row.tolist() == ["000.mp4", "003.mp4", "005.mp4", ""]
    assert "pauses of ten minutes or more" in found.notes()[0]


@pytest.mark.parametrize(
    ("times", "is_evidence"),
    [
        (["10:00:00", "10:00:00", "11:00:00", "12:00:00", "13:00:00"], True),
        # A second or two between files of clips that last five seconds: they were converted then.
        (["10:00:00", "10:00:00", "10:00:01", "10:00:03", "10:00:04"], False),
        # All at once: the clock was never set.
        (["10:00:00"] * 5, False),
    ],
)
def test_equal_creation_times_are_one_recording_unless_files_were_converted(tmp_path, times, is_evidence) -> None:
    (tmp_path / "plain").mkdir()
    names = ["00", "01", "02", "03", "04"]
    for number, (name, time) in enumerate(zip(names, times, strict=True)):
        write_video(plain := tmp_path / "plain" / f"{name}.mp4", recording(70 + number, number), 5, crf=24)
        stamped(tmp_path / f"{name}.mp4", plain, f"2024-05-04T{time}Z")
    found = find_recordings([listed(tmp_path, names)])
    assert (frozenset({"00", "01"}) in partition(found)) == is_evidence
    assert (Evidence.FILES in found.by_evidence.evidence) == is_evidence


def test_videos_that_cannot_be_read_are_counted(folder, tmp_path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"nothing")
    names = ["bad", "a1", "a2", "b1", "c1"]
    for name in names[1:]:
        (tmp_path / f"{name}.mp4").symlink_to(folder / f"{name}.mp4")
    found = find_recordings([listed(tmp_path, names)])
    assert found.by_evidence.of_row[0] == ""
    assert found.together.copies[0] == -1
    assert partition(found) == {frozenset({"a1", "a2"}), frozenset({"b1"}), frozenset({"c1"})}
    (note,) = found.notes()
    assert note.startswith("1 video cannot be read, and is not compared: ")


def test_copies_by_class_and_split(folder) -> None:
    manifest = listed(folder, ALL, labels=[0] * 8 + [0, 0, 1])
    found = find_recordings([manifest])
    copies = found.copies([manifest], ["train"] * 9 + ["val", "train"])
    assert copies.sets == ((8, 9, 10),)
    assert copies.contradictions == copies.across == ((8, 9, 10),)
    assert copies.once() == []
    assert copies.lines(found.ids.tolist()) == [
        "3 videos are copies of each other, re-encoded or not (1 different).",
        "1 of them has copies with different classes, of which at most one is right: e1.mp4 (run) = e3.mp4 (walk).",
        "1 of them has copies in several splits: e1.mp4 (train) = e2.mp4 (val).",
    ]


def test_one_copy_stays_for_each_class_and_split() -> None:
    sets = ((0, 1, 2), (3, 4, 5, 6))
    copies = Copies(sets, sets, ["a", "a", "b", "c", "c", "c", "c"], ["t", "t", "t", "t", "v", "t", "v"])
    assert copies.once() == [1, 5, 6]


def test_components_are_named_by_their_first_row() -> None:
    assert components(6, [(4, 2), (2, 0), (3, 5)]).tolist() == [0, 1, 0, 3, 0, 3]
    assert components(2, []).tolist() == [0, 1]


def test_recordings_and_copies_of_some_of_the_videos(folder) -> None:
    found = find_recordings([listed(folder, ALL)]).together.rows(np.array([10, 0, 9]))
    assert isinstance(found, RecordingsAndCopies)
    assert isinstance(found.recordings, RecordingNames)
    assert found.copies[0] == found.copies[2] != found.copies[1]
    groups = number_groups(found.recordings, found.copies, np.array(["e3.mp4", "a1.mp4", "e2.mp4"]))
    assert groups[0] == groups[2] != groups[1]


def test_takes_of_a_static_scene_are_of_one_recording_and_none_is_left_out(folder, tmp_path) -> None:
    noise = np.random.default_rng(5)
    still = [texture(77, HEIGHT, WIDTH)] * COUNT
    for name in ("000", "001", "002"):
        frames = np.clip(np.stack(still) + noise.normal(0, 3, (COUNT, HEIGHT, WIDTH, 1)), 0, 255).astype(np.uint8)
        write_video(tmp_path / f"{name}.mp4", frames, 25, crf=24)
    for name in ("a1", "b1", "c1", "d1"):
        (tmp_path / f"{name}.mp4").symlink_to(folder / f"{name}.mp4")
    manifest = listed(tmp_path, ["000", "001", "002", "a1", "b1", "c1", "d1"], labels=[0] * 7)
    found = find_recordings([manifest])
    copies = found.copies([manifest], [""] * 7)
    assert copies.sets == ((0, 1, 2),)
    assert copies.certain == ()
    assert copies.once() == []
    (line,) = copies.lines(found.ids.tolist())
    assert line.startswith("3 videos look like copies of others in which nothing moves: they may be takes of one scene")
    assert len(set(found.by_evidence.of_row[:3].tolist())) == 1


def write_takes(folder: Path, names: list[str]) -> None:
    """Write takes of one scene, each with a spot at another position that is too small to count as moving."""
    for number, name in enumerate(names):
        frames = np.stack([texture(78, HEIGHT, WIDTH)] * COUNT)
        frames[:, 20 + 8 * number : 24 + 8 * number, 30:34] = 255
        write_video(folder / f"{name}.mp4", frames, 25, crf=24)


def test_static_takes_of_a_fixed_camera_are_no_recording(tmp_path) -> None:
    write_takes(tmp_path, names := [f"{number:03}" for number in range(6)])
    manifest = listed(tmp_path, names)
    found = find_recordings([manifest])
    assert found.fixed_camera.all()
    assert not found.by_evidence.known.any()
    folds = make_folds(manifest, together=found.together)  # impossible if all were one group
    assert len(set(folds.groups.tolist())) == 6
    copies = found.copies([manifest], ["train", "val"] * 3)
    assert copies.sets == ((0, 1, 2, 3, 4, 5),)
    # They have both classes and both splits, which is no contradiction.
    assert copies.contradictions == copies.across == ()
    assert copies.rows_copied_elsewhere("train") == []


def test_segments_of_one_file_are_no_copies_and_no_fixed_camera(folder, tmp_path) -> None:
    frames = np.stack([texture(79, HEIGHT, WIDTH)] * (4 * COUNT))
    write_video(tmp_path / "long.mp4", frames, 24, crf=24)
    for name in ("a1", "b1", "c1"):
        (tmp_path / f"{name}.mp4").symlink_to(folder / f"{name}.mp4")
    manifest = listed(tmp_path, ["long"] * 4 + ["a1", "b1", "c1"], labels=[0, 1] * 3 + [0])
    times = np.array([*((start, start + 1) for start in range(4)), *([(np.nan, np.nan)] * 3)], np.float64)
    manifest = replace(manifest, times=times)
    found = find_recordings([manifest])
    assert not found.fixed_camera.any()
    assert found.by_evidence.of_row.tolist() == ["long"] * 4 + ["a1.mp4", "b1.mp4", "c1.mp4"]
    assert found.copies([manifest], [""] * 7).sets == ()


def test_frames_show_the_recordings_of_a_class_whose_names_show_a_single_one(folder, tmp_path) -> None:
    of = {"sessionA_1": "a1", "sessionA_2": "a2", "sessionA_3": "b1", "sessionA_4": "b2"}
    of |= {"sessionA_5": "c1", "sessionA_6": "e1", "sessionB_1": "d1"}
    for name, source in of.items():
        (tmp_path / f"{name}.mp4").symlink_to(folder / f"{source}.mp4")
    found = find_recordings([listed(tmp_path, [*of], labels=[0, 0, 0, 0, 1, 1, 1])])
    recordings = [
        ("sessionA_1", "sessionA_2"), ("sessionA_3", "sessionA_4"), ("sessionA_5", "sessionA_6"), ("sessionB_1",)
    ]  # fmt: skip
    assert partition(found) == {frozenset(names) for names in recordings}
    assert found.by_evidence.together.all()
    assert found.by_evidence.named.tolist() == [False] * 4 + [True] * 3


def test_videos_without_a_group_that_show_the_same_scene_are_counted(folder) -> None:
    found = find_recordings([listed(folder, ALL[:4], groups=["x", "", "y", "y"])])
    assert found.by_evidence.of_row.tolist() == ["x", "", "y", "y"]
    (note,) = found.notes()
    assert note.startswith("1 pair of videos shows the same scene, but the column `group` is empty for one or both")
    assert "a1.mp4 and a2.mp4" in note
