"""Holding videos out: what stays in one split, leakage between splits, and the split of a resumed run."""

from pathlib import Path

import numpy as np
import pytest

from marey.base.errors import DataError
from marey.data.files.identity import Identities, equal_contents, file_identity, video_identity
from marey.data.lists.class_folders import list_folder
from marey.data.lists.manifest import make_manifest
from marey.data.lists.videos import VideoEntry
from marey.data.recordings.names import UNKNOWN_RECORDINGS
from marey.data.splits.hold_out import resumed_split, split_manifest
from marey.data.splits.leakage import copies_across_splits, report_leakage
from marey.data.splits.read_splits import train_val_of, with_held_out


def write(folder: Path, contents: dict[str, str]) -> Path:
    """Write files that no test here decodes."""
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def sessions(folder: Path) -> Path:
    names = [f"{label}/session{s}_clip{i}.mp4" for label in ("fall", "walk") for s in "AB" for i in range(4)]
    return write(folder, {name: name for name in names})


@pytest.mark.parametrize("seed", range(5))
def test_clips_of_one_session_stay_together(tmp_path, seed) -> None:
    split = split_manifest(list_folder(sessions(tmp_path)), seed=seed)
    splits = {
        (name.split("session")[1][0], split)
        for name, split in zip(split.ids.tolist(), split.splits.tolist(), strict=True)
    }
    assert splits in ({("A", "train"), ("B", "val")}, {("A", "val"), ("B", "train")})


def test_a_class_of_one_session_is_split_with_a_warning(tmp_path, capsys) -> None:
    names = [f"fall/sessionA_{i}.mp4" for i in range(4)] + [f"walk/session{s}_{i}.mp4" for s in "AB" for i in range(4)]
    split = split_manifest(list_folder(write(tmp_path, {name: name for name in names})))
    assert {side for name, side in zip(split.ids.tolist(), split.splits.tolist(), strict=True) if "fall" in name} == {
        "train",
        "val",
    }
    report_leakage(split.split("train"), split.split("val"))
    assert (
        "1 recording is in both splits, with 8 videos: sessionA (12 of 12 videos, by file names)"
        in capsys.readouterr().err
    )
    with pytest.raises(DataError, match="class fall has only one recording"):
        rows = [(name, name[:4]) for name in names]
        split_manifest(make_manifest(rows, root=tmp_path, source="made", groups=[name[5:13] for name in names]))


@pytest.mark.parametrize("seed", range(5))
def test_equal_files_are_in_one_split(tmp_path, seed, capsys) -> None:
    contents = {f"{label}/{i}.mp4": f"{label}{i % 4}" for label in ("fall", "walk") for i in range(8)}
    contents |= {"walk/same size.mp4": "walk9", "fall/of walk.mp4": "walk0"}
    split = split_manifest(list_folder(write(tmp_path, contents)), seed=seed)
    splits: dict[str, set[str]] = {}
    for name, one in zip(split.ids.tolist(), split.splits.tolist(), strict=True):
        splits.setdefault(contents[name], set()).add(one)
    assert all(len(several) == 1 for several in splits.values())
    said = capsys.readouterr().err
    assert "17 files are copies of each other, by content (8 different)" in said
    assert (
        "files of equal content have different classes, 1 times, for example: fall/of walk.mp4 (fall), walk/0.mp4"
        in said
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_class_of_copies_is_for_training_alone(tmp_path, capsys, seed) -> None:
    """Copies of it in another class are for training, too."""
    contents = {f"fall/{i}.mp4": "same" for i in range(3)} | {f"walk/{i}.mp4": f"{i}" for i in range(3)}
    split = split_manifest(list_folder(write(tmp_path, contents | {"walk/copy.mp4": "same"})), seed=seed)
    splits = dict(zip(split.ids.tolist(), split.splits.tolist(), strict=True))
    assert {splits[name] for name in contents if name.startswith("fall")} | {splits["walk/copy.mp4"]} == {"train"}
    assert {splits[name] for name in contents if name.startswith("walk")} == {"train", "val"}
    assert (
        "all files of a class are copies of one, by content, in 1 class: fall: all are for" in capsys.readouterr().err
    )


def test_copies_alone_are_all_for_training(tmp_path) -> None:
    folder = write(tmp_path, {f"{label}/{i}.mp4": "same" for label in ("fall", "walk") for i in range(3)})
    sides = with_held_out(train_val_of(list_folder(folder)), share=0.2, seed=0)
    assert (len(sides.train), sides.held_out) == (6, None)


@pytest.mark.parametrize("given", [False, True])
def test_copies_that_prevent_keeping_recordings_together_are_named(tmp_path, capsys, given) -> None:
    """The clips of session B are copies of those of session A."""
    names = [f"{label}/session{s}_clip{i}.mp4" for label in ("fall", "walk") for s in "AB" for i in range(4)]
    write(tmp_path, {name: name.replace("sessionB", "sessionA") for name in names})
    if given:
        rows = [(name, name[:4]) for name in names]
        with pytest.raises(DataError, match="groups cannot be kept together: equal files join several of them"):
            split_manifest(make_manifest(rows, root=tmp_path, source="made", groups=[name[12] for name in names]))
        return
    split = split_manifest(list_folder(tmp_path))
    assert "equal files join several of them, so that a class would be in one split alone" in capsys.readouterr().err
    splits = dict(zip(split.ids.tolist(), split.splits.tolist(), strict=True))
    assert all(splits[name] == splits[name.replace("sessionB", "sessionA")] for name in names)


def test_copies_in_another_split_are_counted(tmp_path) -> None:
    write(tmp_path, {"a/1.mp4": "x", "b/2.mp4": "y", "a/3.mp4": "x", "b/4.mp4": "z"})
    rows = [(name, name[0]) for name in ("a/1.mp4", "b/2.mp4", "a/3.mp4", "b/4.mp4")]
    manifest = make_manifest(rows, root=tmp_path, source="made", splits=["train", "train", "test", "test"])
    assert copies_across_splits(manifest) == "2 files have copies in another split, by content: a/1.mp4, a/3.mp4"
    assert copies_across_splits(manifest[1:]) is None


@pytest.mark.parametrize("seed", range(3))
def test_a_split_does_not_depend_on_the_order_of_rows(tmp_path, seed) -> None:
    contents = {f"{label}/{i}.mp4": f"{label}{i % 4}" for label in ("fall", "walk") for i in range(8)}
    whole = list_folder(write(sessions(tmp_path), contents))
    order = np.random.RandomState(seed).permutation(len(whole))
    one, other = split_manifest(whole, seed=seed), split_manifest(whole[order], seed=seed)
    assert dict(zip(one.ids, one.splits, strict=True)) == dict(zip(other.ids, other.splits, strict=True))


def test_missing_files_are_split_as_usual(tmp_path, capsys) -> None:
    rows = [(f"{label}/{i}.mp4", label) for label in "ab" for i in range(5)]
    split = split_manifest(make_manifest(rows, root=tmp_path, source="made"))
    assert sorted(split.splits.tolist()) == ["train"] * 8 + ["val"] * 2
    assert capsys.readouterr().err == ""


def test_leakage_between_given_splits_is_reported(tmp_path, capsys) -> None:
    write(tmp_path, {"a/1.mp4": "x", "b/2.mp4": "y", "a/3.mp4": "x", "b/4.mp4": "z"})
    train = make_manifest([("a/1.mp4", "a"), ("b/2.mp4", "b")], root=tmp_path, source="train")
    val = make_manifest([("a/3.mp4", "a"), ("b/4.mp4", "b"), ("b/none.mp4", "b")], root=tmp_path, source="val")
    report_leakage(train, val)
    said = capsys.readouterr().err
    assert UNKNOWN_RECORDINGS in said
    assert "1 file of the 3 for validation is in the training list too, by content: a/3.mp4" in said
    report_leakage(train, val[1:])
    assert "by content" not in capsys.readouterr().err


def test_other_segments_of_a_file_are_no_copies(tmp_path, capsys) -> None:
    write(tmp_path, {"a.mp4": "x", "b.mp4": "y"})
    rows = [("a.mp4", "a"), ("b.mp4", "b")]
    segments = [
        make_manifest(rows, root=tmp_path, source="made", times=[(start, start + 1), (start, start + 1)])
        for start in (0.0, 1.0)
    ]
    report_leakage(*segments)
    said = capsys.readouterr().err
    assert "2 recordings are in both splits, with 4 videos: a.mp4, b.mp4" in said
    assert "by content" not in said
    report_leakage(segments[0], segments[0])
    assert (
        "2 files of the 2 for validation are in the training list too, by content: a.mp4, b.mp4"
        in capsys.readouterr().err
    )


def test_a_resumed_run_keeps_its_split_when_its_folder_changes(tmp_path, capsys) -> None:
    folder, file = sessions(tmp_path / "data"), tmp_path / "run" / "split.csv"
    file.parent.mkdir()
    begun = split_manifest(list_folder(folder))
    begun.write_csv(file)
    again = resumed_split(list_folder(folder), file)
    assert capsys.readouterr().err == ""
    assert (again.fingerprint, again.splits.tolist()) == (begun.fingerprint, begun.splits.tolist())
    (folder / "fall" / "sessionA_clip0.mp4").unlink()
    write(folder, {"fall/sessionC_clip0.mp4": "new", "run/1.mp4": "a new class"})
    again = resumed_split(list_folder(folder), file)
    assert (
        "2 videos were added and 1 removed since the run began; it resumes with its own 16" in capsys.readouterr().err
    )
    assert (again.fingerprint, again.splits.tolist()) == (begun.fingerprint, begun.splits.tolist())


# -- identities


def test_identities_are_of_content(tmp_path) -> None:
    head, tail = b"a" * 70_000, b"b" * 70_000
    for name, content in {
        "one": head + b"1" + tail, "copy": head + b"1" + tail, "middle": head + b"2" + tail, "longer": head + b"11" + tail,
        "end": head + b"1" + tail[1:] + b"c", "begin": b"c" + head[1:] + b"1" + tail,
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(content)
    found = {path.name: file_identity(path) for path in tmp_path.iterdir()}
    assert found["one"] == found["copy"] == found["middle"], "the middle of a file is not read"
    assert len(set(found.values())) == 4
    assert all(0 < identity < 1 << 64 for identity in found.values())
    with pytest.raises(OSError, match="none"):
        file_identity(tmp_path / "none")


def test_identities_of_segments_and_folders(tmp_path) -> None:
    for name, content in {"a/img_1.jpg": "x", "a/img_2.jpg": "y", "b/img_1.jpg": "x", "b/img_2.jpg": "y"}.items():
        write(tmp_path, {name: content})
    assert file_identity(tmp_path / "a") == file_identity(tmp_path / "b")
    write(tmp_path, {"b/.hidden": ""})
    assert file_identity(tmp_path / "a") == file_identity(tmp_path / "b")
    write(tmp_path, {"b/img_2.jpg": "z"})
    assert file_identity(tmp_path / "a") != file_identity(tmp_path / "b")
    whole = video_identity(VideoEntry("a", tmp_path / "a"))
    segments = [
        video_identity(VideoEntry("a", tmp_path / "a", start, end))
        for start, end in ((0.0, 1.0), (1.0, 2.0), (None, 2.0))
    ]
    assert len({whole, *segments}) == 4


def test_a_set_of_identities() -> None:
    some = Identities.of([5, 3, 5, (1 << 64) - 1])
    assert len(some) == 3
    assert [number in some for number in (3, 4, 5, (1 << 64) - 1)] == [True, False, True, True]
    assert Identities.from_text(some.text) == some
    assert some | {3, 9} == Identities.of([3, 5, 9, (1 << 64) - 1])
    assert some | set() == some
    assert Identities() | some == some
    assert len(Identities.of(range(1, 1_000_001)).text) < 11_000_000, "a checkpoint's header holds 100 MB"
    with pytest.raises(ValueError, match="no multiple of 8"):
        Identities.from_text("abcd")


def test_equal_contents_by_row(tmp_path) -> None:
    write(tmp_path, {"a": "x", "b": "y", "c": "x", "d": "longer", "empty": "", "empty too": ""})
    names = ["a", "b", "c", "d", "a", "none", "empty", "empty too"]
    found = equal_contents([f"{tmp_path}/{name}" for name in names])
    assert found.tolist() == [0, 1, 0, 3, 0, -1, -1, -1]
