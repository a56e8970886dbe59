"""Which videos are trained on, which are held out, and the notes on the others."""

import numpy as np
import pytest

from marey.base.errors import DataError
from marey.data.files.missing import check_present, missing_videos, warn_of_lost_classes
from marey.data.lists.manifest import make_manifest
from marey.data.lists.read_manifest import read_manifest
from marey.data.splits.read_splits import (
    join_splits,
    mark_val_share,
    read_train_val,
    split_counts,
    train_val_of,
    with_held_out,
)


def listed(folder, *splits, name="l.csv", start=0):
    """Write a list with four videos of two classes for each split name."""
    rows = [(f"{word or 'none'}{start + i}.mp4", "ab"[i % 2], word) for word in splits for i in range(4)]
    (folder / name).write_text("path,label,split\n" + "".join(f"{p},{label},{s}\n" for p, label, s in rows))
    return folder / name


@pytest.mark.parametrize(
    ("splits", "held", "notes"),
    [
        (("train", "val"), "val", []),
        (("Train", "VALID"), "VALID", []),
        (("training", "validate"), "validate", []),
        (("train", "test"), "test", []),
        (("train", "dev", "testing"), "dev", ["split 'test': 4 videos are not used here: marey evaluate RUN"]),
        (("train", "val", "holdout"), "val", ["split 'holdout': 4 videos are not used"]),
        (("train", "val", ""), "val", ["no split: 4 videos are not used"]),
        (("train", "fold1"), None, ["split 'fold1': 4 videos are not used"]),
        (("train",), None, []),
        (("",), None, []),
    ],
)
def test_a_split_column_decides_which_videos_are_trained_on(tmp_path, splits, held, notes) -> None:
    found = read_train_val(listed(tmp_path, *splits))
    assert found.train.ids.tolist() == [f"{splits[0] or 'none'}{i}.mp4" for i in range(4)]
    if held is None:
        assert found.held_out is None
    else:
        assert found.held_out is not None
        assert found.held_out.ids.tolist() == [f"{held}{i}.mp4" for i in range(4)]
    assert [note[: len(begin)] for note, begin in zip(found.notes, notes, strict=True)] == notes


def test_a_list_without_training_rows_is_refused_with_its_splits(tmp_path) -> None:
    with pytest.raises(DataError, match=r"no row is for training \(train\): its splits are test: 4, fold1: 4\. Known"):
        read_train_val(listed(tmp_path, "fold1", "Test"))


def test_a_second_list_is_held_out(tmp_path) -> None:
    first, second = listed(tmp_path, "train", "test"), listed(tmp_path, "train", "valid", name="v.csv", start=10)
    splits = read_train_val(first, second)
    assert splits.train.ids.tolist() == [f"train{i}.mp4" for i in range(4)]
    assert splits.held_out is not None
    assert splits.held_out.ids.tolist() == [f"valid{i}.mp4" for i in range(10, 14)]
    assert [note.partition(": ")[2][:20] for note in splits.notes] == ["4 videos are not use", "4 videos of splits o"]


def test_a_second_manifest_is_matched_by_class_names(tmp_path) -> None:
    """With another order of classes, and groups that the first one lacks; the joined list keeps both."""
    first = make_manifest([("1.mp4", "a"), ("2.mp4", "b")], root=tmp_path, source="first", classes=["a", "b"])
    second = make_manifest(
        [("3.mp4", "b"), ("4.mp4", "a")], root=tmp_path, source="second", classes=["b", "a"], groups=["x", "y"]
    )
    splits = read_train_val(first, second)
    joined = join_splits(splits.train, splits.tested)
    assert [joined.class_names[label] for label in joined.labels] == ["a", "b", "b", "a"]
    assert joined.groups is not None
    assert joined.groups.tolist() == ["", "", "x", "y"]
    other = make_manifest([("3.mp4", "c"), ("4.mp4", "a")], root=tmp_path, source="other")
    with pytest.raises(DataError, match="'c' is none of the"):
        read_train_val(first, other)


def test_a_second_folder_may_be_elsewhere(tmp_path) -> None:
    for path in ("t/a/1.mp4", "t/b/1.mp4", "v/a/2.mp4", "v/b/2.mp4"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    splits = read_train_val(tmp_path / "t", tmp_path / "v")
    (tmp_path / "run").mkdir()
    join_splits(splits.train, splits.tested).write_csv(tmp_path / "run" / "split.csv")
    again = read_train_val(tmp_path / "run" / "split.csv")
    for one, folder in ((again.train, "t"), (again.held_out, "v")):
        assert one is not None
        assert [sample.path.resolve().relative_to(tmp_path).parts[0] for sample in one] == [folder] * 2
        assert all(sample.path.exists() for sample in one)
    (tmp_path / "v" / "c").mkdir()
    (tmp_path / "v" / "c" / "3.mp4").touch()
    with pytest.raises(DataError, match=r"v: the class folder c \(1 video\) is none of the 2 classes \(a, b\)"):
        read_train_val(tmp_path / "t", tmp_path / "v")
    with pytest.raises(DataError, match="are folders: leave it out"):
        read_train_val(tmp_path / "t", tmp_path / "v", root=tmp_path)


def test_joined_splits_keep_their_columns(tmp_path) -> None:
    (tmp_path / "a.csv").write_text("path,label,start,end,group\na.mp4,x|y,0,1,g\nb.mp4,y,1,2,h\n")
    (tmp_path / "b.csv").write_text("path,label,group\nc.mp4,x,i\n")
    splits = read_train_val(tmp_path / "a.csv", tmp_path / "b.csv")
    join_splits(splits.train, splits.tested).write_csv(tmp_path / "out.csv")
    again = read_manifest(tmp_path / "out.csv")
    assert [sample.id for sample in again] == ["a.mp4@0-1", "b.mp4@1-2", "c.mp4"]
    assert again.multi_hot().tolist() == [[1, 1], [0, 1], [1, 0]]
    assert again.groups is not None
    assert again.groups.tolist() == ["g", "h", "i"]
    assert split_counts(again) == "train: 2, val: 1"


def test_videos_are_held_out_of_training_rows_alone(tmp_path) -> None:
    whole = read_manifest(listed(tmp_path, "train", "test", "other"))
    divided = mark_val_share(whole, share=0.5, seed=0)
    assert divided.splits is not None
    assert divided.splits[4:].tolist() == ["test"] * 4 + ["other"] * 4
    assert sorted(divided.splits[:4].tolist()) == ["train", "train", "val", "val"]
    assert mark_val_share(divided, share=0.5, seed=1).splits.tolist() == divided.splits.tolist()  # type: ignore[union-attr]
    drawn = with_held_out(train_val_of(whole), share=0.5, seed=0)
    assert drawn.held_out is not None
    assert drawn.held_out_as == "test"
    assert drawn.held_out.ids.tolist() == whole.split("test").ids.tolist()


def test_missing_files_are_counted_before_any_work(tmp_path, capsys) -> None:
    for name in ("a/1.mp4", "a/2.mp4", "é/3.mp4", "frames/v/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    ids = [
        "a/1.mp4",
        "a/../a/2.mp4",
        "é/3.mp4",
        "frames/v",
        str(tmp_path / "a" / "1.mp4"),
        "a/none.mp4",
        "gone/1.mp4",
        "a\\1.mp4",
    ]
    rows = [(name, "ab"[i % 2]) for i, name in enumerate(ids)]
    manifest = make_manifest(rows, root=tmp_path, source="l.csv")
    assert missing_videos(manifest.videos) == ids[5:]
    check_present(0.5, manifest)
    assert (
        "l.csv: 3 of 8 videos are not there and are left out: a/none.mp4, gone/1.mp4, a\\1.mp4"
        in capsys.readouterr().err
    )
    with pytest.raises(
        DataError, match=rf"3 of 8 videos are not there, more than the 0 that are.*relative to {tmp_path}.*--root"
    ):
        check_present(0.01, manifest)
    with pytest.raises(DataError, match="have backslashes: write them with /"):
        check_present(0.01, manifest[np.array([7])])
    check_present(0, manifest[:5])


def test_a_class_that_cannot_be_read_is_named(tmp_path, capsys) -> None:
    (tmp_path / "l.csv").write_text("path,label,start,end\n1.mp4,a,0,1\n1.mp4,b,1,2\n2.mp4,a,0,1\n3.mp4,c,0,1\n")
    manifest = read_manifest(tmp_path / "l.csv")
    warn_of_lost_classes(manifest, [])
    warn_of_lost_classes(manifest, ["1.mp4@0-1"])
    assert capsys.readouterr().err == ""
    warn_of_lost_classes(manifest, ["1.mp4@0-1", "1.mp4@1-2", "3.mp4@0-1"])
    assert "2 classes without a video that can be read: b, c" in capsys.readouterr().err


def test_segments_of_missing_files_are_counted_as_videos(tmp_path, capsys) -> None:
    (tmp_path / "there.mp4").touch()
    names = ["there.mp4"] * 4 + ["gone.mp4"] * 4
    times = [(float(second), float(second + 1)) for second in range(8)]
    rows = [(name, "ab"[i % 2]) for i, name in enumerate(names)]
    manifest = make_manifest(rows, root=tmp_path, source="l.csv", times=times)
    assert check_present(0.5, manifest) == {str(tmp_path / "gone.mp4")}
    line = "l.csv: 4 of 8 videos (segments of 1 file) are not there and are left out: gone.mp4."
    assert line in capsys.readouterr().err
    with pytest.raises(
        DataError, match=r"4 of 8 videos \(segments of 1 file\) are not there, more than the 3 that are"
    ):
        check_present(None, manifest)


def test_a_list_without_videos_lacks_no_files(tmp_path) -> None:
    empty = make_manifest([("a.mp4", "a"), ("b.mp4", "b")], root=tmp_path, source="l.csv")[np.array([], np.int64)]
    assert check_present(None, empty) == frozenset()
