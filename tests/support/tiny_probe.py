"""The smallest probe that can be tuned, untrained."""

import torch

from marey.classifier import Classifier
from marey.data.lists.manifest import Manifest
from marey.models.probe.config import FrameProbeConfig, Moments
from marey.models.tsn.config import LiteTSNConfig
from marey.recipe import Recipe, TaskConfig
from marey.recipes.probe import PROBE, probe_recipe
from marey.weights.load import build_model


def tiny_recipe(class_names: tuple[str, ...], task: TaskConfig) -> Recipe:
    """By which it is tuned for an epoch."""
    base = PROBE.variant(
        name="tiny_probe",
        model=FrameProbeConfig(backbone=LiteTSNConfig(width=8)),
        clip={"segments": 2},
        test={"sampling": {"segments": 2}, "size": 32},
        pixels={"short_side": 36},
        augment={"short_side": 36, "size": 32},
        train={"epochs": 1, "base_batch": 4},
    )
    return probe_recipe(base, class_names, Moments(), task)


def classifier_of(videos: Manifest, task: TaskConfig) -> Classifier:
    """With random weights, the same in each call."""
    torch.manual_seed(0)
    return build_model(tiny_recipe(videos.class_names, task), videos.class_names).eval()
