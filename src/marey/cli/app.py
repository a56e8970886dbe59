"""The `marey` command: registers all commands in the order of `marey --help`, and defines those without a module.

Each command parses, calls one function and prints; torch loads only where it is needed.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from marey.base.errors import RecipeError
from marey.base.shell import marey_line, next_steps
from marey.cli.common.command import command, json_document, print_version
from marey.cli.common.interrupted import long_command
from marey.cli.common.named_models import declared_recipe, trust_without_hash
from marey.cli.common.options import (
    AsJson,
    ModelClasses,
    OnlyAvailable,
    OnlyDataset,
    OnlyNetwork,
    Set,
    TrustFirstUse,
    WordsArgument,
    output_file,
)
from marey.cli.common.program import Program
from marey.cli.data import data
from marey.cli.evaluate import evaluate, fuse, report
from marey.cli.predict import features, merge, predict
from marey.cli.reproduce import demo, reproduce
from marey.cli.train import train
from marey.cli.videos import flow, frames, motions, resize
from marey.cli.weights import weights

app = typer.Typer(
    name="marey",
    cls=Program,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
command(data, "resize")(long_command(resize))
command(data, "frames")(long_command(frames))
command(data, "flow")(long_command(flow))
command(data, "motions")(motions)
app.add_typer(data, name="data")
app.add_typer(weights, name="weights")


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=print_version, is_eager=True, help="Versions, and nothing else.")
    ] = False,
) -> None:
    """Recognise human actions in video: train, test, predict."""


@command(app, "list")
def list_recipes(
    words: WordsArgument = None,
    network: OnlyNetwork = None,
    dataset: OnlyDataset = None,
    available: OnlyAvailable = False,
    as_json: AsJson = False,
) -> None:
    """List all recipes: published top-1, and whether one can get the weights, their size and licence."""
    from marey.workflows.recipe_table import recipe_table, select_rows, split_by_availability

    selected = select_rows(words or (), network=network, dataset=dataset)
    rows, left_out = split_by_availability(selected) if available else (selected, ())
    if as_json:
        print(json_document([row.model_dump(mode="json") for row in rows]))
    else:
        print(recipe_table(rows, left_out=left_out))


@command(app, "show")
def show(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or a YAML file written by `marey show`.")],
    settings: Set = None,
    as_json: AsJson = False,
) -> None:
    """Print an entire recipe as YAML: `marey show NAME > mine.yaml`, edit, `marey train mine.yaml --data ...`."""
    from marey.recipes import find_two_stream

    row = find_two_stream(recipe)
    if row is not None and settings:
        raise RecipeError(
            f"{recipe} is a row of two streams: --set changes one of them: marey show {row.rgb} --set ..."
        )
    shown = row or declared_recipe(recipe, settings)
    if as_json:
        print(json_document(shown.model_dump(mode="json")))
    else:
        print(shown.to_yaml(), end="")


command(app, "predict")(long_command(predict))
command(app, "features")(long_command(features))
command(app, "merge")(merge)
command(app, "evaluate")(long_command(evaluate))
command(app, "train")(long_command(train))
command(app, "reproduce")(long_command(reproduce))
command(app, "demo")(long_command(demo))


@command(app, "doctor")
def doctor(as_json: AsJson = False) -> None:
    """Check this machine: versions, decoder, network arithmetic, GPU; with a remedy for each failure."""
    from marey.workflows.doctor import examine

    report = examine()
    print(json_document(report.as_json()) if as_json else report.as_text())
    if not report.healthy:
        raise typer.Exit(1)


@command(app, "cache")
def cache(
    clear_it: Annotated[
        bool,
        typer.Option("--clear", help="Remove all of it; your own files that are linked there stay."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what Marey keeps outside run folders: where, how much, of what kind. --clear removes it."""
    from marey.base.cache import cache_contents, clear_cache, foreign_paths
    from marey.base.files import cache_folder
    from marey.workflows.doctor import cache_text

    kinds = clear_cache() if clear_it else cache_contents()
    if as_json:
        key = "removed" if clear_it else "kept"
        other = [str(path) for path in foreign_paths()]
        document = {"folder": str(cache_folder()), key: [asdict(kind) for kind in kinds], "not_of_marey": other}
        print(json_document(document))
    else:
        print(cache_text(kinds, removed=clear_it))


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
        str | None,
        typer.Option("--recipe", help="The recipe whose weights these are; inferred from the file unless given."),
    ] = None,
    classes: ModelClasses = None,
    allow_new_head: Annotated[
        bool,
        typer.Option("--allow-new-head", help="Accept weights for other classes; the head is then drawn at random."),
    ] = False,
    trust_first_use: TrustFirstUse = False,
    as_json: AsJson = False,
) -> None:
    """Convert an older toolkit's weights to one file of Marey, with recipe and class names inside."""
    from marey.workflows.convert_weights import convert_weights

    declared = declared_recipe(recipe, None) if recipe else None
    trust = trust_without_hash([file], trust_first_use)
    converted = convert_weights(
        file, out, recipe=declared, allow_new_head=allow_new_head, trust_first_use=trust, classes=classes
    )
    print(json_document(converted.as_json()) if as_json else converted.as_text())
    next_steps(marey_line("predict", converted.out, "VIDEO"))


command(app, "report")(report)
command(app, "fuse")(fuse)


def main() -> None:
    """The entry point of the `marey` command."""
    app()
