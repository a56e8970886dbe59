"""The files of a run. Only its first process writes them."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from marey.base.claim import Claim, Command, OutputPath, read_note
from marey.base.errors import MareyError, RunError
from marey.base.files import hard_link, write_text
from marey.base.jsonable import Json
from marey.base.options import Arithmetic
from marey.base.processes import processes
from marey.base.readme import remove_unfinished, write_readme
from marey.base.reporter import notice
from marey.base.runs import BEST, LAST, STATE
from marey.base.words import counted
from marey.classifier import LoadReport
from marey.data.files.identity import Identities
from marey.data.lists.manifest import Manifest
from marey.recipe import Recipe
from marey.training.state import Progress, load_state, read_progress, read_run, recorded_run, save_state
from marey.weights.checkpoint import save_checkpoint

_OLD_START = "start.json"
"""The file in which version 0.1.0 recorded the initial weights; later versions record them in run.json."""
_COUNTS = {"data": "videos", "validation": "validation_videos"}
"""For each list in a run's identity, the fact in run.json with its number of videos."""


def refuse_other_run(path: Path) -> None:
    """Refuse a folder that already holds a run or cannot be written, before anything is written.

    Only the first of several processes checks. It alone writes to the folder, and may have written already while the
    others still start.

    Raises:
        RunError: it holds a run, another process works there, or it cannot be written.
    """
    if not processes().first:
        return
    folder = OutputPath.folder(path)
    Claim(folder, Command.TRAIN, {}, resume=False).check()
    folder.check()


def require_run(path: Path) -> None:
    """Refuse a folder that holds no run to resume. To be called before the lists are read.

    Raises:
        RunError: as `load_state`.
    """
    read_run(path / STATE)


def has_begun(path: Path) -> bool:
    """Whether a run in this folder has made its first step, so that its files are worth keeping."""
    return (path / STATE).exists() or (path / "log.jsonl").exists()


def precision_of_run(path: Path) -> Arithmetic | None:
    """The precision of the run in a folder; None if there is no run to resume."""
    found = recorded_run(path / STATE)
    try:
        return None if found is None else Recipe.model_validate_json(found["recipe"]).train.precision
    except ValidationError:  # another version's recipe: the error of `RunFolder.claimed` will name the difference
        return None


def facts_for_readme(out: Path, shown: Manifest, go_on: str | None) -> dict[str, Json]:
    """What run.json records for the commands in README.txt: paths as the user gave them, a video as an example, and the
    list to test on (`shown`, the validation or training videos).
    """
    facts: dict[str, Json] = {"working_folder": str(Path.cwd()), "out": str(out)}
    if len(shown):
        facts["example"] = str(shown[0].path)
    if shown.source and os.path.exists(shown.source):  # noqa: PTH110 - the source of a manifest may be any text
        source = Path(shown.source)
        facts["held_out"] = str(source)
        facts["held_out_split"] = shown.split_names[0] if len(shown.split_names) == 1 else None
        if shown.server is not None:
            facts["held_out_root"] = str(shown.server)
        elif source.is_file() and shown.root.absolute() != source.absolute().parent:
            facts["held_out_root"] = str(shown.root)
    return facts if go_on is None else facts | {"go_on": go_on}


def facts_of_run(out: Path, train: Manifest, val: Manifest | None, go_on: str | None) -> dict[str, Json]:
    """What run.json records besides the settings: the numbers of videos and processes, and `facts_for_readme`."""
    counts = {"videos": len(train), "validation_videos": 0 if val is None else len(val)}
    shown = train if val is None else val
    return {**counts, "processes": processes().world, **facts_for_readme(out, shown, go_on)}


class RunFolder:
    """The folder of a run, with its recipe, its weights, and the state from which the run resumes.

    Args:
        path: The path of the folder.
        recipe: The recipe, saved with the weights.
        class_names: The class names, saved with the weights.
        identity: Recipe, data and seed, which distinguish this run from others.
        writes: Whether this process writes the files.
    """

    def __init__(
        self, path: Path, recipe: Recipe, class_names: Sequence[str], identity: Mapping[str, Json], *, writes: bool
    ) -> None:
        self.path, self.recipe, self.class_names = path, recipe, class_names
        self.identity, self.writes = identity, writes
        self._claim: Claim | None = None
        """The claim while this process holds the folder; else None."""
        self._best: Mapping[str, Json] | None = None
        """Epoch and step of the weights that were last written as the best ones."""

    @contextlib.contextmanager
    def claimed(self, resume: bool, facts: Mapping[str, Json]) -> Iterator[None]:
        """Claim the folder within the block. `facts` (of `facts_of_run`) are recorded in run.json.

        Only the process that writes claims the folder; the others check that it belongs to this run. A resumed run may
        have more epochs than were planned, or fewer, but not fewer than it has begun.

        Raises:
            RunError: the folder holds another run, or with `resume` no run that can be resumed; another process works
                there, or it cannot be written. Nothing is written then.
        """
        settings = _current_settings(self.identity)
        if (start := self._started_from()) is not None and resume:
            facts = {**facts, "started_from": start}
        claim = Claim(
            OutputPath.folder(self.path), Command.TRAIN, settings, facts=facts, resume=resume,
            recorded=lambda: self._recorded(settings, facts),
            advice=f"resume it with the same settings, or choose another --out (from its weights: {self._from_weights})",
        )  # fmt: skip
        if not self.writes:
            claim.check()
            yield
            return
        resumed = True
        try:
            with claim.held() as resumed:
                self._claim = claim
                remove_unfinished(self.path)
                old_start = self.path / _OLD_START
                other = resumed and (read_note(claim.out.note(Command.TRAIN)) or {}).get("recipe") != settings["recipe"]
                if other or (resumed and old_start.exists()):
                    claim.write_note()
                    old_start.unlink(missing_ok=True)  # its content is now in run.json
                if other:  # resumed with another number of epochs
                    self._set_test_aside()
                write_text(self.path / "recipe.yaml", self.recipe.to_yaml())
                try:
                    yield
                finally:
                    self._claim = None
                    if has_begun(self.path):
                        write_readme(self.path)
        except (MareyError, KeyboardInterrupt):
            if not resumed:
                self._remove_unstarted()
            raise

    def _set_test_aside(self) -> None:
        """Move the files of a test of the old weights to a subfolder, so that the new weights can be tested."""
        names = (Command.EVALUATE.note, "parts", "scores.npz", "result.json", "report.html")
        if not (self.path / Command.EVALUATE.note).exists():
            return
        aside = self.path / f"tested-at-step-{read_progress(self.path / STATE).step}"
        aside.mkdir(exist_ok=True)
        for name in names:
            if (self.path / name).exists():
                (self.path / name).replace(aside / name)
        write_readme(aside)
        notice(f"its earlier test is kept in {aside}")

    @property
    def _from_weights(self) -> str:
        return f"--init {self.path / 'last.safetensors'} --out OTHER"

    def _recorded(self, here: Mapping[str, Json], facts: Mapping[str, Json]) -> dict[str, Json]:
        """What identifies the run in the folder; with the new number of epochs, if the run can be resumed with it.

        Raises:
            RunError: there is no run, its videos are different, or it has begun more epochs than the new number.
        """
        saved = _current_settings(read_run(self.path / STATE))
        noted = read_note(OutputPath.folder(self.path).note(Command.TRAIN)) or {}
        for name, title in (("data", "training"), ("validation", "validation")):
            if saved[name] != here[name]:
                old_count, new_count = noted.get(_COUNTS[name]), facts[_COUNTS[name]]
                old_videos = counted(old_count, "video") if isinstance(old_count, int) else "other videos"
                same = ", of which names, labels, times or classes differ" if old_count == new_count else ""
                raise RunError(
                    f"{self.path}: its {title} list is another one, {old_videos} there, {new_count} here{same}: "
                    f"resume it with the list or folder as it was, or start another run from its weights: "
                    f"{self._from_weights}."
                )
        old, new = saved["recipe"], here["recipe"]
        assert isinstance(old, dict) and isinstance(new, dict)
        before, after = old["train"], new["train"]
        # With multigrid, another number of epochs changes all phases: the run is then another one.
        if before["epochs"] == after["epochs"] or after["multigrid"] is not None:
            return saved
        at = read_progress(self.path / STATE)
        done = at.epoch + (at.batch > 0)
        if after["epochs"] < done:
            raise RunError(
                f"{self.path}: the run is in epoch {done} of {before['epochs']} already, and train.epochs={after['epochs']} "
                f"is less: give at least {done}."
            )
        return {**saved, "recipe": {**old, "train": {**before, "epochs": after["epochs"]}}}

    def _remove_unstarted(self) -> None:
        """Remove the files of a new run that stopped before its first step."""
        if not has_begun(self.path):
            for name in (Command.TRAIN.note, "recipe.yaml"):
                (self.path / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # the folder has other files
                self.path.rmdir()

    def record_start(self, report: LoadReport) -> None:
        """Record in run.json the file of the initial weights and, if they are known, its address and SHA-256."""
        if self._claim is not None:
            origin = None if report.origin is None else report.origin.model_dump(mode="json")
            start = {"file": Path(report.source).name, "layout": report.layout, "origin": origin}
            self._claim = replace(self._claim, facts={**self._claim.facts, "started_from": start})
            self._claim.write_note()

    def _started_from(self) -> Json:
        """What `record_start` recorded; None: the run did not start from a file."""
        try:
            note = read_note(OutputPath.folder(self.path).note(Command.TRAIN)) or {}
            return note.get("started_from") or read_note(self.path / _OLD_START)
        except RunError:
            return None

    def save_state(self, at: Progress, state: dict[str, Any]) -> None:
        """Write the state that the run resumes from."""
        if self.writes:
            save_state(self.path / STATE, at, self.identity, state)

    def load_state(self) -> tuple[Progress, dict[str, Any]]:
        """Read what `save_state` wrote, in a folder that is claimed.

        Raises:
            RunError: there is no state, or it cannot be read.
        """
        return load_state(self.path / STATE)

    def write_weights(
        self, name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Json], trained_on: Identities | None
    ) -> None:
        """Write a checkpoint for testing, with the epoch and step of its weights (`facts`) and the identities of the
        videos that they were trained on.

        If the last weights are also the best ones, which were just written, both names become links to the same file.
        """
        if not self.writes:
            return
        if name == BEST:
            self._best = dict(facts)
        if name != LAST or self._best != facts or not hard_link(self.path / LAST, self.path / BEST):
            provenance = {"run": self.identity["data"], "seed": self.identity["seed"], **facts}
            if (start := self._started_from()) is not None:
                provenance["started_from"] = start
            save_checkpoint(self.path / name, tensors, self.recipe, self.class_names, provenance, trained_on)
        if name == LAST:
            write_readme(self.path)


def _current_settings(identity: Mapping[str, Json]) -> dict[str, Json]:
    """What identifies a run, with its recipe in the current form: fields that an older file lacks have their defaults."""
    text = str(identity["recipe"])
    try:
        recipe = Recipe.model_validate_json(text).model_dump(mode="json")
    except ValidationError:  # a field that this version does not have: it stays, so that an error can name it
        recipe = json.loads(text)
    # Published results and addresses of weights do not influence a training, and are corrected between versions.
    own = {name: value for name, value in recipe.items() if name not in ("published", "weights")}
    return {**identity, "recipe": own}
