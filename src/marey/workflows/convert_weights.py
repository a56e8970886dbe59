"""`marey convert`: any checkpoint that Marey reads, written as one file or folder of Marey's own format."""

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
from marey.weights.checkpoint import Description, read_checkpoint, save_checkpoint, save_folder
from marey.weights.fetching.obtain import check_named, obtain_named
from marey.weights.load import load_model


@dataclass(frozen=True)
class ConvertedWeights:
    """What `convert_weights` wrote, and what happened to each tensor."""

    out: Path
    """The checkpoint that was written: a .safetensors file or a folder."""
    recipe: Recipe
    """The recipe of the checkpoint, given or inferred."""
    report: LoadReport
    """What happened to each tensor of the file."""
    existed: bool
    """Whether `out` already held the same checkpoint, so that nothing was written."""

    def as_json(self) -> dict[str, Json]:
        network: dict[str, Json] = {"recipe": self.recipe.name, "classes": self.recipe.model.num_classes}
        return {"out": str(self.out), **network, **self.report.as_json()}

    def as_text(self) -> str:
        existed = " (was there already)" if self.existed else ""
        lines = [
            f"{self.out}: {self.recipe.name}, {counted(self.recipe.model.num_classes, 'class')}{existed}",
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
) -> ConvertedWeights:
    """Write a checkpoint as one .safetensors file, or as a folder if `out` has no suffix.

    Args:
        file: A file, the folder of a run, or the address of a file.
        out: What to write. An equal checkpoint that is there stays; anything else is refused.
        recipe: The recipe that the weights belong to; None: inferred from the file.
        allow_new_head: Accept weights for other classes; the classification layer is then random.
        trust_first_use: Download a file even if no hash of it was published.
        classes: A file of class names in the order of the logits, for a checkpoint that names none.

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
    output = OutputPath.file(out) if out.suffix else OutputPath.folder(out)
    output.refuse_inputs([file])
    if not out.exists():
        output.check()
    check_named(file, trust_first_use=trust_first_use)
    names = None if classes is None else read_classes(classes)
    obtained = obtain_named(file, trust_first_use=trust_first_use)
    model = load_model(recipe, weights=obtained, allow_new_head=allow_new_head, classes=names)
    assert model.load_report is not None
    local = obtained if isinstance(obtained, Path) else None
    name = Path(file).name if local is None else local.name
    provenance: dict[str, Json] = {"converted_from": name, "layout": model.load_report.layout}
    if model.origin is not None:
        provenance["origin"] = model.origin.model_dump(mode="json")
    if local is not None and local.is_file():
        provenance["sha256"] = sha256(local)
    existed = out.exists()
    if existed and not _holds_checkpoint(out, model, provenance):
        raise WeightsError(f"--out {out}: something else is there already: remove it, or choose another name.")
    if not existed:
        save = save_checkpoint if out.suffix else save_folder
        save(out, model, provenance=provenance)
    return ConvertedWeights(out, model.recipe, model.load_report, existed)


def _holds_checkpoint(path: Path, model: Classifier, provenance: dict[str, Json]) -> bool:
    """Whether a file holds exactly this checkpoint."""
    try:
        checkpoint = read_checkpoint(path)
    except WeightsError:
        return False
    state = model.network.state_dict()
    described = Description(model.recipe, model.class_names, provenance, model.calibration, model.trained_on)
    same = checkpoint.description == described and checkpoint.tensors.keys() == state.keys()
    return same and all(torch.equal(value, state[name]) for name, value in checkpoint.tensors.items())
