"""`marey reproduce` and `marey demo`: all steps from data to a tested network, in one command."""

from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

import typer

from marey.backends.compute import Compute
from marey.base.errors import MareyError
from marey.base.runs import next_run, results_folder
from marey.base.shell import marey_line, next_steps, typed_command
from marey.cli.common.command import check_folder, json_document, resume_command
from marey.cli.common.interrupted import interruptible, kept_demo, kept_steps
from marey.cli.common.named_models import first_tested, trust_without_hash
from marey.cli.common.options import (
    AsJson,
    Data,
    Device,
    Epochs,
    FuseWeights,
    LearningRate,
    MaxBroken,
    Out,
    PrecisionOption,
    ResultsOut,
    Root,
    Set,
    TrustFirstUse,
    WeightsFile,
    Workers,
)

Ablation = Literal["imagenet", "segments"]


def reproduce(
    context: typer.Context,
    data: Data,
    row: Annotated[str | None, typer.Argument(help="A recipe's name, or that of a row of two streams.")] = None,
    train: Annotated[bool, typer.Option("--train", help="Train every stream instead of loading its weights.")] = False,
    ablation: Annotated[
        Ablation | None,
        typer.Option(
            "--ablation", help="A finding of MMAction's announcement, as a pair of trainings, without a recipe."
        ),
    ] = None,
    weights: WeightsFile = None,
    fuse_weights: FuseWeights = None,
    init: Annotated[
        list[str] | None, typer.Option("--init", help="What training starts from, once for each stream.")
    ] = None,
    trust_first_use: TrustFirstUse = False,
    splits: Annotated[
        str | None, typer.Option("--splits", help="Official splits of UCF101 and HMDB51: 1,2,3 (default: 1).")
    ] = None,
    root: Root = None,
    epochs: Epochs = None,
    lr: LearningRate = None,
    settings: Set = None,
    out: ResultsOut = None,
    as_json: AsJson = False,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Seed of everything random in training (default: 0).")
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option("--batch", min=1, help="Views in one forward pass, and clips in one of training (default: 8)."),
    ] = None,
    workers: Workers = None,
    device: Device = "auto",
    precision: PrecisionOption = "auto",
    max_broken: MaxBroken = None,
) -> None:
    """All steps of a published row: prepare the data, train or load, test, fuse, compare. A second call resumes."""
    from marey.recipe.settings import with_short_forms
    from marey.workflows.ablation import ablate
    from marey.workflows.reproduce import ReproduceOptions, check_used, names_to_fetch
    from marey.workflows.reproduce import reproduce as reproduce_row
    from marey.workflows.train_network import TrainOptions

    if (row is None) == (ablation is None):
        raise MareyError("expected a row's name, or --ablation imagenet or segments.")
    folder = out or results_folder("reproduce", weights, fuse_weights, data=data, of=row or ablation)
    check_folder(folder, data, named=out is not None)
    _check_options(splits, trains=train or ablation is not None, epochs=epochs, lr=lr)
    if ablation is not None and as_json:
        raise MareyError("--json: an ablation prints one sentence; result.json of both trainings is in --out.")
    check_used(
        row, data, train=train or ablation is not None, weights=(weights, fuse_weights), init=init or (), seed=seed,
        splits=splits, root=root,
    )  # fmt: skip
    compute = Compute(device=device, precision=precision, batch=batch, workers=workers)
    starts = (*(init or ()), None, None)[:2]
    names = [] if row is None else names_to_fetch(row, train=train, weights=(weights, fuse_weights), init=starts)
    options = ReproduceOptions(
        weights=(weights, fuse_weights),
        train=train,
        init=starts,
        splits=tuple(int(word) for word in (splits or "1").split(",")),
        settings=with_short_forms(settings or [], epochs=epochs, lr=lr),
        root=root,
        test=replace(compute, batch=8 if batch is None else batch),
        training=TrainOptions(
            seed=seed or 0,
            max_broken=max_broken,
            compute=compute,
            trust_first_use=trust_without_hash(names, trust_first_use),
            resume_command=resume_command(context, folder),
        ),
    )
    with interruptible(partial(kept_steps, folder), "--out", folder):
        if ablation is not None:
            print(ablate(ablation, data, out=folder, options=options))
            return
        assert row is not None
        reproduction = reproduce_row(row, data, out=folder, options=options)
    print(json_document(reproduction.as_json()) if as_json else reproduction.summary())
    streams = sorted(folder.rglob("last.safetensors")) if train else []
    if streams and len(reproduction.lists) == 1:
        video = first_tested(reproduction.results[0].scores.ids, reproduction.lists[0].test, root)
        next_steps(marey_line("predict", streams[0].parent, video))
    else:
        next_steps(typed_command("--json"))


def _check_options(splits: str | None, *, trains: bool, epochs: int | None, lr: float | None) -> None:
    """Refuse splits that are no official ones, and options of training where nothing is trained.

    Raises:
        MareyError: one of these was given.
    """
    if splits is not None and not all(word in ("1", "2", "3") for word in splits.split(",")):
        raise MareyError(f"--splits {splits}: expected numbers of official splits, for example 1,2,3.")
    if not trains and (epochs, lr) != (None, None):
        raise MareyError("--epochs and --lr: are for training, and nothing is trained: leave them out, or add --train.")


def demo(
    context: typer.Context,
    out: Out = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of everything random (default: 0).")] = None,
    workers: Workers = None,
    device: Device = "auto",
    network: Annotated[
        str | None,
        typer.Option("--network", help="slowonly, or tsn, which cannot see the order of frames (default: slowonly)."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the demo in --out.")] = False,
) -> None:
    """Write videos whose class is a motion, train on them, test, predict, report: a few minutes."""
    from marey.workflows.demo import run_demo

    if resume and out is None:
        raise MareyError("--resume needs the folder of the stopped demo: --out FOLDER.")
    folder = out or next_run("demo")
    with interruptible(partial(kept_demo, folder), "--resume", "--out", folder):
        run_demo(
            folder, network=network, seed=seed, workers=workers, device=device, resume=resume,
            resume_command=resume_command(context, folder, "--resume"),
        )  # fmt: skip
