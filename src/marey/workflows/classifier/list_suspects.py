"""List training videos that are likely mislabelled or unusual, from the heads, the features and the frames."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marey.base.shell import marey_line
from marey.base.words import capitalised, percent
from marey.data.files.identity import equal_contents
from marey.data.lists.manifest import Manifest, frame_ranges_of, times_of, video_paths
from marey.data.recordings.find import Recordings
from marey.data.recordings.odd_videos import find_odd_videos
from marey.data.recordings.signature_cache import Signatures
from marey.data.splits.folds import NEVER, Folds
from marey.evaluation.out_of_fold.suspects import SHOWN, SUSPECTS, SuspectList, SuspectVideo, strip_of
from marey.recipe import TaskConfig
from marey.training.heads.confident_learning import OutOfFoldLogits, Suspect, find_suspects, video_fold_logits
from marey.training.heads.directions import Directions
from marey.training.heads.logistic import Targets
from marey.training.heads.outliers import class_outliers
from marey.training.heads.selection import HeadChoice


def list_suspects(
    manifest: Manifest,
    choice: HeadChoice,
    folds: Folds,
    targets: Targets,
    task: TaskConfig,
    *,
    compared: Recordings | None,
    rows: NDArray[np.int64],
) -> SuspectList:
    """The videos that are likely mislabelled, the most suspicious first, then those that are unusual.

    Args:
        manifest: The N videos that heads were fitted on.
        choice: The chosen head, and the out-of-fold logits of all candidates.
        folds: The folds of the videos.
        targets: Class indices [N], or whether each video has each class [N, K].
        task: The task of the heads.
        compared: Recordings and frames of the compared videos; None: no videos of unusual appearance are listed, and no
            frames are shown.
        rows: The rows of the videos among the compared videos [N].
    """
    signatures = None if compared is None else compared.signatures
    predictions, directions = _predictions(choice, folds, targets, task, _copies(manifest, compared, rows))
    found = find_suspects(predictions, targets, task)
    odd = _odd(directions, targets, folds.groups, rows, signatures)
    reasons = {suspect.row: _reasons(suspect, manifest, targets) for suspect in found.rows}
    suspects = {suspect.row: suspect for suspect in found.rows}
    videos = []
    for index, row in enumerate([*reasons, *(row for row in odd if row not in reasons)]):
        strip = "" if signatures is None or index >= SHOWN else _strip(signatures, int(rows[row]))
        videos.append(
            _suspect(row, suspects.get(row), reasons.get(row, []), odd.get(row, []), manifest, targets, strip)
        )
    return SuspectList(tuple(videos), len(manifest), found.disagreeing, found.by)


def suspects_line(run: Path, data: Sequence[str | Path], corrected: Path | None) -> str | None:
    """The number of suspects in a finished run, their file and the command that applies corrections; None: no suspects.

    Args:
        run: The folder of the run.
        data: The words of the command line that named the videos.
        corrected: The table of corrections that the run was given, to which new ones are to be added; None: none.
    """
    suspects = SuspectList.load(run)
    if suspects is None or not suspects.videos:
        return None
    again = marey_line("train", *data, "--labels", corrected or run / SUSPECTS)
    moved = "" if corrected is None else f", copy the rows that you edited into {corrected}"
    return (
        f"{capitalised(suspects.counts)}: {run / SUSPECTS}. Look at them in the report, edit the column label or put x into "
        f"leave_out{moved}, then: {again}"
    )


def _copies(manifest: Manifest, compared: Recordings | None, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each video [N], equal for videos with the same content: if frames were compared, for re-encoded copies
    too; else only for the same segment of equal files.
    """
    own = -1 - np.arange(len(rows))  # of a video without copies
    if compared is not None:
        contents = compared.together.copies[rows]
        return np.where(contents < 0, own, contents)
    contents = equal_contents(video_paths(manifest))
    keys = np.column_stack([np.where(contents < 0, own, contents), times_of(manifest), frame_ranges_of(manifest)])
    return np.unique(np.nan_to_num(keys, nan=-1.0), axis=0, return_inverse=True)[1].ravel()


def _predictions(
    choice: HeadChoice, folds: Folds, targets: Targets, task: TaskConfig, copies: NDArray[np.int64]
) -> tuple[list[OutOfFoldLogits], Directions]:
    """Predictions for each video by each head that may be chosen: fitted without the video's recording, and, if recordings
    have several videos, also fitted without the video alone. And the `Directions` of the first head's features.
    """
    heads = [(candidate, logits) for candidate, logits in choice.of_candidates if candidate.chosen_if_better]
    known = (folds.of_row != NEVER)[:, None] & (np.ones_like(folds.judged) if targets.ndim == 1 else folds.judged)
    without = "its recording" if folds.recordings.known.any() else "the video itself"
    predictions = [
        OutOfFoldLogits(f"{candidate.name}, without {without}", logits, known) for candidate, logits in heads
    ]
    all_rows = np.arange(len(folds.of_row))
    first = Directions.of(heads[0][0].pooled, all_rows)
    if len(np.unique(folds.groups)) == len(np.unique(copies)):
        return predictions, first  # each recording is one video
    for index, (candidate, logits) in enumerate(heads):
        directions = Directions.of(candidate.pooled, all_rows) if index else first
        alone = video_fold_logits(candidate.name, directions, targets, copies, classes=logits.shape[1], task=task)
        if alone is None:
            break
        predictions.append(alone)
    return predictions, first


def _odd(
    directions: Directions,
    targets: Targets,
    units: NDArray[np.int64],
    rows: NDArray[np.int64],
    signatures: Signatures | None,
) -> dict[int, list[str]]:
    """Why videos are unusual, by row: first those with unusual frames, then those with unusual features."""
    row_of_video = {video: row for row, video in enumerate(rows.tolist())}
    reasons: dict[int, list[str]] = {}
    for odd in [] if signatures is None else find_odd_videos(signatures):
        if odd.row in row_of_video:
            reasons.setdefault(row_of_video[odd.row], []).append(odd.reason)
    for unlike in class_outliers(directions, targets, units):
        reason = f"unlike the others of its class: {unlike.times:.1f} times as far from them as is usual"
        reasons.setdefault(unlike.row, []).append(reason)
    return reasons


def _suspect(
    row: int,
    suspect: Suspect | None,
    reasons: Sequence[str],
    odd: Sequence[str],
    manifest: Manifest,
    targets: Targets,
    strip: str,
) -> SuspectVideo:
    """A video of the list: `suspect` if its label is doubted, `odd` if the video is unusual."""
    labels = _labels_of_row(targets, row)
    return SuspectVideo(
        path=manifest[row].id,
        label=_label_text(manifest, labels),
        may_be="" if suspect is None else _label_text(manifest, suspect.wanted(labels)),
        why="; ".join([*reasons, *odd]),
        odd="; ".join(odd),
        shares=() if suspect is None else tuple(doubt.probability for doubt in suspect.doubts),
        one_label=suspect is not None and targets.ndim == 1,
        strip=strip,
    )


def _reasons(suspect: Suspect, manifest: Manifest, targets: Targets) -> list[str]:
    """The reasons to doubt a label, with probabilities."""
    names = manifest.class_names
    if targets.ndim == 1:
        own, other = suspect.doubts
        return [
            f"predicted {names[other.label]!r} {percent(other.probability, 0)}, its label {percent(own.probability, 0)}"
        ]
    return [
        f"{names[doubt.label]!r} ({percent(doubt.probability, 0)}) seems {'too much' if doubt.has else 'to be missing'}"
        for doubt in suspect.doubts
    ]


def _labels_of_row(targets: Targets, row: int) -> list[int]:
    """The class indices of a video."""
    labels: list[int] = [int(targets[row])] if targets.ndim == 1 else np.flatnonzero(targets[row]).tolist()
    return labels


def _label_text(manifest: Manifest, labels: Sequence[int]) -> str:
    """Class names as in a list, separated by "|"."""
    return "|".join(manifest.class_names[label] for label in labels)


def _strip(signatures: Signatures, row: int) -> str:
    """Five frames of a video as an image; "" if its frames could not be read."""
    return strip_of(signatures[row]) if signatures.keys[row] else ""
