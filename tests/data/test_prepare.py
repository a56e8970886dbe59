"""Public data sets as people have them on disk: real names, small real files, and planted faults that are all found."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from marey.base.errors import DataError
from marey.cli.app import app
from marey.data.catalogue.hmdb51 import HMDB51
from marey.data.catalogue.kinetics import KINETICS400, KINETICS600
from marey.data.catalogue.ucf101 import UCF101
from marey.data.files.video_info import VideoInfoCache
from marey.data.lists.public_lists import ucf101_group
from marey.data.lists.read_manifest import read_manifest
from marey.data.prepare import prepare, published_set
from marey.data.splits.hold_out import split_manifest
from marey.video.writing.writer import write_video
from tests.support.made_videos import coded_frame

pytestmark = pytest.mark.usefixtures("cache")
HEADER = "label,youtube_id,time_start,time_end,split,is_cc\n"
VAL = (
    HEADER
    + "abseiling,0wR5jVB-WPk,417,427,val,0\n"
    + "abseiling,3caPS4FHFF8,36,46,val,0\n"
    + "massaging person's head,3yaoNwz99xM,62,72,val,1\n"
    + "zumba,yGdQwxP5koA,83,93,val,0\n"
)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A video of ten seconds at two frames a second."""
    path = tmp_path_factory.mktemp("one") / "clip.mp4"
    write_video(path, [coded_frame(n) for n in range(20)], fps=2, preset="ultrafast")
    return path


def put(clip, folder, *names) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, folder / name)


def rows(path) -> list[tuple[str, str, str | None]]:
    return [(s.id, read_manifest(path).class_names[s.label], s.split) for s in read_manifest(path)]


# -- Kinetics


@pytest.mark.parametrize(
    "names",
    [
        ("val/abseiling/0wR5jVB-WPk_000417_000427.mp4", "val/massaging_persons_head/3yaoNwz99xM_000062_000072.mp4"),
        ("val_256/abseiling/0wR5jVB-WPk_000417_000427.mp4", "val_256/massaging person's head/3yaoNwz99xM.mkv"),
        ("0wR5jVB-WPk_417_427.mp4", "3yaoNwz99xM_000062_000072.webm"),
        ("k400/val/0wR5jVB-WPk.mp4", "k400/replacement/3yaoNwz99xM_000062_000072.mp4"),
    ],
)
def test_kinetics_by_list(names, clip, tmp_path) -> None:
    put(clip, tmp_path / "k", *names)
    (tmp_path / "k" / "annotations").mkdir()
    (tmp_path / "k" / "annotations" / "val.csv").write_text(VAL)
    result = prepare(KINETICS400, tmp_path / "k")
    (count,) = result.counts
    assert (count.official, count.announced) == (19_906, 19_796)
    assert (count.listed, count.missing, count.unreadable, count.usable) == (4, 2, 0, 2)
    assert result.missing == {"kinetics400_val val": ["3caPS4FHFF8_36", "yGdQwxP5koA_83"]}
    assert rows(tmp_path / "k" / "kinetics400_val.csv") == [
        (names[0], "abseiling", "val"),
        (names[1], "massaging person's head", "val"),
    ]
    assert read_manifest(tmp_path / "k" / "kinetics400_val.csv").groups.tolist() == ["0wR5jVB-WPk", "3yaoNwz99xM"]
    report = json.loads((tmp_path / "k" / "kinetics400_prepare.json").read_text())
    assert report["counts"][0]["usable"] == 2


def test_kinetics_by_folders(clip, tmp_path) -> None:
    put(
        clip, tmp_path / "k", "train/yoga/abcdefghijk_000001_000011.mp4", "train/zumba/abcdefghij1_000001_000011.mp4",
        "val/zumba/abcdefghij2_000001_000011.mp4", "val/no class/abcdefghij3_000001_000011.mp4", "val/zumba/holiday.mp4",
    )  # fmt: skip
    result = prepare(KINETICS400, tmp_path / "k", out=tmp_path / "lists")
    assert [(c.list_name, c.usable) for c in result.counts] == [("kinetics400_train", 2), ("kinetics400_val", 1)]
    assert result.counts[0].announced == 240_436
    assert result.extra == ["val/no class/abcdefghij3_000001_000011.mp4", "val/zumba/holiday.mp4"]
    (sample,) = read_manifest(tmp_path / "lists" / "kinetics400_val.csv")
    assert sample.path == tmp_path / "k" / "val/zumba/abcdefghij2_000001_000011.mp4"


def test_every_planted_fault_is_found(clip, tmp_path) -> None:
    folder = tmp_path / "k"
    good, cut, twice = "val/abseiling/0wR5jVB-WPk_000417_000427.mp4", "val/abseiling/3caPS4FHFF8_000036_000046.mp4", "x"
    put(clip, folder, good, "val/zumba/yGdQwxP5koA_000083_000093.mp4", "val/yoga/extraextra1_000001_000011.mp4")
    (folder / cut).write_bytes(clip.read_bytes()[:300])
    twice = "replacement/3yaoNwz99xM_000062_000072.mp4"
    put(clip, folder, twice, "val/yoga/3yaoNwz99xM_000062_000072.mp4")
    (folder / "val/yoga/3yaoNwz99xM_000062_000072.mp4").write_bytes(b"")
    write_video(folder / "val/zumba/yGdQwxP5koA_000083_000093.mp4", [coded_frame(1)] * 4, fps=1, preset="ultrafast")
    (tmp_path / "val.csv").write_text(VAL)
    result = prepare(KINETICS400, folder, lists=[tmp_path / "val.csv"])
    assert set(result.unreadable) == {cut, "val/yoga/3yaoNwz99xM_000062_000072.mp4"}
    assert result.unreadable["val/yoga/3yaoNwz99xM_000062_000072.mp4"] == "is empty"
    assert result.duplicates == {"3yaoNwz99xM_62": [twice, "val/yoga/3yaoNwz99xM_000062_000072.mp4"]}
    assert result.misplaced == {"val/yoga/3yaoNwz99xM_000062_000072.mp4": "massaging person's head"}
    assert result.extra == ["val/yoga/extraextra1_000001_000011.mp4"]
    assert result.short == {"val/zumba/yGdQwxP5koA_000083_000093.mp4": "4 s, 4 frames"}
    (count,) = result.counts
    assert (count.listed, count.missing, count.unreadable, count.short, count.usable) == (4, 0, 1, 1, 3)
    listed = [row[0] for row in rows(folder / "kinetics400_val.csv")]
    assert twice in listed
    assert cut not in listed


def test_only_a_full_check_sees_a_fault_in_the_middle(clip, tmp_path) -> None:
    put(clip, tmp_path / "k", "val/abseiling/0wR5jVB-WPk_000417_000427.mp4")
    path = tmp_path / "k/val/abseiling/0wR5jVB-WPk_000417_000427.mp4"
    write_video(path, [coded_frame(n) for n in range(20)], fps=2, gop=1, preset="ultrafast")
    spoilt = bytearray(path.read_bytes())
    spoilt[len(spoilt) // 2 : len(spoilt) // 2 + 4000] = b"\xff" * 4000
    path.write_bytes(spoilt)
    (tmp_path / "val.csv").write_text(VAL)
    found = [
        prepare(KINETICS400, tmp_path / "k", lists=[tmp_path / "val.csv"], check=check)
        for check in ("files", "open", "decode")
    ]
    assert [r.counts[0].usable for r in found] == [1, 1, 0]
    assert "of 20" in found[2].unreadable["val/abseiling/0wR5jVB-WPk_000417_000427.mp4"]
    assert found[2].lists == []


def test_videos_of_a_list_without_published_labels_are_counted(clip, tmp_path) -> None:
    put(clip, tmp_path / "k", "test/--6bJUbfpnQ_000017_000027.mp4", "val/yoga/0wR5jVB-WPk_000417_000427.mp4")
    (tmp_path / "k" / "test.csv").write_text("youtube_id,time_start,time_end,split\n--6bJUbfpnQ,17,27,test\n")
    (tmp_path / "k" / "val.csv").write_text(VAL)
    result = prepare(KINETICS400, tmp_path / "k", check="files")
    assert [(c.split, c.usable) for c in result.counts] == [("val", 1), ("test", 1)]
    assert result.lists == [str(tmp_path / "k" / "kinetics400_val.csv")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,youtube_id,time_start,split\n", "val.csv:1: the column 'time_end' is missing"),
        (
            HEADER + "yogaa,0wR5jVB-WPk,4,14,val,0\n",
            "val.csv:2: 'yogaa' is no class of kinetics400.* Did you mean yoga",
        ),
        (HEADER + "yoga,0wR5jVB-WPk,four,14,val,0\n", "val.csv:2: time_start and time_end must be seconds"),
    ],
)
def test_bad_lists(text, message, clip, tmp_path) -> None:
    put(clip, tmp_path / "k", "0wR5jVB-WPk_000004_000014.mp4")
    (tmp_path / "val.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        prepare(KINETICS400, tmp_path / "k", lists=[tmp_path / "val.csv"])


def test_nothing_to_prepare(clip, tmp_path) -> None:
    put(clip, tmp_path / "k", "0wR5jVB-WPk_000004_000014.mp4")
    with pytest.raises(DataError, match="give DeepMind's CSV with --list"):
        prepare(KINETICS600, tmp_path / "k")
    with pytest.raises(DataError, match="holds no video of ucf101"):
        prepare(UCF101, tmp_path / "k")
    with pytest.raises(DataError, match="UCF101's official splits come with Marey"):
        prepare(UCF101, tmp_path / "k", lists=[tmp_path / "trainlist01.txt"])
    with pytest.raises(DataError, match="no such folder"):
        prepare(UCF101, tmp_path / "none")
    with pytest.raises(DataError, match="Did you mean ucf101"):
        published_set("ucf-101")


def test_the_published_list(shared, clip, tmp_path) -> None:
    put(clip, tmp_path / "k", "val/zumba/ZVDR2od1gn8_000037_000047.mp4", "val/abseiling/0wR5jVB-WPk_000417_000427.mp4")
    result = prepare(KINETICS400, tmp_path / "k", lists=[shared / "labels" / "kinetics-400_val.csv"])
    (count,) = result.counts
    assert (count.listed, count.official, count.usable, count.missing) == (19_906, 19_906, 2, 19_904)


# -- UCF101 and HMDB51


@pytest.mark.parametrize("layout", ["UCF-101/{label}/{key}.avi", "{key}.avi", "frames/{label}/{key}.mp4"])
def test_ucf101(layout, clip, tmp_path) -> None:
    groups = ("g01", "g07", "g08", "g20")
    some = [c for c, _ in UCF101.clips() if c.label in ("Archery", "HandstandPushups") and c.group.endswith(groups)]
    put(clip, tmp_path / "u", *(layout.format(label=c.label, key=c.key) for c in some))
    for file in (tmp_path / "u").rglob("*.*"):  # no clip has the content of another
        file.write_bytes(file.read_bytes() + file.name.encode())
    put(clip, tmp_path / "u", "UCF-101/Archery/notes.avi")
    result = prepare(UCF101, tmp_path / "u", check="files")
    assert [(c.list_name, c.split, c.official) for c in result.counts[:3]] == [
        ("ucf101_split1", "train", 9537), ("ucf101_split1", "test", 3783), ("ucf101_split2", "train", 9586),
    ]  # fmt: skip
    assert all(count.listed == count.official for count in result.counts)
    for split, held_out in ((1, {1, 7}), (2, {8}), (3, {20})):
        manifest = read_manifest(tmp_path / "u" / f"ucf101_split{split}.csv")
        assert len(manifest) == len(some)
        assert {int(s.group[-2:]) for s in manifest.split("test")} == held_out
        assert manifest.class_names == ("Archery", "HandstandPushups")
    assert result.extra == ["UCF-101/Archery/notes.avi"]
    # Marey's own split keeps the groups together: by the column, and by file names alone.
    for listed in (manifest, replace(manifest, groups=None)):
        own = split_manifest(listed, val=0.3)
        groups_of = [{ucf101_group(s.id) for s in own.split(name)} for name in ("train", "val")]
        assert set.intersection(*groups_of) == set()


def test_hmdb51(clip, tmp_path) -> None:
    some = [c for c, _ in HMDB51.clips() if c.label in ("ride_bike", "wave")]
    put(clip, tmp_path / "h", *(f"{c.label}/{c.label}/{c.key}.avi" for c in some[::3]))
    put(clip, tmp_path / "h", f"wave/{some[0].key}.avi")
    result = prepare(HMDB51, tmp_path / "h", check="files")
    assert result.misplaced == {f"wave/{some[0].key}.avi": "ride_bike"}
    assert result.duplicates == {some[0].key: [f"ride_bike/ride_bike/{some[0].key}.avi", f"wave/{some[0].key}.avi"]}
    for split in (1, 2, 3):
        manifest = read_manifest(tmp_path / "h" / f"hmdb51_split{split}.csv")
        expected = {c.key for c in HMDB51.split_clips(split, "test")} & {c.key for c in some[::3]}
        assert {s.path.stem for s in manifest.split("test")} == expected
        assert len(result.missing[f"hmdb51_split{split} train"]) == 3570 - len(manifest.split("train"))


# -- the command, and what it keeps


def test_command(clip, tmp_path) -> None:
    put(clip, tmp_path / "k", "val/abseiling/0wR5jVB-WPk_000417_000427.mp4")
    (tmp_path / "val.csv").write_text(VAL)
    words = [
        "data",
        "prepare",
        "kinetics400",
        str(tmp_path / "k"),
        "--list",
        str(tmp_path / "val.csv"),
        "--workers",
        "0",
    ]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "19,796" in done.stdout
    assert "missing: 3" in done.stdout
    as_json = CliRunner().invoke(app, [*words, "--json"])
    assert json.loads(as_json.stdout)["counts"][0]["missing"] == 3
    wrong = CliRunner().invoke(app, ["data", "prepare", "kinetics", str(tmp_path / "k")])
    assert wrong.exit_code == 1
    assert "Did you mean kinetics400" in wrong.stderr


def test_information_on_files_is_cached(clip, tmp_path, monkeypatch) -> None:
    for name in "abc":
        put(clip, tmp_path, f"{name}.mp4")
    paths = [str(tmp_path / f"{name}.mp4") for name in ("a", "b", "c", "none")]
    file = tmp_path / "probes.jsonl"
    first = VideoInfoCache(file).inspect(paths, check="open", workers=0)
    assert [p.frames for p in first] == [20, 20, 20, 0]
    assert [p.missing for p in first] == [False, False, False, True]
    with file.open("ab") as lines:
        lines.write(b'[1]\n{"of": "another version"}\n["open:cut sho\xc3')
    (tmp_path / "b.mp4").write_bytes(b"no video")
    opened = []
    monkeypatch.setattr(
        "marey.data.files.video_info.inspect_video", lambda path, check: opened.append(Path(path).name) or first[0]
    )
    again = VideoInfoCache(file).inspect(paths, check="open", workers=0)
    assert opened == ["b.mp4"]
    assert again[0] == first[0]
    VideoInfoCache(file).inspect(paths, check="open", workers=0)
    assert opened == ["b.mp4"]
    VideoInfoCache(file).inspect(paths[:1], check="decode", workers=0)
    assert opened == ["b.mp4", "a.mp4"]
    assert VideoInfoCache(file).hashes(paths[:1], workers=0) == VideoInfoCache(None).hashes(paths[2:3], workers=0)
