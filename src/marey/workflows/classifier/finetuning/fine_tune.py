"""Fine-tune the network of a run on frozen features: the last step of `marey train DATA`, or later `marey train RUN`."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from marey.backends.compute import Compute
from marey.backends.precision import check_machine
from marey.base.claim import OutputPath
from marey.base.errors import DataError, StoppedError
from marey.base.options import Finetune
from marey.base.reporter import notice, work_summary
from marey.base.runs import TUNING
from marey.base.shell import marey_line
from marey.base.words import capitalised, counted, percent, verb
from marey.classifier import Classifier
from marey.data.lists.videos import first_of
from marey.evaluation.out_of_fold.calibration import FALSE_REJECTIONS, CrossFittedCalibration, of_all_classes
from marey.evaluation.out_of_fold.cost import Cost, FineTuning
from marey.evaluation.out_of_fold.result import OutOfFold
from marey.tasks.choose import task_of
from marey.weights.load import load_model
from marey.workflows.classifier.affordable import Budget
from marey.workflows.classifier.finetuning.decide import Decision, decide_tuning, measure_cost
from marey.workflows.classifier.finetuning.judge import (
    TunedNetwork,
    count_finished,
    is_tuned,
    load_kept,
    tune_and_judge,
    tuning_name,
)
from marey.workflows.classifier.finetuning.saved_lists import RunVideos
from marey.workflows.classifier.finetuning.saved_start import HEADS, START, TuningStart, cannot_be_judged
from marey.workflows.classifier.finish_run import FinalClassifier, finish_run, tested_lines

_FEW = 5
"""With fewer videos of a class its threshold is unreliable; a note names the class."""
_LEAST_RIGHT = math.ceil(1 / FALSE_REJECTIONS) - 1
"""Right predictions that a threshold for "none of these" needs (`marey.tasks.thresholds.turning_away`)."""
_CALIBRATION_FOLDS = 5
"""Groups of recordings by which the calibration is cross-fitted within the judged fold."""
_NOTHING = Cost(0, 0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class TuningOptions:
    """Whether and how to fine-tune on this machine."""

    finetune: Finetune = "auto"
    """Whether to fine-tune: "always", "never", or "auto", the default: if the budget suffices."""
    budget: Budget = Budget()  # noqa: RUF009 - frozen
    """The time that fine-tuning may take; by default 600 core-seconds, or 600 seconds of a GPU."""
    settings: tuple[str, ...] = ()
    """Changed fields of the recipe's training ("train.epochs=3"); by default none."""
    compute: Compute = Compute()  # noqa: RUF009 - frozen
    """Device, precision, clips per pass and decoding processes; by default chosen for this machine."""
    seed: int = 0
    """The seed of everything random in fine-tuning; 0 by default."""
    max_broken: float | None = None
    """Tolerated share of broken files, 0 to 1; None: 0.01, or three files if that is more."""
    root: Path | None = None
    """The folder that has the videos now; None: it was not named."""

    def command(self, run: Path, *, here: bool) -> str:
        """The command line that fine-tunes a run with these options; `here` includes options of this machine."""
        words: list[str | Path] = ["--finetune", "always"]
        for setting in self.settings:
            words += ["--set", setting]
        words += ["--seed", str(self.seed)] if self.seed else []
        words += ["--precision", self.compute.precision] if self.compute.precision != "auto" else []
        words += ["--max-broken", f"{self.max_broken:g}"] if self.max_broken is not None else []
        words += ["--root", self.root] if self.root is not None else []
        words += self._machine_words if here else []
        return marey_line("train", run, *words)

    @property
    def _machine_words(self) -> list[str | Path]:
        """The words for options that depend on the machine and differ from their defaults."""
        compute, default = self.compute, Compute()
        words: list[str | Path] = []
        words += ["--device", compute.device] if compute.device != default.device else []
        words += ["--batch", str(compute.batch)] if compute.batch is not None else []
        words += ["--workers", str(compute.workers)] if compute.workers is not None else []
        return words


@dataclass(frozen=True)
class TuningPlan:
    """A run on frozen features that is to be fine-tuned. Nothing is computed until `tune_run`."""

    run: Path
    """The folder of the run to fine-tune."""
    videos: RunVideos
    """The videos that the run was fitted on, and those that it is tested on."""
    options: TuningOptions
    """Whether and how to fine-tune."""

    def as_text(self) -> str:
        """The text of --dry-run: the run, its videos, and the options."""
        settings = "".join(f", {setting}" for setting in self.options.settings)
        return (
            f"{self.run}: a classifier on frozen features of {counted(len(self.videos.train), 'video')} in "
            f"{self.videos.train.root}, to be fine-tuned (--finetune {self.options.finetune}, seed {self.options.seed}"
            f"{settings}).\nNothing was trained or written (--dry-run)."
        )


def plan_tuning(run: Path, options: TuningOptions) -> TuningPlan:
    """Plan to fine-tune a run on frozen features.

    Raises:
        DataError: its videos cannot be found, or fine-tuning cannot be judged on them.
        RecipeError: a setting that the recipe does not have.
        RunError: this machine lacks the device.
    """
    check_machine(options.compute, training=True)
    heads = load_model(run / TUNING / HEADS)
    assert heads.class_names is not None
    if options.settings:
        heads.recipe.with_settings(options.settings)  # refuses settings that the recipe does not have
    if options.finetune == "always" and (why := cannot_be_judged(TuningStart.load(run / TUNING / START).recordings)):
        raise DataError(f"{run}: {why}.")
    videos = RunVideos.read(run, heads.class_names, root=options.root, max_broken=options.max_broken)
    return TuningPlan(run, videos, options)


def tune_run(plan: TuningPlan) -> OutOfFold:
    """Fine-tune the network of a run, if that was asked for or the budget allows it, and keep it if it is better.

    If it is kept, the run's checkpoint, out-of-fold result and report are those of the fine-tuned network; the videos for
    validation and testing are tested again, and the earlier results stay beside the new ones. Finished steps are not
    repeated.

    Raises:
        RunError: another process works on the run.
        StoppedError: a signal asked it to stop; the same call resumes.
    """
    run, options = plan.run, plan.options
    with OutputPath.folder(run).held():
        work_summary(
            f"{run}: a classifier on frozen features of {counted(len(plan.videos.train), 'video')}, to be fine-tuned"
        )
        out_of_fold = tune_and_finish(run, plan.videos, options)
    print("\n".join([out_of_fold.summary(), *tested_lines(run, plan.videos)]), flush=True)
    return out_of_fold


def tune_and_finish(run: Path, videos: RunVideos, options: TuningOptions, *, spent: Cost = _NOTHING) -> OutOfFold:
    """Fine-tune a run if `decide_tuning` says so, and keep the result if it is better; write checkpoint, tests and report.

    This process must have the claim on the run's folder.

    Args:
        spent: What was already spent of the budget.
    """
    final = _tune_if_decided(run, videos, options, spent=spent)
    finish_run(run, final, videos, max_broken=options.max_broken, compute=options.compute)
    return final.out_of_fold


def _tune_if_decided(run: Path, videos: RunVideos, options: TuningOptions, *, spent: Cost) -> FinalClassifier:
    """The classifier and out-of-fold result of a run after fine-tuning, if it is done and better; else as they were.

    Only the folder of the fine-tuning is written. A network that was fine-tuned earlier stays, unless the new one predicts
    more videos of the judged fold rightly.
    """
    state = _TuningState.read(run, videos, options)
    if message := state.tuned_already():
        notice(message)
        return state.unchanged
    decision = state.decision(spent)
    if decision.tunes:
        notice(decision.sentence)
        return state.after(state.tune())
    if not decision.sentence:
        return state.unchanged
    if state.out_of_fold.tuning_note or state.out_of_fold.tuning is not None:
        notice(decision.sentence)
        return state.unchanged
    noted = replace(state.out_of_fold, tuning_note=f"{capitalised(decision.sentence)}.")
    return FinalClassifier(state.before, noted, changed=True)


@dataclass(frozen=True, eq=False)
class _TuningState:
    """The state of a run, and the fine-tuning that is asked for."""

    run: Path
    """The folder of the run to fine-tune."""
    videos: RunVideos
    """The videos that the run was fitted on, and those that it is tested on."""
    options: TuningOptions
    """Whether and how to fine-tune."""
    heads: Classifier
    """The classifier on frozen features."""
    model: Classifier
    """The same classifier, with the settings of this fine-tuning."""
    start: TuningStart
    """The folds, the judged fold, and the head that fine-tuning starts from."""
    out_of_fold: OutOfFold
    """The out-of-fold result of the run."""
    kept: FineTuning | None
    """The earlier fine-tuning that the run's network comes from; None: it is on frozen features."""
    folder: Path
    """The folder of this fine-tuning."""

    @classmethod
    def read(cls, run: Path, videos: RunVideos, options: TuningOptions) -> "_TuningState":
        """The state of a run from its files, except the checkpoint, which an interruption may have left inconsistent."""
        tunings = run / TUNING
        heads, start, out_of_fold = load_model(tunings / HEADS), TuningStart.load(tunings / START), OutOfFold.load(run)
        model = heads
        if options.settings:
            model = heads.with_recipe(heads.recipe.with_settings(options.settings))
        name = tuning_name(model, videos.train, start, compute=options.compute, seed=options.seed)
        kept = out_of_fold.tuning if out_of_fold.tuning is not None and out_of_fold.tuning.kept else None
        return cls(run, videos, options, heads, model, start, out_of_fold, kept, tunings / name)

    @cached_property
    def before(self) -> Classifier:
        """The run's classifier now: fine-tuned, or on frozen features.

        Raises:
            DataError: the folder of the fine-tuning that it comes from does not exist.
        """
        if self.kept is None:
            return self.heads
        folder = self.run / TUNING / self.kept.folder
        if not folder.exists():
            raise DataError(
                f"the fine-tuned network of {self.run} comes from {folder}, which is missing: bring it back, or train "
                "again into another folder. The checkpoint in the run's folder works without it."
            )
        return _calibrated(load_kept(folder, self.videos.train, self.start), self.heads)

    @property
    def unchanged(self) -> FinalClassifier:
        """The run as it is."""
        return FinalClassifier(self.before, self.out_of_fold, changed=False)

    def tuned_already(self) -> str:
        """The message if the run was fine-tuned already and is not to be fine-tuned again; else ""."""
        if self.kept is not None and self.kept.folder == self.folder.name:
            return f"{self.run} was fine-tuned with these settings already, and the fine-tuned network was kept"
        if self.out_of_fold.tuning is None or self.options.finetune == "always":
            return ""
        return (
            f"{self.run} was fine-tuned already, and stays as it is; --finetune always, with other --epochs, --lr or "
            "--seed, tries again"
        )

    def decision(self, spent: Cost) -> Decision:
        """Whether to fine-tune. A fine-tuning with these settings that was begun is resumed, whatever it costs."""
        if self.options.finetune == "never":
            return Decision(False, "")
        if why := cannot_be_judged(self.start.recordings):
            return Decision(False, f"the network is not fine-tuned: {why}")
        if self.folder.exists():
            finished = f"the fine-tuning with these settings is finished already, in {self.folder}"
            resuming = f"resuming the fine-tuning in {self.folder}"
            return Decision(True, finished if is_tuned(self.folder) else resuming)
        cost = measure_cost(self.model, self.videos.train, len(self.start.judged), self.options.compute)
        command = self.options.command(self.run, here=False)
        return decide_tuning(self.options.finetune, cost, self.options.budget, spent=spent, command=command)

    def tune(self) -> TunedNetwork:
        """Fine-tune in the folder.

        Raises:
            StoppedError: a signal asked it to stop; the message names the command that resumes.
        """
        options = self.options
        try:
            return tune_and_judge(
                self.model, self.videos.train, self.start, out=self.folder, compute=options.compute, seed=options.seed,
                max_broken=options.max_broken,
            )  # fmt: skip
        except StoppedError as stop:
            raise StoppedError(
                f"stopped in the fine-tuning, which is kept so far in {self.folder}; to resume: "
                f"{options.command(self.run, here=True)}",
                interrupted=stop.interrupted,
            ) from None

    def after(self, result: TunedNetwork) -> FinalClassifier:
        """The run after a fine-tuning: the better network of the earlier and the new one; if equal, the earlier one."""
        record = _as_fine_tuning(result, self.folder)
        if self.kept is not None and (result.classifier is None or self.kept.tuned >= record.tuned):
            notice(f"{self.run} keeps the network that was fine-tuned before, in {self.kept.folder}")
            return self._recorded(self.before, replace(self.kept, tries=record.tries), self.out_of_fold.tuning_note)
        if result.classifier is None:
            return self._recorded(self.heads, record, "")
        tuned = _calibrated(result, self.heads)
        note = _calibration_note(self.heads, tuned, result)
        notice(note)
        return self._recorded(tuned, record, note)

    def _recorded(self, model: Classifier, record: FineTuning, note: str) -> FinalClassifier:
        """The run with this classifier and this record of its fine-tuning."""
        out_of_fold = replace(self.out_of_fold, tuning=record, tuning_note=note)
        same = (record, note) == (self.out_of_fold.tuning, self.out_of_fold.tuning_note)
        return FinalClassifier(model, out_of_fold, changed=not same)


def _as_fine_tuning(result: TunedNetwork, folder: Path) -> FineTuning:
    """The record of a fine-tuning for the run's out-of-fold result."""
    record = result.record
    return FineTuning(
        heads=record.heads_right / record.videos, tuned=record.tuned_right / record.videos, error=record.error,
        videos=record.videos, kept=record.kept, core_seconds=record.core_seconds, folder=folder.name,
        tries=count_finished(folder.parent),
    )  # fmt: skip


def _calibrated(result: TunedNetwork, heads: Classifier) -> Classifier:
    """The fine-tuned classifier, calibrated by the rules for a head, but on the videos of one fold only."""
    tuned = result.classifier
    assert tuned is not None
    classes, labels = result.probabilities.shape[1], result.labels
    judged = np.arange(classes)
    if labels.ndim > 1:  # classes without a video in this fold cannot be calibrated
        judged = np.flatnonzero(labels.any(axis=0))
        labels = labels[:, judged]
    _, recordings = np.unique(result.units, return_inverse=True)
    calibration = CrossFittedCalibration.of(
        task_of(tuned.recipe.task), result.probabilities[:, judged], labels, recordings % _CALIBRATION_FOLDS,
        fitted_on=f"the fine-tuned network's predictions for {counted(len(labels), 'video')} of one fold",
    )  # fmt: skip
    tuned.calibration = of_all_classes(calibration.final, judged, classes)
    if tuned.trained_on is not None and heads.trained_on is not None:
        tuned.trained_on = tuned.trained_on | heads.trained_on
    return tuned


def _calibration_note(heads: Classifier, tuned: Classifier, result: TunedNetwork) -> str:
    """The calibration of the fine-tuned classifier, and the number of videos that it was fitted to, in sentences."""
    now = tuned.calibration
    assert now is not None
    temperature = f"a temperature of {now.temperature:.2f}" if now.temperature != 1 else "no temperature"
    own = f"The fine-tuned network has {temperature}, {_thresholds_text(heads, tuned, result)}"
    return f"{own} Its calibration is fitted to the {counted(len(result.probabilities), 'video')} of this fold alone."


def _thresholds_text(heads: Classifier, tuned: Classifier, result: TunedNetwork) -> str:
    """The thresholds of the fine-tuned classifier, as the end of a sentence."""
    now, names = tuned.calibration, tuned.class_names
    assert now is not None and names is not None
    if now.thresholds is not None:
        counts = (result.labels > 0).sum(axis=0).tolist()
        few = [name for name, count in zip(names, counts, strict=True) if count < _FEW]
        some = f", though {counted(len(few), 'class')} {verb(len(few), 'has', 'have')} fewer videos here than {_FEW}"
        none = ", and classes without any have the median of the others' thresholds" if 0 in counts else ""
        return "and a threshold of its own for each class" + (f"{some}{none}: {first_of(few, 3)}." if few else ".")
    if now.threshold is not None:
        return f'and a threshold of {percent(now.threshold, 0)} for "none of these".'
    right = task_of(tuned.recipe.task).right(result.probabilities, result.labels)
    assert right is not None
    lost = "" if heads.calibration is None or heads.calibration.threshold is None else ", which the head had"
    rightly = counted(int(right.sum()), "video")
    return (
        f'and no threshold for "none of these"{lost}: it predicts {rightly} rightly, and a threshold needs at least '
        f"{_LEAST_RIGHT}."
    )
