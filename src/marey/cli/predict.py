"""`marey predict`, `marey features` and `marey merge`: a network on videos without labels, and the tables it fills."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marey.backends.compute import Compute
from marey.base.errors import MareyError, RunError
from marey.base.parquet import pyarrow
from marey.base.processes import processes
from marey.base.reporter import notice
from marey.base.runs import free_file, results_folder
from marey.base.shell import command_line, next_steps, typed_command, typed_words_without
from marey.base.words import counted
from marey.cli.common.command import check_folder, json_document
from marey.cli.common.interrupted import interruptible, kept_features, kept_predictions
from marey.cli.common.named_models import NamedModels, refuse_training_settings, trust_after_check, weights_to_fetch
from marey.cli.common.options import (
    AsJson,
    Fuse,
    FuseWeights,
    ModelClasses,
    NameOrFile,
    Root,
    Set,
    TrustFirstUse,
    Untrained,
    WeightsFile,
    output_file,
    output_path,
)
from marey.cli.common.table_options import TABLE, NetworkOptions, RayOptions, TableOptions, is_table

if TYPE_CHECKING:
    from marey.base.limited.limits import Limits
    from marey.classifier import Classifier
    from marey.data.lists.videos import VideoList
    from marey.workflows.prediction_files import PredictionFiles
    from marey.workflows.two_streams import Streams


def predict(
    model: NameOrFile,
    videos: Annotated[
        list[str],
        typer.Argument(help="Video files, folders of them, lists (.txt, .csv), or addresses (s3://, https://)."),
    ],
    root: Root = None,
    classes: ModelClasses = None,
    top: Annotated[
        int | None, typer.Option("--top", min=1, help="How many of the likeliest classes per video (default: 5).")
    ] = None,
    weights: WeightsFile = None,
    fuse: Fuse = None,
    fuse_weights: FuseWeights = None,
    settings: Set = None,
    untrained: Untrained = False,
    trust_first_use: TrustFirstUse = False,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="PATH",
            parser=output_path,
            help="A .jsonl, .json, .csv or .html file, or a folder for all of them; or a .parquet table. A second call "
            "resumes.",
        ),
    ] = None,
    as_json: AsJson = False,
    computing: NetworkOptions = NetworkOptions(),  # noqa: B008 - frozen
    table: TableOptions = TableOptions(),  # noqa: B008 - frozen
    ray: RayOptions = RayOptions(),  # noqa: B008 - frozen
) -> None:
    """Predict the class of videos: the most likely classes and their probabilities."""
    from marey.data.lists.class_files import read_classes
    from marey.data.lists.read_manifest import check_root
    from marey.data.lists.read_videos import read_videos
    from marey.workflows.prediction_files import PredictionFiles

    models = NamedModels(
        model=model, fuse=fuse, weights=weights, fuse_weights=fuse_weights, untrained=untrained, settings=settings
    )
    compute = computing.checked(out)
    refuse_training_settings(settings)
    check_root(root, *videos)
    inputs = [path for path in (model, classes, weights, fuse, fuse_weights) if path is not None]
    table_output = table.checked(out, ray, *videos, *inputs)
    files = None if out is None or table_output else PredictionFiles.named(out)
    if files is not None:
        files.check(videos, inputs=inputs)
    names = None if classes is None else read_classes(classes)
    trust = models.trust_without_hash(trust_first_use, command="marey predict")
    open_models = partial(models.open, trust_first_use=trust, classes=names)
    if table_output is not None:
        from marey.data.lists.pieces import read_in_pieces
        from marey.engines.row_makers import PredictionRowMaker

        pieces = read_in_pieces(videos, root=root)
        opened = _opened_models(open_models, names, top)
        table_output.fill(
            pieces,
            lambda count, own: PredictionRowMaker(opened, own, videos=count, top=top or 5),
            compute,
            as_json=as_json,
        )
        return
    listed = read_videos(videos, root=root)
    if len(listed) == 1 or computing.workers == 0:
        table.warn_of_no_limits()
    _predict(
        _opened_models(open_models, names, top), listed, files, top=top or 5, out=out, compute=compute, limits=table.limits,
        as_json=as_json,
    )  # fmt: skip


def _opened_models(
    open_models: "Callable[[], Classifier | Streams]", names: Sequence[str] | None, top: int | None
) -> "Classifier | Streams":
    """The opened model or models; a notice if --top exceeds the number of classes.

    Raises:
        RecipeError: a checkpoint names its classes, and they are not `names`.
    """
    from marey.workflows.two_streams import Streams

    opened = open_models()
    networks = opened.classifiers if isinstance(opened, Streams) else (opened,)
    if names is not None:
        for network in networks:
            network.with_classes(names)
    known = networks[0].num_classes
    if top is not None and top > known:
        notice(f"--top {top}: the network knows {counted(known, 'class')}, and all of them are given")
    return opened


def _predict(
    model: "Classifier | Streams",
    videos: "VideoList",
    files: "PredictionFiles | None",
    *,
    top: int,
    out: str | None,
    compute: Compute,
    limits: "Limits",
    as_json: bool,
) -> None:
    """Print the predictions, or write them to files.

    Raises:
        MareyError: a video cannot be read, so that the exit code is 1.
    """
    from marey.workflows.predict_list import predict_list, predictions_of
    from marey.workflows.two_streams import Streams

    predictions = []
    with interruptible(partial(kept_predictions, files), *(() if out is None else ("--out", out))):
        lines = None if files is None else files.lines
        for prediction in predict_list(model, videos, top=top, out=lines, compute=compute, limits=limits):
            if prediction.error is not None and not (as_json or files) and len(videos) == 1:
                raise MareyError(prediction.error)
            if not (as_json or files):
                print(prediction.as_text(top), flush=True)
            if not files:
                predictions.append(prediction)
    if files:
        networks = model.classifiers if isinstance(model, Streams) else (model,)
        files.write(top, " + ".join(network.recipe.name for network in networks))
        predictions = predictions_of(videos, files.lines)
    if as_json:
        print(json_document([prediction.as_json(top) for prediction in predictions]))
    elif files:
        earlier = files.count() - len(predictions)
        of_earlier = f", and {earlier:,} of earlier calls" if earlier else ""
        print(f"{files.out}: predictions for {counted(len(predictions), 'video')}{of_earlier}")
    _print_next_steps(files)
    if failed := sum(prediction.error is not None for prediction in predictions):
        where = out or "named above"
        raise MareyError(f"{failed} of {counted(len(videos), 'video')} could not be read ({where}).")


def _print_next_steps(files: "PredictionFiles | None") -> None:
    """Print the command that opens the .html page of predictions, or the one that writes it."""
    page = (
        None if files is None else next((form for form in files.other_formats if form.suffix.lower() == ".html"), None)
    )
    if page is not None:
        next_steps(command_line("python", "-m", "webbrowser", page.resolve().as_uri()))
    else:
        next_steps(typed_command("--out", free_file("answers.html"), given=typed_words_without("--out")))


def features(
    model: NameOrFile,
    data: Annotated[
        Path, typer.Option("--data", help="A list of videos, a folder of them, or one video or its address.")
    ],
    per_clip: Annotated[
        bool,
        typer.Option("--per-clip", help="An array of clips x D for each video; else of D, the mean over all views."),
    ] = False,
    root: Root = None,
    weights: WeightsFile = None,
    untrained: Untrained = False,
    trust_first_use: TrustFirstUse = False,
    settings: Set = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="PATH",
            parser=output_file,
            help="A .parquet table of all videos, or a folder of one .npy each (default: the folder features-<list>-<n> "
            "inside the run whose checkpoint is given, else runs/<name>-features-<n>).",
        ),
    ] = None,
    float16: Annotated[bool, typer.Option("--float16", help="For a table: features in half precision.")] = False,
    as_json: AsJson = False,
    computing: NetworkOptions = NetworkOptions(),  # noqa: B008 - frozen
    table: TableOptions = TableOptions(),  # noqa: B008 - frozen
    ray: RayOptions = RayOptions(),  # noqa: B008 - frozen
) -> None:
    """Save the features of each video, before the head: a table, or a file each; a second call resumes."""
    from marey.data.lists.read_manifest import check_root
    from marey.data.lists.read_videos import read_videos
    from marey.inference.features import INDEX
    from marey.workflows.open_model import check_model, open_model

    compute = computing.checked(out)
    refuse_training_settings(settings)
    check_root(root, data)
    inputs = [path for path in (model, weights) if path is not None]
    table_output = table.checked(out, ray, data, *inputs, float16=float16)
    folder = out or results_folder("features", weights or model, data=data)
    if table_output is None:
        table.refuse_limits(out)
        check_folder(folder, data, writes=(INDEX,), named=out is not None)
    check = partial(
        check_model, model, weights=weights, untrained=untrained, settings=settings or (), command="marey features"
    )
    trust = trust_after_check(weights_to_fetch((model, weights), untrained=untrained), trust_first_use, check)
    open_it = partial(
        open_model, model, weights=weights, untrained=untrained, settings=settings or (), trust_first_use=trust
    )
    if table_output is not None:
        from marey.data.lists.pieces import read_in_pieces
        from marey.engines.row_makers import FeatureRowMaker

        pieces, opened = read_in_pieces([data], root=root), open_it()
        table_output.fill(
            pieces,
            lambda count, own: FeatureRowMaker(opened, own, videos=count, per_clip=per_clip, half=float16),
            compute,
            as_json=as_json,
        )
        return
    videos = read_videos(data, root=root)
    _write_features(open_it(), videos, folder, per_clip=per_clip, compute=compute, as_json=as_json)


def _write_features(
    model: "Classifier", videos: "VideoList", folder: Path, *, per_clip: bool, compute: Compute, as_json: bool
) -> None:
    """Write a file for each video into a folder.

    Raises:
        MareyError: a video cannot be read, so that the exit code is 1.
    """
    from marey.inference.features import features as write_features
    from marey.inference.features import file_name

    with interruptible(partial(kept_features, folder), "--out", folder):
        written = write_features(model, videos, out=folder, per_clip=per_clip, compute=compute)
    if not processes().first:
        return  # the first process prints the results of all
    print(json_document(written.as_json()) if as_json else written.summary())
    if len(written):
        path = json.dumps(str(folder / file_name(written.ids[0])))
        code = f"import numpy; print(numpy.load({path}).shape)"
        next_steps(command_line("python", "-c", code))
    if written.broken:
        broken, videos_text = len(written.broken), counted(written.videos, "video")
        raise MareyError(f"{broken} of {videos_text} could not be read ({folder / 'broken.jsonl'}).")


def merge(
    tables: Annotated[list[Path], typer.Argument(help="The tables of all shards of a list, in any order.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="PATH", parser=output_file, help="The table to write: NAME.parquet.")
    ],
    as_json: AsJson = False,
) -> None:
    """Merge the tables of all shards of a list to one: no row may be missing or repeated."""
    if not is_table(out):
        raise RunError(f"--out {out}: a table is written, whose name ends with {TABLE}.")
    pyarrow(f"{out}: a table")
    from marey.engines.merge import merge_tables

    summary = merge_tables(tables, out)
    print(json_document(summary.as_json()) if as_json else summary.as_text())
