"""`--backbone auto`: the network with the highest published accuracy that this machine can afford for so many clips.

Networks trained on Kinetics-400 come before the one that is installed with Marey, which was trained on pictures. Its larger
relatives (the extra `lite`) are not considered: on three small sets of clips EfficientNet-Lite2 was 1.1 points below Lite0.
"""

import time
from collections.abc import Sequence

import torch

from marey.backends.compute import Compute
from marey.backends.device import device_text, pick_device
from marey.backends.memory import require_memory
from marey.base.errors import RunError, WeightsError
from marey.base.reporter import notice, warning
from marey.base.words import counted
from marey.classifier import Classifier
from marey.recipe import Recipe, Source
from marey.recipes import RECIPES
from marey.recipes.probe import probe_on
from marey.weights.fetching.availability import availability_of
from marey.weights.fetching.obtain import Obtained, check_sources, obtain_from
from marey.weights.fetching.sizes import megabytes
from marey.weights.load import build_model
from marey.workflows.classifier.budget import unit

AUTO = "auto"
"""The word for the best backbone that a machine can afford."""
_PASSES = 2
"""Forward passes of the full size that are timed; the fastest counts."""


def candidates() -> tuple[Recipe, ...]:
    """Recipes of RGB networks trained on Kinetics-400 with a source that may be asked without the user's word, by published
    top-1, best first.

    Such a source has no reported loss, a hash or first digits of one that its publisher states, and a licence that is known
    to allow commercial use (`Source.not_automatic`).
    """
    rows = [
        row
        for row in RECIPES
        if row.dataset == "kinetics400" and row.modality == "rgb" and row.published is not None and _automatic(row)
    ]
    return tuple(sorted(rows, key=_top1, reverse=True))


def affordable(budget: float, clips: int, compute: Compute) -> tuple[Recipe, Obtained] | None:
    """The best of the candidates whose features of `clips` clips take at most the budget, with its weights on this machine.

    The time is measured: random weights and a clip of noise go through each network in turn, the best first, until one
    suffices. Decoding comes on top, for every backbone the same. What was considered, measured and chosen is said; so is
    the size of a file before it is fetched.

    Args:
        budget: For all clips, in the unit of `marey.workflows.classifier.budget`.
        clips: Number of clips.

    Returns:
        None: none suffices or can be fetched, and what is installed is to be taken.
    """
    considered, device = candidates(), pick_device(compute.device)
    what = unit(on_cpu=device.type == "cpu")
    notice(
        f"--backbone auto: {counted(len(considered), 'network')} trained on Kinetics-400 considered for "
        f"{counted(clips, 'clip')} in {budget:,.0f} {what} on {device_text(device)}"
    )
    for row in considered:
        words = f"  {row.name} ({_top1(row):g} % on Kinetics-400)"
        try:
            check_sources(_automatic(row), row.name)
            model = build_model(probe_on(row)).eval()
            require_memory(model, compute)
        except (WeightsError, RunError) as error:
            notice(f"{words}: not taken: {error}")
            continue
        seconds = core_seconds_a_clip(model, compute, enough=budget / clips)
        measured = f"{words}: {seconds:.2g} {what} a clip, {seconds * clips:,.0f} together"
        if seconds * clips > budget:
            notice(f"{measured}: too many")
            continue
        notice(f"{measured}: chosen")
        announce(row, _automatic(row))
        try:
            return row, obtain_from(_automatic(row), row.name)
        except WeightsError as error:
            warning(f"{row.name} cannot be fetched, the next one is tried: {error}")
    notice("  EfficientNet-Lite0 (trained on pictures of ImageNet), which is installed: chosen")
    return None


@torch.inference_mode()
def core_seconds_a_clip(model: Classifier, compute: Compute, *, enough: float) -> float:
    """Core-seconds that the views of a video take in a network; of another device than the CPU, its seconds.

    Time of the process over all its threads, so that other work on the machine does not count. A clip of a quarter of the
    area goes first: where that shows more than twice `enough`, core-seconds a clip, it is the answer.
    """
    size = model.recipe.test.size
    quick = min(4 * _timed(model, compute, size // 2) for _ in range(2))  # the first pass sets up much
    return quick if quick > 2 * enough else min(_timed(model, compute, size) for _ in range(_PASSES))


def _timed(model: Classifier, compute: Compute, size: int) -> float:
    """A pass of noise of `size` rows and columns, times the number of views."""
    device = pick_device(compute.device)
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    network = model.network.to(device)
    clip = torch.rand(1, model.recipe.model.channels, model.recipe.test.sampling.clip_frames, size, size).to(device)
    begun = clock()
    network(clip).sum().item()  # waits until the device has done it
    return model.recipe.test.views * (clock() - begun)


def announce(recipe: Recipe, sources: Sequence[Source]) -> None:
    """Say before a file is fetched how large it is, where it lies and under which licence; nothing where it is here."""
    found = availability_of(sources)
    if not found.available or found.state == "here":
        return
    size = "size not known" if found.size is None else megabytes(found.size, exact=found.exact)
    source = found.sources[0]
    notice(f"{recipe.name}: {source.file} ({size}, licence {source.licence}) is fetched once from {source.host}")


def _automatic(row: Recipe) -> tuple[Source, ...]:
    return tuple(source for source in row.weights if source.not_automatic is None)


def _top1(row: Recipe) -> float:
    assert row.published is not None
    return row.published.top1
