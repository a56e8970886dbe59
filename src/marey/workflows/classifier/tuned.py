"""Fine-tuning as a part of `marey train FOLDER_OR_LIST`, at once or later from the folder of the run."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from marey.backends.compute import Compute
from marey.backends.precision import check_machine
from marey.base.claim import OutputPath
from marey.base.errors import DataError, StoppedError
from marey.base.finetune import Finetune
from marey.base.reporter import notice, understood
from marey.base.runs import TUNING
from marey.base.shell import marey_line
from marey.base.words import capitalised, counted, percent, verb
from marey.classifier import Classifier
from marey.data.lists.videos import first_of
from marey.evaluation.out_of_fold.calibration import TURNED_AWAY, CrossFitted, of_all_classes
from marey.evaluation.out_of_fold.cost import Cost, FineTuning
from marey.evaluation.out_of_fold.result import OutOfFold
from marey.tasks.all import task_of
from marey.weights.load import load_model
from marey.workflows.classifier.budget import Budget
from marey.workflows.classifier.finish import Outcome, finish, tested_lines
from marey.workflows.classifier.tuning import Tuning, came_to_end, kept_tuning, tried_in, tune, tuning_name
from marey.workflows.classifier.tuning_cost import Decision, decide, tuning_cost
from marey.workflows.classifier.tuning_data import TuningData
from marey.workflows.classifier.tuning_start import HEADS, START, TuningStart, cannot_be_judged

_FEW = 5
"""Clips of a class below which its threshold says little."""
_LEAST_RIGHT = math.ceil(1 / TURNED_AWAY) - 1
"""Right answers that a threshold for "none of these" needs (`marey.tasks.thresholds.turning_away`)."""
_PARTS = 5
"""Parts of the recordings of the fold by which its calibration is judged."""
_NOTHING = Cost(0, 0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class TuningOptions:
    """Whether and how to fine-tune here and now."""

    finetune: Finetune = "auto"
    budget: Budget = Budget()  # noqa: RUF009 - frozen
    settings: tuple[str, ...] = ()
    """Of the recipe's training ("train.epochs=3")."""
    compute: Compute = Compute()  # noqa: RUF009 - frozen
    seed: int = 0
    max_broken: float | None = None
    root: Path | None = None
    """The folder that has the clips, where it was named."""

    def command(self, run: Path, *, here: bool) -> str:
        """The command line that tunes a run by these settings: later, on any machine, or `here`, on this one."""
        words: list[str | Path] = ["--finetune", "always"]
        for setting in self.settings:
            words += ["--set", setting]
        words += ["--seed", str(self.seed)] if self.seed else []
        words += ["--precision", self.compute.precision] if self.compute.precision != "auto" else []
        words += ["--max-broken", f"{self.max_broken:g}"] if self.max_broken is not None else []
        words += ["--root", self.root] if self.root is not None else []
        words += self._of_machine if here else []
        return marey_line("train", run, *words)

    @property
    def _of_machine(self) -> list[str | Path]:
        """Options that depend on the machine."""
        compute, plain = self.compute, Compute()
        words: list[str | Path] = []
        words += ["--device", compute.device] if compute.device != plain.device else []
        words += ["--batch", str(compute.batch)] if compute.batch is not None else []
        words += ["--workers", str(compute.workers)] if compute.workers is not None else []
        return words


@dataclass(frozen=True)
class TuningPlan:
    """A run that was fitted on frozen features, to be tuned. Nothing is computed until `tune_run`."""

    run: Path
    data: TuningData
    options: TuningOptions

    def as_text(self) -> str:
        """What would be tuned, and where."""
        settings = "".join(f", {setting}" for setting in self.options.settings)
        return (
            f"{self.run}: a classifier on frozen features of {counted(len(self.data.clips), 'clip')} in "
            f"{self.data.clips.root}, to be fine-tuned (--finetune {self.options.finetune}, seed {self.options.seed}"
            f"{settings}).\nNothing was trained or written (--dry-run)."
        )


def plan_tuning(run: Path, options: TuningOptions) -> TuningPlan:
    """To tune a run that was fitted on frozen features.

    Raises:
        DataError: its clips cannot be found, or tuning cannot be judged on them.
        RecipeError: a setting that the recipe does not have.
        RunError: this machine lacks the device.
    """
    check_machine(options.compute, training=True)
    heads = load_model(run / TUNING / HEADS)
    assert heads.class_names is not None
    if options.settings:
        heads.recipe.with_settings(options.settings)  # refuses what it does not have
    if options.finetune == "always" and (why := cannot_be_judged(TuningStart.load(run / TUNING / START).recordings)):
        raise DataError(f"{run}: {why}.")
    data = TuningData.read(run, heads.class_names, root=options.root, max_broken=options.max_broken)
    return TuningPlan(run, data, options)


def tune_run(plan: TuningPlan) -> OutOfFold:
    """Fine-tune the network of a run, where that is asked for or the time allows it, and keep it where it pays.

    The run's checkpoint, record and report are then those of the tuned network; results on videos for validation and testing
    are made anew, and the former ones kept beside them. What is there already is not done again.

    Raises:
        RunError: another process works on the run.
        StoppedError: a signal asked it to stop; the same call goes on.
    """
    run, options = plan.run, plan.options
    with OutputPath.folder(run).held():
        understood(
            f"{run}: a classifier on frozen features of {counted(len(plan.data.clips), 'clip')}, to be fine-tuned"
        )
        found = tune_and_finish(run, plan.data, options)
    print("\n".join([found.summary(), *tested_lines(run, plan.data)]), flush=True)
    return found


def tune_and_finish(run: Path, data: TuningData, options: TuningOptions, *, spent: Cost = _NOTHING) -> OutOfFold:
    """Tune the fitted classifier of a run, which this process holds, where that is asked for and pays, and bring the run to
    its end: checkpoint, tests, report.

    Args:
        spent: Of the budget.
    """
    outcome = tuned(run, data, options, spent=spent)
    finish(run, outcome, data, max_broken=options.max_broken, compute=options.compute)
    return outcome.found


def tuned(run: Path, data: TuningData, options: TuningOptions, *, spent: Cost) -> Outcome:
    """The classifier of a run and its record after fine-tuning, where that is done and pays; else as they were.

    Nothing is written but in the folder of the tuning. A network that was fine-tuned before stays, unless another tuning
    that is to be kept names more clips of the fold rightly.
    """
    state = _State.read(run, data, options)
    if said := state.said_already():
        notice(said)
        return state.unchanged
    decision = state.decision(spent)
    if decision.tunes:
        notice(decision.sentence)
        return state.after(state.tune())
    if not decision.sentence:
        return state.unchanged
    if state.found.tuning_note or state.found.tuning is not None:
        notice(decision.sentence)
        return state.unchanged
    return Outcome(state.before, replace(state.found, tuning_note=f"{capitalised(decision.sentence)}."), changed=True)


@dataclass(frozen=True, eq=False)
class _State:
    """What a run has, and the tuning that is asked for."""

    run: Path
    data: TuningData
    options: TuningOptions
    heads: Classifier
    """On frozen features."""
    model: Classifier
    """The same, with the settings of the tuning."""
    start: TuningStart
    found: OutOfFold
    kept: FineTuning | None
    """The tuning that the run's network comes from."""
    folder: Path
    """Of the tuning that is asked for."""

    @classmethod
    def read(cls, run: Path, data: TuningData, options: TuningOptions) -> "_State":
        """The state of a run, from its files; the checkpoint is not asked, which a stop may have left of another tuning."""
        tunings = run / TUNING
        heads, start, found = load_model(tunings / HEADS), TuningStart.load(tunings / START), OutOfFold.load(run)
        model = heads
        if options.settings:
            model = heads.with_recipe(heads.recipe.with_settings(options.settings))
        name = tuning_name(model, data.clips, start, compute=options.compute, seed=options.seed)
        kept = found.tuning if found.tuning is not None and found.tuning.kept else None
        return cls(run, data, options, heads, model, start, found, kept, tunings / name)

    @cached_property
    def before(self) -> Classifier:
        """Of the run: tuned, or on frozen features.

        Raises:
            DataError: the folder of the tuning that it comes from is not there.
        """
        if self.kept is None:
            return self.heads
        folder = self.run / TUNING / self.kept.folder
        if not folder.exists():
            raise DataError(
                f"{folder} is not there, from which the fine-tuned network of {self.run} comes: bring it back, or train "
                "again into another folder. The checkpoint in the run's folder works without it."
            )
        return _calibrated(kept_tuning(folder, self.data.clips, self.start), self.heads)

    @property
    def unchanged(self) -> Outcome:
        """The run as it is."""
        return Outcome(self.before, self.found, changed=False)

    def said_already(self) -> str:
        """That the run was tuned already, and is not to be tuned again; "" where that is not so."""
        if self.kept is not None and self.kept.folder == self.folder.name:
            return f"{self.run} was fine-tuned with these settings already, and the fine-tuned network was kept"
        if self.found.tuning is None or self.options.finetune == "always":
            return ""
        return (
            f"{self.run} was fine-tuned already, and stays as it is; --finetune always, with other --epochs, --lr or "
            "--seed, tries again"
        )

    def decision(self, spent: Cost) -> Decision:
        """Whether to tune. A tuning of these settings that was begun goes on, whatever it costs."""
        if self.options.finetune == "never":
            return Decision(False, "")
        if why := cannot_be_judged(self.start.recordings):
            return Decision(False, f"the network is not fine-tuned: {why}")
        if self.folder.exists():
            known = f"the fine-tuning with these settings is finished already, in {self.folder}"
            going_on = f"going on with the fine-tuning in {self.folder}"
            return Decision(True, known if came_to_end(self.folder) else going_on)
        cost = tuning_cost(self.model, self.data.clips, len(self.start.judged), self.options.compute)
        command = self.options.command(self.run, here=False)
        return decide(self.options.finetune, cost, self.options.budget, spent=spent, command=command)

    def tune(self) -> Tuning:
        """Tune in the folder.

        Raises:
            StoppedError: a signal asked it to stop; the command that goes on is named.
        """
        options = self.options
        try:
            return tune(
                self.model, self.data.clips, self.start, out=self.folder, compute=options.compute, seed=options.seed,
                max_broken=options.max_broken,
            )  # fmt: skip
        except StoppedError as stop:
            go_on = options.command(self.run, here=True)
            raise StoppedError(
                f"stopped in the fine-tuning, which is kept so far in {self.folder}; to go on: {go_on}",
                interrupted=stop.interrupted,
            ) from None

    def after(self, result: Tuning) -> Outcome:
        """What the run is after a tuning: the better one of what was kept before and this one; of equals the former."""
        record = _as_fine_tuning(result, self.folder)
        if self.kept is not None and (result.classifier is None or self.kept.tuned >= record.tuned):
            notice(f"{self.run} keeps the network that was fine-tuned before, in {self.kept.folder}")
            return self._recorded(self.before, replace(self.kept, tries=record.tries), self.found.tuning_note)
        if result.classifier is None:
            return self._recorded(self.heads, record, "")
        made = _calibrated(result, self.heads)
        note = _calibration_note(self.heads, made, result)
        notice(note)
        return self._recorded(made, record, note)

    def _recorded(self, model: Classifier, record: FineTuning, note: str) -> Outcome:
        """The run with this classifier and this record of its tuning."""
        found = replace(self.found, tuning=record, tuning_note=note)
        same = (record, note) == (self.found.tuning, self.found.tuning_note)
        return Outcome(model, found, changed=not same)


def _as_fine_tuning(result: Tuning, folder: Path) -> FineTuning:
    """The record of a tuning as that of the run has it."""
    record = result.record
    return FineTuning(
        heads=record.heads_right / record.clips, tuned=record.tuned_right / record.clips, error=record.error,
        clips=record.clips, kept=record.kept, core_seconds=record.core_seconds, folder=folder.name,
        tries=tried_in(folder.parent),
    )  # fmt: skip


def _calibrated(result: Tuning, heads: Classifier) -> Classifier:
    """The tuned classifier with a calibration of its own, by the rules of that of a head: but for the clips of one fold."""
    made = result.classifier
    assert made is not None
    classes, labels = result.answers.shape[1], result.labels
    judged = np.arange(classes)
    if labels.ndim > 1:  # of classes without a clip here nothing can be said
        judged = np.flatnonzero(labels.any(axis=0))
        labels = labels[:, judged]
    _, recordings = np.unique(result.units, return_inverse=True)
    calibration = CrossFitted.of(
        task_of(made.recipe.task), result.answers[:, judged], labels, recordings % _PARTS,
        fitted_on=f"the fine-tuned network's answers to {counted(len(labels), 'clip')} of one fold",
    )  # fmt: skip
    made.calibration = of_all_classes(calibration.final, judged, classes)
    if made.trained_on is not None and heads.trained_on is not None:
        made.trained_on = made.trained_on | heads.trained_on
    return made


def _calibration_note(heads: Classifier, made: Classifier, result: Tuning) -> str:
    """What calibration the tuned classifier has, and on how few clips it rests, in sentences: those of one fold alone."""
    now = made.calibration
    assert now is not None
    temperature = f"a temperature of {now.temperature:.2f}" if now.temperature != 1 else "no temperature"
    own = f"The fine-tuned network has {temperature}, {_thresholds_text(heads, made, result)}"
    return f"{own} Its calibration is fitted to the {counted(len(result.answers), 'clip')} of this fold alone."


def _thresholds_text(heads: Classifier, made: Classifier, result: Tuning) -> str:
    """Which thresholds the tuned classifier has, to end a sentence."""
    now, names = made.calibration, made.class_names
    assert now is not None and names is not None
    if now.thresholds is not None:
        counts = (result.labels > 0).sum(axis=0).tolist()
        few = [name for name, count in zip(names, counts, strict=True) if count < _FEW]
        some = f", though {counted(len(few), 'class')} {verb(len(few), 'has', 'have')} fewer clips here than {_FEW}"
        none = ", and without any the median of the others' threshold" if 0 in counts else ""
        return "and a threshold of its own for each class" + (f"{some}{none}: {first_of(few, 3)}." if few else ".")
    if now.threshold is not None:
        return f'and a threshold of {percent(now.threshold, 0)} for "none of these".'
    right = task_of(made.recipe.task).right(result.answers, result.labels)
    assert right is not None
    lost = "" if heads.calibration is None or heads.calibration.threshold is None else ", which the head had"
    rightly = counted(int(right.sum()), "clip")
    return (
        f'and no threshold for "none of these"{lost}: it answers {rightly} rightly, and a threshold takes at least '
        f"{_LEAST_RIGHT}."
    )
