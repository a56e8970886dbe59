"""`marey demo`: from nothing to a trained, tested, answering classifier, on real video files made here."""

import time
from pathlib import Path
from typing import cast

from marey.base.errors import RecipeError
from marey.base.progress import say
from marey.base.random import random_for
from marey.data.manifest import Manifest
from marey.data.motions import MIRROR_PAIRS, recorded_settings, write_motions
from marey.evaluation.evaluate import EvaluationResult
from marey.inference.predict import predict
from marey.recipe import Recipe
from marey.recipes.motions import DEMO_SIZES, MOTIONS, MotionsData
from marey.training.fit import fit
from marey.training.folder import refuse_other_run
from marey.weights.load import load_model
from marey.workflows.pace import measure_pace
from marey.workflows.testing import test_model

_SECONDS = 200.0
"""What the demo may take by its own estimate. The estimate leaves out what else the machine does meanwhile."""


def run_demo(
    out: Path,
    *,
    network: str = "slowonly",
    seed: int = 0,
    workers: int | None = None,
    device: str = "auto",
    resume: bool = False,
    sizes: tuple[MotionsData, ...] = DEMO_SIZES,
) -> EvaluationResult:
    """Write `motions`, train, test with several views per video, answer for videos never seen, report.

    Args:
        out: Afterwards holds videos/, checkpoints, logs, scores.npz and report.html.
        network: "slowonly" or "tsn": the second sees single frames only, and so cannot tell a motion from its mirror,
            however long it trains.
        resume: Go on with the demo in `out`, whose training was stopped.
        sizes: How much data there may be; the largest that this machine gets through in time is taken.

    Raises:
        RecipeError: another network.
        RunError: another run lives in `out`.
    """
    recipe = next((r for r in MOTIONS if r.model.network == network), None)
    if recipe is None:
        raise RecipeError(f"--network {network}: the demo trains {' or '.join(r.model.network for r in MOTIONS)}.")
    if not resume:
        refuse_other_run(out)
    start = time.monotonic()
    data = _plan(recipe, out / "videos", sizes, device=device, workers=workers)
    _say_what_is_made()
    train, test = write_motions(out / "videos", **data, seed=seed, workers=workers)
    say(
        f"\n3/4  Training {recipe.title.partition(',')[0]} on {len(train):,} videos, {recipe.train.epochs} times over. At "
        f"first it guesses: 1 in {len(train.class_names)} is right."
    )
    fitted = fit(recipe, train=train, val=test, out=out, seed=seed, workers=workers, device=device, resume=resume)
    say(f"\n4/4  Testing on {len(test)} videos of scenes that it has never seen")
    # The last checkpoint, not the best: an epoch chosen by these very videos would flatter the number.
    result = test_model(load_model(fitted.last), test, out=out, workers=workers, device=device)
    _print_outcome(result, test, fitted.last, device=device, seconds=time.monotonic() - start)
    _print_next_steps(out, test, network)
    return result


def _plan(
    recipe: Recipe, videos: Path, sizes: tuple[MotionsData, ...], *, device: str, workers: int | None
) -> MotionsData:
    """Measure this machine, choose how much to write, and say how long all of it will take."""
    say("1/4  Measuring this machine for a second or two")
    pace = measure_pace(recipe, sizes[0], device=device, workers=workers)
    begun = recorded_settings(videos)
    if begun is None:
        data = pace.choose(recipe, sizes, seconds=_SECONDS)
    else:  # an interrupted demo goes on with the videos that it began
        data = cast(MotionsData, {name: begun[name] for name in MotionsData.__annotations__})
    say(
        f"     {pace.cores} core{'s' * (pace.cores > 1)}; on one of them {1 / pace.write:.0f} videos written or "
        f"{1 / pace.decode:.0f} clips decoded per second; {1 / pace.train:.0f} clips learned from per second\n"
        f"     so: {data['train']:,} videos to learn from and {data['test']:,} to be tested on, "
        f"{_in_words(pace.seconds(recipe, data))} if nothing else runs here"
    )
    return data


def _say_what_is_made() -> None:
    pairs = ", ".join(f"{a}/{b}" for a, b in MIRROR_PAIRS)
    say(
        "\n2/4  Writing real H.264 videos: things that move through drawn scenes\n"
        f"     {2 * len(MIRROR_PAIRS)} classes in mirrored pairs: {pairs}\n"
        "     Both videos of a pair show the same frames, in opposite order: no single frame tells which is which."
    )


def _print_outcome(result: EvaluationResult, test: Manifest, checkpoint: Path, *, device: str, seconds: float) -> None:
    right, inside = round(result.top1 * result.num_videos), result.pairs(mirror_pairs(test.class_names))
    print(f"\n{result.top1:.1%} right: {right} of {result.num_videos} (guessing: {1 / len(test.class_names):.1%})")
    print(f"{inside:.1%} inside the mirrored pairs, where single frames give 50 %: it sees the motion")
    if right < result.num_videos:
        print(f"mistaken most often: {', '.join(_confusions(result))}")
    print("\nanswers for single videos it has never seen:")
    model = load_model(checkpoint)
    for row in random_for(len(test)).permutation(len(test))[:4].tolist():
        sample = test[row]
        top = ", ".join(f"{label} {p:.0%}" for label, p in predict(model, sample.path, device=device).top(3))
        print(f"  {sample.id}: {top}")
    print(f"\nall of it took {_in_words(seconds)}")


def _confusions(result: EvaluationResult, count: int = 3) -> list[str]:
    """The commonest wrong answers: "left taken for right (3 times)"."""
    names, matrix = result.scores.class_names, result.confusion.copy()
    matrix[range(len(names)), range(len(names))] = 0
    found = [divmod(int(flat), len(names)) for flat in (-matrix).argsort(axis=None, kind="stable")[:count]]
    return [
        f"{names[true]} taken for {names[answer]} ({n} time{'s' * (n > 1)})"
        for true, answer in found
        if (n := int(matrix[true, answer]))
    ]


def _print_next_steps(out: Path, test: Manifest, network: str) -> None:
    other = "tsn" if network == "slowonly" else "slowonly"
    why = "a network of single frames: 50 % inside the pairs" if other == "tsn" else "a network that sees motion"
    print(
        "\nnext:\n"
        f"  open {out / 'report.html'} in a browser: the answers as films, right and wrong\n"
        f"  marey predict {out / 'last.safetensors'} {test[0].path}\n"
        f"  marey demo --network {other}    # {why}\n"
        "  marey train MY_CLIPS/    # the same for clips of your own, in one folder per class"
    )


def mirror_pairs(class_names: tuple[str, ...]) -> list[tuple[int, int]]:
    """The class indices of each mirrored pair of `motions`."""
    return [(class_names.index(a), class_names.index(b)) for a, b in MIRROR_PAIRS]


def _in_words(seconds: float) -> str:
    """A length of time as one says it."""
    if seconds < 90:
        return f"{max(5, 5 * round(seconds / 5))} seconds"
    minutes = round(seconds / 30) / 2
    return f"{minutes:g} minutes"
