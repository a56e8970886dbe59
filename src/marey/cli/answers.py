"""`marey predict` and `marey features`: a network on videos without labels."""

import json
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
    BackendOption,
    Batch,
    Device,
    Fuse,
    FuseWeights,
    ModelClasses,
    NameOrFile,
    PrecisionOption,
    ResultsOut,
    Root,
    Set,
    TrustFirstUse,
    Untrained,
    WeightsFile,
    Workers,
    check_folder,
    json_document,
    output_path,
)
from marey.cli.given import named, refuse_training_settings, trusted_after, trusted_models
from marey.cli.interrupted import going_on, kept_answers, kept_features

if TYPE_CHECKING:
    from marey.workflows.answer_files import AnswerFiles


def predict(
    model: NameOrFile,
    videos: Annotated[list[Path], typer.Argument(help="Video files, folders of them, or lists (.txt, .csv).")],
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
            help="A .jsonl, .json, .csv or .html file, or a folder for all of them; a second call goes on.",
        ),
    ] = None,
    as_json: AsJson = False,
    batch: Batch = 8,
    workers: Workers = None,
    device: Device = "auto",
    precision: PrecisionOption = "auto",
    backend: BackendOption = "auto",
) -> None:
    """Answer for videos: the most likely classes and their probabilities."""
    from marey.backends.choose import check_backend
    from marey.data.class_files import read_classes
    from marey.data.formats import check_root
    from marey.data.listing import read_videos
    from marey.workflows.answer import answer, answers_to
    from marey.workflows.answer_files import AnswerFiles
    from marey.workflows.two_streams import Streams, open_models

    compute = Compute(device=device, precision=precision, batch=batch, workers=workers, backend=backend)
    check_backend(compute)
    refuse_training_settings(settings)
    check_root(root, *videos)
    files = None if out is None else AnswerFiles.named(out)
    if files is not None:
        files.check(videos, inputs=filter(None, (model, classes, weights, fuse, fuse_weights)))
    names = None if classes is None else read_classes(classes)
    trust = trusted_models(
        model, fuse, weights=weights, fuse_weights=fuse_weights, untrained=untrained, settings=settings or (),
        given=trust_first_use, command="marey predict",
    )  # fmt: skip
    wanted = read_videos(videos, root=root)
    opened = open_models(
        model, fuse, weights=weights, fuse_weights=fuse_weights, untrained=untrained, settings=settings or (),
        trust_first_use=trust, classes=names,
    )  # fmt: skip
    networks = opened.classifiers if isinstance(opened, Streams) else (opened,)
    if names is not None:
        for one in networks:
            one.with_classes(names)  # refuses names that are not the checkpoint's own
    known, count = networks[0].num_classes, 5 if top is None else top
    _say_how_many(top, known)
    given = []
    with going_on(partial(kept_answers, files), *(() if out is None else ("--out", out))):
        for found in answer(opened, wanted, top=count, out=None if files is None else files.lines, compute=compute):
            if found.error is not None and not (as_json or files) and len(wanted) == 1:
                raise MareyError(found.error)
            if not (as_json or files):
                print(found.as_text(count), flush=True)
            if not files:
                given.append(found)
    if files:
        files.write(count, " + ".join(one.recipe.name for one in networks))
        given = answers_to(wanted, files.lines)
    if as_json:
        print(json_document([a.as_json(count) for a in given]))
    elif files:
        earlier = files.count() - len(given)
        print(
            f"{files.out}: answers for {counted(len(given), 'video')}{f', and {earlier:,} of earlier calls' * (earlier > 0)}"
        )
    _say_what_to_do_with(files)
    if failed := sum(a.error is not None for a in given):
        place = out or "named above"
        raise MareyError(f"{failed} of {counted(len(wanted), 'video')} could not be read ({place}).")


def _say_how_many(top: int | None, known: int) -> None:
    if top is not None and top > known:
        notice(f"--top {top}: the network knows {counted(known, 'class')}, and all of them are given")


def _say_what_to_do_with(files: "AnswerFiles | None") -> None:
    """Look at the page of answers, or make one."""
    page = None if files is None else next((form for form in files.forms if form.suffix.lower() == ".html"), None)
    if page is not None:
        next_steps(command_line("python", "-m", "webbrowser", page.resolve().as_uri()))
    else:
        next_steps(typed_line("--out", free_file("answers.html"), given=typed_without("--out")))


def features(
    model: NameOrFile,
    data: Annotated[Path, typer.Option("--data", help="A list of videos, a folder of them, or one video.")],
    per_clip: Annotated[
        bool,
        typer.Option("--per-clip", help="An array of clips x D for each video; else of D, the mean over all views."),
    ] = False,
    root: Root = None,
    weights: WeightsFile = None,
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
) -> None:
    """Save what a network sees in each video, before its classifier: one float32 .npy each; a second call goes on."""
    from marey.backends.choose import check_backend
    from marey.data.formats import check_root
    from marey.data.listing import read_videos
    from marey.inference.features import INDEX, file_name
    from marey.inference.features import features as write_features
    from marey.workflows.models import check_model, open_model

    compute = Compute(device=device, precision=precision, batch=batch, workers=workers, backend=backend)
    check_backend(compute)
    refuse_training_settings(settings)
    check_root(root, data)
    folder = out or results_folder("features", weights or model, data=data)
    check_folder(folder, data, writes=(INDEX,), named=out is not None)
    checked = partial(
        check_model, model, weights=weights, untrained=untrained, settings=settings or (), command="marey features"
    )
    trust = trusted_after(named((model, weights), untrained=untrained), trust_first_use, checked)
    videos = read_videos(data, root=root)
    opened = open_model(model, weights=weights, untrained=untrained, settings=settings or (), trust_first_use=trust)
    with going_on(partial(kept_features, folder), "--out", folder):
        found = write_features(opened, videos, out=folder, per_clip=per_clip, compute=compute)
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
