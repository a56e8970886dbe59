"""The base of everything that is declared: recipes, network configs, sampling rules, pixel rules."""

from pydantic import BaseModel, ConfigDict


class Declaration(BaseModel):
    """A frozen value that knows all its fields: a misspelt one is an error, never ignored.

    Equality and hash are by value; `model_copy(update=...)` does not validate, `recipe.variant` does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")
