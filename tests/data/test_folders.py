"""Folders as people have them: with or without splits, classes that are numbers, files of every kind."""

import csv
import os
import shutil

import av
import cv2
import numpy as np
import pytest

from marey.base.errors import DataError
from marey.data.audit import read_together
from marey.data.lists.class_folders import list_folder
from marey.data.lists.folder_scan import find_videos, scan_folder
from marey.data.lists.read_manifest import read_manifest
from marey.data.lists.read_videos import read_videos
from marey.video.reading.containers import is_video_file
from marey.video.reading.image_folders import FrameFolder
from marey.video.reading.suffixes import IMAGE_SUFFIXES, OTHER_SUFFIXES, VIDEO_SUFFIXES
from marey.video.writing.writer import write_video
from tests.support.made_videos import coded_frame


def tree(folder, *paths):
    """Empty files, and folders where a path ends in "/"."""
    for path in paths:
        target = folder / path
        (target if path.endswith("/") else target.parent).mkdir(parents=True, exist_ok=True)
        if not path.endswith("/"):
            target.touch()
    return folder


def described(manifest):
    splits = [""] * len(manifest) if manifest.splits is None else manifest.splits.tolist()
    names = [manifest.class_names[label] for label in manifest.labels.tolist()]
    return sorted(zip(manifest.ids.tolist(), names, splits, strict=True))


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    write_video(path, [coded_frame(n) for n in range(6)], fps=10, preset="ultrafast")
    return path


# -- folders with splits


@pytest.mark.parametrize(
    ("train", "held", "name"),
    [("train", "val", "val"), ("Training", "VALID", "val"), ("trn", "dev", "val"), ("train", "Testing", "test"),
     ("TRAIN", "Validation", "val")],
)  # fmt: skip
def test_folders_named_as_splits_are_splits(tmp_path, train, held, name) -> None:
    expected = [("a/1.mp4", "a", 0), ("b/sub/2.avi", "b", 0), ("a/3.mp4", "a", 1), ("b/4.MKV", "b", 1)]
    outer = tree(tmp_path / "outer", *(f"{(train, held)[side]}/{path}" for path, _, side in expected))
    found = described(list_folder(outer))
    assert found == sorted((f"{(train, held)[s]}/{p}", c, ("train", name)[s]) for p, c, s in expected)
    inner = tree(tmp_path / "inner", *(f"{c}/{(train, held)[s]}/{p[2:]}" for p, c, s in expected))
    assert [row[1:] for row in described(list_folder(inner))] == sorted(
        [(c, ("train", name)[s]) for _, c, s in expected], key=lambda row: (row[0], (held, train)[row[1] == "train"])
    )


def test_every_reader_sees_the_same_splits(tmp_path) -> None:
    folder = tree(
        tmp_path / "d", "train/a/1.mp4", "train/b/1.mp4", "validation/a/2.mp4", "validation/b/2.mp4", "test/x.mp4"
    )
    manifest = read_manifest(folder)
    assert manifest.class_names == ("a", "b")
    assert manifest.split_names == ("train", "val")
    assert read_manifest(folder, split="valid").ids.tolist() == ["validation/a/2.mp4", "validation/b/2.mp4"]
    manifest.write_csv(tmp_path / "d.csv")
    with (tmp_path / "d.csv").open(newline="") as file:
        assert sorted((row["path"], row["label"], row["split"]) for row in csv.DictReader(file)) == [
            (f"d/{path}", label, split) for path, label, split in described(manifest)
        ]
    (audited,) = read_together([folder])
    assert described(audited) == described(manifest)
    # Prediction needs no labels: the unlabelled test video is among these.
    assert len(read_videos(folder)) == 5


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (
            ["train/a/1.mp4", "train/b/1.mp4", "a/2.mp4"],
            r"beside it is a. If they are splits, give one of them instead of \S+ \(marey train \S+/train\);",
        ),
        (["train/1.mp4", "walk/2.mp4"], "name every class in a file: --classes FILE"),
        (
            ["train/1.mp4", "test/2.mp4"],
            r"without class folders: sort the videos into a folder per class \(test/CLASS/video\)",
        ),
        (
            ["train/a/1.mp4", "test/a/2.mp4", "extra/a/3.mp4"],
            r"is extra. .*\(marey train \S+/train --val \S+/test\);",
        ),
        (["train/a/1.mp4", "val/a/2.mp4", "valid/a/3.mp4"], "the folders val and valid both mean the split 'val'"),
        (["train_256/a/1.mp4", "val_256/a/2.mp4"], r"marey train \S+/train_256 --val \S+/val_256"),
        (["train/train/a/1.mp4", "val/val/a/1.mp4"], "in them is train/train, val/val"),
        (["a/train/1.mp4", "a/test/2.mp4", "b/3.mp4"], r"1 video in none \(b/3.mp4\)"),
        (["a/train/1.mp4", "a/val/2.mp4", "a/dev/2.mp4", "b/train/1.mp4"], "/a: the folders dev and val both mean"),
        (["train/walk/1.mp4", "val/Walk/2.mp4"], r"Walk \(val: 1 video\), walk \(train: 1 video\)"),
        (["a/1.jpg", "b/1.jpg"], "which makes it one video: a class is a folder of such folders"),
        (["set/a/1.mp4", "set/b/1.mp4"], r"only one class, set; .* Did you mean \S+/set\?"),
    ],
)
def test_ambiguous_folders_are_refused_with_advice(tmp_path, paths, message) -> None:
    with pytest.raises(DataError, match=message):
        list_folder(tree(tmp_path / "d", *paths))


def test_classes_named_as_splits_need_a_list_of_classes(tmp_path) -> None:
    folder = tree(tmp_path / "d", "train/1.mp4", "walk/2.mp4", "test/3.mp4")
    (tmp_path / "names.txt").write_text("walk\ntrain\ntest\n")
    for classes in (tmp_path / "names.txt", ["walk", "train", "test"]):
        manifest = list_folder(folder, classes=classes)
        assert manifest.class_names == ("walk", "train", "test")
        assert manifest.splits is None
        assert [row[1] for row in described(manifest)] == ["test", "train", "walk"]


def test_a_single_split_below_the_classes_is_an_ordinary_folder(tmp_path) -> None:
    manifest = list_folder(tree(tmp_path / "d", "weights/training/1.mp4", "weights/2.mp4", "swim/3.mp4"))
    assert manifest.splits is None
    assert manifest.class_names == ("swim", "weights")


# -- names of classes


@pytest.mark.parametrize(
    "names",
    [("1", "2", "10"), ("0", "90", "180"), ("007", "7", "12"), ("200001", "300001"), ("class2", "class10"), ("١", "٢", "1٠"),
     ("a²", "²"), ("-90", "0", "90"), ("0.25", "0.5"), ("a|b", "b"), ("1 jump", "2 run"), ("B", "a")],
)  # fmt: skip
def test_folder_names_are_class_names_and_stay_so_in_lists(tmp_path, names) -> None:
    folder = tree(tmp_path / "d", *(f"{name}/{i}.mp4" for name in names for i in range(2)))
    manifest = list_folder(folder)
    assert manifest.class_names == names
    assert [row[1] for row in described(manifest)] == [row[0].split("/")[0] for row in described(manifest)]
    (tmp_path / "out").mkdir()
    manifest.write_csv(tmp_path / "out" / "list.csv")
    again = read_manifest(tmp_path / "out" / "list.csv")
    assert again.class_names == names
    assert again.labels.tolist() == manifest.labels.tolist()
    turned = names[::-1]
    for source in (folder, tmp_path / "out" / "list.csv"):
        other = read_manifest(source, classes=turned)
        assert [turned[label] for label in other.labels] == [names[label] for label in manifest.labels]


def test_a_folder_is_never_an_index_of_a_class(tmp_path) -> None:
    folder = tree(tmp_path / "d", "1/a.mp4", "2/a.mp4", "10/a.mp4")
    with pytest.raises(
        DataError, match=r"3 class folders, 1 \(1 video\), 10 \(1 video\), 2 \(1 video\) are none of the 3"
    ):
        list_folder(folder, classes=["jump", "run", "swim"])
    list_folder(folder).write_csv(tmp_path / "l.csv")
    with pytest.raises(DataError, match=r"l\.csv: the class '1' and 2 more is none of the 11 classes"):
        read_manifest(tmp_path / "l.csv", classes=[f"class {i}" for i in range(11)])


def test_names_that_are_numbers_and_indices_do_not_mix(tmp_path) -> None:
    (tmp_path / "l.txt").write_text("a.mp4 1\nb.mp4 0\n")
    with pytest.raises(DataError, match=r"l\.txt:2: the label '0' is none of the 3 classes .*'1' is a name"):
        read_manifest(tmp_path / "l.txt", classes=["1", "2", "10"])
    (tmp_path / "l.txt").write_text("a.mp4 0\nb.mp4 01\n")
    assert read_manifest(tmp_path / "l.txt", classes=["0", "1", "2"]).labels.tolist() == [0, 1]


def test_the_file_of_names_beside_a_list_changes_with_it(tmp_path) -> None:
    numbers, words = tree(tmp_path / "n", "1/a.mp4", "3/a.mp4"), tree(tmp_path / "w", "x/a.mp4", "y/a.mp4")
    list_folder(numbers).write_csv(tmp_path / "l.csv")
    assert (tmp_path / "l.csv.classes.json").exists()
    list_folder(words).write_csv(tmp_path / "l.csv")
    assert not (tmp_path / "l.csv.classes.json").exists()
    (tmp_path / "l.csv.classes.json").write_text("{}")
    with pytest.raises(DataError, match=r"l\.csv\.classes\.json: expected a JSON array of the class names of l\.csv"):
        read_manifest(tmp_path / "l.csv")


def test_a_root_that_no_list_uses_is_refused(tmp_path) -> None:
    with pytest.raises(
        DataError, match=r"--root /x: is for the relative paths of a list, and \S+ is a folder: leave it out"
    ):
        read_manifest(tree(tmp_path / "d", "a/1.mp4", "b/1.mp4"), root="/x")


# -- the files in a folder


def test_files_that_are_left_out_are_counted(tmp_path, capsys) -> None:
    tree(
        tmp_path / "d", "a/1.mp4", "a/notes.txt", "a/2.TXT", "b/1.mp4", "b/paper.pdf", "b/no_suffix", "loose.mp4",
        ".hidden.mp4", "empty/", "texts/x.csv", "@eaDir/a/thumb.jpg", "a/.DS_Store", "b/frame.jpg",
    )  # fmt: skip
    assert described(list_folder(tmp_path / "d")) == [("a/1.mp4", "a", ""), ("b/1.mp4", "b", "")]
    said = capsys.readouterr().err
    assert "6 files are no videos, left out (.txt: 2, .csv: 1, .jpg: 1, .pdf: 1, no suffix: 1)" in said
    assert "1 video in no class's folder, left out: loose.mp4" in said
    assert "2 folders have no video and are no classes: empty, texts" in said


def test_files_that_are_left_out_of_a_divided_folder_are_counted(tmp_path, capsys) -> None:
    tree(
        tmp_path / "d", "train/a/1.mp4", "train/b/1.mp4", "val/a/1.mp4", "val/c/1.mp4", "val/c/2.mp4", "train/empty/",
        "train/x.mp4", "test/1.mp4", "test/2.mp4", "notes/n.txt",
    )  # fmt: skip
    list_folder(tmp_path / "d")
    said = capsys.readouterr().err
    assert "3 videos in no class's folder, left out: test/1.mp4, test/2.mp4, train/x.mp4" in said
    assert "2 folders have no video and are no classes: notes, train/empty" in said
    assert "not every split has every class: b (train: 1), c (val: 2)" in said


def test_a_class_of_unknown_suffixes_is_found_by_content(tmp_path, film, capsys) -> None:
    folder = tree(tmp_path / "d", "a/1.mp4", "c/text", "c/sound.dat")
    for name in ("b/VID0001", "b/2.weird", "b/3.bin"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(film, folder / name)
    (folder / "c" / "text").write_text("no film")
    (folder / "c" / "sound.dat").write_bytes(b"OggS" + bytes(2000))
    assert find_videos(folder) == ["a/1.mp4", "b/2.weird", "b/3.bin", "b/VID0001"]
    assert list_folder(folder).class_names == ("a", "b")
    said = capsys.readouterr().err
    assert "2 files are no videos, left out (.dat: 1, no suffix: 1)" in said
    assert "1 folder has no video and is no class: c" in said


@pytest.mark.parametrize("container", ["mpegts", "avi", "matroska", "mov", "flv", "asf", "vob", "mxf", "nut", "gif"])
def test_videos_are_recognised_by_their_content(tmp_path, container) -> None:
    codecs = {
        "vob": "mpeg2video",
        "ogg": "libtheora",
        "mxf": "mpeg2video",
        "gif": "gif",
        "avi": "mpeg4",
        "asf": "mpeg4",
    }
    codec = codecs.get(container, "mpeg4" if container != "flv" else "flv")
    with av.open(str(tmp_path / "film"), "w", format=container) as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        for n in range(4):
            picture = av.VideoFrame.from_ndarray(coded_frame(n, 48, 64), format="rgb24")
            out.mux(stream.encode(picture.reformat(format=stream.pix_fmt)))
        out.mux(stream.encode(None))
    assert is_video_file(str(tmp_path / "film"))


def test_other_files_are_not_recognised_as_videos(tmp_path) -> None:
    with av.open(str(tmp_path / "song"), "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    (tmp_path / "photo").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    (tmp_path / "web").write_text("<!DOCTYPE html><html></html>")
    (tmp_path / "empty").touch()
    assert [is_video_file(str(tmp_path / name)) for name in ("song", "photo", "web", "empty", "none")] == [False] * 5


@pytest.mark.parametrize("note", ["motions.json", "conversion.json", "extraction.json"])
def test_what_marey_wrote_beside_its_videos_is_not_counted_and_a_users_file_is(note, tmp_path) -> None:
    for name in ("made/a/1.mp4", "made/clips.csv", "made/clips.csv.classes.json", f"made/{note}", "made/broken.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert scan_folder(tmp_path).others == []
    for name in ("mine.csv", "made/notes.txt", "made/a/more.csv"):
        (tmp_path / name).touch()
    assert scan_folder(tmp_path).others == ["made/a/more.csv", "made/notes.txt", "mine.csv"]


def test_no_suffix_is_in_two_of_the_lists_of_suffixes() -> None:
    assert not (VIDEO_SUFFIXES & IMAGE_SUFFIXES or VIDEO_SUFFIXES & OTHER_SUFFIXES or IMAGE_SUFFIXES & OTHER_SUFFIXES)


@pytest.mark.parametrize("suffix", [".JPG", ".bmp", ".webp", ".tif", ".TIFF", ".ppm", ".pgm", ".jpe", ".png"])
def test_folders_of_frames_of_every_kind_are_videos(tmp_path, suffix) -> None:
    for name in ("a/v1", "b/v1"):
        (tmp_path / name).mkdir(parents=True)
        for n in range(3):
            shape = (16, 20) if suffix == ".pgm" else (16, 20, 3)
            image = cv2.imencode(suffix.lower(), np.full(shape, 40 * n, np.uint8))[1]
            (tmp_path / name / f"img_{n + 1:05d}{suffix}").write_bytes(image.tobytes())
    assert list_folder(tmp_path).ids.tolist() == ["a/v1", "b/v1"]
    assert [os.path.relpath(p, tmp_path) for p in read_videos(tmp_path).ids] == ["a/v1", "b/v1"]
    assert read_videos(tmp_path / "a" / "v1").ids.tolist() == [str(tmp_path / "a" / "v1")]
    with FrameFolder(tmp_path / "a" / "v1") as frames:
        assert [round(float(frame.mean()) / 40) for frame in frames.read(range(3))] == [0, 1, 2]


def test_images_beside_and_above_videos_are_no_frames(tmp_path, capsys) -> None:
    tree(
        tmp_path,
        "a/1.mp4",
        "a/1.jpg",
        "b/cover.jpg",
        "b/v1/1.jpg",
        "b/v1/2.jpg",
        "poster.png",
        "c/3.mp4/1.jpg",
        "c/3.mp4/2.jpg",
    )
    assert find_videos(tmp_path) == ["a/1.mp4", "b/v1", "c/3.mp4"]
    scan_folder(tmp_path).report_others()
    assert "3 files are no videos, left out (.jpg: 2, .png: 1)" in capsys.readouterr().err


def test_only_a_numbered_series_above_videos_is_a_video(tmp_path, capsys) -> None:
    tree(tmp_path, "a/v1/1.jpg", "a/v1/2.jpg", "a/poster.png", "a/back.jpg", "a/cover 1.jpg")
    tree(tmp_path, "b/img_1.jpg", "b/img_2.jpg", "b/img_3.jpg", "b/more/1.jpg", "b/more/2.jpg")
    tree(tmp_path, "c/x_1.jpg", "c/y_1.jpg", "c/more/1.jpg", "c/more/2.jpg")
    tree(tmp_path, "d/extras/cover.jpg", "d/short/img_1.jpg")
    assert find_videos(tmp_path) == ["a/v1", "b", "b/more", "c", "c/more", "d/short"]
    scan_folder(tmp_path).report_others()
    assert "4 files are no videos, left out (.jpg: 3, .png: 1)" in capsys.readouterr().err
    assert find_videos(tmp_path / "d" / "extras") == []
    tree(tmp_path / "e", "v1/a.jpg", "v2/b.jpg")
    assert find_videos(tmp_path / "e") == ["v1", "v2"]


def test_all_commands_see_the_same_videos(tmp_path, film) -> None:
    tree(
        tmp_path,
        "a/1.MTS",
        "a/sub/sub/2.m2ts",
        "b/f/1.jpg",
        "b/f/2.jpg",
        "b/flow/flow_x_00001.jpg",
        "b/flow/flow_y_00001.jpg",
    )
    shutil.copy(film, tmp_path / "b" / "film")
    listed = [str(tmp_path / name) for name in list_folder(tmp_path).ids.tolist()]
    assert read_videos(tmp_path).ids.tolist() == listed
    assert len(listed) == 5


def test_links_to_folders_that_were_scanned_are_counted(tmp_path, capsys) -> None:
    tree(tmp_path, "real/1.mp4", "d/c/2.mp4")
    for name in ("a", "b", "c/back"):
        (tmp_path / "d" / name).symlink_to(tmp_path / "real" if name != "c/back" else tmp_path / "d")
    assert find_videos(tmp_path / "d") == ["a/1.mp4", "c/2.mp4"]
    scan_folder(tmp_path / "d").report_others()
    assert "2 links lead to folders met before, left out: b/, c/back/." in capsys.readouterr().err


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path, monkeypatch) -> None:
    tree(tmp_path, "a/1.mp4", "locked/")
    scandir = os.scandir

    def refusing(path):
        if "locked" in str(path):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DataError, match=r"locked/: cannot be listed \(Permission denied\)"):
        list_folder(tmp_path)
