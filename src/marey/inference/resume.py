"""Long work that is gone on with: who may go on, and with what."""

import json
from pathlib import Path
from typing import Any

from marey.base.errors import RunError
from marey.base.files import write_json
from marey.evaluation.evaluate import weights_hash
from marey.models.network import Network


def claim(path: Path, model: Network, *, place: Path, **more: Any) -> None:
    """Leave what answers at `path`; if something is there already, it must be the same.

    Network, weights, test protocol, pixels and flow count, and `more`. How many views make a pass and on which device may
    change in between.

    Raises:
        RunError: `place` was begun with something else.
    """
    recipe = model.recipe
    identity = {
        "recipe": recipe.name,
        "weights_sha256": weights_hash(model),
        "test": recipe.test.model_dump(mode="json"),
        "pixels": recipe.pixels.model_dump(mode="json"),
        "flow": None if recipe.flow is None else recipe.flow.model_dump(mode="json"),
    } | more
    if not path.exists():
        write_json(path, identity)
        return
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error}): remove it and {place.name}.") from None
    differing = [name for name in identity if not isinstance(old, dict) or old.get(name) != identity[name]]
    if differing:
        raise RunError(
            f"{place} was begun with something else ({', '.join(differing)} differ): choose another --out, or remove it."
        )
