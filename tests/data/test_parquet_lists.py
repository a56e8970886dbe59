"""Lists that are Parquet tables, written by several programs, are the same as a CSV of the same rows; others are refused."""

import datetime
import sys
from pathlib import Path

import numpy as np
import pytest

from marey.base.errors import DataError, MareyError
from marey.base.reporter import CollectingReporter, reporting
from marey.data.lists.pieces import read_in_pieces
from marey.data.lists.read_manifest import read_manifest
from marey.data.lists.read_videos import as_videos, read_videos
from marey.data.splits.common_videos import keep_common
from marey.data.splits.read_splits import read_train_val

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


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


def write(file: Path, /, **columns) -> Path:
    parquet.write_table(arrow.table(columns), file)
    return file


CSV = (
    "path,label,start,end,split,group\n"
    "a.mp4,run,,,train,r 1\n"
    "b c.mp4,tai chi,1.5,2,valid,r 1\n"
    "ü/é.mp4,run,0,12.25,test,r 2\n"
)
COLUMNS = {
    "path": ["a.mp4", "b c.mp4", "ü/é.mp4"],
    "label": ["run", "tai chi", "run"],
    "start": [None, 1.5, 0.0],
    "end": [None, 2.0, 12.25],
    "split": ["train", "valid", "test"],
    "group": ["r 1", "r 1", "r 2"],
}


def written_by_pandas(path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(COLUMNS, index=[7, 3, 5])
    frame["label"] = frame["label"].astype("category")
    frame.to_parquet(path)


def written_by_pandas_of_numpy_text(path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({**COLUMNS, "path": np.array(COLUMNS["path"], object)}).set_index("path")
    frame.to_parquet(path, row_group_size=2)


def written_by_polars(path: Path) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(COLUMNS).with_columns(
        polars.col("label").cast(polars.Categorical), polars.col("split").cast(polars.Enum(["train", "valid", "test"]))
    )
    frame.write_parquet(path)


def written_by_duckdb(path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    rows = ", ".join(str(row).replace("None", "NULL") for row in zip(*COLUMNS.values(), strict=True))
    names = ", ".join(f'"{name}"' for name in COLUMNS)
    with duckdb.connect() as base:
        base.execute(f"COPY (SELECT * FROM (VALUES {rows}) t({names})) TO '{path}' (FORMAT parquet)")


WRITERS = [written_by_pandas, written_by_pandas_of_numpy_text, written_by_polars, written_by_duckdb]


@pytest.mark.parametrize("written", WRITERS, ids=lambda one: one.__name__)
def test_a_table_is_the_same_list_as_the_csv_of_its_rows(written, tmp_path) -> None:
    (tmp_path / "l.csv").write_text(CSV)
    written(tmp_path / "l.parquet")
    expected, manifest = read_manifest(tmp_path / "l.csv"), read_manifest(tmp_path / "l.parquet")
    assert manifest.fingerprint == expected.fingerprint
    assert [sample.id for sample in manifest] == ["a.mp4", "b c.mp4@1.5-2", "ü/é.mp4@0-12.25"]
    assert manifest.splits.tolist() == ["train", "val", "test"]
    assert read_videos(tmp_path / "l.parquet").fingerprint == read_videos(tmp_path / "l.csv").fingerprint
    assert as_videos([str(tmp_path / "l.parquet")]).fingerprint == read_videos(tmp_path / "l.csv").fingerprint


def test_a_table_divides_and_compares_as_other_lists(tmp_path) -> None:
    listed = write(tmp_path / "l.parquet", **COLUMNS)
    assert len(keep_common(read_manifest(listed), write(tmp_path / "o.parquet", id=["é", "a", "z"])).manifest) == 2
    assert len(read_train_val(listed).train) == 1
    assert read_videos(listed, root=tmp_path / "other").ids[0] == str(tmp_path / "other" / "a.mp4")


def test_the_index_of_pandas_is_ignored_with_a_notice(tmp_path, messages) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"path": ["a.mp4", "b.mp4"], "label": [0, 1], "fps": [25.0, 30.0]}, index=["x", "y"])
    frame.to_parquet(tmp_path / "l.parquet")
    assert read_manifest(tmp_path / "l.parquet").labels.tolist() == [0, 1]
    assert "l.parquet: 2 columns ignored: fps, __index_level_0__." in messages.text


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (arrow.array([1, 0], arrow.uint8()), ["1", "0"]),
        (arrow.array([1.0, 0.0]), ["1", "0"]),
        (arrow.array([1.0, 0.0], arrow.float32()), ["1", "0"]),
        (arrow.array(["x", "y"], arrow.large_string()), ["x", "y"]),
        (arrow.array([" x ", "y"], arrow.string_view()), ["x", "y"]),
        (arrow.array([b"x", "ü".encode()], arrow.binary()), ["x", "ü"]),
        (arrow.array(["x", "y"]).dictionary_encode(), ["x", "y"]),
        (arrow.array([True, False]), ["True", "False"]),
        (arrow.array([["x", "y"], ["y"]]), ["x|y", "y"]),
        (arrow.array([[2, 0], [1]], arrow.large_list(arrow.int16())), ["0|2", "1"]),
        (arrow.array([["x"], ["y"]]).cast(arrow.list_(arrow.string(), 1)), ["x", "y"]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_labels_may_have_every_type_that_can_name_a_class(labels, expected, tmp_path) -> None:
    manifest = read_manifest(write(tmp_path / "l.parquet", path=["a.mp4", "b.mp4"], label=labels))
    named = ["|".join(manifest.class_names[i] for i in np.flatnonzero(hot)) for hot in manifest.multi_hot()]
    assert named == expected


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (arrow.array([0.1, None], arrow.float32()), [0.1, None]),
        (arrow.array([3, None], arrow.int64()), [3, None]),
        (arrow.array(["1:02.5", None]), [62.5, None]),
        (arrow.array([float("nan"), 2.5]), [None, 2.5]),
        (arrow.array([1, 2], arrow.decimal128(6, 0)).cast(arrow.decimal128(8, 2)), [1, 2]),
        (arrow.nulls(2), [None, None]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_times_may_be_numbers_or_texts_of_every_kind(start, expected, tmp_path) -> None:
    videos = read_videos(write(tmp_path / "l.parquet", path=["a.mp4", "b.mp4"], start=start))
    assert [video.start for video in videos] == expected


def test_frames_may_be_floats_that_pandas_made_of_whole_numbers(tmp_path, messages) -> None:
    listed = write(
        tmp_path / "l.parquet", path=["a.mp4", "a.mp4"], start_frame=[10.0, float("nan")], end_frame=[50, None]
    )
    assert read_videos(listed).frame_ranges.tolist() == [[10, 50], [0, -1]]
    assert "l.parquet: frames are counted from 0" in messages.text


def test_tables_of_public_data_sets_are_recognised_by_their_columns(tmp_path) -> None:
    kinetics = write(
        tmp_path / "k.parquet", label=["x y"], youtube_id=["abc"], time_start=[3], time_end=[13.0], split=["validate"]
    )
    assert read_manifest(kinetics).ids.tolist() == ["x y/abc_000003_000013.mp4"]
    charades = write(tmp_path / "c.parquet", id=["A1"], actions=["c092 11.90 21.20;c147 0.00 12.60"])
    assert read_manifest(charades).class_names == ("c092", "c147")


PATHS = ["a.mp4", "b.mp4", "c.mp4"]
WHEN = [datetime.datetime(2026, 1, 2)] * 3


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"video": PATHS, "labl": ["x"] * 3}, r"l\.parquet: unknown column 'labl', and no column is named label"),
        ({"label": ["x"] * 3}, r"l\.parquet: the column 'path' is missing; columns are named path,label"),
        ({"path": PATHS, "Path ": PATHS}, r"l\.parquet: the column 'path' is there twice"),
        ({"path": PATHS, "video": PATHS}, r"l\.parquet: the columns 'path' and 'video' both name the path"),
        ({"path": PATHS}, r"l\.parquet: the column 'label' is missing: the list names no labels"),
        ({"path": PATHS, "label": ["x", None, "x"]}, r"l\.parquet: row 2: this row has no label"),
        ({"path": PATHS, "label": [[], ["x"], []]}, r"l\.parquet: row 1: 2 rows have no label \(rows 1, 3\)"),
        ({"path": ["a.mp4", "b.mp4", "a.mp4"], "label": ["x"] * 3}, r"l\.parquet: row 3: a\.mp4 is in the list twice"),
        ({"path": PATHS, "label": ["0 3"] * 3}, r"l\.parquet: row 1: the label '0 3': write several labels"),
        ({"path": PATHS, "label": [-1.0, 2, 3]}, r"l\.parquet: row 1: the label -1 is no class index"),
        ({"path": PATHS, "label": ["x"] * 3, "end": [1.0, -2.0, 3.0]}, r"l\.parquet: row 2: start must lie before end"),
        ({"path": PATHS, "label": ["x"] * 3, "end_frame": [1, 2.5, 3]}, r"l\.parquet: row 2: '2\.5' is no frame index"),
        ({"path": PATHS, "label": WHEN}, r"l\.parquet: the column 'label' holds timestamp\[us\].*: it must hold texts or"),
        ({"path": PATHS, "label": PATHS, "start": WHEN}, r"'start' holds timestamp\[us\], and times are seconds within"),
        ({"path": PATHS, "end": [datetime.timedelta(1)] * 3}, r"the column 'end' holds duration\[us\], and times are"),
        ({"path": [{"bytes": b"", "path": "a"}] * 3}, r"the column 'path' holds struct<bytes: binary, path: string>: it"),
        ({"path": [["a.mp4"]] * 3, "label": PATHS}, r"the column 'path' holds list<"),
        ({"path": [b"a\xff.mp4"] * 3}, r"the column 'path' holds bytes that are not UTF-8 text \(row 1 or a later one"),
        ({"path": ["a", "b\0", "c"]}, r"l\.parquet: row 2: the column 'path' holds a zero byte"),
        ({"path": PATHS[:0], "label": PATHS[:0]}, r"l\.parquet: names no videos: the table has no rows"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(value),
)  # fmt: skip
def test_errors_name_file_and_row(columns, message, tmp_path) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_manifest(write(tmp_path / "l.parquet", **columns))
    assert "\n" not in str(caught.value)


def complete_table(tmp_path: Path) -> bytes:
    return write(tmp_path / "complete.parquet", path=[f"{n}.mp4" for n in range(500)]).read_bytes()


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        (lambda data: b"", "the file is empty"),
        (
            lambda data: b"path,label\na.mp4,x\n",
            r"is named .parquet but is no Parquet table: give it the suffix of its format",
        ),
        (lambda data: data[:-30], "the end of the Parquet table is missing: copy or write it again"),
        (lambda data: data[:4], "pyarrow does not read .*: write it again"),
        (lambda data: data[:20] + bytes(100) + data[120:], "the Parquet table is damaged, or .*: write it again"),
        (lambda data: data[:-4] + b"PARE", "it is encrypted Parquet, for which Marey has no key"),
    ],
)
def test_a_file_that_is_no_complete_table_is_refused(damaged, message, tmp_path) -> None:
    listed = tmp_path / "l.parquet"
    listed.write_bytes(damaged(complete_table(tmp_path)))
    for reader in (read_manifest, read_videos):
        with pytest.raises(DataError, match=rf"l\.parquet: cannot be read as a list of videos: .*{message}") as caught:
            reader(listed)
        assert "\n" not in str(caught.value)


def test_an_encrypted_table_is_refused(tmp_path) -> None:
    encryption = pytest.importorskip("pyarrow.parquet.encryption")

    class Plain(encryption.KmsClient):
        def wrap_key(self, key, name):
            return key

        def unwrap_key(self, key, name):
            return key

    kms = encryption.KmsConnectionConfig()
    factory = encryption.CryptoFactory(lambda _: Plain())
    settings = encryption.EncryptionConfiguration(footer_key="k", column_keys={}, uniform_encryption=True)
    table = arrow.table({"path": ["a.mp4"]})
    properties = factory.file_encryption_properties(kms, settings)
    with parquet.ParquetWriter(tmp_path / "l.parquet", table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
    with pytest.raises(DataError, match=r"l\.parquet: .* it is encrypted Parquet"):
        read_videos(tmp_path / "l.parquet")


def test_rows_without_labels_are_accepted_where_none_is_needed(tmp_path) -> None:
    listed = write(tmp_path / "l.parquet", path=["a.mp4", "b.mp4"], label=["x", None])
    assert len(read_videos(listed)) == 2
    with pytest.raises(DataError, match=r"l\.parquet: row 2: this row has no path"):
        read_videos(write(tmp_path / "l.parquet", path=["a.mp4", None]))


@pytest.mark.parametrize("reader", [read_manifest, read_videos])
def test_a_folder_of_tables_is_refused_with_a_hint(reader, tmp_path) -> None:
    """Spark writes a table as such a folder."""
    folder = tmp_path / "l.parquet"
    folder.mkdir()
    write(folder / "part-0.parquet", **COLUMNS)
    with pytest.raises(
        DataError, match=r"It holds 1 Parquet table: give its path to read it as a list \(part-0\.parquet\)\.$"
    ):
        reader(folder)
    write(folder / "part-1.parquet", **COLUMNS)
    with pytest.raises(
        DataError,
        match=r"It holds 2 Parquet tables: give the path of each to read it as a list, or join them in one file \(part-0",
    ):
        reader(folder)


def test_without_pyarrow_the_error_names_the_extra(tmp_path, monkeypatch) -> None:
    listed = write(tmp_path / "l.parquet", **COLUMNS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    for reader in (read_manifest, read_videos, read_in_pieces):
        with pytest.raises(
            MareyError, match=r'l\.parquet: reading Parquet needs pyarrow: pip install "marey\[parquet\]"$'
        ):
            reader(listed)
