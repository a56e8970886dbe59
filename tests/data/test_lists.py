"""Lists of people and of public data sets: each dialect and form, and errors with file and line."""

import csv
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from marey.base.errors import DataError
from marey.base.reporter import CollectingReporter, reporting
from marey.data.audit import audit, read_together
from marey.data.convert import Extract, convert
from marey.data.files.missing import require_files
from marey.data.files.video_info import VideoInfoCache
from marey.data.lists.manifest import Manifest
from marey.data.lists.pieces import read_in_pieces
from marey.data.lists.read_manifest import check_root, read_manifest
from marey.data.lists.read_videos import read_videos
from marey.data.loading.datasets import ViewDataset
from marey.data.splits.common_videos import keep_common
from marey.data.splits.read_splits import read_train_val
from marey.video.pixels import Pixels
from marey.video.sampling import MMAction2Test
from marey.video.writing.writer import write_video
from tests.support.made_videos import coded_frame, decoded_number


class Messages(CollectingReporter):
    """The messages of a test, as one text."""

    @property
    def text(self) -> str:
        return "\n".join(message for _, message in self._collected)


@pytest.fixture
def messages():
    reporter = Messages()
    with reporting(reporter):
        yield reporter


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def frames(folder: Path, count: int, template: str = "img_{:05d}.jpg") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, count + 1):
        cv2.imwrite(str(folder / template.format(number)), coded_frame(number - 1)[:, :, ::-1])


def paths_and_labels(manifest: Manifest) -> list[tuple[str, str]]:
    """The path of each row and the names of its labels."""
    return [
        (name, "|".join(manifest.class_names[i] for i in np.flatnonzero(hot)))
        for name, hot in zip(manifest.ids.tolist(), manifest.multi_hot(), strict=True)
    ]


def read(folder: Path, text: str | bytes, name: str = "l.csv", **options) -> Manifest:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_manifest(path, **options)


# -- tables

TWO = [("a.mp4", "run"), ("b c.mp4", "tai chi")]


@pytest.mark.parametrize(
    "text",
    [
        '"path","label"\n"a.mp4","run"\n"b c.mp4","tai chi"\n',
        "path;label\na.mp4;run\nb c.mp4;tai chi\n",
        "path\tlabel\na.mp4\trun\nb c.mp4\ttai chi\n",
        "path|label\na.mp4|run\nb c.mp4|tai chi\n",
        'Path, Label\r\na.mp4, run\r\nb c.mp4, "tai chi"\r\n',
        ",path,label\n0,a.mp4,run\n1,b c.mp4,tai chi\n",
        "Unnamed: 0,path,label\n0,a.mp4,run\n1,b c.mp4,tai chi\n",
        "video_path,class,duration\na.mp4,run,0.8\nb c.mp4,tai chi,1\n",
        "File Name,Class Name\na.mp4,run\nb c.mp4,tai chi\n",
        "label,filename\nrun,a.mp4\ntai chi,b c.mp4\n",
        "a.mp4,run\nb c.mp4,tai chi\n",
        "a.mp4;run\nb c.mp4;tai chi\n",
        "a.mp4\trun\nb c.mp4\ttai chi\n",
        "# made by hand\n\npath,label\na.mp4,run\n\n# the second\nb c.mp4,tai chi\n",
        "\ufeffpath,label\na.mp4,run\nb c.mp4,tai chi\n",
        "path,label\ra.mp4,run\rb c.mp4,tai chi\r",
        "sep=;\npath;label\na.mp4;run\nb c.mp4;tai chi\n;\n;\n",
    ],
)
@pytest.mark.parametrize("name", ["l.csv", "l.txt", "l.tsv", "l.list"])
def test_dialects_of_tables(text, name, tmp_path) -> None:
    assert paths_and_labels(read(tmp_path, text, name)) == TWO


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_with_their_marks(encoding, tmp_path) -> None:
    assert paths_and_labels(read(tmp_path, "path,label\né.mp4,größe\n".encode(encoding))) == [("é.mp4", "größe")]


@pytest.mark.parametrize(
    ("encoding", "command"),
    [("cp1252", "CP1252"), ("latin-1", "CP1252"), ("shift_jis", "CP932"), ("gbk", "GB18030"), ("cp1251", "CP1251")],
)
def test_other_encodings_are_refused_with_their_name(encoding, command, tmp_path) -> None:
    words = {"shift_jis": "ジャンプする", "gbk": "跳远运动", "cp1251": "прыжок"}
    text = f"path,label\na.mp4,{words.get(encoding, 'größe')}\n".encode(encoding)
    with pytest.raises(DataError, match=rf"l\.csv: .*not UTF-8 text.*iconv -f {command} -t UTF-8 .*l\.csv"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"\x80\x04\x95", "a Python pickle, such as MMAction2's skeleton"),
        (b"PK\x03\x04", "an Excel sheet.*save the sheet as CSV"),
        (b"PAR1", r"a Parquet table; name it FILE\.parquet if it is a list"),
        (b"a\0,\0b\0\n\0", "looks like UTF-16LE without its mark.*iconv -f UTF-16LE"),
    ],
)
def test_other_kinds_of_files_are_refused_with_their_name(head, message, tmp_path) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, head)
    (tmp_path / "l.pkl").write_bytes(head)
    with pytest.raises(DataError, match=message):
        read_videos(tmp_path / "l.pkl")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na.mp4,\nb.mp4,run\nc.mp4,nan\n", r"l\.csv:2: 2 rows have no label \(lines 2, 4\)"),
        ("path,label\n,run\nb.mp4,run\n", r"l\.csv:2: this row has no path"),
        ("path,label,class\na,b,c\n", r"l\.csv:1: the columns 'label' and 'class' both name the label"),
        ("path,label,split,subset\na,b,c,d\n", r"'split' and 'subset' both name the split: leave one out, or rename it"),
        ("path,path\na,b\n", r"l\.csv:1: the column 'path' is there twice"),
        ("path,label\na.mp4,0 3\n", r"l\.csv:2: the label '0 3': write several labels of a video with \| between"),
        ('path,label\na.mp4,"[0, 3]"\n', r"l\.csv:2: the label '\[0, 3\]': write several labels"),
        ("path,label\na.mp4,1.0\nb.mp4,0.0\n", r"l\.csv:2: the label 1.0 is no class index"),
        ("path,label\na.mp4,-1\nb.mp4,0\n", r"l\.csv:2: the label -1 is no class index"),
        ('path,label\n"a.mp4,run\nb.mp4,run\n', r"l\.csv:2: the quotes of this row are not closed"),
        ("a.mp4,1.5,2.5\nb.mp4,1,2\n", r"l\.csv:1: 3 values with commas between, and no header.*path,label"),
        ("label,split\nrun,train\n", r"l\.csv:1: the column 'path' is missing"),
        ("path\na.mp4\n", r"l\.csv:1: the column 'label' is missing: the list names no labels. `marey predict`"),
        ("path,label,start,end\na.mp4,x,1:61,2\n", r"l\.csv:2: '1:61' is no time"),
        ("path,label,start_frame,end_frame\na.mp4,x,9,3\n", r"l\.csv:2: start_frame must lie before end_frame"),
        ("path,label,start_frame\na.mp4,x,-1\n", r"l\.csv:2: '-1' is no frame index"),
        ("path,label,start,start_frame\na.mp4,x,1,2\n", "by time .* and by frame .*: leave out one pair"),
        ("-5KQ66BBWC4,0902,0.077,0.151,0.283,0.811,80,1\n", "a list of AVA's kind"),
    ],
)  # fmt: skip
def test_errors_name_file_and_line(text, message, tmp_path) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_what_is_ignored_is_reported_with_a_count(tmp_path, messages) -> None:
    read(tmp_path, "# x\n,path,label,fps,split\n0,a.mp4,2,25,valid\n1,b.mp4,5,30,Train\n2,c.mp4,5,30,train\n")
    assert "l.csv: 1 line with # in front skipped" in messages.text
    assert "2 columns ignored: one without a name, fps" in messages.text
    assert "splits read by their common names in 2 rows: valid as val, Train as train" in messages.text
    assert "labels are numbers up to 5; classes 0-1, 3-4 have no video" in messages.text


def test_a_split_is_found_by_each_of_its_names(tmp_path) -> None:
    manifest = read(tmp_path, "path,label,split\na.mp4,x,Training\nb.mp4,y,validation\nc.mp4,y,extra\n")
    assert manifest.split_names == ("extra", "train", "val")
    for word in ("val", "valid", "validation", "dev"):
        assert manifest.split(word).ids.tolist() == ["b.mp4"]
        assert read_manifest(tmp_path / "l.csv", split=word).ids.tolist() == ["b.mp4"]
    assert manifest.split("extra").ids.tolist() == ["c.mp4"]


def test_times_in_minutes_and_hours(tmp_path) -> None:
    rows = ["00:00:01.5,00:00:03", "1:02,62.5", "0:01:01.25,1:00:00", ",12.5s"]
    text = "path,label,start,end\n" + "".join(f"v{i}.mp4,x,{row}\n" for i, row in enumerate(rows))
    assert read(tmp_path, text).times.tolist()[:3] == [[1.5, 3], [62, 62.5], [61.25, 3600]]
    assert [video.end for video in read_manifest(tmp_path / "l.csv")][3] == 12.5


def test_a_name_may_hold_anything_that_csv_can_quote(tmp_path) -> None:
    names = ['say "hi".mp4', "a,b.mp4", "#1.mp4", "x\u2028y.mp4", "semi;colon.mp4", "l\nm.mp4"]
    with (tmp_path / "l.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *((name, "x, y") for name in names)])
    touch(tmp_path, "#1.mp4")
    manifest = read_manifest(tmp_path / "l.csv")
    assert manifest.ids.tolist() == names
    manifest.write_csv(tmp_path / "again.csv")
    assert read_manifest(tmp_path / "again.csv").ids.tolist() == names


# -- lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.mp4 0 3\nb.mp4 1 2\n", [("a.mp4", "0|3"), ("b.mp4", "1|2")]),
        ("a.mp4 0,3\nb.mp4 1\n", [("a.mp4", "0|3"), ("b.mp4", "1")]),
        ("a.mp4 0, 3\nb d.mp4 1, 2, 3\n", [("a.mp4", "0|3"), ("b d.mp4", "1|2|3")]),
        ("a.mp4 1\nb.mp4 0 1\n", [("a.mp4", "1"), ("b.mp4", "0|1")]),
        ("v1 12 0 3\nv2 30 1\n", [("v1", "0|3"), ("v2", "1")]),
        ("v1 12 0\nv2 30 1\n", [("v1", "0"), ("v2", "1")]),
        ("my clip 2.mp4 0\nb.AVI 1\n", [("my clip 2.mp4", "0"), ("b.AVI", "1")]),
        ("a.mp4 run\nb.mp4 jump\n", [("a.mp4", "run"), ("b.mp4", "jump")]),
        ("a.mp4\t0\nb.mp4\t1\n", [("a.mp4", "0"), ("b.mp4", "1")]),
        ("a.mp4,stop\nb.mp4,run\n", [("a.mp4", "stop"), ("b.mp4", "run")]),
        ("Path label\na.mp4 0\nb.mp4 1\n", [("a.mp4", "0"), ("b.mp4", "1")]),
        ("path frames label\nv1 12 0\nv2 9 1\n", [("v1", "0"), ("v2", "1")]),
    ],
)
def test_lines_of_labels(text, expected, tmp_path) -> None:
    assert paths_and_labels(read(tmp_path, text, "l.txt")) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v1 3 6 0\nv2 3 6 1\n", r"l\.txt:1: 'v1 3 6 0' may be `folder offset frames label`.*do not exist"),
        ("a.mp4 run fast\n", r"l\.txt:1: 'run fast' after a video: one class name with blanks, or several\?"),
        ("a.mp4\nb.mp4 1\n", r"l\.txt:1: expected `path label` as on line 2, got a path alone"),
        ("a.mp4 run,fast\n", r"l\.txt:1: expected `path label`"),
        ("v1 0 3\n", r"l\.txt:1: v1 with 0 frames"),
        ("path start end label\na.mp4 0 1 x\n", r"l\.txt:1: a header of 'path start end label' with blanks between"),
        ("a.mp4\nb.mp4\n", "the list names no labels"),
    ],
)
def test_lines_that_may_be_read_in_several_ways_are_refused(text, message, tmp_path) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, text, "l.txt")


def test_numbers_after_folders_are_read_by_the_number_of_images(tmp_path, messages) -> None:
    for name, count in (("v1", 12), ("v2", 12), ("run 1", 8)):
        frames(tmp_path / name, count)
    offset = read(tmp_path, "v1 3 6 0\nv2 0 12 1\n", "l.txt")
    assert (paths_and_labels(offset), offset.frame_ranges.tolist()) == ([("v1", "0"), ("v2", "1")], [[3, 9], [0, 12]])
    assert "read as `folder offset frames label`" in messages.text
    assert [sample.id for sample in offset] == ["v1@f3-9", "v2@f0-12"]
    fewer = read(tmp_path, "v1 6 0\nv2 12 1\n", "l.txt")
    assert fewer.frame_ranges.tolist() == [[0, 6], [0, -1]]
    assert "of 1 folder with more images than the list states, the first ones are used" in messages.text
    several = read(tmp_path, "v1 12 0 3\nv2 12 1 2\n", "l.txt")
    assert (paths_and_labels(several), several.frame_ranges) == ([("v1", "0|3"), ("v2", "1|2")], None)
    assert paths_and_labels(read(tmp_path, "run 1 8 1\nv2 12 0\n", "l.txt")) == [("run 1", "1"), ("v2", "0")]
    assert read(tmp_path, "v1 12 0\nv2 12 1\n", "l.txt").frame_ranges is None
    assert paths_and_labels(read(tmp_path, "v1 12 jump\nv2 12 run\n", "l.txt")) == [("v1", "jump"), ("v2", "run")]
    touch(tmp_path, "78687.webm")
    assert paths_and_labels(read(tmp_path, "78687 0 3\n", "l.txt")) == [("78687.webm", "0|3")]
    with pytest.raises(DataError, match="the images in its folders fit neither"):
        read(tmp_path, "v1 9 6 0\nv2 3 6 1\n", "l.txt")
    read(tmp_path, "v1 20 0\nv2 12 1\n", "l.txt")
    assert "1 folder with fewer images than the list states; the first, v1 (line 1), has 12 of 20" in messages.text


def test_paths_are_resolved_to_files(tmp_path, messages) -> None:
    touch(tmp_path, "a/b.mp4", "a/c.webm", "d\\e.mp4", "two/x.mp4", "two/x.avi")
    text = "path,label\na\\b.mp4,0\na/c,1\na\\c2.mp4,0\nd\\e.mp4,1\n"
    assert read(tmp_path, text).ids.tolist() == ["a/b.mp4", "a/c.webm", "a\\c2.mp4", "d\\e.mp4"]
    assert "1 path with backslashes read with slashes" in messages.text
    assert "1 name without a suffix completed" in messages.text
    with pytest.raises(DataError, match=r"l\.csv:2: two/x may be two/x\.avi or two/x\.mp4: write the suffix"):
        read(tmp_path, "path,label\ntwo/x,0\n")


def test_a_list_without_any_file_is_refused_before_work(tmp_path) -> None:
    (tmp_path / "l.csv").write_text("path,label\n/of/another/machine/a.mp4,x\n/of/another/machine/b.mp4,y\n")
    for videos in (read_manifest(tmp_path / "l.csv").videos, read_videos(tmp_path / "l.csv")):
        with pytest.raises(DataError, match=r"l\.csv: .*first one should be /of/another/machine/a\.mp4.*--root FOLDER"):
            require_files(videos)
    touch(tmp_path, "b.mp4")
    require_files(read(tmp_path, "path,label\na.mp4,x\nb.mp4,y\n").videos)


# -- segments by frames


@pytest.fixture(scope="module")
def coded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coded")
    write_video(folder / "a.mp4", [coded_frame(n) for n in range(12)], fps=10, preset="ultrafast")
    frames(folder / "v", 12)
    text = "path,label,start_frame,end_frame\na.mp4,x,2,6\na.mp4,y,6,10\nv,x,3,7\na.mp4,y,,\nv,y,9,\na.mp4,x,50,60\n"
    (folder / "parts.csv").write_text(text)
    return folder


def test_segments_by_frames_have_the_frames_of_a_sequential_decode(coded, tmp_path) -> None:
    manifest = read_manifest(coded / "parts.csv")
    assert [sample.id for sample in manifest] == [
        "a.mp4@f2-6",
        "a.mp4@f6-10",
        "v@f3-7",
        "a.mp4",
        "v@f9-",
        "a.mp4@f50-60",
    ]
    views = ViewDataset(manifest, MMAction2Test(frames=4), Pixels(short_side=48))
    shown = [[decoded_number(f) for f in views[row].frames] for row in (0, 1, 2)]
    assert shown == [[2, 3, 4, 5], [6, 7, 8, 9], [3, 4, 5, 6]]
    assert set(map(decoded_number, views[4].frames)) == {9, 10, 11}
    assert "has no frame 50 (counted from 0): it has 12" in views[5].reason
    manifest.write_csv(tmp_path / "again.csv")
    again = read_manifest(tmp_path / "again.csv")
    assert [sample.path for sample in again] == [sample.path for sample in manifest]
    np.testing.assert_array_equal(again.frame_ranges, manifest.frame_ranges)
    assert [v.id.rpartition("/")[2] for v in read_videos(coded / "parts.csv")] == [sample.id for sample in manifest]
    assert manifest.fingerprint != manifest[:].__class__(**{**manifest.__dict__, "frame_ranges": None}).fingerprint


def test_an_audit_and_stored_frames_use_segments_by_frames(coded, tmp_path) -> None:
    manifest = read_manifest(coded / "parts.csv")
    found = audit([manifest], cache=VideoInfoCache(None))
    assert (found.outside, found.longer) == (["a.mp4"], {"a.mp4": "to frame 60 of 12"})
    stored = convert(manifest[:2], tmp_path / "f", Extract(), workers=0).manifest
    assert stored.ids.tolist() == ["a_f2_6", "a_f6_10"]
    assert [len(os.listdir(sample.path)) for sample in stored] == [4, 4]
    assert stored.frame_ranges is None


def test_a_number_of_frames_may_give_the_end(tmp_path) -> None:
    assert read(tmp_path, "path,label,start_frame,num_frames\na.mp4,x,10,5\n").frame_ranges.tolist() == [[10, 15]]
    assert read(tmp_path, "path,label,num_frames\na.mp4,x,300\n").frame_ranges is None


# -- JSON


MMACTION2 = [{"frame_dir": "v1", "total_frames": 12, "label": 0}, {"frame_dir": "v2", "total_frames": 9, "label": 1}]
SOMETHING = [{"id": "7", "label": "holding cup", "template": "Holding [something]", "placeholders": ["cup"]}]
BY_SPLIT = {"train": [{"path": "a.mp4", "label": "x"}], "val": [{"path": "b.mp4", "label": "y"}]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (MMACTION2, [("v1", "0"), ("v2", "1")]),
        (
            [{"filename": "a.mp4", "label": [0, 2]}, {"filename": "b.mp4", "label": [1]}],
            [("a.mp4", "0|2"), ("b.mp4", "1")],
        ),
        (SOMETHING, [("7", "Holding something")]),
        ([{"path": "a.mp4", "label": "run"}], [("a.mp4", "run")]),
        ({"annotations": [{"frame_dir": "v1", "label": 0}], "split": {"train": ["v1"]}}, [("v1", "0")]),
        ({"metainfo": {}, "data_list": [{"filename": "a.mp4", "label": 0}]}, [("a.mp4", "0")]),
        (BY_SPLIT, [("a.mp4", "x"), ("b.mp4", "y")]),
        ({"a.mp4": "run", "b.mp4": ["run", "jump"]}, [("a.mp4", "run"), ("b.mp4", "jump|run")]),
        ({"run": ["a.mp4"], "jump": ["b.mp4"]}, [("a.mp4", "run"), ("b.mp4", "jump")]),
        ({"x": {"label": "run", "subset": "training"}}, [("x", "run")]),
        ([["a.mp4", 0], ["b.mp4", 1]], [("a.mp4", "0"), ("b.mp4", "1")]),
    ],
)
def test_json_lists(value, expected, tmp_path) -> None:
    for name in ("l.json", "l.txt"):
        assert paths_and_labels(read(tmp_path, json.dumps(value), name)) == expected
        assert paths_and_labels(read(tmp_path, json.dumps(value, indent=2), name)) == expected


def test_lines_of_json_and_their_errors(tmp_path) -> None:
    records = [{"path": "a.mp4", "label": "run"}, {"path": "b.mp4", "label": "jump"}]
    text = "".join(json.dumps(record) + "\n" for record in records)
    assert paths_and_labels(read(tmp_path, text, "l.jsonl")) == [("a.mp4", "run"), ("b.mp4", "jump")]
    for bad, message in (
        ('{"path": "a.mp4"}\n{"path": }\n', r"l\.jsonl:2"),
        (json.dumps([*records, {"path": "c.mp4"}], indent=1), r"l\.jsonl:11: this row has no label"),
        ('{"across": 0, "down": 1}', "names no videos; give a file of class names with --classes"),
        ('{"a.mp4": 0, "a.mp4": 1}', "'a.mp4' is there twice in one object"),
        ("[1, 2]", r"l\.jsonl:1: expected an object"),
        ('[{"path": "a.mp4", "label": {"x": 1}}]', r"l\.jsonl:1: expected a text or a number for 'label'"),
        ("[]", "names no videos"),
    ):
        with pytest.raises(DataError, match=message):
            read(tmp_path, bad, "l.jsonl")


def test_a_path_may_begin_with_a_bracket(tmp_path) -> None:
    assert paths_and_labels(read(tmp_path, "[draft] a.mp4 0\n{b}.mp4 1\n", "l.txt")) == [
        ("[draft] a.mp4", "0"),
        ("{b}.mp4", "1"),
    ]


@pytest.mark.parametrize(
    ("value", "splits"),
    [
        ({"train": {"a.mp4": "run"}, "val": {"b.mp4": "walk"}}, ("train", "val")),
        ({"train": {"run": ["a.mp4"]}, "val": {"walk": ["b.mp4"]}}, ("train", "val")),
        ({"videos": {"a.mp4": {"label": "run"}, "b.mp4": {"label": "walk"}}}, ()),
        ({"metainfo": {"classes": ["run", "walk"]}, "data_list": [["a.mp4", 0], ["b.mp4", 1]]}, ()),
        ({"classes": ["run", "walk"], "videos": [["a.mp4", 0], ["b.mp4", 1]]}, ()),
    ],
)  # fmt: skip
def test_json_objects_of_lists(value, splits, tmp_path) -> None:
    manifest = read(tmp_path, json.dumps(value), "l.json")
    assert paths_and_labels(manifest) == [("a.mp4", "run"), ("b.mp4", "walk")]
    assert manifest.split_names == splits


def test_one_line_of_json_is_a_list_of_one_video(tmp_path) -> None:
    assert paths_and_labels(read(tmp_path, '{"path": "a.mp4", "label": "run"}\n', "l.jsonl")) == [("a.mp4", "run")]
    with pytest.raises(DataError, match=r"l\.json:1: expected records such as .* got one with 'image_id'"):
        read(tmp_path, '[{"image_id": 1}]', "l.json")


def test_a_label_before_its_path_is_refused(tmp_path) -> None:
    touch(tmp_path, "v/a.mp4", "v/b.mp4")
    for text in ("run v/a.mp4\nwalk v/b.mp4\n", "0 v/a.mp4\n1 v/b.mp4\n", "run,v/a.mp4\nwalk,v/b.mp4\n"):
        for reader in (read_manifest, read_videos):
            (tmp_path / "l.txt").write_text(text)
            with pytest.raises(DataError, match=r"l\.txt:1: '\w+' before a path.*header label,path"):
                reader(tmp_path / "l.txt")


def test_diving48(tmp_path, messages) -> None:
    touch(tmp_path, "abc_00001.mp4")
    value = [{"vid_name": "abc_00001", "label": 2, "start_frame": 0, "end_frame": 158}]
    manifest = read(tmp_path, json.dumps(value), "Diving48_V2_train.json")
    assert (manifest[0].id, manifest[0].label) == ("abc_00001.mp4@f0-158", 2)
    assert "frames are counted from 0" in messages.text


def test_something_something_for_testing_has_no_labels(tmp_path) -> None:
    touch(tmp_path, "v/1420.webm")
    (tmp_path / "test.json").write_text('[{"id": "1420"}]')
    assert [video.path.name for video in read_videos(tmp_path / "test.json", root=tmp_path / "v")] == ["1420.webm"]
    with pytest.raises(DataError, match="the list names no labels"):
        read_manifest(tmp_path / "test.json")


def test_activitynet_and_kinetics_in_json(tmp_path) -> None:
    touch(tmp_path, "high_jump/x_000003_000013.mp4", "v_y.mkv")
    kinetics = {"x": {"annotations": {"label": "high jump", "segment": [3.0, 13.0]}, "subset": "validate"}}
    manifest = read(tmp_path, json.dumps(kinetics), "k.json")
    assert (paths_and_labels(manifest), manifest.times) == ([("high_jump/x_000003_000013.mp4", "high jump")], None)
    assert manifest.split_names == ("val",)
    annotations = [{"label": "run", "segment": [1.5, 2]}, {"label": "jump", "segment": [3, 4]}]
    database = {"database": {"y": {"annotations": annotations, "subset": "training"}, "z": {"annotations": []}}}
    manifest = read(tmp_path, json.dumps(database), "a.json")
    assert paths_and_labels(manifest) == [("v_y.mkv", "run"), ("v_y.mkv", "jump")]
    assert manifest.times.tolist() == [[1.5, 2], [3, 4]]


# -- public data sets


def test_charades(tmp_path, messages) -> None:
    text = (
        'id,subject,actions,length\nABCDE,X,"c092 11.90 21.20;c147 0.00 12.60;c092 1.0 2.0",24.83\nFGHIJ,X,c001 0.0 1.0,3\n'
        "KLMNO,X,,3\n"
    )
    touch(tmp_path, "ABCDE.mp4")
    assert paths_and_labels(read(tmp_path, text)) == [("ABCDE.mp4", "c092|c147"), ("FGHIJ", "c001")]
    assert (
        "all actions of a video are its labels, without their times; 1 video without actions left out" in messages.text
    )
    names = [f"c{i:03d} name {i}" for i in range(157)]
    assert paths_and_labels(read_manifest(tmp_path / "l.csv", classes=names))[1] == ("FGHIJ", "c001 name 1")


def test_quoted_kinetics_and_its_list_without_labels(tmp_path) -> None:
    text = '"label","youtube_id","time_start","time_end","split"\n"tai chi","abcdefghijk",0,10,"train"\n'
    assert paths_and_labels(read(tmp_path, text)) == [("tai chi/abcdefghijk_000000_000010.mp4", "tai chi")]
    touch(tmp_path, "abcdefghijk_000000_000010.mp4")
    (tmp_path / "test.csv").write_text("youtube_id,time_start,time_end,split\nabcdefghijk,0,10,test\n")
    assert [video.path.name for video in read_videos(tmp_path / "test.csv")] == ["abcdefghijk_000000_000010.mp4"]


@pytest.fixture
def hmdb51(tmp_path):
    for name in ("brush_hair", "cartwheel"):
        touch(tmp_path, *(f"v/{name}/{name}_{i}.avi" for i in (1, 2, 3, 4)))
        for split in (1, 2):
            path = tmp_path / "splits" / f"{name}_test_split{split}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text(
                "".join(f"{name}_{i}.avi {use} \n" for i, use in zip((1, 2, 3, 4), (1, 1, 2, 0), strict=True))
            )
    return tmp_path


def test_the_split_files_of_hmdb51(hmdb51, messages) -> None:
    with pytest.raises(
        DataError, match=r"files of 2 official splits: give those of one split as '.*/\*_test_split1\.txt'"
    ):
        read_manifest(hmdb51 / "splits", root=hmdb51 / "v")
    manifest = read_manifest(hmdb51 / "splits" / "*_test_split2.txt", root=hmdb51 / "v")
    assert (len(manifest.split("train")), len(manifest.split("test"))) == (4, 2)
    assert paths_and_labels(manifest)[0] == ("brush_hair/brush_hair_1.avi", "brush_hair")
    assert "2 videos that this split of HMDB51 does not use" in messages.text
    assert "2 files of HMDB51's 51" in messages.text
    require_files(manifest.videos)
    for file in (hmdb51 / "splits").glob("*2.txt"):
        file.unlink()
    assert read_manifest(hmdb51 / "splits", root=hmdb51 / "v").ids.tolist() == manifest.ids.tolist()
    with pytest.raises(DataError, match="one class of HMDB51, whose splits are 51 files each"):
        read_manifest(hmdb51 / "splits" / "brush_hair_test_split1.txt")


def test_a_folder_of_split_files_is_a_list_with_a_root_in_every_command(hmdb51) -> None:
    for file in (hmdb51 / "splits").glob("*2.txt"):
        file.unlink()
    there, splits = hmdb51 / "v", hmdb51 / "splits"
    assert read_train_val(splits, root=there).train.root == there
    assert read_together([splits], root=there)[0].root == there
    wanted = [str(there / name) for name in read_manifest(splits, root=there).ids.tolist()]
    assert read_videos(splits, root=there).ids.tolist() == wanted
    with pytest.raises(
        DataError, match="--root /x: is for the relative paths of a list, and .* is a folder: leave it out"
    ):
        check_root("/x", there)
    check_root("/x", there, splits)
    with pytest.raises(
        DataError, match=r"--root /x: is for the relative paths of a list, and a.mp4 and b.mp4 are no lists"
    ):
        check_root("/x", "a.mp4", "b.mp4")


def test_the_split_files_of_ucf101(tmp_path, messages) -> None:
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 Bowling\r\n2 Archery\r\n")
    for split in ("01", "02"):
        (lists / f"trainlist{split}.txt").write_text(
            "Archery/v_Archery_g08_c01.avi 2\nBowling/v_Bowling_g08_c01.avi 1\n"
        )
        (lists / f"testlist{split}.txt").write_text("Archery/v_Archery_g01_c01.avi\n")
    one = read_manifest(lists / "trainlist01.txt")
    assert (one.class_names, one.labels.tolist()) == (("Bowling", "Archery"), [1, 0])
    assert "classInd.txt: gives the order of classes" in messages.text
    with pytest.raises(DataError, match=r"'.*ucfTrainTestlist/\*list01\.txt'"):
        read_manifest(lists)
    both = read_manifest(lists / "*list01.txt", root=tmp_path)
    assert (len(both.split("train")), len(both.split("test")), both.class_names) == (2, 1, ("Bowling", "Archery"))


# -- lists without labels, and lists of other tools


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.txt", "a.mp4\nb c.mp4\n"),
        ("l.csv", "path\na.mp4\nb c.mp4\n"),
        ("l.csv", '"Video Path","fps"\n"a.mp4",1\n"b c.mp4",2\n'),
        ("l.csv", "path,label\na.mp4,\nb c.mp4,run\n"),
        ("l.tsv", "path\tstart\tend\na.mp4\t\t\nb c.mp4\t\t\n"),
        ("l.json", '["a.mp4", "b c.mp4"]'),
        ("l.jsonl", '{"path": "a.mp4"}\n{"path": "b c.mp4"}\n'),
        ("l.txt", "a\nb c\n"),
    ],
)
def test_lists_without_labels(name, text, tmp_path) -> None:
    touch(tmp_path, "a.mp4", "b c.mp4")
    if text == "a\nb c\n":
        frames(tmp_path / "a", 1)
        frames(tmp_path / "b c", 1)
    (tmp_path / name).write_text(text)
    assert [video.path.stem for video in read_videos(tmp_path / name)] == ["a", "b c"]


def test_segments_of_a_long_video_are_separate_rows(tmp_path) -> None:
    (tmp_path / "w.csv").write_text("path,start,end\na.mp4,0,10\na.mp4,10,20\na.mp4,0,10\n")
    (tmp_path / "f.csv").write_text("path,start_frame,end_frame\na.mp4,0,10\na.mp4,10,20\na.mp4,0,10\n")
    for name, segment in (("w.csv", "@0-10"), ("f.csv", "@f0-10")):
        ids = [video.id for video in read_videos(tmp_path / name)]
        assert (len(ids), ids[0].endswith(segment)) == (2, True)


@pytest.mark.parametrize(
    "text", ['"Path";"fps"\nx/a.mp4;3\n', '[{"frame_dir": "a"}]', "id\na\n", "x/a.mp4 0 3\n", "a\n"]
)
def test_only_reads_all_lists(text, tmp_path) -> None:
    ours = read(tmp_path, "path,label\na.mp4,x\nb.mp4,y\n")
    (tmp_path / "theirs.txt").write_text(text)
    assert keep_common(ours, tmp_path / "theirs.txt").manifest.ids.tolist() == ["a.mp4"]


def test_what_is_skipped_is_reported_once(tmp_path, messages) -> None:
    read(tmp_path, "# mine\na.mp4 0\nb.mp4 1\n", "l.txt")
    assert messages.text.count("in front skipped") == 1


SIGNED = "https://me:SECRET@h/a.mp4?x=1&token=SECRET"
COLUMN = "https://h/x?token=SECRET"


def entries(folder: Path, text: str) -> list[str]:
    """The paths of a list without labels, read at once and in pieces."""
    (folder / "l.txt").write_text(text)
    found = [str(path).removeprefix(f"{folder}/") for path in read_videos(folder / "l.txt").ids.tolist()]
    pieces = read_in_pieces(folder / "l.txt", size=1).pieces()
    assert [str(one).removeprefix(f"{folder}/") for piece in pieces for one in piece.ids.tolist()] == found
    return found


def test_lines_of_signed_addresses_are_videos(tmp_path) -> None:
    other = "https://h/a b.mp4?token=SECRET"
    assert entries(tmp_path, f"{SIGNED}\n{other}\nhttps://h/videos/1\n") == [SIGNED, other, "https://h/videos/1"]
    for text, labels in (
        (f"{SIGNED} run\n{other} walk\n", ["run", "walk"]),
        (f"{SIGNED} 0\n{other} 1\n", ["0", "1"]),
        (f"{SIGNED},run\n{other},tai chi\n", ["run", "tai chi"]),
        (f"path,label\n{SIGNED},run\n{other},walk\n", ["run", "walk"]),
        (json.dumps({SIGNED: "run", other: "walk"}), ["run", "walk"]),
        (f"{SIGNED} 0 2\n{other} 1\n", ["0, 2", "1"]),
    ):
        listed = read(tmp_path, text)
        assert listed.ids.tolist() == [SIGNED, other]
        assert listed.labels_in_words() == labels
    assert read(tmp_path, "https://h/videos/1 0\nhttps://h/videos/2 1\n").labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{SIGNED} run\nb: {SIGNED} a,b\n", "expected `path label`"),
        (f"{SIGNED}\nb.mp4 1\n", "got a path alone"),
        (f"{SIGNED} tai chi\n", "'tai chi' after a video: one class name with blanks, or several"),
        (f"run {SIGNED}\n", "'run' before a path"),
        (f"path,label\n{SIGNED},run\n{SIGNED},run\n", r"a.mp4\?x=1&token=\.\.\. is in the list twice"),
        (f"path,label\na.mp4,\"[{SIGNED}]\"\n", "several labels of a video"),
        (f"path,start,label\na.mp4,{SIGNED},run\n", "is no time in seconds"),
        (f"path,label,{COLUMN}\na.mp4,run\n", r"expected 3 values \(path, label, https://h/x\?token=\.\.\.\)"),
        (f"path,label,{COLUMN},{COLUMN}\na.mp4,run,1,1\n", "is there twice"),
        (json.dumps([[SIGNED, "run"], 3, SIGNED]), "expected an object"),
        (json.dumps([{"path": "a.mp4"}, [SIGNED]]), "expected an object such as"),
        (json.dumps([{"path": {SIGNED: 1}}]), "expected a text or a number for 'path'"),
        (json.dumps([{SIGNED: 1}]), "expected records such as"),
        (f'[{{"{SIGNED}": 1, "{SIGNED}": 2}}]', "is there twice in one object"),
        (json.dumps({"v": {"annotations": [SIGNED]}}), "expected an annotation with a label"),
        (json.dumps({"v": {"annotations": [{"label": "x", "segment": SIGNED}]}}), "expected a segment"),
        (f"id,actions\na,{SIGNED}\n", "expected actions such as"),
        (f"path,label\n{SIGNED}\udcff,run\n", "no file has the name"),
    ],
)  # fmt: skip
def test_no_message_of_a_list_shows_a_signature(text, message, tmp_path) -> None:
    (tmp_path / "l.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    for classes in (None, ["run"]):
        with pytest.raises(DataError, match=message) as caught:
            read_manifest(tmp_path / "l.csv", classes=classes)
        assert "SECRET" not in str(caught.value)


def test_no_other_message_shows_a_signature(tmp_path, messages) -> None:
    (tmp_path / "l.csv").write_text(f"path,label,{COLUMN}\na.mp4,{SIGNED},1\n")
    read_videos(tmp_path / "l.csv")
    with pytest.raises(
        DataError, match=r"the label 'https://h/a.mp4\?x=1&token=...' is none of the 1 class"
    ) as unknown:
        read_manifest(tmp_path / "l.csv", classes=["run"])
    with pytest.raises(DataError, match="for the relative paths of a list") as root:
        read_manifest(tmp_path, root=SIGNED)
    with pytest.raises(DataError, match="lists are read from this machine") as remote:
        read_manifest("https://h/l.csv?token=SECRET")
    assert "SECRET" not in f"{unknown.value} {root.value} {remote.value} {messages.text}".upper()


@pytest.mark.parametrize("labels", ["x,y\n,\n", '"0 3",\nrun,walk\n'])
def test_columns_of_labels_are_not_read_where_none_is_needed(labels, tmp_path) -> None:
    rows = "".join(f"{n}.mp4,{row}\n" for n, row in enumerate(labels.splitlines()))
    assert entries(tmp_path, f"path,label,labels\n{rows}") == ["0.mp4", "1.mp4"]
    with pytest.raises(DataError, match="'label' and 'labels' both name the label: leave one out, or rename it"):
        read(tmp_path, f"path,label,labels\n{rows}")


def test_each_row_may_have_a_segment_by_time_or_by_frame(tmp_path) -> None:
    header = "path,label,start,end,start_frame,end_frame\n"
    listed = read(tmp_path, f"{header}a.mp4,x,1,2,,\nb.mp4,x,,,3,9\nc.mp4,x,,,,\n")
    assert [sample.id for sample in listed] == ["a.mp4@1-2", "b.mp4@f3-9", "c.mp4"]
    with pytest.raises(DataError, match=r"l\.csv:3: a segment by time .* and by frame .*: leave out one pair"):
        read(tmp_path, f"{header}a.mp4,x,1,2,,\nb.mp4,x,,2,,9\n")
