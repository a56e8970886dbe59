"""`marey demo`: from nothing to a trained, tested, answering classifier, on real video files made here."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from marey.backends.compute import Compute
from marey.backends.device import device_text, pick_training_device
from marey.backends.precision import check_machine
from marey.base.claim import OutputPath
from marey.base.errors import RecipeError, RunError
from marey.base.processes import processes
from marey.base.random import random_for
from marey.base.reporter import notice, understood
from marey.base.runs import STATE
from marey.base.shell import marey_line, next_steps
from marey.base.words import about, counted, percent
from marey.data.lists.manifest import Manifest
from marey.data.motions import MIRROR_PAIRS, recorded_settings, write_motions
from marey.evaluation.result import EvaluationResult
from marey.inference.predict import predict
from marey.recipe import Recipe
from marey.recipes.motions import DEMO_SIZES, MOTIONS, MotionsData
from marey.tasks.metrics import most_confused
from marey.training.fit import fit
from marey.training.folder import refuse_other_run
from marey.training.state import recorded_run
from marey.weights.load import load_model
from marey.workflows.pace import measure_pace
from marey.workflows.train import TrainOptions, test_last

_SECONDS = 200.0
"""What the demo may take by its own estimate. The estimate leaves out what else the machine does meanwhile."""
_SEEN = 0.9
"""Accuracy inside the mirrored pairs, 0..1, above which a network counts as seeing the order of frames."""


def run_demo(
    out: Path,
    *,
    network: str | None = None,
    seed: int | None = None,
    workers: int | None = None,
    device: str = "auto",
    resume: bool = False,
    go_on: str | None = None,
    sizes: tuple[MotionsData, ...] = DEMO_SIZES,
) -> EvaluationResult:
    """Write `motions`, train, test with several views per video, answer for videos never seen, report.

    Args:
        out: Afterwards holds videos/, checkpoints, logs, scores.npz and report.html.
        network: "slowonly" (also None) or "tsn": the second sees single frames only, and so cannot distinguish a motion
            from its mirror image, however long it trains.
        seed: Of everything random; None is 0.
        resume: Resume the demo in `out` where it stopped, by default with its own network and seed.
        go_on: The command line that would resume it, for README.txt.
        sizes: How much data there may be; the largest that this machine gets through in time is taken.

    Raises:
        RecipeError: another network.
        RunError: another run lives in `out`, or with `resume` none; it holds videos of other arguments, another process
            works there, or it cannot be written; there are several processes (torchrun); or the network cannot be trained
            on this device.
    """
    if processes().world > 1:
        raise RunError("the demo runs in one process: start it without torchrun.")
    compute = Compute(device=device, workers=workers)
    check_machine(compute, training=True)
    if not resume:
        refuse_other_run(out)
    for folder in (out, out / "videos"):
        OutputPath.folder(folder).check()
    begun = _begun(out) if resume else _Begun()
    recipe = _recipe_of(network or begun.network)
    seed = begun.seed if seed is None else seed
    start = time.monotonic()
    data = _plan(recipe, out / "videos", sizes, compute=compute)
    _tell_what_is_made()
    train, test = write_motions(out / "videos", **data, seed=seed, workers=workers)
    notice(
        f"\n3/4  Training {recipe.title.partition(',')[0]}: {counted(len(train), 'video')} in each of "
        f"{counted(recipe.train.epochs, 'epoch')}. "
        f"Guessing would be right for 1 video in {len(train.class_names)}."
    )
    fitted = fit(recipe, train=train, val=test, out=out, seed=seed, resume=begun.training, go_on=go_on, compute=compute)
    notice(f"\n4/4  Testing on {counted(len(test), 'video')} of scenes that it has never seen")
    result = test_last(fitted, test, out=out, options=TrainOptions(compute=compute))
    _print_outcome(result, recipe, test)
    _print_answers(fitted.last, test, compute)
    notice(f"\nall of it took {_in_words(time.monotonic() - start)}")
    _tell_next_steps(out, test, recipe)
    return result


@dataclass(frozen=True)
class _Begun:
    """What an earlier demo in the same folder began with."""

    network: str = "slowonly"
    seed: int = 0
    training: bool = False
    """Whether its training began; else only its videos are there."""


def _begun(out: Path) -> _Begun:
    """The demo that stopped in `out`.

    Raises:
        RunError: there is none.
    """
    run, videos = recorded_run(out / STATE), recorded_settings(out / "videos")
    if run is not None:
        return _Begun(Recipe.model_validate_json(run["recipe"]).model.network, int(run["seed"]), training=True)
    if videos is not None:
        return _Begun(seed=int(videos["seed"]))
    raise RunError(f"{out} holds no demo to go on with: leave out --resume.")


def _recipe_of(network: str) -> Recipe:
    recipe = next((r for r in MOTIONS if r.model.network == network), None)
    if recipe is None:
        raise RecipeError(f"--network {network}: the demo trains {' or '.join(r.model.network for r in MOTIONS)}.")
    return recipe


def _plan(recipe: Recipe, videos: Path, sizes: tuple[MotionsData, ...], *, compute: Compute) -> MotionsData:
    """Measure this machine, choose how much to write, and say how long all of it will take."""
    begun = recorded_settings(videos)
    pace = measure_pace(recipe, sizes[0], compute=compute)
    if begun is not None and begun.keys() >= MotionsData.__annotations__.keys():
        # A stopped demo resumes with the videos that it began, whatever is measured this time.
        data = cast(MotionsData, {name: begun[name] for name in MotionsData.__annotations__})
    else:
        data = pace.choose(recipe, sizes, seconds=_SECONDS)
    done = ", less what is done already" if begun is not None else ""
    device = device_text(pick_training_device(compute.device))
    understood(
        f"{counted(data['train'] + data['test'], 'video')} to be made, {counted(2 * len(MIRROR_PAIRS), 'class')}: "
        f"{data['train']:,} to train on, {data['test']:,} held out; on {device}; {about(pace.seconds(recipe, data))}"
    )
    notice(
        f"\n1/4  This machine\n     {counted(pace.cores, 'core')}. Per second, one of them writes {_rate(pace.write)} "
        f"videos or decodes {_rate(pace.decode)} clips, and training takes {_rate(pace.train)} clips.\n"
        f"     {counted(data['train'], 'video')} to learn from and {data['test']:,} to be tested on: about "
        f"{_in_words(pace.seconds(recipe, data))} in all{done}, if nothing else runs here"
    )
    return data


def _rate(seconds: float) -> str:
    """How many of what takes so long there are in a second."""
    return f"{1 / seconds:.0f}" if seconds < 0.1 else f"{1 / seconds:.1f}"


def _tell_what_is_made() -> None:
    pairs = [f"{a}/{b}" for a, b in MIRROR_PAIRS]
    notice(
        "\n2/4  Real H.264 videos: things that move through drawn scenes\n"
        f"     {counted(2 * len(pairs), 'class')} in mirrored pairs: {', '.join(pairs[:3])},\n     {', '.join(pairs[3:])}\n"
        "     Both videos of a pair show the same frames, in opposite order: no single frame shows which is which."
    )


def _print_outcome(result: EvaluationResult, recipe: Recipe, test: Manifest) -> None:
    right, inside = round(result.top1 * result.num_videos), result.pairs(mirror_pairs(test.class_names))
    print(
        f"\n{percent(result.top1)} right: {right} of {counted(result.num_videos, 'video')} (guessing: "
        f"{percent(1 / len(test.class_names))})"
    )
    print(f"{percent(inside)} right inside the mirrored pairs (guessing: 50 %): {_verdict(inside, recipe)}")
    if right < result.num_videos:
        print(f"most frequent mistakes: {', '.join(_confusions(result))}")


def _verdict(inside: float, recipe: Recipe) -> str:
    if recipe.model.network == "tsn":
        return "it sees single frames, and those are the same in both classes of a pair"
    return "it sees the motion" if inside > _SEEN else "it has not learnt the order of frames"


def _print_answers(checkpoint: Path, test: Manifest, compute: Compute) -> None:
    print("\nanswers for single videos that it has never seen:")
    model = load_model(checkpoint)
    for row in random_for(len(test)).permutation(len(test))[:4].tolist():
        sample = test[row]
        top = predict(model, sample.path, compute=compute).top(3)
        right = top[0][0] == test.class_names[test.labels[row]]
        shares = ", ".join(f"{label} {percent(p, 0)}" for label, p in top)
        print(f"  {sample.id}: {shares} ({'right' if right else 'wrong'})", flush=True)


def _confusions(result: EvaluationResult) -> list[str]:
    """The most frequent mistakes: "left taken for right (3 times)"."""
    names = result.scores.class_names
    return [
        f"{names[true]} taken for {names[answer]} ({counted(n, 'time')})"
        for true, answer, n in most_confused(result.confusion, 3)
    ]


def _tell_next_steps(out: Path, test: Manifest, recipe: Recipe) -> None:
    other, why = (
        ("slowonly", "a network that sees motion")
        if recipe.model.network == "tsn"
        else ("tsn", "a network of single frames: 50 % inside the pairs")
    )
    notice(f"report: {out / 'report.html'} shows right and wrong answers as short films")
    next_steps(
        f"{marey_line('demo', '--network', other)}    # {why}",
        f"{marey_line('train', out / 'videos')}    # without training a network: a classifier on frozen features",
        marey_line("predict", out / "last.safetensors", test[0].file),
    )


def mirror_pairs(class_names: tuple[str, ...]) -> list[tuple[int, int]]:
    """The class indices of each mirrored pair of `motions`."""
    return [(class_names.index(a), class_names.index(b)) for a, b in MIRROR_PAIRS]


def _in_words(seconds: float) -> str:
    """A length of time, rounded, in seconds or minutes."""
    if seconds < 90:
        return f"{max(5, 5 * round(seconds / 5))} seconds"
    minutes = round(seconds / 30) / 2
    return f"{minutes:g} minutes"
