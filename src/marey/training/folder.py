"""The files of a run, written by its first process only."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from marey.base.errors import RunError
from marey.base.files import write_json, write_text
from marey.base.precision import Arithmetic
from marey.recipe import Recipe
from marey.training.state import Progress, load_state, recorded_run, refuse_other_state, save_state
from marey.weights.checkpoint import save_checkpoint

STATE = "last.ckpt"


def refuse_other_run(path: Path) -> None:
    """Refuse a folder in which a run lives already.

    Raises:
        RunError: one does.
    """
    taken = next((name for name in (STATE, "log.csv", "scores.npz") if (path / name).exists()), None)
    if taken:
        raise RunError(f"{path} holds another run ({taken}): go on with --resume, or choose another --out.")


def precision_of_run(path: Path) -> Arithmetic | None:
    """The arithmetic of the run that lives in a folder; None where there is none to go on with."""
    found = recorded_run(path / STATE)
    try:
        return None if found is None else Recipe.model_validate_json(found["recipe"]).train.precision
    except ValidationError:  # of another version of Marey: `load_state` says that it is another run
        return None


class RunFolder:
    """Where a run leaves its recipe, its weights, and what it goes on from.

    Args:
        path: The folder.
        recipe, class_names: What the weights belong to.
        identity: Recipe, data and seed: what tells this run from another one.
        writes: Whether this process is the one that writes.
    """

    def __init__(
        self, path: Path, recipe: Recipe, class_names: Sequence[str], identity: dict[str, Any], *, writes: bool
    ) -> None:
        self.path, self.recipe, self.class_names = path, recipe, class_names
        self.identity, self.writes = identity, writes

    def claim(self, resume: bool, facts: dict[str, Any]) -> None:
        """Take the folder; `facts` of the run go into run.json.

        Raises:
            RunError: another run lives there, or with `resume` none that could go on. Nothing is written then.
        """
        if resume:
            refuse_other_state(self.path / STATE, self.identity)
        else:
            refuse_other_run(self.path)
        if self.writes:
            self.path.mkdir(parents=True, exist_ok=True)
            write_text(self.path / "recipe.yaml", self.recipe.to_yaml())
            write_json(self.path / "run.json", self.identity | facts)

    def save_state(self, at: Progress, parts: dict[str, Any]) -> None:
        """Write all that the run goes on from."""
        if self.writes:
            save_state(self.path / STATE, at, self.identity, parts)

    def load_state(self) -> tuple[Progress, dict[str, Any]]:
        """Read it back.

        Raises:
            RunError: there is nothing, or it belongs to another run.
        """
        return load_state(self.path / STATE, self.identity)

    def write_weights(self, name: str, tensors: Mapping[str, Tensor], facts: dict[str, Any]) -> None:
        """A checkpoint that needs nothing beside it; `facts` say where its weights come from."""
        if self.writes:
            provenance = {"run": self.identity["data"], "seed": self.identity["seed"], **facts}
            save_checkpoint(self.path / name, tensors, self.recipe, self.class_names, provenance)
