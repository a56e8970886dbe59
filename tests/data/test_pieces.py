"""A list in pieces is the same as the list read at once: its videos, their order and the messages, for every size."""

import csv
import io
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marey.base.errors import DataError, MareyError
from marey.base.reporter import CollectingReporter, reporting
from marey.data.lists.manifest import frame_ranges_of, times_of
from marey.data.lists.pieces import as_pieces, read_in_pieces
from marey.data.lists.read_videos import read_videos
from marey.data.lists.videos import VideoList

SIZES = (1, 2, 7)


def outcome(function, *arguments, **options):
    """What a function returns, or the text of the error that it raises, and its messages."""
    kept = CollectingReporter()
    with reporting(kept):
        try:
            found = function(*arguments, **options)
        except MareyError as error:
            found = str(error)
    return found, [message for _, message in kept.take()]


def same(one: VideoList, other: VideoList) -> None:
    assert one.ids.tolist() == other.ids.tolist()
    assert (one.root, one.source) == (other.root, other.source)
    assert (one.times is None, one.frame_ranges is None) == (other.times is None, other.frame_ranges is None)
    np.testing.assert_array_equal(times_of(one), times_of(other))
    np.testing.assert_array_equal(frame_ranges_of(one), frame_ranges_of(other))


def check(paths, *, root=None, sizes=SIZES) -> VideoList | str:
    """Compare a list read at once and in pieces; returns the list, or the text of the error that both raise."""
    at_once, messages = outcome(read_videos, paths, root=root)
    for size in sizes:
        listed, messages_of_pieces = outcome(read_in_pieces, paths, root=root, size=size)
        if isinstance(at_once, str):
            assert listed == at_once
            continue
        assert not isinstance(listed, str), listed
        assert messages_of_pieces == messages
        for _ in range(2):  # any number of passes
            pieces, repeated = outcome(lambda listed=listed: list(listed.pieces()))
            assert repeated == []
            assert [len(piece) for piece in pieces[:-1]] == [size] * (len(pieces) - 1)
            same(concatenated(pieces, at_once), at_once)
        assert (listed.rows, listed.source) == (len(at_once), at_once.source)
        assert listed.fingerprint == as_pieces(at_once).fingerprint
    return at_once


def concatenated(pieces: list[VideoList], at_once: VideoList) -> VideoList:
    if not pieces:
        return at_once[:0]
    assert {(piece.times is None, piece.frame_ranges is None) for piece in pieces} == {
        (at_once.times is None, at_once.frame_ranges is None)
    }
    return VideoList(
        np.concatenate([piece.ids for piece in pieces]),
        pieces[0].root,
        None if at_once.times is None else np.concatenate([piece.times for piece in pieces]),
        pieces[0].source,
        None if at_once.frame_ranges is None else np.concatenate([piece.frame_ranges for piece in pieces]),
    )


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


MANY = "".join(f"d{n % 3}/v{n}.mp4,x{n}\n" for n in range(20))
TEXTS = {
    "header": "path,label\n" + MANY,
    "alone": "path\na.mp4\nb.mp4\nc.mp4\n",
    "quotes": '"path","label"\n"a.mp4","run"\n"b ""c"".mp4","tai, chi"\n"d\ne.mp4","x\ny"\nf.mp4,z\n',
    "semicolons": "sep=;\npath;label\na.mp4;run\nb c.mp4;tai chi\n;\nd.mp4;x\n;\n",
    "tabs": "path\tlabel\na.mp4\trun\nb c.mp4\ttai chi\n",
    "bars": "path|label\na.mp4|run\nb c.mp4|tai chi\n",
    "returns": 'Path, Label\r\na.mp4, run\r\nb c.mp4, "tai chi"\r\n',
    "old returns": "path,label\ra.mp4,run\rb c.mp4,tai chi\r",
    "index": ",path,label,fps\n0,a.mp4,run,1\n1,b c.mp4,tai chi,2\n2,c.mp4,run,3\n",
    "no header": MANY,
    "no header, by semicolons": MANY.replace(",", ";"),
    "no header, some with more": "a.mp4,run\nb.mp4,run\nc,d.mp4 walk\ne.mp4 x\n",
    "three cells without a header": "a.mp4,1,2\nb.mp4,1,2\nc.mp4,1,2\n",
    "comments": "# made by hand\n\npath,label\na.mp4,run\n\n# the second\nb c.mp4,tai chi\n#there.mp4,x\n#not.mp4,x\n",
    "mark": "\ufeffpath,label\na.mp4,run\nb c.mp4,tai chi\n",
    "times": "path,start,end\na.mp4,,\na.mp4,0,1:02.5\nb.mp4,1.5,\nb.mp4,,\nc.mp4,-0,3\nc.mp4,0,3\nd.mp4,,\n",
    "no times": "path,start,end\na.mp4,,\nb.mp4,,\nc.mp4,nan,\n",
    "frames": "path,start_frame,end_frame\na.mp4,,\na.mp4,3,9\nb.mp4,1,\na.mp4,3,9\n",
    "no frames": "path,start_frame,end_frame\na.mp4,,\nb.mp4,,\n",
    "lengths": "path,start_frame,num_frames\na.mp4,10,5\nb.mp4,0,7\n",
    "numbers of frames of videos": "path,num_frames\na.mp4,300\nb.mp4,20\n",
    "repeated": "path\n" + "a.mp4\nb.mp4\na.mp4\nc.mp4\nb.mp4\na.mp4\nd.mp4\n" * 2,
    "suffixes": "path,label\nfiles/one,x\nfiles/two,y\nlying\\three.mp4,z\nlying\\four,z\nlost,y\nfiles/one.mp4,x\n",
    "ids": "id\nfiles/one\nfiles/two\nnone\n",
    "odd paths": "path\n./a.mp4\nx//b.mp4\n/abs/c.mp4\nx/./d.mp4\nx/../e.mp4\nf/\n.hidden.mp4\n..\n",
    "lines": "a.mp4\nb c.mp4\nd,e.mp4\nd.webm\n",
    "lines of labels": "a.mp4 run\nb c.mp4 3\nd.mp4 1 2\ne.mp4 0,3\n",
    "lines with a header": "Path label\na.mp4 0\nb.mp4 1\n",
    "lines without suffix": "files/one 3\nfiles/two 1\n",
    "bracket": "[draft] a.mp4 0\n{b}.mp4 1\n",
    "UCF101": "Archery/v_Archery_g01_c01.avi 1\nArchery/v_Archery_g01_c02.avi 1\n",
    "folders of frames": "v1 12 0\nv2 9 1\n",
    "folders without numbers": "v1\nv2\nv3\n",
    "Kinetics": "label,youtube_id,time_start,time_end,split\nx y,abc,3,13,train\nx y,abd,3,13,train\n",
    "Charades": "id,actions\nA1,c092 11.90 21.20;c147 0.00 12.60\nA2,\n",
    "JSON": json.dumps([{"path": f"v{n}.mp4", "label": "x"} for n in range(9)], indent=1),
    "JSON lines": "".join(
        json.dumps({"path": f"v{n % 7}.mp4", "label": n, **({"end": n} if n > 4 else {})}) + "\n" for n in range(9)
    ),
    "JSON pairs": '["a.mp4", 0]\n["b.mp4", 1]\n\n["c.mp4", 1]\n',
    "JSON line": '{"path": "a.mp4", "label": "run"}\n',
    "JSON lines of Something-Something": '{"id": "7", "template": "Holding [something]"}\n{"id": "8", "template": "x"}\n',
    "nothing": "",
    "a header alone": "path,label\n",
    "bad time": "path,end\na.mp4,1\nb.mp4,1:61\n",
    "bad order": "path,start,end\na.mp4,1,2\nb.mp4,2,1\n",
    "rows without a path": "path,label\na.mp4,x\n,y\nb.mp4,x\nnan,z\nc.mp4,x\n,x\n,x\n",
    "one row without a path": "path,label\na.mp4,x\n,y\n",
    "too many cells": "path,label\na.mp4,x\nb,c.mp4,y\n",
    "open quotes": 'path,label\na.mp4,x\n"b.mp4,run\nb.mp4,run\n',
    "address": "path,label\na.mp4,x\nhttps://x.org/b.mp4,y\n",
    "signed addresses": "".join(f"https://h/{n}.mp4?token=SECRET{n}\n" for n in "abc"),
    "signed addresses with labels": "https://h/a b.mp4?token=SECRET run\nhttps://h/b.mp4?token=SECRET 3\n",
    "addresses without suffixes": "https://h/videos/1\nhttps://h/videos/2?sig=SECRET\n",
    "an address behind its label": "run https://h/a.mp4?token=SECRET\n",
    "two words behind an address": "https://h/a.mp4?token=SECRET tai chi\n",
    "nearly": "path,lable\na.mp4,x\n",
    "a column twice": "path,path\na,b\n",
    "two for a path": "path,video\na,b\n",
    "times and frames": "path,start,start_frame\na.mp4,1,1\n",
    "times or frames": "path,start,end,start_frame,end_frame\na.mp4,1,2,,\nb.mp4,,,3,\nc.mp4,,,,\na.mp4,,,nan,\n",
    "several labels": "path,label\na.mp4,0 3\n",
    "two columns of labels": "path,label,labels,split,subset,group,recording\n" + "a.mp4,x,y,test,b,c,d\nb.mp4,,,,,,\n" * 3,
    "two files": "path\nfiles/x\n",
    "alone and not": "a.mp4\nb.mp4 1\nc.mp4\n",
    "boxes": "-5KQ66BBWC4,0902,0.077,0.151,0.283,0.811,80,1\n",
    "bad JSON": '{"path": "a.mp4"}\n{"path": }\n',
    "JSON of numbers": "[1, 2]\n[3, 4]\n",
    "JSON without paths": '{"image": 1}\n{"image": 2}\n',
    "JSON of objects": '{"path": "a.mp4"}\n{"path": {"x": 1}}\n',
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    touch(tmp_path, "files/one.mp4", "files/two.webm", "files/three.mp4", "files/four.mkv", "#there.mp4")
    return tmp_path


@pytest.mark.parametrize("name", ["l.csv", "l.txt", "l.jsonl"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_every_form_reads_the_same_in_pieces(text, name, folder) -> None:
    (folder / name).write_bytes(text.encode())
    check(folder / name)


def test_two_files_of_a_name_are_refused(folder) -> None:
    touch(folder, "files/one.avi")
    (folder / "l.csv").write_text("path\na.mp4\nfiles/one\n")
    assert "may be files/one.avi or files/one.mp4" in check(folder / "l.csv")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "cp1252", "gbk"])
def test_encodings_are_the_same_in_pieces(encoding, tmp_path) -> None:
    words = {"gbk": "跳远运动"}
    rows = "".join(f"{words.get(encoding, 'größe')}{n}.mp4\n" for n in range(5))
    (tmp_path / "l.csv").write_bytes(f"path\na.mp4\n{rows}".encode(encoding))
    check(tmp_path / "l.csv")
    (tmp_path / "l.csv").write_bytes(f"path,label\na.mp4,x\n{rows.replace('.mp4', ',x')}".encode(encoding))
    check(tmp_path / "l.csv")
    (tmp_path / "l.csv").write_bytes(f"label,path\nx,a.mp4\n{rows.replace('.mp4', ',b.mp4')}".encode(encoding))
    check(tmp_path / "l.csv")


@pytest.mark.parametrize(
    "data",
    [b"PAR1", b"a\0,\0b\0\n\0", b"path\na.mp4\nb\0.mp4\n", b"\x80\x04\x95", b"path\n" + b"a.mp4\n" * 900 + b"\0"],
)
def test_files_without_text_are_refused_in_the_same_words(data, tmp_path) -> None:
    (tmp_path / "l.csv").write_bytes(data)
    assert isinstance(check(tmp_path / "l.csv"), str)


def test_names_with_bytes_that_are_not_utf8(tmp_path) -> None:
    name = os.fsdecode(b"caf\xe9.mp4")
    try:
        touch(tmp_path, name)
    except OSError:
        pytest.skip("this file system has no such names")
    (tmp_path / "l.csv").write_bytes(b"path\na.mp4\ncaf\xe9.mp4\nb.mp4\n")
    assert check(tmp_path / "l.csv").ids[1] == str(tmp_path / name)


def test_several_paths_of_every_kind(folder) -> None:
    touch(folder, "walk/a.mp4", "walk/b.mp4", "run/c.mp4")
    (folder / "one.csv").write_text("path,start,end\nwalk/a.mp4,,\nrun/c.mp4,1,2\n")
    (folder / "two.txt").write_text("v1 12 0\nv2 9 1\n")
    (folder / "three.txt").write_text("# x\nwalk/a.mp4\nfiles/one\nwalk/b.mp4\n")
    paths = [folder / "walk", folder / "run" / "c.mp4", folder / "one.csv", folder / "three.txt", folder / "two.txt"]
    check(paths)
    check([*reversed(paths), folder / "files" / "one.mp4", *paths])
    check(paths[:2])
    check(paths[2:], root=folder / "walk")
    check(folder / "walk")
    check([folder / "one.csv", folder / "gone.csv"])
    check(["", folder / "one.csv"])
    check([])


def test_tables_of_parquet(folder) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    names = ["files/one", *(f"v{n % 11}.mp4" for n in range(25)), "files/two.webm"]
    ends = [None if n % 3 else float(n + 1) for n in range(len(names))]
    for columns in (
        {"path": names},
        {"path": names, "end": ends, "label": ["x"] * 27, "fps": [1] * 27},
        {"video": names, "end_frame": ends, "path_2": names},
        {"path": names, "num_frames": ends},
        {"path": [*names[:-1], None]},
        {"path": [*names[:-1], "https://x.org/a.mp4"]},
        {"id": ["A1"], "actions": ["c092 11.90 21.20"]},
        {"label": ["x"]},
        {
            "path": ["a.mp4"],
            "label": ["x"],
            "labels": [["x", "y"]],
            "class": [{"x": 1}],
            "source": [[1]],
            "split": [b"\xff"],
        },
    ):
        parquet.write_table(arrow.table(columns), folder / "l.parquet", row_group_size=10)
        check(folder / "l.parquet")


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(
                ["a.mp4", "b c.mp4", 'd"e.mp4', "f,g;h.mp4", "l\nm.mp4", "ü.mp4", "x/./y.mp4", "z", "#n.mp4", ""]
            ),
            st.sampled_from(["run", "tai chi", "3", 'a "b"', "x\ty", ""]),
            st.sampled_from(["", "0", "1.5", "0:01"]),
            st.sampled_from(["", "2", "2.50", "nan"]),
        ),
        max_size=17,
    ),
    columns=st.permutations(["path", "label", "start", "end"]),
    kept=st.integers(1, 4),
    separator=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    headed=st.booleans(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_random_tables(rows, columns, kept, separator, end, quoting, headed) -> None:
    columns = columns[:kept]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator=end, quoting=quoting)
    if headed:
        writer.writerow(columns)
    for row in rows:
        cells = dict(zip(("path", "label", "start", "end"), row, strict=True))
        writer.writerow([cells[name] for name in columns])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "l.csv"
        path.write_bytes(text.getvalue().encode())
        at_once, _ = outcome(read_videos, path)
        if not isinstance(at_once, str):
            check(path)
            return
        for size in SIZES:  # of several faults, reading in pieces may find another one first
            assert isinstance(outcome(read_in_pieces, path, size=size)[0], str)


# -- the second pass


def test_a_list_that_changed_is_refused(tmp_path) -> None:
    path = tmp_path / "l.csv"
    path.write_text("path\na.mp4\nb.mp4\nc.mp4\n")
    listed = read_in_pieces(path, size=1)
    passes = listed.pieces()
    next(passes)
    path.write_text("path\na.mp4\nb.mp4\nd.mp4\n")
    os.utime(path, ns=(0, 0))
    for one in (passes, listed.pieces()):
        with pytest.raises(DataError, match=r"l\.csv: changed while it was in use.*Start again"):
            list(one)
    path.unlink()
    with pytest.raises(DataError, match=r"l\.csv: changed while it was in use"):
        list(listed.pieces())


def test_changed_rows_with_an_old_modification_time_are_found_at_the_end(tmp_path) -> None:
    path = tmp_path / "l.txt"
    path.write_text("a.mp4\nb.mp4\nc.mp4\n")
    listed, stamp = read_in_pieces(path), path.stat().st_mtime_ns
    path.write_text("a.mp4\nb.mp4\nd.mp4\n")
    os.utime(path, ns=(stamp, stamp))
    with pytest.raises(DataError, match=r"l\.txt: changed while it was in use"):
        list(listed.pieces())


def test_completed_names_stay_when_files_are_added_and_removed(folder) -> None:
    (folder / "l.csv").write_text("path\nfiles/one\nfiles/two\nlost\n")
    listed = read_in_pieces(folder / "l.csv", size=2)
    before = [piece.ids.tolist() for piece in listed.pieces()]
    (folder / "files" / "one.mp4").unlink()
    touch(folder, "lost.mp4")
    assert [piece.ids.tolist() for piece in listed.pieces()] == before


def test_paths_are_not_checked_beyond_a_number_of_folders(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("marey.data.lists.resolve_paths._MOST_FOLDERS", 3)
    names = [f"d{n}/v.mp4" for n in range(6)]
    touch(tmp_path, *names)
    (tmp_path / "l.csv").write_text("path\n" + "\n".join([*names[:3], "d3/v", *names[4:], "d5/v"]))
    assert check(tmp_path / "l.csv").ids[[3, 6]].tolist() == [str(tmp_path / "d3/v"), str(tmp_path / "d5/v")]
    (tmp_path / "l.csv").write_text("path\n" + "\n".join([names[0], "d1/v", *names[2:], "d5/v"]))
    assert check(tmp_path / "l.csv").ids[1] == str(tmp_path / "d1/v.mp4")


def test_a_list_in_memory_keeps_repeated_videos(tmp_path) -> None:
    videos = VideoList(np.array(["b.mp4", "a.mp4", "b.mp4"]), tmp_path, np.array([[0, 1], [np.nan, np.nan], [0, 1]]))
    listed = as_pieces(videos, size=2)
    same(concatenated(list(listed.pieces()), videos), videos)
    assert (listed.rows, len({as_pieces(videos, size=size).fingerprint for size in (1, 2, 3, 9)})) == (3, 1)
    entire = VideoList.from_paths(["b.mp4", "a.mp4", "b.mp4"])
    assert as_pieces(entire).fingerprint != listed.fingerprint
    assert list(as_pieces(entire[:0]).pieces()) == []


def test_the_segments_of_a_file_are_different_videos(tmp_path) -> None:
    texts = (
        "path\na.mp4\n",
        "path,end\na.mp4,1\n",
        "path,end_frame\na.mp4,1\n",
        "path,start\na.mp4,1\n",
        "path\nb.mp4\n",
    )
    fingerprints = set()
    for text in (*texts, "video,start,end\na.mp4,,\n"):
        (tmp_path / "l.csv").write_text(text)
        fingerprints.add(read_in_pieces(tmp_path / "l.csv").fingerprint)
    assert len(fingerprints) == len(texts)  # the last list is the same as the first


def test_a_piece_holds_a_video(tmp_path) -> None:
    (tmp_path / "l.csv").write_text("path\na.mp4\n")
    for cut in (lambda: read_in_pieces(tmp_path / "l.csv", size=0), lambda: as_pieces(VideoList.from_paths("a"), 0)):
        with pytest.raises(DataError, match="size=0: a piece must hold at least 1 video"):
            cut()


@pytest.mark.parametrize(
    "name",
    [
        "videos/skate2.csv",
        "labels/kinetics-400_val.csv",
        "labels/hmdb51_splits/*_test_split1.txt",
        "labels/ucf101_splits/testlist01.txt",
        "videos/clips",
    ],
)
def test_lists_of_data_sets(name, shared) -> None:
    assert len(check(shared / name, sizes=(700,)))


SIGNED = "path\nhttps://me:{0}@h/a.mp4?token={0}\nhttps://h/b.mp4?x=1&X-Amz-Signature={0}\nc.mp4\n"


def test_a_list_with_new_signatures_is_the_same_list(tmp_path) -> None:
    found = {}
    for key in ("SECRET", "RENEWED"):
        (tmp_path / "l.csv").write_text(SIGNED.format(key))
        check(tmp_path / "l.csv")
        found[key] = read_in_pieces(tmp_path / "l.csv", size=2)
        assert key in "".join(next(found[key].pieces()).ids.tolist()), (
            "the signature is in the address that is requested"
        )
    assert found["SECRET"].fingerprint == found["RENEWED"].fingerprint
    (tmp_path / "l.csv").write_text(SIGNED.format("SECRET").replace("x=1", "x=2"))
    assert read_in_pieces(tmp_path / "l.csv").fingerprint != found["SECRET"].fingerprint


def test_addresses_that_differ_in_a_parameter_that_is_not_shown_are_two_videos(tmp_path) -> None:
    # A parameter that is not shown may identify the video.
    (tmp_path / "l.csv").write_text("path\n" + "".join(f"https://h/get.mp4?filekey={n}\n" for n in (1, 2, 1)))
    videos = check(tmp_path / "l.csv")
    assert videos.ids.tolist() == ["https://h/get.mp4?filekey=1", "https://h/get.mp4?filekey=2"]
    assert videos[0].id == videos[1].id == "https://h/get.mp4?filekey=..."
