"""Lists without labels: how videos are named, what is read, and that worker processes share the lists."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import marey
from marey.base.errors import DataError, DecodeError
from marey.data.files.quarantine import Broken
from marey.data.lists.class_folders import list_folder
from marey.data.lists.manifest import make_manifest
from marey.data.lists.read_manifest import read_manifest
from marey.data.lists.read_videos import as_videos, read_videos
from marey.data.lists.videos import VideoEntry, VideoList, frame_range
from marey.data.loading.datasets import ViewDataset
from marey.data.loading.view_decoder import DecodedVideo
from marey.video.pixels import Pixels
from marey.video.sampling.mmaction2 import MMAction2Test
from marey.video.writing.writer import write_video
from tests.support.made_scenes import Held

TIMED = "path,start,end\na.mp4,0,2.5\na.mp4,2.5,\nb.mp4,,\na.mp4,0,2.5\n"


def named(folder: Path, name: str, text: str) -> list[tuple[str, float | None, float | None]]:
    (folder / name).write_text(text)
    return [(str(video.path), video.start, video.end) for video in read_videos(folder / name, root="v")]


def test_a_csv_needs_no_labels(tmp_path) -> None:
    expected = [("v/a.mp4", 0, 2.5), ("v/a.mp4", 2.5, None), ("v/b.mp4", None, None)]
    assert named(tmp_path, "times.csv", TIMED) == expected
    assert named(tmp_path, "one.csv", "path\na.mp4\nb c.mp4\na.mp4\n") == [
        ("v/a.mp4", None, None),
        ("v/b c.mp4", None, None),
    ]
    assert named(tmp_path, "split.csv", "split,path\ntrain,a.mp4\n,b.mp4\n") == [
        ("v/a.mp4", None, None),
        ("v/b.mp4", None, None),
    ]
    for text, message in (
        ("path,strat\na.mp4,1\n", r"l\.csv:1: unknown column 'strat'.*start"),
        ("path,start\na.mp4,soon\n", r"l\.csv:2: 'soon' is no time in seconds"),
        ("path,start,end\na.mp4,2,1\n", r"l\.csv:2: start must lie before end"),
        ("path,start\n", r"l\.csv: names no videos"),
        ("path,start\na.mp4\n", r"l\.csv:2: expected 2 values"),
    ):
        with pytest.raises(DataError, match=message):
            named(tmp_path, "l.csv", text)


def test_labels_of_a_list_do_not_matter(tmp_path) -> None:
    (tmp_path / "l.csv").write_text("path,label,start,end,group\nx/a.mp4,run|jump,1,2,g\nx/b.mp4,run,,,h\n")
    (tmp_path / "l.txt").write_text("x/a.mp4\nx/b.mp4\n")
    manifest, listed = read_manifest(tmp_path / "l.csv"), read_videos(tmp_path / "l.csv")
    assert [(v.path, v.start, v.end) for v in listed] == [(s.path, s.start, s.end) for s in manifest]
    assert [v.id for v in manifest.videos] == [s.id for s in manifest] == ["x/a.mp4@1-2", "x/b.mp4"]
    assert read_videos(tmp_path / "l.txt").ids.tolist() == listed.ids.tolist()
    assert all(as_videos(given) is not None for given in (manifest, listed, [tmp_path / "a.mp4"]))
    assert as_videos(["a.mp4", Path("b")]).ids.tolist() == ["a.mp4", "b"]


def test_one_path_is_not_read_as_its_letters(tmp_path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    (tmp_path / "l.txt").write_text("b.mp4\na.mp4\n")
    both = [str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4")]
    for kind in (str, Path):
        assert as_videos(kind(tmp_path)).ids.tolist() == both
        assert as_videos(kind(tmp_path / "l.txt")).ids.tolist() == both[::-1]
        assert as_videos(kind(tmp_path / "a.mp4")).ids.tolist() == both[:1]
        assert VideoList.from_paths(kind("a.mp4")).ids.tolist() == ["a.mp4"]
    with pytest.raises(DataError, match=r"none\.mp4: no such file"):
        as_videos(str(tmp_path / "none.mp4"))


def test_one_text_is_no_list_of_class_names(tmp_path) -> None:
    for label in ("jump", "run"):
        (tmp_path / "v" / label).mkdir(parents=True)
        (tmp_path / "v" / label / "a.mp4").touch()
    (tmp_path / "classes.txt").write_text("run\njump\n")
    for kind in (str, Path):
        assert list_folder(tmp_path / "v", classes=kind(tmp_path / "classes.txt")).class_names == ("run", "jump")
    with pytest.raises(DataError, match=r"l\.csv: classes='ab' is one text: give a list"):
        make_manifest([("a.mp4", "0")], root=Path(), source="l.csv", classes="ab")


def test_each_video_is_in_the_list_once_where_it_is_named_first(tmp_path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    (tmp_path / "t.csv").write_text(TIMED)
    listed = read_videos([tmp_path / "b.mp4", tmp_path / "t.csv", tmp_path, tmp_path / "b.mp4"])
    names = [(video.path.name, video.start, video.end) for video in listed]
    assert names == [("b.mp4", None, None), ("a.mp4", 0, 2.5), ("a.mp4", 2.5, None), ("a.mp4", None, None)]
    assert len(read_videos([])) == 0


def test_a_list_of_the_same_videos_has_the_same_fingerprint() -> None:
    ids = np.array(["a.mp4", "b.mp4"])
    times = np.array([[0, 1], [np.nan, np.nan]])
    assert VideoList(ids).fingerprint == VideoList(ids.copy(), Path("/elsewhere"), source="x").fingerprint
    assert VideoList(ids).fingerprint != VideoList(ids[::-1]).fingerprint
    assert VideoList(ids).fingerprint != VideoList(ids, times=times).fingerprint
    assert len(VideoList(ids).fingerprint) == 64


def test_rows_of_a_list() -> None:
    listed = VideoList(np.array(["a.mp4", "b.mp4"]), Path("v"), np.array([[0.5, 3661.125], [np.nan, 10]]), "l.csv")
    assert listed[0] == VideoEntry("a.mp4@0.5-3661.125", Path("v/a.mp4"), 0.5, 3661.125)
    assert listed[1] == VideoEntry("b.mp4@0-10", Path("v/b.mp4"), None, 10)
    assert listed[np.array([1])].times.tolist()[0][1] == 10
    assert list(listed[np.array([False, True])]) == [listed[1]]
    assert repr(listed) == "VideoList('l.csv': 2 videos)"
    assert repr(listed[np.array([1])]) == "VideoList('l.csv': 1 video)"
    assert repr(VideoList.from_paths([])) == "VideoList(0 videos)"


def test_a_manifest_is_shown_in_one_line() -> None:
    manifest = make_manifest([("a", "x"), ("b", "y")], root=Path(), source="l.csv", splits=["val", "train"])
    assert repr(manifest) == "Manifest('l.csv': 2 videos, 2 classes, splits train, val)"
    one = make_manifest([("a", "x")], root=Path(), source="")
    assert repr(one) == "Manifest(1 video, 1 class)"


def test_a_data_set_of_views_has_targets_only_where_a_list_has_labels(tmp_path) -> None:
    write_video(tmp_path / "a.mp4", [np.full((32, 32, 3), n, np.uint8) for n in range(8)], fps=10)
    (tmp_path / "b.mp4").write_bytes(b"no video")
    (tmp_path / "l.csv").write_text("path,label\na.mp4,jump\nb.mp4,run\n")
    manifest = read_manifest(tmp_path / "l.csv")
    rules = MMAction2Test(frames=4), Pixels(short_side=32)
    labelled, bare = (marey.ViewDataset(videos, *rules) for videos in (manifest, manifest.videos))
    with_target, without = labelled[0], bare[0]
    assert isinstance(with_target, DecodedVideo)
    assert isinstance(without, DecodedVideo)
    assert repr(without) == "DecodedVideo('a.mp4': 4 frames of 32x32 for 1 clip)"
    assert (with_target.target, without.target) == (0, None)
    np.testing.assert_array_equal(with_target.frames, without.frames)
    assert labelled[1] == bare[1]
    assert isinstance(bare[1], Broken)
    assert bare[1].path == str(tmp_path / "b.mp4")
    assert len(ViewDataset(VideoList.from_paths([]), *rules)) == 0


def test_a_manifest_shares_its_columns_with_its_list() -> None:
    manifest = make_manifest([("a", "x"), ("b", "y")], root=Path(), source="", times=[(0, 1), (1, 2)])
    assert np.shares_memory(manifest.ids, manifest.videos.ids)
    assert np.shares_memory(manifest.times, manifest.videos.times)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_forked_processes_share_a_list() -> None:
    """A quarter of 200,000 rows read in a forked process: rows that are objects would copy most of the list."""
    script = """
import os
from pathlib import Path
import numpy as np
from marey.data.lists.videos import VideoList

def private_bytes():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Private"))

listed = VideoList(np.array([f"clips/c{i % 400:03}/a_video_with_a_long_name_{i:07}.mp4" for i in range(200_000)]))
if not (child := os.fork()):
    before = private_bytes()
    assert sum(len(listed[row].id) for row in range(0, len(listed), 4)) == 50_000 * len(listed[0].id)
    print(private_bytes() - before, listed.ids.nbytes, flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    grown, size = map(int, done.stdout.split())
    assert grown < size / 4


def test_only_names_of_files_may_have_bytes_that_are_not_utf8(tmp_path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"b\xe4d.mp4 0\nb.mp4 1\n")
    with pytest.raises(DataError, match=r"list\.txt:1: no file has the name 'b.udce4d\.mp4'.*Latin-1.*iconv -f CP1252"):
        read_manifest(path)
    (tmp_path / os.fsdecode(b"b\xe4d.mp4")).touch()
    assert read_manifest(path).ids.tolist() == ["b\udce4d.mp4", "b.mp4"]
    path.write_bytes(b"a.mp4 h\xf6ren\nb.mp4 sehen\n")
    with pytest.raises(DataError, match=r"list\.txt: the class name 'h.udcf6ren' is not UTF-8 text"):
        read_manifest(path)
    path.write_text("a.mp4 0\n", encoding="utf-16")
    assert read_manifest(path).ids.tolist() == ["a.mp4"]
    path.write_text("a.mp4 0\n", encoding="utf-16-le")
    with pytest.raises(DataError, match=r"list\.txt: cannot be read as a list of videos .it is not UTF-8 text"):
        read_manifest(path)


def test_a_slice_of_a_list_is_a_list(tmp_path) -> None:
    (tmp_path / "list.csv").write_text("path,label,start,end\na.mp4,x,0,1\nb.mp4,y,1,2\nc.mp4,x,,\n")
    manifest = read_manifest(tmp_path / "list.csv")
    some = manifest[1:]
    assert (type(some), list(some)) == (type(manifest), list(manifest)[1:])
    assert list(manifest.videos[:2]) == list(manifest.videos)[:2]


def frames_of(**ends: float) -> tuple[int, int] | str:
    """The first frame and the number of frames of a segment of a video of ten frames, one a second; or the error."""
    try:
        return frame_range(VideoEntry("a", Path("a.mp4"), **ends), Held(np.zeros((10, 2, 2, 3), np.uint8), fps=1))
    except DecodeError as error:
        return error.reason


def test_the_frames_of_a_segment() -> None:
    """A segment has the frames shown from its start on and before its end, as far as the video reaches."""
    assert frames_of() == (0, 10)
    assert frames_of(start=2, end=4) == frames_of(start=1.5, end=4) == frames_of(start_frame=2, end_frame=4) == (2, 2)
    assert (
        frames_of(start=7)
        == frames_of(start_frame=7)
        == frames_of(start=7, end=99)
        == frames_of(start_frame=7, end_frame=99)
        == (7, 3)
    )
    assert frames_of(end=1) == frames_of(end=0.1) == frames_of(end_frame=1) == (0, 1)
    assert frames_of(start=9) == frames_of(start_frame=9) == (9, 1)


def test_a_segment_without_frames_is_an_error() -> None:
    last = "(the last one is shown at 9.00 s)"
    assert frames_of(start=9.5) == f"no frame lies between 9.5 s and the end {last}"
    assert frames_of(start=20, end=22.25) == f"no frame lies between 20 s and 22.25 s {last}"
    assert frames_of(start=2.1, end=2.9) == f"no frame lies between 2.1 s and 2.9 s {last}"
    assert frames_of(end=0) == f"no frame lies between 0 s and 0 s {last}"
    assert (
        frames_of(start_frame=10)
        == frames_of(start_frame=10, end_frame=12)
        == "has no frame 10 (counted from 0): it has 10"
    )
