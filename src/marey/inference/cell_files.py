"""Where cells of videos are kept, and by what they are known again besides the content of the video."""

import hashlib
from pathlib import Path

import torch

from marey.base.errors import RecipeError
from marey.base.jsonable import json_text
from marey.base.kept import features_folder
from marey.base.precision import Arithmetic
from marey.classifier import Classifier
from marey.models.probe.config import ClipProbeConfig, FrameProbeConfig
from marey.models.probe.network import GRID, PLACES, Probe

_FORMAT = 1
"""Of the files, and of how cells are computed: raised whenever either changes, so that older files are not read."""


def probe_of(model: Classifier) -> tuple[Probe, FrameProbeConfig | ClipProbeConfig]:
    """The network of a classifier that is a probe, and its settings.

    Raises:
        RecipeError: it is another network.
    """
    network, config = model.network, model.recipe.model
    if isinstance(network, Probe) and isinstance(config, FrameProbeConfig | ClipProbeConfig):
        return network, config
    raise RecipeError(
        f"{model.recipe.name}: its network is no probe, whose cells could be kept: see marey.recipes.probe."
    )


def cells_folder(model: Classifier, arithmetic: Arithmetic) -> Path:
    """Where the cells of a probe's backbone are kept: a folder for all that they depend on besides the video, which is not
    the pooling, the head or the names of the classes.
    """
    probe, config = probe_of(model)
    recipe = model.recipe
    settings = {
        "format": _FORMAT,
        "network": config.network,
        "grid": [GRID, PLACES],
        "backbone": config.backbone.model_dump(mode="json", exclude={"num_classes"}),
        "weights": weights_digest(probe.backbone),
        "sampling": recipe.test.sampling.model_dump(mode="json"),
        "crops": [recipe.test.crops, recipe.test.size],
        "pixels": recipe.pixels.model_dump(mode="json"),
        "flow": None if recipe.flow is None else recipe.flow.model_dump(mode="json"),
        "arithmetic": arithmetic,
    }
    return features_folder(hashlib.sha256(json_text(settings).encode()).hexdigest()[:32])


def weights_digest(backbone: torch.nn.Module) -> str:
    """SHA-256 over names and values of the tensors by which a frozen network answers, as 64 hex digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(backbone.state_dict().items()):
        if not name.endswith("num_batches_tracked"):  # a counter of training
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
