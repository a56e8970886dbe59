"""The columns of log.csv for metrics of any task, and the logs of version 0.1.0."""

import csv
import json
from pathlib import Path

import pytest
import torch

from marey.evaluation.report.page import write_report
from marey.tasks.choose import every_task
from marey.tasks.classify import ClassifyTask
from marey.tasks.multilabel import MultiLabelTask
from marey.tasks.task import Metric, Validation
from marey.training.logs import EpochRecord, RunLog

HEADER = (
    "epoch,step,lr,train_loss,train_top1,val_loss,val_top1,val_top5,val_map,"
    "seconds,clips_per_second,waited_share,broken"
)
"""Of every log.csv that version 0.1.0 wrote."""
SPANS = Validation(0.5, (Metric("span_ap", "span AP", 0.25, "line"), Metric("recall", "recall", 0.75, "report")))


def record(epoch: int, validation: Validation | None, train_top1: float | None = None) -> EpochRecord:
    return EpochRecord(
        epoch=epoch, step=10 * epoch, lr=0.1, seconds=2.0, train_loss=0.75, train_top1=train_top1,
        clips_per_second=5.0, waited_share=0.5, broken=0, validation=validation,
    )  # fmt: skip


def judged(task, outputs: list[list[float]], targets: list) -> Validation:
    judge = task.validation_metrics()
    judge.add(torch.tensor(outputs), torch.tensor(targets))
    return judge.result(judge.sums, judge.rows())


CLASSIFIED = judged(ClassifyTask(), [[2.0, 1, 0, 0, 0, 0]] * 4, [0, 0, 0, 1])
SEVERAL = judged(MultiLabelTask(), [[2.0, 1], [1, 2]], [[1.0, 0], [0, 1]])


@pytest.mark.parametrize("classes", [2, 5])
def test_fewer_than_six_classes_have_no_top5_and_its_column_is_empty(tmp_path: Path, classes: int) -> None:
    validation = judged(ClassifyTask(), [list(range(classes))] * 4, [0, 1, 1, classes - 1])
    assert [metric.name for metric in validation.metrics] == ["top1"]
    log = RunLog(tmp_path, resume_step=None)
    log.epoch(record(1, validation))
    header, row = (tmp_path / "log.csv").read_text().splitlines()
    assert header == HEADER
    assert dict(zip(HEADER.split(","), row.split(","), strict=True))["val_top5"] == ""


def test_processes_without_clips_do_not_change_the_top5_of_the_others() -> None:
    one, other = ClassifyTask().validation_metrics(), ClassifyTask().validation_metrics()
    one.add(torch.eye(6), torch.arange(6))
    assert other.result(one.sums + other.sums, ()).metrics[1].value == 1


@pytest.mark.parametrize(("task", "validation"), [(ClassifyTask(), CLASSIFIED), (MultiLabelTask(), SEVERAL)])
def test_the_score_is_the_first_metric_and_has_a_chart(task, validation) -> None:
    first = validation.metrics[0]
    assert validation.score == first.value
    assert (first.name, first.title) in task.charts
    assert set(task.charts) <= {(metric.name, metric.title) for metric in validation.metrics}


def test_rows_of_both_tasks_are_as_version_0_1_0_wrote_them(tmp_path: Path) -> None:
    log = RunLog(tmp_path, resume_step=None)
    log.epoch(record(1, CLASSIFIED, train_top1=0.5))
    log.epoch(record(2, SEVERAL))
    log.epoch(record(3, None))
    header, *rows = (tmp_path / "log.csv").read_text().splitlines()
    assert header == HEADER
    assert rows == [
        f"1,10,0.1,0.75,0.5,{CLASSIFIED.loss},0.75,1.0,,2.0,5.0,0.5,0",
        f"2,20,0.1,0.75,,{SEVERAL.loss},,,1.0,2.0,5.0,0.5,0",
        "3,30,0.1,0.75,,,,,,2.0,5.0,0.5,0",
    ]
    assert not (tmp_path / "log.jsonl").exists(), "it has the steps alone, and repeats no epoch"
    log.step(step=1, epoch=0, loss=0.5, lr=0.1)
    assert list(json.loads((tmp_path / "log.jsonl").read_text())) == ["step", "epoch", "loss", "lr", "time"]


def test_metrics_of_another_task_have_their_own_columns(tmp_path: Path) -> None:
    """Also in a log that was started without them, for example by version 0.1.0."""
    old = "1,10,0.1,0.9,,0.8,,,,2.0,5.0,0.5,0"
    (tmp_path / "log.csv").write_text(f"{HEADER}\n{old}\n2,20,0.1,0.9,,0.8,,,,2.0,5.0,0.5,0\n")
    RunLog(tmp_path, resume_step=10).epoch(record(2, SPANS))
    RunLog(tmp_path, resume_step=20).epoch(record(3, SPANS))
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == HEADER.replace("val_map", "val_map,val_span_ap,val_recall").split(",")
    assert [row["val_span_ap"] for row in rows] == ["", "0.25", "0.25"]
    assert [row["val_recall"] for row in rows] == ["", "0.75", "0.75"]
    assert ",".join(value for name, value in rows[0].items() if name not in ("val_span_ap", "val_recall")) == old


@pytest.mark.parametrize(
    ("validation", "drawn", "others"),
    [(CLASSIFIED, "top-1 by epoch", "mAP by epoch"), (SEVERAL, "mAP by epoch", "top-1 by epoch")],
)
def test_the_report_draws_the_metrics_of_the_task(validation, drawn, others, tmp_path: Path) -> None:
    RunLog(tmp_path, resume_step=None).epoch(record(1, validation))
    page = write_report(tmp_path).read_text()
    assert drawn in page
    assert others not in page


def test_every_task_is_known() -> None:
    assert {type(task) for task in every_task()} == {ClassifyTask, MultiLabelTask}
