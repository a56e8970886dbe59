"""Marey: recognise human actions in video.

    model = marey.load_model("runs/a/best.safetensors")
    marey.predict(model, "kick.mp4").top(5)

Named after Étienne-Jules Marey, who in 1882 built a camera to take movement apart. Importing this package loads
nothing heavy: each name is fetched when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from marey.backends.compute import Compute as Compute
    from marey.base.errors import DataError as DataError
    from marey.base.errors import DecodeError as DecodeError
    from marey.base.errors import MareyError as MareyError
    from marey.base.errors import RecipeError as RecipeError
    from marey.base.errors import RunError as RunError
    from marey.base.errors import WeightsError as WeightsError
    from marey.base.reporter import Bar as Bar
    from marey.base.reporter import LoggingReporter as LoggingReporter
    from marey.base.reporter import Reporter as Reporter
    from marey.base.reporter import SilentReporter as SilentReporter
    from marey.base.reporter import TerminalReporter as TerminalReporter
    from marey.base.reporter import reporting as reporting
    from marey.base.reporter import set_reporter as set_reporter
    from marey.classifier import Calibration as Calibration
    from marey.classifier import Classifier as Classifier
    from marey.data.clips import ClipDataset as ClipDataset
    from marey.data.clips import ViewDataset as ViewDataset
    from marey.data.formats import read_manifest as read_manifest
    from marey.data.listing import read_videos as read_videos
    from marey.data.manifest import Manifest as Manifest
    from marey.data.videos import VideoList as VideoList
    from marey.evaluation.evaluate import evaluate as evaluate
    from marey.evaluation.result import EvaluationResult as EvaluationResult
    from marey.inference.features import Features as Features
    from marey.inference.features import features as features
    from marey.inference.predict import predict as predict
    from marey.recipe import Recipe as Recipe
    from marey.recipes import RECIPES as RECIPES
    from marey.recipes import get_recipe as get_recipe
    from marey.tasks.prediction import Prediction as Prediction
    from marey.training.fit import fit as fit
    from marey.video.frames import FlowFolder as FlowFolder
    from marey.video.frames import FrameFolder as FrameFolder
    from marey.video.reader import open_video as open_video
    from marey.video.writer import write_video as write_video
    from marey.weights.checkpoint import save_checkpoint as save_checkpoint
    from marey.weights.load import build_model as build_model
    from marey.weights.load import build_network as build_network
    from marey.weights.load import load_model as load_model
    from marey.workflows.train import train as train

__version__ = "0.2.0"

_HOME = {
    "DataError": "base.errors",
    "DecodeError": "base.errors",
    "MareyError": "base.errors",
    "RecipeError": "base.errors",
    "RunError": "base.errors",
    "WeightsError": "base.errors",
    "Bar": "base.reporter",
    "LoggingReporter": "base.reporter",
    "Reporter": "base.reporter",
    "SilentReporter": "base.reporter",
    "TerminalReporter": "base.reporter",
    "reporting": "base.reporter",
    "set_reporter": "base.reporter",
    "Calibration": "classifier",
    "Classifier": "classifier",
    "Compute": "backends.compute",
    "ClipDataset": "data.clips",
    "ViewDataset": "data.clips",
    "Manifest": "data.manifest",
    "read_manifest": "data.formats",
    "VideoList": "data.videos",
    "read_videos": "data.listing",
    "evaluate": "evaluation.evaluate",
    "EvaluationResult": "evaluation.result",
    "features": "inference.features",
    "Features": "inference.features",
    "predict": "inference.predict",
    "Prediction": "tasks.prediction",
    "Recipe": "recipe",
    "RECIPES": "recipes",
    "get_recipe": "recipes",
    "fit": "training.fit",
    "FlowFolder": "video.frames",
    "FrameFolder": "video.frames",
    "open_video": "video.reader",
    "write_video": "video.writer",
    "save_checkpoint": "weights.checkpoint",
    "build_model": "weights.load",
    "build_network": "weights.load",
    "load_model": "weights.load",
    "train": "workflows.train",
}

__all__ = ["__version__", *sorted(_HOME)]  # noqa: PLE0604 - the names are strings


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'marey' has no attribute {name!r}")
    return getattr(import_module(f"marey.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
