"""The `marey` command. Each command parses, calls one function and prints; torch loads only where it is needed."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from marey.backends.compute import Compute
from marey.base.errors import MareyError, RecipeError
from marey.base.parquet import pyarrow
from marey.base.processes import processes
from marey.base.runs import free_file, next_run, results_folder
from marey.base.shell import marey_line, next_steps, typed_line
from marey.cli.answers import features, predict
from marey.cli.cache import cache
from marey.cli.command import (
    AsJson,
    BackendOption,
    Batch,
    Classes,
    Device,
    Epochs,
    Fuse,
    FuseWeights,
    LearningRate,
    MaxBroken,
    ModelClasses,
    NameOrFile,
    OnlyAvailable,
    OnlyDataset,
    OnlyNetwork,
    Out,
    PrecisionOption,
    ResultsOut,
    Root,
    Set,
    TrustFirstUse,
    Untrained,
    WeightsFile,
    Words,
    Workers,
    check_folder,
    command,
    go_on_with,
    json_document,
    output_file,
    print_version,
    trusted,
)
from marey.cli.data import data
from marey.cli.flow import flow
from marey.cli.given import declared_recipe, first_tested, refuse_training_settings, same_model, trusted_models
from marey.cli.interrupted import going_on, kept_demo, kept_steps, kept_tests, long_command
from marey.cli.motions import motions
from marey.cli.program import Program
from marey.cli.tables import merge, write_scores_table
from marey.cli.train import train
from marey.cli.weights import weights

app = typer.Typer(
    name="marey",
    cls=Program,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
command(data, "flow")(flow)
command(data, "motions")(motions)
app.add_typer(data, name="data")
app.add_typer(weights, name="weights")


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=print_version, is_eager=True, help="Versions, and nothing else.")
    ] = False,
) -> None:
    """Recognise human actions in video: train, test, answer."""


NameOrYaml = Annotated[str, typer.Argument(help="A recipe's name, or a YAML file written by `marey show`.")]
Data = Annotated[Path, typer.Option("--data", help="A list of videos and labels, or a folder per class.")]


@command(app, "list")
def list_recipes(
    words: Words = None,
    network: OnlyNetwork = None,
    dataset: OnlyDataset = None,
    available: OnlyAvailable = False,
    as_json: AsJson = False,
) -> None:
    """Name every recipe: its published top-1, and whether one can get its weights, how large, under which licence."""
    from marey.cli.listing import by_availability, rows_of, table

    described = rows_of(words or (), network=network, dataset=dataset)
    rows, left_out = by_availability(described) if available else (described, ())
    print(json_document([row.model_dump(mode="json") for row in rows]) if as_json else table(rows, left_out=left_out))


@command(app, "show")
def show(recipe: NameOrYaml, settings: Set = None, as_json: AsJson = False) -> None:
    """Print a whole recipe as YAML: `marey show NAME > mine.yaml`, edit, `marey train mine.yaml --data ...`."""
    from marey.recipes import find_two_stream

    row = find_two_stream(recipe)
    if row is not None and settings:
        raise RecipeError(
            f"{recipe} is a row of two streams: --set changes one of them: marey show {row.rgb} --set ..."
        )
    found = row or declared_recipe(recipe, settings)
    if as_json:
        print(json_document(found.model_dump(mode="json")))
    else:
        print(found.to_yaml(), end="")


command(app, "predict")(long_command(predict))
command(app, "features")(long_command(features))
command(app, "merge")(merge)


@command(app, "evaluate")
@long_command
def evaluate(
    model: NameOrFile,
    data: Data,
    split: Annotated[str | None, typer.Option("--split", help="Only the rows of this split.")] = None,
    root: Root = None,
    classes: Classes = None,
    only: Annotated[Path | None, typer.Option("--only", help="Score only the videos that this list names too.")] = None,
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
    batch: Batch = 8,
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
    from marey.workflows.testing import test_model
    from marey.workflows.two_streams import Streams, open_models, test_streams

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
    trust = trusted_models(
        model, fuse, weights=weights, fuse_weights=fuse_weights, untrained=untrained, settings=settings or (),
        given=trust_first_use, command="marey evaluate",
    )  # fmt: skip
    opened = open_models(
        model, fuse, weights=weights, fuse_weights=fuse_weights, untrained=untrained, settings=settings or (),
        trust_first_use=trust, classes=names,
    )  # fmt: skip
    with going_on(partial(kept_tests, folder), "--out", folder):
        if isinstance(opened, Streams):
            result = test_streams(
                opened, data, second=fuse_data, out=folder, root=root, classes=names, split=split, only=only,
                max_broken=max_broken, compute=compute,
            )  # fmt: skip
        else:
            result = test_model(
                opened, data, out=folder, root=root, classes=names, split=split, only=only, max_broken=max_broken,
                compute=compute,
            )  # fmt: skip
    if processes().first:
        if parquet:
            write_scores_table(result, opened, data, folder, root=root, classes=names, split=split)
        print(json_document(result.as_json()) if as_json else result.summary())
        words = same_model(
            model, fuse, weights=weights, fuse_weights=fuse_weights, untrained=untrained, settings=settings
        )
        next_steps(marey_line("predict", *words, first_tested(result.scores.ids, data, root)))


command(app, "train")(long_command(train))


@command(app, "reproduce")
@long_command
def reproduce(
    context: typer.Context,
    data: Data,
    row: Annotated[str | None, typer.Argument(help="A recipe's name, or that of a row of two streams.")] = None,
    train: Annotated[bool, typer.Option("--train", help="Train every stream instead of loading its weights.")] = False,
    ablation: Annotated[
        Literal["imagenet", "segments"] | None,
        typer.Option("--ablation", help="One of the announcement's findings, as a pair of trainings; needs no row."),
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
    """All steps of a published row: prepare the data, train or load, test, fuse, compare. A second call goes on."""
    from marey.recipe.settings import with_short_forms
    from marey.workflows.reproduce import How, ablate, check_used, names_to_fetch
    from marey.workflows.reproduce import reproduce as run
    from marey.workflows.train import TrainOptions

    if (row is None) == (ablation is None):
        raise MareyError("expected a row's name, or --ablation imagenet or segments.")
    folder = out or results_folder("reproduce", weights, fuse_weights, data=data, of=row or ablation)
    check_folder(folder, data, named=out is not None)
    if splits is not None and not all(word in ("1", "2", "3") for word in splits.split(",")):
        raise MareyError(f"--splits {splits}: expected numbers of official splits, for example 1,2,3.")
    if not (train or ablation) and (epochs, lr) != (None, None):
        raise MareyError("--epochs and --lr: are for training, and nothing is trained: leave them out, or add --train.")
    if ablation is not None and as_json:
        raise MareyError("--json: an ablation prints one sentence; result.json of both trainings lies in --out.")
    check_used(
        row, data, train=train or ablation is not None, weights=(weights, fuse_weights), init=init or (), seed=seed,
        splits=splits, root=root,
    )  # fmt: skip
    compute = Compute(device=device, precision=precision, batch=batch, workers=workers)
    starts = (*(init or ()), None, None)[:2]
    names = [] if row is None else names_to_fetch(row, train=train, weights=(weights, fuse_weights), init=starts)
    trust = trusted(names, trust_first_use)
    how = How(
        weights=(weights, fuse_weights),
        train=train,
        init=starts,
        splits=tuple(int(word) for word in (splits or "1").split(",")),
        settings=with_short_forms(settings or [], epochs=epochs, lr=lr),
        root=root,
        test=replace(compute, batch=8 if batch is None else batch),
        options=TrainOptions(
            seed=seed or 0,
            max_broken=max_broken,
            compute=compute,
            trust_first_use=trust,
            go_on=go_on_with(context, folder),
        ),
    )
    if ablation is not None:
        with going_on(partial(kept_steps, folder), "--out", folder):
            print(ablate(ablation, data, out=folder, how=how))
        return
    assert row is not None
    with going_on(partial(kept_steps, folder), "--out", folder):
        found = run(row, data, out=folder, how=how)
    print(json_document(found.as_json()) if as_json else found.summary())
    streams = sorted(folder.rglob("last.safetensors")) if train else []
    if streams and len(found.lists) == 1:
        next_steps(
            marey_line(
                "predict", streams[0].parent, first_tested(found.results[0].scores.ids, found.lists[0].test, root)
            )
        )
    else:
        next_steps(typed_line("--json"))


@command(app, "demo")
@long_command
def demo(
    context: typer.Context,
    out: Out = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of everything random (default: 0).")] = None,
    workers: Workers = None,
    device: Device = "auto",
    network: Annotated[
        str | None,
        typer.Option("--network", help="slowonly, or tsn: the one that cannot see order (default: slowonly)."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the stopped demo in --out.")] = False,
) -> None:
    """Write videos whose class is a motion, train on them, test, answer, report: a few minutes."""
    from marey.workflows.demo import run_demo

    if resume and out is None:
        raise MareyError("--resume needs the folder of the stopped demo: --out FOLDER.")
    folder = out or next_run("demo")
    with going_on(partial(kept_demo, folder), "--resume", "--out", folder):
        run_demo(
            folder, network=network, seed=seed, workers=workers, device=device, resume=resume,
            go_on=go_on_with(context, folder, "--resume"),
        )  # fmt: skip


@command(app, "doctor")
def doctor(as_json: AsJson = False) -> None:
    """Check this machine: versions, decoder, network arithmetic, GPU; say what to mend."""
    from marey.workflows.doctor import examine

    report = examine()
    print(json_document(report.as_json()) if as_json else report.as_text())
    if not report.healthy:
        raise typer.Exit(1)


command(app, "cache")(cache)


@command(app, "convert")
def convert(
    file: Annotated[str, typer.Argument(help="An older toolkit's checkpoint, or ours: a file or an address.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="PATH",
            parser=output_file,
            help="The .safetensors file to write; without an ending a folder.",
        ),
    ],
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="What the weights belong to; inferred from the file unless given.")
    ] = None,
    classes: ModelClasses = None,
    allow_new_head: Annotated[
        bool, typer.Option("--allow-new-head", help="Take weights for other classes; the classifier starts fresh.")
    ] = False,
    trust_first_use: TrustFirstUse = False,
    as_json: AsJson = False,
) -> None:
    """Turn an older toolkit's weights into one file of ours, with recipe and class names inside."""
    from marey.workflows.models import convert_weights

    declared = declared_recipe(recipe, None) if recipe else None
    trust = trusted([file], trust_first_use)
    made = convert_weights(
        file, out, recipe=declared, allow_new_head=allow_new_head, trust_first_use=trust, classes=classes
    )
    print(json_document(made.as_json()) if as_json else made.as_text())
    next_steps(marey_line("predict", made.out, "VIDEO"))


@command(app, "report")
def report(folder: Annotated[Path, typer.Argument(help="A folder that train or evaluate left.")]) -> None:
    """Write report.html of a run anew."""
    from marey.base.readme import write_readme
    from marey.evaluation.report.page import write_report
    from marey.workflows.classifier.finish import clips_shown

    print(write_report(folder, clips_shown(folder)))
    write_readme(folder)


@command(app, "fuse")
def fuse(
    scores: Annotated[list[Path], typer.Argument(help="Two or more scores.npz of the same videos.")],
    weights: Annotated[
        str | None, typer.Option("--weights", help="One number each, for example 1,1.5; else equal.")
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
    from marey.workflows.testing import fuse_files

    result = fuse_files(scores, weights=weights, search_on=search_on or (), of=of, out=out)
    print(json_document(result.as_json()) if as_json else result.summary())
    if out is None:
        next_steps(typed_line("--out", free_file("fused.npz")))
    elif weights is None and not search_on:
        unequal = ",".join(["1"] * (len(scores) - 1) + ["2"])
        next_steps(marey_line("fuse", *scores, "--weights", unequal, *(() if of == "probabilities" else ("--of", of))))


def main() -> None:
    """The entry point of the `marey` command."""
    app()
