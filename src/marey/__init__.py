"""Marey: recognise human actions in video.

    import marey

    marey.train("clips/", out="runs/a")                  # a folder per class; trains, tests, writes a report
    prediction = marey.predict("runs/a", "kick.mp4")
    prediction.top(5)                                    # [("kick", 0.93), ("throw", 0.04), ...]
    marey.predict("runs/a", "new/")                      # a folder, a list or several paths: a prediction per video
    marey.evaluate("runs/a", "test.csv").top1

Predict, test, train: predict, predict_many, evaluate, features, train, fit; their results: Prediction, Predictions,
EvaluationResult, Features, FitResult; where they compute: Compute; time and memory of decoding: Limits.
Models: load_model, build_model, build_network, save_checkpoint; Classifier, Calibration, LoadReport.
Recipes: get_recipe, RECIPES, Recipe.
Videos: open_video, write_video; Video, FrameFolder, FlowFolder.
Lists of videos: read_manifest, read_videos; Manifest, VideoList, VideoEntry; as data sets: ClipDataset, ViewDataset.
Messages: set_reporter, reporting; Reporter, TerminalReporter, LoggingReporter, SilentReporter, Bar.
Errors: MareyError, and of it DataError, DecodeError, RecipeError, RunError, WeightsError.

Named after Étienne-Jules Marey, who in 1882 built a camera to take movement apart. Importing this package loads
nothing heavy: each name is fetched when it is first used.
"""

import typing as _typing

if _typing.TYPE_CHECKING:
    from marey.backends.compute import Compute as Compute
    from marey.base.bars import Bar as Bar
    from marey.base.errors import DataError as DataError
    from marey.base.errors import DecodeError as DecodeError
    from marey.base.errors import MareyError as MareyError
    from marey.base.errors import RecipeError as RecipeError
    from marey.base.errors import RunError as RunError
    from marey.base.errors import WeightsError as WeightsError
    from marey.base.limited.limits import Limits as Limits
    from marey.base.reporter import LoggingReporter as LoggingReporter
    from marey.base.reporter import Reporter as Reporter
    from marey.base.reporter import SilentReporter as SilentReporter
    from marey.base.reporter import TerminalReporter as TerminalReporter
    from marey.base.reporter import reporting as reporting
    from marey.base.reporter import set_reporter as set_reporter
    from marey.classifier import Calibration as Calibration
    from marey.classifier import Classifier as Classifier
    from marey.classifier import LoadReport as LoadReport
    from marey.data.lists.manifest import Manifest as Manifest
    from marey.data.lists.read_manifest import read_manifest as read_manifest
    from marey.data.lists.read_videos import read_videos as read_videos
    from marey.data.lists.videos import VideoEntry as VideoEntry
    from marey.data.lists.videos import VideoList as VideoList
    from marey.data.loading.datasets import ClipDataset as ClipDataset
    from marey.data.loading.datasets import ViewDataset as ViewDataset
    from marey.evaluation.result import EvaluationResult as EvaluationResult
    from marey.evaluation.run import evaluate as evaluate
    from marey.inference.features import Features as Features
    from marey.inference.features import features as features
    from marey.inference.predict import predict as predict
    from marey.inference.predict import predict_many as predict_many
    from marey.recipe import Recipe as Recipe
    from marey.recipes import RECIPES as RECIPES
    from marey.recipes import get_recipe as get_recipe
    from marey.tasks.prediction import Prediction as Prediction
    from marey.tasks.prediction import Predictions as Predictions
    from marey.training.fit import FitResult as FitResult
    from marey.training.fit import fit as fit
    from marey.video.reading.image_folders import FlowFolder as FlowFolder
    from marey.video.reading.image_folders import FrameFolder as FrameFolder
    from marey.video.reading.reader import Video as Video
    from marey.video.reading.reader import open_video as open_video
    from marey.video.writing.writer import write_video as write_video
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
    "Limits": "base.limited.limits",
    "Bar": "base.bars",
    "LoggingReporter": "base.reporter",
    "Reporter": "base.reporter",
    "SilentReporter": "base.reporter",
    "TerminalReporter": "base.reporter",
    "reporting": "base.reporter",
    "set_reporter": "base.reporter",
    "Calibration": "classifier",
    "Classifier": "classifier",
    "LoadReport": "classifier",
    "Compute": "backends.compute",
    "ClipDataset": "data.loading.datasets",
    "ViewDataset": "data.loading.datasets",
    "Manifest": "data.lists.manifest",
    "read_manifest": "data.lists.read_manifest",
    "VideoEntry": "data.lists.videos",
    "VideoList": "data.lists.videos",
    "read_videos": "data.lists.read_videos",
    "evaluate": "evaluation.run",
    "EvaluationResult": "evaluation.result",
    "features": "inference.features",
    "Features": "inference.features",
    "predict": "inference.predict",
    "predict_many": "inference.predict",
    "Prediction": "tasks.prediction",
    "Predictions": "tasks.prediction",
    "Recipe": "recipe",
    "RECIPES": "recipes",
    "get_recipe": "recipes",
    "FitResult": "training.fit",
    "fit": "training.fit",
    "FlowFolder": "video.reading.image_folders",
    "FrameFolder": "video.reading.image_folders",
    "Video": "video.reading.reader",
    "open_video": "video.reading.reader",
    "write_video": "video.writing.writer",
    "save_checkpoint": "weights.checkpoint",
    "build_model": "weights.load",
    "build_network": "weights.load",
    "load_model": "weights.load",
    "train": "workflows.train",
}

__all__ = ["__version__", *sorted(_HOME)]  # noqa: PLE0604 - the names are strings


if not _typing.TYPE_CHECKING:  # with __getattr__ type checkers would accept every name; they know ours from above

    def __getattr__(name: str) -> object:
        from importlib import import_module
        from importlib.util import find_spec

        if name in _HOME:
            return getattr(import_module(f"marey.{_HOME[name]}"), name)
        if name.isidentifier() and not name.startswith("_") and find_spec(f"marey.{name}") is not None:
            return import_module(f"marey.{name}")  # `marey.video` needs no import of its own
        raise AttributeError(f"module 'marey' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
