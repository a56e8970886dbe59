"""Tables have the rows of `predict_many`, whatever the shards and wherever a job was killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import marey
from marey.backends.compute import Compute
from marey.base.errors import DataError, RunError
from marey.data.lists.pieces import read_in_pieces
from marey.data.lists.read_videos import read_videos
from marey.data.loading.limited_decoding import Limits, decode_limited
from marey.data.loading.view_decoder import ViewDecoder
from marey.engines import finished_rows
from marey.engines.fill_table import LocalEngine, fill_table
from marey.engines.finished_rows import FinishedRows
from marey.engines.merge import merge_tables
from marey.engines.row_makers import FeatureRowMaker, PredictionRowMaker
from marey.engines.shard import Shard
from marey.engines.sigterm import as_ctrl_c, sigterm_restored
from marey.engines.table_format import TableMetadata
from marey.engines.table_job import TableJob
from marey.inference.features import features
from tests.support.platforms import posix

HERE = Compute(workers=0)


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """The ids of videos that this process decodes, in order."""
    seen: list[str] = []
    decode = ViewDecoder.decoded

    def noting(self, video, target):
        seen.append(video.id)
        return decode(self, video, target)

    monkeypatch.setattr(ViewDecoder, "decoded", noting)
    return seen


def job(corpus, out: Path, shard: str = "1/1", top: int = 5) -> TableJob:
    videos = read_in_pieces([corpus.list], size=4)
    return TableJob(
        PredictionRowMaker(corpus.model, HERE, videos=videos.rows, top=top), videos, out, Shard.named(shard)
    )


def filled(corpus, out: Path, shard: str = "1/1", **options: bool):
    return done(job(corpus, out, shard), **options)


def done(job: TableJob, **options: bool):
    return fill_table(job, LocalEngine(HERE, Limits(seconds=250)), **options)


def rows_of(path: Path) -> list[dict]:
    """All rows, without the column seconds, which differs between runs."""
    rows = pq.read_table(path).drop_columns(["seconds"]).to_pylist()
    return [row | {"probabilities": repr(row["probabilities"])} for row in rows]  # as text, so that NaN equals NaN


@pytest.fixture(scope="session")
def whole(corpus, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "a.parquet"
    filled(corpus, out)
    return out


def test_the_rows_are_those_of_predict_many(corpus, whole) -> None:
    predictions = list(marey.predict_many(corpus.checkpoint, corpus.list, workers=0))
    rows = pq.read_table(whole).to_pylist()
    assert [row["row"] for row in rows] == list(range(len(predictions))) == list(range(11))
    for row, prediction in zip(rows, predictions, strict=True):
        assert (row["id"], row["path"]) == (prediction.id, str(prediction.path))
        assert (row["start"], row["end"]) == (prediction.start, prediction.end)
        assert (row["status"], row["reason"]) == ("done" if prediction.error is None else "failed", prediction.error)
        assert row["seconds"] > 0 and prediction.seconds > 0
        if prediction.error is not None:
            assert row["label"] is row["content"] is row["top_labels"] is None
            assert np.isnan(row["probabilities"]).all()
            continue
        assert np.array_equal(np.float32(row["probabilities"]), prediction.probabilities)
        assert (
            list(zip(row["top_labels"], np.float32(row["top_probabilities"]).tolist(), strict=True)) == prediction.top()
        )
        assert (row["label"], np.float32(row["probability"])) == prediction.top()[0]
        assert row["content"] == f"{prediction.content:016x}" and prediction.content
        assert row["backend"] == "eager"


def test_rows_do_not_depend_on_the_order_in_which_videos_are_decoded(corpus, whole, tmp_path, monkeypatch) -> None:
    def backwards(*args, **options):
        decoded = list(decode_limited(*args, **options))
        return (one for one in decoded[::-1])

    monkeypatch.setattr("marey.engines.fill_table.decode_limited", backwards)
    filled(corpus, tmp_path / "part.parquet", "2/2")
    table = pq.read_table(tmp_path / "part.parquet")
    assert table["row"].to_pylist() == list(range(5, 11))
    assert rows_of(tmp_path / "part.parquet") == rows_of(whole)[5:]


def test_the_probabilities_are_those_of_predict(corpus, whole) -> None:
    row = pq.read_table(whole).to_pylist()[0]
    assert np.array_equal(np.float32(row["probabilities"]), marey.predict(corpus.checkpoint, row["path"]).probabilities)


@pytest.mark.parametrize(
    "read", [read_videos, lambda path: next(read_in_pieces(path).pieces())], ids=["whole", "pieces"]
)
def test_a_table_is_a_list_of_its_videos(corpus, whole, tmp_path, read) -> None:
    (tmp_path / "elsewhere.parquet").symlink_to(whole)
    given, found = read(corpus.list), read(tmp_path / "elsewhere.parquet")
    assert [(video.path, video.start, video.end) for video in found] == [
        (video.path, video.start, video.end) for video in given
    ]
    assert (found.times is None, found.frame_ranges) == (False, None)
    with pytest.raises(marey.DataError, match="'label' and 'labels' both name the label: leave one out, or rename it"):
        marey.read_manifest(whole)


def test_paths_of_a_table_do_not_depend_on_the_working_folder(corpus, whole, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(corpus.folder)
    videos = read_in_pieces("list.csv")
    done(
        TableJob(
            PredictionRowMaker(corpus.model, HERE, videos=videos.rows, top=5),
            videos,
            tmp_path / "a.parquet",
            Shard.named("1/1"),
        )
    )
    assert read_videos(tmp_path / "a.parquet").ids.tolist() == read_videos(whole).ids.tolist()


def test_a_list_of_segments_in_frames_is_read_from_its_table(corpus, tmp_path) -> None:
    clip = read_videos(corpus.list).ids.tolist()[0]
    (tmp_path / "l.csv").write_text(f"path,start_frame,end_frame\n{clip},,\n{clip},2,9\n{clip},3,\n")
    videos = read_in_pieces(tmp_path / "l.csv")
    out = tmp_path / "a.parquet"
    done(TableJob(PredictionRowMaker(corpus.model, HERE, videos=videos.rows, top=5), videos, out, Shard.named("1/1")))
    assert [video.id for video in read_videos(out)] == [clip, f"{clip}@f2-9", f"{clip}@f3-"]


@pytest.mark.parametrize("count", [2, 3, 11, 14])
def test_shards_merged_are_the_rows_of_one_table(corpus, whole, tmp_path, count) -> None:
    parts = [tmp_path / f"part-{number}.parquet" for number in range(1, count + 1)]
    for number, part in enumerate(parts, start=1):
        filled(corpus, part, f"{number}/{count}")
    summary = merge_tables(parts[::-1], tmp_path / "merged.parquet")
    assert (summary.rows, summary.failed) == (11, 2)
    assert rows_of(tmp_path / "merged.parquet") == rows_of(whole)
    assert TableMetadata.of(tmp_path / "merged.parquet").settings == TableMetadata.of(whole).settings
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*(p.name for p in parts), "merged.parquet"])


def test_the_summary_counts_by_reason(corpus, tmp_path, capsys) -> None:
    summary = filled(corpus, tmp_path / "a.parquet")
    assert (summary.rows, summary.failed, summary.computed) == (11, 2, 11)
    assert dict(summary.reasons)["no such file"] == 1 and len(summary.reasons) == 2
    assert "11 videos: 9 done, 2 failed, 11 of them now" in summary.as_text()
    again = filled(corpus, tmp_path / "a.parquet")
    assert (again.rows, again.failed, again.computed) == (11, 2, 0)
    assert "resuming: 11 of 11 videos are there already" in capsys.readouterr().err


def stop_after(monkeypatch, rows: int) -> None:
    """Make a job stop after so many rows, as if it were killed: rows in memory are lost."""
    add, count = finished_rows.RowWriter.add, [0]

    def adding(self, number, result):
        if count[0] == rows:
            self._rows = []
            raise KeyboardInterrupt
        count[0] += 1
        add(self, number, result)

    monkeypatch.setattr(finished_rows.RowWriter, "add", adding)


def test_a_job_that_was_killed_resumes_with_the_missing_rows(corpus, whole, tmp_path, monkeypatch, decoded) -> None:
    out = tmp_path / "a.parquet"
    monkeypatch.setattr(finished_rows, "_ROWS", 3)
    with monkeypatch.context() as killed:
        stop_after(killed, 8)
        with pytest.raises(KeyboardInterrupt):
            filled(corpus, out)
    assert not out.exists() and len(FinishedRows(out).files) == 2
    (FinishedRows(out).folder / ".rows-00000002-x.parquet").write_bytes(b"torn")  # a temporary file of a killed process
    decoded.clear()
    assert filled(corpus, out).computed == 5
    assert len(decoded) == 5
    assert rows_of(out) == rows_of(whole)
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


def test_rows_are_written_after_a_minute(corpus, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(finished_rows, "_SECONDS", 0.0)
    stop_after(monkeypatch, 4)
    with pytest.raises(KeyboardInterrupt):
        filled(corpus, tmp_path / "a.parquet")
    assert len(FinishedRows(tmp_path / "a.parquet").files) == 4


def test_failed_videos_are_tried_again_by_retry_failed(corpus, tmp_path, decoded) -> None:
    out, late = tmp_path / "a.parquet", corpus.folder / "absent.mp4"
    filled(corpus, out)
    decoded.clear()
    filled(corpus, out)
    assert not decoded
    try:
        late.write_bytes((corpus.folder / "clips" / "run" / "v0.mp4").read_bytes())
        summary = filled(corpus, out, retry_failed=True)
    finally:
        late.unlink()
    assert (summary.computed, summary.failed) == (2, 1)
    assert sorted(decoded) == [str(corpus.folder / "absent.mp4"), str(corpus.folder / "torn.mp4")]
    rows = pq.read_table(out).to_pylist()
    assert [row["row"] for row in rows] == list(range(11))
    assert [row["row"] for row in rows if row["status"] == "failed"] == [3]


def test_another_network_or_list_or_shard_is_refused(corpus, tmp_path) -> None:
    out = tmp_path / "a.parquet"
    filled(corpus, out, "1/2")
    with pytest.raises(RunError, match=r"a\.parquet holds other rows \(shard: there 1/2, here 2/2"):
        filled(corpus, out, "2/2")
    videos = read_in_pieces([corpus.folder / "clips"])
    other = TableJob(PredictionRowMaker(corpus.model, HERE, videos=8, top=5), videos, out, Shard(1, 2))
    with pytest.raises(RunError, match="holds other rows .*list differs"):
        done(other)
    of_features = TableJob(
        FeatureRowMaker(corpus.model, HERE, videos=11, per_clip=False, half=False),
        read_in_pieces([corpus.list]),
        out,
        Shard(1, 2),
    )
    with pytest.raises(RunError, match="holds rows of `marey predict`, and this is `marey features`"):
        done(of_features)
    with pytest.raises(RunError, match="holds other rows .*top: there 2, here 1"):
        done(job(corpus, out, "1/2", top=1))


def test_a_file_that_is_no_table_is_not_overwritten(corpus, tmp_path) -> None:
    out = tmp_path / "a.parquet"
    out.write_bytes(b"mine")
    with pytest.raises(RunError, match=r"a\.parquet: cannot be read as Parquet"):
        filled(corpus, out)
    assert out.read_bytes() == b"mine"


def test_a_folder_of_the_user_is_neither_used_nor_removed(corpus, tmp_path) -> None:
    mine = tmp_path / "a.parquet.parts" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(RunError, match=r"a\.parquet\.parts/notes\.txt is in the way"):
        filled(corpus, tmp_path / "a.parquet")
    assert mine.read_text() == "mine"


def test_rows_of_another_job_are_refused(corpus, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(finished_rows, "_ROWS", 3)
    out, other = tmp_path / "a.parquet", tmp_path / "b.parquet"
    with monkeypatch.context() as killed:
        stop_after(killed, 8)
        with pytest.raises(KeyboardInterrupt):
            filled(corpus, out)
    done(job(corpus, other, top=1))
    other.rename(out)  # a table with other settings, in place of that of the interrupted job
    with pytest.raises(RunError, match=r"a\.parquet holds other rows \(top: there 1, here 2"):
        filled(corpus, out)
    out.unlink()
    with pytest.raises(RunError, match=r"rows-00000000\.parquet holds other rows \(top: there 2, here 1"):
        done(job(corpus, out, top=1))
    assert filled(corpus, out).computed == 5


def test_a_damaged_file_of_rows_is_named_and_can_be_removed(corpus, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(finished_rows, "_ROWS", 3)
    out = tmp_path / "a.parquet"
    with monkeypatch.context() as killed:
        stop_after(killed, 8)
        with pytest.raises(KeyboardInterrupt):
            filled(corpus, out)
    torn = FinishedRows(out).files[0]
    torn.write_bytes(torn.read_bytes()[:-20])
    with pytest.raises(RunError, match=r"rows-00000000\.parquet.*remove it, and its rows are computed again"):
        filled(corpus, out)
    torn.unlink()
    assert filled(corpus, out).computed == 8


@pytest.mark.parametrize("where", ["join", "rename", "remove"])
def test_a_kill_while_rows_are_joined_loses_nothing(corpus, whole, tmp_path, monkeypatch, where) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    out = tmp_path / "a.parquet"
    with monkeypatch.context() as killed:
        if where == "join":
            killed.setattr(finished_rows, "in_order", kill)
        elif where == "rename":
            killed.setattr(finished_rows, "rename", kill)
        else:
            killed.setattr(FinishedRows, "remove", kill)
        with pytest.raises(Killed):
            filled(corpus, out)
    assert out.exists() == (where == "remove")
    (FinishedRows(out).folder / "joined.parquet").write_bytes(b"as after a kill before the last step")
    assert filled(corpus, out).computed == 0
    assert rows_of(out) == rows_of(whole)
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


def test_a_video_for_which_the_network_fails_costs_its_own_row(corpus, tmp_path, monkeypatch) -> None:
    row = PredictionRowMaker.row

    def failing(self, video, decoded):
        if video.id.endswith("v2.mp4") and not hasattr(decoded[0].item, "reason"):
            raise RuntimeError("CUDA out of memory.\nTried to allocate much")
        return row(self, video, decoded)

    monkeypatch.setattr(PredictionRowMaker, "row", failing)
    out = tmp_path / "a.parquet"
    assert filled(corpus, out).failed == 4
    reasons = [row["reason"] for row in pq.read_table(out).to_pylist() if row["reason"] and "network" in row["reason"]]
    assert len(reasons) == 2
    assert reasons[0].endswith("v2.mp4: the network failed: CUDA out of memory. Tried to allocate much")
    monkeypatch.setattr("marey.engines.row_makers._MOST_IN_A_ROW", 1)
    with pytest.raises(RunError, match="the network failed: CUDA out of memory"):
        filled(corpus, tmp_path / "b.parquet")


def test_the_search_for_an_existing_file_covers_the_entire_list(corpus, tmp_path) -> None:
    clip = next((corpus.folder / "clips").rglob("*.mp4"))
    rows = ["path", *(f"absent{number}.mp4" for number in range(9)), str(clip)]
    (tmp_path / "list.csv").write_text("\n".join(rows) + "\n")
    videos = read_in_pieces([tmp_path / "list.csv"], size=3)
    maker = PredictionRowMaker(corpus.model, HERE, videos=10, top=5)
    assert done(TableJob(maker, videos, tmp_path / "a.parquet")).failed == 9


def test_after_a_refusal_the_corrected_command_starts(corpus, tmp_path) -> None:
    (tmp_path / "list.csv").write_text("path\nv0.mp4\nv1.mp4\n")
    for root, failed in ((None, None), (corpus.folder / "clips" / "run", 0)):
        videos = read_in_pieces([tmp_path / "list.csv"], root=root)
        table = TableJob(PredictionRowMaker(corpus.model, HERE, videos=2, top=5), videos, tmp_path / "a.parquet")
        if failed is None:
            with pytest.raises(DataError, match="not one video could be read"):
                done(table)
        else:
            assert done(table).failed == failed


def test_a_list_without_one_file_is_refused_before_any_row(corpus, tmp_path) -> None:
    (tmp_path / "list.csv").write_text("path\na.mp4\nb.mp4\n")
    videos = read_in_pieces([tmp_path / "list.csv"])
    absent = TableJob(PredictionRowMaker(corpus.model, HERE, videos=2, top=5), videos, tmp_path / "a.parquet")
    with pytest.raises(DataError, match="not one video could be read"):
        done(absent)


def test_finished_rows_stay_when_the_disk_is_full(corpus, whole, tmp_path, monkeypatch) -> None:
    out = tmp_path / "a.parquet"
    monkeypatch.setattr(finished_rows, "_ROWS", 4)
    with monkeypatch.context() as full:
        write = finished_rows.write_table

        def until_full(path, schema, tables):
            if path.name == "rows-00000001.parquet":
                raise OSError(28, "No space left on device", str(path))
            write(path, schema, tables)

        full.setattr(finished_rows, "write_table", until_full)
        with pytest.raises(
            RunError, match=r"a\.parquet cannot be written \(No space left.*Finished rows are kept in .*parts"
        ):
            filled(corpus, out)
    assert filled(corpus, out).computed == 7
    assert rows_of(out) == rows_of(whole)


@pytest.mark.parametrize("per_clip", [False, True])
@pytest.mark.parametrize("half", [False, True])
def test_features_are_those_of_the_folder(corpus, tmp_path, per_clip, half) -> None:
    model, videos = corpus.model, read_in_pieces([corpus.list])
    maker = FeatureRowMaker(model, HERE, videos=videos.rows, per_clip=per_clip, half=half)
    summary = done(TableJob(maker, videos, tmp_path / "f.parquet"))
    assert (summary.rows, summary.failed) == (11, 2)
    expected = features(model, corpus.list, out=tmp_path / "f", per_clip=per_clip, compute=HERE)
    table = pq.read_table(tmp_path / "f.parquet").to_pylist()
    found = [row["features"] for row in table if row["status"] == "done"]
    assert all(np.isnan(row["features"]).all() for row in table if row["status"] == "failed")
    kind = np.float16 if half else np.float32
    assert np.array_equal(np.array(found, kind), expected.read().astype(kind))


def test_an_empty_shard_is_an_empty_table(corpus, tmp_path) -> None:
    out = tmp_path / "a.parquet"
    summary = filled(corpus, out, "1/14")
    assert (summary.rows, summary.all_failed) == (0, False)
    assert pq.read_table(out).num_rows == 0


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/4", "1/4/2", ""])
def test_a_wrong_shard_is_refused(text) -> None:
    with pytest.raises(RunError, match="--shard"):
        Shard.named(text)


def test_shards_are_consecutive_and_even() -> None:
    for total in (0, 1, 10, 1_000_003):
        for count in (1, 3, 7, 64):
            ranges = [Shard(number, count).rows(total) for number in range(1, count + 1)]
            assert [one.start for one in ranges[1:]] == [one.stop for one in ranges[:-1]]
            assert (ranges[0].start, ranges[-1].stop) == (0, total)
            assert max(map(len, ranges)) - min(map(len, ranges)) <= 1


@posix
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_shard_that_is_killed_is_started_again_and_merged(corpus, whole, tmp_path, number) -> None:
    script = """if __name__ == "__main__":
        import sys, time
        from marey.engines import finished_rows
        from marey.cli.app import app

        add = finished_rows.RowWriter.add

        def slowly(self, number, result):
            add(self, number, result)
            if len(sys.argv) and number == 3:
                print("at row 3", flush=True)
                time.sleep(60)

        finished_rows._ROWS = 2
        finished_rows.RowWriter.add = slowly
        app(sys.argv[1:])
    """
    words = ["predict", str(corpus.checkpoint), str(corpus.list), "--workers", "0"]
    parts = [tmp_path / f"part-{shard}.parquet" for shard in (1, 2)]
    (tmp_path / "killed.py").write_text(script)
    killed = subprocess.Popen(
        [sys.executable, str(tmp_path / "killed.py"), *words, "--shard", "1/2", "--out", str(parts[0])],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert killed.stdout is not None and killed.stdout.readline().strip() == b"at row 3"
    os.kill(killed.pid, number)
    _, err = killed.communicate(timeout=60)
    assert not parts[0].exists()
    if number == signal.SIGTERM:
        assert killed.returncode == 130 and b"4 finished rows are kept" in err and b"To resume" in err
    else:
        assert len(FinishedRows(parts[0]).files) == 2
    for shard, part in enumerate(parts, start=1):
        done = subprocess.run(
            [sys.executable, "-m", "marey", *words, "--shard", f"{shard}/2", "--out", str(part)],
            capture_output=True, timeout=120, check=True,
        )  # fmt: skip
        assert (b"resuming: 4 of 5 videos" in done.stderr) == (shard == 1)
    merge_tables(parts, tmp_path / "merged.parquet")
    assert rows_of(tmp_path / "merged.parquet") == rows_of(whole)


@posix
def test_a_second_sigterm_is_ignored() -> None:
    before, written = signal.getsignal(signal.SIGTERM), False
    with pytest.raises(KeyboardInterrupt), sigterm_restored(as_ctrl_c):
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            written = True
    assert written and signal.getsignal(signal.SIGTERM) == before
