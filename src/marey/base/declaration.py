"""The base of everything that is declared: recipes, network configs, sampling rules, pixel rules."""

from pydantic import BaseModel, ConfigDict, ValidationError


class Declaration(BaseModel):
    """A frozen value with a fixed set of fields: an unknown or misspelt field is an error.

    Equality and hash are by value. `model_copy(update=...)` does not validate; `Recipe.variant` does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


def first_problem(error: ValidationError) -> tuple[str, str]:
    """The dotted field name and the broken rule of a validation error's first problem, for a one-line message."""
    problem = error.errors(include_url=False)[0]
    field = ".".join(str(name) for name in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] in ("missing", "extra_forbidden", "value_error"):
        return field, message
    return field, f"{message}, got {problem['input']!r}"
