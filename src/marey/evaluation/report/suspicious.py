"""Videos of a test whose labels are worth a look."""

from dataclasses import dataclass

import numpy as np

from marey.base.words import percent
from marey.data.files.identity import equal_contents, paths_of
from marey.data.lists.manifest import Manifest
from marey.data.lists.rows import frame_ranges_of, times_of
from marey.evaluation.report.answers import Judged
from marey.evaluation.scores import Scores

SURE = 0.9
"""A wrong answer with this probability or more is suspicious."""
_COMPARED = 100_000
"""Contents of longer lists are not compared: every file has to be asked for its size."""


@dataclass(frozen=True)
class Suspicious:
    """A video and why its label may be wrong."""

    id: str
    labels: str
    reason: str


def sure_and_wrong(scores: Scores) -> list[Suspicious]:
    """Videos that are answered wrong with a probability of `SURE` or more, the surest first: the label is wrong, or the
    network is.
    """
    right = scores.task.right(scores.probabilities, scores.labels)
    if right is None:
        return []
    judged = Judged.of(scores)
    rows = np.flatnonzero(~right & (judged.other >= SURE))
    rows = rows[np.argsort(-judged.other[rows], kind="stable")]
    return [
        Suspicious(
            scores.ids[row],
            labels_text(scores, row),
            f"answered {scores.class_names[judged.rival[row]]!r} with {percent(judged.other[row])}",
        )
        for row in rows.tolist()
    ]


def equal_but_labelled_otherwise(scores: Scores, data: Manifest) -> list[Suspicious] | None:
    """Tested videos with the content of another one of the list that has other labels; None where that was not looked at."""
    if len(data) > _COMPARED:
        return None
    contents, tested = equal_contents(paths_of(data)), {name: row for row, name in enumerate(scores.ids)}
    times, frames = times_of(data), frame_ranges_of(data)
    alike: dict[tuple[float, ...], list[int]] = {}
    several = np.isin(contents, np.flatnonzero(np.bincount(contents[contents >= 0]) > 1))
    for row in np.flatnonzero(several).tolist():
        part = (*np.nan_to_num(times[row], nan=-1.0).tolist(), *frames[row].tolist())
        alike.setdefault((int(contents[row]), *part), []).append(row)
    found = []
    for rows in alike.values():
        labels = data[np.array(rows)].multi_hot()
        for row, own in zip(rows, labels, strict=True):
            other = next((one for one, its in zip(rows, labels, strict=True) if (its != own).any()), None)
            name = data[row].id
            if other is not None and name in tested:
                words = ", ".join(data.class_names[k] for k in np.flatnonzero(labels[rows.index(other)]).tolist())
                why = f"equal in content to {data[other].id}, whose label is {words!r}"
                found.append(Suspicious(name, labels_text(scores, tested[name]), why))
    return found


def labels_text(scores: Scores, row: int) -> str:
    """The classes of a video."""
    own = scores.task.positives(scores.labels[row : row + 1], len(scores.class_names))[0]
    return ", ".join(scores.class_names[k] for k in np.flatnonzero(own).tolist())
