"""Lists in every format, splits that keep groups together, and loaders that resume at a batch."""

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marey.base.errors import DataError, RunError
from marey.data.files.quarantine import Broken, Quarantine, replacements
from marey.data.lists.class_files import read_classes
from marey.data.lists.class_folders import list_folder
from marey.data.lists.manifest import make_manifest
from marey.data.lists.read_manifest import hmdb51_split, read_manifest
from marey.data.loading.datasets import ClipDataset, ViewDataset
from marey.data.loading.epoch_order import EachOnce
from marey.data.loading.loader import ClipLoader, _BatchSampler
from marey.data.recordings.names import find_recording_names
from marey.data.splits.hold_out import split_manifest
from marey.video.pixels import Pixels
from marey.video.pixels.crops import RandomCrop
from marey.video.sampling import MMAction2Test, MMAction2Train
from tests.support.made_videos import decoded_number, write_videos


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """Two classes of five short videos, one of them with a space in its name."""
    return write_videos(tmp_path_factory.mktemp("videos"), 5, classes=("jump", "run fast"), frames=12)


def dataset(videos, seed=0):
    rule, geometry = MMAction2Train(frames=3, stride=2), RandomCrop(short_side=48, size=40)
    return ClipDataset(list_folder(videos), rule, geometry, seed=seed)


# -- lists


def test_folder_per_class(videos) -> None:
    manifest = list_folder(videos)
    assert len(manifest) == 10
    assert manifest.class_names == ("jump", "run fast")
    assert manifest[5].path == videos / "run fast" / "v0.mp4"
    assert manifest[5].label == 1


@pytest.mark.parametrize(
    ("name", "text", "first"),
    [
        ("a.csv", "path,label,split\njump/v_0.mp4,jump,train\nrun fast/v_1.mp4,run fast,val\n", "jump/v_0.mp4"),
        ("b.txt", "run fast/v_1.mp4 1\njump/v_0.mp4 0\n", "run fast/v_1.mp4"),
        ("c.txt", "run fast/v_1 12 1\njump/v_0 12 0\n", "run fast/v_1"),
        (
            "d.txt",
            "Archery/v_Archery_g01_c02.avi 1\nBowling/v_Bowling_g08_c01.avi 2\n",
            "Archery/v_Archery_g01_c02.avi",
        ),
        ("e.txt", "Archery/v_Archery_g01_c02.avi\nBowling/v_Bowling_g08_c01.avi\n", "Archery/v_Archery_g01_c02.avi"),
    ],
)
def test_formats(name, text, first, tmp_path) -> None:
    (tmp_path / name).write_text(text)
    manifest = read_manifest(tmp_path / name)
    assert len(manifest) == 2
    assert manifest[0].id == first
    assert len(manifest.class_names) == 2


def test_numbers_are_indices_of_a_list_of_classes(tmp_path) -> None:
    """A list that skips a class must not change the indices of later ones."""
    (tmp_path / "some.txt").write_text("a.mp4 07\nb.mp4 2\n")
    manifest = read_manifest(tmp_path / "some.txt")
    assert manifest.labels.tolist() == [7, 2]
    assert manifest.class_names == tuple("01234567")
    named = read_manifest(tmp_path / "some.txt", classes=list("abcdefgh"))
    assert [named.class_names[label] for label in named.labels] == ["h", "c"]
    (tmp_path / "some.txt").write_text("a.mp4 20251123\nb.mp4 2\n")
    with pytest.raises(DataError, match="the label 20251123 is no class index"):
        read_manifest(tmp_path / "some.txt")


def test_times_keep_all_their_digits(tmp_path) -> None:
    rows = "path,label,start,end\nx.mp4,a,3661.121,3661.5\nx.mp4,b,3661.124,3670\n"
    (tmp_path / "parts.csv").write_text(rows)
    manifest = read_manifest(tmp_path / "parts.csv")
    assert [sample.id for sample in manifest] == ["x.mp4@3661.121-3661.5", "x.mp4@3661.124-3670"]
    manifest.write_csv(tmp_path / "again.csv")
    np.testing.assert_array_equal(read_manifest(tmp_path / "again.csv").times, manifest.times)


@pytest.mark.slow
def test_each_folder_of_a_million_rows_is_listed_once(tmp_path, monkeypatch) -> None:
    """The time is measured by benchmarks/data.py, since it depends on the machine and on what ran before."""
    looked_into, listdir = [], os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: looked_into.append(folder) or listdir(folder))
    with (tmp_path / "many.csv").open("w") as file:
        file.write("path,label,split,group\n")
        for i in range(1_000_000):
            file.write(f"class_{i % 400:03d}/video_{i:08d}_000010_000020.mp4,class {i % 400},train,g{i // 3}\n")
    manifest = read_manifest(tmp_path / "many.csv")
    assert len(looked_into) == len(set(looked_into)) == 400
    assert len(manifest) == 1_000_000
    assert manifest.ids.nbytes < 200e6


def test_kinetics_csv(tmp_path) -> None:
    rows = (
        "label,youtube_id,time_start,time_end,split,is_cc\nabseiling,0wR5jVB-WPk,417,427,val,0\nyoga,abc,0,10,val,0\n"
    )
    (tmp_path / "k.csv").write_text(rows)
    manifest = read_manifest(tmp_path / "k.csv", split="val")
    assert manifest[0].id == "abseiling/0wR5jVB-WPk_000417_000427.mp4"


@pytest.mark.parametrize(
    "path", ["high_jump/x_000000_000010.mp4", "high jump/x_000000_000010.mp4", "x_000000_000010.mp4", "x.mp4"]
)
def test_kinetics_files_are_found_under_each_path(tmp_path, path) -> None:
    (tmp_path / "k.csv").write_text("label,youtube_id,time_start,time_end\nhigh jump,x,0,10\nyoga,none,0,10\n")
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).touch()
    ids = [sample.id for sample in read_manifest(tmp_path / "k.csv")]
    assert ids == [path, "yoga/none_000000_000010.mp4"]


def test_kinetics_csv_without_times(tmp_path) -> None:
    (tmp_path / "k.csv").write_text("label,youtube_id,time_start,time_end\nhigh jump,x,,10\n")
    with pytest.raises(DataError, match=r"k\.csv:2: time_start and time_end must be seconds"):
        read_manifest(tmp_path / "k.csv")


def test_official_splits(shared, tmp_path) -> None:
    labels = shared / "labels"
    ucf = read_manifest(labels / "ucf101_splits" / "trainlist01.txt", classes=labels / "ucf101_splits" / "classInd.txt")
    assert (len(ucf), len(ucf.class_names)) == (9537, 101)
    sources = find_recording_names(ucf)
    assert sources.known.all() and not sources.given  # by file names, since the list has no column `group`
    hmdb = hmdb51_split(labels / "hmdb51_splits", 1, root=tmp_path)
    assert (len(hmdb.split("train")), len(hmdb.split("test"))) == (3570, 1530)
    assert len(read_classes(labels / "ucf101_splits" / "classInd.txt")) == 101


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "path,lable\nx,y\n", "a.csv:1: unknown column 'lable'.* Did you mean label"),
        ("a.csv", "path,split\nx,y\n", "the column 'label' is missing"),
        ("a.csv", "path,label\nx,y,z\n", "a.csv:2: expected 2 values"),
        ("a.csv", "path,label\nx,jump\nx,run\n", "a.csv:3: x is in the list twice"),
        ("a.csv", "path,label\nx,swim\n", "a.csv:2: the label 'swim' is none of the 2 classes"),
        ("a.csv", "path,label\nx,jump|\n", "the label '' is none"),
        ("a.csv", "path,label,start,end\nx,jump,5,2\n", "start must lie before end"),
        ("a.csv", "path,label\n", "names no videos"),
        ("a.txt", "only-one-word\n", "a.txt:1: expected `path label`"),
    ],
)
def test_bad_lists(name, text, message, tmp_path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_manifest(tmp_path / name, classes=["jump", "run"])
    assert "\n" not in str(caught.value)


def test_bad_folders(tmp_path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        list_folder(tmp_path / "none")
    with pytest.raises(DataError, match="folder of videos per class"):
        list_folder(tmp_path)
    (tmp_path / "loose.mp4").touch()
    with pytest.raises(DataError, match="in no folder of a class"):
        list_folder(tmp_path)
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.mp4").touch()
    with pytest.raises(DataError, match="only one class"):
        list_folder(tmp_path)


def test_a_folder_without_videos_is_no_class(videos, tmp_path) -> None:
    for label in ("jump", "nothing", "run"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "notes.txt").touch()
    for label in ("jump", "run"):
        (tmp_path / label / "a.mp4").touch()
    assert list_folder(tmp_path).class_names == ("jump", "run")
    with_all = list_folder(tmp_path, classes=["jump", "nothing", "run"])
    assert with_all.labels.tolist() == [0, 2]


def test_csv_round_trip(videos, tmp_path) -> None:
    manifest = split_manifest(list_folder(videos), val=0.4)
    manifest.write_csv(tmp_path / "list.csv")
    again = read_manifest(tmp_path / "list.csv")
    assert [s.path for s in again] == [s.path for s in manifest]
    assert again.splits.tolist() == manifest.splits.tolist()
    assert again.class_names == manifest.class_names


def test_fingerprint_depends_on_the_list() -> None:
    rows = [("a", "x"), ("b", "y")]
    first = make_manifest(rows, root=".", source="s")
    assert first.fingerprint == make_manifest(rows, root="/elsewhere", source="t").fingerprint
    assert first.fingerprint != make_manifest([("a", "y"), ("b", "x")], root=".", source="s").fingerprint


# -- splits


@given(
    sizes=st.lists(st.lists(st.integers(1, 5), min_size=2, max_size=8), min_size=2, max_size=5), seed=st.integers(0, 99)
)
def test_groups_stay_together(sizes, seed) -> None:
    rows, groups = [], []
    for label, group_sizes in enumerate(sizes):
        for group, size in enumerate(group_sizes):
            rows += [(f"{label}-{group}-{i}", f"c{label}") for i in range(size)]
            groups += [f"{label}-{group}"] * size
    manifest = make_manifest(rows, root=".", source="made", groups=groups)
    split = split_manifest(manifest, seed=seed)
    assert split.splits.tolist() == split_manifest(manifest, seed=seed).splits.tolist()
    splits_of = {group: set() for group in groups}
    for group, name in zip(groups, split.splits.tolist(), strict=True):
        splits_of[group].add(name)
    assert all(len(names) == 1 for names in splits_of.values())
    for label in range(len(sizes)):
        assert set(split.splits[manifest.labels == label].tolist()) == {"train", "val"}


def test_a_class_with_one_video() -> None:
    manifest = make_manifest([("a", "x"), ("b", "x"), ("c", "y")], root=".", source="made")
    with pytest.raises(DataError, match="class y has only one video"):
        split_manifest(manifest)


# -- clips


def test_clips_depend_on_seed_epoch_and_sample_only(videos) -> None:
    clips = dataset(videos)
    np.testing.assert_array_equal(clips[3]["clip"], dataset(videos)[0, 3]["clip"])
    assert clips[3]["clip"].shape == (3, 40, 40, 3)
    assert any(not np.array_equal(clips[0, i]["clip"], clips[1, i]["clip"]) for i in range(5))


def test_views_hold_every_frame_once(videos) -> None:
    item = ViewDataset(list_folder(videos), MMAction2Test(clips=3, frames=4, stride=2), Pixels(short_side=48))[0]
    assert item.clips.shape == (3, 4)
    numbers = [decoded_number(f) for f in item.frames]
    assert len(set(numbers)) == len(numbers)
    shown = np.array(numbers)[item.clips]
    assert shown.tolist() == MMAction2Test(clips=3, frames=4, stride=2).sample(12).tolist()


def test_segments_of_a_video(videos, tmp_path) -> None:
    rows = f"path,label,start,end\n{videos}/jump/v0.mp4,a,0.5,0.9\n{videos}/jump/v1.mp4,b,50,60\n"
    (tmp_path / "parts.csv").write_text(rows)
    views = ViewDataset(read_manifest(tmp_path / "parts.csv"), MMAction2Test(frames=4), Pixels(short_side=48))
    assert [decoded_number(f) for f in views[0].frames] == [5, 6, 7, 8]
    assert "no frame lies between" in views[1].reason


def test_a_broken_file_is_replaced_by_a_fixed_rule(videos, tmp_path) -> None:
    import shutil

    shutil.copytree(videos, tmp_path / "copy")
    (tmp_path / "copy" / "jump" / "v2.mp4").write_bytes(b"broken")
    complete, damaged = dataset(videos), dataset(tmp_path / "copy")
    for epoch in range(2):
        for i in range(10):
            expected = complete[epoch, i]
            if i == 2:
                stand_in = next(j for j in replacements(0, epoch, 2, 10) if j != 2)
                assert damaged[epoch, i]["id"] == damaged.manifest[stand_in].id
                assert "v2.mp4" in damaged[epoch, i]["broken"][0].reason
            else:
                np.testing.assert_array_equal(damaged[epoch, i]["clip"], expected["clip"])


def test_too_many_broken_files_stop_the_run(tmp_path) -> None:
    quarantine = Quarantine(tmp_path / "q.jsonl", total=100, max_share=0.02)
    for i in range(2):
        quarantine.record(Broken(f"v{i}", f"v{i}", "cut short"))
    quarantine.record(Broken("v0", "v0", "cut short"))
    assert len(Quarantine(tmp_path / "q.jsonl", total=100, max_share=0.02)) == 2
    with pytest.raises(RunError, match="3 of 100 videos are broken"):
        quarantine.record(Broken("v9", "v9", "cut short"))


KILLED = [
    b'{"id": "a", "path": "a", "reason": "r"}\n{"id": "b", "pa',
    b'{"id": "a", "path": "a", "reason": "r"}\n{"id": "b", "path": "b", "reason": "\xc3',
    b'{"id": "a", "path": "a", "reason": "r"}\n{"id": "b", "path": "b", "reason": "r"}',
    b'{"id": "x", "pa{"id": "y", "path": "y", "reason": "r"}\n{"id": "a", "path": "a", "reason": "r"}\n[1]\n{"id": 1}\n\n',
]


@pytest.mark.parametrize("left", KILLED)
def test_a_list_of_broken_files_survives_a_kill_within_a_line(left, tmp_path) -> None:
    """However often the run resumes, the file in the damaged line is found again. Names may hold anything."""
    path, odd = tmp_path / "broken.jsonl", "odd\u2028\udcff"
    path.write_bytes(left)
    for number, name in enumerate(["b", odd], start=1):
        quarantine = Quarantine(path, total=100, max_share=1)
        assert len(quarantine) == number
        quarantine.record(Broken(name, name, "cut short"))
    again = Quarantine(path, total=100, max_share=1)
    assert [broken.id for broken in again.files] == ["a", "b", odd]
    assert path.read_bytes().endswith(b"\n")
    one = Quarantine(path, total=100, max_share=1, ids={"b"})
    one.forget()
    assert [broken.id for broken in Quarantine(path, total=100, max_share=1).files] == ["a", odd]


# -- loaders


@settings(max_examples=60)
@given(count=st.integers(1, 60), batch=st.integers(1, 16), world=st.integers(1, 4), epoch=st.integers(0, 2))
def test_processes_share_every_batch(count, batch, world, epoch) -> None:
    if count < world or batch < world:
        return
    plan = partial(_BatchSampler, np.zeros(count, np.int64), batch, 3, seed=7, draw=EachOnce())
    alone = list(plan(rank=0, world=1))
    shares = [list(plan(rank=rank, world=world)) for rank in range(world)]
    together = [sorted(sample for part in parts for sample in part) for parts in zip(*shares, strict=True)]
    flat = [sample for batch_ in together for sample in batch_]
    assert sorted(flat) == sorted(sample for batch_ in alone for sample in batch_)
    assert len(set(flat)) == len(flat) == 3 * count
    assert all(parts for share in shares for parts in share)


def stream(videos, workers, start=None, take=None):
    loader = ClipLoader(dataset(videos), global_batch=4, epochs=3, seed=1, workers=workers)
    if start:
        loader.load_state_dict(start)
    batches = []
    for batch in loader:
        batches.append((batch["index"], batch["id"], batch["clip"].numpy().copy()))
        if take and len(batches) == take:
            break
    return batches, loader.state_dict()


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(videos, workers) -> None:
    expected, _ = stream(videos, 0)
    for (place, ids, clips), (p, i, c) in zip(expected, stream(videos, workers)[0], strict=True):
        assert (place, ids) == (p, i)
        np.testing.assert_array_equal(clips, c)


def test_resumes_at_the_next_batch(videos) -> None:
    uninterrupted, _ = stream(videos, 0)
    assert len(uninterrupted) == 9
    for cut in (2, 3, 5):
        first, state = stream(videos, 2, take=cut)
        rest, _ = stream(videos, 0, start=state)
        assert [b[:2] for b in first + rest] == [b[:2] for b in uninterrupted]
