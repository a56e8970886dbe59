"""Tables of corrections: their dialects, what is refused, and the list after them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from marey.base.errors import DataError
from marey.data.recordings.names import Evidence, find_recording_names, joined_recording_names
from marey.data.splits.corrected_data import LABELS, CorrectedData
from marey.data.splits.corrections_table import Corrections
from marey.data.splits.folds import make_folds
from marey.data.splits.read_splits import TrainValTest, read_train_val_test

ROWS = [(f"{label}/{label}_{scene}_{take}.mp4", label) for label in ("run", "jump") for scene in "pqs" for take in "12"]


def a_list(folder: Path, *, more: str = "", rows: list[tuple[str, str]] | None = None, name: str = "list.csv") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("path,label\n" + "".join(f"{one},{label}\n" for one, label in rows or ROWS) + more)
    return path


def corrected(folder: Path, text: str | bytes, given: TrainValTest | None = None, name: str = "c.csv") -> CorrectedData:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return Corrections.read(folder / name).applied(given or read_train_val_test(a_list(folder)))


def labels_by_name(found: CorrectedData) -> dict[str, str]:
    train = found.given.train
    return {video.id: train.class_names[video.label] for video in train}


def test_labels_are_changed_and_clips_left_out_without_changing_the_list(tmp_path) -> None:
    given = read_train_val_test(a_list(tmp_path))
    before = (tmp_path / "list.csv").read_bytes(), given.train.labels.copy()
    found = corrected(
        tmp_path, "path,label,leave_out\nrun/run_p_1.mp4,jump,\njump/jump_s_2.mp4,,x\nrun/run_q_1.mp4,run,no\n", given
    )
    now = labels_by_name(found)
    assert now == {**{n: label for n, label in ROWS if n != "jump/jump_s_2.mp4"}, "run/run_p_1.mp4": "jump"}
    assert found.given.notes == (
        f"{tmp_path / 'c.csv'}: of 12 videos to train on 1 gets another label, 1 is left out.",
        f"{tmp_path / 'c.csv'}: 1 of 3 rows changes nothing.",
    )
    assert (found.left_out.tolist(), found.relabelled.tolist()) == ([11], [0])
    assert len(found.listed["train"]) == 12 and (found.listed["train"].labels == before[1]).all()
    assert (given.train.labels == before[1]).all() and (tmp_path / "list.csv").read_bytes() == before[0]


@pytest.mark.parametrize(
    "text",
    [
        b"path,label\nrun/run_p_1.mp4,jump\n",
        b"\xef\xbb\xbfsep=;\r\nPath;Label;Why\r\nrun/run_p_1.mp4 ; jump ;\r\n\r\n;;\r\n",
        "path\tlabel\nrun/run_p_1.mp4\tjump\n".encode("utf-16"),
        b'label,probability,path\n"jump",0.7,"run/run_p_1.mp4"\n',
        b"path,label,file,video,class\nrun/run_p_1.mp4,jump,other.mp4,7,run\n",
        b"video,class\nrun/run_p_1.mp4,jump\n",
        b"path,label\nrun\\run_p_1.mp4,jump\nrun/run_p_1.mp4,jump\n",
        b"path,label\nrun/run_p_1,jump\n",
        b"path,label,leave_out\nrun/run_p_1.mp4,,\nrun/run_p_1.mp4,jump,\nrun/run_p_1.mp4,jump,FALSE\n",
        b"path,label\n./run/run_p_1.mp4,0\n",
    ],
)
def test_the_dialects_of_spreadsheets_mean_the_same(tmp_path, text) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run_p_1.mp4").write_bytes(b"")
    assert labels_by_name(corrected(tmp_path, text)) == {**dict(ROWS), "run/run_p_1.mp4": "jump"}


@pytest.mark.parametrize("name", ["ABSOLUTE", "run/run_p_1.mp4", "../videos/run/run_p_1.mp4"])
def test_a_path_is_that_of_the_list_or_absolute_or_relative_to_the_table(tmp_path, name) -> None:
    given = read_train_val_test(a_list(tmp_path, name="videos/list.csv"))
    name = str(tmp_path / "videos" / "run" / "run_p_1.mp4") if name == "ABSOLUTE" else name
    found = corrected(tmp_path, f"path,label\n{name},jump\n", given, name="tables/c.csv")
    assert labels_by_name(found)["run/run_p_1.mp4"] == "jump" and len(found.changes) == 1


def test_a_path_that_may_be_two_files_is_refused(tmp_path) -> None:
    a_list(tmp_path, name="a/list.csv")
    a_list(tmp_path, name="b/list.csv")
    given = read_train_val_test(tmp_path / "a" / "list.csv", tmp_path / "b" / "list.csv")
    with pytest.raises(DataError, match=r"c\.csv:2: 'run/run_p_1\.mp4' may be files in several folders: write abs"):
        corrected(tmp_path, "path,label\nrun/run_p_1.mp4,jump\n", given)
    found = corrected(tmp_path, f"path,label\n{tmp_path}/b/run/run_p_1.mp4,jump\n", given)
    assert found.counts("train") == (0, 0, 0) and found.counts("val") == (1, 0, 0)
    found.write(tmp_path / "run")
    again = Corrections.read(tmp_path / "run" / LABELS).applied(given)
    assert again.digest == found.digest


SEGMENTS = (
    "path,label,start,end\na.mp4,run,0,2\na.mp4,jump,2,4.5\nb.mp4,run,0,2\nb.mp4,jump,2,\nc.mp4,run,,\nd.mp4,jump,,\n"
)


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("path,label,start,end\na.mp4,jump,0,2.0\n", ["a.mp4@0-2"]),
        ("path,label\na.mp4@0-2,jump\n", ["a.mp4@0-2"]),
        ("path,label\nb.mp4@2-,run\n", ["b.mp4@2-"]),
        ("path,leave_out\nb.mp4,x\n", ["b.mp4@0-2", "b.mp4@2-"]),
        ("path,label\na.mp4,jump\n", ["a.mp4@0-2"]),
        ("path,label,start,end\nc.mp4,jump,,\n", ["c.mp4"]),
    ],
)
def test_a_segment_is_named_by_its_times_or_its_id_and_a_path_alone_is_all_segments(tmp_path, text, changed) -> None:
    (tmp_path / "segments.csv").write_text(SEGMENTS)
    given = read_train_val_test(tmp_path / "segments.csv")
    found = corrected(tmp_path, text, given)
    assert [found.listed[clip.split][clip.row].id for clip in found.changes] == changed
    found.write(tmp_path)
    assert Corrections.read(tmp_path / LABELS).applied(given).digest == found.digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\nrun/run_p_9.mp4,jump\n",
         "c.csv:2: 'run/run_p_9.mp4' is none of the 12 videos that are trained or tested on. Did you mean run/run_p_2.mp4"),
        ("path,label\n" + "".join(f"x{i}.mp4,jump\n" for i in range(5)),
         "c.csv:2: 5 rows ('x0.mp4' on line 2, 'x1.mp4' on line 3, 'x2.mp4' on line 4, ...) are none of the 12 videos"),
        ("path,label\nrun/run_p_1.mp4@0-1,jump\n", "'run/run_p_1.mp4@0-1' is none of the 12 videos"),
        ("path,label\nrun/run_p_1.mp4,jmp\n", "c.csv:2: 'jmp' is none of the 2 classes (jump, run). Did you mean jump"),
        ("path,label\nrun/run_p_1.mp4,jump|run\n", "'jump|run' is more than one label, and each video of the list has one"),
        ("path,leave_out\nrun/run_p_1.mp4,perhaps\n",
         "c.csv:2: 'perhaps' in leave_out is neither yes nor no: x, yes, 1, true, no, 0, false, or nothing."),
        ("label,why\njump,\n", "c.csv:1: the column 'path' is missing, which names the videos: the first line names the"),
        ("path,why\nrun/run_p_1.mp4,\n", "c.csv:1: no column corrects anything: the first line names the columns"),
        ("path,lable\nrun/run_p_1.mp4,jump\n", "unknown column 'lable', and none is named label. Did you mean label?"),
        ("path,leaveout\nrun/run_p_1.mp4,x\n", "unknown column 'leaveout', and none is named leave_out."),
        ("path,class,action\nrun/run_p_1.mp4,run,jump\n", "the columns 'class' and 'action' may both be the label"),
        ("run/run_p_1.mp4,jump\n", "c.csv:1: no header of a table of corrections"),
        ("", "c.csv:1: no header of a table of corrections"),
        ("path,label\n,jump\n", "c.csv:2: this row has no path"),
        ("path,label\nrun/run_p_1.mp4\n", "c.csv:2: expected 2 values (path, label), got 1"),
        ("path,label\nrun/run_p_1.mp4,jump\nrun/run_p_2.mp4,jump\n./run/run_p_1.mp4,run\n",
         "c.csv:4: './run/run_p_1.mp4' is corrected in another way in a row above: leave one of these rows out."),
        ("path,leave_out\nrun/run_p_1.mp4,x\nrun/run_p_1.mp4,no\n", "c.csv:3: 'run/run_p_1.mp4' is corrected in another"),
        (b"PK\x03\x04", "c.csv: cannot be read as a table of corrections: it is an Excel sheet"),
        (b"path,label\nrun/run_p_1.mp4,sp\xfcng\n", "is not UTF-8 text (line 2)"),
    ],
)  # fmt: skip
def test_faults_are_refused_in_one_line_with_their_line_number(tmp_path, text, message) -> None:
    with pytest.raises(DataError) as refused:
        corrected(tmp_path, text)
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_a_table_that_does_not_exist_is_refused(tmp_path) -> None:
    with pytest.raises(DataError, match=r"none\.csv: no such file of corrections"):
        Corrections.read(tmp_path / "none.csv")


def test_a_table_of_suspects_that_was_not_edited_changes_nothing_and_a_note_says_so(tmp_path) -> None:
    given = read_train_val_test(a_list(tmp_path))
    text = "path,label,may_be,why,leave_out\n" + "".join(f"{name},{label},jump,looks so,\n" for name, label in ROWS[:3])
    found = corrected(tmp_path, text, given)
    assert not found.changes and found.digest is None
    assert found.notes == (f"{tmp_path / 'c.csv'}: 3 rows, and none of them changes anything.",)
    assert found.given.train.fingerprint == given.train.fingerprint
    found.write(tmp_path)
    assert not (tmp_path / LABELS).exists()


def test_tested_clips_are_corrected_too_and_counted_separately(tmp_path) -> None:
    rows = [(name, label, "val" if "_s_" in name else "train") for name, label in ROWS]
    (tmp_path / "list.csv").write_text("path,label,split\n" + "".join(f"{','.join(row)}\n" for row in rows))
    given = read_train_val_test(tmp_path / "list.csv")
    text = "path,label,leave_out\nrun/run_s_1.mp4,jump,\njump/jump_s_1.mp4,,1\nrun/run_p_1.mp4,,yes\n"
    found = corrected(tmp_path, text, given)
    assert len(found.given.train) == 7 and found.given.tested["val"].ids.tolist()[0] == "run/run_s_1.mp4"
    assert found.given.tested["val"].labels.tolist() == [0, 1, 0]
    first, second = found.notes
    assert first.endswith("of 8 videos to train on 1 is left out.")
    assert second.endswith("of 4 videos for val 1 gets another label, 1 is left out.")
    out = "path,leave_out\n" + "".join(f"{name},x\n" for name, _ in ROWS if "_s_" in name)
    gone = corrected(tmp_path, out, given)
    assert not gone.given.tested and gone.notes[-1] == "After the corrections no video is left for val."


def test_a_class_that_loses_all_clips_is_noted(tmp_path) -> None:
    found = corrected(tmp_path, "path,label\n" + "".join(f"{name},jump\n" for name, label in ROWS if label == "run"))
    assert found.notes[-1] == "After the corrections no video shows the class run."


def test_clips_of_several_labels_get_others(tmp_path) -> None:
    given = read_train_val_test(a_list(tmp_path, rows=[("a.mp4", "run|day"), ("b.mp4", "jump"), ("c.mp4", "jump|day")]))
    found = corrected(tmp_path, "path,label\na.mp4,day | run\nb.mp4,run|jump|day\nc.mp4,run\n", given)
    train = found.given.train
    assert [clip.row for clip in found.changes] == [1, 2]
    named = [{train.class_names[k] for k in np.flatnonzero(row)} for row in train.multi_hot()]
    assert named == [{"run", "day"}, {"run", "jump", "day"}, {"run"}]
    assert train.labels.tolist() == train.label_sets[:, 0].tolist()
    found.write(tmp_path)
    assert Corrections.read(tmp_path / LABELS).applied(given).given.train.fingerprint == train.fingerprint


def test_numbers_are_classes_as_they_are_in_lists(tmp_path) -> None:
    plain = read_train_val_test(a_list(tmp_path, rows=[("a.mp4", "walk"), ("b.mp4", "run"), ("c.mp4", "run")]))
    assert labels_by_name(corrected(tmp_path, "path,label\na.mp4,0\n", plain))["a.mp4"] == "run"
    numbered = read_train_val_test(a_list(tmp_path, rows=[("a.mp4", "2"), ("b.mp4", "10")]), classes=["2", "10"])
    assert labels_by_name(corrected(tmp_path, "path,label\na.mp4,10\n", numbered))["a.mp4"] == "10"
    with pytest.raises(DataError, match="'1' is none of the 2 classes"):
        corrected(tmp_path, "path,label\na.mp4,1\n", numbered)


# -- groups


def sources_of(found: CorrectedData) -> dict[str, str]:
    return dict(
        zip(found.given.train.ids.tolist(), find_recording_names(found.given.train).of_row.tolist(), strict=True)
    )


def test_groups_join_clips_with_each_other_and_with_recordings_by_names(tmp_path) -> None:
    given = read_train_val_test(a_list(tmp_path))
    before = dict(zip(given.train.ids.tolist(), find_recording_names(given.train).of_row.tolist(), strict=True))
    assert before["run/run_p_1.mp4"] == before["run/run_p_2.mp4"] == "p"
    found = corrected(
        tmp_path, "path,group\nrun/run_p_1.mp4,park\njump/jump_q_1.mp4,park\njump/jump_q_2.mp4,s\n", given
    )
    now = sources_of(found)
    assert now == {**before, "run/run_p_1.mp4": "park", "jump/jump_q_1.mp4": "park", "jump/jump_q_2.mp4": "s"}
    groups = make_folds(found.given.train).groups
    row = {name: number for number, name in enumerate(found.given.train.ids.tolist())}
    assert groups[row["run/run_p_1.mp4"]] == groups[row["jump/jump_q_1.mp4"]] != groups[row["run/run_p_2.mp4"]]
    assert groups[row["jump/jump_q_2.mp4"]] == groups[row["run/run_s_1.mp4"]]
    assert "3 are given a group" in found.notes[0]


def test_groups_of_a_list_that_has_them_are_replaced_in_its_column(tmp_path) -> None:
    text = "path,label,group\n" + "".join(f"{name},{label},g{i // 2}\n" for i, (name, label) in enumerate(ROWS))
    (tmp_path / "grouped.csv").write_text(text)
    given = read_train_val_test(tmp_path / "grouped.csv")
    found = corrected(tmp_path, "path,group\nrun/run_p_1.mp4,a longer name\nrun/run_q_1.mp4,g1\n", given)
    assert found.counts("train") == (0, 1, 0) and found.given.train.joined_groups is None
    assert found.given.train.groups.tolist()[:4] == ["a longer name", "g0", "g1", "g1"]


@pytest.mark.parametrize("column", [False, True])
def test_groups_of_tested_clips_join_those_of_the_others(tmp_path, column) -> None:
    header, end = ("path,label,group", ",own") if column else ("path,label", "")
    (tmp_path / "train.csv").write_text(header + "\n" + "".join(f"{name},{label}{end}\n" for name, label in ROWS[:9]))
    (tmp_path / "val.csv").write_text("path,label\n" + "".join(f"{name},{label}\n" for name, label in ROWS[9:]))
    given = read_train_val_test(tmp_path / "train.csv", tmp_path / "val.csv")
    found = corrected(tmp_path, f"path,group\n{ROWS[0][0]},park\n{ROWS[11][0]},park\n", given).given
    sources = joined_recording_names([found.train, found.tested["val"]])
    assert np.flatnonzero(sources.of_row == "park").tolist() == [0, 11]
    assert sources.evidence == ((Evidence.COLUMN,) if column else (Evidence.CORRECTIONS, Evidence.NAMES))
    assert sources.of_row[1] == ("own" if column else "p")


def test_a_changed_label_moves_no_clip_to_another_recording(tmp_path) -> None:
    given = read_train_val_test(a_list(tmp_path))
    found = corrected(tmp_path, "path,label\nrun/run_p_1.mp4,jump\njump/jump_q_2.mp4,run\n", given)
    assert find_recording_names(found.given.train).of_row.tolist() == find_recording_names(given.train).of_row.tolist()
    # By the new label, the name of the old class would stay in the name of the recording.
    plain = replace(found.given.train, listed_labels=None)
    assert find_recording_names(plain).of_row.tolist() != find_recording_names(given.train).of_row.tolist()


def test_a_given_group_is_kept_where_it_leaves_a_class_one_recording(tmp_path) -> None:
    rows = [(f"{label}{number}.mp4", label) for label in ("run", "jump", "sit") for number in range(4)]
    given = read_train_val_test(a_list(tmp_path, rows=rows))
    found = corrected(
        tmp_path, "path,group\n" + "".join(f"{name},gym\n" for name, label in rows if label == "sit"), given
    )
    folds = make_folds(found.given.train)
    assert len(set(folds.groups[8:].tolist())) == 1 and not folds.judged[found.given.train.class_names.index("sit")]
    assert not any("inferred from file names" in note for note in folds.notes)
