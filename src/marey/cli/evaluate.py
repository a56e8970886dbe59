"""`marey evaluate`, `marey fuse` and `marey report`: a model on labelled videos, its scores, and the report on them."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from marey.backends.compute import Compute
from marey.base.errors import MareyError
from marey.base.parquet import pyarrow
from marey.base.processes import processes
from marey.base.reporter import notice
from marey.base.runs import free_file, results_folder
from marey.base.shell import marey_line, next_steps, typed_command
from marey.cli.common.command import check_folder, json_document
from marey.cli.common.interrupted import interruptible, kept_tests
from marey.cli.common.named_models import NamedModels, first_tested, refuse_training_settings
from marey.cli.common.options import (
    AsJson,
    BackendOption,
    BatchOption,
    Classes,
    Data,
    Device,
    Fuse,
    FuseWeights,
    MaxBroken,
    NameOrFile,
    PrecisionOption,
    ResultsOut,
    Root,
    Set,
    TrustFirstUse,
    Untrained,
    WeightsFile,
    Workers,
    output_file,
)


def evaluate(
    model: NameOrFile,
    data: Data,
    split: Annotated[str | None, typer.Option("--split", help="Only the rows of this split.")] = None,
    root: Root = None,
    classes: Classes = None,
    only: Annotated[
        Path | None, typer.Option("--only", help="A second list: only videos that both name are tested.")
    ] = None,
    weights: WeightsFile = None,
    fuse: Fuse = None,
    fuse_weights: FuseWeights = None,
    fuse_data: Annotated[
        Path | None, typer.Option("--fuse-data", help="The second model's list, where its flow is stored.")
    ] = None,
    untrained: Untrained = False,
    trust_first_use: TrustFirstUse = False,
    settings: Set = None,
    out: ResultsOut = None,
    as_json: AsJson = False,
    batch: BatchOption = 8,
    workers: Workers = None,
    device: Device = "auto",
    precision: PrecisionOption = "auto",
    backend: BackendOption = "auto",
    max_broken: MaxBroken = None,
    parquet: Annotated[bool, typer.Option("--parquet", help="Write scores.parquet as well, a table.")] = False,
) -> None:
    """Test a model on labelled videos by its recipe's protocol; scores, metrics and report go to --out."""
    from marey.backends.choose import check_backend
    from marey.data.lists.class_files import read_classes
    from marey.recipes import find_two_stream
    from marey.workflows.evaluate_model import evaluate_and_report
    from marey.workflows.two_streams import Streams, evaluate_streams

    models = NamedModels(
        model=model, fuse=fuse, weights=weights, fuse_weights=fuse_weights, untrained=untrained, settings=settings
    )
    compute = Compute(device=device, precision=precision, batch=batch, workers=workers, backend=backend)
    check_backend(compute)
    if parquet:
        pyarrow("--parquet")
    refuse_training_settings(settings)
    if fuse_data is not None and fuse is None and find_two_stream(model) is None:
        raise MareyError(f"--fuse-data {fuse_data}: is the list of a second model, and none is named: --fuse NAME.")
    second = None if fuse is None else fuse_weights or fuse
    folder = out or results_folder("evaluate", weights or model, second, data=data, split=split)
    check_folder(
        folder, data, only, fuse_data, writes=("scores.npz", "result.json", "report.html"), named=out is not None
    )
    names = None if classes is None else read_classes(classes)
    trust = models.trust_without_hash(trust_first_use, command="marey evaluate")
    opened = models.open(trust_first_use=trust, classes=names)
    with interruptible(partial(kept_tests, folder), "--out", folder):
        if isinstance(opened, Streams):
            result = evaluate_streams(
                opened, data, second=fuse_data, out=folder, root=root, classes=names, split=split, only=only,
                max_broken=max_broken, compute=compute,
            )  # fmt: skip
        else:
            result = evaluate_and_report(
                opened, data, out=folder, root=root, classes=names, split=split, only=only, max_broken=max_broken,
                compute=compute,
            )  # fmt: skip
    if processes().first:
        if parquet:
            from marey.engines.scores_table import write_scores_table

            table = write_scores_table(result, opened, data, folder, root=root, classes=names, split=split)
            notice(f"table: {table}")
        print(json_document(result.as_json()) if as_json else result.summary())
        next_steps(marey_line("predict", *models.words, first_tested(result.scores.ids, data, root)))


def report(folder: Annotated[Path, typer.Argument(help="A folder that train or evaluate wrote.")]) -> None:
    """Write report.html of a run again."""
    from marey.base.readme import write_readme
    from marey.evaluation.report.page import write_report
    from marey.workflows.classifier.finish_run import videos_shown

    print(write_report(folder, videos_shown(folder)))
    write_readme(folder)


def fuse(
    scores: Annotated[list[Path], typer.Argument(help="Two or more scores.npz of the same videos.")],
    weights: Annotated[
        str | None, typer.Option("--weights", help="The weight of each score file, for example 1,1.5; else equal.")
    ] = None,
    search_on: Annotated[
        list[Path] | None,
        typer.Option("--search-on", help="Score files of other videos, one per stream: find the weights there."),
    ] = None,
    of: Annotated[
        str, typer.Option("--of", help="What is added up: probabilities, or logits as DeepMind does.")
    ] = "probabilities",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="PATH", parser=output_file, help="Where to save the fused scores (.npz)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Join score files by video id and score their weighted sum (two-stream fusion)."""
    from marey.workflows.evaluate_model import fuse_files

    result = fuse_files(scores, weights=weights, search_on=search_on or (), of=of, out=out)
    print(json_document(result.as_json()) if as_json else result.summary())
    if out is None:
        next_steps(typed_command("--out", free_file("fused.npz")))
    elif weights is None and not search_on:
        unequal = ",".join(["1"] * (len(scores) - 1) + ["2"])
        next_steps(marey_line("fuse", *scores, "--weights", unequal, *(() if of == "probabilities" else ("--of", of))))
