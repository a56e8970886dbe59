"""Fine-tuning as a part of `marey train FOLDER_OR_LIST`, at once or later from the folder of the run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from marey.backends.compute import Compute
from marey.base.claim import OutputPath
from marey.base.finetune import Finetune
from marey.base.readme import write_readme
from marey.base.reporter import notice
from marey.base.runs import next_run
from marey.base.shell import marey_line
from marey.base.words import counted
from marey.classifier import Classifier
from marey.data.folds import NEVER
from marey.data.formats import read_manifest
from marey.data.sides import read_given
from marey.evaluation.calibration import fit_calibration
from marey.evaluation.out_of_fold import FineTuning, OutOfFold
from marey.evaluation.report import write_report
from marey.tasks.all import task_of
from marey.training.heads import fit_head
from marey.training.selection import judging_folds
from marey.weights.checkpoint import save_checkpoint
from marey.weights.load import load_model
from marey.workflows.fitted import Fitted, write_classifier
from marey.workflows.testing import test_model
from marey.workflows.tuning import FOLDER, START, Budget, Tuning, TuningStart, decide, tune, tuning_cost

CLIPS, HEADS = "clips.csv", "heads.safetensors"
"""In the folder of the tuning: the clips that the run was fitted on, and the classifier on frozen features, from which each
tuning begins, whatever became of an earlier one.
"""


def save_start(fitted: Fitted, out: Path) -> None:
    """Keep in the folder of a run what it can be tuned from later."""
    choice, folds = fitted.choice, judging_folds(fitted.folds.of_row)
    units = fitted.folds.units
    # The one of most recordings says most, whatever clips it has.
    fold = max(np.unique(folds[folds != NEVER]).tolist(), key=lambda one: len(np.unique(units[folds == one])))
    judged, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
    pooled = choice.candidate.pooled
    head = fit_head(
        pooled.rows(others), fitted.targets[others], classes=len(fitted.manifest.class_names),
        strength=choice.head.strength, task=fitted.model.recipe.task,
    )  # fmt: skip
    start = TuningStart(
        folds=folds, units=units, fold=fold, weight=head.weight, bias=head.bias,
        answers=head.logits(pooled.features[judged]).astype(np.float32),
    )  # fmt: skip
    start.save(out / FOLDER / START)
    fitted.manifest.write_csv(out / FOLDER / CLIPS)
    save_checkpoint(out / FOLDER / HEADS, fitted.model)


def can_be_tuned(folder: Path) -> bool:
    """Whether a folder is that of a run that was fitted on frozen features."""
    return (folder / FOLDER / START).is_file()


@dataclass(frozen=True)
class TuningPlan:
    """A run that was fitted on frozen features, to be tuned. Nothing is computed until `tune_run`."""

    run: Path
    finetune: Finetune
    budget: Budget
    settings: tuple[str, ...]
    compute: Compute
    seed: int
    max_broken: float | None

    def as_text(self) -> str:
        """What would be tuned, and where."""
        clips = TuningStart.load(self.run / FOLDER / START).folds
        return (
            f"{self.run}: a classifier on frozen features of {counted(len(clips), 'clip')}, to be fine-tuned "
            f"(--finetune {self.finetune}).\nNothing was trained or written (--dry-run)."
        )


def tune_run(plan: TuningPlan) -> OutOfFold:
    """Fine-tune the network of a run, where that is asked for or the time allows it, and keep it where it pays.

    The run's checkpoint, record and report are then those of the tuned network; results on videos for validation and testing
    are made anew, and the former ones kept beside them.

    Raises:
        DataError: the clips that the run was fitted on cannot be found.
        RunError: another process works on the run.
    """
    run = plan.run
    with OutputPath.folder(run).held():
        before, found = load_model(run / FOLDER / HEADS), OutOfFold.load(run)
        model, found = tuned(
            before, found, run, finetune=plan.finetune, budget=plan.budget, settings=plan.settings, compute=plan.compute,
            seed=plan.seed, max_broken=plan.max_broken, spent=0.0,
        )  # fmt: skip
        write_classifier(model, found, run)
        if found.tuning is not None and found.tuning.kept:
            _test_again(model, run, plan)
        notice(f"report: {write_report(run, read_manifest(run / FOLDER / CLIPS, classes=model.class_names))}")
        write_readme(run)
    print(found.summary(), flush=True)
    return found


def _test_again(model: Classifier, run: Path, plan: TuningPlan) -> None:
    """Test on the videos for validation and testing that the run's list names."""
    for name, part in read_given(run / "split.csv", classes=model.class_names).tested.items():
        if (run / name).exists():
            (run / name).rename(next_run(f"{name}-before-tuning", inside=run))
        test_model(model, part, out=run / name, max_broken=plan.max_broken, compute=plan.compute)


def tuned(
    model: Classifier,
    found: OutOfFold,
    out: Path,
    *,
    finetune: Finetune,
    budget: Budget,
    settings: Sequence[str],
    compute: Compute,
    seed: int,
    max_broken: float | None,
    spent: float,
) -> tuple[Classifier, OutOfFold]:
    """The classifier of the run in `out` and its record after fine-tuning, where that is done and pays; else as they are.

    Args:
        settings: Of the recipe's training ("train.epochs=3").
        spent: Of the budget, in its unit.
    """
    plain = model
    if settings:
        model = model.with_recipe(model.recipe.with_settings(settings))
    start, clips = (
        TuningStart.load(out / FOLDER / START),
        read_manifest(out / FOLDER / CLIPS, classes=model.class_names),
    )
    cost = None if finetune == "never" else tuning_cost(model, clips, len(start.judged), compute)
    command = marey_line("train", out, "--finetune", "always")
    decision = decide(finetune, cost, budget, spent=spent, command=command)
    if not decision.tunes:
        return plain, replace(found, tuning_note=_sentence(decision.sentence))
    notice(decision.sentence)
    result = tune(model, clips, start, out=out / FOLDER, compute=compute, seed=seed, max_broken=max_broken)
    record = result.record
    found = replace(
        found,
        tuning=FineTuning(
            heads=record.heads_right / record.clips, tuned=record.tuned_right / record.clips, error=record.error,
            clips=record.clips, kept=record.kept, core_seconds=record.core_seconds,
        ),
    )  # fmt: skip
    return (plain if result.classifier is None else _calibrated(result, result.classifier, model)), found


def _calibrated(result: Tuning, tuned_model: Classifier, before: Classifier) -> Classifier:
    """The tuned classifier with a calibration of its own."""
    task = task_of(tuned_model.recipe.task)
    fitted_on = f"the fine-tuned network's answers to {counted(len(result.answers), 'clip')} of one fold"
    tuned_model.calibration = fit_calibration(task, result.answers, result.labels, fitted_on=fitted_on)
    if tuned_model.trained_on is not None and before.trained_on is not None:
        tuned_model.trained_on = tuned_model.trained_on | before.trained_on
    return tuned_model


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""
