"""`marey.train` and `marey train`: from the options to a plan (network, classifier on frozen features, or fine-tuning)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, Unpack, get_args

from marey.backends.compute import Compute, ComputeOptions
from marey.base.claim import Command
from marey.base.errors import DataError, MareyError, RecipeError, RunError, in_python_words
from marey.base.options import Finetune
from marey.base.processes import processes
from marey.base.runs import STATE, next_run, run_name
from marey.data.lists.manifest import Manifest
from marey.evaluation.result import EvaluationResult
from marey.recipe import Recipe, read_recipe
from marey.recipe.settings import with_short_forms
from marey.recipes import get_recipe
from marey.weights.pretraining import WORDS
from marey.workflows.classifier.affordable import AUTO, Budget
from marey.workflows.classifier.finetuning.fine_tune import TuningOptions, TuningPlan, plan_tuning, tune_run
from marey.workflows.classifier.finetuning.saved_start import can_be_tuned
from marey.workflows.classifier.train_on_features import FittingOptions, FittingPlan, fit_classifier, plan_on_features
from marey.workflows.train_network import (
    NetworkPlan,
    TrainOptions,
    plan_folder,
    plan_recipe,
    train_and_test,
    train_folder,
    with_epochs_of_run,
)

Logger: TypeAlias = Literal["csv", "tensorboard"]
"""What writes the numbers of each epoch."""


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """The arguments of a training, named as in `marey.train`."""

    data: Path | Manifest
    """The videos as a folder per class, a list or a manifest; or the folder of a run to fine-tune."""
    out: Path
    """The folder of the run."""
    recipe: Recipe | None = None
    """The recipe of an entire network; None: a classifier on frozen features, or a recipe that Marey chooses."""
    by_name: bool = False
    """Whether the recipe was given by name: a resumed run then keeps its number of epochs."""
    val: Path | Manifest | None = None
    """Videos for validation, or to test a classifier on, as `data`; None: those that the split column or the folder
    names."""
    test: Path | Manifest | None = None
    """More videos to test a classifier on, as `data`; None: those that the split column or the folder names."""
    labels: Path | None = None
    """A CSV of corrections of a classifier's videos; None: nothing is corrected."""
    settings: Sequence[str] = ()
    """Changed fields of the recipe ("train.clip_norm=5"); by default none."""
    epochs: int | None = None
    """How often each video is seen, at least once; None: what the recipe says."""
    lr: float | None = None
    """The learning rate for a batch of `train.base_batch` clips; None: what the recipe says."""
    backbone: str | None = None
    """A recipe's name, a checkpoint or "auto"; None: EfficientNet-Lite0."""
    finetune: Finetune | None = None
    """Whether to fine-tune a classifier: "always", "never", or "auto", as None: if `minutes` suffice."""
    minutes: float | None = None
    """Minutes for choosing a backbone and for fine-tuning; None: 600 core-seconds, or 600 seconds of a GPU."""
    options: TrainOptions = TrainOptions()  # noqa: RUF009 - frozen
    """How to train on this machine; by default without resuming, with the seed 0."""

    @property
    def on_features(self) -> bool:
        """Whether a classifier is fitted on frozen features; else an entire network is trained.

        A classifier is fitted where no recipe is given and no field of one is set, unless --init is none, imagenet or
        ig65m, or a run of an entire network is resumed.
        """
        if self.recipe is not None or self.settings or self.options.init in WORDS:
            return False
        return not (self.options.resume and (self.out / STATE).exists())

    def plan(self) -> NetworkPlan | FittingPlan | TuningPlan:
        """The plan of this training. Nothing is computed or written.

        Raises:
            DataError, RecipeError, RunError, WeightsError: as `marey.train`.
        """
        if isinstance(self.data, Path) and can_be_tuned(self.data):
            return self._plan_tuning(self.data)
        self._refuse_run()
        if self.on_features:
            return self._plan_on_features()
        self._refuse_options_of_features()
        settings, options = with_short_forms(self.settings, epochs=self.epochs, lr=self.lr), self.options
        if self.recipe is None:
            return plan_folder(self.data, val=self.val, settings=settings, out=self.out, options=options)
        recipe = self.recipe.with_settings(settings) if settings else self.recipe
        if options.resume and self.by_name:
            recipe = with_epochs_of_run(recipe, settings, self.out)
        return plan_recipe(recipe, self.data, val=self.val, out=self.out, options=options)

    def _refuse_run(self) -> None:
        """Refuse data that is the folder of a run which cannot be fine-tuned.

        Raises:
            RunError: it is.
        """
        if isinstance(self.data, Path) and (self.data / Command.TRAIN.note).is_file():
            raise RunError(
                f"{self.data} is the folder of a training, without a classifier on frozen features that can be fine-tuned: "
                f"name the videos, with --resume --out {self.data} to resume it, or with --init {self.data} to start from "
                "its network."
            )

    def _plan_tuning(self, run: Path) -> TuningPlan:
        """The plan to fine-tune a run that was fitted on frozen features.

        Raises:
            RunError: several processes were started.
            RecipeError: an option that fine-tuning does not have.
        """
        if processes().world > 1:
            raise RunError(f"{run}: a run is fine-tuned by one process: leave out torchrun.")
        given = self.options
        others = {
            "--val": self.val, "--test": self.test, "--labels": self.labels, "--classes": given.classes,
            "--backbone": self.backbone, "--init": given.init, "--trust-first-use": given.trust_first_use or None,
            "--logger tensorboard": given.tensorboard or None,
            "--finetune never": self.finetune if self.finetune == "never" else None,
        }  # fmt: skip
        if option := next((option for option, value in others.items() if value is not None), None):
            raise RecipeError(f"{option}: {run} is a run, which can only be fine-tuned: leave {option} out.")
        if self.recipe is not None or self.out.resolve() != run.resolve():
            raise RecipeError(f"{run} is a run, which is fine-tuned in its own folder: leave --out and --data out.")
        settings = with_short_forms(self.settings, epochs=self.epochs, lr=self.lr)
        if fixed := next((setting for setting in settings if not setting.startswith("train.")), None):
            raise RecipeError(
                f"--set {fixed}: the head was fitted with it: fine-tuning can only change settings of train."
            )
        self._refuse_unused_settings(settings)
        return plan_tuning(
            run,
            TuningOptions(
                finetune=self.finetune or ("always" if settings else "auto"), budget=Budget(self.minutes),
                settings=tuple(settings), compute=given.compute, seed=given.seed, max_broken=given.max_broken,
                root=given.root,
            ),
        )  # fmt: skip

    def _plan_on_features(self) -> FittingPlan:
        """The plan to fit a classifier on frozen features.

        Raises:
            RecipeError: options that contradict each other.
        """
        given = self.options
        if self.backbone is not None and given.init is not None:
            raise RecipeError(
                f"--backbone {self.backbone} and --init {given.init} both name the backbone: leave one out."
            )
        if given.tensorboard:
            raise RecipeError(
                "--logger tensorboard: a classifier on frozen features has no epochs to log: leave it out, or train an "
                "entire network (--init none, --set)."
            )
        settings = with_short_forms((), epochs=self.epochs, lr=self.lr)
        self._refuse_unused_settings(settings)
        if self.minutes is not None and self.finetune == "never" and self.backbone != AUTO:
            raise RecipeError(
                f"--minutes {self.minutes:g} is for --backbone auto and for fine-tuning, and with --finetune never there is "
                "neither: leave it out."
            )
        options = FittingOptions(
            compute=given.compute, seed=given.seed, resume=given.resume, max_broken=given.max_broken,
            trust_first_use=given.trust_first_use, resume_command=given.resume_command, backbone=self.backbone or given.init,
            finetune=self.finetune or ("always" if settings else "auto"), settings=tuple(settings),
            budget=Budget(self.minutes),
        )  # fmt: skip
        return plan_on_features(
            self.data,
            val=self.val,
            test=self.test,
            root=given.root,
            classes=given.classes,
            labels=self.labels,
            out=self.out,
            options=options,
        )

    def _refuse_unused_settings(self, settings: Sequence[str]) -> None:
        """Refuse settings of fine-tuning unless --finetune always makes sure that they are used.

        Raises:
            RecipeError: there are some.
        """
        if not settings or self.finetune not in ("auto", "never"):
            return
        option = "--epochs" if self.epochs is not None else "--lr" if self.lr is not None else f"--set {settings[0]}"
        raise RecipeError(
            f"{option} belongs to fine-tuning, which --finetune {self.finetune} does not force: give --finetune always, or "
            f"leave {option} out."
        )

    def _refuse_options_of_features(self) -> None:
        """Refuse options that only a classifier on frozen features has.

        Raises:
            RecipeError: one was given.
        """
        given = {
            "--backbone": self.backbone, "--finetune": self.finetune, "--minutes": self.minutes, "--test": self.test,
            "--labels": self.labels,
        }  # fmt: skip
        option = next((f"{option} {value}" for option, value in given.items() if value is not None), None)
        if option is not None:
            raise RecipeError(
                f"{option} belongs to a classifier on frozen features (marey train FOLDER_OR_LIST without a recipe, --set, "
                "--init none or --init imagenet); here an entire network is trained: leave it out."
            )


def run_plan(plan: NetworkPlan | FittingPlan | TuningPlan) -> EvaluationResult | None:
    """Run a plan and print its result.

    Returns the out-of-fold predictions of a classifier on frozen features; for an entire network the test of its last
    checkpoint on the held-out videos, None if there are none.
    """
    if isinstance(plan, FittingPlan):
        return fit_classifier(plan).result
    if isinstance(plan, TuningPlan):
        return tune_run(plan).result
    return train_folder(plan) if plan.recipe_chosen else train_and_test(plan)


@in_python_words()
def train(
    data: str | Path | Manifest,
    *,
    out: str | Path | None = None,
    backbone: str | Path | None = None,
    finetune: Finetune | None = None,
    minutes: float | None = None,
    epochs: int | None = None,
    lr: float | None = None,
    val: str | Path | Manifest | None = None,
    test: str | Path | Manifest | None = None,
    labels: str | Path | None = None,
    recipe: Recipe | str | Path | None = None,
    settings: Sequence[str] = (),
    logger: Logger | Sequence[Logger] = "csv",
    root: str | Path | None = None,
    classes: Sequence[str] | str | Path | None = None,
    init: str | None = None,
    seed: int = 0,
    resume: bool = False,
    max_broken: float | None = None,
    trust_first_use: bool = False,
    compute: Compute = Compute(),  # noqa: B008 - frozen
    **options: Unpack[ComputeOptions],
) -> EvaluationResult | None:
    """Train, test and report, as `marey train` does: a classifier from a folder per class or a list, or a recipe on it.

        train("clips/")                                         the classes of a folder, into runs/clips-1
        train("list.csv", out="runs/a", finetune="always")      of a list, and fine-tune the entire network afterwards
        train("list.csv", recipe="slowonly_r50_8x8_k400")       a recipe, which decides all settings

    Without a recipe a linear classifier is fitted on the features of a frozen backbone, and evaluated by out-of-fold
    predictions: the class of each video is predicted by a classifier that was fitted without it and without the other
    videos of its recording.

    Args:
        data: The folder, divided into train, val and test or not; or a list, with a split column or without. Or a run that
            was fitted on frozen features, to fine-tune its network.
        out: The run's folder. None: the first of `runs/<name>-1`, `runs/<name>-2`, ... that does not exist; the name is that
            of the folder, list or recipe.
        backbone: A recipe's name or a checkpoint, whose features are used; "auto": the best that this machine can afford.
            None: EfficientNet-Lite0, which comes with Marey.
        finetune: "always" fine-tunes the entire network from the classifier, and keeps it if it is better on one fold;
            "never" does not; "auto" (as None) does so if `minutes` suffice.
        minutes: Time for choosing a backbone and for fine-tuning; None: 600 core-seconds, or 600 seconds of a GPU.
        epochs: How often each video is seen: short for the setting train.epochs; without a recipe, epochs of fine-tuning.
        lr: Learning rate for a batch of the size train.base_batch: short for the setting train.optimizer.lr.
        val: Videos to test on; None: those that the split column names. With a recipe, the validation videos.
        test: More videos to test on; None: those that the split column names.
        labels: A table of corrections, a CSV with the columns path and label, group or leave_out, for the videos of a
            classifier on frozen features. Their files and lists are not changed.
        recipe: A recipe, its name or its YAML file. None: a classifier on frozen features.
        settings: Changed fields of the recipe, such as "train.clip_norm=5". Without a recipe they train an entire network,
            TSM on EfficientNet-Lite0, instead of a classifier on frozen features.
        logger: "csv" is log.csv, which is always written; "tensorboard" writes its numbers for TensorBoard, too.
        root: Folder that a list's paths are relative to; for a run that is fine-tuned, the folder of its videos now.
        classes: The class names in order, or a file of them.
        init: "none", "imagenet" or "ig65m" train an entire network from there; a recipe's name or a checkpoint is the
            backbone, or with a recipe the initial weights.
        seed: Seed of everything random, including the choice of held-out videos. Folds do not depend on it.
        resume: Resume the run in `out`.
        max_broken: Files that may be missing or broken, as a share of the videos of training and validation; None: 1 %, or
            three files if that is more.
        trust_first_use: Download initial weights even if no hash of them was published.
        compute: Device, precision, clips per pass and decoding processes.
        options: Fields of `compute` by name: device="cuda", workers=4; batch=4 is the number of clips in one pass, for
            memory and speed: an optimiser step still takes `train.base_batch` clips, for which the learning rate is given.

    Returns the out-of-fold predictions of a classifier on frozen features; with a recipe the test of the last checkpoint on
    the held-out videos, None if none are held out.

    Raises:
        DataError: no videos, fewer than two classes, no class that can be evaluated, too many missing files, or corrections
            that cannot be read.
        RecipeError: no such recipe, a setting that it does not have or that is given twice, or an option of another kind of
            training.
        WeightsError: there is no such backbone.
        RunError: another run is in `out`, or what `fit` raises.
    """
    loggers = [logger] if isinstance(logger, str) else logger
    if unknown := set(loggers) - set(get_args(Logger)):
        raise MareyError(f"logger={min(unknown)!r}: expected {' or '.join(map(repr, get_args(Logger)))}.")
    if resume and out is None:
        raise RunError('resume=True: name the run to resume, for example out="runs/mine-1".')
    if not isinstance(data, str | Path | Manifest):
        raise DataError(
            "data: expected a folder or list of labelled videos, or a Manifest of marey.read_manifest, not a "
            f"{type(data).__name__}."
        )
    train_options = TrainOptions(
        seed=seed, compute=compute.changed(**options), resume=resume, init=init, max_broken=max_broken,
        tensorboard="tensorboard" in loggers, trust_first_use=trust_first_use, root=None if root is None else Path(root),
        classes=Path(classes) if isinstance(classes, str) else classes,
    )  # fmt: skip
    source = Path(data) if isinstance(data, str) else data
    declared = None if recipe is None else _declared(recipe)
    request = TrainRequest(
        data=source, out=_default_folder(source, declared) if out is None else Path(out), recipe=declared,
        by_name=isinstance(recipe, str | Path) and not is_yaml(recipe), val=_path_or_manifest(val),
        test=_path_or_manifest(test), labels=None if labels is None else Path(labels), settings=settings, epochs=epochs,
        lr=lr, backbone=None if backbone is None else str(backbone), finetune=finetune, minutes=minutes,
        options=train_options,
    )  # fmt: skip
    return run_plan(request.plan())


def _path_or_manifest(given: str | Path | Manifest | None) -> Path | Manifest | None:
    return Path(given) if isinstance(given, str) else given


def _default_folder(source: Path | Manifest, recipe: Recipe | None) -> Path:
    """The folder of a run for which none was named."""
    if recipe is not None:
        return next_run(recipe.name, option="out=")
    path = Path(source.source or "manifest") if isinstance(source, Manifest) else source
    if can_be_tuned(path):
        return path
    return next_run(run_name(path), option="out=")


def _declared(recipe: Recipe | str | Path) -> Recipe:
    """A recipe that is given as such, by its name, or by its YAML file."""
    if isinstance(recipe, Recipe):
        return recipe
    return read_recipe(recipe) if is_yaml(recipe) else get_recipe(str(recipe))


def is_yaml(recipe: str | Path) -> bool:
    """Whether a recipe is given as a YAML file, not by its name."""
    return str(recipe).endswith((".yaml", ".yml")) or Path(recipe).is_file()
