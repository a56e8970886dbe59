"""What a training may cost (--minutes), and `--backbone auto`: the best backbone within that budget.

The networks that are considered were trained on Kinetics-400, best published accuracy first; if none is affordable, the
installed EfficientNet-Lite0, which was trained on ImageNet, is taken. Its larger variants (the extra `lite`) are not
considered: on three small sets of videos EfficientNet-Lite2 was 1.1 points below Lite0.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from marey.backends.compute import Compute
from marey.backends.device import device_text, pick_device
from marey.backends.memory import require_memory
from marey.base.errors import RunError, WeightsError
from marey.base.processes import usable_cores
from marey.base.reporter import notice, warning
from marey.base.words import counted
from marey.classifier import Classifier
from marey.recipe import Recipe, Source
from marey.recipes import RECIPES
from marey.recipes.probe import probe_on
from marey.weights.fetching.availability import availability_of, megabytes
from marey.weights.fetching.obtain import Obtained, check_sources, obtain_from
from marey.weights.load import build_model

AUTO = "auto"
"""The value of --backbone that chooses the best backbone within the budget."""
DEFAULT_BUDGET = 600.0
"""Core-seconds on a CPU, or seconds on another device, that a training may take by default."""
_PASSES = 2
"""Forward passes at full size that are timed; the fastest counts."""


@dataclass(frozen=True)
class Budget:
    """How long choosing a backbone and fine-tuning may take."""

    minutes: float | None = None
    """Minutes that this machine may work, above 0; None: 600 core-seconds, or 600 seconds of a GPU."""

    def seconds(self, *, on_cpu: bool) -> float:
        """The budget in the unit of `budget_unit`."""
        if self.minutes is None:
            return DEFAULT_BUDGET
        return 60 * self.minutes * (usable_cores() if on_cpu else 1)


def budget_unit(*, on_cpu: bool) -> str:
    """The unit of a budget: core-seconds on a CPU, which do not depend on the number of cores; seconds on another device."""
    return "core-seconds" if on_cpu else "seconds"


def backbone_candidates() -> tuple[Recipe, ...]:
    """Recipes of RGB networks trained on Kinetics-400 whose weights may be downloaded without asking the user, by published
    top-1, best first.

    Such weights are not reported as lost, their publisher states a hash or its first digits, and their licence is known to
    allow commercial use (`Source.not_automatic`).
    """
    rows = [
        row
        for row in RECIPES
        if row.dataset == "kinetics400" and row.modality == "rgb" and row.published is not None and _automatic(row)
    ]
    return tuple(sorted(rows, key=_top1, reverse=True))


def best_affordable(budget: float, videos: int, compute: Compute) -> tuple[Recipe, Obtained] | None:
    """The best candidate whose features take at most the budget, with its weights downloaded; None: no candidate.

    The time is measured with random weights and clips of noise, network by network, best first, until one is within the
    budget. Decoding is not included; it costs the same for every backbone. Notices name each network with its measured time,
    and the one that is chosen. A network that cannot be downloaded or needs too much memory is skipped.

    Args:
        budget: Core-seconds on a CPU, seconds on another device.
        videos: Number of videos.
    """
    considered, device = backbone_candidates(), pick_device(compute.device)
    unit = budget_unit(on_cpu=device.type == "cpu")
    notice(
        f"--backbone auto: {counted(len(considered), 'network')} trained on Kinetics-400 considered for "
        f"{counted(videos, 'video')} in {budget:,.0f} {unit} on {device_text(device)}"
    )
    for row in considered:
        line = f"  {row.name} ({_top1(row):g} % on Kinetics-400)"
        try:
            check_sources(_automatic(row), row.name)
            model = build_model(probe_on(row)).eval()
            require_memory(model, compute)
        except (WeightsError, RunError) as error:
            notice(f"{line}: not taken: {error}")
            continue
        seconds = core_seconds_a_video(model, compute, enough=budget / videos)
        measured = f"{line}: {seconds:.2g} {unit} a video, {seconds * videos:,.0f} together"
        if seconds * videos > budget:
            notice(f"{measured}: too many")
            continue
        notice(f"{measured}: chosen")
        announce_download(row, _automatic(row))
        try:
            return row, obtain_from(_automatic(row), row.name)
        except WeightsError as error:
            warning(f"{row.name} cannot be fetched, the next one is tried: {error}")
    notice("  EfficientNet-Lite0 (trained on ImageNet), which is installed: chosen")
    return None


@torch.inference_mode()
def core_seconds_a_video(model: Classifier, compute: Compute, *, enough: float) -> float:
    """Core-seconds that a network takes for the views of one video on a CPU; seconds on another device.

    On a CPU the time of all threads of the process is measured, so that other programs do not count.

    Args:
        enough: The largest acceptable result. Clips of a quarter of the area are timed first; if the estimate from
            them is more than twice `enough`, it is returned.
    """
    size = model.recipe.test.size
    quick = min(4 * _test_seconds(model, compute, size // 2) for _ in range(2))  # the first pass includes setup
    return quick if quick > 2 * enough else min(_test_seconds(model, compute, size) for _ in range(_PASSES))


def _test_seconds(model: Classifier, compute: Compute, size: int) -> float:
    """The time of a forward pass of a clip of noise of `size` x `size` pixels, times the number of views."""
    device = pick_device(compute.device)
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    network = model.network.to(device)
    clip = torch.rand(1, model.recipe.model.channels, model.recipe.test.sampling.clip_frames, size, size).to(device)
    begun = clock()
    network(clip).sum().item()  # waits until the device has finished
    return model.recipe.test.views * (clock() - begun)


def announce_download(recipe: Recipe, sources: Sequence[Source]) -> None:
    """Print a notice before weights are downloaded: size, licence and host; none if they are cached."""
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
