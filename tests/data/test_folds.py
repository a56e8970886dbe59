"""Folds: what stays in one fold, when clips change folds, what every training share has, and the notes on the rest."""

from pathlib import Path

import numpy as np
import pytest

from marey.base.errors import DataError
from marey.data.lists.class_folders import list_folder
from marey.data.lists.manifest import Manifest, make_manifest
from marey.data.recordings.groups import RecordingsAndCopies
from marey.data.recordings.names import Evidence, RecordingNames
from marey.data.splits.folds import NEVER, Folds, check_trainable, make_folds


def listed(rows: list[tuple[str, str]], *, groups: list[str] | None = None, root: Path = Path("/none")) -> Manifest:
    return make_manifest(rows, root=root, source="made", groups=groups)


def grouped(classes: dict[str, int], *, clips: int = 2) -> Manifest:
    """A list with so many recordings of each class, each of `clips` clips."""
    rows = [
        (f"{name}/{r}_{i}.mp4", name) for name, several in classes.items() for r in range(several) for i in range(clips)
    ]
    return listed(rows, groups=[path.rsplit("_")[0] for path, _ in rows])


def written(folder: Path, contents: dict[str, str]) -> Manifest:
    """The list of a folder of files that no test here decodes."""
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return list_folder(folder)


def by_name(manifest: Manifest, folds: Folds) -> dict[str, int]:
    return dict(zip(manifest.ids.tolist(), folds.of_row.tolist(), strict=True))


def test_clips_of_one_recording_are_in_one_fold() -> None:
    made = grouped({"fall": 20, "walk": 30})
    folds = make_folds(made)
    assert folds.count == 10
    assert sorted(set(folds.of_row.tolist())) == list(range(10))
    assert len({*zip(made.groups.tolist(), folds.of_row.tolist(), strict=True)}) == 50
    assert len({*zip(made.groups.tolist(), folds.groups.tolist(), strict=True)}) == 50
    assert folds.judged.all()


@pytest.mark.parametrize("recordings", [2, 3, 5, 12])
@pytest.mark.parametrize("count", [2, 5, 10])
def test_each_training_share_has_half_of_the_recordings_of_each_class(recordings, count) -> None:
    made = grouped({f"class {k}": recordings for k in range(100)}, clips=1)
    folds = make_folds(made, count)
    for fold in range(folds.count):
        left = np.bincount(made.labels[folds.of_row != fold], minlength=100)
        assert left.min() >= recordings // 2


def test_no_clip_changes_folds_when_clips_a_class_and_recordings_are_added() -> None:
    few, more = grouped({"fall": 20, "walk": 30}), grouped({"climb": 4, "fall": 23, "walk": 40}, clips=3)
    before, after = by_name(few, make_folds(few)), by_name(more, make_folds(more))
    assert all(after[name] == fold for name, fold in before.items())


def test_with_few_recordings_only_moved_ones_change_folds() -> None:
    few = grouped({f"class {k:03}": 5 for k in range(200)}, clips=1)
    more = grouped({f"class {k:03}": 6 if k % 2 else 5 for k in range(200)}, clips=1)
    before, after = by_name(few, make_folds(few, 10)), by_name(more, make_folds(more, 10))
    assert np.mean([after[name] != fold for name, fold in before.items()]) < 0.01


def test_folds_do_not_depend_on_the_order_of_rows_or_classes() -> None:
    made = grouped({"fall": 3, "walk": 4, "sit": 2})
    order = np.random.RandomState(0).permutation(len(made))
    names = ("walk", "sit", "fall")
    assert by_name(made, make_folds(made)) == by_name(made[order], make_folds(made[order].with_classes(names)))


def test_five_folds_are_pairs_of_the_ten_folds() -> None:
    made = grouped({"fall": 200, "walk": 200}, clips=1)
    np.testing.assert_array_equal(make_folds(made, 5).of_row, make_folds(made, 10).of_row // 2)


def test_many_clips_have_five_folds() -> None:
    assert make_folds(grouped({"fall": 501, "walk": 500}, clips=1)).count == 5


def test_folds_depend_on_the_content_where_names_show_no_recording(tmp_path) -> None:
    contents = {f"{label}/{i}.mp4": f"{label} {i}" for label in ("fall", "walk") for i in range(30)}
    first = written(tmp_path / "a", contents)
    renamed = {f"{name.split('/')[0]}/new{99 - i}.mp4": content for i, (name, content) in enumerate(contents.items())}
    second = written(tmp_path / "b", renamed)
    folds = by_name(first, make_folds(first)), by_name(second, make_folds(second))
    assert [folds[0][name] for name in contents] == [folds[1][name] for name in renamed]
    assert "File names do not show which recording" in make_folds(first).notes[0]


def test_equal_files_and_segments_of_one_file_are_in_one_fold(tmp_path) -> None:
    contents = {f"{label}/{i}.mp4": f"{label} {i % 10}" for label in ("fall", "walk") for i in range(20)}
    folds = by_name(made := written(tmp_path, contents), make_folds(made))
    assert all(folds[name] == folds[f"{name.split('/')[0]}/{int(name[5:-4]) % 10}.mp4"] for name in contents)
    segments = [(f"{label}{i}.mp4", label) for label in ("fall", "walk") for i in range(5) for _ in range(3)]
    times = [(10.0 * (row % 3), 10.0 * (row % 3) + 10) for row in range(len(segments))]
    cut = make_manifest(segments, root=tmp_path, source="made", times=times)
    assert len({*zip(cut.ids.tolist(), make_folds(cut).of_row.tolist(), strict=True)}) == 10


def test_a_class_of_one_recording_is_trained_on_and_never_held_out() -> None:
    folds = make_folds(made := grouped({"fall": 1, "walk": 6, "sit": 6}))
    fall = made.labels == made.class_names.index("fall")
    assert (folds.of_row[fall] == NEVER).all()
    assert (folds.of_row[~fall] != NEVER).all()
    assert folds.judged.tolist() == [name != "fall" for name in made.class_names]
    assert "Class fall has videos of only 1 recording" in " ".join(folds.notes)


def test_few_recordings_are_noted() -> None:
    assert "Class fall has fewer than 5 recordings (fall 3)" in " ".join(
        make_folds(grouped({"fall": 3, "walk": 9})).notes
    )


def test_too_few_classes_of_two_recordings_are_refused() -> None:
    with pytest.raises(
        DataError, match="made: 1 of 2 classes has videos of two recordings or more by the column `group`"
    ):
        make_folds(grouped({"fall": 1, "walk": 6}))


def test_names_that_put_a_class_into_one_recording_are_ignored_for_it() -> None:
    rows = [(f"fall/sessionA_{i}.mp4", "fall") for i in range(6)]
    rows += [(f"walk/session{s}_{i}.mp4", "walk") for s in "ABCDEF" for i in range(3)]
    folds = make_folds(listed(rows))
    assert len(set(folds.groups[:6].tolist())) == 6
    assert len(set(folds.groups[6:].tolist())) == 6
    assert folds.judged.all()
    assert any("this is ignored there" in note for note in folds.notes)


def test_clips_of_several_labels() -> None:
    rows = [(f"{r}_{i}.mp4", ["run|fall", "run", "fall", "fall|sing"][r % 4]) for r in range(20) for i in range(2)]
    rows += [("solo_1.mp4", "dive"), ("solo_2.mp4", "dive|run")]
    folds = make_folds(made := listed(rows, groups=[path.split("_")[0] for path, _ in rows]))
    assert [name for name, one in zip(made.class_names, folds.judged.tolist(), strict=True) if not one] == ["dive"]
    assert folds.of_row[-2] == NEVER
    assert folds.of_row[-1] != NEVER
    hot = made.multi_hot()
    for fold in range(folds.count):
        assert (hot[folds.of_row != fold][:, folds.judged].sum(0) > 0).all()


def several(labels: list[str], *, recordings: int = 12) -> Manifest:
    """A list with so many recordings of one clip each, whose labels are taken in turn."""
    return listed(
        [(f"{r}.mp4", labels[r % len(labels)]) for r in range(recordings)], groups=[f"r{r}" for r in range(recordings)]
    )


def test_a_label_of_every_clip_is_held_out_and_not_judged() -> None:
    folds = make_folds(made := several(["person|run", "person", "person|sit"]))
    assert [name for name, one in zip(made.class_names, folds.judged.tolist(), strict=True) if one] == ["run", "sit"]
    assert (folds.of_row >= 0).all(), "clips without other labels are the negatives of the other classes"
    assert (
        "Class person is a label of every video, or of all but those of one recording: how well it is recognised "
        "cannot be measured; add videos without it." in folds.notes
    )


def test_a_label_that_one_recording_lacks_is_not_judged() -> None:
    rows = [(f"{r}.mp4", "run" if r == 0 else ["person|run", "person"][r % 2]) for r in range(12)]
    folds = make_folds(made := listed(rows, groups=[f"r{r}" for r in range(12)]))
    assert dict(zip(made.class_names, folds.judged.tolist(), strict=True)) == {"person": False, "run": True}


def test_clips_that_all_have_the_same_labels_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"made: every video has the same labels \(person, run\), so that there is nothing"
    ):
        check_trainable(several(["person|run"]))
    check_trainable(several(["person|run", "person"]))


def test_several_labels_none_of_which_can_be_judged_are_refused() -> None:
    rows = [("0.mp4", "person|run"), ("0_2.mp4", "person|run"), *((f"{r}.mp4", "person") for r in range(1, 6))]
    with pytest.raises(
        DataError, match="made: no class has videos of two recordings with it and of two without it by the"
    ):
        make_folds(listed(rows, groups=["r" + path[0] for path, _ in rows]))


def test_each_fold_trains_on_all_classes_where_every_two_recordings_share_one() -> None:
    # Each class is in two of six recordings, every pair of which shares one: not all pairs can be in two of five folds.
    pairs = [(a, b) for a in range(6) for b in range(a)]
    rows = [(f"{r}/{a}{b}.mp4", f"class {a}{b}") for a, b in pairs for r in (a, b)]
    folds = make_folds(made := listed(rows, groups=[path[0] for path, _ in rows]), 5)
    for fold in range(folds.count):
        assert (np.bincount(made.labels[folds.of_row != fold], minlength=len(pairs)) > 0).all()
    assert 0 < (~folds.judged).sum() < 5


def test_two_clips_of_two_classes_each() -> None:
    folds = make_folds(listed([(f"{label}/{i}.mp4", label) for label in "ab" for i in range(2)]))
    assert 2 <= folds.count <= 4
    assert (folds.of_row >= 0).all()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a.mp4", "fall"), ("b.mp4", "fall")], "made: only one class, fall"),
        (
            [("a.mp4", "fall"), ("b.mp4", "walk")],
            r"2 classes \(fall, walk\) have only one video each: .* \(2 videos in all\)",
        ),
        ([("a.mp4", "fall"), ("b.mp4", "walk"), ("c.mp4", "walk")], "class fall has only one video: "),
    ],
)
def test_lists_that_cannot_be_judged_are_refused_before_work(rows, message) -> None:
    with pytest.raises(DataError, match=message):
        check_trainable(listed(rows))


def test_blank_classes_and_empty_lists_are_refused() -> None:
    made = listed([("a.mp4", "fall"), ("b.mp4", "walk"), ("c.mp4", "walk")])
    with pytest.raises(DataError, match="names no videos"):
        check_trainable(made[:0])
    with pytest.raises(DataError, match=r"class 2 of 3 \(counted from 0\) has no name"):
        check_trainable(made.with_classes(["fall", "walk", " "]))


def test_classes_of_one_clip_beside_others_can_be_trained_on() -> None:
    check_trainable(grouped({"fall": 1, "walk": 3, "sit": 3}, clips=1))


def test_one_fold_is_refused() -> None:
    with pytest.raises(DataError, match="at least 2"):
        make_folds(grouped({"fall": 3, "walk": 3}), 1)


def test_a_hundred_thousand_clips_take_seconds() -> None:
    rows = 100_000
    made = Manifest(
        np.array([f"{row}.mp4" for row in range(rows)]),
        np.arange(rows) % 1000,
        tuple(f"class {k}" for k in range(1000)),
        Path("/none"),
        groups=np.array([f"{row % 7000}" for row in range(rows)]),
    )
    folds = make_folds(made)
    assert len(np.unique(folds.groups)) == 7000
    assert np.bincount(folds.of_row).min() > 15_000


def test_few_recordings_make_few_folds_and_a_note_says_what_to_record() -> None:
    rows = [(f"{label}/{place}_{i}.mp4", label) for label in ("fall", "walk") for place in "abc" for i in range(4)]
    manifest = listed(rows)
    known = np.char.add("place ", np.array([name.split("/")[1][0] for name, _ in rows]))
    everywhere = np.ones(len(rows), np.bool_)
    recordings = RecordingNames(known, everywhere, ~everywhere, (Evidence.FRAMES,))
    folds = make_folds(manifest, together=RecordingsAndCopies(recordings, np.arange(len(rows))))
    assert 2 <= folds.count <= 3
    assert len(np.unique(folds.groups)) == 3
    (note,) = [note for note in folds.notes if "folds instead of" in note]
    assert note.startswith(f"There are {folds.count} folds instead of 10")
    assert "of only 3 recordings:" in note
    assert "record each class at other places too" in note
    assert any("inferred from frames: 3 recordings" in note for note in folds.notes)


def test_where_each_class_is_of_one_recording_the_note_says_what_to_record() -> None:
    rows = [(f"{label}/{i}.mp4", label) for label in ("fall", "walk") for i in range(5)]
    everywhere = np.ones(len(rows), np.bool_)
    recordings = RecordingNames(np.repeat(["one", "other"], 5), everywhere, ~everywhere, (Evidence.FRAMES,))
    folds = make_folds(listed(rows), together=RecordingsAndCopies(recordings, np.arange(len(rows))))
    assert len(np.unique(folds.groups)) == 10
    (note,) = [
        note for note in folds.notes if note.startswith("By frames all videos are of one recording in 2 classes")
    ]
    assert note.endswith("or record the class at other places too.")


def test_five_recordings_or_more_in_few_folds_are_not_asked_for() -> None:
    rows = [(f"{label}/{i}.mp4", label) for label in ("fall", "walk") for i in range(3)]
    everywhere = np.ones(len(rows), np.bool_)
    names = np.array([f"room {row}" for row in range(len(rows))])
    together = RecordingsAndCopies(
        RecordingNames(names, everywhere, everywhere, (Evidence.FRAMES,)), np.arange(len(rows))
    )
    (note,) = [note for note in make_folds(listed(rows), together=together).notes if "folds instead of" in note]
    assert "of only 6 recordings:" in note
    assert note.endswith("record each class at other places too.")


def test_a_note_states_that_frames_show_no_recordings_either() -> None:
    rows = [(f"{label}/{i}.mp4", label) for label in ("fall", "walk") for i in range(8)]
    nothing = np.zeros(len(rows), np.bool_)
    recordings = RecordingNames(np.full(len(rows), ""), nothing, nothing, (Evidence.NAMES, Evidence.FRAMES))
    folds = make_folds(listed(rows), together=RecordingsAndCopies(recordings, np.full(len(rows), -1)))
    assert folds.notes[0].startswith("Neither file names nor frames show which recording a video is from")
