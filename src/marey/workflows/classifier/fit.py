"""`marey train FOLDER_OR_LIST`: a linear classifier on frozen features, judged by answers out of fold."""

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
from marey.base.finetune import Finetune
from marey.base.jsonable import Json
from marey.base.processes import processes
from marey.base.reporter import first_line_awaited, notice, understood
from marey.base.shell import marey_line, next_steps
from marey.base.words import about, counted
from marey.data.cutting import cut_long_videos, not_cut_note
from marey.data.files.missing import check_present
from marey.data.lists.manifest import Manifest
from marey.data.lists.videos import classes_text
from marey.data.recordings.evidence import MOST_COMPARED
from marey.data.splits.corrected import LABELS, Corrected, grouped
from marey.data.splits.corrections import Corrections
from marey.data.splits.folds import Folds, check_trainable, make_folds
from marey.data.splits.sides import Given, class_table, joined, read_given, shared_notes
from marey.evaluation.out_of_fold.result import OutOfFold
from marey.inference.cells import Estimate, compute_cells, estimate_cells
from marey.recipe import Classify, MultiLabel, TaskConfig
from marey.recipes.probe import PROBE
from marey.training.folder import facts_for_readme, refuse_other_run
from marey.workflows.classifier.affordable import AUTO
from marey.workflows.classifier.backbones import Backbone, check_backbone, find_backbone
from marey.workflows.classifier.budget import Budget
from marey.workflows.classifier.corrected import with_comparison
from marey.workflows.classifier.finish import is_finished, tested_lines
from marey.workflows.classifier.fitted import fit_on_cells, write_classifier
from marey.workflows.classifier.suspects import suspects_line
from marey.workflows.classifier.tuned import TuningOptions, tune_and_finish
from marey.workflows.classifier.tuning_data import CLIPS, TuningData, save_lists
from marey.workflows.classifier.tuning_start import can_be_tuned, cannot_be_judged, fold_that_judges, save_start
from marey.workflows.recordings import Divided, divide_by_recordings


@dataclass(frozen=True, kw_only=True)
class FittingOptions:
    """How to fit a classifier here and now."""

    compute: Compute = Compute()  # noqa: RUF009 - frozen
    backbone: str | None = None
    """A recipe's name, a checkpoint or "auto"; None: EfficientNet-Lite0."""
    finetune: Finetune = "auto"
    budget: Budget = Budget()  # noqa: RUF009 - frozen
    """Of choosing a backbone and of fine-tuning."""
    settings: tuple[str, ...] = ()
    """Of the recipe's training, for fine-tuning."""
    seed: int = 0
    """Of fine-tuning."""
    resume: bool = False
    max_broken: float | None = None
    trust_first_use: bool = False
    go_on: str | None = None
    """The command line that would resume the run."""


@dataclass(frozen=True)
class FittingPlan:
    """What was understood. Nothing is computed or written until `fit_classifier`."""

    given: Given
    folds: Folds
    task: TaskConfig
    out: Path
    options: FittingOptions
    needs_backbone: bool = True
    """False: a run is resumed whose head was fitted, on the backbone that is named again."""
    corrected: Corrected | None = None
    """What was corrected in the list, of which `given` is what came of it; None: no corrections were named."""

    @property
    def tuning(self) -> TuningOptions:
        """How to fine-tune: not at all where a run is finished already, and nothing of it was asked for."""
        options = self.options
        asked = options.finetune != "auto" or options.budget.minutes is not None
        left_alone = options.resume and is_finished(self.out) and not asked
        return TuningOptions(
            finetune="never" if left_alone else options.finetune, budget=options.budget, settings=options.settings,
            compute=options.compute, seed=options.seed, max_broken=options.max_broken,
        )  # fmt: skip

    @property
    def train(self) -> Manifest:
        """The clips that the classifier is fitted on."""
        return self.given.train

    @property
    def tested(self) -> dict[str, Manifest]:
        """The videos that it is tested on, by the names of their splits, with the groups that corrections give to some."""
        return {name: grouped(part) for name, part in self.given.tested.items()}

    def counts_text(self) -> str:
        """How many videos there are, of how many classes, and what they are for."""
        sides = [
            counted(len(part), f"video for {name}", f"videos for {name}") for name, part in self.given.tested.items()
        ]
        classes = classes_text(self.train.class_names)
        return "; ".join(
            [f"{counted(len(self.train), 'clip')}, {classes}, in {counted(self.folds.count, 'fold')}", *sides]
        )

    def _on_pictures(self) -> Iterator[str]:
        """That pictures are compared, where they are."""
        if len(self.train) + sum(map(len, self.given.tested.values())) <= MOST_COMPARED:
            yield "Pictures of the clips are compared before training: recordings and copies that they show change folds."

    def as_text(self) -> str:
        """The clips by class and split, the recordings, the folds, the backbone and the output folder."""
        return "\n".join(
            [
                self.counts_text(),
                *class_table(self.train, self.given.tested),
                *self.given.notes,
                *self.folds.notes,
                *self._on_pictures(),
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
    """Which clips a classifier is fitted on and in which folds it is judged, and which ones it is only tested on.

    `labels` is a table of corrections (`marey.data.splits.corrections`), which are applied to all of them.

    Raises:
        DataError: no videos, fewer than two classes, too few clips to judge any class, too many missing files, or
            corrections that are not understood.
        WeightsError: there is no such backbone.
        RunError: another run lies in `out`, several processes were started, or this machine lacks the device.
    """
    if processes().world > 1:
        raise RunError(
            "a classifier on frozen features is fitted by one process: leave out torchrun, or train a whole network "
            "(--set or --init none; a recipe's name and --data)."
        )
    check_machine(options.compute, training=True)
    if options.resume and options.backbone in (None, AUTO):
        options = replace(options, backbone=_backbone_of_run(out, options.backbone))
    needs_backbone = not (options.resume and can_be_tuned(out) and options.backbone == _noted_backbone(out))
    if needs_backbone:
        check_backbone(options.backbone, trust_first_use=options.trust_first_use)
    if not options.resume:
        refuse_other_run(out)  # before anything is fetched or read
    for written in ("split.csv", LABELS):
        inputs = [path for path in (data, val, test, labels) if isinstance(path, Path)]
        OutputPath.file(out / written).refuse_inputs(inputs)
    corrections = None if labels is None else Corrections.read(labels)
    given = read_given(data, val, test, root=root, classes=classes)
    cut, note = cut_long_videos(given.train)
    of_long = filter(None, [note, not_cut_note(given.tested)])
    given = replace(given, train=cut, notes=(*given.notes, *of_long, *shared_notes(cut, given.tested)))
    corrected = None if corrections is None else corrections.applied(given)
    given = given if corrected is None else corrected.given
    with _told_of(corrected):
        check_trainable(given.train)
    for part in (given.train, *given.tested.values()):
        check_present(options.max_broken, part)
    task = MultiLabel() if given.train.label_sets is not None else Classify()
    with _told_of(corrected):
        folds = make_folds(given.train)
    if options.finetune == "always":
        _require_judging_fold(folds, given.train)
    return FittingPlan(given, folds, task, out, options, needs_backbone, corrected)


@contextlib.contextmanager
def _told_of(corrected: Corrected | None) -> Iterator[None]:
    """Around what may refuse a list: the refusal says that the list was corrected, where it was."""
    try:
        yield
    except DataError as error:
        if corrected is None or not corrected.changes:
            raise
        raise DataError(f"{error} So it is after the corrections of {corrected.source}.") from None


def _backbone_of_run(out: Path, named: str | None) -> str | None:
    """The backbone of the run in a folder, where it was noted; else the one that was named."""
    found = _noted_backbone(out)
    if found is None:
        return named
    if named == AUTO or found != PROBE.name:
        notice(f"the run in {out} goes on with its backbone, {found}")
    return found


def _noted_backbone(out: Path) -> str | None:
    """The word that names the backbone of the run in a folder; None where none is noted."""
    found = (read_note(out / Command.TRAIN.note) or {}).get("backbone_named")
    return found if isinstance(found, str) else None


def _require_judging_fold(folds: Folds, train: Manifest) -> None:
    """Check that fine-tuning can be judged.

    Raises:
        DataError: the clips of each fold are of one recording.
    """
    of_row, fold = fold_that_judges(folds)
    if why := cannot_be_judged(len(np.unique(folds.units[of_row == fold]))):
        raise DataError(
            f"{train.source or 'the list'}: --finetune always: {why}, or leave --finetune, --epochs and --lr out."
        )


def fit_classifier(plan: FittingPlan) -> OutOfFold:
    """Do what was planned: features, heads, their answers out of fold, the checkpoint, fine-tuning where it pays, tests and
    the report.

    Raises:
        RunError: another run lies in the folder, or nothing can be written there.
        DataError: too many files are broken.
    """
    options, out, begun = plan.options, plan.out, time.perf_counter()
    backbone = _backbone(plan) if plan.needs_backbone else None
    with _claim(plan, backbone).held() as resumed:
        tuning = plan.tuning
        if backbone is None or (resumed and can_be_tuned(out)):
            _take_up(plan)
        else:
            _fit(plan, backbone, begun)
        found = OutOfFold.load(out)
        data = TuningData.read(out, plan.train.class_names, max_broken=options.max_broken)
        found = tune_and_finish(out, data, tuning, spent=found.cost)
    corrected = None if plan.corrected is None else Path(plan.corrected.source)
    suspects = suspects_line(out, _data_words(plan), corrected)
    print("\n".join(filter(None, [found.summary(), *tested_lines(out, data), suspects])), flush=True)
    # A clip that was trained on would show nothing.
    new = next((str(part[0].path) for part in plan.given.tested.values()), "NEW_VIDEO")
    next_steps(marey_line("predict", out, new))
    return found


def _fit(plan: FittingPlan, backbone: Backbone, begun: float) -> None:
    """Features, heads and their answers out of fold; the checkpoint, and what fine-tuning starts from."""
    options, out = plan.options, plan.out
    joined(plan.train, plan.given.tested).write_csv(out / "split.csv")
    if plan.corrected is not None:
        plan.corrected.write(out)
    estimate = _say_what_was_understood(plan, backbone)
    divided = _divided(plan)
    cells = compute_cells(backbone.model, divided.train, options.compute, max_broken=options.max_broken)
    fitted = fit_on_cells(
        cells, divided, backbone, task=plan.task, notes=plan.given.notes, begun=begun, estimate=estimate
    )
    if plan.corrected is not None:
        fitted = with_comparison(fitted, cells, divided, plan.corrected, backbone, options.compute, begun=begun)
    write_classifier(fitted.model, fitted.found, out)
    fitted.suspects.save(out)
    save_start(fitted, plan.tested, out)


def _divided(plan: FittingPlan) -> Divided:
    """The clips in folds by their recordings, after their pictures were compared; the run's list and contact sheets say
    which.
    """
    divided, sheets = divide_by_recordings(plan.given, plan.folds, workers=plan.options.compute.workers)
    divided.listed.write_csv(plan.out / "split.csv")
    if sheets is not None:
        sheets.save(plan.out)
    for note in (*divided.notes, *divided.folds.notes):
        notice(note)
    return divided


def _take_up(plan: FittingPlan) -> None:
    """Go on with a run whose head was fitted already; its clips may lie elsewhere now."""
    out = plan.out
    understood(f"{plan.counts_text()}; the head was fitted already, in {out}")
    before = OutOfFold.load(out)
    missing = [*(file.id for file in before.result.broken), *before.copies]
    readable = ~np.isin(np.array([clip.id for clip in plan.train]), missing)
    save_lists({CLIPS: plan.train[np.flatnonzero(readable)], **plan.tested}, out)


def _backbone(plan: FittingPlan) -> Backbone:
    options = plan.options
    on_cpu = pick_device(options.compute.device).type == "cpu"
    return find_backbone(
        options.backbone, budget=options.budget.seconds(on_cpu=on_cpu), clips=len(plan.train), compute=options.compute,
        trust_first_use=options.trust_first_use,
    )  # fmt: skip


def _claim(plan: FittingPlan, backbone: Backbone | None) -> Claim:
    """On the run's folder; without a backbone, on the run that lies there, with whatever backbone it has."""
    settings: dict[str, Json] = {
        "kind": "classifier on frozen features",
        "data": plan.train.fingerprint,
        "tested": {name: part.fingerprint for name, part in plan.given.tested.items()},
        "corrections": None if plan.corrected is None else plan.corrected.digest,
    }
    if backbone is None:
        # What the note has besides is not compared, as facts are not; a run that is resumed keeps its note.
        noted = read_note(plan.out / Command.TRAIN.note) or {}
        facts = {name: value for name, value in noted.items() if name not in settings}
    else:
        settings |= {"backbone": backbone.recipe.name, "backbone_sha256": backbone.sha256}
        facts = _facts(plan, backbone)
    return Claim(OutputPath.folder(plan.out), Command.TRAIN, settings, facts=facts, resume=plan.options.resume)


def _facts(plan: FittingPlan, backbone: Backbone) -> dict[str, Json]:
    """What run.json notes besides."""
    tested = next(iter(plan.given.tested.values()), None)
    commands: dict[str, Json] = {"tune": marey_line("train", plan.out, "--finetune", "always")}
    if plan.train.source:
        more: list[str | Path] = [] if plan.corrected is None else ["--labels", Path(plan.corrected.source)]
        commands["again"] = marey_line("train", *_data_words(plan), *more)
    facts = facts_for_readme(plan.out, plan.train if tested is None else tested, plan.options.go_on)
    if tested is None:  # no list to test on and no video to answer for: the clips were trained on
        facts = {name: value for name, value in facts.items() if not name.startswith(("held_out", "example"))}
    return {
        "recipe": backbone.recipe.model_dump(mode="json"), "backbone_named": backbone.named, "videos": len(plan.train),
        **commands, **facts,
    }  # fmt: skip


def _data_words(plan: FittingPlan) -> list[str | Path]:
    """The clips as `marey train` is given them; DATA where they came from no list or folder."""
    source, root = Path(plan.train.source or "DATA"), plan.train.root
    beside = not plan.train.source or source.is_dir() or root.absolute() == source.absolute().parent
    return [source, *(() if beside else ("--root", root))]


def _say_what_was_understood(plan: FittingPlan, backbone: Backbone) -> Estimate | None:
    """The first line of the command: clips, classes, folds, backbone, device and the time that features will take, which is
    measured on a few clips where a command waits for the line.
    """
    device = pick_device(plan.options.compute.device)
    estimate = estimate_cells(backbone.model, plan.train, plan.options.compute) if first_line_awaited() else None
    expected = "" if estimate is None else _cost_text(estimate)
    understood(f"{plan.counts_text()}; features of {backbone.source} on {device_text(device)}{expected}")
    for note in plan.given.notes:
        notice(note)
    return estimate


def _cost_text(estimate: Estimate) -> str:
    """What features will cost, to end a line."""
    before = estimate.kept - estimate.measured
    kept = f", {before:,} of them kept from before" if before else ""
    if not estimate.missing or estimate.core_seconds is None or estimate.seconds is None:
        return kept
    others = f" for the other {estimate.missing:,}, after {estimate.measured:,} to measure it" if estimate.kept else ""
    return f"{kept}; about {counted(round(estimate.core_seconds), 'core-second')}, {about(estimate.seconds)}{others}"
