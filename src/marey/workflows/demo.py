"""`marey demo`: from nothing to a trained, tested, answering classifier, on real video files made here."""

import time
from pathlib import Path

from marey.base.errors import RecipeError
from marey.base.progress import say
from marey.base.random import random_for
from marey.data.manifest import Manifest
from marey.data.motions import write_motions
from marey.evaluation.evaluate import EvaluationResult
from marey.inference.predict import predict
from marey.recipes.motions import DEMO_DATA, MOTIONS
from marey.training.folder import refuse_other_run
from marey.weights.load import load_model
from marey.workflows.train import TrainOptions, train_recipe


def run_demo(
    out: Path, *, network: str = "slowonly", seed: int = 0, workers: int | None = None, device: str = "auto"
) -> EvaluationResult:
    """Write `motions`, train, test with several views per video, answer for videos never seen, report.

    `network` is "slowonly" or "tsn": the second sees single frames only, and so cannot tell a motion from its
    mirror, however long it trains. Leaves in `out`: videos/, checkpoints, logs, scores.npz, report.html.

    Raises:
        RecipeError: another network.
        RunError: another run lives in `out`.
    """
    recipe = next((r for r in MOTIONS if r.model.network == network), None)
    if recipe is None:
        raise RecipeError(f"--network {network}: the demo trains {' or '.join(r.model.network for r in MOTIONS)}.")
    refuse_other_run(out)
    start = time.monotonic()
    say("Writing the data set motions: real H.264 files in mirrored pairs of classes, the same frames in two orders.")
    train, test = write_motions(out / "videos", **DEMO_DATA, seed=seed, workers=workers)
    options = TrainOptions(seed=seed, workers=workers, device=device)
    result = train_recipe(recipe, train, val=test, out=out, options=options)
    assert result is not None
    _answers(out / "last.safetensors", test, device=device)
    inside = result.pairs(mirror_pairs(test.class_names))
    print(f"\ninside the mirrored pairs: {inside:.1%} right (chance is 50 %: each pair shares its frames)")
    print(f"top-1 {result.top1:.1%} on {result.num_videos} held-out videos, {time.monotonic() - start:.0f} s in all")
    print(f"everything is in {out}; open {out / 'report.html'} in a browser")
    return result


def mirror_pairs(class_names: tuple[str, ...]) -> list[tuple[int, int]]:
    """The class indices of each mirrored pair of `motions`."""
    from marey.data.motions import MIRROR_PAIRS

    return [(class_names.index(a), class_names.index(b)) for a, b in MIRROR_PAIRS]


def _answers(checkpoint: Path, test: Manifest, *, device: str, count: int = 4) -> None:
    """Print what the network answers for a few held-out videos."""
    model = load_model(checkpoint)
    print("\nanswers for single videos it has never seen:")
    for row in random_for(len(test)).permutation(len(test))[:count].tolist():
        sample = test[row]
        top = ", ".join(f"{label} {p:.0%}" for label, p in predict(model, sample.path, device=device).top(3))
        print(f"  {sample.id}: {top}")
