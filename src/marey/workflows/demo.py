"""`marey demo`: write video files, train a network on them, test it, and predict single videos."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from marey.backends.compute import Compute
from marey.backends.device import device_text, pick_training_device
from marey.backends.precision import check_machine
from marey.base.claim import Command, OutputPath
from marey.base.errors import RecipeError, RunError
from marey.base.processes import processes
from marey.base.random import random_for
from marey.base.reporter import notice, work_summary
from marey.base.runs import STATE
from marey.base.shell import marey_line, next_steps
from marey.base.words import about, counted, percent
from marey.data.lists.manifest import Manifest
from marey.data.motions import REVERSED_PAIRS, recorded_settings, write_motions
from marey.evaluation.result import EvaluationResult
from marey.inference.predict import predict
from marey.recipe import Recipe
from marey.recipes.motions import DEMO_SIZES, MOTIONS, MotionsData
from marey.tasks.metrics import most_confused
from marey.training.fit import fit
from marey.training.folder import refuse_other_run
from marey.training.state import recorded_run
from marey.weights.load import load_model
from marey.workflows.train_network import TrainOptions, evaluate_last_checkpoint
from marey.workflows.training_time import measure_speed

_SECONDS = 200.0
"""Longest demo in seconds, by its own estimate, which assumes that nothing else runs on the machine."""
_SEEN = 0.9
"""Accuracy between a class and its mirror image, other classes ignored, 0 to 1. Above it the text states that the network
sees the motion."""


def run_demo(
    out: Path,
    *,
    network: str | None = None,
    seed: int | None = None,
    workers: int | None = None,
    device: str = "auto",
    resume: bool = False,
    resume_command: str | None = None,
    sizes: tuple[MotionsData, ...] = DEMO_SIZES,
) -> EvaluationResult:
    """Write the data set `motions`, train, test with several views per video, predict single test videos, report.

    Args:
        out: The folder for videos/, checkpoints, logs, scores.npz and report.html.
        network: "slowonly" (also None) or "tsn". The second sees single frames only, so it cannot distinguish a motion from
            its mirror image, however long it trains.
        seed: Seed of everything random; None is 0.
        resume: Resume the demo in `out`, by default with its network and seed.
        resume_command: The command line that would resume it, for README.txt; None: it is not named.
        sizes: Amounts of data, smallest first; the largest that fits into the time is chosen.

    Raises:
        RecipeError: another network.
        RunError: another run is in `out`, or with `resume` none; it holds videos of other arguments, another process works
            there, or it cannot be written; there are several processes (torchrun); or the network cannot be trained on this
            device.
    """
    if processes().world > 1:
        raise RunError("the demo runs in one process: start it without torchrun.")
    compute = Compute(device=device, workers=workers)
    check_machine(compute, training=True)
    if not resume:
        refuse_other_run(out)
    for folder in (out, out / "videos"):
        OutputPath.folder(folder).check()
    earlier = _earlier_demo(out) if resume else _EarlierDemo()
    recipe = _recipe_of(network or earlier.network)
    seed = earlier.seed if seed is None else seed
    start = time.monotonic()
    data = _plan(recipe, out / "videos", sizes, compute=compute)
    _announce_videos()
    train, test = write_motions(out / "videos", **data, seed=seed, workers=workers, command=Command.DEMO)
    notice(
        f"\n3/4  Training {recipe.title.partition(',')[0]}: {counted(len(train), 'video')} in each of "
        f"{counted(recipe.train.epochs, 'epoch')}. "
        f"Guessing would be right for 1 video in {len(train.class_names)}."
    )
    fitted = fit(
        recipe,
        train=train,
        val=test,
        out=out,
        seed=seed,
        resume=earlier.training,
        go_on=resume_command,
        compute=compute,
    )
    notice(f"\n4/4  Testing on {counted(len(test), 'video')} of new scenes")
    result = evaluate_last_checkpoint(fitted, test, out=out, options=TrainOptions(compute=compute))
    _print_outcome(result, recipe, test)
    _print_predictions(fitted.last, test, compute)
    notice(f"\nthe demo took {_in_words(time.monotonic() - start)}")
    _print_next_steps(out, test, recipe)
    return result


@dataclass(frozen=True)
class _EarlierDemo:
    """The options of a demo that was interrupted; by default those of a new one."""

    network: str = "slowonly"
    """The kind of network that the demo trains, "slowonly" by default, or "tsn"."""
    seed: int = 0
    """The seed of videos and training; 0 by default."""
    training: bool = False
    """Whether its training began; else only videos were written."""


def _earlier_demo(out: Path) -> _EarlierDemo:
    """The demo that was interrupted in `out`.

    Raises:
        RunError: there is none.
    """
    run, videos = recorded_run(out / STATE), recorded_settings(out / "videos")
    if run is not None:
        return _EarlierDemo(Recipe.model_validate_json(run["recipe"]).model.network, int(run["seed"]), training=True)
    if videos is not None:
        return _EarlierDemo(seed=int(videos["seed"]))
    raise RunError(f"{out} holds no demo to resume: leave out --resume.")


def _recipe_of(network: str) -> Recipe:
    recipe = next((r for r in MOTIONS if r.model.network == network), None)
    if recipe is None:
        raise RecipeError(f"--network {network}: the demo trains {' or '.join(r.model.network for r in MOTIONS)}.")
    return recipe


def _plan(recipe: Recipe, videos: Path, sizes: tuple[MotionsData, ...], *, compute: Compute) -> MotionsData:
    """Measure this machine, choose how many videos to write, and print how long the demo will take."""
    recorded = recorded_settings(videos)
    speed = measure_speed(recipe, sizes[0], compute=compute)
    if recorded is not None and recorded.keys() >= MotionsData.__annotations__.keys():
        # A resumed demo keeps the amount of data that it began with, whatever is measured this time.
        data = cast(MotionsData, {name: recorded[name] for name in MotionsData.__annotations__})
    else:
        data = speed.choose(recipe, sizes, seconds=_SECONDS)
    done = ", less what is done already" if recorded is not None else ""
    device = device_text(pick_training_device(compute.device))
    work_summary(
        f"{counted(data['train'] + data['test'], 'video')} to be made, {counted(2 * len(REVERSED_PAIRS), 'class')}: "
        f"{data['train']:,} to train on, {data['test']:,} held out; on {device}; {about(speed.seconds(recipe, data))}"
    )
    notice(
        f"\n1/4  This machine\n     {counted(speed.cores, 'core')}. Per second, one of them writes {_rate(speed.write)} "
        f"videos or decodes {_rate(speed.decode)} clips, and training takes {_rate(speed.train)} clips.\n"
        f"     {counted(data['train'], 'video')} to learn from and {data['test']:,} to be tested on: about "
        f"{_in_words(speed.seconds(recipe, data))} in all{done}, if nothing else runs here"
    )
    return data


def _rate(seconds: float) -> str:
    """The number per second of something that takes `seconds`."""
    return f"{1 / seconds:.0f}" if seconds < 0.1 else f"{1 / seconds:.1f}"


def _announce_videos() -> None:
    pairs = [f"{a}/{b}" for a, b in REVERSED_PAIRS]
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
        print(f"most frequent mistakes: {', '.join(_mistakes(result))}")


def _verdict(inside: float, recipe: Recipe) -> str:
    if recipe.model.network == "tsn":
        return "it sees single frames, and those are the same in both classes of a pair"
    return "it sees the motion" if inside > _SEEN else "it has not learnt the order of frames"


def _print_predictions(checkpoint: Path, test: Manifest, compute: Compute) -> None:
    print("\npredictions for single videos that it was not trained on:")
    model = load_model(checkpoint)
    for row in random_for(len(test)).permutation(len(test))[:4].tolist():
        sample = test[row]
        top = predict(model, sample.path, compute=compute).top(3)
        right = top[0][0] == test.class_names[test.labels[row]]
        shares = ", ".join(f"{label} {percent(p, 0)}" for label, p in top)
        print(f"  {sample.id}: {shares} ({'right' if right else 'wrong'})", flush=True)


def _mistakes(result: EvaluationResult) -> list[str]:
    """The most frequent mistakes: "left taken for right (3 times)"."""
    names = result.scores.class_names
    return [
        f"{names[true]} taken for {names[predicted]} ({counted(n, 'time')})"
        for true, predicted, n in most_confused(result.confusion, 3)
    ]


def _print_next_steps(out: Path, test: Manifest, recipe: Recipe) -> None:
    other, why = (
        ("slowonly", "a network that sees motion")
        if recipe.model.network == "tsn"
        else ("tsn", "a network of single frames: 50 % inside the pairs")
    )
    notice(f"report: {out / 'report.html'} shows right and wrong predictions as short films")
    next_steps(
        f"{marey_line('demo', '--network', other)}    # {why}",
        f"{marey_line('train', out / 'videos')}    # without training a network: a classifier on frozen features",
        marey_line("predict", out / "last.safetensors", test[0].file),
    )


def mirror_pairs(class_names: tuple[str, ...]) -> list[tuple[int, int]]:
    """The class indices of each mirrored pair of `motions`."""
    return [(class_names.index(a), class_names.index(b)) for a, b in REVERSED_PAIRS]


def _in_words(seconds: float) -> str:
    """A duration in words, rounded to 5 seconds or half a minute."""
    if seconds < 90:
        return f"{max(5, 5 * round(seconds / 5))} seconds"
    minutes = round(seconds / 30) / 2
    return f"{minutes:g} minutes"
