"""Videos of a test whose labels may be wrong."""

from dataclasses import dataclass

import numpy as np

from marey.base.words import percent
from marey.data.files.identity import equal_contents
from marey.data.lists.manifest import Manifest, frame_ranges_of, times_of, video_paths
from marey.evaluation.report.examples import Margins
from marey.evaluation.scores import Scores

CONFIDENT = 0.9
"""A wrong prediction with at least this probability makes the label doubtful."""
_COMPARED = 100_000
"""Files of a list with more videos are not compared, because that needs the size of every file."""


@dataclass(frozen=True)
class DoubtfulLabel:
    """A video, and why its label may be wrong."""

    id: str
    """The id of the video in its list."""
    labels: str
    """The names of its classes, joined by commas."""
    reason: str
    """Why they may be wrong, as a clause without a full stop."""


def confidently_wrong(scores: Scores) -> list[DoubtfulLabel]:
    """Videos for which a class that is no label has a probability of at least `CONFIDENT`, the highest first: the label
    or the prediction is wrong.
    """
    right = scores.task.right(scores.probabilities, scores.labels)
    if right is None:
        return []
    margins = Margins.of(scores)
    rows = np.flatnonzero(~right & (margins.rival_probability >= CONFIDENT))
    rows = rows[np.argsort(-margins.rival_probability[rows], kind="stable")]
    return [
        DoubtfulLabel(
            scores.ids[row],
            labels_text(scores, row),
            f"answered {scores.class_names[margins.rival[row]]!r} with {percent(margins.rival_probability[row])}",
        )
        for row in rows.tolist()
    ]


def equal_files_with_other_labels(scores: Scores, data: Manifest) -> list[DoubtfulLabel] | None:
    """Tested videos with the same content as another video of the list (an equal file, and the same segment of it) that has
    other labels; None if the list has more than 100,000 videos.
    """
    if len(data) > _COMPARED:
        return None
    contents, tested = equal_contents(video_paths(data)), {name: row for row, name in enumerate(scores.ids)}
    times, frames = times_of(data), frame_ranges_of(data)
    alike: dict[tuple[float, ...], list[int]] = {}
    several = np.isin(contents, np.flatnonzero(np.bincount(contents[contents >= 0]) > 1))
    for row in np.flatnonzero(several).tolist():
        segment = (*np.nan_to_num(times[row], nan=-1.0).tolist(), *frames[row].tolist())
        alike.setdefault((int(contents[row]), *segment), []).append(row)
    found = []
    for rows in alike.values():
        labels = data[np.array(rows)].multi_hot()
        for row, own in zip(rows, labels, strict=True):
            other = next((one for one, its in zip(rows, labels, strict=True) if (its != own).any()), None)
            name = data[row].id
            if other is not None and name in tested:
                names = ", ".join(data.class_names[k] for k in np.flatnonzero(labels[rows.index(other)]).tolist())
                why = f"equal in content to {data[other].id}, whose label is {names!r}"
                found.append(DoubtfulLabel(name, labels_text(scores, tested[name]), why))
    return found


def labels_text(scores: Scores, row: int) -> str:
    """The names of the classes of a video."""
    own = scores.task.positives(scores.labels[row : row + 1], len(scores.class_names))[0]
    return ", ".join(scores.class_names[k] for k in np.flatnonzero(own).tolist())
