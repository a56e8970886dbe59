"""`marey train FOLDER_OR_LIST`: a linear classifier on frozen features, evaluated by out-of-fold predictions."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from marey.backends.compute import Compute
from marey.backends.device import device_text, pick_device
from marey.backends.precision import check_machine
from marey.base.claim import Claim, Command, OutputPath, read_note
from marey.base.errors import DataError, RunError
from marey.base.jsonable import Json
from marey.base.options import Finetune
from marey.base.processes import processes
from marey.base.reporter import notice, work_summary, work_summary_pending
from marey.base.shell import marey_line, next_steps
from marey.base.words import about, counted
from marey.data.cutting import cut_long_videos, not_cut_note
from marey.data.files.missing import check_present
from marey.data.lists.manifest import Manifest
from marey.data.lists.videos import classes_text
from marey.data.recordings.find import MOST_COMPARED
from marey.data.splits.corrected_data import LABELS, CorrectedData, with_group_column
from marey.data.splits.corrections_table import Corrections
from marey.data.splits.folds import Folds, check_trainable, make_folds
from marey.data.splits.read_splits import (
    TrainValTest,
    class_table,
    join_splits,
    read_train_val_test,
    shared_video_notes,
)
from marey.evaluation.out_of_fold.result import OutOfFold
from marey.inference.cells import Estimate, compute_cells, estimate_cells
from marey.recipe import Classify, MultiLabel, TaskConfig
from marey.recipes.probe import PROBE
from marey.training.folder import facts_for_readme, refuse_other_run
from marey.workflows.classifier.affordable import AUTO, Budget
from marey.workflows.classifier.backbones import Backbone, check_backbone, find_backbone
from marey.workflows.classifier.compare_corrections import compare_corrections
from marey.workflows.classifier.finetuning.fine_tune import TuningOptions, tune_and_finish
from marey.workflows.classifier.finetuning.saved_lists import CLIPS, RunVideos, save_lists
from marey.workflows.classifier.finetuning.saved_start import (
    can_be_tuned,
    cannot_be_judged,
    fold_that_judges,
    save_start,
)
from marey.workflows.classifier.finish_run import is_finished, tested_lines
from marey.workflows.classifier.fit_on_cells import fit_on_cells, write_classifier
from marey.workflows.classifier.list_suspects import suspects_line
from marey.workflows.recordings import VideosInFolds, divide_by_recordings


@dataclass(frozen=True, kw_only=True)
class FittingOptions:
    """How to fit a classifier on this machine."""

    compute: Compute = Compute()  # noqa: RUF009 - frozen
    """Device, precision, clips per pass and decoding processes; by default chosen for this machine."""
    backbone: str | None = None
    """A recipe's name, a checkpoint or "auto"; None: EfficientNet-Lite0."""
    finetune: Finetune = "auto"
    """Whether to fine-tune afterwards: "always", "never", or "auto", the default: if the budget suffices."""
    budget: Budget = Budget()  # noqa: RUF009 - frozen
    """The time for choosing a backbone and for fine-tuning; by default 600 core-seconds, or 600 seconds of a GPU."""
    settings: tuple[str, ...] = ()
    """Changed fields of the recipe's training, for fine-tuning; by default none."""
    seed: int = 0
    """The seed of everything random in fine-tuning; 0 by default."""
    resume: bool = False
    """Whether to resume the run in the output folder."""
    max_broken: float | None = None
    """Tolerated share of broken files, 0 to 1; None: 0.01, or three files if that is more."""
    trust_first_use: bool = False
    """Whether to download weights even if no hash of them was published."""
    resume_command: str | None = None
    """The command line that would resume the run, for README.txt; None: it is not named."""


@dataclass(frozen=True)
class FittingPlan:
    """A training that was planned. Nothing is computed or written until `fit_classifier`."""

    given: TrainValTest
    """The videos to fit on and the videos to test on, after corrections."""
    folds: Folds
    """The folds of the videos, by names and equal files."""
    task: TaskConfig
    """The task: one label per video, or several."""
    out: Path
    """The folder of the run."""
    options: FittingOptions
    """How to fit on this machine."""
    needs_backbone: bool = True
    """Whether the backbone is loaded. False: a run is resumed whose head was fitted already, on the same backbone."""
    corrected: CorrectedData | None = None
    """The corrections that were applied; None: none were named."""

    @property
    def tuning(self) -> TuningOptions:
        """How to fine-tune; never if a finished run is resumed without an option of fine-tuning."""
        options = self.options
        is_requested = options.finetune != "auto" or options.budget.minutes is not None
        unchanged = options.resume and is_finished(self.out) and not is_requested
        return TuningOptions(
            finetune="never" if unchanged else options.finetune, budget=options.budget, settings=options.settings,
            compute=options.compute, seed=options.seed, max_broken=options.max_broken,
        )  # fmt: skip

    @property
    def train(self) -> Manifest:
        """The videos that the classifier is fitted on."""
        return self.given.train

    @property
    def tested(self) -> dict[str, Manifest]:
        """The videos that it is tested on, by the names of their splits, with corrected groups."""
        return {name: with_group_column(tested) for name, tested in self.given.tested.items()}

    def counts_text(self) -> str:
        """The number of videos, classes, folds, and of videos for each test, in words."""
        tests = [
            counted(len(tested), f"video for {name}", f"videos for {name}")
            for name, tested in self.given.tested.items()
        ]
        classes = classes_text(self.train.class_names)
        return "; ".join(
            [f"{counted(len(self.train), 'video')}, {classes}, in {counted(self.folds.count, 'fold')}", *tests]
        )

    def _comparing_line(self) -> Iterator[str]:
        """A line of the text of --dry-run: frames will be compared; none if there are too many videos."""
        if len(self.train) + sum(map(len, self.given.tested.values())) <= MOST_COMPARED:
            yield "Frames of the videos are compared before training: recordings and copies that they show change folds."

    def as_text(self) -> str:
        """The text of --dry-run: videos by class and split, recordings, folds, backbone, output folder."""
        return "\n".join(
            [
                self.counts_text(),
                *class_table(self.train, self.given.tested),
                *self.given.notes,
                *self.folds.notes,
                *self._comparing_line(),
                f"backbone: {self.options.backbone or 'EfficientNet-Lite0'}",
                f"output: {self.out}",
                "Nothing was trained or written (--dry-run).",
            ]
        )


def plan_on_features(
    data: Path | Manifest,
    *,
    val: Path | Manifest | None = None,
    test: Path | Manifest | None = None,
    root: Path | None = None,
    classes: Path | Sequence[str] | None = None,
    labels: Path | None = None,
    out: Path,
    options: FittingOptions,
) -> FittingPlan:
    """Plan which videos a classifier is fitted on, their folds, and which videos it is only tested on.

    Args:
        val: Videos to test on; None: those that the split column names.
        test: More videos to test on; None: those that the split column names.
        root: The folder that a list's paths are relative to; None: the list's own.
        classes: The class names in order, or a file of them.
        labels: A table of corrections (`marey.data.splits.corrections_table`) for all of these videos; None: none.

    Raises:
        DataError: no videos, fewer than two classes, too few videos to evaluate any class, too many missing files, or
            corrections that cannot be read.
        WeightsError: there is no such backbone.
        RunError: another run is in `out`, several processes were started, or this machine lacks the device.
    """
    if processes().world > 1:
        raise RunError(
            "a classifier on frozen features is fitted by one process: leave out torchrun, or train an entire network "
            "(--set or --init none; a recipe's name and --data)."
        )
    check_machine(options.compute, training=True)
    if options.resume and options.backbone in (None, AUTO):
        options = replace(options, backbone=_backbone_of_run(out, options.backbone))
    needs_backbone = not (options.resume and can_be_tuned(out) and options.backbone == _noted_backbone(out))
    if needs_backbone:
        check_backbone(options.backbone, trust_first_use=options.trust_first_use)
    if not options.resume:
        refuse_other_run(out)  # before anything is downloaded or read
    inputs = [path for path in (data, val, test, labels) if isinstance(path, Path)]
    for written in ("split.csv", LABELS):
        OutputPath.file(out / written).refuse_inputs(inputs)
    corrections = None if labels is None else Corrections.read(labels)
    given = read_train_val_test(data, val, test, root=root, classes=classes)
    cut, note = cut_long_videos(given.train)
    long_notes = filter(None, [note, not_cut_note(given.tested)])
    given = replace(given, train=cut, notes=(*given.notes, *long_notes, *shared_video_notes(cut, given.tested)))
    corrected = None if corrections is None else corrections.applied(given)
    given = given if corrected is None else corrected.given
    with _mention_corrections(corrected):
        check_trainable(given.train)
    for videos in (given.train, *given.tested.values()):
        check_present(options.max_broken, videos)
    task = MultiLabel() if given.train.label_sets is not None else Classify()
    with _mention_corrections(corrected):
        folds = make_folds(given.train)
    if options.finetune == "always":
        _require_judging_fold(folds, given.train)
    return FittingPlan(given, folds, task, out, options, needs_backbone, corrected)


@contextlib.contextmanager
def _mention_corrections(corrected: CorrectedData | None) -> Iterator[None]:
    """A block that may refuse a list: the error message then adds that the list was corrected, if it was."""
    try:
        yield
    except DataError as error:
        if corrected is None or not corrected.changes:
            raise
        raise DataError(f"{error} This is the list after the corrections of {corrected.source}.") from None


def _backbone_of_run(out: Path, named: str | None) -> str | None:
    """The backbone of the run in a folder; if its note has none, `named`."""
    noted = _noted_backbone(out)
    if noted is None:
        return named
    if named == AUTO or noted != PROBE.name:
        notice(f"the run in {out} is resumed with its backbone, {noted}")
    return noted


def _noted_backbone(out: Path) -> str | None:
    """The word of --backbone in the note of a run; None: there is no note, or it has none."""
    noted = (read_note(out / Command.TRAIN.note) or {}).get("backbone_named")
    return noted if isinstance(noted, str) else None


def _require_judging_fold(folds: Folds, train: Manifest) -> None:
    """Check that a fine-tuned network can be compared with the head.

    Raises:
        DataError: the videos of each fold are of one recording.
    """
    of_row, fold = fold_that_judges(folds)
    if why := cannot_be_judged(len(np.unique(folds.groups[of_row == fold]))):
        raise DataError(
            f"{train.source or 'the list'}: --finetune always: {why}, or leave --finetune, --epochs and --lr out."
        )


def fit_classifier(plan: FittingPlan) -> OutOfFold:
    """Run a plan: features, heads, out-of-fold predictions, checkpoint, fine-tuning if it is decided, tests, report.

    Raises:
        RunError: another run is in the folder, or nothing can be written there.
        DataError: too many files are broken.
    """
    options, out, begun = plan.options, plan.out, time.perf_counter()
    backbone = _backbone(plan) if plan.needs_backbone else None
    with _claim(plan, backbone).held() as resumed:
        tuning = plan.tuning
        if backbone is None or (resumed and can_be_tuned(out)):
            _resume_fitted(plan)
        else:
            _fit_and_write(plan, backbone, begun)
        out_of_fold = OutOfFold.load(out)
        videos = RunVideos.read(out, plan.train.class_names, max_broken=options.max_broken)
        out_of_fold = tune_and_finish(out, videos, tuning, spent=out_of_fold.cost)
    corrected = None if plan.corrected is None else Path(plan.corrected.source)
    suspects = suspects_line(out, _data_words(plan), corrected)
    print("\n".join(filter(None, [out_of_fold.summary(), *tested_lines(out, videos), suspects])), flush=True)
    # The video in the printed `marey predict` command must be one that the classifier was not trained on.
    new = next((str(tested[0].path) for tested in plan.given.tested.values()), "NEW_VIDEO")
    next_steps(marey_line("predict", out, new))
    return out_of_fold


def _fit_and_write(plan: FittingPlan, backbone: Backbone, begun: float) -> None:
    """Compute features, fit heads, and write the checkpoint, the out-of-fold result and the start of fine-tuning."""
    options, out = plan.options, plan.out
    join_splits(plan.train, plan.given.tested).write_csv(out / "split.csv")
    if plan.corrected is not None:
        plan.corrected.write(out)
    estimate = _announce(plan, backbone)
    divided = _videos_in_folds(plan)
    cells = compute_cells(backbone.model, divided.train, options.compute, max_broken=options.max_broken)
    fitted = fit_on_cells(
        cells, divided, backbone, task=plan.task, notes=plan.given.notes, begun=begun, estimate=estimate
    )
    if plan.corrected is not None:
        fitted = compare_corrections(fitted, cells, divided, plan.corrected, backbone, options.compute, begun=begun)
    write_classifier(fitted.model, fitted.out_of_fold, out)
    fitted.suspects.save(out)
    save_start(fitted, plan.tested, out)


def _videos_in_folds(plan: FittingPlan) -> VideosInFolds:
    """The videos in folds by recordings, after their frames were compared; writes the run's list and contact sheets."""
    divided, sheets = divide_by_recordings(plan.given, plan.folds, workers=plan.options.compute.workers)
    divided.listed.write_csv(plan.out / "split.csv")
    if sheets is not None:
        sheets.save(plan.out)
    for note in (*divided.notes, *divided.folds.notes):
        notice(note)
    return divided


def _resume_fitted(plan: FittingPlan) -> None:
    """Resume a run whose head was fitted already: only record where its videos are now."""
    out = plan.out
    work_summary(f"{plan.counts_text()}; the head was fitted already, in {out}")
    before = OutOfFold.load(out)
    missing = [*(broken.id for broken in before.result.broken), *before.copies]
    readable = ~np.isin(np.array([clip.id for clip in plan.train]), missing)
    save_lists({CLIPS: plan.train[np.flatnonzero(readable)], **plan.tested}, out)


def _backbone(plan: FittingPlan) -> Backbone:
    options = plan.options
    on_cpu = pick_device(options.compute.device).type == "cpu"
    return find_backbone(
        options.backbone, budget=options.budget.seconds(on_cpu=on_cpu), videos=len(plan.train), compute=options.compute,
        trust_first_use=options.trust_first_use,
    )  # fmt: skip


def _claim(plan: FittingPlan, backbone: Backbone | None) -> Claim:
    """The claim of the run's folder. Without `backbone`, the one in the run's note (run.json) is accepted."""
    settings: dict[str, Json] = {
        "kind": "classifier on frozen features",
        "data": plan.train.fingerprint,
        "tested": {name: tested.fingerprint for name, tested in plan.given.tested.items()},
        "corrections": None if plan.corrected is None else plan.corrected.digest,
    }
    if backbone is None:
        # Facts of a note are not compared, so that the noted backbone is accepted; a resumed run keeps its note.
        noted = read_note(plan.out / Command.TRAIN.note) or {}
        facts = {name: value for name, value in noted.items() if name not in settings}
    else:
        settings |= {"backbone": backbone.recipe.name, "backbone_sha256": backbone.sha256}
        facts = _facts(plan, backbone)
    return Claim(OutputPath.folder(plan.out), Command.TRAIN, settings, facts=facts, resume=plan.options.resume)


def _facts(plan: FittingPlan, backbone: Backbone) -> dict[str, Json]:
    """Facts for run.json that are not compared: recipe, backbone, commands, and what README.txt names."""
    tested = next(iter(plan.given.tested.values()), None)
    commands: dict[str, Json] = {"tune": marey_line("train", plan.out, "--finetune", "always")}
    if plan.train.source:
        more: list[str | Path] = [] if plan.corrected is None else ["--labels", Path(plan.corrected.source)]
        commands["again"] = marey_line("train", *_data_words(plan), *more)
    facts = facts_for_readme(plan.out, plan.train if tested is None else tested, plan.options.resume_command)
    if tested is None:  # there is no video that was not trained on
        facts = {name: value for name, value in facts.items() if not name.startswith(("held_out", "example"))}
    return {
        "recipe": backbone.recipe.model_dump(mode="json"), "backbone_named": backbone.named, "videos": len(plan.train),
        **commands, **facts,
    }  # fmt: skip


def _data_words(plan: FittingPlan) -> list[str | Path]:
    """The words of a command line that name the videos; DATA if they came from no list or folder."""
    source, root = Path(plan.train.source or "DATA"), plan.train.root
    needs_no_root = not plan.train.source or source.is_dir() or root.absolute() == source.absolute().parent
    return [source, *(() if needs_no_root else ("--root", root))]


def _announce(plan: FittingPlan, backbone: Backbone) -> Estimate | None:
    """Print the first line: videos, classes, folds, backbone, device, and the time that features will take.

    The time is measured on a few videos. Returns the measurement, None if the first line was printed already.
    """
    device = pick_device(plan.options.compute.device)
    estimate = estimate_cells(backbone.model, plan.train, plan.options.compute) if work_summary_pending() else None
    expected = "" if estimate is None else _cost_text(estimate)
    work_summary(f"{plan.counts_text()}; features of {backbone.source} on {device_text(device)}{expected}")
    for note in plan.given.notes:
        notice(note)
    return estimate


def _cost_text(estimate: Estimate) -> str:
    """The cost of features, as the end of a line."""
    before = estimate.cached - estimate.measured
    kept = f", {before:,} of them cached before" if before else ""
    if not estimate.missing or estimate.core_seconds is None or estimate.seconds is None:
        return kept
    others = (
        f" for the other {estimate.missing:,}, after {estimate.measured:,} to measure it" if estimate.cached else ""
    )
    return f"{kept}; about {counted(round(estimate.core_seconds), 'core-second')}, {about(estimate.seconds)}{others}"
