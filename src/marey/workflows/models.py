"""From what a user names (a recipe, a file) to a classifier that is ready, or to a file of ours."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from marey.base.claim import OutputPath
from marey.base.errors import WeightsError
from marey.base.files import sha256
from marey.base.jsonable import Json
from marey.base.words import counted
from marey.classifier import Classifier, LoadReport
from marey.data.lists.class_files import read_classes
from marey.recipe import Recipe
from marey.recipes import get_recipe
from marey.weights.checkpoint import Description, is_own, read_checkpoint, save_checkpoint, save_folder
from marey.weights.fetching.obtain import check_named, check_obtainable, obtain_named
from marey.weights.fetching.refusals import FETCH
from marey.weights.load import OtherClassesError, build_model, is_file_of_ours, load_model


def open_model(
    name_or_file: str,
    *,
    weights: str | Path | None = None,
    untrained: bool = False,
    settings: Sequence[str] = (),
    trust_first_use: bool = False,
    classes: Sequence[str] | None = None,
) -> Classifier:
    """The classifier that a user names, in eval mode.

    `name_or_file` is a recipe's name, a checkpoint, ours or an older toolkit's, or the folder of a run. A recipe takes its
    weights from the file `weights`, else from where they were published; `untrained` leaves them random (every answer is
    then a guess: for trying the path and for timing).
    `settings` are `--set` words that change the recipe, for example its test protocol. `trust_first_use` fetches a file of
    which no hash was published, too. `classes` names the classes of a checkpoint which does not; one that does keeps its
    own.

    Raises:
        RecipeError, WeightsError: a wrong name, weights that do not fit, or not as many class names as classes.
    """
    with own_classes():
        model = _opened(
            name_or_file, weights=weights, untrained=untrained, settings=settings, trust_first_use=trust_first_use,
            classes=classes,
        )  # fmt: skip
    if classes is None or model.names_classes:
        return model
    return model.with_classes(classes)


@contextlib.contextmanager
def own_classes() -> Iterator[None]:
    """Within the block weights for other classes than a recipe's are refused with what a command can do about them.

    Raises:
        WeightsError: weights for other classes.
    """
    try:
        yield
    except OtherClassesError as error:
        raise WeightsError(
            f"{error.what}.{error.difference} To answer in the file's own classes, name the file alone, without the recipe: "
            "marey predict FILE VIDEO; to train for others, start from it: --init FILE."
        ) from None


def _opened(
    name_or_file: str,
    *,
    weights: str | Path | None,
    untrained: bool,
    settings: Sequence[str],
    trust_first_use: bool,
    classes: Sequence[str] | None,
) -> Classifier:
    _refuse_other_weights(name_or_file, weights, untrained)
    alone = is_file_of_ours(name_or_file)
    recipe = None if alone else get_recipe(name_or_file)
    if recipe is not None and settings:
        recipe = recipe.with_settings(settings)
    if untrained and recipe is not None:
        return build_model(recipe).eval()
    file = name_or_file if alone else weights
    if file is None:
        return load_model(recipe, trust_first_use=trust_first_use)
    found = obtain_named(file, trust_first_use=trust_first_use)
    # A file of ours may name its classes; an older toolkit's does not, and is loaded with the names that are given.
    names = None if is_own(found if isinstance(found, Path) else found.path) else classes
    model = load_model(recipe, weights=found, classes=names, trust_first_use=trust_first_use)
    return model.with_recipe(model.recipe.with_settings(settings)) if alone and settings else model


def _refuse_other_weights(name_or_file: str, weights: str | Path | None, untrained: bool) -> None:
    """Refuse weights that would not be used.

    Raises:
        WeightsError: weights of several kinds are asked for.
    """
    if weights is not None and untrained:
        raise WeightsError(f"--weights {weights} and --untrained (random weights): leave out one of them.")
    if (weights is not None or untrained) and is_file_of_ours(name_or_file):
        raise WeightsError(f"{name_or_file} holds weights of its own: leave out --weights and --untrained.")


def check_model(
    name_or_file: str,
    *,
    weights: str | Path | None = None,
    untrained: bool = False,
    settings: Sequence[str] = (),
    trust_first_use: bool = False,
    command: str = FETCH,
) -> None:
    """See before any work that `open_model` will find weights; nothing is fetched.

    `command` goes before the name of another row in the message where there are none.

    Raises:
        RecipeError, WeightsError: a wrong name, or no weights to be had for it.
    """
    _refuse_other_weights(name_or_file, weights, untrained)
    if is_file_of_ours(name_or_file):
        check_named(name_or_file, trust_first_use=trust_first_use)
    elif weights is not None:
        get_recipe(name_or_file)
        check_named(weights, trust_first_use=trust_first_use)
    elif not untrained:
        recipe = get_recipe(name_or_file)
        recipe = recipe.with_settings(settings) if settings else recipe
        check_obtainable(recipe, trust_first_use=trust_first_use, command=command)


@dataclass(frozen=True)
class Converted:
    """What `convert_weights` wrote, and what became of the tensors."""

    out: Path
    recipe: Recipe
    report: LoadReport
    was_there: bool
    """The very same thing was there already; nothing was written."""

    def as_json(self) -> dict[str, Json]:
        network: dict[str, Json] = {"recipe": self.recipe.name, "classes": self.recipe.model.num_classes}
        return {"out": str(self.out), **network, **self.report.as_json()}

    def as_text(self) -> str:
        written = " (was there already)" if self.was_there else ""
        lines = [
            f"{self.out}: {self.recipe.name}, {counted(self.recipe.model.num_classes, 'class')}{written}",
            f"  from {self.report.source}, {self.report.layout} layout: {counted(len(self.report.renamed), 'tensor')}",
        ]
        if dropped := self.report.dropped:
            more = f" and {len(dropped) - 5} more" if len(dropped) > 5 else ""
            lines.append(f"  left out: {', '.join(dropped[:5])}{more}")
        return "\n".join([*lines, *(f"  {note}" for note in self.report.unsaid().notes)])


def convert_weights(
    file: str | Path,
    out: Path,
    *,
    recipe: Recipe | None,
    allow_new_head: bool = False,
    trust_first_use: bool = False,
    classes: Path | None = None,
) -> Converted:
    """Write any checkpoint that we read as one file of ours, or as a folder where `out` has no suffix.

    `file` is a file, the folder of a run, or the address of a file; `trust_first_use` fetches one of which no hash was
    published, too. `classes` is a file of class names, in the order of the logits, for a checkpoint that names none.

    Raises:
        RecipeError, DataError: class names that are not as many as the classes, or not the checkpoint's own.
        WeightsError: the checkpoint cannot be read or does not fit; something else is at `out` already.
        RunError: nothing can be written at `out`.
    """
    if out.suffix not in (".safetensors", ""):
        raise WeightsError(
            f"--out {out}: weights are written as .safetensors, or as a folder, whose name has no ending (model.safetensors "
            "and recipe.json)."
        )
    (OutputPath.file(out) if out.suffix else OutputPath.folder(out)).refuse_inputs([file])
    if not out.exists():
        (OutputPath.file(out) if out.suffix else OutputPath.folder(out)).check()
    check_named(file, trust_first_use=trust_first_use)
    names = None if classes is None else read_classes(classes)
    found = obtain_named(file, trust_first_use=trust_first_use)
    model = load_model(recipe, weights=found, allow_new_head=allow_new_head, classes=names)
    assert model.load_report is not None
    local = found if isinstance(found, Path) else None
    name = Path(file).name if local is None else local.name
    provenance: dict[str, Json] = {"converted_from": name, "layout": model.load_report.layout}
    if model.origin is not None:
        provenance["origin"] = model.origin.model_dump(mode="json")
    if local is not None and local.is_file():
        provenance["sha256"] = sha256(local)
    there = out.exists()
    if there and not _holds(out, model, provenance):
        raise WeightsError(f"--out {out}: something else is there already: remove it, or choose another name.")
    if not there:
        save = save_checkpoint if out.suffix else save_folder
        save(out, model, provenance=provenance)
    return Converted(out, model.recipe, model.load_report, there)


def _holds(path: Path, model: Classifier, provenance: dict[str, Json]) -> bool:
    """Whether a checkpoint is this very one."""
    try:
        found = read_checkpoint(path)
    except WeightsError:
        return False
    state = model.network.state_dict()
    described = Description(model.recipe, model.class_names, provenance, model.calibration, model.trained_on)
    same = found.description == described and found.tensors.keys() == state.keys()
    return same and all(torch.equal(value, state[name]) for name, value in found.tensors.items())
