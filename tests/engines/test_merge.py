"""Tables are merged only if they hold all rows of one list, computed with equal settings."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from marey.backends.compute import Compute
from marey.base.errors import RunError
from marey.data.lists.pieces import read_in_pieces
from marey.engines.fill_table import LocalEngine, fill_table
from marey.engines.finished_rows import FinishedRows, RowIndex, in_order
from marey.engines.merge import merge_tables
from marey.engines.row_makers import PredictionRowMaker
from marey.engines.shard import Shard
from marey.engines.table_format import TableMetadata
from marey.engines.table_job import TableJob
from marey.weights.checkpoint import save_checkpoint
from marey.weights.load import load_model
from marey.workflows.two_streams import Streams


@pytest.fixture(scope="session")
def shards(corpus, tmp_path_factory) -> tuple[Path, Path, Path]:
    folder = tmp_path_factory.mktemp("shards")
    tables = tuple(folder / f"part-{number}.parquet" for number in (1, 2, 3))
    for number, table in enumerate(tables, start=1):
        write(corpus, table, Shard(number, 3))
    return tables


def write(corpus, out: Path, shard: Shard, checkpoint: Path | None = None, precision: str = "float32") -> None:
    compute, videos = Compute(workers=0, precision=precision), read_in_pieces([corpus.list])
    maker = PredictionRowMaker(load_model(checkpoint or corpus.checkpoint), compute, videos=videos.rows, top=5)
    fill_table(TableJob(maker, videos, out, shard), LocalEngine(compute))


def test_a_missing_shard_is_named_by_its_rows(shards, tmp_path) -> None:
    with pytest.raises(RunError, match=r"4 of 11 rows are missing \(3-6\); .* shards 1/3, 3/3: name all"):
        merge_tables([shards[0], shards[2]], tmp_path / "a.parquet")
    assert not (tmp_path / "a.parquet").exists()


def test_a_shard_that_is_named_twice_is_refused(shards, tmp_path) -> None:
    copy = shutil.copy(shards[0], tmp_path / "copy.parquet")
    with pytest.raises(RunError, match=r"3 rows would be there twice \(0-2\)"):
        merge_tables([*shards, Path(copy)], tmp_path / "a.parquet")


def test_shards_of_two_checkpoints_are_refused(corpus, shards, tmp_path) -> None:
    model = corpus.model
    model.network.head.weight.data += 1
    save_checkpoint(tmp_path / "other.safetensors", model)
    write(corpus, tmp_path / "other.parquet", Shard(2, 3), tmp_path / "other.safetensors")
    with pytest.raises(
        RunError, match="other.parquet and .*part-1.parquet have different settings.*weights_sha256 differs"
    ):
        merge_tables([shards[0], tmp_path / "other.parquet", shards[2]], tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("backend", "openvino", "backend: there eager, here openvino"),
        ("precision", "bfloat16", "precision: there float32"),
    ],
)
def test_shards_of_another_backend_or_precision_are_refused(shards, tmp_path, setting, value, message) -> None:
    table = pq.read_table(shards[1])
    metadata = json.loads(table.schema.metadata[b"marey"])
    metadata["settings"][setting] = value
    pq.write_table(table.replace_schema_metadata({b"marey": json.dumps(metadata)}), tmp_path / "other.parquet")
    with pytest.raises(RunError, match=message):
        merge_tables([shards[0], tmp_path / "other.parquet", shards[2]], tmp_path / "a.parquet")


def test_a_table_of_a_later_schema_is_refused(shards, tmp_path) -> None:
    table = pq.read_table(shards[1])
    metadata = json.loads(table.schema.metadata[b"marey"])
    metadata["schema"] = 99
    pq.write_table(table.replace_schema_metadata({b"marey": json.dumps(metadata)}), tmp_path / "other.parquet")
    with pytest.raises(RunError, match="a table of version 99, and this Marey knows up to 1: update Marey"):
        merge_tables([shards[0], tmp_path / "other.parquet"], tmp_path / "a.parquet")


def test_a_file_that_is_no_table_is_refused(shards, tmp_path) -> None:
    (tmp_path / "text.parquet").write_text("no table")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "foreign.parquet")
    (tmp_path / "torn.parquet").write_bytes(shards[0].read_bytes()[:-100])
    for name, message in (
        ("text", "cannot be read as Parquet"),
        ("torn", "cannot be read as Parquet"),
        ("foreign", "no table that Marey wrote"),
        ("absent", "no such file"),
    ):
        with pytest.raises(RunError, match=rf"{name}\.parquet: {message}"):
            merge_tables([*shards, tmp_path / f"{name}.parquet"], tmp_path / "a.parquet")


def test_no_file_and_no_shard_is_overwritten(shards, tmp_path) -> None:
    (tmp_path / "mine.parquet").write_text("mine")
    with pytest.raises(RunError, match="exists already"):
        merge_tables(shards, tmp_path / "mine.parquet")
    with pytest.raises(RunError, match="is read by this command"):
        merge_tables(shards, shards[0])
    assert (tmp_path / "mine.parquet").read_text() == "mine"


def test_a_shard_that_is_not_finished_is_named(shards, tmp_path) -> None:
    finished = FinishedRows(tmp_path / "part-2.parquet")
    finished.add(pq.read_table(shards[1]))
    for _ in range(2):  # without a table, and beside one some of whose rows are computed again
        with pytest.raises(RunError, match=r"part-2\.parquet is not finished .*start its command again"):
            merge_tables([shards[0], finished.out, shards[2]], tmp_path / "a.parquet")
        shutil.copy(shards[1], finished.out)
    with pytest.raises(RunError, match=r"part-2\.parquet\.parts holds rows of a table that is not finished"):
        finished.out.unlink()
        merge_tables(shards, finished.out)


def test_shards_that_chose_other_backends_are_refused(shards, tmp_path) -> None:
    table = pq.read_table(shards[1])
    column = table.schema.get_field_index("backend")
    other = table.set_column(column, table.schema.field(column), pa.array(["openvino"] * len(table)))
    pq.write_table(other, tmp_path / "other.parquet")
    with pytest.raises(RunError, match="other.parquet was computed by openvino, and .*part-1.parquet by eager"):
        merge_tables([shards[0], tmp_path / "other.parquet", shards[2]], tmp_path / "a.parquet")


def test_the_settings_of_two_networks_hold_their_fusion(corpus) -> None:
    model, compute = corpus.model, Compute(workers=0)
    one, other = (
        PredictionRowMaker(streams, compute, videos=1, top=1).settings
        for streams in (Streams((model, model)), Streams((model, model), "probabilities", (1.0, 9.0)))
    )
    assert (one["fusion"], other["fusion"], other["fusion_weights"]) == ("logits", "probabilities", [1.0, 9.0])


def test_the_metadata_of_a_merged_table_covers_the_list(shards, tmp_path) -> None:
    merge_tables(shards, tmp_path / "a.parquet")
    merged, shard = TableMetadata.of(tmp_path / "a.parquet"), TableMetadata.of(shards[1])
    assert (merged.first, merged.end, merged.shard) == (0, 11, "1/1")
    assert (shard.first, shard.end, shard.shard) == (3, 7, "2/3")
    assert merged.settings == shard.settings


def test_a_disk_that_is_full_leaves_nothing(shards, tmp_path, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(RunError, match=r"a\.parquet cannot be written \(No space left on device\)"):
        merge_tables(shards, tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []


def rows(*numbers: int, mark: str) -> pa.Table:
    columns = {"row": list(numbers), "status": ["done"] * len(numbers), "mark": [mark] * len(numbers)}
    return pa.table(columns)


def test_later_files_replace_rows_of_earlier_ones_and_rows_are_in_order_of_the_list(tmp_path) -> None:
    finished = FinishedRows(tmp_path / "a.parquet")
    for table in (rows(4, 5, 9, mark="a"), rows(0, 5, mark="b"), rows(1, 2, 3, mark="c")):
        finished.add(table)
    assert [path.name for path in finished.files] == [f"rows-0000000{number}.parquet" for number in range(3)]
    joined = pa.concat_tables(in_order(finished.files, rows(0, mark="").schema)).to_pydict()
    assert list(zip(joined["row"], joined["mark"], strict=True)) == [
        (0, "b"), (1, "c"), (2, "c"), (3, "c"), (4, "a"), (5, "b"), (9, "a"),
    ]  # fmt: skip
    assert RowIndex.of(finished.files).repeated.tolist() == [5]


def test_a_table_of_many_row_groups_in_any_order_is_joined(tmp_path) -> None:
    finished = FinishedRows(tmp_path / "a.parquet")
    for begin in range(40):
        finished.add(rows(*range(begin, 400, 40), mark=str(begin)))
    finished.join(rows(0, mark="").schema)
    found = pq.read_table(tmp_path / "a.parquet").to_pydict()
    assert found["row"] == list(range(400))
    assert found["mark"] == [str(row % 40) for row in range(400)]
    assert not finished.folder.exists()
