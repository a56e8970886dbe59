"""Test a model and leave a folder with scores, result and report; fuse what such runs left."""

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack, get_args

from marey.backends.choose import check_backend
from marey.backends.compute import Compute, ComputeOptions
from marey.base.claim import OutputPath
from marey.base.errors import DataError
from marey.base.processes import processes
from marey.base.readme import readme_around, write_readme
from marey.base.reporter import notice
from marey.classifier import Classifier
from marey.data.lists.manifest import Manifest
from marey.evaluation.fusion import fuse, search_weights
from marey.evaluation.report.page import write_report
from marey.evaluation.result import EvaluationResult
from marey.evaluation.run import evaluate, read_labelled
from marey.evaluation.scores import Scores
from marey.recipe import Fusion


def test_model(
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
    """Evaluate by the protocol of `model.recipe`, write the report, say where it lies.

    `root`, `classes` and `split` say how a list is read, as by `read_labelled`; of the videos that the list `only` does not
    name none is tested. The rest is taken as by `evaluate`.

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
        readme_around(out)
    return result


def fuse_files(
    paths: Sequence[Path], *, weights: str | None, search_on: Sequence[Path] = (), of: str, out: Path | None
) -> EvaluationResult:
    """Join score files by video id; a folder that evaluate left is its scores.npz.

    `weights` is "1,1.5" or None for equal ones; `search_on` names score files of other videos, one per stream, on which
    the weights with the highest top-1 are looked for.

    Raises:
        DataError: fewer than two files, weights that are no numbers or not as many, videos missing in one.
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
    kind: Fusion = of  # type: ignore[assignment]
    paths, search_on = ([one / "scores.npz" if one.is_dir() else one for one in some] for some in (paths, search_on))
    fused = fuse([Scores.load(path) for path in paths], weights=_weights(paths, weights, search_on, kind), of=kind)
    if out:
        fused.save(out)
    return EvaluationResult(fused)


def _weights(
    paths: Sequence[Path], weights: str | None, search_on: Sequence[Path], of: Fusion
) -> Sequence[float] | None:
    if search_on and weights:
        raise DataError("--weights and --search-on say two things: leave out one of them.")
    if search_on:
        if len(search_on) != len(paths):
            raise DataError(f"--search-on takes as many score files as there are streams: {len(paths)}.")
        found = search_weights([Scores.load(path) for path in search_on], of=of)
        notice(f"weights found: {','.join(f'{share:g}' for share in found)}")
        return found
    try:
        return [float(word) for word in weights.split(",")] if weights else None
    except ValueError:
        raise DataError(f"--weights {weights}: expected numbers separated by commas, for example 1,1.5.") from None
