"""Evaluate a model into a folder with scores, result and report; fuse the score files of several such folders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack, get_args

from marey.backends.choose import check_backend
from marey.backends.compute import Compute, ComputeOptions
from marey.base.claim import OutputPath
from marey.base.errors import DataError
from marey.base.processes import processes
from marey.base.readme import write_parent_readme, write_readme
from marey.base.reporter import notice
from marey.classifier import Classifier
from marey.data.lists.manifest import Manifest
from marey.evaluation.fusion import fuse, search_weights
from marey.evaluation.report.page import write_report
from marey.evaluation.result import EvaluationResult
from marey.evaluation.run import evaluate
from marey.evaluation.scores import Scores
from marey.evaluation.tested_list import read_labelled
from marey.recipe import Fusion


def evaluate_and_report(
    model: Classifier,
    data: Path | Manifest,
    *,
    out: Path,
    root: Path | None = None,
    classes: Path | Sequence[str] | None = None,
    split: str | None = None,
    only: Path | None = None,
    max_broken: float | None = None,
    compute: Compute = Compute(),  # noqa: B008 - frozen
    **options: Unpack[ComputeOptions],
) -> EvaluationResult:
    """Evaluate by the protocol of `model.recipe` into the folder `out`, and write the report there.

    A list is read with `root`, `classes` and `split`, as by `read_labelled`; the other arguments are those of `evaluate`.

    Args:
        only: A list; videos that it does not name are not tested. None: all are.

    Raises:
        DataError, RunError: as `read_labelled` and `evaluate`.
    """
    compute = compute.changed(**options)
    check_backend(compute)
    if not isinstance(data, Manifest):
        data = read_labelled(data, model, root=root, classes=classes, split=split)
    result = evaluate(model, data, out=out, only=only, max_broken=max_broken, compute=compute)
    if processes().first:
        notice(f"report: {write_report(out, data)}")
        write_readme(out)
        write_parent_readme(out)
    return result


def fuse_files(
    paths: Sequence[Path], *, weights: str | None, search_on: Sequence[Path] = (), of: str, out: Path | None
) -> EvaluationResult:
    """Join score files by video id and evaluate their weighted sum.

    Args:
        paths: Two or more score files, or folders that `marey evaluate` wrote.
        weights: The weight of each file, "1,1.5"; None: equal weights.
        search_on: Score files of other videos, one per stream, on which the weights with the highest top-1 are searched.
        of: What is added up, "probabilities" or "logits".
        out: The .npz file for the fused scores; None: they are not saved.

    Raises:
        DataError: fewer than two files, weights that are no numbers or not as many as files, or videos that one file lacks.
        RunError: nothing can be written at `out`.
    """
    if len(paths) < 2:
        raise DataError("marey fuse takes two or more score files.")
    if out is not None and out.suffix != ".npz":
        raise DataError(f"--out {out}: a score file ends in .npz.")
    if out is not None:
        OutputPath.file(out).refuse_inputs([*paths, *search_on])
        OutputPath.file(out).check()
    if of not in get_args(Fusion):
        raise DataError(f"--of {of}: expected one of {', '.join(get_args(Fusion))}.")
    fusion: Fusion = of  # type: ignore[assignment]
    files, search_files = _score_files(paths), _score_files(search_on)
    scores = [Scores.load(path) for path in files]
    fused = fuse(scores, weights=_stream_weights(len(files), weights, search_files, fusion), of=fusion)
    if out:
        fused.save(out)
    return EvaluationResult(fused)


def _score_files(paths: Sequence[Path]) -> list[Path]:
    return [path / "scores.npz" if path.is_dir() else path for path in paths]


def _stream_weights(streams: int, weights: str | None, search_on: Sequence[Path], of: Fusion) -> Sequence[float] | None:
    """The weight of each of the streams, given or found by a search; None: equal weights.

    Raises:
        DataError: they are given wrongly.
    """
    if search_on and weights:
        raise DataError("--weights and --search-on both set the weights: leave out one of them.")
    if search_on:
        if len(search_on) != streams:
            raise DataError(f"--search-on takes as many score files as there are streams: {streams}.")
        best = search_weights([Scores.load(path) for path in search_on], of=of)
        notice(f"weights found: {','.join(f'{weight:g}' for weight in best)}")
        return best
    try:
        return [float(word) for word in weights.split(",")] if weights else None
    except ValueError:
        raise DataError(f"--weights {weights}: expected numbers separated by commas, for example 1,1.5.") from None
