"""`marey predict` and `marey features`: a network on videos without labels."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marey.backends.compute import Compute
from marey.base.errors import MareyError
from marey.base.processes import processes
from marey.base.reporter import notice
from marey.base.runs import free_file, results_folder
from marey.base.shell import command_line, next_steps, typed_line, typed_without
from marey.base.words import counted
from marey.cli.command import (
    AsJson,
    Batch,
    Device,
    Fuse,
    FuseWeights,
    ModelClasses,
    NameOrFile,
    PrecisionOption,
    Root,
    Set,
    TrustFirstUse,
    Untrained,
    WeightsFile,
    Workers,
    check_folder,
    json_document,
    output_file,
    output_path,
)
from marey.cli.given import named, refuse_training_settings, trusted_after, trusted_models
from marey.cli.interrupted import going_on, kept_answers, kept_features
from marey.cli.tables import (
    ActorCores,
    AddressOption,
    DecodeMemory,
    DecodeSeconds,
    EngineOption,
    RayOptions,
    RetryFailed,
    ShardOption,
    Stall,
    TableBackend,
    TableOptions,
    default_backend,
)

if TYPE_CHECKING:
    from marey.base.limits import Limits
    from marey.classifier import Classifier
    from marey.data.lists.videos import VideoList
    from marey.workflows.answer_files import AnswerFiles
    from marey.workflows.two_streams import Streams


def predict(
    model: NameOrFile,
    videos: Annotated[
        list[str],
        typer.Argument(help="Video files, folders of them, lists (.txt, .csv), or addresses (s3://, https://)."),
    ],
    root: Root = None,
    classes: ModelClasses = None,
    top: Annotated[int | None, typer.Option("--top", min=1, help="How many answers per video (default: 5).")] = None,
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
            "goes on.",
        ),
    ] = None,
    as_json: AsJson = False,
    batch: Batch = 8,
    workers: Workers = None,
    device: Device = "auto",
    precision: PrecisionOption = "auto",
    backend: TableBackend = None,
    shard: ShardOption = None,
    retry_failed: RetryFailed = False,
    decode_seconds: DecodeSeconds = None,
    decode_memory: DecodeMemory = None,
    engine: EngineOption = None,
    address: AddressOption = None,
    actor_cores: ActorCores = None,
    stall: Stall = None,
) -> None:
    """Answer for videos: the most likely classes and their probabilities."""
    from marey.backends.choose import check_backend
    from marey.data.lists.class_files import read_classes
    from marey.data.lists.formats import check_root
    from marey.data.lists.listing import read_videos
    from marey.workflows.answer_files import AnswerFiles
    from marey.workflows.two_streams import open_models

    ray = RayOptions(engine, address, actor_cores, stall)
    options = TableOptions(shard, retry_failed, decode_seconds, decode_memory, ray)
    compute = Compute(
        device=device, precision=precision, batch=batch, workers=workers, backend=backend or default_backend(out)
    )
    check_backend(compute)
    refuse_training_settings(settings)
    check_root(root, *videos)
    inputs = [path for path in (model, classes, weights, fuse, fuse_weights) if path is not None]
    table = options.checked(out, *videos, *inputs)
    files = None if out is None or table else AnswerFiles.named(out)
    if files is not None:
        files.check(videos, inputs=inputs)
    names = None if classes is None else read_classes(classes)
    trust = trusted_models(
        model, fuse, weights=weights, fuse_weights=fuse_weights, untrained=untrained, settings=settings or (),
        given=trust_first_use, command="marey predict",
    )  # fmt: skip
    open_both = partial(
        open_models, model, fuse, weights=weights, fuse_weights=fuse_weights, untrained=untrained, settings=settings or (),
        trust_first_use=trust, classes=names,
    )  # fmt: skip
    if table is not None:
        from marey.data.lists.pieces import read_in_pieces
        from marey.engines.work import Answers

        pieces = read_in_pieces(videos, root=root)
        opened = _opened(open_both, names, top)
        table.fill(
            pieces, lambda count, own: Answers(opened, own, videos=count, top=top or 5), compute, as_json=as_json
        )
        return
    wanted = read_videos(videos, root=root)
    if len(wanted) == 1 or workers == 0:
        options.tell_of_no_limits()
    _answer(
        _opened(open_both, names, top), wanted, files, top=top or 5, out=out, compute=compute, limits=options.limits,
        as_json=as_json,
    )  # fmt: skip


def _opened(
    open_both: "Callable[[], Classifier | Streams]", names: Sequence[str] | None, top: int | None
) -> "Classifier | Streams":
    """The network or the two, whose classes are not named otherwise already."""
    from marey.workflows.two_streams import Streams

    opened = open_both()
    networks = opened.classifiers if isinstance(opened, Streams) else (opened,)
    if names is not None:
        for one in networks:
            one.with_classes(names)  # refuses names that are not the checkpoint's own
    known = networks[0].num_classes
    if top is not None and top > known:
        notice(f"--top {top}: the network knows {counted(known, 'class')}, and all of them are given")
    return opened


def _answer(
    model: "Classifier | Streams",
    videos: "VideoList",
    files: "AnswerFiles | None",
    *,
    top: int,
    out: str | None,
    compute: Compute,
    limits: "Limits",
    as_json: bool,
) -> None:
    """Print the answers, or write them to files.

    Raises:
        MareyError: a video cannot be read, so that the exit code is 1.
    """
    from marey.workflows.answer import answer, answers_to
    from marey.workflows.two_streams import Streams

    given = []
    with going_on(partial(kept_answers, files), *(() if out is None else ("--out", out))):
        lines = None if files is None else files.lines
        for found in answer(model, videos, top=top, out=lines, compute=compute, limits=limits):
            if found.error is not None and not (as_json or files) and len(videos) == 1:
                raise MareyError(found.error)
            if not (as_json or files):
                print(found.as_text(top), flush=True)
            if not files:
                given.append(found)
    if files:
        networks = model.classifiers if isinstance(model, Streams) else (model,)
        files.write(top, " + ".join(one.recipe.name for one in networks))
        given = answers_to(videos, files.lines)
    if as_json:
        print(json_document([a.as_json(top) for a in given]))
    elif files:
        earlier = files.count() - len(given)
        print(
            f"{files.out}: answers for {counted(len(given), 'video')}{f', and {earlier:,} of earlier calls' * (earlier > 0)}"
        )
    _say_what_to_do_with(files)
    if failed := sum(a.error is not None for a in given):
        place = out or "named above"
        raise MareyError(f"{failed} of {counted(len(videos), 'video')} could not be read ({place}).")


def _say_what_to_do_with(files: "AnswerFiles | None") -> None:
    """Look at the page of answers, or make one."""
    page = None if files is None else next((form for form in files.forms if form.suffix.lower() == ".html"), None)
    if page is not None:
        next_steps(command_line("python", "-m", "webbrowser", page.resolve().as_uri()))
    else:
        next_steps(typed_line("--out", free_file("answers.html"), given=typed_without("--out")))


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
    float16: Annotated[bool, typer.Option("--float16", help="Of a table: features in half precision.")] = False,
    as_json: AsJson = False,
    batch: Batch = 8,
    workers: Workers = None,
    device: Device = "auto",
    precision: PrecisionOption = "auto",
    backend: TableBackend = None,
    shard: ShardOption = None,
    retry_failed: RetryFailed = False,
    decode_seconds: DecodeSeconds = None,
    decode_memory: DecodeMemory = None,
    engine: EngineOption = None,
    address: AddressOption = None,
    actor_cores: ActorCores = None,
    stall: Stall = None,
) -> None:
    """Save what a network sees in each video, before its classifier: a table, or a file each; a second call goes on."""
    from marey.backends.choose import check_backend
    from marey.data.lists.formats import check_root
    from marey.data.lists.listing import read_videos
    from marey.inference.features import INDEX
    from marey.workflows.models import check_model, open_model

    ray = RayOptions(engine, address, actor_cores, stall)
    options = TableOptions(shard, retry_failed, decode_seconds, decode_memory, ray, float16)
    compute = Compute(
        device=device, precision=precision, batch=batch, workers=workers, backend=backend or default_backend(out)
    )
    check_backend(compute)
    refuse_training_settings(settings)
    check_root(root, data)
    table = options.checked(out, data, *[path for path in (model, weights) if path is not None])
    folder = out or results_folder("features", weights or model, data=data)
    if table is None:
        options.refuse_limits(out)
        check_folder(folder, data, writes=(INDEX,), named=out is not None)
    checked = partial(
        check_model, model, weights=weights, untrained=untrained, settings=settings or (), command="marey features"
    )
    trust = trusted_after(named((model, weights), untrained=untrained), trust_first_use, checked)
    open_it = partial(
        open_model, model, weights=weights, untrained=untrained, settings=settings or (), trust_first_use=trust
    )
    if table is not None:
        from marey.data.lists.pieces import read_in_pieces
        from marey.engines.work import Features

        pieces, opened = read_in_pieces([data], root=root), open_it()
        table.fill(
            pieces,
            lambda count, own: Features(opened, own, videos=count, per_clip=per_clip, half=float16),
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

    with going_on(partial(kept_features, folder), "--out", folder):
        found = write_features(model, videos, out=folder, per_clip=per_clip, compute=compute)
    if not processes().first:
        return  # the first process prints the results of all
    print(json_document(found.as_json()) if as_json else found.summary())
    if len(found):
        path = json.dumps(str(folder / file_name(found.ids[0])))
        code = f"import numpy; print(numpy.load({path}).shape)"
        next_steps(command_line("python", "-c", code))
    if found.broken:
        raise MareyError(
            f"{len(found.broken)} of {counted(found.videos, 'video')} could not be read ({folder / 'broken.jsonl'})."
        )
