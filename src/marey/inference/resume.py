"""The settings by which a run of a network over videos is recognised."""

from marey.base.jsonable import Json
from marey.classifier import Classifier
from marey.evaluation.run import weights_hash


def identity_of(model: Classifier, **more: Json) -> dict[str, Json]:
    """The settings that a run must share with one that it resumes: network, weights, test protocol, pixels and flow, and
    `more`. How many views make a pass and on which device may change in between.
    """
    recipe = model.recipe
    return {
        "recipe": recipe.name,
        "weights_sha256": weights_hash(model),
        "test": recipe.test.model_dump(mode="json"),
        "pixels": recipe.pixels.model_dump(mode="json"),
        "flow": None if recipe.flow is None else recipe.flow.model_dump(mode="json"),
    } | more
