"""The task that a recipe declares, the task of a score file, and all tasks."""

from typing import assert_never, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from marey.base.declaration import first_problem
from marey.base.errors import DataError
from marey.recipe import Classify, MultiLabel, TaskConfig
from marey.tasks.classify import ClassifyTask
from marey.tasks.multilabel import MultiLabelTask
from marey.tasks.task import Task

_CONFIGS: TypeAdapter[TaskConfig] = TypeAdapter(TaskConfig)


def task_of(config: TaskConfig) -> Task:
    """The task that a recipe declares."""
    match config:
        case Classify():
            return ClassifyTask()
        case MultiLabel():
            return MultiLabelTask()
        case _:
            assert_never(config)


def every_task() -> tuple[Task, ...]:
    """Each task with its default settings, in the order of `TaskConfig`."""
    union, _ = get_args(TaskConfig)  # the other argument is the discriminator
    return tuple(task_of(config()) for config in get_args(union))


def stored_task(name: str | None, labels: NDArray[np.int64]) -> Task:
    """The task of a score file.

    Args:
        name: The `kind` of the task in the file's protocol; None where there is none, as in files that Marey did not write
            and in those of one label per video. The task is then inferred from the labels.
        labels: [N] for one label per video, or [N, K].

    Raises:
        DataError: this version of Marey has no such task.
    """
    kind = name or ("multilabel" if labels.ndim == 2 else "classify")
    try:
        return task_of(_CONFIGS.validate_python({"kind": kind}))
    except ValidationError as error:
        raise DataError(f"scores of the task {kind!r}: {first_problem(error)[1]}.") from None
