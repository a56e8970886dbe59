"""Which clips of a training are likely mislabelled or odd: from its heads, its features and its pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marey.base.shell import marey_line
from marey.base.words import capitalised, percent
from marey.data.files.identity import equal_contents, paths_of
from marey.data.lists.manifest import Manifest
from marey.data.lists.rows import frame_ranges_of, times_of
from marey.data.recordings.evidence import Recordings
from marey.data.recordings.odd import find_odd
from marey.data.recordings.signatures import Signatures
from marey.data.splits.folds import NEVER, Folds
from marey.evaluation.out_of_fold.suspects import SHOWN, SUSPECTS, SuspectClip, SuspectList, strip_of
from marey.recipe import TaskConfig
from marey.training.heads.directions import Directions
from marey.training.heads.logistic import Targets
from marey.training.heads.selection import Choice
from marey.training.heads.suspects import Answers, Suspect, find_suspects, leaving_out_alone
from marey.training.heads.unlike import unlike_their_class


def look_for_suspects(
    manifest: Manifest,
    choice: Choice,
    folds: Folds,
    targets: Targets,
    task: TaskConfig,
    *,
    pictures: Recordings | None,
    rows: NDArray[np.int64],
) -> SuspectList:
    """The clips that are likely mislabelled, the most suspicious first, then those that are odd.

    Args:
        manifest: Of the N clips that heads were fitted on.
        choice: Of the head, with the answers of all heads without the recording of each clip.
        folds: Of these clips.
        targets: [N] or [N, K].
        task: Of the heads.
        pictures: Of the videos that the clips are of; None: without them the report names no clips that look odd,
            and has no frames.
        rows: The rows of the clips among these videos [N].
    """
    signatures = None if pictures is None else pictures.signatures
    answers, first = _answers(choice, folds, targets, task, _copies(manifest, pictures, rows))
    found = find_suspects(answers, targets, task)
    odd = _odd(first, targets, folds.units, rows, signatures)
    named = {suspect.row: _why(suspect, manifest, targets) for suspect in found.rows}
    suspects = {suspect.row: suspect for suspect in found.rows}
    clips = []
    for place, row in enumerate([*named, *(row for row in odd if row not in named)]):
        strip = "" if signatures is None or place >= SHOWN else _strip(signatures, int(rows[row]))
        clips.append(_clip(row, suspects.get(row), named.get(row, []), odd.get(row, []), manifest, targets, strip))
    return SuspectList(tuple(clips), len(manifest), found.disagreeing, found.by)


def suspects_line(run: Path, data: Sequence[str | Path], corrected: Path | None) -> str | None:
    """How many suspects the finished run found, where they are and what to do with them; None where there are none.

    Args:
        run: Its folder.
        data: What `marey train` was given, as words of a command.
        corrected: The table of corrections that it was given, which rows of suspects are to be added to; None: none.
    """
    found = SuspectList.load(run)
    if found is None or not found.clips:
        return None
    again = marey_line("train", *data, "--labels", corrected or run / SUSPECTS)
    moved = "" if corrected is None else f", copy the rows that you edited into {corrected}"
    return (
        f"{capitalised(found.counts)}: {run / SUSPECTS}. Look at them in the report, edit the column label or put x into "
        f"leave_out{moved}, then: {again}"
    )


def _copies(manifest: Manifest, pictures: Recordings | None, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each clip [N], equal for those of one content: encoded anew or not, where pictures were compared; else
    for the same part of equal files.
    """
    alone = -1 - np.arange(len(rows))
    if pictures is not None:
        contents = pictures.together.copies[rows]
        return np.where(contents < 0, alone, contents)
    contents = equal_contents(paths_of(manifest))
    keys = np.column_stack([np.where(contents < 0, alone, contents), times_of(manifest), frame_ranges_of(manifest)])
    return np.unique(np.nan_to_num(keys, nan=-1.0), axis=0, return_inverse=True)[1].ravel()


def _answers(
    choice: Choice, folds: Folds, targets: Targets, task: TaskConfig, copies: NDArray[np.int64]
) -> tuple[list[Answers], Directions]:
    """Of each head that may be chosen the answers without the recording of the clip, and without the clip alone; and the
    directions of the first head.
    """
    heads = [(candidate, logits) for candidate, logits in choice.of_candidates if candidate.chosen_if_better]
    known = (folds.of_row != NEVER)[:, None] & (np.ones_like(folds.judged) if targets.ndim == 1 else folds.judged)
    without = "its recording" if folds.sources.known.any() else "the clip itself"
    answers = [Answers(f"{candidate.name}, without {without}", logits, known) for candidate, logits in heads]
    all_clips = np.arange(len(folds.of_row))
    first = Directions.of(heads[0][0].pooled, all_clips)
    if len(np.unique(folds.units)) == len(np.unique(copies)):
        return answers, first  # a recording is a clip
    for place, (candidate, logits) in enumerate(heads):
        directions = Directions.of(candidate.pooled, all_clips) if place else first
        alone = leaving_out_alone(candidate.name, directions, targets, copies, classes=logits.shape[1], task=task)
        if alone is None:
            break
        answers.append(alone)
    return answers, first


def _odd(
    directions: Directions,
    targets: Targets,
    units: NDArray[np.int64],
    rows: NDArray[np.int64],
    signatures: Signatures | None,
) -> dict[int, list[str]]:
    """Why which clips are odd, those first whose pictures are."""
    places = {row: place for place, row in enumerate(rows.tolist())}
    found: dict[int, list[str]] = {}
    for odd in [] if signatures is None else find_odd(signatures):
        if odd.row in places:
            found.setdefault(places[odd.row], []).append(odd.reason)
    for unlike in unlike_their_class(directions, targets, units):
        reason = f"unlike the others of its class: {unlike.times:.1f} times as far from them as is usual"
        found.setdefault(unlike.row, []).append(reason)
    return found


def _clip(
    row: int,
    suspect: Suspect | None,
    why: Sequence[str],
    odd: Sequence[str],
    manifest: Manifest,
    targets: Targets,
    strip: str,
) -> SuspectClip:
    labels = _labels(targets, row)
    return SuspectClip(
        path=manifest[row].id,
        label=_words(manifest, labels),
        may_be="" if suspect is None else _words(manifest, suspect.wanted(labels)),
        why="; ".join([*why, *odd]),
        odd="; ".join(odd),
        shares=() if suspect is None else tuple(doubt.probability for doubt in suspect.doubts),
        one_label=suspect is not None and targets.ndim == 1,
        strip=strip,
    )


def _why(suspect: Suspect, manifest: Manifest, targets: Targets) -> list[str]:
    """What speaks against a label, with probabilities."""
    names = manifest.class_names
    if targets.ndim == 1:
        own, other = suspect.doubts
        return [
            f"answered {names[other.label]!r} {percent(other.probability, 0)}, its label {percent(own.probability, 0)}"
        ]
    return [
        f"{names[doubt.label]!r} ({percent(doubt.probability, 0)}) seems {'too much' if doubt.has else 'to be missing'}"
        for doubt in suspect.doubts
    ]


def _labels(targets: Targets, row: int) -> list[int]:
    """The classes of a clip."""
    found: list[int] = [int(targets[row])] if targets.ndim == 1 else np.flatnonzero(targets[row]).tolist()
    return found


def _words(manifest: Manifest, labels: Sequence[int]) -> str:
    """Classes as a list has them."""
    return "|".join(manifest.class_names[label] for label in labels)


def _strip(signatures: Signatures, row: int) -> str:
    """Five frames of a clip; "" where its pictures could not be read."""
    return strip_of(signatures[row]) if signatures.keys[row] else ""
