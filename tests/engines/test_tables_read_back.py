"""pandas, polars, DuckDB and pyarrow.dataset read from tables what was written."""

import json
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from marey.data.lists.videos import VideoEntry
from marey.engines.finished_rows import write_table
from marey.engines.table_format import FeatureColumns, PredictionColumns, TableMetadata, VideoFeatures
from marey.tasks.prediction import Prediction

METADATA = TableMetadata({"rows": 3, "recipe": "tiny"}, 0, 3, "1/1", {})


@pytest.fixture(scope="session")
def predictions(tmp_path_factory) -> Path:
    """Three rows: one with letters beyond ASCII, a segment with thresholds, and one that cannot be read."""
    path = tmp_path_factory.mktemp("predictions") / "a.parquet"
    names = ("a", "β", "c")
    rows = [
        Prediction(
            VideoEntry.named("跑/a.mp4", Path("跑/a.mp4")), np.array([0.25, 0.5, 0.25], np.float32), names,
            content=2**64 - 1, seconds=0.5,
        ),
        Prediction(
            VideoEntry.named("b.mp4", Path("b.mp4"), 1.5, None), np.array([0.7, 0.2, 0.1], np.float32), names,
            labels=("a",), below_threshold=0.75, content=5, seconds=0.25, backend={"ran": "compile", "difference": 0.0},
        ),
        Prediction(VideoEntry.named("c.mp4", Path("c.mp4")), np.empty(0, np.float32), (), "c.mp4: no such file", seconds=0),
    ]  # fmt: skip
    columns = PredictionColumns(classes=3, top=2)
    write_table(path, columns.schema.with_metadata(METADATA.key_value()), iter([columns.rows([0, 1, 2], rows)]))
    return path


@pytest.fixture(scope="session", params=[(None, False), (None, True), (2, False), (2, True)], ids=str)
def features(request, tmp_path_factory) -> tuple[Path, np.ndarray]:
    """A table of features of two videos, of which the second cannot be read; and the features of the first."""
    clips, half = request.param
    path = tmp_path_factory.mktemp("features") / "f.parquet"
    values = np.arange(4 * (clips or 1), dtype=np.float32).reshape((4,) if clips is None else (clips, 4)) / 8
    rows = [
        VideoFeatures(VideoEntry.named("a.mp4", Path("a.mp4")), values, content=1, seconds=1.0),
        VideoFeatures(VideoEntry.named("b.mp4", Path("b.mp4")), None, "b.mp4: no such file", seconds=0.0),
    ]
    columns = FeatureColumns(width=4, clips=clips, half=half)
    write_table(path, columns.schema.with_metadata(METADATA.key_value()), iter([columns.rows([0, 1], rows)]))
    return path, values


def check(read: dict[str, list]) -> None:
    """Check what a reader returns for `predictions`, with null as None."""
    assert read["row"] == [0, 1, 2]
    assert read["path"] == [str(Path.cwd() / name) for name in ("跑/a.mp4", "b.mp4", "c.mp4")]
    assert read["id"] == ["跑/a.mp4", "b.mp4@1.5-", "c.mp4"]
    assert read["start"] == [None, 1.5, None] and read["end"] == [None] * 3
    assert read["content"] == ["f" * 16, "0000000000000005", None]
    assert read["label"] == ["β", "a", None]
    assert [None if one is None else list(one) for one in read["top_labels"]] == [["β", "a"], ["a", "β"], None]
    expected = np.float32([[0.25, 0.5, 0.25], [0.7, 0.2, 0.1], [np.nan] * 3])
    assert np.array_equal(np.float32(list(map(list, read["probabilities"]))), expected, equal_nan=True)
    assert [None if one is None else list(one) for one in read["labels"]] == [None, ["a"], None]
    assert read["below_threshold"] == [None, 0.75, None]
    assert read["backend"] == ["eager", "compile", None]
    assert read["seconds"] == [0.5, 0.25, 0]
    assert read["status"] == ["done", "done", "failed"]
    assert read["reason"] == [None, None, "c.mp4: no such file"]


def test_pyarrow_dataset_reads_predictions(predictions) -> None:
    check(ds.dataset(predictions.parent).to_table().to_pydict())


def test_pandas_reads_predictions(predictions) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(predictions)
    assert frame["row"].dtype == np.int64 and frame["probability"].dtype == np.float32
    check({name: [None if is_null(one) else one for one in frame[name].tolist()] for name in frame})


def is_null(value: object) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def test_polars_reads_predictions(predictions) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.read_parquet(predictions)
    assert frame.schema["probabilities"] == polars.Array(polars.Float32, 3)
    check(frame.to_dict(as_series=False))


def test_duckdb_reads_predictions(predictions) -> None:
    duckdb = pytest.importorskip("duckdb")
    found = duckdb.sql(f"SELECT * FROM '{predictions}' ORDER BY row")
    check(dict(zip(found.columns, map(list, zip(*found.fetchall(), strict=True)), strict=True)))
    counted = duckdb.sql(
        f"SELECT label, count(*) FROM '{predictions}' WHERE status = 'done' GROUP BY label ORDER BY label"
    )
    assert counted.fetchall() == [("a", 1), ("β", 1)]


def test_features_are_read_by_all(features) -> None:
    path, values = features
    pandas, polars, duckdb = (pytest.importorskip(name) for name in ("pandas", "polars", "duckdb"))
    found = [
        pq.read_table(path)["features"].to_pylist(),
        ds.dataset(path).to_table()["features"].to_pylist(),
        polars.read_parquet(path)["features"].to_list(),
        [row[0] for row in duckdb.sql(f"SELECT features FROM '{path}' ORDER BY row").fetchall()],
        [np.stack(one) if values.ndim == 2 else one for one in pandas.read_parquet(path)["features"]],
    ]
    for first, second in found:
        assert np.array_equal(np.array(first, np.float32), values)
        assert np.shape(second) == values.shape and np.isnan(np.array(second, np.float32)).all()


def test_the_metadata_holds_the_settings(predictions) -> None:
    metadata = json.loads(pq.read_schema(predictions).metadata[b"marey"])
    assert metadata["schema"] == 1 and metadata["settings"]["recipe"] == "tiny"
    assert TableMetadata.of(predictions) == METADATA
