"""The `marey` command. Each command parses, calls one function and prints; torch loads only where it is needed."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from marey.base.errors import MareyError, RecipeError
from marey.base.processes import rank
from marey.cli.command import (
    AsJson,
    Batch,
    Device,
    Out,
    Precision,
    Root,
    Seed,
    Set,
    Workers,
    command,
    next_run,
)
from marey.cli.data import data

app = typer.Typer(
    name="marey",
    help="Recognise human actions in video: train, test, answer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data, name="data")

NameOrFile = Annotated[str, typer.Argument(help="A recipe's name, or a .safetensors file that training left.")]
NameOrYaml = Annotated[str, typer.Argument(help="A recipe's name, or a YAML file written by `marey show`.")]
Data = Annotated[Path, typer.Option("--data", help="A list of videos and labels, or a folder per class.")]
WeightsFile = Annotated[Path | None, typer.Option("--weights", help="A checkpoint, ours or an older toolkit's.")]
Untrained = Annotated[bool, typer.Option("--untrained", help="Random weights: to try the path or time it.")]


@command(app, "list")
def list_recipes(as_json: AsJson = False) -> None:
    """Name every recipe: network, data set, published accuracy."""
    from marey.recipes import RECIPES

    if as_json:
        print(json.dumps([r.model_dump(mode="json") for r in RECIPES], indent=2, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("recipe", "network", "data set", "starts from", "top-1", "top-5", "weights", box=None, pad_edge=False)
    for r in RECIPES:
        numbers = (r.published.top1, r.published.top5) if r.published else (None, None)
        top1, top5 = ("" if number is None else f"{number:.1f}" for number in numbers)
        weights = "published" if r.weights else ""
        table.add_row(r.name, r.model.network, r.dataset, r.pretraining or "scratch", top1, top5, weights)
    # A pipe has no width: a name cut short by a guess of 80 columns would be no use to grep.
    Console(width=None if sys.stdout.isatty() else 200).print(table)


@command(app, "show")
def show(recipe: NameOrYaml, settings: Set = None, as_json: AsJson = False) -> None:
    """Print a whole recipe as YAML: `marey show NAME > mine.yaml`, edit, `marey train mine.yaml --data ...`."""
    found = _recipe(recipe, settings)
    if as_json:
        print(json.dumps(found.model_dump(mode="json"), indent=2, ensure_ascii=False))
    else:
        print(found.to_yaml(), end="")


@command(app, "predict")
def predict(
    model: NameOrFile,
    videos: Annotated[list[Path], typer.Argument(help="Video files, folders of them, or lists (.txt, .csv).")],
    top: Annotated[int, typer.Option("--top", min=1, help="How many answers per video.")] = 5,
    weights: WeightsFile = None,
    untrained: Untrained = False,
    settings: Set = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="A .jsonl file, one line per video; a second call goes on.")
    ] = None,
    as_json: AsJson = False,
    batch: Batch = 8,
    device: Device = "auto",
    precision: Precision = "float32",
) -> None:
    """Answer for videos: the most likely classes and their probabilities."""
    from marey.workflows.answer import answer, videos_of
    from marey.workflows.models import open_model

    paths = videos_of(videos)
    network = open_model(model, weights=weights, untrained=untrained, settings=settings or ())
    answers = answer(network, paths, top=top, out=out, batch=batch, device=device, precision=precision)
    if as_json:
        print(json.dumps([a.as_json() for a in answers], indent=2, ensure_ascii=False))
        return
    failed = 0
    for a in answers:
        print(a.as_text(), flush=True)
        failed += a.error is not None
    if failed:
        raise MareyError(f"{failed} of {len(paths)} videos could not be read (named above).")


@command(app, "evaluate")
def evaluate(
    model: NameOrFile,
    data: Data,
    split: Annotated[str | None, typer.Option("--split", help="Only the rows of this split.")] = None,
    root: Root = None,
    weights: WeightsFile = None,
    untrained: Untrained = False,
    settings: Set = None,
    out: Out = None,
    as_json: AsJson = False,
    batch: Batch = 8,
    workers: Workers = 2,
    device: Device = "auto",
    precision: Precision = "float32",
) -> None:
    """Test a model on labelled videos by its recipe's protocol; scores, metrics and report go to --out."""
    from marey.workflows.models import open_model
    from marey.workflows.testing import test_model

    network = open_model(model, weights=weights, untrained=untrained, settings=settings or ())
    folder = out or next_run(f"{Path(model).stem}-evaluate")
    result = test_model(
        network,
        data,
        out=folder,
        split=split,
        root=root,
        batch=batch,
        workers=workers,
        device=device,
        precision=precision,
    )
    if rank() == 0:
        print(json.dumps(result.as_json(), indent=2, ensure_ascii=False) if as_json else result.summary())


@command(app, "train")
def train(
    recipe: Annotated[str, typer.Argument(help="A folder per class; or a recipe's name or YAML file, with --data.")],
    data: Annotated[Path | None, typer.Option("--data", help="Training videos: a list, or a folder per class.")] = None,
    val: Annotated[
        Path | None, typer.Option("--val", help="Validation videos; else the list's own split column.")
    ] = None,
    root: Root = None,
    init: Annotated[
        str | None, typer.Option("--init", help="Weights to start from: a checkpoint file, or none.")
    ] = None,
    settings: Set = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    out: Out = None,
    seed: Seed = 0,
    batch: Annotated[
        int | None,
        typer.Option("--batch", min=1, help="Clips per pass and process; accumulated to the recipe's."),
    ] = None,
    workers: Workers = 2,
    device: Device = "auto",
    precision: Annotated[
        str | None, typer.Option("--precision", help="float32 or bfloat16; else the recipe's.")
    ] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard files too.")] = False,
) -> None:
    """Train: `marey train FOLDER` for your own clips, or `marey train NAME --data LIST` for a recipe."""
    from marey.workflows.train import TrainOptions, train_folder, train_recipe

    if resume and out is None:
        raise MareyError("--resume: name the run to go on with, for example --out runs/mine-1.")
    options = TrainOptions(
        seed=seed, batch=batch, workers=workers, device=device, precision=precision, resume=resume,
        init=init, root=root, tensorboard=tensorboard,
    )  # fmt: skip
    if Path(recipe).is_dir() and data is None:
        folder = out or next_run(Path(recipe).resolve().name)
        train_folder(Path(recipe), settings=settings or (), out=folder, options=options)
        return
    found = _recipe(recipe, settings)
    if data is None:
        raise MareyError(f"marey train {recipe}: name the videos with --data LIST_OR_FOLDER.")
    train_recipe(found, data, val=val, out=out or next_run(found.name), options=options)


@command(app, "demo")
def demo(
    out: Out = None,
    seed: Seed = 0,
    workers: Workers = 2,
    device: Device = "auto",
    network: Annotated[
        str, typer.Option("--network", help="slowonly, or tsn: the one that cannot see order.")
    ] = "slowonly",
) -> None:
    """Generate real video files whose class is a motion, train on them, test, answer, report."""
    from marey.workflows.demo import run_demo

    run_demo(out or next_run("demo"), network=network, seed=seed, workers=workers, device=device)


@command(app, "doctor")
def doctor(as_json: AsJson = False) -> None:
    """Check this machine: versions, decoder, network arithmetic, GPU; say what to mend."""
    from marey.workflows.doctor import examine

    report = examine()
    print(json.dumps(report.as_json(), indent=2) if as_json else report.as_text())
    if not report.healthy:
        raise typer.Exit(1)


@command(app, "convert")
def convert(
    file: Annotated[Path, typer.Argument(help="An older toolkit's checkpoint, or ours.")],
    out: Annotated[Path, typer.Option("--out", help="The .safetensors file to write.")],
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="What the weights belong to; else told from the file.")
    ] = None,
) -> None:
    """Turn an older toolkit's weights into one file of ours, with recipe and class names inside."""
    from marey.workflows.models import convert_weights

    print(convert_weights(file, out, recipe=_recipe(recipe, None) if recipe else None))


@command(app, "report")
def report(folder: Annotated[Path, typer.Argument(help="A folder that train or evaluate left.")]) -> None:
    """Write report.html of a run anew."""
    from marey.evaluation.report import write_report

    print(write_report(folder))


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
    out: Annotated[Path | None, typer.Option("--out", help="Where to save the fused scores (.npz).")] = None,
    as_json: AsJson = False,
) -> None:
    """Join score files by video id and score their weighted sum (two-stream fusion)."""
    from marey.workflows.testing import fuse_files

    result = fuse_files(scores, weights=weights, search_on=search_on or (), of=of, out=out)
    print(json.dumps(result.as_json(), indent=2, ensure_ascii=False) if as_json else result.summary())


def _recipe(name_or_yaml: str, settings: list[str] | None):  # type: ignore[no-untyped-def]
    """A recipe by name or from a YAML file, with `--set` applied."""
    from marey.recipe import read_recipe
    from marey.recipes import get_recipe

    is_file = name_or_yaml.endswith((".yaml", ".yml")) or Path(name_or_yaml).is_file()
    if Path(name_or_yaml).is_dir():
        raise RecipeError(f"{name_or_yaml} is a folder; with --data the first word is a recipe's name or YAML file.")
    found = read_recipe(name_or_yaml) if is_file else get_recipe(name_or_yaml)
    return found.with_settings(settings) if settings else found


def main() -> None:
    """The entry point of the `marey` command."""
    app()
