"""The cache folder of the cells of a classifier's backbone, named by a hash of the settings that cells depend on."""

import hashlib
from pathlib import Path

import torch

from marey.base.cache import features_folder
from marey.base.errors import RecipeError
from marey.base.jsonable import json_text
from marey.base.options import Arithmetic
from marey.classifier import Classifier
from marey.models.probe.config import ClipProbeConfig, FrameProbeConfig
from marey.models.probe.network import GRID, TIME_STEPS, Probe

_FORMAT = 1
"""Version of the files and of how cells are computed, raised whenever either changes, so that older files are not read."""


def probe_of(model: Classifier) -> tuple[Probe, FrameProbeConfig | ClipProbeConfig]:
    """The network and the settings of a classifier whose network is a probe.

    Raises:
        RecipeError: its network is not a probe.
    """
    network, config = model.network, model.recipe.model
    if isinstance(network, Probe) and isinstance(config, FrameProbeConfig | ClipProbeConfig):
        return network, config
    raise RecipeError(
        f"{model.recipe.name}: its network is not a probe, and has no cells to cache: see marey.recipes.probe."
    )


def cells_folder(model: Classifier, arithmetic: Arithmetic) -> Path:
    """The cache folder for the cells of a probe's backbone. Its name is a hash of all that cells depend on besides the
    video. Pooling, head and class names are not in it.
    """
    probe, config = probe_of(model)
    recipe = model.recipe
    settings = {
        "format": _FORMAT,
        "network": config.network,
        "grid": [GRID, TIME_STEPS],
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
    """SHA-256 over names and values of the tensors that influence the outputs of a frozen network, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(backbone.state_dict().items()):
        if not name.endswith("num_batches_tracked"):  # only counts training steps
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
